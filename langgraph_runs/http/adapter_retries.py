"""The retries of urllib3, which an adapter of a user's session may ask for, within the limits of a call. Knows urllib3 only."""

from __future__ import annotations

import contextlib
import copy
import functools
from typing import Any

from urllib3.util.retry import Retry

from ..call import is_foreign, is_from_signal_handler, raise_foreign
from ..errors import AbortedError, DeadlineExceededError
from .exchange import Exchange

__all__ = ["limited_retries"]


def limited_retries(retries: Any, exchange: Exchange) -> Any:
    """Return *retries*, as an adapter has passed them to a pool, so that they keep to the limits of *exchange*.

    A request that creates something is not sent again below the client, which looks first whether it was executed.
    """
    if not isinstance(retries, Retry) or not retries.total:
        return retries  # none, as in all adapters of this package
    if not exchange.may_repeat:
        return Retry(0, read=False)
    limited: Any = copy.copy(retries)
    kind: Any = type(retries)
    limited.__class__ = _limited_class(kind)
    limited.exchange = exchange
    return limited


@functools.lru_cache(8)
def _limited_class(kind: Any) -> Any:
    return type(kind.__name__, (_Limited, kind), {})


class _Limited:
    """A mixin before the class of the user's retries."""

    exchange: Exchange

    def new(self, **named: Any) -> Any:
        """Return a copy with other numbers, as `urllib3.Retry.new`."""
        made = super().new(**named)  # type: ignore[misc]
        made.exchange = self.exchange
        return made

    def increment(
        self, method: Any = None, url: Any = None, response: Any = None, error: Any = None, *more: Any, **named: Any
    ) -> Any:
        """Return the retries that are left, as `urllib3.Retry.increment`; raise *error* if the call must end.

        So is what a signal handler or a hook has raised.
        """
        exchange = self.exchange
        if exchange.phase > Exchange.CONNECTING:
            exchange.was_sent = exchange.scope.may_have_been_executed = True
        if error is not None:
            raise_foreign(error, foreign=is_foreign if exchange.phase > Exchange.CONNECTING else is_from_signal_handler)
            if exchange.scope.ending_error() is not None:
                raise error
        return super().increment(method, url, response, error, *more, **named)  # type: ignore[misc]

    def sleep_for_retry(self, response: Any) -> bool:
        """Wait as long as the server demands. Return False if it does not say how long."""
        seconds = self.get_retry_after(response)  # type: ignore[attr-defined]
        self._wait(seconds or 0.0)
        return bool(seconds)

    def _sleep_backoff(self) -> None:
        self._wait(self.get_backoff_time())  # type: ignore[attr-defined]

    def _wait(self, seconds: float) -> None:
        with contextlib.suppress(AbortedError, DeadlineExceededError):  # the next attempt finds that the call must end
            self.exchange.scope.sleep(seconds)

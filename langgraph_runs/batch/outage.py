"""Whether a map can work: what it knows about a server that cannot be reached, or that refuses everything, and until when it waits.

The evidence that the server cannot be reached: after an input has failed in a way that the server may have caused, a request of
another kind, the probe, fails as well. If the probe succeeds, the failure counts for the input. Sends nothing itself.
"""

from __future__ import annotations

import datetime
import logging
import random
import time
from typing import Callable, Optional

import attrs

from ..call import has_api_shape, is_refusal, states_absence
from ..errors import APIConnectionError, APIStatusError, LangGraphRunsError, OutageError, ResponseDecodeError, shortened

__all__ = ["OutageWatch", "ServerOutage", "may_be_outage", "shows_server"]

_log = logging.getLogger(__name__)
#: The shortest pause between two probes, in seconds, whatever the policy says.
_SHORTEST_PAUSE = 0.1
#: Statuses of the API that say nothing about its state.
_UNSUPPORTED = frozenset({501, 505})
#: Seconds during which a server refuses everything before the map says so.
_REFUSALS_SHOWN_AFTER = 5.0
#: Characters of the reason in a message.
_SHOWN = 200


def may_be_outage(error: LangGraphRunsError) -> bool:
    """Return True if an input may have failed with *error* because the server, or the way to it, is down.

    >>> [may_be_outage(APIStatusError("?", status_code=code)) for code in (404, 422, 429, 500, 503)]
    [True, False, False, True, False]
    """
    if isinstance(error, APIStatusError):
        status = error.status_code
        if status == 404:
            return not states_absence(error)  # a gateway sends one while it has no server
        return status == 408 or (status >= 500 and status not in _UNSUPPORTED and not is_refusal(error))
    if isinstance(error, ResponseDecodeError):
        return error.sent is None  # the response is not the API's
    return isinstance(error, APIConnectionError)


def shows_server(error: LangGraphRunsError) -> bool:
    """Return True if *error*, the result of a probe, is the API's own response, so that the server can be reached."""
    if states_absence(error):
        return True
    if not isinstance(error, APIStatusError) or may_be_outage(error) or is_refusal(error):
        return False
    return error.status_code < 500 and has_api_shape(error)


@attrs.frozen(kw_only=True)
class ServerOutage:
    """What a map waits for: ``MapProgress.waiting_for``. No input is started, and none fails, until the server responds again.

    >>> when = datetime.datetime(2026, 11, 28, 3, 0, tzinfo=datetime.timezone.utc)
    >>> print(ServerOutage(since=when, reason="502 Bad Gateway", next_try=when + datetime.timedelta(seconds=8)))
    the server, which has not responded since 2026-11-28T03:00:00+00:00 (502 Bad Gateway); next try at 03:00:08
    """

    #: When the server was found not to respond.
    since: datetime.datetime
    #: The error of the last try.
    reason: str
    #: When the map tries again.
    next_try: datetime.datetime
    #: True if the server responds, but refuses all requests (429, 503).
    refuses: bool = False

    def __str__(self) -> str:
        what = "refuses all requests" if self.refuses else "has not responded"
        since, again = self.since.isoformat(timespec="seconds"), self.next_try.strftime("%H:%M:%S")
        return f"the server, which {what} since {since} ({self.reason}); next try at {again}"


class OutageWatch:
    """Notes failures and probes, and says when to probe, and when to give up. Used by the iterating thread."""

    def __init__(
        self,
        server: str,
        *,
        max_outage: Optional[float],
        wait_initial: float,
        wait_max: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._max_outage = max_outage
        self._wait_initial = wait_initial
        self._wait_max = wait_max
        self._clock = clock
        #: What the map waits for, or None.
        self.outage: Optional[ServerOutage] = None
        #: The last error of the server.
        self.error: Optional[LangGraphRunsError] = None
        #: When the last outage ended, on the clock; None if there was none.
        self.ended_at: Optional[float] = None
        self._began_at = 0.0
        self._next_probe = 0.0
        self._probes = 0
        self._refused_since: Optional[float] = None

    @property
    def is_down(self) -> bool:
        """True if the server does not respond, so that nothing is started."""
        return self.outage is not None and not self.outage.refuses

    def seconds_to_probe(self) -> float:
        """Return the seconds until the next probe; 0 if it is due, or if there is no outage."""
        return max(0.0, self._next_probe - self._clock()) if self.is_down else 0.0

    def seconds_to_end(self) -> Optional[float]:
        """Return the seconds until the map gives up; None if it does not wait, or waits without a limit."""
        if self._max_outage is None or self.outage is None:
            return None
        return max(0.0, self._max_outage - self.elapsed())

    # -- what happens

    def probe_failed(self, error: LangGraphRunsError) -> None:
        """Note that the probe has shown no server."""
        now = self._clock()
        if not self.is_down:
            self._began_at, self._probes = now, 0
            self._refused_since = None
        self.error = error
        pause = min(self._wait_max, self._wait_initial * 2.0 ** min(self._probes, 60)) * random.uniform(0.8, 1.0)
        retry_after = getattr(error, "retry_after", None) or 0.0
        pause = max(_SHORTEST_PAUSE, pause, min(retry_after, self._wait_max))
        self._probes += 1
        self._next_probe = now + pause
        self._show(pause, refuses=False)

    def probe_succeeded(self) -> None:
        """Note that the probe has shown the server."""
        if self.is_down:
            self._end()

    def probe_soon(self) -> None:
        """Note that an input has succeeded: the server may respond again."""
        self._next_probe = min(self._next_probe, self._clock())

    def refused(self, error: LangGraphRunsError, seconds: float) -> None:
        """Note that an input was refused, and that the next one starts after *seconds*."""
        self.error = error
        if self.is_down:
            return  # the probes decide
        now = self._clock()
        if self._refused_since is None:
            self._refused_since = now
        if now - self._refused_since >= _REFUSALS_SHOWN_AFTER:
            self._began_at = self._refused_since
            self._show(seconds, refuses=True)

    def accepted(self) -> None:
        """Note that the server accepts requests: an input has ended otherwise than by a refusal, or its run goes on."""
        self._refused_since = None
        if self.outage is not None and self.outage.refuses:
            self._end()

    def elapsed(self) -> float:
        """Return the seconds since the outage began."""
        return self._clock() - self._began_at

    def is_over(self) -> bool:
        """Return True if the map has waited for as long as it may."""
        left = self.seconds_to_end()
        return left is not None and left <= 0

    def final_error(self, *, done: int, failed: int, total: Optional[int], has_ledger: bool) -> OutageError:
        """Return the error with which the map ends because of the outage. *done* and *failed* are numbers of inputs."""
        outage, error = self.outage, self.error
        assert outage is not None and self._max_outage is not None
        what = "refused all requests" if outage.refuses else "not responded"
        of_total = "" if total is None else f" of {total}"
        of_failed = f", {failed} failed" if failed else ""
        since = outage.since.isoformat(timespec="seconds")
        remedy = (
            "no input has failed for this reason: the same call with the same ledger goes on"
            if has_ledger
            else "the same call starts again with the first input; with ledger= it would go on"
        )
        final = OutageError(
            f"the server has {what} since {since}, longer than max_outage={self._max_outage:g} s ({outage.reason}): "
            f"{done}{of_total} inputs are done{of_failed}; {remedy}",
            done=done,
            failed=failed,
            total=total,
            seconds=self.elapsed(),
            request=None if error is None else error.request,
        )
        final.__cause__ = error
        return final

    # -- showing it

    def _show(self, pause: float, *, refuses: bool) -> None:
        now, elapsed = datetime.datetime.now(datetime.timezone.utc).astimezone(), self.elapsed()
        before = self.outage
        since = before.since if before is not None and before.refuses is refuses else now - datetime.timedelta(seconds=elapsed)
        assert self.error is not None
        reason = shortened(" ".join(self.error._text.split()), _SHOWN)
        self.outage = ServerOutage(since=since, reason=reason, next_try=now + datetime.timedelta(seconds=pause), refuses=refuses)
        if before is None or before.refuses is not refuses:
            limit = "" if self._max_outage is None else f"; the map ends if that lasts {self._max_outage:g} s"
            _log.warning("the map of %s waits for %s%s", self._server, str(self.outage), limit)

    def _end(self) -> None:
        self.ended_at = self._clock()
        self.outage = None
        _log.warning("the server %s responds again after %.0f s; the map goes on", self._server, self.ended_at - self._began_at)

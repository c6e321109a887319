"""How many inputs run at once, and when the next may start: fewer and later while the server refuses. Sends nothing."""

from __future__ import annotations

import time
from typing import Callable, Optional

from .pacing import RequestPacer

__all__ = ["ConcurrencyLimit"]

#: How many inputs start at once at the beginning, and the seconds after which twice as many may run. A server that refuses so many
#: requests at once responds within that time, before all inputs have been sent to it.
_FIRST_INPUTS, _DOUBLING = 4, 0.05
#: Seconds without a refusal after which one more input may run although none has ended: after the first refusal, and at most. The
#: time doubles with each refusal.
_GROWTH, _SLOWEST_GROWTH = 1.0, 64.0


class ConcurrencyLimit:
    """An adaptive concurrency limit, shared by all inputs of a map: a refusal of one request delays all that come after it.

    The limit is halved when the server refuses an input, and grows by one for each round of successes, up to *concurrency*. It also
    grows without successes, slowly, since runs may take long. At the beginning it is small for some hundredths of a second. While
    *pacer* spaces the requests, the starts of inputs are spaced too.

    >>> limit = ConcurrencyLimit(16, wait_initial=0.5, wait_max=8.0, retry_after_max=60.0, clock=lambda: 100.0)
    >>> limit.refused(3.0), limit.seconds_left(), limit.current
    (3.0, 3.0, 2)
    """

    def __init__(
        self,
        concurrency: int,
        *,
        wait_initial: float,
        wait_max: float,
        retry_after_max: float,
        pacer: Optional[RequestPacer] = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pacer = pacer
        #: When the first inputs start; None before that, and when the limit of the beginning is over.
        self._first_start: Optional[float] = None
        self._is_beginning = concurrency > _FIRST_INPUTS
        self._maximum = float(concurrency)
        self._limit = float(concurrency)
        self._wait_initial = wait_initial
        self._wait_max = wait_max
        self._retry_after_max = retry_after_max
        self._clock = clock
        self._paused_until = self._refusals_known_until = clock()
        self._consecutive_refusals = 0
        #: When the limit has grown without a success, last.
        self._grown_at = self._paused_until

    @property
    def current(self) -> int:
        """The number of inputs that may run at once now."""
        if self._limit < self._maximum:
            self._grow()
        return max(1, int(min(self._limit, self._first_limit()) if self._is_beginning else self._limit))

    @property
    def grows_after(self) -> Optional[float]:
        """Seconds after which more inputs may run although none has ended; None if that is not so."""
        if self._is_beginning:
            return _DOUBLING
        return self._growth if self._limit < self._maximum else None

    @property
    def _growth(self) -> float:
        return min(_SLOWEST_GROWTH, _GROWTH * 2.0 ** min(self._consecutive_refusals - 1, 60))

    def _grow(self) -> None:
        steps = int((self._clock() - self._grown_at) / self._growth)
        if steps > 0:
            self._limit = min(self._maximum, self._limit + steps)
            self._grown_at += steps * self._growth

    def _first_limit(self) -> float:
        """Return the limit of the beginning."""
        if self._first_start is None:
            return _FIRST_INPUTS
        limit: float = _FIRST_INPUTS * 2.0 ** min(60, int((self._clock() - self._first_start) / _DOUBLING))
        if limit >= self._limit:
            self._is_beginning, self._first_start = False, None
        return limit

    def seconds_left(self) -> float:
        """Return the seconds until the next input may start; 0 if it may start now."""
        left = max(0.0, self._paused_until - self._clock())
        return left if self._pacer is None else max(left, self._pacer.seconds_left())

    def started(self) -> bool:
        """Note that an input starts. Return True if another one may start at the same time."""
        if self._is_beginning and self._first_start is None:
            self._first_start = self._clock()
        interval = 0.0 if self._pacer is None else self._pacer.interval
        if interval:
            self._paused_until = max(self._paused_until, self._clock() + interval)
        return not interval

    def refused(self, retry_after: Optional[float] = None) -> float:
        """Note that the server has refused a request. Return the seconds during which no input starts.

        *retry_after* is the wait that the server requested, in seconds; if it is None, the wait doubles with each refusal. Requests
        that are refused during a wait were sent before it, so they count as the same refusal.
        """
        now = self._clock()
        if now >= self._refusals_known_until:
            self._consecutive_refusals += 1
            if self._is_beginning:
                self._limit = min(self._limit, self._first_limit())
                self._is_beginning = False
            self._limit = max(1.0, self._limit / 2)
        if retry_after is None:
            doublings = min(self._consecutive_refusals - 1, 60)
            retry_after = min(self._wait_max, self._wait_initial * 2.0**doublings)
        self._paused_until = max(self._paused_until, now + min(retry_after, self._retry_after_max))
        self._refusals_known_until = self._grown_at = self._paused_until
        return self._paused_until - now

    def succeeded(self) -> None:
        """Note that an input has succeeded."""
        if self._first_start is not None:
            self._first_start -= _DOUBLING
        self._consecutive_refusals = 0
        self._limit = min(self._maximum, self._limit + 1.0 / self._limit)

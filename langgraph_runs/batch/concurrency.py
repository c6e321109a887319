"""How many inputs run at once, and when the next may start: fewer and later while the server refuses. Knows nothing of requests."""

from __future__ import annotations

import time
from typing import Callable, Optional

__all__ = ["ConcurrencyLimit"]


class ConcurrencyLimit:
    """An adaptive concurrency limit, shared by all inputs of a map: a refusal of one request delays all that come after it.

    The limit is halved when the server refuses a request, and grows by one for each round of successes, up to *concurrency*.

    >>> limit = ConcurrencyLimit(16, wait_initial=0.5, wait_max=8.0, retry_after_max=60.0, clock=lambda: 100.0)
    >>> limit.refused(3.0), limit.seconds_left(), limit.current
    (3.0, 3.0, 8)
    """

    def __init__(
        self,
        concurrency: int,
        *,
        wait_initial: float,
        wait_max: float,
        retry_after_max: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._maximum = float(concurrency)
        self._limit = float(concurrency)
        self._wait_initial = wait_initial
        self._wait_max = wait_max
        self._retry_after_max = retry_after_max
        self._clock = clock
        self._paused_until = clock()
        self._consecutive_refusals = 0

    @property
    def current(self) -> int:
        """The number of inputs that may run at once now."""
        return max(1, int(self._limit))

    def seconds_left(self) -> float:
        """Return the seconds until the next input may start; 0 if it may start now."""
        return max(0.0, self._paused_until - self._clock())

    def refused(self, retry_after: Optional[float] = None) -> float:
        """Note that the server has refused a request. Return the seconds during which no input starts.

        *retry_after* is the wait that the server requested, in seconds; if it is None, the wait doubles with each refusal. Requests
        that are refused during a wait were sent before it, so they count as the same refusal.
        """
        now = self._clock()
        if now >= self._paused_until:
            self._consecutive_refusals += 1
            self._limit = max(1.0, self._limit / 2)
        if retry_after is None:
            doublings = min(self._consecutive_refusals - 1, 60)
            retry_after = min(self._wait_max, self._wait_initial * 2.0**doublings)
        self._paused_until = max(self._paused_until, now + min(retry_after, self._retry_after_max))
        return self._paused_until - now

    def succeeded(self) -> None:
        """Note that an input has succeeded."""
        self._consecutive_refusals = 0
        self._limit = min(self._maximum, self._limit + 1.0 / self._limit)

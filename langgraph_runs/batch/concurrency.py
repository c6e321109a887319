"""How many inputs are under way at once, and when the next may begin, for a server that says that it is too much.

One brake for a whole map: what one request is told holds up all that come after it. Knows nothing of requests.
"""

from __future__ import annotations

import time
from typing import Callable, Optional

__all__ = ["ConcurrencyLimit"]


class ConcurrencyLimit:
    """Halves the number of inputs at once when the server refuses, and lets it grow again by one for each round that went well.

    >>> brake = ConcurrencyLimit(16, wait_initial=0.5, wait_max=8.0, longest=60.0, clock=lambda: 100.0)
    >>> brake.refused(3.0), brake.seconds_left(), brake.limit
    (3.0, 3.0, 8)
    """

    def __init__(
        self,
        concurrency: int,
        *,
        wait_initial: float,
        wait_max: float,
        longest: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = float(concurrency)
        self._limit = float(concurrency)
        self._wait_initial = wait_initial
        self._wait_max = wait_max
        self._longest = longest
        self._clock = clock
        self._until = clock()
        self._strikes = 0

    @property
    def limit(self) -> int:
        """How many may be under way at once, now."""
        return max(1, int(self._limit))

    def seconds_left(self) -> float:
        """Seconds until another one may begin; 0 where it may now."""
        return max(0.0, self._until - self._clock())

    def refused(self, asked: Optional[float] = None) -> float:
        """The server refused, and *asked* for so many seconds of rest or for none; returns how long all hold back now.

        What was sent before the brake was on and is refused while it is counts as the same refusal.
        """
        now = self._clock()
        if now >= self._until:
            self._strikes += 1
            self._limit = max(1.0, self._limit / 2)
        seconds = asked if asked is not None else min(self._wait_max, self._wait_initial * 2.0 ** min(self._strikes - 1, 60))
        self._until = max(self._until, now + min(seconds, self._longest))
        return self._until - now

    def succeeded(self) -> None:
        """An input went through."""
        self._strikes = 0
        self._limit = min(self._most, self._limit + 1.0 / self._limit)

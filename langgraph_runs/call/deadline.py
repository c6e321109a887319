"""One moment in monotonic time after which a call is over. Knows nothing of sockets, retries or threads."""

from __future__ import annotations

import time
from typing import Callable, Optional

__all__ = ["Deadline"]


class Deadline:
    """The end of a call that may take *timeout* seconds from now on; None never ends.

    >>> deadline = Deadline(5.0, clock=lambda: 100.0)
    >>> deadline.remaining()
    5.0
    >>> Deadline(None).remaining() is None
    True
    """

    __slots__ = ("at", "clock", "timeout")

    def __init__(self, timeout: Optional[float] = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        #: Seconds that were given, or None.
        self.timeout = timeout
        self.clock = clock
        #: The moment on *clock*, or None.
        self.at: Optional[float] = None if timeout is None else clock() + timeout

    def remaining(self) -> Optional[float]:
        """Seconds left, never below 0; None for no limit."""
        return None if self.at is None else max(0.0, self.at - self.clock())

    def expired(self) -> bool:
        """Whether the moment has passed."""
        return self.at is not None and self.clock() >= self.at

    def allows(self, seconds: float) -> bool:
        """Whether a wait of *seconds* would end before the deadline."""
        return self.at is None or self.clock() + seconds < self.at

"""The moment at which a call must end, in monotonic time."""

from __future__ import annotations

import time
from typing import Callable, Optional

__all__ = ["Deadline"]


class Deadline:
    """A deadline *timeout* seconds from now; None is no deadline.

    >>> deadline = Deadline(5.0, clock=lambda: 100.0)
    >>> deadline.remaining()
    5.0
    >>> Deadline(None).remaining() is None
    True
    """

    __slots__ = ("at", "clock", "extended", "timeout")

    def __init__(self, timeout: Optional[float] = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        #: The seconds from the start to the deadline, or None.
        self.timeout = timeout
        self.clock = clock
        #: The time on *clock* at which the call must end, or None.
        self.at: Optional[float] = None if timeout is None else clock() + timeout
        #: The seconds by which the deadline was put off.
        self.extended = 0.0

    def extend(self, seconds: float) -> None:
        """Put the deadline off: the next *seconds* are not counted."""
        self.extended += seconds
        if self.at is not None:
            self.at += seconds

    def remaining(self) -> Optional[float]:
        """Return the seconds that are left, at least 0; None if there is no deadline."""
        return None if self.at is None else max(0.0, self.at - self.clock())

    def expired(self) -> bool:
        """Return True if the deadline has passed."""
        return self.at is not None and self.clock() >= self.at

    def allows(self, seconds: float) -> bool:
        """Return True if a wait of *seconds* would end before the deadline."""
        return self.at is None or self.clock() + seconds < self.at

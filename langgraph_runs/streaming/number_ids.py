"""Resuming a stream whose event ids are whole numbers that grow, one for each event."""

from __future__ import annotations

import re
from typing import Optional

from .delivered import Delivered, DeliveredSiblings

__all__ = ["NumberIds"]

_NUMBER = re.compile(r"(0|[1-9]\d{0,17})\Z", re.ASCII)


class NumberIds:
    """The rules for a resumed connection: it begins with the last id, and an event is new if its id is greater.

    If two events had the same number, events under one number are matched as clock ids that several events share.
    """

    #: Always False: the number says whether its event is new.
    doubt = False

    def __init__(self, delivered: Delivered) -> None:
        self._newest = None if delivered.last is None else self.order(delivered.last)
        self._siblings = DeliveredSiblings(delivered) if delivered.repeats else None

    @staticmethod
    def order(event_id: str) -> Optional[int]:
        """Return the number, or None if the id is not a number.

        >>> NumberIds.order("17"), NumberIds.order("17-0"), NumberIds.order("0017")
        (17, None, None)
        """
        return int(event_id) if _NUMBER.match(event_id) else None

    def is_new(self, event: str, data: str, own_id: str) -> bool:
        """Return True if the event was not delivered yet."""
        number = self.order(own_id)
        if number is None:
            return True
        if self._newest is None or number > self._newest:
            self._newest = number
            if self._siblings is not None:
                self._siblings.clear()
            return True
        if number < self._newest or self._siblings is None:
            return False
        return not self._siblings.is_repeat((event, data))

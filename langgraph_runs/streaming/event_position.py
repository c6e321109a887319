"""`EventPosition`: the id of the last event that a caller got, with what is needed to continue exactly after it. No I/O.

Events of one millisecond may share an id (see `clock_ids`), so the id alone does not say which of them were delivered. The position
has, beside the id, the distinct id before it and the number of events of each name that were delivered under the id. A stream that
continues is opened after the id before, and leaves those events out.
"""

from __future__ import annotations

from typing import Dict, Mapping, Optional

from .clock_ids import clock_key
from .delivered import is_stored

__all__ = ["DeliveredBefore", "EventPosition", "PositionTracker"]


class EventPosition(str):
    """An event id as text. Equal to the plain id; text that was made of it, such as JSON, has the id alone.

    >>> position = EventPosition("1795224633885-0", before="1795224633884-0", counts={"custom": 2})
    >>> position == "1795224633885-0", position.before
    (True, '1795224633884-0')
    """

    before: str
    counts: Mapping[str, int]

    def __new__(cls, event_id: str, *, before: str = "", counts: Optional[Mapping[str, int]] = None) -> EventPosition:
        """Return *event_id* with the distinct id *before* it, and how many events of each name were delivered under it."""
        position = super().__new__(cls, event_id)
        position.before = before
        position.counts = dict(counts or {})
        return position


class PositionTracker:
    """The position after each event that the caller of one stream gets.

    *start* is the id or the position after which the caller began, or the start of the stream; None if neither is known.
    """

    def __init__(self, start: Optional[str] = None) -> None:
        self._start = start
        #: The last id, and the number of events of each name under it.
        self.id: Optional[str] = None
        self.counts: Dict[str, int] = {}
        self._before: Optional[str] = start
        if isinstance(start, EventPosition):
            self.id, self.counts, self._before = str(start), dict(start.counts), start.before

    def move_to(self, event_id: Optional[str]) -> None:
        """Note another id. The caller of this class counts its events in *counts*."""
        self._before, self.id, self.counts = self.id or self._before, event_id, {}

    @property
    def position(self) -> Optional[str]:
        """The last event id: an `EventPosition` if several events may share it, and the id before it is known."""
        if self.id is None or self._before is None or clock_key(self.id) is None:
            return self.id
        counts = {name: count for name, count in self.counts.items() if is_stored((name, ""))}
        return EventPosition(self.id, before=self._before, counts=counts)


class DeliveredBefore:
    """Recognises the events up to a position, which another stream has delivered.

    >>> before = DeliveredBefore(EventPosition("8-0", before="7-0", counts={"custom": 1}))
    >>> [before.has("custom", "8-0"), before.has("custom", "8-0"), before.has("custom", "9-0")]
    [True, False, False]
    """

    def __init__(self, position: EventPosition) -> None:
        self._key = clock_key(position)
        self._left = dict(position.counts)

    def has(self, event: str, own_id: str) -> bool:
        """Return True if the event, the next new one of the stream, is one of them."""
        key = clock_key(own_id)
        if key is None or self._key is None or key > self._key:
            return False
        if key < self._key:
            return True
        left = self._left.get(event, 0)
        self._left[event] = left - 1
        return left > 0

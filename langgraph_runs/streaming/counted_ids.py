"""Resuming a stream whose event ids count the events of the run: each is one more than the one before.

Such an id is a whole number, or ends with one, as ``<run>_event_17`` does. The stream is resumed from the id before the last one,
so that the last event comes again. That is the evidence that the server keeps the events. An event whose number is more than one
greater than the last is evidence that events are missing. Some servers send the events that they have stored first, and then all
that they have in memory: so events are held until the missing ones come. Some send what they have stored while they still store
newer events: another connection then has the missing ones, and is tried a few times if the server keeps the events.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Optional, Sequence, Tuple

from ..call import raise_foreign
from ..serialization import parse

__all__ = ["CountedIds", "Event", "HeldEvent", "count_of", "may_count_from_start"]

#: Name and data of an event.
Event = Tuple[str, str]
#: Name, data and id of an event.
HeldEvent = Tuple[str, str, str]


_COUNT = re.compile(r"(.*?)(0|[1-9]\d{0,17})\Z", re.ASCII | re.DOTALL)
_CLOCK = re.compile(r"\d+-\d+\Z", re.ASCII)
_UNTIL_FRACTION = re.compile(r"\d[.:,]\Z", re.ASCII)
#: Events that a server may write anew for each connection.
_NOT_COMPARED = frozenset({"metadata", "end", "error"})
#: Longer ids are not looked at.
_LONGEST = 200


def count_of(event_id: str) -> Optional[Tuple[str, int]]:
    """Return the text before the number at the end of an id, and the number; None if there is none, or if the id is a time.

    >>> count_of("17"), count_of("run_event_17"), count_of("1795224633885-0"), count_of("1795224633.885")
    (('', 17), ('run_event_', 17), None, None)
    """
    found = _COUNT.match(event_id) if len(event_id) <= _LONGEST else None
    if found is None or _CLOCK.match(event_id):
        return None
    prefix, number = found.groups()
    if prefix[-1:].isalnum() or _UNTIL_FRACTION.search(prefix):
        return None  # the digits of a UUID, of a decimal number and of a time are no number
    return prefix, int(number)


def may_count_from_start(prefix: str, number: int) -> bool:
    """Return True if the first id that a stream shows may be that of one of the run's first events."""
    return number <= (2 if prefix else 1)


class CountedIds:
    """The rules for a resumed connection.

    Events that come before others which are missing are held, until those come or the cursor gives them up. *newest*
    is the number of the last delivered event, *held* are events that earlier connections held. *last_events* are the events with
    that number: if another one has it on this connection, the numbers begin again on each connection.
    """

    def __init__(self, prefix: str, newest: int, held: Dict[int, HeldEvent], last_events: Sequence[Event] = ()) -> None:
        self._prefix = prefix
        self._newest = newest
        self._first_newest = newest
        self.held = held
        self._last_events = last_events
        #: True if the last delivered event came again: the server keeps the events.
        self.kept = False
        #: True if the numbers mean other events than before, so that they do not show which events are new.
        self.restarted = False
        #: True if another connection may have the missing events. Until then no event is accepted.
        self.doubt = False

    def is_new(self, event: str, data: str, own_id: str) -> bool:
        """Return True if the event was not delivered yet and no event before it is missing. Hold it if one is missing."""
        if self.doubt:
            return False
        count = count_of(own_id)
        if count is None or count[0] != self._prefix:
            return True
        number = count[1]
        if number <= self._newest:
            if number == self._first_newest and not self.kept:
                self.kept = True
                self.restarted = bool(self._last_events) and not _is_one_of((event, data), self._last_events)
            return False
        if number > self._newest + 1:
            self.held.setdefault(number, (event, data, own_id))
            return False
        self._newest = number
        return True

    def take_next(self, *, over_gap: bool = False) -> Optional[HeldEvent]:
        """Return the held event that follows the last one, if there is one; with *over_gap* the next one that is held."""
        number = min(self.held, default=None) if over_gap else self._newest + 1
        if number is None or number not in self.held:
            return None
        self._newest = number
        return self.held.pop(number)


def _is_one_of(event: Event, known: Sequence[Event]) -> bool:
    """Return True if the event is one of those *known*, perhaps written in another way, as by a gateway."""
    if event in known or event[0] in _NOT_COMPARED:
        return True
    return any(event[0] == name and _parsed(event[1]) == _parsed(data) for name, data in known)


def _parsed(data: str) -> Any:
    try:
        return parse(data)
    except ValueError as error:
        raise_foreign(error)
        return data

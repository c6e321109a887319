"""Resuming a stream whose event ids count the events of the run: each is one more than the one before.

Such an id is a whole number, or ends with one, as ``<run>_event_17`` does. The stream is resumed from the id before the last one,
so that the last event comes again. That is the evidence that the server keeps the events. An event whose number is more than one
greater than the last is evidence that events are missing. Some servers send the events that they have stored first, and then all
that they have in memory: so events are held until the missing ones come. Some send what they have stored while they still store
newer events: another connection then has the missing ones, and is tried a few times if the server keeps the events.
"""

from __future__ import annotations

import re
from typing import Dict, Optional, Tuple

__all__ = ["CountedIds", "HeldEvent", "count_of", "may_count_from_start"]

#: Name, data and id of an event.
HeldEvent = Tuple[str, str, str]


_COUNT = re.compile(r"(.*?)(0|[1-9]\d{0,17})\Z", re.ASCII | re.DOTALL)
_CLOCK = re.compile(r"\d+-\d+\Z", re.ASCII)
#: Longer ids are not looked at.
_LONGEST = 200


def count_of(event_id: str) -> Optional[Tuple[str, int]]:
    """Return the text before the number at the end of an id, and the number; None if there is none, or if the id is a time.

    >>> count_of("17"), count_of("run_event_17"), count_of("1795224633885-0")
    (('', 17), ('run_event_', 17), None)
    """
    found = _COUNT.match(event_id) if len(event_id) <= _LONGEST else None
    if found is None or _CLOCK.match(event_id):
        return None
    prefix, number = found.groups()
    return None if prefix[-1:].isalnum() else (prefix, int(number))  # the digits of a UUID are no number


def may_count_from_start(prefix: str, number: int) -> bool:
    """Return True if the first id that a stream shows may be that of one of the run's first events."""
    return number <= (2 if prefix else 1)


class CountedIds:
    """The rules for a resumed connection.

    Events that come before others which are missing are held, until those come or the cursor gives them up. *newest*
    is the number of the last delivered event, *held* are events that earlier connections held.
    """

    def __init__(self, prefix: str, newest: int, held: Dict[int, HeldEvent]) -> None:
        self._prefix = prefix
        self._newest = newest
        self._first_newest = newest
        self.held = held
        #: True if the last delivered event came again: the server keeps the events.
        self.kept = False
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
            self.kept = self.kept or number == self._first_newest
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

"""Resuming a stream whose event ids count the events of the run: each is one more than the one before.

Such an id is a whole number, or ends with one, as ``<run>_event_17`` does. The stream is resumed from the id before the last one,
so that the last event comes again. That is the evidence that the server keeps the events. An event whose number is more than one
greater than the last is evidence that events are missing. Some servers send what they have stored while they still store newer
events: another connection then has the missing ones. It is tried a few times if the server keeps the events.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Optional, Tuple

if TYPE_CHECKING:
    from .delivered import Delivered

__all__ = ["CountedIds", "count_of"]

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


class CountedIds:
    """The rules for a resumed connection. When *doubt* is True, it accepts no events until the next one.

    With *final* there is no further connection: what is missing now is not kept.
    """

    def __init__(self, delivered: Delivered, *, final: bool) -> None:
        self._final = final
        self._prefix, self._newest = count_of(delivered.last or "") or ("", -1)
        #: True if the last delivered event came again: the server keeps the events.
        self._kept = False
        #: True if another connection may have the missing events.
        self.doubt = False
        #: True if events are missing before the event that was last found to be new.
        self.jumped = False

    def is_new(self, event: str, data: str, own_id: str) -> bool:
        """Return True if the event was not delivered yet."""
        count = None if self.doubt else count_of(own_id)
        self.jumped = False
        if count is None or count[0] != self._prefix:
            return not self.doubt
        number = count[1]
        if number <= self._newest:
            self._kept = self._kept or number == self._newest
            return False
        if number > self._newest + 1:
            if self._kept and not self._final:
                self.doubt = True
                return False
            self.jumped = True
        self._newest = number
        return True

"""The delivered events of a run, as far as a new connection needs them. The memory is bounded."""

from __future__ import annotations

from collections import Counter, deque
from typing import Deque, List, Optional, Set

from .counted_ids import Event, count_of, may_count_from_start

__all__ = ["Delivered", "DeliveredSiblings", "Event", "is_stored"]


#: Kinds that a server sends live but does not store. ``messages`` itself (the tuple form) is stored.
_NOT_STORED = ("messages/", "error", "feedback")
#: The maximum number of events under one id that are remembered. Of ids without an order, the last ones are remembered: at least
#: this many, and at most twice as many.
_REMEMBERED = 4096


def is_stored(event: Event) -> bool:
    """Return True if the server can send an event of this kind again."""
    return not event[0].startswith(_NOT_STORED)


class Delivered:
    """The ids of the events delivered so far, and the events that were delivered under the last id.

    >>> delivered = Delivered()
    >>> for data, event_id in (("1", "7-0"), ("2", "8-0"), ("3", "8-0")):
    ...     delivered.add("custom", data, event_id)
    >>> delivered.before, delivered.last, delivered.siblings
    ('7-0', '8-0', [('custom', '2'), ('custom', '3')])
    """

    def __init__(self, start: Optional[str] = None) -> None:
        #: The first id, the last id, and the id before the last; None if there is none yet.
        self.first: Optional[str] = None
        self.last: Optional[str] = None
        self.before: Optional[str] = None
        #: The last event id, by the specification of server-sent events: at first *start*, "" after an empty ``id`` line.
        self.last_id = start
        #: The events under the last id, in order; and the number of stored events before these that are forgotten.
        self.siblings: List[Event] = []
        self.forgotten = 0
        #: True if two events had the same id.
        self.repeats = False
        #: True if the server can send all of them again.
        self.repeatable = True
        #: False if there were events without an id, which a server that keeps events would have given one.
        self.all_have_ids = True
        #: True if the ids have no known order. Only such ids are remembered.
        self.unordered = False
        #: True if each id is one more than the id before it, False if not, None if that is not known yet.
        self.counting: Optional[bool] = None
        #: True as long as there was only one connection, on which no event is missing: a jump is then the server's way to count.
        self.continuous = True
        #: The id that follows the last one if the ids count by one; None if they do not.
        self.following: Optional[str] = None
        self._prefix = ""
        self._number = -1
        self._recent: Set[str] = set()
        self._older: Set[str] = set()

    def add(self, event: str, data: str, own_id: str) -> None:
        """Note an event that has this id."""
        if own_id != self.last:
            self.move_to(own_id)
        else:
            self.last_id = own_id
            self.repeats = True
            self.counting, self.following = False, None
            if len(self.siblings) >= _REMEMBERED:
                self._forget()
        self.siblings.append((event, data))
        if event[:9] == "messages/":
            self.repeatable = False

    def move_to(self, own_id: str) -> None:
        """Note a new id, under which no event was delivered yet."""
        if own_id == self.following:
            self.counting = True
            self._number += 1
            self.following = f"{self._prefix}{self._number + 1}"
        elif self.counting is not False:
            self._note_count(own_id)
        if self.last is None:
            self.first = own_id
        self.before = self.last
        self.last = self.last_id = own_id
        self.siblings = []
        self.forgotten = 0
        if self.unordered:
            self._remember(own_id)

    def _note_count(self, own_id: str) -> None:
        """Note the first id, or one that does not follow the last."""
        count = count_of(own_id)
        if count is None:
            self.counting, self.following = False, None
            return
        prefix, number = count
        if self.last is None:
            # A numbering that begins with the run counts its events, until an id shows that it does not.
            self.counting = True if may_count_from_start(prefix, number) else None
        elif prefix != self._prefix or number <= self._number or self.continuous:
            self.counting, self.following = False, None
            return
        self._prefix, self._number = prefix, number
        self.following = f"{prefix}{number + 1}"

    def reset_id(self) -> None:
        """Note an empty id: the server wants no last event id to be sent."""
        self.last_id = ""

    def add_unrepeatable(self) -> None:
        """Note an event that the server cannot send again."""
        self.repeatable = False

    def add_without_id(self) -> None:
        """Note an event that has no id, so that it can neither be sent again nor be missed."""
        self.repeatable = self.all_have_ids = False

    def treat_as_unordered(self) -> None:
        """Remember the ids from now on, since they have no known order."""
        if not self.unordered:
            self.unordered = True
            for own_id in (self.first, self.before, self.last):
                if own_id is not None:
                    self._remember(own_id)

    def __contains__(self, own_id: str) -> bool:
        """Return True if the id is remembered. The time does not depend on the number of ids."""
        return own_id in self._recent or own_id in self._older

    def _remember(self, own_id: str) -> None:
        if len(self._recent) >= _REMEMBERED:
            self._older, self._recent = self._recent, set()
        self._recent.add(own_id)

    def _forget(self) -> None:
        half = _REMEMBERED // 2
        self.forgotten += sum(map(is_stored, self.siblings[:half]))
        del self.siblings[:half]


class DeliveredSiblings:
    """Recognises the events under the last id that were delivered, when the server sends all events under that id again.

    They are matched by their order, so that equal events are counted correctly. If another event comes in between, the rest is
    matched by content, each event once. A server that stores all events never sends such an event.
    """

    def __init__(self, delivered: Delivered) -> None:
        self._delivered = delivered
        self._forgotten = 0
        self._due: Deque[Event] = deque()
        self._by_content: Optional[Counter[Event]] = None
        self.restart()

    def restart(self) -> None:
        """Expect all delivered events again from now on."""
        self._forgotten = self._delivered.forgotten
        self._due = deque(filter(is_stored, self._delivered.siblings))
        self._by_content = None

    def clear(self) -> None:
        """Expect no delivered events any more."""
        self._forgotten = 0
        self._due.clear()
        self._by_content = None

    def is_repeat(self, event: Event) -> bool:
        """Return True if this event was delivered. Each delivered event counts once."""
        if not is_stored(event):
            return event in self._delivered.siblings  # this server stores it after all
        if self._by_content is not None:
            return self._take(self._by_content, event)
        if self._forgotten:
            self._forgotten -= 1
            return True
        if not self._due:
            return False
        if self._due[0] == event:
            self._due.popleft()
            return True
        self._by_content = Counter(self._due)
        return self._take(self._by_content, event)

    @staticmethod
    def _take(left: Counter[Event], event: Event) -> bool:
        if not left[event]:
            return False
        left[event] -= 1
        return True

"""Resuming a stream whose event ids are ``<milliseconds>-<counter>``.

On some servers the counter is constant, so the events of one millisecond share an id. A resumed server sends the events whose id
is greater than the last event id. Resuming from the last id would lose its siblings: events with the same id that had not come yet.
So the stream is resumed from the distinct id before the last one. Events that were delivered already are dropped: every event with
an older id and, of the events with the last id, as many as were delivered, in their order. If the run had published all its events
before the connection was opened, the server sends each stored event once, and this is enough (`FinishedClockIds`).

While the run goes on, a server may replay the stored events and then send again, in one block, those that were published during
the replay. Most of these repeats come after newer events, and are recognised by that. But if the block begins with the newest id,
an event of equal content may be a repeat or a new event: tokens of one millisecond are often equal. In this case the connection is
given up, and the next one decides: if a newer event was seen before it was opened, everything up to that event is the replay, in
which each event comes once (`LiveClockIds`). If none was seen, and the block comes again, the connection is read until one comes.
Some servers send the last events again on each connection, whether or not anything was published meanwhile.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Deque, Optional, Set, Tuple

from .delivered import Delivered, DeliveredSiblings, Event, is_stored

__all__ = ["ClockKey", "FinishedClockIds", "LiveClockIds", "clock_key", "resume_from"]

#: Milliseconds and counter.
ClockKey = Tuple[int, int]

_CLOCK = re.compile(r"(\d+)-(\d+)\Z", re.ASCII)


def clock_key(event_id: str) -> Optional[ClockKey]:
    """Return the sort key of a clock id, or None for any other id.

    >>> clock_key("1795224633885-0"), clock_key("17")
    ((1795224633885, 0), None)
    """
    clock = _CLOCK.match(event_id)
    return None if clock is None else (int(clock.group(1)), int(clock.group(2)))


def resume_from(delivered: Delivered) -> Optional[str]:
    """Return the id to resume from: the distinct id before the last one; None for the start of the stream."""
    return delivered.before


class FinishedClockIds:
    """The rules for a resumed connection, if the run had published all its events before: each event comes once, in order."""

    #: Always False: the order says which events are new.
    doubt = False

    def __init__(self, delivered: Delivered) -> None:
        self._newest = None if delivered.last is None else clock_key(delivered.last)
        self._siblings = DeliveredSiblings(delivered)
        self._caught_up = False
        self._restarted = False

    def is_new(self, event: str, data: str, own_id: str) -> bool:
        """Return True if the event was not delivered yet."""
        key = clock_key(own_id)
        if key is None:
            return True
        if self._newest is None or key > self._newest:
            self._newest, self._caught_up = key, True
            self._siblings.clear()
            return True
        if key == self._newest:
            self._caught_up = True
            return not self._siblings.is_repeat((event, data))
        if self._caught_up and not self._restarted:
            # Older events after newer ones: contrary to expectation, this server sends a block of them again.
            self._restarted = True
            self._siblings.restart()
        return False


class LiveClockIds:
    """The rules for a resumed connection to a run that may go on. When *doubt* is True, it accepts no events until the next one."""

    def __init__(self, delivered: Delivered, *, safe: Optional[ClockKey] = None) -> None:
        self._delivered = delivered
        self._newest = None if delivered.last is None else clock_key(delivered.last)
        # The newest id known to be published before this connection was opened. What comes before its first event is the replay.
        self._safe = safe
        #: False once events come only once, since the server has sent all that it published while it replayed the stored events.
        self.overlapping = True
        self._due: Deque[Event] = deque(filter(is_stored, delivered.siblings))
        self._by_content = delivered.forgotten > 0
        self._caught_up = False
        # Indexes in the siblings of the event that a block of repeats may send next; None outside of a block.
        self._block: Optional[Set[int]] = None
        self._had_block = False
        self._past_older_block = False
        #: True if only another connection can show which events are new.
        self.doubt = False
        #: The newest id that this connection showed, once it is in doubt.
        self.shown: Optional[ClockKey] = None

    @property
    def awaits_newer(self) -> bool:
        """True if the next connection could decide nothing either: no event is known yet that follows those in doubt."""
        return self.doubt and self._safe is not None and self.shown is not None and self.shown <= self._safe

    def is_new(self, event: str, data: str, own_id: str) -> bool:
        """Return True if the event was not delivered yet."""
        key = clock_key(own_id)
        if key is None:
            return not self.doubt
        if self.doubt:
            self._show(key)
            return False
        if self._newest is None or key > self._newest:
            return self._newer_is_new(key)
        if key < self._newest:
            self._note_older(key)
            return False
        self._caught_up = True
        return self._sibling_is_new(key, (event, data))

    def _newer_is_new(self, key: ClockKey) -> bool:
        if not self._block_ends(again=False) and self._give_up(key):
            return False
        self._due.clear()
        self._by_content = False
        self._caught_up = True
        self._newest = key
        return True

    def _note_older(self, key: ClockKey) -> None:
        if not self._block_ends(again=True) and self._give_up(key):
            return
        if self._caught_up and not self._past_older_block:
            # A block of repeats begins. It has all events that were delivered under the newest id, then new events.
            self._past_older_block = True
            self._due = deque(self._delivered.siblings)
            self._by_content = self._delivered.forgotten > 0

    def _sibling_is_new(self, key: ClockKey, event: Event) -> bool:
        """Return True if an event under the newest id is new."""
        siblings = self._delivered.siblings
        if self._due:
            if self._due[0] == event:
                self._due.popleft()
                return False
            self._due.clear()
            self._by_content = True  # the events are not in the order in which they were delivered
        overlapping = self.overlapping
        known = event in siblings
        if known and not is_stored(event):
            return False  # this server stores it after all
        if self._by_content or not overlapping:
            return not (known and overlapping)
        if self._past_older_block or (self._safe is not None and key < self._safe):
            return True
        if self._continues_block(event):
            return False
        if not self._block_ends(again=known) and self._give_up(key):
            return False
        if not known:
            return True
        if (self._delivered.repeats or key[1] == 0) and self._give_up(key):
            return False
        self._block = {at + 1 for at, other in enumerate(siblings) if other == event}
        return False

    def _continues_block(self, event: Event) -> bool:
        """Return True if the event may be the next of a block of repeats."""
        if self._block is None:
            return False
        siblings = self._delivered.siblings
        further = {at + 1 for at in self._block if at < len(siblings) and siblings[at] == event}
        if further:
            self._block = further
        return bool(further)

    def _block_ends(self, *, again: bool) -> bool:
        """End the block, if any. Return False if events that were dropped as its repeats may have been new events.

        A connection has one block at most, which goes on to the last event under its last id. So the dropped events are in doubt if
        the block ended earlier, or if another one begins (*again*).
        """
        if self._block is not None:
            self._had_block = len(self._delivered.siblings) in self._block
            self._block = None
            return self._had_block and not again
        return not (again and self._had_block)

    def _give_up(self, key: ClockKey) -> bool:
        """Give this connection up if another one can be opened. Return True if it is given up."""
        self._block = None
        if self._delivered.repeatable:
            self.doubt = True
            self.shown = self._newest
            self._show(key)
        return self.doubt

    def _show(self, key: ClockKey) -> None:
        if self.shown is None or key > self.shown:
            self.shown = key

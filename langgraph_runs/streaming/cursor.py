"""Where a stream stands, so that a new connection neither loses nor repeats an event. No I/O.

Three kinds of event ids are known to exist, and each needs another way to be exact:

- *Clock ids*, ``<milliseconds>-<counter>``: on some servers the counter is constant, so that events of one millisecond share an
  id, and resuming is "greater than". Resuming from the last id would lose its siblings; we resume from the distinct id before it
  and drop what was delivered already: everything older than the newest id, and under the newest id what has the same content.
- *Whole numbers* that grow: unique. We resume from the last one, and drop what is not greater.
- *Anything else*: taken for unique, as the specification of server-sent events means them, unless one repeats.

A server may replay what it stored and then send again, in one block, what was published while it did: such events come twice, the
second time mostly after newer ones. The rules above drop them too. Where the block begins with the newest id, an event of equal
content may be a repeat or a true twin, as tokens of one millisecond are. A repeat goes on to the last event of that id, as the
block does, and there is one block; and what was seen before a connection was opened is in no block of that connection. So where
only that can tell, the cursor is in `doubt`: it takes no more from this connection and wants another one. (One case is left: the
very first two equal events of a stream, next to each other and alone in their millisecond, right after a cut, are taken for one.)
"""

from __future__ import annotations

import re
from collections import deque
from typing import Deque, List, NamedTuple, Optional, Sequence, Set, Tuple

__all__ = ["Cursor", "Place"]

_CLOCK = re.compile(r"(\d+)-(\d+)\Z", re.ASCII)
_NUMBER = re.compile(r"\d{1,18}\Z", re.ASCII)
#: Kinds that a server sends live but does not store; `messages` itself (the tuple form) is stored.
_NOT_STORED = ("messages/", "error", "feedback")
#: Kinds that may come without an id on a stream whose other events have one.
_WITHOUT_ID = frozenset({"metadata", "error", "end", "feedback"})
#: Opaque ids, or events under one id, that are remembered.
_REMEMBERED = 4096
#: Resumes from before the first event.
_FROM_START = "0"
#: Seconds after the start of a connection in which events may come twice. Later, equal content under one id is a true twin.
_OVERLAP = 30.0
#: Events that are looked through for equal ones, and their length in characters at the most.
_LOOKED_AT = 64
_SHORT = 4096

Key = Tuple[int, int]


def _key(event_id: str) -> Optional[Key]:
    """What orders clock ids and numbers; None for any other id."""
    clock = _CLOCK.match(event_id)
    if clock is not None:
        return int(clock.group(1)), int(clock.group(2))
    return (int(event_id), -1) if _NUMBER.match(event_id) else None


class Place(NamedTuple):
    """A place between two events of a stream."""

    #: Id of the event before it, if that had one.
    after_id: Optional[str]
    #: Number of events delivered before it.
    events_seen: int


class Cursor:
    """The position in one run's stream, over all its connections.

    >>> cursor = Cursor(from_start=True)
    >>> [cursor.admit("custom", data, "1795224633885-0") for data in ("1", "2")]
    [True, True]
    >>> cursor.reconnect()  # not the last id: it may have siblings that did not come
    '0'
    >>> [cursor.admit("custom", data, "1795224633885-0") for data in ("1", "2", "3")]
    [False, False, True]
    """

    def __init__(self, *, from_start: bool, start: Optional[str] = None, modes: Sequence[str] = ()) -> None:
        #: The last id that was delivered.
        self.last: Optional[str] = None
        #: Number of events that were new.
        self.admitted = 0
        # Whether an event came that the server cannot send again.
        self._unrepeatable = "messages" in modes and "messages-tuple" not in modes
        #: The id that the caller wanted to begin after.
        self.start = start
        self._origin = start if start is not None else (_FROM_START if from_start else None)
        self._before: Optional[str] = None
        self._first: Optional[str] = None
        self._opaque = False
        self._repeats = False
        #: What was delivered under the last id, in order.
        self._group: List[Tuple[str, str]] = []
        self._recent: Deque[str] = deque(maxlen=_REMEMBERED)
        self._metadata: Optional[str] = None
        # Of the connection that is open now. Events may come twice on every one but that which made the run.
        self._resumed = start is not None
        self._key: Optional[Key] = None
        self._skipping = False
        self._expected = False
        self._overlap_until: Optional[int] = None
        self._skip: Deque[Tuple[str, str]] = deque()
        self._by_content = False
        self._over = False
        self._had_block = False
        self._caught_up = False
        self._block: Optional[Set[int]] = None
        self._lately: Deque[Tuple[str, str]] = deque(maxlen=_LOOKED_AT)
        self._has_twins = False
        self._trimmed = False
        self._seen: Optional[Key] = None
        self._safe: Optional[Key] = None
        #: Whether only a new connection can tell what comes next; until `reconnect` nothing more is admitted.
        self.doubt = False
        #: How often that was so.
        self.doubts = 0
        self._settled = False
        #: Whether the open connection began after events that were never delivered.
        self.gap = False
        self._gap_place: Optional[Place] = None

    @property
    def resumable(self) -> bool:
        """Whether a new connection can begin exactly where the last one ended."""
        return not self._unrepeatable and (self.last is not None or self._origin is not None)

    def reconnect(self, *, all_published: bool = False) -> Optional[str]:
        """A new connection is about to be opened: the ``Last-Event-ID`` to send, or None for none."""
        self._settled = all_published
        self._resumed = True
        self._skipping = self._expected = self.gap = False
        self._overlap_until = self._block = None
        if self.doubt:
            self._safe = self._seen  # what the doubtful connection showed was published before this one
        self.doubt = self._over = self._had_block = self._caught_up = False
        self._by_content = self._trimmed
        self._skip = deque(one for one in self._group if not one[0].startswith(_NOT_STORED))
        if self.last is None:
            return self._origin
        self._key = None if self._opaque else _key(self.last)
        before = None if self._opaque or self._before is None else _key(self._before)
        if self._key is None or (before is not None and before > self._key):
            self._opaque, self._key = True, None  # neither a clock nor a counter: only equality says anything
        if not self._shared_ids():
            return self.last
        stored = any(not event.startswith(_NOT_STORED) for event, _ in self._group)
        self._expected = stored and self._key is not None and self._key[0] >= 10**12
        return self._before if self._before is not None else (self._origin or _FROM_START)

    def opened(self, server_time: Optional[float]) -> None:
        """The connection is open; *server_time* is the server's clock in seconds since 1970, where it told it (``Date``)."""
        if self._resumed and server_time is not None:
            self._overlap_until = int((server_time + 1.0 + _OVERLAP) * 1000)

    def ended_early(self) -> bool:
        """Whether the connection ended without sending again what it should have begun with."""
        return self._expected

    def admit(self, event: str, data: str, own_id: Optional[str]) -> bool:
        """Whether the event is new; notes it if so."""
        new = self._admit(event, data, own_id)
        self.admitted += new
        return new

    @property
    def place(self) -> Place:
        """The place after the last new event."""
        return Place(self.last, self.admitted)

    def take_gap(self) -> Optional[Place]:
        """Return the place of the gap, and note that it was reported."""
        self.gap, place, self._gap_place = False, self._gap_place, None
        return place

    def _admit(self, event: str, data: str, own_id: Optional[str]) -> bool:
        if not own_id:
            return not self.doubt and self._admit_without_id(event, data)
        # Nothing comes twice on the connection that made the run; what only another one needs is worked out there.
        if self._resumed and not self._is_new(event, data, own_id):
            return False
        if own_id != self.last:
            if self.last is None:
                self._first, self._key = own_id, _key(own_id)
                self._opaque = self._key is None
            self._before, self.last = self.last, own_id
            self._group = []
            self._trimmed = False
            if self._opaque:
                self._recent.append(own_id)
        else:
            self._repeats = True
            if len(self._group) >= _REMEMBERED:
                del self._group[: _REMEMBERED // 2]
                self._trimmed = True
        one = (event, data)
        self._group.append(one)
        if len(data) < _SHORT:
            self._lately.append(one)
        if event[:9] == "messages/":
            self._unrepeatable = True
        return True

    def _admit_without_id(self, event: str, data: str) -> bool:
        name = event.split("|", 1)[0]
        if name == "metadata":
            # Servers without an id on it send it at the head of every connection.
            again = self._resumed and data == self._metadata
            self._metadata = data
            return not again
        if name not in _WITHOUT_ID:
            self._unrepeatable = True
        return True

    # -- on a connection that replays

    def _is_new(self, event: str, data: str, own_id: str) -> bool:
        if self.doubt:
            self._see(_key(own_id))
            return False
        if own_id == self.last:
            self._expected, self._caught_up = False, True
            if self._skipping:
                self._skipping = False
                return False
            if not self._shared_ids():
                return not self._overlapping()
            return self._is_new_sibling((event, data))
        if self._skipping:
            return False
        key = None if self._opaque else _key(own_id)
        if key is not None and (self._key is not None or self.last is None):
            if not self._block_ends(again=self._key is not None and key < self._key) and self._be_in_doubt(key):
                return False
            if self._key is not None and key < self._key:
                if self._caught_up and not self._over:
                    # The block: it goes on through all that was delivered under the newest id, and then to what is new.
                    self._over, self._skip, self._by_content = True, deque(self._group), self._trimmed
                return False
            self._skip.clear()
            self._by_content, self._caught_up = False, True
            if self._expected:
                self.gap, self._gap_place, self._expected = True, self.place, False
            self._key = key
            return True
        if own_id in self._recent:
            return False
        if own_id == self._first:
            self._skipping = True  # everything is sent again: skip until the last that we know
            return False
        return True

    def _is_new_sibling(self, one: Tuple[str, str]) -> bool:
        """Whether an event under the newest id is new, on a server where several events may have one id."""
        group = self._group
        if self._skip:
            if self._skip[0] == one:
                self._skip.popleft()
                return False
            self._skip.clear()
            self._by_content = True  # not in the order in which it was delivered
        known = one in group
        if self._by_content or not self._overlapping():
            return not (known and self._overlapping())
        if self._over or (self._safe is not None and self._key is not None and self._key <= self._safe):
            return True
        if self._block is not None:
            further = {at + 1 for at in self._block if at < len(group) and group[at] == one}
            if further:
                self._block = further
                return False
        if not self._block_ends(again=known) and self._be_in_doubt(self._key):
            return False
        if not known:
            return True
        shares = self._repeats or self._key is None or self._key[1] == 0  # a counter that counts has no twins
        if shares and self._tells_twins():
            if self._settled:
                return True
            if self._be_in_doubt(self._key):
                return False
        self._block = {at + 1 for at, other in enumerate(group) if other == one}
        return False

    def _block_ends(self, *, again: bool) -> bool:
        """Whether what was taken for repeats went on to the end of a block, and none begins *again*; else they were twins."""
        if self._block is not None:
            self._had_block = len(self._group) in self._block
            self._block = None
            return self._had_block and not again
        return not (again and self._had_block)

    def _tells_twins(self) -> bool:
        """Whether this stream has had equal events that were none twice."""
        self._has_twins = self._has_twins or len(set(self._lately)) < len(self._lately)
        return self._has_twins

    def _be_in_doubt(self, key: Optional[Key]) -> bool:
        """Ask for another connection, if that can help."""
        self._block = None
        if self.resumable:
            self._has_twins = self.doubt = True
            self.doubts += 1
            self._seen = self._key
            self._see(key)
        return self.doubt

    def _see(self, key: Optional[Key]) -> None:
        if key is not None and (self._seen is None or key > self._seen):
            self._seen = key

    def _shared_ids(self) -> bool:
        """Whether several events may have one id."""
        return self._repeats or (self._key is not None and self._key[1] >= 0)

    def _overlapping(self) -> bool:
        """Whether the connection is young enough for events to come twice."""
        if self._overlap_until is None or self._key is None or self._key[1] < 0:
            return True
        return self._key[0] <= self._overlap_until

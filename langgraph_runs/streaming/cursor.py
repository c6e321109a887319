"""The position in a stream, so that a new connection neither loses nor repeats an event. No I/O.

The kind of event ids that a server uses is recognised from the ids seen. Each kind has its own rules for a resumed connection:
`clock_ids`, which several events may share; `number_ids`, which grow; `opaque_ids`, all others, which are expected to be unique, as
in the specification of server-sent events. Only the cursor keeps the last event id.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Optional, Sequence, Union

from .clock_ids import ClockKey, FinishedClockIds, LiveClockIds, clock_key
from .clock_ids import resume_from as resume_clock_from
from .delivered import Delivered, is_stored
from .number_ids import NumberIds
from .opaque_ids import OpaqueIds

__all__ = ["Cursor", "Place"]

#: Kinds that may come without an id on a stream whose other events have one.
_WITHOUT_ID = frozenset({"metadata", "error", "end", "feedback"})
#: Resumes from before the first event.
_FROM_START = "0"
#: Events may come twice during this many seconds after a connection is opened. Later, events of equal content are distinct.
_OVERLAP = 30.0
#: Clock ids from this one on (the year 2001) are times. Smaller ids need not be times, and their server may store no events.
_TIMES = 10**12

_Replay = Union[FinishedClockIds, LiveClockIds, NumberIds, OpaqueIds]


class Place(NamedTuple):
    """A place between two events of a stream."""

    #: The id of the event before it, if that event had one.
    after_id: Optional[str]
    #: The number of events delivered before it.
    events_seen: int


class Cursor:
    """The position in one run's stream, over all its connections.

    With *from_start* the server keeps the events from the first one on. *start* is the event id after which the caller begins.
    *modes* are the stream modes of the run: the server does not store the events of ``messages``.

    >>> cursor = Cursor(from_start=True)
    >>> [cursor.admit("custom", data, "1795224633885-0") for data in ("1", "2")]
    [True, True]
    >>> cursor.reconnect()  # not the last id: events may share it that have not come yet
    '0'
    >>> [cursor.admit("custom", data, "1795224633885-0") for data in ("1", "2", "3")]
    [False, False, True]
    """

    def __init__(self, *, from_start: bool, start: Optional[str] = None, modes: Sequence[str] = ()) -> None:
        #: The event id after which the caller began, or None.
        self.start = start
        #: Number of events that were new.
        self.admitted = 0
        #: True if the open connection began after events that were never delivered; see `take_gap`.
        self.gap = False
        self._doubts = 0
        self._gap_place: Optional[Place] = None
        self._origin = start if start is not None else (_FROM_START if from_start else None)
        self._delivered = Delivered(start)
        if "messages" in modes and "messages-tuple" not in modes:
            self._delivered.add_unrepeatable()
        self._metadata: Optional[str] = None
        self._safe: Optional[ClockKey] = None
        # The open connection. Events may come twice on every connection except the one that started the run.
        self._resumed = start is not None
        self._replay: Optional[_Replay] = None
        self._all_published = False
        self._overlap_until: Optional[int] = None
        self._expects_last = False

    @property
    def last(self) -> Optional[str]:
        """The id of the last delivered event that had an id."""
        return self._delivered.last

    @property
    def last_id(self) -> Optional[str]:
        """The last event id, also for an event without an id of its own; None if there is none."""
        return self._delivered.last_id or None

    @property
    def place(self) -> Place:
        """The place after the last event delivered."""
        return Place(self._delivered.last, self.admitted)

    @property
    def resumable(self) -> bool:
        """True if a new connection can begin exactly where the last one ended."""
        return self._delivered.repeatable and (self._delivered.last is not None or self._origin is not None)

    @property
    def doubt(self) -> bool:
        """True if only a new connection can show which events are new. Until `reconnect`, no event is admitted."""
        return self._replay is not None and self._replay.doubt

    @property
    def doubts(self) -> int:
        """The number of connections that were given up because of `doubt`."""
        return self._doubts + self.doubt

    def ended_early(self) -> bool:
        """Return True if the connection ended before it had sent again the delivered events with which it should begin."""
        return self._expects_last

    def take_gap(self) -> Optional[Place]:
        """Return the place of a gap that was not reported yet, or None, and note that it is reported."""
        self.gap, place, self._gap_place = False, self._gap_place, None
        return place

    # -- a new connection

    def reconnect(self, *, all_published: bool = False) -> Optional[str]:
        """Return the ``Last-Event-ID`` for a new connection, or None for none.

        *all_published*: the run is known to have published all its events before, so that the server sends each of them once.
        """
        if self.doubt and isinstance(self._replay, LiveClockIds):
            self._safe = self._replay.shown  # published before the new connection, since the last connection showed it
            self._doubts += 1
        self._resumed = True
        self._replay = self._overlap_until = None
        self._all_published = all_published
        delivered = self._delivered
        if delivered.last_id == "":
            # The server wants no id to be sent. The first event will show whether the server begins with a known event.
            self._expects_last = True
            return None
        self._expects_last = False
        if delivered.last is None:
            return delivered.last_id or self._origin
        if not delivered.unordered and _is_in_order(clock_key, delivered):
            self._expects_last = any(map(is_stored, delivered.siblings)) and (clock_key(delivered.last) or (0,))[0] >= _TIMES
            sent = resume_clock_from(delivered)
        elif not delivered.unordered and _is_in_order(NumberIds.order, delivered):
            sent = NumberIds.resume_from(delivered)
        else:
            delivered.treat_as_unordered()
            sent = OpaqueIds.resume_from(delivered)
        return sent if sent is not None else self._origin or _FROM_START

    def opened(self, server_time: Optional[float]) -> None:
        """Note that the connection is open. *server_time* is its ``Date`` in seconds since 1970, or None."""
        if self._resumed and server_time is not None:
            self._overlap_until = int((server_time + 1.0 + _OVERLAP) * 1000)

    # -- its events

    def admit(self, event: str, data: str, own_id: Optional[str]) -> bool:
        """Return True if the event is new, and note it. With *event* "" it is a frame without data, of which only the id counts."""
        if not own_id or not event:
            return self._admit_other(event, data, own_id)
        # On the connection that started the run, no event comes twice.
        if self._resumed and not self._is_new(event, data, own_id):
            return False
        if self._delivered.last is None:
            self._check_first(own_id)
        self._delivered.add(event, data, own_id)
        self.admitted += 1
        return True

    def _admit_other(self, event: str, data: str, own_id: Optional[str]) -> bool:
        if self.doubt:
            return False
        if own_id == "":
            self._delivered.reset_id()
        elif own_id and own_id != self._delivered.last and (not self._resumed or self._is_new("", "", own_id)):
            if self._delivered.last is None:
                self._check_first(own_id)
            self._delivered.move_to(own_id)
        new = bool(event) and self._is_new_without_id(event, data)
        self.admitted += new
        return new

    def _is_new_without_id(self, event: str, data: str) -> bool:
        name = event.split("|", 1)[0]
        if name == "metadata":
            # Some servers begin every connection with this event, without an id.
            again = self._resumed and data == self._metadata
            self._metadata = data
            return not again
        if name not in _WITHOUT_ID:
            self._delivered.add_unrepeatable()
        return True

    def _check_first(self, own_id: str) -> None:
        if clock_key(own_id) is None and NumberIds.order(own_id) is None:
            self._delivered.treat_as_unordered()

    def _is_new(self, event: str, data: str, own_id: str) -> bool:
        if self._replay is None:
            self._replay = self._replay_for(own_id)
        if own_id == self._delivered.last:
            self._expects_last = False
        new = self._replay.is_new(event, data, own_id)
        if new and self._expects_last:
            self.gap, self._gap_place, self._expects_last = True, self.place, False
        return new

    def _replay_for(self, own_id: str) -> _Replay:
        """Return the rules for a resumed connection, by the kind of the delivered ids, or of *own_id* if there are none."""
        delivered = self._delivered
        first = own_id if delivered.last is None else delivered.last
        if not delivered.unordered and clock_key(first) is not None:
            if self._all_published:
                return FinishedClockIds(delivered)
            return LiveClockIds(delivered, safe=self._safe, overlap_until=self._overlap_until)
        if not delivered.unordered and NumberIds.order(first) is not None:
            return NumberIds(delivered)
        delivered.treat_as_unordered()
        return OpaqueIds(delivered)


def _is_in_order(order: Callable[[str], Any], delivered: Delivered) -> bool:
    """Return True if *order* knows the last two ids, and the last one is greater."""
    last = None if delivered.last is None else order(delivered.last)
    if last is None or delivered.before is None:
        return last is not None
    before = order(delivered.before)
    return before is not None and bool(before < last)

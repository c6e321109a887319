"""The position in a stream, so that a new connection neither loses nor repeats an event. No I/O.

The kind of event ids that a server uses is recognised from the ids seen. Each kind has its own rules for a resumed connection:
`clock_ids`, which several events may share; `counted_ids`, which grow by one; `number_ids`, which grow; `opaque_ids`, all others,
which are expected to be unique, as in the specification of server-sent events. Only the cursor keeps the last event id.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from .clock_ids import ClockKey, FinishedClockIds, LiveClockIds, clock_key
from .clock_ids import resume_from as resume_clock_from
from .counted_ids import CountedIds, HeldEvent, count_of, may_count_from_start
from .delivered import Delivered, is_stored
from .event_position import DeliveredBefore, EventPosition
from .number_ids import NumberIds
from .opaque_ids import OpaqueIds

__all__ = ["FROM_START", "Cursor", "Place", "is_from_start"]

#: Resumes from before the first event. Some servers give the first event the id "0", and would leave it out for that id.
FROM_START = "-1"

#: Kinds that may come without an id on a stream whose other events have one.
_WITHOUT_ID = frozenset({"metadata", "error", "end", "feedback"})
#: Names and data of the last frame of each connection, which some servers and gateways send without an id. It shows neither that
#: the events before it are complete nor that events are not kept.
_LAST_NAMES, _LAST_DATA = frozenset({"done", "complete", "close"}), frozenset({"[DONE]", '"[DONE]"'})
#: Events may come twice until the client has waited for the server this many seconds on a connection. Later, events of equal
#: content are distinct.
_OVERLAP = 30.0
#: Events are held for missing ones until the client has waited for the server this many seconds, or this many are held.
_HELD_FOR = 1.0
_MOST_HELD = 2000
#: The number of connections that are tried in a row for events that are missing, if the server keeps the events.
_TRIES = 3
#: Clock ids from this one on (the year 2001) are times. Smaller ids need not be times, and their server may store no events.
_TIMES = 10**12

_Replay = Union[FinishedClockIds, LiveClockIds, CountedIds, NumberIds, OpaqueIds]


def is_from_start(event_id: Optional[str]) -> bool:
    """Return True if a caller who gives this id as the last one means the start of the stream."""
    return event_id in ("0", "-", FROM_START)


class Place(NamedTuple):
    """A place between two events of a stream."""

    #: The id of the event before it, if that event had one.
    after_id: Optional[str]
    #: The number of events delivered before it.
    events_seen: int


class Cursor:
    """The position in one run's stream, over all its connections.

    With *from_start* the server keeps the events from the first one on. *start* is the event id after which the caller begins:
    if several events share it, only an `EventPosition` is exact.
    *modes* are the stream modes of the run: the server does not store the events of ``messages``. With *filtered* the server may
    leave out events that the caller does not want, so that ids may jump where nothing is missing. *joined*: the run existed before.

    >>> cursor = Cursor(from_start=True)
    >>> [cursor.admit("custom", data, "1795224633885-0") for data in ("1", "2")]
    [True, True]
    >>> cursor.reconnect()  # not the last id: events may share it that have not come yet
    '-1'
    >>> [cursor.admit("custom", data, "1795224633885-0") for data in ("1", "2", "3")]
    [False, False, True]
    """

    def __init__(
        self,
        *,
        from_start: bool,
        start: Optional[str] = None,
        modes: Sequence[str] = (),
        joined: bool = False,
        filtered: bool = False,
    ) -> None:
        #: The event id after which the caller began, or None.
        self.start = start
        self._delivered_before: Optional[DeliveredBefore] = None
        if isinstance(start, EventPosition):
            self._delivered_before, start = DeliveredBefore(start), start.before
        #: Number of events that were new.
        self.admitted = 0
        #: True if the open connection began after events that were never delivered; see `take_gap`.
        self.gap = False
        self._doubts = 0
        self._gap_place: Optional[Place] = None
        self._origin = start if start is not None else (FROM_START if from_start else None)
        self._delivered = Delivered(start)
        self._delivered.continuous = start is None or filtered
        self.note_modes(modes)
        self._metadata: Optional[str] = None
        self._last_frame: Optional[Tuple[str, str]] = None
        self._began_with_metadata = False
        self._safe: Optional[ClockKey] = None
        # The open connection. Events may come twice on every connection except the one that started the run.
        self._resumed = start is not None
        self._joined = joined
        # True if the server sends the events up to the one after which the caller began again.
        self._before_start = False
        # True if events may come twice, or later than others, on the first connection too.
        self._unordered_at_first = start is None and not filtered
        self._replay: Optional[_Replay] = None
        self._all_published = False
        self._waited: Optional[float] = None
        self._expects_last = False
        self._filtered = filtered
        # False if it is open whether the server keeps the events: it may have given some to a broken connection.
        self._kept = True
        # The place before an event whose number follows no other, while it is not known whether the ids count by one.
        self._suspect: Optional[Place] = None
        self._suspect_jumped = 0
        # The last id at which events were missing, and the number of connections that were tried for them.
        self._tries: Tuple[Optional[str], int] = (None, 0)
        # The events that wait for missing ones, by number; and for how many seconds.
        self._held: Dict[int, HeldEvent] = {}
        self._held_for = 0.0
        #: Events that were held and are new now, after those of the last call of `admit`.
        self.released: List[HeldEvent] = []

    def note_modes(self, modes: Sequence[Any]) -> None:
        """Note the stream modes of the run."""
        if "messages" in modes and "messages-tuple" not in modes:
            self._delivered.add_unrepeatable()

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
    def origin(self) -> Optional[str]:
        """The ``Last-Event-ID`` of the first connection; None if the stream has no known start."""
        return self._origin

    @property
    def resumable(self) -> bool:
        """True if a new connection can begin exactly where the last one ended."""
        delivered = self._delivered
        if delivered.counting and delivered.all_have_ids:
            return True  # what is missing shows in the ids
        return delivered.repeatable and (delivered.last is not None or self._origin is not None)

    @property
    def from_start(self) -> bool:
        """True if the stream has the events from the first one on, unless the server no longer keeps them."""
        return is_from_start(self._origin)

    @property
    def counting(self) -> bool:
        """True if the event ids count by one: a missing event shows in the ids."""
        return self._delivered.counting is True

    @property
    def has_clock_ids(self) -> bool:
        """True if the event ids are times of the server."""
        last = self._delivered.last
        return last is not None and not self._delivered.unordered and (clock_key(last) or (0,))[0] >= _TIMES

    @property
    def doubt(self) -> bool:
        """True if only a new connection can show which events are new, or missing. Until `reconnect`, no event is admitted."""
        return self._replay is not None and self._replay.doubt

    @property
    def awaits_newer(self) -> bool:
        """True if a new connection could not decide the `doubt` before this one has shown a newer event, or the run has ended."""
        return isinstance(self._replay, LiveClockIds) and self._replay.awaits_newer

    @property
    def doubts(self) -> int:
        """The number of connections that were given up because of `doubt`."""
        return self._doubts + self.doubt

    def ended_early(self) -> bool:
        """Return True if the connection did not begin with the last delivered event, which would show that the server keeps events.

        Then it is open whether there are events after the last one.
        """
        return self._expects_last or not self._kept

    def take_gap(self) -> Optional[Place]:
        """Return the place of a gap that was not reported yet, or None, and note that it is reported."""
        self.gap, place, self._gap_place = False, self._gap_place, None
        return place

    @property
    def holding(self) -> bool:
        """True if events are held, since others before them are missing."""
        return bool(self._held)

    def give_up_missing(self, *, for_good: bool = False) -> None:
        """Stop waiting for missing events on this connection: look for them on another one, or release the events after them.

        *for_good*: no further connection is opened.
        """
        replay = self._replay
        if not isinstance(replay, CountedIds) or not self._held:
            return
        if not self._resumed:
            # Only one connection: it is the way in which this server counts.
            self._release(replay, over_gap=True)
            self._delivered.counting = self._unordered_at_first = False
            return
        last = self._delivered.last
        if replay.kept and not for_good and self._tries_after(last) < _TRIES:
            replay.doubt = True
            return
        if not self.gap:
            self.gap, self._gap_place = True, self.place
        self._release(replay, over_gap=True)

    def _release(self, replay: CountedIds, *, over_gap: bool = False) -> None:
        while True:
            event = replay.take_next(over_gap=over_gap)
            if event is None:
                break
            if self._delivered.last is None:
                self._check_first(event[2])
            self._delivered.add(*event)
            self.admitted += 1
            self.released.append(event)
            self._expects_last = False
        self._held_for = 0.0

    def take_released(self) -> List[HeldEvent]:
        """Return `released`, and empty it."""
        released, self.released = self.released, []
        return released

    # -- a new connection

    def reconnect(self, *, all_published: bool = False) -> Optional[str]:
        """Return the ``Last-Event-ID`` for a new connection, or None for none.

        *all_published*: the run is known to have published all its events before, so that the server sends each of them once.
        """
        delivered = self._delivered
        if self.doubt and self._replay is not None:
            if isinstance(self._replay, LiveClockIds):
                self._safe = self._replay.shown  # published before the new connection, since this one showed it
            else:
                self._tries = (delivered.last, self._tries_after(delivered.last) + 1)
            self._doubts += 1
        self._resumed = True
        self._replay = self._waited = self._suspect = None
        self._held_for = 0.0
        self._began_with_metadata = False
        self._all_published = all_published
        delivered.continuous = False
        if delivered.last_id == "":
            # The server wants no id to be sent. The first event will show whether the server begins with a known event.
            self._expects_last = True
            return None
        counting = bool(delivered.counting and delivered.siblings)
        self._expects_last, self._kept = counting, not counting
        if delivered.last is None:
            return delivered.last_id or self._origin
        if not delivered.unordered and _is_in_order(clock_key, delivered):
            self._expects_last = any(map(is_stored, delivered.siblings)) and (clock_key(delivered.last) or (0,))[0] >= _TIMES
            sent = resume_clock_from(delivered)
        elif counting:
            sent = delivered.before
        else:
            if delivered.unordered or not _is_in_order(NumberIds.order, delivered):
                delivered.treat_as_unordered()
            # The last event comes again, if it can: this is the evidence that the server keeps the events.
            self._expects_last = any(map(is_stored, delivered.siblings)) and (delivered.before or self._origin) is not None
            sent = delivered.before if self._expects_last or delivered.repeats else delivered.last
        return sent if sent is not None else self._origin or FROM_START

    def _tries_after(self, last: Optional[str]) -> int:
        return self._tries[1] if self._tries[0] == last else 0

    def waited(self, seconds: float) -> None:
        """Note that the client has waited this many seconds for the server, on the open connection.

        Times before the first event do not count: a gateway may hold back all events at first.
        """
        if self._waited is not None:
            self._waited += seconds
            if self._waited > _OVERLAP and isinstance(self._replay, LiveClockIds):
                self._replay.overlapping = False
            if self._held:
                self._held_for += seconds
                if self._held_for > _HELD_FOR:
                    self.give_up_missing()

    # -- its events

    def admit(self, event: str, data: str, own_id: Optional[str]) -> bool:
        """Return True if the event is new, and note it. With *event* "" it is a frame without data, of which only the id counts."""
        if not own_id or not event:
            return self._admit_other(event, data, own_id)
        # On the first connection, no event comes twice, except on some servers.
        if self._resumed:
            if not self._is_new(event, data, own_id):
                return False
        elif self._unordered_at_first and not self._is_new_at_first(event, data, own_id):
            return False
        if self._delivered.last is None:
            self._check_first(own_id)
        self._delivered.add(event, data, own_id)
        if self._delivered_before is not None and self._delivered_before.has(event, own_id):
            return False
        self.admitted += 1
        if self._held and isinstance(self._replay, CountedIds):
            self._release(self._replay)
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
            self._began_with_metadata = True
            again = self._resumed and data == self._metadata
            self._metadata = data
            return not again
        if name in _LAST_NAMES or data.strip() in _LAST_DATA:
            known, self._last_frame = self._last_frame, (event, data)
            return self._last_frame != known
        if name not in _WITHOUT_ID:
            if self._resumed and self.from_start and self._delivered.repeatable and not self._began_with_metadata:
                self.gap, self._gap_place = True, self.place  # the server does not keep this run's events, and it began before
            self._delivered.add_without_id()
        return True

    def _check_first(self, own_id: str) -> None:
        if clock_key(own_id) is None and NumberIds.order(own_id) is None:
            self._delivered.treat_as_unordered()

    def _is_new(self, event: str, data: str, own_id: str) -> bool:
        if self._replay is None:
            self._replay = self._replay_for(own_id)
            self._waited = 0.0
            self._suspect_jump(own_id)
            self._note_begin(event, own_id)
        elif self._suspect is not None and self._is_small_step(own_id):
            # The ids grow by less than they jumped before, so that events are missing.
            self.gap, self._gap_place, self._suspect = True, self._suspect, None
        replay = self._replay
        if self._before_start and self._is_before_start(own_id):
            return False
        if own_id == self._delivered.last:
            self._expects_last, self._kept = False, True
        new = replay.is_new(event, data, own_id)
        if isinstance(replay, CountedIds):
            if replay.restarted:
                replay.restarted, self.gap, self._gap_place = False, True, self.place
            if len(self._held) > _MOST_HELD:
                self.give_up_missing()
        elif new and self._expects_last:
            self.gap, self._gap_place = True, self.place
        if new:
            self._expects_last = False
        return new

    def _note_begin(self, event: str, own_id: str) -> None:
        """Look at the first event of a connection that has an id, if no event was delivered before it."""
        if self._delivered.last is not None or self.admitted:
            self._before_start = False
            return
        is_metadata = event.split("|", 1)[0] == "metadata"
        if self.from_start:
            # The first event of a run is its metadata, or has the first number, where the ids are numbers.
            count = count_of(own_id)
            is_first = is_metadata or self._began_with_metadata or (count is not None and may_count_from_start(*count))
            if self._joined and not is_first and event:
                self.gap, self._gap_place = True, self.place
        elif self.start is not None and self._delivered_before is None and (own_id == self.start or is_metadata):
            # The server sends the event with the id again, or all events from the first one on.
            self._before_start = True

    def _is_before_start(self, own_id: str) -> bool:
        """Return True if the caller has the event. Note when no further event comes that the caller has."""
        precedes = _precedes(own_id, self.start or "")
        if precedes is None:
            # Of ids without an order, the id itself is the last one that the caller has. Until it comes, nothing is known.
            self._before_start = self._expects_last = own_id != self.start
            return True
        self._before_start = precedes
        return precedes

    def _is_new_at_first(self, event: str, data: str, own_id: str) -> bool:
        """Return True if an event of the first connection is new.

        Some servers send events that they have stored, and then all that they have in memory, in which those come again.
        """
        if self._replay is None:
            count = count_of(own_id)
            if count is None or not count[0]:
                self._unordered_at_first = False
                return True
            prefix, number = count
            newest = number - 1 if self._joined or not may_count_from_start(prefix, number) else min(number, 1) - 1
            self._replay, self._waited = CountedIds(prefix, newest, self._held), 0.0
        return self._replay.is_new(event, data, own_id)

    def _is_small_step(self, own_id: str) -> bool:
        count, before = count_of(own_id), count_of(self._delivered.last or "")
        return count is not None and before is not None and 0 < count[1] - before[1] < self._suspect_jumped

    def _suspect_jump(self, own_id: str) -> None:
        """Note the place before the first event of a connection if it may follow missing events."""
        delivered = self._delivered
        count = count_of(own_id)
        if count is None or delivered.counting is not None or self._filtered:
            return
        if delivered.last is None and self.from_start:
            suspect, self._suspect_jumped = count[1] > 1, count[1]
        else:
            before = count_of(delivered.last_id or "")
            suspect = before is not None and count[0] == before[0] and count[1] > before[1] + 1
            self._suspect_jumped = count[1] - before[1] if before is not None else 0
        self._suspect = self.place if suspect else None

    def _replay_for(self, own_id: str) -> _Replay:
        """Return the rules for a resumed connection, by the kind of the delivered ids, or of *own_id* if there are none."""
        delivered = self._delivered
        first = own_id if delivered.last is None else delivered.last
        if not delivered.unordered and clock_key(first) is not None:
            if self._all_published:
                return FinishedClockIds(delivered)
            return LiveClockIds(delivered, safe=self._safe)
        counted = self._counted_ids(own_id)
        if counted is not None:
            return counted
        if not delivered.unordered and NumberIds.order(first) is not None:
            return NumberIds(delivered)
        delivered.treat_as_unordered()
        return OpaqueIds(delivered)

    def _counted_ids(self, own_id: str) -> Optional[CountedIds]:
        """Return the rules for ids that count the events, if the ids do."""
        delivered = self._delivered
        if delivered.last is not None:
            count = count_of(delivered.last) if delivered.counting else None
            return None if count is None else CountedIds(*count, self._held, delivered.siblings)
        count = count_of(own_id)
        if count is None or not self.from_start or self._filtered or not may_count_from_start(*count):
            return None
        return CountedIds(count[0], min(count[1], 1) - 1, self._held)


def _is_in_order(order: Callable[[str], Any], delivered: Delivered) -> bool:
    """Return True if *order* knows the last two ids, and the last one is greater."""
    last = None if delivered.last is None else order(delivered.last)
    if last is None or delivered.before is None:
        return last is not None
    before = order(delivered.before)
    return before is not None and bool(before < last)


def _precedes(own_id: str, start: str) -> Optional[bool]:
    """Return True if an event with this id is *start*, or comes before it; False if not; None if the ids have no known order."""
    orders: Tuple[Callable[[str], Any], ...] = (clock_key, NumberIds.order, count_of)
    for order in orders:
        one, other = order(own_id), order(start)
        if one is not None and other is not None and (order is not count_of or one[0] == other[0]):
            return bool(one <= other)
    return None

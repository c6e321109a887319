"""Cut streams, put together again: nothing lost, nothing twice, in order, on the ids of several kinds of server.

`Store` is a run's events as a server keeps and replays them. The kind ``ms`` is the real in-memory server: the events of
one millisecond share an id, resuming is "greater than" on text, and a connection that is opened while the run goes on gets what was
published while the stored events were listed a second time, after newer ones.
"""

from __future__ import annotations

import random
import uuid
from typing import Any, List, Optional, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_runs.streaming.cursor import Cursor

Event = Tuple[str, str, str]
KINDS = ["ms", "ms-seq", "int", "uuid"]
START = 1795224633885


class Store:
    """The numbered events of a run."""

    def __init__(self, kind: str, rng: random.Random, count: int, alphabet: int = 0) -> None:
        self.kind = kind
        self.log: List[Event] = []
        clock, sequence = START, 0
        for number in range(count):
            step = rng.choice([0, 0, 0, 1, 1, 2, 50, 1000]) if rng.random() < 0.9 else rng.randrange(60_000)
            clock, sequence = clock + step, 0 if step else sequence + 1
            event_id = {
                "ms": f"{clock}-0",
                "ms-seq": f"{clock}-{sequence}",
                "int": str(number * 7 + 3),
                "uuid": str(uuid.UUID(int=rng.getrandbits(64) << 64 | number)),
            }[kind]
            name = rng.choice(["custom", "values", "messages", "values|child:1", "updates"])
            if alphabet:
                self.log.append(("messages", f"token {rng.randrange(alphabet)}", event_id))
            else:
                self.log.append((name, str(number), event_id))
        self._places = {event[2]: index for index, event in enumerate(self.log)}

    def time(self, published: int) -> float:
        """The clock of the server when *published* events were out, as a Date header has it."""
        if self.kind in ("int", "uuid") or not self.log:
            return START / 1000
        return float(int(self.log[max(0, published - 1)][2].split("-")[0]) // 1000)

    def time_of(self, number: int) -> float:
        """When the event with this number (the first is 1) was published, to the millisecond."""
        if self.kind in ("int", "uuid") or not number:
            return START / 1000
        return int(self.log[number - 1][2].split("-")[0]) / 1000

    def listed(self, published: int, further: int) -> int:
        """How many events are out when the store has been listed: no more than *further*, in no more than 20 seconds."""
        end = self.time(published) + 20
        return next(
            (count for count in range(published, published + further) if count >= len(self.log) or self.time(count + 1) > end),
            published + further,
        )

    def after(self, last_id: Optional[str], upto: int) -> List[Event]:
        """The stored events that a resume from *last_id* gives."""
        if self.kind == "ms":
            return [event for event in self.log[:upto] if last_id is not None and event[2] > last_id]
        if last_id == "-1":
            return self.log[:upto]
        return self.log[self._places[last_id] + 1 : upto] if last_id in self._places else []

    def connect(self, last_id: Optional[str], published: int, listed: int) -> List[Event]:
        """What a connection gives that is opened when *published* events are out, and lists the store when *listed* are."""
        if published == len(self.log):
            return self.after(last_id, published)
        # The queue is opened first; what is published until the list was made is in both.
        return self.after(last_id, listed) + self.log[published:]


class Reader:
    """A client that reads connection after connection."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.delivered: List[str] = []

    def read(self, events: List[Event]) -> None:
        for name, data, own_id in events:
            if self.cursor.admit(name, data, own_id):
                self.delivered.append(data)


def read_with_cuts(store: Store, rng: random.Random, cuts: int) -> List[str]:
    """All events, over this many connections that break in random places, and a last one that does not."""
    reader = Reader(Cursor(from_start=True))
    total = len(store.log)
    cut = rng.randrange(total + 1)
    reader.read(store.log[:cut])  # the first connection is there before the first event
    published = cut
    for _ in range(cuts):
        published = min(total, published + rng.choice([0, 0, 1, 2, 5, rng.randrange(total + 1)]))
        listed = store.listed(published, rng.choice([0, 0, 1, 3, 20]))
        assert reader.cursor.resumable
        events = store.connect(reader.cursor.reconnect(), published, listed)
        cut = rng.choice([0, 1, 2, rng.randrange(len(events) + 1)])
        reader.read(events[:cut])
        published = max(published, listed, *(int(data) + 1 for _, data, _ in events[:cut]), 0)
        assert False is reader.cursor.gap
    events = store.connect(reader.cursor.reconnect(), total, total)
    reader.read(events)
    assert (False, False) == (reader.cursor.gap, reader.cursor.ended_early())
    return reader.delivered


def in_order(count: int) -> List[str]:
    return [str(number) for number in range(count)]


@settings(max_examples=300)
@given(st.sampled_from(KINDS), st.integers(0, 40), st.integers(0, 8), st.randoms(use_true_random=False))
def test_random_cuts(kind: str, count: int, cuts: int, rng: random.Random) -> None:
    """Short runs, cut anywhere and often: every event once, in order."""
    assert in_order(count) == read_with_cuts(Store(kind, rng, count), rng, cuts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(12))
def test_bursts_of_thousands_of_events_are_exact(kind: str, seed: int) -> None:
    """Long runs with many events in a millisecond: 0 lost, 0 doubled, 0 out of order."""
    rng = random.Random(f"{kind} {seed}")
    delivered = read_with_cuts(Store(kind, rng, 2000), rng, 15)
    assert 0 == len(set(in_order(2000)) - set(delivered))
    assert 0 == len(delivered) - len(set(delivered))
    assert in_order(2000) == delivered


def read_equal_events(store: Store, rng: random.Random, cuts: int) -> List[Tuple[str, str]]:
    """The events of a run some of which are equal: as `read_with_cuts`, and opening another connection whenever one is in doubt."""
    cursor, delivered = Cursor(from_start=True), []
    total = len(store.log)
    position = published = rng.randrange(total + 1)
    events = store.log[:position]
    for connection in range(10_000):
        last_one = connection >= cuts and published == total
        limit = len(events) if last_one else rng.choice([0, 1, 2, len(events), rng.randrange(len(events) + 1)])
        for name, data, own_id in events[: limit if connection else None]:
            position = max(position, store.log.index((name, data, own_id)) + 1)
            if cursor.admit(name, data, own_id):
                delivered.append((name, data))
            assert False is cursor.gap
            if cursor.doubt:
                break
        if last_one and not cursor.doubt:
            return delivered
        published = max(published, position)
        if cursor.doubt:  # the millisecond in doubt is over before the next connection is opened
            moment = store.time_of(published) + 0.01 * cursor.doubts
            published += sum(1 for index in range(published, total) if store.time_of(index + 1) <= moment)
        published = min(total, published + rng.choice([0, 0, 1, 2, rng.randrange(total + 1)]))
        if connection >= cuts:
            published = total
        all_published = published == total
        listed = store.listed(published, rng.choice([0, 0, 1, 3, 20]))
        events = store.connect(cursor.reconnect(all_published=all_published), published, listed)
        position = max(position, listed if published < total else 0)
    raise AssertionError("there is no end to it")


EQUAL_EVENTS = [st.integers(0, 30), st.integers(1, 3), st.integers(0, 6), st.randoms(use_true_random=False)]


@settings(max_examples=200)
@given(st.sampled_from(["ms-seq", "int", "uuid"]), *EQUAL_EVENTS)
def test_equal_events_with_ids_of_their_own(kind: str, count: int, alphabet: int, cuts: int, rng: random.Random) -> None:
    """If ids are unique, equal tokens come as often as they were sent, in order."""
    store = Store(kind, rng, count, alphabet)
    assert [event[:2] for event in store.log] == read_equal_events(store, rng, cuts)


@settings(max_examples=200)
@given(*EQUAL_EVENTS)
def test_equal_events_that_share_an_id(count: int, alphabet: int, cuts: int, rng: random.Random) -> None:
    """Tokens that are equal in one millisecond: each comes as often as it was sent, in order."""
    store = Store("ms", rng, count, alphabet)
    assert [event[:2] for event in store.log] == read_equal_events(store, rng, cuts)


@pytest.mark.parametrize("kind", KINDS)
def test_every_cut_of_a_small_run(kind: str) -> None:
    """Cut after each event of a run whose events come three to a millisecond, joined again at once or at its end."""
    store = Store(kind, random.Random(1), 12)
    if kind == "ms":
        store.log = [(name, data, f"{START + index // 3}-0") for index, (name, data, _) in enumerate(store.log)]
    for cut in range(13):
        for published in {cut, min(12, cut + 2), 12}:
            reader = Reader(Cursor(from_start=True))
            reader.read(store.log[:cut])
            reader.read(store.connect(reader.cursor.reconnect(), published, min(12, published + 2)))
            if reader.cursor.doubt:
                reader.read(store.connect(reader.cursor.reconnect(), 12, 12))
            assert in_order(12) == reader.delivered, (cut, published)


def test_the_id_to_resume_from() -> None:
    """It is the last one if ids are unique, the distinct one before it if events may share an id."""

    def resumed_from(*ids: str, **options: Any) -> Optional[str]:
        cursor = Cursor(**{"from_start": True, **options})
        for index, own_id in enumerate(ids):
            cursor.admit("custom", str(index), own_id)
        return cursor.reconnect()

    assert "-1" == resumed_from()
    assert "3" == resumed_from("3", "5")
    assert "a" == resumed_from("a", "b")
    assert "-1" == resumed_from("a")
    assert f"{START}-0" == resumed_from(f"{START}-0", f"{START + 1}-0")
    assert f"{START}-0" == resumed_from(f"{START}-0", f"{START + 1}-0", f"{START + 1}-0")
    assert "-1" == resumed_from(f"{START}-0", f"{START}-0")
    assert "-1" == resumed_from(f"{START}-0")
    assert None is resumed_from(from_start=False)
    assert "17" == resumed_from(from_start=False, start="17")
    assert "17" == resumed_from(f"{START}-0", from_start=False, start="17")
    assert "5" == resumed_from("5", from_start=False)


def test_a_run_without_ids_cannot_be_resumed() -> None:
    """Events without an id make the stream one that a cut ends; a metadata event at its head does not."""
    cursor = Cursor(from_start=True)
    cursor.admit("metadata", "{}", None)
    assert True is cursor.resumable
    cursor.admit("values", "{}", None)
    assert False is cursor.resumable


@pytest.mark.parametrize("own_id", [None, "", f"{START}-0"])
def test_messages_that_are_not_stored_cannot_be_resumed(own_id: Optional[str]) -> None:
    """``messages/partial`` and the like are never replayed, whether they carry an id or not."""
    cursor = Cursor(from_start=True)
    assert True is cursor.admit("messages/partial", "[]", own_id)
    assert False is cursor.resumable


def test_a_run_that_is_only_joined_can_be_resumed_once_an_id_is_known() -> None:
    """Without a start there is nothing to resume from before the first event."""
    cursor = Cursor(from_start=False)
    assert False is cursor.resumable
    cursor.admit("custom", "1", "5")
    assert True is cursor.resumable


def test_the_first_connection_delivers_everything() -> None:
    """Nothing comes twice there: equal events of one millisecond are distinct, and all count."""
    cursor = Cursor(from_start=True)
    assert [True] * 4 == [cursor.admit("messages", '[" "]', own_id) for own_id in [f"{START}-0"] * 3 + [f"{START}-0"]]


def test_equal_events_long_after_a_reconnect_are_both_delivered() -> None:
    """Repeats come at the head of a connection. When the client has waited half a minute for further events, equal content is new.

    Only our own clock counts: a gateway may set Date to any time.
    """
    late = f"{START + 60_000}-0"
    for seconds, second in ((31.0, True), (1.0, False)):
        cursor = Cursor(from_start=True)
        cursor.admit("custom", "1", f"{START}-0")
        cursor.reconnect()
        cursor.waited(100.0)  # before the first event, when a gateway may hold back all of them
        admitted = [cursor.admit("custom", data, own_id) for data, own_id in (("1", f"{START}-0"), ("x", late))]
        cursor.waited(seconds)
        assert [False, True, second] == [*admitted, cursor.admit("custom", "x", late)]


def test_metadata_without_an_id_is_not_repeated() -> None:
    """Servers that send it at the head of every connection do not make it an event each time; another attempt's is one."""
    cursor = Cursor(from_start=True)
    first, second = '{"attempt":1}', '{"attempt":2}'
    assert True is cursor.admit("metadata", first, None)
    cursor.admit("custom", "1", "1")
    cursor.reconnect()
    assert [False, True] == [cursor.admit("metadata", data, None) for data in (first, second)]
    cursor.reconnect()
    assert [False, True] == [cursor.admit("metadata", data, None) for data in (second, first)]


@pytest.mark.parametrize("name", ["error", "end", "feedback"])
def test_kinds_without_an_id_are_always_new(name: str) -> None:
    """The server sends them live only, so that none is a repeat, and the stream stays resumable."""
    cursor = Cursor(from_start=True)
    cursor.admit("custom", "1", "1")
    cursor.reconnect()
    assert True is cursor.admit(name, "{}", None)
    assert True is cursor.resumable


def test_a_server_that_dropped_events_is_a_gap() -> None:
    """The server keeps events for a while only: a replay that does not begin with the last known event has lost some."""
    store = Store("ms", random.Random(3), 30)
    reader = Reader(Cursor(from_start=True))
    reader.read(store.log[:10])
    resumed_from = reader.cursor.reconnect()
    kept = [event for event in store.connect(resumed_from, 30, 30) if event[2] > store.log[15][2]]
    reader.read(kept[:1])
    assert True is reader.cursor.gap
    assert in_order(10) == reader.delivered[:10]


def test_a_server_that_dropped_all_events_is_a_gap() -> None:
    """A replay of nothing, though at least the last known event was due, is reported as well."""
    reader = Reader(Cursor(from_start=True))
    reader.read([("custom", "1", f"{START}-0")])
    reader.cursor.reconnect()
    assert True is reader.cursor.ended_early()
    reader.read([("custom", "1", f"{START}-0")])
    assert False is reader.cursor.ended_early()


@pytest.mark.parametrize("name", ["error", "feedback"])
def test_events_that_are_not_stored_are_not_expected_again(name: str) -> None:
    """A live error event has an id but is never replayed: that it does not come again is no gap."""
    cursor = Cursor(from_start=True)
    cursor.admit("custom", "1", f"{START}-0")
    cursor.admit(name, "{}", f"{START + 1}-0")
    cursor.reconnect()
    assert False is cursor.ended_early()
    assert True is cursor.admit("custom", "2", f"{START + 2}-0")
    assert False is cursor.gap


def test_a_server_that_ignores_the_id_and_sends_all_again() -> None:
    """With ids in no order, what comes before the last known event is skipped, however long ago it was."""
    store = Store("uuid", random.Random(5), 6000)
    reader = Reader(Cursor(from_start=True))
    reader.read(store.log[:5500])
    reader.cursor.reconnect()
    reader.read(store.log)
    assert in_order(6000) == reader.delivered


def test_numbers_that_are_reset_are_not_numbers() -> None:
    """A server whose ids go down on one connection has no order in them: nothing is dropped for being small."""
    reader = Reader(Cursor(from_start=True))
    reader.read([("custom", "0", "9"), ("custom", "1", "3")])
    reader.cursor.reconnect()
    reader.read([("custom", "2", "1"), ("custom", "3", "7")])
    assert in_order(4) == reader.delivered


@pytest.mark.parametrize("odd", ["0-0", "007", "1e3", "-5", "5-", "٣", "12345678901234567890", "a" * 10_000])
def test_ids_of_any_text_are_no_error(odd: str) -> None:
    """Whatever a server makes an id of, a resume sends it back and drops its repeat."""
    cursor = Cursor(from_start=True)
    assert True is cursor.admit("custom", "1", odd)
    assert cursor.reconnect() in (odd, "-1")
    assert False is cursor.admit("custom", "1", odd)
    assert True is cursor.admit("custom", "2", "zzz" if odd[0] not in "0123456789" else f"{START}-0")


def size_of(value: Any, seen: List[Any]) -> int:
    """The number of items that an object keeps, in itself and in the objects of this package that it has, each counted once."""
    if any(value is other for other in seen):
        return 0
    if hasattr(value, "__dict__"):
        seen.append(value)
        return sum(size_of(part, seen) for part in vars(value).values())
    return len(value) if hasattr(value, "__len__") and not isinstance(value, str) else 0


@pytest.mark.parametrize("resumed", [False, True])
def test_memory_stays_flat(resumed: bool) -> None:
    """Twenty thousand events leave a bounded trace, whether each has an id of its own or all share one."""
    for ids in ("{}", "id {}", f"{START}-0"):
        cursor = Cursor(from_start=True)
        for number in range(20_000):
            cursor.admit("custom", str(number), ids.format(number))
            if resumed and number == 5:
                cursor.reconnect(all_published=True)
        assert 0 < size_of(cursor, []) < 10_000


def test_doubts_are_counted() -> None:
    """The next connection is opened later, the more there were."""
    cursor = Cursor(from_start=True)
    cursor.admit("custom", "a", f"{START}-0")
    for count in (1, 2):
        cursor.reconnect()
        admitted = [cursor.admit("custom", "a", f"{START + count - 1}-0") for _ in range(2)]
        assert ([False, False], True, count) == (admitted, cursor.doubt, cursor.doubts)
        cursor.reconnect()
        assert (False, count) == (cursor.doubt, cursor.doubts)
        assert True is cursor.admit("custom", "a", f"{START + count}-0")


@pytest.mark.parametrize(
    ("start", "sent", "new"),
    [
        ("5", [("custom", "5"), ("custom", "6")], ["6"]),  # a server that sends the event with the id again
        ("5", [("metadata", "0"), ("custom", "5"), ("custom", "6")], ["6"]),  # one that begins with the first event
        ("r_event_5", [("metadata", "r_event_1"), ("custom", "r_event_5"), ("custom", "r_event_6")], ["r_event_6"]),
        (f"{START}-0", [("metadata", f"{START - 9}-0"), ("custom", f"{START + 1}-0")], [f"{START + 1}-0"]),
        ("b", [("custom", "b"), ("custom", "c")], ["c"]),
        ("b", [("metadata", "x"), ("custom", "a"), ("custom", "b"), ("custom", "c")], ["c"]),
        ("5", [("custom", "2"), ("custom", "6")], ["2", "6"]),  # numbers that begin again on each connection
    ],
)
def test_what_the_caller_has_is_left_out_if_the_server_sends_it_again(start: str, sent: Any, new: List[str]) -> None:
    cursor = Cursor(from_start=False, start=start, joined=True)
    assert new == [event_id for name, event_id in sent if cursor.admit(name, "{}", event_id)]


@pytest.mark.parametrize(
    ("name", "event_id", "gap"),
    [
        ("metadata", f"{START}-0", False),
        ("custom", f"{START}-0", True),
        ("custom", "a", True),
        ("custom", "5", True),
        ("custom", "0", False),
        ("custom", "1", False),
        ("custom", "r_event_1", False),
    ],
)
def test_a_join_from_the_start_begins_with_metadata_or_the_first_number(name: str, event_id: str, gap: bool) -> None:
    """Else a gateway has dropped Last-Event-ID, or the server no longer keeps the first events."""
    cursor = Cursor(from_start=False, start="-1", joined=True)
    assert cursor.admit(name, "{}", event_id)
    assert gap is cursor.gap

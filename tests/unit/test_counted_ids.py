"""Ids that count the events of a run: what is missing shows, and what comes late is put in order."""

from __future__ import annotations

from typing import List, Optional, Tuple

import pytest

from langgraph_runs.streaming.counted_ids import CountedIds, count_of, may_count_from_start
from langgraph_runs.streaming.cursor import Cursor, Place

RUN = "21198558-3b31-4fd0-965d-3b404d106b8c"


def ids(numbers: List[int], named: bool = False) -> List[str]:
    return [f"{RUN}_event_{number}" if named else str(number) for number in numbers]


def read(cursor: Cursor, event_ids: List[str]) -> List[str]:
    """The ids of the events that are delivered, in their order."""
    delivered = []
    for event_id in event_ids:
        if cursor.admit("custom", event_id, event_id):
            delivered.append(event_id)
        delivered += [released[2] for released in cursor.take_released()]
        if cursor.doubt:
            break
    return delivered


@pytest.mark.parametrize(
    ("event_id", "count"),
    [
        ("0", ("", 0)),
        ("17", ("", 17)),
        (f"{RUN}_event_3", (f"{RUN}_event_", 3)),
        ("1795224633885-0", None),  # a time
        (RUN, None),  # digits of a UUID
        ("01a2230a-ce6c-7410-8348-123456789012x", None),
        ("run-007", None),  # would not be written like this by a count
        ("", None),
        ("abc", None),
        ("a" * 300 + "-1", None),
    ],
)
def test_which_ids_are_counts(event_id: str, count: Optional[Tuple[str, int]]) -> None:
    assert count == count_of(event_id)


@pytest.mark.parametrize(("event_id", "first"), [("0", True), ("1", True), ("2", False), ("r_event_2", True), ("r_event_3", False)])
def test_which_ids_may_be_first(event_id: str, first: bool) -> None:
    count = count_of(event_id)
    assert count is not None
    assert first is may_count_from_start(*count)


@pytest.mark.parametrize("named", [False, True])
def test_a_server_that_keeps_the_events_sends_the_last_one_again(named: bool) -> None:
    cursor = Cursor(from_start=True)
    sent = ids([*range(1, 30)], named)
    assert sent[:10] == read(cursor, sent[:10])
    assert sent[8] == cursor.reconnect()
    assert sent[10:] == read(cursor, sent[9:])
    assert (False, False, True) == (cursor.gap, cursor.ended_early(), cursor.counting)


@pytest.mark.parametrize("named", [False, True])
def test_a_jump_on_a_new_connection_is_a_gap(named: bool) -> None:
    """A server that gives each event to one reader only gives some to the broken connection."""
    cursor = Cursor(from_start=False)
    sent = ids([0, 1, 2, 3], named)
    assert sent == read(cursor, sent)
    cursor.reconnect()
    rest = ids([20, 21, 23], named)
    assert [] == read(cursor, rest)
    cursor.give_up_missing()
    assert rest == [event_id for _, _, event_id in cursor.take_released()]
    assert Place(sent[-1], 4) == cursor.take_gap()
    assert (7, True) == (cursor.admitted, cursor.ended_early())


def test_events_that_come_late_are_put_in_order() -> None:
    """The stored events come first, and then all that are in memory, in which the stored ones come again."""
    cursor = Cursor(from_start=True)
    begin = ids([1, 2, 3], named=True)
    assert begin == read(cursor, begin)
    cursor.reconnect()
    came = ids([4, 7, 4, 5, 6, 7, 8], named=True)
    assert ids([4, 5, 6, 7, 8], named=True) == read(cursor, came)
    assert False is cursor.gap


def test_events_that_come_late_on_the_first_connection_are_put_in_order() -> None:
    cursor = Cursor(from_start=True)
    assert ids([1, 2, 3, 4], named=True) == read(cursor, ids([2, 1, 2, 3, 4], named=True))
    joined = Cursor(from_start=False, joined=True)
    assert ids([2, 3, 4], named=True) == read(joined, ids([2, 1, 2, 3, 4], named=True))


def test_missing_events_are_looked_for_on_other_connections_if_the_server_keeps_them() -> None:
    cursor = Cursor(from_start=True)
    read(cursor, ids([1, 2, 3]))
    for connection in range(4):
        cursor.reconnect()
        assert [] == read(cursor, ids([3, 5, 6]))
        cursor.give_up_missing()
        assert (connection < 3, connection == 3) == (cursor.doubt, cursor.gap), connection
    assert ids([5, 6]) == [event_id for _, _, event_id in cursor.take_released()]


def test_what_was_held_is_released_when_another_connection_has_the_missing_event() -> None:
    cursor = Cursor(from_start=True)
    read(cursor, ids([1, 2, 3]))
    cursor.reconnect()
    assert [] == read(cursor, ids([3, 5, 6]))
    cursor.reconnect()
    assert ids([4, 5, 6]) == read(cursor, ids([3, 4]))
    assert (False, False) == (cursor.gap, cursor.holding)


@pytest.mark.parametrize(("seconds", "given_up"), [(0.9, False), (1.1, True)])
def test_missing_events_are_waited_for_one_second(seconds: float, given_up: bool) -> None:
    cursor = Cursor(from_start=False)
    read(cursor, ids([0, 1]))
    cursor.reconnect()
    read(cursor, ids([9]))
    cursor.waited(seconds)
    assert given_up is cursor.gap
    assert (not given_up) is cursor.holding


def test_numbers_that_jump_on_one_connection_are_no_count() -> None:
    """This is the way in which the server counts: nothing is missing."""
    cursor = Cursor(from_start=True)
    assert ids([1, 2, 5]) == read(cursor, ids([1, 2, 5]))
    assert "2" == cursor.reconnect()
    assert ids([9, 10]) == read(cursor, ids([5, 9, 10]))
    assert (False, False) == (cursor.gap, cursor.counting)


def test_a_join_after_an_id_that_begins_later_has_a_gap_once_the_ids_count() -> None:
    cursor = Cursor(from_start=False, start="5", joined=True)
    assert ["20"] == read(cursor, ["20"])
    assert False is cursor.gap
    assert ["21"] == read(cursor, ["21"])
    assert Place(None, 0) == cursor.take_gap()


def test_an_id_that_is_no_count_is_new() -> None:
    replay = CountedIds("", 5, {})
    assert (True, False, False) == (replay.is_new("error", "x", "odd"), replay.kept, bool(replay.held))


@pytest.mark.parametrize("named", [False, True])
def test_numbers_that_begin_again_on_each_connection_are_a_gap(named: bool) -> None:
    """They do not say which events are new: the event with the number of the last one is another."""
    cursor = Cursor(from_start=True)
    for number, event_id in enumerate(ids([0, 1, 2, 3], named)):
        assert cursor.admit("custom", f'{{"i": {number}}}', event_id)
    cursor.reconnect()
    for number, event_id in enumerate(ids([0, 1, 2], named)):
        assert not cursor.admit("custom", f'{{"i": {number + 4}}}', event_id)
    cursor.admit("custom", '{"i": 7}', ids([3], named)[0])
    assert True is cursor.gap


def test_an_event_that_is_written_in_another_way_is_the_same() -> None:
    cursor = Cursor(from_start=True)
    assert cursor.admit("custom", '{"i": 1, "k": [2]}', "0") and cursor.admit("custom", '{"i": 2, "k": [2]}', "1")
    cursor.reconnect()
    assert not cursor.admit("custom", '{"k":[2],"i":2}', "1")
    assert False is cursor.gap


@pytest.mark.parametrize("event_id", ["1795224633.885", "2026-11-29T03:24:16.123456", "2026-11-29 03:24:16,123"])
def test_fractions_of_times_are_no_numbers_of_events(event_id: str) -> None:
    assert None is count_of(event_id)

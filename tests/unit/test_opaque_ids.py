"""Ids without a known order, on a resumed connection."""

from __future__ import annotations

import time
from typing import Callable, List

import pytest

from langgraph_runs.streaming.cursor import FROM_START, Cursor
from langgraph_runs.streaming.delivered import Delivered
from langgraph_runs.streaming.opaque_ids import OpaqueIds


def delivered(*ids: str) -> Delivered:
    found = Delivered()
    found.treat_as_unordered()
    for event_id in ids:
        found.add("custom", "x", event_id)
    return found


@pytest.mark.parametrize(
    ("ids", "resumed"), [(["a"], None), (["a", "b"], "a"), (["a", "b", "b"], "a"), (["b", "b"], None)], ids=str
)
def test_a_stream_is_resumed_so_that_its_last_event_comes_again(ids: List[str], resumed: str) -> None:
    cursor = Cursor(from_start=True)
    for event_id in ids:
        cursor.admit("custom", "x", event_id)
    assert (resumed or FROM_START) == cursor.reconnect()


def test_a_recently_delivered_id_is_not_new() -> None:
    found = delivered("c", "a", "b")
    replay = OpaqueIds(found)
    assert [False, False, True] == [replay.is_new("custom", "x", event_id) for event_id in ("b", "a", "d")]
    found.add("custom", "x", "d")
    assert False is replay.is_new("custom", "x", "d")


def test_when_the_first_id_comes_again_all_is_skipped_up_to_the_last() -> None:
    """However many there are, and however long ago they came."""
    ids = [f"id {number * 7919 % 10_007}" for number in range(10_000)]
    replay = OpaqueIds(delivered(*ids))
    assert not any(replay.is_new("custom", "x", event_id) for event_id in ids)
    assert True is replay.is_new("custom", "x", "another")


def test_events_that_share_an_id_are_matched_in_order() -> None:
    found = delivered("a", "b", "b")
    replay = OpaqueIds(found)
    assert [False, False, True] == [replay.is_new("custom", "x", "b") for _ in range(3)]
    assert True is replay.is_new("custom", "x", "c")
    found.add("custom", "x", "c")
    assert True is replay.is_new("custom", "x", "c")


def test_another_event_under_an_id_of_this_connection_is_new() -> None:
    """The server may give one id to several events. The same event again is a repeat."""
    found = Delivered()
    replay = OpaqueIds(found)
    for data, new in (("1", True), ("2", True), ("2", False), ("3", True)):
        assert new is replay.is_new("custom", data, "x")
        if new:
            found.add("custom", data, "x")


@pytest.mark.parametrize(
    "make", [lambda n: f"0a{n:03x}f", lambda n: f"{n:05d}", lambda n: f"{n * 7919}", lambda n: f"2026-11-29T03:24:{n:02d}"]
)
@pytest.mark.parametrize(
    ("sent", "gap"), [(slice(3, None), False), (slice(0, None), False), (slice(4, None), True), (slice(6, None), True)]
)
def test_a_server_that_keeps_the_events_begins_with_the_last_one(make: Callable[[int], str], sent: slice, gap: bool) -> None:
    """One that does not, or that continues with the events from now on, has lost some."""
    events = [make(number) for number in range(9)]
    cursor = Cursor(from_start=True)
    assert all(cursor.admit("custom", "x", event_id) for event_id in events[:4])
    assert events[2] == cursor.reconnect()
    assert [event_id for event_id in events[sent] if cursor.admit("custom", "x", event_id)] == events[max(4, sent.start) :]
    assert gap is cursor.gap


def seconds_for_events(*, resumed: bool) -> float:
    """CPU seconds that 5,000 events cost the cursor, after as many that filled its memory. The least of five times."""
    ids = [f"{number * 7919}-x" for number in range(10_000)]
    best = float("inf")
    for _ in range(5):
        cursor = Cursor(from_start=True)
        for event_id in ids[:5_000]:
            cursor.admit("custom", "x", event_id)
        if resumed:
            cursor.reconnect()
        begun = time.process_time()
        assert all(cursor.admit("custom", "x", event_id) for event_id in ids[5_000:])
        best = min(best, time.process_time() - begun)
    return best


def test_a_resumed_stream_costs_as_much_for_each_event_as_before() -> None:
    """A search through the remembered ids would take about a hundred times as long."""
    assert seconds_for_events(resumed=True) < 10 * seconds_for_events(resumed=False) + 0.005

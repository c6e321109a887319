"""The position after the last event that a caller got, and the events up to it."""

from __future__ import annotations

import copy
import json
import pickle
from typing import List, Optional, Tuple

import pytest

from langgraph_runs.streaming.cursor import Cursor
from langgraph_runs.streaming.event_position import DeliveredBefore, EventPosition, PositionTracker

#: Names and ids of events as a server stores them.
EVENTS = [("a", "5-0"), ("b", "5-0"), ("a", "6-0"), ("a", "6-0"), ("b", "6-0"), ("a", "6-0"), ("b", "7-0"), ("a", "8-0")]


def after(events: List[Tuple[str, Optional[str]]], start: Optional[str] = "-1") -> Optional[str]:
    tracker = PositionTracker(start)
    for name, event_id in events:
        if event_id != tracker.id:
            tracker.move_to(event_id)
        tracker.counts[name] = tracker.counts.get(name, 0) + 1
    return tracker.position


@pytest.mark.parametrize("count", range(1, len(EVENTS)))
def test_a_cursor_continues_after_each_event(count: int) -> None:
    """The server sends the events after the id before that of the position; those up to the position are left out."""
    position = after(EVENTS[:count])  # type: ignore[arg-type]
    cursor = Cursor(from_start=False, start=position, joined=True)
    assert position == EVENTS[count - 1][1] == cursor.start
    sent = [(name, str(number), event_id) for number, (name, event_id) in enumerate(EVENTS) if event_id > (cursor.origin or "")]
    assert [str(number) for number in range(count, len(EVENTS))] == [event[1] for event in sent if cursor.admit(*event)]
    assert len(EVENTS) - count == cursor.admitted


@pytest.mark.parametrize("of", [pickle.dumps, copy.deepcopy])
def test_copies_keep_what_is_needed(of: object) -> None:
    position = after([("a", "5-0"), ("a", "6-0")])
    other = pickle.loads(pickle.dumps(position)) if of is pickle.dumps else copy.deepcopy(position)
    assert isinstance(position, EventPosition) and isinstance(other, EventPosition)
    assert ("6-0", "5-0", {"a": 1}) == (other, other.before, other.counts)
    assert '"6-0"' == json.dumps(position)


def test_ids_that_no_two_events_share_are_plain_text() -> None:
    for event_id in ("17", "0d9f", "run_event_4"):
        assert str is type(after([("a", event_id)]))
    assert after([]) is None
    assert after([("a", None)]) is None


def test_without_an_id_before_the_position_is_plain_text() -> None:
    """A join without a last event id begins somewhere: events with the first id may have come before."""
    assert str is type(after([("a", "5-0")], start=None))
    assert EventPosition is type(after([("a", "5-0"), ("a", "6-0")], start=None))


def test_events_that_the_server_does_not_keep_are_not_counted() -> None:
    position = after([("messages/partial", "5-0"), ("a", "5-0"), ("error", "5-0")])
    assert isinstance(position, EventPosition)
    assert {"a": 1} == position.counts


def test_a_second_stream_goes_on_counting() -> None:
    first = after(EVENTS[:3])  # type: ignore[arg-type]
    second = after(EVENTS[3:5], start=first)  # type: ignore[arg-type]
    assert isinstance(second, EventPosition)
    assert ("6-0", "5-0", {"a": 2, "b": 1}) == (second, second.before, second.counts)


def test_later_events_and_other_ids_are_new() -> None:
    before = DeliveredBefore(EventPosition("6-0", before="5-0", counts={"a": 1}))
    assert [True, True, False, False, False] == [
        before.has(name, event_id) for name, event_id in [("a", "5-0"), ("a", "6-0"), ("b", "6-0"), ("a", "7-0"), ("a", "x")]
    ]

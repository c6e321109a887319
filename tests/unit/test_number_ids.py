"""Ids that are whole numbers, on a resumed connection."""

from __future__ import annotations

from typing import List, Tuple

import pytest

from langgraph_runs.streaming.cursor import FROM_START, Cursor
from langgraph_runs.streaming.delivered import Delivered
from langgraph_runs.streaming.number_ids import NumberIds


def delivered(*ids: str) -> Delivered:
    found = Delivered()
    for event_id in ids:
        found.add("custom", "x", event_id)
    return found


@pytest.mark.parametrize(
    ("ids", "resumed"), [(["3"], None), (["3", "5"], "3"), (["3", "5", "5"], "3"), (["5", "5"], None)], ids=str
)
def test_a_stream_is_resumed_so_that_its_last_event_comes_again(ids: List[str], resumed: str) -> None:
    cursor = Cursor(from_start=True)
    for event_id in ids:
        cursor.admit("custom", "x", event_id)
    assert (resumed or FROM_START) == cursor.reconnect()


def test_an_event_without_a_greater_number_was_delivered() -> None:
    replay = NumberIds(delivered("3", "5"))
    sent = [("5", False), ("3", False), ("6", True), ("9", True), ("6", False), ("9", False), ("10", True)]
    assert sent == [(event_id, replay.is_new("custom", "x", event_id)) for event_id, _ in sent]


def test_events_that_share_a_number_are_matched_in_order() -> None:
    replay = NumberIds(delivered("3", "5", "5"))
    sent: List[Tuple[str, bool]] = [("5", False), ("5", False), ("5", True), ("6", True), ("6", True)]
    assert sent == [(event_id, replay.is_new("custom", "x", event_id)) for event_id, _ in sent]


def test_without_an_event_before_all_numbers_are_new() -> None:
    replay = NumberIds(Delivered())
    assert [True, True, False] == [replay.is_new("custom", "x", event_id) for event_id in ("0", "7", "7")]


def test_an_id_that_is_no_number_is_new() -> None:
    assert True is NumberIds(delivered("3")).is_new("custom", "x", "three")


@pytest.mark.parametrize("text", ["", "-5", "1.0", "1e3", "5-0", "\u0663", "1" * 19, "007"])
def test_other_ids_are_no_numbers(text: str) -> None:
    assert NumberIds.order(text) is None

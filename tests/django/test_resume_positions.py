"""The ids that a browser is sent, and what is made of them when it comes back."""

from __future__ import annotations

from typing import List, Optional

import pytest
from django.test import RequestFactory

from langgraph_runs.django import last_event_id
from langgraph_runs.django.resume import Position, PositionTracker
from langgraph_runs.streaming.events import StreamEvent


def positions(events: List[StreamEvent], run_id: Optional[str] = "run") -> List[Optional[Position]]:
    made = PositionTracker()
    return [made.after(event, run_id) for event in events]


def test_events_under_one_id_are_counted_by_name() -> None:
    names = ["custom", "values", "custom"]

    found = [position for position in positions([StreamEvent(name, 1, "7-0") for name in names]) if position]

    assert [("custom", 1), ("values", 1), ("custom", 2)] == [(position.kind, position.nth) for position in found]
    assert {("0", "7-0")} == {(position.before, position.id) for position in found}


def test_a_position_has_the_previous_distinct_id() -> None:
    found = positions([StreamEvent("custom", 1, event_id) for event_id in ("7-0", "7-0", "8-0", "9-0")])

    assert ["0", "0", "7-0", "8-0"] == [position.before for position in found if position]


@pytest.mark.parametrize("name", ["messages/partial", "messages/metadata", "error", "feedback"])
def test_what_the_server_does_not_keep_has_no_position(name: str) -> None:
    assert [None] == positions([StreamEvent(name, 1, "7-0")])


@pytest.mark.parametrize("event_id", [None, "", "a b", "a\nb", "a\0b", "é", "x" * 201])
def test_an_id_that_cannot_be_sent_back_makes_no_position(event_id: Optional[str]) -> None:
    assert [None] == positions([StreamEvent("custom", 1, event_id)])


@pytest.mark.parametrize("event_id", ["1795224633885-0", "42", "a~b", "a,b", "%41", "a;b,c", "|"])
def test_a_position_survives_formatting_and_parsing(event_id: str) -> None:
    sent = Position("run", "6-0", event_id, "custom", 3)

    back = Position.parse(str(sent), "run")

    assert back is not None
    assert ("run", "6-0", event_id, 3, False) == (back.run, back.before, back.id, back.nth, back.ended)
    assert str(sent).isascii() and not set(str(sent)) & set("\r\n\0 ")


def test_the_end_of_a_stream_has_a_position() -> None:
    made = PositionTracker()
    made.after(StreamEvent("custom", 1, "7-0"), "run")

    back = Position.parse(str(made.end("run")), "run")

    assert back is not None and back.ended


GOOD = str(Position("run", "6-0", "7-0", "custom", 1))


@pytest.mark.parametrize(
    "text",
    ["", "0", "7-0", GOOD + ",", GOOD + ",x", "x" + GOOD, GOOD.replace(",1", ",-1"), GOOD.replace("6-0", "%0a"), GOOD * 50]
    + [GOOD.replace("6-0", "%00"), GOOD.replace(",1", ",٣")],
)
def test_other_texts_are_not_positions(text: str) -> None:
    assert Position.parse(text, "run") is None


def test_a_position_of_another_run_is_not_accepted() -> None:
    assert Position.parse(GOOD, "other") is None


def test_the_header_has_precedence_over_the_query() -> None:
    make = RequestFactory().get

    assert last_event_id(make("/")) is None
    assert "q" == last_event_id(make("/?lastEventId=q"))
    assert "h" == last_event_id(make("/?lastEventId=q", HTTP_LAST_EVENT_ID="h"))

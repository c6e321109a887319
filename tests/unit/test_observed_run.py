"""What the events of a stream say about its run."""

from __future__ import annotations

from collections import deque
from typing import Any, List, Optional

import pytest

from langgraph_runs import ErrorStreamEvent, MetadataStreamEvent, StreamEvent, ValuesStreamEvent
from langgraph_runs.call import Scope
from langgraph_runs.call.deadline import Deadline
from langgraph_runs.streaming.cursor import Cursor
from langgraph_runs.streaming.events import EndStreamEvent
from langgraph_runs.streaming.observed_run import ObservedRun
from langgraph_runs.streaming.stream_config import StreamConfig


def observed(scope: Optional[Scope] = None, **config: Any) -> ObservedRun:
    options = {"thread_id": "t", "run_id": None, "cursor": Cursor(from_start=True), **config}
    return ObservedRun(scope or Scope(Deadline(None)), StreamConfig(open_first=lambda: None, **options))


def test_the_ids_of_the_run_are_on_the_scope_and_reported_when_they_are_known() -> None:
    reported: List[Any] = []
    scope = Scope(Deadline(None))
    run = observed(scope, report=lambda *ids: reported.append(ids))
    run.announce()
    assert [] == reported
    for run_id in ("r1", "r2"):
        run.note(MetadataStreamEvent("metadata", {"run_id": run_id}))
    run.announce()
    assert {("r1", "t")} == set(reported)
    assert ("r1", "t") == (scope.run_id, scope.thread_id)


def test_a_run_whose_id_is_known_is_not_searched() -> None:
    def find() -> Any:
        raise AssertionError("a search")

    observed(run_id="r", find=find).find()


@pytest.mark.parametrize(
    ("data", "reported", "not_found"),
    [
        ({"error": "ValueError", "message": "boom"}, ("ValueError", "boom"), False),
        ({"error": "HTTPException", "message": "404: no run"}, ("HTTPException", "404: no run"), True),
        ({"error": "HTTPException", "message": "500: no"}, ("HTTPException", "500: no"), False),
        (None, (None, None), False),
    ],
)
def test_an_error_event_reports_the_error_of_the_run(data: Any, reported: Any, not_found: bool) -> None:
    run = observed()
    assert (None, None, False) == (run.reported_error, run.failure(), run.reports_not_found)
    run.note(ErrorStreamEvent("error", data))
    assert (reported, not_found) == (run.reported_error, run.reports_not_found)
    failure = run.failure()
    assert failure is not None and ("error", *reported) == (failure.status, failure.error, failure.message)


def test_an_end_event_is_remembered() -> None:
    run = observed()
    run.note(EndStreamEvent("end"))
    assert True is run.has_end_event


def test_open_questions_are_remembered() -> None:
    """Each counts once, in whichever mode it came."""
    run = observed()
    for _ in range(2):
        run.note(ValuesStreamEvent("values", {"__interrupt__": [{"value": "Send this?", "id": "i1"}]}))
    assert ["Send this?"] == [interrupt.value for interrupt in run.interrupts]


@pytest.mark.parametrize(("first", "last", "lag"), [("0-0", "5000-0", 3.0), (None, "5000-0", 0.0), ("0-0", None, 0.0)])
def test_the_lag_is_how_much_later_the_last_event_came_than_the_first(
    first: Optional[str], last: Optional[str], lag: float
) -> None:
    run = observed()
    start = 1_795_224_633_000

    def event(own_id: Optional[str], received_at: float) -> StreamEvent:
        moment = None if own_id is None else f"{start + int(own_id.split('-')[0])}-0"
        return StreamEvent("custom", 1, moment, received_at=start / 1000 + received_at)

    assert 0.0 == run.lag()
    run.note_batch(deque([event(first, 1.0), event("0-0", 50.0)]))
    run.note_batch(deque([event("0-0", 100.0)]))
    run.note_delivered(event(last, 9.0), 2, None)
    assert lag == pytest.approx(run.lag())

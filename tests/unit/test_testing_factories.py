"""Factories of runs, threads, states and events."""

from __future__ import annotations

import pickle
from datetime import datetime, timedelta, timezone
from typing import Any, Callable

import attrs
import pytest

from langgraph_runs import (
    CustomStreamEvent,
    ErrorStreamEvent,
    InvalidRequestError,
    MessagesStreamEvent,
    MetadataStreamEvent,
    StreamEvent,
    UpdatesStreamEvent,
    ValuesStreamEvent,
)
from langgraph_runs.testing import (
    custom_event,
    error_event,
    make_event,
    make_run,
    make_state,
    make_thread,
    message_event,
    metadata_event,
    updates_event,
    values_event,
)
from langgraph_runs.testing.server_json import assistant_id_of, is_id

NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize("status", ["pending", "running", "success", "error", "timeout", "interrupted"])
def test_the_fields_of_a_run_are_valid_and_consistent(status: str) -> None:
    """Ids are ids, the same in every place; times are aware and in order; no field is left to a default of the class."""
    run = make_run(status=status, input={"n": 1}, metadata={"k": 1}, request_id="rq")
    assert (status, {"n": 1}, "rq") == (run.status, run.kwargs["input"], run.request_id)
    assert all(map(is_id, (run.run_id, run.thread_id, run.assistant_id)))
    configurable = run.kwargs["config"]["configurable"]
    assert (run.run_id, run.thread_id) == (configurable["run_id"], configurable["thread_id"])
    assert assistant_id_of("agent") == run.assistant_id == run.metadata["assistant_id"]
    assert {"k": 1, "graph_id": "agent", "created_by": "system"}.items() <= run.metadata.items()
    assert run.created_at.tzinfo and run.created_at <= run.updated_at  # type: ignore[union-attr,operator]
    assert (run.created_at == run.updated_at) == (status == "pending")
    assert [] == [f.name for f in attrs.fields(type(run)) if getattr(run, f.name) is None]


def test_two_runs_have_different_ids() -> None:
    assert make_run().run_id != make_run().run_id
    assert make_run() != make_run()


def test_every_field_of_a_run_can_be_given() -> None:
    run_id, thread_id = make_run().run_id, make_run().thread_id
    later = NOON.astimezone(timezone(timedelta(hours=2))) + timedelta(minutes=1)
    run = make_run(run_id=run_id, thread_id=thread_id, assistant_id="writer", created_at=NOON, updated_at=later)
    assert (run_id, thread_id, "writer") == (run.run_id, run.thread_id, run.metadata["graph_id"])
    assert (NOON, later) == (run.created_at, run.updated_at)
    assert NOON - timedelta(seconds=1) == make_run(updated_at=NOON).created_at
    assert 1 == make_run(config={"configurable": {"a": 1}}).kwargs["config"]["configurable"]["a"]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: make_run(created_at=datetime(2026, 1, 1)), "created_at=.*time zone"),
        (lambda: make_run(created_at=NOON, updated_at=NOON - timedelta(seconds=1)), "updated_at=.* is before created_at="),
        (lambda: make_run(run_id="r"), "run_id='r': the server's ids are UUIDs"),
        (lambda: make_run(input=float("nan")), "nan"),
        (lambda: make_run(input=object()), "object"),
        (lambda: make_thread(thread_id="t"), "thread_id='t'"),
        (lambda: make_thread(run=make_run(), thread_id=make_run().thread_id), "the run is one of thread"),
        (lambda: make_event("", 1), "name=''"),
        (lambda: make_event("values", 1, at=datetime(2026, 1, 1)), "at=.*time zone"),
    ],
)
def test_values_that_no_server_would_send_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"(?i){message}"):
        make()


@pytest.mark.parametrize("make", [make_run, make_thread, make_state, make_event])
def test_an_unknown_field_is_named(make: Any) -> None:
    with pytest.raises(TypeError, match="statsu"):
        make(statsu="error")


@pytest.mark.parametrize(
    "run_status, status",
    [
        ("pending", "busy"),
        ("running", "busy"),
        ("success", "idle"),
        ("error", "error"),
        ("timeout", "error"),
        ("interrupted", "interrupted"),
    ],
)
def test_a_thread_is_consistent_with_its_run(run_status: str, status: str) -> None:
    run = make_run(status=run_status)
    thread = make_thread(run=run, metadata={"customer": "ada"})
    assert (run.thread_id, status) == (thread.thread_id, thread.status)
    assert {"graph_id": "agent", "customer": "ada"}.items() <= thread.metadata.items()
    assert (thread.error is not None) == (status == "error")
    assert thread.created_at <= thread.updated_at == thread.state_updated_at  # type: ignore[operator]


def test_a_thread_with_questions_is_interrupted() -> None:
    thread = make_thread(values={"draft": "Hi"}, questions=["Send?", {"more": 1}])
    (asked,) = thread.interrupts.values()
    assert ("interrupted", ["Send?", {"more": 1}], 2) == (
        thread.status,
        [one.value for one in asked],
        len({one.id for one in asked}),
    )
    assert ("error", "ink") == ((thread := make_thread(error=("KeyError", "ink"))).status, thread.error["message"])
    assert ("idle", None) == (make_thread().status, make_thread().values)


def test_a_state_names_its_run_and_has_a_task_for_each_next_node() -> None:
    run = make_run()
    state = make_state(run=run, values={"n": 1}, next=["a", "b"], error="ValueError('x')", created_at=NOON)
    assert (run.run_id, run.thread_id) == (state.metadata["run_id"], state.checkpoint.thread_id)  # type: ignore[union-attr]
    assert [("a", "ValueError('x')"), ("b", None)] == [(task.name, task.error) for task in state.tasks]
    assert (("a", "b"), NOON, {"n": 1}) == (state.next, state.created_at, state.values)
    assert ((), [], {}) == (make_state().next, make_state().tasks, make_state().values)


def test_records_are_picklable_and_frozen() -> None:
    for record in (make_run(), make_thread(), make_state(), values_event({"n": 1})):
        assert record == pickle.loads(pickle.dumps(record))
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            record.status = "x"  # type: ignore[misc,union-attr]


@pytest.mark.parametrize(
    "event, cls, name, data",
    [
        (values_event({"n": 1}), ValuesStreamEvent, "values", {"n": 1}),
        (updates_event("add", {"n": 1}), UpdatesStreamEvent, "updates", {"add": {"n": 1}}),
        (custom_event([1, None]), CustomStreamEvent, "custom", [1, None]),
        (error_event("KeyError", "ink"), ErrorStreamEvent, "error", {"error": "KeyError", "message": "ink"}),
        (make_event("values|child:1", {}), ValuesStreamEvent, "values|child:1", {}),
        (make_event("tools", 1), StreamEvent, "tools", 1),
    ],
    ids=str,
)
def test_an_event_has_the_class_for_its_name(event: StreamEvent, cls: type, name: str, data: Any) -> None:
    assert (cls, name, data) == (type(event), event.event, event.data)
    assert event.timestamp.tzinfo is not None


def test_a_message_event_looks_like_one_of_messages_tuple() -> None:
    event = message_event("Hi", node="writer", tags=["draft"], id="1795224633885-0")
    chunk, about = event.data
    assert (MessagesStreamEvent, "Hi", "AIMessageChunk", "writer", ("draft",)) == (
        type(event),
        chunk["content"],
        chunk["type"],
        about["langgraph_node"],
        event.tags,
    )
    assert "1795224633885-0" == event.id


def test_a_metadata_event_names_its_run() -> None:
    run = make_run()
    event = metadata_event(run, attempt=2)
    assert isinstance(event, MetadataStreamEvent)
    assert (run.run_id, 2) == (event.data["run_id"], event.attempt)


def test_an_event_has_the_given_time() -> None:
    """Its id carries the time, as this server's do."""
    event = make_event("custom", 1, at=NOON)
    assert (NOON, f"{int(NOON.timestamp() * 1000)}-0") == (event.timestamp, event.id)


def test_event_data_are_decoded_from_json() -> None:
    """A tuple is a list, a date is text; raw is the JSON."""
    event = make_event("custom", (1, NOON))
    assert [1, "2026-11-21T12:00:00+00:00"] == event.data
    assert '[1,"2026-11-21T12:00:00+00:00"]' == event.raw

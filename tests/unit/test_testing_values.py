"""Factories, the policy that does not wait, and the guard of the network: what of langgraph_runs.testing needs no socket."""

from __future__ import annotations

import importlib
import pickle
import threading
import time
from datetime import datetime, timedelta, timezone
from typing import Any, Callable

import attrs
import pytest

import langgraph_runs.testing
from langgraph_runs import (
    Client,
    CustomStreamEvent,
    ErrorStreamEvent,
    InvalidRequestError,
    LangGraphRunsError,
    MessagesStreamEvent,
    MetadataStreamEvent,
    RateLimitError,
    RetryPolicy,
    StreamEvent,
    UpdatesStreamEvent,
    ValuesStreamEvent,
)
from langgraph_runs.testing import (
    NetworkRefusedError,
    custom_event,
    error_event,
    make_event,
    make_run,
    make_state,
    make_thread,
    message_event,
    metadata_event,
    no_network,
    no_wait,
    updates_event,
    values_event,
)
from langgraph_runs.testing.server_json import assistant_id_of, is_id

NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


# -- runs, threads, states


@pytest.mark.parametrize("status", ["pending", "running", "success", "error", "timeout", "interrupted"])
def test_a_run_is_whole_and_agrees_with_itself(status: str) -> None:
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


def test_two_runs_are_two() -> None:
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
def test_what_no_server_would_send_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"(?i){message}"):
        make()


@pytest.mark.parametrize("make", [make_run, make_thread, make_state, make_event])
def test_a_field_that_there_is_not_is_named(make: Any) -> None:
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
def test_a_thread_agrees_with_its_run(run_status: str, status: str) -> None:
    run = make_run(status=run_status)
    thread = make_thread(run=run, metadata={"customer": "ada"})
    assert (run.thread_id, status) == (thread.thread_id, thread.status)
    assert {"graph_id": "agent", "customer": "ada"}.items() <= thread.metadata.items()
    assert (thread.error is not None) == (status == "error")
    assert thread.created_at <= thread.updated_at == thread.state_updated_at  # type: ignore[operator]


def test_a_thread_that_asks_is_interrupted() -> None:
    thread = make_thread(values={"draft": "Hi"}, questions=["Send?", {"more": 1}])
    (asked,) = thread.interrupts.values()
    assert ("interrupted", ["Send?", {"more": 1}], 2) == (
        thread.status,
        [one.value for one in asked],
        len({one.id for one in asked}),
    )
    assert ("error", "ink") == ((thread := make_thread(error=("KeyError", "ink"))).status, thread.error["message"])
    assert ("idle", None) == (make_thread().status, make_thread().values)


def test_a_state_is_of_its_run_and_its_tasks_are_those_that_come_next() -> None:
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


# -- events


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
def test_an_event_is_of_the_class_for_its_name(event: StreamEvent, cls: type, name: str, data: Any) -> None:
    assert (cls, name, data) == (type(event), event.event, event.data)
    assert event.timestamp.tzinfo is not None


def test_a_piece_of_a_message_looks_like_one_of_messages_tuple() -> None:
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


def test_a_metadata_event_is_of_its_run() -> None:
    run = make_run()
    event = metadata_event(run, attempt=2)
    assert isinstance(event, MetadataStreamEvent)
    assert (run.run_id, 2) == (event.data["run_id"], event.attempt)


def test_an_event_happens_when_it_is_said_to() -> None:
    """Its id carries the time, as this server's do."""
    event = make_event("custom", 1, at=NOON)
    assert (NOON, f"{int(NOON.timestamp() * 1000)}-0") == (event.timestamp, event.id)


def test_data_are_what_would_have_come_over_the_wire() -> None:
    """A tuple is a list, a date is text; raw is the JSON."""
    event = make_event("custom", (1, NOON))
    assert [1, "2026-11-21T12:00:00+00:00"] == event.data
    assert '[1,"2026-11-21T12:00:00+00:00"]' == event.raw


# -- no_wait


def test_no_wait_repeats_as_often_and_never_sleeps() -> None:
    """Also where the server asks for an hour."""
    policy = no_wait(attempts=3)
    assert (3, RetryPolicy().statuses) == (policy.attempts, policy.statuses)
    assert {0.0} == {policy.wait(n, after) for n in range(1, 9) for after in (None, 3600.0)}
    assert not policy.forbids(RateLimitError("", status_code=429, retry_after=3600.0))


# -- no_network


def refused(url: str, **options: Any) -> str:
    with Client(url, api_key=None, **options) as client, pytest.raises(NetworkRefusedError) as caught:
        client.ok()
    return str(caught.value)


@pytest.mark.parametrize(
    "url, host, port",
    [
        ("https://api.example.com/v1", "api.example.com", 443),
        ("http://192.0.2.1:2024", "192.0.2.1", 2024),
        ("http://[2001:db8::1]:2024", "2001:db8::1", 2024),
        ("http://localhost.example.com", "localhost.example.com", 80),
    ],
)
def test_another_machine_is_refused_by_name(url: str, host: str, port: int) -> None:
    """At once, without looking the name up and without a repeat."""
    began = time.monotonic()
    with no_network():
        assert f"wants to connect to {host}, port {port};" in refused(url, retry=RetryPolicy(wait_initial=5))
    assert time.monotonic() - began < 3


def test_a_proxy_is_another_machine_too() -> None:
    with no_network():
        assert "192.0.2.7, port 3128" in refused("http://127.0.0.1:9", proxies={"http": "http://192.0.2.7:3128"})


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9", "http://127.1.2.3:9"])
def test_this_machine_is_not_refused(url: str) -> None:
    """Nobody listens there, which is another error."""
    with no_network(), Client(url, api_key=None, retry=no_wait(1)) as client:
        with pytest.raises(LangGraphRunsError) as caught:
            client.ok()
        assert not isinstance(caught.value, NetworkRefusedError)


def test_it_holds_in_all_threads_and_for_clients_that_were_there_before() -> None:
    told: list[str] = []
    with Client("http://192.0.2.1", api_key=None) as client:

        def ask() -> None:
            with pytest.raises(NetworkRefusedError) as caught:
                client.runs.create(None, "agent")
            told.append(str(caught.value))

        with no_network():
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()
    assert 1 == len(told)


def test_blocks_nest_and_end() -> None:
    """After the last one, and only then, connections are made as before."""
    connections = importlib.import_module("langgraph_runs.http.connection")
    before = connections.LimitedConnection._new_conn
    with no_network():
        with pytest.raises(LookupError), no_network():
            raise LookupError
        refused("http://192.0.2.1")
    assert before is connections.LimitedConnection._new_conn


def test_hosts_can_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard lets them pass; what connects then is as always."""
    connections = importlib.import_module("langgraph_runs.http.connection")

    def refuse(*_: Any, **__: Any) -> Any:
        raise ConnectionRefusedError(111, "nobody there")

    monkeypatch.setattr(connections, "dial", refuse)
    with no_network("langgraph.test"), Client("http://langgraph.test", api_key=None, retry=no_wait(1)) as client:
        with pytest.raises(LangGraphRunsError, match="nobody there"):
            client.ok()


def test_the_error_is_an_assertion_and_one_of_ours() -> None:
    """So that pytest shows it as a failure, and it pickles as all of ours do."""
    error = NetworkRefusedError("no")
    assert isinstance(error, AssertionError) and isinstance(error, LangGraphRunsError)
    assert "no" == str(pickle.loads(pickle.dumps(error)))


# -- the package


def test_every_name_has_one_home() -> None:
    """What is imported for type checkers is what is imported for use."""
    assert sorted(langgraph_runs.testing.__all__) == langgraph_runs.testing.__all__
    assert set(langgraph_runs.testing.__all__) == set(langgraph_runs.testing._MODULE_OF)
    for name, module in langgraph_runs.testing._MODULE_OF.items():
        home = importlib.import_module(f"langgraph_runs.testing.{module}")
        assert name in home.__all__ and getattr(langgraph_runs.testing, name) is getattr(home, name)
    assert set(langgraph_runs.testing.__all__) <= set(dir(langgraph_runs.testing))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = langgraph_runs.testing.nothing  # type: ignore[attr-defined]

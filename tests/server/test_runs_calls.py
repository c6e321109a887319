"""What each of the eleven calls does on the real server, beside starting runs: see test_runs_options.py for that."""

from __future__ import annotations

import concurrent.futures
import datetime
import threading
import time
import uuid
from typing import Any

import pytest

from langgraph_runs import (
    AbortController,
    AbortedError,
    Client,
    DeadlineExceededError,
    NotFoundError,
    ResponseDecodeError,
    Run,
    RunCancelledError,
    RunCreate,
    RunFailedError,
    RunOutcome,
)
from langgraph_runs.devserver import DevServer
from langgraph_runs.testing.cutting_proxy import CuttingProxy

from ..waiting import PROMPT
from ..wire.scripted import ScriptedServer
from .conftest import Gate, wait_until

#: A run that is to exist and not to begin.
LATER: Any = {"after_seconds": 3600}


def delayed(client: Client, thread_id: str, count: int, **options: Any) -> list[str]:
    """Ids of so many pending runs, oldest first."""
    made = [client.runs.create(thread_id, "echo", input={"value": i}, **LATER, **options) for i in range(count)]
    return [run.run_id for run in made]


# -- create, get


def test_create_returns_the_run_as_it_stands(client: Client, thread_id: str) -> None:
    """The run has its ids, aware times and what it was started with; it has not begun. get tells the same."""
    before = datetime.datetime.now(datetime.timezone.utc)
    run = client.runs.create(thread_id, "echo", input={"value": "\u2028"}, **LATER)
    again = client.runs.get(thread_id, run.run_id)

    assert run == again
    assert (thread_id, "pending", False) == (run.thread_id, run.status, run.finished)
    assert (client.assistants.search(graph_id="echo", metadata={"created_by": "system"})[0].assistant_id, "enqueue") == (
        run.assistant_id,
        run.multitask_strategy,
    )
    assert {"value": "\u2028"} == run.kwargs["input"]
    assert run.updated_at is not None and run.created_at is not None
    assert before - datetime.timedelta(seconds=1) < run.updated_at < run.created_at - datetime.timedelta(seconds=3000)
    assert {"langsmith_session_name": None} == run.extra


@pytest.mark.parametrize("join", ["join", "join_stream"])
def test_a_stateless_run_can_be_joined_by_its_temporary_thread(client: Client, gate: Gate, join: str) -> None:
    """create tells the thread it made; who joins before the end gets the values although the run is deleted with it."""
    run = client.runs.create(None, "gated", input=gate.input())
    gate.wait_begun()
    assert "running" == client.runs.get(run.thread_id, run.run_id).status
    if join == "join":
        threading.Timer(0.1, gate.open).start()
        values = client.runs.join(run.thread_id, run.run_id)
    else:
        with client.runs.join_stream(run.thread_id, run.run_id) as stream:
            gate.open()
            values = [event.data for event in stream][-1]

    assert ["begun", "run"] == values["passed"]
    with pytest.raises(NotFoundError):
        client.runs.get(run.thread_id, run.run_id)


@pytest.mark.parametrize("join", ["join", "join_stream"])
def test_a_stateless_run_that_fails_is_not_taken_for_a_success(client: Client, join: str) -> None:
    """Although the run is deleted with its thread, who joins it before the end gets its error."""
    run = client.runs.create(None, "failing", input={"error": "ValueError", "message": "boom"})

    with pytest.raises(RunFailedError, match="boom"):
        if join == "join":
            client.runs.join(run.thread_id, run.run_id)
        else:
            list(client.runs.join_stream(run.thread_id, run.run_id))


def test_ids_may_be_uuids_and_assistants_names_or_ids(client: Client, thread_id: str) -> None:
    """A UUID object is as good as its text; an assistant's id as good as its graph's name."""
    (assistant,) = client.assistants.search(graph_id="echo", metadata={"created_by": "system"})

    run = client.runs.create(uuid.UUID(thread_id), assistant.assistant_id, input={}, **LATER)  # type: ignore[arg-type]

    assert thread_id == client.runs.get(uuid.UUID(thread_id), uuid.UUID(run.run_id)).thread_id  # type: ignore[arg-type]


# -- create_batch


def test_create_batch_creates_in_order(client: Client, thread_id: str) -> None:
    """One run for each item, in the order of the items, each on a thread of its own unless it names one."""
    items: list[Any] = [
        RunCreate(assistant_id="echo", input={"value": 0}, metadata={"n": 0}, on_completion="keep"),
        {"assistant_id": "steps", "input": {"path": []}, "interrupt_before": ["two"], "on_completion": "keep"},
        RunCreate(assistant_id="echo", thread_id=thread_id, input={"value": 2}, webhook=None),
        RunCreate(assistant_id="echo", input={"value": 3}, after_seconds=3600),
    ]
    runs = client.runs.create_batch(items)
    values = [client.runs.join(run.thread_id, run.run_id) for run in runs[:3]]

    assert (0, ["one"], 2) == (values[0]["echo"], values[1]["path"], values[2]["echo"])
    assert 0 == runs[0].metadata["n"]
    assert (thread_id, 4) == (runs[2].thread_id, len({run.thread_id for run in runs}))
    assert "pending" == client.runs.get(runs[3].thread_id, runs[3].run_id).status


def test_runs_of_a_batch_can_be_joined_if_their_threads_are_kept(client: Client) -> None:
    """Else the server deletes them when they have ended, and the error of the join says what to do."""
    kept = client.runs.create_batch([{"assistant_id": "echo", "input": {"value": n}, "on_completion": "keep"} for n in range(2)])
    assert [0, 1] == [client.runs.join(run.thread_id, run.run_id)["echo"] for run in kept]
    for run in kept:
        client.threads.delete(run.thread_id)

    gone = client.runs.create_batch([{"assistant_id": "echo"}])[0]
    wait_until(lambda: is_gone(client, gone.thread_id), "the thread was deleted")
    with pytest.raises(NotFoundError, match="unless on_completion='keep'"):
        client.runs.join(gone.thread_id, gone.run_id)
    with pytest.raises(NotFoundError, match="unless on_completion='keep'"):
        list(client.runs.join_stream(gone.thread_id, gone.run_id))
    assert ["unless on_completion='keep'"] == [
        str(result.error).split("it has ended, ")[1].split(" [")[0] for result in client.runs.join_all([gone])
    ]


def is_gone(client: Client, thread_id: str) -> bool:
    try:
        client.threads.get(thread_id)
    except NotFoundError:
        return True
    return False


def test_create_batch_takes_the_options_of_create(client: Client, hook: ScriptedServer) -> None:
    """Each item's own options have their effect on its run, and on no other."""
    kept: Any = {"on_completion": "keep"}
    seen: Any = {"seen": {}}
    path: Any = {"path": []}
    items = {
        "config": RunCreate(assistant_id="observer", input=seen, config={"tags": ["t"], "recursion_limit": 9}, **kept),
        "context": RunCreate(assistant_id="observer", input=seen, context={"user": "ann"}, **kept),
        "tracing": RunCreate(assistant_id="observer", input=seen, langsmith_tracing={"project_name": "mine"}, **kept),
        "before": RunCreate(assistant_id="steps", input=path, interrupt_before=["two"], **kept),
        "after": RunCreate(assistant_id="steps", input=path, interrupt_after=["two"], **kept),
        "exit": RunCreate(assistant_id="steps", input=path, durability="exit", **kept),
        "kwargs": RunCreate(assistant_id="steps", input=path, kwargs={"durability": "exit"}, **kept),
        "goto": RunCreate(assistant_id="steps", command={"goto": "three", "update": {"path": ["mine"]}}, **kept),
        "webhook": RunCreate(assistant_id="echo", input={"value": 1}, webhook=f"{hook.url}/hook", **kept),
        "stream": RunCreate(
            assistant_id="nested",
            input=path,
            stream_mode=["updates"],
            stream_subgraphs=True,
            stream_resumable=True,
            strict_resume=False,
            metadata={"k": "v"},
            **kept,
        ),
        "deleted": RunCreate(assistant_id="echo", input={"value": 1}, on_completion="delete"),
        "failing": RunCreate(assistant_id="echo", input={"value": 1}, feedback_keys=["score"], **kept),
    }
    runs = dict(zip(items, client.runs.create_batch(list(items.values()))))
    joined = [name for name in runs if name not in ("deleted", "failing")]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        values = dict(zip(joined, pool.map(lambda n: client.runs.join(runs[n].thread_id, runs[n].run_id), joined)))

    assert (["t"], 9) == (values["config"]["seen"]["tags"], values["config"]["seen"]["recursion_limit"])
    assert {"user": "ann"} == values["context"]["seen"]["context"]
    assert "mine" in [trace["project_name"] for trace in values["tracing"]["seen"]["traces"]]
    assert [] == values["config"]["seen"]["traces"]
    assert [["one"], ["one", "two"]] == [values["before"]["path"], values["after"]["path"]]
    assert [1, 1] == [len(client.threads.get_history(runs[name].thread_id)) for name in ("exit", "kwargs")]
    assert "mine" == values["goto"]["path"][0]
    assert runs["webhook"].run_id == hook.wait_for(1)[0].json()["run_id"]
    kinds = [event.event for event in client.runs.join_stream(runs["stream"].thread_id, runs["stream"].run_id, last_event_id="0")]
    assert "updates" in kinds and any(kind.startswith("updates|child:") for kind in kinds)
    assert "v" == runs["stream"].metadata["k"] and "k" not in runs["exit"].metadata
    with pytest.raises(NotFoundError):
        client.threads.get(runs["deleted"].thread_id)
    with pytest.raises(RunFailedError, match="LangSmith"):
        client.runs.join(runs["failing"].thread_id, runs["failing"].run_id)


def test_create_batch_keeps_the_order_of_many(client: Client) -> None:
    """Fifty items come back in their order."""
    runs = client.runs.create_batch([RunCreate(assistant_id="echo", input={"value": i}, **LATER) for i in range(50)])

    assert list(range(50)) == [run.kwargs["input"]["value"] for run in runs]


def test_create_batch_says_when_an_item_is_refused(client: Client) -> None:
    """An unknown assistant is an error of the call; the server may have created the other items."""
    key = str(uuid.uuid4())
    items = [RunCreate(assistant_id=a, input={}, metadata={"k": key}, **LATER) for a in ("echo", str(uuid.uuid4()))]

    with pytest.raises(NotFoundError):
        client.runs.create_batch(items)


# -- list, iter


def test_list_pages_newest_first(client: Client, thread_id: str) -> None:
    """Ten by default; limit and offset cut out a page; beyond the end there is nothing."""
    ids = delayed(client, thread_id, 12)[::-1]

    def listed(**options: Any) -> list[str]:
        return [run.run_id for run in client.runs.list(thread_id, **options)]

    assert ids[:10] == listed()
    assert ids == listed(limit=100)
    assert ids[2:5] == listed(limit=3, offset=2)
    assert ids[10:] == listed(offset=10)
    assert [] == listed(offset=12)
    assert ids == [run.run_id for run in client.runs.iter(thread_id, page_size=5)]


def test_list_filters_by_status(client: Client, thread_id: str) -> None:
    """Only runs of that status come; an unknown status matches nothing and is refused by nobody."""
    ids = delayed(client, thread_id, 3)
    client.runs.cancel(thread_id, ids[1])

    assert [ids[2], ids[0]] == [run.run_id for run in client.runs.list(thread_id, status="pending")]
    assert [ids[1]] == [run.run_id for run in client.runs.list(thread_id, status="interrupted")]
    assert [ids[1]] == [run.run_id for run in client.runs.iter(thread_id, status="interrupted")]
    assert [] == client.runs.list(thread_id, status="success")


def test_list_selects_fields(client: Client, thread_id: str) -> None:
    """Fields that were not selected are not sent by the server: kwargs, which hold the whole input, least of all."""
    (run_id,) = delayed(client, thread_id, 1)

    (run,) = client.runs.list(thread_id, select=["run_id", "status", "created_at"])

    assert (run_id, "pending") == (run.run_id, run.status)
    assert run.created_at is not None
    assert ({}, {}, None) == (run.kwargs, run.metadata, run.updated_at)


def test_list_filters_by_metadata_and_time(client: Client, thread_id: str) -> None:
    """Every pair must be equal; created_after and created_before are the times between which a run is due."""
    first, second = delayed(client, thread_id, 2, metadata={"a": 1, "b": "x"})
    (third,) = delayed(client, thread_id, 1, metadata={"a": 1, "b": "y"})
    at = client.runs.get(thread_id, second).created_at
    assert at is not None

    def listed(**options: Any) -> list[str]:
        assert [run.run_id for run in client.runs.iter(thread_id, **options)] == [
            run.run_id for run in client.runs.list(thread_id, limit=100, **options)
        ]
        return [run.run_id for run in client.runs.list(thread_id, **options)]

    assert [third, second, first] == listed(metadata={"a": 1})
    assert [second, first] == listed(metadata={"a": 1, "b": "x"})
    assert [] == listed(metadata={"a": 2})
    tick = datetime.timedelta(microseconds=1)
    assert [third] == listed(created_after=at + tick)
    assert [first] == listed(created_before=at - tick)
    assert [second] == listed(created_after=at - tick, created_before=at + tick)
    assert [second] == [run.run_id for run in client.runs.list(thread_id, metadata={"b": "x"}, limit=1)]
    assert [first] == [run.run_id for run in client.runs.list(thread_id, metadata={"b": "x"}, offset=1)]


def test_iter_gives_each_run_once_while_others_come_and_go(client: Client, thread_id: str) -> None:
    """Runs that are created or deleted between two pages make no other run appear twice or be left out."""
    ids = delayed(client, thread_id, 9)[::-1]
    seen = []
    for count, run in enumerate(client.runs.iter(thread_id, page_size=3)):
        seen.append(run.run_id)
        if count == 1:
            delayed(client, thread_id, 2)
        if count == 4:
            client.runs.delete(thread_id, ids[0])
            client.runs.delete(thread_id, ids[1])

    assert ids == seen


# -- cancel


def test_cancel_ends_a_run(client: Client, thread_id: str, gate: Gate) -> None:
    """Without wait it returns at once; the run is interrupted and does not go on. A second cancel finds nothing."""
    run = client.runs.create(thread_id, "gated", input=gate.input())
    gate.wait_begun()

    client.runs.cancel(thread_id, run.run_id)

    assert "interrupted" == client.runs.get(thread_id, run.run_id).status
    with pytest.raises(NotFoundError):
        client.runs.cancel(thread_id, run.run_id)
    with pytest.raises(RunCancelledError):
        client.runs.join(thread_id, run.run_id)
    gate.open()
    assert not gate.passed()


@pytest.mark.parametrize("wait", [False, True])
def test_cancel_with_rollback_deletes_the_run(client: Client, thread_id: str, gate: Gate, wait: bool) -> None:
    """The run is gone and so is what it wrote; with wait, when the call returns."""
    run = client.runs.create(thread_id, "gated", input=gate.input())
    gate.wait_begun()
    wait_until(lambda: client.threads.get_state(thread_id).next == ("hold",), "the first step to be written")

    client.runs.cancel(thread_id, run.run_id, wait=wait, action="rollback")
    if not wait:
        wait_until(lambda: not client.runs.list(thread_id), "the run to be deleted")

    with pytest.raises(NotFoundError):
        client.runs.get(thread_id, run.run_id)
    wait_until(lambda: not client.threads.get_history(thread_id), "the checkpoints to be deleted")
    assert not gate.passed()


def test_cancel_with_wait_returns_when_the_run_has_stopped(client: Client, thread_id: str, gate: Gate) -> None:
    """After it the thread is free: a run that rejects a busy thread is accepted."""
    run = client.runs.create(thread_id, "gated", input=gate.input())
    gate.wait_begun()

    client.runs.cancel(thread_id, run.run_id, wait=True)

    assert "interrupted" == client.runs.get(thread_id, run.run_id).status
    client.runs.create(thread_id, "echo", input={}, multitask_strategy="reject", **LATER)


def test_cancel_of_a_pending_run(client: Client, thread_id: str) -> None:
    """A run that never began is interrupted, or deleted by a rollback."""
    first, second = delayed(client, thread_id, 2)
    client.runs.cancel(thread_id, first)
    client.runs.cancel(thread_id, second, action="rollback")

    assert [(first, "interrupted")] == [(run.run_id, run.status) for run in client.runs.list(thread_id)]


def test_cancel_many_by_ids(client: Client, thread_id: str) -> None:
    """Those that are named are cancelled, those that are not go on; where none matches it is NotFoundError."""
    first, second, third = delayed(client, thread_id, 3)
    client.runs.cancel_many(thread_id=thread_id, run_ids=[first, third])

    assert {first: "interrupted", second: "pending", third: "interrupted"} == {
        run.run_id: run.status for run in client.runs.list(thread_id)
    }
    client.runs.cancel_many(thread_id=thread_id, run_ids=[second], action="rollback")
    assert {first, third} == {run.run_id for run in client.runs.list(thread_id)}
    with pytest.raises(NotFoundError):
        client.runs.cancel_many(thread_id=thread_id, run_ids=[str(uuid.uuid4())])


def test_cancel_many_by_status_is_for_all_threads(own_server: DevServer, gate: Gate) -> None:
    """pending cancels what has not begun, on every thread, running what has, all both."""
    with Client(own_server.url) as client:
        threads = [client.threads.create().thread_id for _ in range(3)]
        pending = [(thread_id, *delayed(client, thread_id, 1)) for thread_id in threads[:2]]
        running = client.runs.create(threads[2], "gated", input=gate.input())
        gate.wait_begun()

        def statuses() -> list[str]:
            found = [*pending, (threads[2], running.run_id)]
            return [client.runs.get(thread_id, run_id).status for thread_id, run_id in found]

        client.runs.cancel_many(status="pending")
        assert ["interrupted", "interrupted", "running"] == statuses()
        client.runs.cancel_many(status="running")
        assert ["interrupted"] * 3 == statuses()
        pending.append((threads[0], *delayed(client, threads[0], 1)))
        client.runs.cancel_many(status="all")
        assert ["interrupted"] * 4 == statuses()
        assert not gate.passed()


# -- join


def test_join_waits_for_the_end(client: Client, thread_id: str, gate: Gate) -> None:
    """Several may join one run; all get its values, when the run has ended and not before."""
    run = client.runs.create(thread_id, "gated", input=gate.input())
    found: list[Any] = []
    joiners = [threading.Thread(target=lambda: found.append(client.runs.join(thread_id, run.run_id))) for _ in range(3)]
    for joiner in joiners:
        joiner.start()
    gate.wait_begun()
    assert [] == found
    gate.open()
    for joiner in joiners:
        joiner.join()

    assert [["begun", "run"]] * 3 == [values["passed"] for values in found]


def test_join_of_an_older_run_gives_its_own_values(client: Client, thread_id: str) -> None:
    """The server answers with the thread's current state; what join returns is the run's own result, or its own failure."""
    first = client.runs.create(thread_id, "failing", input={"error": "ValueError", "message": "first"})
    second = client.runs.create(thread_id, "failing", input={"error": "", "message": "second"})
    third = client.runs.create(thread_id, "failing", input={"error": "", "message": "third"})
    assert "third" == client.runs.join(thread_id, third.run_id)["message"]

    assert "second" == client.runs.join(thread_id, second.run_id)["message"]
    with pytest.raises(RunFailedError) as caught:
        client.runs.join(thread_id, first.run_id)
    assert ("ValueError", "first", first.run_id) == (caught.value.error, caught.value.message, caught.value.run_id)


def test_join_takes_the_options_of_every_call(client: Client, thread_id: str, gate: Gate) -> None:
    """An outcome instead of an error, a signal, headers and params that reach the server."""
    run = client.runs.create(thread_id, "gated", input=gate.input())
    controller = AbortController()
    timer = threading.Timer(0.2, controller.abort)
    timer.start()
    at = time.monotonic()
    with pytest.raises(AbortedError):
        client.runs.join(thread_id, run.run_id, signal=controller.signal)
    timer.join()
    assert time.monotonic() - at < PROMPT
    assert client.runs.get(thread_id, run.run_id).status in ("pending", "running")

    client.runs.cancel(thread_id, run.run_id, wait=True)
    outcome = client.runs.join(thread_id, run.run_id, raise_error=False)
    assert isinstance(outcome, RunOutcome)
    assert ("interrupted", False) == (outcome.status, outcome.succeeded)
    assert not gate.passed()


def test_join_and_wait_tell_a_pause_from_an_end(client: Client, thread_id: str) -> None:
    """With raise_error=False the outcome is paused, by a question or by interrupt_before; at the end it is not."""
    before = client.runs.wait(thread_id, "steps", input={"path": []}, interrupt_before=["two"], raise_error=False)
    joined = client.runs.join(thread_id, before.run.run_id, raise_error=False)
    after = client.runs.wait(thread_id, "steps", raise_error=False)
    asking = client.threads.create().thread_id
    asked = client.runs.wait(asking, "asker", input={"questions": ["a", "b"]}, raise_error=False)

    assert [("success", True, ())] * 2 == [(o.status, o.paused, o.interrupts) for o in (before, joined)]
    assert ("success", False) == (after.status, after.paused)
    assert ("success", True, {"a", "b"}) == (asked.status, asked.paused, {i.value for i in asked.interrupts})

    ids = {interrupt.value: interrupt.id for interrupt in asked.interrupts}
    partly = client.runs.wait(asking, "asker", command={"resume": {ids["a"]: 1}}, raise_error=False)
    assert (True, ["b"]) == (partly.paused, [i.value for i in partly.interrupts])
    whole = client.runs.wait(asking, "asker", command={"resume": {ids["b"]: 2}})
    assert [{"a": 1}, {"b": 2}] == sorted(whole["answers"], key=str)


def test_wait_gives_the_values_that_the_server_keeps(client: Client, thread_id: str) -> None:
    """With a stream mode other than values, a run on a thread returns the thread's state."""
    assert 1 == client.runs.wait(thread_id, "echo", input={"value": 1}, stream_mode="updates")["echo"]
    assert 2 == client.runs.wait(None, "echo", input={"value": 2})["echo"]


# -- join_stream


def test_join_stream_begins_now_or_at_an_event(client: Client, thread_id: str, gate: Gate) -> None:
    """From now on: what comes after joining. From "0": everything. From an id: everything after it."""
    options: dict[str, Any] = {"stream_mode": ["custom", "values"], "stream_resumable": True}
    run = client.runs.create(thread_id, "gated", input=gate.input(), **options)
    gate.wait_begun()
    now = client.runs.join_stream(thread_id, run.run_id)
    gate.open()
    later = [event.event for event in now]
    whole = list(client.runs.join_stream(thread_id, run.run_id, last_event_id="0"))
    first = next(event for event in whole if event.mode == "custom")
    rest = list(client.runs.join_stream(thread_id, run.run_id, last_event_id=first.id))

    assert "metadata" not in later and later[-1:] == ["values"]
    assert ["metadata", "values", "custom"] == [event.event for event in whole][:3]
    assert (run.run_id, "begun") == (whole[0].data["run_id"], next(iter(first.data)))
    assert [event.data for event in rest] == [e.data for e in whole if e.id is not None and e.id > str(first.id)]


@pytest.mark.parametrize("modes, expected", [("custom", ["custom"]), (["values", "custom"], ["custom", "values"])])
def test_join_stream_filters_by_mode_and_still_tells_errors(client: Client, thread_id: str, modes: Any, expected: Any) -> None:
    """Only those modes come; the failure is raised all the same, and metadata come too."""
    given = {"error": "ValueError", "message": "boom"}
    options: dict[str, Any] = {"stream_mode": ["custom", "values", "updates"], "stream_resumable": True}
    run = client.runs.create(thread_id, "failing", input=given, **options)

    seen = []
    with pytest.raises(RunFailedError, match="boom"):
        for event in client.runs.join_stream(thread_id, run.run_id, stream_mode=modes, last_event_id="0"):
            seen.append(event.event)

    assert expected == sorted(set(seen) - {"metadata", "error"})
    assert "metadata" == seen[0]


@pytest.mark.parametrize("cancel_on_disconnect, status", [(True, "interrupted"), (False, "running")])
def test_join_stream_cancels_on_disconnect_if_asked(
    client: Client, thread_id: str, gate: Gate, cancel_on_disconnect: bool, status: str
) -> None:
    """When the listener leaves, the run is cancelled or goes on."""
    run = client.runs.create(thread_id, "gated", input=gate.input())
    gate.wait_begun()
    with client.runs.join_stream(thread_id, run.run_id, cancel_on_disconnect=cancel_on_disconnect):
        pass

    if cancel_on_disconnect:
        wait_until(lambda: client.runs.get(thread_id, run.run_id).finished, "the run to be cancelled")
    assert status == client.runs.get(thread_id, run.run_id).status


def test_join_stream_of_a_run_that_has_ended_is_empty_or_all(client: Client, thread_id: str) -> None:
    """Without an id nothing comes and the stream ends; its outcome is the run's. A failed run is raised."""
    client.runs.wait(thread_id, "echo", input={"value": 1}, stream_resumable=True)
    (run,) = client.runs.list(thread_id)
    with client.runs.join_stream(thread_id, run.run_id) as stream:
        assert [] == list(stream)

    assert stream.outcome is not None
    assert ("success", 1) == (stream.outcome.status, client.runs.join(thread_id, run.run_id)["echo"])
    assert ["metadata", "values", "values"] == [
        event.event for event in client.runs.join_stream(thread_id, run.run_id, last_event_id="0")
    ]


# -- delete


def test_delete_removes_the_run(client: Client, thread_id: str) -> None:
    """It is gone from get and list; deleting it again is NotFoundError. The other run stays."""
    first, second = delayed(client, thread_id, 2)
    client.runs.delete(thread_id, first)

    assert [second] == [run.run_id for run in client.runs.list(thread_id)]
    for call in (client.runs.get, client.runs.delete):
        with pytest.raises(NotFoundError):
            call(thread_id, first)


def test_delete_does_not_stop_a_running_run(client: Client, thread_id: str, gate: Gate) -> None:
    """The run is gone at once and still goes on: whoever joins it gets NotFoundError."""
    run = client.runs.create(thread_id, "gated", input=gate.input())
    gate.wait_begun()
    client.runs.delete(thread_id, run.run_id)

    with pytest.raises(NotFoundError):
        client.runs.join(thread_id, run.run_id)
    gate.open()
    wait_until(gate.passed, "the run to go on")


# -- every call


def _call(client: Client, name: str, thread_id: str, run_id: str, **options: Any) -> Any:
    if name in ("create", "wait", "stream"):
        return getattr(client.runs, name)(thread_id, "echo", input={"value": 1}, **options)
    if name == "create_batch":
        return client.runs.create_batch([RunCreate(assistant_id="echo", input={"value": 1})], **options)
    if name == "cancel_many":
        return client.runs.cancel_many(thread_id=thread_id, run_ids=[run_id], **options)
    if name == "list":
        return client.runs.list(thread_id, **options)
    if name == "iter":
        return list(client.runs.iter(thread_id, **options))
    return getattr(client.runs, name)(thread_id, run_id, **options)


ALL_CALLS = [
    "create",
    "create_batch",
    "stream",
    "wait",
    "list",
    "iter",
    "get",
    "cancel",
    "cancel_many",
    "join",
    "join_stream",
    "delete",
]


@pytest.mark.parametrize("name", ALL_CALLS)
def test_headers_params_and_signal_of_every_call(client: Client, thread_id: str, name: str) -> None:
    """A header and a parameter that make the server redirect do so; a signal that has fired lets nothing be sent."""
    (run_id,) = delayed(client, thread_id, 1)
    for options in ({"headers": {"X-Fault": "302"}}, {"params": {"fault": "302"}}):
        with pytest.raises(Exception, match="302.*elsewhere.example"):
            _call(client, name, thread_id, run_id, **options)
    controller = AbortController()
    controller.abort("enough")
    with pytest.raises(AbortedError, match="enough"):
        _call(client, name, thread_id, run_id, signal=controller.signal)

    assert [(run_id, "pending")] == [(run.run_id, run.status) for run in client.runs.list(thread_id)]


@pytest.mark.parametrize("name", ALL_CALLS)
def test_timeout_and_signal_end_every_call(server: DevServer, thread_id: str, name: str) -> None:
    """Where the server cannot be heard, a call ends when its time is over, or as soon as its signal fires."""
    with CuttingProxy(server.url) as proxy, Client(proxy.url) as client:
        proxy.freeze()
        begun = time.monotonic()
        with pytest.raises(DeadlineExceededError) as caught:
            _call(client, name, thread_id, thread_id, timeout=0.25)
        assert 0.25 <= time.monotonic() - begun < PROMPT
        assert 0.25 == caught.value.timeout

        controller = AbortController()
        timer = threading.Timer(0.1, controller.abort)
        begun = time.monotonic()
        timer.start()
        with pytest.raises(AbortedError):
            _call(client, name, thread_id, thread_id, signal=controller.signal)
        assert 0.1 <= time.monotonic() - begun < PROMPT
        timer.join()


@pytest.mark.parametrize("name", [name for name in ALL_CALLS if name not in ("create", "create_batch", "wait", "stream")])
def test_calls_on_what_does_not_exist_are_not_found(client: Client, thread_id: str, new_id: str, name: str) -> None:
    """An unknown run and an unknown thread are NotFoundError, also where the server says 200 and hides it in the body."""
    places = [(new_id, str(uuid.uuid4()))] + ([] if name in ("list", "iter") else [(thread_id, new_id)])
    for place in places:
        with pytest.raises(NotFoundError) as caught:
            result = _call(client, name, *place)
            if name == "join_stream":
                list(result)
        assert place[0] == caught.value.thread_id


def test_a_large_answer_is_read_in_full(client: Client, thread_id: str) -> None:
    """Four megabytes go there and come back, in the run, in its values and in a list."""
    value = "\u00e9x" * 1_000_000
    run = client.runs.create(thread_id, "echo", input={"value": value})

    assert value == run.kwargs["input"]["value"]
    assert value == client.runs.join(thread_id, run.run_id)["echo"]
    small = client.with_options(max_response_bytes=1000)
    with pytest.raises(ResponseDecodeError):
        small.runs.get(thread_id, run.run_id)
    (listed,) = client.runs.list(thread_id, select=["run_id"])
    assert isinstance(listed, Run) and listed.run_id == run.run_id

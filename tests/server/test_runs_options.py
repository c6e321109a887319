"""Every option has its effect on the real server; sending it is not enough.

Each test holds for create, wait and stream alike where it takes `start`.
"""

from __future__ import annotations

import contextlib
import datetime
import time
import uuid
from typing import Any

import pytest

from langgraph_runs import (
    AbortController,
    AbortedError,
    Client,
    ConflictError,
    DeadlineExceededError,
    InternalServerError,
    NotFoundError,
    RetryPolicy,
    RunCancelledError,
    RunCreate,
    RunFailedError,
    RunsCreatePayload,
    RunsInvokePayload,
    RunsStreamPayload,
    RunsWaitPayload,
    StreamInterruptedError,
)
from langgraph_runs.devserver import DevServer

from ..waiting import PROMPT
from ..wire.scripted import ScriptedServer
from .conftest import Gate, wait_until
from .ways import Way, replay

UNICODE = {
    "text": "a\u2028b\u0085c\r\nd\U0001f600\x7f\u0000"[:-1],
    "null": None,
    "list": [1, 2.5, True, []],
    "": {"": 0},
}


def status_of(client: Client, thread_id: str) -> Any:
    return client.threads.get(thread_id).status


# -- what the graph gets


def test_input_arrives_as_it_is(start: Way, thread_id: str) -> None:
    """Text with every kind of line end, nested values and empty keys come back equal."""
    assert UNICODE == start(thread_id, "echo", input={"value": UNICODE}).values["echo"]


def test_falsy_input_is_sent_and_none_is_not(client: Client) -> None:
    """The server has each input as it was given; without one it has none."""
    values = ["", 0, False, [], {}, 2**53 + 1, 2**64 - 1, -(2**63), 1e-300, "\ud7ff\U0010ffff", None]

    runs = client.runs.create_batch([RunCreate(assistant_id="echo", input=value, after_seconds=60) for value in values])

    assert values == [run.kwargs["input"] for run in runs]
    for run in runs:
        client.runs.cancel(run.thread_id, run.run_id)


def test_command_resume_answers_the_question(start: Way, thread_id: str) -> None:
    """The interrupted node gets the answer; the run before returned with the question."""
    asked = start(thread_id, "asker", input={"questions": ["who?"]})
    answered = start(thread_id, "asker", command={"resume": "me"})

    assert "who?" == asked.values["__interrupt__"][0]["value"]
    assert [{"who?": "me"}] == answered.values["answers"]
    assert "idle" == status_of(start.client, thread_id)


def test_command_update_and_goto_steer_the_graph(start: Way) -> None:
    """On a thread that has a state, goto begins at a node and update changes the state first; no other node runs."""
    thread_id = start.client.threads.create(graph_id="steps").thread_id
    start.client.threads.update_state(thread_id, {"path": ["old"]}, as_node="three")

    ended = start(thread_id, "steps", command={"goto": "three", "update": {"path": ["mine"]}})

    assert ["old", "mine", "three"] == ended.values["path"]


def test_config_reaches_the_graph(start: Way, thread_id: str) -> None:
    """Tags, recursion limit, metadata and configurable are what the node sees."""
    config = {"tags": ["t1"], "recursion_limit": 7, "configurable": {"color": "red"}, "metadata": {"m": "1"}}

    seen = start(thread_id, "observer", input={"seen": {}}, config=config).values["seen"]

    assert (["t1"], 7, "red", "1") == (
        seen["tags"],
        seen["recursion_limit"],
        seen["configurable"]["color"],
        seen["metadata"]["m"],
    )


def test_config_recursion_limit_ends_a_run(start: Way, thread_id: str) -> None:
    """A graph of three steps with a limit of two fails, and the error is the graph's."""
    with pytest.raises(RunFailedError) as caught:
        start(thread_id, "steps", input={"path": []}, config={"recursion_limit": 2})

    assert "GraphRecursionError" == caught.value.error


def test_context_reaches_the_graph(start: Way, thread_id: str) -> None:
    """The runtime's context is what was given."""
    seen = start(thread_id, "observer", input={"seen": {}}, context={"user": "ann", "level": 0}).values["seen"]

    assert {"user": "ann", "level": 0} == seen["context"]


# -- what the server notes


def test_metadata_is_kept_with_the_run(start: Way, thread_id: str) -> None:
    """The run has the pairs that were given, beside the server's own."""
    run = start.run(start(thread_id, "echo", input={"value": 1}, metadata={"k": "\u2028", "n": 0, "none": None}))

    assert {"k": "\u2028", "n": 0, "none": None} == {k: run.metadata.get(k) for k in ("k", "n", "none")}


def test_langsmith_tracing_names_the_project(start: Way, thread_id: str) -> None:
    """Inside the run the traces are on their way to the project, with the example, beside the server's own."""
    tracing = {"project_name": "mine", "example_id": "e1"}

    seen = start(thread_id, "observer", input={"seen": {}}, langsmith_tracing=tracing).values["seen"]

    assert {"project_name": "mine", "updates": {"reference_example_id": "e1"}} in seen["traces"]


def test_headers_reach_the_server(start: Way, thread_id: str) -> None:
    """A request id of the caller's is stored with the run in place of ours."""
    run = start.run(start(thread_id, "echo", input={"value": 1}, headers={"X-Request-Id": "from-the-caller"}))

    assert "from-the-caller" == run.request_id


@pytest.mark.slow
def test_params_reach_the_server(start: Way, thread_id: str) -> None:
    """A query parameter that makes the server answer 500 does so, and no run is created."""
    with pytest.raises(InternalServerError) as caught:
        start(thread_id, "echo", input={"value": 1}, params={"fault": 500})

    assert (500, "Internal Server Error") == (caught.value.status_code, caught.value.message)
    assert [] == start.client.runs.list(thread_id)


def test_on_run_created_is_told_before_the_run_ends(start: Way, thread_id: str, gate: Gate) -> None:
    """The ids are known while the run still waits at a gate that opens only afterwards."""
    begun = start.begin(thread_id, "gated", input=gate.input())

    assert thread_id == begun.thread_id
    assert not gate.passed()
    assert start.client.runs.get(thread_id, begun.run_id).status in ("pending", "running")
    gate.open()
    assert ["begun", "run"] == begun.values()["passed"]


def test_webhook_is_called_when_the_run_has_ended(start: Way, thread_id: str, hook: ScriptedServer) -> None:
    """The receiver gets the run with its values and the configured header, once."""
    ended = start(thread_id, "echo", input={"value": 5}, webhook=f"{hook.url}/done?x=1")
    (request,) = hook.wait_for(1)

    assert ("POST", "/done?x=1", "static") == (request.method, request.target, request.header("X-Hook"))
    assert (ended.run_id, "success", 5) == (
        request.json()["run_id"],
        request.json()["status"],
        request.json()["values"]["echo"],
    )


def test_feedback_keys_are_asked_for_at_langsmith(client: Client) -> None:
    """Without LangSmith the server cannot make the URLs: the run fails for that reason and no other."""
    with contextlib.ExitStack() as stack:
        begun = []
        for call in ("create", "wait", "stream"):  # together, since the server takes seconds to give up
            start = stack.enter_context(contextlib.closing(Way(call, client)))
            thread_id = client.threads.create().thread_id
            begun.append(start.begin(thread_id, "echo", input={"value": 1}, feedback_keys=["score"]))
        for run in begun:
            with pytest.raises(RunFailedError) as caught:
                run.values()
            assert "LangSmith" in str(caught.value.error)


# -- when and where it runs


def test_after_seconds_delays_the_run(start: Way, thread_id: str, gate: Gate) -> None:
    """The run exists at once and is pending; it begins a second later and not before."""
    before = datetime.datetime.now(datetime.timezone.utc)
    begun = start.begin(thread_id, "gated", input=gate.input(), after_seconds=1.0)
    run = start.client.runs.get(thread_id, begun.run_id)
    waited_from = time.monotonic()
    assert ("pending", False) == (run.status, gate.begun())
    gate.wait_begun()

    assert run.created_at is not None and (run.created_at - before).total_seconds() >= 1.0
    assert time.monotonic() - waited_from > 0.5
    gate.open()
    assert ["begun", "run"] == begun.values()["passed"]


def test_after_seconds_zero_is_sent_and_means_now(start: Way, thread_id: str) -> None:
    """Zero is a value, not an absence."""
    run = start.run(start(thread_id, "echo", input={"value": 1}, after_seconds=0))

    assert 0 == run.kwargs["config"]["configurable"]["__after_seconds__"]


def test_if_not_exists_create_makes_the_thread(start: Way, new_id: str) -> None:
    """The thread has the id that the caller chose."""
    ended = start(new_id, "echo", input={"value": 1}, if_not_exists="create")

    assert (new_id, new_id) == (ended.thread_id, start.client.threads.get(new_id).thread_id)


def test_if_not_exists_reject_refuses_an_unknown_thread(start: Way, new_id: str) -> None:
    """NotFoundError, by default as well, and no thread is made."""
    for options in ({"if_not_exists": "reject"}, {}):
        with pytest.raises(NotFoundError):
            start(new_id, "echo", input={"value": 1}, **options)
    with pytest.raises(NotFoundError):
        start.client.threads.get(new_id)


@pytest.mark.parametrize("keep", [False, True])
def test_on_completion_decides_about_the_temporary_thread(start: Way, gate: Gate, keep: bool) -> None:
    """A stateless run's thread is gone when it has ended, unless it is to be kept."""
    key = str(uuid.uuid4())
    options: dict[str, Any] = {"metadata": {"key": key}, "on_completion": "keep" if keep else "delete"}
    # nothing but its metadata tells the thread of a stateless stream
    finish = start.begin_alone("gated", input=gate.input(), **options)
    (found,) = start.client.threads.search(metadata={"key": key})
    gate.open()
    finish()
    thread_id = found.thread_id

    if keep:
        wait_until(lambda: status_of(start.client, thread_id) == "idle", "the run to end")
        assert ["begun", "run"] == start.client.threads.get(thread_id).values["passed"]
    else:
        wait_until(lambda: _is_gone(start.client, thread_id), "the thread to be deleted")


def _is_gone(client: Client, thread_id: str) -> bool:
    try:
        client.threads.get(thread_id)
    except NotFoundError:
        return True
    return False


# -- two runs on one thread


def test_multitask_reject_refuses_a_second_run(start: Way, thread_id: str, gate: Gate) -> None:
    """ConflictError at once, nothing is created, the first run goes on to its end."""
    first = start.client.runs.create(thread_id, "gated", input=gate.input("first"))

    with pytest.raises(ConflictError):
        start(thread_id, "gated", input=gate.input("second"), multitask_strategy="reject")

    assert [first.run_id] == [run.run_id for run in start.client.runs.list(thread_id)]
    gate.open()
    assert ["begun", "first"] == start.client.runs.join(thread_id, first.run_id)["passed"]
    assert not gate.begun("second")


def test_multitask_enqueue_waits_for_the_first_run(start: Way, thread_id: str, gate: Gate) -> None:
    """The second run is pending as long as the first runs, then both have run in order; so it is by default."""
    first = start.client.runs.create(thread_id, "gated", input=gate.input("first"))
    gate.wait_begun("first")
    second = start.begin(thread_id, "gated", input=gate.input("second"), multitask_strategy="enqueue")
    third = start.client.runs.create(thread_id, "gated", input=gate.input("third"))

    assert {"running": 1, "pending": 2} == {
        status: len(start.client.runs.list(thread_id, status=status)) for status in ("running", "pending")
    }
    assert not gate.begun("second")
    gate.open()
    assert ["begun", "first", "begun", "second"] == second.values()["passed"][:4]
    start.client.runs.join(thread_id, third.run_id)
    assert ["success"] * 3 == [run.status for run in start.client.runs.list(thread_id)]
    assert "enqueue" == third.multitask_strategy == first.multitask_strategy


def test_multitask_interrupt_ends_the_first_run_and_keeps_its_work(start: Way, thread_id: str, gate: Gate) -> None:
    """The first run is cancelled, what it had written stays in the thread, and the second one runs."""
    first = start.client.runs.create(thread_id, "gated", input=gate.input("first"))
    gate.wait_begun("first")
    wait_until(lambda: start.client.threads.get_state(thread_id).next == ("hold",), "the first step to be written")
    second = start.begin(thread_id, "gated", input=gate.input("second"), multitask_strategy="interrupt")
    gate.wait_begun("second")
    gate.open()

    assert ["begun", "begun", "second"] == second.values()["passed"]
    assert "interrupted" == start.client.runs.get(thread_id, first.run_id).status
    assert not gate.passed("first")


def test_multitask_rollback_deletes_the_first_run_and_its_work(start: Way, thread_id: str, gate: Gate) -> None:
    """The first run is gone with all that it had written, and the second one runs."""
    first = start.client.runs.create(thread_id, "gated", input=gate.input("first"))
    gate.wait_begun("first")
    second = start.begin(thread_id, "gated", input=gate.input("second"), multitask_strategy="rollback")
    gate.wait_begun("second")
    gate.open()

    assert ["begun", "second"] == second.values()["passed"]
    with pytest.raises(NotFoundError):
        start.client.runs.get(thread_id, first.run_id)
    assert not gate.passed("first")


# -- pauses, history


@pytest.mark.parametrize("option, done", [("interrupt_before", ["one"]), ("interrupt_after", ["one", "two"])])
def test_interrupts_pause_at_the_node(start: Way, thread_id: str, option: str, done: list[str]) -> None:
    """The run succeeds with what was done so far, the thread is interrupted, and goes on when run without input."""
    ended = start(thread_id, "steps", input={"path": []}, **{option: ["two"]})

    assert done == ended.values["path"]
    assert ("success", "interrupted") == (start.run(ended).status, status_of(start.client, thread_id))
    assert (["two"] if option == "interrupt_before" else ["three"]) == list(start.client.threads.get_state(thread_id).next)
    assert ["one", "two", "three"] == start(thread_id, "steps").values["path"]


def test_interrupt_star_pauses_at_every_node(start: Way, thread_id: str) -> None:
    """``"*"`` before: nothing has run. ``"*"`` after: one node at a time."""
    start(thread_id, "steps", input={"path": ["mine"]}, interrupt_before="*")
    assert ["one"] == list(start.client.threads.get_state(thread_id).next)

    assert ["mine", "one"] == start(thread_id, "steps", interrupt_after="*").values["path"]


def _history(client: Client, thread_id: str) -> list[Any]:
    return [state.values.get("path") for state in client.threads.get_history(thread_id, limit=100)]


@pytest.mark.parametrize("durability, checkpoints", [("sync", 5), ("exit", 1)])
def test_durability_decides_what_is_written(start: Way, thread_id: str, durability: str, checkpoints: int) -> None:
    """A graph of three steps leaves five checkpoints, or with exit only the last."""
    start(thread_id, "steps", input={"path": []}, durability=durability)

    history = _history(start.client, thread_id)
    assert (checkpoints, ["one", "two", "three"]) == (len(history), history[0])


def test_checkpoint_during_false_leaves_one_checkpoint_and_warns(start: Way, thread_id: str) -> None:
    """The deprecated spelling of durability="exit" works, and says at the caller's line what to write instead."""
    with pytest.warns(DeprecationWarning, match="durability") as warned:
        start(thread_id, "steps", input={"path": []}, checkpoint_during=False)

    assert 1 == len(_history(start.client, thread_id))
    assert {"ways.py"} == {warning.filename.rsplit("/", 1)[-1] for warning in warned}


@pytest.mark.parametrize("spelling", ["checkpoint", "checkpoint_id"])
def test_checkpoint_forks_the_thread(start: Way, spelling: str) -> None:
    """A run from an earlier checkpoint does not see what was written after it."""
    threads = start.client.threads
    thread_id = threads.create(graph_id="echo").thread_id
    threads.update_state(thread_id, {"turns": 1}, as_node="say")
    checkpoint = threads.get_state(thread_id).checkpoint
    threads.update_state(thread_id, {"turns": 10}, as_node="say")
    assert checkpoint is not None
    assert 11 == threads.get_state(thread_id).values["turns"]
    options: dict[str, Any] = {spelling: checkpoint if spelling == "checkpoint" else checkpoint.checkpoint_id}

    forked = start(thread_id, "echo", input={"value": "fork"}, **options)

    assert ("fork", 2) == (forked.values["echo"], forked.values["turns"])


# -- what is streamed, and kept


def test_stream_resumable_keeps_the_events(start: Way, thread_id: str) -> None:
    """The events of a resumable run can be had again after its end; of one that is not, nothing can, and that is an error."""
    kept = start(thread_id, "burst", input={"n": 3}, stream_mode="custom", stream_resumable=True)
    lost = start(thread_id, "burst", input={"n": 3}, stream_mode="custom", stream_resumable=False)

    assert [{"i": 0}, {"i": 1}, {"i": 2}] == [e.data for e in replay(start.client, kept) if e.mode == "custom"]
    with pytest.raises(StreamInterruptedError, match="cut after 0 events"):
        list(replay(start.client, lost))


def test_stream_mode_decides_what_is_streamed(start: Way, thread_id: str) -> None:
    """Only the modes that were asked for, metadata always: seen in the events that were kept."""
    options: dict[str, Any] = {"stream_resumable": True, "stream_mode": ["updates", "custom", "metadata"]}
    ended = start(thread_id, "burst", input={"n": 1}, **options)

    assert ["metadata", "custom", "updates"] == [event.event for event in replay(start.client, ended)]


def test_stream_subgraphs_streams_the_child_as_well(start: Way, thread_id: str) -> None:
    """With it events of the child graph come, under its namespace; without it only the outer graph's."""
    options: dict[str, Any] = {"stream_resumable": True, "stream_mode": "updates"}
    both = list(replay(start.client, start(thread_id, "nested", input={"path": []}, stream_subgraphs=True, **options)))
    outer = list(replay(start.client, start(thread_id, "nested", input={"path": []}, **options)))

    children = [event for event in both if event.namespace]
    assert [("updates", {"inner": {"path": ["inner"]}})] == [(event.mode, event.data) for event in children]
    assert children[0].namespace[0].startswith("child:")
    assert [] == [event for event in outer if event.namespace]


# -- how it is called


PAYLOADS: dict[str, type[RunsInvokePayload]] = {
    "create": RunsCreatePayload,
    "wait": RunsWaitPayload,
    "stream": RunsStreamPayload,
}


def test_a_payload_is_the_third_argument_and_keywords_are_laid_over(start: Way, thread_id: str) -> None:
    """What the payload says holds, unless a keyword says otherwise."""
    payload = PAYLOADS[start.call](input={"value": "payload"}, metadata={"from": "payload"}, after_seconds=0)

    ended = start(thread_id, "echo", payload, input={"value": "keyword"})

    assert ("keyword", "payload") == (ended.values["echo"], start.run(ended).metadata["from"])


def test_kwargs_are_sent_as_they_are(start: Way, thread_id: str) -> None:
    """A field that is given as kwargs has the effect of the option, in a payload and as a keyword."""
    payload = PAYLOADS[start.call](input={"path": []}, kwargs={"durability": "exit"})
    start(thread_id, "steps", payload)
    assert 1 == len(_history(start.client, thread_id))

    run = start.run(start(thread_id, "echo", input={"value": 1}, kwargs={"metadata": {"k": "v"}, "newer_option": 1}))
    assert "v" == run.metadata["k"]


def test_strict_resume_does_no_harm_where_it_is_unknown(start: Way, thread_id: str) -> None:
    """This server does not know the option: resuming what is paused works with it."""
    start(thread_id, "asker", input={"questions": ["?"]})

    assert [{"?": 1}] == start(thread_id, "asker", command={"resume": 1}, strict_resume=True).values["answers"]


@pytest.mark.parametrize("on_disconnect, status", [("cancel", "interrupted"), ("continue", "success"), (None, "success")])
@pytest.mark.parametrize("start", ["wait", "stream"], indirect=True)
def test_on_disconnect_decides_what_becomes_of_the_run(
    start: Way, thread_id: str, gate: Gate, on_disconnect: Any, status: str
) -> None:
    """When the caller has gone, the run is cancelled or goes on to its end; it goes on by default."""
    controller = AbortController()
    options: dict[str, Any] = {} if on_disconnect is None else {"on_disconnect": on_disconnect}
    begun = start.begin(thread_id, "gated", input=gate.input(), signal=controller.signal, **options)
    gate.wait_begun()
    controller.abort()
    with pytest.raises(AbortedError):
        begun.values()
    if on_disconnect != "cancel":
        assert "running" == start.client.runs.get(thread_id, begun.run_id).status
        gate.open()
    run = wait_until(lambda: _ended(start.client, thread_id, begun.run_id), "the run to end")

    assert status == run.status
    assert (status == "success") == gate.passed()


def _ended(client: Client, thread_id: str, run_id: str) -> Any:
    run = client.runs.get(thread_id, run_id)
    return run if run.finished else None


@pytest.mark.parametrize("on_timeout, status", [(None, "running"), ("cancel", "interrupted")])
@pytest.mark.parametrize("call", ["wait", "stream", "join", "join_stream"])
def test_timeout_ends_the_call_and_on_timeout_the_run(
    client: Client, thread_id: str, gate: Gate, call: str, on_timeout: Any, status: str
) -> None:
    """The call ends when its time is over, with the ids of the run; the run is cancelled only if so asked."""
    options: dict[str, Any] = {"timeout": 0.9, "on_timeout": on_timeout}
    with pytest.raises(DeadlineExceededError) as caught:
        if call.startswith("join"):
            run_id = client.runs.create(thread_id, "gated", input=gate.input()).run_id
            gate.wait_begun()
            begun = time.monotonic()
            if call == "join":
                client.runs.join(thread_id, run_id, **options)
            else:
                list(client.runs.join_stream(thread_id, run_id, **options))
        else:
            begun = time.monotonic()
            if call == "wait":
                client.runs.wait(thread_id, "gated", input=gate.input(), **options)
            else:
                list(client.runs.stream(thread_id, "gated", input=gate.input(), **options))

    assert 0.9 <= time.monotonic() - begun < 0.9 + PROMPT
    assert thread_id == caught.value.thread_id
    assert caught.value.run_id is not None
    run = client.runs.get(thread_id, caught.value.run_id)
    assert (run.status in ("running", "pending")) if status == "running" else (status == run.status)
    assert not gate.passed()


@pytest.mark.parametrize("start", ["wait", "stream"], indirect=True)
def test_signal_ends_the_call_and_not_the_run(start: Way, thread_id: str, gate: Gate) -> None:
    """An abort ends the call in a moment; the run goes on."""
    controller = AbortController()
    begun = start.begin(thread_id, "gated", input=gate.input(), signal=controller.signal)
    gate.wait_begun()
    at = time.monotonic()
    controller.abort()
    with pytest.raises(AbortedError):
        begun.values()

    assert time.monotonic() - at < PROMPT
    assert "running" == start.client.runs.get(thread_id, begun.run_id).status


def test_a_signal_that_has_fired_sends_nothing(start: Way, thread_id: str) -> None:
    """AbortedError, and no run."""
    controller = AbortController()
    controller.abort()
    with pytest.raises(AbortedError):
        start(thread_id, "echo", input={"value": 1}, signal=controller.signal)

    assert [] == start.client.runs.list(thread_id)


@pytest.mark.parametrize("call", ["wait", "stream", "join", "join_stream"])
def test_raise_error_false_gives_the_outcome(client: Client, thread_id: str, call: str) -> None:
    """A failed run is an object with the graph's error and what there was before it, and nothing is raised."""
    given = {"error": "ValueError", "message": "boom"}
    if call == "wait":
        outcome = client.runs.wait(thread_id, "failing", input=given, raise_error=False)
    elif call == "stream":
        with client.runs.stream(thread_id, "failing", input=given, raise_error=False) as stream:
            assert "error" == list(stream)[-1].event
        outcome = stream.outcome
    else:
        run = client.runs.create(thread_id, "failing", input=given)
        if call == "join":
            outcome = client.runs.join(thread_id, run.run_id, raise_error=False)
        else:
            with client.runs.join_stream(thread_id, run.run_id, raise_error=False) as joined:
                for _ in joined:
                    pass
            outcome = joined.outcome

    assert outcome is not None
    assert ("error", "ValueError", "boom") == (outcome.status, outcome.error, outcome.message)
    assert "the failure" == outcome.values["before"]


def test_a_cancelled_run_raises_with_what_there_was(start: Way, thread_id: str, gate: Gate) -> None:
    """Whoever waits for a run that somebody else cancels gets RunCancelledError with the values so far."""
    begun = start.begin(thread_id, "gated", input=gate.input())
    gate.wait_begun()
    wait_until(lambda: start.client.threads.get_state(thread_id).next == ("hold",), "the first step to be written")
    start.client.runs.cancel(thread_id, begun.run_id)

    with pytest.raises(RunCancelledError) as caught:
        begun.values()

    assert (begun.run_id, ["begun"]) == (caught.value.run_id, caught.value.values["passed"])
    assert not gate.passed()


def test_the_options_of_a_client_hold_for_its_calls(server: DevServer, thread_id: str) -> None:
    """Headers of the client are sent with every call; a policy of one attempt repeats nothing."""
    retried: list[Any] = []
    policy = RetryPolicy(attempts=3, wait_initial=0.0, on_retry=retried.append)
    with Client(server.url, headers={"x-fault": "503"}, retry=policy) as client:
        with pytest.raises(InternalServerError) as caught:
            client.runs.get(thread_id, thread_id)
        assert (503, 3, 2) == (caught.value.status_code, caught.value.attempts, len(retried))
        with pytest.raises(InternalServerError) as caught:
            client.with_options(retry=RetryPolicy(attempts=1)).runs.get(thread_id, thread_id)
        assert (1, 2) == (caught.value.attempts, len(retried))

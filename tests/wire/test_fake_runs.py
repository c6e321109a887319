"""The fake server for users' tests: runs follow scripts, and tests can assert the requests."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import ANY

import pytest

from langgraph_runs import (
    AuthenticationError,
    ConflictError,
    CreateUncertainError,
    DeadlineExceededError,
    InternalServerError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    RunCancelledError,
    RunFailedError,
    RunTimedOutError,
    StreamInterruptedError,
)
from langgraph_runs.testing import (
    Dialect,
    FakeRun,
    FakeRuns,
    GraphFailure,
    fails,
    fake_server,
    is_cancelled,
    never_ends,
    no_wait,
    pauses,
    rate_limited,
    refuses,
    succeeds,
    times_out,
    unauthorized,
    unavailable,
    values_event,
)
from langgraph_runs.testing.replies import reply_json

NUMBERS = [("custom", {"i": i}) for i in range(6)]
MODES: Any = ["custom", "values"]


def names(events: Any) -> list[str]:
    return [event.event for event in events]


# -- what runs do


def test_a_run_succeeds_with_the_values_of_its_script() -> None:
    """By wait, by create and join, by stream, on a thread and on none."""
    with fake_server() as fake:
        client = fake.client()
        fake.script(*[succeeds({"n": 2})] * 4)
        thread_id = client.threads.create().thread_id
        assert {"n": 2} == client.runs.wait(thread_id, "agent", input={"n": 1})
        assert {"n": 2} == client.runs.wait(None, "agent")
        run = client.runs.create(thread_id, "agent")
        assert {"n": 2} == client.runs.join(thread_id, run.run_id)
        with client.runs.stream(thread_id, "agent") as stream:
            assert ["metadata", "values"] == names(stream)
        assert stream.outcome is not None
        assert ({"n": 2}, "success") == (stream.values, stream.outcome.status)


def test_a_run_streams_the_events_of_its_script() -> None:
    """Pairs, events that a factory made, pauses and events to wait for; of the modes that were requested."""
    go = threading.Event()
    go.set()
    with fake_server() as fake:
        fake.script(succeeds(events=[("custom", 1), values_event({"a": 1}), 0.01, go, ("updates", {"x": 1}), ("values", {"a": 2})]))
        with fake.client().runs.stream(None, "agent", stream_mode=MODES) as stream:
            assert ["metadata", "custom", "values", "values"] == names(stream)
        assert {"a": 2} == stream.values


def test_a_run_may_be_a_function() -> None:
    """It is given the run, may look at its input and emit, and returns the values; one that repeats is for every run."""

    def double(run: FakeRun) -> Any:
        run.emit("custom", run.assistant_id)
        return {"n": run.input["n"] * 2}

    with fake_server() as fake:
        fake.script(double, repeat=True)
        with ThreadPoolExecutor(8) as pool:
            client = fake.client()
            doubled = list(pool.map(lambda n: client.runs.wait(None, "agent", input={"n": n})["n"], range(40)))
        assert [2 * n for n in range(40)] == doubled


def test_a_run_fails_as_its_script_says() -> None:
    """The call raises with class, message, run and the values so far; thread and run tell the same."""
    with fake_server() as fake:
        client = fake.client()
        thread_id = client.threads.create().thread_id
        fake.script(*[fails("KeyError", "ink", values={"n": 1})] * 2)
        with pytest.raises(RunFailedError) as caught:
            client.runs.wait(thread_id, "agent")
        assert ("KeyError", "ink", {"n": 1}) == (caught.value.error, caught.value.message, caught.value.values)
        run, thread = client.runs.get(thread_id, str(caught.value.run_id)), client.threads.get(thread_id)
        assert ("error", "error", "ink") == (run.status, thread.status, thread.error["message"])
        assert "KeyError('ink')" == client.threads.get_state(thread_id).tasks[0].error
        with client.runs.stream(thread_id, "agent") as stream, pytest.raises(RunFailedError):
            list(stream)


def test_a_paused_run_is_answered_by_the_next_script() -> None:
    """The question is on the run, the thread and its state; the resume command starts the run that goes on."""
    with fake_server() as fake:
        client = fake.client()
        thread_id = client.threads.create().thread_id
        fake.script(pauses({"question": "Send?"}, values={"draft": "Hi"}), lambda run: {"sent": run.resume == "yes"})
        outcome = client.runs.wait(thread_id, "agent", raise_error=False)
        assert (True, {"question": "Send?"}, {"draft": "Hi"}) == (
            outcome.paused,
            outcome.interrupts[0].value,
            {k: v for k, v in outcome.values.items() if k != "__interrupt__"},
        )
        thread, state = client.threads.get(thread_id), client.threads.get_state(thread_id)
        assert "interrupted" == thread.status
        (asked,) = [one for several in thread.interrupts.values() for one in several]
        assert outcome.interrupts[0].id == asked.id == state.interrupts[0].id
        assert ("review",) == state.next
        assert {"sent": True} == client.runs.wait(thread_id, "agent", command={"resume": "yes"})
        assert ("idle", {}) == (client.threads.get(thread_id).status, client.threads.get(thread_id).interrupts)
        fake.assert_started(command={"resume": "yes"}, thread_id=thread_id)


def test_a_pause_without_a_question_is_a_pause() -> None:
    """As by interrupt_before: the values do not show it, but the outcome does."""
    with fake_server() as fake:
        fake.script(pauses(values={"n": 1}, node="send"))
        outcome = fake.client().runs.wait(str(uuid.uuid4()), "agent", if_not_exists="create", raise_error=False)
        assert (True, (), {"n": 1}) == (outcome.paused, outcome.interrupts, outcome.values)


@pytest.mark.parametrize(
    "script, error, status", [(is_cancelled, RunCancelledError, "interrupted"), (times_out, RunTimedOutError, "timeout")]
)
def test_a_run_is_stopped(script: Any, error: Any, status: str) -> None:
    """Cancelled by another program or timed out: the call raises, with what there was, though the server answers 200."""
    with fake_server() as fake:
        client = fake.client()
        thread_id = client.threads.create().thread_id
        fake.script(*[script({"n": 1})] * 2)
        with pytest.raises(error) as caught:
            client.runs.wait(thread_id, "agent")
        assert ({"n": 1}, status) == (caught.value.values, client.runs.get(thread_id, caught.value.run_id).status)
        with client.runs.stream(thread_id, "agent") as stream, pytest.raises(error):
            list(stream)


def test_a_run_that_never_ends_is_cancelled() -> None:
    """By a deadline with on_timeout, or by a stop button; it is known how."""
    with fake_server() as fake:
        client = fake.client()
        thread_id = client.threads.create().thread_id
        fake.script(never_ends({"n": 1}), never_ends())
        with pytest.raises(DeadlineExceededError) as caught:
            client.runs.wait(thread_id, "agent", timeout=0.3, on_timeout="cancel")
        assert "interrupted" == client.runs.get(thread_id, str(caught.value.run_id)).status
        second = client.runs.create(thread_id, "agent")
        client.runs.cancel(thread_id, second.run_id, action="rollback")
        with pytest.raises(NotFoundError):
            client.runs.get(thread_id, second.run_id)
        fake.assert_cancelled(fake.started[0], action="interrupt")
        fake.assert_cancelled(fake.started[1], action="rollback")
        with pytest.raises(AssertionError, match="no run was cancelled by 'rollback', but by 'interrupt'"):
            fake.assert_cancelled(fake.started[0], action="rollback")


def test_lasting_delays_the_end_of_a_run() -> None:
    """As long as its script says, or until the test sets an event."""
    go = threading.Event()
    with fake_server() as fake:
        client = fake.client()
        thread_id = client.threads.create().thread_id
        fake.script(succeeds({"n": 1}).lasting(0.2), succeeds({"n": 2}).once(go))
        began = time.monotonic()
        client.runs.wait(thread_id, "agent")
        assert time.monotonic() - began >= 0.2
        run = client.runs.create(thread_id, "agent")
        assert not client.runs.get(thread_id, run.run_id).finished
        go.set()
        assert {"n": 2} == client.runs.join(thread_id, run.run_id)


# -- connections


@pytest.mark.parametrize("how", ["fin", "rst", "end"])
def test_a_cut_stream_is_resumed_exactly(how: str) -> None:
    """Each connection breaks as scripted; every event comes once."""
    with fake_server() as fake:
        fake.script(succeeds({"n": 6}, events=NUMBERS).cut_after(2, how).cut_after(1, how))
        with fake.client().runs.stream(str(uuid.uuid4()), "agent", if_not_exists="create", stream_mode=MODES) as stream:
            events = list(stream)
        assert [*range(6)] == [event.data["i"] for event in events if event.event == "custom"]
        assert ["metadata", *["custom"] * 6, "values"] == names(events)
        assert 2 <= sum(request.path.endswith("/stream") and request.method == "GET" for request in fake.requests)


def test_cut_after_counts_the_events_of_the_script() -> None:
    """The metadata event is not counted: with 0 it alone has come."""
    with fake_server() as fake:
        fake.script(succeeds(events=NUMBERS).cut_after(0, "rst").unreplayable())
        with fake.client().runs.stream(str(uuid.uuid4()), "agent", if_not_exists="create", stream_mode=MODES) as stream:
            assert "metadata" == next(stream).event
            with pytest.raises(StreamInterruptedError):
                list(stream)


def test_a_stream_that_cannot_be_replayed_is_interrupted() -> None:
    """After what did come; the error says how many events that were."""
    with fake_server() as fake:
        fake.script(succeeds(events=NUMBERS).cut_after(3).unreplayable())
        seen: list[Any] = []
        with fake.client().runs.stream(str(uuid.uuid4()), "agent", if_not_exists="create", stream_mode="custom") as stream:
            with pytest.raises(StreamInterruptedError) as caught:
                seen.extend(stream)
        assert caught.value.run_id == fake.started[0].run_id


def test_a_wait_that_is_cut_is_joined_again() -> None:
    """The run is started once, and its values come by another connection."""
    with fake_server() as fake:
        fake.script(succeeds({"n": 1}).cut_after(0))
        assert {"n": 1} == fake.client().runs.wait(str(uuid.uuid4()), "agent", if_not_exists="create")
        fake.assert_started(times=1)
        fake.assert_requested("GET", "/threads/*/runs/*/join")


def test_a_create_without_a_response_is_found_by_its_request_id() -> None:
    """On a thread the run is returned, and not started twice; a stateless one cannot be looked up."""
    with fake_server() as fake:
        client = fake.client()
        thread_id = client.threads.create().thread_id
        fake.script(*[succeeds({"n": 1}).unanswered()] * 2)
        assert fake.started == []
        run = client.runs.create(thread_id, "agent")
        request = fake.started[0].request
        assert request is not None
        assert (run.run_id, run.request_id) == (fake.started[0].run_id, request.header("x-request-id"))
        with pytest.raises(CreateUncertainError):
            client.runs.create(None, "agent")


# -- refusals


def test_a_429_is_waited_for_and_repeated() -> None:
    """The next script is for the repeat; with Retry-After the policy of the client decides."""
    with fake_server() as fake:
        fake.script(rate_limited(retry_after=30), rate_limited(), succeeds({"n": 1}))
        assert {"n": 1} == fake.client().runs.wait(None, "agent")
        fake.assert_started(times=1)
        fake.assert_requested("POST", "/threads/*/runs/wait", times=3)


def test_a_repeated_429_is_an_error_with_retry_after() -> None:
    with fake_server() as fake:
        fake.script(*[rate_limited(retry_after=7)] * 2)
        with pytest.raises(RateLimitError) as caught:
            fake.client(retry=no_wait(attempts=2)).runs.create(None, "agent")
        assert (7.0, 2) == (caught.value.retry_after, caught.value.attempts)
        fake.assert_not_started()


def test_a_503_with_retry_after_is_repeated() -> None:
    """It says that nothing was done. Without, a stateless create that got a 503 is uncertain."""
    with fake_server() as fake:
        fake.script(unavailable(), succeeds({"n": 1}), unavailable(retry_after=None))
        assert {"n": 1} == fake.client().runs.wait(None, "agent")
        with pytest.raises((CreateUncertainError, InternalServerError)):
            fake.client().runs.create(None, "agent")


@pytest.mark.parametrize("refusal, error", [(unauthorized(), AuthenticationError), (refuses(409, "busy"), ConflictError)])
def test_other_refusals_are_errors_at_once(refusal: Any, error: Any) -> None:
    with fake_server() as fake:
        fake.script(refusal)
        with pytest.raises(error):
            fake.client().runs.create(None, "agent")
        fake.assert_requested("POST", "/runs", times=1)


def test_any_request_can_get_another_reply() -> None:
    """Once for each time it is said; a star is one segment."""
    with fake_server() as fake:
        client = fake.client(retry=no_wait(1))
        thread_id = client.threads.create().thread_id
        fake.instead("GET", "/threads/*", reply_json(500, {"detail": "broken"}))
        with pytest.raises(InternalServerError, match="broken"):
            client.threads.get(thread_id)
        assert thread_id == client.threads.get(thread_id).thread_id


# -- the server's state


def test_runs_threads_and_lists_are_consistent() -> None:
    """get, list and search return what create returned; deleted records do not exist any more."""
    with fake_server() as fake:
        fake.script(succeeds({"n": 1}), succeeds({"n": 2}))
        client = fake.client()
        thread = client.threads.create(metadata={"customer": "ada"})
        made = [client.runs.create(thread.thread_id, "agent", input={"i": i}, metadata={"i": i}) for i in range(2)]
        for run in made:
            client.runs.join(thread.thread_id, run.run_id)
        runs = client.runs.list(thread.thread_id)
        assert [run.run_id for run in made][::-1] == [run.run_id for run in runs]
        assert {"i": 1} == runs[0].kwargs["input"]
        assert {"customer": "ada", "i": 1}.items() <= runs[0].metadata.items()
        assert runs[0] == client.runs.get(thread.thread_id, runs[0].run_id)
        assert [thread.thread_id] == [t.thread_id for t in client.threads.search(metadata={"customer": "ada"})]
        assert [{"n": 2}, {"n": 1}] == [state.values for state in client.threads.get_history(thread.thread_id)]
        assert {"n": 1} == client.runs.join(thread.thread_id, made[0].run_id)  # its own, though a later run has come
        client.runs.delete(thread.thread_id, made[0].run_id)
        assert [made[1].run_id] == [run.run_id for run in client.runs.iter(thread.thread_id)]
        client.threads.delete(thread.thread_id)
        with pytest.raises(NotFoundError):
            client.runs.list(thread.thread_id)


def test_threads_can_be_read_changed_and_copied() -> None:
    with fake_server() as fake:
        client = fake.client()
        thread_id = client.threads.create(thread_id=str(uuid.uuid4())).thread_id
        assert ({}, ()) == (client.threads.get_state(thread_id).values, client.threads.get_state(thread_id).next)
        client.threads.update_state(thread_id, {"n": 1})
        client.threads.update(thread_id, metadata={"k": 1})
        copy = client.threads.copy(thread_id)
        assert ({"n": 1}, 1) == (client.threads.get_state(copy.thread_id).values["n"] and {"n": 1}, copy.metadata["k"])
        with pytest.raises(ConflictError):
            client.threads.create(thread_id=thread_id)
        assert thread_id == client.threads.create(thread_id=thread_id, if_exists="do_nothing").thread_id


def test_threads_and_runs_can_be_added_before_the_test() -> None:
    """A thread of an earlier day, with its state; a run that another program has started."""
    with fake_server() as fake:
        client = fake.client()
        thread_id = fake.add_thread(values={"n": 1}, metadata={"old": True})["thread_id"]
        assert {"n": 1} == client.threads.get_state(thread_id).values
        run = fake.start(succeeds({"n": 2}), thread_id, input={"by": "cron"})
        assert {"n": 2} == client.runs.join(thread_id, run.run_id)
        assert {"by": "cron"} == client.runs.list(thread_id)[0].kwargs["input"]
        fake.assert_not_started()


def test_a_busy_thread_refuses_a_run_with_reject() -> None:
    """multitask_strategy counts: reject is a 409 and takes no script."""
    with fake_server() as fake:
        client = fake.client()
        thread_id = client.threads.create().thread_id
        fake.script(never_ends(), succeeds({"n": 1}))
        client.runs.create(thread_id, "agent")
        with pytest.raises(ConflictError):
            client.runs.create(thread_id, "agent", multitask_strategy="reject")
        assert {"n": 1} == client.runs.wait(thread_id, "agent", multitask_strategy="interrupt")


def test_assistants_and_info_have_endpoints() -> None:
    with fake_server() as fake:
        client = fake.client()
        (assistant,) = client.assistants.search()
        assert ("agent", assistant) == (assistant.graph_id, client.assistants.get(assistant.assistant_id))
        assert client.ok() and client.info().version
        fake.script(succeeds())
        run = client.runs.create(None, assistant.assistant_id)
        assert (assistant.assistant_id, "agent") == (run.assistant_id, run.metadata["graph_id"])


def test_the_assistant_of_a_graph_is_as_new_after_it_was_deleted() -> None:
    """Its versions are gone, and which of them was the current one."""
    with fake_server() as fake:
        client = fake.client()
        (assistant,) = client.assistants.search()
        client.assistants.update(assistant.assistant_id, name="Two")
        client.assistants.delete(assistant.assistant_id)
        (version,) = client.assistants.get_versions(assistant.assistant_id)
        assert (1, "agent") == (version.version, version.name)
        assert [assistant] == client.assistants.search()


@pytest.mark.parametrize(
    "dialect", [Dialect(newline="\n", ids="uuid", end_event=True), Dialect(prefix="/api", locations=False)], ids=str
)
def test_a_dialect_imitates_another_server(dialect: Dialect) -> None:
    with fake_server(dialect=dialect) as fake:
        fake.script(succeeds({"n": 6}, events=NUMBERS).cut_after(2))
        with fake.client().runs.stream(fake.add_thread()["thread_id"], "agent", stream_mode=MODES) as stream:
            assert 6 == names(stream).count("custom")


def test_a_batch_takes_a_script_for_each_run() -> None:
    with fake_server() as fake:
        fake.script(succeeds({"n": 1}), succeeds({"n": 2}))
        items: Any = [{"assistant_id": "agent", "on_completion": "keep"}] * 2
        client = fake.client()
        runs = client.runs.create_batch(items)
        assert [{"n": 1}, {"n": 2}] == [client.runs.join(run.thread_id, run.run_id) for run in runs]


def test_many_inputs_can_be_mapped() -> None:
    """By a function that is given each input; a failed one is reported."""

    def work(run: FakeRun) -> Any:
        if run.input["n"] == 3:
            raise GraphFailure("ValueError", "three")
        return {"n": run.input["n"] + 1}

    with fake_server() as fake:
        fake.script(work, repeat=True)
        results = list(fake.client().runs.map("agent", [{"n": n} for n in range(6)]))
        errors = {result.index: type(result.error) for result in results if result.error is not None}
        assert {3: RunFailedError} == errors
        assert {0: 1, 1: 2, 2: 3, 4: 5, 5: 6} == {r.index: r.values["n"] for r in results if r.error is None}
        fake.assert_started(times=6)


# -- which script is for which run


def test_scripts_can_be_limited_to_runs_with_given_fields() -> None:
    """In whatever order they come; one that repeats steps back for one that fits but once."""
    with fake_server() as fake:
        fake.script(succeeds({"by": "default"}), repeat=True)
        fake.script(succeeds({"by": "writer"}), assistant_id="writer")
        fake.script(succeeds({"by": "two"}), input={"n": 2})
        client = fake.client()
        told = [
            client.runs.wait(None, name, input={"n": n})["by"] for name, n in [("a", 2), ("writer", 1), ("writer", 1), ("a", 2)]
        ]
        assert ["two", "writer", "default", "default"] == told


@pytest.mark.parametrize("bad", [{"n": 1}, "succeeds", None, 3])
def test_an_invalid_script_is_refused(bad: Any) -> None:
    with fake_server() as fake, pytest.raises(InvalidRequestError, match="give succeeds"):
        fake.script(bad)


@pytest.mark.parametrize("bad", ["values", ("values",), (1, 2), -1, ("custom", {1, 2}), ("custom", float("nan"))])
def test_an_invalid_step_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidRequestError, match="^events: "):
        succeeds(events=[bad])


@pytest.mark.parametrize("make", [lambda: succeeds({1, 2}), lambda: succeeds(float("nan")), lambda: fails(values=object())])
def test_values_that_are_not_json_are_refused(make: Any) -> None:
    with pytest.raises(InvalidRequestError, match="^values: .* is not JSON"):
        make()


@pytest.mark.parametrize("function", [lambda run: {1, 2}, lambda run: run.emit("custom", {1, 2})])
def test_a_function_that_returns_no_json_fails_the_test(function: Any) -> None:
    """And the run; the connection is not broken."""
    with pytest.raises(AssertionError, match="JSON"):
        with fake_server() as fake:
            fake.script(function)
            with pytest.raises(RunFailedError, match="JSON"):
                fake.client().runs.wait(None, "agent", stream_mode=["values", "custom"])


def test_runs_of_other_threads_can_be_waited_for() -> None:
    """For a while, and not for ever."""
    with fake_server() as fake, ThreadPoolExecutor(1) as pool:
        fake.script(succeeds({"n": 1}))
        client = fake.client()
        future = pool.submit(client.runs.wait, None, "agent")
        begun = fake.wait_started()
        assert (1, begun) == (len(begun), fake.started)
        with pytest.raises(AssertionError, match=r"waited 0.05 s for 2 runs to start"):
            fake.wait_started(2, timeout=0.05)
        assert {"n": 1} == future.result()


def test_many_streams_at_once_are_cut_and_exact() -> None:
    """A hundred clients' threads, each with its own run that is cut twice."""
    with fake_server() as fake:
        fake.script(*[succeeds({"n": 6}, events=NUMBERS).cut_after(2).cut_after(1, "rst")] * 100)
        client = fake.client()

        def numbers(_: int) -> list[int]:
            with client.runs.stream(str(uuid.uuid4()), "agent", if_not_exists="create", stream_mode="custom") as stream:
                return [event.data["i"] for event in stream if event.mode == "custom"]

        with ThreadPoolExecutor(20) as pool:
            assert [[*range(6)]] * 100 == list(pool.map(numbers, range(100)))


def test_an_unknown_kind_of_cut_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="fin, rst, end, stall"):
        succeeds().cut_after(1, "boom")


# -- what was asked


def posted(**options: Any) -> FakeRuns:
    """A fake server that has received two runs, and is closed."""
    with fake_server() as fake:
        fake.script(succeeds(), succeeds())
        client = fake.client(api_key="secret-key")
        client.runs.wait(None, "agent", input={"n": 1}, metadata={"k": "v"})
        client.runs.wait(str(uuid.uuid4()), "writer", input={"n": 2}, if_not_exists="create", stream_mode="updates")
    return fake


def test_requests_are_recorded_completely() -> None:
    """Method, path, body and headers; a key is in no repr."""
    fake = posted()
    request = fake.requests[0]
    assert ("POST", f"/threads/{fake.started[0].thread_id}/runs/wait", {"n": 1}, "secret-key") == (
        request.method,
        request.path,
        request.json()["input"],
        request.header("x-api-key"),
    )
    assert "secret" not in repr(request) + repr(posted().started)


def test_assert_started_finds_the_run() -> None:
    """By any field of the request; other fields may have any value; None means that a field was not sent."""
    fake = posted()
    assert fake.started[0] is fake.assert_started() is fake.assert_started(input={"n": 1}, assistant_id="agent", thread_id=None)
    assert fake.started[1] is fake.assert_started(thread_id=ANY, input={"n": ANY}, assistant_id="writer", metadata=None)
    assert fake.started[1] is fake.assert_started(times=1, stream_mode="updates")
    fake.assert_started(times=2)


def test_assert_started_shows_the_runs_that_were_started() -> None:
    """One line for each run, with what differs and nothing else."""
    fake = posted()
    with pytest.raises(AssertionError) as caught:
        fake.assert_started(input={"n": 3}, metadata={"k": "v"})
    first, second = (run.thread_id for run in fake.started)
    assert [
        "no run was started with input={'n': 3}, metadata={'k': 'v'}",
        f"  1. POST /threads/{first}/runs/wait: input was {{'n': 1}}",
        f"  2. POST /threads/{second}/runs/wait: input was {{'n': 2}}; metadata was not sent",
    ] == str(caught.value).splitlines()
    with pytest.raises(AssertionError, match="2 runs, not 1, were started"):
        fake.assert_started(times=1)
    with pytest.raises(AssertionError, match="1 run started that should not have been; the first with assistant_id='writer'"):
        fake.assert_not_started(assistant_id="writer")
    with fake_server() as empty, pytest.raises(AssertionError, match="no run was started at all"):
        empty.assert_started(input=1)


def test_assert_requested_shows_the_requests() -> None:
    fake = posted()
    assert fake.requests[0] is fake.assert_requested("POST", "/threads/*/runs/wait")
    with pytest.raises(AssertionError) as caught:
        fake.assert_requested("POST", "/threads/*/runs/wait", json={})
    assert "no request POST /threads/*/runs/wait with {}; there were:" == str(caught.value).splitlines()[0]
    assert "secret" not in str(caught.value)
    with pytest.raises(AssertionError, match="2 requests, not 3,"):
        fake.assert_requested("POST", "/threads/*/runs/wait", times=3)
    with fake_server() as empty, pytest.raises(AssertionError, match="there were: none"):
        empty.assert_requested("GET", "/ok")


def test_assert_no_more_requests_fails_for_an_unmatched_change() -> None:
    """What only reads does not count."""
    fake = posted()
    fake.assert_started(assistant_id="agent")
    with pytest.raises(AssertionError, match="no assertion has matched:\n  POST /threads/.*writer"):
        fake.assert_no_more_requests()
    fake.assert_started(assistant_id="writer")
    fake.assert_no_more_requests()


def test_assert_cancelled_shows_how_the_runs_ended() -> None:
    with pytest.raises(AssertionError, match="no run was cancelled; the runs: .*: success, .*: success"):
        posted().assert_cancelled()


# -- the end of the block


def test_a_run_without_a_script_is_an_error_and_fails_the_test() -> None:
    """The error names what is missing and is not repeated; it does not matter whether the code under test swallowed it."""
    with pytest.raises(
        AssertionError, match="no script for a run with assistant_id='agent', thread_id=None, input={'n': 1}; give it"
    ):
        with fake_server() as fake:
            with pytest.raises(InternalServerError, match=r"501: there is no script .*fake\.script"):
                fake.client().runs.wait(None, "agent", input={"n": 1})
            assert 1 == len(fake.requests)


def test_an_error_for_a_run_without_a_script_names_the_unused_scripts() -> None:
    with pytest.raises(AssertionError, match=r"the scripts left are for other runs: succeeds\(\{'n': 1\}\)"):
        with fake_server() as fake:
            fake.script(succeeds({"n": 1}), assistant_id="writer")
            with pytest.raises(InternalServerError):
                fake.client().runs.create(None, "agent")


def test_an_unknown_endpoint_is_an_error() -> None:
    with pytest.raises(AssertionError, match="does not know GET /store"):
        with fake_server() as fake:
            import urllib.error
            import urllib.request

            with pytest.raises(urllib.error.HTTPError, match="501") as caught:
                urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{fake.url}/store")
            caught.value.close()


def test_a_script_that_was_not_used_fails_the_test() -> None:
    with pytest.raises(AssertionError, match=r"^a script was not used: rate_limited\(2\)$"):
        with fake_server() as fake:
            fake.script(rate_limited(retry_after=2))
            fake.script(succeeds(), repeat=True)


def test_a_function_that_raises_fails_the_test() -> None:
    """The run fails with the same error."""

    def broken(run: FakeRun) -> Any:
        raise ZeroDivisionError("oops")

    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        with fake_server() as fake:
            fake.script(broken)
            with pytest.raises(RunFailedError, match="oops"):
                fake.client().runs.wait(None, "agent")


def test_without_strict_nothing_is_checked() -> None:
    with fake_server(strict=False) as fake:
        fake.script(succeeds(), assistant_id="writer")
        with pytest.raises(InternalServerError):
            fake.client().runs.create(None, "agent")


def test_an_error_of_the_test_itself_is_not_hidden() -> None:
    with pytest.raises(LookupError):
        with fake_server() as fake:
            fake.script(succeeds())
            raise LookupError


def test_the_end_closes_the_clients_and_ends_the_runs() -> None:
    """No thread is left (see conftest), and a client is closed."""
    with fake_server() as fake:
        client = fake.client()
        fake.script(never_ends())
        client.runs.create(None, "agent")
    with pytest.raises(InvalidRequestError, match="closed"):
        client.ok()


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with fake_server() as fake:
        assert fake.client().ok()


@pytest.mark.parametrize("closed", [False, True])
def test_the_outcome_of_a_stream_may_be_read_after_its_client_was_closed(closed: bool) -> None:
    """It says then what is known without a further request; before, whether the run waits for a human too."""
    with fake_server() as fake:
        fake.script(pauses("Send this?"))
        client = fake.client()
        with client.runs.stream(client.threads.create().thread_id, "agent", stream_mode="custom") as stream:
            list(stream)
        if closed:
            client.close()
        outcome = stream.outcome

    assert outcome is not None and outcome.succeeded
    assert outcome.paused is not closed

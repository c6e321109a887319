"""What a task runner sends for one input, and what it returns."""

from __future__ import annotations

import logging
import pickle
from typing import Any, List, Tuple

import pytest

from langgraph_runs import (
    AbortController,
    AbortedError,
    APIStatusError,
    ConflictError,
    CreateUncertainError,
    DeadlineExceededError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    RetryDetails,
    RetryPolicy,
    RunFailedError,
    RunsWaitPayload,
)
from langgraph_runs.batch.task import Task
from langgraph_runs.batch.worker import HookError, TaskRunner, check_picklable, run_task

from .played import RUN, THREAD, Answer, Played, Reply, Time, reply, run_json, transport_of

CREATE, LIST = f"POST /threads/{THREAD}/runs/wait", f"GET /threads/{THREAD}/runs?limit=10"
JOIN = f"GET /threads/{THREAD}/runs/{RUN}/join"
CANCEL = f"POST /threads/{THREAD}/runs/{RUN}/cancel?wait=1&action=interrupt"
DELETE = f"DELETE /threads/{THREAD}"
IDS: dict[str, Any] = {"content_location": f"/threads/{THREAD}/runs/{RUN}"}


def runner_of(*answers: Answer, **policy: Any) -> Tuple[TaskRunner, Played, Time]:
    retry = RetryPolicy(**{"wait_initial": 0, **policy})
    transport, played, time = transport_of(*answers, retry=retry, verify_outcome=False)
    return TaskRunner(transport, None, None), played, time


def task_of(**changes: Any) -> Task:
    fields: dict[str, Any] = {
        "thread_id": THREAD,
        "run_id": None,
        "assistant_id": "agent",
        "payload": RunsWaitPayload(input={"n": 1}),
        "headers": {"x-own": "1"},
        "params": [],
        "timeout": None,
        "may_exist": False,
        "may_still_arrive": False,
        "may_arrive_late": False,
        "rerun_failed": False,
        "delete": (False, False),
    }
    return Task(**{**fields, **changes})


def test_a_new_input_is_created_on_its_thread() -> None:
    runner, played, _ = runner_of(reply({"n": 2}, **IDS))
    created: List[Any] = []
    result = runner.run(task_of(), on_run_created=created.append)
    assert [CREATE] == played.asked
    assert ("create", "reject", {"n": 1}) == tuple(played.body()[name] for name in ("if_not_exists", "multitask_strategy", "input"))
    assert "1" == played.requests[0].headers["x-own"]
    assert result.outcome is not None and {"n": 2} == result.outcome.values
    assert (RUN, None, False) == (result.run_id, result.error, result.superseded)
    assert [{"run_id": RUN, "thread_id": THREAD}] == created


def test_a_failed_run_is_an_error_of_the_result() -> None:
    runner, _, _ = runner_of(reply({"__error__": {"error": "ValueError", "message": "no ink"}}, **IDS))
    result = runner.run(task_of())
    assert isinstance(result.error, RunFailedError) and "no ink" == result.error.message
    assert result.error.__traceback__ is None


@pytest.mark.parametrize(
    ("delete", "answer", "requests"),
    [
        ((True, False), {"n": 2}, [CREATE, LIST, DELETE]),
        ((False, True), {"n": 2}, [CREATE]),
        ((False, True), {"__error__": {"message": "m"}}, [CREATE, LIST, DELETE]),
        ((True, True), {"__interrupt__": [{"value": "Send this?", "id": "1"}]}, [CREATE]),
    ],
    ids=["success", "success is kept", "failure", "paused"],
)
def test_the_thread_is_deleted_as_the_task_says(delete: Any, answer: Any, requests: List[str]) -> None:
    """The client of this test does not verify outcomes: the evidence that the run has ended is the list of its thread's runs."""
    runner, played, _ = runner_of(reply(answer, **IDS), reply([run_json(status="error")]), Reply(204))
    runner.run(task_of(delete=delete))
    assert requests == played.asked


RUNNING, SUCCEEDED = reply([run_json(status="running")]), reply([run_json(status="success")])
STATE = f"GET /threads/{THREAD}/state"


@pytest.mark.parametrize(
    ("answers", "requests"),
    [
        ([RUNNING], [LIST]),
        ([reply([run_json(status="error")]), Reply(204)], [LIST, DELETE]),
        ([SUCCEEDED, reply({"values": {}, "next": []}), Reply(204)], [LIST, STATE, DELETE]),
        ([SUCCEEDED, reply({"values": {}, "next": ["review"]})], [LIST, STATE]),
        ([reply({"detail": f"Thread with ID {THREAD} not found"}, 404), Reply(204)], [LIST, DELETE]),
    ],
    ids=["running", "failed", "succeeded", "paused", "gone"],
)
def test_a_thread_is_deleted_only_if_its_runs_are_known_to_have_ended(answers: List[Any], requests: List[str]) -> None:
    """A run that goes on, or waits for a human, keeps its thread; so does one of which nothing is known."""
    runner, played, _ = runner_of(*answers)
    assert runner.delete_thread(THREAD) is (requests[-1] == DELETE)
    assert requests == played.asked


@pytest.mark.parametrize(
    ("answer", "is_tried_again"),
    [
        (reply({"detail": "Not Found"}, 404), True),
        (Reply(404, b"<html>no backend</html>"), True),
        (reply({"detail": "bad gateway"}, 502), True),
        (reply({"detail": "the database is down"}, 500), True),
        (reply({"detail": "not yours"}, 403), False),
    ],
    ids=["a 404 that says nothing", "a page", "a gateway", "the server's own", "forbidden"],
)
def test_a_cleanup_is_tried_again_if_its_failure_may_pass(
    answer: Reply, is_tried_again: bool, caplog: pytest.LogCaptureFixture
) -> None:
    runner, played, _ = runner_of(answer, attempts=1)
    if is_tried_again:
        with pytest.raises(APIStatusError):
            runner.delete_thread(THREAD)
    else:
        assert not runner.delete_thread(THREAD)
    assert [LIST] == played.asked
    assert is_tried_again is ("left behind" not in caplog.text)


def test_a_cleanup_that_the_end_of_a_map_interrupts_is_left_to_be_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """The task ends at once, with its result; the cleanup workers delete its thread."""
    controller = AbortController()

    def stop(_: Any) -> Reply:
        controller.abort("the map was stopped")
        return reply({"values": {}, "next": []})

    runner, played, _ = runner_of(reply({"n": 2}, **IDS), SUCCEEDED, stop)
    result = runner.run(task_of(delete=(True, True)), controller.signal)
    assert [CREATE, LIST, STATE] == played.asked
    assert result.outcome is not None and result.error is None and result.thread_left
    with pytest.raises(AbortedError):
        runner.delete_thread(THREAD, signal=controller.signal)
    with pytest.raises(AbortedError):
        runner.cancel_run(THREAD, delete=True, may_still_arrive=False, keep_successful=False, signal=controller.signal)
    assert "left behind" not in caplog.text


@pytest.mark.parametrize(
    ("answers", "is_there"),
    [
        ([reply([])], True),
        ([reply({"detail": f"Thread with ID {THREAD} not found"}, 404)], True),
        ([reply({"detail": "no key"}, 401)], True),
        ([reply({"detail": "Not Found"}, 404), reply({"ok": True})], True),
        ([reply({"detail": "Not Found"}, 404)] * 4, False),
        ([Reply(404, b"<html>no backend</html>")] * 4, False),
        ([Reply(200, b"<html>maintenance</html>", {"content-type": "text/html"})], False),
        ([reply({"detail": "the database is down"}, 500)], False),
        ([Reply(502, b"")], False),
        ([Reply(503, b"")], False),
        ([ConnectionError("refused")], False),
    ],
)
def test_a_probe_is_successful_if_the_api_itself_responds(answers: List[Any], is_there: bool) -> None:
    runner, played, _ = runner_of(*answers)
    assert is_there is (runner.probe(THREAD) is None)
    assert len(answers) == len(played.asked)


def test_a_refused_read_is_repeated_and_a_refused_create_is_not() -> None:
    refused = reply({"detail": "slow down"}, 503)
    runner, played, _ = runner_of(reply([]), refused, wait_initial=0.5)
    result = runner.run(task_of(may_exist=True))
    assert [LIST, CREATE] == played.asked
    assert isinstance(result.error, APIStatusError) and not result.contact_lost
    runner, played, time = runner_of(refused, refused, reply([run_json(status="error")]), Reply(204), wait_initial=0.5)
    assert runner.delete_thread(THREAD)
    assert [LIST] * 3 + [DELETE] == played.asked
    assert sum(time.slept) >= 1.5


def test_the_time_of_refusals_is_not_counted_against_a_task() -> None:
    refused = reply({"detail": "slow down"}, 429, retry_after="7")
    runner, _, time = runner_of(refused, reply([run_json()]), reply({"n": 2}, **IDS))
    result = runner.run(task_of(may_exist=True, timeout=5.0))
    assert result.error is None and 7.0 <= sum(time.slept) and result.seconds < 1.0


def test_a_cancelled_run_that_does_not_end_keeps_its_thread() -> None:
    """The response to the cancel is no evidence that the run has stopped."""
    runner, played, _ = runner_of(RUNNING, Reply(202), *[RUNNING] * 5)
    assert not runner.cancel_run(THREAD, delete=True, may_still_arrive=False, keep_successful=False)
    assert [LIST, CANCEL, *[LIST] * 5] == played.asked


def test_a_run_that_exists_is_joined_and_not_created_again() -> None:
    runner, played, time = runner_of(reply([run_json(status="running")]), reply({"n": 2}))
    result = runner.run(task_of(may_exist=True, may_still_arrive=True))
    assert [LIST, JOIN] == played.asked
    assert result.outcome is not None and {"n": 2} == result.outcome.values
    assert 0 == sum(time.slept)


def test_of_several_runs_one_that_succeeded_is_joined() -> None:
    runs = [run_json(status=status, run_id=f"{status}-run") for status in ("error", "running", "success")]
    runner, played, _ = runner_of(reply(runs), reply({"n": 2}))
    assert "success-run" == runner.run(task_of(may_exist=True)).run_id
    assert f"GET /threads/{THREAD}/runs/success-run/join" == played.asked[1]


@pytest.mark.parametrize(("may_still_arrive", "lists", "seconds"), [(False, 1, 0.0), (True, 5, 2.0)])
def test_an_input_is_created_if_no_run_has_arrived(may_still_arrive: bool, lists: int, seconds: float) -> None:
    runner, played, time = runner_of(*[reply([])] * lists, reply({"n": 2}, **IDS))
    runner.run(task_of(may_exist=True, may_still_arrive=may_still_arrive))
    assert [LIST] * lists + [CREATE] == played.asked
    assert seconds == pytest.approx(sum(time.slept))


@pytest.mark.parametrize("keeps_strategy", [True, False, None])
def test_after_a_timeout_an_input_is_created_only_where_the_server_refuses_a_second_run(keeps_strategy: Any) -> None:
    """The first create may arrive at any time, so that a list without its run shows nothing."""
    runner, played, _ = runner_of(*[reply([])] * 5, *([reply({"n": 2}, **IDS)] if keeps_strategy else []))
    runner._starter.traits.keeps_strategy = keeps_strategy
    result = runner.run(task_of(may_exist=True, may_still_arrive=True, may_arrive_late=True))
    if keeps_strategy:
        assert [LIST] * 5 + [CREATE] == played.asked
    else:
        assert [LIST] * 5 == played.asked
        assert isinstance(result.error, CreateUncertainError) and result.error.may_still_arrive


def test_an_input_is_created_on_a_thread_that_does_not_exist_yet() -> None:
    runner, played, _ = runner_of(reply({"detail": f"Thread with ID {THREAD} not found"}, 404), reply({"n": 2}, **IDS))
    assert runner.run(task_of(may_exist=True)).error is None
    assert [LIST, CREATE] == played.asked


def test_an_input_is_not_created_again_after_a_404_that_says_nothing() -> None:
    """A gateway sends one while the server is away."""
    runner, played, _ = runner_of(reply({"detail": "Not Found"}, 404))
    assert isinstance(runner.run(task_of(may_exist=True)).error, NotFoundError)
    assert [LIST] == played.asked


def test_a_run_that_ended_badly_is_superseded_if_it_is_to_be_run_again() -> None:
    runner, played, _ = runner_of(reply([run_json(status="interrupted")]))
    result = runner.run(task_of(may_exist=True, rerun_failed=True, delete=(True, True)))
    assert (True, None, None) == (result.superseded, result.outcome, result.error)
    assert [LIST] == played.asked


def test_the_run_on_a_busy_thread_is_that_of_an_earlier_create() -> None:
    runner, played, _ = runner_of(reply({"detail": "busy"}, 409), reply([run_json(status="running")]), reply({"n": 2}))
    assert runner.run(task_of()).error is None
    assert [CREATE, LIST, JOIN] == played.asked
    runner, played, _ = runner_of(reply({"detail": "busy"}, 409), reply([]))
    assert isinstance(runner.run(task_of()).error, ConflictError)


@pytest.mark.parametrize("status", [429, 503])
def test_a_refused_create_is_repeated_by_the_map_only(status: int) -> None:
    runner, played, _ = runner_of(reply({"detail": "full"}, status, retry_after="0"))
    error = runner.run(task_of()).error
    assert isinstance(error, APIStatusError) and status == error.status_code
    assert [CREATE] == played.asked


def test_a_run_that_is_only_joined_is_never_deleted() -> None:
    runner, played, _ = runner_of(reply({"n": 2}))
    runner.run(task_of(run_id=RUN, payload=None, delete=(True, True)))
    assert [JOIN] == played.asked


def test_an_input_over_its_timeout_is_cancelled_and_its_thread_deleted() -> None:
    def late(_: Any) -> Any:
        time.now += 10
        return reply({"detail": "the gateway gave up"}, 504)

    ended = reply([run_json(status="interrupted")])
    runner, played, time = runner_of(late, reply([run_json(status="running")]), Reply(204), ended, Reply(204))
    result = runner.run(task_of(timeout=5.0, delete=(False, True)))
    assert isinstance(result.error, DeadlineExceededError)
    assert 10.0 == result.seconds
    assert [CREATE, LIST, CANCEL, LIST, DELETE] == played.asked


@pytest.mark.parametrize(("keep_successful", "requests"), [(False, [LIST, DELETE]), (True, [LIST])])
def test_a_cancel_may_keep_a_run_that_has_succeeded(keep_successful: bool, requests: List[str]) -> None:
    runner, played, _ = runner_of(reply([run_json(status="success")]), Reply(204))
    assert keep_successful is not runner.cancel_run(THREAD, delete=True, may_still_arrive=True, keep_successful=keep_successful)
    assert requests == played.asked


def test_a_cancel_that_came_too_late_finds_out_how_the_run_ended() -> None:
    gone = reply({"detail": "Not Found"}, 404)
    runner, played, _ = runner_of(reply([run_json(status="running")]), gone, reply([run_json(status="success")]))
    assert not runner.cancel_run(THREAD, delete=True, may_still_arrive=False, keep_successful=True)
    assert [LIST, CANCEL, LIST] == played.asked


def test_a_thread_that_cannot_be_deleted_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    failed, gone = reply([run_json(status="error")]), reply({"detail": f"Thread with ID {THREAD} not found"}, 404)
    runner, _, _ = runner_of(failed, reply({"detail": "no"}, 403), failed, gone)
    assert not runner.delete_thread(THREAD)
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert f"the thread {THREAD} is left behind on the server" in record.getMessage()
    assert all(isinstance(argument, str) for argument in record.args or ())
    assert runner.delete_thread(THREAD), "it is deleted already"


def test_an_exception_of_the_hook_is_not_the_result_of_the_task() -> None:
    raised = RateLimitError("of another call", status_code=429)

    def hook(_: RetryDetails) -> None:
        raise raised

    runner, played, _ = runner_of(reply({"detail": "no"}, 500), on_retry=hook)
    with pytest.raises(HookError) as caught:
        runner.run(task_of(may_exist=True))
    assert raised is caught.value.error
    assert [LIST] == played.asked


def module_hook(_: RetryDetails) -> None:
    """Importable by name."""


def test_a_runner_and_a_hook_can_be_pickled() -> None:
    transport, _, _ = transport_of(retry=RetryPolicy(on_retry=module_hook))
    runner = TaskRunner(transport, None, None)
    check_picklable(runner)
    copy = pickle.loads(pickle.dumps(runner))
    assert copy is pickle.loads(pickle.dumps(runner)), "a process has one runner for each configuration"
    error = pickle.loads(pickle.dumps(HookError(RateLimitError("busy", status_code=429))))
    assert 429 == error.error.status_code
    with pytest.raises(InvalidRequestError, match="does not pickle"):
        check_picklable(TaskRunner(transport_of(retry=RetryPolicy(on_retry=lambda _: None))[0], None, None))


def test_an_executor_calls_a_function_that_pickles() -> None:
    runner, _, _ = runner_of(reply({"n": 2}, **IDS))
    assert pickle.loads(pickle.dumps(run_task)) is run_task
    assert RUN == run_task(runner, pickle.loads(pickle.dumps(task_of()))).run_id

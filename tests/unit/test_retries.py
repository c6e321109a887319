"""Which inputs of a map are started again, and which results are final."""

from __future__ import annotations

import logging
from typing import Any, Callable, List, Optional

import pytest

from langgraph_runs import (
    AbortedError,
    APIConnectionError,
    APIStatusError,
    DeadlineExceededError,
    InternalServerError,
    LangGraphRunsError,
    RetryDetails,
    RetryPolicy,
    RunCancelledError,
    RunFailedError,
    RunOutcome,
)
from langgraph_runs.batch.concurrency import ConcurrencyLimit
from langgraph_runs.batch.inputs import Item
from langgraph_runs.batch.results import BatchResult
from langgraph_runs.batch.retries import InputRetries
from langgraph_runs.batch.task import RESTARTED, InFlightTask, RunPresence, TaskResult
from langgraph_runs.http import Settings, Transport

from .played import Time


def retries_of(clock: Callable[[], float] = Time().clock, **policy: Any) -> InputRetries:
    def no_connection() -> Any:
        raise AssertionError("nothing is sent here")

    retry = RetryPolicy(**{"wait_initial": 0.5, "jitter": "none", **policy})
    limit = ConcurrencyLimit(8, wait_initial=0.5, wait_max=8.0, retry_after_max=60.0, clock=Time().clock)
    return InputRetries(Transport(Settings(url="http://server", retry=retry), connect=no_connection), limit, clock=clock)


def task_of(index: int = 3) -> InFlightTask:
    return InFlightTask(Item(index=index, given=None), f"thread-{index}")


def status(code: int, retry_after: Optional[float] = None) -> APIStatusError:
    return APIStatusError("no", status_code=code, retry_after=retry_after)


def fail(retries: InputRetries, task: InFlightTask, error: LangGraphRunsError, *, may_retry: bool = True) -> Optional[BatchResult]:
    task.note_started()
    return retries.evaluate(task, TaskResult(error=error), may_retry=may_retry)


def test_a_transient_error_is_retried_as_often_as_the_policy_says() -> None:
    retries, task = retries_of(attempts=3), task_of()
    assert [None, None] == [fail(retries, task, status(502)) for _ in range(2)]
    result = fail(retries, task, status(502))
    assert result is not None and isinstance(result.error, APIStatusError)
    assert 3 == result.attempts


def test_each_input_has_its_own_attempts() -> None:
    retries = retries_of(attempts=2)
    assert [None] * 4 == [fail(retries, task_of(index), status(502)) for index in range(4)]


def test_the_budget_of_the_client_is_for_all_inputs_together() -> None:
    retries = retries_of(budget=2)
    results = [fail(retries, task_of(index), status(502)) for index in range(4)]
    assert [True, True, False, False] == [result is None for result in results]


@pytest.mark.parametrize("refusal", [status(429), status(503), status(503, retry_after=61.0)], ids=str)
def test_a_refusal_uses_up_neither_attempts_nor_budget(refusal: APIStatusError) -> None:
    retries, task = retries_of(attempts=2, budget=1), task_of()
    assert [None] * 9 == [fail(retries, task, refusal) for _ in range(9)]
    assert fail(retries, task, status(502)) is None
    assert fail(retries, task, status(502)) is not None


def test_an_input_whose_refused_create_may_have_been_executed_waits_until_its_run_could_be_found() -> None:
    time = Time()
    retries, task = retries_of(clock=time.clock), task_of()
    fail(retries, task, status(503))
    assert 2.0 == task.not_before - time.now
    assert task.may_still_arrive
    task.note_settled()
    assert task.may_exist and not task.may_still_arrive


def test_a_create_that_timed_out_may_arrive_however_long_the_input_waits() -> None:
    retries, task = retries_of(), task_of()
    fail(retries, task, status(504))
    fail(retries, task, status(503))
    task.note_settled()
    assert task.may_still_arrive


def test_a_failure_of_the_server_uses_up_neither_attempts_nor_time() -> None:
    retries, task = retries_of(attempts=1), task_of()
    for _ in range(5):
        task.note_started()
        retries.requeue(task, TaskResult(error=APIConnectionError("refused", sent=False), seconds=7.0))
    assert (6, 0.0, False) == (task.attempts, task.seconds, task.may_exist)


CANCELLED = RunCancelledError("cancelled")


@pytest.mark.parametrize(
    ("existed", "contact_lost", "error", "was_lost"),
    [
        (True, True, status(404), True),
        (True, False, status(404), False),
        (False, True, status(404), False),
        (True, True, status(422), False),
        (True, True, CANCELLED, True),
        (True, False, CANCELLED, False),
        (True, True, RunFailedError("E", "m"), False),
    ],
)
def test_a_run_may_be_lost_if_it_is_absent_or_cancelled_after_a_failure_to_reach_the_server(
    existed: bool, contact_lost: bool, error: LangGraphRunsError, was_lost: bool
) -> None:
    task = task_of()
    if existed:
        task.note_created()
    assert was_lost is retries_of().run_was_lost(task, TaskResult(error=error, contact_lost=contact_lost))


@pytest.mark.parametrize("error", [CANCELLED, DeadlineExceededError("late", timeout=1.0)], ids=repr)
def test_a_run_that_was_ended_while_the_server_was_away_is_replaced_by_another_one(error: LangGraphRunsError) -> None:
    task = task_of()
    task.note_created()
    retries_of().requeue(task, TaskResult(error=error, contact_lost=True, run_id="r"))
    assert task.rerun_failed and task.is_created
    task.move_to("another-thread")
    assert ("another-thread", False, False) == (task.thread_id, task.rerun_failed, task.may_exist)


@pytest.mark.parametrize(
    ("error", "is_retried"),
    [
        (status(500), True),
        (APIConnectionError("cut", sent=None), True),
        (status(502, retry_after=61.0), False),
        (status(422), False),
        (RunFailedError("E", "m"), False),
        (DeadlineExceededError("late", timeout=1.0), False),
        (AbortedError("stopped"), False),
    ],
    ids=lambda value: getattr(value, "status_code", type(value).__name__),
)
def test_only_transient_errors_are_retried(error: LangGraphRunsError, is_retried: bool) -> None:
    assert is_retried is (fail(retries_of(), task_of(), error) is None)


def test_nothing_is_retried_while_the_map_stops() -> None:
    assert fail(retries_of(), task_of(), status(503), may_retry=False) is not None


def test_a_refusal_pauses_all_inputs_for_the_time_that_the_server_requests() -> None:
    retries = retries_of()
    fail(retries, task_of(), status(503, retry_after=7.0))
    assert (7.0, 2) == (retries.limit.seconds_left(), retries.limit.current)
    retries = retries_of(respect_retry_after=False)
    fail(retries, task_of(), status(503, retry_after=7.0))
    assert 0.5 == retries.limit.seconds_left()


@pytest.mark.parametrize(
    ("error", "presence"),
    [
        (status(429), RunPresence.ABSENT),
        (status(503, retry_after=1.0), RunPresence.ABSENT),
        (APIConnectionError("refused", sent=False), RunPresence.ABSENT),
        (status(500), RunPresence.MAY_STILL_ARRIVE),  # of a gateway, perhaps
        (APIStatusError("no", status_code=500, body={"detail": "no"}), RunPresence.MAY_EXIST),
        (status(502), RunPresence.MAY_STILL_ARRIVE),
        (APIConnectionError("cut", sent=True), RunPresence.MAY_STILL_ARRIVE),
    ],
    ids=str,
)
def test_an_error_says_whether_a_run_may_exist(error: LangGraphRunsError, presence: RunPresence) -> None:
    task = task_of()
    fail(retries_of(), task, error)
    assert presence is task.presence


def test_a_retry_is_logged_and_announced_with_the_pause(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="langgraph_runs")
    calls: List[RetryDetails] = []
    fail(retries_of(on_retry=calls.append), task_of(), status(503, retry_after=7.0))
    assert [("map, input 3", 2, 7.0)] == [(one.call, one.attempt, one.wait) for one in calls]
    assert ["map, input 3: attempt 2 in 7.00 s after APIStatusError"] == [record.getMessage() for record in caplog.records]


def test_after_an_exception_of_the_hook_a_task_can_be_evaluated_again() -> None:
    def hook(_: RetryDetails) -> None:
        raise InternalServerError("of another call", status_code=500)

    retries, task = retries_of(on_retry=hook), task_of()
    with pytest.raises(InternalServerError, match="of another call"):
        fail(retries, task, status(503))
    result = fail(retries, task, status(503), may_retry=False)
    assert result is not None and not retries.is_final(result)


@pytest.mark.parametrize(
    ("error", "is_final"),
    [
        (None, True),
        (RunFailedError("E", "m"), True),
        (status(422), True),
        (DeadlineExceededError("late", timeout=1.0), True),
        (status(401), False),
        (status(404), False),
        (status(409), False),
        (status(429), False),
        (status(500), False),
        (APIConnectionError("cut", sent=True), False),
        (AbortedError("stopped"), False),
    ],
    ids=lambda value: getattr(value, "status_code", type(value).__name__),
)
def test_errors_that_the_input_did_not_cause_are_not_final(error: Optional[LangGraphRunsError], is_final: bool) -> None:
    assert is_final is retries_of().is_final(BatchResult(index=0, error=error))


def test_a_success_is_final() -> None:
    retries, task = retries_of(), task_of()
    result = retries.evaluate(task, TaskResult(outcome=RunOutcome(status="success", values=1), run_id="r"), may_retry=True)
    assert result is not None and 1 == result.values and retries.is_final(result)


def test_a_task_that_was_ended_to_be_started_again_has_no_result_and_no_attempt() -> None:
    retries, task = retries_of(attempts=1), task_of()
    restarted = AbortedError("aborted", reason=RESTARTED)
    for _ in range(3):
        assert fail(retries, task, restarted) is None
    assert 0 == task.retries and task.may_still_arrive
    assert fail(retries, task, AbortedError("aborted", reason="another")) is not None
    assert fail(retries, task, restarted, may_retry=False) is not None

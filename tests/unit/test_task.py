"""The state of an input while it is in flight."""

from __future__ import annotations

import pytest

from langgraph_runs import APIConnectionError, CreateUncertainError, RunOutcome
from langgraph_runs.batch.inputs import Item
from langgraph_runs.batch.ledger import Claim
from langgraph_runs.batch.task import InFlightTask, RunPresence, TaskResult


@pytest.fixture
def task() -> InFlightTask:
    return InFlightTask(Item(index=3, given={"n": 1}, key="a"), "thread")


FAILED = TaskResult(error=APIConnectionError("cut", sent=True), seconds=0.5)


def test_a_new_task_has_no_run(task: InFlightTask) -> None:
    assert (RunPresence.ABSENT, False, False) == (task.presence, task.may_exist, task.may_still_arrive)


def test_while_a_task_is_run_its_create_may_be_on_its_way(task: InFlightTask) -> None:
    presences = []
    task.note_started()
    presences.append(task.presence)
    task.note_created({"run_id": "r"})
    presences.append(task.presence)
    assert [RunPresence.MAY_STILL_ARRIVE, RunPresence.CREATED] == presences
    assert task.is_created


@pytest.mark.parametrize("learned", list(RunPresence)[:3])
def test_a_result_says_whether_a_run_may_exist(task: InFlightTask, learned: RunPresence) -> None:
    task.note_started()
    task.note_result(FAILED, learned)
    assert learned is task.presence
    assert (learned > 0, learned > 1) == (task.may_exist, task.may_still_arrive)


def test_a_create_that_timed_out_may_arrive_late_from_then_on(task: InFlightTask) -> None:
    late = CreateUncertainError("timed out", may_still_arrive=True)
    seen = []
    for error in (APIConnectionError("cut", sent=True), CreateUncertainError("cut"), late, CreateUncertainError("cut")):
        task.note_result(TaskResult(error=error), RunPresence.MAY_STILL_ARRIVE)
        seen.append(task.may_arrive_late)
    assert [False, False, True, True] == seen


def test_an_attempt_without_effect_does_not_make_an_earlier_one_certain(task: InFlightTask) -> None:
    for learned in (RunPresence.MAY_STILL_ARRIVE, RunPresence.MAY_EXIST, RunPresence.ABSENT):
        task.note_started()
        task.note_result(FAILED, learned)
        assert RunPresence.MAY_STILL_ARRIVE is task.presence
    assert 1.5 == task.seconds


def test_a_result_with_the_id_of_the_run_says_that_it_exists(task: InFlightTask) -> None:
    task.note_started()
    task.note_result(TaskResult(error=APIConnectionError("cut", sent=True), run_id="r"), RunPresence.ABSENT)
    assert RunPresence.CREATED is task.presence


@pytest.mark.parametrize(("surely_not_started", "may_exist"), [(True, False), (False, True)])
def test_a_withdrawn_task_may_have_a_run_if_it_may_have_been_started(
    task: InFlightTask, surely_not_started: bool, may_exist: bool
) -> None:
    task.note_started()
    task.note_withdrawn(surely_not_started=surely_not_started)
    assert may_exist is task.may_exist


def test_an_assigned_thread_has_the_state_that_the_ledger_knows(task: InFlightTask) -> None:
    task.assign(Claim("a", "claimed", 3, may_exist=True, rerun_failed=True))
    assert ("claimed", RunPresence.MAY_STILL_ARRIVE, True, 3) == (task.thread_id, task.presence, task.rerun_failed, task.attempts)
    task.note_created()
    task.assign(Claim("a", "new", 3))
    assert ("new", RunPresence.ABSENT, False) == (task.thread_id, task.presence, task.rerun_failed)


def test_the_result_of_an_input_has_all_its_attempts(task: InFlightTask) -> None:
    task.note_result(FAILED, RunPresence.ABSENT)
    task.note_retry()
    done = TaskResult(outcome=RunOutcome(status="success", values={"n": 2}), run_id="r", seconds=1.0)
    task.note_result(done, RunPresence.MAY_EXIST)
    result = task.result(done)
    assert (3, "a", {"n": 1}, {"n": 2}, None) == (result.index, result.key, result.input, result.values, result.error)
    assert ("r", "thread", 2, 1.5, False) == (result.run_id, result.thread_id, result.attempts, result.seconds, result.paused)

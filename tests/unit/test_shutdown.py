"""What happens to the tasks of a map that is stopped early."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any, List, Optional, Tuple

import pytest

from langgraph_runs import APIConnectionError, Ledger, RunCancelledError, RunOutcome
from langgraph_runs.batch import MapConfig
from langgraph_runs.batch.concurrency import ConcurrencyLimit
from langgraph_runs.batch.dispatcher import Dispatcher
from langgraph_runs.batch.inputs import Item
from langgraph_runs.batch.ledger import Purpose
from langgraph_runs.batch.recorder import FinishedTask, LedgerRecorder
from langgraph_runs.batch.retries import InputRetries
from langgraph_runs.batch.shutdown import Shutdown
from langgraph_runs.batch.task import InFlightTask, TaskResult

from .played import transport_of

SUCCESS = TaskResult(outcome=RunOutcome(status="success", values={"n": 2}), run_id="r")
CANCELLED = TaskResult(outcome=RunOutcome(status="interrupted"), error=RunCancelledError("cancelled"), run_id="r")
CUT = TaskResult(error=APIConnectionError("cut", sent=True))


class Runner:
    """Notes the cleanups. A cancel ends the run of a task as *result* says, if there is one."""

    def __init__(self) -> None:
        self.deleted: List[str] = []
        self.cancelled: List[str] = []
        self.on_cancel: Optional[Tuple[Future[Any], TaskResult]] = None

    def delete_thread(self, thread_id: str, *, run: Any = None, signal: Any = None) -> bool:
        self.deleted.append(thread_id)
        return True

    def cancel_run(
        self, thread_id: str, *, delete: bool, may_still_arrive: bool, keep_successful: bool, signal: Any = None
    ) -> bool:
        self.cancelled.append(thread_id)
        if self.on_cancel is None:
            return True
        future, result = self.on_cancel
        if not future.done():
            future.set_result(result)
        return not (keep_successful and result.error is None)


def fake_runner() -> Any:
    return Runner()


class Executor:
    """An executor on another machine, whose tasks cannot be cancelled once they are submitted."""

    def __init__(self) -> None:
        self.future: Future[Any] = Future()

    def submit(self, *_: Any) -> Future[Any]:
        self.future.set_running_or_notify_cancel()
        return self.future


class Map:
    """The parts of a map with a ledger, without its loop."""

    def __init__(self, path: Path, *, executor: Any = None, **config: Any) -> None:
        self.runner = fake_runner()
        self.config = MapConfig(executor=executor, **config)
        self.dispatcher = Dispatcher(self.runner, executor, 2)
        limit = ConcurrencyLimit(2, wait_initial=0.5, wait_max=8.0, retry_after_max=60.0)
        self.retries = InputRetries(transport_of()[0], limit)
        self.ledger = Ledger(path / "jobs.sqlite")
        self.store = self.ledger.open_store(Purpose("http://server", "agent"))
        self.recorder = LedgerRecorder(self.store, self.config, self.dispatcher, self.retries.is_final)

    def claimed(self, key: str) -> InFlightTask:
        task = self.recorder.admit(Item(index=0, given={"n": 1}, key=key, digest="d"))
        assert isinstance(task, InFlightTask)
        assert ([task], []) == self.recorder.record([], [task])
        return task

    def stop(self, *, waiting: Any = (), finished: Any = (), ended: Any = ()) -> None:
        Shutdown(self.config, self.dispatcher, self.recorder, self.retries).run(waiting, finished, ended)
        self.recorder.close()
        self.dispatcher.close()

    @property
    def statuses(self) -> dict[str, str]:
        return {entry.key: entry.status for entry in self.ledger.entries()}


def test_final_results_are_recorded_and_all_others_are_run_again(tmp_path: Path) -> None:
    """The results of one step: evaluated or not, when an exception stopped the map."""
    a_map = Map(tmp_path)
    tasks = {key: a_map.claimed(key) for key in ("waiting", "evaluated", "ended", "cut", "cancelled")}
    for key in ("evaluated", "ended", "cut", "cancelled"):
        tasks[key].note_started()
    evaluated = a_map.retries.evaluate(tasks["evaluated"], SUCCESS, may_retry=True)
    a_map.stop(
        waiting=[tasks["waiting"]],
        finished=[FinishedTask(tasks["evaluated"], SUCCESS, evaluated)],
        ended=[(tasks["ended"], SUCCESS), (tasks["cut"], CUT), (tasks["cancelled"], CANCELLED)],
    )
    assert {"waiting": "pending", "evaluated": "done", "ended": "done", "cut": "pending", "cancelled": "pending"} == a_map.statuses
    assert {tasks["cut"].thread_id, tasks["cancelled"].thread_id} == set(a_map.runner.cancelled)
    assert {tasks["evaluated"].thread_id, tasks["ended"].thread_id} == set(a_map.runner.deleted)


def test_detached_runs_are_left_to_the_next_map(tmp_path: Path) -> None:
    a_map = Map(tmp_path, on_interrupt="detach")
    sent, not_sent = a_map.claimed("sent"), a_map.claimed("not sent")
    sent.note_started()
    a_map.stop(waiting=[not_sent], ended=[(sent, CUT)])
    assert {"sent": "started", "not sent": "pending"} == a_map.statuses
    assert [] == a_map.runner.cancelled


@pytest.mark.parametrize("result", [SUCCESS, CANCELLED], ids=["success", "cancelled"])
def test_a_run_elsewhere_that_succeeds_before_its_cancel_is_kept_for_the_next_map(tmp_path: Path, result: TaskResult) -> None:
    """Its result comes when the claim is released already. Its thread must not be deleted, since the result is only there."""
    executor = Executor()
    a_map = Map(tmp_path, executor=executor)
    task = a_map.claimed("a")
    a_map.runner.on_cancel = (executor.future, result)
    a_map.dispatcher.start(task, None)  # type: ignore[arg-type]  # the executor does not look at it
    a_map.stop()
    assert {"a": "pending"} == a_map.statuses
    assert [] == a_map.runner.deleted
    kept = [task.thread_id] if result is SUCCESS else [None]
    assert kept == [entry.thread_id for entry in a_map.ledger.entries()]


def test_a_map_without_tasks_ends_at_once(tmp_path: Path) -> None:
    a_map = Map(tmp_path)
    a_map.stop()
    assert ({}, [], []) == (a_map.statuses, a_map.runner.cancelled, a_map.runner.deleted)

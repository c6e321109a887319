"""The records of the scheduler, with a ledger and without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterator, List, Tuple

import pytest

from langgraph_runs import APIConnectionError, BatchResult, DeadlineExceededError, Ledger, LedgerEntry, RunFailedError, RunOutcome
from langgraph_runs.batch import MapConfig
from langgraph_runs.batch.inputs import Item
from langgraph_runs.batch.ledger import Claim, Purpose
from langgraph_runs.batch.ledger.sqlite_store import SqliteStore
from langgraph_runs.batch.recorder import FinishedTask, LedgerRecorder, NullRecorder
from langgraph_runs.batch.task import InFlightTask, RunPresence, TaskResult

from .played import Time


class Dispatcher:
    """Notes what is to be cleaned up, and does nothing."""

    def __init__(self) -> None:
        self.deleted: List[str] = []
        self.cancelled: List[Tuple[str, bool, bool]] = []
        self.on_delete: Callable[[], object] = lambda: None

    @property
    def cleaning(self) -> int:
        return len(self.deleted)

    def delete_thread(self, thread_id: str, *, run: Any = None) -> None:
        self.on_delete()
        self.deleted.append(thread_id)

    def restart_tasks(self) -> None:
        """A file is never lost."""

    def cancel_run(self, in_flight: InFlightTask, *, delete: bool, keep_successful: bool) -> None:
        self.cancelled.append((in_flight.thread_id, delete, keep_successful))


def is_final(result: BatchResult) -> bool:
    return not isinstance(result.error, APIConnectionError) or isinstance(result.error, DeadlineExceededError)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "jobs.sqlite")


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def dispatcher() -> Any:
    return Dispatcher()


@pytest.fixture
def recorder(ledger: Ledger, dispatcher: Any, time: Time) -> Iterator[LedgerRecorder]:
    recorder = recorder_of(ledger, dispatcher, time)
    yield recorder
    recorder.close()


def recorder_of(ledger: Ledger, dispatcher: Any, time: Time, **config: Any) -> LedgerRecorder:
    store = ledger.open_store(Purpose("http://server", "agent"))
    return LedgerRecorder(store, MapConfig(**config), dispatcher, is_final, time.clock)


def admitted(recorder: LedgerRecorder, key: str) -> InFlightTask:
    task = recorder.admit(Item(index=0, given={"n": 1}, key=key, digest="d"))
    assert isinstance(task, InFlightTask)
    return task


def started(recorder: LedgerRecorder, key: str) -> InFlightTask:
    task = admitted(recorder, key)
    assert ([task], []) == recorder.record([], [task])
    task.note_started()
    return task


def finished(task: InFlightTask, result: TaskResult) -> FinishedTask:
    task.note_result(result, RunPresence.MAY_EXIST)
    return FinishedTask(task, result, None if result.superseded else task.result(result))


SUCCESS = TaskResult(outcome=RunOutcome(status="success", values={"n": 2}), run_id="r")
FAILURE = TaskResult(outcome=RunOutcome(status="error"), error=RunFailedError("E", "m"), run_id="r")
CUT = TaskResult(error=APIConnectionError("cut", sent=True))


def entry(ledger: Ledger) -> LedgerEntry:
    (found,) = ledger.entries()
    return found


# -- with a ledger


def test_a_result_is_recorded_before_its_thread_is_deleted(ledger: Ledger, recorder: LedgerRecorder, dispatcher: Any) -> None:
    task = started(recorder, "a")
    statuses: List[str] = []
    dispatcher.on_delete = lambda: statuses.append(entry(ledger).status)
    recorder.record([finished(task, SUCCESS)], [])
    assert (["done"], [task.thread_id]) == (statuses, dispatcher.deleted)
    assert (False, False) == recorder.worker_deletes
    again = recorder.admit(Item(index=5, given={"n": 1}, key="b", digest="d"))
    assert isinstance(again, InFlightTask)


@pytest.mark.parametrize(
    ("keep", "result", "deletes"),
    [("failed", SUCCESS, True), ("failed", FAILURE, False), (True, SUCCESS, False), (False, FAILURE, True)],
)
def test_threads_are_kept_as_configured(
    ledger: Ledger, dispatcher: Any, time: Time, keep: Any, result: TaskResult, deletes: bool
) -> None:
    recorder = recorder_of(ledger, dispatcher, time, keep_threads=keep)
    task = started(recorder, "a")
    recorder.record([finished(task, result)], [])
    assert deletes is (dispatcher.deleted == [task.thread_id])
    recorder.close()


def test_a_result_that_is_not_final_leaves_the_input_to_the_next_map(
    ledger: Ledger, recorder: LedgerRecorder, dispatcher: Any
) -> None:
    task = started(recorder, "a")
    recorder.record([finished(task, CUT)], [])
    assert ("started", task.thread_id) == (entry(ledger).status, entry(ledger).thread_id)
    assert [] == dispatcher.deleted == dispatcher.cancelled


@pytest.mark.parametrize("keep", [False, True])
def test_a_run_over_its_time_that_could_not_be_cancelled_is_cancelled_by_the_cleanup_workers(
    ledger: Ledger, dispatcher: Any, time: Time, keep: bool
) -> None:
    """As without a ledger. Its thread cannot be deleted before."""
    recorder = recorder_of(ledger, dispatcher, time, keep_threads=keep)
    task = started(recorder, "a")
    late = TaskResult(error=DeadlineExceededError("late", timeout=1.0), run_id="r", thread_left=True)
    recorder.record([finished(task, late)], [])
    assert "failed" == entry(ledger).status
    assert ([], [(task.thread_id, not keep, True)]) == (dispatcher.deleted, dispatcher.cancelled)
    recorder.close()


def test_a_superseded_run_gets_another_thread(ledger: Ledger, recorder: LedgerRecorder, dispatcher: Any) -> None:
    task = started(recorder, "a")
    old = task.thread_id
    recorder.record([finished(task, TaskResult(superseded=True, run_id="r"))], [])
    assert task.thread_id != old and task.thread_id == entry(ledger).thread_id
    assert (RunPresence.ABSENT, [old]) == (task.presence, dispatcher.deleted)


def test_an_input_of_another_map_has_its_result_or_is_run_when_it_is_released(ledger: Ledger, dispatcher: Any, time: Time) -> None:
    one, other = recorder_of(ledger, dispatcher, time), recorder_of(ledger, dispatcher, time)
    done, released = started(one, "a"), started(one, "b")
    waiting = [admitted(other, "a"), admitted(other, "b")]
    assert ([], []) == other.record([], waiting)
    time.now += 1
    assert ([], []) == other.poll()
    assert bool(other.poll_interval)
    one.record([finished(done, SUCCESS)], [])
    one.release([released], cancelled=False)
    assert ([], []) == other.poll(), "it polls too often"
    time.now += 1
    results, tasks = other.poll()
    assert ([{"n": 2}], [waiting[1]]) == ([result.values for result in results], tasks)
    assert not other.poll_interval
    assert ([waiting[1]], []) == other.record([], tasks)
    assert waiting[1].may_still_arrive and waiting[1].thread_id == released.thread_id
    one.close()
    other.close()


def test_a_deleted_thread_of_a_cancelled_run_is_forgotten(ledger: Ledger, recorder: LedgerRecorder, dispatcher: Any) -> None:
    task = started(recorder, "a")
    recorder.release([task], cancelled=True)
    recorder.cancel_run(task)
    assert [(task.thread_id, True, True)] == dispatcher.cancelled
    assert ("pending", task.thread_id) == (entry(ledger).status, entry(ledger).thread_id)
    recorder.note_deleted([task.thread_id])
    recorder.note_cancelled([task])
    assert ("pending", None) == (entry(ledger).status, entry(ledger).thread_id)


def test_the_next_map_deletes_the_threads_that_a_killed_map_has_left(ledger: Ledger, time: Time) -> None:
    first, second = Dispatcher(), Dispatcher()
    killed = recorder_of(ledger, first, time)
    tasks = [started(killed, f"key-{n}") for n in range(12)]
    killed.record([finished(task, SUCCESS) for task in tasks], [])
    killed.close()
    recorder = recorder_of(ledger, second, time)
    recorder.delete_orphaned_threads()
    assert 8 == len(second.deleted), "it deletes a few at once"
    recorder.note_deleted(list(second.deleted))
    second.deleted.clear()
    recorder.delete_orphaned_threads()
    recorder.note_deleted(list(second.deleted))
    recorder.close()
    last = recorder_of(ledger, second, time)
    assert [] == last._orphaned
    last.close()


# -- with a ledger whose claims may be lost


class LosingStore(SqliteStore):
    """Its claims are lost, and taken over by another map, when a test says so."""

    lost = False

    def holds(self, claim: Claim) -> bool:
        return not self.lost

    def lose(self) -> None:
        self.lost = True
        self._file.run("UPDATE entry SET owner = NULL")


@pytest.fixture
def losing(ledger: Ledger) -> LosingStore:
    return LosingStore(ledger.path, Purpose("http://server", "agent"))


def test_a_result_without_its_claim_is_that_of_the_map_that_has_it(
    ledger: Ledger, losing: LosingStore, dispatcher: Any, time: Time
) -> None:
    """The other map looks for the run on its thread: so that is not deleted, and its run is not cancelled."""
    recorder, elsewhere = LedgerRecorder(losing, MapConfig(), dispatcher, is_final, time.clock), Dispatcher()
    tasks = [started(recorder, key) for key in ("a", "b", "c")]
    losing.lose()
    other = recorder_of(ledger, elsewhere, time)
    (theirs,) = [started(other, "a")]
    assert theirs.may_still_arrive and theirs.thread_id == tasks[0].thread_id
    assert ([], []) == recorder.record([finished(tasks[0], SUCCESS), finished(tasks[1], FAILURE)], [])
    assert [] == dispatcher.deleted
    recorder.release([tasks[2]], cancelled=True)
    recorder.cancel_run(tasks[2])
    assert [] == dispatcher.cancelled
    time.now += 1
    assert ([], [tasks[1]]) == recorder.poll(), "the input that no map has claimed is started again"
    other.record([finished(theirs, SUCCESS)], [])
    time.now += 1
    ((result,), released) = recorder.poll()
    assert ({"n": 2}, True, []) == (result.values, result.from_ledger, released)
    recorder.close()
    other.close()


def test_a_task_that_is_started_again_without_its_claim_is_claimed_again(
    ledger: Ledger, losing: LosingStore, dispatcher: Any, time: Time
) -> None:
    recorder = LedgerRecorder(losing, MapConfig(), dispatcher, is_final, time.clock)
    mine, theirs, moved = (started(recorder, key) for key in ("a", "b", "c"))
    losing.lose()
    other = recorder_of(ledger, Dispatcher(), time)
    started(other, "b")
    losing.lost = False
    mine.claim = theirs.claim = None
    ends = [FinishedTask(moved, TaskResult(superseded=True, run_id="r"), None)]
    old = moved.thread_id
    assert ([mine], []) == recorder.record(ends, [mine, theirs])
    assert mine.may_still_arrive and 2 == mine.attempts
    assert moved.thread_id == old and [] == dispatcher.deleted, "only its owner moves an input to another thread"
    assert recorder.poll_interval
    recorder.close()
    other.close()


def test_a_key_that_the_ledger_cannot_have_is_an_error_of_its_input(ledger: Ledger, dispatcher: Any, time: Time) -> None:
    recorder = recorder_of(ledger, dispatcher, time)
    recorder._store.longest_key = 8  # type: ignore[misc]
    for key, text in (("ééééé", "at most 8 bytes"), ("k" * 9, "at most 8 bytes")):
        result = recorder.admit(Item(index=3, given={}, key=key, digest="d"))
        assert isinstance(result, BatchResult) and text in str(result.error) and result.key == key
    assert isinstance(recorder.admit(Item(index=3, given={}, key="éééé", digest="d")), InFlightTask)
    recorder.close()


# -- without a ledger


def test_without_a_ledger_a_run_whose_end_is_not_known_is_cancelled(dispatcher: Any) -> None:
    recorder = NullRecorder(MapConfig(), dispatcher, is_final)
    task = recorder.admit(Item(index=0, given={}))
    assert isinstance(task, InFlightTask) and task.thread_id
    recorder.record([finished(task, SUCCESS)], [])
    assert [] == dispatcher.cancelled
    recorder.record([finished(task, CUT)], [])
    assert [(task.thread_id, True, False)] == dispatcher.cancelled


@pytest.mark.parametrize(("keep", "worker_deletes"), [(False, (True, True)), ("failed", (True, False)), (True, (False, False))])
def test_without_a_ledger_workers_delete_threads(dispatcher: Any, keep: Any, worker_deletes: Any) -> None:
    assert worker_deletes == NullRecorder(MapConfig(keep_threads=keep), dispatcher, is_final).worker_deletes

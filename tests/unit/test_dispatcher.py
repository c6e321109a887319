"""Handing tasks to an executor, and collecting what comes back. Nothing is sent: the task runner is a fake one."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest

from langgraph_runs import AbortedError, AbortSignal, APIConnectionError, LangGraphRunsError, RateLimitError
from langgraph_runs.batch.dispatcher import Dispatcher
from langgraph_runs.batch.inputs import Item
from langgraph_runs.batch.task import RESTARTED, InFlightTask, RunPresence, Task, TaskResult
from langgraph_runs.batch.worker import HookError

from ..waiting import wait_until

#: Seconds. Longer than anything here takes.
TIMEOUT = 20.0


class Runner:
    """Ends each task when it is released, or when it is aborted."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.started = threading.Semaphore(0)
        self.error: Optional[BaseException] = None
        self.probe_result: Optional[LangGraphRunsError] = None
        self.deleted: List[str] = []
        self.cancelled: Dict[str, Any] = {}

    def run(
        self, task: Task, signal: Optional[AbortSignal] = None, on_run_created: Optional[Callable[[Any], None]] = None
    ) -> TaskResult:
        if on_run_created is not None:
            on_run_created({"run_id": "r"})
        self.started.release()
        while not self.released.wait(0.01):
            if signal is not None and signal.aborted:
                return TaskResult(error=AbortedError("aborted", reason=signal.reason))
        if self.error is not None:
            raise self.error
        return TaskResult(run_id=task.thread_id)

    def delete_thread(self, thread_id: str, *, run: Any = None, signal: Any = None) -> bool:
        if self.error is not None:
            raise self.error
        self.deleted.append(thread_id)
        return thread_id != "kept"

    def cancel_run(self, thread_id: str, **options: Any) -> bool:
        self.cancelled[thread_id] = options
        return True

    def probe(self, thread_id: str, signal: Any = None, timeout: float = 0.0) -> Optional[LangGraphRunsError]:
        return self.probe_result


@pytest.fixture
def runner() -> Any:
    return Runner()


@pytest.fixture
def dispatcher(runner: Any) -> Iterator[Dispatcher]:
    dispatcher = Dispatcher(runner, None, 2)
    yield dispatcher
    runner.released.set()
    dispatcher.close()


def task_of(thread_id: str) -> Task:
    return Task(
        thread_id=thread_id,
        run_id=None,
        assistant_id="agent",
        payload=None,
        headers={},
        params=[],
        timeout=None,
        may_exist=False,
        may_still_arrive=False,
        may_arrive_late=False,
        rerun_failed=False,
        delete=(False, False),
    )


def start(dispatcher: Dispatcher, thread_id: str) -> InFlightTask:
    in_flight = InFlightTask(Item(index=0, given=None), thread_id)
    dispatcher.start(in_flight, task_of(thread_id))
    return in_flight


def test_tasks_come_back_with_their_results(dispatcher: Dispatcher, runner: Any) -> None:
    started = {start(dispatcher, name) for name in ("a", "b", "c")}
    assert (3, True) == (dispatcher.in_flight, dispatcher.has_own_threads)
    assert all(in_flight.may_exist for in_flight in started)
    runner.released.set()
    results: Dict[InFlightTask, TaskResult] = {}
    while len(results) < 3:
        collected, deleted = dispatcher.collect(TIMEOUT)
        assert collected and not deleted
        results.update(collected)
    assert started == set(results)
    assert all(in_flight.thread_id == result.run_id for in_flight, result in results.items())
    assert (0, None) == (dispatcher.in_flight, dispatcher.failure)


def test_another_thread_can_end_the_wait(dispatcher: Dispatcher) -> None:
    threading.Timer(0.05, dispatcher.wake).start()
    assert ([], []) == dispatcher.collect(TIMEOUT)


def test_deleted_threads_are_reported(dispatcher: Dispatcher) -> None:
    for thread_id in ("a", "kept"):
        dispatcher.delete_thread(thread_id)
    deleted: List[str] = []
    while dispatcher.cleaning:
        deleted += dispatcher.collect(TIMEOUT)[1]
    assert ["a"] == deleted


def test_a_cancel_waits_for_a_create_only_while_the_run_is_not_known(dispatcher: Dispatcher, runner: Any) -> None:
    known, unknown = InFlightTask(Item(index=0, given=None), "known"), InFlightTask(Item(index=1, given=None), "unknown")
    known.note_created()
    unknown.note_started()
    for in_flight in (known, unknown):
        dispatcher.cancel_run(in_flight, delete=True, keep_successful=False)
    while dispatcher.cleaning:
        dispatcher.collect(TIMEOUT)
    assert {"known": False, "unknown": True} == {name: options["may_still_arrive"] for name, options in runner.cancelled.items()}


@pytest.mark.parametrize("error", [KeyError("a defect"), HookError(RateLimitError("busy", status_code=429))], ids=["other", "hook"])
def test_an_exception_that_is_no_result_is_the_failure_of_the_map(dispatcher: Dispatcher, runner: Any, error: Exception) -> None:
    runner.error = error
    runner.released.set()
    in_flight = start(dispatcher, "a")
    ((found, result),), _ = dispatcher.collect(TIMEOUT)
    assert found is in_flight and isinstance(result.error, AbortedError)
    assert dispatcher.failure is (error.error if isinstance(error, HookError) else error)


def test_an_exception_of_a_cleanup_is_logged_and_is_the_failure_of_the_map(
    dispatcher: Dispatcher, runner: Any, caplog: pytest.LogCaptureFixture
) -> None:
    runner.error = KeyError("a defect")
    dispatcher.delete_thread("a")
    while dispatcher.cleaning:
        assert ([], []) == dispatcher.collect(TIMEOUT)
    assert runner.error is dispatcher.failure
    assert "the thread a may be left behind" in caplog.text


def test_a_cleanup_that_fails_for_a_reason_that_may_pass_is_tried_again(
    dispatcher: Dispatcher, runner: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("langgraph_runs.batch.dispatcher._CLEANUP_PAUSE", 0.01)
    runner.error = RateLimitError("busy", status_code=429)
    dispatcher.delete_thread("a")
    for _ in range(9):
        while dispatcher.seconds_to_cleanup is None:
            dispatcher.collect(TIMEOUT)
        wait_until(lambda: dispatcher.seconds_to_cleanup == 0.0, "the next try", TIMEOUT)
        dispatcher.retry_cleanups()
    assert 1 == dispatcher.cleaning and "" == caplog.text
    runner.error = None
    deleted: List[str] = []
    while dispatcher.cleaning:
        dispatcher.retry_cleanups()
        deleted += dispatcher.collect(0.01)[1]
    assert ["a"] == deleted


def test_a_cleanup_that_fails_although_the_server_responds_is_given_up(
    dispatcher: Dispatcher, runner: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("langgraph_runs.batch.dispatcher._CLEANUP_PAUSE", 0.0)
    runner.error = APIConnectionError("cut", sent=True)
    dispatcher.delete_thread("a")
    while dispatcher.cleaning:
        dispatcher.retry_cleanups()
        dispatcher.collect(0.01)
    assert 1 == caplog.text.count("left behind")
    assert dispatcher.failure is None


@pytest.mark.parametrize("error", [None, APIConnectionError("refused", sent=False)], ids=repr)
def test_the_result_of_a_probe_is_collected(dispatcher: Dispatcher, runner: Any, error: Optional[LangGraphRunsError]) -> None:
    runner.probe_result = error
    dispatcher.probe("a")
    while dispatcher.is_probing:
        dispatcher.collect(TIMEOUT)
    assert [error] == dispatcher.probe_results


def test_tasks_that_were_not_started_can_be_withdrawn(dispatcher: Dispatcher, runner: Any) -> None:
    tasks = [start(dispatcher, str(number)) for number in range(5)]
    assert all(runner.started.acquire(timeout=TIMEOUT) for _ in range(2))  # two threads: two tasks are run
    withdrawn = dispatcher.withdraw()
    assert tasks[2:] == withdrawn and 2 == dispatcher.in_flight
    assert [RunPresence.ABSENT] * 3 == [in_flight.presence for in_flight in withdrawn]
    dispatcher.abort()
    while dispatcher.in_flight:
        for _, result in dispatcher.collect(TIMEOUT)[0]:
            assert isinstance(result.error, AbortedError)


class Executor:
    """An executor that runs nothing; the test sets the result."""

    def __init__(self) -> None:
        self.futures: List[Future[Any]] = []
        self.refuses = False

    def submit(self, *_: Any) -> Future[Any]:
        if self.refuses:
            raise RuntimeError("cannot schedule new futures after shutdown")
        self.futures.append(Future())
        return self.futures[-1]


def test_another_executor_may_have_started_a_task_that_it_gives_back(runner: Any) -> None:
    dispatcher = Dispatcher(runner, Executor(), 2)
    in_flight = start(dispatcher, "a")
    assert [in_flight] == dispatcher.withdraw()
    assert in_flight.may_still_arrive and not dispatcher.has_own_threads
    dispatcher.close()


def test_an_executor_that_refuses_a_task_is_an_error(runner: Any) -> None:
    executor = Executor()
    executor.refuses = True
    dispatcher = Dispatcher(runner, executor, 2)
    with pytest.raises(LangGraphRunsError, match="the executor failed: RuntimeError: cannot schedule"):
        start(dispatcher, "a")
    dispatcher.close()


@pytest.mark.parametrize(("error", "is_raised_as_it_is"), [(OSError("lost"), False), (KeyboardInterrupt(), True)], ids=repr)
def test_a_failure_of_the_executor_names_the_executor(runner: Any, error: BaseException, is_raised_as_it_is: bool) -> None:
    executor = Executor()
    dispatcher = Dispatcher(runner, executor, 2)
    start(dispatcher, "a")
    executor.futures[0].set_exception(error)
    dispatcher.collect(TIMEOUT)
    failure = dispatcher.failure
    assert failure is not None
    assert is_raised_as_it_is is (failure is error)
    assert is_raised_as_it_is or failure.__cause__ is error
    dispatcher.close()


def test_a_future_whose_entry_in_the_queue_was_lost_is_found(runner: Any) -> None:
    """As after an exception of a signal handler just after the entry was read."""
    executor = Executor()
    dispatcher = Dispatcher(runner, executor, 2)
    in_flight = start(dispatcher, "a")
    executor.futures[0].set_result(TaskResult(run_id="r"))
    assert dispatcher._done.get(timeout=TIMEOUT) is executor.futures[0]
    ((found, result),), deleted = dispatcher.collect_lost()
    assert (in_flight, "r", [], 0) == (found, result.run_id, deleted, dispatcher.in_flight)
    dispatcher.close()


def test_tasks_are_ended_to_be_started_again(runner: Any, dispatcher: Dispatcher) -> None:
    """A task that is started afterwards runs on."""
    first, second = InFlightTask(Item(index=0, given={}), "one"), InFlightTask(Item(index=1, given={}), "two")
    dispatcher.start(first, task_of("one"))
    runner.started.acquire(timeout=TIMEOUT)
    threading.Thread(target=dispatcher.restart_tasks).start()
    ((ended, result),), _ = dispatcher.collect(TIMEOUT)
    assert ended is first and isinstance(result.error, AbortedError) and RESTARTED == result.error.reason
    dispatcher.start(second, task_of("two"))
    runner.released.set()
    ((ended, result),), _ = dispatcher.collect(TIMEOUT)
    assert ended is second and "two" == result.run_id


def test_another_executor_gives_back_what_it_has_not_started(runner: Any) -> None:
    executor = Executor()
    dispatcher = Dispatcher(runner, executor, 2)
    task = InFlightTask(Item(index=0, given={}), "one")
    dispatcher.start(task, task_of("one"))
    dispatcher.restart_tasks()
    ((ended, result),), _ = dispatcher.collect(TIMEOUT)
    assert ended is task and isinstance(result.error, AbortedError) and RESTARTED == result.error.reason
    dispatcher.close()

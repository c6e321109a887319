"""Passes tasks to an executor and collects their results; deletes threads and cancels runs in a few cleanup workers.

Finished tasks and cleanups come back through one queue, on which the iterating thread waits. The dispatcher knows the tasks in
flight, but neither which inputs come next nor what their results mean.
"""

from __future__ import annotations

import logging
import queue
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set, Tuple

from ..call import AbortController, is_refusal
from ..errors import AbortedError, LangGraphRunsError
from ..models import Run
from .task import RESTARTED, InFlightTask, Task, TaskResult
from .thread_pool import DaemonThreadPool
from .worker import PROBE_TIMEOUT, HookError, TaskRunner, run_task

__all__ = ["Dispatcher"]

_log = logging.getLogger(__name__)
#: The most cleanup workers.
_CLEANUP_WORKERS = 8
#: How often a cleanup is tried while the server responds, and the seconds between two tries.
_CLEANUP_TRIES, _CLEANUP_PAUSE = 3, 1.0
#: How many threads that are left behind a log record names.
_SHOWN = 5


class _Cleanup(NamedTuple):
    """The deletion of a thread, or the cancel of its run."""

    thread_id: str
    function: Callable[[], bool]
    tries: int = 1
    #: When it is tried again, in monotonic time.
    due: float = 0.0


class Dispatcher:
    """Runs the tasks of one map. Used by the iterating thread, except for `wake` and `restart_tasks`."""

    def __init__(self, runner: TaskRunner, executor: Any, concurrency: int) -> None:
        self._runner = runner
        self._executor = executor
        self._pool = DaemonThreadPool(concurrency, "langgraph_runs-map") if executor is None else None
        self._cleanup_pool = DaemonThreadPool(min(_CLEANUP_WORKERS, concurrency), "langgraph_runs-cleanup")
        self._probe_pool = DaemonThreadPool(1, "langgraph_runs-probe")
        self._abort = AbortController()
        #: Ends the cleanups and the probe, which go on while the map is stopped.
        self._abort_cleanups = AbortController()
        #: Futures that are done; None wakes the iterating thread.
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._tasks: Dict[Any, InFlightTask] = {}
        #: Futures of another executor that `restart_tasks` has cancelled.
        self._restarted: Set[Any] = set()
        #: The cleanups under way, and those that are tried again.
        self._cleanups: Dict[Any, _Cleanup] = {}
        self._put_off: List[_Cleanup] = []
        self._probe: Any = None
        #: The results of probes that have ended: an error, or None if the server has responded.
        self.probe_results: List[Optional[LangGraphRunsError]] = []
        #: The first exception of a hook, the executor or a worker thread, which ends the map; or None.
        self.failure: Optional[BaseException] = None

    @property
    def has_own_threads(self) -> bool:
        """True if tasks run in the pool of the dispatcher, so that they can be aborted and are never run twice."""
        return self._pool is not None

    @property
    def tasks(self) -> List[InFlightTask]:
        """The tasks in flight."""
        return list(self._tasks.values())

    @property
    def in_flight(self) -> int:
        """The number of tasks in flight."""
        return len(self._tasks)

    @property
    def cleaning(self) -> int:
        """The number of cleanups under way, or to be tried again."""
        return len(self._cleanups) + len(self._put_off)

    @property
    def seconds_to_cleanup(self) -> Optional[float]:
        """Seconds until a cleanup is tried again; None if there is none."""
        return max(0.0, min(one.due for one in self._put_off) - time.monotonic()) if self._put_off else None

    @property
    def is_probing(self) -> bool:
        """True while a probe is under way."""
        return self._probe is not None

    @property
    def has_results(self) -> bool:
        """True if `collect` would return something without waiting."""
        return not self._done.empty()

    # -- starting work

    def start(self, in_flight: InFlightTask, task: Task) -> None:
        """Submit *task* to the executor. Raise `LangGraphRunsError` if the executor does not accept it."""
        in_flight.note_started()
        in_flight.started_at = time.monotonic()
        if self._pool is not None:
            future = self._pool.submit(self._runner.run, task, self._abort.signal, in_flight.note_created)
        else:
            try:
                future = self._executor.submit(run_task, self._runner, task)
            except Exception as error:
                raise _executor_failed(error) from error
        self._tasks[future] = in_flight
        future.add_done_callback(self._done.put)

    def delete_thread(self, thread_id: str, *, run: Optional[Run] = None) -> None:
        """Delete a thread in a cleanup worker, without waiting for it; see `TaskRunner.delete_thread`."""
        signal = self._abort_cleanups.signal
        self._clean_up(_Cleanup(thread_id, lambda: self._runner.delete_thread(thread_id, run=run, signal=signal)))

    def cancel_run(self, in_flight: InFlightTask, *, delete: bool, keep_successful: bool) -> None:
        """Cancel the run of a task in a cleanup worker, without waiting for it; see `TaskRunner.cancel_run`."""
        may_still_arrive, thread_id = in_flight.may_exist and not in_flight.is_created, in_flight.thread_id
        signal = self._abort_cleanups.signal
        self._clean_up(
            _Cleanup(
                thread_id,
                lambda: self._runner.cancel_run(
                    thread_id,
                    delete=delete,
                    may_still_arrive=may_still_arrive,
                    keep_successful=keep_successful,
                    signal=signal,
                ),
            )
        )

    def _clean_up(self, cleanup: _Cleanup) -> None:
        future = self._cleanup_pool.submit(cleanup.function)
        self._cleanups[future] = cleanup
        future.add_done_callback(self._done.put)

    def retry_cleanups(self) -> None:
        """Try again the cleanups that have failed for a reason that may pass, and that are due."""
        if self._put_off:
            now = time.monotonic()
            due = [one for one in self._put_off if one.due <= now]
            self._put_off = [one for one in self._put_off if one.due > now]
            for one in due:
                self._clean_up(one)

    def probe(self, thread_id: str, timeout: float = PROBE_TIMEOUT) -> None:
        """Begin a probe of the server in a thread of its own; see `TaskRunner.probe`."""
        self._probe = self._probe_pool.submit(self._runner.probe, thread_id, self._abort_cleanups.signal, timeout)
        self._probe.add_done_callback(self._done.put)

    # -- collecting results

    def wake(self) -> None:
        """End a `collect` that waits. May be called from any thread."""
        self._done.put(None)

    def restart_tasks(self) -> None:
        """End all tasks in flight at once, each with an `AbortedError` whose reason is `RESTARTED`: no further run is created.

        May be called by any thread. Another executor gives back only tasks that it has not started.
        """
        if self._pool is not None:
            lost, self._abort = self._abort, AbortController()
            lost.abort(RESTARTED)
            return
        for future in list(self._tasks):
            self._restarted.add(future)
            future.cancel()

    def collect(self, timeout: float) -> Tuple[List[Tuple[InFlightTask, TaskResult]], List[str]]:
        """Return the tasks that have ended, with their results, and the threads that were deleted.

        Waits at most *timeout* seconds for the first of them, or until `wake`.
        """
        results: List[Tuple[InFlightTask, TaskResult]] = []
        deleted: List[str] = []
        while True:
            try:
                future = self._done.get(timeout=timeout) if timeout > 0 else self._done.get_nowait()
            except queue.Empty:
                return results, deleted
            timeout = 0.0
            self._collect(future, results, deleted)

    def collect_lost(self) -> Tuple[List[Tuple[InFlightTask, TaskResult]], List[str]]:
        """Do as `collect`, without waiting, for futures whose entry in the queue was lost because `collect` raised."""
        results: List[Tuple[InFlightTask, TaskResult]] = []
        deleted: List[str] = []
        for future in [*self._tasks, *self._cleanups, *([] if self._probe is None else [self._probe])]:
            if future.done():
                self._collect(future, results, deleted)
        return results, deleted

    def _collect(self, future: Any, results: List[Tuple[InFlightTask, TaskResult]], deleted: List[str]) -> None:
        if future in self._tasks:
            in_flight = self._tasks[future]
            results.append((in_flight, self._result_of(future)))
            del self._tasks[future]
        elif future in self._cleanups:
            cleanup, error = self._cleanups[future], future.exception()
            if isinstance(error, LangGraphRunsError):
                self._put_off_or_log(cleanup, error)
            elif error is not None:
                _log.warning("the thread %s may be left behind on the server: %r", cleanup.thread_id, str(error))
                self._fail(error)
            elif future.result():
                deleted.append(cleanup.thread_id)
            del self._cleanups[future]
        elif future is not None and future is self._probe:
            error = future.exception()
            if error is not None:
                self._fail(error)
            else:
                self.probe_results.append(future.result())
            self._probe = None

    def _put_off_or_log(self, cleanup: _Cleanup, error: LangGraphRunsError) -> None:
        if cleanup.tries >= _CLEANUP_TRIES and not is_refusal(error):
            _log.warning("the thread %s, and perhaps its run, is left behind on the server: %s", cleanup.thread_id, str(error))
        else:
            due = time.monotonic() + _CLEANUP_PAUSE * 2.0 ** min(cleanup.tries - 1, 4)
            self._put_off.append(cleanup._replace(tries=cleanup.tries + 1, due=due))

    def _result_of(self, future: Any) -> TaskResult:
        restarted = future in self._restarted
        self._restarted.discard(future)
        if future.cancelled():
            reason = RESTARTED if restarted else None
            return TaskResult(error=AbortedError("the executor cancelled it", reason=reason))
        error = future.exception()
        if error is None:
            result: TaskResult = future.result()
            return result
        is_of_executor = isinstance(error, Exception) and not (self.has_own_threads or isinstance(error, HookError))
        self._fail(_executor_failed(error) if is_of_executor else error)
        return TaskResult(error=AbortedError(f"the executor failed: {type(error).__name__}"))

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error.error if isinstance(error, HookError) else error

    # -- ending

    def withdraw(self) -> List[InFlightTask]:
        """Take back and return the tasks that were not started."""
        withdrawn = [self._tasks.pop(future) for future in list(self._tasks) if future.cancel()]
        for in_flight in withdrawn:
            # Another executor may have started a task on another machine and still let it be cancelled here.
            in_flight.note_withdrawn(surely_not_started=self.has_own_threads)
        return withdrawn

    def abort(self) -> None:
        """End the calls of the dispatcher's own threads at once, each with an `AbortedError`."""
        self._abort.abort("the map was stopped")

    def close(self, *, reports_left: bool = True) -> None:
        """End the dispatcher's own threads. The executor of the user is not shut down.

        *reports_left* is False if the next map with the ledger tries the cleanups again that have not succeeded.
        """
        self.abort()
        self._abort_cleanups.abort("the map was stopped")
        for pool in (self._pool, self._cleanup_pool, self._probe_pool):
            if pool is not None:
                pool.close()
        self.collect_lost()
        left = [one.thread_id for one in [*self._put_off, *self._cleanups.values()]]
        if left and reports_left:
            shown = ", ".join(left[:_SHOWN]) + (", ..." if len(left) > _SHOWN else "")
            _log.warning("%d threads, and perhaps their runs, are left behind on the server: %s", len(left), shown)


def _executor_failed(error: BaseException) -> LangGraphRunsError:
    failure = LangGraphRunsError(f"the executor failed: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure

"""Who does the errands of a map: an executor for the runs, a few threads for tidying up, one queue for what they report.

It knows what is in flight, and neither which inputs come next nor what their ends mean.
"""

from __future__ import annotations

import queue
from typing import Any, Callable, Dict, List, Optional, Tuple

from ..call import AbortController
from ..errors import AbortedError, LangGraphRunsError
from .task import InFlightTask
from .thread_pool import DaemonThreadPool
from .worker import Task, TaskResult, TaskRunner, run_task

__all__ = ["Dispatcher"]

#: Threads that tidy up.
_SWEEPERS = 8


class Dispatcher:
    """Does errands, and tells what came of them to the one thread that asks."""

    def __init__(self, errands: TaskRunner, executor: Any, concurrency: int) -> None:
        self._errands = errands
        self._executor = executor
        self._hands = DaemonThreadPool(concurrency, "langgraph_runs-map") if executor is None else None
        self._sweepers = DaemonThreadPool(min(_SWEEPERS, concurrency), "langgraph_runs-tidy")
        self._ending = AbortController()
        #: ``(future, None)`` for an errand that was done, ``(None, (thread, whether it is gone))`` for a thread, ``(None, None)``.
        self._news: queue.SimpleQueue[Tuple[Any, Optional[Tuple[str, bool]]]] = queue.SimpleQueue()
        self._flights: Dict[Any, InFlightTask] = {}
        #: Threads that are being tidied up.
        self.sweeping = 0
        #: What is wrong with the executor, or with us, once something is.
        self.failure: Optional[BaseException] = None

    @property
    def is_ours(self) -> bool:
        """Whether the errands are done by threads of ours, which can be told to stop."""
        return self._hands is not None

    @property
    def flights(self) -> List[InFlightTask]:
        """What is in flight."""
        return list(self._flights.values())

    @property
    def in_flight(self) -> int:
        """How many that are."""
        return len(self._flights)

    @property
    def has_news(self) -> bool:
        """Whether `collect` would find something now."""
        return not self._news.empty()

    # -- giving them something to do

    def launch(self, flight: InFlightTask, errand: Task) -> None:
        """Have an errand done for *flight*."""
        if self._hands is not None:
            future = self._hands.submit(self._errands.do, errand, self._ending.signal, flight.note_created)
        else:
            try:
                future = self._executor.submit(run_task, self._errands, errand)
            except Exception as error:
                raise _executor_failed(error) from error
        self._flights[future] = flight
        news = self._news
        future.add_done_callback(lambda done: news.put((done, None)))

    def sweep(self, thread_id: str) -> None:
        """Have a thread deleted."""
        self._tidy(thread_id, self._errands.delete, thread_id)

    def give_up(self, flight: InFlightTask, *, delete: bool, spare_success: bool) -> None:
        """Have what runs for *flight* cancelled."""
        thread_id, settle = flight.thread_id, not flight.created
        self._tidy(thread_id, lambda: self._errands.give_up(thread_id, delete=delete, settle=settle, spare_success=spare_success))

    def _tidy(self, thread_id: str, work: Callable[..., bool], *arguments: Any) -> None:
        self.sweeping += 1
        news = self._news
        future = self._sweepers.submit(work, *arguments)
        future.add_done_callback(lambda done: news.put((None, (thread_id, done.exception() is None and done.result()))))

    # -- hearing of it

    def wake(self) -> None:
        """End a `collect` that waits, from any thread."""
        self._news.put((None, None))

    def collect(self, patience: float) -> Tuple[List[Tuple[InFlightTask, TaskResult]], List[str]]:
        """What was done, and which threads are gone; waits so many seconds for the first news."""
        landed: List[Tuple[InFlightTask, TaskResult]] = []
        gone: List[str] = []
        while True:
            try:
                future, swept = self._news.get(timeout=patience) if patience > 0 else self._news.get_nowait()
            except queue.Empty:
                return landed, gone
            patience = 0.0
            if swept is not None:
                self.sweeping -= 1
                if swept[1]:
                    gone.append(swept[0])
            elif future is not None:
                flight = self._flights.pop(future, None)
                if flight is not None:
                    landed.append((flight, self._report_of(future)))

    def _report_of(self, future: Any) -> TaskResult:
        if future.cancelled():
            return TaskResult(error=AbortedError("the executor cancelled it"))
        error = future.exception()
        if error is None:
            report: TaskResult = future.result()
            return report
        if self.failure is None:
            self.failure = error if self.is_ours or not isinstance(error, Exception) else _executor_failed(error)
        return TaskResult(error=AbortedError(f"the executor failed: {type(error).__name__}"))

    # -- ending

    def recall(self) -> List[InFlightTask]:
        """Take back what nobody has begun with, as far as one can know that of an executor that is not ours."""
        recalled = [self._flights.pop(future) for future in list(self._flights) if future.cancel()]
        for flight in recalled:
            flight.begun = flight.begun or not self.is_ours
        return recalled

    def abort(self) -> None:
        """End the calls of our own threads, at once."""
        self._ending.abort("the map was stopped")

    def close(self) -> None:
        """Let our own threads end."""
        self.abort()
        for hands in (self._hands, self._sweepers):
            if hands is not None:
                hands.close()


def _executor_failed(error: BaseException) -> LangGraphRunsError:
    failure = LangGraphRunsError(f"the executor failed: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure

"""Records claims, results and threads when tasks start and end: with a ledger, or without one.

The scheduler uses either recorder in the same way, in the iterating thread.
"""

from __future__ import annotations

import time
import uuid
from typing import Callable, List, Optional, Protocol, Sequence, Tuple, Union

import attrs

from ..errors import InvalidRequestError
from .config import MapConfig
from .dispatcher import Dispatcher
from .inputs import Item
from .ledger import LedgerStore
from .results import BatchResult
from .task import InFlightTask, TaskResult

__all__ = ["FinishedTask", "LedgerRecorder", "NullRecorder", "Recorder"]

#: Seconds between two queries for results of inputs that another map has claimed.
_POLL_INTERVAL = 0.1
#: Seconds between two checks whether other maps are still alive.
_OWNER_CHECK_INTERVAL = 1.0
#: The maximum number of threads of earlier maps that one map deletes, in all and at once.
_ORPHANED_THREADS, _ORPHANED_AT_ONCE = 1000, 8


@attrs.frozen
class FinishedTask:
    """A task that a task runner has returned."""

    in_flight: InFlightTask
    task_result: TaskResult
    #: The result of the input, or None if it is to be started again.
    result: Optional[BatchResult]


class Recorder(Protocol):
    """The interface that the scheduler and its shutdown use."""

    #: True if task runners delete the thread themselves after a success; the same after a failure.
    worker_deletes: Tuple[bool, bool]

    @property
    def poll_interval(self) -> Optional[float]:
        """Return the seconds until `poll` should be called; None if there is nothing to poll for."""

    def admit(self, item: Item) -> Union[InFlightTask, BatchResult]:
        """Return a task for an input, or its result if the ledger has it."""

    def delete_orphaned_threads(self) -> None:
        """Start to delete threads that earlier maps have left on the server, a few at once."""

    def poll(self) -> Tuple[List[BatchResult], List[InFlightTask]]:
        """Return results that other maps have recorded meanwhile, and tasks whose inputs other maps have released."""

    def record(self, finished: Sequence[FinishedTask], starting: Sequence[InFlightTask]) -> List[InFlightTask]:
        """Record the finished tasks, and claim the inputs of the tasks to start. Return the tasks that may start.

        When this returns, changes of a ledger are durable, and the cleanup of the finished tasks has begun.
        """

    def note_deleted(self, thread_ids: List[str]) -> None:
        """Note that these threads are deleted from the server."""

    def release(self, unfinished: Sequence[InFlightTask], *, cancelled: bool) -> None:
        """Release the claims of tasks without a result. *cancelled* says that their runs are going to be cancelled."""

    def cancel_run(self, in_flight: InFlightTask) -> None:
        """Start to cancel the run of a task, and to delete its thread if the configuration says so."""

    def note_cancelled(self, cancelled: Sequence[InFlightTask]) -> None:
        """Note that the attempts to cancel the runs of these tasks have ended, successfully or not."""

    def close(self) -> None:
        """Write what is not written yet, and close the ledger."""


class NullRecorder:
    """The recorder of a map without a ledger. Task runners delete the threads."""

    def __init__(self, config: MapConfig, dispatcher: Dispatcher, is_final: Callable[[BatchResult], bool]) -> None:
        self.worker_deletes = (config.deletes_thread(failed=False), config.deletes_thread(failed=True))
        self._dispatcher = dispatcher
        self._is_final = is_final

    @property
    def poll_interval(self) -> Optional[float]:
        """See `Recorder`."""
        return None

    def admit(self, item: Item) -> Union[InFlightTask, BatchResult]:
        """See `Recorder`."""
        return InFlightTask(item, str(uuid.uuid4()) if item.run is None else item.run.thread_id)

    def delete_orphaned_threads(self) -> None:
        """See `Recorder`."""

    def poll(self) -> Tuple[List[BatchResult], List[InFlightTask]]:
        """See `Recorder`."""
        return [], []

    def record(self, finished: Sequence[FinishedTask], starting: Sequence[InFlightTask]) -> List[InFlightTask]:
        """See `Recorder`."""
        for one in finished:
            if one.result is not None and not self._is_final(one.result):
                self.cancel_run(one.in_flight)  # no later map will look for its run
        return list(starting)

    def note_deleted(self, thread_ids: List[str]) -> None:
        """See `Recorder`."""

    def release(self, unfinished: Sequence[InFlightTask], *, cancelled: bool) -> None:
        """See `Recorder`."""

    def cancel_run(self, in_flight: InFlightTask) -> None:
        """See `Recorder`. Runs that were only joined are left alone."""
        if in_flight.may_exist and in_flight.item.run is None:
            self._dispatcher.cancel_run(in_flight, delete=self.worker_deletes[1], keep_successful=False)

    def note_cancelled(self, cancelled: Sequence[InFlightTask]) -> None:
        """See `Recorder`."""

    def close(self) -> None:
        """See `Recorder`."""


class LedgerRecorder:
    """The recorder of a map with a ledger.

    A thread is deleted only after the result is recorded. A map that is killed between the two leaves an orphaned thread, which the
    next map deletes. No result is lost.
    """

    worker_deletes = (False, False)

    def __init__(
        self,
        store: LedgerStore,
        config: MapConfig,
        dispatcher: Dispatcher,
        is_final: Callable[[BatchResult], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._config = config
        self._dispatcher = dispatcher
        self._is_final = is_final
        self._clock = clock
        #: Tasks whose inputs other maps have claimed.
        self._claimed_elsewhere: List[InFlightTask] = []
        self._polled_at = self._owners_checked_at = clock()
        self._orphaned = store.orphaned_threads(_ORPHANED_THREADS)
        #: Ids of threads that are deleted from the server, but are still in the ledger.
        self._deleted: List[str] = []

    # -- inputs

    def admit(self, item: Item) -> Union[InFlightTask, BatchResult]:
        """See `Recorder`. The key of an input without one is made from its content."""
        key = item.key if item.key is not None else item.digest
        count = self._store.occurrence(key)
        if count > 1:
            if item.key is not None:
                error = InvalidRequestError(
                    f"inputs[{item.index}]: the key {key!r} was given before: each input needs one of its own"
                )
                return BatchResult(index=item.index, key=key, input=item.given, error=error, attempts=0)
            key = f"{key}-{count}"
        item = attrs.evolve(item, key=key)
        return self._recorded_result(item) or InFlightTask(item)

    def _recorded_result(self, item: Item) -> Optional[BatchResult]:
        assert item.key is not None
        return self._store.find_result(item.key, item.digest, index=item.index, item=item.given)

    @property
    def poll_interval(self) -> Optional[float]:
        """See `Recorder`."""
        return _POLL_INTERVAL if self._claimed_elsewhere else None

    def poll(self) -> Tuple[List[BatchResult], List[InFlightTask]]:
        """See `Recorder`."""
        now = self._clock()
        if not self._claimed_elsewhere or now - self._polled_at < _POLL_INTERVAL:
            return [], []
        if now - self._owners_checked_at >= _OWNER_CHECK_INTERVAL:
            self._store.release_dead_owners()
            self._owners_checked_at = now
        results: List[BatchResult] = []
        released: List[InFlightTask] = []
        still_claimed: List[InFlightTask] = []
        for in_flight in self._claimed_elsewhere:
            assert in_flight.item.key is not None
            result = self._recorded_result(in_flight.item)
            if result is not None:
                results.append(result)
            elif self._store.is_unclaimed(in_flight.item.key):
                released.append(in_flight)
            else:
                still_claimed.append(in_flight)
        self._claimed_elsewhere = still_claimed
        self._polled_at = self._clock()
        return results, released

    # -- results and claims

    def record(self, finished: Sequence[FinishedTask], starting: Sequence[InFlightTask]) -> List[InFlightTask]:
        """See `Recorder`. All changes are one transaction."""
        if not finished and not self._deleted and all(in_flight.claim is not None for in_flight in starting):
            return list(starting)
        startable: List[InFlightTask] = []
        claimed_elsewhere: List[InFlightTask] = []
        with self._store.transaction():
            orphaned = [self._record(one) for one in finished]
            for in_flight in starting:
                (startable if self._claim(in_flight) else claimed_elsewhere).append(in_flight)
            self._store.remove_orphaned_threads(self._deleted)
        self._deleted.clear()
        self._claimed_elsewhere += claimed_elsewhere
        for thread_id, one in zip(orphaned, finished):
            if thread_id is not None:
                self._dispatcher.delete_thread(thread_id, run=None if one.result is None else one.result.run)
        return startable

    def _claim(self, in_flight: InFlightTask) -> bool:
        if in_flight.claim is None:
            item = in_flight.item
            assert item.key is not None
            claim = self._store.claim(item.key, item.digest, item.index)
            if claim is None:
                return False
            in_flight.assign(claim)
        return True

    def _record(self, one: FinishedTask) -> Optional[str]:
        """Write the end of a task into the ledger. Returns the id of a thread that is to be deleted, or None."""
        in_flight, result = one.in_flight, one.result
        assert in_flight.claim is not None
        if result is None:
            return self._replace_thread(in_flight) if one.task_result.superseded else None
        if not self._is_final(result):
            self._store.release(in_flight.claim, error=result.error, cancelled=False, may_exist=in_flight.may_exist)
            return None
        delete = not result.paused and self._config.deletes_thread(failed=result.error is not None)
        self._store.finish(result, delete=delete)
        return in_flight.thread_id if delete else None

    def _replace_thread(self, in_flight: InFlightTask) -> Optional[str]:
        assert in_flight.claim is not None
        old, delete = in_flight.thread_id, self._config.deletes_thread(failed=True)
        in_flight.assign(self._store.replace_thread(in_flight.claim, delete=delete))
        return old if delete else None

    # -- cleanup

    def delete_orphaned_threads(self) -> None:
        """See `Recorder`."""
        while self._orphaned and self._dispatcher.cleaning < _ORPHANED_AT_ONCE:
            self._dispatcher.delete_thread(self._orphaned.pop())

    def note_deleted(self, thread_ids: List[str]) -> None:
        """See `Recorder`. The ledger is changed with the next results."""
        self._deleted += thread_ids

    # -- ending

    def release(self, unfinished: Sequence[InFlightTask], *, cancelled: bool) -> None:
        """See `Recorder`."""
        with self._store.transaction():
            for in_flight in unfinished:
                if in_flight.claim is not None:
                    self._store.release(in_flight.claim, error=None, cancelled=cancelled, may_exist=in_flight.may_exist)

    def cancel_run(self, in_flight: InFlightTask) -> None:
        """See `Recorder`. The thread of a run that has succeeded is kept for the next map, which takes its result."""
        if in_flight.may_exist:
            self._deleted = [thread_id for thread_id in self._deleted if thread_id != in_flight.thread_id]
            delete = self._config.deletes_thread(failed=True)
            self._dispatcher.cancel_run(in_flight, delete=delete, keep_successful=True)

    def note_cancelled(self, cancelled: Sequence[InFlightTask]) -> None:
        """See `Recorder`."""
        deleted = set(self._deleted)
        with self._store.transaction():
            for in_flight in cancelled:
                if in_flight.claim is not None and in_flight.thread_id in deleted:
                    self._store.forget_thread(in_flight.claim.key, in_flight.thread_id)

    def close(self) -> None:
        """See `Recorder`."""
        try:
            if self._deleted:
                with self._store.transaction():
                    self._store.remove_orphaned_threads(self._deleted)
        finally:
            self._store.close()

"""Records claims, results and threads when tasks start and end: with a ledger, or without one.

The scheduler uses either recorder in the same way, in the iterating thread.
"""

from __future__ import annotations

import time
import uuid
from typing import Callable, List, Optional, Protocol, Sequence, Tuple, Union

import attrs

from ..errors import InvalidRequestError
from ..runs import thread_of_key
from .config import MapConfig
from .dispatcher import Dispatcher
from .inputs import Item
from .ledger import Changes, Finish, KeyCounter, LedgerStore, Move, Record, Release, Wanted, Written
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
        """Return a task for an input, or its result if it cannot be run."""

    def delete_orphaned_threads(self) -> None:
        """Start to delete threads that earlier maps have left on the server, a few at once."""

    def poll(self) -> Tuple[List[BatchResult], List[InFlightTask]]:
        """Return results that other maps have recorded meanwhile, and tasks whose inputs other maps have released."""

    def record(
        self, finished: Sequence[FinishedTask], starting: Sequence[InFlightTask]
    ) -> Tuple[List[InFlightTask], List[BatchResult]]:
        """Record the finished tasks, and claim the inputs of the tasks to start.

        Return the tasks that may start, and the results of the others: of those that have finished, and those that the ledger has.
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

    def interrupt(self) -> None:
        """End a wait for the ledger. May be called by any thread."""

    def close(self) -> None:
        """Write what is not written yet, and close the ledger."""


class NullRecorder:
    """The recorder of a map without a ledger. Task runners delete the threads."""

    def __init__(self, config: MapConfig, dispatcher: Dispatcher, is_final: Callable[[BatchResult], bool]) -> None:
        self.worker_deletes = (config.deletes_thread(failed=False), config.deletes_thread(failed=True))
        self._has_keys = config.has_idempotency_keys
        self._dispatcher = dispatcher
        self._is_final = is_final

    @property
    def poll_interval(self) -> Optional[float]:
        """See `Recorder`."""
        return None

    def admit(self, item: Item) -> Union[InFlightTask, BatchResult]:
        """See `Recorder`."""
        if item.run is not None:
            return InFlightTask(item, item.run.thread_id)
        keyed = self._has_keys and item.key is not None
        return InFlightTask(item, thread_of_key(item.key) if keyed else str(uuid.uuid4()))

    def delete_orphaned_threads(self) -> None:
        """See `Recorder`."""

    def poll(self) -> Tuple[List[BatchResult], List[InFlightTask]]:
        """See `Recorder`."""
        return [], []

    def record(
        self, finished: Sequence[FinishedTask], starting: Sequence[InFlightTask]
    ) -> Tuple[List[InFlightTask], List[BatchResult]]:
        """See `Recorder`."""
        results = [one.result for one in finished if one.result is not None]
        for one in finished:
            if one.result is not None and not self._is_final(one.result):
                self.cancel_run(one.in_flight)  # no later map will look for its run
            elif one.task_result.superseded:
                one.in_flight.move_to(str(uuid.uuid4()))
            elif one.task_result.thread_left and one.task_result.outcome is not None:
                self._dispatcher.delete_thread(one.in_flight.thread_id, run=one.task_result.outcome.run)
            elif one.task_result.thread_left:
                self.cancel_run(one.in_flight)
        return list(starting), results

    def note_deleted(self, thread_ids: List[str]) -> None:
        """See `Recorder`."""

    def release(self, unfinished: Sequence[InFlightTask], *, cancelled: bool) -> None:
        """See `Recorder`."""

    def cancel_run(self, in_flight: InFlightTask) -> None:
        """See `Recorder`. Runs that were only joined are left alone."""
        if in_flight.may_exist and in_flight.item.run is None:
            # A key whose run was cancelled is forgotten, so that another map can run its input.
            delete = self.worker_deletes[1] or self._has_keys
            keep_successful = self._has_keys and not self.worker_deletes[0]
            self._dispatcher.cancel_run(in_flight, delete=delete, keep_successful=keep_successful)

    def note_cancelled(self, cancelled: Sequence[InFlightTask]) -> None:
        """See `Recorder`."""

    def interrupt(self) -> None:
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
        self._keys = KeyCounter()
        #: Tasks whose inputs other maps have claimed.
        self._claimed_elsewhere: List[InFlightTask] = []
        self._polled_at = self._owners_checked_at = clock()
        self._orphaned = store.orphaned_threads(_ORPHANED_THREADS)
        #: Ids of threads that are deleted from the server, but are still in the ledger.
        self._deleted: List[str] = []
        store.watch(dispatcher.restart_tasks, config.max_outage)

    # -- inputs

    def admit(self, item: Item) -> Union[InFlightTask, BatchResult]:
        """See `Recorder`. The key of an input without one is made from its content."""
        key = item.key if item.key is not None else item.digest
        longest = self._store.longest_key
        if longest is not None and len(key.encode()) > longest:
            long = InvalidRequestError(f"{item.place}: the key is too long for the ledger: give one of at most {longest} bytes")
            return BatchResult(index=item.index, key=key, input=item.given, error=long, attempts=0)
        count = self._keys.count(key)
        if count > 1:
            if item.key is not None:
                error = InvalidRequestError(f"{item.place}: the key {key!r} was given before: each input needs one of its own")
                return BatchResult(index=item.index, key=key, input=item.given, error=error, attempts=0)
            key = f"{key}-{count}"
        return InFlightTask(attrs.evolve(item, key=key))

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
        records = self._store.look_up([_key(in_flight) for in_flight in self._claimed_elsewhere])
        results: List[BatchResult] = []
        released: List[InFlightTask] = []
        still_claimed: List[InFlightTask] = []
        for in_flight in self._claimed_elsewhere:
            record = records.get(_key(in_flight))
            result = None if record is None else _result(in_flight, record)
            if result is not None:
                results.append(result)
            elif record is None or not record.claimed:
                released.append(in_flight)
            else:
                still_claimed.append(in_flight)
        self._claimed_elsewhere = still_claimed
        self._polled_at = self._clock()
        return results, released

    # -- results and claims

    def record(
        self, finished: Sequence[FinishedTask], starting: Sequence[InFlightTask]
    ) -> Tuple[List[InFlightTask], List[BatchResult]]:
        """See `Recorder`. All changes become durable together.

        A result of an input whose claim was lost is not recorded, and its thread is not deleted: the map that has the claim now
        finds the run on that thread.
        """
        changes = Changes(deleted=self._deleted)
        for one in finished:
            self._add_end(one, changes)
        for in_flight in starting:
            if in_flight.claim is None or not self._store.holds(in_flight.claim):
                changes.wanted.append(Wanted(_key(in_flight), in_flight.item.digest, in_flight.item.index))
        if not changes:
            return list(starting), []
        written = self._store.write(changes)
        self._deleted = []
        results = self._note_ends(finished, changes, written)
        startable: List[InFlightTask] = []
        for in_flight in starting:
            key = _key(in_flight)
            result = _result(in_flight, written.records[key]) if key in written.records else None
            if key in written.claims:
                in_flight.assign(written.claims[key])
            if result is not None:
                results.append(result)
            elif in_flight.claim is not None and self._store.holds(in_flight.claim):
                startable.append(in_flight)
            else:
                self._claimed_elsewhere.append(in_flight)
        return startable, results

    def _add_end(self, one: FinishedTask, changes: Changes) -> None:
        """Add the end of a task to *changes*."""
        in_flight, result = one.in_flight, one.result
        assert in_flight.claim is not None
        if result is None:
            if one.task_result.superseded:
                delete = self._config.deletes_thread(failed=True)
                changes.moved.append(Move(in_flight.claim, str(uuid.uuid4()), delete))
        elif self._is_final(result):
            delete = not result.paused and self._config.deletes_thread(failed=result.error is not None)
            changes.finished.append(Finish(result, delete))
        else:
            changes.released.append(Release(in_flight.claim, error=result.error, cancelled=False, may_exist=in_flight.may_exist))

    def _note_ends(self, finished: Sequence[FinishedTask], changes: Changes, written: Written) -> List[BatchResult]:
        """Begin the cleanup of the tasks whose ends are recorded, and return their results."""
        moves = {move.claim.key: move for move in changes.moved}
        deletes = {finish.result.key: finish.delete for finish in changes.finished}
        results: List[BatchResult] = []
        for one in finished:
            in_flight, key = one.in_flight, _key(one.in_flight)
            held = key in written.held
            if one.result is None:
                if held and key in moves:
                    old = in_flight.thread_id
                    in_flight.assign(moves[key].new_claim)
                    if moves[key].delete:
                        self._dispatcher.delete_thread(old)
            elif held:
                results.append(one.result)
                if one.task_result.thread_left:
                    self.cancel_run(in_flight)  # its time was over, and the task runner could not cancel it
                elif deletes.get(key):
                    self._dispatcher.delete_thread(in_flight.thread_id, run=one.result.run)
            else:
                in_flight.claim = None
                self._claimed_elsewhere.append(in_flight)
        return results

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
        changes = Changes()
        for in_flight in unfinished:
            if in_flight.claim is not None:
                changes.released.append(Release(in_flight.claim, error=None, cancelled=cancelled, may_exist=in_flight.may_exist))
        if changes:
            held = self._store.write(changes).held
            for in_flight in unfinished:
                if in_flight.claim is not None and _key(in_flight) not in held:
                    in_flight.claim = None  # another map has it

    def cancel_run(self, in_flight: InFlightTask) -> None:
        """See `Recorder`. The thread of a run that has succeeded is kept for the next map, which takes its result."""
        if in_flight.may_exist and in_flight.claim is not None:
            self._deleted = [thread_id for thread_id in self._deleted if thread_id != in_flight.thread_id]
            delete = self._config.deletes_thread(failed=True)
            self._dispatcher.cancel_run(in_flight, delete=delete, keep_successful=True)

    def note_cancelled(self, cancelled: Sequence[InFlightTask]) -> None:
        """See `Recorder`."""
        deleted = set(self._deleted)
        changes = Changes()
        for in_flight in cancelled:
            if in_flight.claim is not None and in_flight.thread_id in deleted:
                changes.forgotten[in_flight.claim.key] = in_flight.thread_id
        if changes:
            self._store.write(changes)

    def interrupt(self) -> None:
        """See `Recorder`."""
        self._store.interrupt()

    def close(self) -> None:
        """See `Recorder`."""
        try:
            if self._deleted:
                self._store.write(Changes(deleted=self._deleted))
        finally:
            self._keys.close()
            self._store.close()


def _key(in_flight: InFlightTask) -> str:
    assert in_flight.item.key is not None
    return in_flight.item.key


def _result(in_flight: InFlightTask, record: Record) -> Optional[BatchResult]:
    """Return the result of an input that the ledger has, or None."""
    item = in_flight.item
    return record.result(item.digest, index=item.index, key=item.key, input=item.given)

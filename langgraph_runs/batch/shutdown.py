"""Ends a map: the runs in flight are cancelled or left running, and the claims on their inputs are released."""

from __future__ import annotations

import functools
import time
import uuid
from typing import Callable, List, Sequence, Tuple

from ..call import is_refusal
from ..errors import RunCancelledError
from .config import MapConfig
from .dispatcher import Dispatcher
from .recorder import FinishedTask, Recorder
from .results import BatchResult
from .retries import InputRetries
from .task import InFlightTask, TaskResult

__all__ = ["Shutdown"]

#: Seconds that a shutdown waits: for creates that were sent, for the threads of the dispatcher, for cleanups and other executors.
_CREATE_TIMEOUT, _THREADS_TIMEOUT, _CLEANUP_TIMEOUT = 2.0, 10.0, 15.0
#: Seconds without the end of a cleanup after which the server is probed, and seconds for that probe.
_SILENCE = 2.0
#: Seconds between two checks for runs that were created meanwhile.
_CREATE_CHECK_INTERVAL = 0.05


class Shutdown:
    """The end of one map. Blocks for as long as the server takes to cancel the runs: about a second.

    If the server *is_away*, no run is cancelled. The next map with the ledger looks for them.
    """

    def __init__(
        self,
        config: MapConfig,
        dispatcher: Dispatcher,
        recorder: Recorder,
        retries: InputRetries,
        *,
        is_away: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cancels = config.cancels and not is_away
        self._is_away = is_away
        self._dispatcher = dispatcher
        self._recorder = recorder
        self._retries = retries
        self._clock = clock
        #: Tasks without a final result.
        self._unfinished: List[InFlightTask] = []

    def run(
        self,
        waiting: Sequence[InFlightTask],
        finished: Sequence[FinishedTask],
        ended: Sequence[Tuple[InFlightTask, TaskResult]],
    ) -> None:
        """End the map.

        *waiting* are tasks that are not in flight, *finished* tasks whose results are not recorded, *ended* tasks whose results
        are not evaluated.
        """
        self._add_unfinished(waiting)
        if waiting or finished or ended or self._dispatcher.in_flight:
            self._record_final(finished)
            self._add_results((ended, []))
            self._end_tasks()
            unfinished = [*self._unfinished, *self._dispatcher.tasks]
            self._recorder.release(unfinished, cancelled=self._cancels)
            if self._cancels:
                self._cancel(unfinished)
        self._wait_for_cleanups()

    def _end_tasks(self) -> None:
        self._add_unfinished(self._dispatcher.withdraw())
        self._add_results(self._dispatcher.collect(0.0))
        self._add_results(self._dispatcher.collect_lost())
        if self._dispatcher.has_own_threads and self._is_away:
            self._dispatcher.abort()
            self._wait_while(lambda: bool(self._dispatcher.in_flight), _THREADS_TIMEOUT)
        elif self._dispatcher.has_own_threads:
            # Once the response to a create has come, its run is known and can be cancelled.
            end = self._clock() + _CREATE_TIMEOUT
            while not all(in_flight.is_created for in_flight in self._dispatcher.tasks) and self._clock() < end:
                self._add_results(self._dispatcher.collect(_CREATE_CHECK_INTERVAL))
            self._dispatcher.abort()
            self._wait_while(lambda: bool(self._dispatcher.in_flight), _THREADS_TIMEOUT)

    def _cancel(self, unfinished: Sequence[InFlightTask]) -> None:
        self._cancel_runs(unfinished)
        if self._dispatcher.in_flight:
            # Tasks in another executor end when their runs are cancelled. A task without a run may have created one meanwhile.
            self._wait_while(lambda: bool(self._dispatcher.in_flight), _CLEANUP_TIMEOUT, drop=True)
            self._cancel_runs(unfinished)
        self._recorder.note_cancelled(unfinished)

    def _cancel_runs(self, unfinished: Sequence[InFlightTask]) -> None:
        for in_flight in unfinished:
            self._recorder.cancel_run(in_flight)
        self._wait_for_cleanups()

    def _wait_for_cleanups(self) -> None:
        """Wait as long as cleanups end: a server that refuses some requests needs longer for many threads.

        If none ends for some seconds, a probe shows whether the server responds at all.
        """
        while not self._is_away and self._dispatcher.cleaning:
            before = self._dispatcher.cleaning
            self._wait_while(functools.partial(self._has_cleanups, before), _SILENCE, drop=True)
            if self._has_cleanups(before):
                self._is_away = not self._responds()
            if not self._is_away:
                self._wait_while(functools.partial(self._has_cleanups, before), _CLEANUP_TIMEOUT, drop=True)
            if self._has_cleanups(before):
                return

    def _has_cleanups(self, count: int) -> bool:
        return self._dispatcher.cleaning >= count

    def _responds(self) -> bool:
        self._dispatcher.probe_results.clear()
        if not self._dispatcher.is_probing:
            self._dispatcher.probe(str(uuid.uuid4()), _SILENCE)
        self._wait_while(lambda: self._dispatcher.is_probing, _SILENCE + 1.0, drop=True)
        results = self._dispatcher.probe_results
        # A refusal is a response too: cleanups that were refused are tried again.
        return any(error is None or is_refusal(error) for error in results)

    def _wait_while(self, condition: Callable[[], bool], seconds: float, *, drop: bool = False) -> None:
        """Collect results while *condition* is true, for at most *seconds*.

        With *drop*, results of tasks are not recorded: their claims are released already, and the next map finds their runs.
        """
        end = self._clock() + seconds
        while condition() and self._clock() < end:
            self._dispatcher.retry_cleanups()
            wait, again = end - self._clock(), self._dispatcher.seconds_to_cleanup
            results, deleted = self._dispatcher.collect(wait if again is None else min(wait, max(again, _CREATE_CHECK_INTERVAL)))
            self._add_results(([] if drop else results, deleted))

    def _add_results(self, collected: Tuple[Sequence[Tuple[InFlightTask, TaskResult]], List[str]]) -> None:
        results, deleted = collected
        self._recorder.note_deleted(deleted)
        self._record_final(
            [
                FinishedTask(in_flight, result, self._retries.evaluate(in_flight, result, may_retry=False))
                for in_flight, result in results
            ]
        )

    def _record_final(self, finished: Sequence[FinishedTask]) -> None:
        """Record final results; add all other tasks to the unfinished ones."""
        final = [one for one in finished if one.result is not None and self._is_final(one.result)]
        if final:
            self._recorder.record(final, [])
        recorded = {one.in_flight for one in final}
        self._add_unfinished([one.in_flight for one in finished if one.in_flight not in recorded])

    def _is_final(self, result: BatchResult) -> bool:
        # This shutdown itself may have cancelled the run, so a cancelled run is no result: its input is run again.
        return self._retries.is_final(result) and not isinstance(result.error, RunCancelledError)

    def _add_unfinished(self, tasks: Sequence[InFlightTask]) -> None:
        self._unfinished += [in_flight for in_flight in tasks if in_flight not in self._unfinished]

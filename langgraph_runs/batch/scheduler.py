"""The loop of ``client.runs.map``: it reads inputs, starts tasks, collects their results and returns them, all in one thread.

The thread that iterates over the `RunMap` runs the loop. Task runners run tasks in an executor; the dispatcher passes their results
to the loop through a queue. User functions (the iterable of inputs, ``key``, ``progress``, ``on_retry`` for inputs) are called in
the loop, at moments when every task is in a definite state. Their exceptions end the map and reach the caller unchanged.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import os
import threading
from typing import List, Optional, Tuple, Union

from ..call import is_refusal
from ..errors import AbortedError, InvalidRequestError, LedgerError
from ..http import Transport
from .config import MapConfig
from .dispatcher import Dispatcher
from .inputs import InputReader, Item, RunsToJoin
from .outage import OutageWatch
from .progress import Meter
from .recorder import FinishedTask, Recorder
from .results import BatchResult, ResultBuffer
from .retries import InputRetries
from .shutdown import Shutdown
from .suspended import SuspendedTasks
from .task import InFlightTask, Task, TaskResult
from .waiting import WaitingTasks

__all__ = ["Scheduler"]

#: With ``ordered``, no further input is read when this many times ``concurrency`` inputs have been read after an unfinished one.
_WINDOW = 4
#: Seconds of the longest wait. On some systems a wait without a limit cannot be interrupted by a signal.
_LONGEST_WAIT = 5.0


_log = logging.getLogger(__name__)


class _State(enum.Enum):
    """The state of the loop."""

    #: Between two results. `Scheduler.stop` shuts the map down.
    IDLE = 0
    #: In `Scheduler.next`. A shutdown must wait, since a change may be half done.
    AT_WORK = 1
    #: In `Scheduler.next`, which will shut the map down before it returns.
    STOPPING = 2
    STOPPED = 3


class Scheduler:
    """The state of one map. Not part of `RunMap`: so a `RunMap` without references is garbage-collected, which stops the map."""

    def __init__(
        self,
        transport: Transport,
        config: MapConfig,
        inputs: Union[InputReader, RunsToJoin],
        dispatcher: Dispatcher,
        recorder: Recorder,
        retries: InputRetries,
        watch: OutageWatch,
        meter: Meter,
    ) -> None:
        self.meter = meter
        self._transport = transport
        self._watch = watch
        self._config = config
        self._inputs = inputs
        self._dispatcher = dispatcher
        self._recorder = recorder
        self._retries = retries
        self._pid = os.getpid()
        #: True once `stop` was called, perhaps by another thread, which does not have the lock then.
        self._stop_requested = False
        #: True if the program ended before the map.
        self._abandoned = False
        self._lock = threading.RLock()  # reentrant: a signal handler or a user function may stop the map
        self._state = _State.IDLE
        #: False after the last input, or if no further input may be read.
        self._reading = True
        #: Tasks that start before the next input is read.
        self._waiting = WaitingTasks()
        #: Tasks of the current step: those about to start, those that have ended, and evaluated ones that are not recorded yet. If
        #: an exception ends the step, `stop` cleans up all tasks in these lists.
        self._starting: List[InFlightTask] = []
        self._ended: List[Tuple[InFlightTask, TaskResult]] = []
        self._suspended = SuspendedTasks(dispatcher, retries, watch)
        self._finished: List[FinishedTask] = []
        self._buffer = ResultBuffer(ordered=config.ordered)

        def end_waits(_: object = None) -> None:
            dispatcher.wake()
            recorder.interrupt()

        self._unsubscribe = config.signal.subscribe(end_waits) if config.signal is not None else None
        self._close_listener = transport.on_close(end_waits)

    @property
    def is_stopped(self) -> bool:
        """True if there are no further results."""
        return self._state is _State.STOPPED

    @property
    def was_closed(self) -> bool:
        """True if `stop` was called. The results were all returned only if it was called after the last of them."""
        return self._stop_requested

    def next(self) -> Optional[BatchResult]:
        """Return the next result, or None after the last one. An exception stops the map before it is raised."""
        if os.getpid() != self._pid:
            raise InvalidRequestError("this map belongs to the parent process; start one in this process")
        with self._lock:
            if self._state is _State.STOPPED:
                self._check_abandoned()
                return None
            try:
                self._state = _State.AT_WORK
                result = self._next()
                if result is not None:
                    self._state = _State.IDLE
                    return result
            except StopIteration as error:
                self._shut_down()
                # StopIteration would end the caller's loop silently, as if all inputs had been run.
                raise RuntimeError("a function that was given to the map raised StopIteration") from error
            except BaseException:
                try:
                    self._shut_down()
                except LedgerError as error:
                    # What has ended the map matters more: a signal handler may have raised it because the ledger was locked.
                    _log.warning("the ledger was not updated at the end of the map: %s", str(error))
                raise
            self._shut_down()
            self._check_abandoned()
            return None

    def _check_abandoned(self) -> None:
        if self._abandoned:
            raise AbortedError("the program ended before the map", reason="the program ended")

    def _next(self) -> Optional[BatchResult]:
        while not self._is_stopping():
            self._check_signal()
            if self._is_done():
                break
            self._step(wait=not self._buffer.ready)
            if self._buffer.ready and not self._is_stopping():
                return self._deliver(self._buffer.pop())
        return None

    def _is_stopping(self) -> bool:
        return self._stop_requested or self._state is _State.STOPPING

    def _deliver(self, result: BatchResult) -> BatchResult:
        if not result.from_ledger:
            _log_result(result)
        if result.error is not None and self._config.on_error != "yield":
            if self._config.on_error == "raise":
                raise result.error
            self._reading = False
        return result

    def _is_done(self) -> bool:
        return not (
            self._reading
            or self._waiting
            or self._suspended.tasks
            or self._dispatcher.in_flight
            or self._recorder.poll_interval is not None
            or len(self._buffer)
        )

    def _check_signal(self) -> None:
        signal = self._config.signal
        if signal is not None and signal.aborted:
            suffix = "" if signal.reason is None else f": {signal.reason}"
            raise AbortedError(f"aborted{suffix}", reason=signal.reason)
        if self._transport.is_closed:
            raise AbortedError("the client was closed", reason="the client was closed")

    # -- one step

    def _step(self, *, wait: bool) -> None:
        if not self._watch.is_down:
            self._recorder.delete_orphaned_threads()
            self._dispatcher.retry_cleanups()
        if self._watch.is_over() and (self._watch.is_down or not self._dispatcher.in_flight):
            meter, has_ledger = self.meter, self._config.ledger is not None
            raise self._watch.final_error(done=meter.done, failed=meter.failed, total=meter.total, has_ledger=has_ledger)
        self._suspended.probe()
        self._collect(self._longest_wait() if wait else 0.0)
        self._check_signal()
        if self._is_stopping():
            return
        self._resolve_suspended()
        results, released = self._recorder.poll()
        for result in results:
            self._emit(result)
        self._waiting.extend(released)
        self._choose()
        if self._is_stopping():
            return
        self._record()
        self._start()
        self.meter.in_flight = self._dispatcher.in_flight
        self.meter.waiting_for = self._watch.outage
        self.meter.show()

    def _longest_wait(self) -> float:
        """Return the seconds to wait for the next result: 0 if a task can be started now."""
        limit, watch = self._retries.limit, self._watch
        waits = [_LONGEST_WAIT, watch.seconds_to_end(), self._recorder.poll_interval, self.meter.interval]
        if watch.is_down:
            if not self._dispatcher.is_probing:
                waits.append(watch.seconds_to_probe())
        else:
            waits.append(self._dispatcher.seconds_to_cleanup)
            may_read = self._may_read()
            if self._waiting or may_read:
                if self._free_slots() > 0:
                    waits.append(max(limit.seconds_left(), 0.0 if may_read else self._waiting.seconds_to_ready()))
                else:
                    waits.append(limit.grows_after)
        return min(seconds for seconds in waits if seconds is not None)

    def _free_slots(self) -> int:
        """Return the number of tasks that may be started now."""
        if self._dispatcher.cleaning > _WINDOW * self._config.concurrency:
            return 0  # the cleanup workers are behind
        return self._retries.limit.current - self._dispatcher.in_flight

    def _collect(self, timeout: float) -> None:
        results, deleted = self._dispatcher.collect(timeout)
        self._recorder.note_deleted(deleted)
        self._ended += results
        while self._ended:
            in_flight, task_result = self._ended[0]
            if self._suspended.concerns(in_flight, task_result):
                self._suspended.tasks.append((in_flight, task_result))
            else:
                self._evaluate(in_flight, task_result)
            del self._ended[0]
        failure = self._dispatcher.failure
        if failure is not None:
            if isinstance(failure, InvalidRequestError):
                self._check_signal()  # a task began after the client was closed
            raise failure

    def _resolve_suspended(self) -> None:
        self._suspended.note_probes()
        for in_flight, task_result, is_own in self._suspended.decided():
            if is_own:
                self._evaluate(in_flight, task_result)
            else:
                self._waiting.append(in_flight)

    def _evaluate(self, in_flight: InFlightTask, task_result: TaskResult) -> None:
        """Evaluate a failure of the input, or a success."""
        error = task_result.error
        result = self._retries.evaluate(in_flight, task_result, may_retry=True)
        if result is None:
            self._waiting.put_back(in_flight)
        self._finished.append(FinishedTask(in_flight, task_result, result))
        if error is not None and is_refusal(error):
            if not self._dispatcher.in_flight:
                self._watch.refused(error, self._retries.limit.seconds_left())
        else:
            self._watch.accepted()
            if self._watch.is_down:
                self._watch.probe_soon()

    # -- starting

    def _choose(self) -> None:
        """Choose the tasks to start now: first waiting tasks, then new inputs."""
        if self._watch.is_down or self._retries.limit.seconds_left() > 0:
            return
        while len(self._starting) < self._free_slots():
            ready = self._waiting.next_ready() if self._waiting else None
            if ready is not None:
                self._starting.append(ready)
                self._waiting.remove(ready)
                continue
            if not self._may_read():
                return
            item = self._inputs.read()
            if self._is_stopping():
                return
            if item is None:
                self._reading = False
                return
            if self._admit(item) and self._dispatcher.has_results:
                return  # a slow source of inputs does not hold up results

    def _may_read(self) -> bool:
        if not self._reading:
            return False
        if self._waiting and len(self._waiting) + self._dispatcher.in_flight + len(self._starting) >= self._config.concurrency:
            return False  # inputs that were refused wait for their next start
        if self._config.ordered:
            return self.meter.read - self._buffer.next_index < _WINDOW * self._config.concurrency
        return self._buffer.ready < self._config.concurrency

    def _admit(self, item: Item) -> bool:
        """Choose an input to start, or emit its result if the ledger has it. Return True if the input is to start."""
        self.meter.read = item.index + 1
        if item.error is not None:
            self._emit(BatchResult(index=item.index, key=item.key, input=item.given, error=item.error, attempts=0))
            return False
        admitted = self._recorder.admit(item)
        if isinstance(admitted, BatchResult):
            self._emit(admitted)
            return False
        self._starting.append(admitted)
        return True

    def _record(self) -> None:
        """Record the finished and the chosen tasks. Results are emitted, and tasks started, only after that."""
        self._starting, results = self._recorder.record(self._finished, self._starting)
        self._finished = []
        for result in results:
            self._emit(result)

    def _emit(self, result: BatchResult) -> None:
        self.meter.count(failed=result.error is not None, from_ledger=result.from_ledger)
        self._buffer.put(result)

    def _start(self) -> None:
        while self._starting:
            self._dispatcher.start(self._starting[0], self._task_for(self._starting[0]))
            del self._starting[0]  # after the start, so that an exception cannot lose the task
            if not self._retries.limit.started() and self._starting:
                self._waiting.put_back(*self._starting)
                self._starting.clear()

    def _task_for(self, in_flight: InFlightTask) -> Task:
        config, item = self._config, in_flight.item
        timeout = config.timeout_each
        return Task(
            thread_id=in_flight.thread_id,
            run_id=None if item.run is None else item.run.run_id,
            assistant_id=config.assistant_id,
            payload=item.payload,
            headers=config.call.headers,
            params=config.call.params,
            timeout=None if timeout is None else max(0.001, timeout - in_flight.seconds),
            # An executor of the user may run a task again after it has lost a worker.
            may_exist=in_flight.may_exist or not self._dispatcher.has_own_threads,
            may_still_arrive=in_flight.may_still_arrive,
            may_arrive_late=in_flight.may_arrive_late,
            rerun_failed=in_flight.rerun_failed,
            delete=self._recorder.worker_deletes,
            idempotency_key=item.key if config.has_idempotency_keys else None,
        )

    # -- ending

    def stop(self) -> None:
        """Stop the map: cancel or leave the runs in flight, clean up, close the ledger. May be called twice.

        If another thread waits for a result, it stops the map, and this call waits for that. If a signal handler or a user function
        calls this in the middle of a step, the loop stops the map after that function has returned.
        """
        if os.getpid() != self._pid:
            return  # in a forked child: the map belongs to the parent
        self._stop_requested = True
        self._recorder.interrupt()
        self._dispatcher.wake()
        with self._lock:
            if self._state is _State.AT_WORK:
                self._state = _State.STOPPING
                self._dispatcher.wake()
            elif self._state is _State.IDLE:
                self._shut_down()

    def abandon(self) -> None:
        """Stop the map, since nothing refers to it or the program ends. A daemon thread that still iterates gets `AbortedError`.

        Without the error its loop would end as if all inputs had been run.
        """
        self._abandoned = self._state is not _State.STOPPED
        self.stop()

    def _shut_down(self) -> None:
        self._state = _State.STOPPED
        self._recorder.interrupt()  # a ledger that cannot be reached is not waited for
        with contextlib.ExitStack() as closing:  # the callback that is added last is called first
            closing.callback(self._show_end)
            closing.callback(self._dispatcher.close, reports_left=self._config.ledger is None)
            closing.callback(self._recorder.close)
            if self._unsubscribe is not None:
                closing.callback(self._unsubscribe)
            is_away = self._watch.is_down or self._transport.is_closed
            shutdown = Shutdown(self._config, self._dispatcher, self._recorder, self._retries, is_away=is_away)
            shutdown.run([*self._waiting, *self._starting], self._finished, [*self._ended, *self._suspended.tasks])

    def _show_end(self) -> None:
        self.meter.in_flight = 0
        self.meter.show(last=True)


def _log_result(result: BatchResult) -> None:
    if _log.isEnabledFor(logging.INFO):
        outcome = "done" if result.error is None else type(result.error).__name__
        attempts = f", {result.attempts} attempts" if result.attempts > 1 else ""
        run = "" if result.run_id is None else f", run {result.run_id}"
        _log.info("map, input %d: %s in %.3f s%s%s", result.index, outcome, result.seconds, attempts, run)

"""``client.runs.map``: many inputs, each run once, so many at a time; what begins them, collects them, and stops them.

All that is decided is decided in the thread that iterates: it reads the inputs, writes the ledger and hands out results. Runs are
done by an executor, and what is left over on the server is tidied up by a few threads. Both report through one queue, on which the
iterating thread waits.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import deque
from typing import Any, Callable, Deque, List, Mapping, Optional, Tuple, Union

import attrs

from ..call import AbortSignal, RetryPolicy
from ..errors import AbortedError, InvalidRequestError, RunCancelledError
from .concurrency import ConcurrencyLimit
from .dispatcher import Dispatcher
from .inputs import InputReader, Item, RunsToJoin
from .ledger import LedgerWriter
from .progress import Meter
from .result_policy import ResultPolicy
from .results import BatchResult, ResultBuffer
from .task import InFlightTask
from .worker import Task, TaskResult, TaskRunner

__all__ = ["MapConfig", "Scheduler"]

#: In order, so many times ``concurrency`` inputs may be open: a slow one holds up the rest only then.
_WINDOW = 4
#: Seconds between two looks at what another map is running.
_LOOK = 0.1
#: Seconds between two looks whether other maps are still alive.
_LIFE = 1.0
#: Seconds that a stop waits: for creates that are on their way, for threads to end, for executors of the user's.
_LANDING, _ENDING, _ENDING_ELSEWHERE = 2.0, 10.0, 15.0
#: A wait without a limit cannot be interrupted on every system.
_LONGEST = 5.0
#: Threads left behind by an earlier map that one map deletes, and how many at once.
_OLD_LITTER, _OLD_AT_ONCE = 1000, 8


_Landed = Tuple[InFlightTask, TaskResult, Optional[BatchResult]]


@attrs.frozen(kw_only=True)
class MapConfig:
    """What was asked for."""

    assistant_id: str
    concurrency: int
    ordered: bool
    on_error: str
    on_interrupt: str
    #: Whether the thread is kept after a success, and after a failure.
    keep: Tuple[bool, bool]
    timeout_each: Optional[float]
    executor: Any
    headers: Mapping[str, str]
    params: Any
    signal: Optional[AbortSignal]


class Scheduler:
    """What a `RunMap` does; apart from it, so that a map that is let go of can be stopped."""

    def __init__(
        self,
        errands: TaskRunner,
        inputs: Union[InputReader, RunsToJoin],
        plan: MapConfig,
        claims: Optional[LedgerWriter],
        meter: Meter,
        policy: RetryPolicy,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.meter = meter
        self._inputs = inputs
        self._plan = plan
        self._claims = claims
        self._clock = clock
        self._brake = ConcurrencyLimit(
            plan.concurrency,
            wait_initial=policy.wait_initial,
            wait_max=policy.wait_max,
            longest=policy.retry_after_max,
            clock=clock,
        )
        self._judge = ResultPolicy(errands, policy, self._brake)
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._stopped = False
        #: Whether further inputs are read.
        self._reading = True
        self._waiting: Deque[InFlightTask] = deque()
        #: What other maps are running.
        self._elsewhere: List[InFlightTask] = []
        self._looked = self._lived = clock()
        self._outlet = ResultBuffer(ordered=plan.ordered)
        #: What has come back and is not written down yet: with its result, or None where it is to be tried again.
        self._landed: List[_Landed] = []
        self._swept: List[str] = []
        self._crew = Dispatcher(errands, plan.executor, plan.concurrency)
        wake = self._crew.wake
        self._unsubscribe = plan.signal.subscribe(lambda _: wake()) if plan.signal is not None else None
        self._old_litter = claims.litter(_OLD_LITTER) if claims is not None else []

    # -- handing out

    def next(self) -> BatchResult:
        """The next result; `StopIteration` after the last one."""
        with self._lock:
            try:
                while True:
                    if self._stopped:
                        raise StopIteration
                    self._check_signal()
                    if self._is_done():
                        self.stop()
                        continue
                    self._step(block=not self._outlet.ready)
                    if self._outlet.ready:
                        return self._give(self._outlet.pop())
            except StopIteration:
                raise
            except BaseException:
                self.stop()
                raise

    def _give(self, result: BatchResult) -> BatchResult:
        if result.error is not None and self._plan.on_error != "yield":
            if self._plan.on_error == "raise":
                raise result.error
            self._reading = False
        return result

    def _is_done(self) -> bool:
        return not (self._reading or self._crew.in_flight or self._waiting or self._elsewhere or len(self._outlet))

    def _check_signal(self) -> None:
        signal = self._plan.signal
        if signal is not None and signal.aborted:
            told = "" if signal.reason is None else f": {signal.reason}"
            raise AbortedError(f"aborted{told}", reason=signal.reason)

    # -- one round: collect, choose, write down, begin

    def _step(self, *, block: bool) -> None:
        while self._old_litter and self._crew.sweeping < _OLD_AT_ONCE:
            self._crew.sweep(self._old_litter.pop())
        self._collect(self._patience() if block else 0.0)
        self._look_elsewhere()
        self._write(self._choose())
        self.meter.in_flight = self._crew.in_flight
        self.meter.show()

    def _patience(self) -> float:
        """Seconds to wait for news: none where an input could be begun now."""
        if self._room() > 0 and (self._waiting or self._may_read()):
            held = self._brake.seconds_left()
            if held <= 0:
                return 0.0
        else:
            held = _LONGEST
        bounds = [held, _LONGEST]
        if self._elsewhere:
            bounds.append(_LOOK)
        if self.meter.tick is not None:
            bounds.append(self.meter.tick)
        return min(bounds)

    def _room(self) -> int:
        if self._crew.sweeping > _WINDOW * self._plan.concurrency:
            return 0  # tidying up does not keep pace
        return self._brake.limit - self._crew.in_flight

    def _collect(self, patience: float) -> None:
        """Take in the news; waits so many seconds for the first."""
        landed, gone = self._crew.collect(patience)
        self._landed += [(flight, report, self._ending_of(flight, report)) for flight, report in landed]
        if self._claims is not None:
            self._swept += gone
        if self._crew.failure is not None and not self._stopped:
            raise self._crew.failure

    def _ending_of(self, flight: InFlightTask, report: TaskResult) -> Optional[BatchResult]:
        result = self._judge.judge(flight, report, final=self._stopped)
        if result is None:
            self._waiting.appendleft(flight)
        return result

    def _choose(self) -> List[InFlightTask]:
        """Inputs to begin now."""
        chosen: List[InFlightTask] = []
        if self._brake.seconds_left() > 0:
            return chosen
        while len(chosen) < self._room():
            if self._waiting:
                chosen.append(self._waiting.popleft())
                continue
            if not self._may_read():
                break
            try:
                item = self._inputs.read()
            except BaseException:
                self._waiting.extend(chosen)
                raise
            if item is None:
                self._reading = False
                break
            flight = self._begin(item)
            if flight is not None:
                chosen.append(flight)
                if self._crew.has_news:
                    break  # what has landed is not kept waiting for a slow source of inputs
        return chosen

    def _may_read(self) -> bool:
        if not self._reading:
            return False
        if self._plan.ordered:
            return self.meter.read - self._outlet.turn < _WINDOW * self._plan.concurrency
        return self._outlet.ready < self._plan.concurrency

    def _begin(self, item: Item) -> Optional[InFlightTask]:
        self.meter.read = item.index + 1
        if item.error is not None:
            self._done(BatchResult(index=item.index, key=item.key, input=item.given, error=item.error, attempts=0))
            return None
        if self._claims is None:
            return InFlightTask(item, str(uuid.uuid4()) if item.run is None else item.run.thread_id)
        key = item.key if item.key is not None else item.digest
        count = self._claims.occurrence(key)
        if count > 1:
            if item.key is not None:
                error = InvalidRequestError(
                    f"inputs[{item.index}]: the key {key!r} was given before: each input needs one of its own"
                )
                self._done(BatchResult(index=item.index, key=key, input=item.given, error=error, attempts=0))
                return None
            key = f"{key}-{count}"
        item = attrs.evolve(item, key=key)
        found = self._claims.look(key, item.digest, index=item.index, item=item.given)
        if found is not None:
            self._done(found)
            return None
        return InFlightTask(item, "")

    def _look_elsewhere(self) -> None:
        """What other maps had taken: is it finished, or free?"""
        if not self._elsewhere or self._claims is None or self._clock() - self._looked < _LOOK:
            return
        if self._clock() - self._lived >= _LIFE:
            self._claims.free_the_dead()
            self._lived = self._clock()
        still: List[InFlightTask] = []
        for flight in self._elsewhere:
            item = flight.item
            assert item.key is not None
            found = self._claims.look(item.key, item.digest, index=item.index, item=item.given)
            if found is not None:
                self._done(found)
            elif self._claims.is_free(item.key):
                self._waiting.append(flight)
            else:
                still.append(flight)
        self._elsewhere = still
        self._looked = self._clock()

    def _write(self, chosen: List[InFlightTask]) -> None:
        """Settle what has landed and take what is chosen, in one transaction; then hand out the ones and begin the others."""
        endings, self._landed = self._landed, []
        if self._claims is None:
            for flight, _, result in endings:
                if result is not None:
                    self._done(result)
                    if self._judge.is_open(result) and flight.begun and flight.item.run is None:
                        self._give_up(flight)
        else:
            if endings or self._swept or any(flight.claim is None for flight in chosen):
                with self._claims.change():
                    litter = [self._enter(self._claims, *ending) for ending in endings]
                    chosen = [flight for flight in chosen if self._claim(self._claims, flight)]
                    self._claims.swept(self._swept)
                self._swept.clear()
                for thread_id in filter(None, litter):
                    self._crew.sweep(thread_id)
            for _, _, result in endings:
                if result is not None:
                    self._done(result)
        for flight in chosen:
            self._launch(flight)

    def _claim(self, claims: LedgerWriter, flight: InFlightTask) -> bool:
        if flight.claim is not None:
            return True
        item = flight.item
        assert item.key is not None
        flight.claim = claims.take(item.key, item.digest, item.index)
        if flight.claim is None:
            self._elsewhere.append(flight)
            return False
        flight.thread_id, flight.look = flight.claim.thread_id, flight.claim.look
        flight.settle = flight.begun = flight.claim.look
        return True

    def _enter(
        self, claims: LedgerWriter, flight: InFlightTask, report: TaskResult, result: Optional[BatchResult]
    ) -> Optional[str]:
        """Write one ending into the ledger; the thread that is to be deleted now, if one is."""
        assert flight.claim is not None
        if result is None:
            if not report.stale:
                return None
            old, delete = flight.thread_id, not self._plan.keep[1]
            flight.claim = claims.renew(flight.claim, delete=delete)
            flight.thread_id = flight.claim.thread_id
            flight.look = flight.settle = flight.begun = flight.created = False
            return old if delete else None
        if self._judge.is_open(result):
            claims.leave(flight.claim, error=result.error, given_up=False, begun=flight.begun)
            return None
        delete = not result.paused and not self._plan.keep[result.error is not None]
        claims.finish(result, delete=delete)
        return flight.thread_id if delete else None

    def _done(self, result: BatchResult) -> None:
        self.meter.count(failed=result.error is not None, from_ledger=result.from_ledger)
        self._outlet.put(result)

    # -- beginning

    def _launch(self, flight: InFlightTask) -> None:
        plan, inline = self._plan, self._claims is None
        run = flight.item.run
        errand = Task(
            thread_id=flight.thread_id,
            run_id=None if run is None else run.run_id,
            assistant_id=plan.assistant_id,
            payload=flight.item.payload,
            headers=plan.headers,
            params=plan.params,
            timeout=None if plan.timeout_each is None else max(0.001, plan.timeout_each - flight.spent),
            # An executor that is not ours may repeat what a worker of it had begun.
            look=flight.look or not self._crew.is_ours,
            settle=flight.settle,
            redo=flight.claim is not None and flight.claim.redo,
            delete=(inline and not plan.keep[0], inline and not plan.keep[1]),
        )
        self._crew.launch(flight, errand)

    def _give_up(self, flight: InFlightTask) -> None:
        self._crew.give_up(flight, delete=not self._plan.keep[1], spare_success=self._claims is not None)

    # -- ending

    def stop(self) -> None:
        """End it: cancel or detach from what is in flight, finish tidying up, let go of the ledger. May be called twice."""
        if os.getpid() != self._pid:
            return  # a forked child has no part in it
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
            try:
                if self._crew.in_flight or self._waiting or self._landed:
                    self._wind_up()
                self._wait_for(lambda: self._crew.sweeping == 0, _ENDING_ELSEWHERE)
                if self._claims is not None and self._swept:
                    with self._claims.change():
                        self._claims.swept(self._swept)
            finally:
                if self._unsubscribe is not None:
                    self._unsubscribe()
                if self._claims is not None:
                    self._claims.close()
                self._crew.close()
                self.meter.in_flight = 0
                self.meter.show(last=True)

    def _wind_up(self) -> None:
        cancels = self._plan.on_interrupt == "cancel"
        left = list(self._waiting)
        self._waiting.clear()
        left += self._crew.recall()
        self._take_in(0.0, left)
        if self._crew.is_ours:
            # A create that is on its way lands, so that its run is known and can be cancelled.
            self._wait_for(lambda: all(flight.created for flight in self._crew.flights), _LANDING, left)
            self._crew.abort()
            self._wait_for(lambda: not self._crew.in_flight, _ENDING, left)
        for flight in self._crew.flights:
            flight.begun = True
            left.append(flight)
        if self._claims is not None:
            with self._claims.change():
                for flight in left:
                    if flight.claim is not None:
                        self._claims.leave(flight.claim, error=None, given_up=cancels, begun=flight.begun)
        if cancels:
            self._cancel_all([flight for flight in left if flight.begun])

    def _cancel_all(self, left: List[InFlightTask]) -> None:
        self._give_all_up(left)
        if self._crew.in_flight:
            # Workers elsewhere see that their runs were cancelled; one that had not begun may have created its run since.
            self._wait_for(lambda: not self._crew.in_flight, _ENDING_ELSEWHERE)
            self._give_all_up(left)
        if self._claims is not None:
            gone = set(self._swept)
            with self._claims.change():
                for flight in left:
                    if flight.claim is not None and flight.thread_id in gone:
                        self._claims.forget_thread(flight.claim.key, flight.thread_id)

    def _give_all_up(self, left: List[InFlightTask]) -> None:
        given_up = {flight.thread_id for flight in left}
        self._swept = [thread_id for thread_id in self._swept if thread_id not in given_up]
        for flight in left:
            self._give_up(flight)
        self._wait_for(lambda: self._crew.sweeping == 0, _ENDING_ELSEWHERE)

    def _wait_for(self, condition: Callable[[], bool], seconds: float, left: Optional[List[InFlightTask]] = None) -> None:
        """Take in the news until *condition* holds, or the time is over. Flights without an end go to *left*."""
        end = self._clock() + seconds
        while not condition():
            patience = end - self._clock()
            if patience <= 0:
                return
            self._take_in(min(patience, 0.05) if left is not None else patience, left)

    def _take_in(self, patience: float, left: Optional[List[InFlightTask]]) -> None:
        self._collect(patience)
        endings: List[_Landed] = []
        for landed in self._landed:
            flight, _, result = landed
            if result is not None and not self._judge.is_open(result) and not isinstance(result.error, RunCancelledError):
                endings.append(landed)
            elif left is not None and flight not in left:
                left.append(flight)
        self._landed.clear()
        if endings and self._claims is not None:
            with self._claims.change():
                litter = [self._enter(self._claims, *ending) for ending in endings]
            for thread_id in filter(None, litter):
                self._crew.sweep(thread_id)

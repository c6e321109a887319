"""``client.runs.map``: many inputs, each run once, so many at a time; what begins them, collects them, and stops them.

All that is decided is decided in the thread that iterates: it reads the inputs, writes the ledger and hands out results. Runs are
done by an executor, and what is left over on the server is tidied up by a few threads. Both report through one queue, on which the
iterating thread waits.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import uuid
import weakref
from collections import deque
from types import TracebackType
from typing import Any, Callable, Deque, Dict, Iterator, List, Mapping, Optional, Tuple, Type, Union

import attrs

from .abort import AbortController, AbortSignal
from .brake import Brake
from .claims import Claim, Claims
from .errands import Errand, Errands, Report, do_errand
from .errors import (
    AbortedError,
    APIConnectionError,
    APIStatusError,
    InvalidRequestError,
    LangGraphRunsError,
    RunCancelledError,
)
from .hands import Hands
from .inputs import Inputs, Item, Joined
from .progress import MapProgress, Meter
from .results import BatchResult
from .retry import RetryPolicy

__all__ = ["Plan", "RunMap", "Work"]

#: In order, so many times ``concurrency`` inputs may be open: a slow one holds up the rest only then.
_WINDOW = 4
#: Threads that tidy up.
_SWEEPERS = 8
#: Seconds between two looks at what another map is running.
_LOOK = 0.1
#: Seconds between two looks whether other maps are still alive.
_LIFE = 1.0
#: Seconds that a stop waits: for creates that are on their way, for threads to end, for executors of the user's.
_LANDING, _ENDING, _ENDING_ELSEWHERE = 2.0, 10.0, 15.0
#: A wait without a limit cannot be interrupted on every system.
_LONGEST = 5.0
#: Threads left behind by an earlier map that one map deletes.
_OLD_LITTER = 1000


@attrs.frozen(kw_only=True)
class Plan:
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


@attrs.define(eq=False)
class _Flight:
    """An input on its way."""

    item: Item
    thread_id: str
    claim: Optional[Claim] = None
    look: bool = False
    settle: bool = False
    #: Times that it was sent and came back without an end.
    tries: int = 0
    #: Seconds that these took.
    spent: float = 0.0
    #: Whether the run is known to exist; set by the thread that runs it.
    created: bool = False
    #: Whether anything may have been sent for it.
    begun: bool = False

    @property
    def attempts(self) -> int:
        return self.tries + (self.claim.attempts if self.claim is not None else 1)


class RunMap(Iterator[BatchResult]):
    """The results of ``client.runs.map``, one for each input, as they come.

    >>> from langgraph_runs import Client
    >>> list(Client("http://localhost:2024", api_key=None).runs.map("agent", []))
    []

    Nothing is run before the first one is asked for. Close it, use it in a ``with`` block, or let go of it, to stop early: what is
    in flight is then cancelled, or detached from, as ``on_interrupt`` says. One thread at a time may iterate.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._finalizer = weakref.finalize(self, work.stop)

    def __iter__(self) -> RunMap:
        return self

    def __next__(self) -> BatchResult:
        return self._work.next()

    def close(self) -> None:
        """Stop. Blocks until what was in flight is cancelled, which takes about a second. May be called twice."""
        self._work.stop()

    @property
    def progress(self) -> MapProgress:
        """How far it has come; may be read from any thread."""
        return self._work.meter.now()

    def __enter__(self) -> RunMap:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RunMap {self.progress}>"


class Work:
    """What a `RunMap` does; apart from it, so that a map that is let go of can be stopped."""

    def __init__(
        self,
        errands: Errands,
        inputs: Union[Inputs, Joined],
        plan: Plan,
        claims: Optional[Claims],
        meter: Meter,
        policy: RetryPolicy,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.meter = meter
        self._errands = errands
        self._inputs = inputs
        self._plan = plan
        self._claims = claims
        self._policy = policy
        self._clock = clock
        self._brake = Brake(
            plan.concurrency,
            wait_initial=policy.wait_initial,
            wait_max=policy.wait_max,
            longest=policy.retry_after_max,
            clock=clock,
        )
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._stopped = False
        #: Whether further inputs are read.
        self._reading = True
        self._flights: Dict[Any, _Flight] = {}
        self._waiting: Deque[_Flight] = deque()
        #: What other maps are running.
        self._elsewhere: List[_Flight] = []
        self._looked = self._lived = clock()
        self._ready: Deque[BatchResult] = deque()
        self._held: Dict[int, BatchResult] = {}
        self._turn = 0
        #: ``(future, None)`` for a flight that has landed, ``(None, (thread, whether it is gone))`` for a thread, ``(None, None)``.
        self._news: queue.SimpleQueue[Tuple[Any, Optional[Tuple[str, bool]]]] = queue.SimpleQueue()
        self._sweeping = 0
        self._swept: List[str] = []
        self._ending = AbortController()
        self._crew = Hands(plan.concurrency, "langgraph_runs-map") if plan.executor is None else None
        self._sweepers = Hands(min(_SWEEPERS, plan.concurrency), "langgraph_runs-tidy")
        news = self._news
        self._unsubscribe = plan.signal.subscribe(lambda _: news.put((None, None))) if plan.signal is not None else None
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
                    self._step(block=not self._ready)
                    if self._ready:
                        return self._give(self._ready.popleft())
                    if self._is_done():
                        self.stop()
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
        return not (self._reading or self._flights or self._waiting or self._elsewhere or self._ready or self._held)

    def _check_signal(self) -> None:
        signal = self._plan.signal
        if signal is not None and signal.aborted:
            told = "" if signal.reason is None else f": {signal.reason}"
            raise AbortedError(f"aborted{told}", reason=signal.reason)

    # -- one round: collect, choose, write down, begin

    def _step(self, *, block: bool) -> None:
        while self._old_litter and self._sweeping < _SWEEPERS:
            self._sweep(self._old_litter.pop())
        landed = self._collect(self._patience() if block else 0.0)
        if landed:
            block = False
        self._look_elsewhere()
        chosen = self._choose()
        self._write(landed, chosen)
        self.meter.in_flight = len(self._flights)
        self.meter.show()

    def _patience(self) -> float:
        """Seconds to wait for news: none where an input could be begun now."""
        if self._room() > 0 and (self._waiting or self._reading):
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
        if self._sweeping > _WINDOW * self._plan.concurrency:
            return 0  # tidying up does not keep pace
        return self._brake.limit - len(self._flights)

    def _collect(self, patience: float) -> List[Tuple[_Flight, Report]]:
        """What has landed; waits so many seconds for the first."""
        landed: List[Tuple[_Flight, Report]] = []
        while True:
            try:
                future, swept = self._news.get(timeout=patience) if patience > 0 else self._news.get_nowait()
            except queue.Empty:
                return landed
            patience = 0.0
            if swept is not None:
                self._sweeping -= 1
                if swept[1] and self._claims is not None:
                    self._swept.append(swept[0])
            elif future is not None:
                flight = self._flights.pop(future, None)
                if flight is not None:
                    landed.append((flight, self._report_of(future)))

    def _report_of(self, future: Any) -> Report:
        if future.cancelled():
            return Report(error=AbortedError("the executor cancelled it"))
        error = future.exception()
        if error is None:
            report: Report = future.result()
            return report
        if self._crew is not None or not isinstance(error, Exception):
            raise error
        raise LangGraphRunsError(f"the executor failed: {type(error).__name__}: {error}") from error

    def _choose(self) -> List[_Flight]:
        """Inputs to begin now."""
        chosen: List[_Flight] = []
        if self._brake.seconds_left() > 0:
            return chosen
        while len(chosen) < self._room():
            if self._waiting:
                chosen.append(self._waiting.popleft())
                continue
            if not self._may_read():
                break
            item = self._inputs.read()
            if item is None:
                self._reading = False
                break
            flight = self._begin(item)
            if flight is not None:
                chosen.append(flight)
                if not self._news.empty():
                    break  # what has landed is not kept waiting for a slow source of inputs
        return chosen

    def _may_read(self) -> bool:
        if not self._reading:
            return False
        if self._plan.ordered:
            return self.meter.read - self._turn < _WINDOW * self._plan.concurrency
        return len(self._ready) < self._plan.concurrency

    def _begin(self, item: Item) -> Optional[_Flight]:
        self.meter.read = item.index + 1
        if item.error is not None:
            self._done(BatchResult(index=item.index, key=item.key, input=item.given, error=item.error, attempts=0))
            return None
        if self._claims is None:
            return _Flight(item, str(uuid.uuid4()) if item.run is None else item.run.thread_id)
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
        return _Flight(item, "")

    def _look_elsewhere(self) -> None:
        """What other maps had taken: is it finished, or free?"""
        if not self._elsewhere or self._claims is None or self._clock() - self._looked < _LOOK:
            return
        if self._clock() - self._lived >= _LIFE:
            self._claims.free_the_dead()
            self._lived = self._clock()
        still: List[_Flight] = []
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

    def _write(self, landed: List[Tuple[_Flight, Report]], chosen: List[_Flight]) -> None:
        """Settle what has landed and take what is chosen, in one transaction; then hand out the ones and begin the others."""
        endings = [(flight, report, self._ending_of(flight, report)) for flight, report in landed]
        if self._claims is None:
            for flight, _, result in endings:
                if result is not None:
                    self._done(result)
                    if self._is_open(result) and flight.begun and flight.item.run is None:
                        self._give_up(flight, settle=not flight.created)
        else:
            if endings or self._swept or any(flight.claim is None for flight in chosen):
                with self._claims.change():
                    litter = [self._enter(self._claims, *ending) for ending in endings]
                    chosen = [flight for flight in chosen if self._claim(self._claims, flight)]
                    self._claims.swept(self._swept)
                self._swept.clear()
                for thread_id in filter(None, litter):
                    self._sweep(thread_id)
            for _, _, result in endings:
                if result is not None:
                    self._done(result)
        for flight in chosen:
            self._launch(flight)

    def _claim(self, claims: Claims, flight: _Flight) -> bool:
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

    def _enter(self, claims: Claims, flight: _Flight, report: Report, result: Optional[BatchResult]) -> Optional[str]:
        """Write one ending into the ledger; the thread that is to be deleted now, if one is."""
        assert flight.claim is not None
        if result is None:
            if not report.stale:
                return None
            old, flight.claim = flight.thread_id, claims.renew(flight.claim)
            flight.thread_id = flight.claim.thread_id
            flight.look = flight.settle = flight.begun = flight.created = False
            return old
        if self._is_open(result):
            claims.leave(flight.claim, error=result.error, given_up=False, begun=flight.begun)
            return None
        delete = not result.paused and not self._plan.keep[result.error is not None]
        claims.finish(result, delete=delete)
        return flight.thread_id if delete else None

    def _ending_of(self, flight: _Flight, report: Report) -> Optional[BatchResult]:
        """The result; None where the input is to be tried again."""
        error = report.error
        flight.spent += report.seconds
        flight.created = flight.created or report.run_id is not None
        flight.begun = flight.begun or flight.created or not (error is not None and _is_surely_unsent(error))
        if report.stale:
            self._waiting.appendleft(flight)
            return None
        if error is None:
            self._brake.succeeded()
        elif self._errands.is_passing(error) and not self._stopped:
            asked = getattr(error, "retry_after", None)
            seconds = self._brake.refused(asked if self._policy.respect_retry_after else None)
            if not _is_surely_unsent(error):
                flight.look = True
                flight.settle = isinstance(error, APIConnectionError)
            flight.tries += 1
            if flight.tries < self._policy.attempts and not self._policy.forbids(error):
                self._policy.announce(f"map, input {flight.item.index}", flight.tries + 1, seconds, error)
                self._waiting.appendleft(flight)
                return None
            flight.tries -= 1
        outcome = report.outcome
        return BatchResult(
            index=flight.item.index,
            key=flight.item.key,
            input=flight.item.given,
            values=outcome.values if outcome is not None else None,
            error=error,
            run=outcome.run if outcome is not None else None,
            run_id=report.run_id,
            thread_id=flight.thread_id,
            attempts=flight.attempts,
            seconds=flight.spent,
            paused=outcome is not None and outcome.paused,
        )

    def _is_open(self, result: BatchResult) -> bool:
        """Whether it is no end of the input: the run may go on, or could not be started for reasons that are not the input's."""
        error = result.error
        if error is None:
            return False
        if isinstance(error, AbortedError) or self._errands.is_passing(error):
            return True
        return isinstance(error, APIStatusError) and error.status_code in (401, 403, 404, 409)

    def _done(self, result: BatchResult) -> None:
        self.meter.count(failed=result.error is not None, from_ledger=result.from_ledger)
        if not self._plan.ordered:
            self._ready.append(result)
            return
        self._held[result.index] = result
        while self._turn in self._held:
            self._ready.append(self._held.pop(self._turn))
            self._turn += 1

    # -- beginning

    def _launch(self, flight: _Flight) -> None:
        plan, inline = self._plan, self._claims is None
        run = flight.item.run
        errand = Errand(
            thread_id=flight.thread_id,
            run_id=None if run is None else run.run_id,
            assistant_id=plan.assistant_id,
            payload=flight.item.payload,
            headers=plan.headers,
            params=plan.params,
            timeout=None if plan.timeout_each is None else max(0.001, plan.timeout_each - flight.spent),
            # An executor that is not ours may repeat what a worker of it had begun.
            look=flight.look or self._crew is None,
            settle=flight.settle,
            redo=flight.claim is not None and flight.claim.redo,
            delete=(inline and not plan.keep[0], inline and not plan.keep[1]),
        )
        if self._crew is not None:
            future = self._crew.submit(self._errands.do, errand, self._ending.signal, lambda _: _note(flight))
        else:
            try:
                future = plan.executor.submit(do_errand, self._errands, errand)
            except Exception as error:
                raise LangGraphRunsError(f"the executor failed: {type(error).__name__}: {error}") from error
        self._flights[future] = flight
        news = self._news
        future.add_done_callback(lambda done: news.put((done, None)))

    def _sweep(self, thread_id: str) -> None:
        self._tidy(thread_id, self._errands.delete, thread_id)

    def _give_up(self, flight: _Flight, *, settle: bool) -> None:
        delete = not self._plan.keep[1]
        spare = self._claims is not None
        self._tidy(
            flight.thread_id, lambda: self._errands.give_up(flight.thread_id, delete=delete, settle=settle, spare_success=spare)
        )

    def _tidy(self, thread_id: str, work: Callable[..., bool], *arguments: Any) -> None:
        self._sweeping += 1
        news = self._news
        future = self._sweepers.submit(work, *arguments)
        future.add_done_callback(lambda done: news.put((None, (thread_id, done.exception() is None and done.result()))))

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
                if self._flights or self._waiting:
                    self._wind_up()
                self._wait_for(lambda: self._sweeping == 0, _ENDING_ELSEWHERE)
                if self._claims is not None and self._swept:
                    with self._claims.change():
                        self._claims.swept(self._swept)
            finally:
                self._ending.abort("the map was stopped")
                if self._unsubscribe is not None:
                    self._unsubscribe()
                if self._claims is not None:
                    self._claims.close()
                for hands in filter(None, (self._crew, self._sweepers)):
                    hands.close()
                self.meter.in_flight = 0
                self.meter.show(last=True)

    def _wind_up(self) -> None:
        cancels = self._plan.on_interrupt == "cancel"
        left = list(self._waiting)
        self._waiting.clear()
        for future in list(self._flights):
            if future.cancel():
                left.append(self._flights.pop(future))
        if self._crew is not None:
            # A create that is on its way lands, so that its run is known and can be cancelled.
            self._wait_for(lambda: all(flight.created for flight in self._flights.values()), _LANDING, left)
            self._ending.abort("the map was stopped")
            self._wait_for(lambda: not self._flights, _ENDING, left)
        for flight in self._flights.values():
            flight.begun = True
            left.append(flight)
        if self._claims is not None:
            with self._claims.change():
                for flight in left:
                    if flight.claim is not None:
                        self._claims.leave(flight.claim, error=None, given_up=cancels, begun=flight.begun)
        if cancels:
            self._cancel_all([flight for flight in left if flight.begun])

    def _cancel_all(self, left: List[_Flight]) -> None:
        self._give_all_up(left)
        if self._flights:
            # Workers elsewhere see that their runs were cancelled; one that had not begun may have created its run since.
            self._wait_for(lambda: not self._flights, _ENDING_ELSEWHERE)
            self._give_all_up(left)
        if self._claims is not None:
            gone = set(self._swept)
            with self._claims.change():
                for flight in left:
                    if flight.claim is not None and flight.thread_id in gone:
                        self._claims.forget_thread(flight.claim.key, flight.thread_id)

    def _give_all_up(self, left: List[_Flight]) -> None:
        given_up = {flight.thread_id for flight in left}
        self._swept = [thread_id for thread_id in self._swept if thread_id not in given_up]
        for flight in left:
            self._give_up(flight, settle=not flight.created)
        self._wait_for(lambda: self._sweeping == 0, _ENDING_ELSEWHERE)

    def _wait_for(self, condition: Callable[[], bool], seconds: float, left: Optional[List[_Flight]] = None) -> None:
        """Take in the news until *condition* holds, or the time is over. Flights without an end go to *left*."""
        end = self._clock() + seconds
        while not condition():
            patience = end - self._clock()
            if patience <= 0:
                return
            endings: List[Tuple[_Flight, Report, Optional[BatchResult]]] = []
            for flight, report in self._collect(min(patience, 0.05 if left is not None else patience)):
                result = self._ending_of(flight, report)
                cancelled = result is not None and isinstance(result.error, RunCancelledError)
                if result is None or self._is_open(result) or cancelled:
                    if left is not None:
                        left.append(flight)
                else:
                    endings.append((flight, report, result))
            if endings and self._claims is not None:
                with self._claims.change():
                    for ending in endings:
                        thread_id = self._enter(self._claims, *ending)
                        if thread_id is not None:
                            self._sweep(thread_id)


def _note(flight: _Flight) -> None:
    flight.created = True


def _is_surely_unsent(error: LangGraphRunsError) -> bool:
    """Whether this attempt surely created no run: refused, or not sent."""
    if isinstance(error, APIStatusError):
        return error.status_code < 500 or (error.status_code == 503 and error.retry_after is not None)
    return isinstance(error, APIConnectionError) and error.sent is False

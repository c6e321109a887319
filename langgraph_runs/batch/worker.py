"""One input of a map, from its thread to its end: done in whatever thread, process or machine an executor chooses.

An errand may be done twice, by a map that was restarted or by an executor that repeats what a lost worker had begun: its thread is
chosen beforehand, so that a run that is there already is found and joined. It knows nothing of the other inputs, nor of a ledger.
"""

from __future__ import annotations

import functools
import logging
import pickle
from typing import Any, Callable, List, Mapping, Optional, Tuple

import attrs

from ..api import cancelling, runs_path, thread_path
from ..call import AbortSignal, Scope
from ..errors import APIStatusError, ConflictError, DeadlineExceededError, InvalidRequestError, LangGraphRunsError, NotFoundError
from ..http import Request, Settings, Transport
from ..models import Run, RunOutcome
from ..payloads import RunsWaitPayload
from ..runs import RunStarter, error_for, prepare_start
from ..serialization import decode_body, decode_list
from ..server_traits import ServerTraits

__all__ = ["Task", "TaskRunner", "TaskResult", "check_picklable", "run_task"]

_log = logging.getLogger(__name__)
#: Seconds after which a create that was sent before, by somebody who is no more, has either arrived or never will.
_SETTLE = (0.0, 0.2, 0.5, 1.0, 2.0)
#: Seconds for tidying up after one input.
_TIDY = 15.0


@attrs.frozen(kw_only=True)
class Task:
    """What is to be done for one input."""

    thread_id: str
    #: A run that is only to be joined, or None.
    run_id: Optional[str]
    assistant_id: str
    #: None where a run is only to be joined.
    payload: Optional[RunsWaitPayload]
    headers: Mapping[str, str]
    params: Any
    #: Seconds, or None.
    timeout: Optional[float]
    #: Whether a run may be on the thread already.
    look: bool
    #: Whether somebody had begun to create one and may have been cut off in the middle.
    settle: bool
    #: Whether a run that is there and ended badly is not the result.
    redo: bool
    #: Whether the thread is deleted after a success, and after a failure.
    delete: Tuple[bool, bool]


@attrs.frozen(kw_only=True)
class TaskResult:
    """What came of it."""

    outcome: Optional[RunOutcome] = None
    error: Optional[LangGraphRunsError] = None
    run_id: Optional[str] = None
    seconds: float = 0.0
    #: The run that was there ended badly, and nothing was done: give it another thread.
    stale: bool = False


class TaskRunner:
    """Does errands on one server. In a process that gets it by pickle there is one for each client that it came from."""

    def __init__(self, transport: Transport, knowledge: Optional[ServerTraits], connect: Optional[Callable[[], Any]]) -> None:
        self._transport = transport
        self._starter = RunStarter(transport, knowledge)
        self._waiter = self._starter.waiter
        self._outcomes = self._starter.outcomes
        self._packed: Optional[bytes] = None
        self._connect = connect

    def __reduce__(self) -> Tuple[Any, ...]:
        if self._packed is None:
            self._packed = pickle.dumps((self._transport.settings, self._connect))
        return _unpacked, (self._packed,)

    def do(
        self,
        errand: Task,
        signal: Optional[AbortSignal] = None,
        on_run_created: Optional[Callable[[Any], None]] = None,
    ) -> TaskResult:
        """Run the input to its end; what goes wrong is in the report."""
        outcome, error, stale = None, None, False
        with self._transport.scope(errand.timeout, signal) as scope:
            began = scope.deadline.clock()
            scope.thread_id = errand.thread_id
            try:
                found = self._find(errand, scope) if errand.look and errand.run_id is None else None
                if errand.run_id is not None:
                    outcome = self._waiter.join(errand.thread_id, errand.run_id, scope, headers=errand.headers)
                elif found is None:
                    try:
                        outcome = self._start(errand, scope, on_run_created)
                    except ConflictError:
                        # Busy: with a run for this very input, created by somebody who was cut off.
                        found = self._find(errand, scope)
                        if found is None:
                            raise
                if found is not None:
                    if on_run_created is not None:
                        on_run_created({"run_id": found.run_id, "thread_id": found.thread_id})
                    if errand.redo and found.finished and found.status != "success":
                        stale = True
                    else:
                        outcome = self._waiter.join(errand.thread_id, found.run_id, scope, headers=errand.headers)
                if outcome is not None and errand.payload is not None and _may_pause(errand.payload):
                    outcome = self._outcomes.look_for_pause(outcome, errand.thread_id, scope)
            except LangGraphRunsError as caught:
                error = scope.identify(caught)
            if outcome is not None:
                told = error_for(outcome)
                error = None if told is None else scope.identify(told)
            seconds = scope.deadline.clock() - began
        if error is not None:
            error.__traceback__ = None  # it would keep all that was going on here
        if errand.run_id is not None:
            pass  # not ours to cancel or delete
        elif isinstance(error, DeadlineExceededError):
            self.give_up(errand.thread_id, delete=errand.delete[1], settle=scope.run_id is None, spare_success=False)
        elif outcome is not None and not outcome.paused and errand.delete[error is not None]:
            self.delete(errand.thread_id)
        return TaskResult(outcome=outcome, error=error, run_id=scope.run_id, seconds=seconds, stale=stale)

    def _start(self, errand: Task, scope: Scope, on_run_created: Optional[Callable[[Any], None]]) -> RunOutcome:
        options = {
            "headers": errand.headers,
            "params": errand.params,
            "on_run_created": on_run_created,
            # Together they let one run be created on the thread as long as it goes on, however often it is asked for.
            "if_not_exists": "create",
            "multitask_strategy": "reject",
        }
        start = prepare_start(
            "wait", RunsWaitPayload, self._starter.creator, errand.thread_id, errand.assistant_id, errand.payload, options
        )
        return self._starter.wait(start, scope)

    def _find(self, errand: Task, scope: Scope) -> Optional[Run]:
        """The run on the errand's thread, if there is one; the best one, should there be several."""
        waited = 0.0
        for moment in _SETTLE if errand.settle else _SETTLE[:1]:
            scope.sleep(moment - waited)
            waited = moment
            runs = self.runs_on(errand.thread_id, scope)
            if runs:
                return min(runs, key=lambda run: (run.status != "success", run.finished))
        return None

    def is_transient(self, error: LangGraphRunsError) -> bool:
        """Whether the same errand may well go through a little later."""
        if isinstance(error, DeadlineExceededError):
            return False
        if isinstance(error, APIStatusError) and error.status_code in (429, 503):
            return True
        return self._transport.is_transient(error)

    def runs_on(self, thread_id: str, scope: Scope) -> List[Run]:
        """The runs of a thread; a thread that is not there has none."""
        request = Request(method="GET", path=runs_path(thread_id), query=(("limit", 10),))
        try:
            return decode_list(decode_body(self._transport.call(request, scope).body), Run)
        except NotFoundError:
            return []

    # -- tidying up

    def delete(self, thread_id: str) -> bool:
        """Delete a thread; whether it is gone. A failure is only logged."""
        try:
            with self._transport.scope(_TIDY) as scope:
                return self._delete(thread_id, scope)
        except LangGraphRunsError as error:
            _log.warning("the thread %s is left behind on the server: %s", thread_id, error)
            return False

    def give_up(self, thread_id: str, *, delete: bool, settle: bool, spare_success: bool) -> bool:
        """Cancel what runs on a thread, and with *delete* delete it, unless *spare_success* and a run had ended well.

        *settle*: wait a little for a run that may be about to come into being. Returns whether the thread is gone. A failure is
        only logged.
        """
        try:
            with self._transport.scope(_TIDY) as scope:
                runs: List[Run] = []
                waited = 0.0
                for moment in _SETTLE[:-1] if settle else _SETTLE[:1]:
                    scope.sleep(moment - waited)
                    waited = moment
                    runs = self.runs_on(thread_id, scope)
                    if runs:
                        break
                ended = [run.finished or self._cancel(run, scope) for run in runs]
                if not all(ended):
                    runs = self.runs_on(thread_id, scope)  # one has ended by itself meanwhile
                if not delete or (spare_success and any(run.status == "success" for run in runs)):
                    return False
                return self._delete(thread_id, scope) if runs else True
        except LangGraphRunsError as error:
            _log.warning("the thread %s, and perhaps its run, is left behind on the server: %s", thread_id, error)
            return False

    def _cancel(self, run: Run, scope: Scope) -> bool:
        path, query = cancelling(run.thread_id, run.run_id, wait=True)
        try:
            self._transport.call(Request(method="POST", path=path, query=query), scope)
        except NotFoundError:
            return False
        return True

    def _delete(self, thread_id: str, scope: Scope) -> bool:
        try:
            self._transport.call(Request(method="DELETE", path=thread_path(thread_id)), scope)
        except NotFoundError:
            pass  # somebody else has
        return True


def _may_pause(payload: RunsWaitPayload) -> bool:
    return bool(payload.interrupt_before or payload.interrupt_after)


def run_task(errands: TaskRunner, errand: Task) -> TaskResult:
    """What executors are given to do."""
    return errands.do(errand)


def check_picklable(errands: TaskRunner) -> None:
    """Refuse a client that cannot be sent to another process."""
    try:
        pickle.dumps(errands)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InvalidRequestError(
            f"executor=...: the client does not pickle ({error}); a session, hook or on_retry of yours must be importable by name"
        ) from None


@functools.lru_cache(maxsize=16)
def _unpacked(packed: bytes) -> TaskRunner:
    # One for each process and configuration, so that all that a process does goes over the same connections.
    settings, connect = pickle.loads(packed)
    assert isinstance(settings, Settings)
    return TaskRunner(Transport(settings, connect=connect), None, connect)

"""The task runner: creates the run of one input and waits for it, in the thread, process or machine that an executor chooses.

A task may be run twice: by a map that was restarted, or by an executor that repeats the tasks of a lost worker. The id of its
thread is chosen before the first time, so that a run that exists already is found on the thread and joined. A task runner knows
neither other inputs nor a ledger.
"""

from __future__ import annotations

import functools
import logging
import pickle
from typing import Any, Callable, Dict, Optional, Tuple

import attrs

from .. import api
from ..call import AbortSignal, RetryDetails, Scope, is_refusal
from ..errors import (
    AbortedError,
    APIStatusError,
    ConflictError,
    CreateUncertainError,
    DeadlineExceededError,
    InvalidRequestError,
    LangGraphRunsError,
    NotFoundError,
)
from ..http import NO_OPTIONS, Settings, Transport
from ..models import Run, RunOutcome
from ..payloads import RunsWaitPayload
from ..runs import ARRIVAL_CHECKS, RunStarter, error_for, hint_at_keep, prepare_start
from ..server_traits import ServerTraits
from .outage import may_be_outage, shows_server
from .pacing import RequestPacer
from .task import Task, TaskResult

__all__ = ["PROBE_TIMEOUT", "HookError", "HookGuard", "TaskRunner", "check_picklable", "run_task"]

#: Seconds for the cleanup after one input.
_CLEANUP_TIMEOUT = 15.0
#: Seconds for a probe.
PROBE_TIMEOUT = 10.0


class HookError(Exception):
    """Wraps an exception of the ``on_retry`` hook, to carry it out of a task. The user never sees it.

    A hook may use a client itself. Without the wrapper, its `LangGraphRunsError` would be taken for the result of the task.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


@attrs.frozen
class HookGuard:
    """Calls an ``on_retry`` hook, and wraps its exceptions in `HookError`. Can be pickled if the hook can."""

    hook: Callable[[RetryDetails], None]

    def __call__(self, details: RetryDetails) -> None:
        try:
            self.hook(details)
        except BaseException as error:
            raise HookError(error) from error


class TaskRunner:
    """Runs tasks on one server. Shared by threads. In another process, tasks with the same client configuration share one.

    Requests that the server refuses are repeated by the pacer, except creates: of a refused create, the scheduler starts the input
    again. Other failed requests are repeated as the client's `RetryPolicy` says.
    """

    def __init__(self, transport: Transport, traits: Optional[ServerTraits], connect: Optional[Callable[[], Any]]) -> None:
        self._settings = transport.settings
        transport = transport.logging_at(logging.DEBUG)  # the scheduler logs a line for each result
        retry = self._settings.retry
        hook = retry.on_retry
        policy = attrs.evolve(
            retry,
            statuses=retry.statuses - {429, 503},
            # The scheduler waits, so that all inputs do.
            retry_after_max=0.0,
            on_retry=None if hook is None else HookGuard(hook),
        )
        self.pacer = RequestPacer(attrs.evolve(policy, retry_after_max=retry.retry_after_max), clock=transport.clock)
        self._probe_transport = transport.with_settings(attrs.evolve(self._settings, retry=attrs.evolve(policy, attempts=1)))
        self._transport = transport = transport.with_settings(attrs.evolve(self._settings, retry=policy)).paced(self.pacer)
        # Creates that the server refuses are not repeated here: the map pauses, and starts the input again.
        self._starter = RunStarter(transport, traits, repeat_refused=False)
        self._waiter = self._starter.waiter
        self._outcomes = self._starter.outcomes
        self._own_threads = self._starter.own_threads
        self._pickled: Optional[bytes] = None
        self._connect = connect

    def __reduce__(self) -> Tuple[Any, ...]:
        if self._pickled is None:
            self._pickled = pickle.dumps((self._settings, self._connect))
        return _unpickled, (self._pickled,)

    def run(
        self,
        task: Task,
        signal: Optional[AbortSignal] = None,
        on_run_created: Optional[Callable[[Any], None]] = None,
    ) -> TaskResult:
        """Run *task* to its end, and delete its thread if the task says so. A `LangGraphRunsError` is returned in the result.

        Raises `HookError` if the ``on_retry`` hook raises.
        """
        outcome: Optional[RunOutcome] = None
        error: Optional[LangGraphRunsError] = None
        with self._transport.scope(task.timeout, signal) as scope:
            started = scope.deadline.clock()
            scope.note_run(thread_id=task.thread_id)
            try:
                outcome = self._outcome_of(task, scope, on_run_created)
            except LangGraphRunsError as caught:
                error = scope.identify(caught)
            run_error = None if outcome is None else error_for(outcome)
            if run_error is not None:
                error = scope.identify(run_error)
            seconds = scope.deadline.clock() - started - scope.deadline.extended
        if error is not None:
            error.__traceback__ = None  # it would keep the locals of all frames alive as long as the result
        contact_lost = error is not None and self.pacer.lost_contact_since(started)
        thread_left, outcome = self._clean_up(task, outcome, error, run_id=scope.run_id, signal=signal)
        return TaskResult(
            outcome=outcome,
            error=error,
            run_id=scope.run_id,
            seconds=seconds,
            superseded=outcome is None and error is None,
            contact_lost=contact_lost,
            thread_left=thread_left,
        )

    def _outcome_of(self, task: Task, scope: Scope, on_run_created: Optional[Callable[[Any], None]]) -> Optional[RunOutcome]:
        """Return how the run of *task* ended; None if the run that was found is superseded."""
        outcome = self._create_or_join(task, scope, on_run_created)
        if outcome is not None and task.payload is not None and _may_pause(task.payload):
            return self._outcomes.look_for_pause(outcome, task.thread_id, scope)
        return outcome

    def _create_or_join(self, task: Task, scope: Scope, on_run_created: Optional[Callable[[Any], None]]) -> Optional[RunOutcome]:
        if task.run_id is not None:
            try:
                return self._join(task, task.run_id, scope)
            except NotFoundError as error:
                hint_at_keep(error)
                raise
        if task.idempotency_key is not None:
            return self._create_and_wait(task, scope, on_run_created)  # it joins the run of an earlier create
        run = self._find_run(task, scope) if task.may_exist else None
        if run is None and task.may_arrive_late and self._starter.traits.keeps_strategy is not True:
            raise CreateUncertainError(
                "the run may be created later: an earlier create timed out, and this server is not known to refuse a second run",
                may_still_arrive=True,
            )
        if run is None:
            try:
                return self._create_and_wait(task, scope, on_run_created)
            except ConflictError:
                # The thread is busy with a run of the same input: an earlier create was executed, and its response was lost.
                run = self._find_run(task, scope)
                if run is None:
                    raise
        if on_run_created is not None:
            on_run_created({"run_id": run.run_id, "thread_id": run.thread_id})
        if task.rerun_failed and run.finished and run.status != "success":
            return None
        return self._join(task, run.run_id, scope)

    def _join(self, task: Task, run_id: str, scope: Scope) -> RunOutcome:
        return self._waiter.join(task.thread_id, run_id, scope, attrs.evolve(NO_OPTIONS, headers=dict(task.headers)))

    def _create_and_wait(self, task: Task, scope: Scope, on_run_created: Optional[Callable[[Any], None]]) -> RunOutcome:
        options: Dict[str, Any] = {"headers": task.headers, "params": task.params, "on_run_created": on_run_created}
        thread_id = None
        if task.idempotency_key is not None:
            options["idempotency_key"] = task.idempotency_key
        else:
            # Together, these options allow one unfinished run on the thread, however often the create is sent.
            options.update(if_not_exists="create", multitask_strategy="reject")
            thread_id = task.thread_id
        creator, own = self._starter.creator, thread_id is not None
        start = prepare_start("wait", RunsWaitPayload, creator, thread_id, task.assistant_id, task.payload, options, own_thread=own)
        return self._starter.wait(start, scope)

    def _find_run(self, task: Task, scope: Scope) -> Optional[Run]:
        """Return the run on the thread of *task*, or None. Of several, return one that succeeded, else one that is not finished."""
        checks = ARRIVAL_CHECKS if task.may_still_arrive else ARRIVAL_CHECKS[:1]
        runs = self._own_threads.wait_for_runs(task.thread_id, scope, checks)
        return min(runs, key=lambda run: (run.status != "success", run.finished)) if runs else None

    # -- cleanup

    def _clean_up(
        self,
        task: Task,
        outcome: Optional[RunOutcome],
        error: Optional[LangGraphRunsError],
        *,
        run_id: Optional[str],
        signal: Optional[AbortSignal],
    ) -> Tuple[bool, Optional[RunOutcome]]:
        """Cancel the run if its time is over; delete the thread if the task says so.

        Return True if that must be tried again, and the outcome: with a pause that only the thread shows.
        """
        if task.run_id is not None:
            return False, outcome  # a run that was joined belongs to the caller
        try:
            if isinstance(error, DeadlineExceededError):
                keyed = task.idempotency_key is not None
                self.cancel_run(
                    task.thread_id,
                    delete=task.delete[1] or keyed,
                    may_still_arrive=run_id is None,
                    keep_successful=keyed and not task.delete[0],
                    signal=signal,
                )
            elif outcome is not None and not outcome.paused and task.delete[error is not None]:
                deleted = self.delete_thread(task.thread_id, run=outcome.run, signal=signal)
                if not deleted and outcome.succeeded:
                    with self._transport.scope(_CLEANUP_TIMEOUT, signal) as scope:
                        return False, self._outcomes.look_for_pause(outcome, task.thread_id, scope)
        except LangGraphRunsError:
            return True, outcome
        return False, outcome

    def delete_thread(self, thread_id: str, *, run: Optional[Run] = None, signal: Optional[AbortSignal] = None) -> bool:
        """Delete a thread if its runs have ended and none is paused; see `OwnThreads.delete`.

        Raises an error after which it should be tried again; others are logged.
        """
        return self._own_threads.delete(thread_id, _CLEANUP_TIMEOUT, run, signal=signal, may_raise=_may_pass)

    def cancel_run(
        self,
        thread_id: str,
        *,
        delete: bool,
        may_still_arrive: bool,
        keep_successful: bool,
        signal: Optional[AbortSignal] = None,
    ) -> bool:
        """Cancel the runs of a thread and, with *delete*, delete the thread; see `OwnThreads.cancel`. Raises as `delete_thread`."""
        return self._own_threads.cancel(
            thread_id,
            delete=delete,
            may_still_arrive=may_still_arrive,
            keep_successful=keep_successful,
            timeout=_CLEANUP_TIMEOUT,
            signal=signal,
            may_raise=_may_pass,
        )

    # -- the server

    def probe(
        self, thread_id: str, signal: Optional[AbortSignal] = None, timeout: float = PROBE_TIMEOUT
    ) -> Optional[LangGraphRunsError]:
        """Return None if the API itself responds to a request about a thread, which need not exist; else the error."""
        transport = self._probe_transport
        try:
            with transport.scope(timeout, signal) as scope:
                try:
                    api.list_runs(transport, scope, thread_id, limit=1)
                    return None
                except APIStatusError as error:
                    if shows_server(error) or (error.status_code == 404 and self._responds(scope)):
                        return None
                    raise
        except LangGraphRunsError as error:
            error.__traceback__ = None
            return error

    def _responds(self, scope: Scope) -> bool:
        """Return True if an endpoint about the server itself responds. Some servers say of a thread no more than ``Not Found``."""

        def responds_at(path: str) -> bool:
            api.probe(self._probe_transport, scope, path)
            return True

        return any(scope.unless_failed(functools.partial(responds_at, path), False) for path in api.PROBES)


def _may_pass(error: LangGraphRunsError) -> bool:
    """Return True if a cleanup that failed with *error* may succeed later, also if only the end of its task has ended it."""
    return isinstance(error, AbortedError) or is_refusal(error) or may_be_outage(error)


def _may_pause(payload: RunsWaitPayload) -> bool:
    return bool(payload.interrupt_before or payload.interrupt_after)


def run_task(runner: TaskRunner, task: Task) -> TaskResult:
    """Run *task*: the function that an executor is given. Importable, so that it can be pickled."""
    return runner.run(task)


def check_picklable(runner: TaskRunner) -> None:
    """Raise `InvalidRequestError` if the client cannot be sent to another process."""
    try:
        pickle.dumps(runner)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InvalidRequestError(
            f"executor=...: the client does not pickle ({error}); a session, hook or on_retry of yours must be importable by name"
        ) from None


@functools.lru_cache(maxsize=16)
def _unpickled(pickled: bytes) -> TaskRunner:
    # Cached, so that all tasks of one configuration in a process share their connections.
    settings, connect = pickle.loads(pickled)
    assert isinstance(settings, Settings)
    return TaskRunner(Transport(settings, connect=connect), None, connect)

"""Threads that the library makes for one run: how they are made, and when they are deleted.

A run without a thread of the caller's gets a new thread, whose id is chosen here. So the run can be looked up after a broken
connection, joined, and asked how it ended. The server deletes nothing by itself, so the thread is deleted here afterwards.

The evidence for deleting a thread: the server says that each of its runs has ended, and the state of the thread shows that none of
them waits for a human. A thread for which there is no such evidence stays. It has the field `THREAD_USE` in its metadata, by which
``langgraph-runs prune --thread-metadata`` finds it, on servers that keep the metadata of a thread that is created with its run.
"""

from __future__ import annotations

import enum
import logging
import uuid
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

import attrs

from .. import api
from ..call import AbortSignal, Scope, at_moments, states_absence
from ..errors import ConflictError, InvalidRequestError, LangGraphRunsError, NotFoundError
from ..http import NO_OPTIONS, CommonOptions, Transport
from ..markers import KEPT, TEMPORARY, THREAD_USE
from ..models import Run, RunOutcome
from .outcome import RunOutcomes
from .pause import pause_of

__all__ = ["ARRIVAL_CHECKS", "Disposal", "OwnThreads", "ThreadPlan", "check_new_thread", "choose_thread", "new_thread_id"]

_log = logging.getLogger(__name__)
#: Seconds that the requests after a call's run has ended may take. The result of the call waits for them.
_FINISH_TIMEOUT = 2.0
#: Seconds that cancelling a run and deleting its thread may take after the deadline of its call.
_LATE_TIMEOUT = 3.0
#: When a thread is checked for a run that may still arrive: seconds after the first check. The last check decides.
ARRIVAL_CHECKS = (0.0, 0.2, 0.5, 1.0, 2.0)
#: When a thread is checked for the end of a run that was cancelled: seconds after the first check.
_END_CHECKS = (0.0, 0.1, 0.3, 0.8, 2.0)
#: How many runs are listed of a thread that was made for one run.
_PAGE = 10
#: The statuses of a run that has ended, and that does not go on.
ENDED = frozenset({"success", "error", "timeout", "interrupted"})
#: Of these, the statuses that a run may have while it waits for a human.
_MAY_BE_PAUSED = frozenset({"success", "interrupted"})


class Disposal(enum.Enum):
    """What happens to the thread of a call when its run has ended."""

    #: Nothing.
    KEEP = enum.auto()
    #: It is deleted, unless the run waits for a human.
    DELETE_IF_FINAL = enum.auto()
    #: It is deleted.
    DELETE = enum.auto()


class ThreadPlan(NamedTuple):
    """The thread on which a call creates its run, and what happens to it afterwards."""

    thread_id: Optional[str]
    disposal: Disposal


def new_thread_id() -> str:
    """Return the id of a new thread. It is random, so that no other program can have chosen it."""
    return str(uuid.uuid4())


def choose_thread(body: Dict[str, Any]) -> ThreadPlan:
    """Return a new thread for a run whose caller named none, and write into *body* what creates the thread with the run.

    Raises `InvalidRequestError` if *body* needs a thread that exists.
    """
    check_new_thread(body)
    given = body.pop("on_completion", None)
    disposal = {"keep": Disposal.KEEP, "delete": Disposal.DELETE}.get(given, Disposal.DELETE_IF_FINAL)
    body["if_not_exists"] = "create"
    metadata = body.get("metadata") or {}
    if isinstance(metadata, Mapping):
        body["metadata"] = {**metadata, THREAD_USE: KEPT if disposal is Disposal.KEEP else TEMPORARY}
    return ThreadPlan(new_thread_id(), disposal)


def check_new_thread(body: Mapping[str, Any]) -> None:
    """Raise `InvalidRequestError` if *body* needs a thread that exists."""
    command = body.get("command")
    if isinstance(command, Mapping) and "resume" in command:
        raise InvalidRequestError("command={'resume': ...} answers a run that waits on its thread: give the thread_id of that run")
    for name in ("checkpoint", "checkpoint_id"):
        if name in body:
            raise InvalidRequestError(f"{name}=...: give the thread_id of the thread that has the checkpoint")


class OwnThreads:
    """Looks at, cancels and deletes threads that were made for one run each, on one server."""

    def __init__(self, transport: Transport, outcomes: RunOutcomes) -> None:
        self._transport = transport
        self._outcomes = outcomes

    # -- after the end of a run

    def finish(
        self,
        plan: ThreadPlan,
        outcome: Optional[RunOutcome],
        call: Scope,
        *,
        options: CommonOptions = NO_OPTIONS,
        signal: Optional[AbortSignal] = None,
    ) -> Optional[RunOutcome]:
        """Delete the thread of a call if there is evidence that its run has ended for good. Return *outcome* with any pause found.

        Blocks for a short time, and never beyond the deadline of the *call*. A failure is only logged: the thread then stays.
        """
        thread_id, left = plan.thread_id, call.deadline.remaining()
        if plan.disposal is Disposal.KEEP or thread_id is None:
            return outcome
        timeout = _FINISH_TIMEOUT if left is None else min(_FINISH_TIMEOUT, left)
        try:
            with self._transport.scope(timeout, signal) as scope:
                run = self._ended_run(thread_id, call.run_id, outcome, scope)
                if run is None:
                    _log.warning("the thread %s is left behind on the server: its run may not have ended", thread_id)
                    return outcome
                if run.status in _MAY_BE_PAUSED:
                    outcome = self.with_pause(outcome or RunOutcome(status=run.status, run=run), thread_id, scope, options)
                if plan.disposal is Disposal.DELETE_IF_FINAL and outcome is not None and outcome.paused:
                    api.update_thread(self._transport, scope, thread_id, options, metadata={THREAD_USE: KEPT})
                    return outcome
                self._delete(thread_id, scope, options)
        except LangGraphRunsError as error:
            _log.warning("the thread %s is left behind on the server: %s", thread_id, str(error))
        return outcome

    def with_pause(self, outcome: RunOutcome, thread_id: str, scope: Scope, options: CommonOptions = NO_OPTIONS) -> RunOutcome:
        """Return *outcome* with ``paused`` and ``interrupts`` from the state of the thread, which has no other run."""
        if outcome.paused:
            return outcome
        state = api.get_state(self._transport, scope, thread_id, options)
        pause = pause_of(outcome.run, values=outcome.values, state=state, seen=outcome.interrupts)
        return outcome if pause is None else attrs.evolve(outcome, interrupts=pause.interrupts, paused=True)

    def _ended_run(self, thread_id: str, run_id: Optional[str], outcome: Optional[RunOutcome], scope: Scope) -> Optional[Run]:
        """Return the run if the server says that it has ended, else None."""
        run = None if outcome is None else outcome.run
        if run is None and run_id is not None:
            run = self._outcomes.run(thread_id, run_id, scope)
        if run is None:
            runs = self.runs_on(thread_id, scope)
            run = runs[0] if len(runs) == 1 else None
        return run if run is not None and run.status in ENDED else None

    def delete(
        self,
        thread_id: str,
        timeout: float,
        run: Optional[Run] = None,
        *,
        signal: Optional[AbortSignal] = None,
        may_raise: Callable[[LangGraphRunsError], bool] = lambda _: False,
    ) -> bool:
        """Delete a thread, unless a run on it may go on or waits for a human. Return True if it is deleted.

        *run* is the only run on the thread, if it is known; otherwise the runs are listed. A failure is only logged, unless
        *may_raise* returns True for it.
        """
        try:
            with self._transport.scope(timeout, signal) as scope:
                if not self._is_over(thread_id, run, scope):
                    _log.warning("the thread %s is left on the server: its run goes on, or waits for a human", thread_id)
                    return False
                return self._delete(thread_id, scope)
        except LangGraphRunsError as error:
            if states_absence(error):
                return True  # an earlier attempt has deleted it
            if may_raise(error):
                raise
            _log.warning("the thread %s is left behind on the server: %s", thread_id, str(error))
            return False

    def _is_over(self, thread_id: str, run: Optional[Run], scope: Scope) -> bool:
        """Return True if all runs of a thread have ended, and none waits for a human."""
        runs = self.runs_on(thread_id, scope) if run is None else [run]
        if not all(run.status in ENDED for run in runs):
            return False
        may_be_paused = [run for run in runs if run.status in _MAY_BE_PAUSED]
        if not may_be_paused:
            return True
        state = api.get_state(self._transport, scope, thread_id)
        return all(pause_of(run, state=state) is None for run in may_be_paused)

    def _delete(self, thread_id: str, scope: Scope, options: CommonOptions = NO_OPTIONS) -> bool:
        try:
            api.delete_thread(self._transport, scope, thread_id, options)
        except NotFoundError as error:
            if not states_absence(error):
                raise
        return True

    # -- before the end of a run

    def cancel_late(self, plan: ThreadPlan, options: CommonOptions = NO_OPTIONS) -> None:
        """Cancel the run of a call whose time is over, and delete its thread when the run has ended. A failure is only logged."""
        if plan.thread_id is not None:
            self.cancel(plan.thread_id, delete=plan.disposal is not Disposal.KEEP, may_still_arrive=True, timeout=_LATE_TIMEOUT)

    def cancel(
        self,
        thread_id: str,
        *,
        delete: bool,
        may_still_arrive: bool,
        keep_successful: bool = False,
        timeout: float,
        signal: Optional[AbortSignal] = None,
        may_raise: Callable[[LangGraphRunsError], bool] = lambda _: False,
    ) -> bool:
        """Cancel the runs of a thread and, with *delete*, delete the thread. Return True if the thread does not exist any more.

        With *may_still_arrive*, wait about a second for a run that is not on the thread yet. With *keep_successful*, do not delete
        the thread if a run on it has succeeded. The thread is deleted only when all its runs have ended. A failure is only logged,
        unless *may_raise* returns True for it.
        """
        checks = ARRIVAL_CHECKS[:-1] if may_still_arrive else ARRIVAL_CHECKS[:1]
        try:
            with self._transport.scope(timeout, signal) as scope:
                runs = self.wait_for_runs(thread_id, scope, checks)
                unfinished = [run for run in runs if not run.finished]
                cancelled = [self._cancel(run, scope) for run in unfinished]
                if unfinished and (delete or not all(cancelled)):
                    runs = self._wait_for_end(thread_id, scope)
                if not all(run.status in ENDED for run in runs):
                    _log.warning("the thread %s is left on the server: its run goes on", thread_id)
                    return False
                if not delete or (keep_successful and any(run.status == "success" for run in runs)):
                    return False
                return self._delete(thread_id, scope) if runs else True
        except LangGraphRunsError as error:
            if may_raise(error):
                raise
            _log.warning("the thread %s, and perhaps its run, is left behind on the server: %s", thread_id, str(error))
            return False

    def _cancel(self, run: Run, scope: Scope) -> bool:
        """Cancel a run and wait until it has ended. Return False if it had ended before, or if it was deleted."""
        try:
            api.cancel_run(self._transport, scope, run.thread_id, run.run_id, wait=True)
        except (NotFoundError, ConflictError):
            return False
        return True

    def _wait_for_end(self, thread_id: str, scope: Scope) -> List[Run]:
        """Return the runs of a thread when all have ended, or as they are after a few seconds."""
        runs: List[Run] = []
        for _ in at_moments(scope, _END_CHECKS):
            runs = self.runs_on(thread_id, scope)
            if all(run.finished for run in runs):
                break
        return runs

    # -- its runs

    def wait_for_runs(self, thread_id: str, scope: Scope, checks: Sequence[float]) -> List[Run]:
        """Return the runs of a thread as soon as there are any. *checks*: when to check, in seconds after the first check."""
        for _ in at_moments(scope, checks):
            runs = self.runs_on(thread_id, scope)
            if runs:
                return runs
        return []

    def runs_on(self, thread_id: str, scope: Scope) -> List[Run]:
        """Return the runs of a thread. A thread of which the server says that it does not exist has none."""
        try:
            return api.list_runs(self._transport, scope, thread_id, limit=_PAGE)
        except NotFoundError as error:
            if not states_absence(error):
                raise
            return []

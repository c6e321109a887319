"""Finds out from the server how a run ended, since neither the end of a stream nor a status of 200 says it.

This relies on the observed behaviour of servers. The response to ``wait`` for a cancelled or timed-out run is a 200 with its last
values. A stream of such a run just ends. The response to ``join`` for a finished run is the *current* state of the thread, which a
later run may have written. Checkpoints carry the id of their run, so the history of the thread, filtered by that id, has the last
state of the run.
"""

from __future__ import annotations

import logging
from typing import Any, Callable, List, Optional, Tuple

import attrs

from .. import api
from ..call import Retrier, Scope, at_moments, states_absence
from ..errors import (
    APIConnectionError,
    APIStatusError,
    LangGraphRunsError,
    NotFoundError,
    ResponseDecodeError,
    RunCancelledError,
    RunError,
    RunFailedError,
    RunTimedOutError,
)
from ..http import Transport
from ..models import Interrupt, Run, RunOutcome, Thread, ThreadState
from .graph_error import GraphError, error_in_run, error_in_state, reported_error
from .pause import Pause, own_output, pause_of, with_questions

__all__ = ["RunOutcomes", "deleted_run_error", "error_for", "hint_at_keep", "unknown_outcome"]

_log = logging.getLogger(__name__)
#: Seconds that the cancel of a run may take after the deadline of its call.
_LATE_CANCEL_TIMEOUT = 3.0
#: When the thread of a run that has ended is requested again because its status is still ``busy``: seconds after the first time.
_THREAD_CHECKS = (0.0, 0.1, 0.3, 0.8)
#: When a run that has existed is requested again because the server says that it does not exist: seconds after the first time.
#: One more request decides.
_BEHIND = (0.1, 0.3, 0.8)
_BEHIND_AT_LAST = 1.0
#: The status of an outcome that is not known. No server has it.
_UNKNOWN = "unknown"
#: The number of runs that are listed to find the newest one: first few, then, if the order does not show it, many.
_FEW_RUNS, _MANY_RUNS = 10, 1000


class RunOutcomes:
    """Finds out from one server how runs ended."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def run(self, thread_id: str, run_id: str, scope: Scope, *, existed: bool = False) -> Run:
        """Return the run as it is now.

        *existed* says that the server has shown the run in this call. Then a 404 is believed only if it stays for about two
        seconds: a copy of the server's data may be behind.
        """
        try:
            return self._readable_run(thread_id, run_id, scope)
        except NotFoundError:
            if not existed:
                raise
        for _ in at_moments(scope, _BEHIND):
            try:
                return self._readable_run(thread_id, run_id, scope)
            except NotFoundError:
                pass  # the last request decides
        scope.sleep(_BEHIND_AT_LAST)
        return self._readable_run(thread_id, run_id, scope)

    def _readable_run(self, thread_id: str, run_id: str, scope: Scope) -> Run:
        """Return the run as it is now. A response that is no run, such as a page or ``{}``, is a failed attempt.

        A 404 that may be a gateway's is believed if the list of the thread's runs does not have the run.
        """
        retrier: Optional[Retrier] = None
        while True:
            try:
                return api.get_run(self._transport, scope, thread_id, run_id)
            except NotFoundError as error:
                listed = None if states_absence(error) else self._listed_run(thread_id, run_id, scope)
                if listed is None:
                    raise
                return listed
            except ResponseDecodeError as error:
                if retrier is None:
                    retrier = self._transport.retrier_of(f"the request for run {run_id}", lambda _: True, scope=scope)
                seconds = retrier.next_wait(error)
                if seconds is None:
                    raise
            scope.sleep(seconds)

    def _listed_run(self, thread_id: str, run_id: str, scope: Scope) -> Optional[Run]:
        """Return the run as the thread's list of runs shows it; None if that does not show how it is."""
        attempts = scope.attempts
        runs = self._runs(thread_id, scope, _FEW_RUNS)
        scope.attempts = attempts  # the request for the list has counted its own
        return next((run for run in runs if run.run_id == run_id and run.status), None)

    def own_state(self, thread_id: str, run_id: str, scope: Scope) -> Optional[ThreadState]:
        """Return the last state that this run itself wrote, or None if the server does not keep or report it.

        The evidence is the id of the run in the metadata of the state.
        """
        metadata = {"run_id": run_id}
        try:
            states = api.get_history_once(self._transport, scope, thread_id, limit=1, metadata=metadata)
        except (APIStatusError, APIConnectionError) as error:
            scope.check(error)
            states = []
            if self._transport.is_transient(error) and getattr(error, "status_code", None) != 500:
                states = scope.unless_failed(
                    lambda: api.get_history(self._transport, scope, thread_id, limit=1, metadata=metadata), []
                )
            states = states or scope.unless_failed(lambda: [api.get_state(self._transport, scope, thread_id)], [])
        # A server that does not know the filter returns the newest state, whichever run wrote it.
        return next((state for state in states if state.metadata.get("run_id") == run_id), None)

    def is_thread_absent(self, thread_id: str, scope: Scope) -> bool:
        """Return True if the server says that the thread does not exist: it deletes that of a stateless run which has ended."""
        try:
            api.list_runs(self._transport, scope, thread_id, limit=1)
        except NotFoundError as error:
            return states_absence(error)
        return False

    def is_newest(self, thread_id: str, run_id: str, scope: Scope) -> Optional[bool]:
        """Return True if no run was created on the thread after this one, False if one was, None if that is not known."""
        newest = self._newest(thread_id, scope)
        return None if newest is None else newest.run_id == run_id

    def only_run(self, thread_id: str, scope: Scope) -> Optional[Run]:
        """Return the run of a thread that has exactly one, or None."""
        runs = self._runs(thread_id, scope, _FEW_RUNS)
        return runs[0] if len(runs) == 1 else None

    def _runs(self, thread_id: str, scope: Scope, limit: int) -> List[Run]:
        return scope.unless_failed(lambda: api.list_runs(self._transport, scope, thread_id, limit=limit), [])

    def _newest(self, thread_id: str, scope: Scope) -> Optional[Run]:
        """Return the newest run of the thread; None if it is not known.

        Servers list the newest run first, or the oldest. A full page shows the newest run only if its first run is the newest one.
        """
        for limit in (_FEW_RUNS, _MANY_RUNS):
            runs = self._runs(thread_id, scope, limit)
            newest = _newest_of(runs)
            if newest is None or len(runs) < limit or newest is runs[0]:
                return newest
        return None

    def outcome_of(
        self,
        run: Run,
        scope: Scope,
        *,
        values: Any = None,
        reported: Optional[GraphError] = None,
        of_thread: Optional[GraphError] = None,
        seen: Tuple[Interrupt, ...] = (),
    ) -> RunOutcome:
        """Return the outcome of a run that has ended.

        *values* and *reported* are its values and its error, if they are known, and *seen* the questions in its events.
        *of_thread* is the error of the newest run on its thread.
        """
        if values is None and (run.status == "success" or own_output(run)):
            values = own_output(run)  # an empty object says nothing of a run that did not succeed
        if run.status == "success":
            pause = pause_of(run, values=values, seen=seen)
            return _outcome(run, values, pause)
        if run.status == "interrupted":
            paused = self._if_paused(run, values, seen, scope)
            if paused is not None:
                return paused
        state = None
        says_why = reported is not None and reported.says_why
        if values is None or (run.status == "error" and not says_why):
            state = self.own_state(run.thread_id, run.run_id, scope)
        if values is None and state is not None:
            values = state.values
        if run.status != "error":
            return RunOutcome(status=run.status, values=values, run=run)
        found = reported if says_why else _of_own_record(run, state)
        # The thread has the error in the same words as a live connection, but only of its last run. The checkpoint has that of
        # every run.
        error, message = found or self._from_thread(run, of_thread, scope) or error_in_state(state) or GraphError(None, None)
        return RunOutcome(status="error", values=values, run=run, error=error, message=message)

    def _if_paused(self, run: Run, values: Any, seen: Tuple[Interrupt, ...], scope: Scope) -> Optional[RunOutcome]:
        """Return the outcome of a run with the status ``interrupted`` if it is paused; None if it was cancelled."""
        if run.extra.get("cancel_reason"):
            return None
        pause, state = pause_of(run, values=own_output(run)), None
        if pause is None:
            thread = self._thread_of_newest(run, scope)
            if thread is None or (thread.status == "interrupted" and not thread.error):
                state = self.own_state(run.thread_id, run.run_id, scope)
            pause = pause_of(run, values=values, state=state, thread=thread, seen=seen)
        if pause is None:
            return None
        if values is None and state is not None:
            values = state.values
        return _outcome(run, with_questions(values, pause), pause)

    def _thread_of_newest(self, run: Run, scope: Scope) -> Optional[Thread]:
        """Return the thread if *run* is its newest run, so that its status is due to the run; else None."""
        thread: Optional[Thread] = None
        for _ in at_moments(scope, _THREAD_CHECKS):
            thread = scope.unless_failed(lambda: api.get_thread(self._transport, scope, run.thread_id), None)
            if thread is None:
                return None
            if thread.status != "busy":
                break
        return thread if self.is_newest(run.thread_id, run.run_id, scope) is True else None

    def look_for_pause(self, outcome: RunOutcome, thread_id: Optional[str], scope: Scope) -> RunOutcome:
        """Return *outcome* with ``paused`` and ``interrupts`` from the run's own state. Sends one request, if that has it."""
        run = outcome.run
        if run is None or thread_id is None or not outcome.succeeded or own_output(run) is not None:
            return outcome
        state = self.own_state(thread_id, run.run_id, scope)
        thread = self._thread_of_newest(run, scope) if state is None else None
        pause = pause_of(run, values=outcome.values, state=state, thread=thread, seen=outcome.interrupts)
        if pause is None:
            return outcome
        return attrs.evolve(outcome, interrupts=pause.interrupts, paused=True)

    def own_values(self, run: Run, joined: Any, scope: Scope) -> RunOutcome:
        """Return the outcome of a successful run. *joined* is the response to a join, which may have the values of a later run.

        The evidence that values are the run's own, best first: the server keeps them with the run; a state that the run wrote has
        them; the run is the newest on its thread.
        """
        output = own_output(run)
        if output is not None:
            return self.outcome_of(run, scope, values=output)
        state = self.own_state(run.thread_id, run.run_id, scope)
        if state is None:
            thread = self._thread_of_newest(run, scope)
            if thread is None or joined is None:
                return RunOutcome(status=run.status, run=run, exact=False)
            pause = pause_of(run, values=joined, thread=thread)
            return _outcome(run, with_questions(joined, pause), pause)
        values = joined
        changed = not isinstance(joined, dict) or {k: v for k, v in joined.items() if not k.startswith("__")} != state.values
        if changed or not isinstance(state.values, dict) or not any(state.values.values()):
            # The server reads a thread with the graph of its last run, and leaves out values that another graph has written.
            newest = self._newest(run.thread_id, scope)
            if newest is None or _graph_of(newest) != _graph_of(run):
                return RunOutcome(status=run.status, run=run, exact=False)
        if changed:
            values = state.values
        pause = pause_of(run, values=values, state=state)
        return _outcome(run, with_questions(values, pause), pause)

    def cancel_late(
        self, thread_id: Optional[str], run_id: Optional[str], find: Optional[Callable[[Scope], Optional[Run]]] = None
    ) -> None:
        """Cancel a run whose caller has timed out, within a short time limit of its own. A failure is only logged.

        *find* looks for the run on its thread; it is called if the run's id is not known.
        """
        try:
            with self._transport.scope(timeout=_LATE_CANCEL_TIMEOUT) as scope:
                if run_id is None and find is not None:
                    found = find(scope)
                    run_id = None if found is None else found.run_id
                if thread_id is None or run_id is None:
                    _log.warning("on_timeout='cancel': the run is not known, so it was not cancelled")
                    return
                api.cancel_run(self._transport, scope, thread_id, run_id)
        except NotFoundError:
            pass  # the run has ended by itself
        except LangGraphRunsError as error:
            _log.warning("on_timeout='cancel': run %s was not cancelled: %s", run_id, str(error))

    def _from_thread(self, run: Run, of_thread: Optional[GraphError], scope: Scope) -> Optional[GraphError]:
        # The thread has only the error of its last run.
        if self.is_newest(run.thread_id, run.run_id, scope) is not True:
            return None
        if of_thread is not None and of_thread.says_why:
            return of_thread
        thread = scope.unless_failed(lambda: api.get_thread(self._transport, scope, run.thread_id), None)
        found = None if thread is None else reported_error(thread.error)
        return found if found is not None and found.says_why else None


def _outcome(run: Run, values: Any, pause: Optional[Pause]) -> RunOutcome:
    """Return the outcome of a run that has succeeded, or is paused."""
    interrupts = () if pause is None else pause.interrupts
    return RunOutcome(status="success", values=values, run=run, interrupts=interrupts, paused=pause is not None)


def _of_own_record(run: Run, state: Optional[ThreadState]) -> Optional[GraphError]:
    """Return the error that the server keeps with the run; if it has no class, that of the state with the same message."""
    found, in_state = error_in_run(run), error_in_state(state)
    return in_state if found is not None and in_state is not None and found == (None, in_state.message) else found


def _newest_of(runs: List[Run]) -> Optional[Run]:
    """Return the run that was created last; None if there is none, or if the times of several are not known."""
    if len(runs) < 2:
        return runs[0] if runs else None
    times = [run.created_at for run in runs if run.created_at is not None]
    if len(times) < len(runs):
        return None
    latest = max(times)
    return next(run for run in runs if run.created_at == latest) if times.count(latest) == 1 else None


def _graph_of(run: Run) -> Optional[str]:
    graph_id = run.metadata.get("graph_id")
    return graph_id if isinstance(graph_id, str) else run.assistant_id


def unknown_outcome(values: Any) -> RunOutcome:
    """Return the outcome of a run of which only *values* are known: the server did not say which run it is."""
    return RunOutcome(status=_UNKNOWN, values=values)


def error_for(outcome: RunOutcome) -> Optional[RunError]:
    """Return the error to raise for *outcome*, or None if the run succeeded."""
    error = _error_for(outcome)
    if error is not None and outcome.run is not None and outcome.run.replayed:
        error._text += "; an earlier call with the idempotency_key has started this run: give another key to start another one"
    return error


def _error_for(outcome: RunOutcome) -> Optional[RunError]:
    run, values = outcome.run, outcome.values
    ids = {"run_id": run.run_id if run else None, "thread_id": run.thread_id if run else None}
    if outcome.status == "success":
        if outcome.exact:
            return None
        return RunError(
            "the run succeeded, but its result is not known: later runs changed its thread, or the server does not show its state",
            run=run,
            **ids,
        )
    if outcome.status == "error":
        return RunFailedError(outcome.error, outcome.message, run=run, values=values, **ids)
    if outcome.status == "interrupted":
        return RunCancelledError("the run was cancelled", run=run, values=values, **ids)
    if outcome.status == "timeout":
        return RunTimedOutError("the server stopped the run: it took longer than the server allows", run=run, values=values, **ids)
    if outcome.status == _UNKNOWN and run is None:
        reason = "the response does not name the run, and it was not found on its thread"
        return RunError(f"it is not known how the run ended: {reason}", values=values)
    return RunError(
        f"the run ended with status {outcome.status!r}, which this library does not know", run=run, values=values, **ids
    )


def hint_at_keep(error: NotFoundError) -> None:
    """Add to the text of *error*, of a join, the remedy for a run that was created without a thread."""
    error._text += "; a run that is created without a thread is deleted when it has ended, unless on_completion='keep'"


def deleted_run_error(error: NotFoundError, values: Any) -> NotFoundError:
    """Return *error* with a message that says: the run existed before, and was deleted or rolled back."""
    error._text = f"the run is gone: deleted, or rolled back by a cancel or by a later run ({error._text})"
    error.values = values
    return error

"""Finds out from the server how a run ended, since neither the end of a stream nor a status of 200 says it.

This relies on the observed behaviour of servers. The response to ``wait`` for a cancelled or timed-out run is a 200 with its last
values. A stream of such a run just ends. The response to ``join`` for a finished run is the *current* state of the thread, which a
later run may have written. Checkpoints carry the id of their run, so the history of the thread, filtered by that id, has the last
state of the run.
"""

from __future__ import annotations

import ast
import logging
import re
from typing import Any, Mapping, NamedTuple, Optional, Tuple

import attrs

from .. import api
from ..call import Scope
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
from ..models import Interrupt, Run, RunOutcome, ThreadState
from ..serialization import decode

__all__ = ["GraphError", "RunOutcomes", "deleted_run_error", "error_for", "interrupts_in", "reported_error"]

_log = logging.getLogger(__name__)
#: Seconds that the cancel of a run may take after the deadline of its call.
_LATE_CANCEL_TIMEOUT = 3.0
#: A backslash that begins no escape sequence of Python. repr() never writes one.
_NO_ESCAPE = re.compile(r"""(?<!\\)(?:\\\\)*\\[^\\'"abfnrtvxuUN0-7\n]""")
_REPR = re.compile(r"(\w+)\((.*)\)\Z", re.DOTALL)


class GraphError(NamedTuple):
    """The exception that ended a run, as the server reports it."""

    #: The class of the exception, or None.
    error: Optional[str]
    message: Optional[str]

    @property
    def is_not_found(self) -> bool:
        """True if it means 404, an unknown run or thread: some servers report it as a graph error in a successful response."""
        return self.error == "HTTPException" and (self.message or "").startswith("404")


def reported_error(value: Any) -> Optional[GraphError]:
    """Return the graph's error in *value*, in any of the shapes that servers use, or None if there is none.

    >>> reported_error({"error": "ValueError", "message": "boom"}), reported_error("boom").message
    (GraphError(error='ValueError', message='boom'), 'boom')
    """
    if isinstance(value, str):
        return GraphError(None, value)
    if not isinstance(value, Mapping):
        return None
    error, message = value.get("error"), value.get("message")
    if isinstance(error, Mapping):
        return reported_error(error)
    if message is None and error is not None:
        return GraphError(None, str(error))
    if message is None and error is None:
        return None
    return GraphError(None if error is None else str(error), str(message))


def interrupts_in(data: Any) -> Tuple[Interrupt, ...]:
    """Return the open questions (``__interrupt__``) in values or updates."""
    reported = data.get("__interrupt__") if isinstance(data, dict) else None
    if not isinstance(reported, list):
        return ()
    return tuple(_interrupt(item) for item in reported)


def _interrupt(item: Any) -> Interrupt:
    try:
        return decode(item, Interrupt)
    except ResponseDecodeError:
        return Interrupt(value=item)  # it may be a key of the user's own data


class RunOutcomes:
    """Finds out from one server how runs ended."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def run(self, thread_id: str, run_id: str, scope: Scope) -> Run:
        """Return the run as it is now."""
        return api.get_run(self._transport, scope, thread_id, run_id)

    def own_state(self, thread_id: str, run_id: str, scope: Scope) -> Optional[ThreadState]:
        """Return the last state that this run itself wrote, or None if the server does not keep or report it."""
        try:
            states = api.get_history(self._transport, scope, thread_id, limit=1, metadata={"run_id": run_id})
        except (APIStatusError, APIConnectionError) as error:
            scope.check(error)
            return None
        # A server that does not know the filter returns the newest state, whichever run wrote it.
        return next((state for state in states if state.metadata.get("run_id") == run_id), None)

    def is_thread_absent(self, thread_id: str, scope: Scope) -> bool:
        """Return True if the thread does not exist: the server deletes the thread of a stateless run when the run has ended."""
        try:
            api.list_runs(self._transport, scope, thread_id, limit=1)
        except NotFoundError:
            return True
        return False

    def is_newest(self, thread_id: str, run_id: str, scope: Scope) -> Optional[bool]:
        """Return True if no run was created on the thread after this one, False if one was, None if that is not known."""
        newest = self._newest(thread_id, scope)
        return None if newest is None else newest.run_id == run_id

    def _newest(self, thread_id: str, scope: Scope) -> Optional[Run]:
        try:
            newest = api.list_runs(self._transport, scope, thread_id, limit=1)
        except (APIStatusError, APIConnectionError) as error:
            scope.check(error)
            return None
        return newest[0] if newest else None

    def outcome_of(
        self,
        run: Run,
        scope: Scope,
        *,
        values: Any = None,
        reported: Optional[GraphError] = None,
    ) -> RunOutcome:
        """Return the outcome of a run that has ended. *values* and *reported* are its values and its error, if they are known."""
        if run.status == "success":
            interrupts = interrupts_in(values)
            return RunOutcome(status="success", values=values, run=run, interrupts=interrupts, paused=bool(interrupts))
        state = None
        if values is None or (run.status == "error" and reported is None):
            state = self.own_state(run.thread_id, run.run_id, scope)
        if values is None and state is not None:
            values = state.values
        if run.status != "error":
            return RunOutcome(status=run.status, values=values, run=run)
        # The thread has the error in the same words as a live connection, but only of its last run. The checkpoint has that of
        # every run.
        error, message = reported or self._from_thread(run, scope) or _from_tasks(state) or GraphError(None, None)
        return RunOutcome(status="error", values=values, run=run, error=error, message=message)

    def look_for_pause(self, outcome: RunOutcome, thread_id: Optional[str], scope: Scope) -> RunOutcome:
        """Return *outcome* with ``paused`` and ``interrupts`` from the run's own state. Sends one request."""
        if outcome.run is None or thread_id is None or not outcome.succeeded:
            return outcome
        state = self.own_state(thread_id, outcome.run.run_id, scope)
        if state is None:
            return outcome
        found = tuple(state.interrupts) or tuple(i for task in state.tasks for i in task.interrupts)
        return attrs.evolve(outcome, interrupts=outcome.interrupts or found, paused=outcome.paused or bool(state.next))

    def own_values(self, run: Run, joined: Any, scope: Scope) -> RunOutcome:
        """Return the outcome of a successful run. *joined* is the response to a join, which may have the values of a later run."""
        unknown = RunOutcome(status=run.status, run=run, exact=False)
        state = self.own_state(run.thread_id, run.run_id, scope)
        if state is None:
            exact = self.is_newest(run.thread_id, run.run_id, scope) is True
            return self.outcome_of(run, scope, values=joined) if exact else unknown
        values = joined
        changed = not isinstance(joined, dict) or {k: v for k, v in joined.items() if not k.startswith("__")} != state.values
        if changed or not isinstance(state.values, dict) or not any(state.values.values()):
            # The server reads a thread with the graph of its last run, and leaves out values that another graph has written.
            newest = self._newest(run.thread_id, scope)
            if newest is None or _graph_of(newest) != _graph_of(run):
                return unknown
        if changed:
            values = state.values
            if state.interrupts and isinstance(values, dict):
                questions = [{"value": item.value, "id": item.id, **item.extra} for item in state.interrupts]
                values = {**values, "__interrupt__": questions}
        outcome = self.outcome_of(run, scope, values=values)
        return attrs.evolve(outcome, paused=outcome.paused or bool(state.next))

    def cancel_late(self, thread_id: Optional[str], run_id: Optional[str]) -> None:
        """Cancel a run whose caller has timed out, within a short time limit of its own. A failure is only logged."""
        if thread_id is None or run_id is None:
            _log.warning("on_timeout='cancel': the run is not known, so it was not cancelled")
            return
        try:
            with self._transport.scope(timeout=_LATE_CANCEL_TIMEOUT) as scope:
                api.cancel_run(self._transport, scope, thread_id, run_id)
        except NotFoundError:
            pass  # the run has ended by itself
        except LangGraphRunsError as error:
            _log.warning("on_timeout='cancel': run %s was not cancelled: %s", run_id, str(error))

    def _from_thread(self, run: Run, scope: Scope) -> Optional[GraphError]:
        # The thread has only the error of its last run.
        if self.is_newest(run.thread_id, run.run_id, scope) is not True:
            return None
        try:
            return reported_error(api.get_thread(self._transport, scope, run.thread_id).error)
        except (APIStatusError, APIConnectionError) as error:
            scope.check(error)
            return None


def _from_tasks(state: Optional[ThreadState]) -> Optional[GraphError]:
    for task in state.tasks if state is not None else ():
        if isinstance(task.error, str) and task.error:
            return _from_repr(task.error)
        if task.error is not None:
            return reported_error(task.error)
    return None


def _graph_of(run: Run) -> Optional[str]:
    graph_id = run.metadata.get("graph_id")
    return graph_id if isinstance(graph_id, str) else run.assistant_id


def _from_repr(text: str) -> GraphError:
    """Return class and message from a Python exception's repr, as checkpoints keep it."""
    found = _REPR.match(text)
    if found is None:
        return GraphError(None, text)
    error, arguments_text = found.groups()
    if _NO_ESCAPE.search(arguments_text):
        return GraphError(error, arguments_text)  # a __repr__ of the class's own, for which literal_eval might issue a warning
    try:
        arguments: Tuple[Any, ...] = ast.literal_eval(f"({arguments_text},)") if arguments_text else ()
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # all that ast.literal_eval is documented to raise
        return GraphError(error, arguments_text)
    if len(arguments) == 1:
        return GraphError(error, str(arguments[0]))
    return GraphError(error, str(arguments) if arguments else "")


def error_for(outcome: RunOutcome) -> Optional[RunError]:
    """Return the error to raise for *outcome*, or None if the run succeeded."""
    run, values = outcome.run, outcome.values
    ids = {"run_id": run.run_id if run else None, "thread_id": run.thread_id if run else None}
    if outcome.status == "success":
        if outcome.exact:
            return None
        return RunError(
            "the run succeeded, but later runs changed its thread and the server does not tell the run's own result",
            run=run,
            **ids,
        )
    if outcome.status == "error":
        return RunFailedError(outcome.error, outcome.message, run=run, values=values, **ids)
    if outcome.status == "interrupted":
        return RunCancelledError("the run was cancelled", run=run, values=values, **ids)
    if outcome.status == "timeout":
        return RunTimedOutError("the server stopped the run: it took longer than the server allows", run=run, values=values, **ids)
    return RunError(
        f"the run ended with status {outcome.status!r}, which this library does not know", run=run, values=values, **ids
    )


def deleted_run_error(error: NotFoundError, values: Any) -> NotFoundError:
    """Return *error* with a message that says: the run existed before, and was deleted or rolled back."""
    error._text = f"the run is gone: deleted, or rolled back by a cancel or by a later run ({error._text})"
    error.values = values
    return error

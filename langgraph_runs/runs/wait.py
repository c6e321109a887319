"""Blocks until a run has ended, for ``wait`` and ``join``, and joins the run again when the connection breaks."""

from __future__ import annotations

from typing import Any, Mapping, NoReturn, Optional, Tuple, Union

from .. import api
from ..call import Scope, polling_wait
from ..errors import APIConnectionError, APIStatusError, DeadlineExceededError, LangGraphRunsError, NotFoundError
from ..http import NO_OPTIONS, CommonOptions, Request, Response, Transport, http_date
from ..models import Run, RunOutcome
from ..serialization import decode_body
from .outcome import GraphError, RunOutcomes, deleted_run_error, error_for, interrupts_in, reported_error
from .run_lookup import RecoveredRun

__all__ = ["RunWaiter"]

#: Seconds that a ``Date`` header may be late: it has whole seconds, and a busy uvicorn updates it late.
_DATE_LAG = 5.0


class RunWaiter:
    """Blocks until runs have ended, over several connections if necessary."""

    def __init__(self, transport: Transport, outcomes: RunOutcomes) -> None:
        self._transport = transport
        self._outcomes = outcomes

    def join(self, thread_id: str, run_id: str, scope: Scope, options: CommonOptions = NO_OPTIONS) -> RunOutcome:
        """Wait until the run has ended, and return its outcome."""
        scope.note_run(run_id=run_id, thread_id=thread_id)
        return self._outcome_after(self._join(scope, options), scope, options, joined=True)

    def finish(
        self, first: Union[Response, RecoveredRun], scope: Scope, *, stateless: bool, options: CommonOptions = NO_OPTIONS
    ) -> RunOutcome:
        """Return the outcome of a run that a wait has started. *first* is the response, or the run if the response was lost."""
        if isinstance(first, Response):
            return self._outcome_after(first, scope, options.headers_only, joined=False, stateless=stateless)
        if scope.run_id is None or scope.thread_id is None:
            raise scope.identify(APIConnectionError("the connection broke, and the run cannot be joined again", sent=True))
        options = options.headers_only
        return self._outcome_after(self._join(scope, options), scope, options, joined=True, stateless=stateless)

    def result_of(self, outcome: RunOutcome, scope: Scope, options: Mapping[str, Any]) -> Any:
        """Return the values of *outcome*, or raise its error; with ``raise_error=False``, return *outcome* itself."""
        if options.get("raise_error", True) is False:
            if outcome.succeeded and not outcome.paused:
                return self._outcomes.look_for_pause(outcome, scope.thread_id, scope)
            return outcome
        error = error_for(outcome)
        if error is not None:
            raise scope.identify(error)
        return outcome.values

    def raise_late(self, error: DeadlineExceededError, scope: Scope, options: Mapping[str, Any]) -> NoReturn:
        """Raise *error*; before that, cancel the run if the caller chose ``on_timeout="cancel"``."""
        if options.get("on_timeout") == "cancel":
            self._outcomes.cancel_late(scope.thread_id, scope.run_id)
        raise error

    def _join(self, scope: Scope, options: CommonOptions) -> Response:
        """Join the run of the scope. A broken connection uses up no attempt if the server says that the run goes on."""
        assert scope.thread_id is not None and scope.run_id is not None
        request = api.join_request(scope.thread_id, scope.run_id, options)
        return self._transport.logged(lambda: self._join_until_complete(request, scope), request, scope)

    def _join_until_complete(self, request: Request, scope: Scope) -> Response:
        retrier = self._transport.retrier(request, scope)
        broken_connections = sent = 0
        while True:
            sent += 1
            try:
                response = self._transport.send(request, scope)
            except (APIStatusError, APIConnectionError) as error:
                scope.check(error)
                goes_on = self._broke_while_running(error, scope)
                scope.attempts = sent  # the request for the run has counted its own
                if goes_on:
                    retrier.reset()
                    seconds = polling_wait(broken_connections)
                    broken_connections += 1
                else:
                    wait = retrier.next_wait(error)
                    if wait is None:
                        error.attempts = max(1, retrier.failures)
                        raise
                    seconds = wait
            else:
                retrier.succeeded()
                return response
            scope.sleep(seconds)

    def _broke_while_running(self, error: LangGraphRunsError, scope: Scope) -> bool:
        """Return True if *error* is a broken connection and the run goes on, so that the join is simply repeated."""
        if not isinstance(error, APIConnectionError) or error.sent is False or not self._transport.is_transient(error):
            return False
        if scope.thread_id is None or scope.run_id is None:
            return False
        try:
            return not self._outcomes.run(scope.thread_id, scope.run_id, scope).finished
        except (APIConnectionError, APIStatusError) as second:
            scope.check(second)
            return False

    def _outcome_after(
        self, response: Response, scope: Scope, options: CommonOptions, *, joined: bool, stateless: bool = False
    ) -> RunOutcome:
        """Return the outcome of the run whose *response* came. Join the run until it has ended."""
        rounds = 0
        while True:
            values, reported = _read(response)
            run = self._request_run(scope, reported, values, stateless=stateless)
            if run is None:
                return _unverified(values, reported)
            if run.finished:
                break
            # Some servers respond before the run has ended. Join until it has.
            rounds += 1
            scope.sleep(polling_wait(rounds))
            joined = True
            response = self._join(scope, options)
        is_own = not joined or _ended_during_join(run, response)
        return self._outcome(run, response, values, reported, scope, is_own=is_own, joined=joined)

    def _outcome(
        self,
        run: Run,
        response: Response,
        values: Any,
        reported: Optional[GraphError],
        scope: Scope,
        *,
        is_own: bool,
        joined: bool,
    ) -> RunOutcome:
        """Return the outcome of a run that has ended. *is_own*: the response surely has its values, not those of a later run."""
        if run.status != "success":
            return self._outcomes.outcome_of(run, scope, values=values if is_own else None, reported=reported)
        if reported is not None:
            # The run succeeded, so "__error__" is a key of the user's own state.
            values = decode_body(response.body)
            if not joined:
                return self._outcomes.outcome_of(run, scope, values=values)
        if not is_own:
            return self._outcomes.own_values(run, values, scope)
        outcome = self._outcomes.outcome_of(run, scope, values=values)
        if isinstance(values, dict) and values.keys() == {"__interrupt__"}:
            # Only questions: this server leaves the state out if the stream modes of the run do not include it.
            whole = self._outcomes.own_values(run, values, scope)
            return whole if whole.exact else outcome
        return outcome

    def _request_run(self, scope: Scope, reported: Optional[GraphError], values: Any, *, stateless: bool) -> Optional[Run]:
        """Return the run, or None if it cannot be requested or need not be."""
        not_found = reported is not None and reported.is_not_found
        if scope.run_id is None or scope.thread_id is None:
            return None
        if not self._transport.settings.verify_outcome and not not_found:
            return None
        try:
            return self._outcomes.run(scope.thread_id, scope.run_id, scope)
        except NotFoundError as error:
            if stateless:
                if not_found:
                    raise scope.identify(
                        APIConnectionError(
                            "the connection broke, and the stateless run was deleted with its result before it was joined "
                            'again; on_completion="keep" prevents that',
                            sent=True,
                        )
                    ) from error
                return None  # the server deletes a stateless run when it has ended
            if not not_found and self._outcomes.is_thread_absent(scope.thread_id, scope):
                return None  # a stateless run that was joined by its ids
            raise (error if not_found else deleted_run_error(error, values)) from None


def _read(response: Response) -> Tuple[Any, Optional[GraphError]]:
    """Return the values in a response, and the graph's error if it reports one."""
    value = decode_body(response.body)
    if isinstance(value, dict) and "__error__" in value:
        reported = reported_error(value["__error__"])
        if reported is not None:
            return None, reported
    return value, None


def _unverified(values: Any, reported: Optional[GraphError]) -> RunOutcome:
    if reported is not None:
        return RunOutcome(status="error", error=reported.error, message=reported.message)
    interrupts = interrupts_in(values)
    return RunOutcome(status="success", values=values, interrupts=interrupts, paused=bool(interrupts))


def _ended_during_join(run: Run, response: Response) -> bool:
    """Return True if the run surely ended after the join had begun. Then the response is its own result, not the thread's state."""
    begun = http_date(response.headers.get("date", ""))  # the clock of updated_at, but read earlier
    return begun is not None and run.updated_at is not None and run.updated_at.timestamp() > begun + _DATE_LAG

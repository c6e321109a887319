"""Blocks until a run has ended, for ``wait`` and ``join``, and joins the run again when the connection breaks.

A response with values is no evidence of a success: servers respond so for cancelled, timed-out and failed runs too, and some
gateways end a body early as if it were complete. The evidence is the status of the run, which is requested after each response.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping, NamedTuple, NoReturn, Optional, Union

import attrs

from .. import api
from ..call import Scope, polling_wait, states_no_route
from ..errors import (
    APIConnectionError,
    APIStatusError,
    DeadlineExceededError,
    LangGraphRunsError,
    NotFoundError,
    ResponseDecodeError,
)
from ..http import NO_OPTIONS, CommonOptions, Request, Response, Transport
from ..models import Run, RunOutcome
from .graph_error import GraphError, reported_error
from .outcome import RunOutcomes, deleted_run_error, error_for, unknown_outcome
from .pause import pause_of
from .response_records import is_record_of, values_in
from .run_lookup import RecoveredRun

__all__ = ["RunWaiter"]

#: Statuses with which a server reports a failed run, or a gateway that it has waited too long for a response.
_MAY_HAVE_ENDED = frozenset({500, 502, 504, *range(520, 528), 530})

#: The status of a server that does not wait for the end of the run.
_ACCEPTED = 202


class _Result(NamedTuple):
    """The JSON value in the response to a wait or a join."""

    value: Any
    #: The graph's error, if the value reports one. It may also be a key of the user's own state.
    reported: Optional[GraphError]
    #: The HTTP status.
    status: int = 200

    @property
    def values(self) -> Any:
        """The values of the run, or None if an error is reported instead."""
        return None if self.reported is not None else self.value


class _Joined(NamedTuple):
    """What the joins of a run have shown."""

    #: None if the run has ended, and no response could be read.
    result: Optional[_Result]
    #: The run, if it was requested after the last failure, or in place of a join, and has ended.
    run: Optional[Run]
    #: The failure of the last join, if there is no result.
    error: Optional[LangGraphRunsError] = None

    @property
    def status(self) -> object:
        """The status for the log line of the call."""
        if self.result is not None:
            return self.result.status
        return "not joined" if self.error is None else type(self.error).__name__


class RunWaiter:
    """Blocks until runs have ended, over several connections if necessary."""

    def __init__(self, transport: Transport, outcomes: RunOutcomes) -> None:
        self._transport = transport
        self._outcomes = outcomes

    def join(
        self, thread_id: str, run_id: str, scope: Scope, options: CommonOptions = NO_OPTIONS, *, started: bool = False
    ) -> RunOutcome:
        """Wait until the run has ended, and return its outcome.

        *started* says that this call has started or found the run, on a thread that the server does not delete at its end. Then the
        response to the join is no evidence of a success if the run, or the thread, does not exist afterwards.
        """
        scope.note_run(run_id=run_id, thread_id=thread_id)
        return self._join_to_end(scope, options, started)

    def finish(
        self,
        first: Union[Response, RecoveredRun],
        scope: Scope,
        *,
        options: CommonOptions = NO_OPTIONS,
        find: Optional[Callable[[], Optional[Run]]] = None,
        started: bool = True,
    ) -> RunOutcome:
        """Return the outcome of a run that a wait has started. *first* is the response, or the run if the response was lost.

        *find* looks for the run on its thread; it is called if the response did not name the run. *started* is as in `join`.
        """
        options = options.headers_only
        if not isinstance(first, Response):
            if scope.run_id is None or scope.thread_id is None:
                raise scope.identify(APIConnectionError("the connection broke, and the run cannot be joined again", sent=True))
            return self._join_to_end(scope, options, started)
        run: Optional[Run] = None

        def look_up() -> None:
            nonlocal run
            run = find() if find is not None and scope.run_id is None else None
            if run is not None:
                scope.note_run(run_id=run.run_id, thread_id=run.thread_id)

        try:
            result = _read(first)
        except ResponseDecodeError as error:
            # The body ended early, or a gateway has replaced it.
            scope.identify(error)
            look_up()
            run = run or self._run_after(error, scope)
            if run is None:
                raise
            if run.finished:
                outcome = self._joined_outcome(run, _Joined(None, run, error), scope)
                if outcome.exact:
                    return outcome
            return self._join_to_end(scope, options, started)
        if self._transport.settings.verify_outcome or result.value in (None, {}):
            look_up()  # an empty response that does not name the run says nothing about it
        if run is None:
            run = self._request_run(scope, result, started)
        if run is None:
            return self._unverified(result, scope)
        if run.finished:
            return self._outcome(run, result, scope)
        # Some servers respond before the run has ended. Join until it has.
        scope.sleep(polling_wait(1))
        return self._join_to_end(scope, options, started)

    def result_of(self, outcome: RunOutcome, scope: Scope, options: Mapping[str, Any], *, pause_known: bool = False) -> Any:
        """Return the values of *outcome*, or raise its error; with ``raise_error=False``, return *outcome* itself.

        *pause_known* says that *outcome* tells whether the run waits for a human, so that no request is needed to find out.
        """
        if options.get("raise_error", True) is False:
            if outcome.succeeded and not outcome.paused and not pause_known:
                return self._outcomes.look_for_pause(outcome, scope.thread_id, scope)
            return outcome
        error = error_for(outcome)
        if error is not None:
            raise scope.identify(error)
        return outcome.values

    def raise_late(
        self,
        error: DeadlineExceededError,
        scope: Scope,
        options: Mapping[str, Any],
        find: Optional[Callable[[Scope], Optional[Run]]] = None,
    ) -> NoReturn:
        """Raise *error*; before that, cancel the run if the caller chose ``on_timeout="cancel"``. *find* is as in `cancel_late`."""
        if options.get("on_timeout") == "cancel":
            self._outcomes.cancel_late(scope.thread_id, scope.run_id, find)
        raise error

    # -- joining

    def _join_to_end(self, scope: Scope, options: CommonOptions, started: bool) -> RunOutcome:
        """Join the run of the scope until it has ended, and return its outcome."""
        rounds = unreadable = 0
        while True:
            joined = self._join(scope, options)
            run = joined.run or self._request_run(scope, joined.result, started)
            if run is None:
                assert joined.result is not None
                return self._unverified(joined.result, scope)
            if run.finished:
                outcome = self._joined_outcome(run, joined, scope)
                if outcome.exact or joined.error is None:
                    return outcome
                unreadable += 1
                if unreadable > 1 or not isinstance(joined.error, ResponseDecodeError):
                    raise scope.identify(joined.error)
            rounds += 1
            scope.sleep(polling_wait(rounds))

    def _join(self, scope: Scope, options: CommonOptions) -> _Joined:
        """Join the run of the scope. A broken connection uses up no attempt if the server says that the run goes on."""
        assert scope.thread_id is not None and scope.run_id is not None
        request = api.join_request(scope.thread_id, scope.run_id, options)
        return self._transport.logged(lambda: self._join_until_complete(request, scope), request, scope)

    def _join_until_complete(self, request: Request, scope: Scope) -> _Joined:
        retrier = self._transport.retrier(request, scope)
        failures = sent = 0
        while True:
            sent += 1
            try:
                result = _read(self._transport.send(request, scope))
            except (APIStatusError, APIConnectionError) as error:
                scope.check(error)
                scope.identify(error)  # before the request for the run
                lacks_route = states_no_route(error)
                run = self._polled_run(scope) if lacks_route else self._run_after(error, scope)
                scope.attempts = sent  # the request for the run has counted its own
                if lacks_route and run is not None:
                    return _Joined(None, run)
                if run is not None and run.finished and run.status != "success":
                    return _Joined(None, run, error)  # some servers respond with an error status for a failed run
                if run is not None and not run.finished:
                    retrier.reset()
                    seconds = polling_wait(failures)
                    failures += 1
                else:
                    wait = retrier.next_wait(error)
                    if wait is None and run is not None:
                        return _Joined(None, run, error)
                    if wait is None:
                        error.attempts = max(1, retrier.failures)
                        raise
                    seconds = wait
            else:
                retrier.succeeded()
                return _Joined(result, None)
            scope.sleep(seconds)

    def _polled_run(self, scope: Scope) -> Optional[Run]:
        """Return the run when it has ended, for a server that may have no route for a join; None if it does not show the run."""
        thread_id, run_id = scope.thread_id, scope.run_id
        assert thread_id is not None and run_id is not None
        return scope.unless_failed(lambda: api.ended_run(self._transport, scope, thread_id, run_id), None)

    def _run_after(self, error: LangGraphRunsError, scope: Scope) -> Optional[Run]:
        """Return the run as it is after a wait or a join has failed with *error*; None if that is not known or says nothing.

        A broken connection, a body that ended early, and the status of a gateway that waited too long are not the end of a run.
        """
        if isinstance(error, APIStatusError):
            may_have_ended = error.status_code in _MAY_HAVE_ENDED
        else:
            is_broken = isinstance(error, ResponseDecodeError) or self._transport.is_transient(error)
            may_have_ended = isinstance(error, APIConnectionError) and error.sent is not False and is_broken
        thread_id, run_id = scope.thread_id, scope.run_id
        if not may_have_ended or thread_id is None or run_id is None:
            return None
        return scope.unless_failed(lambda: self._outcomes.run(thread_id, run_id, scope), None)

    # -- the outcome

    def _outcome(self, run: Run, result: _Result, scope: Scope) -> RunOutcome:
        """Return the outcome of a run that has ended. *result* is the response to the wait that started it."""
        if is_record_of(run, result.value):
            return self._joined_outcome(run, _Joined(result, run), scope)
        if run.status != "success":
            return self._outcomes.outcome_of(run, scope, values=_unless_empty(result.values), reported=result.reported)
        if result.value in (None, {}):
            # A gateway may have replaced the response, and some servers respond so.
            whole = self._outcomes.own_values(run, result.value, scope)
            if whole.exact:
                return whole
        # If it reports an error, "__error__" is a key of the user's own state, since the run succeeded.
        outcome = self._outcomes.outcome_of(run, scope, values=result.value)
        if isinstance(result.value, dict) and result.value.keys() == {"__interrupt__"}:
            # Only questions: this server leaves the state out, or does so if the stream modes of the run do not include it.
            whole = self._outcomes.own_values(run, result.value, scope)
            if whole.exact and isinstance(whole.values, dict):
                questions = outcome.interrupts or whole.interrupts
                values = {**whole.values, "__interrupt__": result.value["__interrupt__"]} if outcome.interrupts else whole.values
                return attrs.evolve(whole, values=values, interrupts=questions, paused=True)
        return outcome

    def _joined_outcome(self, run: Run, joined: _Joined, scope: Scope) -> RunOutcome:
        """Return the outcome of a run that was joined, so that the response may have the state of the thread, or no values."""
        result = joined.result
        if run.status == "success":
            value = None if result is None else result.value
            return self._outcomes.own_values(run, values_in(value) if is_record_of(run, value) else value, scope)
        reported = None if result is None else result.reported
        outcome = self._outcomes.outcome_of(run, scope, of_thread=reported)
        if outcome.status == "error" and not (outcome.error or outcome.message) and isinstance(joined.error, APIStatusError):
            return attrs.evolve(outcome, message=joined.error.message or None)
        return outcome

    def _unverified(self, result: _Result, scope: Scope) -> RunOutcome:
        """Return the outcome of a run that cannot be requested, or need not be, as far as *result* shows it."""
        if result.reported is not None:
            return RunOutcome(status="error", error=result.reported.error, message=result.reported.message)
        pause = pause_of(values=result.value)
        if pause is not None:
            return RunOutcome(status="success", values=result.value, interrupts=pause.interrupts, paused=True)
        if scope.run_id is None and self._transport.settings.verify_outcome:
            return unknown_outcome(result.value)
        return RunOutcome(status="success", values=result.value)

    def _request_run(self, scope: Scope, result: Optional[_Result], started: bool) -> Optional[Run]:
        """Return the run, or None if it cannot be requested or need not be. *started* is as in `join`."""
        not_found = result is not None and result.reported is not None and result.reported.is_not_found
        if scope.run_id is None or scope.thread_id is None:
            return None
        if not self._transport.settings.verify_outcome and not not_found:
            return None
        try:
            return self._outcomes.run(scope.thread_id, scope.run_id, scope, existed=started and not not_found)
        except NotFoundError as error:
            if not (not_found or started) and self._outcomes.is_thread_absent(scope.thread_id, scope):
                return None  # a stateless run that was joined by its ids
            values = None if result is None else result.values
            raise (error if not_found else deleted_run_error(error, values)) from None


def _read(response: Response) -> _Result:
    """Return the value in a response, and the graph's error if it reports one. Raise `ResponseDecodeError`."""
    if response.status == _ACCEPTED:
        raise ResponseDecodeError._of_shape("$: no result, since the status is 202")
    value = api.own_json(response)
    if isinstance(value, dict) and "__error__" in value:
        return _Result(value, reported_error(value["__error__"]), response.status)
    return _Result(value, None, response.status)


def _unless_empty(values: Any) -> Any:
    """Return the values of a run that did not succeed; None for an empty object, which servers send if they have none."""
    return None if values == {} else values

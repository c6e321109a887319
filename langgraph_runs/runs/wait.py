"""Blocking until a run has ended: ``wait`` and ``join``, and what they do when the connection breaks under them."""

from __future__ import annotations

from typing import Any, Mapping, NoReturn, Optional, Tuple, Union

from ..api import run_path
from ..call import Scope
from ..errors import APIConnectionError, APIStatusError, DeadlineExceededError, NotFoundError
from ..http import Request, Response, Transport, http_date
from ..models import Run, RunOutcome
from ..serialization import decode_body
from .create_once import RecoveredRun
from .outcome import RunOutcomes, deleted_run_error, error_for, reported_error

__all__ = ["RunWaiter"]

#: Seconds that a ``Date`` header may be behind: it has whole seconds, and a busy uvicorn renews it late.
_DATE_LAG = 5.0


class RunWaiter:
    """Blocks until runs have ended, however many connections that takes."""

    def __init__(self, transport: Transport, outcomes: RunOutcomes) -> None:
        self._transport = transport
        self._outcomes = outcomes

    def join(
        self, thread_id: str, run_id: str, scope: Scope, *, query: Any = (), headers: Optional[Mapping[str, str]] = None
    ) -> RunOutcome:
        """How the run ended, waiting for it."""
        scope.run_id, scope.thread_id = run_id, thread_id
        request = Request(method="GET", path=run_path(thread_id, run_id, "join"), query=query, headers=headers or {})
        return self._conclude(self._join_until_answered(request, scope), scope, joined=True, request=request)

    def finish(
        self, first: Union[Response, RecoveredRun], scope: Scope, *, stateless: bool, headers: Optional[Mapping[str, str]] = None
    ) -> RunOutcome:
        """How the run ended that was started with a wait: *first* is its answer, or the run, if the answer was lost."""
        if isinstance(first, RecoveredRun):
            scope.run_id, scope.thread_id = first.run_id, first.thread_id
        request = self._join_request(scope, headers)
        if isinstance(first, Response):
            return self._conclude(first, scope, joined=False, stateless=stateless, request=request)
        if request is None:
            raise scope.identify(APIConnectionError("the connection broke, and the run cannot be joined again", sent=True))
        answer = self._join_until_answered(request, scope)
        return self._conclude(answer, scope, joined=True, stateless=stateless, request=request)

    def give(self, outcome: RunOutcome, scope: Scope, options: Mapping[str, Any]) -> Any:
        """What the caller gets for *outcome*: its values, the error that it is, or, with ``raise_error=False``, itself."""
        if options.get("raise_error", True) is False:
            if outcome.succeeded and not outcome.paused:
                return self._outcomes.look_for_pause(outcome, scope.thread_id, scope)
            return outcome
        error = error_for(outcome)
        if error is not None:
            raise scope.identify(error)
        return outcome.values

    def late(self, error: DeadlineExceededError, scope: Scope, options: Mapping[str, Any]) -> NoReturn:
        """Raise *error*, after cancelling the run if the caller wished that."""
        if options.get("on_timeout") == "cancel":
            self._outcomes.cancel_late(scope.thread_id, scope.run_id)
        raise error

    def _join_request(self, scope: Scope, headers: Optional[Mapping[str, str]]) -> Optional[Request]:
        if scope.run_id is None or scope.thread_id is None:
            return None
        return Request(method="GET", path=run_path(scope.thread_id, scope.run_id, "join"), headers=headers or {})

    def _join_until_answered(self, request: Request, scope: Scope) -> Response:
        """The answer to *request*; while the server says that the run goes on, a broken connection uses up no attempt."""
        answer: Response = self._transport.logged(lambda: self._join_again_and_again(request, scope), request, scope)
        return answer

    def _join_again_and_again(self, request: Request, scope: Scope) -> Response:
        transport = self._transport
        failures = rounds = 0
        while True:
            try:
                return transport.send(request, scope)
            except (APIStatusError, APIConnectionError) as error:
                scope.check(error)
                if not transport.is_transient(error):
                    raise
                broken = error
            if isinstance(broken, APIConnectionError) and broken.sent is not False and self._goes_on(scope):
                failures = 0
                rounds += 1
                scope.sleep(min(1.0, 0.05 * 2 ** min(rounds, 10)) if rounds > 1 else 0.0)
                continue
            failures += 1
            policy = transport.settings.retry
            seconds = policy.wait(failures, getattr(broken, "retry_after", None))
            if failures >= policy.attempts or policy.forbids(broken) or not scope.deadline.allows(seconds):
                broken.attempts = failures
                raise scope.identify(broken)
            policy.announce(str(request), failures + 1, seconds, broken)
            scope.sleep(seconds)

    def _goes_on(self, scope: Scope) -> bool:
        if scope.thread_id is None or scope.run_id is None:
            return False
        try:
            return not self._outcomes.run(scope.thread_id, scope.run_id, scope).finished
        except (APIConnectionError, APIStatusError) as error:
            scope.check(error)
            return False

    def _conclude(
        self, answer: Response, scope: Scope, *, joined: bool, request: Optional[Request], stateless: bool = False
    ) -> RunOutcome:
        rounds = 0
        while True:
            values, told = _read(answer, scope)
            run = self._ask(scope, told, values, stateless=stateless)
            if run is None:
                return _unasked(values, told)
            if run.finished:
                break
            if request is None:
                return _unasked(values, told)
            # An answer before the end: some servers cut a wait short. Join until it has ended.
            rounds += 1
            scope.sleep(min(1.0, 0.05 * 2 ** min(rounds, 10)))
            joined = True
            answer = self._join_until_answered(request, scope)
        if run.status != "success":
            if joined and not _was_live(run, answer):
                values = None  # perhaps another run's: the run's own are looked up
            return self._outcomes.outcome_of(run, scope, values=values, told=told)
        if told is not None and not joined:
            # The run itself ended well: "__error__" is then a key of the user's own state.
            return self._outcomes.outcome_of(run, scope, values=_state(answer))
        state = values if told is None else _state(answer)
        if joined and not _was_live(run, answer):
            return self._outcomes.own_values(run, state, scope)
        outcome = self._outcomes.outcome_of(run, scope, values=state)
        if isinstance(state, dict) and state.keys() == {"__interrupt__"}:
            # Questions alone: this server leaves the state out where the run's modes hide it.
            whole = self._outcomes.own_values(run, state, scope)
            return whole if whole.exact else outcome
        return outcome

    def _ask(
        self, scope: Scope, told: Optional[Tuple[Optional[str], Optional[str]]], values: Any, *, stateless: bool
    ) -> Optional[Run]:
        """The run, or None where it cannot or need not be asked."""
        not_found = told is not None and told[0] == "HTTPException" and (told[1] or "").startswith("404")
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
                return None  # deleted by the server when it had ended, as stateless runs are
            if not not_found and self._outcomes.is_thread_gone(scope.thread_id, scope):
                return None  # joined, and stateless all the same
            raise (error if not_found else deleted_run_error(error, values)) from None


def _read(answer: Response, scope: Scope) -> Tuple[Any, Optional[Tuple[Optional[str], Optional[str]]]]:
    """The values of an answer, and the error in it where it is one."""
    value = _state(answer)
    if isinstance(value, dict) and "__error__" in value:
        told = reported_error(value["__error__"])
        if told is not None:
            return None, told
    return value, None


def _state(answer: Response) -> Any:
    return decode_body(answer.body)


def _unasked(values: Any, told: Optional[Tuple[Optional[str], Optional[str]]]) -> RunOutcome:
    if told is not None:
        return RunOutcome(status="error", error=told[0], message=told[1])
    return RunOutcome(status="success", values=values)


def _was_live(run: Run, answer: Response) -> bool:
    """Whether the run surely ended after the join had begun, so that the answer is its own result and not the thread's state."""
    begun = http_date(answer.headers.get("date", ""))  # of the same clock as updated_at, but behind it
    return begun is not None and run.updated_at is not None and run.updated_at.timestamp() > begun + _DATE_LAG

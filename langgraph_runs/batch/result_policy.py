"""What an errand that came back means: a result, or that the input is to be tried again, and whether all are to hold back."""

from __future__ import annotations

from typing import Optional

from ..call import RetryPolicy
from ..errors import AbortedError, APIConnectionError, APIStatusError, LangGraphRunsError
from .concurrency import ConcurrencyLimit
from .results import BatchResult
from .task import InFlightTask
from .worker import TaskResult, TaskRunner

__all__ = ["ResultPolicy"]


class ResultPolicy:
    """Decides by the client's retry policy, and puts the brake on."""

    def __init__(self, errands: TaskRunner, policy: RetryPolicy, brake: ConcurrencyLimit) -> None:
        self._errands = errands
        self._policy = policy
        self._brake = brake

    def judge(self, flight: InFlightTask, report: TaskResult, *, final: bool) -> Optional[BatchResult]:
        """The result of *flight*; None where it is to be tried again, which it is not where this is *final*."""
        error = report.error
        flight.spent += report.seconds
        flight.created = flight.created or report.run_id is not None
        flight.begun = flight.begun or flight.created or not (error is not None and _is_surely_unsent(error))
        if report.stale:
            return None
        if error is None:
            self._brake.succeeded()
        elif self._errands.is_transient(error) and not final and self._tries_again(flight, error):
            return None
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

    def _tries_again(self, flight: InFlightTask, error: LangGraphRunsError) -> bool:
        policy = self._policy
        asked = getattr(error, "retry_after", None)
        seconds = self._brake.refused(asked if policy.respect_retry_after else None)
        if flight.tries + 1 >= policy.attempts or policy.forbids(error):
            return False
        flight.tries += 1
        if flight.created or not _is_surely_unsent(error):
            flight.look = True
            flight.settle = flight.settle or isinstance(error, APIConnectionError)
        policy.announce(f"map, input {flight.item.index}", flight.tries + 1, seconds, error)
        return True

    def is_open(self, result: BatchResult) -> bool:
        """Whether it is no end of the input: the run may go on, or could not be started for reasons that are not the input's."""
        error = result.error
        if error is None:
            return False
        if isinstance(error, AbortedError) or self._errands.is_transient(error):
            return True
        return isinstance(error, APIStatusError) and error.status_code in (401, 403, 404, 409)


def _is_surely_unsent(error: LangGraphRunsError) -> bool:
    """Whether this attempt surely created no run: refused, or not sent."""
    if isinstance(error, APIStatusError):
        return error.status_code < 500 or (error.status_code == 503 and error.retry_after is not None)
    return isinstance(error, APIConnectionError) and error.sent is False

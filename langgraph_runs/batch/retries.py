"""Decides whether an input is started again after an error, and how long all inputs of the map wait then."""

from __future__ import annotations

from collections import deque
from typing import Deque, Optional, Tuple

from ..call import RetryPolicy
from ..errors import AbortedError, APIConnectionError, APIStatusError, LangGraphRunsError
from .concurrency import ConcurrencyLimit
from .results import BatchResult
from .task import InFlightTask, RunPresence, TaskResult
from .worker import TaskRunner

__all__ = ["InputRetries"]

#: Statuses that may be the fault of the key or of the deployment and not of the input, which is therefore not recorded as failed.
_NOT_FINAL = frozenset({401, 403, 404, 409})


class InputRetries:
    """The retries of the inputs of one map, by the retry policy of the client."""

    def __init__(self, runner: TaskRunner, policy: RetryPolicy, limit: ConcurrencyLimit) -> None:
        self._runner = runner
        self._policy = policy
        self.limit = limit
        #: Retries that were decided and not announced yet: the name of the call, the number of the attempt, seconds, the error.
        self._announcements: Deque[Tuple[str, int, float, LangGraphRunsError]] = deque()

    def evaluate(self, in_flight: InFlightTask, result: TaskResult, *, may_retry: bool) -> Optional[BatchResult]:
        """Note what a task runner has returned. Returns the result of the input, or None if the input is to be started again."""
        error = result.error
        in_flight.note_result(result, _presence_after(error))
        if result.superseded:
            return None
        if error is None:
            self.limit.succeeded()
        elif self._runner.is_transient(error):
            seconds = self.limit.refused(self._retry_after(error))
            if may_retry and self._allows_retry(in_flight, error):
                in_flight.retries += 1
                call = f"map, input {in_flight.item.index}"
                self._announcements.append((call, in_flight.retries + 1, seconds, error))
                return None
        return in_flight.result(result)

    def announce(self) -> None:
        """Write the log line of each decided retry, and call the ``on_retry`` hook. What the hook raises is raised here."""
        while self._announcements:
            self._policy.announce(*self._announcements.popleft())

    def is_final(self, result: BatchResult) -> bool:
        """Return True if *result* is recorded as the end of its input.

        It is not if the run may go on, or if it was not created for a reason that does not lie in the input.
        """
        error = result.error
        if isinstance(error, APIStatusError) and error.status_code in _NOT_FINAL:
            return False
        return error is None or not (isinstance(error, AbortedError) or self._runner.is_transient(error))

    def _retry_after(self, error: LangGraphRunsError) -> Optional[float]:
        retry_after: Optional[float] = getattr(error, "retry_after", None)
        return retry_after if self._policy.respect_retry_after else None

    def _allows_retry(self, in_flight: InFlightTask, error: LangGraphRunsError) -> bool:
        return in_flight.retries + 1 < self._policy.attempts and not self._policy.forbids(error)


def _presence_after(error: Optional[LangGraphRunsError]) -> RunPresence:
    """Return what an attempt that ended with *error* tells about a run that it may have created."""
    if error is not None and _is_surely_not_executed(error):
        return RunPresence.ABSENT
    # Without a complete response the request itself may still be on its way.
    return RunPresence.MAY_STILL_ARRIVE if isinstance(error, APIConnectionError) else RunPresence.MAY_EXIST


def _is_surely_not_executed(error: LangGraphRunsError) -> bool:
    if isinstance(error, APIStatusError):
        return error.status_code < 500 or (error.status_code == 503 and error.retry_after is not None)
    return isinstance(error, APIConnectionError) and error.sent is False

"""Decides whether an input is started again after an error, and slows down the whole map when the server refuses.

A refusal, or a failure while the server cannot be reached, is not the input's: it is started again as often as necessary. For any
other error the decision is that of `Retrier`, the engine for all retries of the package: attempts, budget, ``Retry-After``, log
line and ``on_retry``. One thing is different in a map: instead of a wait for one input, the concurrency limit pauses all of them.
"""

from __future__ import annotations

import time
from typing import Callable, Dict, Optional

import attrs

from ..call import Execution, Retrier, execution_of, is_refusal
from ..errors import (
    AbortedError,
    APIStatusError,
    DeadlineExceededError,
    LangGraphRunsError,
    ResponseDecodeError,
    RunCancelledError,
)
from ..http import Transport
from ..runs import ARRIVAL_CHECKS
from .concurrency import ConcurrencyLimit
from .results import BatchResult
from .task import RESTARTED, InFlightTask, RunPresence, TaskResult

__all__ = ["InputRetries"]

#: Statuses that are caused by the API key, the deployment or the load, and not by the input. After one of these the input is not
#: recorded as failed: the next map with the ledger starts it again.
_NOT_FINAL = frozenset({401, 403, 404, 409, 429, 503})
#: Errors of a run that has not ended by itself. Its end is no result if the server was away.
_ENDED_FROM_OUTSIDE = (DeadlineExceededError, RunCancelledError)
#: What a failed attempt says about the run that it may have created.
_PRESENCE_AFTER = {
    Execution.NOT_EXECUTED: RunPresence.ABSENT,
    Execution.EXECUTED: RunPresence.MAY_EXIST,
    Execution.UNKNOWN: RunPresence.MAY_STILL_ARRIVE,
}


class InputRetries:
    """The retries of the inputs of one map."""

    def __init__(self, transport: Transport, limit: ConcurrencyLimit, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._transport = transport
        self._clock = clock
        self.limit = limit
        #: The retriers of inputs that have failed before.
        self._retriers: Dict[InFlightTask, Retrier] = {}

    def evaluate(self, in_flight: InFlightTask, result: TaskResult, *, may_retry: bool) -> Optional[BatchResult]:
        """Note what a task runner has returned. Return the result of the input, or None if the input must be started again.

        The ``on_retry`` hook is called before a retry. Its exceptions are raised here; the task can then be evaluated again.
        """
        error = result.error
        refused = error is not None and is_refusal(error)
        in_flight.note_result(result, self._presence_after(error), settles=refused)
        if result.superseded or (may_retry and isinstance(error, AbortedError) and error.reason == RESTARTED):
            return None
        if error is None:
            self.limit.succeeded()
        elif refused and may_retry:
            seconds = self.limit.refused(self._retry_after(error))
            if in_flight.may_still_arrive and not in_flight.is_created:
                # The input is looked up once, when a run that was created nevertheless must be on the thread.
                in_flight.not_before = self._clock() + ARRIVAL_CHECKS[-1]
            name = f"map, input {in_flight.item.index}"
            self._transport.settings.retry.announce(
                name, in_flight.retries + 2, seconds, error, log_level=self._transport.log_level
            )
            in_flight.note_retry()
            return None
        elif self._transport.is_transient(error):
            seconds = self.limit.refused(self._retry_after(error))
            if may_retry and self._retrier_of(in_flight).next_wait(error, seconds=seconds) is not None:
                in_flight.note_retry()
                return None
        self._retriers.pop(in_flight, None)
        return in_flight.result(result)

    def requeue(self, in_flight: InFlightTask, result: TaskResult) -> None:
        """Note that a task has failed because of the server, so that it is started again. Its time is not counted."""
        was_lost, was_ended = self.run_was_lost(in_flight, result), isinstance(result.error, _ENDED_FROM_OUTSIDE)
        in_flight.note_result(attrs.evolve(result, seconds=0.0), self._presence_after(result.error))
        in_flight.note_retry()
        if was_ended:
            in_flight.note_ended_from_outside()
        elif was_lost:
            in_flight.note_lost()

    def run_was_lost(self, in_flight: InFlightTask, result: TaskResult) -> bool:
        """Return True if a run that existed may be lost, or was cancelled, because the server was ended in the meantime.

        No other program knows the thread, so none has deleted it or cancelled its run. When the input is started again, the list of
        the thread's runs decides.
        """
        error = result.error
        existed = in_flight.item.run is None and (in_flight.is_created or result.run_id is not None)
        is_absent = isinstance(error, APIStatusError) and error.status_code == 404
        contact_lost = in_flight.contact_lost or result.contact_lost
        return existed and contact_lost and (is_absent or isinstance(error, RunCancelledError))

    @staticmethod
    def _presence_after(error: Optional[LangGraphRunsError]) -> RunPresence:
        return RunPresence.MAY_EXIST if error is None else _PRESENCE_AFTER[execution_of(error)]

    def is_final(self, result: BatchResult) -> bool:
        """Return True if *result* is recorded as the end of its input.

        It is not recorded if the run may go on, or if the run was not created for a reason that has nothing to do with the input.
        """
        error = result.error
        if isinstance(error, APIStatusError) and error.status_code in _NOT_FINAL:
            return False
        if isinstance(error, ResponseDecodeError) and error.sent is None:
            return False  # a page in place of the API's response
        return error is None or not (isinstance(error, AbortedError) or self._transport.is_transient(error))

    def _retry_after(self, error: LangGraphRunsError) -> Optional[float]:
        retry_after: Optional[float] = getattr(error, "retry_after", None)
        return retry_after if self._transport.settings.retry.respect_retry_after else None

    def _retrier_of(self, in_flight: InFlightTask) -> Retrier:
        retrier = self._retriers.get(in_flight)
        if retrier is None:
            # Without a scope, since the engine does not wait here: the scheduler starts other inputs meanwhile.
            retrier = self._transport.retrier_of(f"map, input {in_flight.item.index}", self._transport.is_transient)
            self._retriers[in_flight] = retrier
        return retrier

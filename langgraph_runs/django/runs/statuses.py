"""The statuses of a row, and the one rule by which the outcome of a run gives its status."""

from __future__ import annotations

from typing import Mapping, Optional, Tuple

from django.db.models import TextChoices

from ... import RunOutcome

__all__ = ["CANCELLABLE", "ENDED", "RETRYABLE", "SERVER_STATUSES", "Status", "status_of"]


class Status(TextChoices):
    """What is known of a row's run.

    >>> Status.TIMED_OUT.label
    'timed out'
    """

    #: The row was written. The server does not have the run yet, or it is not known whether it has.
    QUEUED = "queued", "queued"
    #: The server has the run, and has not said that it has ended.
    STARTED = "started", "started"
    #: The run waits for a human.
    PAUSED = "paused", "paused"
    SUCCEEDED = "succeeded", "succeeded"
    #: The graph raised an exception, or the server refused the run.
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"
    #: The server stopped the run because it took longer than the server allows.
    TIMED_OUT = "timed_out", "timed out"
    #: The server has said, twice, that it does not have the run any more.
    LOST = "lost", "lost"


#: A row with one of these statuses changes only by `AgentRun.retry`.
ENDED: Tuple[Status, ...] = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.TIMED_OUT, Status.LOST)
CANCELLABLE: Tuple[Status, ...] = (Status.QUEUED, Status.STARTED, Status.PAUSED)
RETRYABLE: Tuple[Status, ...] = (Status.FAILED, Status.CANCELLED, Status.TIMED_OUT, Status.LOST)

#: The server's status of a run whose row has this status.
SERVER_STATUSES: Mapping[str, str] = {
    Status.PAUSED: "success",
    Status.SUCCEEDED: "success",
    Status.FAILED: "error",
    Status.CANCELLED: "interrupted",
    Status.TIMED_OUT: "timeout",
}
_ENDS: Mapping[str, Status] = {word: Status(name) for name, word in SERVER_STATUSES.items() if name != Status.PAUSED}


def status_of(outcome: RunOutcome) -> Optional[Status]:
    """Return the status of the row of a run with this outcome, or None if the outcome does not say how the run ended.

    The evidence is the outcome's status, which the library takes from the server's own record of the run. The status of a newer
    server, which this library does not know, is no evidence of an end.

    >>> status_of(RunOutcome(status="success", paused=True)), status_of(RunOutcome(status="archived"))
    (Status.PAUSED, None)
    """
    if outcome.paused:
        return Status.PAUSED
    return _ENDS.get(outcome.status)

"""Posting a row's run to the server: the row is the outbox, and its key makes that harmless from several processes at once.

The row is committed before anything is sent. It is posted afterwards with the same idempotency key, by the process that wrote
it, a task queue, or ``manage.py langgraph_runs sync``. A process that is killed before it posts, or before it has stored the
response, therefore loses no run and doubles none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

from django.utils import timezone

from ... import APIStatusError, LangGraphRunsError, Run
from ...call import has_api_shape, is_surely_not_executed, states_absence
from ..clients import get_client
from ..configurations import configuration
from .statuses import Status
from .stored_json import storable
from .transitions import change, claim, note

if TYPE_CHECKING:
    from .models import AgentRun

__all__ = ["LEASE", "ROW", "create_run", "is_final_refusal", "post_run", "post_unclaimed", "record_start", "seconds_for"]

#: Seconds for which a process reserves a row. The request may take longer, since the key makes two at once harmless; so the row of
#: a process that was killed waits for a short time only.
LEASE = 15.0
#: Seconds that the request may take.
_POST_SECONDS = 45.0
#: The field of a run's metadata that names its row: so a webhook finds the row before the row has the run's id.
ROW = "agent_run"


def post_run(row: AgentRun, *, claimed: bool = False) -> bool:
    """Post the run of a queued row; return True if the row has changed. Blocks for one call of the client.

    Does nothing if another process is posting the row. Raises the client's error after storing it in the row, which stays queued,
    unless the server itself has refused the run: then the row has failed.
    """
    if row.status != Status.QUEUED or not (claimed or claim(row, LEASE)) or row.status != Status.QUEUED:
        return False
    try:
        run = create_run(row)
    except LangGraphRunsError as error:
        _note_failure(row, error)
        raise
    return record_start(row, run)


def post_unclaimed(row: AgentRun) -> None:
    """Post the run of a queued row even while another process is posting it, since its key lets both get the same run."""
    if not post_run(row) and row.status == Status.QUEUED:
        row.was_claimed = True
        post_run(row, claimed=True)


def create_run(row: AgentRun) -> Run:
    """Create the run of the row, or return it if an earlier call with the row's key has created it."""
    options: Dict[str, Any] = {**row.options, "metadata": {**(row.options.get("metadata") or {}), ROW: row.idempotency_key}}
    thread_id = options.pop("thread_id", None)
    if row.answer is None:
        options["input"] = row.input
    else:
        thread_id = row.thread_id
        options.update(command={"resume": row.answer}, checkpoint=None, checkpoint_id=None)  # in place of where the row began
    # A later request may have to wait until the lock of an earlier one has expired, which takes ten seconds.
    timeout = _POST_SECONDS if row.was_claimed else seconds_for(row, _POST_SECONDS)
    return get_client(row.server).runs.create(
        thread_id, row.assistant, idempotency_key=row.idempotency_key, timeout=timeout, **options
    )


def seconds_for(row: AgentRun, most: float) -> float:
    """Return how long a call for the row may take: the TIMEOUT of the settings, and *most* at most."""
    given = configuration(row.server).get("TIMEOUT")
    return most if given is None else min(float(given), most)


def record_start(row: AgentRun, run: Run) -> bool:
    """Store the ids of the run that the server has created for the row; return True if the row has changed."""
    fields: Dict[str, Any] = {"run_id": run.run_id, "thread_id": run.thread_id}
    if "thread_id" not in row.options and run.thread_id not in (row.own_thread_ids or []):
        fields["own_thread_ids"] = [*(row.own_thread_ids or []), run.thread_id]
    return change(
        row,
        [Status.QUEUED],
        status=Status.STARTED,
        started_at=row.started_at or timezone.now(),
        claimed_until=None,
        error="",
        message="",
        **fields,
    )


def is_final_refusal(row: AgentRun, error: LangGraphRunsError) -> bool:
    """Return True if the server itself has refused the run, so that posting it again does not help.

    The evidence is a 400, 404 or 422 in the API's own words (a gateway's 404 is none), or a 409 for a run that was to be rejected
    if its thread is busy.
    """
    if not isinstance(error, APIStatusError):
        return False
    if error.status_code == 404:
        return states_absence(error)
    if not has_api_shape(error):
        return False
    if error.status_code == 409:
        return bool(row.options.get("multitask_strategy") == "reject")
    return error.status_code in (400, 422)


def _note_failure(row: AgentRun, error: LangGraphRunsError) -> None:
    now, was_sent = timezone.now(), row.was_claimed
    shown: Dict[str, Any] = {"error": type(error).__name__, "message": storable(str(error))}
    # If an earlier request may have reached the server, a refusal of this one does not show that there is no run.
    if not was_sent and is_final_refusal(row, error):
        change(row, [Status.QUEUED], status=Status.FAILED, finished_at=now, claimed_until=None, **shown)
        return
    never_sent = not was_sent and is_surely_not_executed(error)
    note(row, claimed_until=None if never_sent else now, **shown)

"""What the server says about a row's run, and how it is stored: an end, a pause, or that the run is gone."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Optional

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from ... import Client, Interrupt, NotFoundError, Run, RunOutcome
from ...call import states_absence
from ..clients import get_client
from .posting import post_run, seconds_for
from .signals import run_finished
from .statuses import SERVER_STATUSES, Status, status_of
from .stored_json import levels_of, storable
from .transitions import change, note

if TYPE_CHECKING:
    from .models import AgentRun

__all__ = ["carry_out_cancel", "deliver", "outcome_of", "post", "record_outcome", "refresh", "store_outcome"]

#: Seconds between the first and the last response that show that the server has lost a run. One response is no evidence: a gateway,
#: or another server behind it, may have given it.
LOST_AFTER = 60.0
#: Seconds that the requests of `refresh` may take, one each.
_REQUEST_SECONDS = 30.0


def post(row: AgentRun, *, claimed: bool = False) -> bool:
    """Post the run of a queued row, and cancel it if that was requested meanwhile; return True if the row has changed."""
    changed = post_run(row, claimed=claimed)
    if changed and row.status == Status.STARTED:
        row.refresh_from_db(fields=["cancel_requested_at"])
        if row.cancel_requested_at is not None:
            _cancel_started(row)
    return changed


def refresh(row: AgentRun) -> bool:
    """Post the row's run if it is queued, else request it from the server; return True if the row has changed.

    Sends one request for a run that has not ended, and some more for one that has. Raises the client's error.
    """
    if row.status == Status.QUEUED:
        return post(row)
    if row.status not in (Status.STARTED, Status.PAUSED, Status.LOST) or not row.run_id:
        return False
    client = get_client(row.server)
    try:
        run = client.runs.get(row.thread_id, row.run_id, timeout=seconds_for(row, _REQUEST_SECONDS))
        if run.finished and row.status != Status.PAUSED:
            outcome = client.runs.join(row.thread_id, row.run_id, raise_error=False, timeout=seconds_for(row, _REQUEST_SECONDS))
            if record_outcome(row, outcome):
                return True
    except NotFoundError as error:
        return _note_missing(row, client, error)
    if row.status == Status.LOST:
        return change(row, [Status.LOST], status=Status.STARTED, finished_at=None, missing_since=None, checked_at=timezone.now())
    note(row, checked_at=timezone.now(), missing_since=None)
    return False


def record_outcome(row: AgentRun, outcome: RunOutcome) -> bool:
    """Store how the row's run ended; return True if the row has changed. `run_finished` is sent after the commit."""
    changed = store_outcome(row, outcome)
    if changed:
        transaction.on_commit(lambda: deliver(row, outcome.run), using=row._state.db, robust=True)
    return changed


def store_outcome(row: AgentRun, outcome: RunOutcome) -> bool:
    """Store how the row's run ended; return True if the row has changed. The caller then calls `deliver`.

    Nothing is stored if the outcome is of another run, or does not say how the run ended.
    """
    status, now = status_of(outcome), timezone.now()
    if status is None or (outcome.run is not None and outcome.run.run_id != row.run_id):
        return False
    questions = [{"id": one.id, "value": one.value} for one in outcome.interrupts]
    levels = levels_of(row._state.db)
    return change(
        row,
        [Status.STARTED, Status.LOST],
        status=status,
        values=storable(outcome.values, levels),
        questions=storable(questions, levels),
        error=storable(outcome.error or "")[:255],
        message=storable(outcome.message or ""),
        finished_at=None if status == Status.PAUSED else now,
        checked_at=now,
        missing_since=None,
        claimed_until=None,
        unreported=True,
    )


# -- the signal, once per run


class _ReceiverRaisedError(Exception):
    """Rolls the transaction of the receivers back."""


def deliver(row: AgentRun, run: Optional[Run] = None) -> bool:
    """Send `run_finished` for the row's run, if that was not done. Return False if a receiver raised.

    The receivers run in the transaction in which the row is marked: so what they write to the row's database is written once for
    each run, whatever is killed. If one raises, everything is rolled back, and the next ``sync`` or webhook calls all again.
    """
    if not row.unreported:
        return True
    try:
        with transaction.atomic(using=row._state.db):
            if not note(row, Q(unreported=True), unreported=False):
                return True
            given = run if run is not None and run.run_id == row.run_id else _run_of(row)
            results = run_finished.send_robust(sender=Run, run=given, outcome=outcome_of(row, given), name=row.server, row=row)
            if any(isinstance(result, Exception) for _, result in results):
                raise _ReceiverRaisedError
    except _ReceiverRaisedError:
        row.unreported = True
        return False
    return True


def _run_of(row: AgentRun) -> Run:
    """Return what the row knows of its run."""
    return Run(
        run_id=row.run_id,
        thread_id=row.thread_id,
        status=SERVER_STATUSES.get(row.status, ""),
        metadata=dict(row.options.get("metadata") or {}),
        created_at=row.started_at,
        updated_at=row.checked_at,
    )


def outcome_of(row: AgentRun, run: Optional[Run] = None) -> RunOutcome:
    """Return the outcome that is stored in a row whose run has ended or is paused."""
    return RunOutcome(
        status=SERVER_STATUSES.get(row.status, ""),
        values=row.values,
        error=row.error or None,
        message=row.message or None,
        interrupts=tuple(Interrupt(id=one["id"], value=one["value"]) for one in row.questions or []),
        paused=row.status == Status.PAUSED,
        run=run,
    )


# -- runs that the server does not have any more


def _note_missing(row: AgentRun, client: Client, error: NotFoundError) -> bool:
    """Note that the server does not have the run. Return True if the row is lost, by evidence some time after the first."""
    now = timezone.now()
    if row.status == Status.LOST or not _is_absent(row, client, error):
        note(row, checked_at=now)
        return False
    if row.missing_since is None:
        note(row, checked_at=now, missing_since=now)
        return False
    if now - row.missing_since < datetime.timedelta(seconds=LOST_AFTER):
        note(row, checked_at=now)
        return False
    message = storable(f"the server does not have the run any more: {error}")
    return change(
        row,
        [Status.STARTED, Status.PAUSED],
        status=Status.LOST,
        finished_at=now,
        checked_at=now,
        claimed_until=None,
        error=type(error).__name__,
        message=message,
    )


def _is_absent(row: AgentRun, client: Client, error: NotFoundError) -> bool:
    """Return True if the server itself says that it does not have the run, in response to two different requests.

    The evidence is its 404 for the run, together with a complete list of the thread's runs without it, or with a search that does
    not find the thread.
    """
    if not states_absence(error):
        return False
    try:
        return all(run.run_id != row.run_id for run in client.runs.iter(row.thread_id, timeout=seconds_for(row, _REQUEST_SECONDS)))
    except NotFoundError as missing:
        if not states_absence(missing):
            return False
    found = client.threads.search(ids=[row.thread_id], limit=1, timeout=seconds_for(row, _REQUEST_SECONDS))
    return all(thread.thread_id != row.thread_id for thread in found)


# -- cancelling


def carry_out_cancel(row: AgentRun) -> bool:
    """Cancel the run of a row whose cancellation was requested, as far as it has one; return True if the row has changed.

    A run that may have been posted is posted first, so that it is known which one to cancel.
    """
    if row.status == Status.QUEUED:
        return post(row)
    return _cancel_started(row) if row.status == Status.STARTED else False


def _cancel_started(row: AgentRun) -> bool:
    client = get_client(row.server)
    try:
        client.runs.cancel(row.thread_id, row.run_id, wait=True, timeout=seconds_for(row, _REQUEST_SECONDS))
    except NotFoundError:
        pass  # it has ended
    return refresh(row)

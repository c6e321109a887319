"""What the webhook and the streams of `langgraph_runs.django` do for runs that have a row."""

from __future__ import annotations

import uuid
from typing import Optional

from ... import Run, RunOutcome
from ..run_records import RunRecords
from .models import AgentRun
from .outcomes import deliver, refresh, store_outcome
from .posting import ROW, record_start
from .statuses import Status

__all__ = ["RowRecords"]


class RowRecords(RunRecords):
    """The rows, as the records that the views update."""

    def has(self, name: str, run: Run) -> bool:
        """See `RunRecords`."""
        return _row_of(name, run) is not None

    def ended(self, name: str, outcome: RunOutcome) -> bool:
        """See `RunRecords`."""
        run = outcome.run
        row = None if run is None else _row_of(name, run)
        if row is None or run is None or run.run_id in (row.earlier_run_ids or []):
            return True
        if row.status == Status.QUEUED:
            record_start(row, run)  # the webhook is faster than the response to the request that started the run
        store_outcome(row, outcome)
        return deliver(row, run)

    def stream_ended(self, run_id: str) -> None:
        """See `RunRecords`."""
        row = AgentRun.objects.filter(run_id=run_id).first()
        if row is not None:
            refresh(row)


def _row_of(name: str, run: Run) -> Optional[AgentRun]:
    """Return the row that has this run, or had it before its current one; None if there is none.

    The row of a run that it does not have yet is named by the run's metadata. Another run on the same thread may have inherited
    that metadata, so it counts only for a row whose run is not known.
    """
    rows = AgentRun.objects.filter(server=name)
    found: Optional[AgentRun] = rows.filter(run_id=run.run_id).first()
    key = run.metadata.get(ROW)
    if found is not None or not isinstance(key, str):
        return found
    try:
        row: Optional[AgentRun] = rows.filter(pk=uuid.UUID(key.partition(":")[0])).first()
    except ValueError:
        return None
    if row is None or run.run_id in (row.earlier_run_ids or []):
        return row
    return row if row.status == Status.QUEUED and not row.run_id and row.idempotency_key == key else None

"""The interface between the views and an app that keeps records of runs, which `langgraph_runs.django.runs` implements.

The views work without such an app; then there are no records, and nothing here does anything.
"""

from __future__ import annotations

import logging
from typing import List, Optional

from .. import LangGraphRunsError, Run, RunOutcome

__all__ = ["RunRecords", "record_stream_end", "records_of", "register_records"]

_log = logging.getLogger("langgraph_runs.django")


class RunRecords:
    """Records of runs. An app derives a class from it, and gives an instance to `register_records`."""

    def has(self, name: str, run: Run) -> bool:
        """Return True if there is a record of this run of the configuration *name*."""
        raise NotImplementedError

    def ended(self, name: str, outcome: RunOutcome) -> bool:
        """Store the outcome of ``outcome.run``, which has a record, and send `run_finished`; return False if a receiver raised."""
        raise NotImplementedError

    def stream_ended(self, run_id: str) -> None:
        """Bring the record of this run, if there is one, up to date with the server: the run's stream has ended."""
        raise NotImplementedError


_registered: List[RunRecords] = []


def register_records(records: RunRecords) -> None:
    """Let the views update these records, once for each class."""
    if not any(type(records) is type(one) for one in _registered):
        _registered.append(records)


def records_of(name: str, run: Run) -> Optional[RunRecords]:
    """Return the records that have this run, or None."""
    return next((records for records in _registered if records.has(name, run)), None)


def record_stream_end(run_id: Optional[str]) -> None:
    """Bring the record of a run whose stream has ended up to date. A failure is logged, so that the browser gets the end."""
    for records in _registered if run_id is not None else ():
        try:
            records.stream_ended(str(run_id))
        except LangGraphRunsError as error:
            _log.warning("the record of run %s could not be updated, which sync repeats: %s", run_id, error)
        except Exception:
            _log.exception("the record of run %s could not be updated", run_id)

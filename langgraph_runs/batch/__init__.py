"""Many inputs, each run once: the scheduler of `client.runs.map`, its workers, and the ledger that lets it resume.

Knows how inputs, runs and results belong together. A single run is started and waited for by `runs`.
"""

from .._public import name_public
from .config import MapConfig
from .ledger import STATUSES, Ledger, LedgerEntry
from .progress import MapProgress
from .results import BatchResult
from .run_map import MapCalls, RunMap
from .tables import read_table

__all__ = ["STATUSES", "BatchResult", "Ledger", "LedgerEntry", "MapCalls", "MapConfig", "MapProgress", "RunMap", "read_table"]

name_public("langgraph_runs", [BatchResult, Ledger, LedgerEntry, MapProgress, RunMap])

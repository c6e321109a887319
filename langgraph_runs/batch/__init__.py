"""Many inputs, each run once: the scheduler of `client.runs.map`, its workers, and the ledger that lets it resume.

Knows how inputs, runs and results belong together. A single run is started and waited for by `runs`.
"""

from .._public import name_public
from .config import MapConfig
from .ledger import STATUSES, Ledger, LedgerEntry
from .outage import ServerOutage
from .progress import MapProgress
from .result_file import RESULT_FORMATS, ResultFile, result_row, same_file
from .results import BatchResult
from .run_map import MapCalls, RunMap
from .tables import guess_format, read_table

__all__ = [
    "RESULT_FORMATS",
    "STATUSES",
    "BatchResult",
    "Ledger",
    "LedgerEntry",
    "MapCalls",
    "MapConfig",
    "MapProgress",
    "ResultFile",
    "RunMap",
    "ServerOutage",
    "guess_format",
    "read_table",
    "result_row",
    "same_file",
]

name_public("langgraph_runs", [BatchResult, Ledger, LedgerEntry, MapProgress, RunMap, ServerOutage])

"""The life of one run: how it is started once, waited for, found again after a fault, and how it ended.

Knows the meaning of requests and responses; sockets, retries and limits are those of `http` and `call`.
"""

from .create_batch import create_runs
from .create_once import RecoveredRun, RequestMarker, RunCreator
from .outcome import GraphError, RunOutcomes, deleted_run_error, error_for, interrupts_in, reported_error
from .pagination import Filters, pages
from .start import JOINING, PreparedStart, check_client_options, prepare_start
from .starter import RunStarter
from .wait import RunWaiter

__all__ = [
    "JOINING",
    "Filters",
    "GraphError",
    "PreparedStart",
    "RecoveredRun",
    "RequestMarker",
    "RunCreator",
    "RunOutcomes",
    "RunStarter",
    "RunWaiter",
    "check_client_options",
    "create_runs",
    "deleted_run_error",
    "error_for",
    "interrupts_in",
    "pages",
    "prepare_start",
    "reported_error",
]

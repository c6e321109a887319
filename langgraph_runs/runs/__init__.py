"""The life of one run: how it is started once, waited for, found again after a fault, and how it ended.

Knows the meaning of requests and responses; sockets, retries and limits are those of `http` and `call`.
"""

from .create_batch import batch_item, note_batch, split_batch
from .create_once import RecoveredRun, RunCreator
from .outcome import RunOutcomes, deleted_run_error, error_for, interrupts_in, reported_error
from .pagination import Filters, pages
from .start import ALWAYS, JOINING, Start, check_client_options, modes_of, prepare_start
from .starter import RunStarter
from .wait import RunWaiter

__all__ = [
    "ALWAYS",
    "JOINING",
    "Filters",
    "RecoveredRun",
    "RunCreator",
    "RunOutcomes",
    "RunStarter",
    "RunWaiter",
    "Start",
    "batch_item",
    "check_client_options",
    "deleted_run_error",
    "error_for",
    "interrupts_in",
    "modes_of",
    "note_batch",
    "pages",
    "prepare_start",
    "reported_error",
    "split_batch",
]

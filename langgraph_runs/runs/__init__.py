"""The life of one run: starting it once, waiting for it, finding it again after a fault, and how it ended.

Knows what requests and responses mean. Uses `http` for sending them, and `call` for retries and limits.
"""

from .cancel_many import cancel_runs
from .create_batch import create_runs
from .create_once import RunCreator
from .cron_creation import create_cron
from .graph_error import GraphError, reported_error
from .idempotency_key import is_replayed, thread_of_key
from .keys import check_key, key_text
from .outcome import RunOutcomes, deleted_run_error, error_for, hint_at_keep
from .own_thread import ARRIVAL_CHECKS, Disposal, OwnThreads, ThreadPlan, new_thread_id
from .pagination import Filters, list_newest, pages
from .pause import interrupts_in, pause_of
from .request_marker import RequestMarker
from .run_lookup import RecoveredRun
from .start import JOINING, PreparedStart, check_client_options, prepare_start
from .starter import RunStarter
from .thread_pruning import prune_threads
from .wait import RunWaiter

__all__ = [
    "ARRIVAL_CHECKS",
    "JOINING",
    "Disposal",
    "Filters",
    "GraphError",
    "OwnThreads",
    "PreparedStart",
    "RecoveredRun",
    "RequestMarker",
    "RunCreator",
    "RunOutcomes",
    "RunStarter",
    "RunWaiter",
    "ThreadPlan",
    "cancel_runs",
    "check_key",
    "create_cron",
    "check_client_options",
    "create_runs",
    "deleted_run_error",
    "error_for",
    "hint_at_keep",
    "interrupts_in",
    "is_replayed",
    "key_text",
    "list_newest",
    "new_thread_id",
    "pages",
    "pause_of",
    "prepare_start",
    "prune_threads",
    "reported_error",
    "thread_of_key",
]

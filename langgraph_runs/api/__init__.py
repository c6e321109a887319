"""The endpoints of the API: one function for each that this library calls, typed in and typed out.

The only place with paths and HTTP verbs. A function takes the transport and the scope of the call, sends its request with the
retries that the endpoint allows, and decodes the response. It knows neither the argument checks of the public methods nor what
a run's status means. For starting, joining and streaming a run, the caller decides about attempts: those functions only build
the request.
"""

from .assistants import get_assistant, search_assistants
from .history import get_history, get_history_once
from .own_response import own_json
from .paths import RunIds, ids_from, local_path
from .runs import (
    FetchPage,
    ListedRuns,
    MarkedRun,
    cancel_run,
    cancel_runs,
    create_batch_request,
    create_batch_response,
    create_instead_of_wait,
    created_run,
    delete_run,
    get_run,
    join_request,
    list_marked_runs,
    list_runs,
    start_request,
    stream_path,
    stream_request,
)
from .system import PROBES, get_info, get_ok, probe
from .threads import (
    MarkedThread,
    copy_thread,
    create_thread,
    delete_thread,
    get_state,
    get_thread,
    search_marked_threads,
    search_threads,
    update_state,
    update_thread,
)

__all__ = [
    "PROBES",
    "FetchPage",
    "ListedRuns",
    "MarkedRun",
    "MarkedThread",
    "RunIds",
    "cancel_run",
    "cancel_runs",
    "copy_thread",
    "create_batch_request",
    "create_batch_response",
    "create_instead_of_wait",
    "create_thread",
    "created_run",
    "delete_run",
    "delete_thread",
    "get_assistant",
    "get_history",
    "get_history_once",
    "get_info",
    "get_ok",
    "get_run",
    "get_state",
    "get_thread",
    "ids_from",
    "join_request",
    "list_marked_runs",
    "list_runs",
    "local_path",
    "own_json",
    "probe",
    "search_assistants",
    "search_marked_threads",
    "search_threads",
    "start_request",
    "stream_path",
    "stream_request",
    "update_state",
    "update_thread",
]

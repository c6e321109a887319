"""A synchronous client for the runs API of a LangGraph server, for programs without asyncio.

>>> from langgraph_runs import Client
>>> client = Client("http://localhost:2024", api_key=None)

README.rst is an introduction; ``resources/README.rst`` in this package has an example of every call.

PYTEST_DONT_REWRITE (pytest loads the fixtures of this package, and would warn if the package was imported before)
"""

import typing as _typing

from . import _program  # noqa: F401 - imported before anything else, see there
from ._late_imports import import_late as _import_late
from ._public import name_public as _name_public
from ._version import __version__
from .call import AbortController, AbortSignal, RetryDetails, RetryPolicy
from .client import Client
from .errors import (
    AbortedError,
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    CreateUncertainError,
    DeadlineExceededError,
    IdempotencyConflictError,
    InternalServerError,
    InvalidRequestError,
    LangGraphRunsError,
    LedgerError,
    LedgerUnavailableError,
    NotFoundError,
    OutageError,
    PermissionDeniedError,
    RateLimitError,
    RequestInfo,
    ResponseDecodeError,
    RunCancelledError,
    RunError,
    RunFailedError,
    RunTimedOutError,
    StreamInterruptedError,
    UnprocessableEntityError,
)
from .models import (
    Assistant,
    AssistantGraph,
    AssistantsSearchResponse,
    AssistantVersion,
    Checkpoint,
    Cron,
    GraphSchema,
    Interrupt,
    Item,
    ListNamespaceResponse,
    Run,
    RunOutcome,
    SearchItem,
    SearchItemsResponse,
    ServerInfo,
    Thread,
    ThreadsPruned,
    ThreadState,
    ThreadTask,
    ThreadUpdate,
)

if _typing.TYPE_CHECKING:
    from .batch import BatchResult, Ledger, LedgerEntry, MapProgress, RunMap, ServerOutage, read_table
    from .payloads import RunCreate, RunsCreatePayload, RunsInvokePayload, RunsStreamPayload, RunsWaitPayload
    from .streaming import (
        CheckpointsStreamEvent,
        CustomStreamEvent,
        DebugStreamEvent,
        EndStreamEvent,
        ErrorStreamEvent,
        EventsStreamEvent,
        FeedbackStreamEvent,
        Gap,
        MessagesStreamEvent,
        MetadataStreamEvent,
        RunStream,
        StreamEvent,
        TasksStreamEvent,
        ThreadStream,
        UpdatesStreamEvent,
        ValuesStreamEvent,
    )

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AbortController",
    "AbortSignal",
    "AbortedError",
    "Assistant",
    "AssistantGraph",
    "AssistantVersion",
    "AssistantsSearchResponse",
    "AuthenticationError",
    "BadRequestError",
    "BatchResult",
    "Checkpoint",
    "CheckpointsStreamEvent",
    "Client",
    "ConflictError",
    "CreateUncertainError",
    "Cron",
    "CustomStreamEvent",
    "DeadlineExceededError",
    "DebugStreamEvent",
    "EndStreamEvent",
    "ErrorStreamEvent",
    "EventsStreamEvent",
    "FeedbackStreamEvent",
    "Gap",
    "GraphSchema",
    "IdempotencyConflictError",
    "InternalServerError",
    "Interrupt",
    "InvalidRequestError",
    "Item",
    "LangGraphRunsError",
    "Ledger",
    "LedgerEntry",
    "LedgerError",
    "LedgerUnavailableError",
    "ListNamespaceResponse",
    "MapProgress",
    "MessagesStreamEvent",
    "MetadataStreamEvent",
    "NotFoundError",
    "OutageError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestInfo",
    "ResponseDecodeError",
    "RetryDetails",
    "RetryPolicy",
    "Run",
    "RunCancelledError",
    "RunCreate",
    "RunError",
    "RunFailedError",
    "RunMap",
    "RunOutcome",
    "RunStream",
    "RunTimedOutError",
    "RunsCreatePayload",
    "RunsInvokePayload",
    "RunsStreamPayload",
    "RunsWaitPayload",
    "SearchItem",
    "SearchItemsResponse",
    "ServerInfo",
    "ServerOutage",
    "StreamEvent",
    "StreamInterruptedError",
    "TasksStreamEvent",
    "Thread",
    "ThreadState",
    "ThreadStream",
    "ThreadTask",
    "ThreadUpdate",
    "ThreadsPruned",
    "UnprocessableEntityError",
    "UpdatesStreamEvent",
    "ValuesStreamEvent",
    "__version__",
    "read_table",
]

_name_public(__name__, [item for name, item in globals().items() if name in __all__])

_Names = _typing.Tuple[str, ...]
#: Names that are imported on first use, by the module that exports them. A client imports these modules when it is made.
_LATE: _typing.Dict[str, _Names] = {
    "batch": ("BatchResult", "Ledger", "LedgerEntry", "MapProgress", "RunMap", "ServerOutage", "read_table"),
    "payloads": ("RunCreate", "RunsCreatePayload", "RunsInvokePayload", "RunsStreamPayload", "RunsWaitPayload"),
    "streaming": ("Gap", "RunStream", "ThreadStream", *(name for name in __all__ if name.endswith("StreamEvent"))),
}


def __getattr__(name: str) -> _typing.Any:
    for module, names in _LATE.items():
        if name in names:
            found = globals()[name] = getattr(_import_late(f"{__name__}.{module}"), name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> _typing.List[str]:
    return sorted({*globals(), *__all__})

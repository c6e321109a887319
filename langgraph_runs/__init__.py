"""The synchronous client for the runs API of a LangGraph server, for code that has no asyncio.

>>> from langgraph_runs import Client
>>> client = Client("http://localhost:2024", api_key=None)

README.rst has an example of every call.

PYTEST_DONT_REWRITE (for pytest, which loads our fixtures: this package may well be imported before it)
"""

import typing as _typing

from . import _early  # noqa: F401 - first
from ._version import __version__
from .abort import AbortController, AbortSignal
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
    InternalServerError,
    InvalidRequestError,
    LangGraphRunsError,
    LedgerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ResponseDecodeError,
    RunCancelledError,
    RunError,
    RunFailedError,
    RunTimedOutError,
    StreamInterruptedError,
    UnprocessableEntityError,
)
from .events import (
    CheckpointsStreamEvent,
    CustomStreamEvent,
    DebugStreamEvent,
    EndStreamEvent,
    ErrorStreamEvent,
    EventsStreamEvent,
    FeedbackStreamEvent,
    MessagesStreamEvent,
    MetadataStreamEvent,
    StreamEvent,
    TasksStreamEvent,
    UpdatesStreamEvent,
    ValuesStreamEvent,
)
from .models import (
    Assistant,
    Checkpoint,
    Interrupt,
    Run,
    RunOutcome,
    ServerInfo,
    Thread,
    ThreadState,
    ThreadTask,
    ThreadUpdate,
)
from .payloads import RunCreate, RunsCreatePayload, RunsInvokePayload, RunsStreamPayload, RunsWaitPayload
from .retry import RetryDetails, RetryPolicy
from .streaming import Gap, RunStream

if _typing.TYPE_CHECKING:
    from .ledger import Ledger, LedgerEntry
    from .many import RunMap
    from .progress import MapProgress
    from .results import BatchResult

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AbortController",
    "AbortSignal",
    "AbortedError",
    "Assistant",
    "AuthenticationError",
    "BadRequestError",
    "BatchResult",
    "Checkpoint",
    "CheckpointsStreamEvent",
    "Client",
    "ConflictError",
    "CreateUncertainError",
    "CustomStreamEvent",
    "DeadlineExceededError",
    "DebugStreamEvent",
    "EndStreamEvent",
    "ErrorStreamEvent",
    "EventsStreamEvent",
    "FeedbackStreamEvent",
    "Gap",
    "InternalServerError",
    "Interrupt",
    "InvalidRequestError",
    "LangGraphRunsError",
    "Ledger",
    "LedgerEntry",
    "LedgerError",
    "MapProgress",
    "MessagesStreamEvent",
    "MetadataStreamEvent",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
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
    "ServerInfo",
    "StreamEvent",
    "StreamInterruptedError",
    "TasksStreamEvent",
    "Thread",
    "ThreadState",
    "ThreadTask",
    "ThreadUpdate",
    "UnprocessableEntityError",
    "UpdatesStreamEvent",
    "ValuesStreamEvent",
    "__version__",
]

#: Names that only maps need, and where they are: what is below them is a tenth of what importing this package takes.
_LATE = {"BatchResult": "results", "Ledger": "ledger", "LedgerEntry": "ledger", "MapProgress": "progress", "RunMap": "many"}


def __getattr__(name: str) -> _typing.Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    found = globals()[name] = getattr(importlib.import_module("." + _LATE[name], __name__), name)
    return found


def __dir__() -> _typing.List[str]:
    return sorted({*globals(), *__all__})

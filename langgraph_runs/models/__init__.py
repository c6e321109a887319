"""The server's objects as frozen records. `serialization` makes them from JSON.

Fields that a server may leave out have a default. Fields that a record does not have are kept in its ``extra``, and so are fields
that have another type than documented. Statuses and strategies are plain strings, since new versions of a server add some.
"""

from .assistants import Assistant, AssistantGraph, AssistantsSearchResponse, AssistantVersion, GraphSchema
from .crons import Cron
from .kinds import kind_of
from .runs import RUN_STATUSES, UNFINISHED, Run, RunOutcome
from .server import ServerInfo
from .store import Item, ListNamespaceResponse, SearchItem, SearchItemsResponse
from .threads import THREAD_STATUSES, Checkpoint, Interrupt, Thread, ThreadsPruned, ThreadState, ThreadTask, ThreadUpdate

__all__ = [
    "Assistant",
    "AssistantGraph",
    "AssistantVersion",
    "AssistantsSearchResponse",
    "Checkpoint",
    "Cron",
    "GraphSchema",
    "Interrupt",
    "Item",
    "ListNamespaceResponse",
    "RUN_STATUSES",
    "Run",
    "RunOutcome",
    "SearchItem",
    "SearchItemsResponse",
    "ServerInfo",
    "THREAD_STATUSES",
    "Thread",
    "ThreadState",
    "ThreadTask",
    "ThreadUpdate",
    "ThreadsPruned",
    "UNFINISHED",
    "kind_of",
]

"""What a server stores beside runs and threads, as frozen records: crons, items of the store, and what describes assistants.

As for the records of `models`, `serialization` makes them from JSON, and reads the annotations at run time.
"""

import datetime
from typing import Any, Dict, List, Optional, Tuple

import attrs

from .markers import shown_request_id, take_marker
from .models import Assistant

__all__ = [
    "AssistantGraph",
    "AssistantVersion",
    "AssistantsSearchResponse",
    "Cron",
    "GraphSchema",
    "Item",
    "ListNamespaceResponse",
    "SearchItem",
    "SearchItemsResponse",
    "ThreadsPruned",
]


@attrs.frozen(kw_only=True)
class AssistantVersion:
    """An assistant as it was in one of its versions. Each update of an assistant makes a version.

    >>> AssistantVersion(assistant_id="fe09", version=2).version
    2
    """

    assistant_id: str
    version: Optional[int] = None
    graph_id: Optional[str] = None
    name: Optional[str] = None
    description: Optional[str] = None
    config: Dict[str, Any] = attrs.field(factory=dict, repr=False)
    context: Dict[str, Any] = attrs.field(factory=dict, repr=False)
    metadata: Dict[str, Any] = attrs.field(factory=dict)
    #: When this version was made.
    created_at: Optional[datetime.datetime] = None
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class AssistantsSearchResponse:
    """One page of a search for assistants.

    >>> AssistantsSearchResponse(assistants=[Assistant(assistant_id="fe09")], next="1").next
    '1'
    """

    assistants: List[Assistant] = attrs.field(factory=list, metadata={"strict": True})
    #: The *offset* of the next page, as text; None if the server names no next page.
    next: Optional[str] = None
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class AssistantGraph:
    """The graph of an assistant, for drawing.

    >>> AssistantGraph(nodes=[{"id": "__start__"}], edges=[]).nodes[0]["id"]
    '__start__'
    """

    nodes: List[Dict[str, Any]]
    edges: List[Dict[str, Any]]
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class GraphSchema:
    """The JSON schemas of a graph, or of a subgraph. A schema that the server cannot make is None.

    >>> GraphSchema(graph_id="agent", input_schema={"type": "object"}).output_schema is None
    True
    """

    #: None for a subgraph.
    graph_id: Optional[str] = None
    input_schema: Optional[Dict[str, Any]] = attrs.field(default=None, repr=False)
    output_schema: Optional[Dict[str, Any]] = attrs.field(default=None, repr=False)
    state_schema: Optional[Dict[str, Any]] = attrs.field(default=None, repr=False)
    config_schema: Optional[Dict[str, Any]] = attrs.field(default=None, repr=False)
    context_schema: Optional[Dict[str, Any]] = attrs.field(default=None, repr=False)
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class Cron:
    """A schedule on which the server starts runs of an assistant.

    >>> Cron(cron_id="01a2", schedule="0 9 * * *", enabled=True).schedule
    '0 9 * * *'
    """

    cron_id: str
    assistant_id: Optional[str] = None
    #: The thread of all its runs, or None: each run gets a new thread.
    thread_id: Optional[str] = None
    #: Minute, hour, day of the month, month, day of the week.
    schedule: Optional[str] = None
    #: The IANA name of the time zone of *schedule*; None: UTC.
    timezone: Optional[str] = None
    #: When it stops, or None.
    end_time: Optional[datetime.datetime] = None
    #: When it starts the next run.
    next_run_date: Optional[datetime.datetime] = None
    #: False if it starts no runs for now. None if the server does not say it.
    enabled: Optional[bool] = None
    #: What happens to the thread of a run when the run has ended: ``delete`` or ``keep``. None for a cron of one thread.
    on_run_completed: Optional[str] = None
    user_id: Optional[str] = None
    metadata: Dict[str, Any] = attrs.field(factory=dict)
    #: What its runs are started with: input, config and so on. Not in the repr, since it may hold secrets.
    payload: Dict[str, Any] = attrs.field(factory=dict, repr=False)
    created_at: Optional[datetime.datetime] = None
    updated_at: Optional[datetime.datetime] = None
    #: The id of the request that created it, if this library sent that request; else None. Its runs have the same.
    request_id: Optional[str] = attrs.field(default=None, repr=False)
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)

    @staticmethod
    def _prepared(fields: Dict[str, Any], extra: Dict[str, Any]) -> None:
        marker = take_marker(fields, extra)
        if isinstance(fields.get("payload"), dict):
            fields["payload"] = dict(fields["payload"])
            in_payload = take_marker(fields["payload"])
            marker = marker or in_payload
        if marker is not None:
            fields["request_id"] = shown_request_id(marker)
        elif not isinstance(fields.get("request_id"), str):
            fields.pop("request_id", None)


@attrs.frozen(kw_only=True)
class Item:
    """An item of the store: an object under a namespace and a key.

    >>> Item(namespace=("users", "ada"), key="colour", value={"name": "red"}).value["name"]
    'red'
    """

    namespace: Tuple[str, ...]
    key: str
    value: Dict[str, Any] = attrs.field(metadata={"strict": True})
    created_at: Optional[datetime.datetime] = None
    updated_at: Optional[datetime.datetime] = None
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class SearchItem(Item):
    """An item that a search has found.

    >>> SearchItem(namespace=("users",), key="k", value={}, score=0.5).score
    0.5
    """

    #: How well it fits a *query*, if the store can compare meanings; else None.
    score: Optional[float] = None


@attrs.frozen(kw_only=True)
class SearchItemsResponse:
    """One page of a search in the store.

    >>> SearchItemsResponse(items=[]).items
    []
    """

    items: List[SearchItem]
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class ListNamespaceResponse:
    """One page of the namespaces of the store.

    >>> ListNamespaceResponse(namespaces=[("users", "ada")]).namespaces[0]
    ('users', 'ada')
    """

    namespaces: List[Tuple[str, ...]]
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class ThreadsPruned:
    """The result of ``threads.prune``.

    >>> ThreadsPruned(pruned_count=2).pruned_count
    2
    """

    #: The number of threads that were pruned. None if that is not known, since the response to an earlier attempt was lost.
    pruned_count: Optional[int] = None
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)

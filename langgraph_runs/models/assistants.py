"""Assistants, their versions, graphs and schemas.

The annotations are read at run time, so this module does not postpone them.
"""

import datetime
from typing import Any, Dict, List, Optional

import attrs

__all__ = ["Assistant", "AssistantGraph", "AssistantVersion", "AssistantsSearchResponse", "GraphSchema"]


@attrs.frozen(kw_only=True)
class Assistant:
    """A graph with a configuration, under an id.

    >>> Assistant(assistant_id="fe09", graph_id="agent").graph_id
    'agent'
    """

    assistant_id: str
    graph_id: Optional[str] = None
    name: Optional[str] = None
    description: Optional[str] = None
    version: Optional[int] = None
    config: Dict[str, Any] = attrs.field(factory=dict, repr=False)
    context: Dict[str, Any] = attrs.field(factory=dict, repr=False)
    metadata: Dict[str, Any] = attrs.field(factory=dict)
    created_at: Optional[datetime.datetime] = None
    updated_at: Optional[datetime.datetime] = None
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)


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

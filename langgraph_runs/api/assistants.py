"""The endpoints of assistants."""

from __future__ import annotations

import uuid
from typing import Any, Dict, List, Mapping, Optional

from ..call import Scope
from ..errors import ConflictError, CreateUncertainError, ResponseDecodeError
from ..http import NO_OPTIONS, CommonOptions, Transport, path_segment
from ..models import Assistant, AssistantGraph, AssistantsSearchResponse, AssistantVersion, GraphSchema, kind_of
from ..serialization import decode, decode_list, parse
from .own_response import own_record
from .request import build, count, fetch_json, given, run_once_or_absent, search, search_request, with_required

__all__ = [
    "count_assistants",
    "create_assistant",
    "delete_assistant",
    "get_assistant",
    "get_graph",
    "get_schemas",
    "get_subgraphs",
    "get_versions",
    "search_assistants",
    "search_assistants_page",
    "set_latest",
    "update_assistant",
]


def _path(assistant_id: str, *rest: str) -> str:
    return "/".join(("/assistants", path_segment(assistant_id), *rest))


def get_assistant(transport: Transport, scope: Scope, assistant_id: str, options: CommonOptions = NO_OPTIONS) -> Assistant:
    """Return an assistant."""
    return decode(fetch_json(transport, scope, build("GET", _path(assistant_id), options)), Assistant)


def create_assistant(
    transport: Transport,
    scope: Scope,
    options: CommonOptions = NO_OPTIONS,
    *,
    graph_id: str,
    assistant_id: Optional[str] = None,
    if_exists: Optional[str] = None,
    **fields: Any,
) -> Assistant:
    """Create an assistant, once. If none is given, its id is chosen here, so that the server refuses to create it twice.

    So the request can be repeated after any transient failure. Raise `CreateUncertainError` if a repeat shows that the server does
    not use the id: then an earlier attempt may have made another assistant.
    """
    chosen = assistant_id if assistant_id is not None else str(uuid.uuid4())
    body = {"graph_id": graph_id, "assistant_id": chosen, **given(if_exists=if_exists, **fields)}
    request = build("POST", "/assistants", options, body=body)
    try:
        created = decode(fetch_json(transport, scope, request), Assistant)
    except ConflictError as error:
        if not scope.may_have_been_executed:
            raise
        # An earlier attempt has created it, and its response was lost; or it existed before.
        attempts = scope.attempts
        found = get_assistant(transport, scope, chosen, options.headers_only)
        scope.attempts = attempts  # the request above has counted its own
        if assistant_id is not None and not _is_as_sent(found, parse(request.body)):
            raise error from None
        return found
    if scope.may_have_been_executed and not _same_id(created.assistant_id, chosen):
        raise CreateUncertainError(
            f"the assistant {created.assistant_id} was created, and an earlier attempt, whose response was lost, may have created "
            "another one: the server does not use the id of the request"
        )
    return created


def _same_id(one: str, other: str) -> bool:
    return one.replace("-", "").lower() == other.replace("-", "").lower()


def _is_as_sent(found: Assistant, fields: Mapping[str, Any]) -> bool:
    """Return True if an assistant is as the create with these *fields*, as JSON, would have made it."""
    metadata = fields.get("metadata") or {}
    return (
        found.graph_id == fields["graph_id"]
        and fields.get("name") in (None, found.name)
        and all(found.metadata.get(name) == value for name, value in metadata.items())
    )


def update_assistant(
    transport: Transport, scope: Scope, assistant_id: str, options: CommonOptions = NO_OPTIONS, **fields: Any
) -> Assistant:
    """Change an assistant, which makes a new version of it; so the request is repeated only if it was surely not executed."""
    request = build("PATCH", _path(assistant_id), options, body=given(**fields), creates=True)
    return decode(fetch_json(transport, scope, request), Assistant)


def delete_assistant(
    transport: Transport, scope: Scope, assistant_id: str, options: CommonOptions = NO_OPTIONS, *, delete_threads: bool = False
) -> None:
    """Delete an assistant with its versions; with *delete_threads* also the threads of its runs."""
    query = [("delete_threads", "true")] if delete_threads else []
    run_once_or_absent(transport, scope, build("DELETE", _path(assistant_id), options, query=query))


def search_assistants(
    transport: Transport, scope: Scope, options: CommonOptions = NO_OPTIONS, *, limit: int, offset: int = 0, **filters: Any
) -> List[Assistant]:
    """Return the assistants that match the *filters*; see `search`."""
    rows = search(transport, scope, "/assistants/search", options, "assistant_id", limit=limit, offset=offset, **filters)
    return decode_list(rows, Assistant)


def search_assistants_page(
    transport: Transport, scope: Scope, options: CommonOptions = NO_OPTIONS, *, limit: int, offset: int = 0, **filters: Any
) -> AssistantsSearchResponse:
    """Do as `search_assistants`, and return where the next page begins too."""
    request = search_request("/assistants/search", options, limit=limit, offset=offset, **filters)
    response = transport.call(request, scope)
    rows = with_required(own_record(response), filters.get("select"), {"assistant_id": ""})
    return AssistantsSearchResponse(assistants=decode_list(rows, Assistant), next=response.headers.get("x-pagination-next"))


def count_assistants(transport: Transport, scope: Scope, options: CommonOptions = NO_OPTIONS, **filters: Any) -> int:
    """Return the number of assistants that match the *filters*."""
    return count(transport, scope, "/assistants/count", options, **filters)


def get_versions(
    transport: Transport,
    scope: Scope,
    assistant_id: str,
    options: CommonOptions = NO_OPTIONS,
    *,
    limit: int,
    offset: int,
    metadata: Optional[Mapping[str, Any]] = None,
) -> List[AssistantVersion]:
    """Return versions of an assistant, newest first."""
    body = {"limit": limit, "offset": offset, **given(metadata=metadata)}
    request = build("POST", _path(assistant_id, "versions"), options, body=body)
    return decode_list(fetch_json(transport, scope, request), AssistantVersion)


def set_latest(
    transport: Transport, scope: Scope, assistant_id: str, options: CommonOptions = NO_OPTIONS, *, version: int
) -> Assistant:
    """Make an older version of an assistant the current one."""
    request = build("POST", _path(assistant_id, "latest"), options, body={"version": version})
    return decode(fetch_json(transport, scope, request), Assistant)


def get_graph(
    transport: Transport, scope: Scope, assistant_id: str, options: CommonOptions = NO_OPTIONS, *, xray: Any = False
) -> AssistantGraph:
    """Return the graph of an assistant; *xray* is True, or the depth to which subgraphs are included."""
    query = [("xray", "true" if xray is True else xray)] if xray else []
    return decode(fetch_json(transport, scope, build("GET", _path(assistant_id, "graph"), options, query=query)), AssistantGraph)


def get_schemas(transport: Transport, scope: Scope, assistant_id: str, options: CommonOptions = NO_OPTIONS) -> GraphSchema:
    """Return the schemas of an assistant's graph."""
    return decode(fetch_json(transport, scope, build("GET", _path(assistant_id, "schemas"), options)), GraphSchema)


def get_subgraphs(
    transport: Transport,
    scope: Scope,
    assistant_id: str,
    options: CommonOptions = NO_OPTIONS,
    *,
    namespace: Optional[str] = None,
    recurse: bool = False,
) -> Dict[str, GraphSchema]:
    """Return the schemas of an assistant's subgraphs by namespace."""
    rest = ("subgraphs",) if namespace is None else ("subgraphs", path_segment(namespace))
    query = [("recurse", "true")] if recurse else []
    value = fetch_json(transport, scope, build("GET", _path(assistant_id, *rest), options, query=query))
    if not isinstance(value, dict):
        raise ResponseDecodeError._of_shape(f"$: expected an object, not {kind_of(value)}")
    return {name: decode(schema, GraphSchema, path=f"$.{name}") for name, schema in value.items()}

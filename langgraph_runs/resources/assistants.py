"""``client.assistants``: the graphs that a server can run, with their configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Literal, Mapping, Optional, Sequence, Union, get_args, overload

from .. import api
from ..errors import InvalidRequestError
from ..fields import as_object
from ..models import Assistant, AssistantGraph, AssistantsSearchResponse, AssistantVersion, GraphSchema
from ..options import CallOptions, IfExists, LimitOptions, Params, SortOrder, documented
from ..validation import check_choice, check_count, check_id
from .resource import Resource, check_page, check_search

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["AssistantsClient"]

_SortBy = Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"]


class AssistantsClient(Resource):
    """The assistants of a server, as ``client.assistants``."""

    @documented(CallOptions)
    def get(self, assistant_id: str, **options: Unpack[CallOptions]) -> Assistant:
        """Return an assistant. Raises `NotFoundError`."""
        assistant_id = check_id("assistant_id", assistant_id)
        with self._call("get", options) as (scope, common):
            return api.get_assistant(self._transport, scope, assistant_id, common)

    @documented(LimitOptions)
    def create(
        self,
        graph_id: str,
        config: Optional[Mapping[str, Any]] = None,
        *,
        context: Optional[Mapping[str, Any]] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        assistant_id: Optional[str] = None,
        if_exists: Optional[IfExists] = None,
        name: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
        description: Optional[str] = None,
        params: Optional[Params] = None,
        **options: Unpack[LimitOptions],
    ) -> Assistant:
        """Create an assistant: a graph of the server with a configuration of its own. Raises `ConflictError` if it exists.

        *if_exists*: ``"raise"`` (default), or ``"do_nothing"``, which returns the assistant with the *assistant_id* as it is.

        The library chooses the id if none is given. So the server cannot create the assistant twice, and the request is repeated
        after a broken connection. *headers* and *params* are sent in addition.
        """
        if if_exists is not None:
            check_choice("if_exists", if_exists, get_args(IfExists))
        fields = _fields(config=config, context=context, metadata=metadata, name=name, description=description)
        graph_id = check_id("graph_id", graph_id)
        assistant_id = None if assistant_id is None else check_id("assistant_id", assistant_id)
        with self._call("create", {**options, "headers": headers, "params": params}) as (scope, common):
            return api.create_assistant(
                self._transport, scope, common, graph_id=graph_id, assistant_id=assistant_id, if_exists=if_exists, **fields
            )

    @documented(LimitOptions)
    def update(
        self,
        assistant_id: str,
        *,
        graph_id: Optional[str] = None,
        config: Optional[Mapping[str, Any]] = None,
        context: Optional[Mapping[str, Any]] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        name: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
        description: Optional[str] = None,
        params: Optional[Params] = None,
        **options: Unpack[LimitOptions],
    ) -> Assistant:
        """Change an assistant, and return it. This makes a new version. *metadata* are merged; what is None stays as it is.

        The request is sent again only if it was surely not executed: each makes a version. Raises `NotFoundError`.
        """
        fields = _fields(config=config, context=context, metadata=metadata, name=name, description=description)
        if graph_id is not None:
            fields["graph_id"] = check_id("graph_id", graph_id)
        assistant_id = check_id("assistant_id", assistant_id)
        with self._call("update", {**options, "headers": headers, "params": params}) as (scope, common):
            return api.update_assistant(self._transport, scope, assistant_id, common, **fields)

    @documented(CallOptions)
    def delete(self, assistant_id: str, *, delete_threads: bool = False, **options: Unpack[CallOptions]) -> None:
        """Delete an assistant with its versions; with *delete_threads* also the threads of its runs. Raises `NotFoundError`."""
        assistant_id = check_id("assistant_id", assistant_id)
        with self._call("delete", options) as (scope, common):
            api.delete_assistant(self._transport, scope, assistant_id, common, delete_threads=delete_threads)

    @overload
    def search(
        self,
        *,
        metadata: Optional[Mapping[str, Any]] = None,
        graph_id: Optional[str] = None,
        name: Optional[str] = None,
        limit: int = 10,
        offset: int = 0,
        sort_by: Optional[_SortBy] = None,
        sort_order: Optional[SortOrder] = None,
        select: Optional[Sequence[str]] = None,
        response_format: Literal["array"] = "array",
        **options: Unpack[CallOptions],
    ) -> List[Assistant]: ...

    @overload
    def search(
        self,
        *,
        metadata: Optional[Mapping[str, Any]] = None,
        graph_id: Optional[str] = None,
        name: Optional[str] = None,
        limit: int = 10,
        offset: int = 0,
        sort_by: Optional[_SortBy] = None,
        sort_order: Optional[SortOrder] = None,
        select: Optional[Sequence[str]] = None,
        response_format: Literal["object"],
        **options: Unpack[CallOptions],
    ) -> AssistantsSearchResponse: ...

    @documented(CallOptions)
    def search(
        self,
        *,
        metadata: Optional[Mapping[str, Any]] = None,
        graph_id: Optional[str] = None,
        name: Optional[str] = None,
        limit: int = 10,
        offset: int = 0,
        sort_by: Optional[_SortBy] = None,
        sort_order: Optional[SortOrder] = None,
        select: Optional[Sequence[str]] = None,
        response_format: Literal["array", "object"] = "array",
        **options: Unpack[CallOptions],
    ) -> Union[List[Assistant], AssistantsSearchResponse]:
        """Return assistants whose metadata contain those given: at most *limit*, after skipping *offset*.

        *response_format*: ``"array"`` for a list, or ``"object"`` for an `AssistantsSearchResponse`, which has the assistants and
        the offset of the next page.
        """
        check_search(limit, offset, sort_by=sort_by, sort_order=sort_order, sort_fields=get_args(_SortBy))
        check_choice("response_format", response_format, ("array", "object"))
        with self._call("search", options) as (scope, common):
            find = api.search_assistants if response_format == "array" else api.search_assistants_page
            return find(
                self._transport,
                scope,
                common,
                limit=limit,
                offset=offset,
                metadata=None if metadata is None else as_object("metadata", metadata),
                graph_id=graph_id,
                name=name,
                sort_by=sort_by,
                sort_order=sort_order,
                select=None if select is None else list(select),
            )

    @documented(CallOptions)
    def count(
        self,
        *,
        metadata: Optional[Mapping[str, Any]] = None,
        graph_id: Optional[str] = None,
        name: Optional[str] = None,
        **options: Unpack[CallOptions],
    ) -> int:
        """Return how many assistants there are, with certain metadata, of a graph, with a name."""
        with self._call("count", options) as (scope, common):
            return api.count_assistants(
                self._transport,
                scope,
                common,
                metadata=None if metadata is None else as_object("metadata", metadata),
                graph_id=graph_id,
                name=name,
            )

    @documented(CallOptions)
    def get_versions(
        self,
        assistant_id: str,
        metadata: Optional[Mapping[str, Any]] = None,
        limit: int = 10,
        offset: int = 0,
        **options: Unpack[CallOptions],
    ) -> List[AssistantVersion]:
        """Return versions of an assistant, newest first: at most *limit*, after skipping *offset*. Raises `NotFoundError`."""
        check_page(limit, offset)
        assistant_id = check_id("assistant_id", assistant_id)
        with self._call("get_versions", options) as (scope, common):
            return api.get_versions(
                self._transport,
                scope,
                assistant_id,
                common,
                limit=limit,
                offset=offset,
                metadata=None if metadata is None else as_object("metadata", metadata),
            )

    @documented(CallOptions)
    def set_latest(self, assistant_id: str, version: int, **options: Unpack[CallOptions]) -> Assistant:
        """Make an older *version* of an assistant the current one, and return it. Raises `NotFoundError` for an unknown one."""
        check_count("version", version, least=1)
        assistant_id = check_id("assistant_id", assistant_id)
        with self._call("set_latest", options) as (scope, common):
            return api.set_latest(self._transport, scope, assistant_id, common, version=version)

    @documented(CallOptions)
    def get_graph(self, assistant_id: str, *, xray: Union[int, bool] = False, **options: Unpack[CallOptions]) -> AssistantGraph:
        """Return the nodes and edges of an assistant's graph, for drawing.

        *xray*: True includes the nodes of subgraphs, a number those of so many levels.
        """
        if not isinstance(xray, bool):
            check_count("xray", xray, least=1)
        assistant_id = check_id("assistant_id", assistant_id)
        with self._call("get_graph", options) as (scope, common):
            return api.get_graph(self._transport, scope, assistant_id, common, xray=xray)

    @documented(CallOptions)
    def get_schemas(self, assistant_id: str, **options: Unpack[CallOptions]) -> GraphSchema:
        """Return the JSON schemas of an assistant's graph: of its input, output, state, config and context."""
        assistant_id = check_id("assistant_id", assistant_id)
        with self._call("get_schemas", options) as (scope, common):
            return api.get_schemas(self._transport, scope, assistant_id, common)

    @documented(CallOptions)
    def get_subgraphs(
        self, assistant_id: str, namespace: Optional[str] = None, recurse: bool = False, **options: Unpack[CallOptions]
    ) -> Dict[str, GraphSchema]:
        """Return the schemas of an assistant's subgraphs by their namespace: of all, or of the one in *namespace*.

        *recurse*: also those of subgraphs of subgraphs.
        """
        if namespace is not None:
            check_id("namespace", namespace)
        assistant_id = check_id("assistant_id", assistant_id)
        with self._call("get_subgraphs", options) as (scope, common):
            return api.get_subgraphs(self._transport, scope, assistant_id, common, namespace=namespace, recurse=recurse)


def _fields(*, config: Any, context: Any, metadata: Any, name: Optional[str], description: Optional[str]) -> Dict[str, Any]:
    """Return the fields of an assistant that are given, checked."""
    objects = {"config": config, "context": context, "metadata": metadata}
    fields: Dict[str, Any] = {key: as_object(key, value) for key, value in objects.items() if value is not None}
    for key, text in (("name", name), ("description", description)):
        if text is not None:
            if not isinstance(text, str):
                raise InvalidRequestError(f"{key}: give text")
            fields[key] = text
    return fields

"""``client.threads``: the state that runs read and write. One method for each endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Union

from ..api import thread_path
from ..errors import ConflictError, InvalidRequestError, NotFoundError
from ..http import Request, Transport, parse_call_options, path_segment
from ..models import THREAD_STATUSES, Checkpoint, Thread, ThreadState, ThreadUpdate
from ..options import CallOptions, documented
from ..serialization import decode, decode_body, decode_list, encode
from ..validation import check_choice, check_count, check_id

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["ThreadsClient"]

_SORT_FIELDS = ("thread_id", "status", "created_at", "updated_at", "state_updated_at")


class ThreadsClient:
    """The threads of a server. Got as ``client.threads``; shared by threads of the program.

    Each method takes ``timeout`` (seconds), ``signal``, ``headers`` and ``params`` as well, and raises as the methods of
    ``client.runs`` do; `NotFoundError` for an unknown thread.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @documented(CallOptions)
    def create(
        self,
        *,
        metadata: Optional[Mapping[str, Any]] = None,
        thread_id: Optional[str] = None,
        if_exists: Optional[str] = None,
        supersteps: Optional[Sequence[Mapping[str, Any]]] = None,
        graph_id: Optional[str] = None,
        ttl: Union[int, float, Mapping[str, Any], None] = None,
        **options: Unpack[CallOptions],
    ) -> Thread:
        """A new thread, or with ``if_exists="do_nothing"`` perhaps one that was there.

        *if_exists* decides about a *thread_id* that is taken: ``"raise"`` (default) is `ConflictError`, ``"do_nothing"`` gives
        the thread as it is, its metadata unchanged. *graph_id* goes into the metadata. *ttl* is in minutes, or
        ``{"ttl": minutes, "strategy": ...}``. *supersteps* fill it with a history: ``[{"updates": [{"values", "as_node"}]}]``.
        With a *thread_id* of yours a broken connection is tried again; without one only if surely nothing was sent.
        """
        body: Dict[str, Any] = {}
        if thread_id is not None:
            body["thread_id"] = check_id("thread_id", thread_id)
        if metadata is not None or graph_id is not None:
            body["metadata"] = {**_object("metadata", metadata), **({} if graph_id is None else {"graph_id": graph_id})}
        if if_exists is not None:
            check_choice("if_exists", if_exists, ("raise", "do_nothing"))
            body["if_exists"] = if_exists
        if supersteps is not None:
            body["supersteps"] = list(supersteps)
        if ttl is not None:
            body["ttl"] = ttl if isinstance(ttl, Mapping) else {"ttl": ttl, "strategy": "delete"}
        given = parse_call_options("create", options)
        request = Request(
            method="POST", path="/threads", query=given.params, body=encode(body), headers=given.headers, creates=True
        )
        with given.scope(self._transport) as scope:
            try:
                answer = self._transport.call(request, scope, again=None if thread_id else self._transport.is_surely_not_executed)
            except ConflictError:
                if scope.attempts == 1 or thread_id is None:
                    raise
                # A conflict on a repeat: the first try, whose answer was lost, made it.
                answer = self._transport.call(Request(method="GET", path=thread_path(str(thread_id))), scope)
            return decode(decode_body(answer.body), Thread)

    @documented(CallOptions)
    def get(self, thread_id: str, *, include: Optional[Sequence[str]] = None, **options: Unpack[CallOptions]) -> Thread:
        """The thread with its current values. *include* asks for further fields, such as ``ttl``. Raises `NotFoundError`."""
        path = thread_path(check_id("thread_id", thread_id))
        if isinstance(include, str) or not all(isinstance(name, str) for name in include or ()):
            raise InvalidRequestError(f"include={include!r}: give a list of field names")
        query = [("include", ",".join(include))] if include else []
        return decode(self._json("get", "GET", path, options, query=query, thread_id=thread_id), Thread)

    @documented(CallOptions)
    def update(
        self,
        thread_id: str,
        *,
        metadata: Mapping[str, Any],
        ttl: Union[int, float, Mapping[str, Any], None] = None,
        **options: Unpack[CallOptions],
    ) -> Thread:
        """The thread after *metadata* was merged into its own; keys that are not given stay. *ttl* is in minutes."""
        path = thread_path(check_id("thread_id", thread_id))
        body: Dict[str, Any] = {"metadata": _object("metadata", metadata)}
        if ttl is not None:
            body["ttl"] = ttl if isinstance(ttl, Mapping) else {"ttl": ttl, "strategy": "delete"}
        return decode(self._json("update", "PATCH", path, options, body=body, thread_id=thread_id), Thread)

    @documented(CallOptions)
    def delete(self, thread_id: str, **options: Unpack[CallOptions]) -> None:
        """Delete the thread with its runs and its history. Raises `NotFoundError`.

        A run that is running is not stopped by that: cancel it first.
        """
        path = thread_path(check_id("thread_id", thread_id))
        given = parse_call_options("delete", options)
        request = Request(method="DELETE", path=path, query=given.params, headers=given.headers)
        with given.scope(self._transport) as scope:
            scope.thread_id = str(thread_id)
            try:
                self._transport.call(request, scope)
            except NotFoundError:
                if scope.attempts == 1:
                    raise
                # A 404 on a repeat: the first try, whose answer was lost, has done it.

    @documented(CallOptions)
    def copy(self, thread_id: str, **options: Unpack[CallOptions]) -> Thread:
        """A new thread with the same history. Not repeated after a failure that leaves open whether it was made."""
        path = thread_path(check_id("thread_id", thread_id), "copy")
        return decode(self._json("copy", "POST", path, options, thread_id=thread_id, creates=True), Thread)

    @documented(CallOptions)
    def search(
        self,
        *,
        metadata: Optional[Mapping[str, Any]] = None,
        values: Optional[Mapping[str, Any]] = None,
        ids: Optional[Sequence[str]] = None,
        status: Optional[str] = None,
        limit: int = 10,
        offset: int = 0,
        sort_by: Optional[str] = None,
        sort_order: Optional[str] = None,
        select: Optional[Sequence[str]] = None,
        extract: Optional[Mapping[str, str]] = None,
        **options: Unpack[CallOptions],
    ) -> List[Thread]:
        """Threads whose metadata and values contain what is given; at most *limit* (1 to 1000), after skipping *offset*."""
        check_count("limit", limit, least=1)
        check_count("offset", offset, least=0)
        body: Dict[str, Any] = {"limit": limit, "offset": offset}
        if status is not None:
            check_choice("status", status, THREAD_STATUSES)
        if sort_by is not None:
            check_choice("sort_by", sort_by, _SORT_FIELDS)
        if sort_order is not None:
            check_choice("sort_order", sort_order, ("asc", "desc"))
        if metadata is not None:
            metadata = _object("metadata", metadata)
        if ids is not None:
            if isinstance(ids, str):
                raise InvalidRequestError(f"ids={ids!r}: give a list of ids")
            ids = [check_id(f"ids[{index}]", thread_id) for index, thread_id in enumerate(ids)]
        wanted = {
            "metadata": metadata,
            "values": values,
            "ids": ids,
            "status": status,
            "sort_by": sort_by,
            "sort_order": sort_order,
            "select": None if select is None else list(select),
            "extract": extract,
        }
        body.update((name, value) for name, value in wanted.items() if value is not None)
        rows = self._json("search", "POST", "/threads/search", options, body=body)
        if select is not None and "thread_id" not in select and isinstance(rows, list):
            rows = [{"thread_id": "", **row} if isinstance(row, dict) else row for row in rows]
        return decode_list(rows, Thread)

    @documented(CallOptions)
    def get_state(
        self,
        thread_id: str,
        checkpoint: Union[Checkpoint, Mapping[str, Any], None] = None,
        checkpoint_id: Optional[str] = None,
        *,
        subgraphs: bool = False,
        **options: Unpack[CallOptions],
    ) -> ThreadState:
        """The current state, or the one at a *checkpoint* or *checkpoint_id*.

        With *subgraphs* the tasks carry the state of theirs. A thread without a run has empty values.
        """
        check_id("thread_id", thread_id)
        if checkpoint is not None:
            path = thread_path(str(thread_id), "state", "checkpoint")
            body = {"checkpoint": checkpoint, "subgraphs": subgraphs}
            value = self._json("get_state", "POST", path, options, body=body, thread_id=thread_id)
        else:
            rest = () if checkpoint_id is None else (path_segment(check_id("checkpoint_id", checkpoint_id)),)
            path = thread_path(str(thread_id), "state", *rest)
            query = [("subgraphs", "true")] if subgraphs else []
            value = self._json("get_state", "GET", path, options, query=query, thread_id=thread_id)
        return decode(value, ThreadState)

    @documented(CallOptions)
    def update_state(
        self,
        thread_id: str,
        values: Any,
        *,
        as_node: Optional[str] = None,
        checkpoint: Union[Checkpoint, Mapping[str, Any], None] = None,
        checkpoint_id: Optional[str] = None,
        **options: Unpack[CallOptions],
    ) -> ThreadUpdate:
        """Write *values* as if the node *as_node* had returned them. Each call adds a checkpoint: it is never repeated blindly."""
        path = thread_path(check_id("thread_id", thread_id), "state")
        body: Dict[str, Any] = {"values": values}
        further = {"as_node": as_node, "checkpoint": checkpoint, "checkpoint_id": checkpoint_id}
        body.update((name, value) for name, value in further.items() if value is not None)
        return decode(self._json("update_state", "POST", path, options, body=body, thread_id=thread_id, creates=True), ThreadUpdate)

    @documented(CallOptions)
    def get_history(
        self,
        thread_id: str,
        *,
        limit: int = 10,
        before: Union[str, Checkpoint, Mapping[str, Any], None] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        checkpoint: Union[Checkpoint, Mapping[str, Any], None] = None,
        **options: Unpack[CallOptions],
    ) -> List[ThreadState]:
        """At most *limit* states, newest first; *before* a checkpoint, with *metadata*, for example ``{"run_id": ...}``."""
        check_count("limit", limit, least=1)
        path = thread_path(check_id("thread_id", thread_id), "history")
        body: Dict[str, Any] = {"limit": limit}
        if isinstance(before, str):
            before = {"configurable": {"checkpoint_id": before}}
        further = {"before": before, "metadata": metadata, "checkpoint": checkpoint}
        body.update((name, value) for name, value in further.items() if value is not None)
        return decode_list(self._json("get_history", "POST", path, options, body=body, thread_id=thread_id), ThreadState)

    def _json(
        self,
        call: str,
        method: str,
        path: str,
        options: Mapping[str, Any],
        *,
        query: Sequence[Any] = (),
        body: Any = None,
        thread_id: Optional[str] = None,
        creates: bool = False,
    ) -> Any:
        given = parse_call_options(call, options)
        request = Request(
            method=method,
            path=path,
            query=[*query, *given.params],
            body=None if body is None else encode(body),
            headers=given.headers,
            creates=creates,
        )
        with given.scope(self._transport) as scope:
            scope.thread_id = None if thread_id is None else str(thread_id)
            again = self._transport.is_surely_not_executed if creates else None
            return decode_body(self._transport.call(request, scope, again=again).body)


def _object(name: str, value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequestError(f"{name}={value!r}: give an object (dict)")
    return value

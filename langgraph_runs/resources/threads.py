"""``client.threads``: one method for each endpoint of threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Literal, Mapping, Optional, Sequence, Union, get_args, overload

from .. import api
from ..errors import InvalidRequestError
from ..fields import as_object
from ..http import Transport, parse_call_options
from ..models import THREAD_STATUSES, Checkpoint, Thread, ThreadsPruned, ThreadState, ThreadUpdate
from ..options import CallOptions, IfExists, OnGap, SortOrder, ThreadStatus, ThreadStreamMode, documented
from ..runs import RunStarter, prune_threads
from ..streaming import ThreadStream, stream_thread
from ..validation import check_choice, check_count, check_id, shown
from .resource import Resource, check_search

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..server_traits import ServerTraits

__all__ = ["ThreadsClient"]

_SortBy = Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"]


class ThreadsClient(Resource):
    """The threads of a server, as ``client.threads``. It may be used by several threads of the program at once.

    Each method takes ``timeout`` (seconds), ``signal``, ``headers`` and ``params`` as well, and raises as the methods of
    ``client.runs`` do; `NotFoundError` for an unknown thread.
    """

    def __init__(self, transport: Transport, traits: Optional[ServerTraits] = None) -> None:
        super().__init__(transport)
        self._traits = traits

    @documented(CallOptions)
    def create(
        self,
        *,
        metadata: Optional[Mapping[str, Any]] = None,
        thread_id: Optional[str] = None,
        if_exists: Optional[IfExists] = None,
        supersteps: Optional[Sequence[Mapping[str, Any]]] = None,
        graph_id: Optional[str] = None,
        ttl: Union[int, float, Mapping[str, Any], None] = None,
        **options: Unpack[CallOptions],
    ) -> Thread:
        """Create a thread and return it; with ``if_exists="do_nothing"`` the thread may have existed before.

        *if_exists* says what happens if the *thread_id* exists: ``"raise"`` (default) raises `ConflictError`, ``"do_nothing"``
        returns the thread as it is, with its metadata unchanged. *graph_id* goes into the metadata. *ttl* is in minutes, or
        ``{"ttl": minutes, "strategy": ...}``. *supersteps* fill it with a history: ``[{"updates": [{"values", "as_node"}]}]``.
        If a *thread_id* is given, the request is repeated after a broken connection; without one only if surely nothing was sent.
        """
        if if_exists is not None:
            check_choice("if_exists", if_exists, get_args(IfExists))
        if graph_id is not None or metadata is not None:
            metadata = {**_object("metadata", metadata), **({} if graph_id is None else {"graph_id": graph_id})}
        with self._call("create", options) as (scope, common):
            return api.create_thread(
                self._transport,
                scope,
                common,
                thread_id=None if thread_id is None else check_id("thread_id", thread_id),
                metadata=metadata,
                if_exists=if_exists,
                supersteps=None if supersteps is None else list(supersteps),
                ttl=ttl,
            )

    @documented(CallOptions)
    def get(self, thread_id: str, *, include: Optional[Sequence[str]] = None, **options: Unpack[CallOptions]) -> Thread:
        """Return the thread with its current values. *include* names further fields, such as ``ttl``. Raises `NotFoundError`."""
        if isinstance(include, str) or not all(isinstance(name, str) for name in include or ()):
            raise InvalidRequestError(f"include={shown(include)}: give a list of field names")
        thread_id = check_id("thread_id", thread_id)
        with self._call("get", options, thread_id=thread_id) as (scope, common):
            return api.get_thread(self._transport, scope, thread_id, common, include=include or ())

    @overload
    def update(
        self,
        thread_id: str,
        *,
        metadata: Mapping[str, Any],
        ttl: Union[int, float, Mapping[str, Any], None] = None,
        return_minimal: Literal[False] = False,
        **options: Unpack[CallOptions],
    ) -> Thread: ...

    @overload
    def update(
        self,
        thread_id: str,
        *,
        metadata: Mapping[str, Any],
        ttl: Union[int, float, Mapping[str, Any], None] = None,
        return_minimal: Literal[True],
        **options: Unpack[CallOptions],
    ) -> None: ...

    @overload
    def update(
        self,
        thread_id: str,
        *,
        metadata: Mapping[str, Any],
        ttl: Union[int, float, Mapping[str, Any], None] = None,
        return_minimal: bool,
        **options: Unpack[CallOptions],
    ) -> Optional[Thread]: ...

    @documented(CallOptions)
    def update(
        self,
        thread_id: str,
        *,
        metadata: Mapping[str, Any],
        ttl: Union[int, float, Mapping[str, Any], None] = None,
        return_minimal: bool = False,
        **options: Unpack[CallOptions],
    ) -> Optional[Thread]:
        """Merge *metadata* into the metadata of the thread and return the thread. Other keys stay. *ttl* is in minutes.

        *return_minimal*: the server need not send the thread, and None is returned.
        """
        metadata = _object("metadata", metadata)
        thread_id = check_id("thread_id", thread_id)
        with self._call("update", options, thread_id=thread_id) as (scope, common):
            if return_minimal:
                api.update_thread_minimal(self._transport, scope, thread_id, common, metadata=metadata, ttl=ttl)
                return None
            return api.update_thread(self._transport, scope, thread_id, common, metadata=metadata, ttl=ttl)

    @documented(CallOptions)
    def delete(self, thread_id: str, **options: Unpack[CallOptions]) -> None:
        """Delete the thread with its runs and its history. Raises `NotFoundError`.

        This does not stop a run that is running: cancel it first.
        """
        thread_id = check_id("thread_id", thread_id)
        with self._call("delete", options, thread_id=thread_id) as (scope, common):
            api.delete_thread(self._transport, scope, thread_id, common)

    @documented(CallOptions)
    def copy(self, thread_id: str, **options: Unpack[CallOptions]) -> Thread:
        """Copy the thread with its history and return the copy.

        The request is not repeated after a failure that leaves open whether the copy exists.
        """
        thread_id = check_id("thread_id", thread_id)
        with self._call("copy", options, thread_id=thread_id) as (scope, common):
            return api.copy_thread(self._transport, scope, thread_id, common)

    @documented(CallOptions)
    def search(
        self,
        *,
        metadata: Optional[Mapping[str, Any]] = None,
        values: Optional[Mapping[str, Any]] = None,
        ids: Optional[Sequence[str]] = None,
        status: Optional[ThreadStatus] = None,
        limit: int = 10,
        offset: int = 0,
        sort_by: Optional[_SortBy] = None,
        sort_order: Optional[SortOrder] = None,
        select: Optional[Sequence[str]] = None,
        extract: Optional[Mapping[str, str]] = None,
        **options: Unpack[CallOptions],
    ) -> List[Thread]:
        """Return threads whose metadata and values contain those given: at most *limit* (1 to 1000), after skipping *offset*."""
        check_search(limit, offset, sort_by=sort_by, sort_order=sort_order, sort_fields=get_args(_SortBy))
        if status is not None:
            check_choice("status", status, THREAD_STATUSES)
        if metadata is not None:
            metadata = _object("metadata", metadata)
        if ids is not None:
            ids = _ids("ids", ids)
        with self._call("search", options) as (scope, common):
            return api.search_threads(
                self._transport,
                scope,
                common,
                limit=limit,
                offset=offset,
                metadata=metadata,
                values=values,
                ids=ids,
                status=status,
                sort_by=sort_by,
                sort_order=sort_order,
                select=None if select is None else list(select),
                extract=extract,
            )

    @documented(CallOptions)
    def count(
        self,
        *,
        metadata: Optional[Mapping[str, Any]] = None,
        values: Optional[Mapping[str, Any]] = None,
        status: Optional[str] = None,
        **options: Unpack[CallOptions],
    ) -> int:
        """Return how many threads there are whose metadata and values contain those given, and that have a *status*."""
        if status is not None:
            check_choice("status", status, THREAD_STATUSES)
        if metadata is not None:
            metadata = _object("metadata", metadata)
        with self._call("count", options) as (scope, common):
            return api.count_threads(self._transport, scope, common, metadata=metadata, values=values, status=status)

    @documented(CallOptions)
    def prune(
        self,
        thread_ids: Sequence[str],
        *,
        strategy: Literal["delete", "keep_latest"] = "delete",
        **options: Unpack[CallOptions],
    ) -> ThreadsPruned:
        """Delete several threads, or with ``strategy="keep_latest"`` their history, of which the newest state stays.

        Threads that do not exist are left out. Return how many there were as ``.pruned_count``; it is None if that is not known,
        since the response to an earlier attempt was lost. A server that does not delete several threads at once gets a request for
        each. This does not stop a run that is running: cancel it first.
        """
        check_choice("strategy", strategy, ("delete", "keep_latest"))
        ids = _ids("thread_ids", thread_ids)
        with self._call("prune", options) as (scope, common):
            return prune_threads(self._transport, scope, common, thread_ids=ids, strategy=strategy)

    @documented(CallOptions)
    def get_state(
        self,
        thread_id: str,
        checkpoint: Union[Checkpoint, Mapping[str, Any], None] = None,
        checkpoint_id: Optional[str] = None,
        *,
        subgraphs: bool = False,
        select: Optional[Sequence[str]] = None,
        **options: Unpack[CallOptions],
    ) -> ThreadState:
        """Return the current state, or the state at a *checkpoint* or *checkpoint_id*.

        With *subgraphs* the tasks carry the state of their subgraphs. A thread without a run has empty values.

        *select*: the fields to return; ``"values.messages"`` for one of the values. The others are None or empty, which says
        nothing about the thread. If the server sends all fields, they are left out here.
        """
        fields = _selection(select)
        if checkpoint_id is not None:
            check_id("checkpoint_id", checkpoint_id)
        thread_id = check_id("thread_id", thread_id)
        with self._call("get_state", options, thread_id=thread_id) as (scope, common):
            return api.get_state(
                self._transport,
                scope,
                thread_id,
                common,
                checkpoint=checkpoint,
                checkpoint_id=checkpoint_id,
                subgraphs=subgraphs,
                select=fields,
            )

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
        """Write *values* as if the node *as_node* had returned them.

        Each call adds a checkpoint, so the request is repeated only if it was surely not executed.
        """
        thread_id = check_id("thread_id", thread_id)
        with self._call("update_state", options, thread_id=thread_id) as (scope, common):
            return api.update_state(
                self._transport,
                scope,
                thread_id,
                common,
                values=values,
                as_node=as_node,
                checkpoint=checkpoint,
                checkpoint_id=checkpoint_id,
            )

    @documented(CallOptions)
    def get_history(
        self,
        thread_id: str,
        *,
        limit: int = 10,
        before: Union[str, Checkpoint, ThreadState, Mapping[str, Any], None] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        checkpoint: Union[Checkpoint, Mapping[str, Any], None] = None,
        select: Optional[Sequence[str]] = None,
        **options: Unpack[CallOptions],
    ) -> List[ThreadState]:
        """Return at most *limit* states, newest first; filtered by *before* and *metadata* (``{"run_id": ...}``).

        *before* is a state, a checkpoint or the id of one; only older states are returned. If the server cannot do that, more
        states are requested, and the newer ones are left out here. *select* is as in `get_state`.
        """
        fields = _selection(select)
        check_count("limit", limit, least=1)
        before_id = None if before is None else _checkpoint_id(before)
        thread_id = check_id("thread_id", thread_id)
        with self._call("get_history", options, thread_id=thread_id) as (scope, common):
            return api.get_history(
                self._transport,
                scope,
                thread_id,
                common,
                limit=limit,
                before=before_id,
                metadata=metadata,
                checkpoint=checkpoint,
                select=fields,
            )

    @documented(CallOptions)
    def join_stream(
        self,
        thread_id: str,
        *,
        stream_mode: Union[ThreadStreamMode, Sequence[ThreadStreamMode]] = "run_modes",
        last_event_id: Optional[str] = None,
        on_gap: OnGap = "error",
        **options: Unpack[CallOptions],
    ) -> ThreadStream:
        """Return the events of all runs of the thread: those from now on, or after *last_event_id* (``"0"``: all that are kept).

        It goes on until it is closed, or *timeout* is over. A run ends with a metadata event that has ``"status": "run_done"``;
        then ``stream.outcome`` says how it ended. A run that failed does not end the stream.

        *stream_mode*: ``"run_modes"`` for the events of runs, ``"lifecycle"`` for their beginnings and ends only,
        ``"state_update"`` for changes of the state by `update_state`.

        When the connection breaks, the rest of a run is requested from the stream of the run, whose rules hold: nothing is lost or
        comes twice, or a gap is reported. *on_gap*: ``"error"`` raises `StreamInterruptedError`, ``"mark"`` goes on and notes it in
        ``stream.gaps``. On a server without a stream of threads, the runs are listed every second; events before that which the
        server does not keep are a gap. Raises `NotFoundError`.
        """
        thread_id = check_id("thread_id", thread_id)
        common = parse_call_options("join_stream", options)
        starter = RunStarter(self._transport, self._traits)
        return stream_thread(starter, thread_id, common, stream_mode=stream_mode, last_event_id=last_event_id, on_gap=on_gap)


def _ids(name: str, value: Any) -> List[str]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidRequestError(f"{name}={shown(value)}: give a list of ids")
    return [check_id(f"{name}[{index}]", thread_id) for index, thread_id in enumerate(value)]


def _selection(select: Optional[Sequence[str]]) -> List[str]:
    if select is None:
        return []
    if isinstance(select, str) or not isinstance(select, Sequence):
        raise InvalidRequestError(f"select={shown(select)}: give a list of fields")
    for index, name in enumerate(select):
        if not isinstance(name, str) or not name.startswith("values."):
            check_choice(f"select[{index}]", name, api.STATE_FIELDS)
    return list(select)


def _object(name: str, value: Any) -> Mapping[str, Any]:
    return {} if value is None else as_object(name, value)


def _checkpoint_id(value: Any) -> str:
    """Return the id of the checkpoint in a state, a checkpoint, a config, JSON of one of these, or an id."""
    found = value
    for name in ("checkpoint", "configurable", "checkpoint_id"):
        inner = found.get(name) if isinstance(found, Mapping) else getattr(found, name, None)
        found = found if inner is None else inner
    if isinstance(found, (Checkpoint, ThreadState, Mapping)):
        raise InvalidRequestError("before: give a checkpoint with an id, a state that has one, or the id")
    return check_id("before", found)

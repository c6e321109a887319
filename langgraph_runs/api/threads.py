"""The endpoints of threads."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Union

from ..call import Scope
from ..errors import BadRequestError, ConflictError, ResponseDecodeError
from ..http import NO_OPTIONS, CommonOptions, Request, Response, Transport, path_segment
from ..markers import BATCH_ITEM, KEYED, LOCK, MARKER, RELEASED, SEEN, THREAD_USE, marker_in
from ..models import Thread, ThreadsPruned, ThreadState, ThreadUpdate
from ..serialization import decode, decode_list
from .own_response import check_done, own_record
from .paths import thread_path
from .request import (
    AtCheckpoint,
    build,
    call_past_caches,
    count,
    fetch_json,
    given,
    place_of,
    run_once_or_absent,
    search,
    state_of,
    with_ids,
)
from .select import selected

__all__ = [
    "LockState",
    "MarkedThread",
    "copy_thread",
    "count_threads",
    "create_lock",
    "create_thread",
    "delete_thread",
    "get_lock",
    "get_state",
    "get_thread",
    "has_marker",
    "prune_threads",
    "release_lock",
    "search_marked_threads",
    "search_threads",
    "touch_lock",
    "update_state",
    "update_thread",
    "update_thread_minimal",
]

Ttl = Union[int, float, Mapping[str, Any], None]


def _ttl(ttl: Ttl) -> Optional[Mapping[str, Any]]:
    return ttl if ttl is None or isinstance(ttl, Mapping) else {"ttl": ttl, "strategy": "delete"}


def create_thread(
    transport: Transport,
    scope: Scope,
    options: CommonOptions = NO_OPTIONS,
    *,
    thread_id: Optional[str] = None,
    metadata: Optional[Mapping[str, Any]] = None,
    if_exists: Optional[str] = None,
    supersteps: Optional[Sequence[Mapping[str, Any]]] = None,
    ttl: Ttl = None,
) -> Thread:
    """Create a thread. The request is repeated after any transient failure if *thread_id* is given, else only if surely unsent."""
    body = given(thread_id=thread_id, metadata=metadata, if_exists=if_exists, supersteps=supersteps, ttl=_ttl(ttl))
    request = build("POST", "/threads", options, body=body, creates=thread_id is None)
    try:
        return _written(fetch_json(transport, scope, request), thread_id)
    except ConflictError:
        if thread_id is None or not scope.may_have_been_executed:
            raise
        # An earlier attempt created the thread, and its response was lost.
        return get_thread(transport, scope, thread_id, options.headers_only)


def _written(value: Any, thread_id: Optional[str]) -> Thread:
    """Return the thread in the response to a create, an update or a copy. *thread_id* is used if its own is null or no text."""
    if isinstance(value, dict) and "thread_id" in value:
        value = with_ids(value, thread_id=thread_id)
    try:
        return decode(value, Thread)
    except ResponseDecodeError as error:
        error._text += "; the server has probably made the change"
        raise


def get_thread(
    transport: Transport, scope: Scope, thread_id: str, options: CommonOptions = NO_OPTIONS, *, include: Sequence[str] = ()
) -> Thread:
    """Return the thread with its current values; *include* names further fields."""
    query = [("include", ",".join(include))] if include else []
    return decode(fetch_json(transport, scope, build("GET", thread_path(thread_id), options, query=query)), Thread)


def update_thread(
    transport: Transport,
    scope: Scope,
    thread_id: str,
    options: CommonOptions = NO_OPTIONS,
    *,
    metadata: Mapping[str, Any],
    ttl: Ttl = None,
) -> Thread:
    """Merge *metadata* into the metadata of the thread, and return the thread."""
    request = _update_request(thread_id, options, metadata, ttl)
    return _written(fetch_json(transport, scope, request), thread_id)


def update_thread_minimal(
    transport: Transport,
    scope: Scope,
    thread_id: str,
    options: CommonOptions = NO_OPTIONS,
    *,
    metadata: Mapping[str, Any],
    ttl: Ttl = None,
) -> None:
    """Do as `update_thread`, but ask the server to respond without a body."""
    request = _update_request(thread_id, options.with_header("Prefer", "return=minimal"), metadata, ttl)
    check_done(transport.call(request, scope))


def _update_request(thread_id: str, options: CommonOptions, metadata: Mapping[str, Any], ttl: Ttl) -> Request:
    return build("PATCH", thread_path(thread_id), options, body=given(metadata=metadata, ttl=_ttl(ttl)))


def delete_thread(transport: Transport, scope: Scope, thread_id: str, options: CommonOptions = NO_OPTIONS) -> None:
    """Delete a thread with its runs."""
    run_once_or_absent(transport, scope, build("DELETE", thread_path(thread_id), options))


def copy_thread(transport: Transport, scope: Scope, thread_id: str, options: CommonOptions = NO_OPTIONS) -> Thread:
    """Copy a thread with its history, and return the copy."""
    return _written(fetch_json(transport, scope, build("POST", thread_path(thread_id, "copy"), options, creates=True)), None)


def search_threads(
    transport: Transport, scope: Scope, options: CommonOptions = NO_OPTIONS, *, limit: int, offset: int = 0, **filters: Any
) -> List[Thread]:
    """Return the threads that match the *filters*; see `search`."""
    rows = search(transport, scope, "/threads/search", options, "thread_id", limit=limit, offset=offset, **filters)
    return decode_list(rows, Thread)


def count_threads(transport: Transport, scope: Scope, options: CommonOptions = NO_OPTIONS, **filters: Any) -> int:
    """Return the number of threads that match the *filters*."""
    return count(transport, scope, "/threads/count", options, **filters)


def prune_threads(
    transport: Transport, scope: Scope, options: CommonOptions = NO_OPTIONS, *, thread_ids: Sequence[str], strategy: str
) -> ThreadsPruned:
    """Delete threads, or their older checkpoints. The number is None if an earlier attempt may have pruned some of them."""
    body = {"thread_ids": list(thread_ids), **({} if strategy == "delete" else {"strategy": strategy})}
    pruned = decode(fetch_json(transport, scope, build("POST", "/threads/prune", options, body=body)), ThreadsPruned)
    return ThreadsPruned(pruned_count=None, extra=pruned.extra) if scope.may_have_been_executed else pruned


class MarkedThread(NamedTuple):
    """A thread that the create with a marker made."""

    thread_id: str
    #: The position of its run in a batch; None for the run of a single create.
    batch_item: Optional[int]


def search_marked_threads(
    transport: Transport, scope: Scope, marker: str, options: CommonOptions = NO_OPTIONS, *, limit: int
) -> List[MarkedThread]:
    """Return threads, at most *limit*, that have *marker* in their metadata. Other threads in the response are left out."""
    rows = search(transport, scope, "/threads/search", options, "thread_id", limit=limit, offset=0, metadata={MARKER: marker})
    threads = decode_list(rows, Thread)
    found = []
    for thread, row in zip(threads, rows):
        if marker_in(row) == marker:
            item = row["metadata"].get(BATCH_ITEM) if isinstance(row.get("metadata"), dict) else None
            found.append(MarkedThread(thread.thread_id, item if isinstance(item, int) else None))
    return found


def has_marker(transport: Transport, scope: Scope, thread_id: str, options: CommonOptions = NO_OPTIONS) -> bool:
    """Return True if the thread has the marker of a create in its metadata, which its runs may inherit."""
    return marker_in(fetch_json(transport, scope, build("GET", thread_path(thread_id), options))) is not None


class LockState(NamedTuple):
    """A thread that serves as a lock (see `runs.locks`)."""

    #: The token of the call that created it, or None if the server does not keep the metadata of threads.
    token: Optional[str]
    #: True if the call that created it has given it back.
    released: bool
    #: Seconds between its creation and its last change, by the server's clock; 0 if the server does not say.
    age: float


def create_lock(
    transport: Transport, scope: Scope, thread_id: str, options: CommonOptions = NO_OPTIONS, *, token: str
) -> LockState:
    """Create a thread that must not exist, with *token* in its metadata. Repeated after any transient failure.

    Raise `ConflictError` if it exists, which after a repeated request may be due to the first one: see `get_lock`.
    """
    metadata = {LOCK: token, THREAD_USE: KEYED}
    body = {"thread_id": thread_id, "if_exists": "raise", "metadata": metadata}
    return _lock_state(transport.call(build("POST", "/threads", options, body=body), scope))


def get_lock(transport: Transport, scope: Scope, thread_id: str, options: CommonOptions = NO_OPTIONS) -> LockState:
    """Return a lock as it is now. Raise `NotFoundError` if there is none."""
    return _lock_state(call_past_caches(transport, scope, thread_path(thread_id), options))


def touch_lock(transport: Transport, scope: Scope, thread_id: str, options: CommonOptions = NO_OPTIONS, *, token: str) -> LockState:
    """Write *token* into a lock, which changes nothing for others, and return the lock: its age is that of now."""
    return _lock_state(transport.call(build("PATCH", thread_path(thread_id), options, body={"metadata": {SEEN: token}}), scope))


def release_lock(transport: Transport, scope: Scope, thread_id: str, options: CommonOptions = NO_OPTIONS) -> None:
    """Note on a lock that its call has given it back."""
    transport.call(build("PATCH", thread_path(thread_id), options, body={"metadata": {RELEASED: True}}), scope)


def _lock_state(response: Response) -> LockState:
    value = own_record(response)
    thread = decode(value, Thread)
    metadata = value.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    token = metadata.get(LOCK)
    age = 0.0
    if thread.created_at is not None and thread.updated_at is not None:
        age = thread.updated_at.timestamp() - thread.created_at.timestamp()
    return LockState(token if isinstance(token, str) else None, metadata.get(RELEASED) is True, age)


def get_state(
    transport: Transport,
    scope: Scope,
    thread_id: str,
    options: CommonOptions = NO_OPTIONS,
    *,
    checkpoint: AtCheckpoint = None,
    checkpoint_id: Optional[str] = None,
    subgraphs: bool = False,
    select: Sequence[str] = (),
) -> ThreadState:
    """Return the current state, or the state at a checkpoint. Fields that *select* does not name are left out, if it is given."""

    def state_from(value: Any) -> ThreadState:
        return selected(decode(value, ThreadState), select) if select else state_of(value)

    place = place_of(checkpoint)
    if place is not None:
        path = thread_path(thread_id, "state", "checkpoint")
        body: Dict[str, Any] = {"checkpoint": place, **({"subgraphs": True} if subgraphs else {})}
        if select:
            body["select"] = list(select)
        try:
            return state_from(fetch_json(transport, scope, build("POST", path, options, body=body)))
        except BadRequestError:
            if not subgraphs:
                raise
        # Some servers take the value as text only, as in a query.
        request = build("POST", path, options, body={**body, "subgraphs": "true"})
    else:
        rest = () if checkpoint_id is None else (path_segment(checkpoint_id),)
        query = [*([("subgraphs", "true")] if subgraphs else []), *(("select", name) for name in select)]
        request = build("GET", thread_path(thread_id, "state", *rest), options, query=query)
    return state_from(fetch_json(transport, scope, request))


def update_state(
    transport: Transport,
    scope: Scope,
    thread_id: str,
    options: CommonOptions = NO_OPTIONS,
    *,
    values: Any,
    as_node: Optional[str] = None,
    checkpoint: AtCheckpoint = None,
    checkpoint_id: Optional[str] = None,
) -> ThreadUpdate:
    """Add a checkpoint with *values*."""
    body = {"values": values, **given(as_node=as_node, checkpoint=place_of(checkpoint), checkpoint_id=checkpoint_id)}
    request = build("POST", thread_path(thread_id, "state"), options, body=body, creates=True)
    return decode(fetch_json(transport, scope, request), ThreadUpdate)

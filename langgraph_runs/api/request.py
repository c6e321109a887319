"""Shared by the functions of this package: building a request from the common options, and two rules about responses."""

from __future__ import annotations

import uuid
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from ..call import Scope, states_absence
from ..errors import BadRequestError, NotFoundError, ResponseDecodeError, UnprocessableEntityError
from ..fields import as_object
from ..http import NO_OPTIONS, CommonOptions, Request, Response, Transport
from ..models import Checkpoint, ThreadState, kind_of
from ..serialization import decode, encode
from .own_response import check_done, own_record

__all__ = [
    "AtCheckpoint",
    "NO_BODY",
    "build",
    "call_past_caches",
    "count",
    "fetch_json",
    "given",
    "place_of",
    "run_once_or_absent",
    "search",
    "search_request",
    "state_of",
    "with_ids",
    "with_required",
]

AtCheckpoint = Union[Checkpoint, Mapping[str, Any], None]
#: Distinguishes a request without a body from one whose body is null.
NO_BODY: Any = object()
_OF_A_STATE = frozenset({"values", "next", "tasks", "checkpoint"})


def build(
    method: str,
    path: str,
    options: CommonOptions = NO_OPTIONS,
    *,
    query: Sequence[Tuple[str, Any]] = (),
    body: Any = NO_BODY,
    creates: bool = False,
) -> Request:
    """Return the request for a path, with the caller's own headers and query parameters."""
    return Request(
        method=method,
        path=path,
        query=[*query, *options.params],
        body=None if body is NO_BODY else encode(body),
        headers=options.headers,
        creates=creates,
    )


def fetch_json(transport: Transport, scope: Scope, request: Request) -> Any:
    """Send a request and return the parsed JSON of the response, which must be the API's own."""
    return own_record(transport.call(request, scope))


def call_past_caches(
    transport: Transport, scope: Scope, path: str, options: CommonOptions, *, query: Sequence[Tuple[str, Any]] = ()
) -> Response:
    """Send a GET whose response is evidence of what is there now, and return the response.

    Caches are asked to pass the request on. Since some do not obey, each request has a parameter that no other has. A server that
    refuses the parameter is asked without it.
    """
    options = options.with_header("Cache-Control", "no-cache")
    try:
        return transport.call(build("GET", path, options, query=[*query, ("_", uuid.uuid4().hex)]), scope)
    except (BadRequestError, UnprocessableEntityError):
        return transport.call(build("GET", path, options, query=query), scope)


def run_once_or_absent(transport: Transport, scope: Scope, request: Request) -> Optional[Response]:
    """Send a request that cancels or deletes. Return the response; None if an earlier attempt was executed.

    A 404 is a success only if it is the server's own statement, and an earlier attempt may have been executed.
    """
    try:
        response = transport.call(request, scope)
        check_done(response)
        return response
    except NotFoundError as error:
        if not (scope.may_have_been_executed and states_absence(error)):
            raise
        return None


def search(
    transport: Transport, scope: Scope, path: str, options: CommonOptions, id_field: str, *, limit: int, offset: int, **filters: Any
) -> Any:
    """Return the found rows as parsed JSON, with the field *id_field* even if *select* does not name it.

    The *filters* are fields of the request body. A filter that is None is not sent.
    """
    rows = fetch_json(transport, scope, search_request(path, options, limit=limit, offset=offset, **filters))
    return with_required(rows, filters.get("select"), {id_field: ""})


def search_request(path: str, options: CommonOptions, *, limit: int, offset: int, **filters: Any) -> Request:
    """Return the request of `search`."""
    return build("POST", path, options, body={"limit": limit, "offset": offset, **given(**filters)})


def count(transport: Transport, scope: Scope, path: str, options: CommonOptions, **filters: Any) -> int:
    """Return how many objects match the *filters*. A filter that is None is not sent."""
    value = fetch_json(transport, scope, build("POST", path, options, body=given(**filters)))
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ResponseDecodeError._of_shape(f"$: expected a whole number, not {kind_of(value)}")
    return value


def given(**fields: Any) -> Dict[str, Any]:
    """Return the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def place_of(checkpoint: AtCheckpoint) -> Optional[Mapping[str, Any]]:
    """Return a checkpoint as servers take it: without nulls; None if it names only its thread, and so means the current state."""
    if checkpoint is None:
        return None
    fields = given(**as_object("checkpoint", checkpoint))
    return fields if any(item for name, item in fields.items() if name != "thread_id") else None


def with_required(rows: Any, select: Optional[Sequence[str]], required: Mapping[str, str]) -> Any:
    """Return *rows* with the *required* fields added that are missing because *select* does not name them."""
    if not select or not isinstance(rows, list):
        return rows
    completed: List[Any] = []
    for row in rows:
        completed.append({**required, **row} if isinstance(row, dict) else row)
    return completed


def with_ids(value: Any, **ids: Optional[str]) -> Any:
    """Return *value*, an object, with those of the known *ids* that it does not have itself: missing, empty or no text.

    >>> with_ids({"run_id": "r", "thread_id": None}, run_id="x", thread_id="t")
    {'run_id': 'r', 'thread_id': 't'}
    """
    if not isinstance(value, dict):
        return value
    missing = {name: known for name, known in ids.items() if known and not (isinstance(value.get(name), str) and value[name])}
    return {**value, **missing} if missing else value


def state_of(value: Any) -> ThreadState:
    """Return a state, given as parsed JSON. An object without any field of a state is none: it would look like an ended run."""
    if isinstance(value, dict) and not value.keys() & _OF_A_STATE:
        raise ResponseDecodeError._of_shape("$.values: missing")
    return decode(value, ThreadState)

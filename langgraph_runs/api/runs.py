"""The endpoints of runs."""

from __future__ import annotations

import re
from typing import Any, Callable, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..call import Scope, polling_wait
from ..errors import ConflictError, NotFoundError, ResponseDecodeError
from ..http import NO_OPTIONS, CommonOptions, Request, Response, Transport, as_utf8, http_date
from ..markers import has_metadata, is_in_metadata, marker_in
from ..models import Run
from ..serialization import decode, decode_list, encode, parse
from ..server_traits import ServerTraits
from .own_response import own_record
from .paths import ids_from, run_path, runs_path, thread_path
from .request import build, call_past_caches, fetch_json, run_once_or_absent, with_ids, with_required

__all__ = [
    "FetchPage",
    "ListedRuns",
    "MarkedRun",
    "cancel_run",
    "cancel_runs",
    "create_batch_request",
    "create_batch_response",
    "create_instead_of_wait",
    "created_run",
    "delete_run",
    "ended_run",
    "get_run",
    "join_request",
    "list_runs",
    "list_marked_runs",
    "metadata_of_start",
    "start_request",
    "stream_path",
    "stream_request",
    "thread_stream_path",
]


#: In the header in which a cache says what it has done.
_CACHE_HIT = re.compile(r"\b(hit|stale|updating|revalidated)\b", re.IGNORECASE)


class MarkedRun(NamedTuple):
    """A run, and the marker of its create (see `markers`)."""

    run: Run
    #: None if the run has no marker, since another program created it, or since the server does not show it.
    marker: Optional[str]
    #: True if the marker is in the metadata of the run itself.
    in_metadata: bool
    #: True if the server shows metadata with the run, so that a marker would be seen.
    has_metadata: bool

    def note_in(self, traits: ServerTraits, *, shows_marker: bool) -> None:
        """Note in *traits* what the server shows of the create that has made the run."""
        traits.note_created(
            shows_marker=shows_marker,
            in_metadata=self.in_metadata,
            strategy=self.run.multitask_strategy,
        )


class ListedRuns(NamedTuple):
    """One page of a thread's runs."""

    #: In the server's order.
    rows: List[MarkedRun]
    #: The server's time from the ``Date`` header: seconds since 1970, or None. A gateway may have set it.
    server_time: Optional[float]
    #: True if the response was made earlier, so that it does not show the runs of now.
    from_cache: bool


#: A function of limit and offset that returns one page.
FetchPage = Callable[[int, int], List[MarkedRun]]


def get_run(transport: Transport, scope: Scope, thread_id: str, run_id: str, options: CommonOptions = NO_OPTIONS) -> Run:
    """Return the run as it is now. Without a status it proves nothing about the run, so it is a `ResponseDecodeError`."""
    value = fetch_json(transport, scope, build("GET", run_path(thread_id, run_id), options))
    run = decode(with_ids(value, thread_id=thread_id), Run)
    if not run.status:
        raise ResponseDecodeError._of_shape("$.status: expected a string")
    return run


def list_runs(
    transport: Transport,
    scope: Scope,
    thread_id: str,
    options: CommonOptions = NO_OPTIONS,
    *,
    limit: int,
    offset: Optional[int] = None,
    status: Optional[str] = None,
    select: Sequence[str] = (),
) -> List[Run]:
    """Return one page of the thread's runs, in the server's order. Required fields that *select* does not name are empty text."""
    query: List[Tuple[str, Any]] = [("limit", limit)]
    if offset is not None:
        query.append(("offset", offset))
    if status is not None:
        query.append(("status", status))
    query += [("select", name) for name in select]
    response = transport.call(build("GET", runs_path(thread_id), options, query=query), scope)
    return _runs_of(response, thread_id, select)


def list_marked_runs(
    transport: Transport, scope: Scope, thread_id: str, options: CommonOptions = NO_OPTIONS, *, limit: int, offset: int
) -> ListedRuns:
    """Return one page of the thread's runs, with their markers, past all caches."""
    query = (("limit", limit), ("offset", offset))
    response = call_past_caches(transport, scope, runs_path(thread_id), options, query=query)
    values = own_record(response)
    runs = decode_list(values, Run)
    rows = [_marked(run, value) for run, value in zip(runs, values)]
    return ListedRuns(rows, http_date(response.headers.get("date", "")), _is_from_cache(response.headers))


def _is_from_cache(headers: Mapping[str, str]) -> bool:
    """Return True if a cache says that it had the response: by ``Age``, ``Cache-Status``, ``X-Cache-Status: HIT`` and the like."""
    if headers.get("age", "0").strip() not in ("", "0"):
        return True
    names = [name for name in headers if "cache" in name.lower() and name.lower() != "cache-control"]
    return any(_CACHE_HIT.search(headers[name]) for name in names)


def _runs_of(response: Response, thread_id: str, select: Sequence[str] = ()) -> List[Run]:
    return _runs_in(with_required(own_record(response), select, {"run_id": "", "status": ""}), thread_id)


def _runs_in(values: Any, thread_id: str) -> List[Run]:
    rows = [with_ids(value, thread_id=thread_id) for value in values] if isinstance(values, list) else values
    return decode_list(rows, Run)


def cancel_run(
    transport: Transport,
    scope: Scope,
    thread_id: str,
    run_id: str,
    options: CommonOptions = NO_OPTIONS,
    *,
    wait: bool = False,
    until_ended: bool = False,
    action: str = "interrupt",
) -> None:
    """Cancel a run. With *wait* the server responds when the run has stopped; with *until_ended*, one that has not is waited for.

    Servers refuse to cancel a run that has ended with 404, or with 409. Both are a `NotFoundError`, unless an earlier attempt may
    have cancelled it.
    """
    query = (("wait", int(bool(wait))), ("action", action))
    try:
        response = run_once_or_absent(transport, scope, build("POST", run_path(thread_id, run_id, "cancel"), options, query=query))
        if until_ended and response is not None and response.status == 202:
            _wait_for_end(transport, scope, thread_id, run_id, options)  # the server has not waited
    except ConflictError as error:
        repeated, attempts = scope.may_have_been_executed, scope.attempts
        has_ended = _has_ended(transport, scope, thread_id, run_id, options)
        scope.attempts = attempts  # the request above has counted its own
        if not has_ended:
            raise
        if not repeated:
            raise error._restated(NotFoundError, f"the run has ended: {error.message}") from error
    except ResponseDecodeError:
        # The response to a cancel that waits has values of the graph, of any shape. What it waited for is seen from the run.
        if not (wait and _has_ended(transport, scope, thread_id, run_id, options)):
            raise


def ended_run(transport: Transport, scope: Scope, thread_id: str, run_id: str, options: CommonOptions = NO_OPTIONS) -> Run:
    """Return the run when it has ended. Requests it again and again."""
    rounds = 0
    while True:
        run = get_run(transport, scope, thread_id, run_id, options)
        if run.finished:
            return run
        rounds += 1
        scope.sleep(polling_wait(rounds))


def _wait_for_end(transport: Transport, scope: Scope, thread_id: str, run_id: str, options: CommonOptions) -> None:
    """Return when the run has ended, or does not exist any more."""
    attempts = scope.attempts
    try:
        ended_run(transport, scope, thread_id, run_id, options.headers_only)
    except NotFoundError:
        return  # it was rolled back
    finally:
        scope.attempts = attempts  # the requests have counted their own


def _has_ended(transport: Transport, scope: Scope, thread_id: str, run_id: str, options: CommonOptions) -> bool:
    return scope.unless_failed(lambda: get_run(transport, scope, thread_id, run_id, options.headers_only).finished, False)


def cancel_runs(
    transport: Transport,
    scope: Scope,
    options: CommonOptions = NO_OPTIONS,
    *,
    selection: Mapping[str, Any],
    action: str,
) -> None:
    """Cancel the runs of a *selection*: ``{"status": ...}``, or ``{"thread_id": ..., "run_ids": [...]}``."""
    request = build("POST", runs_path(None, "cancel"), options, query=(("action", action),), body=selection)
    run_once_or_absent(transport, scope, request)


def delete_run(transport: Transport, scope: Scope, thread_id: str, run_id: str, options: CommonOptions = NO_OPTIONS) -> None:
    """Delete a run."""
    run_once_or_absent(transport, scope, build("DELETE", run_path(thread_id, run_id), options))


# -- requests that the caller sends, and repeats, itself


def start_request(
    call: str, thread_id: Optional[str], body: Any, options: CommonOptions = NO_OPTIONS, *, headers: Mapping[str, str]
) -> Request:
    """Return the request that starts a run; *call* is ``create``, ``wait`` or ``stream``. *headers* are added to the caller's."""
    rest = () if call == "create" else (call,)
    return Request(
        method="POST",
        path=runs_path(thread_id, *rest),
        query=options.params,
        body=encode(body),
        headers={**options.headers, **headers},
        creates=True,
        accept="text/event-stream" if call == "stream" else "application/json",
    )


def create_instead_of_wait(request: Request) -> Request:
    """Return the request that creates the same run as *request*, a `start_request` for a wait, and does not wait for its end."""
    path, _, _ = request.path.rpartition("/")
    # What happens when the connection breaks is a matter of the wait alone.
    body = {name: value for name, value in parse(request.body).items() if name != "on_disconnect"}
    return Request(method=request.method, path=path, query=request.query, body=encode(body), headers=request.headers, creates=True)


def created_run(response: Response, thread_id: Optional[str]) -> MarkedRun:
    """Return the run in the response to a create, with its marker. Raise `ResponseDecodeError` if the response does not name it.

    An id that is missing in the body is taken from the headers; the *thread_id* is that of the request, None for a stateless run.
    """
    value = own_record(response)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    ids = ids_from(response.headers)
    value = with_ids(value, run_id=ids.run_id, thread_id=thread_id or ids.thread_id)
    return _marked(decode(value, Run), value)


def _marked(run: Run, value: Any) -> MarkedRun:
    return MarkedRun(run, marker_in(value), is_in_metadata(value), has_metadata(value))


def metadata_of_start(request: Request) -> Any:
    """Return the metadata in a `start_request`, which a server gives to a thread that it creates for the run."""
    return parse(request.body).get("metadata")


def create_batch_request(body: bytes, options: CommonOptions = NO_OPTIONS, *, headers: Mapping[str, str]) -> Request:
    """Return the request that creates several stateless runs; *body* is a JSON list of them."""
    headers = {**options.headers, **headers}
    return Request(method="POST", path=runs_path(None, "batch"), query=options.params, body=body, headers=headers, creates=True)


def create_batch_response(response: Response) -> List[Run]:
    """Return the runs that a `create_batch_request` created."""
    return decode_list(own_record(response), Run)


def join_request(thread_id: str, run_id: str, options: CommonOptions = NO_OPTIONS) -> Request:
    """Return the request to which the server responds when the run has ended."""
    return build("GET", run_path(thread_id, run_id, "join"), options)


def stream_path(thread_id: Optional[str], run_id: str) -> str:
    """Return the path of the events of a run, for `stream_request`."""
    return run_path(thread_id, run_id, "stream")


def thread_stream_path(thread_id: str) -> str:
    """Return the path of the events of all runs of a thread, for `stream_request`."""
    return thread_path(thread_id, "stream")


def stream_request(
    path: str,
    options: CommonOptions = NO_OPTIONS,
    *,
    query: Iterable[Tuple[str, Any]] = (),
    last_event_id: Optional[str] = None,
) -> Request:
    """Return the request for the events after *last_event_id*. *path* is a `stream_path`, or a path that the server sent."""
    headers = dict(options.headers)
    if last_event_id is not None:
        headers["Last-Event-ID"] = as_utf8(last_event_id)
    query = [*query, *options.params]
    return Request(method="GET", path=path, query=query, headers=headers, accept="text/event-stream")

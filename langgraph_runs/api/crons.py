"""The endpoints of crons."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional

from ..call import Scope
from ..http import NO_OPTIONS, CommonOptions, Request, Response, Transport, path_segment
from ..markers import MARKER, marker_in
from ..models import Cron
from ..serialization import decode, decode_list, encode
from .own_response import own_record
from .paths import thread_path
from .request import build, count, fetch_json, run_once_or_absent, search

__all__ = [
    "count_crons",
    "create_cron_request",
    "created_cron",
    "delete_cron",
    "get_cron",
    "search_crons",
    "search_marked_crons",
    "update_cron",
]

_CRONS = "/runs/crons"


def _path(cron_id: str) -> str:
    return f"{_CRONS}/{path_segment(cron_id)}"


def create_cron_request(
    thread_id: Optional[str], body: Mapping[str, Any], options: CommonOptions = NO_OPTIONS, *, headers: Mapping[str, str]
) -> Request:
    """Return the request that creates a cron, of one thread or without. *headers* are added to the caller's."""
    path = _CRONS if thread_id is None else thread_path(thread_id, "runs", "crons")
    return Request(
        method="POST", path=path, query=options.params, body=encode(body), headers={**options.headers, **headers}, creates=True
    )


def created_cron(response: Response) -> Cron:
    """Return the cron in the response to a create."""
    return decode(own_record(response), Cron)


def get_cron(transport: Transport, scope: Scope, cron_id: str, options: CommonOptions = NO_OPTIONS) -> Cron:
    """Return a cron."""
    return decode(fetch_json(transport, scope, build("GET", _path(cron_id), options)), Cron)


def update_cron(
    transport: Transport, scope: Scope, cron_id: str, options: CommonOptions = NO_OPTIONS, *, fields: Mapping[str, Any]
) -> Cron:
    """Change a cron. A field that is None is sent as null."""
    return decode(fetch_json(transport, scope, build("PATCH", _path(cron_id), options, body=fields)), Cron)


def delete_cron(transport: Transport, scope: Scope, cron_id: str, options: CommonOptions = NO_OPTIONS) -> None:
    """Delete a cron."""
    run_once_or_absent(transport, scope, build("DELETE", _path(cron_id), options))


def search_crons(
    transport: Transport, scope: Scope, options: CommonOptions = NO_OPTIONS, *, limit: int, offset: int = 0, **filters: Any
) -> List[Cron]:
    """Return the crons that match the *filters*; see `search`."""
    rows = search(transport, scope, f"{_CRONS}/search", options, "cron_id", limit=limit, offset=offset, **filters)
    return decode_list(rows, Cron)


def search_marked_crons(
    transport: Transport, scope: Scope, marker: str, options: CommonOptions = NO_OPTIONS, *, limit: int
) -> List[Cron]:
    """Return crons, at most *limit*, that have *marker* in their metadata. Other crons in the response are left out."""
    rows = search(transport, scope, f"{_CRONS}/search", options, "cron_id", limit=limit, offset=0, metadata={MARKER: marker})
    return [cron for cron, row in zip(decode_list(rows, Cron), rows) if marker_in(row) == marker]


def count_crons(transport: Transport, scope: Scope, options: CommonOptions = NO_OPTIONS, **filters: Any) -> int:
    """Return the number of crons that match the *filters*."""
    return count(transport, scope, f"{_CRONS}/count", options, **filters)

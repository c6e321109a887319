"""``client.assistants``: what can be run. Read only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence

from ..http import Request, Transport, parse_call_options, path_segment
from ..models import Assistant
from ..options import CallOptions, documented
from ..serialization import decode, decode_body, decode_list, encode
from ..validation import check_choice, check_count, check_id

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["AssistantsClient"]

_SORT_FIELDS = ("assistant_id", "graph_id", "name", "created_at", "updated_at")


class AssistantsClient:
    """The assistants of a server. Got as ``client.assistants``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @documented(CallOptions)
    def get(self, assistant_id: str, **options: Unpack[CallOptions]) -> Assistant:
        """The assistant with this id. Raises `NotFoundError`."""
        given = parse_call_options("get", options)
        path = f"/assistants/{path_segment(check_id('assistant_id', assistant_id))}"
        request = Request(method="GET", path=path, query=given.params, headers=given.headers)
        with given.scope(self._transport) as scope:
            return decode(decode_body(self._transport.call(request, scope).body), Assistant)

    @documented(CallOptions)
    def search(
        self,
        *,
        metadata: Optional[Mapping[str, Any]] = None,
        graph_id: Optional[str] = None,
        name: Optional[str] = None,
        limit: int = 10,
        offset: int = 0,
        sort_by: Optional[str] = None,
        sort_order: Optional[str] = None,
        select: Optional[Sequence[str]] = None,
        **options: Unpack[CallOptions],
    ) -> List[Assistant]:
        """Assistants whose metadata contain what is given; at most *limit*, after skipping *offset*."""
        check_count("limit", limit, least=1)
        check_count("offset", offset, least=0)
        if sort_by is not None:
            check_choice("sort_by", sort_by, _SORT_FIELDS)
        if sort_order is not None:
            check_choice("sort_order", sort_order, ("asc", "desc"))
        body: Dict[str, Any] = {"limit": limit, "offset": offset}
        further = {
            "metadata": metadata,
            "graph_id": graph_id,
            "name": name,
            "sort_by": sort_by,
            "sort_order": sort_order,
            "select": None if select is None else list(select),
        }
        body.update((key, value) for key, value in further.items() if value is not None)
        given = parse_call_options("search", options)
        request = Request(method="POST", path="/assistants/search", query=given.params, body=encode(body), headers=given.headers)
        with given.scope(self._transport) as scope:
            rows = decode_body(self._transport.call(request, scope).body)
        if select is not None and "assistant_id" not in select and isinstance(rows, list):
            rows = [{"assistant_id": "", **row} if isinstance(row, dict) else row for row in rows]
        return decode_list(rows, Assistant)

"""``client.assistants``: what can be run. Read only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Sequence

from .. import api
from ..http import Transport, parse_call_options
from ..models import Assistant
from ..options import CallOptions, documented
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
        check_id("assistant_id", assistant_id)
        common = parse_call_options("get", options)
        with common.scope(self._transport) as scope:
            return api.get_assistant(self._transport, scope, str(assistant_id), common)

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
        common = parse_call_options("search", options)
        with common.scope(self._transport) as scope:
            return api.search_assistants(
                self._transport,
                scope,
                common,
                limit=limit,
                offset=offset,
                metadata=metadata,
                graph_id=graph_id,
                name=name,
                sort_by=sort_by,
                sort_order=sort_order,
                select=None if select is None else list(select),
            )

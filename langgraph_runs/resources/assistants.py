"""``client.assistants``: the graphs that a server can run, with their configuration. Read only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Sequence

from .. import api
from ..models import Assistant
from ..options import CallOptions, documented
from ..validation import check_id
from .resource import Resource, check_search

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["AssistantsClient"]

_SORT_FIELDS = ("assistant_id", "graph_id", "name", "created_at", "updated_at")


class AssistantsClient(Resource):
    """The assistants of a server, as ``client.assistants``."""

    @documented(CallOptions)
    def get(self, assistant_id: str, **options: Unpack[CallOptions]) -> Assistant:
        """Return an assistant. Raises `NotFoundError`."""
        assistant_id = check_id("assistant_id", assistant_id)
        with self._call("get", options) as (scope, common):
            return api.get_assistant(self._transport, scope, assistant_id, common)

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
        """Return assistants whose metadata contain those given: at most *limit*, after skipping *offset*."""
        check_search(limit, offset, sort_by=sort_by, sort_order=sort_order, sort_fields=_SORT_FIELDS)
        with self._call("search", options) as (scope, common):
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

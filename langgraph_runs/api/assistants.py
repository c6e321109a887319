"""The endpoints of assistants."""

from __future__ import annotations

from typing import Any, List

from ..call import Scope
from ..http import NO_OPTIONS, CommonOptions, Transport, path_segment
from ..models import Assistant
from ..serialization import decode, decode_list
from .request import build, fetch_json, search

__all__ = ["get_assistant", "search_assistants"]


def get_assistant(transport: Transport, scope: Scope, assistant_id: str, options: CommonOptions = NO_OPTIONS) -> Assistant:
    """Return an assistant."""
    return decode(fetch_json(transport, scope, build("GET", f"/assistants/{path_segment(assistant_id)}", options)), Assistant)


def search_assistants(
    transport: Transport, scope: Scope, options: CommonOptions = NO_OPTIONS, *, limit: int, offset: int = 0, **filters: Any
) -> List[Assistant]:
    """Return the assistants that match the *filters*; see `search`."""
    rows = search(transport, scope, "/assistants/search", options, "assistant_id", limit=limit, offset=offset, **filters)
    return decode_list(rows, Assistant)

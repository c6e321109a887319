"""The endpoints of assistants."""

from __future__ import annotations

from typing import Any, List

from ..call import Scope
from ..http import NO_OPTIONS, CommonOptions, Transport, path_segment
from ..models import Assistant
from ..serialization import decode, decode_list
from .request import build, fetch_json, given, with_required

__all__ = ["get_assistant", "search_assistants"]


def get_assistant(transport: Transport, scope: Scope, assistant_id: str, options: CommonOptions = NO_OPTIONS) -> Assistant:
    """One assistant."""
    return decode(fetch_json(transport, scope, build("GET", f"/assistants/{path_segment(assistant_id)}", options)), Assistant)


def search_assistants(
    transport: Transport, scope: Scope, options: CommonOptions = NO_OPTIONS, *, limit: int, offset: int = 0, **filters: Any
) -> List[Assistant]:
    """Return the assistants that match the *filters*, which are fields of the request body. A filter that is None is not sent."""
    body = {"limit": limit, "offset": offset, **given(**filters)}
    rows = fetch_json(transport, scope, build("POST", "/assistants/search", options, body=body))
    return decode_list(with_required(rows, filters.get("select"), {"assistant_id": ""}), Assistant)

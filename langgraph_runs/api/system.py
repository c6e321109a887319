"""The endpoints about the server itself."""

from __future__ import annotations

from ..call import Scope
from ..http import NO_OPTIONS, CommonOptions, Response, Transport
from ..models import ServerInfo
from ..serialization import decode
from .own_response import check_done, check_json
from .request import build, fetch_json

__all__ = ["PROBES", "get_info", "get_ok", "probe"]

#: What shows that a server is there, the best first. Not every server has each.
PROBES = ("/ok", "/info", "/assistants/search")


def get_ok(transport: Transport, scope: Scope, options: CommonOptions = NO_OPTIONS) -> Response:
    """Request ``/ok`` and return the response, which is the API's and reports no error."""
    response = transport.call(build("GET", "/ok", options), scope)
    check_done(response)
    return response


def probe(transport: Transport, scope: Scope, path: str) -> Response:
    """Request one of `PROBES`, and return the response, which is the API's own."""
    if path == PROBES[0]:
        return get_ok(transport, scope)
    searches = path.endswith("/search")
    response = transport.call(build("POST", path, body={"limit": 1}) if searches else build("GET", path), scope)
    check_json(response, list if searches else dict)
    return response


def get_info(transport: Transport, scope: Scope, options: CommonOptions = NO_OPTIONS) -> ServerInfo:
    """Return the server's version and features."""
    return decode(fetch_json(transport, scope, build("GET", "/info", options)), ServerInfo)

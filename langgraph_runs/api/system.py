"""The endpoints about the server itself."""

from __future__ import annotations

from ..call import Scope
from ..http import NO_OPTIONS, CommonOptions, Response, Transport
from ..models import ServerInfo
from ..serialization import decode
from .own_response import check_done
from .request import build, fetch_json

__all__ = ["get_info", "get_ok"]


def get_ok(transport: Transport, scope: Scope, options: CommonOptions = NO_OPTIONS) -> Response:
    """Request ``/ok`` and return the response, which is the API's and reports no error."""
    response = transport.call(build("GET", "/ok", options), scope)
    check_done(response)
    return response


def get_info(transport: Transport, scope: Scope, options: CommonOptions = NO_OPTIONS) -> ServerInfo:
    """Return the server's version and features."""
    return decode(fetch_json(transport, scope, build("GET", "/info", options)), ServerInfo)

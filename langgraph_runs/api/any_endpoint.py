"""A request to any endpoint, for what no other function of this package does."""

from __future__ import annotations

import re
from typing import Any

from ..call import Scope, states_absence
from ..errors import InvalidRequestError, NotFoundError
from ..http import NO_OPTIONS, CommonOptions, Transport
from .own_response import check_done, own_json
from .paths import has_dots
from .request import NO_BODY, build

__all__ = ["check_method", "check_path", "is_idempotent", "request_json"]

#: The methods whose requests may be sent twice, as HTTP defines them (RFC 9110, 9.2.2).
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_PATH = re.compile(r"/(?!/)[!-~]*\Z")


def check_method(method: Any) -> str:
    """Return *method* in capitals, if it is one that may be sent."""
    text = method.upper() if isinstance(method, str) else ""
    if text not in _METHODS:
        raise InvalidRequestError(f"method: give one of {', '.join(_METHODS)}")
    return text


def check_path(path: Any) -> str:
    """Return *path* if it stays below the URL of the server, and is encoded.

    >>> check_path("/threads/0d9f/state?subgraphs=true")
    Traceback (most recent call last):
    ...
    langgraph_runs.InvalidRequestError: path: give the query as params=
    """
    if not isinstance(path, str) or not path.startswith("/"):
        raise InvalidRequestError("path: give the part after the server's url, which begins with '/'")
    if "?" in path or "#" in path:
        raise InvalidRequestError("path: give the query as params=")
    if not _PATH.match(path) or "\\" in path:
        raise InvalidRequestError("path: encode each part of it with urllib.parse.quote(part, safe='')")
    if has_dots(path):
        raise InvalidRequestError("path: a part of it must not be '.' or '..'")
    return path


def is_idempotent(method: str) -> bool:
    """Return True if HTTP defines that a request with this method may be sent twice."""
    return method in _IDEMPOTENT


def request_json(
    transport: Transport,
    scope: Scope,
    method: str,
    path: str,
    options: CommonOptions = NO_OPTIONS,
    *,
    body: Any = NO_BODY,
    idempotent: bool,
) -> Any:
    """Send a request and return the JSON of the response; None if the response has no body.

    It is repeated after any transient failure if it is *idempotent*, else only if it was surely not executed.
    """
    request = build(method, path, options, body=body, creates=not idempotent)
    try:
        response = transport.call(request, scope)
    except NotFoundError as error:
        if method == "DELETE" and scope.may_have_been_executed and states_absence(error):
            return None  # an earlier attempt has deleted it
        raise
    if not response.body.strip():
        check_done(response)
        return None
    return own_json(response)

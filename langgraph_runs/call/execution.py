"""What a failed attempt says about the server: was the request executed, and may the same request succeed a little later?

Every repeated request, and every run that is reported as uncertain, is decided by these two questions, and only here. *Unknown* is
the default: only the evidence in the table of `execution_of` makes an attempt certain.
"""

from __future__ import annotations

import enum
import re
from typing import Collection

from ..errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    DeadlineExceededError,
    InvalidRequestError,
    LangGraphRunsError,
    ResponseDecodeError,
    RunError,
    StreamInterruptedError,
)

__all__ = [
    "Execution",
    "execution_of",
    "has_api_shape",
    "is_refusal",
    "is_surely_not_executed",
    "is_timeout",
    "is_transient",
    "may_lack_route",
    "states_absence",
    "states_no_route",
]

#: Statuses with which a server, or a gateway before it, refuses or redirects a request without executing it. Any other error status
#: proves nothing: 408, 499 and the 5xx of gateways are also sent for requests that are being executed.
_REFUSALS = frozenset(
    {400, 401, 402, 403, 404, 405, 406, 407, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418}
    | {421, 422, 423, 424, 425, 426, 428, 429, 431, 451}
)
#: The status that leads to the result of a request which was executed, or to a page of a gateway.
_SEE_OTHER = 303
_PATH_OF_RUN = re.compile(r"/runs/(?!(?:wait|stream|batch|cancel)\b)[^/?#]")
#: Statuses that gateways send for servers that they cannot reach.
_GATEWAYS = frozenset({502, 503, 504, *range(520, 531)})
#: Statuses that refuse a request which the server would execute at another time.
_OVERLOAD = frozenset({429, 503})
#: Statuses with which a server responds that does not have the route.
_NO_ROUTE = frozenset({404, 405})
#: Statuses with which a server or a gateway says that it has waited too long.
_TIMEOUTS = frozenset({408, 499, 504, 522, 524})
#: A 404 of the API names what does not exist: "Thread with ID 0d9f not found", "Run not found", "No runs found to cancel".
_NAMES_THE_ABSENT = re.compile(r"\b(threads?|runs?|assistants?|crons?|items?)\b", re.IGNORECASE)
#: A 404 of a gateway, or for an unknown route, is about a page or a path, or is markup.
_IS_ABOUT_A_PAGE = re.compile(
    r"[/<>]|\b(routes?|ur[il]s?|paths?|pages?|endpoints?|methods?|hosts?|upstreams?|backends?|services?|servers?|applications?)\b",
    re.IGNORECASE,
)
#: What frameworks say of an unknown route, in the language of HTTP.
_SAYS_NO_ROUTE = re.compile(
    r"(404:? ?)?((page|route|url|endpoint|resource) )?not found\.?|method not allowed\.?|not implemented\.?|cannot (get|post) \S+",
    re.IGNORECASE,
)


class Execution(enum.Enum):
    """Whether the server executed the request of a failed attempt."""

    #: Nothing was sent, or the request was refused before it had any effect.
    NOT_EXECUTED = "not executed"
    #: The response was lost, or does not say whether the request was executed.
    UNKNOWN = "unknown"
    #: The response came from the application itself, after it had begun to execute the request.
    EXECUTED = "executed"


def execution_of(error: LangGraphRunsError) -> Execution:
    """Return whether the server executed the request of an attempt that ended with *error*.

    ===========================================================  =====================
    evidence                                                     conclusion
    ===========================================================  =====================
    refused by the client (`InvalidRequestError`)                not executed
    ``sent`` is False: no connection, or nothing written to it   not executed
    a status that refuses (3xx, 4xx but 408 and 499)             not executed
    303 to the path of a run                                     unknown
    501 and 505 in the API's shape; 503 with ``Retry-After``     not executed
    5xx in the API's shape, but 502 to 504 and 520 to 530        executed
    a 2xx of the API that has another shape, a `RunError`        executed
    everything else                                              unknown
    ===========================================================  =====================

    >>> execution_of(APIStatusError("busy", status_code=409)).value, execution_of(APIStatusError("?", status_code=524)).value
    ('not executed', 'unknown')
    """
    if isinstance(error, InvalidRequestError):
        return Execution.NOT_EXECUTED
    if isinstance(error, APIStatusError):
        if (
            error.status_code in _REFUSALS
            or (300 <= error.status_code < 400 and not _leads_to_run(error))
            or (error.status_code in (501, 505) and has_api_shape(error))
            or (error.status_code == 503 and error.retry_after is not None)
        ):
            return Execution.NOT_EXECUTED
        own = error.status_code >= 500 and error.status_code not in _GATEWAYS and has_api_shape(error)
        return Execution.EXECUTED if own else Execution.UNKNOWN
    if isinstance(error, ResponseDecodeError) and error.sent is None:
        return Execution.UNKNOWN  # the response is not the API's
    if isinstance(error, (ResponseDecodeError, RunError)):
        return Execution.EXECUTED
    if isinstance(error, APIConnectionError) and error.sent is False:
        return Execution.NOT_EXECUTED
    return Execution.UNKNOWN


def _leads_to_run(error: APIStatusError) -> bool:
    """Return True if a redirect leads to a run, which the request may have created."""
    return error.status_code == _SEE_OTHER and bool(_PATH_OF_RUN.search(error.headers.get("location", "")))


def has_api_shape(error: APIStatusError) -> bool:
    """Return True if an error of a server is the API's: a JSON object with its text in ``detail`` or ``error``.

    What stands in front of a server sends pages, text, or JSON with ``message`` alone.
    """
    return isinstance(error.body, dict) and bool(error.body.get("detail") or error.body.get("error"))


def is_transient(error: LangGraphRunsError, statuses: Collection[int]) -> bool:
    """Return True if the same request may succeed a little later; *statuses* are those of the `RetryPolicy`.

    A 409 is never transient: something else owns what the request is about, and only the caller knows whether to wait for it.
    This does not allow sending it again. A request that must not be executed twice may be sent again only if
    `is_surely_not_executed` is true of the failed attempt as well.
    """
    if isinstance(error, APIStatusError):
        return error.status_code in statuses and error.status_code != 409
    lasting = (DeadlineExceededError, ResponseDecodeError, StreamInterruptedError)
    return isinstance(error, APIConnectionError) and not isinstance(error, lasting)


def is_surely_not_executed(error: LangGraphRunsError) -> bool:
    """Return True if there is evidence that the server did not execute the request (see `execution_of`)."""
    return execution_of(error) is Execution.NOT_EXECUTED


def is_refusal(error: LangGraphRunsError) -> bool:
    """Return True if the server, or a gateway before it, refuses the request only because of its load: 429, or 503.

    A 503 without ``Retry-After`` does not prove that the request was not executed (see `execution_of`).
    """
    return isinstance(error, APIStatusError) and error.status_code in _OVERLOAD


def is_timeout(error: LangGraphRunsError) -> bool:
    """Return True if the request of *error* may still be executed, since only the time for its response was over.

    The time of this client, or of a gateway, as 408, 499, 504, 522 and 524 say. The request may still wait in a queue.
    """
    if isinstance(error, APIStatusError):
        return error.status_code in _TIMEOUTS
    return isinstance(error, APITimeoutError) and error.sent is not False


def may_lack_route(error: LangGraphRunsError) -> bool:
    """Return True if the server may not have the route of the request: 404, or 405 if it has another one with the same path.

    A 404 may also be about the thread or the run (see `states_absence`), or come from a gateway.
    """
    return isinstance(error, APIStatusError) and error.status_code in _NO_ROUTE


def states_no_route(error: LangGraphRunsError) -> bool:
    """Return True if *error* is what web frameworks say of a route that they do not have, or a gateway of a path.

    >>> [states_no_route(APIStatusError(text, status_code=404)) for text in ("Not Found", "Thread 0d9f not found")]
    [True, False]
    """
    return (
        isinstance(error, APIStatusError)
        and error.status_code in (*_NO_ROUTE, 501)
        and _SAYS_NO_ROUTE.fullmatch(error.message.strip()) is not None
    )


def states_absence(error: LangGraphRunsError) -> bool:
    """Return True if *error* is the API's own statement that a run, a thread, an assistant, a cron or an item does not exist.

    A 404 alone is no evidence: a gateway sends one while the server is away, and so does a server that does not have the route.
    The evidence is its text, which names the kind of thing that does not exist. Texts such as ``Not Found``, pages, and texts about
    a path are no statement. Servers that say no more than ``Not Found`` for a run are therefore not believed: request its thread.

    >>> [states_absence(APIStatusError(text, status_code=404)) for text in ("Thread with ID 0d9f not found", "Not Found")]
    [True, False]
    """
    if not isinstance(error, APIStatusError) or error.status_code != 404 or "html" in error.headers.get("content-type", ""):
        return False
    if isinstance(error.body, str) and "<" in error.body:
        return False
    return bool(_NAMES_THE_ABSENT.search(error.message)) and not _IS_ABOUT_A_PAGE.search(error.message)

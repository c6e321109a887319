"""Decides whether a successful response comes from the API itself. Sends nothing.

A status of 200 proves little: login pages, challenge pages and error pages of gateways have it too. So a call succeeds only if the
response has a shape that the API uses. A response of any other shape leaves open whether the server received the request.
"""

from __future__ import annotations

from typing import Any

from ..errors import ResponseDecodeError, shortened
from ..http import Response, error_text
from ..models import kind_of
from ..serialization import decode_body

__all__ = ["check_done", "check_json", "own_json", "own_record"]

_PAGES = frozenset({"text/html", "application/xhtml+xml"})
#: The statuses with which servers confirm a cancel or a delete without a body.
_CONFIRMS = frozenset({200, 202, 204})
#: The fields of an object that is nothing but a report of an error, or of a success.
_REPORT = frozenset(
    {"code", "detail", "details", "error", "error_code", "errors", "message", "msg", "ok", "reason", "request_id", "requestId"}
    | {"status", "statusCode", "status_code", "success", "timestamp", "title", "type"}
)
#: Characters of a foreign page in a message.
_SHOWN = 200


def own_json(response: Response) -> Any:
    """Return the JSON value in the body of a response that must have one.

    Raise `ResponseDecodeError` with ``sent=None`` if the response is not the API's: it neither is JSON nor claims to be. Then it is
    not known who has sent it, and whether the server received the request. JSON that is malformed raises it with ``sent=True``.
    """
    if response.status in (204, 205):
        raise _not_own(response, "it has no body, and the API sends JSON here")
    try:
        return decode_body(response.body)
    except ResponseDecodeError as error:
        if _claims_json(response):
            raise
        why = f"it is a page: {_page_text(response)!r}" if _media_type(response) in _PAGES else error._text
        raise _not_own(response, why, error.problems[0]) from error


def own_record(response: Response) -> Any:
    """Return the JSON of a response that has records. Raise as `own_json` does, also for an object that only reports an error."""
    value = own_json(response)
    if _reports_error(value):
        raise _not_own(response, f"it reports {_error_shown(value)}")
    return value


def check_json(response: Response, kind: type) -> None:
    """Return if *response* is the API's own, with a *kind* (list or dict) that reports no error. Else raise, as `own_json` does."""
    value = own_record(response)
    if not isinstance(value, kind):
        raise _not_own(response, f"it is {kind_of(value)}: {_error_shown(value)}")


def check_done(response: Response) -> None:
    """Return if *response* is the API's own confirmation of a request that has no result. Else raise, as `own_json` does.

    The evidence, as recorded from servers: 200, 202 or 204 with an empty body; or JSON that does not report an error, such as
    ``{}``, the cancelled run, the values of the thread, ``{"status": "deleted"}`` or ``{"ok": true}``.
    """
    if not response.body.strip() and response.status in _CONFIRMS and _media_type(response) not in _PAGES:
        return
    value = own_json(response)
    if not (value is None or isinstance(value, dict) or _claims_json(response)):
        raise _not_own(response, f"its content type is {shortened(_media_type(response), _SHOWN)!r}")
    if value is False or _reports_error(value):
        raise _not_own(response, f"it reports {_error_shown(value)}")


def _not_own(response: Response, why: str, problem: str = "") -> ResponseDecodeError:
    return ResponseDecodeError(
        f"the response, with status {response.status}, is not the API's: {why}; whether the server acted is not known",
        sent=None,
        problems=(problem or f"$: {why}",),
        status_code=response.status,
        body=response.body.decode("utf-8", "replace"),
    )


def _media_type(response: Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _claims_json(response: Response) -> bool:
    media_type = _media_type(response)
    return media_type == "application/json" or media_type.endswith("+json")


def _page_text(response: Response) -> str:
    return shortened(error_text(response.body.decode("utf-8-sig", "replace")), _SHOWN)


def _reports_error(value: Any) -> bool:
    if not isinstance(value, dict) or not value.keys() <= _REPORT:
        return False
    failed = value.get("ok") is False or value.get("success") is False
    return failed or any(value.get(name) for name in ("error", "errors", "error_code", "detail"))


def _error_shown(value: Any) -> str:
    return repr(shortened(error_text(value), _SHOWN))

"""Which successful responses are the API's own. What real servers send is in recorded_responses.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import pytest

from langgraph_runs.api.own_response import check_done, own_json
from langgraph_runs.call.execution import Execution, execution_of
from langgraph_runs.errors import ResponseDecodeError
from langgraph_runs.http import Response

#: Each has the server, the call, and the status, content type and body of the response.
RECORDED: List[Dict[str, Any]] = json.loads((Path(__file__).parent / "recorded_responses.json").read_text("utf-8"))
PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please &quot;sign in&quot;</body></html>"
SUCCESSES = [item for item in RECORDED if item["status"] < 300]
ACTIONS = [item for item in SUCCESSES if item["call"].startswith(("cancel", "run delete", "thread delete", "ok"))]


def response(body: Any, content_type: Any = "application/json", status: int = 200) -> Response:
    """A response with this body."""
    headers = {} if content_type is None else {"content-type": content_type}
    return Response(status, headers, body if isinstance(body, bytes) else body.encode())


def named(item: Dict[str, Any]) -> str:
    return f"{item['server']}: {item['call']}"


@pytest.mark.parametrize("item", ACTIONS, ids=named)
def test_what_servers_confirm_with_is_a_confirmation(item: Dict[str, Any]) -> None:
    """Each recorded response to a cancel, a delete and ok is accepted as it came."""
    check_done(response(item["body"], item["type"], item["status"]))


@pytest.mark.parametrize("item", [item for item in SUCCESSES if item["body"]], ids=named)
def test_what_servers_return_is_json(item: Dict[str, Any]) -> None:
    """Each recorded result is read."""
    assert json.loads(item["body"]) == own_json(response(item["body"], item["type"], item["status"]))


def test_the_recorded_ones_are_many() -> None:
    """The tests above have something to test: three servers, and confirmations of each kind."""
    assert {"python", "javascript", "aegra"} == {item["server"] for item in ACTIONS}
    assert {200, 202, 204} == {item["status"] for item in ACTIONS}


@pytest.mark.parametrize(
    "foreign",
    [
        response(PAGE, "text/html; charset=utf-8"),
        response(PAGE, "application/xhtml+xml", 202),
        response(PAGE, None),
        response(b"", "text/html", 202),
        response(b"", None, 205),
        response("accepted", "text/plain"),
        response('"accepted"', "text/plain"),
        response(b"\xff\xfe", None),
        response('{"error": "login required"}'),
        response('{"success": false}'),
        response('{"ok": false, "status": "draining"}'),
        response('{"detail": "Unauthorized", "status": 200}'),
    ],
    ids=repr,
)
def test_anything_else_is_no_confirmation(foreign: Response) -> None:
    """It is unknown whether the server acted, and the error says so."""
    with pytest.raises(ResponseDecodeError, match="is not the API's.*whether the server acted is not known") as caught:
        check_done(foreign)
    error = caught.value
    assert (None, foreign.status, foreign.body.decode("utf-8", "replace")) == (error.sent, error.status_code, error.body)
    assert Execution.UNKNOWN is execution_of(error)


@pytest.mark.parametrize(
    "foreign", [response(PAGE, "text/html"), response("", None), response("", None, 204), response("OK", None)]
)
def test_a_result_must_be_json(foreign: Response) -> None:
    """A page and an empty body are no result, whatever the status."""
    with pytest.raises(ResponseDecodeError, match="is not the API's") as caught:
        own_json(foreign)
    assert caught.value.sent is None


def test_malformed_json_is_of_the_api() -> None:
    """A response that claims to be JSON, and is not, comes from the server: the request was executed."""
    with pytest.raises(ResponseDecodeError) as caught:
        own_json(response('{"run_id": '))
    assert caught.value.sent is True
    assert Execution.EXECUTED is execution_of(caught.value)


def test_the_text_of_a_page_is_shown_and_the_page_is_kept() -> None:
    """A message has the page's text, not its markup; the body is whole, and not in the repr."""
    page = PAGE.replace("Please", "Please " * 10_000)
    with pytest.raises(ResponseDecodeError, match="Sign in") as caught:
        own_json(response(page, "text/html"))
    assert page == caught.value.body
    assert len(str(caught.value)) < 500
    assert len(repr(caught.value)) < 2_000

"""client.request: what is repeated, and what is a response."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from langgraph_runs import APIConnectionError, InvalidRequestError, NotFoundError, ResponseDecodeError

from .played import Reply, client_of, reply

LOST = requests.ConnectionError("reset")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_idempotent_methods_are_repeated(method: str) -> None:
    """As HTTP defines them; unless the caller says otherwise."""
    client, played = client_of(LOST, reply({"n": 1}))
    assert {"n": 1} == client.request(method.lower(), "/any")
    assert [f"{method} /any"] * 2 == played.asked

    client, played = client_of(LOST)
    with pytest.raises(APIConnectionError):
        client.request(method, "/any", idempotent=False)
    assert 1 == len(played.requests)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_other_methods_are_sent_once(method: str) -> None:
    """Unless the caller says that they may be repeated, or they were surely not executed."""
    client, played = client_of(LOST)
    with pytest.raises(APIConnectionError):
        client.request(method, "/any", json={})
    assert 1 == len(played.requests)

    client, played = client_of(LOST, reply([1]))
    assert [1] == client.request(method, "/any", json={}, idempotent=True)
    client, played = client_of(Reply(503, b"", {"retry-after": "0"}), reply([1]))
    assert [1] == client.request(method, "/any", json={})


def test_body_query_and_headers() -> None:
    """JSON as for the input of a run; no body without json; the query as params."""
    client, played = client_of(reply(1), reply(2), headers={"x-team": "tides"})
    assert 1 == client.request("POST", "/a%2Fb", json={"at": {1}}, params={"q": ["a", "b"], "flag": True}, headers={"x-job": "7"})
    assert 2 == client.request("POST", "/c")

    first, second = played.requests
    assert ["POST /a%2Fb?q=a&q=b&flag=true", "POST /c"] == played.asked
    assert ({"at": [1]}, None) == (played.body(0), second.body)
    assert ("tides", "7", "application/json") == tuple(first.headers[name] for name in ("x-team", "x-job", "Content-Type"))


@pytest.mark.parametrize(
    ("response", "value"),
    [
        (reply(None), None),
        (reply(False), False),
        (reply({"error": "of the application"}), {"error": "of the application"}),
        (Reply(204, b""), None),
        (Reply(202, b""), None),
        (Reply(200, b" \n"), None),
    ],
)
def test_what_is_returned(response: Reply, value: Any) -> None:
    """The JSON as it is; None for no body."""
    assert value == client_of(response)[0].request("GET", "/any")


@pytest.mark.parametrize(
    "response",
    [
        Reply(200, b"<html>Sign in</html>", {"content-type": "text/html"}),
        Reply(200, b"", {"content-type": "text/html"}),
        Reply(205, b""),
        Reply(200, b"accepted", {"content-type": "text/plain"}),
    ],
)
def test_what_is_no_response(response: Reply) -> None:
    """A page of a gateway is not taken for a success."""
    with pytest.raises(ResponseDecodeError):
        client_of(response)[0].request("POST", "/any")


def test_a_repeated_delete() -> None:
    """The server's own statement that it does not exist is a success, if an earlier attempt may have deleted it; a page is not."""
    absent = reply({"detail": "Thread with ID x not found"}, 404)
    assert client_of(LOST, absent)[0].request("DELETE", "/threads/x") is None
    for answers in ([absent], [LOST, reply({"detail": "Not Found"}, 404)]):
        with pytest.raises(NotFoundError):
            client_of(*answers)[0].request("DELETE", "/threads/x")


def test_wrong_arguments() -> None:
    """Refused before anything is sent."""
    client, played = client_of()
    wrong: Any = [
        ("GET", "/ok", {"idempotent": "yes"}),
        (None, "/ok", {}),
        ("GET", None, {}),
        ("POST", "/ok", {"json": float("nan")}),
    ]
    for method, path, options in wrong:
        with pytest.raises(InvalidRequestError):
            client.request(method, path, **options)
    assert [] == played.requests

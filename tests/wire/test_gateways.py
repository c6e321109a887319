"""The gateways of tests/gateways.py do what they say, in front of a scripted server, as a plain HTTP client sees it."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from ..gateways import (
    BackendAway,
    ChangedRequestId,
    CleanEnd,
    Exchange,
    Gateway,
    GivesUp,
    HeldBack,
    LoginPage,
    OwnDate,
    RateLimit,
    creates,
)
from .scripted import ScriptedServer, chunked, reply_json, stall

ID = "3f2b8c1e-1d2c-4f5a-9b7e-0123456789ab"


class Plain:
    """A connection to a gateway."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def backend() -> Iterator[ScriptedServer]:
    with ScriptedServer(always=reply_json(200, {"k": 1})) as server:
        yield server


def through(gateway: Gateway, *calls: tuple[Any, ...], **headers: str) -> list[tuple[int, dict[str, str], bytes]]:
    plain = Plain(gateway.url)
    try:
        return [plain(*call, **headers) for call in calls]
    finally:
        plain.close()


def test_everything_is_passed_on(backend: ScriptedServer) -> None:
    """On one connection of the client: method, target, headers, body and response."""
    with Gateway(backend.url) as gateway:
        got = through(gateway, ("POST", "/threads/1/runs?a=b", b'{"x": 1}'), ("GET", "/ok"), Accept="application/json")
    assert [(200, b'{"k":1}')] * 2 == [(status, body.replace(b" ", b"")) for status, _, body in got]
    first, second = backend.requests
    assert (b"POST /threads/1/runs?a=b HTTP/1.1", b'{"x": 1}') == (first.line, first.body)
    assert (b"GET /ok HTTP/1.1", b"", "application/json") == (second.line, second.body, second.header("accept"))
    assert [("POST", True, 200), ("GET", True, 200)] == [(one.method, one.passed, one.status) for one in gateway.exchanges]


def test_a_request_id_is_changed(backend: ScriptedServer) -> None:
    """One digit of it, or all; of the requests that the habit names only."""
    with Gateway(backend.url, ChangedRequestId(when=creates, every=2)) as gateway:
        through(gateway, ("POST", "/threads/1/runs"), ("GET", "/ok"), ("POST", "/threads/1/runs/wait"), **{"X-Request-Id": ID})
    changed, other, second = [str(request.header("x-request-id")) for request in backend.requests]
    assert [ID, ID] == [other, second]
    assert 1 == sum(a != b for a, b in zip(changed, ID))
    with Gateway(backend.url, ChangedRequestId(replaced=True)) as gateway:
        through(gateway, ("GET", "/ok"), **{"X-Request-Id": ID})
    assert backend.requests[-1].header("x-request-id") not in (ID, changed, None)


@pytest.mark.parametrize(
    ("habit", "status", "text"),
    [
        (BackendAway(404), 404, b"<html>"),
        (BackendAway(404, own_page=False), 404, b'{"detail":"Not Found"}'),
        (BackendAway(523), 523, b"<html>"),
        (RateLimit(429), 429, b"<html>"),
        (RateLimit(503), 503, b"<html>"),
        (LoginPage(), 200, b"<!doctype html>"),
    ],
)
def test_responses_of_its_own(backend: ScriptedServer, habit: Any, status: int, text: bytes) -> None:
    """The backend gets no request, and there is no word about when to try again."""
    with Gateway(backend.url, habit) as gateway:
        ((found, headers, body),) = through(gateway, ("POST", "/threads/1/runs", b"{}"))
    assert status == found
    assert body.startswith(text)
    assert "retry-after" not in headers
    assert [] == backend.requests
    assert [(False, status)] == [(one.passed, one.status) for one in gateway.exchanges]


def test_a_habit_is_done_so_many_times(backend: ScriptedServer) -> None:
    habit = BackendAway(502, times=2, every=2)
    with Gateway(backend.url, habit) as gateway:
        got = through(gateway, *[("GET", "/ok")] * 6)
    assert [502, 200, 502, 200, 200, 200] == [status for status, _, _ in got]
    assert 2 == habit.done


def test_giving_up() -> None:
    """The backend has the request when the client gets the error."""
    with ScriptedServer(stall()) as backend, Gateway(backend.url, GivesUp(524, 0.2)) as gateway:
        ((status, _, _),) = through(gateway, ("POST", "/threads/1/runs/wait", b"{}"))
        assert 524 == status
        assert 1 == len(backend.requests)
        assert [True] == [one.passed for one in gateway.passed("POST", "/runs/wait")]


def test_a_backend_that_is_not_there(backend: ScriptedServer) -> None:
    url = backend.url
    backend.close()
    with Gateway(url) as gateway:
        assert [502] == [status for status, _, _ in through(gateway, ("GET", "/ok"))]


def test_a_broken_body() -> None:
    """It is broken for the client too; with CleanEnd it has a proper end."""
    with ScriptedServer(always=chunked(b"one", b"two").then_cut()) as backend:
        with Gateway(backend.url) as gateway, pytest.raises(http.client.IncompleteRead):
            through(gateway, ("GET", "/ok"))
        with Gateway(backend.url, CleanEnd()) as gateway:
            assert [b"onetwo"] == [body for _, _, body in through(gateway, ("GET", "/ok"))]


def test_a_body_that_is_ended_early(backend: ScriptedServer) -> None:
    with Gateway(backend.url, CleanEnd(3, times=1)) as gateway:
        got = through(gateway, ("GET", "/ok"), ("GET", "/ok"))
    assert [3, len(got[1][2])] == [len(body) for _, _, body in got]
    assert len(got[1][2]) > 3


def test_the_date(backend: ScriptedServer) -> None:
    with Gateway(backend.url, OwnDate(-600)) as gateway:
        ((_, headers, _),) = through(gateway, ("GET", "/ok"))
    assert -660 < parsedate_to_datetime(headers["date"]).timestamp() - time.time() < -540
    with Gateway(backend.url, OwnDate(None)) as gateway:
        ((_, headers, _),) = through(gateway, ("GET", "/ok"))
    assert "date" not in headers


def test_a_response_is_held_back() -> None:
    """Nothing comes before the end of the body."""
    with ScriptedServer(chunked(b"one", 0.3, b"two")) as backend, Gateway(backend.url, HeldBack()) as gateway:
        connection = http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=20)
        connection.request("GET", "/ok")
        began = time.monotonic()
        response = connection.getresponse()
        assert time.monotonic() - began > 0.2
        assert b"onetwo" == response.read()
        connection.close()


def test_a_client_that_goes() -> None:
    """The gateway ends its request to the backend then."""
    with ScriptedServer(stall()) as backend, Gateway(backend.url) as gateway:
        connection = http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=20)
        connection.request("GET", "/ok")
        (request,) = backend.wait_for(1)
        connection.close()
        assert request.client_disconnected.wait(10)


def test_creates() -> None:
    def exchange(method: str, target: str) -> Exchange:
        return Exchange(0, method, target, [], b"")

    assert all(
        creates(exchange("POST", path)) for path in ("/threads/1/runs", "/runs/wait", "/threads/1/runs/stream?x=1", "/runs/batch")
    )
    assert not any(
        creates(exchange(*given)) for given in (("GET", "/threads/1/runs"), ("POST", "/threads"), ("POST", "/runs/cancel"))
    )

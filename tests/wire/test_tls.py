"""TLS, and tunnels through proxies: that calls work there, and keep to their limits before the connection is there."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Dict, NamedTuple

import pytest
import requests
from requests.adapters import HTTPAdapter

from langgraph_runs import (
    AbortController,
    AbortedError,
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    Client,
    DeadlineExceededError,
    RetryPolicy,
)
from langgraph_runs.testing import FakeRuns, fake_server, succeeds

from .tls import Front

trustme = pytest.importorskip("trustme", reason="trustme, which makes certificates, is not installed")


TWICE = RetryPolicy(attempts=2, wait_initial=0.001)


class Certificates(NamedTuple):
    """A certificate authority as a file, and the context of a server that it trusts."""

    authority: str
    server: ssl.SSLContext


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    place: Path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(place))
    return Certificates(str(place), context)


@pytest.fixture
def fake() -> Iterator[FakeRuns]:
    with fake_server() as server:
        yield server


def address(server: FakeRuns) -> tuple[str, int]:
    host, _, port = server.url.rpartition("//")[2].rpartition(":")
    return host, int(port)


@pytest.fixture
def secure(fake: FakeRuns, certificates: Certificates) -> Iterator[Front]:
    """The server, over TLS."""
    with Front(address(fake), tls=certificates.server) as front:
        yield front


ROADS = ["directly", "through a tunnel", "through a tunnel of a proxy with TLS"]


@contextlib.contextmanager
def proxy_of(road: str, certificates: Certificates) -> Iterator[Dict[str, Any]]:
    """The option of a client for one of the roads."""
    if road == "directly":
        yield {"proxies": {"https": ""}}
        return
    tls = certificates.server if "TLS" in road else None
    with Front(("127.0.0.1", 0), tls=tls, tunnels=True) as proxy:
        yield {"proxies": {"https": f"{'http' if tls is None else 'https'}://127.0.0.1:{proxy.port}"}}
        assert proxy.requests


@pytest.mark.parametrize("road", ROADS)
def test_calls_work(fake: FakeRuns, secure: Front, certificates: Certificates, road: str) -> None:
    """Small and large requests and responses, streams, and the same connection again."""
    large = {"text": "x" * 3_000_000}
    with proxy_of(road, certificates) as options:
        with Client(f"https://127.0.0.1:{secure.port}", api_key=None, verify=certificates.authority, **options) as client:
            fake.script(succeeds(large), succeeds({"a": 1}, events=[("custom", n) for n in range(500)]))
            thread_id = client.threads.create().thread_id
            assert large == client.runs.wait(thread_id, "agent", input=large)
            events = client.runs.stream(thread_id, "agent", stream_mode="custom")
            assert list(range(500)) == [event.data for event in events if event.mode == "custom"]
            assert client.ok()
    assert fake.started[0].input == large


@pytest.mark.parametrize("road", ROADS)
def test_a_stream_over_tls_is_resumed_after_a_cut(fake: FakeRuns, secure: Front, certificates: Certificates, road: str) -> None:
    with proxy_of(road, certificates) as options:
        with Client(f"https://127.0.0.1:{secure.port}", api_key=None, verify=certificates.authority, **options) as client:
            fake.script(succeeds({"a": 1}, events=[("custom", n) for n in range(20)]).cut_after(3).cut_after(9))
            events = client.runs.stream(client.threads.create().thread_id, "agent", stream_mode="custom")
            assert list(range(20)) == [event.data for event in events if event.mode == "custom"]


class Verifying(ssl.SSLContext):
    """As truststore's on Windows and macOS, which asks the system, and raises in Python."""

    def wrap_socket(self, *args: Any, **options: Any) -> Any:
        raise ssl.SSLCertVerificationError("certificate verify failed: the system does not know the authority")


class OwnAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=Verifying(ssl.PROTOCOL_TLS_CLIENT), **options)


@pytest.mark.skipif(
    tuple(map(int, requests.__version__.split(".")[:3])) < (2, 32, 3),
    reason="this release of requests replaces an adapter's context",
)
def test_a_context_in_python_says_what_happened_to_the_connection(secure: Front) -> None:
    """It is code of others, whose errors are results of connecting."""
    session = requests.Session()
    session.mount("https://", OwnAdapter())
    with Client(f"https://127.0.0.1:{secure.port}", api_key=None, session=session, retry=TWICE) as client:
        with pytest.raises(APIConnectionError, match="the system does not know the authority") as caught:
            client.ok()
    assert (False, 2) == (caught.value.sent, caught.value.attempts)


def test_an_unknown_authority_is_refused_before_anything_is_sent(fake: FakeRuns, secure: Front) -> None:
    with Client(f"https://127.0.0.1:{secure.port}", api_key=None, retry=RetryPolicy(attempts=1)) as client:
        with pytest.raises(APIConnectionError, match="certificate") as caught:
            client.ok()
    assert False is caught.value.sent
    assert [] == fake.requests


@pytest.mark.parametrize(
    ("tunnels", "reply"),
    [(True, b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1000), (True, b""), (False, b"")],
    ids=["a dripping tunnel", "a silent tunnel", "a silent handshake"],
)
@pytest.mark.parametrize(
    ("limit", "error"),
    [("connect_timeout", APITimeoutError), ("timeout", DeadlineExceededError), ("signal", AbortedError)],
    ids=["connect_timeout", "timeout", "signal"],
)
def test_the_limits_hold_until_the_connection_is_there(tunnels: bool, reply: bytes, limit: str, error: Any) -> None:
    """However a proxy or a server drips: each byte is no new beginning."""
    controller = AbortController()
    options: Dict[str, Any] = {"connect_timeout": 0.5 if limit == "connect_timeout" else 60}
    choices: Dict[str, Any] = {"timeout": {"timeout": 0.5}, "signal": {"signal": controller.signal}}
    calling = choices.get(limit, {})
    with Front(("127.0.0.1", 9), tunnels=tunnels, reply=reply or b" ", pause=0.1 if reply else 60.0) as front:
        url = "https://langgraph.invalid" if tunnels else f"https://127.0.0.1:{front.port}"
        options["proxies"] = {"https": f"http://127.0.0.1:{front.port}" if tunnels else ""}
        with Client(url, api_key=None, retry=RetryPolicy(attempts=1), **options) as client:
            timer = threading.Timer(0.5, controller.abort)
            timer.start()
            began = time.monotonic()
            with pytest.raises(error) as caught:
                client.ok(**calling)
            elapsed = time.monotonic() - began
            timer.join()
    assert 0.3 < elapsed < 10
    assert False is getattr(caught.value, "sent", False)


@pytest.mark.parametrize("status", [403, 407])
def test_a_proxy_that_refuses_a_tunnel_is_asked_once(status: int) -> None:
    """The error has the status, and not that of a connection that may work a little later."""
    reply = f"HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n".encode()
    with Front(("127.0.0.1", 9), tunnels=True, reply=reply) as front:
        proxies = {"https": f"http://127.0.0.1:{front.port}"}
        with Client("https://langgraph.invalid", api_key=None, proxies=proxies) as client:
            with pytest.raises(APIStatusError, match="the proxy opens no tunnel to the server: No") as caught:
                client.ok()
        assert (status, ["CONNECT langgraph.invalid:443"]) == (
            caught.value.status_code,
            [line.rpartition(" ")[0] for line in front.requests],
        )


def test_a_proxy_whose_tunnel_fails_is_asked_again() -> None:
    with Front(("127.0.0.1", 9), tunnels=True, reply=b"HTTP/1.1 503 Later\r\n\r\n") as front:
        proxies = {"https": f"http://127.0.0.1:{front.port}"}
        retry = RetryPolicy(attempts=3, wait_initial=0.01)
        with Client("https://langgraph.invalid", api_key=None, proxies=proxies, retry=retry) as client:
            with pytest.raises(APIConnectionError, match="503") as caught:
                client.ok()
    assert (False, 3, 3) == (caught.value.sent, caught.value.attempts, len(front.requests))

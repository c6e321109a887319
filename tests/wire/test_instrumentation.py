"""Hooks, mocks, tracing and recording that are installed in requests, urllib3 or http.client see every request and response."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from langgraph_runs import APIConnectionError, APITimeoutError, Client, NotFoundError, ResponseDecodeError, RetryPolicy

from .calls import EVENTS, named
from .scripted import RUN_ID, THREAD_ID, ScriptedServer, closed_port, reply, reply_json, reset_before_answer, run_json, stall

Connect = Callable[..., Client]
CHECKOUT = Path(__file__).resolve().parent.parent.parent

#: What a hook may do with a response, and what it finds.
READS: dict[str, tuple[Callable[[requests.Response], Any], Any]] = {
    "text": (lambda response: response.json()["ok"], True),
    "content twice": (lambda response: (response.content, response.content)[1], b'{"ok": true}'),
    "lines": (lambda response: list(response.iter_lines()), [b'{"ok": true}']),
    "raw file": (lambda response: response.raw.read(4), b'{"ok'),
    "raw stream": (lambda response: b"".join(response.raw.stream(3)), b'{"ok": true}'),
    "raw headers": (lambda response: response.raw.headers["X-A"], "1, 2"),
    "raw facts": (lambda response: (response.raw.status, response.raw.version, response.raw.reason), (200, 11, "OK")),
    "headers": (
        lambda response: (response.headers["x-a"], "X-A" in response.headers, len(response.headers) > 1),
        ("1, 2", True, True),
    ),
    "elapsed": (lambda response: 0 <= response.elapsed.total_seconds() < 5, True),
    "cookies": (lambda response: list(response.cookies), []),
    "closed": (lambda response: (response.raw.closed, response.raw.isclosed()), (False, False)),
    "nothing there": (lambda response: hasattr(response.raw, "no_such_thing"), False),
}
CONSUMING = ("lines", "raw file", "raw stream")


@pytest.mark.parametrize(
    ("how", "framing"),
    # A chunked body that a hook reads without keeping it is lost, as with plain requests.
    [(how, framing) for how in READS for framing in ("length", "chunked") if framing == "length" or how not in CONSUMING],
)
def test_a_hook_finds_a_whole_response(connect: Connect, how: str, framing: str) -> None:
    """It finds what a hook finds in plain requests."""
    read, expected = READS[how]
    found: list[Any] = []
    good = reply(200, '{"ok": true}', [("X-A", "1"), ("X-A", "2")], framing=framing)
    with requests.Session() as session, ScriptedServer(good) as server:
        session.hooks["response"].append(lambda response, **_: found.append(read(response)))
        with contextlib.suppress(ResponseDecodeError):  # a hook that reads the raw file leaves nothing to the client
            connect(server.url, session=session).ok()
    assert [expected] == found


def test_a_connection_that_a_hook_read_from_is_used_again(connect: Connect) -> None:
    """A body that a hook has read to its end leaves the connection as usable as one that the client has read."""
    with requests.Session() as session, ScriptedServer(reply_json(200, {"ok": True}), reply_json(200, {"ok": True})) as server:
        session.hooks["response"].append(lambda response, **_: print(response.content))
        client = connect(server.url, session=session)
        client.ok()
        client.ok()
    assert 1 == len({request.connection for request in server.requests})


#: Methods that libraries replace, and their classes.
PLACES: dict[str, Any] = {
    "requests.Session.send": requests.Session,
    "requests.Session.get_adapter": requests.Session,
    "HTTPAdapter.send": HTTPAdapter,
    "urllib3.HTTPConnectionPool.urlopen": urllib3.HTTPConnectionPool,
    "http.client.HTTPConnection.putrequest": http.client.HTTPConnection,
    "http.client.HTTPConnection.endheaders": http.client.HTTPConnection,
    "http.client.HTTPConnection.getresponse": http.client.HTTPConnection,
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("own", [True, False])
def test_a_replaced_method_is_called_for_each_request(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, place: str, own: bool
) -> None:
    """Tracing and mocks replace methods of requests, urllib3 and http.client, also while a client is in use."""
    owner: Any = PLACES[place]
    name = place.rpartition(".")[2]
    original = getattr(owner, name)
    seen: list[int] = []

    @functools.wraps(original)
    def spy(*args: Any, **kwargs: Any) -> Any:
        seen.append(1)
        return original(*args, **kwargs)

    with requests.Session() as session, ScriptedServer(*[reply_json(200, {"ok": True})] * 3) as server:
        client = connect(server.url, session=None if own else session)
        client.ok()
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, spy)
            client.ok()
        client.ok()
    assert 1 == len(seen)
    assert 1 == len({request.connection for request in server.requests})


def test_a_replaced_method_leaves_the_time_limits(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent server ends the call after read_timeout also when the adapter's method is replaced."""
    original = HTTPAdapter.send
    monkeypatch.setattr(HTTPAdapter, "send", lambda *args, **kwargs: original(*args, **kwargs))
    with ScriptedServer(stall()) as server:
        client = connect(server.url, read_timeout=0.1, retry=RetryPolicy(attempts=1))
        with pytest.raises(APITimeoutError, match="silent"):
            client.ok()


REPLIES = (
    reply_json(200, run_json()),
    reply_json(404, {"detail": "gone"}),
    named("stream").good,
    reply_json(200, run_json()),
)


def make_the_calls(client: Client) -> None:
    """A get, a get of a run that does not exist, and a stream, which ends with a get of the run."""
    assert RUN_ID == client.runs.get(THREAD_ID, RUN_ID).run_id
    with pytest.raises(NotFoundError):
        client.runs.get(THREAD_ID, RUN_ID)
    with client.runs.stream(THREAD_ID, "agent") as stream:
        assert [name for name, _ in EVENTS] == [event.event for event in stream]


@pytest.mark.parametrize(("library", "instrumentor"), [("requests", "RequestsInstrumentor"), ("urllib3", "URLLib3Instrumentor")])
def test_opentelemetry(connect: Connect, library: str, instrumentor: str) -> None:
    """Each request has a span with its method, URL and status, and carries the span's id in ``traceparent``."""
    instrumentation = pytest.importorskip(f"opentelemetry.instrumentation.{library}")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrument = getattr(instrumentation, instrumentor)()
    instrument.instrument(tracer_provider=provider)
    try:
        with ScriptedServer(*REPLIES) as server:
            make_the_calls(connect(server.url))
    finally:
        instrument.uninstrument()
    spans = exporter.get_finished_spans()
    attributes = [{**(span.attributes or {})} for span in spans]
    assert ["GET", "GET", "POST", "GET"] == [span.name for span in spans]
    assert [200, 404, 200, 200] == [one.get("http.status_code", one.get("http.response.status_code")) for one in attributes]
    assert all(str(one.get("http.url", one.get("url.full"))).startswith(server.url) for one in attributes)
    for span, request in zip(spans, server.requests):
        assert span.context is not None
        assert f"{span.context.trace_id:032x}-{span.context.span_id:016x}" in (request.header("traceparent") or "")


#: Run in a process of its own: Sentry replaces methods of http.client for good.
SENTRY = """
import json, sys
import sentry_sdk
from sentry_sdk.integrations.stdlib import StdlibIntegration
from sentry_sdk.transport import Transport

class Collected(Transport):
    transactions = []

    def capture_envelope(self, envelope):
        self.transactions += [item.payload.json for item in envelope.items if item.type == "transaction"]

sentry_sdk.init(
    dsn="http://key@127.0.0.1:9/1", transport=Collected, traces_sample_rate=1.0, default_integrations=False,
    auto_enabling_integrations=False, integrations=[StdlibIntegration()],
)
from tests.wire.test_instrumentation import make_the_calls
from langgraph_runs import Client

with sentry_sdk.start_transaction(name="test"), Client(sys.argv[1], api_key=None) as client:
    make_the_calls(client)
sentry_sdk.flush()
(transaction,) = Collected.transactions
spans = [span for span in transaction["spans"] if span["op"] == "http.client"]
print(json.dumps([[span["description"], int(span["data"]["http.response.status_code"]), span["timestamp"] is not None] for span in spans]))
"""


def test_sentry() -> None:
    """Its integration of http.client makes a span of each request, ended with the response, and its header is sent."""
    pytest.importorskip("sentry_sdk")
    with ScriptedServer(*REPLIES) as server:
        command = [sys.executable, "-W", "ignore", "-c", SENTRY, server.url]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)
    assert 0 == done.returncode, done.stderr
    run = f"{server.url}/threads/{THREAD_ID}/runs/{RUN_ID}"
    stream = f"{server.url}/threads/{THREAD_ID}/runs/stream"
    expected = [[f"GET {run}", 200, True], [f"GET {run}", 404, True], [f"POST {stream}", 200, True], [f"GET {run}", 200, True]]
    assert expected == json.loads(done.stdout)
    assert all(request.header("sentry-trace") for request in server.requests)


@pytest.mark.parametrize("used_before", [False, True], ids=["a new client", "a client with open connections"])
def test_vcr(connect: Connect, tmp_path: Path, used_before: bool) -> None:
    """A cassette is recorded, and replayed when the server is gone, for calls and streams; afterwards nothing is replayed."""
    vcr = pytest.importorskip("vcr")
    cassette = str(tmp_path / "cassette.yaml")
    before = [reply_json(200, {"ok": True})] if used_before else []
    with ScriptedServer(*before, *REPLIES) as server:
        client = connect(server.url)
        if used_before:
            client.ok()
        with vcr.use_cassette(cassette) as recorded:
            make_the_calls(client)
        assert (4, 0) == (len(recorded), recorded.play_count)
    with vcr.use_cassette(cassette, record_mode="none") as replayed:
        make_the_calls(client)
        assert 4 == replayed.play_count
    assert 4 + len(before) == len(server.requests)
    with pytest.raises(APIConnectionError):
        client.runs.get(THREAD_ID, RUN_ID)


@pytest.mark.parametrize("name", ["connect", "recv", "send"])
def test_an_error_of_a_wrapped_socket_is_one_of_the_connection(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Guards and tracers of other libraries wrap these methods: the errors that they pass on are those of the socket."""
    method = getattr(socket.socket, name)

    def wrapped(self: Any, *args: Any) -> Any:
        return method(self, *args)

    monkeypatch.setattr(socket.socket, name, wrapped, raising=False)
    with ScriptedServer(reset_before_answer(), reply_json(200, {"ok": True})) as server:
        assert connect(server.url, retry=RetryPolicy(attempts=2, wait_initial=0.01)).ok()
    with closed_port() as url, pytest.raises(APIConnectionError):
        connect(url, retry=RetryPolicy(attempts=1)).ok()

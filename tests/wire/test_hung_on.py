"""What people put on requests and urllib3 keeps working over real sockets: the short way past parts of them steps aside."""

from __future__ import annotations

import contextlib
import functools
from typing import Any, Callable

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from langgraph_runs import APITimeoutError, Client, NotFoundError, ResponseDecodeError, RetryPolicy

from .calls import EVENTS, named
from .scripted import RUN_ID, THREAD_ID, ScriptedServer, reply, reply_json, run_json, stall

Connect = Callable[..., Client]

#: What a hook may do with an answer, and what it then finds.
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
EATING = ("lines", "raw file", "raw stream")


@pytest.mark.parametrize(
    ("how", "framing"),
    # A chunked body that a hook eats without keeping it is gone, as with plain requests.
    [(how, framing) for how in READS for framing in ("length", "chunked") if framing == "length" or how not in EATING],
)
def test_a_hook_finds_a_whole_response(connect: Connect, how: str, framing: str) -> None:
    """Whatever a response hook reads, it finds as with plain requests."""
    read, expected = READS[how]
    found: list[Any] = []
    answer = reply(200, '{"ok": true}', [("X-A", "1"), ("X-A", "2")], framing=framing)
    with requests.Session() as session, ScriptedServer(answer) as server:
        session.hooks["response"].append(lambda response, **_: found.append(read(response)))
        with contextlib.suppress(ResponseDecodeError):  # a hook that reads the file below has what was ours
            connect(server.url, session=session).ok()
    assert [expected] == found


def test_a_connection_that_a_hook_read_from_is_used_again(connect: Connect) -> None:
    """A hook that reads the answer to its end gives the connection back, as we do."""
    with requests.Session() as session, ScriptedServer(reply_json(200, {"ok": True}), reply_json(200, {"ok": True})) as server:
        session.hooks["response"].append(lambda response, **_: print(response.content))
        client = connect(server.url, session=session)
        client.ok()
        client.ok()
    assert 1 == len({request.connection for request in server.requests})


@pytest.mark.parametrize("place", ["requests.Session.send", "HTTPAdapter.send", "urllib3.HTTPConnectionPool.urlopen"])
@pytest.mark.parametrize("own", [True, False])
def test_what_is_put_in_place_of_a_part_is_called(connect: Connect, monkeypatch: pytest.MonkeyPatch, place: str, own: bool) -> None:
    """Tracing and mocks replace methods of requests and urllib3, before or while a client is used: they see every request."""
    owner: Any = {
        "requests.Session.send": requests.Session,
        "HTTPAdapter.send": HTTPAdapter,
        "urllib3.HTTPConnectionPool.urlopen": urllib3.HTTPConnectionPool,
    }[place]
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
    assert [1] == seen
    assert 1 == len({request.connection for request in server.requests})


@pytest.mark.parametrize("place", ["the long way", "the short way"])
def test_the_long_way_keeps_to_the_limits_too(connect: Connect, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """With something put in place, silence and deadlines end a call as they do without."""
    if place == "the long way":
        original = HTTPAdapter.send
        monkeypatch.setattr(HTTPAdapter, "send", lambda *args, **kwargs: original(*args, **kwargs))
    with ScriptedServer(stall()) as server:
        client = connect(server.url, read_timeout=0.1, retry=RetryPolicy(attempts=1))
        with pytest.raises(APITimeoutError, match="silent"):
            client.ok()


def test_opentelemetry(connect: Connect) -> None:
    """Its instrumentation of requests makes a span of each call, with method, URL and status, and its header goes along."""
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.requests")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = instrumentation.RequestsInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        replies = (
            reply_json(200, run_json()),
            reply_json(404, {"detail": "gone"}),
            named("stream").good,
            reply_json(200, run_json()),
        )
        with ScriptedServer(*replies) as server:
            client = connect(server.url)
            assert RUN_ID == client.runs.get(THREAD_ID, RUN_ID).run_id
            with pytest.raises(NotFoundError):
                client.runs.get(THREAD_ID, RUN_ID)
            with client.runs.stream(THREAD_ID, "agent") as stream:
                assert [name for name, _ in EVENTS] == [event.event for event in stream]
    finally:
        instrumentor.uninstrument()
    spans = exporter.get_finished_spans()
    told = [{**(span.attributes or {})} for span in spans]
    assert ["GET", "GET", "POST", "GET"] == [span.name for span in spans]
    assert [200, 404, 200, 200] == [one.get("http.status_code", one.get("http.response.status_code")) for one in told]
    assert all(str(one.get("http.url", one.get("url.full"))).startswith(server.url) for one in told)
    for span, request in zip(spans, server.requests):
        assert span.context is not None
        assert f"{span.context.trace_id:032x}" in (request.header("traceparent") or "")

"""Log records of this package hold text alone: no body, no header, no object that has one, and no secret."""

from __future__ import annotations

import contextlib
import logging
import re
from typing import Any, Callable

import pytest

from langgraph_runs import AbortController, Client, CreateUncertainError, DeadlineExceededError, LangGraphRunsError

from .calls import Call, after, calls, named
from .fake_langgraph import FakeLangGraph, FakeRun
from .scripted import RUN_ID, THREAD_ID, Route, ScriptedServer, drop_before_answer, heartbeat, reply, reply_json, run_json, sse

Connect = Callable[..., Client]

SECRET = "s3cret"
#: In everything that is sent and received.
CONTENT = "private-content"


def check(records: list[logging.LogRecord]) -> None:
    """Each record is made of a text and of texts, numbers and None; nothing in it is secret."""
    for record in records:
        assert isinstance(record.msg, str)
        assert all(isinstance(argument, (str, int, float, type(None))) for argument in record.args or ()), record.args
        assert isinstance(record.args, (tuple, type(None)))
        assert record.exc_info is None
        assert SECRET not in record.getMessage() and CONTENT not in record.getMessage()


def own(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name.startswith("langgraph_runs")]


@calls()
def test_a_call_that_is_repeated(connect: Connect, caplog: pytest.LogCaptureFixture, call: Call) -> None:
    """Its retries and its end are logged as text."""
    busy = reply_json(429, {"detail": CONTENT}, [("X-Private", CONTENT), ("Retry-After", "0")])
    with caplog.at_level(logging.DEBUG), ScriptedServer(busy, call.good, routes=after(call)) as server:
        call(connect(server.url, api_key=SECRET, headers={"X-Private": CONTENT}))
    assert 2 <= len(own(caplog))
    check(own(caplog))


@calls()
def test_a_call_that_fails(connect: Connect, caplog: pytest.LogCaptureFixture, call: Call) -> None:
    """So is its failure."""
    refusal = reply_json(400, {"detail": CONTENT}, [("X-Private", CONTENT)])
    with caplog.at_level(logging.DEBUG), ScriptedServer(always=refusal) as server:
        with pytest.raises(LangGraphRunsError):
            call(connect(server.url, api_key=SECRET, headers={"X-Private": CONTENT}))
    assert own(caplog)
    check(own(caplog))


def test_a_stream_that_reconnects(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """So are the connections of a stream."""

    def work(run: FakeRun) -> Any:
        for number in range(20):
            run.emit("custom", {"i": number, "text": CONTENT})
        return {"text": CONTENT}

    with caplog.at_level(logging.DEBUG), FakeLangGraph(work) as server:
        server.cuts = iter([(3, "rst"), (4, "fin")])
        client = connect(server.url, api_key=SECRET)
        options: Any = {"stream_mode": ["custom"], "if_not_exists": "create"}
        with client.runs.stream(THREAD_ID, "agent", input={"text": CONTENT}, **options) as stream:
            assert list(range(20)) == [one.data["i"] for one in stream if one.event == "custom"]
    assert 2 <= sum("after" in record.getMessage() for record in own(caplog))
    check(own(caplog))
    (ended,) = ends(caplog)
    again = sum(request.method == "GET" and request.path.endswith("/stream") for request in server.requests)
    shown = rf"the stream of run {stream.run_id}: success after {stream.events_seen} events, \d+\.\d{{3}} s and {again} reconnects"
    assert re.fullmatch(shown, ended)


def ends(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines at INFO that say how a stream ended."""
    records = [record for record in own(caplog) if record.name.endswith("run_stream") and record.levelno == logging.INFO]
    return [record.getMessage() for record in records]


@pytest.mark.parametrize(
    "how", ["success", "closed", "left", "RunFailedError", "StreamInterruptedError", "AbortedError", "refused"]
)
def test_the_end_of_a_stream_is_logged_once(connect: Connect, caplog: pytest.LogCaptureFixture, how: str) -> None:
    """With its outcome. A stream that could not be started is logged by its request."""
    caplog.set_level(logging.INFO, "langgraph_runs")
    events = [("metadata", {"run_id": RUN_ID}), ("custom", {"text": CONTENT})]
    first = sse(*events, run=(THREAD_ID, RUN_ID))
    run = run_json("error" if how == "RunFailedError" else "success")
    routes: dict[tuple[str, str], Route] = {
        ("POST", "/threads/*/runs/stream"): reply(422) if how == "refused" else first,
        ("GET", "/threads/*/runs/*"): reply_json(200, run),
        ("GET", "/threads/*/runs/*/join"): reply_json(200, {"__error__": {"error": "ValueError", "message": CONTENT}}),
        ("GET", "/threads/*/state"): reply_json(200, {"values": {}, "next": [], "tasks": []}),
        ("POST", "/threads/*/history"): reply_json(200, []),
        ("GET", "/threads/*"): reply_json(200, {"thread_id": THREAD_ID, "status": "error", "values": {}}),
        ("GET", "/threads/*/runs"): reply_json(200, [run]),
    }
    if how == "StreamInterruptedError":
        routes[("POST", "/threads/*/runs/stream")] = first.then_cut()
        routes[("GET", "/threads/*/runs/*")] = drop_before_answer()
        routes[("GET", "/threads/*/runs/*/stream")] = drop_before_answer()
    controller = AbortController()
    with ScriptedServer(routes=routes) as server, contextlib.suppress(LangGraphRunsError):
        with connect(server.url).runs.stream(THREAD_ID, "agent", signal=controller.signal) as stream:
            for event in stream:
                if event.event == "custom" and how in ("closed", "left", "AbortedError"):
                    if how == "closed":
                        stream.close()
                    if how == "AbortedError":
                        controller.abort()
                    if how == "left":
                        break
    check(own(caplog))
    if how == "refused":
        assert [] == ends(caplog)
        return
    (line,) = ends(caplog)
    shown = "closed" if how == "left" else how
    assert re.fullmatch(rf"the stream of run {RUN_ID}: {shown} after 2 events, \d+\.\d{{3}} s and 0 reconnects", line)


def test_the_attempts_of_a_join_are_all_counted(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """Between them, the run is requested. That is another request, with attempts of its own."""
    join = named("join")
    runs = [reply_json(200, run_json(status)) for status in ("running", "success", "success")]
    routes: dict[tuple[str, str], Route] = {**after(join), ("GET", "/threads/*/runs/*"): runs}
    caplog.set_level(logging.INFO, "langgraph_runs")
    with ScriptedServer(drop_before_answer(), drop_before_answer(), join.good, routes=routes) as server:
        join(connect(server.url))
    (line,) = (text for text in caplog.messages if "/join: 200" in text)
    assert line.endswith(", 3 attempts")


@pytest.mark.parametrize("name", ["create", "wait", "stream"])
def test_the_attempts_of_a_create_are_those_of_the_create(connect: Connect, caplog: pytest.LogCaptureFixture, name: str) -> None:
    """The search for the run consists of other requests, with attempts of their own."""
    create = named(name)
    caplog.set_level(logging.INFO, "langgraph_runs")
    routes = {("GET", "/threads/*/runs"): reply(502)}
    with ScriptedServer(drop_before_answer(), routes=routes) as server, pytest.raises(CreateUncertainError) as caught:
        create(connect(server.url))
    (line,) = (text for text in caplog.messages if text.startswith(f"{create.method} {create.path}: CreateUncertainError"))
    assert 1 == caught.value.attempts
    assert "attempts" not in line


def test_warnings(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """A cancel after the deadline that fails is a warning, as text."""
    refusal = reply_json(400, {"detail": "not now"}, [("X-Private", CONTENT)])
    named = sse(heartbeat(), 5.0, run=(THREAD_ID, RUN_ID))
    with caplog.at_level(logging.DEBUG), ScriptedServer(named, always=refusal) as server:
        with pytest.raises(DeadlineExceededError):
            options: Any = {"input": {"text": CONTENT}, "timeout": 0.2, "on_timeout": "cancel"}
            list(connect(server.url, api_key=SECRET).runs.stream(THREAD_ID, "agent", **options))
    assert 1 == [record.levelname for record in own(caplog)].count("WARNING")
    check(own(caplog))

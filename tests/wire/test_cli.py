"""``langgraph-runs`` against servers that refuse, break, stay silent, or are no LangGraph server."""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ..server.commands import Commands, Ended
from .scripted import (
    RUN_ID,
    THREAD_ID,
    Reply,
    ScriptedServer,
    closed_port,
    drop_before_answer,
    reply,
    reply_json,
    run_json,
    sse,
    stall,
    waiting,
)

RUN = (THREAD_ID, RUN_ID)
ONCE = ("--attempts", "1")
LOGIN = "; the proxy requires a login: put it into the proxy's URL, http://user:password@host:port"


@pytest.fixture(autouse=True)
def _silent_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("LANGGRAPH_", "LANGSMITH_", "LANGCHAIN_")):
            monkeypatch.delenv(name)


def one_line(ended: Ended) -> str:
    assert 1 == ended.err.count("\n"), ended.err
    assert "" == ended.out
    return ended.err[:-1]


@pytest.mark.parametrize(
    ("answer", "code", "told"),
    [
        (reply_json(401, {"detail": "who are you?"}), 6, "401: who are you? [GET "),
        (reply_json(403, {"detail": "read only"}), 6, "403: read only [GET "),
        (reply(407), 6, "407"),
        (reply_json(404, {"detail": "Not Found"}), 2, "404: Not Found"),
        (reply_json(409, {"detail": "busy"}), 75, "409: busy"),
        (reply_json(429, {"detail": "enough"}), 75, "429: enough"),
        (reply(500, "Internal Server Error"), 5, "500: Internal Server Error"),
        (reply(302, headers={"Location": "https://login.example.com/"}), 2, "302"),
        (reply(200, "<html>hello</html>", {"Content-Type": "text/html"}), 5, "hello"),
        (drop_before_answer(), 5, "GET "),
    ],
    ids=lambda value: str(value)[:30],
)
def test_each_response_has_its_exit_code_and_one_line(answer: Reply, code: int, told: str) -> None:
    with ScriptedServer(answer) as server:
        ended = Commands(server.url)("get", *RUN, *ONCE)

    assert code == ended.code
    assert told in one_line(ended)


@pytest.mark.parametrize(("status", "told"), [(407, LOGIN), (403, "; does the proxy allow this server?")])
def test_a_proxy_that_refuses_a_tunnel_is_exit_code_6_and_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, status: int, told: str
) -> None:
    """The remedy is not a key for the server."""
    with ScriptedServer(always=reply(status)) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.origin)
        ended = Commands("https://runs.example.com")("get", *RUN)
        examined = Commands("https://runs.example.com")("doctor")

    assert (6, ["CONNECT", "CONNECT"]) == (ended.code, [request.method for request in server.requests])
    assert one_line(ended).endswith(told)
    assert (6, "") == (examined.code, examined.err)
    assert examined.out.splitlines()[-1].strip() == told[2:]


def test_an_unreachable_server_is_exit_code_5_with_a_remedy() -> None:
    with closed_port() as url:
        ended = Commands(url)("run", "agent", "n=1", *ONCE)

    assert 5 == ended.code
    remedy = f"is the server running, and is --url right? `langgraph-runs doctor --url {url}` finds out"
    assert one_line(ended).endswith(remedy)


def test_a_silent_server_is_exit_code_5_or_4_with_timeout() -> None:
    with ScriptedServer(stall()) as server:
        assert 5 == Commands(server.url)("get", *RUN, *ONCE, "--read-timeout", "100ms").code
    with ScriptedServer(
        stall(), reply_json(404, {"detail": "Not Found"}), always=reply_json(404, {"detail": "Not Found"})
    ) as server:
        ended = Commands(server.url)("run", "agent", *ONCE, "--timeout", "300ms")

    assert 4 == ended.code
    assert "not done within timeout=0.3 s" in one_line(ended)
    assert one_line(ended).endswith(": no run is known to have been created")


def test_an_uncertain_create_is_exit_code_5_and_says_how_to_look_for_the_run() -> None:
    """On a server that does not store request ids, the new run may be that of the create."""
    recent = run_json(kwargs={}, created_at=datetime.datetime.now(datetime.timezone.utc).isoformat())
    routes = {
        ("POST", "/threads/*/runs"): drop_before_answer(),
        ("GET", "/threads/*/runs"): reply_json(200, [recent]),
    }
    with ScriptedServer(routes=routes) as server:
        ended = Commands(server.url)("create", "agent", "--thread", THREAD_ID)
    (sent,) = [request.header("x-request-id") for request in server.requests if request.method == "POST"]

    assert 5 == ended.code
    assert one_line(ended).endswith(
        f"; request id {sent}; to look for it: langgraph-runs list {THREAD_ID} --created-after 1h --url {server.url}"
    )


def test_a_wait_that_cannot_be_resumed_is_exit_code_5_and_names_the_run() -> None:
    first = waiting(value={"n": 1}, run=RUN).then_cut()
    with ScriptedServer(first, always=drop_before_answer()) as server:
        ended = Commands(server.url)("run", "agent", "--thread", THREAD_ID, "--attempts", "2")

    assert 5 == ended.code
    assert one_line(ended).endswith(f"; it may go on: langgraph-runs join {THREAD_ID} {RUN_ID} --url {server.url}")
    assert [] == [request for request in server.requests if request.method == "DELETE"]


def test_a_stream_that_cannot_be_resumed_is_exit_code_5_after_the_received_events() -> None:
    first = sse(("metadata", {"run_id": RUN_ID}), ("custom", {"i": 0}), run=RUN).then_cut()
    with ScriptedServer(first, always=drop_before_answer()) as server:
        ended = Commands(server.url)("stream", "agent", "--thread", THREAD_ID, "--attempts", "2")

    assert 5 == ended.code
    assert ["metadata", "custom"] == [line["event"] for line in ended.lines]
    assert ended.err.endswith(f"; it may go on: langgraph-runs join {THREAD_ID} {RUN_ID} --url {server.url}\n")


def test_a_failed_cancel_is_reported() -> None:
    """The run is interrupted when the server does not respond any more."""
    begun = threading.Event()

    def interrupt() -> None:
        assert begun.wait(20)
        os.kill(os.getpid(), signal.SIGINT)

    def wait(request: Any) -> Reply:
        begun.set()
        return waiting(30.0, value={}, run=RUN)

    routes: dict[Any, Any] = {
        ("POST", "/threads/*/runs/wait"): wait,
        ("POST", "/threads/*/runs/*/cancel"): reply(500, "Internal Server Error"),
    }
    thread = threading.Thread(target=interrupt)
    thread.start()
    with ScriptedServer(routes=routes) as server:
        ended = Commands(server.url)("run", "agent", "--thread", THREAD_ID, *ONCE)
    thread.join()

    assert 130 == ended.code
    told = f"langgraph-runs: interrupted: run {RUN_ID} on thread {THREAD_ID} could not be cancelled and may go on (500: "
    assert one_line(ended).startswith(told)


def test_the_key_and_headers_are_sent(tmp_path: Any) -> None:
    key = tmp_path / "key"
    key.write_text("\ufeffs3cret\r\n", encoding="utf-8")
    with ScriptedServer(reply_json(200, run_json())) as server:
        ended = Commands(server.url)("get", *RUN, "--api-key-file", str(key), "--header", "X-Team: tides")

    assert 0 == ended.code
    assert ("s3cret", "tides") == (server.requests[0].header("x-api-key"), server.requests[0].header("x-team"))


def test_verbose_prints_the_request_id_of_an_error() -> None:
    with ScriptedServer(reply_json(422, {"detail": "no"}, {"x-request-id": "rq-1"})) as server:
        ended = Commands(server.url)("get", *RUN, "--verbose")

    assert "langgraph-runs: request id: rq-1\n" in ended.err


# -- doctor


def doctor(server: ScriptedServer, *arguments: str) -> Ended:
    ended = Commands(server.url)("doctor", *ONCE, *arguments)
    assert "" == ended.err
    return ended


@pytest.mark.parametrize(
    ("answer", "code", "told"),
    [
        (reply(404, "<h1>Not Found</h1>", {"Content-Type": "text/html"}), 2, "another program responds there"),
        (reply(301, headers={"Location": "https://runs.example.com/ok"}), 2, "it redirects: give the URL that it redirects to"),
        (reply(401), 6, "give a key in LANGGRAPH_API_KEY or --api-key-file"),
        (reply(407), 6, "the proxy requires a login"),
        (reply(502, "Bad Gateway"), 5, "has failed: see its log"),
        (drop_before_answer(), 5, "it closed the connection without a response"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_doctor_has_a_remedy_for_each_response(answer: Reply, code: int, told: str) -> None:
    with ScriptedServer(always=answer) as server:
        ended = doctor(server)

    assert code == ended.code
    assert "FAILED  reach:" in ended.out
    assert told in ended.out.splitlines()[-1]


def test_doctor_has_a_remedy_for_a_silent_server() -> None:
    with ScriptedServer(stall()) as server:
        ended = doctor(server, "--read-timeout", "200ms")

    assert 5 == ended.code
    assert "nothing came back from 127.0.0.1:" in ended.out


def test_doctor_has_a_remedy_for_a_closed_port_and_for_a_port_without_tls() -> None:
    with closed_port() as url:
        refused = Commands(url)("doctor", *ONCE)
    assert (5, "") == (refused.code, refused.err)
    assert "start the server (`langgraph dev`), or correct --url" in refused.out

    with ScriptedServer(always=reply(400), takes_broken_requests=True) as server:
        plain = Commands(server.url.replace("http://", "https://"))("doctor", *ONCE, "--connect-timeout", "300ms")
    assert 5 == plain.code
    assert "try http:// in --url" in plain.out


@contextlib.contextmanager
def speaking_first(greeting: bytes) -> Iterator[str]:
    """A server that sends a response, or the greeting of another protocol, as soon as it has read anything."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(greeting)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    "greeting", [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"+OK ready\r\n"], ids=["http", "other"]
)
def test_https_to_a_port_without_tls_is_told_so(greeting: bytes) -> None:
    """Certificates have nothing to do with it."""
    with speaking_first(greeting) as url:
        examined = Commands(url)("doctor", *ONCE)
        ended = Commands(url)("get", *RUN, *ONCE)

    assert (5, 5) == (examined.code, ended.code)
    assert (
        examined.out.splitlines()[-1].strip()
        == "the server does not use TLS at this port, it probably speaks plain http: try http:// in --url"
    )
    assert "the server does not use TLS at this port: is it http:// there?" in ended.err
    for text in (examined.out, ended.err):
        assert "certificate" not in text
        assert "--ca-file" not in text


def test_doctor_judges_a_server_without_ok_by_what_it_has() -> None:
    """Not every server has /ok, as Aegra, whose responses these are; some may have no /info either."""
    absent = reply_json(404, {"detail": "Not Found"})
    info = {"name": "Aegra", "version": "0.1.0", "status": "running", "flags": {"assistants": True, "crons": False}}
    routes = {
        ("GET", "/ok"): absent,
        ("GET", "/info"): reply_json(200, info),
        ("POST", "/assistants/search"): reply_json(200, [{"assistant_id": "a", "graph_id": "work"}]),
        ("POST", "/threads/search"): reply_json(200, []),
    }
    with ScriptedServer(routes=routes) as server:
        ended = doctor(server)
    assert 0 == ended.code
    assert "(to /info: the server has no /ok); version 0.1.0" in ended.out
    with ScriptedServer(routes={**routes, ("GET", "/info"): absent}) as server:
        ended = doctor(server)
    assert 0 == ended.code
    assert "(to /assistants/search: the server has no /ok)" in ended.out
    with ScriptedServer(routes={**routes, ("GET", "/info"): reply(401)}) as server:
        ended = doctor(server)
    assert 6 == ended.code
    page = reply(200, "<html>Welcome</html>", {"Content-Type": "text/html"})
    with ScriptedServer(routes={**routes, ("GET", "/info"): page}) as server:
        ended = doctor(server)
    assert 2 == ended.code
    assert "another program responds there" in ended.out


def test_doctor_warns_of_different_clocks_and_a_missing_version() -> None:
    late = email.utils.formatdate(time.time() + 3600, usegmt=True)
    routes = {
        ("GET", "/ok"): reply_json(200, {"ok": True}, {"Date": late}),
        ("GET", "/info"): reply_json(404, {"detail": "Not Found"}),
        ("POST", "/assistants/search"): reply_json(200, []),
        ("POST", "/threads/search"): reply_json(200, []),
    }
    with ScriptedServer(routes=routes) as server:
        ended = doctor(server)

    assert 0 == ended.code
    assert "!!      reach:" in ended.out
    assert "no version: 404: Not Found" in ended.out
    assert "!!      clock:    the server's is 3600 s ahead of this machine's" in ended.out or "3599 s ahead" in ended.out
    assert "no assistant is visible" in ended.out

"""What goes over the wire for each call: request line, headers, body, and nothing else."""

from __future__ import annotations

import dataclasses
import datetime
import json
import select
import socket
import threading
import time
import uuid
from types import SimpleNamespace
from typing import Any, Callable, cast
from urllib.parse import parse_qs, quote, unquote

import attrs
import pydantic
import pytest
import requests
from requests.adapters import HTTPAdapter

from langgraph_runs import (
    AbortController,
    AbortedError,
    APIStatusError,
    Checkpoint,
    Client,
    DeadlineExceededError,
    InvalidRequestError,
    NotFoundError,
    RetryPolicy,
    RunCreate,
    RunsCreatePayload,
    RunsStreamPayload,
    StreamInterruptedError,
)
from langgraph_runs._version import __version__

from .calls import CALLS, CREATES, EVENTS, Call, after, body_of, calls, named
from .scripted import (
    RUN_ID,
    THREAD_ID,
    Reply,
    Request,
    ScriptedServer,
    drop_before_answer,
    raw,
    reply,
    reply_json,
    run_json,
    sse,
    thread_json,
    waiting,
)

Connect = Callable[..., Client]

#: Ids that try to leave their place in the path, or the request line, and how each must be written.
IDS = {
    "a/b": "a%2Fb",
    "../../assistants": "..%2F..%2Fassistants",
    "..": "%2E%2E",
    ".": "%2E",
    "%2e%2e": "%252e%252e",
    "%2F": "%252F",
    "a?limit=1": "a%3Flimit%3D1",
    "a#b": "a%23b",
    "a b": "a%20b",
    "a\r\nx-api-key: k": "a%0D%0Ax-api-key%3A%20k",
    "a\0b": "a%00b",
    "a\\b": "a%5Cb",
    "a;b=c&d": "a%3Bb%3Dc%26d",
    "a+b": "a%2Bb",
    "ü€😀\u2028": "%C3%BC%E2%82%AC%F0%9F%98%80%E2%80%A8",
    "//evil.example": "%2F%2Fevil.example",
    "@evil": "%40evil",
    "~-_.": "~-_.",
}
by_id = pytest.mark.parametrize(("given", "sent"), IDS.items(), ids=[ascii(name) for name in IDS])


def with_ids(client: Client, thread_id: str, run_id: str) -> list[tuple[str, str, Callable[[], Any]]]:
    """Method, path with braces, and call, of each call that puts an id into its path."""
    runs, threads = client.runs, client.threads
    return [
        ("POST", "/threads/{t}/runs", lambda: runs.create(thread_id, "agent")),
        ("POST", "/threads/{t}/runs/wait", lambda: runs.wait(thread_id, "agent")),
        ("POST", "/threads/{t}/runs/stream", lambda: runs.stream(thread_id, "agent")),
        ("GET", "/threads/{t}/runs", lambda: runs.list(thread_id)),
        ("GET", "/threads/{t}/runs", lambda: list(runs.iter(thread_id))),
        ("GET", "/threads/{t}/runs/{r}", lambda: runs.get(thread_id, run_id)),
        ("POST", "/threads/{t}/runs/{r}/cancel", lambda: runs.cancel(thread_id, run_id)),
        ("GET", "/threads/{t}/runs/{r}/join", lambda: runs.join(thread_id, run_id)),
        ("GET", "/threads/{t}/runs/{r}/stream", lambda: runs.join_stream(thread_id, run_id)),
        ("DELETE", "/threads/{t}/runs/{r}", lambda: runs.delete(thread_id, run_id)),
        ("GET", "/threads/{t}", lambda: threads.get(thread_id)),
        ("PATCH", "/threads/{t}", lambda: threads.update(thread_id, metadata={})),
        ("DELETE", "/threads/{t}", lambda: threads.delete(thread_id)),
        ("POST", "/threads/{t}/copy", lambda: threads.copy(thread_id)),
        ("GET", "/threads/{t}/state", lambda: threads.get_state(thread_id)),
        ("GET", "/threads/{t}/state/{r}", lambda: threads.get_state(thread_id, checkpoint_id=run_id)),
        ("POST", "/threads/{t}/state", lambda: threads.update_state(thread_id, {})),
        ("POST", "/threads/{t}/history", lambda: threads.get_history(thread_id)),
        ("GET", "/assistants/{r}", lambda: client.assistants.get(run_id)),
        ("PATCH", "/assistants/{r}", lambda: client.assistants.update(run_id, name="n")),
        ("DELETE", "/assistants/{r}", lambda: client.assistants.delete(run_id)),
        ("POST", "/assistants/{r}/versions", lambda: client.assistants.get_versions(run_id)),
        ("POST", "/assistants/{r}/latest", lambda: client.assistants.set_latest(run_id, 1)),
        ("GET", "/assistants/{t}/subgraphs/{r}", lambda: client.assistants.get_subgraphs(thread_id, run_id)),
        ("POST", "/threads/{t}/runs/crons", lambda: client.crons.create_for_thread(thread_id, "agent", schedule="* * * * *")),
        ("GET", "/runs/crons/{r}", lambda: client.crons.get(run_id)),
        ("PATCH", "/runs/crons/{r}", lambda: client.crons.update(run_id, enabled=True)),
        ("DELETE", "/runs/crons/{r}", lambda: client.crons.delete(run_id)),
    ]


def lines_of(client: Client, server: ScriptedServer, given: str) -> list[bytes]:
    """The request lines of all those calls, each answered with 418, and what they should be with {t} and {r} filled in."""
    for _, _, make in with_ids(client, given, given):
        with pytest.raises(Exception, match="400"):
            make()
    return [request.line for request in server.requests]


REFUSED = reply(400, "refused")


@by_id
def test_an_id_cannot_leave_its_place_in_the_path(connect: Connect, given: str, sent: str) -> None:
    """Each id is one percent-encoded segment of the raw request line, in every call that has ids in its path."""
    with ScriptedServer(always=REFUSED) as server:
        client = connect(server.url)
        lines = lines_of(client, server, given)
        paths = [(method, path) for method, path, _ in with_ids(client, given, given)]

    expected = [f"{method} {path.format(t=sent, r=sent)}" for method, path in paths]
    assert expected == [line.decode("ascii").rsplit(" ", 1)[0].split("?")[0] for line in lines]
    assert all(line.endswith(b" HTTP/1.1") and line.count(b" ") == 2 for line in lines)
    assert given == unquote(sent)


@by_id
def test_an_id_cannot_leave_its_place_behind_a_prefix(connect: Connect, given: str, sent: str) -> None:
    """A mount prefix stands before the same path, and dots in an id do not eat it."""
    with ScriptedServer(always=REFUSED) as server:
        client = connect(f"{server.url}/api/v1/")
        lines = lines_of(client, server, given)
        paths = [(method, path) for method, path, _ in with_ids(client, given, given)]

    expected = [f"{method} /api/v1{path.format(t=sent, r=sent)}" for method, path in paths]
    assert expected == [line.decode("ascii").rsplit(" ", 1)[0].split("?")[0] for line in lines]


@by_id
def test_an_id_cannot_leave_its_place_through_a_proxy(connect: Connect, given: str, sent: str) -> None:
    """Through a proxy the request line holds the whole URL, its path encoded in the same way."""
    with ScriptedServer(always=REFUSED) as server:
        client = connect("http://server.example:2024/api", proxies={"http": server.url})
        lines = lines_of(client, server, given)
        paths = [(method, path) for method, path, _ in with_ids(client, given, given)]

    expected = [f"{method} http://server.example:2024/api{path.format(t=sent, r=sent)}" for method, path in paths]
    assert expected == [line.decode("ascii").rsplit(" ", 1)[0].split("?")[0] for line in lines]


@pytest.mark.parametrize("bad", ["", None, 3, b"t", "\ud800", True], ids=ascii)
def test_an_id_that_is_none_is_refused(connect: Connect, bad: Any) -> None:
    """An empty id, None, a number or half a character is refused before anything is sent."""
    with ScriptedServer() as server:
        client = connect(server.url)
        for _, path, _ in with_ids(client, "x", "x"):
            assert "{" in path
        for make in (
            lambda: client.runs.get(bad, RUN_ID),
            lambda: client.runs.get(THREAD_ID, bad),
            lambda: client.runs.delete(THREAD_ID, bad),
            lambda: client.runs.cancel(THREAD_ID, bad),
            lambda: client.runs.join(THREAD_ID, bad),
            lambda: client.runs.join_stream(THREAD_ID, bad),
            lambda: client.runs.list(bad),
            lambda: client.runs.create(THREAD_ID, bad),
            lambda: client.threads.get(bad),
            lambda: client.assistants.get(bad),
        ):
            with pytest.raises(InvalidRequestError):
                make()
        assert 0 == server.connections


def test_uuid_objects_are_ids(connect: Connect) -> None:
    """A uuid.UUID is sent as its text."""
    thread, run = uuid.uuid4(), uuid.uuid4()
    with ScriptedServer(reply_json(200, run_json())) as server:
        connect(server.url).runs.get(cast(Any, thread), cast(Any, run))

    assert f"/threads/{thread}/runs/{run}" == server.requests[0].target


# -- headers


@calls()
def test_the_request_of_each_call(connect: Connect, call: Call) -> None:
    """Method and path are the endpoint's; each header stands once; a body has its length, JSON is called JSON."""
    with ScriptedServer(call.good, routes=after(call)) as server:
        call(connect(server.url, verify_outcome=False))

    request = server.requests[0]
    assert (call.method, call.path) == (request.method, request.path)
    assert f"127.0.0.1:{server.port}" == request.header("Host")
    assert f"langgraph-runs/{__version__}" == request.header("User-Agent")
    assert ("text/event-stream" if call.due == "sse" else "application/json") == request.header("Accept")
    assert "gzip, deflate" == request.header("Accept-Encoding")
    assert (str(len(request.body)) if call.method in ("POST", "PATCH", "PUT") else None) == request.header("Content-Length")
    assert ("application/json" if request.body else None) == request.header("Content-Type")
    for name in ("Transfer-Encoding", "Expect", "Cookie", "Authorization", "x-api-key"):
        assert request.header(name) is None
    names = [name.lower() for name, _ in request.headers]
    assert sorted(set(names)) == sorted(names)


@calls()
def test_only_creates_carry_a_request_id(connect: Connect, call: Call) -> None:
    """Each create has a fresh x-request-id, a UUID; no other call has one."""
    with ScriptedServer(call.good, call.good) as server:
        client = connect(server.url, verify_outcome=False)
        call(client)
        call(client)

    ids = [request.header("x-request-id") for request in server.requests]
    if call.kind == "create":
        assert ids == [str(uuid.UUID(given)) for given in ids if given]
        assert 2 == len(set(ids))
    else:
        assert [None, None] == ids


@pytest.mark.parametrize("call", CREATES, ids=str)
def test_a_request_id_of_the_callers_own_is_kept(connect: Connect, call: Call) -> None:
    """An x-request-id in headers, in whatever case, replaces ours and stands once."""
    with ScriptedServer(call.good) as server:
        call(connect(server.url, verify_outcome=False), headers={"X-Request-ID": "mine"})

    assert "mine" == server.requests[0].header("x-request-id")


@calls()
def test_the_key_is_sent_with_every_call(connect: Connect, call: Call) -> None:
    """x-api-key holds the key, on the follow-up requests too."""
    with ScriptedServer(call.good, routes=after(call)) as server:
        call(connect(server.url, api_key="k3y"))

    assert ["k3y"] * len(server.requests) == [request.header("x-api-key") for request in server.requests]


@pytest.mark.parametrize(
    ("environment", "argument", "sent"),
    [
        ({}, ..., None),
        ({"LANGCHAIN_API_KEY": "c"}, ..., "c"),
        ({"LANGSMITH_API_KEY": "s", "LANGCHAIN_API_KEY": "c"}, ..., "s"),
        ({"LANGGRAPH_API_KEY": "g", "LANGSMITH_API_KEY": "s", "LANGCHAIN_API_KEY": "c"}, ..., "g"),
        ({"LANGGRAPH_API_KEY": "  'g' \n"}, ..., "g"),
        ({"LANGGRAPH_API_KEY": '"g"'}, ..., "g"),
        ({"LANGGRAPH_API_KEY": "", "LANGSMITH_API_KEY": "s"}, ..., "s"),
        ({"LANGGRAPH_API_KEY": "''", "LANGSMITH_API_KEY": "s"}, ..., "s"),
        ({"LANGGRAPH_API_KEY": "g"}, "argument", "argument"),
        ({"LANGGRAPH_API_KEY": "g"}, None, None),
    ],
)
def test_the_key_comes_from_the_argument_or_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: Any, argument: Any, sent: Any
) -> None:
    """The argument wins, None sends none; else the first variable that is set, without quotes and blanks."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with ScriptedServer(reply_json(200, {})) as server, Client(server.url, api_key=argument) as client:
        client.ok()

    assert sent == server.requests[0].header("x-api-key")


@pytest.mark.parametrize("name", ["x-api-key", "X-Api-Key", "X-API-KEY"])
def test_the_key_header_is_reserved(connect: Connect, name: str) -> None:
    """x-api-key among the headers is refused in any case, of the client and of a call, and nothing is sent."""
    with ScriptedServer() as server:
        with pytest.raises(InvalidRequestError, match="reserved"):
            connect(server.url, headers={name: "k"})
        client = connect(server.url)
        with pytest.raises(InvalidRequestError, match="reserved"):
            client.runs.get(THREAD_ID, RUN_ID, headers={name: "k"})
        with pytest.raises(InvalidRequestError, match="reserved"):
            client.with_options(headers={name: "k"})
        assert 0 == server.connections


@pytest.mark.parametrize(
    "headers",
    [
        {"a": "b\r\nx-api-key: k"},
        {"a": "b\nc"},
        {"a": "b\rc"},
        {"a": "b\0c"},
        {"a\r\nb": "c"},
        {"a b": "c"},
        {"a:b": "c"},
        {"": "c"},
        {"ä": "c"},
        {"a": "\u20ac"},
        {"a": 3},
        {"a": None},
        {3: "a"},
    ],
    ids=ascii,
)
def test_headers_that_would_change_the_request_are_refused(connect: Connect, headers: Any) -> None:
    """A header name or value that does not fit on its line is refused by every call, and nothing is sent."""
    with ScriptedServer() as server:
        client = connect(server.url)
        for call in CALLS:
            with pytest.raises(InvalidRequestError, match="header"):
                call(client, headers=headers)
        with pytest.raises(InvalidRequestError, match="header"):
            connect(server.url, headers=headers)
        assert 0 == server.connections


@calls()
def test_headers_of_client_and_call_are_sent(connect: Connect, call: Call) -> None:
    """The call's own headers are laid over the client's, whatever their case, and each is sent once."""
    with ScriptedServer(call.good) as server:
        client = connect(server.url, headers={"X-One": "client", "X-Two": "client"}, verify_outcome=False)
        call(client, headers={"x-two": "call", "X-Three": "call", "User-Agent": "mine", "Authorization": "Bearer t"})

    request = server.requests[0]
    told = ["client", "call", "call", "mine", "Bearer t"]
    assert told == [request.header(name) for name in ("X-One", "X-Two", "X-Three", "User-Agent", "Authorization")]


def test_a_latin_header_value_goes_out_as_it_is(connect: Connect) -> None:
    """Letters of Latin-1 can stand in a header, and do."""
    with ScriptedServer(reply_json(200, {})) as server:
        connect(server.url).ok(headers={"x-name": "Zoë"})

    assert "Zoë" == server.requests[0].header("x-name")


def test_login_in_the_url_becomes_a_header_and_no_more(connect: Connect) -> None:
    """User and password of the URL are sent as Authorization; the request line and the client's repr do not have them."""
    with ScriptedServer(reply_json(200, {})) as server:
        client = connect(f"http://us%40er:pa%3Ass@127.0.0.1:{server.port}")
        client.ok()

    assert "Basic dXNAZXI6cGE6c3M=" == server.requests[0].header("Authorization")
    assert "/ok" == server.requests[0].target
    assert "pa" not in repr(client).replace("api_key", "") and "us%40er" not in client.base_url


def test_netrc_is_not_read(connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """A login in a netrc file for the server's host is not sent, and does not replace one that was given."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\ndefault login user password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with ScriptedServer(reply_json(200, {}), reply_json(200, {})) as server:
        client = connect(server.url)
        client.ok()
        client.ok(headers={"Authorization": "Bearer mine"})

    assert [None, "Bearer mine"] == [request.header("Authorization") for request in server.requests]


@calls()
def test_cookies_are_not_kept(connect: Connect, call: Call) -> None:
    """A cookie that a response sets is not sent with the next request."""
    cookie = call.good.with_header("Set-Cookie", "session=1; Path=/")
    with ScriptedServer(cookie, cookie) as server:
        client = connect(server.url, verify_outcome=False)
        call(client)
        call(client)

    assert [None, None] == [request.header("Cookie") for request in server.requests]


def test_cookies_of_an_error_are_neither_kept_nor_shown(connect: Connect) -> None:
    """A cookie that comes with an error is neither sent later nor on the exception."""
    with ScriptedServer(reply_json(404, {}).with_header("Set-Cookie", "a=b"), reply_json(200, {})) as server:
        client = connect(server.url)
        with pytest.raises(NotFoundError, match="404") as caught:
            client.info()
        client.ok()

    assert server.requests[1].header("Cookie") is None
    assert "set-cookie" not in caught.value.headers


# -- bodies

#: Each option that goes into the body of a create, wait or stream: what is given, and what stands in the body.
OPTIONS: dict[str, tuple[Any, dict[str, Any]]] = {
    "input": ({"messages": []}, {"input": {"messages": []}}),
    "command": ({"resume": "yes"}, {"command": {"resume": "yes"}}),
    "stream_mode": ("updates", {"stream_mode": "updates"}),
    "stream_subgraphs": (True, {"stream_subgraphs": True}),
    "stream_resumable": (False, {"stream_resumable": False}),
    "metadata": ({"a": None}, {"metadata": {"a": None}}),
    "config": ({"tags": ["t"], "recursion_limit": 3}, {"config": {"tags": ["t"], "recursion_limit": 3}}),
    "context": ({"user": "u"}, {"context": {"user": "u"}}),
    "checkpoint": ({"checkpoint_id": "c", "checkpoint_ns": ""}, {"checkpoint": {"checkpoint_id": "c", "checkpoint_ns": ""}}),
    "checkpoint_id": ("c", {"checkpoint_id": "c"}),
    "interrupt_before": (["a", "b"], {"interrupt_before": ["a", "b"]}),
    "interrupt_after": ("*", {"interrupt_after": "*"}),
    "feedback_keys": (["k"], {"feedback_keys": ["k"]}),
    "on_completion": ("keep", {"on_completion": "keep"}),
    "webhook": ("https://hook.example/x", {"webhook": "https://hook.example/x"}),
    "multitask_strategy": ("reject", {"multitask_strategy": "reject"}),
    "if_not_exists": ("create", {"if_not_exists": "create"}),
    "after_seconds": (1.5, {"after_seconds": 1.5}),
    "langsmith_tracing": ({"project_name": "p"}, {"langsmith_tracer": {"project_name": "p"}}),
    "durability": ("exit", {"durability": "exit"}),
    "strict_resume": (True, {"strict_resume": True}),
    "kwargs": ({"newer_option": [1]}, {"newer_option": [1]}),
}
STARTS = [call for call in CREATES if call.name != "create_batch"]
starts = pytest.mark.parametrize("call", STARTS, ids=str)


def sent_body(connect: Connect, call: Call, **options: Any) -> Any:
    with ScriptedServer(call.good) as server:
        call(connect(server.url, verify_outcome=False), **options)
    return body_of(server.requests[0])


def bare(call: Call) -> dict[str, Any]:
    """The body that is sent if no option is given."""
    body: dict[str, Any] = {"assistant_id": "agent"}
    if call.name.startswith(("wait", "stream")):
        body["on_disconnect"] = "continue"
    if call.due == "sse":
        body["stream_resumable"] = True
    return body


@starts
def test_without_options_only_the_assistant_is_sent(connect: Connect, call: Call) -> None:
    """The body has no null and no default of the library, except those that differ between servers, or are needed to resume."""
    assert bare(call) == sent_body(connect, call)


@pytest.mark.parametrize("option", OPTIONS)
@starts
def test_the_wire_name_of_each_option(connect: Connect, call: Call, option: str) -> None:
    """The option stands in the body under the server's name, as it was given, and adds nothing else."""
    given, sent = OPTIONS[option]
    assert {**bare(call), **sent} == sent_body(connect, call, **{option: given})


@starts
def test_none_is_not_sent(connect: Connect, call: Call) -> None:
    """Every option given as None is as if it had not been given: the server would refuse a null."""
    assert bare(call) == sent_body(
        connect, call, **dict.fromkeys(OPTIONS), on_run_created=None, timeout=None, signal=None, headers=None
    )


@pytest.mark.parametrize(
    ("option", "falsy"),
    [
        ("input", {}),
        ("input", []),
        ("input", 0),
        ("input", ""),
        ("input", False),
        ("stream_subgraphs", False),
        ("context", {}),
        ("interrupt_before", []),
        ("interrupt_after", []),
        ("feedback_keys", []),
        ("after_seconds", 0),
        ("stream_mode", []),
        ("command", {}),
        ("strict_resume", False),
        ("stream_resumable", False),
    ],
)
@starts
def test_falsy_values_are_sent(connect: Connect, call: Call, option: str, falsy: Any) -> None:
    """An empty object, an empty list, zero and False are values, and go out as they are."""
    body = sent_body(connect, call, **{option: falsy})

    assert [falsy, type(falsy)] == [body[option], type(body[option])]


@pytest.mark.parametrize("on_disconnect", ["cancel", "continue"])
@pytest.mark.parametrize("name", ["wait", "stream"])
def test_on_disconnect_is_sent(connect: Connect, name: str, on_disconnect: str) -> None:
    """wait and stream send on_disconnect; for a run that ends with its connection, stream_resumable is not sent."""
    body = sent_body(connect, named(name), on_disconnect=on_disconnect)

    assert on_disconnect == body["on_disconnect"]
    assert (True if "stream" in name and on_disconnect == "continue" else None) == body.get("stream_resumable")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("metadata", ...),
        (["metadata"], ...),
        (["values", "metadata", "custom"], ["values", "custom"]),
        (("values", "updates"), ["values", "updates"]),
        ("messages-tuple", "messages-tuple"),
    ],
)
@starts
def test_metadata_is_no_mode_to_the_server(connect: Connect, call: Call, given: Any, sent: Any) -> None:
    """metadata among the stream modes is left out, since the server would refuse it and sends those events anyway."""
    assert sent == sent_body(connect, call, stream_mode=given).get("stream_mode", ...)


@pytest.mark.filterwarnings("error")
@starts
def test_checkpoint_during_works_and_warns(connect: Connect, call: Call) -> None:
    """The deprecated option goes out as it is, with a DeprecationWarning."""
    with pytest.warns(DeprecationWarning, match="durability"):
        assert {**bare(call), "checkpoint_during": False} == sent_body(connect, call, checkpoint_during=False)


def test_options_are_laid_over_a_payload(connect: Connect) -> None:
    """Of a payload and a keyword the keyword counts; None leaves the payload's value; what only one has is sent."""
    payload = RunsCreatePayload(input={"n": 1}, metadata={"a": 1}, multitask_strategy="reject")
    with ScriptedServer(reply_json(200, run_json())) as server:
        connect(server.url).runs.create(THREAD_ID, "agent", payload, metadata={"b": 2}, input=None, durability="exit")

    assert {
        "assistant_id": "agent",
        "input": {"n": 1},
        "metadata": {"b": 2},
        "multitask_strategy": "reject",
        "durability": "exit",
    } == body_of(server.requests[0])


def test_a_payload_alone_is_sent(connect: Connect) -> None:
    """A ready payload gives the same body as its fields given as options."""
    with ScriptedServer(named("stream").good) as server:
        client = connect(server.url, verify_outcome=False)
        list(client.runs.stream(THREAD_ID, "agent", RunsStreamPayload(input={}, stream_mode=["custom"], on_disconnect="continue")))

    body = {"assistant_id": "agent", "input": {}, "stream_mode": ["custom"], "on_disconnect": "continue", "stream_resumable": True}
    assert body == body_of(server.requests[0])


def test_the_body_is_utf8_json(connect: Connect) -> None:
    """Text goes out as raw UTF-8, its length counted in bytes; values of Python's own classes as JSON has them."""
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    given = {"text": "ü€😀\u2028\u0085", "id": uuid.UUID(int=1), "at": moment, "set": {"a"}, 3: "three"}
    with ScriptedServer(reply_json(200, run_json())) as server:
        connect(server.url).runs.create(THREAD_ID, "agent", input=given)

    request = server.requests[0]
    expected = {"text": "ü€😀\u2028\u0085", "id": str(uuid.UUID(int=1)), "at": moment.isoformat(), "set": ["a"], "3": "three"}
    assert expected == json.loads(request.body.decode("utf-8"))["input"]
    assert "😀".encode() in request.body
    assert str(len(request.body)) == request.header("Content-Length")


@pytest.mark.parametrize(
    "bad",
    [float("nan"), float("inf"), object(), b"bytes", "\ud800", 2**64],
    ids=["nan", "inf", "object", "bytes", "surrogate", "large"],
)
def test_what_has_no_json_form_is_refused_with_its_path(connect: Connect, bad: Any) -> None:
    """A value that cannot be said in JSON is refused with its place, and nothing is sent."""
    with ScriptedServer() as server:
        client = connect(server.url)
        for call in STARTS:
            with pytest.raises(InvalidRequestError, match=r"\$\.input\.a\[0\]"):
                call(client, input={"a": [bad]})
        assert 0 == server.connections


def test_a_batch_is_an_array_in_order(connect: Connect) -> None:
    """Payload objects and dicts become the items of one JSON array, with the wire's names."""
    items: list[Any] = [
        RunCreate(assistant_id="a", input=1, langsmith_tracing={"project_name": "p"}),
        {"assistant_id": "b", "metadata": {"k": 2}, "input": None},
    ]
    with ScriptedServer(reply_json(200, [run_json(run_id="1"), run_json(run_id="2")])) as server:
        made = connect(server.url).runs.create_batch(items)

    assert ["1", "2"] == [run.run_id for run in made]
    first = {"assistant_id": "a", "input": 1, "langsmith_tracer": {"project_name": "p"}}
    assert [first, {"assistant_id": "b", "metadata": {"k": 2}}] == body_of(server.requests[0])


def test_a_batch_item_with_a_thread_goes_to_its_thread(connect: Connect) -> None:
    """The batch endpoint ignores thread_id, so such an item is created in a request of its own; the order is the caller's."""
    items = [{"assistant_id": "a", "thread_id": "t1"}, {"assistant_id": "b"}]
    batch, alone = reply_json(200, [run_json(run_id="b")]), reply_json(200, run_json(run_id="a"))
    with ScriptedServer(routes={("POST", "/runs/batch"): [batch], ("POST", "/threads/t1/runs"): [alone]}) as server:
        made = connect(server.url).runs.create_batch(items)

    assert ["a", "b"] == [run.run_id for run in made]
    assert [[{"assistant_id": "b"}], {"assistant_id": "a"}] == [body_of(request) for request in server.requests]


def test_an_empty_batch_is_refused(connect: Connect) -> None:
    """Nothing to create is an error of the caller's, and nothing is sent."""
    with ScriptedServer() as server:
        with pytest.raises(InvalidRequestError, match="at least one"):
            connect(server.url).runs.create_batch([])
        assert 0 == server.connections


def test_cancel_many_sends_exactly_one_way_to_choose(connect: Connect) -> None:
    """Either a status, or a thread with run ids; the action stands in the query."""
    with ScriptedServer(reply(204), reply(204)) as server:
        client = connect(server.url)
        client.runs.cancel_many(status="pending")
        client.runs.cancel_many(thread_id=uuid.UUID(int=1), run_ids=(RUN_ID, uuid.UUID(int=2)), action="rollback")  # type: ignore[arg-type]

    ids = [RUN_ID, str(uuid.UUID(int=2))]
    bodies = [{"status": "pending"}, {"thread_id": str(uuid.UUID(int=1)), "run_ids": ids}]
    assert bodies == [request.json() for request in server.requests]
    assert ["action=interrupt", "action=rollback"] == [request.query for request in server.requests]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"thread_id": THREAD_ID},
        {"run_ids": [RUN_ID]},
        {"thread_id": THREAD_ID, "run_ids": []},
        {"thread_id": THREAD_ID, "run_ids": RUN_ID},
        {"thread_id": THREAD_ID, "run_ids": [None]},
        {"status": "all", "thread_id": THREAD_ID},
        {"status": "all", "run_ids": [RUN_ID]},
        {"status": "success"},
        {"status": "all", "action": "stop"},
    ],
    ids=ascii,
)
def test_cancel_many_refuses_what_could_hit_the_wrong_runs(connect: Connect, wrong: Any) -> None:
    """Anything but one whole way to choose is refused, and nothing is sent."""
    with ScriptedServer() as server:
        with pytest.raises(InvalidRequestError):
            connect(server.url).runs.cancel_many(**wrong)
        assert 0 == server.connections


# -- query


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({}, "wait=0&action=interrupt"),
        ({"wait": True}, "wait=1&action=interrupt"),
        ({"wait": True, "action": "rollback"}, "wait=1&action=rollback"),
    ],
)
def test_cancel_says_wait_and_action_always(connect: Connect, options: Any, query: str) -> None:
    """Both stand in the query, since the server ignores a body; there is none."""
    with ScriptedServer(reply(200) if options else reply(202)) as server:
        connect(server.url).runs.cancel(THREAD_ID, RUN_ID, **options)

    assert (query, b"", "0") == (server.requests[0].query, server.requests[0].body, server.requests[0].header("Content-Length"))


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({}, {"limit": ["10"], "offset": ["0"]}),
        ({"limit": 3, "offset": 7, "status": "error"}, {"limit": ["3"], "offset": ["7"], "status": ["error"]}),
        ({"select": ["run_id", "status"]}, {"limit": ["10"], "offset": ["0"], "select": ["run_id", "status", "created_at"]}),
        ({"params": {"a": [1, True], "b": None}}, {"limit": ["10"], "offset": ["0"], "a": ["1", "true"]}),
    ],
)
def test_list_repeats_select(connect: Connect, options: Any, query: Any) -> None:
    """The server's own filters go into the query; several fields to select are several parameters."""
    with ScriptedServer(always=reply_json(200, [])) as server:
        connect(server.url).runs.list(THREAD_ID, **options)

    assert query == parse_qs(server.requests[0].query)


@dataclasses.dataclass
class AsDataclass:
    token: str = "s3cret"


@attrs.define
class AsAttrs:
    token: str = "s3cret"


class AsModel(pydantic.BaseModel):
    token: str = "s3cret"


@pytest.mark.parametrize("value", [AsDataclass(), AsAttrs(), AsModel()], ids=lambda value: type(value).__name__)
def test_metadata_context_and_commands_may_be_objects_with_fields(connect: Connect, value: Any) -> None:
    """Dataclasses, attrs and pydantic objects, as LangGraph itself takes them."""
    with ScriptedServer(always=lambda request: reply_json(200, [] if "search" in request.path else thread_json())) as server:
        threads = connect(server.url).threads
        threads.create(metadata=value)
        threads.update(THREAD_ID, metadata=value)
        threads.search(metadata=value)
    assert [{"token": "s3cret"}] * 3 == [json.loads(request.body)["metadata"] for request in server.requests]

    with ScriptedServer(always=reply_json(200, run_json())) as server:
        runs = connect(server.url).runs
        runs.create(THREAD_ID, "agent", context=value, metadata=value, command={"update": value})
        runs.create(THREAD_ID, "agent", input=value, config={"configurable": value})
    first, second = (body_of(request) for request in server.requests)
    assert (
        {"token": "s3cret"} == first["context"] == first["command"]["update"] == second["input"] == second["config"]["configurable"]
    )
    assert "s3cret" == first["metadata"]["token"]


def test_list_takes_its_options_in_one_object(connect: Connect) -> None:
    """As the JavaScript client does; what is given by name takes precedence."""
    with ScriptedServer(always=reply_json(200, [])) as server:
        runs = connect(server.url).runs
        runs.list(THREAD_ID, {"limit": 3, "offset": 7, "headers": {"x-a": "b"}}, status="error")
        runs.list(THREAD_ID, {"limit": 3, "status": "error"}, limit=5)
        with pytest.raises(InvalidRequestError, match="did you mean 'limit'"):
            runs.list(THREAD_ID, {"limits": 3})  # type: ignore[arg-type]
        with pytest.raises(InvalidRequestError, match="give the options by name, or a dict of them, not int"):
            runs.list(THREAD_ID, 5)  # type: ignore[arg-type]

    assert "limit=3&offset=7&status=error" == server.requests[0].query
    assert "limit=5&offset=0&status=error" == server.requests[-1].query
    assert "b" == server.requests[0].header("x-a")


def test_filters_of_the_library_are_not_sent(connect: Connect) -> None:
    """The server ignores metadata and times, so they are not sent, and pages are read until there are enough."""
    rows = [run_json(run_id=str(n), metadata={"odd": n % 2 == 1}) for n in range(6)]
    with ScriptedServer(reply_json(200, rows)) as server:
        found = connect(server.url).runs.list(THREAD_ID, limit=2, offset=1, metadata={"odd": True})

    assert ["3", "5"] == [run.run_id for run in found]
    assert {"limit": ["100"], "offset": ["0"]} == parse_qs(server.requests[0].query)


def test_iter_pages_until_a_short_page(connect: Connect) -> None:
    """Each page begins with the last row of the one before, and no run comes twice."""

    def page(request: Request) -> Reply:
        query = parse_qs(request.query)
        offset, limit = int(query["offset"][0]), int(query["limit"][0])
        rows = [run_json(run_id=str(n), created_at=f"2026-11-21T01:00:0{9 - n}+00:00") for n in range(7)]
        return reply_json(200, rows[offset : offset + limit])

    with ScriptedServer(always=page) as server:
        found = [run.run_id for run in connect(server.url).runs.iter(THREAD_ID, page_size=3)]

    assert [str(n) for n in range(7)] == found
    assert ["0", "2", "4", "6"] == [parse_qs(request.query)["offset"][0] for request in server.requests]


@pytest.mark.parametrize(
    ("modes", "sent"),
    [
        (None, None),
        ([], None),
        ("custom", ["custom", "error", "metadata"]),
        (["updates", "values"], ["updates", "values", "error", "metadata"]),
        (["metadata", "values"], ["metadata", "values", "error"]),
    ],
)
def test_join_stream_sends_its_modes_as_one_array(connect: Connect, modes: Any, sent: Any) -> None:
    """Of repeated parameters the server takes the last alone, and its filter drops errors: one JSON array names them too."""
    with ScriptedServer(named("join_stream").good) as server:
        list(connect(server.url, verify_outcome=False).runs.join_stream(THREAD_ID, RUN_ID, stream_mode=modes))

    query = parse_qs(server.requests[0].query)
    assert ({"stream_mode"} if sent else set()) == set(query)
    assert sent == (json.loads(query["stream_mode"][0]) if sent else None)


def test_join_stream_takes_its_options_in_one_object(connect: Connect) -> None:
    with ScriptedServer(named("join_stream").good) as server:
        runs = connect(server.url, verify_outcome=False).runs
        list(runs.join_stream(THREAD_ID, RUN_ID, {"stream_mode": "custom", "last_event_id": "5"}, last_event_id="1795-0"))
        with pytest.raises(InvalidRequestError, match="did you mean 'stream_mode'"):
            runs.join_stream(THREAD_ID, RUN_ID, {"streamMode": "custom"})  # type: ignore[call-overload]

    assert ["custom", "error", "metadata"] == json.loads(parse_qs(server.requests[0].query)["stream_mode"][0])
    assert "1795-0" == server.requests[0].header("Last-Event-ID")


def test_join_stream_leaves_out_the_events_of_subgraphs(connect: Connect) -> None:
    """The server has no parameter for it, so nothing is sent."""
    events = sse(("values", {"n": 1}, "1795-0"), ("values|child:1", {"n": 2}, "1795-1"), ("values", {"n": 3}, "1795-2"))
    with ScriptedServer(events, events) as server:
        runs = connect(server.url, verify_outcome=False).runs
        assert [1, 3] == [event.data["n"] for event in runs.join_stream(THREAD_ID, RUN_ID, stream_subgraphs=False)]
        assert [1, 2, 3] == [event.data["n"] for event in runs.join_stream(THREAD_ID, RUN_ID, stream_subgraphs=True)]
        with pytest.raises(InvalidRequestError, match="stream_subgraphs: give True or False"):
            runs.join_stream(THREAD_ID, RUN_ID, stream_subgraphs="no")  # type: ignore[call-overload]

    assert ["", ""] == [request.query for request in server.requests]


def test_join_stream_without_a_thread_ends_only_if_the_run_is_known_to_have_ended(connect: Connect) -> None:
    cut, whole = [("values", {"n": 1}, "1795-0")], [("values", {"n": 1}, "1795-0"), ("end", None, "1795-1")]
    with ScriptedServer(sse(*whole), sse(*cut), sse(*cut), reply_json(404, {"detail": "Not Found"})) as server:
        runs = connect(server.url).runs
        assert 2 == len(list(runs.join_stream(None, RUN_ID)))
        stream = runs.join_stream(None, RUN_ID)
        assert {"n": 1} == next(stream).data
        with pytest.raises(StreamInterruptedError, match="the thread of the run is not known"):
            next(stream)
        marked = runs.join_stream(None, RUN_ID, on_gap="mark")
        assert 1 == len(list(marked)) and 1 == len(marked.gaps) and marked.outcome is None
        with pytest.raises(NotFoundError, match="give thread_id"):
            runs.join_stream(None, RUN_ID)

    assert {f"/runs/{RUN_ID}/stream"} == {request.path for request in server.requests}


def test_join_stream_sends_the_last_event_id(connect: Connect) -> None:
    """Last-Event-ID is a header; cancel_on_disconnect is in the query only if it was requested."""
    with ScriptedServer(named("join_stream").good, named("join_stream").good) as server:
        runs = connect(server.url, verify_outcome=False).runs
        list(runs.join_stream(THREAD_ID, RUN_ID))
        list(runs.join_stream(THREAD_ID, RUN_ID, last_event_id="1795-0", cancel_on_disconnect=True))

    assert [(None, ""), ("1795-0", "cancel_on_disconnect=true")] == [
        (request.header("Last-Event-ID"), request.query) for request in server.requests
    ]


def test_an_event_id_that_is_not_ascii_goes_out_as_utf8(connect: Connect) -> None:
    """As the specification of server-sent events wants it; and one with a line end is refused."""
    with ScriptedServer(named("join_stream").good) as server:
        runs = connect(server.url, verify_outcome=False).runs
        list(runs.join_stream(THREAD_ID, RUN_ID, last_event_id="é€"))
        for bad in ("a\r\nb: c", "a\nb", "a\0b"):
            with pytest.raises(InvalidRequestError):
                runs.join_stream(THREAD_ID, RUN_ID, last_event_id=bad)
        assert 1 == len(server.requests)

    assert "é€" == (server.requests[0].header("Last-Event-ID") or "").encode("latin-1").decode("utf-8")


@calls()
def test_params_are_added_to_the_query(connect: Connect, call: Call) -> None:
    """Further parameters are encoded so that they stay values, and stand beside the call's own."""
    nasty = "a&b=c#d e/ü\r\n"
    with ScriptedServer(call.good) as server:
        call(connect(server.url, verify_outcome=False), params={"x": nasty, "y": [1, 2]})

    query = parse_qs(server.requests[0].query)
    assert ([nasty], ["1", "2"]) == (query["x"], query["y"])
    assert f"x={quote(nasty, safe='/')}" in server.requests[0].query.replace("%2F", "/")
    assert call.path == server.requests[0].path


def test_threads_search_and_state(connect: Connect) -> None:
    """What the calls of threads send: filters, checkpoints and the subgraphs flag."""
    with ScriptedServer(
        reply_json(200, [thread_json()]),
        reply_json(200, {"values": {}}),
        reply_json(200, {"values": {}}),
        reply_json(200, [{"values": {}}]),
        reply_json(200, thread_json()),
    ) as server:
        threads = connect(server.url).threads
        threads.search(metadata={"k": 1}, status="idle", ids=[THREAD_ID], limit=5, sort_by="created_at", sort_order="desc")
        threads.get_state(THREAD_ID, subgraphs=True)
        threads.get_state(THREAD_ID, {"checkpoint_id": "c", "checkpoint_map": None})
        threads.get_history(THREAD_ID, limit=2, before="c")
        threads.create(thread_id=THREAD_ID, if_exists="do_nothing", graph_id="agent", ttl=5)

    bodies = [request.json() if request.body else None for request in server.requests]
    search = {"limit": 5, "offset": 0, "status": "idle", "sort_by": "created_at", "sort_order": "desc"}
    assert {**search, "metadata": {"k": 1}, "ids": [THREAD_ID]} == bodies[0]
    assert ("subgraphs=true", None) == (server.requests[1].query, bodies[1])
    assert {"checkpoint": {"checkpoint_id": "c"}} == bodies[2]
    assert {"limit": 2, "before": {"configurable": {"checkpoint_id": "c"}}} == bodies[3]
    ttl = {"ttl": 5, "strategy": "delete"}
    assert {"thread_id": THREAD_ID, "metadata": {"graph_id": "agent"}, "if_exists": "do_nothing", "ttl": ttl} == bodies[4]


@pytest.mark.parametrize("place", [{"thread_id": THREAD_ID}, {"thread_id": THREAD_ID, "checkpoint_ns": "", "checkpoint_map": None}])
def test_a_checkpoint_that_names_only_its_thread_is_the_current_state(connect: Connect, place: Any) -> None:
    """Some servers refuse such a checkpoint."""
    state: Any = {"values": {}, "next": [], "tasks": []}
    with ScriptedServer(reply_json(200, state), reply_json(200, [state]), reply_json(200, {"checkpoint": {}})) as server:
        threads = connect(server.url).threads
        threads.get_state(THREAD_ID, place)
        threads.get_history(THREAD_ID, checkpoint=place)
        threads.update_state(THREAD_ID, {"n": 1}, checkpoint=Checkpoint(thread_id=THREAD_ID))

        with pytest.raises(InvalidRequestError, match="checkpoint: give an object"):
            threads.get_state(THREAD_ID, "c")  # type: ignore[arg-type]

    assert ("GET", f"/threads/{THREAD_ID}/state") == (server.requests[0].method, server.requests[0].path)
    assert [{"limit": 10}, {"values": {"n": 1}}] == [request.json() for request in server.requests[1:]]


# -- connections


def test_one_connection_serves_call_after_call(connect: Connect) -> None:
    """Responses of every kind that were read to their end leave the connection to the next call."""
    run = ("GET", "/threads/*/runs/*")
    with ScriptedServer(
        *[call.good for call in CALLS if call.name != "get"],
        reply_json(404, {"detail": "x"}),
        reply(500),
        routes={run: reply_json(200, run_json())},
    ) as server:
        client = connect(server.url).with_options(verify_outcome=False)
        for call in CALLS:
            call(client)
        for _ in range(2):
            with pytest.raises(Exception, match=r"404|500"):
                client.with_options(retry=type(client._transport.settings.retry)(attempts=1)).info()
        assert 1 == server.connections


def test_a_response_that_closes_is_followed_by_a_new_connection(connect: Connect) -> None:
    """After Connection: close, said or done, the next call connects anew and succeeds."""
    with ScriptedServer(
        reply_json(200, {}, {"Connection": "close"}),
        reply_json(200, {}, framing="close"),
        reply_json(200, {}).then_hang_up(),
        reply_json(200, {}),
    ) as server:
        client = connect(server.url)
        for number in range(4):
            assert client.ok()
            if number == 2:
                server.wait_closed()
        assert 4 == server.connections


def test_an_http_1_0_response_is_understood(connect: Connect) -> None:
    """An old proxy's response without keep-alive is read to its end, and its connection not used again."""
    old = raw(b'HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{"version": "1"}').then_cut()
    with ScriptedServer(old, reply_json(200, {"version": "2"})) as server:
        client = connect(server.url)
        assert ["1", "2"] == [client.info().version, client.info().version]
        assert 2 == server.connections


# -- proxies


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """The proxy gets the request with the whole URL; the server's name is not looked up here."""
    with ScriptedServer(reply_json(200, {})) as server:
        monkeypatch.setenv(variable, server.url)
        with Client("http://nowhere.example:2024/api", api_key="k") as client:
            client.ok()

    assert b"GET http://nowhere.example:2024/api/ok HTTP/1.1" == server.requests[0].line
    assert "nowhere.example:2024" == server.requests[0].header("Host")


def test_no_proxy_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that NO_PROXY names is spoken to directly."""
    with ScriptedServer() as proxy, ScriptedServer(reply_json(200, {})) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with Client(server.url, api_key=None) as client:
            client.ok()
        assert 0 == proxy.connections

    assert b"GET /ok HTTP/1.1" == server.requests[0].line


def test_no_proxy_alone_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request line is the same, with an id that requests would decode."""
    monkeypatch.setenv("NO_PROXY", "other.example")
    with ScriptedServer(always=reply_json(200, run_json())) as server:
        with Client(server.url, api_key=None) as client:
            client.runs.get("%2E%2E", "r")
            connector: Any = client._transport._shared.connector()
            assert {} == connector._settings["proxies"]
    assert b"GET /threads/%252E%252E/runs/r HTTP/1.1" == server.requests[0].line


def test_login_for_the_proxy_goes_to_the_proxy(connect: Connect) -> None:
    """User and password in a proxy's URL become Proxy-Authorization."""
    with ScriptedServer(reply_json(200, {})) as server:
        connect("http://nowhere.example", proxies={"http": f"http://u:p@127.0.0.1:{server.port}"}).ok()

    assert "Basic dTpw" == server.requests[0].header("Proxy-Authorization")
    assert server.requests[0].header("Authorization") is None


def test_a_stream_through_a_proxy(connect: Connect) -> None:
    """Events come through a proxy as they do without, and the run is requested through it too."""
    with ScriptedServer(named("stream").good, reply_json(200, run_json())) as server:
        with connect("http://nowhere.example", proxies={"http": server.url}).runs.stream(THREAD_ID, "agent") as stream:
            names = [event.event for event in stream]

    assert [name for name, _ in EVENTS] == names
    assert f"http://nowhere.example/threads/{THREAD_ID}/runs/{RUN_ID}" == server.requests[1].target


# -- a session of the caller's


def test_a_session_of_the_callers_is_used(connect: Connect) -> None:
    """Its headers, auth and response hooks take part; arguments of the client take precedence; it keeps no cookie of the client."""
    seen: list[int] = []
    with requests.Session() as session:
        session.headers["X-Mine"] = "1"
        session.auth = ("u", "p")
        session.hooks["response"].append(lambda response, **_: seen.append(response.status_code))
        with ScriptedServer(reply_json(200, {}).with_header("Set-Cookie", "a=b"), reply_json(200, {})) as server:
            client = connect(server.url, session=session)
            client.ok()
            client.ok()

    for request in server.requests:
        assert ["1", "Basic dTpw"] == [request.header("X-Mine"), request.header("Authorization")]
        assert f"langgraph-runs/{__version__}" == request.header("User-Agent")
    assert [200, 200] == seen


def test_a_session_of_the_callers_stays_open(connect: Connect) -> None:
    """Closing the client does not close it."""
    with requests.Session() as session, ScriptedServer(reply_json(200, {}), reply(200, "theirs")) as server:
        connect(server.url, session=session).close()
        connect(server.url, session=session).ok()
        assert "theirs" == session.get(f"{server.url}/theirs").text


# -- the shape of requests that are sent again


def test_a_repeat_is_the_same_request(connect: Connect) -> None:
    """A GET that is tried again has the same line, headers and body."""
    with ScriptedServer(reply(503), drop_before_answer(), reply_json(200, [run_json()])) as server:
        connect(server.url, api_key="k").runs.list(THREAD_ID, params={"a": "b"}, headers={"c": "d"})

    assert 1 == len({request.raw for request in server.requests})
    assert 3 == len(server.requests)


def test_a_create_sent_again_keeps_its_request_id(connect: Connect) -> None:
    """After 429 the create goes out again under the same x-request-id: to the server it is the same create."""
    with ScriptedServer(reply(429), reply_json(200, run_json())) as server:
        connect(server.url).runs.create(THREAD_ID, "agent")

    first, second = (request.header("x-request-id") for request in server.requests)
    assert first == second


def test_wait_and_stream_send_one_further_request(connect: Connect) -> None:
    """They send one GET of the run, and none if verify_outcome is off."""
    run = reply_json(200, run_json())
    with ScriptedServer(
        waiting(value={"n": 1}, run=(THREAD_ID, RUN_ID)), run, sse(*EVENTS, run=(THREAD_ID, RUN_ID)), run
    ) as server:
        client = connect(server.url)
        client.runs.wait(THREAD_ID, "agent")
        list(client.runs.stream(THREAD_ID, "agent"))

    path = f"/threads/{THREAD_ID}/runs/{RUN_ID}"
    assert [f"GET {path}"] * 2 == [f"{request.method} {request.target}" for request in server.requests[1::2]]
    with ScriptedServer(waiting(value={"n": 1}, run=(THREAD_ID, RUN_ID)), sse(*EVENTS, run=(THREAD_ID, RUN_ID))) as server:
        client = connect(server.url, verify_outcome=False)
        client.runs.wait(THREAD_ID, "agent")
        list(client.runs.stream(THREAD_ID, "agent"))
        assert 2 == len(server.requests)


class OwnAdapter(HTTPAdapter):
    """A user's own adapter."""


@pytest.mark.parametrize("adapter", [HTTPAdapter(max_retries=3), OwnAdapter()], ids=["with retries", "a subclass"])
@pytest.mark.parametrize("how", ["timeout", "signal"])
def test_a_users_own_adapter_keeps_to_the_limits_of_a_call(connect: Connect, adapter: HTTPAdapter, how: str) -> None:
    """A response that drips ends with the deadline, and with an abort from another thread."""
    controller = AbortController()
    drip: list[Any] = [b"X", 0.05] * 200
    with requests.Session() as session, ScriptedServer(raw(b"HTTP/1.1 200 OK\r\n", *drip)) as server:
        session.mount("http://", adapter)
        client = connect(server.url, session=session, retry=RetryPolicy(attempts=1))
        timer = threading.Timer(0.3, controller.abort)
        timer.start()
        began = time.monotonic()
        with pytest.raises((DeadlineExceededError, AbortedError)):
            client.ok(**({"timeout": 0.3} if how == "timeout" else {"signal": controller.signal}))
        assert 0.25 < time.monotonic() - began < 5
        timer.join()


def test_cookies_of_the_server_are_kept_in_a_users_session(connect: Connect) -> None:
    """As a load balancer sets them; a client without a session keeps none."""
    good = reply(200, '{"ok": true}', [("Set-Cookie", "node=7; Path=/"), ("Set-Cookie", "b=2; Path=/")])
    for session in (requests.Session(), None):
        with ScriptedServer(good, good) as server:
            client = connect(server.url, session=session)
            client.ok()
            client.ok()
        cookies = [""] if session is None else ["b=2", "node=7"]  # in any order
        assert [[""], cookies] == [sorted((request.header("cookie") or "").split("; ")) for request in server.requests]
        client.close()
        if session is not None:
            session.close()


@pytest.mark.parametrize(("status", "has_poll"), [(401, True), (413, True), (401, False)])
def test_a_response_that_comes_before_the_request_was_sent_is_read(
    connect: Connect, status: int, has_poll: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server reads no more of the large body, and keeps the connection open: the client must not wait for it."""
    if not has_poll:  # as on Windows; urllib3 has chosen a function already, which may need it
        monkeypatch.setattr("langgraph_runs.http.sockets.select", SimpleNamespace(select=select.select))
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()
    body = b'{"detail":"no"}'

    def serve() -> None:
        with listener, listener.accept()[0] as sock:
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(1024)
            sock.sendall(
                b"HTTP/1.1 %d No\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body
            )
            done.wait(30)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client = connect(f"http://127.0.0.1:{listener.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(APIStatusError, match="no") as caught:
            client.runs.create(THREAD_ID, "agent", input={"text": "x" * 20_000_000})
        assert time.monotonic() - began < 10
    finally:
        done.set()
        thread.join()
    assert (status, 1) == (caught.value.status_code, caught.value.attempts)


def test_what_stops_a_name_lookup_reaches_the_caller_at_once(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard against sockets in tests raises an error of its own class, and so does a machine without memory."""

    def refuse(*_: Any) -> Any:
        raise RuntimeError("a test tried to use a socket")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="tried to use a socket"):
        connect("http://server.test").ok()
    assert time.monotonic() - began < 3

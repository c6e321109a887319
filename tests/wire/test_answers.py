"""What each response leads to: a result, or the one error that says what is wrong with it."""

from __future__ import annotations

import gzip
import http.client
import json
import pickle
import socket
import ssl
import threading
import zlib
from collections.abc import Iterator
from typing import Any, Callable

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from langgraph_runs import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    Client,
    ConflictError,
    InternalServerError,
    LangGraphRunsError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ResponseDecodeError,
    RetryPolicy,
    RunCancelledError,
    RunError,
    RunFailedError,
    RunOutcome,
    RunTimedOutError,
    UnprocessableEntityError,
)

from .calls import CALLS, CREATES, EVENTS, QUICK, VALUES, Call, after, beside, calls, named
from .scripted import (
    RUN_ID,
    THREAD_ID,
    Item,
    Reply,
    ScriptedServer,
    chunked,
    drop_before_answer,
    event,
    raw,
    reply,
    reply_json,
    run_headers,
    run_json,
    sse,
    waiting,
)

Connect = Callable[..., Client]

ONCE = RetryPolicy(attempts=1)
RUN = (THREAD_ID, RUN_ID)
RUN_PATH = f"/threads/{THREAD_ID}/runs/{RUN_ID}"
KEY = "lsv2_secret_4711"

#: The error for each status; others are `APIStatusError` itself, and from 500 on `InternalServerError`.
CLASSES = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}
STATUSES = (
    *(400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 414, 415, 418, 421, 422, 423, 424, 425, 426, 428, 429, 431),
    *(451, 499, 500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 529, 599, 600, 999),
)
HTML = "<!DOCTYPE html><html><head><title>t</title><style>b{}</style></head><body><h1>Bad  gateway</h1>\n<p>nginx</p></body></html>"

#: Bodies of errors: what is sent, of what type, and what the error says.
BODIES: dict[str, tuple[Any, str, str]] = {
    "detail": (b'{"detail":"no such thing"}', "application/json", "no such thing"),
    "detail of several lines": (b'{"detail":"a\\n\\nb"}', "application/json", "a\n\nb"),
    "error and message": (b'{"error":"not_found","message":"no such thing"}', "application/json", "not_found: no such thing"),
    "bare string": (b'"no such thing"', "application/json", "no such thing"),
    "nested": (b'{"error":{"message":"no such thing","code":7}}', "application/json", "no such thing"),
    "text": (b"Internal Server Error", "text/plain", "Internal Server Error"),
    "html": (HTML.encode(), "text/html", "t Bad gateway nginx"),
    "json called text": (b'{"detail":"no such thing"}', "text/plain; charset=latin-1", "no such thing"),
    "text called json": ("nö such thing".encode(), "application/json", "nö such thing"),
    "utf-8 called latin-1": ('{"detail":"nö €"}'.encode(), "application/json; charset=iso-8859-1", "nö €"),
    "with a BOM": (b'\xef\xbb\xbf{"detail":"no such thing"}', "application/json", "no such thing"),
    "not utf-8": (b"n\xff such thing", "text/plain", "n\ufffd such thing"),
    "cut json": (b'{"detail":"no su', "application/json", '{"detail":"no su'),
    "a list": (b'[{"loc":["body"],"msg":"m"}]', "application/json", "[{'loc': ['body'], 'msg': 'm'}]"),
    "detail as a list": (b'{"detail":[{"msg":"m"}]}', "application/json", "[{'msg': 'm'}]"),
    "a number": (b"0", "application/json", "0"),
    "false": (b"false", "application/json", "False"),
}


def _error(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    with pytest.raises(LangGraphRunsError) as caught:
        call(*args, **options)
    return caught.value


def once(connect: Connect, server: ScriptedServer, **options: Any) -> Client:
    """A client that never repeats, and does not look for runs that may have been created."""
    return connect(server.url, **{"retry": ONCE, **options})


# -- statuses


@calls()
def test_each_status_is_its_error(connect: Connect, call: Call) -> None:
    """Every status from 400 on is the typed error of that status, for every call, with all that is known of it."""
    blind = {("GET", f"/threads/{THREAD_ID}/runs"): reply(500)} if call.name not in ("list", "iter") else {}
    blind = {**blind, **beside(call)}
    if call.name == "join":
        blind["GET", "/threads/*/runs/*"] = reply(500)
    for status in STATUSES:
        answer = reply_json(status, {"detail": "no such thing"}, {"X-Other": "o", "x-request-id": "r"})
        with ScriptedServer(answer, routes=blind) as server:
            error = _error(call, once(connect, server))
            expected = CLASSES.get(status, InternalServerError if status >= 500 else APIStatusError)
            assert (expected, status) == (type(error), error.status_code)
            assert ("no such thing", {"detail": "no such thing"}) == (error.message, error.body)
            assert ("o", "r") == (error.headers["x-other"], error.request_id)
            assert (call.method, f"{server.url}{call.path}") == tuple(error.request)
            assert 1 == error.attempts
            assert str(status) in str(error) and "no such thing" in str(error) and "\n" not in str(error)
            copy = pickle.loads(pickle.dumps(error))
            assert (type(error), error.__dict__) == (type(copy), copy.__dict__)


@calls()
def test_the_message_of_an_error_is_the_servers_text(connect: Connect, call: Call) -> None:
    """JSON, text and HTML bodies of any shape give the server's own words, for every call alike."""
    with ScriptedServer(*[reply(418, body, {"Content-Type": kind}) for body, kind, _ in BODIES.values()]) as server:
        client = once(connect, server)
        for name, (body, _, message) in BODIES.items():
            error = _error(call, client)
            assert (name, message) == (name, error.message)
            try:
                assert error.body == json.loads(body.decode("utf-8-sig"))
            except ValueError:
                assert error.body == body.decode("utf-8", "replace")


@calls()
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_an_error_without_a_body(connect: Connect, call: Call, framing: str) -> None:
    """An empty body gives the status's own phrase and body None."""
    with ScriptedServer(reply(422, framing=framing)) as server:
        error = _error(call, once(connect, server))

    assert (UnprocessableEntityError, None) == (type(error), error.body)
    assert "Unprocessable" in error.message


@calls()
def test_an_error_whose_body_is_cut(connect: Connect, call: Call) -> None:
    """The status says more than the fault in its body: it is the error, with what is known, or without a body."""
    for cut in (reply(403, "x" * 100).cut_after(120), reply(403, "x" * 100).reset_after(120), chunked("x", status=403).then_cut()):
        with ScriptedServer(cut) as server:
            assert isinstance(_error(call, once(connect, server)), PermissionDeniedError)


def test_a_huge_error_is_not_kept_whole(connect: Connect) -> None:
    """Of an endless error body only the beginning is read, and the connection is not used again."""

    def endless() -> Iterator[Item]:
        while True:
            yield "x" * 65536

    answer = Reply("endless", b"HTTP/1.1 418 Teapot", items=endless, framing="close")
    with ScriptedServer(answer, reply_json(200, {})) as server:
        client = once(connect, server)
        error = _error(client.ok)
        assert 418 == error.status_code
        assert 1 << 20 == len(error.message)
        client.ok()
        assert 2 == server.connections


def test_a_retry_after_is_on_the_error(connect: Connect) -> None:
    """Seconds, or a date read against the server's own clock; nonsense is no wait."""
    date = {"Date": "Sat, 21 Nov 2026 01:00:00 GMT"}
    values = {
        "7": 7.0,
        "0": 0.0,
        "1.5": 1.5,
        "Sat, 21 Nov 2026 01:00:30 GMT": 30.0,
        "Sat, 21 Nov 2026 00:59:00 GMT": 0.0,
        "Saturday, 21-Nov-26 01:00:10 GMT": 10.0,
        "soon": None,
        "-5": None,
        "nan": None,
        "inf": None,
        "1e3": None,
        "٣": None,
        "": None,
        "99999999999999999999": 99999999999999999999.0,
    }
    with ScriptedServer(*[reply(429, "", {**date, "Retry-After": value}) for value in values]) as server:
        client = once(connect, server)
        assert values == {value: _error(client.ok).retry_after for value in values}


# -- redirects


@calls()
def test_a_redirect_is_an_error_and_goes_nowhere(connect: Connect, call: Call) -> None:
    """Every 3xx names its target; neither the key nor the body goes there, nor anything else."""
    with ScriptedServer() as evil:
        target = f"{evil.origin}/elsewhere"
        for status in (300, 301, 302, 303, 304, 305, 307, 308, 399):
            with ScriptedServer(reply(status, "" if status == 304 else "moved", {"Location": target})) as server:
                error = _error(call, once(connect, server, api_key=KEY))
                assert (APIStatusError, status) == (type(error), error.status_code)
                assert target in str(error)
                assert 1 == len(server.requests)
        assert 0 == evil.connections


@pytest.mark.parametrize(
    "location", ["/relative", "//evil.example/x", "", "http://user:password@evil.example/", "\x00", "http://["]
)
def test_odd_targets_of_redirects(connect: Connect, location: str) -> None:
    """Whatever Location holds, it is an error that shows no password, and it is not followed."""
    with ScriptedServer(reply(302, "", {"Location": location}), reply(302)) as server:
        client = once(connect, server)
        errors = [_error(client.ok), _error(client.ok)]
        assert 2 == len(server.requests)

    assert [302, 302] == [error.status_code for error in errors]
    assert all("password" not in str(error) for error in errors)


def test_a_redirect_is_not_repeated(connect: Connect) -> None:
    """It is a final response: a repeat would get the same."""
    with ScriptedServer(reply(307, "", {"Location": "/x"})) as server:
        assert 307 == _error(connect(server.url).ok).status_code
        assert 1 == len(server.requests)


# -- status lines and heads


@calls("read", "create", "end")
@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.0\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTQ/1.1 200 OK\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"\0\1\2\3" * 100,
        b"<html>not http at all</html>",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"HTTP/1.1 " + b"2" * 70_000,
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 2_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n123456",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 100_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFFFFFFFF\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999999999999999999999\r\n\r\n{",
    ],
    ids=lambda garbage: ascii(garbage[:60].decode("latin-1")),
)
def test_a_response_that_is_not_http_is_an_error_of_the_library(connect: Connect, call: Call, garbage: bytes) -> None:
    """Bytes that are no response are an APIConnectionError; no library's exception comes through, and no result either."""
    blind = {("GET", f"/threads/{THREAD_ID}/runs"): reply(500)} if call.name not in ("list", "iter") else {}
    route = {("GET", f"/threads/{THREAD_ID}/runs/{RUN_ID}"): reply(500)} if call.name != "get" else {}
    route = {} if call.name == "delete" else route
    with ScriptedServer(raw(garbage).then_cut(), routes={**blind, **route}, always=reply(500)) as server:
        error = _error(call, once(connect, server))

    assert isinstance(error, APIConnectionError)
    assert error.sent is not False
    assert "\n" not in str(error)


@calls()
def test_a_connection_that_ends_within_the_head_is_no_response(connect: Connect, call: Call) -> None:
    """A response whose head was cut, after the status line or within a header, is a broken connection, never a result."""
    head = b"HTTP/1.1 204 No Content\r\nContent-Type: application/json\r\nX-Long: aaaaaaaaaaaaaa\r\n"
    for count in (*range(1, 40), len(head) - 1, len(head)):
        with ScriptedServer(raw(head[:count]).then_cut(), always=reply(500)) as server:
            error = _error(call, once(connect, server))
            assert isinstance(error, APIConnectionError), (count, error)


@calls()
def test_interim_responses_are_skipped(connect: Connect, call: Call) -> None:
    """100, 102 and 103, with headers of their own, are not the response; what they say is not taken for the final response's."""
    good = (
        call.good.after_interim(100)
        .after_interim(103, {"Link": "</x>", "Content-Location": "/threads/x/runs/y"})
        .after_interim(102)
    )
    with ScriptedServer(good, call.good, routes=after(call)) as server:
        client = connect(server.url)
        first = call(client)
        second = call(client)

    assert str(first) == str(second) or call.due == "sse"


def test_too_many_interim_responses_are_an_error(connect: Connect) -> None:
    """Too many interim responses end the call."""
    with ScriptedServer(raw(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000).then_cut()) as server:
        assert isinstance(_error(once(connect, server).ok), APIConnectionError)


def test_switching_protocols_is_no_success(connect: Connect) -> None:
    """The client did not request a switch."""
    for call in (named("ok"), named("cancel"), named("create"), named("stream")):
        with ScriptedServer(raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n").then_cut(), always=reply(500)) as server:
            _error(call, once(connect, server))


@calls()
def test_odd_heads_that_are_fine(connect: Connect, call: Call) -> None:
    """Header names in any case, folded and repeated headers, and lines that end in LF alone are understood."""
    pieces = [item.encode() if isinstance(item, str) else item for item in call.good.pieces() if item]
    head, body = b"".join(pieces).split(b"\r\n\r\n", 1)  # type: ignore[arg-type]
    lines = head.split(b"\r\n")
    odd = [
        lines[0].replace(b"OK", b""),
        *[line.replace(b"content-", b"CONTENT-") for line in lines[1:]],
        b"X-A: 1",
        b" 2",
        b"X-A: 3",
    ]
    with ScriptedServer(raw(b"\n".join(odd) + b"\n\n" + body), call.good, routes=after(call)) as server:
        client = connect(server.url)
        assert str(call(client)) is not None
        call(client)


# -- bodies


JSON_DUE = calls(due="json")
#: Calls whose answer is a record or a list of them; the values of wait and join may be any JSON.
RECORDS = [call for call in CALLS if call.due == "json" and not call.name.startswith(("wait", "join"))]
records = pytest.mark.parametrize("call", RECORDS, ids=str)


NOT_JSON = [
    b"",
    b" \n",
    HTML.encode(),
    b'{"run_id": ',
    b"{'a': 1}",
    b"NaN",
    b"{} {}",
    b"\xff\xfe{\0}\0",
    b"[" * 100_000,
    b'"\xff"',
]


@records
def test_a_body_that_is_not_json_is_an_error(connect: Connect, call: Call) -> None:
    """An empty, cut or foreign 200 where JSON is due is ResponseDecodeError, and is not requested again."""
    for body in NOT_JSON:
        answer = reply(200, body, {"Content-Type": "application/json", **run_headers(THREAD_ID, RUN_ID)})
        with ScriptedServer(answer, routes=after(call)) as server:
            error = _error(call, connect(server.url))
            assert isinstance(error, ResponseDecodeError), body[:20]
            assert error.problems and error.problems[0].startswith("$")
            assert True is error.sent
            own = [request for request in server.requests if request.path == call.path and request.method == call.method]
            assert 1 == len(own)
            assert len(str(error)) < 500


@pytest.mark.parametrize("name", ["wait", "join"])
@pytest.mark.parametrize("body", NOT_JSON, ids=lambda body: ascii(body[:12].decode("latin-1")))
def test_a_response_of_a_run_that_is_not_json_is_no_end(connect: Connect, name: str, body: bytes) -> None:
    """A gateway may end a body early. The run is requested: while it goes on, it is joined; its values come from its own state."""
    call = named(name)
    answer = reply(200, body, {"Content-Type": "application/json", **run_headers(THREAD_ID, RUN_ID)})
    with ScriptedServer(answer, routes=after(call)) as server:
        assert VALUES == call(connect(server.url))
    states = [reply_json(200, run_json(status)) for status in ("running", "success")]
    with ScriptedServer(answer, named("join").good, routes={**after(call), ("GET", "/threads/*/runs/*"): states}) as server:
        assert VALUES == call(connect(server.url))
    with ScriptedServer(answer, routes=after(call, run=reply(500)), always=answer) as server:
        error = _error(call, once(connect, server))
        assert isinstance(error, ResponseDecodeError)
        assert (RUN_ID, THREAD_ID) == (error.run_id, error.thread_id)


@JSON_DUE
@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 299])
def test_every_2xx_is_a_success(connect: Connect, call: Call, status: int) -> None:
    """The body of every 2xx status is read as the result."""
    items = call.good.items
    assert isinstance(items, tuple)
    body = [item for item in items if isinstance(item, (bytes, str))]
    with ScriptedServer(chunked(*body, status=status, headers=call.good.headers), call.good, routes=after(call)) as server:
        client = connect(server.url)
        assert call(client) == call(client)


@calls(due="nothing")
def test_a_call_without_a_result_accepts_what_the_api_sends(connect: Connect, call: Call) -> None:
    """An empty 200, 202 or 204 and JSON are all the same success."""
    json_type = {"Content-Type": "application/json"}
    answers = [reply(204), reply(200), reply(202), reply(200, b"{}"), reply(200, b"null", json_type), chunked(status=200)]
    ended = {("GET", RUN_PATH): reply_json(200, run_json(status="interrupted"))}
    with ScriptedServer(*answers, routes=ended if call.name == "cancel_and_wait" else {}) as server:
        client = connect(server.url)
        assert 1 == len({repr(call(client)) for _ in answers})
        assert len(answers) == len([request for request in server.requests if (request.method, request.path) not in ended])


@calls(due="nothing")
def test_a_call_without_a_result_needs_a_response_of_the_api(connect: Connect, call: Call) -> None:
    """A page, text and an error in a 200 confirm nothing: the server may never have seen the request. It is not sent again."""
    html = {"Content-Type": "text/html; charset=utf-8"}
    answers = [
        reply(200, HTML, html),
        reply(202, HTML),
        reply(202, b"", html),
        reply(205),
        reply(202, "accepted"),
        reply(200, b"\xff\0"),
        reply(200, b'{"error": "login required"}', {"Content-Type": "application/json"}),
    ]
    with ScriptedServer(*answers, routes=beside(call)) as server:
        client = connect(server.url)
        for _ in answers:
            error = _error(call, client)
            assert isinstance(error, ResponseDecodeError)
            assert error.sent is None
            assert "is not the API's" in str(error) and "whether the server acted is not known" in str(error)
        assert len(answers) == sum(request.method != "GET" or call.method == "GET" for request in server.requests)


@pytest.mark.parametrize("call", [call for call in RECORDS if call.kind != "create" or call.name == "create_batch"], ids=str)
@pytest.mark.parametrize("status", [200, 204])
def test_a_page_where_json_is_due_is_not_the_apis(connect: Connect, call: Call, status: int) -> None:
    """A login page with 200 leaves open whether the server acted, and so does a 204 where the API sends a body."""
    answer = reply(200, HTML, {"Content-Type": "text/html"}) if status == 200 else reply(204)
    with ScriptedServer(answer, routes=after(call)) as server:
        error = _error(call, connect(server.url))
        assert isinstance(error, ResponseDecodeError)
        assert (None, status) == (error.sent, error.status_code)
        assert "is not the API's" in str(error)


@records
def test_the_report_of_an_error_is_no_record(connect: Connect, call: Call) -> None:
    """Gateways report errors as JSON with 200; an object without any field of a state is no state, whose run would look ended."""
    for value in ({"error": "login required"}, {"detail": "Unauthorized", "status": 401}, {"success": False}):
        with ScriptedServer(reply_json(200, value), routes=after(call)) as server:
            error = _error(call, once(connect, server))
        assert "is not the API's" in str(error), value
        assert None is error.sent
    if call.name == "threads.get_state":
        with ScriptedServer(reply_json(200, {})) as server:
            assert ("$.values: missing",) == _error(call, once(connect, server)).problems


@records
def test_another_shape_is_an_error(connect: Connect, call: Call) -> None:
    """JSON of another kind than promised is ResponseDecodeError with the place."""
    value: Any
    for value in (None, 3, "text", True, [[]], [3], {"run_id": 3}, [{"run_id": None}]):
        if (
            value
            and "run_id" in str(value)
            and call.name in ("info", "threads.get_state", "threads.update_state", "threads.get_history")
        ):
            continue  # any object will do for them: all fields may be missing
        if value is None and call.name == "store.get_item":
            continue  # there is no item
        # The run of a create is looked for on its thread.
        routes = {("GET", "/threads/*/runs"): reply_json(200, [])} if call.name == "create" else {}
        with ScriptedServer(reply_json(200, value), routes=routes) as server:
            error = _error(call, once(connect, server))
            assert isinstance(error, ResponseDecodeError), value
            assert all(problem.startswith("$") for problem in error.problems)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"run_id": None}, "$.run_id: expected a string, not null"),
        ({"run_id": {}}, "$.run_id: expected a string, not an object"),
    ],
)
def test_each_problem_names_its_path(connect: Connect, fields: Any, problem: str) -> None:
    """Each problem names its path, in a record and in a list."""
    with ScriptedServer(reply_json(200, run_json(**fields)), reply_json(200, [run_json(), run_json(**fields)])) as server:
        runs = once(connect, server).runs
        alone, among = _error(runs.get, *RUN), _error(runs.list, THREAD_ID)

    assert alone.problems[0].startswith(problem)
    assert among.problems[0].startswith(problem.replace("$.", "$[1]."))


@pytest.mark.parametrize("status", [None, 3, {}])
def test_a_run_without_a_status_proves_nothing(connect: Connect, status: Any) -> None:
    """Whoever asks how a run is gets an error; in a list its status is empty, and it is not taken for finished."""
    wrong = run_json(status=status)
    with ScriptedServer(reply_json(200, wrong), reply_json(200, [run_json(), wrong])) as server:
        runs = once(connect, server).runs
        assert ("$.status: expected a string",) == _error(runs.get, *RUN).problems
        run = runs.list(THREAD_ID)[1]
    assert ("", False) == (run.status, run.finished)


def test_optional_fields_may_be_missing(connect: Connect) -> None:
    """Optional fields that are absent or null have their default, unknown ones are kept, unknown statuses are text."""
    small = {"run_id": "r", "thread_id": "t", "status": "dreaming", "metadata": None, "cancel_reason": "x", "kwargs": None}
    with ScriptedServer(reply_json(200, small)) as server:
        run = connect(server.url).runs.get(*RUN)

    assert ("dreaming", True, {}, {}, None) == (run.status, run.finished, run.metadata, run.kwargs, run.created_at)
    assert {"cancel_reason": "x"} == run.extra


@records
def test_bodies_are_utf8_whatever_they_claim(connect: Connect, call: Call) -> None:
    """A charset, a wrong type, or none: the body is UTF-8, and a BOM is skipped."""
    items = call.good.items
    assert isinstance(items, tuple)
    body = json.loads("".join(item if isinstance(item, str) else item.decode() for item in items if isinstance(item, (str, bytes))))
    first = body[0] if isinstance(body, list) else body
    first["note"] = "ü€😀\u2028"
    encoded = json.dumps(body, ensure_ascii=False).encode()
    kinds = ["application/json; charset=latin-1", "text/html; charset=utf-16", "nonsense", "", 'application/json; charset="x\\"y"']
    answers = [reply(200, encoded, {"Content-Type": kind} if kind else {}) for kind in kinds] + [
        reply(200, b"\xef\xbb\xbf" + encoded)
    ]
    with ScriptedServer(*answers) as server:
        client = connect(server.url)
        for _ in answers:
            found = call(client)
            found = found[0] if isinstance(found, list) else found
            assert "ü€😀\u2028" == found.extra["note"]


@pytest.mark.parametrize("name", ["wait", "join"])
@pytest.mark.parametrize("value", [None, 0, False, "", "text", [], [1, 2], {}, {"ü€😀\u2028\u0085": [None]}, 2**64 - 1, 1.5])
def test_values_may_be_any_json(connect: Connect, name: str, value: Any) -> None:
    """wait and join return what the graph returned, whatever it is."""
    call = named(name)
    history = reply_json(200, [{"values": value, "next": [], "metadata": {"run_id": RUN_ID}}])
    with ScriptedServer(waiting("\n", value=value, run=RUN), routes=after(call, history=history)) as server:
        found = call(connect(server.url))

    assert [value, type(value)] == [found, type(found)]


@pytest.mark.parametrize("name", ["wait", "join"])
@pytest.mark.parametrize("before", ["", "\n" * 1000, " \r\n\t\n", "\n"])
def test_newlines_before_the_values_are_skipped(connect: Connect, name: str, before: str) -> None:
    """The server's keep-alive newlines are no part of the response."""
    with ScriptedServer(waiting(*before, value=VALUES, run=RUN), routes=after(named(name))) as server:
        assert VALUES == named(name)(connect(server.url))


# -- compression


def compressed(body: bytes, how: str) -> Reply:
    if how == "gzip":
        return reply(200, gzip.compress(body), {"Content-Encoding": "gzip"})
    if how == "x-gzip":
        return reply(200, gzip.compress(body), {"Content-Encoding": "x-gzip"})
    if how == "deflate":
        return reply(200, zlib.compress(body), {"Content-Encoding": "deflate"})
    if how == "raw deflate":
        packer = zlib.compressobj(wbits=-15)
        return reply(200, packer.compress(body) + packer.flush(), {"Content-Encoding": "deflate"})
    if how == "twice":
        return reply(200, gzip.compress(gzip.compress(body)), {"Content-Encoding": "gzip, gzip"})
    if how == "two members":
        return reply(200, gzip.compress(body[:5]) + gzip.compress(body[5:]), {"Content-Encoding": "gzip"})
    if how == "chunked":
        return chunked(body, headers={"Content-Type": "application/json"}).gzipped()
    if how == "dripping":
        return chunked(body, headers={"Content-Type": "application/json"}).gzipped().dripping(1)
    assert how == "identity"
    return reply(200, body, {"Content-Encoding": "identity"})


@pytest.mark.parametrize(
    "how", ["gzip", "x-gzip", "deflate", "raw deflate", "twice", "two members", "chunked", "dripping", "identity"]
)
def test_compressed_responses_are_decompressed(connect: Connect, how: str) -> None:
    """Every usual way to compress is understood, and the connection stays usable."""
    body = json.dumps([run_json(), run_json(status="error")]).encode()
    with ScriptedServer(compressed(body, how), compressed(body, how)) as server:
        client = connect(server.url)
        for _ in range(2):
            assert ["success", "error"] == [run.status for run in client.runs.list(THREAD_ID)]
        assert 1 == server.connections


@pytest.mark.parametrize("how", ["gzip", "deflate"])
def test_a_compressed_response_that_is_cut_is_an_error(connect: Connect, how: str) -> None:
    """An incomplete compressed body is an error, never half a result."""
    body = json.dumps([run_json()] * 3).encode()
    packed = gzip.compress(body) if how == "gzip" else zlib.compress(body)
    for count in range(0, len(packed), 7):
        cut = reply(200, packed[:count], {"Content-Encoding": how})
        with ScriptedServer(cut) as server:
            try:
                # but for the checksum it may be whole
                assert 3 == len(once(connect, server).runs.list(THREAD_ID)) and count >= len(packed) - 8
            except APIConnectionError:
                pass


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "compress", "gzip, br", "nonsense"])
@records
def test_a_body_that_cannot_be_decompressed_is_an_error(connect: Connect, call: Call, encoding: str) -> None:
    """A body that is not what its Content-Encoding says is an error of this library."""
    answer = reply(200, b"\x01\x02this is not compressed", {"Content-Encoding": encoding, **run_headers(THREAD_ID, RUN_ID)})
    with ScriptedServer(answer, routes=after(call), always=reply(500)) as server:
        assert isinstance(_error(call, once(connect, server)), APIConnectionError)


def test_an_error_that_cannot_be_decompressed(connect: Connect) -> None:
    """The status is what counts."""
    with ScriptedServer(reply(404, b"no gzip", {"Content-Encoding": "gzip"})) as server:
        assert isinstance(_error(once(connect, server).ok), NotFoundError)


# -- limits


def test_a_response_larger_than_the_limit_is_an_error(connect: Connect) -> None:
    """max_response_bytes bounds what is kept; the connection is not used again."""
    with ScriptedServer(reply(200, b" " * 1001), reply(200, b" " * 998 + b"{}")) as server:
        client = once(connect, server, max_response_bytes=1000)
        error = _error(client.info)
        assert isinstance(error, ResponseDecodeError)
        assert "max_response_bytes" in str(error)
        assert client.info().version is None


@pytest.mark.parametrize("layers", [1, 2])
def test_a_gzip_bomb_is_bounded(connect: Connect, layers: int) -> None:
    """A small response that decompresses to more than the limit is an error, and does not take its memory."""
    import tracemalloc

    bomb = gzip.compress(b" " * 200_000_000, 9)
    for _ in range(layers - 1):
        bomb = gzip.compress(bomb, 9)
    encoding = ", ".join(["gzip"] * layers)
    with ScriptedServer(reply(200, bomb, {"Content-Encoding": encoding})) as server:
        client = once(connect, server, max_response_bytes=1_000_000)
        del bomb
        tracemalloc.start()
        try:
            error = _error(client.info)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert isinstance(error, ResponseDecodeError)
    assert peak < 30_000_000


@pytest.mark.parametrize("depth", [2_000, 200_000])
@pytest.mark.parametrize("kind", ["[", '{"a":'])
def test_deep_json_is_an_error_and_no_crash(connect: Connect, kind: str, depth: int) -> None:
    """Nested deeper than can be read: ResponseDecodeError; in the body of an error, the status."""
    close = {"[": "]", '{"a":': "}"}[kind]
    body = kind * depth + "1" + close * depth
    with ScriptedServer(reply(200, body), reply(404, body), waiting(value=0, run=RUN)) as server:
        client = once(connect, server, verify_outcome=False)
        assert isinstance(_error(client.info), ResponseDecodeError)
        assert isinstance(_error(client.info), NotFoundError)
        client.runs.wait(*RUN[:1], "agent")


def test_deep_values_are_returned_or_refused(connect: Connect) -> None:
    """Depth that is still readable comes back whole."""
    body = "[" * 500 + "]" * 500
    with ScriptedServer(reply(200, body, run_headers(THREAD_ID, RUN_ID))) as server:
        found = once(connect, server, verify_outcome=False).runs.wait(THREAD_ID, "agent")
    depth = 0
    while found:
        found, depth = found[0], depth + 1
    assert 499 == depth


# -- truncation


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("name", ["get", "list", "join", "threads.get"])
def test_a_read_whose_response_is_cut_anywhere_is_repeated(connect: Connect, name: str, framing: str, reset: bool) -> None:
    """A read whose response is cut at any byte gives the whole result of the next attempt."""
    call = named(name)
    items = call.good.items
    assert isinstance(items, tuple)
    good = Reply("good", headers=call.good.headers, items=items, framing=framing)
    size = sum(len(piece) for piece in good.pieces() if isinstance(piece, (bytes, str)))
    with ScriptedServer(always=good) as server:
        client = connect(server.url, verify_outcome=False)
        expected = call(client)
        for count in range(1, size - len(b"0\r\n\r\n"), 7):
            server._script = [good.reset_after(count) if reset else good.cut_after(count)]
            server._played = 0
            assert expected == call(client), count


def test_a_chunked_body_without_its_last_chunk(connect: Connect) -> None:
    """The JSON is whole, the framing is not: taken for cut, since it might have gone on."""
    with ScriptedServer(chunked('{"version": "1"}').then_cut(), chunked('{"version": "2"}')) as server:
        assert "2" == connect(server.url).info().version


def test_chunk_extensions_and_trailers_are_nothing(connect: Connect) -> None:
    """They change nothing in a chunked body, and the connection is used again."""
    body = b'5;a=b\r\n{"ver\r\nB ; c\r\nsion": "1"}\r\n000;x\r\nTrailer: t\r\nOther: o\r\n\r\n'
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
    with ScriptedServer(raw(head, body), raw(head, *[body[i : i + 1] for i in range(len(body))])) as server:
        client = connect(server.url)
        assert ["1", "1"] == [client.info().version, client.info().version]
        assert 1 == server.connections


# -- one answer, one request


SMUGGLED = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{"version":"bad"}'


@pytest.mark.parametrize(
    "first",
    [
        b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"version":"one"}' + SMUGGLED,
        b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"version":"one"}\r\n\r\n' + SMUGGLED,
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n{"version":"one"}\r\n0\r\n\r\n' + SMUGGLED,
        b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"version":"one"}x',
    ],
    ids=["length", "length and blank lines", "chunked", "one byte"],
)
@pytest.mark.parametrize("apart", [False, True], ids=["at once", "apart"])
def test_surplus_bytes_are_not_the_next_response(connect: Connect, first: bytes, apart: bool) -> None:
    """Bytes after a response are dropped: the next request uses a new connection and gets its own response."""
    pieces = (first[:-20], first[-20:]) if apart else (first,)
    with ScriptedServer(raw(*pieces), reply_json(200, {"version": "two"})) as server:
        client = connect(server.url)
        assert "one" == client.info().version
        assert "two" == client.info().version
        assert 2 == server.connections


def test_bytes_after_a_response_without_a_body_are_dropped(connect: Connect) -> None:
    """Also after 204, and after an error."""
    for first in (b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"):
        with ScriptedServer(raw(first + SMUGGLED), reply_json(200, {"version": "two"})) as server:
            client = once(connect, server)
            try:
                client.runs.delete(*RUN)
            except NotFoundError:
                pass
            assert "two" == client.info().version


def test_bytes_after_a_stream_are_dropped(connect: Connect) -> None:
    """Also after the end of an event stream."""
    good = b"".join(item for item in named("stream").good.pieces() if isinstance(item, bytes))
    with ScriptedServer(raw(good + SMUGGLED), reply_json(200, {"version": "two"})) as server:
        client = connect(server.url, verify_outcome=False)
        assert 2 == len(list(client.runs.stream(THREAD_ID, "agent")))
        assert "two" == client.info().version


def test_both_lengths_are_not_misread(connect: Connect) -> None:
    """Transfer-Encoding beats Content-Length, and a connection with both is not trusted with another answer's bytes."""
    both = b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n{"version":"one"}\r\n0\r\n\r\n'
    with ScriptedServer(raw(both), reply_json(200, {"version": "two"})) as server:
        client = once(connect, server)
        assert ["one", "two"] == [client.info().version, client.info().version]


# -- streams that are none


@pytest.mark.parametrize("name", ["stream", "join_stream"])
@pytest.mark.parametrize("kind", ["text/html", "application/json", "text/plain; charset=utf-8", "text/event-stream-not", "x"])
def test_another_content_type_is_no_stream(connect: Connect, name: str, kind: str) -> None:
    """A 200 that is no event stream is ResponseDecodeError, with run and thread; not an empty stream, and no second run."""
    answer = reply(200, HTML, {"Content-Type": kind, **run_headers(THREAD_ID, RUN_ID)})
    with ScriptedServer(answer) as server:
        error = _error(named(name), connect(server.url))
        assert 1 == len(server.requests)

    assert isinstance(error, ResponseDecodeError)
    assert (RUN_ID, THREAD_ID) == (error.run_id, error.thread_id)
    assert kind.split(";")[0] in str(error)


@pytest.mark.parametrize("kind", ["text/event-stream", "TEXT/Event-Stream; charset=latin-1", " text/event-stream ;x", None])
def test_the_content_type_of_a_stream(connect: Connect, kind: Any) -> None:
    """In any case, with any parameter, or without one."""
    body = b"".join(event(name, data) for name, data in EVENTS)
    with ScriptedServer(reply(200, body, {"Content-Type": kind} if kind else {})) as server:
        found = list(connect(server.url, verify_outcome=False).runs.stream(THREAD_ID, "agent"))

    assert [data for _, data in EVENTS] == [one.data for one in found]


# -- how the run ended


def ended(status: str) -> Reply:
    return reply_json(200, run_json(status))


@pytest.mark.parametrize("name", ["wait", "join"])
@pytest.mark.parametrize(
    ("told", "error", "message"),
    [
        ({"error": "ValueError", "message": "boom"}, "ValueError", "boom"),
        ({"error": "ValueError", "message": ""}, "ValueError", ""),
        ("boom", None, "boom"),
        ({"error": "boom"}, None, "boom"),
        ({"message": "boom"}, None, "boom"),
        ({"error": {"error": "E", "message": "boom"}}, "E", "boom"),
    ],
    ids=str,
)
def test_an_error_in_the_body_is_raised(connect: Connect, name: str, told: Any, error: Any, message: str) -> None:
    """__error__ with status 200 is RunFailedError, in every shape that servers use; raise_error=False gives it back."""
    call = named(name)
    answer = waiting("\n", value={"__error__": told}, run=RUN)
    with ScriptedServer(answer, answer, routes=after(call, run=ended("error"))) as server:
        client = connect(server.url)
        raised = _error(call, client)
        outcome = call(client, raise_error=False)

    assert isinstance(raised, RunFailedError)
    assert (error, message, RUN_ID, THREAD_ID) == (raised.error, raised.message, raised.run_id, raised.thread_id)
    assert isinstance(outcome, RunOutcome)
    assert ("error", error, message) == (outcome.status, outcome.error, outcome.message)


def test_a_key_of_the_users_own_state_is_no_error(connect: Connect) -> None:
    """The run succeeded: __error__ is then what the graph returned."""
    values = {"__error__": {"error": "E", "message": "m"}, "n": 1}
    with ScriptedServer(waiting(value=values, run=RUN), routes=after(named("wait"))) as server:
        assert values == connect(server.url).runs.wait(THREAD_ID, "agent")


@pytest.mark.parametrize("name", ["wait", "join"])
@pytest.mark.parametrize(("status", "kind"), [("interrupted", RunCancelledError), ("timeout", RunTimedOutError), ("odd", RunError)])
def test_a_normal_value_of_a_run_that_did_not_succeed(connect: Connect, name: str, status: str, kind: Any) -> None:
    """200 and values, but the run was cancelled or timed out: that is raised, with the values so far."""
    call = named(name)
    thread = {("GET", "/threads/*"): reply_json(200, {"thread_id": THREAD_ID, "status": "idle"})}
    with ScriptedServer(waiting(value=VALUES, run=RUN), routes={**after(call, run=ended(status)), **thread}) as server:
        raised = _error(call, connect(server.url))

    assert (kind, VALUES, status) == (type(raised), raised.values, raised.run.status)


@pytest.mark.parametrize("name", ["wait", "join"])
def test_the_run_is_requested_after_an_empty_object(connect: Connect, name: str) -> None:
    """Some servers respond with {} however a run ended: the run is requested, and a failure is raised with its reason."""
    call = named(name)
    thread = reply_json(200, {"thread_id": THREAD_ID, "error": {"error": "ValueError", "message": "boom"}})
    more = {("GET", "/threads/*"): thread}
    newest = reply_json(200, [run_json("error")])
    routes = {**after(call, run=ended("error"), history=reply_json(200, []), runs=newest), **more}
    with ScriptedServer(waiting(value={}, run=RUN), routes=routes) as server:
        raised = _error(call, connect(server.url))

    assert (RunFailedError, "boom") == (type(raised), raised.message)


@pytest.mark.parametrize("name", ["join", "join_stream"])
def test_an_unknown_run_is_not_found(connect: Connect, name: str) -> None:
    """This server responds with 200 for an unknown run; the call raises NotFoundError."""
    told = {"error": "HTTPException", "message": "404: Run not found"}
    answer = waiting(value={"__error__": told}) if name == "join" else sse(("error", told))
    with ScriptedServer(
        answer, routes={("GET", "/threads/*/runs/*"): reply_json(404, {"detail": "Run not found"})}, always=reply(404)
    ) as server:
        assert isinstance(_error(named(name), connect(server.url)), NotFoundError)


def test_without_verifying_the_body_is_the_result(connect: Connect) -> None:
    """verify_outcome=False: one request; __error__ is still raised."""
    with ScriptedServer(waiting(value=VALUES, run=RUN), waiting(value={"__error__": "boom"}, run=RUN)) as server:
        client = connect(server.url, verify_outcome=False)
        assert VALUES == client.runs.wait(THREAD_ID, "agent")
        assert isinstance(_error(client.runs.wait, THREAD_ID, "agent"), RunFailedError)


# -- known before the body


@pytest.mark.parametrize("name", ["create", "wait", "stream"])
def test_on_run_created_is_called_before_the_body(connect: Connect, name: str) -> None:
    """on_run_created is called once, with the ids of the headers, while the body has not yet come."""
    told = threading.Event()
    heard: list[Any] = []

    def listen(ids: Any) -> None:
        heard.append(dict(ids))
        told.set()

    good = named(name).good
    items = good.items
    assert isinstance(items, tuple)
    held = Reply("held", headers=good.headers, items=(told, *items), framing="chunked")
    with ScriptedServer(held, routes=after(named(name))) as server:
        named(name)(connect(server.url), on_run_created=listen)

    assert [{"run_id": RUN_ID, "thread_id": THREAD_ID}] == heard


def test_on_run_created_of_a_stateless_create_waits_for_the_thread_id(connect: Connect) -> None:
    """Its headers do not name the thread: the callback is called once, after the body, with both ids."""
    heard: list[Any] = []
    answer = reply_json(200, run_json(), {"Content-Location": f"/runs/{RUN_ID}"})
    with ScriptedServer(answer) as server:
        connect(server.url).runs.create(None, "agent", on_run_created=heard.append)

    assert [{"run_id": RUN_ID, "thread_id": THREAD_ID}] == heard


@pytest.mark.parametrize("name", ["create", "wait", "stream", "create_stateless"])
def test_on_run_created_is_called_once_after_refusals(connect: Connect, name: str) -> None:
    """It is not called for refused attempts, and once for the attempt that succeeded."""
    heard: list[Any] = []
    with ScriptedServer(reply(429), drop_after_refusal(), named(name).good, routes=after(named(name))) as server:
        named(name)(connect(server.url), on_run_created=heard.append)

    assert 1 == len(heard)


def drop_after_refusal() -> Reply:
    return reply(503, "", {"Retry-After": "0"})


@pytest.mark.parametrize("call", CREATES, ids=str)
def test_an_error_response_names_no_run(connect: Connect, call: Call) -> None:
    """A refused create has no run: the callback is not called, even if the response has a Location."""
    heard: list[Any] = []
    options = {} if call.name == "create_batch" else {"on_run_created": heard.append}
    with ScriptedServer(reply_json(422, {"detail": "x"}, run_headers("x", "y"))) as server:
        error = _error(call, connect(server.url), **options)

    assert [] == heard
    assert error.run_id is None


@pytest.mark.parametrize("name", ["create", "wait", "stream"])
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a":'], ids=str)
def test_later_errors_carry_the_run(connect: Connect, name: str, body: bytes) -> None:
    """Whatever is wrong with the body, the error carries run and thread of the headers."""
    kind = "text/html" if name == "stream" else "application/json"
    routes = {("GET", "/threads/*/runs/*"): reply(500)} if name == "wait" else {("GET", "/threads/*/runs"): reply_json(200, [])}
    with ScriptedServer(reply(200, body, {"Content-Type": kind, **run_headers(THREAD_ID, RUN_ID)}), routes=routes) as server:
        error = _error(named(name), connect(server.url))

    assert (RUN_ID, THREAD_ID) == (error.run_id, error.thread_id)
    assert error.request is not None and "POST" == error.request.method


@pytest.mark.parametrize("name", ["wait", "stream"])
def test_encoded_ids_in_headers_are_decoded(connect: Connect, name: str) -> None:
    """Ids come back as the caller spelled them."""
    good = named(name).good
    odd = Reply("odd", headers=(), items=good.items, framing="chunked")
    kind = ("content-type", "text/event-stream") if name == "stream" else ("content-type", "application/json")
    for pair in (kind, ("Location", "/threads/a%2Fb/runs/c%20d/x"), ("Content-Location", "/threads/a%2Fb/runs/c%20d")):
        odd = odd.with_header(*pair)
    heard: list[Any] = []
    with ScriptedServer(odd) as server:
        getattr(connect(server.url, verify_outcome=False).runs, name)("a/b", "agent", on_run_created=heard.append)

    assert [{"run_id": "c d", "thread_id": "a/b"}] == heard


# -- secrets


def test_the_key_is_nowhere_in_an_error(connect: Connect) -> None:
    """A server that echoes the key, in body and headers: no trace of it on the error, in any form, nor in a pickle."""
    echo = reply_json(
        403, {"detail": f"key {KEY} is bad", "headers": {"x-api-key": KEY}}, {"X-Echo": KEY, "Location": f"/?k={KEY}"}
    )
    with ScriptedServer(echo, reply(302, "", {"Location": f"/?k={KEY}"}), raw(f"{KEY}\r\n\r\n".encode()).then_cut()) as server:
        client = once(connect, server, api_key=KEY)
        for _ in range(3):
            error = _error(client.ok)
            for text in (str(error), repr(error), repr(error.__dict__), repr(pickle.dumps(error)), repr(client)):
                assert KEY not in text


# -- exceptions of the libraries below


def _all_below() -> list[type[BaseException]]:
    """Every exception class that requests and urllib3 define, and those of what they stand on."""
    found: dict[str, type[BaseException]] = {}
    for module in (requests.exceptions, urllib3.exceptions, http.client, ssl, socket, json):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Exception) and value.__name__[0] != "_":
                found[f"{value.__module__}.{value.__name__}"] = value
    for value in (OSError, ConnectionError, BrokenPipeError, TimeoutError, EOFError, ValueError, UnicodeError, zlib.error):
        found[value.__name__] = value
    return [found[name] for name in sorted(found)]


class _Raising(HTTPAdapter):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def send(self, *args: Any, **kwargs: Any) -> Any:
        raise self.error


def _made(kind: type[BaseException]) -> BaseException:
    # not by calling it: many want arguments, and then say no more without them than a half-made one
    error = kind.__new__(kind)
    error.args = ("told",)
    return error


@pytest.mark.parametrize("kind", _all_below(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_no_exception_of_a_library_comes_through(connect: Connect, kind: type[BaseException]) -> None:
    """Any exception of requests, urllib3, http.client, ssl, socket or json becomes an error of this library, with the cause."""
    for name in ("get", "create", "stream", "wait", "join_stream", "delete"):
        with requests.Session() as session:
            session.mount("http://", _Raising(_made(kind)))
            error = _error(named(name), connect("http://127.0.0.1:9", session=session, retry=ONCE), timeout=5)
        chain, causes = error, []
        while chain is not None:
            causes.append(type(chain))
            chain = chain.__cause__
        assert kind in causes
        assert isinstance(error, (APIConnectionError, ResponseDecodeError))


def test_a_bug_in_a_hook_or_an_adapter_is_raised_unchanged(connect: Connect) -> None:
    """The exception of a bug in the caller's hook or adapter is not translated."""
    with requests.Session() as session:
        session.mount("http://", _Raising(ZeroDivisionError("mine")))
        with pytest.raises(ZeroDivisionError):
            connect("http://127.0.0.1:9", session=session, retry=QUICK).ok()


def test_nothing_is_repeated_blindly(connect: Connect) -> None:
    """A decode error of a read is not requested again, a broken one is: the difference is who is at fault."""
    with ScriptedServer(reply(200, "no json"), drop_before_answer(), reply_json(200, {})) as server:
        client = connect(server.url)
        assert isinstance(_error(client.info), ResponseDecodeError)
        assert 1 == len(server.requests)
        client.info()
        assert 3 == len(server.requests)

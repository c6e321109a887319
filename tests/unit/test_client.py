"""`Client`: its arguments, its key, its copies, and what all of its calls have in common."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import threading
import traceback
import uuid
from typing import Any, Dict, Iterator, List

import pytest
import requests

from langgraph_runs import (
    AbortController,
    AbortedError,
    APIStatusError,
    Client,
    InvalidRequestError,
    LangGraphRunsError,
    NotFoundError,
    RateLimitError,
    ResponseDecodeError,
    RetryPolicy,
    RunCreate,
)
from langgraph_runs.call.retry import RetryDetails
from langgraph_runs.http.pool import PlainPool
from langgraph_runs.http.session import LimitedAdapter

from .played import RUN, THREAD, URL, Played, Reply, client_of, reply, run_json, session_of, sse, transport_of

KEY = "lsv2-very-secret"
VARIABLES = ["LANGGRAPH_API_KEY", "LANGSMITH_API_KEY", "LANGCHAIN_API_KEY"]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable of the machine that the tests run on is read."""
    for name in [*VARIABLES, "LANGGRAPH_API_URL"]:
        monkeypatch.delenv(name, raising=False)
    yield


def sent_headers(**options: Any) -> Any:
    """The headers of a request by a client with these options."""
    played = Played(reply({"ok": True}))
    Client(URL, session=session_of(played), **options).ok()
    return played.requests[0].headers


# -- its arguments


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://localhost:2024", "http://localhost:2024"),
        ("https://host/", "https://host"),
        ("http://host/api/v1/", "http://host/api/v1"),
        (" http://host \n", "http://host"),
        ("HTTP://host", "HTTP://host"),
        ("http://user:pw@host:80/x", "http://host:80/x"),
        ("http://[::1]:2024", "http://[::1]:2024"),
    ],
)
def test_urls_of_servers(url: str, base: str) -> None:
    """A mount prefix is kept, a slash at the end and a login are not."""
    assert base == Client(url, api_key=None).base_url


@pytest.mark.parametrize(
    "url",
    [
        "localhost:2024",
        "//host",
        "ftp://host",
        "http://",
        "http:///x",
        "http://host:port",
        "http://host:99999",
        "http://host?a=b",
        "http://host#a",
        "http://ho st",
        "http://host\\x",
        "http://host\r\nX-Evil: 1",
        "http://[::1",
        5,
        b"http://host",
    ],
)
def test_a_wrong_url_is_refused(url: Any) -> None:
    """It is refused when the client is made, and the error says what to give."""
    with pytest.raises(InvalidRequestError, match="give http:// or https://, a host, and the server's mount prefix if it has one"):
        Client(url, api_key=None)


@pytest.mark.parametrize(
    "url", ["ftp://user:hunter2@host", "http://user:hunter2@", "user:hunter2@host", "http://user:hunter2@host:x/"]
)
def test_a_password_in_a_wrong_url_is_not_shown(url: str) -> None:
    """The error shows the URL without its login."""
    with pytest.raises(InvalidRequestError) as caught:
        Client(url, api_key=None)
    assert "hunter2" not in repr(caught.value) + str(caught.value)


def test_the_url_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument, else LANGGRAPH_API_URL, else the port of the development server."""
    assert "http://localhost:2024" == Client(api_key=None).base_url
    monkeypatch.setenv("LANGGRAPH_API_URL", "https://elsewhere")
    assert "https://elsewhere" == Client(api_key=None).base_url
    assert "http://here" == Client("http://here", api_key=None).base_url


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": 0}, "timeout=0: give a number of seconds above 0, or None for no limit"),
        ({"timeout": "5"}, "timeout='5': "),
        ({"connect_timeout": -1}, "connect_timeout=-1: "),
        ({"read_timeout": float("inf")}, "read_timeout=inf: "),
        ({"retry": 3}, "retry=3: give a RetryPolicy; RetryPolicy(attempts=1) never repeats"),
        ({"pool_size": 0}, "pool_size=0: give a whole number of at least 1"),
        ({"max_event_bytes": 0}, "max_event_bytes=0: "),
        ({"max_response_bytes": 1.5}, "max_response_bytes=1.5: "),
        ({"headers": {"X-Api-Key": "x"}}, "headers: X-Api-Key is reserved for the client's own key; give Client(api_key=...)"),
        ({"headers": {"a": "b\r\nc"}}, "headers: the value of a is not text that fits on one header line"),
        ({"api_key": 5}, "api_key: give text, or None for no key"),
        ({"api_key": "sec ret"}, "api_key: the key holds characters that cannot stand in a header"),
        ({"api_key": "secrét"}, "api_key: the key holds characters that cannot stand in a header"),
        ({"api_key": "sec\r\nret"}, "api_key: the key holds characters that cannot stand in a header"),
    ],
)
def test_a_wrong_argument_is_refused(options: Any, message: str) -> None:
    """The error names the argument; a key is not shown."""
    with pytest.raises(InvalidRequestError) as caught:
        Client(URL, **options)
    assert str(caught.value).startswith(message)
    assert "ret" not in str(caught.value).replace("retry", "")


def test_nothing_is_sent_before_the_first_call() -> None:
    """Making, copying, showing and closing a client sends nothing."""
    client, played = client_of()
    with client as same:
        assert client is same
        repr(client.with_options(timeout=5))
    assert [] == played.asked


# -- the key


def test_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of three variables that holds a key is used. An argument wins; None is no key."""
    assert "x-api-key" not in sent_headers()
    for variable in reversed(VARIABLES):
        monkeypatch.setenv(variable, f"key of {variable}".replace(" ", "-"))
        assert f"key-of-{variable}" == sent_headers()["x-api-key"]
    assert "mine" == sent_headers(api_key="mine")["x-api-key"]
    assert "x-api-key" not in sent_headers(api_key=None)
    assert "x-api-key" not in sent_headers(api_key="")


@pytest.mark.parametrize("text", ['"quoted"', "'quoted'", "  quoted\n", " ' quoted ' ", '"quoted'])
def test_quotes_and_blanks_of_an_env_file_are_removed_from_the_key(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """In a variable and in the argument."""
    monkeypatch.setenv("LANGSMITH_API_KEY", text)
    assert "quoted" == sent_headers()["x-api-key"] == sent_headers(api_key=text)["x-api-key"]


@pytest.mark.parametrize("blank", ["", "  ", '""', "''", "\n"])
def test_a_blank_variable_is_skipped(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    """The next variable is read."""
    monkeypatch.setenv("LANGGRAPH_API_KEY", blank)
    assert "x-api-key" not in sent_headers()
    monkeypatch.setenv("LANGCHAIN_API_KEY", "last")
    assert "last" == sent_headers()["x-api-key"]


def test_a_bad_key_in_the_environment_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says where the key is from, and does not show it."""
    monkeypatch.setenv("LANGSMITH_API_KEY", "sec\tret")
    with pytest.raises(InvalidRequestError) as caught:
        Client(URL)
    assert "LANGSMITH_API_KEY: the key holds characters that cannot stand in a header" == str(caught.value)


class Echo(Played):
    """A server that sends all headers of the request back, in every part of a response with this status."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        self.requests.append(request)
        message = json.dumps({"detail": str(dict(request.headers)), "also": dict(request.headers)})
        headers = {"x-echo": str(dict(request.headers)), "location": f"/{KEY}", "content-type": "application/json"}
        return Reply(self.status, message.encode(), headers).response(request)


@pytest.mark.parametrize("status", [200, 302, 401, 404, 409, 422, 500, 503])
def test_the_key_is_nowhere_but_in_the_request(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """It is not in a repr, str, traceback, pickle or log of the client or of an error, also if the server sends it back."""
    echo = Echo(status)
    details: List[RetryDetails] = []
    policy = RetryPolicy(attempts=2, wait_initial=0, on_retry=details.append)
    client = Client(f"http://user:{KEY}@server", api_key=KEY, session=session_of(echo), retry=policy)
    shown = [repr(client), str(client), repr(client._transport.settings), repr(client.with_options(timeout=5)._transport.settings)]
    with caplog.at_level(logging.DEBUG), pytest.raises(LangGraphRunsError) as caught:
        client.runs.get(THREAD, RUN)
    error = caught.value
    shown += [repr(error), str(error), "".join(traceback.format_exception(type(error), error, None)), repr(vars(error))]
    shown += [repr(details), caplog.text]
    assert KEY == echo.requests[0].headers["x-api-key"]
    assert [] == [text for text in shown if KEY in text]
    assert KEY.encode() not in pickle.dumps(error)


def test_the_user_agent_names_the_library() -> None:
    """And not requests."""
    headers = sent_headers(api_key=None)
    assert headers["User-Agent"].startswith("langgraph-runs/")
    assert "*/*" != headers["Accept"]


# -- copies


def test_a_copy_shares_connections_and_has_its_own_options() -> None:
    """with_options changes the copy and not the client; closing one closes both."""
    client, played = client_of(reply({}), reply({}), headers={"X-A": "1", "X-B": "1"})
    other = client.with_options(timeout=7, headers={"X-B": "2"})
    assert (None, 7.0) == (client._transport.settings.timeout, other._transport.settings.timeout)
    client.ok(), other.ok()
    assert [("1", "1"), ("1", "2")] == [(sent.headers["X-A"], sent.headers["X-B"]) for sent in played.requests]
    other.close()
    with pytest.raises(InvalidRequestError, match="the client is closed"):
        client.ok()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": -1}, "timeout=-1: "),
        ({"retry": None, "url": "x"}, "with_options(url=...): can change timeout, stream_timeout, connect_timeout, read_timeout, "),
        ({"api_key": "x"}, "with_options(api_key=...): can change "),
        ({"retry": 5}, "retry=5: "),
        ({"headers": {"x-api-key": "x"}}, "headers: x-api-key is reserved"),
        ({"max_event_bytes": -1}, "max_event_bytes=-1: "),
    ],
)
def test_a_wrong_option_of_a_copy_is_refused(options: Any, message: str) -> None:
    """The message names it."""
    client, _ = client_of()
    with pytest.raises(InvalidRequestError) as caught:
        client.with_options(**options)
    assert str(caught.value).startswith(message)


def test_a_client_pickles() -> None:
    """In another process it has its settings and its key, and connections of its own."""
    client = Client("http://user:pw@server/api", api_key=KEY, timeout=5, headers={"X-A": "1"}, retry=RetryPolicy(attempts=7))
    for again in (pickle.loads(pickle.dumps(client)), copy.copy(client), copy.deepcopy(client)):
        assert client._transport.settings == again._transport.settings
        assert repr(client) == repr(again)
        assert client._transport._shared is not again._transport._shared


def test_a_client_with_a_session_pickles_after_use() -> None:
    """The adapter in the session is pickled with it."""
    session = requests.Session()
    client = Client("http://server", api_key=None, session=session)
    client._transport._shared.connector()
    again = pickle.loads(pickle.dumps(client))
    adapter = again._made_with["session"].get_adapter("http://server")
    assert isinstance(adapter, LimitedAdapter)
    assert PlainPool is adapter.poolmanager.pool_classes_by_scheme["http"]
    again._transport._shared.connector()


# -- every call


def test_one_request_without_a_sleep() -> None:
    """A call that succeeds sends one request and does not wait."""
    transport, played, time = transport_of(reply({"version": "1"}))
    from langgraph_runs.http.transport import Request

    with transport.scope() as scope:
        assert b'{"version": "1"}' == transport.call(Request(method="GET", path="/info"), scope).body
    assert (["GET /info"], []) == (played.asked, time.slept)


@pytest.mark.parametrize("thread_id", ["a/b", "..", "%2e%2e", "a?b#c", "a\r\nb", "ü", " "])
def test_an_id_cannot_change_the_path(thread_id: str) -> None:
    """requests would unquote and collapse some of these; the adapter gets them as they were encoded."""
    client, played = client_of(reply(run_json()))
    client.runs.get(thread_id, "..")
    from langgraph_runs.http.headers import path_segment

    assert [f"GET /threads/{path_segment(thread_id)}/runs/%2E%2E"] == played.asked


def test_a_uuid_is_an_id_everywhere() -> None:
    """UUID objects go into paths, bodies and errors as their text."""
    thread, run = uuid.UUID(int=1), uuid.UUID(int=2)
    client, played = client_of(reply(run_json()), Reply(204), reply(run_json()), reply({"detail": "x"}, 404))
    client.runs.get(thread, run)  # type: ignore[arg-type]
    client.runs.cancel_many(thread_id=thread, run_ids=[run])  # type: ignore[arg-type,list-item]
    client.runs.create(thread, run, input=1)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError) as caught:
        client.runs.get(thread, run)  # type: ignore[arg-type]
    assert f"GET /threads/{thread}/runs/{run}" == played.asked[0]
    assert {"thread_id": str(thread), "run_ids": [str(run)]} == played.body(1)
    assert str(run) == played.body(2)["assistant_id"]
    assert (str(thread), str(run)) == (caught.value.thread_id, caught.value.run_id)


@pytest.mark.parametrize(("status", "body"), [(200, b""), (202, b""), (204, b""), (200, b"{}"), (202, b"null")])
def test_calls_without_a_result_need_a_confirmation(status: int, body: bytes) -> None:
    """cancel and delete succeed with an empty body, and with JSON."""
    client, _ = client_of(*[Reply(status, body)] * 4)
    assert [None] * 4 == [
        client.runs.cancel(THREAD, RUN),
        client.runs.cancel_many(status="all"),
        client.runs.delete(THREAD, RUN),
        client.threads.delete(THREAD),
    ]


@pytest.mark.parametrize("call", ["cancel", "delete"])
def test_a_404_on_a_repeat_is_a_success(call: str) -> None:
    """The first attempt, whose response was lost, has done it. A 404 on the first attempt is an error."""
    client, played = client_of(ConnectionResetError(), reply({"detail": "Run not found"}, 404))
    assert None is getattr(client.runs, call)(THREAD, RUN)
    assert 2 == len(played.requests)
    client, played = client_of(reply({"detail": "x"}, 404))
    with pytest.raises(NotFoundError):
        getattr(client.runs, call)(THREAD, RUN)
    assert 1 == len(played.requests)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("own", [True, False])
def test_no_redirect_is_followed(status: int, own: bool) -> None:
    """It is an error that names its target, also with the user's own session: neither key nor body is sent elsewhere."""
    played = Played(Reply(status, b"moved", {"location": "http://user:pw@evil/x?y"}))
    session = session_of(played)
    client = Client(URL, api_key=KEY, session=session)
    if own:
        client._transport._shared.connector().session.get_redirect_target = lambda _: None
    with pytest.raises(APIStatusError) as caught:
        client.runs.create(THREAD, "agent", input={"secret": 1})
    assert f"{status}: redirects to 'http://evil/x?y', which is not followed; give the client the right url" in str(caught.value)
    assert (status, "moved") == (caught.value.status_code, caught.value.body)
    assert [f"POST /threads/{THREAD}/runs"] == played.asked


def test_the_attributes_of_a_status_error() -> None:
    """The server's text, the parsed body, its headers in lower case without cookies, the ids and the attempts."""
    headers = {"X-Request-Id": "rq", "Retry-After": "7", "Set-Cookie": "a=b", "X-Other": "1"}
    client, _ = client_of(*[reply({"detail": "slow\ndown", "code": 5}, 429, **headers)] * 2, retry=RetryPolicy(retry_after_max=1))
    with pytest.raises(RateLimitError) as caught:
        client.runs.get(THREAD, RUN)
    error = caught.value
    assert ("slow\ndown", {"detail": "slow\ndown", "code": 5}) == (error.message, error.body)
    assert (429, 7.0, "rq", RUN, THREAD, 1) == (
        error.status_code,
        error.retry_after,
        error.request_id,
        error.run_id,
        error.thread_id,
        error.attempts,
    )
    assert {"x-request-id": "rq", "retry-after": "7", "x-other": "1", "content-type": "application/json"} == error.headers
    assert f"429: slow down [GET http://server/threads/{THREAD}/runs/{RUN}]" == str(error)


@pytest.mark.parametrize(
    ("body", "text", "parsed"),
    [
        (b"Internal Server Error", "Internal Server Error", "Internal Server Error"),
        (b"<html><body><h1>502</h1>Bad</body></html>", "502 Bad", "<html><body><h1>502</h1>Bad</body></html>"),
        (b"", "Bad Gateway", None),
        (b"\xff\xfe", "\ufffd\ufffd", "\ufffd\ufffd"),
        (b'\xef\xbb\xbf{"detail":"x"}', "x", {"detail": "x"}),
        (b'{"detail":', '{"detail":', '{"detail":'),
    ],
)
def test_errors_of_any_body(body: bytes, text: str, parsed: Any) -> None:
    """Text, HTML, an empty body and bytes that are no text make the same errors as JSON."""
    client, _ = client_of(Reply(502, body), retry=RetryPolicy(attempts=1))
    with pytest.raises(APIStatusError) as caught:
        client.runs.get(THREAD, RUN)
    assert (text, parsed) == (caught.value.message, caught.value.body)


def test_a_response_that_is_too_large_is_an_error() -> None:
    """It is not read to its end; one that fits exactly is."""
    body = json.dumps(run_json()).encode()
    client, _ = client_of(Reply(200, body), Reply(200, body), max_response_bytes=len(body))
    client.runs.get(THREAD, RUN)
    with pytest.raises(ResponseDecodeError, match=f"the response is larger than max_response_bytes={len(body) - 1}"):
        client.with_options(max_response_bytes=len(body) - 1).runs.get(THREAD, RUN)


def test_a_batch_response_with_too_few_runs_is_an_error() -> None:
    """It cannot be known which runs are missing."""
    client, _ = client_of(reply([run_json()]))
    with pytest.raises(ResponseDecodeError, match="expected 2 runs, not 1"):
        client.runs.create_batch([RunCreate(assistant_id="a"), RunCreate(assistant_id="b")])


def test_a_batch_with_threads_keeps_its_order() -> None:
    """Items on threads of their own are sent alone, the others together; the runs come back in the order of the items."""
    client, played = client_of(
        reply([run_json(run_id="r0"), run_json(run_id="r2")]), reply(run_json(run_id="r1")), reply(run_json(run_id="r3"))
    )
    items: List[Any] = [
        {"assistant_id": "a"},
        {"assistant_id": "b", "thread_id": "t"},
        RunCreate(assistant_id="c"),
        {"assistant_id": "d", "thread_id": "u"},
    ]
    assert ["r0", "r1", "r2", "r3"] == [run.run_id for run in client.runs.create_batch(items)]
    assert ["POST /runs/batch", "POST /threads/t/runs", "POST /threads/u/runs"] == played.asked


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "payloads=[]: give at least one run to create"),
        (["agent"], "payloads[0]: give a RunCreate or a dict, not str"),
        ([{"assistant_id": "a"}, {"input": 1}], "payloads[1]: assistant_id=None: give the id as text that is not empty"),
        ([{"assistant_id": "a", "inputs": 1}], "payloads[0]: RunCreate() has no option 'inputs'; did you mean 'input'?"),
    ],
)
def test_a_wrong_item_of_a_batch_is_named(items: Any, message: str) -> None:
    """The message names its index, and nothing is sent."""
    client, played = client_of()
    with pytest.raises(InvalidRequestError) as caught:
        client.runs.create_batch(items)
    assert message == str(caught.value)
    assert [] == played.asked


REFUSED: Dict[str, Any] = {
    "an unknown option": lambda c: c.runs.get(THREAD, RUN, timeouts=5),
    "no thread": lambda c: c.runs.get(None, RUN),
    "an empty run": lambda c: c.runs.join(THREAD, ""),
    "a wrong signal": lambda c: c.runs.get(THREAD, RUN, signal=AbortController()),
    "a wrong timeout": lambda c: c.runs.wait(None, "agent", input=1, timeout=0),
    "wrong params": lambda c: c.runs.list(THREAD, params="a=b"),
    "half a character in params": lambda c: c.runs.list(THREAD, params={"a": "\ud800"}),
    "half a character in an id": lambda c: c.runs.get("\ud800", RUN),
    "a last event id of two lines": lambda c: c.runs.join_stream(THREAD, RUN, last_event_id="a\nb"),
    "half a character in a last event id": lambda c: c.runs.join_stream(THREAD, RUN, last_event_id="\ud800"),
    "NaN in the input": lambda c: c.runs.create(None, "agent", input={"a": float("nan")}),
    "an unknown mode": lambda c: c.runs.stream(None, "agent", input=1, stream_mode="token"),
    "an unknown mode to join": lambda c: c.runs.join_stream(THREAD, RUN, stream_mode=["token"]),
    "an unknown action": lambda c: c.runs.cancel(THREAD, RUN, action="stop"),
    "a status with ids": lambda c: c.runs.cancel_many(thread_id=THREAD, run_ids=[RUN], status="all"),
    "neither status nor ids": lambda c: c.runs.cancel_many(),
    "no run ids": lambda c: c.runs.cancel_many(thread_id=THREAD, run_ids=[]),
    "run ids as text": lambda c: c.runs.cancel_many(thread_id=THREAD, run_ids=RUN),
    "an unknown on_gap": lambda c: c.runs.stream(None, "agent", input=1, on_gap="ignore"),
    "raise_error that is no bool": lambda c: c.runs.wait(None, "agent", input=1, raise_error=0),
    "a callback that is none": lambda c: c.runs.create(None, "agent", input=1, on_run_created="print"),
    "cancel and resume": lambda c: c.runs.stream(None, "agent", input=1, on_disconnect="cancel", stream_resumable=True),
    "include as text": lambda c: c.threads.get(THREAD, include="ttl"),
    "include of numbers": lambda c: c.threads.get(THREAD, include=[3]),
    "ids as text": lambda c: c.threads.search(ids=THREAD),
    "metadata that is none": lambda c: c.threads.create(metadata=[1]),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_a_wrong_call_is_not_sent(call: Any) -> None:
    """It raises InvalidRequestError, which is a ValueError, and sends nothing."""
    client, played = client_of()
    with pytest.raises(InvalidRequestError) as caught:
        call(client)
    assert isinstance(caught.value, ValueError)
    assert (None, 0, []) == (caught.value.request, caught.value.attempts, played.asked)


# -- ending it


def test_a_closed_client_refuses_calls() -> None:
    """Every call is refused, and nothing is sent; closing twice is fine."""
    client, played = client_of()
    client.close()
    client.close()
    with pytest.raises(InvalidRequestError, match="the client is closed; make a new one"):
        client.runs.get(THREAD, RUN)
    assert [] == played.asked


def test_a_call_that_begins_while_the_client_is_closed_is_ended() -> None:
    """Also if the client is closed after the call has checked that it is open, and before the call is registered."""
    client, _ = client_of(reply({}))
    shared = client._transport._shared
    enter = shared.enter

    def close_first(scope: Any) -> None:
        shared.close()
        enter(scope)

    shared.enter = close_first  # type: ignore[method-assign]
    with pytest.raises(AbortedError, match="the client was closed"):
        client.ok()


def test_a_signal_that_fired_before_sends_nothing() -> None:
    """The call is over before it begins."""
    controller = AbortController()
    controller.abort("enough")
    client, played = client_of()
    with pytest.raises(AbortedError, match="enough"):
        client.runs.create(None, "agent", input=1, signal=controller.signal)
    assert [] == played.asked


def test_threads_share_a_client() -> None:
    """Each gets its own responses."""

    def respond(request: requests.PreparedRequest) -> Reply:
        return reply(run_json(run_id=str(request.url).rsplit("/", 1)[1]))

    client, _ = client_of(*[respond] * 400)
    wrong: List[str] = []

    def work(number: int) -> None:
        for index in range(25):
            if client.runs.get(THREAD, f"{number}-{index}").run_id != f"{number}-{index}":
                wrong.append(f"{number}-{index}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == wrong


# -- the log


def test_the_log_has_a_line_for_each_call_and_no_content(caplog: pytest.LogCaptureFixture) -> None:
    """INFO: one line with its end; no body, no header, no query."""
    client, _ = client_of(reply({}, 503), reply(run_json(kwargs={"input": "secret-body"})), reply({"detail": "secret-body"}, 404))
    with caplog.at_level(logging.DEBUG):
        client.runs.get(THREAD, RUN, params={"q": "secret-query"}, headers={"X-Secret": "secret-header"})
        with pytest.raises(NotFoundError):
            client.runs.get(THREAD, RUN)
    assert "secret" not in caplog.text
    names = {record.name for record in caplog.records}
    assert set() == {name for name in names if not name.startswith("langgraph_runs")}
    lines = [
        record.getMessage() for record in caplog.records if record.levelno == logging.INFO and record.name.endswith("transport")
    ]
    call = f"GET /threads/{THREAD}/runs/{RUN}: "
    assert [call + "200 in", call + "NotFoundError in"] == [line.rsplit(" in ", 1)[0] + " in" for line in lines]
    assert lines[0].endswith(" s, 2 attempts")


def test_a_stream_is_logged_without_its_events(caplog: pytest.LogCaptureFixture) -> None:
    """Its beginning is one line, and no line holds its events."""
    stream = sse(("metadata", {"run_id": RUN}), ("values", {"n": "secret-data"}), content_location=f"/threads/{THREAD}/runs/{RUN}")
    client, _ = client_of(stream, reply(run_json()))
    with caplog.at_level(logging.DEBUG):
        assert 2 == len(list(client.runs.stream(THREAD, "agent", input={"text": "secret-input"})))
    assert "secret" not in caplog.text
    assert f"POST /threads/{THREAD}/runs/stream: 200" in caplog.text


def test_numbers_of_numpy_are_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    client = Client(timeout=numpy.float32(0.5), read_timeout=numpy.int64(3), pool_size=numpy.int16(2))

    assert (0.5, 3.0) == (client._transport.settings.timeout, client._transport.settings.read_timeout)
    with pytest.raises(InvalidRequestError, match="timeout"):
        Client(timeout=numpy.float64("nan"))
    with pytest.raises(InvalidRequestError, match="pool_size"):
        Client(pool_size=numpy.bool_(True))

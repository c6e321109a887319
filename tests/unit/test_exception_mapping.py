"""No exception of a library below us reaches a caller: each class of requests, urllib3, http.client, ssl, socket, json, zlib."""

from __future__ import annotations

import http.client
import inspect
import io
import json
import socket
import ssl
import traceback
import warnings
import zlib
from typing import Any, Callable, Dict, List, Type

import pytest
import requests
import urllib3

from langgraph_runs import (
    APIConnectionError,
    APITimeoutError,
    Client,
    CreateUncertainError,
    LangGraphRunsError,
    ResponseDecodeError,
    RetryPolicy,
)

from .played import RUN, THREAD, Played, Reply, client_of, reply, run_json, session_of

MODULES = [requests.exceptions, urllib3.exceptions, http.client, ssl, socket, json, zlib]


def classes() -> List[Type[BaseException]]:
    found: Dict[Type[BaseException], None] = {}
    for module in MODULES:
        for name, item in vars(module).items():
            if inspect.isclass(item) and issubclass(item, Exception) and not name.startswith("_"):
                found[item] = None
    return list(found)


CLASSES = classes()
ARGUMENTS: List[Any] = [
    (1, 2),
    (urllib3.HTTPResponse(b""), b"x"),
    ("x",),
    (),
    ("x", "y"),
    (None, None, "x"),
    ("x", "y", "z"),
    ("x", 1),
    ("x", "y", 0),
    (b"x", 0),
]


def made(cls: Type[BaseException]) -> BaseException:
    """An exception of this class, however it wants to be made."""
    for arguments in ARGUMENTS:
        try:
            error = cls(*arguments)
            str(error), repr(error)
            return error
        except Exception:
            continue
    raise AssertionError(f"how is {cls} made?")


def test_the_exceptions_of_all_modules_are_found() -> None:
    """The walk finds the exceptions of all modules, and can make each of them."""
    assert {"ReadTimeout", "ProtocolError", "IncompleteRead", "SSLError", "gaierror", "JSONDecodeError", "error"} <= {
        cls.__name__ for cls in CLASSES
    }
    assert len(CLASSES) > 70
    assert [] == [cls for cls in CLASSES if type(made(cls)) is not cls and not issubclass(cls, OSError)]


class Broken:
    """A body that raises when it is read, with the methods of urllib3's."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.closed = False

    def read(self, *_: Any, **__: Any) -> bytes:
        raise self.error

    read1 = stream = read

    def release_conn(self) -> None:
        self.closed = True

    close = release_conn


def breaking(error: BaseException, status: int = 200, content_type: str = "application/json") -> Callable[[Any], requests.Response]:
    """A response whose body raises."""

    def answer(request: requests.PreparedRequest) -> requests.Response:
        response = Reply(status, b"", {"content-type": content_type}).response(request)
        response.raw = Broken(error)
        return response

    return answer


def never_again(*answers: Any) -> Client:
    return client_of(*answers, retry=RetryPolicy(attempts=1))[0]


CALLS: Dict[str, Callable[[Client], Any]] = {
    "get": lambda client: client.runs.get(THREAD, RUN),
    "create": lambda client: client.runs.create(None, "agent", input={}),
    "wait": lambda client: client.runs.wait(None, "agent", input={}),
    "stream": lambda client: list(client.runs.stream(None, "agent", input={})),
    "join": lambda client: client.runs.join(THREAD, RUN),
    "join_stream": lambda client: list(client.runs.join_stream(THREAD, RUN)),
    "create_batch": lambda client: client.runs.create_batch([{"assistant_id": "agent"}]),
    "iter": lambda client: list(client.runs.iter(THREAD)),
    "ok": lambda client: client.ok(),
}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_exceptions_of_the_adapter_are_translated(cls: Type[BaseException]) -> None:
    """Every call raises an error of this library instead, with the original as its cause, which is never the error itself."""
    for name, call in CALLS.items():
        error = made(cls)
        with pytest.raises(LangGraphRunsError) as caught:
            call(never_again(*[error] * 9))
        causes = []
        cause: Any = caught.value
        while cause is not None and cause not in causes:
            causes.append(cause)
            cause = cause.__cause__
        assert error in causes, name
        assert caught.value.__cause__ is not caught.value
        assert str(caught.value)
        assert not isinstance(caught.value, cls) or issubclass(cls, (OSError, TimeoutError)), name


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
@pytest.mark.parametrize("status", [200, 500])
def test_exceptions_while_a_body_is_read_are_translated(cls: Type[BaseException], status: int) -> None:
    """A response that breaks off is an error of this library too, in every call, and for errors of the server as well."""
    for name, call in CALLS.items():
        error = made(cls)
        kind = "text/event-stream" if "stream" in name else "application/json"
        with pytest.raises(LangGraphRunsError) as caught:
            call(never_again(*[breaking(error, status, kind)] * 9))
            raise AssertionError(name)
        assert caught.value.__cause__ is not caught.value


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_ctrl_c_passes_through(error: BaseException, call: Callable[[Client], Any]) -> None:
    """It is not translated and not repeated: one request, whatever the policy."""
    client, played = client_of(error, reply(run_json()))
    with pytest.raises(type(error)) as caught:
        call(client)
    assert error is caught.value
    assert 1 == len(played.requests)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_ctrl_c_in_a_body_passes_through(error: BaseException, call: Callable[[Client], Any]) -> None:
    """The same while a body is read."""
    client, played = client_of(breaking(error, 200, "text/event-stream"), reply(run_json()))
    with pytest.raises(type(error)) as caught:
        call(client)
    assert error is caught.value
    assert 1 == len(played.requests)


@pytest.mark.parametrize(
    "error", [RuntimeError("a bug in a hook"), AssertionError(), TypeError("x"), MemoryError(), RecursionError()]
)
def test_an_exception_of_a_bug_is_not_translated(error: Exception) -> None:
    """An exception that is not a fault of the network is raised unchanged, is not repeated, and is not its own cause."""
    for answer in (error, breaking(error)):
        client, played = client_of(answer, reply(run_json()))
        with pytest.raises(type(error)) as caught:
            client.runs.get(THREAD, RUN)
        assert error is caught.value
        assert None is error.__cause__
        assert 1 == len(played.requests)
        assert 1 == "".join(traceback.format_exception(type(error), error, error.__traceback__)).count("Traceback")


def connection_error(reason: BaseException) -> requests.ConnectionError:
    """As requests wraps it."""
    pool = urllib3.HTTPConnectionPool("server")
    return requests.ConnectionError(urllib3.exceptions.MaxRetryError(pool, "/x", reason))  # type: ignore[arg-type]


POOL: Any = urllib3.HTTPConnectionPool("server")
NEW = urllib3.exceptions


@pytest.mark.parametrize(
    ("error", "cls", "sent", "text"),
    [
        (requests.ConnectTimeout("x"), APITimeoutError, False, "no connection within connect_timeout=5.0 s: x"),
        (requests.ReadTimeout("x"), APITimeoutError, None, "the server was silent for longer than read_timeout=30.0 s"),
        (connection_error(NEW.ReadTimeoutError(POOL, "/x", "x")), APITimeoutError, None, "the server was silent"),
        (requests.ConnectionError(NEW.ReadTimeoutError(POOL, "/x", "x")), APITimeoutError, None, "the server was silent"),
        (socket.timeout("timed out"), APITimeoutError, None, "the server was silent"),
        (TimeoutError("timed out"), APITimeoutError, None, "the server was silent"),
        (ssl.SSLError("The read operation timed out"), APITimeoutError, None, "the server was silent"),
        (connection_error(NEW.ConnectTimeoutError(POOL, "late")), APITimeoutError, False, "no connection within"),
        (
            connection_error(NEW.NewConnectionError(POOL, "refused")),
            APIConnectionError,
            False,
            "could not connect: ",
        ),
        (
            connection_error(NEW.NameResolutionError("server", POOL, socket.gaierror(-2, "Name or service not known"))),
            APIConnectionError,
            False,
            "could not connect: HTTPConnectionPool(host='server', port=None): Failed to resolve 'server'",
        ),
        (requests.exceptions.InvalidURL("x"), APIConnectionError, False, "could not connect: x"),
        (
            ConnectionResetError(104, "Connection reset by peer"),
            APIConnectionError,
            None,
            "the connection broke: Connection reset by peer",
        ),
        (BrokenPipeError(32, "Broken pipe"), APIConnectionError, None, "the connection broke: Broken pipe"),
        (
            requests.ConnectionError(NEW.ProtocolError("Connection aborted.", http.client.RemoteDisconnected("closed"))),
            APIConnectionError,
            None,
            "the connection broke: closed",
        ),
        (requests.exceptions.ChunkedEncodingError("x"), APIConnectionError, None, "the connection broke: x"),
        (http.client.IncompleteRead(b"secret", 5), APIConnectionError, None, "the connection broke: IncompleteRead(6 bytes read"),
        (requests.exceptions.ContentDecodingError("x"), ResponseDecodeError, True, "the response cannot be decompressed"),
        (NEW.DecodeError("x"), ResponseDecodeError, True, "the response cannot be decompressed"),
        (zlib.error("x"), ResponseDecodeError, True, "the response cannot be decompressed"),
        (requests.exceptions.ProxyError("x"), APIConnectionError, None, "the connection broke: x"),
    ],
    ids=lambda item: type(item).__name__ if isinstance(item, BaseException) else "",
)
def test_each_fault_has_its_error_and_sent(error: BaseException, cls: Any, sent: Any, text: str) -> None:
    """A refused connection is no timeout, a stall is one, and only a fault before the request leaves it surely unsent."""
    with pytest.raises(LangGraphRunsError) as caught:
        never_again(error).runs.get(THREAD, RUN)
    assert cls is type(caught.value)
    assert str(caught.value).startswith(text)
    assert sent is caught.value.sent  # type: ignore[attr-defined]
    assert ("GET", f"http://server/threads/{THREAD}/runs/{RUN}") == caught.value.request
    assert (THREAD, RUN, 1) == (caught.value.thread_id, caught.value.run_id, caught.value.attempts)


def other_name() -> ssl.SSLError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed: Hostname mismatch")
    error.verify_message = "Hostname mismatch"
    error.verify_code = 62
    return error


@pytest.mark.parametrize(
    ("tls", "text"),
    [
        (ssl.SSLError("no reason"), "could not connect: TLS: HTTPConnectionPool(host='server', port=None): x ["),
        (
            ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed"),
            "for a private certificate authority give verify=",
        ),
        (other_name(), "the certificate is for another name than that in the url ["),
    ],
    ids=["without a reason", "unknown authority", "another name"],
)
def test_a_failed_handshake_has_the_remedy_of_its_reason(tls: ssl.SSLError, text: str) -> None:
    """Python raises some of these errors without the attributes of OpenSSL's."""
    error = connection_error(NEW.NewConnectionError(POOL, "x"))
    error.__cause__ = tls
    with pytest.raises(APIConnectionError) as caught:
        never_again(error).ok()
    assert text in str(caught.value)


def test_addresses_of_objects_are_not_shown() -> None:
    """urllib3 names its connections by their place in memory; our text does not."""
    error = connection_error(NEW.NewConnectionError(urllib3.connection.HTTPConnection("server"), "refused"))
    with pytest.raises(APIConnectionError) as caught:
        never_again(error).ok()
    assert " at 0x" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "requests_made"), [(requests.ConnectTimeout("x"), 4), (requests.ReadTimeout("x"), 1), (ConnectionResetError(), 1)]
)
def test_a_stateless_create_is_repeated_only_if_it_was_surely_not_sent(error: BaseException, requests_made: int) -> None:
    """After any other fault it is uncertain, and says so; there is no second create, only a search for its thread."""
    client, played = client_of(*[error] * 9)
    with pytest.raises(APIConnectionError) as caught:
        client.runs.create(None, "agent", input={})
    assert requests_made == len([request for request in played.requests if str(request.url).endswith("/runs")])
    assert (requests_made == 1) is isinstance(caught.value, CreateUncertainError)


def test_transient_faults_of_a_read_are_repeated() -> None:
    """A GET is repeated until there is a response; the attempts are counted."""
    client, played = client_of(ConnectionResetError(), requests.ReadTimeout("x"), reply({}, 503), reply(run_json()))
    assert RUN == client.runs.get(THREAD, RUN).run_id
    assert 4 == len(played.requests)


def test_a_response_that_cannot_be_decompressed_is_not_requested_again() -> None:
    """The server would send the same once more."""
    client, played = client_of(Reply(200, b"no gzip", {"content-encoding": "gzip"}))
    with pytest.raises(ResponseDecodeError, match="cannot be decompressed"):
        client.runs.get(THREAD, RUN)
    assert 1 == len(played.requests)


def test_a_response_is_closed_before_the_next_attempt() -> None:
    """The connection of a failed attempt is given back, however long the retries go on."""
    bodies = [Broken(ConnectionResetError()), Broken(ConnectionResetError())]

    def answer(request: requests.PreparedRequest) -> requests.Response:
        assert [] == [body for body in bodies[: len(played.requests) - 1] if not body.closed]
        response = Reply(503).response(request)
        response.raw = bodies[len(played.requests) - 1]
        return response

    client, played = client_of(answer, answer, reply(run_json()))
    client.runs.get(THREAD, RUN)
    assert [True, True] == [body.closed for body in bodies]


def test_a_status_survives_a_fault_in_its_body() -> None:
    """If a 404 breaks off, it is a 404 still."""
    with pytest.raises(LangGraphRunsError) as caught:
        never_again(breaking(ConnectionResetError(), 404)).runs.get(THREAD, RUN)
    assert "NotFoundError" == type(caught.value).__name__


@pytest.mark.parametrize(
    "close_error", [OSError("x"), urllib3.exceptions.HTTPError("x"), http.client.HTTPException("x"), ValueError("x")]
)
def test_a_fault_in_closing_hides_nothing(close_error: Exception) -> None:
    """A response that was read to its end counts, also where its connection cannot be closed well."""

    class Stubborn(io.BytesIO):
        def close(self) -> None:
            if not self.closed:
                super().close()
                raise close_error

    def answer(request: requests.PreparedRequest) -> requests.Response:
        response = Reply(200).response(request)
        response.raw = Stubborn(json.dumps(run_json()).encode())
        return response

    assert RUN == never_again(answer).runs.get(THREAD, RUN).run_id


def test_no_warning_of_the_libraries_below_reaches_the_caller() -> None:
    """A whole call warns of nothing."""
    played = Played(reply(run_json()))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        Client("http://server", api_key=None, session=session_of(played)).runs.get(THREAD, RUN)
    assert [] == found

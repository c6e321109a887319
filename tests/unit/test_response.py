"""Answers off the wire: heads, lengths and chunks, in whatever pieces they come, against http.client and against abuse."""

from __future__ import annotations

import http.client
import io
import time
from types import SimpleNamespace
from typing import Any, List, Tuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from langgraph_runs.call.deadline import Deadline
from langgraph_runs.call.scope import Scope
from langgraph_runs.http.exchange import Exchange
from langgraph_runs.http.response import HTTPResponse
from langgraph_runs.http.sockets import Bounds


class Wire:
    """A socket that gives these bytes in pieces of these sizes, and then ends."""

    def __init__(self, data: bytes, sizes: List[int]) -> None:
        self.left, self.sizes = data, list(sizes)

    def makefile(self, *_: Any, **__: Any) -> Any:
        return io.BytesIO()

    def settimeout(self, seconds: Any) -> None:
        pass

    def recv(self, most: int) -> bytes:
        size = min(self.sizes.pop(0) if self.sizes else len(self.left), most, len(self.left))
        data, self.left = self.left[:size], self.left[size:]
        return data


def answer(data: bytes, sizes: Any = (), method: str = "GET") -> Tuple[HTTPResponse, Any]:
    """An answer whose head was read, and the connection that it came on."""
    connection = SimpleNamespace(surplus=False)
    exchange = Exchange(Scope(Deadline(None)), connect_timeout=None, read_timeout=None, idle_limit=1.0)
    wire = Wire(data, list(sizes))
    response = HTTPResponse(wire, method=method, connection=connection, exchange=exchange, bounds=Bounds(wire))
    response.begin()
    return response, connection


def body_of(data: bytes, sizes: Any = ()) -> bytes:
    """The whole body; an exception where it does not come to its end."""
    response, _ = answer(data, sizes)
    pieces: List[bytes] = []
    while True:
        piece = response.read_some()
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)


def chunked(*chunks: bytes, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    framed = b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n" + trailers + b"\r\n"


SIZES = st.lists(st.integers(1, 9), max_size=40)


@settings(max_examples=300)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=12), st.sampled_from([b"", b";a=b", b" ;x"]), SIZES)
def test_chunks_in_any_pieces(chunks: List[bytes], extension: bytes, sizes: List[int]) -> None:
    """The body is what the chunks hold, wherever the network cuts them."""
    data = chunked(*chunks, extension=extension, trailers=b"X-Sum: 1\r\n")
    assert b"".join(chunks) == body_of(data, sizes)


@settings(max_examples=300)
@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=6), st.integers(1, 10_000), SIZES)
def test_a_cut_is_never_taken_for_the_end(chunks: List[bytes], cut: int, sizes: List[int]) -> None:
    """Without the last byte of the framing an answer is not whole, and says so, in its head and in its body."""
    data = chunked(*chunks)
    with pytest.raises(http.client.HTTPException):
        body_of(data[: len(data) - 1 - cut % (len(data) - 1)], sizes)
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(b"".join(chunks)) + b"".join(chunks)
    with pytest.raises(http.client.HTTPException):
        body_of(whole[: len(whole) - 1 - cut % (len(whole) - 1)], sizes)


@settings(max_examples=300)
@given(st.text(alphabet="0123456789abcdefx+-_; \r\nXY", max_size=40), SIZES)
@example("0x2\r\nab\r\n0\r\n\r\n", [])
@example("+2\r\nab\r\n0\r\n\r\n", [])
@example("1_0\r\n" + "a" * 16 + "\r\n0\r\n\r\n", [])
def test_what_is_taken_for_chunks(text: str, sizes: List[int]) -> None:
    """Anything is a body or an HTTPException; what is a body is one to http.client too, and the same."""
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + text.encode()
    try:
        body = body_of(data, sizes)
    except http.client.HTTPException:
        return
    theirs = http.client.HTTPResponse(SimpleNamespace(makefile=lambda *_, **__: io.BytesIO(data)))  # type: ignore[arg-type]
    theirs.begin()
    assert theirs.read() == body


@pytest.mark.parametrize("size", [b"0x2", b"+2", b"-2", b"2_", b"", b" ", b"g", "٢".encode()])
def test_sizes_that_are_none(size: bytes) -> None:
    """Only hexadecimal digits are a size: what int() takes beside them is not."""
    with pytest.raises(http.client.HTTPException, match="the size of a chunk is not a number"):
        body_of(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\nab\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "rest",
    [b"f" * 200_000, b"2;" + b"x" * 200_000, b"0\r\n" + b"X: y\r\n" * 100_000, b"0\r\nX: " + b"y" * 200_000, b"2\r\nabc\r\n"],
)
def test_endless_framing_is_an_error(rest: bytes) -> None:
    """A size, an extension, trailers without an end, and a chunk that is longer than it says."""
    with pytest.raises(http.client.HTTPException):
        body_of(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + rest)


@pytest.mark.parametrize(
    "head",
    [
        b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"X: y\r\n" * 1000 + b"\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"Content-Length: 5, 6\r\n\r\nabcdef",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 1e3\r\n\r\n",
        "Content-Length: ٣\r\n\r\n".encode(),
        b"Content-Length:\r\n\r\n",
    ],
)
def test_heads_that_are_refused(head: bytes) -> None:
    """Endless fields, and lengths that differ or are none."""
    with pytest.raises(http.client.HTTPException):
        answer(b"HTTP/1.1 200 OK\r\n" + head)


@pytest.mark.parametrize(
    "start", [b"", b"\r\n", b"rubbish\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 99 OK\r\n\r\n", b"\x16\x03\x01\r\n\r\n"]
)
def test_what_is_no_status_line(start: bytes) -> None:
    """It is an HTTPException, as http.client makes it."""
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        answer(start)


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["X-A", "x-b", "Content-Type", "Date", "Retry-After", "Vary"]),
            st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f\x85\x1c\x1d\x1e"), max_size=20),
        ),
        max_size=8,
    ),
    SIZES,
)
def test_fields_are_those_of_http_client(fields: List[Tuple[str, str]], sizes: List[int]) -> None:
    """Names, values and their order are as the standard library reads them."""
    head = b"HTTP/1.1 200 OK\r\n" + b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in fields) + b"\r\n"
    ours, _ = answer(head, sizes)
    theirs = http.client.parse_headers(io.BytesIO(head.partition(b"\r\n")[2]))
    assert [(name, value.strip()) for name, value in theirs.items()] == [(name, value.strip()) for name, value in ours.fields]


def test_interim_answers_are_skipped() -> None:
    """100, 102 and 103 are not the answer; too many of them are an error."""
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    assert b"ab" == body_of(interim * 3 + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab")
    with pytest.raises(http.client.HTTPException, match="too many interim answers"):
        answer(interim * 1000)


@pytest.mark.parametrize(("status", "method"), [(204, "GET"), (304, "GET"), (200, "HEAD")])
def test_answers_without_a_body(status: int, method: str) -> None:
    """Nothing is read for them, whatever the head says."""
    response, _ = answer(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\nabcde" % status, method=method)
    assert b"" == response.read_some()


@pytest.mark.parametrize(
    ("data", "surplus"),
    [
        (chunked(b"ab"), False),
        (chunked(b"ab") + b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc", True),
        (b"HTTP/1.1 204 X\r\n\r\nabc", True),
    ],
)
def test_bytes_after_an_answer_are_noticed(data: bytes, surplus: bool) -> None:
    """They would be taken for the next answer: the connection is not used again."""
    response, connection = answer(data)
    while response.read_some():
        pass
    assert surplus is connection.surplus


@pytest.mark.parametrize(
    ("head", "closes"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nabc", True),
    ],
)
def test_which_connections_stay(head: bytes, closes: bool) -> None:
    """By version, by wish, and by whether the end of the body can be known without the end of the connection."""
    assert closes is answer(head)[0].will_close


@pytest.mark.parametrize("deadline", [0.05, None])
def test_a_kernel_that_is_early_ends_no_call_before_its_time(deadline: Any) -> None:
    """It counts ticks of some milliseconds. Whether a deadline is over says the clock; read_timeout is what the kernel says."""

    class Early(Wire):
        def recv(self, most: int) -> bytes:
            raise BlockingIOError(11, "Resource temporarily unavailable")

    exchange = Exchange(Scope(Deadline(deadline)), connect_timeout=None, read_timeout=30.0, idle_limit=1.0)
    wire = Early(b"", [])
    connection = SimpleNamespace(surplus=False)
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="timed out" if deadline is None else "the deadline of the call is over"):
        HTTPResponse(wire, method="GET", connection=connection, exchange=exchange, bounds=Bounds(wire)).begin()
    assert (deadline or 0.0) <= time.monotonic() - began < 5

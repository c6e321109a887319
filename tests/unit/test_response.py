"""The response parser: heads, lengths and chunks in pieces of any size, compared with http.client, and malformed input."""

from __future__ import annotations

import http.client
import io
from types import SimpleNamespace
from typing import Any, List, Tuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from langgraph_runs.call.deadline import Deadline
from langgraph_runs.call.scope import Scope
from langgraph_runs.http.exchange import Exchange
from langgraph_runs.http.response import HTTPResponse
from langgraph_runs.http.sockets import LimitedSocket


class Wire(LimitedSocket):
    """A socket that gives these bytes in pieces of these sizes, and then is at its end."""

    def __init__(self, data: bytes, sizes: List[int]) -> None:
        super().__init__(SimpleNamespace(makefile=lambda *_, **__: io.BytesIO()))
        self.left, self.sizes = data, list(sizes)

    def receive(self, exchange: Exchange, size: int, *, soon: bool = False) -> bytes:
        size = min(self.sizes.pop(0) if self.sizes else len(self.left), size, len(self.left))
        data, self.left = self.left[:size], self.left[size:]
        return data


def response_of(data: bytes, sizes: Any = (), method: str = "GET") -> HTTPResponse:
    """A response whose head was read."""
    exchange = Exchange(Scope(Deadline(None)), connect_timeout=None, read_timeout=None, idle_limit=1.0)
    wire = Wire(data, list(sizes))
    response = HTTPResponse(method=method, exchange=exchange, limited=wire)
    response.begin()
    return response


def body_of(data: bytes, sizes: Any = ()) -> bytes:
    """The whole body; raises if its end does not come."""
    response = response_of(data, sizes)
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
def test_a_chunked_body_may_arrive_in_pieces_of_any_size(chunks: List[bytes], extension: bytes, sizes: List[int]) -> None:
    """The body is the data of the chunks, wherever the reads cut them."""
    data = chunked(*chunks, extension=extension, trailers=b"X-Sum: 1\r\n")
    assert b"".join(chunks) == body_of(data, sizes)


@settings(max_examples=300)
@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=6), st.integers(1, 10_000), SIZES)
def test_a_response_that_was_cut_off_raises(chunks: List[bytes], cut: int, sizes: List[int]) -> None:
    """Without the last byte of its framing a response is not complete, whether it is cut in the head or in the body."""
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
def test_a_malformed_chunked_body_raises(text: str, sizes: List[int]) -> None:
    """Any text is a body or raises HTTPException; what is accepted is accepted by http.client too, as the same body."""
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + text.encode()
    try:
        body = body_of(data, sizes)
    except http.client.HTTPException:
        return
    expected = http.client.HTTPResponse(SimpleNamespace(makefile=lambda *_, **__: io.BytesIO(data)))  # type: ignore[arg-type]
    expected.begin()
    assert expected.read() == body


@pytest.mark.parametrize("size", [b"0x2", b"+2", b"-2", b"2_", b"", b" ", b"g", "٢".encode()])
def test_a_chunk_size_has_only_hexadecimal_digits(size: bytes) -> None:
    """What else int() accepts is refused."""
    with pytest.raises(http.client.HTTPException, match="the size of a chunk is not a number"):
        body_of(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\nab\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "rest",
    [b"f" * 200_000, b"2;" + b"x" * 200_000, b"0\r\n" + b"X: y\r\n" * 100_000, b"0\r\nX: " + b"y" * 200_000, b"2\r\nabc\r\n"],
)
def test_framing_without_an_end_raises(rest: bytes) -> None:
    """A size, an extension or trailers that do not end, and a chunk that is longer than its size."""
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
def test_a_bad_head_raises(head: bytes) -> None:
    """Fields that do not end, and lengths that differ or are not numbers."""
    with pytest.raises(http.client.HTTPException):
        response_of(b"HTTP/1.1 200 OK\r\n" + head)


@pytest.mark.parametrize(
    "start", [b"", b"\r\n", b"rubbish\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 99 OK\r\n\r\n", b"\x16\x03\x01\r\n\r\n"]
)
def test_a_bad_status_line_raises(start: bytes) -> None:
    """An HTTPException, or a ConnectionError if nothing came."""
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        response_of(start)


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
def test_header_fields_are_parsed_as_by_http_client(fields: List[Tuple[str, str]], sizes: List[int]) -> None:
    """Names, values and their order are the same."""
    head = b"HTTP/1.1 200 OK\r\n" + b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in fields) + b"\r\n"
    response = response_of(head, sizes)
    expected = http.client.parse_headers(io.BytesIO(head.partition(b"\r\n")[2]))
    assert [(name, value.strip()) for name, value in expected.items()] == [(name, value.strip()) for name, value in response.fields]


def test_interim_responses_are_skipped() -> None:
    """The response is the one after 100, 102 and 103; too many of them raise."""
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    assert b"ab" == body_of(interim * 3 + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab")
    with pytest.raises(http.client.HTTPException, match="too many interim responses"):
        response_of(interim * 1000)


@pytest.mark.parametrize(("status", "method"), [(204, "GET"), (304, "GET"), (200, "HEAD")])
def test_a_response_without_a_body(status: int, method: str) -> None:
    """No body is read, whatever the head says."""
    response = response_of(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\nabcde" % status, method=method)
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
def test_bytes_after_a_response_are_noticed(data: bytes, surplus: bool) -> None:
    """They would be taken for the next response, so the connection is not used again."""
    response = response_of(data)
    while response.read_some():
        pass
    assert surplus is response.has_surplus


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
def test_whether_the_connection_closes_after_a_response(head: bytes, closes: bool) -> None:
    """By the version, the Connection header, and by whether the body ends without the end of the connection."""
    assert closes is response_of(head).will_close


def test_the_attributes_of_http_client_are_there() -> None:
    """Libraries that watch http.client find the attributes of its responses; cookies are found in ``msg``."""
    response = response_of(b"HTTP/1.1 201 Created\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nab")
    assert isinstance(response, http.client.HTTPResponse)
    assert (201, "Created", 11, 2, False, False) == (
        response.status,
        response.reason,
        response.version,
        response.length,
        response.chunked,
        response.isclosed(),
    )
    assert ["a=1", "b=2"] == response.msg.get_all("Set-Cookie")
    assert ("1", None, "x") == (response.getheader("x-a"), response.getheader("X-B"), response.getheader("X-B", "x"))
    assert ("X-A", "1") in response.getheaders()
    assert b"ab" == response.read_some() and response.isclosed()


def test_the_body_as_a_file() -> None:
    """As urllib3 reads it: pieces of a given size, pieces as they come, all of it."""
    data = chunked(b"abc", b"defgh", b"ij")
    file = response_of(data, [len(data) - 9]).file()
    assert [b"ab", b"c", b"def"] == [file.read(2), file.read(1), file.read1(3)]
    assert [b"ghij", b"", b""] == [file.read(), file.read(1), file.read1(1)]
    file.close()
    assert file.closed


def test_a_closed_response_gives_nothing() -> None:
    """The rest of the body is not read after a close."""
    response = response_of(chunked(b"abc"))
    response.close()
    assert (b"", True, False) == (response.read_some(), response.isclosed(), response.is_complete)


def test_a_read_tries_before_it_waits_while_bytes_flow() -> None:
    """The head has to be waited for. After a wait for few bytes the next ones are waited for too, after a wait for many not."""
    tried: List[bool] = []

    class Slow(Wire):
        def receive(self, exchange: Exchange, size: int, *, soon: bool = False) -> bytes:
            tried.append(soon)
            self.waited = not soon or len(tried) == 3  # the second piece of the body is late
            return super().receive(exchange, size, soon=soon)

    head = b"HTTP/1.1 200 OK\r\nContent-Length: 6004\r\n\r\n"
    exchange = Exchange(Scope(Deadline(None)), connect_timeout=None, read_timeout=None, idle_limit=1.0)
    response = HTTPResponse(method="GET", exchange=exchange, limited=Slow(head + b"x" * 6004, [len(head), 1, 1, 1, 6000, 1]))
    response.begin()
    assert [1, 1, 1, 6000, 1] == [len(response.read_some()) for _ in range(5)]
    assert [False, True, True, False, False, True] == tried


@pytest.mark.parametrize("coding", [b"identity", b"Identity", b"identity, identity"])
def test_the_transfer_coding_identity_says_nothing(coding: bytes) -> None:
    """The length counts. RFC 2616 had this coding, and some servers send it."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + coding + b"\r\n"
    assert b"{}" == body_of(head + b"Content-Length: 2\r\n\r\n{}HTTP/1.1")
    assert response_of(head + b"Content-Length: 2\r\n\r\n{}").will_close  # what else the server means is unknown


def test_identity_beside_chunked_is_chunked() -> None:
    assert b"{}" == body_of(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")

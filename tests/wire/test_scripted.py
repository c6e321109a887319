"""The scripted server records requests exactly, and sends what the script says."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import zlib
from collections.abc import Iterator

import pytest

from .scripted import (
    LoopbackServer,
    Request,
    ScriptedServer,
    black_hole,
    chunked,
    closed_port,
    cut_request_after,
    drop_before_answer,
    event,
    raw,
    reply,
    reply_json,
    reset_before_answer,
    sse,
    stall,
    waiting,
)

GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"


@contextlib.contextmanager
def connection(server: LoopbackServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        yield sock


def read_to_end(sock: socket.socket) -> bytes:
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def read_exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        assert piece, f"the answer ended after {data!r}"
        data += piece
    return data


def ask(server: LoopbackServer, request: bytes = GET) -> bytes:
    """Send on a new connection, return all that comes until its end."""
    with connection(server) as sock:
        sock.sendall(request)
        # the server may have closed already
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
        return read_to_end(sock)


def body_of(answer: bytes) -> bytes:
    return answer.split(b"\r\n\r\n", 1)[1]


def test_requests_are_recorded_as_they_were_sent() -> None:
    """The request line, the order and case of the headers and the body are kept byte for byte."""
    sent = b"POST /a%2Fb?q=1 HTTP/1.1\r\nhOst: h\r\nX-b:  2 \r\nx-A: 1\r\nContent-Length: 5\r\n\r\nh\xc3\xa9\r\n"

    with ScriptedServer(reply(204)) as server:
        ask(server, sent)

    (request,) = server.requests
    assert sent == request.raw
    assert b"POST /a%2Fb?q=1 HTTP/1.1" == request.line
    assert ("POST", "/a%2Fb", "q=1") == (request.method, request.path, request.query)
    assert (("hOst", "h"), ("X-b", "2"), ("x-A", "1"), ("Content-Length", "5")) == request.headers
    assert b"h\xc3\xa9\r\n" == request.body
    assert "2" == request.header("x-B")
    assert request.complete and not request.client_disconnected.is_set()


def test_a_chunked_request_is_joined() -> None:
    """The chunks of a request are one body; what was on the wire is in raw."""
    sent = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"

    with ScriptedServer(reply(204)) as server:
        ask(server, sent)

    assert (b"abcde", sent) == (server.requests[0].body, server.requests[0].raw)


def test_keep_alive_serves_the_script_on_one_connection() -> None:
    """Pipelined requests are two requests on connection 0, each with its own reply."""
    with ScriptedServer(reply(200, "one"), reply(200, "two")) as server:
        answer = ask(server, GET + GET)

    assert (b"one", b"two") == (answer.split(b"\r\n\r\n")[1][:3], answer.split(b"\r\n\r\n")[2])
    assert [0, 0] == [r.connection for r in server.requests]
    assert 1 == server.connections


def test_the_next_connection_has_the_next_number() -> None:
    """Connections are counted from 0 in the order they were accepted."""
    with ScriptedServer(reply(204), reply(204)) as server:
        ask(server)
        ask(server)

    assert [0, 1] == [r.connection for r in server.requests]


def test_connection_close_is_kept() -> None:
    """A reply with Connection: close ends the connection, and the second request on it is not served."""
    with ScriptedServer(reply(200, "a", {"Connection": "close"})) as server:
        assert b"a" == body_of(ask(server, GET + GET))

    assert 1 == len(server.requests)


def test_then_hang_up_closes_without_announcing_it() -> None:
    """The response is whole and promises nothing about the end that follows."""
    with ScriptedServer(reply(200, "a").then_hang_up()) as server, connection(server) as sock:
        sock.sendall(GET)
        answer = read_to_end(sock)

    assert b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na" == answer


@pytest.mark.parametrize(
    "framing, expected",
    [
        ("length", b'content-length: 7\r\n\r\n{"a":1}'),
        ("chunked", b'transfer-encoding: chunked\r\n\r\n7\r\n{"a":1}\r\n0\r\n\r\n'),
        ("close", b'connection: close\r\n\r\n{"a":1}'),
    ],
)
def test_bodies_are_framed_as_requested(framing: str, expected: bytes) -> None:
    """Length, chunked and close-delimited bodies look on the wire as HTTP says."""
    with ScriptedServer(reply_json(201, {"a": 1}, framing=framing)) as server:
        assert b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\n" + expected == ask(server)


def test_an_event_is_one_chunk_with_the_fields_of_the_server() -> None:
    """An event is written as event, data, id with CRLF, in one chunk; Location and Content-Location name the run."""
    with ScriptedServer(sse(("values", {"a": "\u2028"}, "1-0"), run=("t", "r"))) as server:
        head, body = ask(server).split(b"\r\n\r\n", 1)

    one = 'event: values\r\ndata: {"a":"\u2028"}\r\nid: 1-0\r\n\r\n'.encode()
    assert b"%x\r\n%s\r\n0\r\n\r\n" % (len(one), one) == body
    assert b"content-type: text/event-stream; charset=utf-8\r\n" in head
    assert head.endswith(b"Content-Location: /threads/t/runs/r\r\nLocation: /threads/t/runs/r/stream\r\ntransfer-encoding: chunked")


def test_an_event_can_have_other_line_ends() -> None:
    """A dialect with LF line ends is one argument away."""
    assert b"event: x\ndata: 1\n\n" == event("x", 1, newline="\n")


def test_then_cut_ends_without_the_last_chunk() -> None:
    """A cut stream ends with FIN and without the terminating chunk."""
    with ScriptedServer(sse(("values", 1)).then_cut()) as server:
        answer = ask(server)

    assert answer.endswith(b"data: 1\r\n\r\n\r\n")


def test_then_reset_ends_with_a_reset() -> None:
    """Bytes sent before a reset can be read; then comes ECONNRESET, not an end."""
    with ScriptedServer(sse(("values", 1)).then_reset()) as server, connection(server) as sock:
        sock.sendall(GET)
        with pytest.raises(ConnectionResetError):
            read_to_end(sock)


@pytest.mark.parametrize("count", [0, 1, 17, 40])
def test_cut_after_counts_the_bytes_of_the_whole_response(count: int) -> None:
    """Exactly this number of bytes of the response arrives, head included."""
    with ScriptedServer(reply(200, "x" * 50).cut_after(count)) as server:
        assert count == len(ask(server))


def test_drop_before_answer_is_an_end_and_reset_before_answer_a_reset() -> None:
    """Both have read the whole request; one ends with FIN, the other with RST."""
    with ScriptedServer(drop_before_answer(), reset_before_answer()) as server:
        assert b"" == ask(server)
        with connection(server) as sock, pytest.raises(ConnectionResetError):
            sock.sendall(GET)
            read_to_end(sock)

    assert [GET, GET] == [r.raw for r in server.requests]


@pytest.mark.parametrize("reset", [False, True])
def test_cut_request_after_reads_no_more(reset: bool) -> None:
    """The server reads this number of bytes of the request and sends no response."""
    with ScriptedServer(cut_request_after(7, reset=reset)) as server, connection(server) as sock:
        sock.sendall(GET)
        if reset:
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        else:
            assert b"" == sock.recv(1)
        sock.close()

    (request,) = server.requests
    assert b"GET /x " == request.raw
    assert not request.complete


def test_stall_sends_nothing_and_notices_that_the_client_disconnected() -> None:
    """A stalled request is over when its client leaves, and says so."""
    with ScriptedServer(stall()) as server:
        with connection(server) as sock:
            sock.sendall(GET)
            (request,) = server.wait_for(1)
            sock.settimeout(0.02)
            with pytest.raises(socket.timeout):
                sock.recv(1)
            assert not request.client_disconnected.is_set()

        assert request.client_disconnected.wait(5)
        server.wait_closed()

    assert 0 == server.open_connections


def test_an_event_in_the_body_holds_the_rest_back() -> None:
    """Nothing behind a threading.Event is sent before the test sets it."""
    gate = threading.Event()
    with ScriptedServer(chunked(b"a", gate, b"b")) as server, connection(server) as sock:
        sock.sendall(GET)
        read_exactly(sock, len(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"))
        assert b"1\r\na\r\n" == read_exactly(sock, 6)
        sock.settimeout(0.02)
        with pytest.raises(socket.timeout):
            sock.recv(1)
        gate.set()
        sock.settimeout(5)
        assert b"1\r\nb\r\n0\r\n\r\n" == read_exactly(sock, 11)


def test_once_holds_the_whole_response_back() -> None:
    """Not even the head is sent before the event is set."""
    gate = threading.Event()
    with ScriptedServer(reply(200).once(gate)) as server, connection(server) as sock:
        sock.sendall(GET)
        sock.settimeout(0.02)
        with pytest.raises(socket.timeout):
            sock.recv(1)
        gate.set()
        sock.settimeout(5)
        assert b"H" == sock.recv(1)


def test_dripping_sends_small_pieces_and_loses_nothing() -> None:
    """Four pieces with 10 ms between take at least 30 ms and are the same bytes."""
    with ScriptedServer(raw(b"abcdefgh").dripping(2, 0.01).then_cut()) as server, connection(server) as sock:
        before = time.monotonic()
        sock.sendall(GET)
        assert b"abcdefgh" == read_to_end(sock)

    assert time.monotonic() - before >= 0.03


def test_gzip_is_flushed_after_each_event() -> None:
    """The first event can be decompressed before the second is sent."""
    gate = threading.Event()
    with ScriptedServer(sse(("a", 1), gate, ("b", 2), framing="close").gzipped()) as server, connection(server) as sock:
        sock.sendall(GET)
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(65536)
        head, rest = data.split(b"\r\n\r\n", 1)
        unzip = zlib.decompressobj(wbits=31)
        first = unzip.decompress(rest)
        while not first.endswith(b"\r\n\r\n"):
            first += unzip.decompress(sock.recv(65536))
        gate.set()
        second = unzip.decompress(read_to_end(sock))

    assert b"Content-Encoding: gzip" in head
    assert (b"event: a\r\ndata: 1\r\n\r\n", b"event: b\r\ndata: 2\r\n\r\n") == (first, second)


def test_interim_responses_are_sent_first() -> None:
    """A 1xx response, with headers, precedes the real one on the same connection."""
    with ScriptedServer(reply(200).after_interim(103, {"Link": "</s>"}).after_interim(102)) as server:
        answer = ask(server)

    assert answer.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_a_wait_is_newlines_and_then_the_value() -> None:
    """The headers with the run's place come at once, the newlines and the JSON are chunks."""
    with ScriptedServer(waiting(b"\n", b"\n", value={"n": 1}, run=("t", "r"))) as server:
        head, body = ask(server).split(b"\r\n\r\n", 1)

    assert b"Location: /threads/t/runs/r/join" in head
    assert b'1\r\n\n\r\n1\r\n\n\r\n7\r\n{"n":1}\r\n0\r\n\r\n' == body


def test_routes_do_not_use_the_script() -> None:
    """A request that matches a route does not use up a reply of the script; the query does not count."""
    get = b"GET /threads/t/runs/r?select=status HTTP/1.1\r\n\r\n"
    with ScriptedServer(
        reply(200, "script"),
        routes={("GET", "/threads/*/runs/*"): reply(200, "route"), ("POST", "/p"): lambda r: reply(200, r.body)},
    ) as server:
        assert b"route" == body_of(ask(server, get))
        assert b"script" == body_of(ask(server, b"GET /threads/t/runs/r/stream HTTP/1.1\r\n\r\n"))
        assert b"route" == body_of(ask(server, get))
        assert b"me" == body_of(ask(server, b"POST /p HTTP/1.1\r\nContent-Length: 2\r\n\r\nme"))


def test_always_is_the_reply_after_the_script() -> None:
    """Each request after the script gets the same response."""
    with ScriptedServer(reply(503), always=reply(200, "a")) as server:
        answers = [ask(server)[9:12] for _ in range(3)]

    assert [b"503", b"200", b"200"] == answers


def test_replies_that_were_not_requested_fail_the_test() -> None:
    """A script or a route that was not played to its end is named at the end of the block."""
    server = ScriptedServer(reply(200), stall(), routes={("GET", "/y"): [reply(204)]})
    with pytest.raises(AssertionError, match=r"were not requested: stall\(\), reply\(204\)"), server:
        ask(server)


def test_a_request_beyond_the_script_fails_the_test() -> None:
    """The client gets a response that it cannot take for a good one, and the test fails at the end of the block."""
    with pytest.raises(AssertionError, match="not in the script: GET /x HTTP/1.1"), ScriptedServer() as server:
        assert b"HTTP/1.1 599 Status\r\n" == ask(server)[:21]


def test_a_response_too_short_to_be_cut_fails_the_test() -> None:
    """A cut behind the end of the response is a mistake in the test, not a cut."""
    server = ScriptedServer(reply(200).cut_after(1000))
    with pytest.raises(AssertionError, match="too short to be cut"), server:
        ask(server)


def test_a_broken_request_fails_the_test_unless_it_was_expected() -> None:
    """A request that the client breaks off is a failure, unless the test accepts broken requests."""
    with (
        pytest.raises(AssertionError, match="the request broke off: b'GET'"),
        ScriptedServer(always=reply(200)) as server,
    ):
        ask(server, b"GET")
    with ScriptedServer(always=reply(200), takes_broken_requests=True) as server:
        assert b"" == ask(server, b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na")

    assert not server.requests[0].complete


def test_the_failure_of_the_test_itself_is_not_hidden() -> None:
    """An exception in the block comes out although the script was not played either."""
    with pytest.raises(KeyError), ScriptedServer(stall()):
        raise KeyError("mine")


def test_nothing_is_left_behind() -> None:
    """After the block its threads are gone and its port refuses, even with a client still in a stall."""
    before = threading.active_count()
    with ScriptedServer(stall(), reply(200)) as server, connection(server) as blocked:
        blocked.sendall(GET)
        server.wait_for(1)
        ask(server)
        server.close()
        assert before == threading.active_count()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), timeout=5)


def test_wait_for_returns_the_requests_as_soon_as_they_are_there() -> None:
    """wait_for blocks until the request was read and fails the test when it does not come."""
    seen: list[Request] = []
    with ScriptedServer(reply(204)) as server:
        waiter = threading.Thread(target=lambda: seen.extend(server.wait_for(1)))
        waiter.start()
        ask(server)
        waiter.join(5)
        with pytest.raises(AssertionError, match="waited 0.01 s for 2 requests"):
            server.wait_for(2, timeout=0.01)

    assert [GET] == [r.raw for r in seen]


def test_a_closed_port_refuses() -> None:
    """Connecting to a closed port is refused at once."""
    with closed_port() as url, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=5)


def test_a_black_hole_neither_accepts_nor_refuses() -> None:
    """Connecting to a black hole is still pending when the timeout of the client ends."""
    with black_hole() as url, pytest.raises(socket.timeout):
        socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=0.05)

"""The cutting proxy breaks connections as scripted and passes everything else unchanged."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from langgraph_runs.testing.cutting_proxy import (
    PASS,
    CuttingProxy,
    Fault,
    Turn,
    cut_request,
    cut_response,
    refuse,
    seeded,
    stall_request,
    stall_response,
    swallow,
)

from .scripted import ScriptedServer, reply

GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(always=reply(200, "hello"), takes_broken_requests=True) as server:
        yield server


@pytest.fixture
def proxy(server: ScriptedServer) -> Iterator[CuttingProxy]:
    with CuttingProxy(server.url) as proxy:
        yield proxy


@contextlib.contextmanager
def connection(proxy: CuttingProxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
        yield sock


def answer(sock: socket.socket, size: int = len(HELLO)) -> bytes:
    """What comes until `size` bytes are there or the connection ends."""
    data = b""
    while len(data) < size and (piece := sock.recv(size - len(data))):
        data += piece
    return data


def ask(proxy: CuttingProxy) -> bytes:
    with connection(proxy) as sock:
        sock.sendall(GET)
        return answer(sock)


def test_without_faults_everything_passes(server: ScriptedServer, proxy: CuttingProxy) -> None:
    """Two requests on one connection go through unchanged and are counted as two turns."""
    with connection(proxy) as sock:
        for _ in range(2):
            sock.sendall(GET)
            assert HELLO == answer(sock)

    assert [GET, GET] == [r.raw for r in server.requests]
    assert (1, 1) == (proxy.connections, server.connections)
    assert [Turn(0, GET, PASS, False, len(GET), len(HELLO))] * 2 == proxy.turns


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("after", [0, 1, len(GET) - 1])
def test_cut_request_passes_a_number_of_bytes_to_the_server(proxy: CuttingProxy, after: int, reset: bool) -> None:
    """The server has read exactly that much of the request, and the client gets no byte."""
    proxy.arm(cut_request(after, reset=reset))
    with connection(proxy) as sock:
        sock.sendall(GET)
        with pytest.raises(ConnectionResetError) if reset else contextlib.nullcontext():
            assert b"" == sock.recv(1)

    (turn,) = proxy.turns
    assert (True, after, 0) == (turn.fired, turn.request, turn.response)


def test_a_request_cut_at_its_end_has_reached_the_server(server: ScriptedServer, proxy: CuttingProxy) -> None:
    """Cut after its last byte, a request is complete for the server and lost for the client."""
    proxy.arm(cut_request(len(GET)))

    assert b"" == ask(proxy)
    assert GET == server.wait_for(1)[0].raw


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("after", [0, 1, 30, len(HELLO)])
def test_cut_answer_passes_a_number_of_bytes_to_the_client(
    server: ScriptedServer, proxy: CuttingProxy, after: int, reset: bool
) -> None:
    """The server has answered, the client has exactly that much of it."""
    proxy.arm(cut_response(after, reset=reset))
    with connection(proxy) as sock:
        sock.sendall(GET)
        assert HELLO[:after] == answer(sock, after)
        with pytest.raises(ConnectionResetError) if reset else contextlib.nullcontext():
            assert b"" == sock.recv(1)

    assert GET == server.requests[0].raw
    assert (True, after) == (proxy.turns[0].fired, proxy.turns[0].response)


def test_swallow_lets_the_server_act(server: ScriptedServer, proxy: CuttingProxy) -> None:
    """After a swallowed response the server has handled the request; the client has nothing."""
    proxy.arm(swallow())

    assert b"" == ask(proxy)
    assert 1 == len(server.requests)


@pytest.mark.parametrize("fault, request_bytes, answer_bytes", [(stall_request(5), 5, 0), (stall_response(5), 28, 5)])
def test_a_stall_is_silent_until_the_client_disconnects(
    proxy: CuttingProxy, fault: Fault, request_bytes: int, answer_bytes: int
) -> None:
    """Nothing more comes and nothing is closed, until the client closes."""
    with connection(proxy) as sock:
        proxy.arm(fault)
        sock.sendall(GET)
        assert answer_bytes == len(answer(sock, answer_bytes))
        sock.settimeout(0.02)
        with pytest.raises(socket.timeout):
            sock.recv(1)
        assert 1 == proxy.open_connections

    proxy.wait_closed()
    assert (request_bytes, answer_bytes) == (proxy.turns[0].request, proxy.turns[0].response)


def test_a_refused_request_does_not_reach_the_server(server: ScriptedServer, proxy: CuttingProxy) -> None:
    """The connection is reset before the server hears of it."""
    proxy.arm(refuse())
    with pytest.raises(ConnectionResetError):
        ask(proxy)

    assert 0 == server.connections


def test_a_closed_port_can_be_opened_again(proxy: CuttingProxy) -> None:
    """refuse closes the port for new connections only, listen opens the same one."""
    with connection(proxy) as old:
        old.sendall(GET)
        answer(old)
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            ask(proxy)
        old.sendall(GET)
        assert HELLO == answer(old)

    proxy.listen()

    assert HELLO == ask(proxy)


def test_a_fault_waits_for_a_request_that_matches(proxy: CuttingProxy) -> None:
    """A fault for POST leaves a GET alone, also on the same connection, and happens once."""
    post = b"POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    proxy.arm(cut_response(3), when=b"POST ")
    with connection(proxy) as sock:
        sock.sendall(GET)
        assert (HELLO, 1) == (answer(sock), proxy.armed)
        sock.sendall(post)
        assert b"HTT" == answer(sock)

    assert HELLO == ask(proxy)
    assert ([False, True, False], 0) == ([turn.fired for turn in proxy.turns], proxy.armed)


def test_a_part_shorter_than_the_fault_passes(proxy: CuttingProxy) -> None:
    """A cut behind the end of the response does not take place, and is not said to have."""
    proxy.arm(cut_response(10_000))

    assert HELLO == ask(proxy)
    assert not proxy.turns[0].fired


def test_freeze_holds_everything_back(server: ScriptedServer, proxy: CuttingProxy) -> None:
    """A frozen proxy accepts and passes nothing on; thawed, it goes on without loss."""
    proxy.freeze()
    with connection(proxy) as sock:
        sock.sendall(GET)
        sock.settimeout(0.02)
        with pytest.raises(socket.timeout):
            sock.recv(1)
        assert 0 == len(server.requests)
        proxy.thaw()
        sock.settimeout(5)
        assert HELLO == answer(sock)


def test_the_same_seed_gives_the_same_faults() -> None:
    """Seeds repeat themselves, rate 0 breaks nothing, about a third of the turns are broken by default."""
    turn = Turn(0, GET)
    first, again, never = seeded(7), seeded(7), seeded(7, 0)
    faults = [first(turn) for _ in range(600)]

    assert faults == [again(turn) for _ in range(600)]
    assert {PASS} == {never(turn) for _ in range(600)}
    assert 150 < sum(fault is not PASS for fault in faults) < 250
    assert {"never", "connect", "request", "response"} == {fault.where for fault in faults}


def test_break_all_ends_what_is_open(proxy: CuttingProxy) -> None:
    """An open connection ends; the next one is served."""
    with connection(proxy) as sock:
        sock.sendall(GET)
        answer(sock)
        proxy.break_all()
        assert b"" == sock.recv(1)

    assert HELLO == ask(proxy)


def test_an_unreachable_server_looks_like_a_reset(proxy: CuttingProxy) -> None:
    """If the upstream refuses, the client is reset."""
    proxy.upstream = "http://127.0.0.1:1"
    with pytest.raises(ConnectionResetError):
        ask(proxy)


def test_nothing_is_left_behind(server: ScriptedServer) -> None:
    """After the block its threads are gone, with a stalled and an idle client still there."""
    before = threading.active_count()
    with CuttingProxy(server.url) as proxy, connection(proxy) as stalled, connection(proxy):
        proxy.arm(stall_request(1))
        stalled.sendall(GET)
        proxy.wait_until(lambda: proxy.turns[0].fired if proxy.turns else False, "the stall")
        proxy.close()
        server.wait_closed()
        assert before == threading.active_count()

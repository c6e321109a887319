"""Reads and writes within the limits of an exchange, and whether an idle connection is quiet."""

from __future__ import annotations

import socket
import struct
import time
from types import SimpleNamespace
from typing import Any, Callable, Iterator, List, Optional, Tuple

import pytest

from langgraph_runs.call import SIGNAL_INTERVAL, Deadline, Scope
from langgraph_runs.http.exchange import Exchange
from langgraph_runs.http.sockets import LimitedSocket

Pair = Tuple[socket.socket, socket.socket]


@pytest.fixture
def connection() -> Iterator[Pair]:
    """The two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    with one, other:
        yield one, other


@pytest.fixture(params=["by the kernel", "by polling"])
def check(connection: Pair, request: pytest.FixtureRequest) -> LimitedSocket:
    """A check of the first end."""
    made = LimitedSocket(connection[0])
    if request.param == "by polling":
        made._by_kernel = False
    return made


def until(condition: Callable[[], bool], wanted: bool) -> bool:
    """True if *condition* becomes *wanted* within some seconds: what one end does takes its time to reach the other."""
    end = time.monotonic() + 5
    while condition() is not wanted and time.monotonic() < end:
        time.sleep(0.001)
    return condition() is wanted


@pytest.mark.parametrize("counted", [True, False], ids=["counted", "not counted"])
def test_a_socket_is_quiet_until_bytes_arrive(connection: Pair, check: LimitedSocket, counted: bool) -> None:
    """Looking reads nothing. A reader that does not count its bytes costs a poll, and changes no result."""
    assert check.is_quiet()
    for _ in range(3):
        connection[1].send(b"x" * 1000)
        assert until(check.is_quiet, False)
        read = connection[0].recv(400)
        check.received += len(read) if counted else 0
        assert not check.is_quiet()
        read = connection[0].recv(4000)
        check.received += len(read) if counted else 0
        assert 600 == len(read) and check.is_quiet()
    connection[1].shutdown(socket.SHUT_WR)
    assert until(check.is_quiet, False)


def test_a_connection_that_was_reset_is_not_quiet(connection: Pair, check: LimitedSocket) -> None:
    """As a server that was killed leaves it."""
    connection[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection[1].close()
    assert until(check.is_quiet, False)


def test_a_socket_that_is_not_tcp_is_polled() -> None:
    """The kernel has no counters for it."""
    one, other = socket.socketpair()
    with one:
        with other:
            check = LimitedSocket(one)
            assert check.is_quiet()
            other.send(b"x")
            assert [False, False] == [check.is_quiet(), check.is_quiet()]
            assert b"x" == one.recv(1)
            assert check.is_quiet()
        assert not check.is_quiet()


@pytest.mark.parametrize("counters", ["none", "shorter"])
def test_a_kernel_without_the_counters_is_polled(connection: Pair, counters: str) -> None:
    """Some sandboxes have no TCP_INFO, or a shorter one."""
    one, other = socket.socketpair()  # not TCP, so that the kernel itself raises
    with one, other:
        getsockopt = one.getsockopt if counters == "none" else lambda *_: b"\x01" * 8
        check = LimitedSocket(SimpleNamespace(getsockopt=getsockopt, fileno=connection[0].fileno))
        check._by_kernel = True
        assert check.is_quiet()
        connection[1].send(b"x")
        assert until(check.is_quiet, False)


def test_without_poll_select_is_used(check: LimitedSocket, connection: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows."""
    monkeypatch.delattr("select.poll")
    check._by_kernel = False
    assert check.is_quiet()
    connection[1].send(b"x")
    assert until(check.is_quiet, False)


def exchange_of(timeout: Optional[float] = None, read_timeout: Optional[float] = None) -> Exchange:
    return Exchange(Scope(Deadline(timeout)), connect_timeout=None, read_timeout=read_timeout, idle_limit=1.0)


@pytest.mark.parametrize("soon", [True, False])
@pytest.mark.parametrize("limits", [{"read_timeout": 0.03}, {"timeout": 0.03}, {"timeout": 0.03, "read_timeout": 9.0}], ids=str)
def test_a_read_ends_when_its_time_is_over(connection: Pair, limits: Any, soon: bool) -> None:
    """Not before, and not much later, whichever limit is the nearer one."""
    limited = LimitedSocket(connection[0])
    connection[1].send(b"abc")
    assert b"ab" == limited.receive(exchange_of(read_timeout=9.0), 2)
    assert b"c" == limited.receive(exchange_of(read_timeout=9.0), 2, soon=True)
    began = time.monotonic()
    exchange = exchange_of(**limits)
    with pytest.raises(TimeoutError):
        limited.receive(exchange, 1, soon=soon)
    assert 0.03 <= time.monotonic() - began < 5
    connection[1].close()
    assert (b"", 3) == (limited.receive(exchange_of(), 1), limited.received)


def test_a_write_ends_when_its_time_is_over(connection: Pair) -> None:
    """The peer reads nothing: as much as the buffers hold is written, then the time runs."""
    limited, exchange = LimitedSocket(connection[0]), exchange_of(read_timeout=0.03)
    with pytest.raises(TimeoutError, match="timed out"):
        while True:
            assert limited.send(exchange, b"x" * 65536)


@pytest.mark.parametrize("deadline", [0.05, None])
def test_a_wait_that_is_early_does_not_end_the_call_before_its_deadline(deadline: Any, connection: Pair) -> None:
    """The clock decides whether the deadline has passed. A wait that was given read_timeout is over when it times out."""

    class Early(LimitedSocket):
        def _ready(self, event: int, seconds: Optional[float]) -> bool:
            return False

    began = time.monotonic()
    with pytest.raises(TimeoutError, match="timed out" if deadline is None else "the deadline of the call is over"):
        Early(connection[0]).receive(exchange_of(deadline, read_timeout=0.3), 1)
    assert (deadline or 0.0) <= time.monotonic() - began < 5


def test_a_long_wait_is_made_of_short_ones(connection: Pair) -> None:
    """A signal that arrives just before the kernel waits is handled when that wait is over: so none is long."""
    waits: List[Optional[float]] = []

    class Signalled(LimitedSocket):
        def _ready(self, event: int, seconds: Optional[float]) -> bool:
            waits.append(seconds)
            if len(waits) == 3:
                raise KeyboardInterrupt
            return False

    for limits in ({}, {"read_timeout": 30.0}, {"timeout": 30.0}):
        waits.clear()
        with pytest.raises(KeyboardInterrupt):
            Signalled(connection[0]).receive(exchange_of(**limits), 1)
        assert [SIGNAL_INTERVAL] * 3 == waits


def test_reads_keep_to_their_limits_without_poll(connection: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows."""
    monkeypatch.delattr("select.poll")
    limited = LimitedSocket(connection[0])
    with pytest.raises(TimeoutError):
        limited.receive(exchange_of(read_timeout=0.01), 1)
    with pytest.raises(TimeoutError):
        while True:
            limited.send(exchange_of(read_timeout=0.01), b"x" * 65536)


def test_bytes_that_have_arrived_are_read_without_waiting(connection: Pair) -> None:
    """A wait may cost a change of threads. A counter that is too high costs a read, and changes no result."""
    limited, exchange = LimitedSocket(connection[0]), exchange_of(read_timeout=9.0)
    if not limited._by_kernel:
        pytest.skip("only Linux counts the bytes that have arrived")
    connection[1].send(b"abc")
    assert until(limited._has_arrived, True)
    assert (b"abc", False) == (limited.receive(exchange, 9), limited.waited)

    connection[1].send(b"d")
    assert until(limited._has_arrived, True)
    assert b"d" == connection[0].recv(9)  # not counted, so that it seems to be there still
    with pytest.raises(TimeoutError):
        limited.receive(exchange_of(read_timeout=0.03), 9)
    connection[1].close()
    assert b"" == limited.receive(exchange, 9)


@pytest.mark.parametrize("limits", [{"timeout": 0.0001}, {}], ids=["deadline", "abort"])
def test_an_ended_call_does_not_read_what_has_arrived(connection: Pair, limits: Any) -> None:
    """A server that never stops sending does not keep a call alive."""
    limited, exchange = LimitedSocket(connection[0]), exchange_of(**limits)
    connection[1].send(b"abc")
    assert until(limited.is_quiet, False)
    if limits:
        assert until(exchange.scope.deadline.expired, True)
    else:
        exchange.scope.interrupt()
    with pytest.raises((TimeoutError, ConnectionAbortedError)):
        limited.receive(exchange, 9)
    assert 0 == limited.received


def test_an_ended_call_reads_and_writes_nothing(connection: Pair) -> None:
    """Another thread has ended it."""
    exchange, limited = exchange_of(), LimitedSocket(connection[0])
    exchange.scope.interrupt("enough")
    with pytest.raises(ConnectionAbortedError):
        limited.receive(exchange, 1)
    with pytest.raises(ConnectionAbortedError):
        limited.send(exchange, b"x")


def test_a_forked_child_uses_no_connection_of_its_parent(connection: Pair) -> None:
    """Reading would take bytes from the parent, and writing would mix two requests."""
    exchange, limited = exchange_of(), LimitedSocket(connection[0])
    limited.pid -= 1  # as if another process had connected it
    with pytest.raises(ConnectionError, match="belongs to the parent process"):
        limited.receive(exchange, 1)
    with pytest.raises(ConnectionError, match="belongs to the parent process"):
        limited.send(exchange, b"x")

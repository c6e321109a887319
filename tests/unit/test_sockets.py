"""Whether an idle connection is quiet, by the kernel's counters and by polling."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any, Callable, Iterator, Tuple

import pytest

from langgraph_runs.http.sockets import IdleCheck

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
def check(connection: Pair, request: pytest.FixtureRequest) -> IdleCheck:
    """A check of the first end."""
    made = IdleCheck(connection[0])
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
def test_quiet_until_something_arrives(connection: Pair, check: IdleCheck, counted: bool) -> None:
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


def test_a_connection_that_was_reset_is_not_quiet(connection: Pair, check: IdleCheck) -> None:
    """As a server that was killed leaves it."""
    connection[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection[1].close()
    assert until(check.is_quiet, False)


def test_a_socket_that_is_not_tcp_is_polled() -> None:
    """The kernel has no counters for it."""
    one, other = socket.socketpair()
    with one:
        with other:
            check = IdleCheck(one)
            assert check.is_quiet()
            other.send(b"x")
            assert [False, False] == [check.is_quiet(), check.is_quiet()]
            assert b"x" == one.recv(1)
            assert check.is_quiet()
        assert not check.is_quiet()


@pytest.mark.parametrize("info", [OSError(92, "not available"), b"\x01" * 8], ids=["none", "shorter"])
def test_a_kernel_without_the_counters_is_polled(connection: Pair, info: Any) -> None:
    """Some sandboxes have no TCP_INFO, or a shorter one."""

    class Socket:
        def getsockopt(self, *_: Any) -> Any:
            if isinstance(info, OSError):
                raise info
            return info

        def fileno(self) -> int:
            return connection[0].fileno()

    check = IdleCheck(Socket())
    check._by_kernel = True
    assert check.is_quiet()
    connection[1].send(b"x")
    assert until(check.is_quiet, False)


def test_where_there_is_no_poll_the_socket_is_selected(check: IdleCheck, connection: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows."""
    monkeypatch.delattr("select.poll")
    check._by_kernel = False
    assert check.is_quiet()
    connection[1].send(b"x")
    assert until(check.is_quiet, False)

"""What bounds one step on a socket, by the kernel and by Python."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any, Iterator, Tuple

import pytest

from langgraph_runs.http.sockets import Bounds, bounds_of

Pair = Tuple[socket.socket, socket.socket]
either = pytest.mark.parametrize("kind", [Bounds, bounds_of])


@pytest.fixture
def pair() -> Iterator[Pair]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@pytest.fixture
def connection() -> Iterator[Pair]:
    """The two ends of a TCP connection, where the kernel can tell more than of other sockets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    with one, other:
        yield one, other


@either
@pytest.mark.parametrize("seconds", [0.03, 1e-9])
def test_a_read_ends_when_its_time_is_over(pair: Pair, kind: Any, seconds: float) -> None:
    """Not before, and not much later, however short the time is."""
    bounds = kind(pair[0])
    bounds.reads(seconds)
    began = time.monotonic()
    with pytest.raises((TimeoutError, BlockingIOError, socket.timeout)):
        pair[0].recv(1)
    assert seconds * 0.9 <= time.monotonic() - began < 5


@either
def test_a_write_ends_when_its_time_is_over(pair: Pair, kind: Any) -> None:
    """The peer reads nothing: what fits is written, then the time runs."""
    bounds = kind(pair[0])
    bounds.writes(0.03)
    with pytest.raises((TimeoutError, BlockingIOError, socket.timeout)):
        while True:
            assert pair[0].send(b"x" * 65536)


@either
def test_none_is_no_bound_and_the_last_one_counts(pair: Pair, kind: Any) -> None:
    """A bound is taken back as it was given."""
    bounds = kind(pair[0])
    bounds.reads(0.001)
    bounds.reads(None)
    bounds.writes(0.001)
    bounds.writes(None)
    pair[1].send(b"x")
    assert b"x" == pair[0].recv(1)
    if kind is bounds_of:
        assert pair[0].gettimeout() is None


@either
def test_quiet_until_something_comes(pair: Pair, kind: Any) -> None:
    """Bytes that nobody asked for end the quiet, and so does the end of the connection; looking takes nothing away."""
    bounds = kind(pair[0])
    assert bounds.quiet()
    pair[1].send(b"x")
    assert [False, False] == [bounds.quiet(), bounds.quiet()]
    assert b"x" == pair[0].recv(1)
    assert bounds.quiet()
    pair[1].close()
    assert not bounds.quiet()


def until(told: Any, wanted: bool) -> bool:
    """Whether *told* says what is wanted within some seconds: what one end does takes its time to the other."""
    end = time.monotonic() + 5
    while told() is not wanted and time.monotonic() < end:
        time.sleep(0.001)
    return bool(told() is wanted)


@either
@pytest.mark.parametrize("counted", [True, False], ids=["counted", "not counted"])
def test_quiet_over_tcp(connection: Pair, kind: Any, counted: bool) -> None:
    """The same whether or not the one who read has counted: a wrong count costs another look, and no wrong answer."""
    bounds = kind(connection[0])
    assert bounds.quiet()
    for _ in range(3):
        connection[1].send(b"x" * 1000)
        assert until(bounds.quiet, False)
        read = connection[0].recv(400)
        bounds.received += len(read) if counted else 0
        assert not bounds.quiet()
        read = connection[0].recv(4000)
        bounds.received += len(read) if counted else 0
        assert 600 == len(read) and bounds.quiet()
    connection[1].shutdown(socket.SHUT_WR)
    assert until(bounds.quiet, False)


@either
def test_a_connection_that_was_reset_is_not_quiet(connection: Pair, kind: Any) -> None:
    """As a server that was killed leaves it."""
    bounds = kind(connection[0])
    connection[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection[1].close()
    assert until(bounds.quiet, False)


def test_a_kernel_that_tells_nothing_is_polled(connection: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some sandboxes know no TCP_INFO, or a shorter one."""
    bounds = bounds_of(connection[0])
    for told in (OSError(92, "not available"), b"\x01" * 8):

        class Socket:
            def getsockopt(self, *_: Any, told: Any = told) -> Any:
                if isinstance(told, OSError):
                    raise told
                return told

            def fileno(self) -> int:
                return connection[0].fileno()

        monkeypatch.setattr(bounds, "sock", Socket())
        assert bounds.quiet()
    connection[1].send(b"x")
    assert until(bounds.quiet, False)

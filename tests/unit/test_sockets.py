"""What bounds one step on a socket, by the kernel and by Python."""

from __future__ import annotations

import socket
import time
from typing import Any, Iterator, Tuple

import pytest

from langgraph_runs.sockets import Bounds, bounds_of

Pair = Tuple[socket.socket, socket.socket]
either = pytest.mark.parametrize("kind", [Bounds, bounds_of])


@pytest.fixture
def pair() -> Iterator[Pair]:
    one, other = socket.socketpair()
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

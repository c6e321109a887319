"""The idle connections of a pool: which one is used next, and which one is closed when there are too many."""

from __future__ import annotations

import queue
import sys
import threading
from typing import Any, List

import pytest

from langgraph_runs.http.pool import _IdleConnections


class Idle:
    """A connection that notes its end."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.sock = object() if is_open else None
        self.closed = 0

    def close(self) -> None:
        self.closed += 1
        self.sock = None


def taken(pool: _IdleConnections) -> List[Any]:
    """Remove and return all connections."""
    found: List[Any] = []
    while not pool.empty():
        found.append(pool.get())
    return found


def test_the_newest_open_connection_is_first_and_closed_ones_are_last() -> None:
    old, new, closed = Idle(), Idle(), Idle(is_open=False)
    pool = _IdleConnections(3)
    for item in (None, old, closed, new):
        pool.put(item)
    assert [old, new, closed] == list(pool)
    assert [new, old, closed] == taken(pool)
    with pytest.raises(queue.Empty):
        pool.get()


def test_surplus_connections_are_closed_first_those_that_were_closed_and_then_the_oldest() -> None:
    closed, old, new, newest = Idle(is_open=False), Idle(), Idle(), Idle()
    pool = _IdleConnections(2)
    for item in (closed, old, new, newest):
        pool.put(item)
    assert [1, 1, 0, 0] == [item.closed for item in (closed, old, new, newest)]
    assert [newest, new] == taken(pool)


def test_a_connection_that_is_put_in_twice_is_there_once() -> None:
    """Also if it was closed between the two, or opened."""
    pool, item = _IdleConnections(2), Idle()
    pool.put(item)
    pool.put(item)
    item.close()
    pool.put(item)
    assert [item] == taken(pool)


def test_threads_get_each_connection_once() -> None:
    """However often Python changes threads, a connection is with one thread at a time, and none is lost."""
    pool, items = _IdleConnections(8), [Idle() for _ in range(8)]
    for item in items:
        pool.put(item)
    in_use, wrong = set(items), []

    def work() -> None:
        for _ in range(300):
            try:
                item = pool.get()
            except queue.Empty:
                continue
            try:
                in_use.remove(item)
            except KeyError:
                wrong.append(item)
            in_use.add(item)
            pool.put(item)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    finally:
        sys.setswitchinterval(before)
    assert not wrong
    assert set(items) == set(taken(pool))
    assert not any(item.closed for item in items)

"""The pool of daemon threads that runs the tasks of a map."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any, List, Type

import pytest

from langgraph_runs.batch.thread_pool import DaemonThreadPool

from ..waiting import PROMPT


def test_the_pool_never_runs_more_than_its_threads() -> None:
    pool, gate, lock = DaemonThreadPool(3, "test-pool"), threading.Event(), threading.Lock()
    running = most = 0

    def work(n: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(20)
        with lock:
            running -= 1
        return n

    futures = [pool.submit(work, n) for n in range(10)]
    assert futures[9].cancel()
    gate.set()
    assert list(range(9)) == [future.result(20) for future in futures[:9]]
    assert 3 >= most
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 1, 0).result(20)
    pool.close()


def test_idle_threads_are_used_again() -> None:
    pool = DaemonThreadPool(8, "test-pool")
    for n in range(20):
        assert n == pool.submit(int, n).result(20)
    assert len(pool._threads) <= 3  # a result may be there before its thread is free again
    pool.close()


def test_work_is_done_in_the_calling_thread_if_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """As while the interpreter shuts down."""

    def refuse(_: Any) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    pool = DaemonThreadPool(2, "test-pool")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert 8 == pool.submit(pow, 2, 3).result(0)
    assert 9 == pool.submit(pow, 3, 2).result(20)
    pool.close()


def test_a_thread_whose_start_was_interrupted_ends_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C can come when a thread has started and `start` has not returned. The pool does not know of it then."""
    pool = DaemonThreadPool(3, "interrupted")
    started: List[threading.Thread] = []
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        started.append(thread)
        if len(started) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pool.submit(pow, 2, 10)
    gate = threading.Barrier(2)
    futures = [pool.submit(gate.wait, 10) for _ in range(2)]
    assert {0, 1} == {future.result(10) for future in futures}
    began = time.monotonic()
    pool.close()
    for thread in started:
        thread.join(PROMPT)
    assert not any(thread.is_alive() for thread in started)
    assert time.monotonic() - began < 4.0, "the pool has waited in vain for a thread"


@pytest.mark.parametrize("kind", [TimeoutError, RuntimeError])
def test_what_a_signal_handler_raises_while_a_thread_starts_reaches_the_caller(
    monkeypatch: pytest.MonkeyPatch, kind: Type[Exception]
) -> None:
    """`threading` raises a KeyError in its place if the thread runs already."""

    def handler(*_: Any) -> None:
        raise kind("a job limit")

    def start(_: Any) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except TimeoutError:
            dict[str, int]()["a thread that runs"]

    monkeypatch.setattr(threading.Thread, "start", start)
    pool = DaemonThreadPool(2, "test-pool")
    before = signal.signal(signal.SIGTERM, handler)
    try:
        with pytest.raises(kind, match="a job limit"):
            pool.submit(int, 1)
    finally:
        signal.signal(signal.SIGTERM, before)

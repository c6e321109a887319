"""The pool of daemon threads that runs the tasks of a map."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from langgraph_runs.batch.thread_pool import DaemonThreadPool


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

"""Threads that do what they are given: the executor of a map that was given none.

Unlike those of `concurrent.futures` they do not hold up the end of the program: one that ends by Ctrl-C does not wait for runs
that nobody waits for.
"""

from __future__ import annotations

import queue
import threading
from typing import Any, Callable, List, Optional, Tuple

__all__ = ["DaemonThreadPool"]


class DaemonThreadPool:
    """At most *most* threads, started as they are needed.

    >>> hands = DaemonThreadPool(2, "example")
    >>> hands.submit(pow, 2, 10).result()
    1024
    >>> hands.close()
    """

    def __init__(self, most: int, name: str) -> None:
        from concurrent.futures import Future

        self._new_future: Callable[[], Any] = Future
        self._most = most
        self._name = name
        self._work: queue.SimpleQueue[Optional[Tuple[Any, Callable[..., Any], Any]]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._threads: List[threading.Thread] = []

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Have a thread call *function*; its result is that of the returned `concurrent.futures.Future`."""
        future = self._new_future()
        with self._lock:
            if self._idle <= 0 and len(self._threads) < self._most:
                thread = threading.Thread(target=self._run, name=f"{self._name}-{len(self._threads)}", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # at the end of the program: those that are there have to do
                    self._idle -= 1
                else:
                    self._threads.append(thread)
            else:
                self._idle -= 1
            anybody = bool(self._threads)
        if anybody:
            self._work.put((future, function, arguments))
        else:
            _do(future, function, arguments)
        return future

    def _run(self) -> None:
        while True:
            found = self._work.get()
            if found is None:
                return
            future, function, arguments = found
            _do(future, function, arguments)
            del found, future, function, arguments
            with self._lock:
                self._idle += 1

    def close(self, timeout: float = 5.0) -> None:
        """Let the threads end when they have done what they were given; waits at most *timeout* seconds for each."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout)


def _do(future: Any, function: Callable[..., Any], arguments: Any) -> None:
    if future.set_running_or_notify_cancel():
        try:
            result = function(*arguments)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

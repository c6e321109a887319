"""A pool of daemon threads: the executor of a map if the caller gives none.

`concurrent.futures.ThreadPoolExecutor` makes the interpreter wait for its threads when the program ends. Daemon threads do not: a
program that is ended by Ctrl-C does not wait for runs whose results nothing reads.
"""

from __future__ import annotations

import queue
import threading
from typing import Any, Callable, List, Optional, Tuple

from ..call import start_thread

__all__ = ["DaemonThreadPool"]


class DaemonThreadPool:
    """At most *max_workers* daemon threads, started as they are needed.

    >>> pool = DaemonThreadPool(2, "example")
    >>> pool.submit(pow, 2, 10).result()
    1024
    >>> pool.close()
    """

    def __init__(self, max_workers: int, name: str) -> None:
        from concurrent.futures import Future

        self._new_future: Callable[[], Any] = Future
        self._max_workers = max_workers
        self._name = name
        self._work: queue.SimpleQueue[Optional[Tuple[Any, Callable[..., Any], Any]]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._threads: List[threading.Thread] = []

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call *function* in a thread of the pool. Returns a `concurrent.futures.Future`.

        If the pool has no thread and none can be started, for example because the interpreter shuts down, *function* is called in
        the calling thread.
        """
        future = self._new_future()
        with self._lock:
            if self._idle <= 0 and len(self._threads) < self._max_workers:
                thread = threading.Thread(target=self._run, name=f"{self._name}-{len(self._threads)}", daemon=True)
                if start_thread(thread):
                    self._threads.append(thread)
                else:
                    self._idle -= 1  # the existing threads do the work
            else:
                self._idle -= 1
            has_threads = bool(self._threads)
        if has_threads:
            self._work.put((future, function, arguments))
        else:
            _call(future, function, arguments)
        return future

    def _run(self) -> None:
        while True:
            work = self._work.get()
            if work is None:
                # For the next thread. There may be more than the pool knows, if a signal handler has interrupted their start.
                self._work.put(None)
                return
            future, function, arguments = work
            _call(future, function, arguments)
            del work, future, function, arguments  # an idle thread keeps no result alive
            with self._lock:
                self._idle += 1

    def close(self, timeout: float = 5.0) -> None:
        """Let the threads end after the submitted work. Waits at most *timeout* seconds for each thread."""
        self._work.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout)


def _call(future: Any, function: Callable[..., Any], arguments: Any) -> None:
    if future.set_running_or_notify_cancel():
        try:
            result = function(*arguments)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

"""The cancel scope of one public call: its deadline, its signals, and the socket on which it may be blocked.

A scope is made when a call begins and closed when it ends; the scope of a stream lives as long as the stream. Another thread can
end the call through it. A scope knows neither what is sent nor when a request is repeated.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from types import TracebackType
from typing import Any, Callable, Iterable, List, Optional, Type, TypeVar, Union

from ..errors import (
    AbortedError,
    APIConnectionError,
    APIStatusError,
    DeadlineExceededError,
    LangGraphRunsError,
    RequestInfo,
    shortened,
)
from .abort import SIGNAL_INTERVAL, AbortSignal, acquire
from .deadline import Deadline
from .user_errors import UserCodeError, user_code

__all__ = ["SIGNAL_INTERVAL", "Scope"]

T = TypeVar("T")
D = TypeVar("D")

#: Seconds (23 days). Sockets and locks refuse waits that are much longer.
_LONGEST = 2_000_000.0


class Scope:
    """The limits of one call. `interrupt` may be called from any thread, everything else from the thread of the call.

    >>> scope = Scope(Deadline(None))
    >>> scope.io_timeout(30.0)
    30.0
    >>> scope.interrupt("enough")
    >>> scope.check()
    Traceback (most recent call last):
    ...
    langgraph_runs.AbortedError: aborted: enough
    """

    __slots__ = (
        "__weakref__",
        "_closers",
        "_interrupted",
        "_lock",
        "_reason",
        "_sleep",
        "_socket",
        "_wake",
        "attempts",
        "deadline",
        "may_have_been_executed",
        "pid",
        "request",
        "run_id",
        "thread_id",
    )

    def __init__(
        self,
        deadline: Deadline,
        signals: Iterable[Optional[AbortSignal]] = (),
        *,
        sleep: Optional[Callable[[float], None]] = None,
    ) -> None:
        self.deadline = deadline
        #: The ids of the run and its thread, once they are known; every error of the call gets them.
        self.run_id: Optional[str] = None
        self.thread_id: Optional[str] = None
        #: How many times the current request has been tried.
        self.attempts = 0
        #: True if an earlier attempt of the current request may have been executed by the server.
        self.may_have_been_executed = False
        #: The current request, or the last one.
        self.request: Optional[RequestInfo] = None
        self._lock = threading.RLock()  # a signal handler may interrupt the call in the thread that holds the lock
        self._interrupted = False
        self._reason: Any = None
        self._socket: Optional[socket.socket] = None
        #: Held while the call sleeps; its release wakes the call. It is not a threading.Event: if a signal handler sets an event
        #: while the same thread waits for it, the handler can block forever on the lock in the event.
        self._wake: Optional[threading.Lock] = None
        self._sleep = sleep
        #: The id of the process in which the call began.
        self.pid = os.getpid()
        self._closers: List[Callable[[], None]] = []
        for signal in signals:
            if signal is not None:
                self._closers.append(signal.subscribe(self.interrupt))

    # -- used by other threads

    def interrupt(self, reason: Any = None) -> None:
        """End the read, write, connect or sleep on which the call is blocked. Return at once."""
        if os.getpid() != self.pid:
            # A forked child must not shut down a connection that its parent process still reads.
            self._interrupted = True
            return
        with self._lock:
            if self._interrupted:
                return
            # The reason first: the thread of the call reads both without the lock.
            self._reason = reason
            self._interrupted = True
            if self._socket is not None:
                _shut_down(self._socket)
            if self._wake is not None:
                with contextlib.suppress(RuntimeError):  # released by a signal handler that ran within this block
                    self._wake.release()

    @property
    def interrupted(self) -> bool:
        """True if the call was ended by `interrupt`."""
        return self._interrupted

    # -- used by the thread of the call

    def attach(self, sock: socket.socket) -> None:
        """Note that the call may block on *sock* from now on, so that `interrupt` shuts it down."""
        with self._lock:
            self._socket = sock
            if self._interrupted:
                _shut_down(sock)

    def detach(self) -> None:
        """Note that the call no longer uses its socket. `interrupt` then leaves it alone, since it may serve another call."""
        with self._lock:
            self._socket = None

    def begin_request(self) -> None:
        """Note that a request is about to be sent for the first time."""
        self.attempts = 0
        self.may_have_been_executed = False

    def ending_error(self) -> Optional[LangGraphRunsError]:
        """Return the error with which the call must end now, or None."""
        if self._interrupted:
            reason = "" if self._reason is None else f": {shortened(str(self._reason))}"
            return self.identify(AbortedError(f"aborted{reason}", reason=self._reason))
        if self.deadline.expired():
            message = f"not done within timeout={self.deadline.timeout:g} s"
            return self.identify(DeadlineExceededError(message, timeout=self.deadline.timeout))
        return None

    def check(self, after: Optional[LangGraphRunsError] = None) -> None:
        """Raise the error with which the call must end now, if any. If *after* is of the same class, it is raised instead."""
        error = self.ending_error() if self._interrupted or self.deadline.expired() else None
        if error is None:
            return
        try:
            raise after if type(error) is type(after) else error  # *after* has the request and the cause
        finally:
            del error, after  # this frame is in the traceback of what is raised

    def unless_failed(self, work: Callable[[], T], default: D) -> Union[T, D]:
        """Return the result of *work*, which sends requests; *default* if the server gave no usable or no good response.

        For a question whose answer is unknown then. Raise if the call must end.
        """
        try:
            return work()
        except (APIConnectionError, APIStatusError) as error:
            self.check(error)
            return default

    def note_run(self, run_id: Optional[str] = None, thread_id: Optional[str] = None) -> None:
        """Note the ids of the run that the call is about. Ids that are known already stay."""
        self.run_id = self.run_id or run_id
        self.thread_id = self.thread_id or thread_id

    def identify(self, error: LangGraphRunsError) -> LangGraphRunsError:
        """Set the ids, the attempts and the request of the call on *error*, unless it has its own. Return it."""
        error.run_id = error.run_id or self.run_id
        error.thread_id = error.thread_id or self.thread_id
        error.attempts = error.attempts or self.attempts
        if isinstance(error, (AbortedError, APIConnectionError)):
            error.request = error.request or self.request
        return error

    def io_timeout(self, limit: Optional[float]) -> Optional[float]:
        """Return the seconds that the next blocking operation may take: *limit*, or the time to the deadline if that is less.

        Raise `ConnectionAbortedError` if the call was interrupted, `TimeoutError` if the deadline has passed.
        """
        if self._interrupted:
            raise ConnectionAbortedError("the call was ended from another thread")
        deadline = self.deadline
        if deadline.at is not None:
            left = deadline.at - deadline.clock()
            if left <= 0:
                raise TimeoutError("the deadline of the call is over")
            limit = left if limit is None or left < limit else limit
        return limit if limit is None or limit < _LONGEST else _LONGEST

    def sleep(self, seconds: float) -> None:
        """Wait for *seconds*, or until the deadline or an interrupt; then `check`."""
        if seconds > 0:
            remaining = self.deadline.remaining()
            seconds = seconds if remaining is None else min(seconds, remaining)
            if self._sleep is not None:
                self._sleep(seconds)
            else:
                wake = threading.Lock()
                wake.acquire()
                with self._lock:
                    self._wake = wake
                if not self._interrupted:  # else *wake* may not be released: a signal handler has interrupted the call before
                    with user_code():  # a signal handler
                        acquire(wake, seconds)
        self.check()

    def close(self) -> None:
        """End the scope: unsubscribe it from its signals, and detach its socket."""
        self.detach()
        while self._closers:
            self._closers.pop()()

    def __enter__(self) -> Scope:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        if isinstance(error, LangGraphRunsError):
            self.identify(error)
        self.close()
        if isinstance(error, UserCodeError):
            error.unwrap()


def _shut_down(sock: Any) -> None:
    # close() would wait for a lock of the reading thread, or free a file descriptor that the thread still reads.
    # The shutdown() of a TLS socket would also drop its TLS state, which the reading thread uses.
    plain = getattr(sock, "socket", sock)
    shutdown: Any = getattr(socket.socket, "shutdown", None)
    try:
        if shutdown is not None:
            shutdown(plain, socket.SHUT_RDWR)
        else:
            plain.shutdown(socket.SHUT_RDWR)  # eventlet's sockets look up this method in each object
    except OSError:
        pass  # not connected yet, or closed: no thread is blocked on it

"""What bounds one public call: its deadline, its signals, and the socket that it may be blocked on.

A scope is made when a call begins and closed when it ends; a stream's lives as long as the stream. It is the one place where a
blocked thread and the thread that wants to end it meet. It does not know what is sent, nor when to try again.
"""

from __future__ import annotations

import os
import socket
import threading
from types import TracebackType
from typing import Any, Callable, Iterable, List, Optional, Type

from ..errors import AbortedError, APIConnectionError, DeadlineExceededError, LangGraphRunsError, RequestInfo
from .abort import AbortSignal
from .deadline import Deadline

__all__ = ["Scope"]

#: Seconds; sockets and locks refuse waits that are much longer than these 23 days.
_LONGEST = 2_000_000.0


class Scope:
    """One call's limits; `interrupt` may be called from any thread, everything else from the call's own.

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
        "_pid",
        "_reason",
        "_sleep",
        "_socket",
        "_wake",
        "attempts",
        "deadline",
        "may_have_been_executed",
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
        #: Set as soon as they are known; they are put on every error of the call.
        self.run_id: Optional[str] = None
        self.thread_id: Optional[str] = None
        #: Tries of the request that is under way.
        self.attempts = 0
        #: Whether an earlier attempt of the request that is under way may have been executed by the server.
        self.may_have_been_executed = False
        #: That request, or the last one.
        self.request: Optional[RequestInfo] = None
        self._lock = threading.RLock()  # a signal handler may interrupt the call within
        self._interrupted = False
        self._reason: Any = None
        self._socket: Optional[socket.socket] = None
        #: Held while the call sleeps; its release wakes the call. Not an event: one that is set by a signal handler while the
        #: same thread waits for it can block forever on the lock within.
        self._wake: Optional[threading.Lock] = None
        self._sleep = sleep
        self._pid = os.getpid()
        self._closers: List[Callable[[], None]] = []
        for signal in signals:
            if signal is not None:
                self._closers.append(signal.subscribe(self.interrupt))

    # -- ending it from outside

    def interrupt(self, reason: Any = None) -> None:
        """End whatever the call is blocked on: a read, a write, a connect, a sleep. Returns at once."""
        if os.getpid() != self._pid:
            # A forked child must not shut down a connection that its parent still reads.
            self._interrupted = True
            return
        with self._lock:
            if self._interrupted:
                return
            self._interrupted = True
            self._reason = reason
            if self._socket is not None:
                _shut_down(self._socket)
            if self._wake is not None:
                self._wake.release()

    @property
    def interrupted(self) -> bool:
        """Whether it was ended from outside."""
        return self._interrupted

    # -- the call's own side

    def attach(self, sock: socket.socket) -> None:
        """From now on the call may block on *sock*; an interrupt shuts it down."""
        with self._lock:
            self._socket = sock
            if self._interrupted:
                _shut_down(sock)

    def detach(self) -> None:
        """The call no longer uses its socket, which may go to another call now."""
        with self._lock:
            self._socket = None

    def begin_request(self) -> None:
        """A request is about to be sent for the first time."""
        self.attempts = 0
        self.may_have_been_executed = False

    def over(self) -> Optional[LangGraphRunsError]:
        """The error that says why the call must end now, or None."""
        if self._interrupted:
            told = "" if self._reason is None else f": {self._reason}"
            return self.identify(AbortedError(f"aborted{told}", reason=self._reason))
        if self.deadline.expired():
            message = f"not done within timeout={self.deadline.timeout:g} s"
            return self.identify(DeadlineExceededError(message, timeout=self.deadline.timeout))
        return None

    def check(self, after: Optional[LangGraphRunsError] = None) -> None:
        """Raise that error, if the call is over; or *after*, what the call has run into just now, where that says the same."""
        error = self.over()
        if error is None:
            return
        if type(error) is type(after):
            raise after  # it knows more: the request, its cause
        raise error

    def note_run(self, run_id: Optional[str] = None, thread_id: Optional[str] = None) -> None:
        """Note the ids of the run that the call is about, as far as they are not known yet."""
        self.run_id = self.run_id or run_id
        self.thread_id = self.thread_id or thread_id

    def identify(self, error: LangGraphRunsError) -> LangGraphRunsError:
        """Put what is known of the call on *error*."""
        error.run_id = error.run_id or self.run_id
        error.thread_id = error.thread_id or self.thread_id
        error.attempts = error.attempts or self.attempts
        if isinstance(error, (AbortedError, APIConnectionError)):
            error.request = error.request or self.request
        return error

    def io_timeout(self, limit: Optional[float]) -> Optional[float]:
        """Seconds that the next blocking operation may take: *limit*, or what is left if that is less."""
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
        """Wait, but no longer than the deadline and the signals allow; then raises as `check`."""
        if seconds > 0:
            remaining = self.deadline.remaining()
            seconds = seconds if remaining is None else min(seconds, remaining)
            if self._sleep is not None:
                self._sleep(seconds)
            else:
                wake = threading.Lock()
                wake.acquire()
                with self._lock:
                    if self._interrupted:
                        wake.release()
                    else:
                        self._wake = wake
                wake.acquire(timeout=min(seconds, _LONGEST))
        self.check()

    def close(self) -> None:
        """The call is over: nothing can interrupt it any more."""
        self.detach()
        while self._closers:
            self._closers.pop()()

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call *callback* when the scope is closed."""
        self._closers.append(callback)

    def __enter__(self) -> Scope:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        if isinstance(error, LangGraphRunsError):
            self.identify(error)
        self.close()


def _shut_down(sock: Any) -> None:
    # shutdown, not close: close() waits for the reader's lock, or gives the number of the descriptor to somebody else while
    # it is still read. socket.socket.shutdown is named so that a TLS socket keeps its state until its own thread drops it.
    plain = getattr(sock, "socket", sock)
    try:
        socket.socket.shutdown(plain, socket.SHUT_RDWR)
    except OSError:
        pass  # not connected yet, or gone already: there is nothing to wake

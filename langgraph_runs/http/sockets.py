"""A connected socket whose reads and writes keep to the limits of an exchange. Knows sockets alone."""

from __future__ import annotations

import math
import os
import select
import socket
import ssl
import struct
import sys
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from .exchange import Exchange

__all__ = ["LimitedSocket"]

#: In Linux's ``struct tcp_info``: the state of the connection, and the number of bytes received on it.
_TCP_INFO = struct.Struct("=B127xQ")
_ESTABLISHED = 1
#: What a socket that does not block raises when it would have to.
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

# Not there on Windows, where `select.select` is used.
_POLLIN: int = getattr(select, "POLLIN", 1)
_POLLOUT: int = getattr(select, "POLLOUT", 4)


class LimitedSocket:
    """One connected socket. It is set not to block; what waits is a poll, for the time that an exchange allows.

    A timeout of Python's would make each read and write a poll and a system call, also when there is nothing to wait for.

    >>> one, other = socket.socketpair()
    >>> LimitedSocket(one).is_quiet()
    True
    >>> other.close()
    >>> LimitedSocket(one).is_quiet()
    False
    >>> one.close()
    """

    __slots__ = ("_by_kernel", "_is_tls", "_poll", "pid", "received", "sock")

    def __init__(self, sock: Any) -> None:
        self.sock = sock
        #: The process that connected it. A forked child must not use it: its parent does.
        self.pid = os.getpid()
        #: Number of bytes that were read from it.
        self.received = 0
        self._poll: Any = None
        # The kernel counts the bytes of TLS, `receive` those inside.
        self._by_kernel = sys.platform == "linux" and type(sock) is socket.socket
        self._is_tls = isinstance(sock, ssl.SSLSocket)

    def receive(self, exchange: Exchange, size: int, *, soon: bool = False) -> bytes:
        """Return at most *size* bytes as soon as any are there; b"" at the end of the connection.

        *soon*: bytes have probably arrived, so that reading is tried before waiting. Raise `TimeoutError` after ``read_timeout``
        seconds of silence or at the deadline of the call, and `ConnectionAbortedError` if another thread has ended the call.
        """
        self._use()
        if not (soon or self._is_tls):  # TLS may hold bytes that the socket does not show any more
            self._wait(exchange, _POLLIN)
        while True:
            try:
                data: bytes = self.sock.recv(size)
                self.received += len(data)
                return data
            except _WOULD_BLOCK as error:
                event = _POLLOUT if isinstance(error, ssl.SSLWantWriteError) else _POLLIN
            self._wait(exchange, event)

    def send(self, exchange: Exchange, data: Any) -> int:
        """Send some of *data* and return the number of bytes sent. Raise as `receive`."""
        self._use()
        exchange.scope.io_timeout(None)  # raises if the call is over
        while True:
            try:
                count: int = self.sock.send(data)
                return count
            except _WOULD_BLOCK as error:
                event = _POLLIN if isinstance(error, ssl.SSLWantReadError) else _POLLOUT
            self._wait(exchange, event)

    def check_process(self) -> None:
        """Raise `ConnectionError` in a forked child of the process that connected the socket."""
        if self.pid != os.getpid():
            raise ConnectionAbortedError("the connection belongs to the parent process")

    def _use(self) -> None:
        self.check_process()
        if self.sock.gettimeout() != 0.0:
            self.sock.settimeout(0.0)

    def _wait(self, exchange: Exchange, event: int) -> None:
        """Wait until the socket is ready, for the time that the exchange allows."""
        while True:
            seconds = exchange.scope.io_timeout(exchange.read_timeout)
            if self._ready(event, seconds):
                return
            # A wait that was cut short by the deadline is over when the clock says so: timers may be early.
            if seconds == exchange.read_timeout:
                raise TimeoutError("timed out")

    def _ready(self, event: int, seconds: Optional[float]) -> bool:
        if not hasattr(select, "poll"):
            reading, writing = ([self.sock], []) if event == _POLLIN else ([], [self.sock])
            return any(select.select(reading, writing, [], seconds))
        poll = self._poll
        if poll is None:
            poll = self._poll = select.poll()
            poll.register(self.sock, _POLLIN)
        if event != _POLLIN:
            poll = select.poll()
            poll.register(self.sock, event)
        return bool(poll.poll(None if seconds is None else math.ceil(seconds * 1000)))

    def is_quiet(self) -> bool:
        """Return True if the connection is open and everything that has arrived was read. Does not block, reads nothing."""
        return (self._by_kernel and self._is_quiet_by_kernel()) or not self._ready(_POLLIN, 0)

    def _is_quiet_by_kernel(self) -> bool:
        # Python releases its global lock while it polls, and then may have to wait for it; for this system call it does not.
        # When the kernel gives no TCP_INFO, or has counted more bytes than were read, the socket is polled.
        try:
            info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        except OSError:
            return False
        return len(info) == _TCP_INFO.size and _TCP_INFO.unpack(info) == (_ESTABLISHED, self.received)

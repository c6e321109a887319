"""A connected socket whose reads and writes keep to the limits of an exchange. Knows only sockets."""

from __future__ import annotations

import math
import os
import select
import socket
import ssl
import struct
import sys
import time
from typing import TYPE_CHECKING, Any, Optional, Tuple

from ..call import SIGNAL_INTERVAL, raise_foreign

if TYPE_CHECKING:
    from .exchange import Exchange

__all__ = ["LimitedSocket", "limited_socket"]

#: In Linux's ``struct tcp_info``: the state of the connection, and the number of bytes received on it.
_TCP_INFO = struct.Struct("=B127xQ")
_ESTABLISHED = 1
#: The exceptions of a non-blocking socket that is not ready.
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

# Windows has no poll; `select.select` is used there.
_POLLIN: int = getattr(select, "POLLIN", 1)
_POLLOUT: int = getattr(select, "POLLOUT", 4)


class LimitedSocket:
    """One connected socket. It is non-blocking; waiting is done by a poll, for the time that an exchange allows.

    With a timeout on the socket, Python would poll before each read and write, also if there is nothing to wait for.

    >>> one, other = socket.socketpair()
    >>> LimitedSocket(one).is_quiet()
    True
    >>> other.close()
    >>> LimitedSocket(one).is_quiet()
    False
    >>> one.close()
    """

    __slots__ = ("_by_kernel", "_is_tls", "_poll", "pid", "received", "sock", "waited")

    def __init__(self, sock: Any) -> None:
        self.sock = sock
        #: The id of the process that connected it. A forked child must not use it, since the parent process does.
        self.pid = os.getpid()
        #: The number of bytes read so far.
        self.received = 0
        #: Set to True when `receive` or `send` waits.
        self.waited = False
        self._poll: Any = None
        # The kernel counts the bytes of TLS, `receive` the decrypted bytes, so that they cannot be compared.
        self._by_kernel = sys.platform == "linux" and type(sock) is socket.socket
        self._is_tls = isinstance(sock, ssl.SSLSocket)

    def receive(self, exchange: Exchange, size: int, *, soon: bool = False) -> bytes:
        """Return at most *size* bytes as soon as any are there; b"" at the end of the connection.

        With *soon*, bytes have probably arrived: try to read before waiting. Raise `TimeoutError` after ``read_timeout`` seconds of
        silence or at the deadline of the call, and `ConnectionAbortedError` if another thread has ended the call.
        """
        sock = self._usable()
        if not (soon or self._is_tls):  # the TLS layer may hold bytes that polling the socket does not show
            exchange.scope.io_timeout(None)  # raises if the call must end
            # With many threads the response is often there when this thread gets the interpreter lock back.
            if not self._has_arrived():
                self._wait(exchange, _POLLIN)
        while True:
            try:
                data: bytes = sock.recv(size)
                self.received += len(data)
                return data
            except _WOULD_BLOCK as error:
                raise_foreign(error)
                event = _POLLOUT if isinstance(error, ssl.SSLWantWriteError) else _POLLIN
            self._wait(exchange, event)

    def send(self, exchange: Exchange, data: Any) -> int:
        """Send some of *data* and return the number of bytes sent. Raise as `receive`.

        Return 0 if the server takes no more bytes and has sent some: its response has come before the whole request was sent.
        """
        sock = self._usable()
        exchange.scope.io_timeout(None)  # raises if the call must end
        # What arrives within TLS may be a message of TLS itself.
        early = 0 if self._is_tls else _POLLIN
        waited = False
        while True:
            try:
                count: int = sock.send(data)
                return count
            except _WOULD_BLOCK as error:
                raise_foreign(error)
                event = _POLLIN if isinstance(error, ssl.SSLWantReadError) else _POLLOUT | early
            if waited and early and self._ready(_POLLIN, 0):
                return 0
            waited = True
            self._wait(exchange, event)

    def _usable(self) -> Any:
        """Return the socket, non-blocking. Raise `ConnectionError` in a forked child of the process that connected it."""
        sock = self._own()
        if sock.gettimeout() != 0.0:
            sock.settimeout(0.0)
        return sock

    def _own(self) -> Any:
        if self.pid != os.getpid():
            raise ConnectionAbortedError("the connection belongs to the parent process")
        return self.sock

    def _wait(self, exchange: Exchange, event: int) -> None:
        """Wait until the socket is ready, for the time that the exchange allows."""
        self.waited = True
        began, left = time.monotonic(), exchange.read_timeout
        while True:
            seconds = exchange.scope.io_timeout(left)
            if seconds is None or seconds > SIGNAL_INTERVAL:
                seconds = SIGNAL_INTERVAL
            if self._ready(event, seconds):
                return
            # Only the clock decides whether the deadline has passed, since a poll may return early.
            if exchange.read_timeout is not None:
                if seconds == left:
                    raise TimeoutError("timed out")
                left = max(0.0, began + exchange.read_timeout - time.monotonic())

    def _ready(self, event: int, seconds: Optional[float]) -> bool:
        poll = self._poll
        if poll is None:
            if not hasattr(select, "poll"):
                reading, writing = [self.sock] if event & _POLLIN else [], [self.sock] if event & _POLLOUT else []
                return any(select.select(reading, writing, [], seconds))
            poll = self._poll = select.poll()
            poll.register(self.sock, _POLLIN)
        if event != _POLLIN:
            poll = select.poll()
            poll.register(self.sock, event)
        return bool(poll.poll(None if seconds is None else math.ceil(seconds * 1000)))

    def is_quiet(self) -> bool:
        """Return True if the connection is open and everything that has arrived was read. Does not block, reads nothing."""
        # If the kernel gives no TCP_INFO, or has counted more bytes than were read, the socket is polled.
        return self._tcp_info() == (_ESTABLISHED, self.received) or not self._ready(_POLLIN, 0)

    def _has_arrived(self) -> bool:
        """Return True if the kernel has counted more bytes than were read; False if not, or if it is not known."""
        info = self._tcp_info()
        return info is not None and info[1] > self.received

    def _tcp_info(self) -> Optional[Tuple[int, int]]:
        """Return the state of the connection and the number of bytes that have arrived, or None if the kernel does not say it.

        Python releases the global interpreter lock during a poll, and may then wait for it; during getsockopt it does not.
        """
        if not self._by_kernel:
            return None
        try:
            state, received = _TCP_INFO.unpack(self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size))
        except (OSError, struct.error) as error:
            raise_foreign(error)
            return None
        return state, received


class NestedTLSSocket(LimitedSocket):
    """A socket of urllib3 for TLS within TLS, as to a server behind a proxy that is reached with TLS itself.

    It cannot be non-blocking: it would lose bytes. So each of its reads and writes blocks, for the time that the exchange allows.
    """

    __slots__ = ()

    def receive(self, exchange: Exchange, size: int, *, soon: bool = False) -> bytes:
        """See `LimitedSocket.receive`."""
        data: bytes = self._blocking(exchange).recv(size) or b""  # it returns 0 at the end of the connection
        self.received += len(data)
        return data

    def send(self, exchange: Exchange, data: Any) -> int:
        """See `LimitedSocket.send`."""
        count: int = self._blocking(exchange).send(data)
        return count

    def _blocking(self, exchange: Exchange) -> Any:
        sock = self._own()
        sock.settimeout(exchange.scope.io_timeout(exchange.read_timeout))
        return sock


def limited_socket(sock: Any) -> LimitedSocket:
    """Return the reader and writer for a connected socket."""
    return NestedTLSSocket(sock) if hasattr(sock, "sslobj") else LimitedSocket(sock)

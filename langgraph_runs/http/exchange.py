"""One request and its response on a connection: its limits, and how far it came, which says whether the server may have acted."""

from __future__ import annotations

import socket
from typing import Any, Optional

from ..call import Scope

__all__ = ["Exchange"]


class Exchange:
    """One attempt at a request: its limits, and the phase that it has reached.

    It travels with the request (as its timeout, see `pool.ExchangeTimeout`) and is set on the connection that serves it. A
    connection belongs to the exchange that is set on it, and to nobody while that is None.
    """

    __slots__ = ("connect_timeout", "idle_limit", "phase", "read_timeout", "scope")

    #: Phases, in order. UNKNOWN: the request goes through a connection that is not this package's.
    UNKNOWN, CONNECTING, SENDING, ANSWERED = range(4)

    def __init__(self, scope: Scope, *, connect_timeout: Optional[float], read_timeout: Optional[float], idle_limit: float) -> None:
        self.scope = scope
        #: Seconds for name lookup, connecting and the TLS handshake, over all addresses together. None: no limit.
        self.connect_timeout = connect_timeout
        #: Seconds of silence. None: no limit.
        self.read_timeout = read_timeout
        #: A connection that was idle for more seconds than this is not used.
        self.idle_limit = idle_limit
        self.phase = Exchange.UNKNOWN

    def receive(self, sock: Any, size: int) -> bytes:
        """Return at most *size* bytes from *sock* as soon as any are there; b"" at the end of the connection.

        Raise `socket.timeout` after ``read_timeout`` seconds of silence, `TimeoutError` at the deadline of the call and
        `ConnectionAbortedError` if another thread has ended the call.
        """
        while True:
            seconds = self._set_timeout(sock)
            try:
                data: bytes = sock.recv(size)
                return data
            except socket.timeout:
                if seconds == self.read_timeout:
                    raise

    def send(self, sock: Any, data: Any) -> int:
        """Send some of *data* on *sock* and return the number of bytes that were sent. Raise as `receive`."""
        while True:
            seconds = self._set_timeout(sock)
            try:
                count: int = sock.send(data)
                return count
            except socket.timeout:
                if seconds == self.read_timeout:
                    raise

    def _set_timeout(self, sock: Any) -> Optional[float]:
        # Each step on the socket gets the time that is left now: a timeout that is set once would let a server that sends one
        # byte at a time outlive any deadline.
        seconds = self.scope.io_timeout(self.read_timeout)
        if sock.gettimeout() != seconds:
            sock.settimeout(seconds)
        return seconds

"""Whether an idle connection can be used again. Knows sockets alone."""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
from typing import Any

__all__ = ["IdleCheck"]

#: In Linux's ``struct tcp_info``: the state of the connection, and the number of bytes received on it.
_TCP_INFO = struct.Struct("=B127xQ")
_ESTABLISHED = 1


class IdleCheck:
    """Says of one connected socket whether anything has arrived on it that was not read.

    >>> one, other = socket.socketpair()
    >>> IdleCheck(one).is_quiet()
    True
    >>> other.close()
    >>> IdleCheck(one).is_quiet()
    False
    >>> one.close()
    """

    __slots__ = ("_by_kernel", "_poll", "pid", "received", "sock")

    def __init__(self, sock: Any) -> None:
        self.sock = sock
        #: The process that connected it. A forked child must not use it: its parent does.
        self.pid = os.getpid()
        #: Number of bytes that were read from it; the reader counts them.
        self.received = 0
        self._poll: Any = None
        # The kernel counts the bytes of TLS, the reader those inside.
        self._by_kernel = sys.platform == "linux" and type(sock) is socket.socket

    def is_quiet(self) -> bool:
        """Return True if the connection is open and everything that has arrived was read. Does not block, reads nothing."""
        return (self._by_kernel and self._is_quiet_by_kernel()) or self._is_quiet_by_poll()

    def _is_quiet_by_kernel(self) -> bool:
        # Python releases its global lock while it polls, and then may have to wait for it; for this system call it does not.
        # When the kernel gives no TCP_INFO, or has counted more bytes than were read, the socket is polled.
        try:
            info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        except OSError:
            return False
        return len(info) == _TCP_INFO.size and _TCP_INFO.unpack(info) == (_ESTABLISHED, self.received)

    def _is_quiet_by_poll(self) -> bool:
        if not hasattr(select, "poll"):
            return not select.select([self.sock], [], [], 0)[0]
        poll = self._poll
        if poll is None:
            poll = self._poll = select.poll()
            poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)

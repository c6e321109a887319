"""What bounds one step on a socket: on Linux the kernel, elsewhere Python. Knows sockets alone.

A timeout of Python's makes each read and write two system calls, the first of which waits, and each of them lets another thread
run and has to wait for its turn again. With 64 threads that is a good part of what a call costs; the kernel needs one call.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
from typing import Any, Optional

__all__ = ["Bounds", "bounds_of"]

_UNSET = -1.0


class Bounds:
    """How long a step on one connected socket may block, in seconds (None: as long as it takes), by Python's own timeout.

    >>> one, other = socket.socketpair()
    >>> bounds = bounds_of(one)
    >>> bounds.reads(0.01)
    >>> bounds.quiet()
    True
    >>> one.close(), other.close()
    (None, None)
    """

    __slots__ = ("_poll", "_reads", "_writes", "received", "sock")

    def __init__(self, sock: Any) -> None:
        self.sock = sock
        #: Bytes that were read from it; whoever reads counts them.
        self.received = 0
        self._reads: Optional[float] = _UNSET
        self._writes: Optional[float] = _UNSET
        self._poll: Any = None

    def reads(self, seconds: Optional[float]) -> None:
        """From now on a read may block for *seconds*. After that it raises `TimeoutError`, or `BlockingIOError`."""
        if seconds != self._reads:
            self.sock.settimeout(seconds)
            self._reads = self._writes = seconds

    def writes(self, seconds: Optional[float]) -> None:
        """From now on a write may."""
        self.reads(seconds)

    def quiet(self) -> bool:
        """Whether nothing has come that was not read, neither bytes nor the end."""
        poll = self._poll
        if poll is None:
            if not hasattr(select, "poll"):
                return not select.select([self.sock], [], [], 0)[0]
            poll = self._poll = select.poll()
            poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)


#: In Linux's ``struct tcp_info``: the connection's state, and the bytes that have come in all.
_INFO = struct.Struct("=B127xQ")
_ESTABLISHED = 1


class _KernelBounds(Bounds):
    """The same by SO_RCVTIMEO and SO_SNDTIMEO, for a plain socket."""

    __slots__ = ()

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        sock.settimeout(None)

    def reads(self, seconds: Optional[float]) -> None:
        """From now on a read may block for *seconds*; after that it raises `BlockingIOError`."""
        if seconds != self._reads:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(seconds))
            self._reads = seconds

    def writes(self, seconds: Optional[float]) -> None:
        """From now on a write may."""
        if seconds != self._writes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(seconds))
            self._writes = seconds

    def quiet(self) -> bool:
        """Whether nothing has come that was not read, neither bytes nor the end."""
        # Python lets other threads run while it polls, and then has to wait for its turn; this it does not. A kernel that does
        # not tell, or tells of more bytes than were read, is polled.
        try:
            told = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
        except OSError:
            told = b""
        return (len(told) == _INFO.size and _INFO.unpack(told) == (_ESTABLISHED, self.received)) or super().quiet()


def _timeval(seconds: Optional[float]) -> bytes:
    if seconds is None:
        return struct.pack("@ll", 0, 0)
    whole = int(seconds)
    return struct.pack("@ll", whole, max(0 if whole else 1, int((seconds - whole) * 1e6)))  # 0 would be without end


#: Elsewhere the option has another shape, and where a long has four bytes the kernel may expect eight.
_BY_KERNEL = sys.platform == "linux" and struct.calcsize("@l") == 8


def bounds_of(sock: Any) -> Bounds:
    """The bounds of a socket that was just connected. TLS needs Python's."""
    return _KernelBounds(sock) if _BY_KERNEL and type(sock) is socket.socket else Bounds(sock)

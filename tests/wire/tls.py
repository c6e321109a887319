"""A front for a server of the tests: it ends TLS, it is a proxy that opens tunnels, or both. Connections are pumped through."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from typing import Any, List, Optional, Tuple


class Front:
    """Listens on a port of its own and passes connections on to *target*, a host and a port.

    With *tls* (a server's context) it ends TLS. With *tunnels* it answers a CONNECT request first, and *reply* is its response to
    that; a *pause* in seconds is made before each byte of it. With *pause* and without *tunnels* nothing is sent, so that a TLS
    handshake never ends.
    """

    def __init__(
        self,
        target: Tuple[str, int],
        *,
        tls: Optional[ssl.SSLContext] = None,
        tunnels: bool = False,
        reply: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n",
        pause: float = 0.0,
    ) -> None:
        self._target = target
        self._tls = tls
        self._tunnels = tunnels
        self._reply = reply
        self._pause = pause
        #: The first lines of the CONNECT requests.
        self.requests: List[str] = []
        self._sockets: List[socket.socket] = []
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self._threads: List[threading.Thread] = []
        self._start(self._accept)

    def _start(self, work: Any, *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._sockets.append(sock)
                self._start(self._serve, sock)

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(plain)
            if self._pause and not self._tunnels:
                self._closing.wait()
                return
            sock: socket.socket = (
                plain if self._tls is None else stack.enter_context(self._tls.wrap_socket(plain, server_side=True))
            )
            target = self._target
            if self._tunnels:
                asked = self._tunnel(sock)
                if asked is None:
                    return
                target = asked
            there = stack.enter_context(socket.create_connection(target))
            self._sockets.append(there)
            self._start(_pump, there, sock)
            _pump(sock, there)

    def _tunnel(self, sock: socket.socket) -> Optional[Tuple[str, int]]:
        """Read a CONNECT request and respond. Return where to, or None if the tunnel is refused."""
        head = b""
        while b"\r\n\r\n" not in head:
            data = sock.recv(4096)
            if not data:
                return None
            head += data
        line = head.split(b"\r\n")[0].decode()
        self.requests.append(line)
        for index in range(len(self._reply)):
            if self._pause and self._closing.wait(self._pause):
                return None
            sock.sendall(self._reply[index : index + 1] if self._pause else self._reply)
            if not self._pause:
                break
        if b" 200 " not in self._reply:
            return None
        return "127.0.0.1", int(line.split()[1].rpartition(":")[2])

    def __enter__(self) -> Front:
        return self

    def __exit__(self, *_: Any) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        end = time.monotonic() + 10
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        while True:
            data = source.recv(65536)
            if not data:
                break
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)

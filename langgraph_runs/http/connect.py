"""From a name to a connected socket, within the limits of a call. Knows sockets and name lookup alone."""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from typing import Any, List, Optional

from urllib3.util.wait import wait_for_write

from ..call import Scope
from .exchange import Exchange

__all__ = ["dial"]

#: Seconds between two looks at the scope while connecting.
_TICK = 0.05


def dial(conn: Any, exchange: Exchange, *, tls: bool) -> socket.socket:
    """A connected socket for *conn* within the exchange's limits. The addresses are tried in turn, each with its share of the time.

    With *tls* a second handle goes to ``conn.handshaking``, for the handshake takes the socket over, and the scope must reach it.
    """
    scope = exchange.scope
    end = None if exchange.connect_timeout is None else time.monotonic() + exchange.connect_timeout
    addresses = _resolve(conn._dns_host, conn.port, scope, end)
    failure: OSError = OSError("the name has no address")
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            for option in conn.socket_options or ():
                sock.setsockopt(*option)
            if conn.source_address:
                sock.bind(conn.source_address)
            left = None if end is None else max(0.0, end - time.monotonic())
            share = left if left is None else left / (len(addresses) - index)
            _try(sock, address, scope, share)
            remaining = scope.io_timeout(None if end is None else max(0.001, end - time.monotonic()))
            sock.settimeout(remaining)  # also bounds the TLS handshake
            if tls:
                conn.handshaking = sock.dup()
            scope.attach(conn.handshaking if tls else sock)
            return sock
        except OSError as error:
            failure = error
            sock.close()
            scope.io_timeout(None)  # raises where the call itself is over
        except BaseException:
            sock.close()
            raise
    raise failure


def _try(sock: socket.socket, address: Any, scope: Scope, seconds: Optional[float]) -> None:
    sock.setblocking(False)
    try:
        sock.connect(address)
        return
    except (BlockingIOError, InterruptedError):
        pass
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        tick = scope.io_timeout(_TICK)
        if wait_for_write(sock, timeout=tick):
            break
        if end is not None and time.monotonic() >= end:
            raise TimeoutError("connecting took too long")
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, f"{address[0]} port {address[1]}: {os.strerror(code)}")


def _resolve(host: str, port: int, scope: Scope, end: Optional[float]) -> List[Any]:
    """The addresses of *host*. Asking a name server blocks and cannot be ended, so that is done in a thread that is left behind."""
    host = host.strip("[]")
    if host == "localhost" or _is_address(host):
        return list(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
    answer: queue.Queue[Any] = queue.Queue(1)

    def ask() -> None:
        try:
            answer.put(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answer.put(error)

    threading.Thread(target=ask, name="langgraph_runs name lookup", daemon=True).start()
    while True:
        try:
            found = answer.get(timeout=scope.io_timeout(_TICK))
            break
        except queue.Empty:
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(f"no answer for the name {host}") from None
    if isinstance(found, UnicodeError):
        raise socket.gaierror(f"{host!r} is not a host name: {found}")
    if isinstance(found, OSError):
        raise found
    return list(found)


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.split("%", 1)[0])
            return True
        except OSError:
            continue
    return False

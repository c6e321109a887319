"""Connects a socket to a host name, within the limits of a call. Knows only sockets and name lookup."""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from typing import Any, Dict, List, Optional

from urllib3.util.wait import wait_for_write

from ..call import Scope, raise_foreign
from .exchange import Exchange

__all__ = ["dial"]

#: Seconds between two checks of the scope while connecting.
_TICK = 0.05


def dial(conn: Any, exchange: Exchange, *, tls: bool) -> socket.socket:
    """Return a connected socket for *conn*. The addresses are tried in turn, each with its share of the time of the exchange.

    With *tls*, ``conn.handshaking`` is set to a second socket object for the connection: the TLS handshake replaces the first one,
    and the scope must be able to shut the connection down meanwhile.

    Raise `socket.gaierror` if the name has no address, `TimeoutError` at the end of the time, and any other `OSError` if no address
    accepts the connection.
    """
    scope = exchange.scope
    end = None if exchange.connect_timeout is None else time.monotonic() + exchange.connect_timeout
    exchange.connect_by = end
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
            sock.settimeout(exchange.connecting_timeout())  # also bounds the TLS handshake
            if tls:
                conn.handshaking = sock.dup()
            scope.attach(conn.handshaking if tls else sock)
            return sock
        except OSError as error:
            failure = error
            sock.close()
            raise_foreign(error)
            scope.io_timeout(None)  # raises if the call must end
        except BaseException:
            sock.close()
            raise
    raise failure


def _try(sock: socket.socket, address: Any, scope: Scope, seconds: Optional[float]) -> None:
    sock.setblocking(False)
    try:
        sock.connect(address)
        return
    except (BlockingIOError, InterruptedError) as error:
        raise_foreign(error)
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        tick = scope.io_timeout(_TICK)
        if wait_for_write(sock, timeout=tick):
            break
        if end is not None and time.monotonic() >= end:
            raise TimeoutError("connecting took too long")
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, f"{address[0]} port {address[1]}: {_text_of(code)}")


def _text_of(code: int) -> str:
    """Return the text of an error number of a socket. On Windows only the table of the module `socket` knows them."""
    known: Dict[int, str] = getattr(socket, "errorTab", {})
    return known.get(code, "").rstrip(".") or os.strerror(code)


def _resolve(host: str, port: int, scope: Scope, end: Optional[float]) -> List[Any]:
    """Return the addresses of *host*.

    A name lookup blocks and cannot be interrupted. It runs in a daemon thread, which is abandoned when the time is over.
    """
    host = host.strip("[]")
    if ":" in host:
        host = host.replace("%25", "%")  # the zone of an IPv6 address, as a URL has it
    if host == "localhost" or _is_address(host):
        return list(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
    result: queue.SimpleQueue[Any] = queue.SimpleQueue()  # unlike Queue, safe to use from a signal handler

    def look_up() -> None:
        try:
            result.put(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            result.put(error)

    try:
        threading.Thread(target=look_up, name="langgraph_runs name lookup", daemon=True).start()
    except RuntimeError:  # the interpreter is shutting down, and cannot start a thread
        look_up()
    while True:
        try:
            found = result.get(timeout=scope.io_timeout(_TICK))
            break
        except queue.Empty:
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(f"no address for the name {host} in time") from None
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
        except OSError as error:
            raise_foreign(error)
    return False

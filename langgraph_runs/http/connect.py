"""Connects a socket to a host name, within the limits of a call. Knows only sockets and name lookup."""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from typing import Any, Dict, List, Optional

from urllib3.util.wait import wait_for_write

from ..call import Scope, raise_foreign, start_thread
from .exchange import Exchange
from .socks_handshake import request_connection

__all__ = ["dial"]

#: The port of a SOCKS proxy whose URL has none, and PySocks' number of version 5.
_SOCKS_PORT, _PYSOCKS_5 = 1080, 2

#: Seconds between two checks of the scope while connecting.
_TICK = 0.05


def dial(conn: Any, exchange: Exchange, *, tls: bool) -> socket.socket:
    """Return a connected socket for *conn*. The addresses are tried in turn, each with its share of the time of the exchange.

    With SOCKS options in *conn*, the connection is one to the proxy, which the proxy has extended to the server.

    ``conn.sock`` is set to the socket as well.

    With *tls*, ``conn.handshaking`` is set to a second socket object for the connection: the TLS handshake replaces the first one,
    and the scope must be able to shut the connection down meanwhile.

    Raise `socket.gaierror` if the name has no address, `TimeoutError` at the end of the time, and any other `OSError` if no address
    accepts the connection.
    """
    scope = exchange.scope
    end = None if exchange.connect_timeout is None else time.monotonic() + exchange.connect_timeout
    exchange.connect_by = end
    socks = conn.socks_options
    if socks is None:
        addresses = _resolve(conn._dns_host, conn.port, scope, end)
    else:
        server = conn.host if socks["rdns"] else _one_address(_resolve(conn._dns_host, conn.port, scope, end), _version_of(socks))
        addresses = _resolve(socks["proxy_host"], int(socks["proxy_port"] or _SOCKS_PORT), scope, end)
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
            if socks is not None:
                login = {"username": socks["username"], "password": socks["password"]}
                request_connection(sock, exchange, version=_version_of(socks), host=server, port=conn.port, **login)
                sock.settimeout(exchange.connecting_timeout())
            # The caller assigns it too. If a signal handler raises before that, closing the connection closes the socket.
            conn.sock = sock
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


def _one_address(addresses: List[Any], version: int) -> str:
    """Return the first address that the proxy understands: version 4 of SOCKS knows no IPv6."""
    fitting = [address[0] for family, _, _, _, address in addresses if version == 5 or family == socket.AF_INET]
    if not fitting:
        raise OSError("the name has no address of IPv4, which SOCKS 4 needs")
    return str(fitting[0])


def _version_of(socks: Dict[str, Any]) -> int:
    return 5 if socks["socks_version"] == _PYSOCKS_5 else 4


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
        try:
            return list(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
        except BaseException as error:
            if type(error.__cause__) is type(error):  # Python wraps what a signal handler raises within a codec
                raise error.__cause__ from None
            raise
    result: queue.SimpleQueue[Any] = queue.SimpleQueue()  # unlike Queue, safe to use from a signal handler

    def look_up() -> None:
        try:
            result.put(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
        except BaseException as error:  # also that of a guard against sockets: the caller waits for it
            result.put(error)

    if not start_thread(threading.Thread(target=look_up, name="langgraph_runs name lookup", daemon=True)):
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
    if isinstance(found, BaseException):
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

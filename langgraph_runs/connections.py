"""Connections whose every blocking step keeps to the limits of the call that uses them. Knows urllib3, not requests.

What urllib3 alone does not do, and each class here adds:

- a timeout bounds one read, so a server that drips bytes outlives any deadline: each read and each slice written gets what is left;
- nothing ends a blocked connect or read from another thread: the socket is attached to the call's `Scope`, which shuts it down;
- whether any byte of a request left is not told: an `Exchange` notes it, since only then may a create be sent again;
- an idle connection that the server has closed in the meantime is handed out: those past their time are closed here;
- bytes that follow an answer would be taken for the next one: such a connection is not used again;
- a small request leaves in two packets, and its head is put together field by field: here it is one piece of bytes.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import http.client
import math
import os
import queue
import re
import socket
import threading
import time
import types
import urllib.parse
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional

import urllib3
from urllib3 import connectionpool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ClosedPoolError, ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.wait import wait_for_write

from .answers import Response
from .exchange import Exchange
from .scope import Scope
from .sockets import Bounds, bounds_of

__all__ = ["guard_pools", "is_own", "is_urlopen_own"]

#: Bytes that are written under one reckoning of the time left.
_SLICE = 1 << 20
#: Bytes of a body that leaves in one piece with its head; a larger one is not copied for that.
_SMALL = 1 << 16
#: What a send fails with where the server has closed the connection.
_CLOSED_EARLY = frozenset({errno.EPIPE, errno.ECONNRESET, errno.EPROTOTYPE})
_METHOD = re.compile(r"[A-Z]+\Z")
_NOT_IN_URL = re.compile(r"[^\x21-\x7e]")
_NOT_IN_LINE = re.compile(r"[\r\n\0]")
#: Seconds between two looks at the scope while connecting.
_TICK = 0.05


class _Guarded:
    """What our plain and our TLS connections share; mixed in before urllib3's class."""

    #: When it was last put into the pool, on the monotonic clock.
    idle_since = 0.0
    #: Whether bytes came that belong to no answer.
    surplus = False
    #: What was asked last, as urllib3's answer wants to know it.
    asked: Optional[Dict[str, Any]] = None
    sock: Any
    timeout: Any
    host: str
    port: int
    default_port: int
    #: Python's, since a TLS connection is a plain one as long as a proxy is asked for the tunnel.
    _bound_by: Callable[[Any], Bounds] = Bounds
    source_address: Any
    socket_options: Any
    _dns_host: str

    def __init__(self, *args: Any, calls: threading.local, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._calls = calls
        self._bounds: Optional[Bounds] = None

    def _exchange(self) -> Optional[Exchange]:
        return getattr(self._calls, "exchange", None)

    def _new_conn(self) -> socket.socket:
        exchange = self._exchange()
        if exchange is None:
            return super()._new_conn()  # type: ignore[misc,no-any-return]
        exchange.phase = Exchange.CONNECTING
        try:
            return _connect(self, exchange)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error  # type: ignore[arg-type]
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"connecting to {self.host} took too long") from error
        except OSError as error:
            raise NewConnectionError(self, f"could not connect: {error}") from error  # type: ignore[arg-type]

    def request(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Optional[Mapping[str, Any]] = None,
        *,
        chunked: bool = False,
        **reading: Any,
    ) -> None:
        exchange = self._exchange()
        self.asked = None
        if exchange is not None:
            exchange.phase = Exchange.CONNECTING
            if self.sock is not None:
                exchange.scope.attach(self.sock)
        if exchange is None or chunked or not (body is None or isinstance(body, bytes)):
            super().request(method, url, body, headers, chunked=chunked, **reading)  # type: ignore[misc]
            return
        head = self._head(method, url, headers or {})
        reading.update(request_method=method, request_url=url, preload_content=False, decode_content=False)
        self.asked = reading
        if body is None:
            self.send(head)
        elif len(body) <= _SMALL:
            self.send(head + body)
        else:
            self.send(head)
            self.send(body)

    def _head(self, method: str, url: str, headers: Mapping[Any, Any]) -> bytes:
        """The request line and the header fields as they are sent."""
        if not _METHOD.match(method) or _NOT_IN_URL.search(url):
            raise http.client.InvalidURL(f"{method} {url!r} cannot stand in a request line")
        plain: Optional[Mapping[str, str]] = getattr(headers, "plain", None)
        if plain is not None:
            lines = [f"{method} {url} HTTP/1.1", f"Host: {self._host_field(url)}"]
            lines += [f"{name}: {value}" for name, value in plain.items()]
        else:
            lines = self._lines(method, url, headers)
        lines.append("\r\n")
        text = "\r\n".join(lines)
        if not len(lines) == text.count("\n") == text.count("\r") or "\0" in text:
            bad = next(line for line in lines if _NOT_IN_LINE.search(line))
            raise http.client.InvalidURL(f"the header {bad.partition(':')[0]!r} holds a line end")
        if not text.isascii():
            for name in headers:
                str(name).encode("ascii")  # names are; values may be Latin-1
        return text.encode("latin-1")

    def _lines(self, method: str, url: str, headers: Mapping[Any, Any]) -> List[str]:
        lines = [f"{method} {url} HTTP/1.1", ""]
        for name, value in headers.items():
            if not isinstance(value, str):
                value = value.decode("latin-1")
            if not isinstance(name, str):
                name = name.decode("ascii")
            if len(name) == 4 and name.lower() == "host":
                lines[1] = f"{name}: {value}"
            else:
                lines.append(f"{name}: {value}")
        lines[1] = lines[1] or f"Host: {self._host_field(url)}"
        return lines

    def _host_field(self, url: str) -> str:
        if not url.startswith("/"):  # to a proxy, with the server's own name in it
            return urllib.parse.urlsplit(url).netloc.rpartition("@")[2].encode("idna" if not url.isascii() else "ascii").decode()
        host = self._dns_host.strip("[]")
        field = f"[{host}]" if ":" in host else host
        return field if self.port == self.default_port else f"{field}:{self.port}"

    def send(self, data: Any) -> None:
        exchange = self._exchange()
        if exchange is None or not isinstance(data, (bytes, bytearray, memoryview)):
            super().send(data)  # type: ignore[misc]
            return
        if self.sock is None:
            self.connect()
        if exchange.phase == Exchange.CONNECTING and self._is_established():
            exchange.phase = Exchange.SENDING
        view = memoryview(data)
        while view:
            # Not sendall: there a timeout is for all of it, and a slow but steady upload would run into it.
            self.bounds().writes(exchange.scope.io_timeout(exchange.read_timeout))
            try:
                view = view[self.sock.send(view[:_SLICE]) :]
            except BlockingIOError:
                raise TimeoutError("timed out") from None

    def bounds(self) -> Bounds:
        """What bounds the steps on its socket."""
        found = self._bounds
        if found is None or found.sock is not self.sock:
            found = self._bounds = self._bound_by(self.sock)
        return found

    def _is_established(self) -> bool:
        # While a proxy is asked for a tunnel, nothing of the request itself has left.
        return not getattr(self, "_tunnelling", False)

    def connect(self) -> None:
        exchange = self._exchange()
        self._tunnelling = True
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self._tunnelling = False
            handshaking, self._handshaking = getattr(self, "_handshaking", None), None
            if handshaking is not None:
                handshaking.close()
        if exchange is not None and self.sock is not None:
            exchange.scope.attach(self.sock)

    def getresponse(self) -> Any:
        asked = self.asked
        if self._exchange() is None or asked is None:
            return super().getresponse()  # type: ignore[misc]
        return _made(self.answer(), asked)

    def answer(self) -> Response:
        """The answer to what was asked by `request`, its head read."""
        exchange, asked = self._exchange(), self.asked
        assert exchange is not None and asked is not None
        answer = Response(self.sock, method=asked["request_method"], connection=self, exchange=exchange, bounds=self.bounds())
        try:
            answer.begin()
        except BaseException:
            answer.close()
            raise
        if answer.will_close:
            self.close()  # type: ignore[attr-defined]  # the answer holds the socket until it is read
        return answer


def _made(answer: Response, asked: Mapping[str, Any], of: Any = urllib3.HTTPResponse) -> Any:
    # Without its original_response, requests looks for no cookies in it.
    return of(
        body=answer.file(),
        headers=answer.fields,  # pairs, as its own headers take them
        status=answer.status,
        version=answer.version,
        reason=answer.reason,
        **asked,
    )


class _LateResponse(urllib3.HTTPResponse):
    """urllib3's answer, whose making costs as much as reading a small one: made when somebody wants more of it than we do."""

    def __init__(self, answer: Response, asked: Mapping[str, Any], conn: Any, pool: Any) -> None:
        self._late: Any = asked
        self._original_response = None
        self._connection, self._pool = conn, pool
        #: What it is read from.
        self.below = answer
        self.status, self.reason, self.version = answer.status, answer.reason, answer.version

    def __getattr__(self, name: str) -> Any:
        late = self.__dict__.pop("_late", None)
        if late is None:
            raise AttributeError(name)
        _made(self.below, {**late, "connection": self._connection, "pool": self._pool}, super().__init__)
        return getattr(self, name)

    @property
    def untouched(self) -> bool:
        """Whether nobody has wanted more yet, so that the body is as it came."""
        return "_late" in self.__dict__

    @property
    def closed(self) -> bool:
        """Whether it was read or closed; asked by the collector too."""
        return self.below.isclosed() if self.untouched else bool(super().closed)

    def close(self) -> None:
        """Let go of the connection, which is closed if the answer was not read."""
        if not self.untouched:
            super().close()
            return
        self.below.close()
        if self._connection is not None:
            self._connection.close()
            self.release_conn()


class _PlainConnection(_Guarded, HTTPConnection):
    _bound_by = staticmethod(bounds_of)


class _TLSConnection(_Guarded, HTTPSConnection):
    pass


def _connect(conn: Any, exchange: Exchange) -> socket.socket:
    """A connected socket within the exchange's limits; tries the addresses in turn, each with its share of the time left."""
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
            _connect_one(sock, address, scope, share)
            remaining = scope.io_timeout(None if end is None else max(0.001, end - time.monotonic()))
            sock.settimeout(remaining)  # also bounds the TLS handshake
            if isinstance(conn, HTTPSConnection):
                # The handshake takes the socket over; a second handle lets the scope reach the connection meanwhile.
                conn._handshaking = sock.dup()  # type: ignore[attr-defined]
                scope.attach(conn._handshaking)  # type: ignore[attr-defined]
            else:
                scope.attach(sock)
            return sock
        except OSError as error:
            failure = error
            sock.close()
            scope.io_timeout(None)  # raises where the call itself is over
        except BaseException:
            sock.close()
            raise
    raise failure


def _connect_one(sock: socket.socket, address: Any, scope: Scope, seconds: Optional[float]) -> None:
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


class _Stack:
    """What a pool keeps its connections in: of `queue.LifoQueue` what urllib3 uses, without its locks."""

    def __init__(self, maxsize: int = 0) -> None:
        self._size = maxsize
        self._items: Deque[Any] = deque()

    def get(self, block: bool = False, timeout: Optional[float] = None) -> Any:
        try:
            return self._items.pop()
        except IndexError:
            raise queue.Empty from None

    def put(self, item: Any, block: bool = False) -> None:
        if len(self._items) >= self._size:
            raise queue.Full
        self._items.append(item)

    def empty(self) -> bool:
        return not self._items

    def qsize(self) -> int:
        return len(self._items)


class _Pool:
    """What our pools share; mixed in before urllib3's class."""

    QueueCls: Any = _Stack
    pool: Any
    _validate_conn: Callable[[Any], None]
    _new_conn: Callable[[], Any]

    def __init__(self, *args: Any, calls: threading.local, **kwargs: Any) -> None:
        self._calls = calls
        super().__init__(*args, calls=calls, **kwargs)  # type: ignore[call-arg]  # further keywords go to each connection

    def ask(self, method: str, target: str, body: Optional[bytes], headers: Mapping[str, Any]) -> Any:
        """The answer to a request that is sent once: what `urlopen` does, without what serves proxies, redirects and retries."""
        conn = self._get_conn()
        try:
            self._validate_conn(conn)
            try:
                conn.request(method, target, body, headers)
            except OSError as error:
                if error.errno not in _CLOSED_EARLY:
                    raise
                # The server may have answered before it had all of the body, and closed; then that answer is there.
            return _LateResponse(conn.answer(), conn.asked, conn, self)
        except BaseException:
            conn.close()
            self._put_conn(None)
            raise

    def _get_conn(self, timeout: Optional[float] = None) -> Any:
        if self.pool is None:
            raise ClosedPoolError(self, "Pool is closed.")  # type: ignore[arg-type]
        try:
            conn = self.pool.get(block=False)
        except (AttributeError, queue.Empty):  # closed in between, or more calls at once than it holds
            conn = None
        if conn is None:
            return self._new_conn()
        if conn.sock is not None:
            exchange = getattr(self._calls, "exchange", None)
            idle_limit = math.inf if exchange is None else exchange.idle_limit
            if time.monotonic() - conn.idle_since > idle_limit or not conn.bounds().quiet():
                conn.close()
        return conn

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            if conn.surplus:
                conn.close()
                conn.surplus = False
            conn.idle_since = time.monotonic()
        pool = self.pool
        try:
            pool.put(conn, block=False)
        except (AttributeError, queue.Full):
            # The pool was closed, or more calls run at once than it holds: not an event worth a warning.
            if conn is not None:
                conn.close()
            return
        if self.pool is None:  # closed in between, perhaps before the connection was in it
            while not pool.empty():
                with contextlib.suppress(queue.Empty):
                    left = pool.get(block=False)
                    if left is not None:
                        left.close()


class _PlainPool(_Pool, urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection  # type: ignore[assignment]


class _TLSPool(_Pool, urllib3.HTTPSConnectionPool):
    ConnectionCls = _TLSConnection  # type: ignore[assignment]


def guard_pools(manager: urllib3.PoolManager, calls: threading.local) -> None:
    """Make *manager* build our pools. *calls* carries, per thread, the `Exchange` that is under way as ``calls.exchange``."""
    pools: Dict[str, Callable[..., Any]] = {
        "http": functools.partial(_PlainPool, calls=calls),
        "https": functools.partial(_TLSPool, calls=calls),
    }
    manager.pool_classes_by_scheme = pools  # type: ignore[assignment]


def is_own(function: Any, module: types.ModuleType) -> bool:
    """Whether *function* is the one that *module* defines, and nothing that was put in its place, whenever that was done."""
    return type(function) is types.FunctionType and function.__globals__ is module.__dict__


def is_urlopen_own() -> bool:
    """Whether that is so of urllib3's way to send, which `_Pool.ask` takes the place of."""
    return is_own(urllib3.HTTPConnectionPool.urlopen, connectionpool)

"""Connections whose blocking operations keep to the limits of the exchange that uses them. Knows urllib3, not requests.

They are urllib3's connections with these differences:

- each read and each write may take the time that is left to the call: with a fixed timeout for each read, a server that sends one
  byte at a time could keep a call alive after its deadline;
- the socket is attached to the `Scope` of the call, so that another thread can end a blocked connect, write or read;
- the `Exchange` notes whether any byte of the request was sent, since only an unsent create may be sent again;
- the head and a small body are sent in one write;
- the response is read by `HTTPResponse` of this package.

A connection without an exchange behaves as urllib3's: a user's session may send requests of its own through this adapter.
"""

from __future__ import annotations

import functools
import http.client
import io
import operator
import socket
from typing import Any, Dict, Mapping, Optional, Tuple

# Not imported from urllib3.connection, where VCR.py replaces both classes while a cassette is used.
from urllib3.connectionpool import HTTPConnection, HTTPSConnection  # type: ignore[attr-defined]
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util import SKIP_HEADER

from ..call import Deadline, Scope
from .connect import dial
from .exchange import Exchange
from .pooled_response import PooledResponse
from .response import HTTPResponse
from .sockets import LimitedSocket, limited_socket

__all__ = ["LimitedConnection", "PlainConnection", "TLSConnection"]

#: Bytes that are given to one write.
_SLICE = 1 << 20
#: Header lines that one connection keeps at most.
_HEADER_LINES = 32
#: The name in a pair of name and value.
_NAME = operator.itemgetter(0)
#: A body of at most this many bytes is appended to the head, and sent in the same write.
_SMALL = 1 << 16


class LimitedConnection:
    """The common part of the plain and the TLS connection, as a mixin before urllib3's class."""

    #: The exchange that owns the connection; None while no request uses it.
    exchange: Optional[Exchange] = None
    #: The monotonic time when the connection was last put into the pool.
    idle_since = 0.0
    #: False if the rest of this response could be mistaken for the next response.
    is_reusable = True
    sock: Any = None
    host: str
    timeout: Any
    source_address: Any
    socket_options: Any
    #: A second socket object for the connection while the TLS handshake runs, for the scope.
    handshaking: Optional[socket.socket] = None
    _limited: Optional[LimitedSocket] = None
    #: The body to send together with the head.
    _body: Optional[bytes] = None
    #: Method and URL of the request, until its response is made.
    _requested: Optional[Tuple[str, str]] = None
    _is_tunnelling = False

    def __init__(self, *args: Any, **options: Any) -> None:
        #: The SOCKS proxy, as urllib3's `SOCKSProxyManager` passes it to its connections; None without one.
        self.socks_options: Optional[Dict[str, Any]] = options.pop("_socks_options", None)
        super().__init__(*args, **options)
        #: The header lines that were sent before, by name and value.
        self._header_lines: Dict[Tuple[Any, Any], bytes] = {}
        #: The line of the ``Host`` that http.client adds; None before the first request.
        self._host_line: Optional[bytes] = None

    def __del__(self) -> None:
        # An exception at certain moments drops the connection. Close its socket then, without a ResourceWarning.
        if self.sock is not None:
            self.close()  # type: ignore[attr-defined]

    # -- connecting

    def _new_conn(self) -> socket.socket:
        exchange = self.exchange
        if exchange is None and self.socks_options is None:
            return super()._new_conn()  # type: ignore[misc,no-any-return]
        if exchange is None:
            seconds = self.timeout if isinstance(self.timeout, (int, float)) else None
            exchange = Exchange(Scope(Deadline(None)), connect_timeout=seconds, read_timeout=None, idle_limit=0.0)
        exchange.phase = Exchange.CONNECTING
        try:
            return dial(self, exchange, tls=isinstance(self, HTTPSConnection))
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error  # type: ignore[arg-type]
        except (TimeoutError, socket.timeout) as error:
            raise ConnectTimeoutError(self, f"connecting to {self.host} took too long") from error
        except OSError as error:
            raise NewConnectionError(self, f"could not connect: {error}") from error  # type: ignore[arg-type]

    def connect(self) -> None:
        self._is_tunnelling = True
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self._is_tunnelling = False
            handshaking, self.handshaking = self.handshaking, None
            if handshaking is not None:
                handshaking.close()
        self._limited = limited_socket(self.sock)
        if self.exchange is not None:
            self.exchange.scope.attach(self.sock)

    def _tunnel(self) -> None:
        """Request a tunnel from a proxy, within the time for connecting; http.client calls this."""
        super()._tunnel()  # type: ignore[misc]
        if self.exchange is not None:
            self.sock.settimeout(self.exchange.connecting_timeout())  # of the TLS handshake that follows

    # -- the request

    def request(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Optional[Mapping[str, Any]] = None,
        *,
        chunked: bool = False,
        **options: Any,
    ) -> None:
        exchange = self.exchange
        self._body = self._requested = None
        if exchange is not None:
            exchange.phase = Exchange.CONNECTING
            if self.sock is not None:
                exchange.scope.attach(self.sock)
            if headers is not None and (body is None or isinstance(body, bytes) and "Content-Length" in headers) and not chunked:
                self._body = body
                self._put_request(method, url, headers)
                return
        super().request(method, url, body, headers, chunked=chunked, **options)  # type: ignore[misc]

    def _put_request(self, method: str, url: str, headers: Mapping[str, Any]) -> None:
        """Do as urllib3's `request`, for a body that is None or whose length is in *headers*."""
        self._requested = method, url
        buffer = self._buffer  # type: ignore[attr-defined]
        fields = list(headers.items())
        has_host, has_encoding = _skips(tuple(map(_NAME, fields)))
        # Below a proxy, http.client takes the host from the URL.
        host_line = None if has_host or url[:1] != "/" else self._host_line
        self.putrequest(method, url, skip_host=has_host or host_line is not None, skip_accept_encoding=has_encoding)  # type: ignore[attr-defined]
        if host_line is not None:
            buffer.insert(1, host_line)
        elif buffer[-1].startswith(b"Host:"):
            self._host_line = buffer[-1]
        # http.client's method: urllib3's only adds a check for headers to omit. Most fields were in the last request
        # too: their lines are encoded and checked once.
        lines = self._header_lines
        known = list(map(lines.get, fields))
        buffer.extend(filter(None, known))
        for field, line in zip(fields, known) if None in known else ():
            if line is None and field[1] != SKIP_HEADER:
                super(HTTPConnection, self).putheader(*field)  # type: ignore[misc]
                if len(lines) < _HEADER_LINES:  # those of single requests fill it once, after the common ones
                    lines[field] = buffer[-1]
        self.endheaders()  # type: ignore[attr-defined]

    def send(self, data: Any) -> None:
        exchange = self.exchange
        if exchange is None or self._is_tunnelling or not isinstance(data, (bytes, bytearray, memoryview)):
            super().send(data)  # type: ignore[misc]
            return
        if self.sock is None:
            self.connect()
        body, self._body = self._body, None
        if exchange.phase < Exchange.SENDING:
            exchange.phase = Exchange.SENDING
        if body is not None and len(body) > _SMALL:
            self._send_all(exchange, data)
            data = body
        elif body is not None:
            data = bytes(data) + body
        self._send_all(exchange, data)

    def _send_all(self, exchange: Exchange, data: Any) -> None:
        limited = self.limited()
        self.is_reusable = False
        left = data if len(data) <= _SLICE else memoryview(data)
        while left:
            sent = limited.send(exchange, left[:_SLICE])
            if not sent:
                return  # the response has come, an error probably; the connection is not used again
            left = memoryview(left)[sent:] if sent < len(left) else b""
        self.is_reusable = True

    def limited(self) -> LimitedSocket:
        """The socket in use, for reads and writes within the limits of an exchange."""
        found = self._limited
        if found is None or found.sock is not self.sock:
            found = self._limited = limited_socket(self.sock)
        return found

    # -- the response

    def response_class(self, sock: Any, debuglevel: int = 0, *, method: Optional[str] = None) -> http.client.HTTPResponse:
        """Return the response object; http.client calls this for each response of the connection."""
        exchange = self.exchange
        if exchange is not None and self._is_tunnelling:
            # The response to CONNECT. http.client reads it from the socket's file, and would wait anew for each of its bytes.
            return http.client.HTTPResponse(_TunnelSocket(sock, exchange), debuglevel, method)  # type: ignore[arg-type]
        if exchange is None or self._requested is None:
            return http.client.HTTPResponse(sock, debuglevel, method)
        return HTTPResponse(method=method or "GET", exchange=exchange, limited=self.limited())

    def getresponse(self) -> Any:
        exchange, requested = self.exchange, self._requested
        if exchange is None or requested is None:
            return super().getresponse()  # type: ignore[misc]
        # http.client's method: urllib3's would wrap the response of http.client.
        parsed = super(HTTPConnection, self).getresponse()  # type: ignore[misc]
        self._requested = None
        return PooledResponse(parsed, exchange, *requested)


@functools.lru_cache(64)
def _skips(names: Tuple[Any, ...]) -> Tuple[bool, bool]:
    """Return whether ``Host`` and ``Accept-Encoding`` are among the names of headers, so that http.client must not add them."""
    lower = {(name if isinstance(name, str) else name.decode("ascii")).lower() for name in names}
    return "host" in lower, "accept-encoding" in lower


class _TunnelSocket(io.RawIOBase):
    """A file and its socket in one: reads from a socket that is being connected take the time that is left for connecting."""

    def __init__(self, sock: Any, exchange: Exchange) -> None:
        self._sock = sock
        self._exchange = exchange

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        """Return a file that http.client reads from. It reads single bytes: what follows the response belongs to TLS."""
        return io.BufferedReader(self, 1)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Read at most as many bytes as *buffer* can hold."""
        self._sock.settimeout(self._exchange.connecting_timeout())
        count: int = self._sock.recv_into(buffer)
        return count


class PlainConnection(LimitedConnection, HTTPConnection):  # type: ignore[misc]
    """A connection without TLS."""


class TLSConnection(LimitedConnection, HTTPSConnection):  # type: ignore[misc]
    """A connection with TLS."""

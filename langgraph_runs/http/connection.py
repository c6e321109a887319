"""Connections whose every blocking step keeps to the limits of the call that uses them. Knows urllib3, not requests.

What urllib3 alone does not do, and what is added here:

- a timeout bounds one read, so a server that drips bytes outlives any deadline: each read and each slice written gets what is left;
- nothing ends a blocked connect or read from another thread: the socket is attached to the call's `Scope`, which shuts it down;
- whether any byte of a request left is not told: an `Exchange` notes it, since only then may a create be sent again;
- a small request leaves in two packets, and its head is put together field by field: here it is one piece of bytes.
"""

from __future__ import annotations

import http.client
import re
import socket
import threading
import urllib.parse
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from .connect import dial
from .exchange import Exchange
from .response import HTTPResponse
from .sockets import Bounds, bounds_of

__all__ = ["PlainConnection", "TLSConnection", "as_text", "made"]

#: Bytes that are written under one reckoning of the time left.
_SLICE = 1 << 20
#: Bytes of a body that leaves in one piece with its head; a larger one is not copied for that.
_SMALL = 1 << 16
_REQUEST_LINE = re.compile(r"[A-Z]+ [\x21-\x7e]+ HTTP/1\.1\Z")
_NOT_IN_LINE = re.compile(r"[\r\n\0]")


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
        self._host: Optional[str] = None

    def _exchange(self) -> Optional[Exchange]:
        return getattr(self._calls, "exchange", None)

    def _new_conn(self) -> socket.socket:
        exchange = self._exchange()
        if exchange is None:
            return super()._new_conn()  # type: ignore[misc,no-any-return]
        exchange.phase = Exchange.CONNECTING
        try:
            return dial(self, exchange, tls=isinstance(self, HTTPSConnection))
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
        self._begin(exchange)
        if exchange is None or chunked or not (body is None or isinstance(body, bytes)):
            super().request(method, url, body, headers, chunked=chunked, **reading)  # type: ignore[misc]
            return
        head = _head(self._lines(method, url, {} if headers is None else headers))
        reading.update(request_method=method, request_url=url, preload_content=False, decode_content=False)
        self.asked = reading
        self._put(head, body)

    def ask(self, method: str, target: str, body: Optional[bytes], headers: Mapping[str, str]) -> None:
        """Send a request to the server itself. Each header has one value, and no name is there in two cases."""
        self._begin(self._exchange())
        lines = [f"{method} {target} HTTP/1.1"]
        if "Host" not in headers:
            if self._host is None:
                self._host = f"Host: {self._host_field(target)}"
            lines.append(self._host)
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._put(_head(lines), body)

    def _begin(self, exchange: Optional[Exchange]) -> None:
        if exchange is not None:
            exchange.phase = Exchange.CONNECTING
            if self.sock is not None:
                exchange.scope.attach(self.sock)

    def _put(self, head: bytes, body: Optional[bytes]) -> None:
        if body is None:
            self.send(head)
        elif len(body) <= _SMALL:
            self.send(head + body)
        else:
            self.send(head)
            self.send(body)

    def _lines(self, method: str, url: str, headers: Mapping[Any, Any]) -> List[str]:
        """The request line and the header fields, as requests and urllib3 give them."""
        lines = [f"{method} {url} HTTP/1.1", ""]
        for name, value in as_text(headers):
            if name == "Host":
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
            seconds = exchange.scope.io_timeout(exchange.read_timeout)
            self.bounds().writes(seconds)
            try:
                view = view[self.sock.send(view[:_SLICE]) :]
            except BlockingIOError:
                exchange.ran_out(seconds)

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
            handshaking, self.handshaking = getattr(self, "handshaking", None), None
            if handshaking is not None:
                handshaking.close()
        if exchange is not None and self.sock is not None:
            exchange.scope.attach(self.sock)

    def getresponse(self) -> Any:
        asked = self.asked
        if self._exchange() is None or asked is None:
            return super().getresponse()  # type: ignore[misc]
        return made(self.answer(asked["request_method"]), asked)

    def answer(self, method: str) -> HTTPResponse:
        """The answer to what was asked, its head read."""
        exchange = self._exchange()
        assert exchange is not None
        answer = HTTPResponse(self.sock, method=method, connection=self, exchange=exchange, bounds=self.bounds())
        try:
            answer.begin()
        except BaseException:
            answer.close()
            raise
        if answer.will_close:
            self.close()  # type: ignore[attr-defined]  # the answer holds the socket until it is read
        return answer


def as_text(headers: Mapping[Any, Any]) -> Iterator[Tuple[str, str]]:
    """Names and values of the fields of a request as text, "Host" written in this way: requests and urllib3 take bytes too."""
    for name, value in headers.items():
        name = name if isinstance(name, str) else name.decode("ascii")
        yield "Host" if name.lower() == "host" else name, value if isinstance(value, str) else value.decode("latin-1")


def _head(lines: List[str]) -> bytes:
    """The head of a request from its lines: the request line, and the header fields."""
    if not _REQUEST_LINE.match(lines[0]):
        raise http.client.InvalidURL(f"{lines[0]!r} is no request line")
    text = "\r\n".join(lines)
    ends = len(lines) - 1
    if not ends == text.count("\n") == text.count("\r") or "\0" in text:
        bad = next(line for line in lines if _NOT_IN_LINE.search(line))
        raise http.client.InvalidURL(f"the header {bad.partition(':')[0]!r} holds a line end")
    if not text.isascii():
        for line in lines:
            line.partition(":")[0].encode("ascii")  # names are; values may be Latin-1
    return (text + "\r\n\r\n").encode("latin-1")


def made(answer: HTTPResponse, asked: Mapping[str, Any], of: Any = urllib3.HTTPResponse) -> Any:
    """urllib3's answer over ours."""
    # Without its original_response, requests looks for no cookies in it.
    return of(
        body=answer.file(),
        headers=answer.fields,  # pairs, as its own headers take them
        status=answer.status,
        version=answer.version,
        reason=answer.reason,
        **asked,
    )


class PlainConnection(_Guarded, HTTPConnection):
    _bound_by = staticmethod(bounds_of)


class TLSConnection(_Guarded, HTTPSConnection):
    pass

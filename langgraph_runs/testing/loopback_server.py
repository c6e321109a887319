"""`LoopbackServer`: an HTTP server on raw sockets for tests, which records requests and sends replies byte for byte.

A subclass chooses the replies: `ScriptedServer` takes them from a list, `FakeLangGraph` from a state.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Optional, TypeVar, Union

from .._public import name_public
from .replies import Break, Reply

__all__ = ["TIMEOUT", "ReplySource", "LoopbackServer", "Request"]

#: Seconds after which a wait for the client fails the test.
TIMEOUT = 20.0

#: Seconds between checks whether the client has disconnected.
POLL_INTERVAL = 0.005

_Server = TypeVar("_Server", bound="LoopbackServer")
ReplySource = Union[Reply, Callable[["Request"], Reply]]


@dataclass(frozen=True)
class Request:
    """A request as it was received."""

    #: The number of its connection: 0 for the first that was accepted.
    connection: int
    #: The request line without its end.
    line: bytes
    #: Names and values in the order and spelling in which they were sent.
    headers: tuple[tuple[str, str], ...] = field(repr=False)  # they may contain a key, which must not get into a log
    #: The body, decoded if it was chunked.
    body: bytes = field(repr=False)
    #: Every byte that was read, as it was read.
    raw: bytes = field(repr=False)
    #: True if the whole request was read.
    complete: bool
    #: The time when the last byte was read, of `time.monotonic`.
    at: float
    #: Set when the client has disconnected before the whole reply was sent.
    client_disconnected: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)

    @property
    def method(self) -> str:
        """``GET``, ``POST`` and so on."""
        return self.line.split(b" ")[0].decode("latin-1")

    @property
    def target(self) -> str:
        """The target in the request line with its query, not percent-decoded."""
        parts = self.line.split(b" ")
        return parts[1].decode("latin-1") if len(parts) > 1 else ""

    @property
    def path(self) -> str:
        """The target without its query, not percent-decoded."""
        return self.target.split("?", 1)[0]

    @property
    def query(self) -> str:
        """The query without the question mark, not percent-decoded."""
        return self.target.partition("?")[2]

    def header(self, name: str) -> Optional[str]:
        """Return the value of the header *name*, or None if there is none; raise AssertionError if there are several."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        if len(values) > 1:
            raise AssertionError(f"{len(values)} headers called {name}")
        return values[0] if values else None

    def json(self) -> Any:
        """Return the body parsed as JSON."""
        return json.loads(self.body)


class _ClientDisconnected(Exception):
    """The client has disconnected, which is not a failure."""


class LoopbackServer:
    """An HTTP server on a free port of the loopback interface. A subclass chooses the replies, in `choose`.

    `close` ends all its threads and connections.
    """

    #: True if an incomplete request is not a failure.
    takes_broken_requests = False

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        #: Messages of failures. If there are any, leaving the ``with`` block raises AssertionError.
        self.failures: list[str] = []
        self._requests: list[Request] = []
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._open: dict[int, socket.socket] = {}
        self._accepted = 0
        self._threads: list[threading.Thread] = []
        self._start(self._accept, "accept")

    def choose(self, method: str, path: str) -> ReplySource:
        """Return the reply, or a function of the request that returns it. Called when only the request line has been received."""
        raise NotImplementedError

    #: True if `choose` needs the request line. If not, it is called with empty strings when the first byte has arrived.
    wants_line = True

    @property
    def url(self) -> str:
        return self.origin

    @property
    def requests(self) -> list[Request]:
        """The requests so far, in the order they were read."""
        with self._changed:
            return list(self._requests)

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        with self._changed:
            return self._accepted

    @property
    def open_connections(self) -> int:
        """How many connections are open."""
        with self._changed:
            return len(self._open)

    def wait_for(self, count: int, timeout: float = TIMEOUT) -> list[Request]:
        """Block until `count` requests have been read, and return them."""
        self.wait_until(lambda: len(self._requests) >= count, f"{count} requests", timeout)
        return self.requests

    def wait_closed(self, timeout: float = TIMEOUT) -> None:
        """Block until no connection is open."""
        self.wait_until(lambda: not self._open, "all connections to be closed", timeout)

    def wait_until(self, condition: Callable[[], bool], what: str, timeout: float = TIMEOUT) -> None:
        """Block until `condition`, a function of this server's state, is true; raise AssertionError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise AssertionError(
                    f"waited {timeout} s for {what}; there were {len(self._requests)} requests "
                    f"and {len(self._open)} connections are open"
                )

    def close(self) -> None:
        """End every connection and thread. Requests without a reply get none."""
        self._stopping.set()
        # shutdown wakes the thread that is blocked in accept; close alone does not
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._changed:
            for sock in self._open.values():
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            threads = list(self._threads)
        for thread in threads:
            thread.join(TIMEOUT)
        left = [thread.name for thread in threads if thread.is_alive()]
        if left:
            raise AssertionError(f"threads of the server did not end: {left}")

    def __enter__(self: _Server) -> _Server:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.close()
        if kind is None and self.failures:
            raise AssertionError("; ".join(self.failures))

    def fail(self, message: str) -> None:
        with self._changed:
            self.failures.append(message)

    def _start(self, target: Callable[..., None], name: str, *args: Any) -> None:
        thread = threading.Thread(target=target, name=f"{type(self).__name__}-{name}", args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                if self._stopping.is_set():
                    sock.close()
                    return
                number = self._accepted
                self._accepted += 1
                self._open[number] = sock
                self._start(self._serve, f"connection-{number}", sock, number)
                self._changed.notify_all()

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            while self._serve_request(sock, number):
                pass
        except _ClientDisconnected:
            pass
        except OSError as error:
            if not self._stopping.is_set() and not isinstance(error, ConnectionError):
                self.fail(f"connection {number}: {error!r}")
        except Exception as error:
            self.fail(f"connection {number}: {error!r}")
        finally:
            # if bytes were unread, close would make the kernel send a reset
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
                sock.setblocking(False)
                while sock.recv(65536):
                    pass
            sock.close()
            with self._changed:
                self._open.pop(number, None)
                self._changed.notify_all()

    def _serve_request(self, sock: socket.socket, number: int) -> bool:
        """Read one request and send the reply; return False if the connection has ended."""
        line = self._first_line(sock)
        if line is None:
            return False
        method, _, rest = line.decode("latin-1").partition(" ")
        source = self.choose(method, rest.split(" ")[0].split("?")[0])
        limit = source.request_limit if isinstance(source, Reply) else None
        request = _read_request(sock, number, limit)
        if request is None:
            return False
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
        if not request.complete and limit is None:
            if not self.takes_broken_requests:
                self.fail(f"connection {number}: the request broke off: {request.raw[:200]!r}")
            return False
        reply = source if isinstance(source, Reply) else source(request)
        try:
            return self._send_reply(sock, request, reply)
        except (_ClientDisconnected, ConnectionError):
            request.client_disconnected.set()
            raise

    def _first_line(self, sock: socket.socket) -> Optional[bytes]:
        """Return the request line without removing it from the socket, b"" if it is not needed; None if there is no request."""
        # while bytes are unread, the end of the connection cannot be noticed: wait at most a second for the rest of the line
        for _ in range(int(1 / POLL_INTERVAL)):
            seen = sock.recv(65536, socket.MSG_PEEK)
            if not seen:
                return None
            if not self.wants_line:
                return b""
            if b"\r\n" in seen:
                break
            if self._stopping.wait(POLL_INTERVAL):
                return None
        return seen.split(b"\r\n", 1)[0]

    def _send_reply(self, sock: socket.socket, request: Request, reply: Reply) -> bool:
        if reply.starts is not None:
            self._wait(sock, reply, reply.starts.is_set)
        left = reply.response_limit
        for item in reply.pieces():
            if item is None:
                self._check_client(sock)
            elif isinstance(item, Break):
                return self._end(sock, request, replace(reply, ending=item.how))
            elif isinstance(item, threading.Event):
                self._wait(sock, reply, item.is_set)
            elif isinstance(item, (int, float)):
                self._wait(sock, reply, None, item)
            else:
                data = item.encode() if isinstance(item, str) else item
                if left is not None:
                    data = data[:left]
                    left -= len(data)
                self._send(sock, reply, data)
            if left == 0:
                break
        if left:
            self.fail(f"{reply}: the response was {left} bytes too short to be cut there")
        return self._end(sock, request, reply)

    def _send(self, sock: socket.socket, reply: Reply, data: bytes) -> None:
        if not data:
            return
        size = reply.piece or len(data)
        for start in range(0, len(data), size):
            sock.sendall(data[start : start + size])
            if reply.gap:
                self._wait(sock, reply, None, reply.gap)

    def _end(self, sock: socket.socket, request: Request, reply: Reply) -> bool:
        if reply.ending == "complete":
            return not reply.ends_connection
        if reply.ending == "stall":
            self._wait(sock, reply, lambda: False, forever=True)
        elif reply.ending == "rst":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        elif not request.complete:
            # if bytes were unread, close would send a reset: so end our side, and read until the client closes
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        return False

    def _wait(
        self,
        sock: socket.socket,
        reply: Reply,
        released: Optional[Callable[[], bool]],
        seconds: float = TIMEOUT,
        *,
        forever: bool = False,
    ) -> None:
        """Wait until `released` returns True, or for `seconds` if it is None; raise if the client disconnects."""
        end = time.monotonic() + seconds
        while released is None or not released():
            left = end - time.monotonic()
            if left <= 0 and not forever:
                if released is not None:
                    self.fail(f"{reply}: waited {seconds} s for an event that was not set")
                return
            self._check_client(sock, POLL_INTERVAL if forever else min(POLL_INTERVAL, left))

    def _check_client(self, sock: socket.socket, wait: float = 0.0) -> None:
        """Raise if the client has disconnected or the server is being closed; otherwise return after `wait` seconds."""
        if self._stopping.is_set():
            raise _ClientDisconnected
        if not select.select([sock], [], [], wait)[0]:
            return
        if not sock.recv(1, socket.MSG_PEEK):
            raise _ClientDisconnected
        # unread bytes (of a pipelined request) keep the socket readable, so select does not wait
        self._stopping.wait(wait)


def _read_request(sock: socket.socket, number: int, limit: Optional[int]) -> Optional[Request]:
    """Read exactly one request, or its first `limit` bytes; return None if there is none."""
    reader = _Reader(sock, limit)
    complete, body, lines = False, b"", [b""]
    try:
        lines = reader.until(b"\r\n\r\n").split(b"\r\n")
        fields = _fields(lines)
        sizes = {name.lower(): value for name, value in fields}
        if "chunked" in sizes.get("transfer-encoding", "").lower():
            while True:
                size = int(reader.until(b"\r\n").split(b";")[0], 16)
                if not size:
                    break
                body += reader.exactly(size)
                reader.exactly(2)
            while reader.until(b"\r\n") != b"\r\n":
                pass
        else:
            body = reader.exactly(int(sizes.get("content-length", "0")))
        complete = True
    except EOFError:
        if not reader.received:
            return None
        lines = bytes(reader.received).split(b"\r\n\r\n")[0].split(b"\r\n")
        fields = _fields(lines)
    return Request(number, lines[0], tuple(fields), body, bytes(reader.received), complete, time.monotonic())


def _fields(lines: Sequence[bytes]) -> list[tuple[str, str]]:
    pairs = (line.decode("latin-1").partition(":") for line in lines[1:] if line)
    return [(name, value.strip(" \t")) for name, _, value in pairs]


class _Reader:
    """Reads bytes from a socket, never more than requested; raises EOFError at the end or at the limit."""

    def __init__(self, sock: socket.socket, limit: Optional[int]) -> None:
        self._sock = sock
        self._limit = limit
        self.received = bytearray()

    def exactly(self, count: int) -> bytes:
        start = len(self.received)
        while len(self.received) < start + count:
            self._receive(start + count - len(self.received))
        return bytes(self.received[start:])

    def until(self, mark: bytes) -> bytes:
        start = len(self.received)
        while True:
            found = self.received.find(mark, start)
            if found >= 0:
                return bytes(self.received[start : found + len(mark)])
            seen = self._sock.recv(65536, socket.MSG_PEEK)
            # the mark may begin in bytes that were read before
            both = bytes(self.received[max(start, len(self.received) - len(mark) + 1) :])
            at = (both + seen).find(mark)
            self._receive(at + len(mark) - len(both) if at >= 0 else max(len(seen), 1))

    def _receive(self, count: int) -> None:
        if self._limit is not None:
            count = min(count, self._limit - len(self.received))
        data = self._sock.recv(count) if count else b""
        if not data:
            raise EOFError
        self.received += data


name_public("langgraph_runs.testing", [Request])

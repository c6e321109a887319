"""A raw-socket HTTP server on the loopback, for tests: connections, requests as they came, replies as they were written.

What to answer is left to a subclass: `ScriptedServer` plays a list of replies, `FakeLangGraph` answers from a state.
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

__all__ = ["PATIENCE", "Answer", "LoopbackServer", "Request"]

#: How long anything may wait for the other side before the test fails instead of hanging.
PATIENCE = 20.0

#: How often a waiting server looks whether the client has left.
GLANCE = 0.005

_Server = TypeVar("_Server", bound="LoopbackServer")
Answer = Union[Reply, Callable[["Request"], Reply]]


@dataclass(frozen=True)
class Request:
    """A request as it came over the wire."""

    #: The connection it came on: 0 for the first that was accepted.
    connection: int
    #: The request line without its end.
    line: bytes
    #: Names and values in the order and spelling they were sent in.
    headers: tuple[tuple[str, str], ...] = field(repr=False)  # a key may be among them, and a repr ends in a log
    #: The body, with the chunks of a chunked one joined.
    body: bytes = field(repr=False)
    #: Every byte that was read, as it was read.
    raw: bytes = field(repr=False)
    #: Whether all of it was read.
    complete: bool
    #: `time.monotonic` when the last byte had been read.
    at: float
    #: Set when the client went away before it had been sent a whole answer.
    client_gone: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)

    @property
    def method(self) -> str:
        """``GET``, ``POST`` and so on."""
        return self.line.split(b" ")[0].decode("latin-1")

    @property
    def target(self) -> str:
        """What stands in the request line, undecoded, query included."""
        parts = self.line.split(b" ")
        return parts[1].decode("latin-1") if len(parts) > 1 else ""

    @property
    def path(self) -> str:
        """The target without its query, undecoded."""
        return self.target.split("?", 1)[0]

    @property
    def query(self) -> str:
        """What follows the question mark, undecoded."""
        return self.target.partition("?")[2]

    def header(self, name: str) -> Optional[str]:
        """The value of the only header of this name; None if there is none, an error if there are several."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        if len(values) > 1:
            raise AssertionError(f"{len(values)} headers called {name}")
        return values[0] if values else None

    def json(self) -> Any:
        """The parsed body."""
        return json.loads(self.body)


class _ClientGone(Exception):
    """The client went away; the script takes note and goes on."""


class LoopbackServer:
    """Connections, requests and replies; what to answer is left to `choose`.

    Closing ends every thread and socket that it made.
    """

    #: Whether a request that breaks off before its end is nothing to fail for.
    takes_broken_requests = False

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        #: What went wrong in the play; a test that ends with any of it fails.
        self.failures: list[str] = []
        self._requests: list[Request] = []
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._open: dict[int, socket.socket] = {}
        self._accepted = 0
        self._threads: list[threading.Thread] = []
        self._start(self._accept, "accept")

    def choose(self, method: str, path: str) -> Answer:
        """What to answer; called when the request line is known, the rest of the request is unread."""
        raise NotImplementedError

    #: Whether `choose` wants the request line; if not, it is called with empty strings at the first byte.
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
        """How many connections neither side has closed."""
        with self._changed:
            return len(self._open)

    def wait_for(self, count: int, timeout: float = PATIENCE) -> list[Request]:
        """Block until `count` requests have been read, and return them."""
        self.wait_until(lambda: len(self._requests) >= count, f"{count} requests", timeout)
        return self.requests

    def wait_closed(self, timeout: float = PATIENCE) -> None:
        """Block until no connection is open."""
        self.wait_until(lambda: not self._open, "all connections to be closed", timeout)

    def wait_until(self, condition: Callable[[], bool], what: str, timeout: float = PATIENCE) -> None:
        """Block until `condition`, which only looks at this server, holds; fail the test when it does not in time."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise AssertionError(
                    f"waited {timeout} s for {what}; there were {len(self._requests)} requests "
                    f"and {len(self._open)} connections are open"
                )

    def close(self) -> None:
        """End every connection and thread; what was not yet answered never will be."""
        self._stopping.set()
        # shutdown wakes the thread that is blocked in accept, which close alone does not
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._changed:
            for sock in self._open.values():
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            threads = list(self._threads)
        for thread in threads:
            thread.join(PATIENCE)
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
            while self._exchange(sock, number):
                pass
        except _ClientGone:
            pass
        except OSError as error:
            if not self._stopping.is_set() and not isinstance(error, ConnectionError):
                self.fail(f"connection {number}: {error!r}")
        except Exception as error:
            self.fail(f"connection {number}: {error!r}")
        finally:
            # closing on unread bytes would make the kernel send a reset
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
                sock.setblocking(False)
                while sock.recv(65536):
                    pass
            sock.close()
            with self._changed:
                self._open.pop(number, None)
                self._changed.notify_all()

    def _exchange(self, sock: socket.socket, number: int) -> bool:
        """Read one request, answer it; False when the connection is over."""
        line = self._first_line(sock)
        if line is None:
            return False
        method, _, rest = line.decode("latin-1").partition(" ")
        answer = self.choose(method, rest.split(" ")[0].split("?")[0])
        limit = answer.request_limit if isinstance(answer, Reply) else None
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
        reply = answer if isinstance(answer, Reply) else answer(request)
        try:
            return self._play(sock, request, reply)
        except (_ClientGone, ConnectionError):
            request.client_gone.set()
            raise

    def _first_line(self, sock: socket.socket) -> Optional[bytes]:
        """The request line, or what of it there is if nobody wants it, left unread; None when there is no request."""
        # the end of the connection cannot be seen behind unread bytes: half a line gets a second to become a whole one
        for _ in range(int(1 / GLANCE)):
            seen = sock.recv(65536, socket.MSG_PEEK)
            if not seen:
                return None
            if not self.wants_line:
                return b""
            if b"\r\n" in seen:
                break
            if self._stopping.wait(GLANCE):
                return None
        return seen.split(b"\r\n", 1)[0]

    def _play(self, sock: socket.socket, request: Request, reply: Reply) -> bool:
        if reply.starts is not None:
            self._hold(sock, reply, reply.starts.is_set)
        left = reply.answer_limit
        for item in reply.pieces():
            if item is None:
                self._look(sock)
            elif isinstance(item, Break):
                return self._end(sock, request, replace(reply, ending=item.how))
            elif isinstance(item, threading.Event):
                self._hold(sock, reply, item.is_set)
            elif isinstance(item, (int, float)):
                self._hold(sock, reply, None, item)
            else:
                data = item.encode() if isinstance(item, str) else item
                if left is not None:
                    data = data[:left]
                    left -= len(data)
                self._send(sock, reply, data)
            if left == 0:
                break
        if left:
            self.fail(f"{reply}: the answer was {left} bytes too short to be cut there")
        return self._end(sock, request, reply)

    def _send(self, sock: socket.socket, reply: Reply, data: bytes) -> None:
        if not data:
            return
        size = reply.piece or len(data)
        for start in range(0, len(data), size):
            sock.sendall(data[start : start + size])
            if reply.gap:
                self._hold(sock, reply, None, reply.gap)

    def _end(self, sock: socket.socket, request: Request, reply: Reply) -> bool:
        if reply.ending == "complete":
            return not reply.ends_connection
        if reply.ending == "stall":
            self._hold(sock, reply, lambda: False, forever=True)
        elif reply.ending == "rst":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        elif not request.complete:
            # closing on unread bytes would send a reset: end our side, read theirs to its end
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        return False

    def _hold(
        self,
        sock: socket.socket,
        reply: Reply,
        released: Optional[Callable[[], bool]],
        seconds: float = PATIENCE,
        *,
        forever: bool = False,
    ) -> None:
        """Wait until `released`, or for `seconds` if there is nothing to wait for; a client that leaves ends it."""
        end = time.monotonic() + seconds
        while released is None or not released():
            left = end - time.monotonic()
            if left <= 0 and not forever:
                if released is not None:
                    self.fail(f"{reply}: waited {seconds} s for an event that nobody set")
                return
            self._look(sock, GLANCE if forever else min(GLANCE, left))

    def _look(self, sock: socket.socket, wait: float = 0.0) -> None:
        """Raise when the client has left or the server is being closed; takes `wait` seconds otherwise."""
        if self._stopping.is_set():
            raise _ClientGone
        if not select.select([sock], [], [], wait)[0]:
            return
        if not sock.recv(1, socket.MSG_PEEK):
            raise _ClientGone
        # bytes that wait to be read (a pipelined request): readable for ever, so the wait is made here
        self._stopping.wait(wait)


def _read_request(sock: socket.socket, number: int, limit: Optional[int]) -> Optional[Request]:
    """Read one request and not a byte more, or its first `limit` bytes; None when there is none."""
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
        if not reader.taken:
            return None
        lines = bytes(reader.taken).split(b"\r\n\r\n")[0].split(b"\r\n")
        fields = _fields(lines)
    return Request(number, lines[0], tuple(fields), body, bytes(reader.taken), complete, time.monotonic())


def _fields(lines: Sequence[bytes]) -> list[tuple[str, str]]:
    pairs = (line.decode("latin-1").partition(":") for line in lines[1:] if line)
    return [(name, value.strip(" \t")) for name, _, value in pairs]


class _Reader:
    """Takes bytes off a socket, never more than asked for; EOFError at its end or at the limit."""

    def __init__(self, sock: socket.socket, limit: Optional[int]) -> None:
        self._sock = sock
        self._limit = limit
        self.taken = bytearray()

    def exactly(self, count: int) -> bytes:
        start = len(self.taken)
        while len(self.taken) < start + count:
            self._take(start + count - len(self.taken))
        return bytes(self.taken[start:])

    def until(self, mark: bytes) -> bytes:
        start = len(self.taken)
        while True:
            found = self.taken.find(mark, start)
            if found >= 0:
                return bytes(self.taken[start : found + len(mark)])
            seen = self._sock.recv(65536, socket.MSG_PEEK)
            # the mark may have begun in what was taken before
            both = bytes(self.taken[max(start, len(self.taken) - len(mark) + 1) :])
            at = (both + seen).find(mark)
            self._take(at + len(mark) - len(both) if at >= 0 else max(len(seen), 1))

    def _take(self, count: int) -> None:
        if self._limit is not None:
            count = min(count, self._limit - len(self.taken))
        data = self._sock.recv(count) if count else b""
        if not data:
            raise EOFError
        self.taken += data


name_public("langgraph_runs.testing", [Request])

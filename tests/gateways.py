"""`Gateway`: an HTTP gateway in front of a real server, with the habits of gateways that were seen in front of such servers.

    with Gateway(server.url, ChangedRequestId(every=3), RateLimit(every=5)) as gateway:
        client = Client(gateway.url)

It passes everything unless a habit says otherwise. A habit sees each exchange of a request and a response three times: before the
request is passed on, when the head of the response has come, and with each piece of its body. `nginx` is a real gateway.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from email.utils import formatdate
from http.client import responses
from typing import Callable, Optional
from urllib.parse import urlsplit

import attrs

__all__ = [
    "Answers",
    "BackendAway",
    "ChangedRequestId",
    "CleanEnd",
    "Exchange",
    "Gateway",
    "GivesUp",
    "Habit",
    "HeldBack",
    "LoginPage",
    "OwnDate",
    "RateLimit",
    "Response",
    "creates",
    "error_page",
]

TIMEOUT = 30.0
#: Headers between two neighbours, which a gateway does not pass on.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "proxy-connection"}

Headers = list[tuple[str, str]]


@attrs.define
class Response:
    """A response of a gateway itself, or the head of one of the server."""

    status: int
    headers: Headers = attrs.field(factory=list)
    body: bytes = b""

    def replace(self, name: str, value: Optional[str]) -> None:
        """Set the header, or remove it if the value is None."""
        self.headers = [pair for pair in self.headers if pair[0].lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))


@attrs.define
class Exchange:
    """A request and what becomes of it."""

    #: How many the gateway had before.
    number: int
    method: str
    target: str
    headers: Headers
    body: bytes
    #: The status that the client got; None until then.
    status: Optional[int] = None
    #: True if the server got the request.
    passed: bool = False

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def header(self, name: str) -> Optional[str]:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


Condition = Callable[[Exchange], bool]


def creates(exchange: Exchange) -> bool:
    """True for a request that makes a run."""
    return exchange.method == "POST" and exchange.path.endswith(("/runs", "/runs/wait", "/runs/stream", "/runs/batch"))


@attrs.define
class Habit:
    """What a gateway does to the exchanges for which `when` is true, beginning with the first one: to each `every`-th of them."""

    when: Condition = attrs.field(default=lambda exchange: True, kw_only=True)
    every: int = attrs.field(default=1, kw_only=True)
    #: To so many of them at most; None: to all.
    times: Optional[int] = attrs.field(default=None, kw_only=True)
    _seen: int = attrs.field(default=0, init=False)
    _done: int = attrs.field(default=0, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def applies(self, exchange: Exchange) -> bool:
        """Count the exchange, and say whether it is one of those."""
        if not self.when(exchange):
            return False
        with self._lock:
            self._seen += 1
            if (self._seen - 1) % self.every or (self.times is not None and self._done >= self.times):
                return False
            self._done += 1
        return True

    @property
    def done(self) -> int:
        """How often it was done."""
        return self._done

    def before(self, exchange: Exchange) -> Optional[Response]:
        """Change the request, or return a response; then the server does not get the request."""
        return None

    #: Seconds after which `late` takes the place of the server's response, if no head of it has come.
    patience: Optional[float] = attrs.field(default=None, init=False)

    def late(self, exchange: Exchange) -> Optional[Response]:
        """The response when the server has not begun its own in time."""
        return None

    def head(self, exchange: Exchange, response: Response) -> None:
        """Change the head of the server's response."""

    #: True if the body is collected, and passed on when it has ended.
    holds_body: bool = attrs.field(default=False, init=False)
    #: So many bytes of the body are passed on, and then a proper end.
    ends_after: Optional[int] = attrs.field(default=None, init=False)
    #: True if a body that the server did not end properly gets a proper end.
    mends_end: bool = attrs.field(default=False, init=False)


def error_page(status: int, server: str = "gateway") -> Response:
    """A page for people, as gateways have it."""
    title = f"{status} {responses.get(status, 'Error')}"
    page = f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center><hr><center>{server}</center></body></html>"
    return Response(status, [("Content-Type", "text/html")], page.encode())


@attrs.define
class ChangedRequestId(Habit):
    """Puts an id of its own in the place of x-request-id, or changes one digit of it, as a gateway that notes its sampling does."""

    replaced: bool = False

    def before(self, exchange: Exchange) -> Optional[Response]:
        given = exchange.header("x-request-id")
        changed = f"{exchange.number:08x}-0000-4000-8000-000000000000"
        if given and not self.replaced:
            changed = given[:14] + ("9" if given[14:15] != "9" else "a") + given[15:]
        kept = [pair for pair in exchange.headers if pair[0].lower() != "x-request-id"]
        exchange.headers = [*kept, ("x-request-id", changed)]
        return None


@attrs.define
class Answers(Habit):
    """Responds itself. The server does not get the request."""

    response: Response = attrs.field(kw_only=True)

    def before(self, exchange: Exchange) -> Optional[Response]:
        return attrs.evolve(self.response)


def BackendAway(status: int = 404, *, own_page: bool = True, **options: object) -> Answers:
    """What a gateway says while it has no backend: a page of its own, or for 404 what a framework says of an unknown route."""
    response = (
        error_page(status) if own_page else Response(status, [("Content-Type", "application/json")], b'{"detail":"Not Found"}')
    )
    return Answers(response=response, **options)  # type: ignore[arg-type]


def RateLimit(status: int = 429, **options: object) -> Answers:
    """Refuses, without a word about when to try again."""
    return Answers(response=error_page(status), **options)  # type: ignore[arg-type]


def LoginPage(**options: object) -> Answers:
    """A page with a form, and 200."""
    form = b'<!doctype html><html><body><form action="/login" method="post"><input name="user"></form></body></html>'
    return Answers(response=Response(200, [("Content-Type", "text/html; charset=utf-8")], form), **options)  # type: ignore[arg-type]


@attrs.define
class GivesUp(Habit):
    """Responds with an error of its own when the server takes long, which has the request and goes on with it."""

    status: int = 504
    seconds: float = 0.0

    def __attrs_post_init__(self) -> None:
        self.patience = self.seconds

    def late(self, exchange: Exchange) -> Optional[Response]:
        return error_page(self.status)


@attrs.define
class OwnDate(Habit):
    """Sets the header Date by a clock that is wrong by so many seconds, or removes it."""

    shift: Optional[float] = 0.0

    def head(self, exchange: Exchange, response: Response) -> None:
        response.replace("Date", None if self.shift is None else formatdate(time.time() + self.shift, usegmt=True))


@attrs.define
class CleanEnd(Habit):
    """Ends a body that the server did not end with a proper last chunk; with `after`, after so many bytes of any body."""

    after: Optional[int] = None

    def __attrs_post_init__(self) -> None:
        self.mends_end = True
        self.ends_after = self.after


@attrs.define
class HeldBack(Habit):
    """Passes a response on when it has ended, streams included."""

    def __attrs_post_init__(self) -> None:
        self.holds_body = True


class _Ended(Exception):
    """The client has gone, or the gateway is closed."""


class Gateway:
    """Passes requests on to `upstream`. `habits` may be changed while it runs, which concerns the exchanges that begin later."""

    def __init__(self, upstream: str, *habits: Habit) -> None:
        where = urlsplit(upstream)
        self._upstream = (str(where.hostname), where.port or 80)
        self.habits: Sequence[Habit] = habits
        self.exchanges: list[Exchange] = []
        self._lock = threading.Lock()
        self._stopping = False
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._start(self._accept)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def passed(self, method: str, ending: str) -> list[Exchange]:
        """The exchanges of that method, whose path ends like that, which the server got."""
        with self._lock:
            return [one for one in self.exchanges if one.passed and one.method == method and one.path.endswith(ending)]

    def close(self) -> None:
        """End all connections and threads."""
        with self._lock:
            self._stopping = True
            sockets = list(self._sockets)
        for sock in [self._listener, *sockets]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in list(self._threads):
            thread.join(TIMEOUT)
            assert not thread.is_alive(), "a thread of the gateway did not end"

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name=f"Gateway-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, sock)

    @contextlib.contextmanager
    def _open(self, sock: socket.socket) -> Iterator[socket.socket]:
        with self._lock:
            if self._stopping:
                sock.close()
                raise _Ended
            self._sockets.add(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            yield sock
        finally:
            with self._lock:
                self._sockets.discard(sock)
            sock.close()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(_Ended, OSError), self._open(sock) as client:
            reader = _Reader(client)
            while True:
                line, headers = reader.head()
                method, target, _ = line.split(" ", 2)
                body = b"".join(reader.body(headers))
                with self._lock:
                    exchange = Exchange(len(self.exchanges), method, target, headers, body)
                    self.exchanges.append(exchange)
                habits = [habit for habit in self.habits if habit.applies(exchange)]
                self._exchange(client, exchange, habits)

    def _exchange(self, client: socket.socket, exchange: Exchange, habits: list[Habit]) -> None:
        for habit in habits:
            own = habit.before(exchange)
            if own is not None:
                return _respond(client, exchange, own, habits)
        try:
            backend = socket.create_connection(self._upstream, TIMEOUT)
        except OSError:
            return _respond(client, exchange, error_page(502), habits)
        with self._open(backend):
            backend.settimeout(None)
            kept = [
                (name, value) for name, value in exchange.headers if name.lower() not in {*HOP_BY_HOP, "content-length", "host"}
            ]
            sent = [("Host", f"{self._upstream[0]}:{self._upstream[1]}"), *kept, ("Connection", "close")]
            if exchange.body or exchange.method in ("POST", "PUT", "PATCH"):
                sent.append(("Content-Length", str(len(exchange.body))))
            backend.sendall(_head(f"{exchange.method} {exchange.target} HTTP/1.1", sent) + exchange.body)
            exchange.passed = True
            giving_up = next((habit for habit in habits if habit.patience is not None), None)
            reader = _Reader(backend, client, None if giving_up is None else giving_up.patience)
            try:
                line, headers = reader.head()
            except TimeoutError:
                own = giving_up.late(exchange) if giving_up is not None else None
                return _respond(client, exchange, own or error_page(504), habits)
            except EOFError:
                return _respond(client, exchange, error_page(502), habits)
            reader.patience = None
            response = Response(int(line.split(" ")[1]), headers)
            for habit in habits:
                habit.head(exchange, response)
            exchange.status = response.status
            _pass_body(client, exchange, response, reader.body(headers, response=True), habits)
        return None


def _pass_body(client: socket.socket, exchange: Exchange, response: Response, pieces: Iterator[bytes], habits: list[Habit]) -> None:
    has_body = response.status not in (204, 304) and exchange.method != "HEAD"
    kept = [(name, value) for name, value in response.headers if name.lower() not in {*HOP_BY_HOP, "content-length"}]
    head = _head(f"HTTP/1.1 {response.status} {responses.get(response.status, '')}", [*kept, ("Transfer-Encoding", "chunked")])
    if not has_body:
        client.sendall(_head(f"HTTP/1.1 {response.status} {responses.get(response.status, '')}", kept))
        return
    limit = next((habit.ends_after for habit in habits if habit.ends_after is not None), None)
    held = any(habit.holds_body for habit in habits)
    if not held:
        client.sendall(head)
    sent, collected = 0, b""
    try:
        for piece in pieces:
            cut = piece if limit is None else piece[: limit - sent]
            sent += len(cut)
            if held:
                collected += cut
            elif cut:
                client.sendall(_chunk(cut))
            if limit is not None and sent >= limit:
                break
    except (EOFError, ConnectionError):
        # The server broke the connection: so does this gateway, unless it is one of those that hide it.
        if not any(habit.mends_end for habit in habits):
            raise _Ended from None
    if held:
        client.sendall(head + (_chunk(collected) if collected else b""))
    client.sendall(b"0\r\n\r\n")


def _respond(client: socket.socket, exchange: Exchange, response: Response, habits: list[Habit]) -> None:
    for habit in habits:
        habit.head(exchange, response)
    exchange.status = response.status
    line = f"HTTP/1.1 {response.status} {responses.get(response.status, '')}"
    client.sendall(_head(line, [*response.headers, ("Content-Length", str(len(response.body)))]) + response.body)


def _head(line: str, headers: Headers) -> bytes:
    return "".join([f"{line}\r\n", *(f"{name}: {value}\r\n" for name, value in headers), "\r\n"]).encode("latin-1")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class _Reader:
    """Reads heads and bodies from a socket. If the client goes meanwhile, that ends it."""

    def __init__(self, sock: socket.socket, client: Optional[socket.socket] = None, patience: Optional[float] = None) -> None:
        self._sock = sock
        self._client = client
        #: Seconds to wait for bytes in all; then TimeoutError.
        self.patience = patience
        self._data = b""

    def _more(self, until: Optional[float] = None) -> bytes:
        watched = [self._sock] if self._client is None else [self._sock, self._client]
        while True:
            ready = select.select(watched, [], [], None if until is None else max(0.0, until - time.monotonic()))[0]
            if self._sock in ready:
                return self._sock.recv(65536)
            if not ready:
                raise TimeoutError
            assert self._client is not None
            if not self._client.recv(1, socket.MSG_PEEK):
                raise _Ended
            watched = [self._sock]  # the client has sent its next request already

    def _fill(self, until: Optional[float] = None) -> None:
        piece = self._more(until)
        if not piece:
            raise EOFError
        self._data += piece

    def head(self) -> tuple[str, Headers]:
        """The first line and the headers; EOFError if the connection has ended."""
        until = None if self.patience is None else time.monotonic() + self.patience
        while b"\r\n\r\n" not in self._data:
            try:
                self._fill(until)
            except EOFError:
                if self._client is None:
                    raise _Ended from None
                raise
        head, self._data = self._data.split(b"\r\n\r\n", 1)
        line, *rest = head.decode("latin-1").split("\r\n")
        return line, [(name, value.strip()) for name, _, value in (header.partition(":") for header in rest)]

    def body(self, headers: Headers, response: bool = False) -> Iterator[bytes]:
        """The pieces of the body as they come; EOFError if it has no proper end."""
        found = {name.lower(): value for name, value in headers}
        if "chunked" in found.get("transfer-encoding", "").lower():
            yield from self._chunks()
        elif "content-length" in found or not response:
            left = int(found.get("content-length", 0))
            while left:
                if not self._data:
                    self._fill()
                piece, self._data = self._data[:left], self._data[left:]
                left -= len(piece)
                yield piece
        else:
            while True:
                if self._data:
                    piece, self._data = self._data, b""
                    yield piece
                try:
                    self._fill()
                except EOFError:
                    return

    def _chunks(self) -> Iterator[bytes]:
        while True:
            while b"\r\n" not in self._data:
                self._fill()
            line, self._data = self._data.split(b"\r\n", 1)
            size = int(line.split(b";")[0], 16)
            while len(self._data) < size + 2:
                self._fill()
            piece, self._data = self._data[:size], self._data[size + 2 :]
            if not size:
                return
            yield piece

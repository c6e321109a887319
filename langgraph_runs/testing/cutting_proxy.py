"""`CuttingProxy`: a TCP proxy in front of any server that breaks connections, at given places or at random ones from a seed.

    with CuttingProxy(server.url) as proxy:
        proxy.arm(cut_response(40, reset=True), when=b"POST ")
        client = Client(proxy.url)

It does not parse HTTP. It relies on the order of requests and responses only: a turn, which is a request and its response, begins
with the first bytes that the client sends after bytes of the server, and bytes are counted from there. So "after 10 bytes of the
request" means the same for the first request of a connection and for the hundredth.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Callable, Optional
from urllib.parse import urlsplit

__all__ = [
    "PASS",
    "CuttingProxy",
    "Fault",
    "Turn",
    "cut_request",
    "cut_response",
    "refuse",
    "seeded",
    "stall_request",
    "stall_response",
    "swallow",
]

#: Seconds to wait for the other side to close, for threads to end, and for conditions.
TIMEOUT = 10.0


@dataclass(frozen=True)
class Fault:
    """Where a turn breaks, and how."""

    #: ``never``, ``connect`` (before a byte is read), ``request`` or ``response``.
    where: str
    #: Break after exactly this many bytes of that part have been passed on.
    after: int = 0
    #: ``fin`` (close), ``rst`` (reset) or ``stall`` (pass on nothing more, keep the connections open until the client closes).
    how: str = "fin"


PASS = Fault("never")


def refuse(*, reset: bool = True) -> Fault:
    """The server is not reached; see `CuttingProxy.refuse` for a port that is really closed."""
    return Fault("connect", 0, "rst" if reset else "fin")


def cut_request(after: int, *, reset: bool = False) -> Fault:
    """The server gets `after` bytes of the request and then the end of the connection; the client gets no response."""
    return Fault("request", after, "rst" if reset else "fin")


def stall_request(after: int) -> Fault:
    """The server gets `after` bytes of the request; then nothing is passed on in either direction."""
    return Fault("request", after, "stall")


def swallow(*, reset: bool = False) -> Fault:
    """The server has read the request and has begun to respond; the client gets nothing of the response."""
    return Fault("response", 0, "rst" if reset else "fin")


def cut_response(after: int, *, reset: bool = False) -> Fault:
    """The client gets `after` bytes of the response, then the end of the connection."""
    return Fault("response", after, "rst" if reset else "fin")


def stall_response(after: int) -> Fault:
    """The client gets `after` bytes of the response, then nothing more on an open connection."""
    return Fault("response", after, "stall")


@dataclass
class Turn:
    """One request and its response."""

    #: The number of the connection: 0 for the first that was accepted.
    connection: int
    #: The first bytes of the request: those that had arrived when the turn began.
    first: bytes
    fault: Fault = PASS
    #: True if the fault took place. It does not if the part is shorter than `Fault.after`.
    fired: bool = False
    #: How many bytes of the request were passed on.
    request: int = 0
    #: How many bytes of the response were passed on.
    response: int = 0


FaultChooser = Callable[[Turn], Fault]


def seeded(seed: Any, rate: float = 1 / 3, *, longest: int = 2000, when: bytes = b"", stalls: bool = False) -> FaultChooser:
    """Choose faults of every kind for a share of `rate` of the turns that begin with `when`; the same ones for the same seed.

    The positions are within the first `longest` bytes; half of them are within the first tenth of that, where the heads are.
    """
    rng = random.Random(seed)
    lock = threading.Lock()

    def choose(turn: Turn) -> Fault:
        if not turn.first.startswith(when):
            return PASS
        with lock:
            if rng.random() >= rate:
                return PASS
            where = rng.choice(("connect", "request", "swallow", "response", "response"))
            after = rng.randrange(max(1, longest // 10) if rng.random() < 0.5 else longest)
            how = rng.choice(("fin", "rst", "stall") if stalls else ("fin", "rst"))
        if where == "connect":
            return Fault("connect", 0, how)
        return Fault("response", 0, how) if where == "swallow" else Fault(where, after, how)

    return choose


class CuttingProxy:
    """Passes bytes between clients and `upstream`, and breaks turns as `choose_fault` or `arm` says.

    With neither it passes everything. `choose_fault` and `upstream` may be changed while it runs, which has no effect on a turn
    that has begun. `close` ends all its threads and connections.
    """

    def __init__(self, upstream: str, choose_fault: Optional[FaultChooser] = None) -> None:
        self.upstream = upstream
        #: Called at the beginning of each turn, returns its fault; None passes everything.
        self.choose_fault = choose_fault
        self._armed: list[tuple[bytes, Fault]] = []
        self._turns: list[Turn] = []
        self._changed = threading.Condition()
        self._thawed = threading.Event()
        self._thawed.set()
        self._stopping = False
        self._open: dict[int, list[socket.socket]] = {}
        self._accepted = 0
        self._threads: list[threading.Thread] = []
        self._listener: Optional[socket.socket] = None
        self.port = 0
        self.listen()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def turns(self) -> list[Turn]:
        """The turns so far, in the order in which they began."""
        with self._changed:
            return list(self._turns)

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        with self._changed:
            return self._accepted

    @property
    def open_connections(self) -> int:
        with self._changed:
            return len(self._open)

    def arm(self, fault: Fault, *, when: bytes = b"") -> None:
        """Break the next turn that begins with `when`. Several faults are used in order, and before those of `choose_fault`."""
        with self._changed:
            self._armed.append((when, fault))

    @property
    def armed(self) -> int:
        """How many of the faults given to `arm` were not used yet."""
        with self._changed:
            return len(self._armed)

    def freeze(self) -> None:
        """Pass on nothing until `thaw`, on any connection; new ones are accepted."""
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()

    def refuse(self) -> None:
        """Close the port: connections are refused until `listen`. Open connections stay open."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # shutdown wakes the thread that is blocked in accept; close alone does not
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def listen(self) -> None:
        """Open the port, the same one as before, after `refuse`."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.port = self._listener.getsockname()[1]
        self._start(self._accept, self._listener)

    def break_all(self) -> None:
        """Break every connection that is open now (FIN)."""
        with self._changed:
            for sockets in self._open.values():
                for sock in sockets:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)

    def wait_until(self, condition: Callable[[], bool], what: str, timeout: float = TIMEOUT) -> None:
        """Block until `condition`, a function of this proxy's state, is true; raise AssertionError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise AssertionError(f"waited {timeout} s for {what}; turns: {self._turns}, open: {len(self._open)}")

    def wait_closed(self, timeout: float = TIMEOUT) -> None:
        """Block until no connection is open."""
        self.wait_until(lambda: not self._open, "all connections to be closed", timeout)

    def close(self) -> None:
        with self._changed:
            self._stopping = True
        self.refuse()
        self._thawed.set()
        self.break_all()
        for thread in list(self._threads):
            thread.join(TIMEOUT)
        left = [thread.name for thread in self._threads if thread.is_alive()]
        if left:
            raise AssertionError(f"threads of the proxy did not end: {left}")

    def __enter__(self) -> CuttingProxy:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, name=f"CuttingProxy-{len(self._threads)}", args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._changed:
                if self._stopping:
                    client.close()
                    return
                number = self._accepted
                self._accepted += 1
                self._open[number] = [client]
                self._start(self._serve, client, number)

    def _serve(self, client: socket.socket, number: int) -> None:
        try:
            with self._registered(number):
                self._relay(client, number)
        except OSError:
            # one side broke the connection: the other side gets a reset, as it would without the proxy
            _linger(client)
        finally:
            client.close()

    @contextlib.contextmanager
    def _registered(self, number: int) -> Iterator[None]:
        try:
            yield
        finally:
            with self._changed:
                for server in self._open.pop(number)[1:]:
                    server.close()
                self._changed.notify_all()

    def _relay(self, client: socket.socket, number: int) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server: Optional[socket.socket] = None
        turn: Optional[Turn] = None
        while True:
            ready = select.select([client] if server is None else [client, server], [], [])[0]
            self._thawed.wait()
            # the response first: bytes that the client sends after a response begin a new turn
            if server is not None and turn is not None and server in ready:
                if not self._pass(server, client, turn, "response"):
                    return self._break(client, server, turn)
                continue
            if turn is None or turn.response:
                first = client.recv(4096, socket.MSG_PEEK)
                if not first:
                    return None
                turn = self._begin(number, first)
                if turn.fault.where == "connect":
                    turn.fired = True
                    return self._break(client, server, turn)
                if server is None:
                    server = self._connect(number)
            if not self._pass(client, server, turn, "request"):
                return self._break(client, server, turn)

    def _begin(self, number: int, first: bytes) -> Turn:
        turn = Turn(number, first)
        with self._changed:
            for place, (when, fault) in enumerate(self._armed):
                if first.startswith(when):
                    turn.fault = fault
                    del self._armed[place]
                    break
            else:
                turn.fault = self.choose_fault(turn) if self.choose_fault else PASS
            self._turns.append(turn)
            self._changed.notify_all()
        return turn

    def _connect(self, number: int) -> socket.socket:
        where = urlsplit(self.upstream)
        server = socket.create_connection((where.hostname, where.port), timeout=TIMEOUT)
        server.settimeout(None)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._changed:
            self._open[number].append(server)
        return server

    def _pass(self, source: socket.socket, target: Optional[socket.socket], turn: Turn, part: str) -> bool:
        """Pass on the bytes that have arrived, up to the fault; return False if the connection has ended."""
        assert target is not None
        count: int = getattr(turn, part)
        left = turn.fault.after - count if turn.fault.where == part else None
        data = source.recv(65536 if left is None else min(left, 65536)) if left != 0 else b""
        broken = left is not None and left == len(data)
        # counted before they are sent, so that the count includes all bytes that the other side has received
        with self._changed:
            setattr(turn, part, count + len(data))
            turn.fired = turn.fired or broken
            self._changed.notify_all()
        if data:
            target.sendall(data)
        if broken:
            return False
        return bool(data)

    def _break(self, client: socket.socket, server: Optional[socket.socket], turn: Turn) -> None:
        how = turn.fault.how if turn.fired else "fin"
        if how == "rst":
            _linger(client)
            client.close()
            return
        if how == "fin":
            if server is not None:
                with contextlib.suppress(OSError):
                    server.shutdown(socket.SHUT_RDWR)
            client.shutdown(socket.SHUT_WR)
        # if bytes were unread, close would send a reset: so read until the client closes too
        client.settimeout(None if how == "stall" else TIMEOUT)
        with contextlib.suppress(socket.timeout):
            while client.recv(65536):
                pass


def _linger(sock: socket.socket) -> None:
    """Make closing the socket send a reset."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

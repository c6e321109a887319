"""A TCP proxy in front of any server that breaks connections: where it was told to, or where a seed says.

    with CuttingProxy(server.url) as proxy:
        proxy.arm(cut_answer(40, reset=True), when=b"POST ")
        client = Client(proxy.url)

It knows nothing of HTTP but that client and server take turns: a turn begins with the first bytes that the client sends
after the server has spoken, and bytes are counted from there. So "after 10 bytes of the request" means the same on a
fresh connection and on the hundredth request of an old one.
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

#: How long a closing side waits for the other one to close as well.
PATIENCE = 10.0


@dataclass(frozen=True)
class Fault:
    """Where a turn breaks, and how."""

    #: ``never``, ``connect`` (before a byte is read), ``request`` or ``answer``.
    where: str
    #: Break as soon as so many bytes of that part have been passed on, not one more.
    after: int = 0
    #: ``fin`` (close), ``rst`` (reset) or ``stall`` (pass on no more, keep all open until the client leaves).
    how: str = "fin"


PASS = Fault("never")


def refuse(*, reset: bool = True) -> Fault:
    """The server is not reached; see `CuttingProxy.refuse` for a port that is really closed."""
    return Fault("connect", 0, "rst" if reset else "fin")


def cut_request(after: int, *, reset: bool = False) -> Fault:
    """The server gets `after` bytes of the request and then its end; the client gets no answer."""
    return Fault("request", after, "rst" if reset else "fin")


def stall_request(after: int) -> Fault:
    """The server gets `after` bytes of the request, then nobody hears anything any more."""
    return Fault("request", after, "stall")


def swallow(*, reset: bool = False) -> Fault:
    """The server has read the request and has begun to answer; the client gets nothing of it."""
    return Fault("answer", 0, "rst" if reset else "fin")


def cut_answer(after: int, *, reset: bool = False) -> Fault:
    """The client gets `after` bytes of the answer, then the end of the connection."""
    return Fault("answer", after, "rst" if reset else "fin")


def stall_answer(after: int) -> Fault:
    """The client gets `after` bytes of the answer, then silence on an open connection."""
    return Fault("answer", after, "stall")


@dataclass
class Turn:
    """One request and its answer, as they went through."""

    #: The connection: 0 for the first that was accepted.
    connection: int
    #: The first bytes of the request, as many as had arrived when it began.
    first: bytes
    fault: Fault = PASS
    #: Whether the fault took place; it does not when the part is shorter than it asked.
    fired: bool = False
    #: Bytes of the request that the server was given.
    request: int = 0
    #: Bytes of the answer that the client was given.
    answer: int = 0


Plan = Callable[[Turn], Fault]


def seeded(seed: Any, rate: float = 1 / 3, *, longest: int = 2000, when: bytes = b"", stalls: bool = False) -> Plan:
    """Faults of every kind on a share of `rate` of the turns that begin with `when`, the same for the same seed.

    Positions are drawn from the first `longest` bytes, half of them from the first tenth of that, where the heads are.
    """
    rng = random.Random(seed)
    lock = threading.Lock()

    def plan(turn: Turn) -> Fault:
        if not turn.first.startswith(when):
            return PASS
        with lock:
            if rng.random() >= rate:
                return PASS
            where = rng.choice(("connect", "request", "swallow", "answer", "answer"))
            after = rng.randrange(max(1, longest // 10) if rng.random() < 0.5 else longest)
            how = rng.choice(("fin", "rst", "stall") if stalls else ("fin", "rst"))
        if where == "connect":
            return Fault("connect", 0, how)
        return Fault("answer", 0, how) if where == "swallow" else Fault(where, after, how)

    return plan


class CuttingProxy:
    """Passes bytes between clients and `upstream`, and breaks the turns that `plan` or `arm` says.

    With neither it is a plain pass-through. `plan` and `upstream` may be changed while it runs; a turn that has begun
    goes on as it was. Closing it ends every thread and socket that it made.
    """

    def __init__(self, upstream: str, plan: Optional[Plan] = None) -> None:
        self.upstream = upstream
        #: Asked for a fault at the beginning of each turn; None passes everything.
        self.plan = plan
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
        """What went through so far, in the order it began."""
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
        """Break the next turn that begins with `when`; several wait in line. They come before `plan`."""
        with self._changed:
            self._armed.append((when, fault))

    @property
    def armed(self) -> int:
        """How many of the faults given to `arm` have found no turn yet."""
        with self._changed:
            return len(self._armed)

    def freeze(self) -> None:
        """Pass on nothing until `thaw`, on any connection; new ones are accepted."""
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()

    def refuse(self) -> None:
        """Close the port: connecting is refused until `listen`. Open connections live on."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # shutdown wakes the thread that is blocked in accept, which close alone does not
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

    def wait_until(self, condition: Callable[[], bool], what: str, timeout: float = PATIENCE) -> None:
        """Block until `condition`, which only looks at this proxy, holds; fail the test when it does not in time."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise AssertionError(f"waited {timeout} s for {what}; turns: {self._turns}, open: {len(self._open)}")

    def wait_closed(self, timeout: float = PATIENCE) -> None:
        """Block until no connection is open."""
        self.wait_until(lambda: not self._open, "all connections to be closed", timeout)

    def close(self) -> None:
        with self._changed:
            self._stopping = True
        self.refuse()
        self._thawed.set()
        self.break_all()
        for thread in list(self._threads):
            thread.join(PATIENCE)
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
            with self._forgotten(number):
                self._relay(client, number)
        except OSError:
            # one side broke it: the other gets a reset as well, which is what it would have got
            _linger(client)
        finally:
            client.close()

    @contextlib.contextmanager
    def _forgotten(self, number: int) -> Iterator[None]:
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
            # the answer first: what the client says after it has been answered begins a new turn
            if server is not None and turn is not None and server in ready:
                if not self._pass(server, client, turn, "answer"):
                    return self._break(client, server, turn)
                continue
            if turn is None or turn.answer:
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
                turn.fault = self.plan(turn) if self.plan else PASS
            self._turns.append(turn)
            self._changed.notify_all()
        return turn

    def _connect(self, number: int) -> socket.socket:
        where = urlsplit(self.upstream)
        server = socket.create_connection((where.hostname, where.port), timeout=PATIENCE)
        server.settimeout(None)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._changed:
            self._open[number].append(server)
        return server

    def _pass(self, source: socket.socket, target: Optional[socket.socket], turn: Turn, part: str) -> bool:
        """Pass on what has arrived, up to the fault; False when the connection is over."""
        assert target is not None
        count: int = getattr(turn, part)
        left = turn.fault.after - count if turn.fault.where == part else None
        data = source.recv(65536 if left is None else min(left, 65536)) if left != 0 else b""
        broken = left is not None and left == len(data)
        # noted first, so that who has seen the bytes sees the count
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
        # closing on unread bytes would send a reset: read until the client closes too
        client.settimeout(None if how == "stall" else PATIENCE)
        with contextlib.suppress(socket.timeout):
            while client.recv(65536):
                pass


def _linger(sock: socket.socket) -> None:
    """Make closing the socket send a reset."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

"""A server that plays a script of replies, and says so when the play went otherwise.

    with ScriptedServer(reply_json(200, run), sse(("values", {"n": 1})).then_cut(), stall()) as server:
        ...

The first request gets the first reply, and so on, on whatever connection it comes. Requests that match `routes` are
answered from there and leave the script alone. At the end of the block the test fails when a reply was not asked for,
when a request came for which there was none, or when a reply could not be played as written.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional, Union

from .loopback_server import Answer, LoopbackServer, Request
from .replies import Reply, reply

__all__ = ["Route", "ScriptedServer", "black_hole", "closed_port", "matches"]

Route = Union[Answer, Sequence[Reply]]


class ScriptedServer(LoopbackServer):
    """Plays `script`, one reply for each request, in order.

    `routes` maps ``(method, path)``, where a ``*`` stands for one segment of the path, to a reply that is given as
    often as it is asked for, to a list of replies that must be asked for in full, or to a function of the request.
    `always` answers whatever comes when the script is over. A request that breaks off by itself fails the test unless
    `takes_broken_requests`.
    """

    def __init__(
        self,
        *script: Reply,
        routes: Optional[Mapping[tuple[str, str], Route]] = None,
        always: Optional[Answer] = None,
        takes_broken_requests: bool = False,
    ) -> None:
        self._script = list(script)
        self._played = 0
        self._always = always
        self._routes = [
            (method, path.split("/"), list(route) if isinstance(route, Sequence) else route)
            for (method, path), route in (routes or {}).items()
        ]
        self.wants_line = bool(self._routes)
        self.takes_broken_requests = takes_broken_requests
        super().__init__()

    def choose(self, method: str, path: str) -> Answer:
        with self._changed:
            for wanted, pattern, route in self._routes:
                if wanted == method and matches(pattern, path.split("/")):
                    if not isinstance(route, list):
                        return route
                    if route:
                        return route.pop(0)
                    break
            else:
                if self._played < len(self._script):
                    self._played += 1
                    return self._script[self._played - 1]
                if self._always is not None:
                    return self._always
        return self._unexpected

    def _unexpected(self, request: Request) -> Reply:
        self.fail(f"a request that is not in the script: {request.line.decode('latin-1')}")
        return reply(599, "not in the script", {"Connection": "close"})

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        left = [str(reply) for reply in self._script[self._played :]]
        left += [str(reply) for _, _, route in self._routes if isinstance(route, list) for reply in route]
        if left:
            self.fail(f"replies that nobody asked for: {', '.join(left)}")
        super().__exit__(kind, error, trace)


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """The URL of a port where every connection is refused; nobody else gets the port meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """The URL of a port that neither accepts nor refuses, so that connecting hangs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # the kernel drops what comes when the queue of connections not yet accepted is full
        for _ in range(4):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def matches(pattern: Sequence[str], path: Sequence[str]) -> bool:
    return len(pattern) == len(path) and all(p in ("*", s) for p, s in zip(pattern, path))

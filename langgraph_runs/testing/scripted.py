"""`ScriptedServer`: a server that sends prepared replies in order, and fails the test if the requests do not match them.

    with ScriptedServer(reply_json(200, run), sse(("values", {"n": 1})).then_cut(), stall()) as server:
        ...

The first request gets the first reply, and so on, on any connection. Requests that match `routes` get the reply of the route, and
do not take one of the script. At the end of the block the test fails if a reply was not requested, if there was no reply for a
request, or if a reply could not be sent as written.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional, Union

from .loopback_server import LoopbackServer, ReplySource, Request
from .replies import Reply, reply

__all__ = ["Route", "ScriptedServer", "black_hole", "closed_port", "matches"]

Route = Union[ReplySource, Sequence[Reply]]


class ScriptedServer(LoopbackServer):
    """Sends the replies of `script`, one for each request, in order.

    `routes` maps ``(method, path)``, where ``*`` stands for one segment of the path, to a reply that may be sent any number of
    times, to a list of replies that must all be requested, or to a function of the request. `always` is the reply when the script
    is used up. An incomplete request fails the test, unless `takes_broken_requests` is true.
    """

    def __init__(
        self,
        *script: Reply,
        routes: Optional[Mapping[tuple[str, str], Route]] = None,
        always: Optional[ReplySource] = None,
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

    def choose(self, method: str, path: str) -> ReplySource:
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
            self.fail(f"replies that were not requested: {', '.join(left)}")
        super().__exit__(kind, error, trace)


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """Yield the URL of a port where every connection is refused. The port is reserved within the block."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """Yield the URL of a port that neither accepts nor refuses connections, so that connecting hangs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # the kernel ignores further connections while the queue of connections that are not accepted yet is full
        for _ in range(4):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def matches(pattern: Sequence[str], path: Sequence[str]) -> bool:
    return len(pattern) == len(path) and all(p in ("*", s) for p, s in zip(pattern, path))

"""Pools of our connections, and the short way through them. Knows urllib3, not requests.

What urllib3's pools alone do not do:

- an idle connection that the server has closed in the meantime is handed out: those past their time are closed here;
- bytes that follow an answer would be taken for the next one: such a connection is not used again;
- a call that finds all connections in use is an event worth a warning there; here it is not;
- what serves proxies, redirects and retries is gone through for each request: `_Pool.ask` leaves that out.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import math
import queue
import threading
import time
import types
from collections import deque
from typing import Any, Callable, Deque, Dict, Mapping, Optional

import urllib3
from urllib3 import connectionpool
from urllib3.exceptions import ClosedPoolError

from .connection import PlainConnection, TLSConnection, made
from .response import HTTPResponse

__all__ = ["guard_pools", "is_own", "is_urlopen_own"]

#: What a send fails with where the server has closed the connection.
_CLOSED_EARLY = frozenset({errno.EPIPE, errno.ECONNRESET, errno.EPROTOTYPE})


class _LateResponse(urllib3.HTTPResponse):
    """urllib3's answer, whose making costs as much as reading a small one: made when somebody wants more of it than we do."""

    def __init__(self, answer: HTTPResponse, target: str, conn: Any, pool: Any) -> None:
        self._late: Any = target
        self._original_response = None
        self._connection, self._pool = conn, pool
        #: What it is read from.
        self.below = answer
        self.status, self.reason, self.version = answer.status, answer.reason, answer.version

    def __getattr__(self, name: str) -> Any:
        late = self.__dict__.pop("_late", None)
        if late is None:
            raise AttributeError(name)
        asked = {"request_method": self.below.method, "request_url": late, "connection": self._connection, "pool": self._pool}
        made(self.below, {**asked, "preload_content": False, "decode_content": False}, super().__init__)
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


class _Stack:
    """What a pool keeps its connections in: of `queue.LifoQueue` what urllib3 uses, without its conditions."""

    def __init__(self, maxsize: int = 0) -> None:
        self._size = maxsize
        self._items: Deque[Any] = deque()
        self._putting = threading.Lock()  # or two at once could find the last place free

    def get(self, block: bool = False, timeout: Optional[float] = None) -> Any:
        try:
            return self._items.pop()
        except IndexError:
            raise queue.Empty from None

    def put(self, item: Any, block: bool = False) -> None:
        with self._putting:
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

    def ask(self, method: str, target: str, body: Optional[bytes], headers: Mapping[str, str]) -> Any:
        """The answer to a request that is sent once: what `urlopen` does, without what serves proxies, redirects and retries."""
        conn = self._get_conn()
        try:
            self._validate_conn(conn)
            try:
                conn.ask(method, target, body, headers)
            except OSError as error:
                if error.errno not in _CLOSED_EARLY:
                    raise
                # The server may have answered before it had all of the body, and closed; then that answer is there.
            return _LateResponse(conn.answer(method), target, conn, self)
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
    ConnectionCls = PlainConnection  # type: ignore[assignment]


class _TLSPool(_Pool, urllib3.HTTPSConnectionPool):
    ConnectionCls = TLSConnection  # type: ignore[assignment]


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

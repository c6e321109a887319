"""Pools of the connections of this package. Knows urllib3, not requests.

They are urllib3's pools with these differences:

- an idle connection is closed when it was idle for too long or the server has closed it;
- a connection is put into the pool at most once, and is not shared with a forked child;
- when more calls run at once than the pool holds connections, the surplus ones are closed without a warning.
"""

from __future__ import annotations

import contextlib
import os
import queue
import time
from collections import OrderedDict
from typing import Any, Dict, Optional, Type

import urllib3
from urllib3.connectionpool import HTTPConnection, HTTPSConnection  # type: ignore[attr-defined]
from urllib3.exceptions import ClosedPoolError

from .connection import LimitedConnection, PlainConnection, TLSConnection
from .exchange import Exchange

__all__ = ["ExchangeTimeout", "limit_pools"]

#: Connections of this package, by the class of urllib3 that they take the place of.
_LIMITED: Dict[Any, Type[Any]] = {HTTPConnection: PlainConnection, HTTPSConnection: TLSConnection}


class ExchangeTimeout(urllib3.Timeout):
    """The timeout of one request, as requests and urllib3 pass it from the session down to the pool. It carries the exchange.

    Pools other than those of this package find in it the seconds that the exchange allows.
    """

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.total = None

    @property
    def connect_timeout(self) -> Optional[float]:
        """Seconds that connecting may take from now on."""
        return self.exchange.scope.io_timeout(self.exchange.connect_timeout)

    @property
    def read_timeout(self) -> Optional[float]:
        """Seconds that the next read may take."""
        return self.exchange.scope.io_timeout(self.exchange.read_timeout)

    def clone(self) -> ExchangeTimeout:
        """This object: it has no state of its own that an attempt changes."""
        return self

    def start_connect(self) -> float:
        """Nothing is started: the exchange has a deadline."""
        return 0.0

    def __repr__(self) -> str:
        return f"ExchangeTimeout(connect={self.exchange.connect_timeout!r}, read={self.exchange.read_timeout!r})"


class _IdleConnections:
    """The idle connections of a pool, the newest first: what urllib3 uses of `queue.LifoQueue`.

    Each step is one operation of an `OrderedDict`, so that a signal handler that runs in between finds it whole, and no lock is
    held that the handler could wait for. A connection is in it at most once.
    """

    def __init__(self, maxsize: int = 0) -> None:
        self._size = maxsize
        self._items: OrderedDict[Any, None] = OrderedDict()

    def get(self, block: bool = False, timeout: Optional[float] = None) -> Any:
        """Take out the connection that was put in last. Raise `queue.Empty` if there is none; never blocks."""
        try:
            return self._items.popitem()[0]
        except KeyError:
            raise queue.Empty from None

    def put(self, item: Any, block: bool = False) -> None:
        """Put a connection in; the oldest is closed when there are more than the pool's size. None is ignored."""
        if item is None:
            return  # in urllib3's pools a place for a connection, which these do not need
        self._items[item] = None
        while len(self._items) > self._size:
            try:
                oldest, _ = self._items.popitem(last=False)
            except KeyError:
                return
            oldest.close()

    def empty(self) -> bool:
        return not self._items

    def qsize(self) -> int:
        return len(self._items)


class _Pool:
    """The part that the plain and the TLS pool share; mixed in before urllib3's class."""

    QueueCls: Any = _IdleConnections
    pool: Any

    @property
    def ConnectionCls(self) -> Any:
        """The class of new connections: this package's, unless another library has replaced urllib3's, as VCR.py does."""
        given = super().ConnectionCls  # type: ignore[misc]
        return _LIMITED.get(given, given)

    def urlopen(self, *args: Any, **options: Any) -> Any:
        """As urllib3. The exchange in ``timeout`` goes to `_get_conn`, as the timeout of that."""
        exchange = getattr(options.get("timeout"), "exchange", None)
        if exchange is not None:
            options["pool_timeout"] = exchange
        return super().urlopen(*args, **options)  # type: ignore[misc]

    def _get_conn(self, timeout: Any = None) -> Any:
        """A connection that belongs to the exchange *timeout*, if it is one."""
        exchange = timeout if isinstance(timeout, Exchange) else None
        connection = self._idle_connection(exchange) or self._new_conn()  # type: ignore[attr-defined]
        connection.exchange = exchange
        return connection

    def _idle_connection(self, exchange: Optional[Exchange]) -> Any:
        """An idle connection that may be used, closed ones among them; None if there is none."""
        kind = self.ConnectionCls
        while True:
            pool = self.pool
            if pool is None:
                raise ClosedPoolError(self, "Pool is closed.")  # type: ignore[arg-type]
            try:
                connection = pool.get(block=False)
            except queue.Empty:
                return None
            if not isinstance(connection, kind):  # of a library that replaced the class for a while
                connection.close()
                continue
            if isinstance(connection, LimitedConnection) and connection.sock is not None and not _is_usable(connection, exchange):
                connection.close()  # type: ignore[attr-defined]
            return connection

    def _put_conn(self, conn: Any) -> None:
        if conn is None:
            return
        if isinstance(conn, LimitedConnection):
            if not conn.is_reusable:
                conn.close()  # type: ignore[attr-defined]
                conn.is_reusable = True
            conn.idle_since = time.monotonic()
        # From here on it is nobody's: should an exception come before the next line is done, the connection is dropped.
        conn.exchange = None
        pool = self.pool
        if pool is None:
            conn.close()
            return
        pool.put(conn, block=False)
        if self.pool is None:  # closed by another thread, perhaps before the connection was in it
            while not pool.empty():
                with contextlib.suppress(queue.Empty):
                    pool.get(block=False).close()


def _is_usable(connection: Any, exchange: Optional[Exchange]) -> bool:
    limited = connection.limited()
    if limited.pid != os.getpid():
        return False  # this is a forked child, and the connection its parent's
    if exchange is not None and time.monotonic() - connection.idle_since > exchange.idle_limit:
        return False
    return bool(limited.is_quiet())


class PlainPool(_Pool, urllib3.HTTPConnectionPool):  # type: ignore[override]
    """A pool of connections without TLS."""


class TLSPool(_Pool, urllib3.HTTPSConnectionPool):  # type: ignore[override]
    """A pool of connections with TLS."""


def limit_pools(manager: urllib3.PoolManager) -> None:
    """Make *manager* build the pools of this package; those that it has already are dropped."""
    if manager.pool_classes_by_scheme.get("http") is not PlainPool:
        manager.pool_classes_by_scheme = {"http": PlainPool, "https": TLSPool}
        manager.clear()

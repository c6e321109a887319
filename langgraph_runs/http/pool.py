"""Pools of the connections of this package. Knows urllib3, not requests.

They are urllib3's pools with these differences:

- an idle connection is closed when it was idle for too long or the server has closed it;
- a connection is put into the pool at most once, and is not shared with a forked child;
- if more calls run at once than the pool keeps connections, the surplus connections are closed without a warning.
"""

from __future__ import annotations

import contextlib
import os
import queue
import time
from typing import Any, Dict, Iterator, Optional, Type

import urllib3
from urllib3.connectionpool import HTTPConnection, HTTPSConnection  # type: ignore[attr-defined]
from urllib3.exceptions import ClosedPoolError

from .adapter_retries import limited_retries
from .connection import LimitedConnection, PlainConnection, TLSConnection
from .exchange import Exchange

__all__ = ["ExchangeTimeout", "limit_pools"]

#: The connection classes of this package, by the class of urllib3 that they replace.
_LIMITED: Dict[Any, Type[Any]] = {HTTPConnection: PlainConnection, HTTPSConnection: TLSConnection}


class ExchangeTimeout(urllib3.Timeout):
    """The timeout of one request, as requests and urllib3 pass it from the session down to the pool. It carries the exchange.

    Other pools than those of this package read the seconds that the exchange allows from it.
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
        """Return this object: an attempt does not change its state."""
        return self

    def start_connect(self) -> float:
        """Do nothing, since the exchange has a deadline. The result is not used."""
        return 0.0

    def __repr__(self) -> str:
        return f"ExchangeTimeout(connect={self.exchange.connect_timeout!r}, read={self.exchange.read_timeout!r})"


class _NoTimeout(urllib3.Timeout):
    """The timeout that urllib3's code sets on a connection of this package, which keeps to the exchange instead."""

    connect_timeout = None
    read_timeout = None

    def clone(self) -> _NoTimeout:
        """Return this object: it has no state."""
        return self

    def start_connect(self) -> float:
        """Do nothing. The result is not used."""
        return 0.0


_NO_TIMEOUT = _NoTimeout()


class _IdleConnections:
    """The idle connections of a pool: first the open ones, the newest first, then closed ones, which would connect again.

    It has the methods of `queue.LifoQueue` that urllib3 uses. Each change is one operation of a dict, which other threads see as a
    whole, also in builds without the global interpreter lock (where an `OrderedDict` of Python 3.13 is not safe). So a signal
    handler that runs between two operations finds it consistent, and cannot wait for a lock. A connection is in it at most once.
    """

    def __init__(self, maxsize: int = 0) -> None:
        self._size = maxsize
        self._open: Dict[Any, None] = {}
        self._closed: Dict[Any, None] = {}

    def get(self, block: bool = False, timeout: Optional[float] = None) -> Any:
        """Remove and return the first connection. Raise `queue.Empty` if there is none; never block."""
        for items in (self._open, self._closed):
            try:
                return items.popitem()[0]
            except KeyError:
                continue
        raise queue.Empty

    def put(self, item: Any, block: bool = False) -> None:
        """Add a connection. If there are more than the pool's size, close the last ones. None is ignored."""
        if item is None:
            return  # urllib3's pools use None as the place for a connection
        try:
            is_open = getattr(item, "sock", None) is not None
            (self._closed if is_open else self._open).pop(item, None)
        except BaseException:  # of a signal handler: the connection is not in the pool yet
            item.close()
            raise
        (self._open if is_open else self._closed)[item] = None
        while self.qsize() > self._size:
            surplus = self._remove_last()
            if surplus is None:
                return  # another thread has removed it
            surplus.close()

    def _remove_last(self) -> Any:
        """Remove and return a closed connection, or the oldest open one; None if there is none any more."""
        with contextlib.suppress(KeyError):
            return self._closed.popitem()[0]
        missing = object()
        return next((item for item in list(self._open) if self._open.pop(item, missing) is not missing), None)

    def __iter__(self) -> Iterator[Any]:
        return iter([*self._open, *self._closed])

    def empty(self) -> bool:
        return not self.qsize()

    def qsize(self) -> int:
        return len(self._open) + len(self._closed)


class _Pool:
    """The common part of the plain and the TLS pool, as a mixin before urllib3's class."""

    QueueCls: Any = _IdleConnections
    pool: Any

    @property
    def ConnectionCls(self) -> Any:
        """The class of new connections: that of this package, unless another library, such as VCR.py, has replaced urllib3's."""
        given = super().ConnectionCls  # type: ignore[misc]
        return _LIMITED.get(given, given)

    def urlopen(self, *args: Any, **options: Any) -> Any:
        """Do as urllib3, but pass the exchange in ``timeout`` on to `_get_conn`, as its timeout."""
        exchange = getattr(options.get("timeout"), "exchange", None)
        if exchange is not None:
            options["pool_timeout"] = exchange
            options["retries"] = limited_retries(options.get("retries"), exchange)
            if issubclass(self.ConnectionCls, LimitedConnection):
                options["timeout"] = _NO_TIMEOUT
        return super().urlopen(*args, **options)  # type: ignore[misc]

    def _get_conn(self, timeout: Any = None) -> Any:
        """Return a connection. If *timeout* is an exchange, the connection belongs to it."""
        exchange = timeout if isinstance(timeout, Exchange) else None
        connection = self._idle_connection(exchange) or self._new_conn()  # type: ignore[attr-defined]
        connection.exchange = exchange
        return connection

    def _idle_connection(self, exchange: Optional[Exchange]) -> Any:
        """Return an idle connection that may be used, or a closed one, which connects again; None if there is none."""
        kind = self.ConnectionCls
        while True:
            pool = self.pool
            if pool is None:
                raise ClosedPoolError(self, "Pool is closed.")  # type: ignore[arg-type]
            try:
                connection = pool.get(block=False)
            except queue.Empty:
                return None
            try:
                if not isinstance(connection, kind):  # made while another library had replaced the class
                    connection.close()
                    continue
                if (
                    isinstance(connection, LimitedConnection)
                    and connection.sock is not None
                    and not _is_usable(connection, exchange)
                ):
                    connection.close()  # type: ignore[attr-defined]
            except BaseException:  # of a signal handler: the connection is in no pool
                connection.close()
                raise
            return connection

    def _put_conn(self, conn: Any) -> None:
        if conn is None:
            return
        try:
            if isinstance(conn, LimitedConnection):
                if not conn.is_reusable:
                    conn.close()  # type: ignore[attr-defined]
                    conn.is_reusable = True
                conn.idle_since = time.monotonic()
            # The connection belongs to no exchange from here on.
            conn.exchange = None
            pool = self.pool
        except BaseException:  # of a signal handler: nothing else would close the connection
            conn.close()
            raise
        if pool is None:
            conn.close()
            return
        pool.put(conn, block=False)
        if self.pool is None:  # another thread closed the pool, perhaps before the connection was put in
            while not pool.empty():
                with contextlib.suppress(queue.Empty):
                    pool.get(block=False).close()


def _is_usable(connection: Any, exchange: Optional[Exchange]) -> bool:
    limited = connection.limited()
    if limited.pid != os.getpid():
        return False  # in a forked child, and the connection belongs to the parent process
    if exchange is not None and time.monotonic() - connection.idle_since > exchange.idle_limit:
        return False
    return bool(limited.is_quiet())


class PlainPool(_Pool, urllib3.HTTPConnectionPool):  # type: ignore[override]
    """A pool of connections without TLS."""


class TLSPool(_Pool, urllib3.HTTPSConnectionPool):  # type: ignore[override]
    """A pool of connections with TLS."""


def limit_pools(manager: urllib3.PoolManager) -> None:
    """Make *manager* create the pools of this package. Its existing pools are dropped."""
    if manager.pool_classes_by_scheme.get("http") is not PlainPool:
        manager.pool_classes_by_scheme = {"http": PlainPool, "https": TLSPool}
        manager.clear()

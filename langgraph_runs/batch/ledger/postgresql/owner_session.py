"""The session of one map in PostgreSQL: what makes the map the owner of its claims, and what happens when it is lost.

A map is the owner of its claims as long as its session holds an advisory lock on the map's number. PostgreSQL releases the lock
when the session ends: when the process or its machine dies, when the connection breaks, and when the server restarts. In the last
two cases the map lives on and its tasks go on, so it must not seem dead:

- The session is checked four times a second by a thread of its own, and replaced by a new one that takes the same lock.
- The server may have ended the session without this side's knowledge: the network is cut in between, and the server restarts, or
  another one takes its place. So a run is created only while a statement has shown less than `CONFIRMED` seconds ago that the
  session exists, which is less than `GRACE`.
- Another map takes over the claims only if it has seen the lock free, without a new session in between, for `GRACE` seconds.
- If there is no new session within `FENCE` seconds, which is less, the map ends its tasks, so that they create no further runs.
  Runs that they have created before are found by the map that takes over. When the database is back, the map starts the tasks again
  whose claims it still has, and claims the others again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import selectors
import socket
import threading
import time
import weakref
from typing import Any, Callable, Iterator, List, Optional, TypeVar

from ....call import polling_wait
from ....errors import LedgerError
from .connection import connect, converted_errors, error_of, is_transient, needs_new_session
from .url import PostgresqlUrl, load_psycopg

__all__ = ["GRACE", "Session"]

T = TypeVar("T")
_log = logging.getLogger(__name__)

#: Seconds for which a lock must have been seen free before its claims are taken over.
GRACE = 3.0
#: Seconds after which a map without a session ends its tasks.
FENCE = 1.0
#: Seconds for which a statement shows that the session exists, from its begin.
CONFIRMED = 2.0
#: Seconds between two checks of the session, and between two statements that show that the server responds.
_TICK, _HEARTBEAT = 0.25, 1.0
#: Seconds for which a statement is tried again: unless the map says otherwise, and after `Session.interrupt`.
_LONGEST_OUTAGE, _INTERRUPTED = 600.0, 3.0
#: Seconds after which a statement without a response is taken for a broken connection. With a heartbeat and `FENCE` less than half
#: a minute, the time in which the server notices the same.
_SLOWEST = 15.0
#: Seconds in which the former session must end, if the server still has it.
_FORMER_SESSION = 2.0

_all: weakref.WeakSet[Session] = weakref.WeakSet()
#: Connections of the parent process, kept so that they are not closed by the garbage collector.
_of_parent: List[Any] = []


class Session:
    """One map's session. `run` may be called by one thread at a time, `interrupt` by any."""

    def __init__(self, url: PostgresqlUrl, register: Callable[[Any, int], None], renew: Callable[[Any, int], bool]) -> None:
        """Open the session.

        *register* makes the number of a map known to others. *renew* notes that the map has a new session, and returns False if
        its claims were taken over. Both get a connection, whose session holds the lock on the number, and the number.
        """
        self._psycopg = load_psycopg()
        self.url = url
        self._register = register
        self._renew = renew
        self._lock = threading.RLock()
        self._interrupted = threading.Event()
        self._closed = threading.Event()
        self._on_lost: Callable[[], object] = lambda: None
        self._max_outage: Optional[float] = _LONGEST_OUTAGE
        #: The number of the map, and of its lock. A new one if the claims were taken over.
        self.owner = _new_owner()
        self._connection: Any = None
        #: When the session was lost; None while there is one.
        self._lost_at: Optional[float] = None
        self._fence: Optional[threading.Timer] = None
        #: When the last statement began that the server has responded to.
        self._last_statement = time.monotonic()
        #: When the statement began that runs now; None if none runs.
        self._statement_began: Optional[float] = None
        #: The connection that was opened last.
        self._opening: Any = None
        with converted_errors(url):
            self._connection = self._open(new=True)
        _all.add(self)
        self._thread = threading.Thread(target=_watch, args=(weakref.ref(self), self._closed), daemon=True)
        self._thread.name = "langgraph_runs-ledger"
        self._thread.start()

    def watch(self, on_lost: Callable[[], object], max_outage: Optional[float]) -> None:
        """See `LedgerStore`."""
        self._on_lost = on_lost
        self._max_outage = max_outage

    @property
    def is_confirmed(self) -> bool:
        """True if the session existed less than `CONFIRMED` seconds ago. May be read by any thread."""
        return self._lost_at is None and time.monotonic() - self._last_statement < CONFIRMED

    def interrupt(self) -> None:
        """See `LedgerStore`."""
        self._interrupted.set()

    # -- statements

    def run(self, work: Callable[[Any], T]) -> T:
        """Return what *work* returns for a connection. If the connection breaks, wait for the database, and call *work* again.

        So *work* must have the same effect if it is done twice. Raises `LedgerError` if the database cannot be reached for a long
        time, or for an error that does not pass.
        """
        began: Optional[float] = None
        attempt = 0
        while True:
            try:
                with self._lock:
                    self._check_open()
                    with self._observed():
                        if self._lost_at is not None:
                            self._reconnect()
                        return work(self._connection)
            except self._psycopg.Error as error:
                began = time.monotonic() if began is None else began
                self._note_failure(error)
                longest = _INTERRUPTED if self._interrupted.is_set() else self._max_outage
                if not is_transient(error) or (longest is not None and time.monotonic() - began >= longest):
                    with converted_errors(self.url):
                        raise
            except LedgerError:
                raise
            except BaseException:
                self._lose()  # an exception of a signal handler has ended the statement somewhere
                raise
            pause = polling_wait(attempt)
            attempt += 1
            if self._interrupted.is_set():
                time.sleep(pause)
            else:
                self._interrupted.wait(pause)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise LedgerError(f"the ledger {self.url} is closed")

    def _note_failure(self, error: Any) -> None:
        with self._lock:
            broken = self._connection is None or self._connection.closed or self._connection.broken
            if broken or needs_new_session(error):
                self._lose(error)

    # -- the loss of the session

    def _lose(self, error: Optional[BaseException] = None) -> None:
        with self._lock:
            if self._lost_at is None:
                self._lost_at = time.monotonic()
                text = "it was interrupted" if error is None else str(error_of(error, self.url))
                _log.info("the connection to the ledger was lost and is opened again: %s", text)
                self._fence = threading.Timer(FENCE, self._end_tasks)
                self._fence.daemon = True
                self._fence.start()
            self._drop_connection()

    def _end_tasks(self) -> None:
        _log.warning("the ledger %s cannot be reached: the map waits for it, and starts no run", self.url)
        self._on_lost()

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(self._psycopg.Error):
                connection.close()

    def _reconnect(self) -> None:
        """Open a new session. Called with the lock."""
        began = time.monotonic()
        self._connection = self._open(new=False)
        self._last_statement = began
        if self._fence is not None:
            self._fence.cancel()
            self._fence = None
        if self._lost_at is not None and time.monotonic() - self._lost_at >= FENCE:
            _log.warning("the ledger %s can be reached again", self.url)
        self._lost_at = None

    def _open(self, *, new: bool) -> Any:
        connection = connect(self.url, _application(self.owner))
        self._opening = connection
        try:
            if new:
                self._become_owner(connection)
            else:
                self._take_lock(connection)
                if not self._renew(connection, self.owner):
                    # Others have the claims: this is another owner now, which holds none of them.
                    self._on_lost()
                    connection.execute("SELECT pg_advisory_unlock(%s)", [self.owner])
                    self.owner = _new_owner()
                    connection.execute("SELECT set_config('application_name', %s, false)", [_application(self.owner)])
                    self._become_owner(connection)
        except BaseException:
            with contextlib.suppress(self._psycopg.Error):
                connection.close()
            raise
        return connection

    def _become_owner(self, connection: Any) -> None:
        self._take_lock(connection)
        self._register(connection, self.owner)

    def _take_lock(self, connection: Any) -> None:
        """Take the lock of the owner. If the server still has a former session of this map, end that."""
        end = time.monotonic() + _FORMER_SESSION
        while not connection.execute("SELECT pg_try_advisory_lock(%s)", [self.owner]).fetchone()[0]:
            if time.monotonic() >= end:
                raise self._psycopg.OperationalError("the former connection of this map has not ended yet")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s AND usename = current_user"
                " AND pid <> pg_backend_pid()",
                [_application(self.owner)],
            )
            time.sleep(polling_wait(1))

    # -- the thread that checks the session

    def check(self) -> None:
        """Replace the session if it is lost. While a statement runs, only check that it does not take too long."""
        if not self._lock.acquire(blocking=False):
            began = self._statement_began
            if began is not None and time.monotonic() - began >= _SLOWEST:
                self._cut()
            return
        try:
            if self._closed.is_set():
                return
            if self._lost_at is None and (_is_readable(self._connection) or self._is_silent()):
                cutting = threading.Timer(_SLOWEST, self._cut)
                cutting.daemon = True
                cutting.start()
                began = time.monotonic()
                try:
                    self._connection.execute("SELECT 1")
                finally:
                    cutting.cancel()
                self._last_statement = began
            if self._lost_at is not None:
                self._reconnect()
        except self._psycopg.Error as error:
            self._note_failure(error)
        except LedgerError as error:
            _log.info("the ledger cannot be used again: %s", error)  # the next statement raises it
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def _observed(self) -> Iterator[None]:
        """Note when a statement began, for the thread that checks the session, and that the server has responded to it."""
        began = self._statement_began = time.monotonic()
        try:
            yield
            self._last_statement = max(began, self._last_statement)
        finally:
            self._statement_began = None

    def _cut(self) -> None:
        """End the statement that runs in another thread, as if the connection had broken."""
        for connection in (self._connection, self._opening):
            with contextlib.ExitStack() as stack:
                stack.enter_context(contextlib.suppress(OSError, self._psycopg.Error, AttributeError))
                copy = stack.enter_context(socket.socket(fileno=os.dup(connection.fileno())))
                copy.shutdown(socket.SHUT_RDWR)

    def _is_silent(self) -> bool:
        return time.monotonic() - self._last_statement >= _HEARTBEAT

    # -- the end

    def close(self, work: Callable[[Any], object]) -> None:
        """Call *work* for the last time, and end the session. If the database cannot be reached, the server releases the claims."""
        self.interrupt()
        try:
            self.run(work)
        except LedgerError as error:
            _log.warning("a map could not say that it has ended; others see it when its connection has ended: %s", error)
        finally:
            self._closed.set()
            with self._lock:
                if self._fence is not None:
                    self._fence.cancel()
                self._drop_connection()
            if threading.current_thread() is not self._thread:  # a garbage collection may run in any thread
                self._thread.join()

    def after_fork(self) -> None:
        """In a child process: close the child's copy of the socket, so that the session ends when the parent does."""
        if self._connection is not None:
            _of_parent.append(self._connection)
            with contextlib.suppress(OSError, self._psycopg.Error):
                os.close(self._connection.fileno())


def _watch(reference: weakref.ref[Session], closed: threading.Event) -> None:
    """Check the session of *reference* until it is closed. Does not keep it alive."""
    while not closed.wait(_TICK):
        session = reference()
        if session is None:
            return
        session.check()
        del session


def _is_readable(connection: Any) -> bool:
    """Return True if the server has sent something that no statement has caused: that it ends the session."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        return bool(selector.select(0))


def _new_owner() -> int:
    return secrets.randbits(62) + 1


def _application(owner: int) -> str:
    return f"langgraph_runs {owner:016x}"


def _after_fork() -> None:
    for session in list(_all):
        session.after_fork()
    _all.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)

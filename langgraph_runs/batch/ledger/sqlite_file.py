"""The file of a ledger: an SQLite database in WAL mode, its tables, its transactions, and `LedgerError` for its errors.

Knows nothing of runs. The only importer of sqlite3, which is imported when the first ledger is opened. Every commit is synced to
the disk before it returns (``synchronous=FULL``), so that it survives a kill of the process and, if the disk and the file system
sync as they promise, a power failure.
"""

from __future__ import annotations

import contextlib
import operator
import os
import pathlib
import threading
import time
from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple, Union

from ...call import SIGNAL_INTERVAL, raise_foreign
from ...errors import InvalidRequestError, LedgerError

__all__ = ["ORPHANED_THREADS", "RERUN_FAILED", "KeyCounter", "LockFile", "SqliteFile", "check_path"]

#: SQLite's application id in the header of the file, "LGRL": other databases are refused.
_APPLICATION = 0x4C47524C
_VERSION = 1
#: Seconds that a transaction waits for transactions of other processes. Each of those takes milliseconds.
_BUSY_TIMEOUT = 60.0
#: The same once the map ends.
_BUSY_AT_END = 5.0
#: Seconds of a single wait within SQLite, during which Python calls no signal handlers.
_BUSY_STEP = SIGNAL_INTERVAL
#: The text of SQLite's error while another connection has the lock.
_LOCKED = "database is locked"
#: Seconds between two attempts at what SQLite refuses at once then.
_LOCKED_PAUSE = 0.01
#: Two names in the file stay as they were in the first version, so that existing files stay readable: the table of orphaned
#: threads, and the column that says whether a failed input is run again (`Claim.rerun_failed`). ``place`` is the index of an input.
ORPHANED_THREADS, RERUN_FAILED = "litter", "redo"
_TABLES = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    f"""
    CREATE TABLE entry (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        digest TEXT NOT NULL,
        place INTEGER NOT NULL,
        status TEXT NOT NULL,
        owner TEXT,
        thread_id TEXT,
        run_id TEXT,
        {RERUN_FAILED} INTEGER NOT NULL DEFAULT 0,
        paused INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        seconds REAL NOT NULL DEFAULT 0,
        "values" BLOB,
        error TEXT
    )
    """,
    "CREATE INDEX entry_status ON entry (status, id)",
    "CREATE INDEX entry_owner ON entry (owner) WHERE owner IS NOT NULL",
    "CREATE TABLE owner (id TEXT PRIMARY KEY, pid INTEGER NOT NULL) WITHOUT ROWID",
    f"CREATE TABLE {ORPHANED_THREADS} (thread_id TEXT PRIMARY KEY) WITHOUT ROWID",
)


def check_path(path: Any) -> str:
    """Return *path* as text, absolute, since the program may change its directory while a map is in use.

    Raises `InvalidRequestError` if it is not the path of a file.
    """
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise InvalidRequestError(f"ledger={path!r}: give the path of a file, or a Ledger")
    text = os.fspath(path)
    if not isinstance(text, str) or text.startswith(":") or "\0" in text:
        raise InvalidRequestError(f"ledger={path!r}: give the path of a file; a ledger in memory would not outlive the process")
    return os.path.abspath(text)


class SqliteFile:
    """One connection to a ledger. Its methods may be called from any thread, by one thread at a time."""

    def __init__(self, path: Union[str, os.PathLike[str]], *, create: bool) -> None:
        import sqlite3

        self.path = check_path(path)
        self._sqlite3 = sqlite3
        self._lock = threading.RLock()
        self._busy_timeout = _BUSY_TIMEOUT
        #: Stands for the transaction that was begun last; None after `close`.
        self._begun: Optional[object] = None
        if not create and not os.path.exists(self.path):
            raise LedgerError(f"there is no ledger at {self.path!r}")
        with self._converted_errors():
            self._connection = sqlite3.connect(self.path, timeout=_BUSY_STEP, isolation_level=None, check_same_thread=False)
        try:
            with self._converted_errors():
                self._prepare(create)
        except BaseException:
            self.close()
            raise

    def _prepare(self, create: bool) -> None:
        with self._transaction("DEFERRED"):  # reads all three at one moment, since another process may be creating the tables
            application, version = self._number("application_id"), self._number("user_version")
            empty = self.one("SELECT count(*) FROM sqlite_master") == (0,)
        if application != _APPLICATION and not (empty and application == 0 and create):
            raise LedgerError(f"{self.path!r} is a database, but not a ledger; give another path")
        if version > _VERSION:
            raise LedgerError(f"the ledger {self.path!r} was made by a newer version of langgraph_runs: update it here too")
        if not self._use_wal():
            raise LedgerError(f"the ledger {self.path!r} is on a file system without shared memory: put it on a local disk")
        for pragma in ("synchronous=FULL", "fullfsync=1", "temp_store=1", "temp.journal_mode=OFF"):
            self.run(f"PRAGMA {pragma}")
        if application != _APPLICATION:
            self._create_tables()

    def _use_wal(self) -> bool:
        """Set the journal mode. Return False if the file system does not support it.

        SQLite does not wait for `_BUSY_TIMEOUT` if two connections set the mode of a new file at the same time, but refuses one.
        """
        end = time.monotonic() + _BUSY_TIMEOUT
        while True:
            try:
                return self.one("PRAGMA journal_mode=WAL") == ("wal",)
            except LedgerError as error:
                if "locked" not in str(error.__cause__) or time.monotonic() >= end:
                    raise
            time.sleep(_LOCKED_PAUSE)

    def _create_tables(self) -> None:
        with self.transaction():
            if self._number("application_id") == _APPLICATION:
                return  # another process has created them meanwhile
            for statement in _TABLES:
                self.run(statement)
            self.run(f"PRAGMA user_version={_VERSION}")
            self.run(f"PRAGMA application_id={_APPLICATION}")

    def _number(self, pragma: str) -> int:
        row = self.one(f"PRAGMA {pragma}")
        return 0 if row is None else int(row[0])

    @contextlib.contextmanager
    def _converted_errors(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except self._sqlite3.Error as error:
                raise LedgerError(f"the ledger {self.path!r}: {error}") from error

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Execute one statement. Returns the number of rows that it changed."""
        return int(self._executed(statement, values, operator.attrgetter("rowcount")))

    def one(self, statement: str, values: Sequence[Any] = ()) -> Optional[Tuple[Any, ...]]:
        """Return the first row, or None."""
        row: Optional[Tuple[Any, ...]] = self._executed(statement, values, operator.methodcaller("fetchone"))
        return row

    def all(self, statement: str, values: Sequence[Any] = ()) -> List[Tuple[Any, ...]]:
        """Return all rows."""
        rows: List[Tuple[Any, ...]] = self._executed(statement, values, operator.methodcaller("fetchall"))
        return rows

    def _executed(self, statement: str, values: Sequence[Any], read: Callable[[Any], Any]) -> Any:
        """Execute one statement, and return what *read* returns of its cursor.

        The cursor is closed at once: on PyPy an open one forbids a commit, and one whose rows were not all read locks the file. No
        function in Python gets it, since an exception of a signal handler refers to the frame of the function while it is handled.
        """
        cursor = None
        with self._converted_errors():
            try:
                cursor = self._execute(statement, values)
                return read(cursor)
            finally:
                if cursor is not None:
                    cursor.close()

    def _execute(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """Return the cursor of one statement. Wait for transactions of other processes, and let signal handlers run meanwhile."""
        began = time.monotonic()
        while True:
            try:
                return self._connection.execute(statement, values)
            except self._sqlite3.OperationalError as error:
                if str(error) != _LOCKED or time.monotonic() - began >= self._busy_timeout:
                    raise
            time.sleep(_LOCKED_PAUSE)

    def interrupt(self) -> None:
        """Wait less for transactions of other processes from now on. May be called by any thread."""
        self._busy_timeout = min(self._busy_timeout, _BUSY_AT_END)

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        """Return a context manager: a transaction that locks out other writers. At its end it is committed or rolled back."""
        return self._transaction("IMMEDIATE")

    @contextlib.contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        with self._converted_errors():
            self._roll_back()  # what a signal handler has interrupted before it could be rolled back
            own = self._begun = object()
            try:
                self._execute(f"BEGIN {kind}").close()
                yield
                self._execute("COMMIT").close()
            except BaseException:
                # This generator, if it was interrupted before its block began, ends when the exception of the handler is forgotten:
                # perhaps within a later transaction, or after `close`.
                if self._begun is own:
                    self._roll_back()
                raise

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK").close()

    def close(self) -> None:
        """Close the connection. May be called twice."""
        with self._converted_errors():
            self._begun = None
            self._connection.close()


class KeyCounter:
    """How often a map has read each key. On disk, so that a million keys need no memory; not kept when the map ends."""

    def __init__(self) -> None:
        import sqlite3

        # Without a name: SQLite makes a file if the cache is full, and removes it at the end.
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "temp_store=1"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute("CREATE TABLE seen (key TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID")

    def count(self, key: str) -> int:
        """Add 1 to the number of times that *key* was read, and return it."""
        if self._connection.execute("INSERT OR IGNORE INTO seen VALUES (?, 1)", [key]).rowcount:
            return 1
        self._connection.execute("UPDATE seen SET n = n + 1 WHERE key = ?", [key])
        return int(self._connection.execute("SELECT n FROM seen WHERE key = ?", [key]).fetchone()[0])

    def close(self) -> None:
        """Remove the file."""
        self._connection.close()


class LockFile:
    """A lock that the operating system releases when the process ends, even if it is killed.

    It is an empty SQLite database with an open exclusive transaction: SQLite's locks work on every system, between processes and
    within one.
    """

    def __init__(self, path: str) -> None:
        import sqlite3

        self.path = path
        with contextlib.ExitStack() as cleanup:
            try:
                self._connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
                cleanup.callback(self._connection.close)
                self._connection.execute("PRAGMA journal_mode=MEMORY").close()  # WAL would leave further files
                self._connection.execute("BEGIN EXCLUSIVE").close()
            except sqlite3.Error as error:
                raise LedgerError(f"the lock {path!r} beside the ledger cannot be taken: {error}") from error
            cleanup.pop_all()

    def release(self) -> None:
        """Release the lock and remove the file."""
        self._connection.close()
        _remove(self.path)

    @staticmethod
    def break_if_dead(path: str) -> bool:
        """Remove the file and return True if no process holds the lock; else return False."""
        import sqlite3

        if not os.path.exists(path):
            return True
        try:
            probe = sqlite3.connect(pathlib.Path(path).absolute().as_uri() + "?mode=rw", uri=True, timeout=0, isolation_level=None)
        except sqlite3.Error:
            return False  # this user may not open the file, so its owner may be alive
        try:
            probe.execute("PRAGMA journal_mode=MEMORY").close()
            probe.execute("BEGIN EXCLUSIVE").close()
        except sqlite3.Error:
            return False
        finally:
            probe.close()
        _remove(path)
        return True


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError as error:  # another process has removed it
        raise_foreign(error)

"""The ledger in an SQLite file: what holds for every ledger, and what is in the file, which files are refused, and their locks."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any, Iterator, List

import pytest

from langgraph_runs import InvalidRequestError, Ledger, LedgerError, RunFailedError
from langgraph_runs.batch.ledger import Claim, KeyCounter, LedgerStore, sqlite_file
from langgraph_runs.batch.ledger.sqlite_file import LockFile, SqliteFile

from ..ledgers import LedgerTests, claim_input, finish, open_store
from ..wire import test_interrupts


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "jobs.sqlite")


@pytest.fixture
def store(ledger: Ledger) -> Iterator[LedgerStore]:
    store = open_store(ledger)
    yield store
    store.close()


class TestSqlite(LedgerTests):
    """What holds for every ledger."""


def test_a_closed_map_leaves_one_file(ledger: Ledger) -> None:
    store, other = open_store(ledger), open_store(ledger)
    other.close()
    with pytest.raises(LedgerError):
        open_store(ledger, url="http://other")
    names = os.listdir(os.path.dirname(ledger.path))
    assert 1 == len([name for name in names if "-owner-" in name])
    store.close()
    assert ["jobs.sqlite"] == os.listdir(os.path.dirname(ledger.path))


def test_keys_are_counted() -> None:
    counter, other = KeyCounter(), KeyCounter()
    assert [1, 2, 1, 3] == [counter.count(key) for key in ("a", "a", "b", "a")]
    assert 1 == other.count("a")
    counter.close()
    other.close()


def test_a_lock_is_held_within_a_process_too(tmp_path: Path) -> None:
    """Checking it does not release it, as it would with plain POSIX locks."""
    path = str(tmp_path / "lock")
    lock = LockFile(path)
    for _ in range(3):
        assert not LockFile.break_if_dead(path)
        with pytest.raises(LedgerError, match="cannot be taken"):
            LockFile(path)
    lock.release()
    assert LockFile.break_if_dead(path)
    assert [] == os.listdir(tmp_path)


# -- other files


#: The tables as the first released version made them, with an input that had failed and is to be run again.
FIRST_VERSION = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE entry (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, digest TEXT NOT NULL, place INTEGER NOT NULL, status TEXT NOT NULL, owner TEXT,
    thread_id TEXT, run_id TEXT, redo INTEGER NOT NULL DEFAULT 0, paused INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0, "values" BLOB, error TEXT
);
CREATE INDEX entry_status ON entry (status, id);
CREATE INDEX entry_owner ON entry (owner) WHERE owner IS NOT NULL;
CREATE TABLE owner (id TEXT PRIMARY KEY, pid INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE litter (thread_id TEXT PRIMARY KEY) WITHOUT ROWID;
INSERT INTO about VALUES ('url', 'http://server'), ('assistant_id', 'agent');
INSERT INTO litter VALUES ('an-old-thread');
INSERT INTO entry (key, digest, place, status, thread_id, redo, attempts)
    VALUES ('a', 'digest of a', 3, 'pending', 'thread-a', 1, 2);
PRAGMA user_version=1;
PRAGMA application_id=1279742540;
"""


def test_a_file_of_the_first_version_can_be_used(ledger: Ledger) -> None:
    with sqlite3.connect(ledger.path) as connection:
        connection.executescript(FIRST_VERSION)
    connection.close()
    store = open_store(ledger, options={"context": "a digest"})
    assert ["an-old-thread"] == store.orphaned_threads(10)
    claim = claim_input(store, "a")
    assert Claim("a", "thread-a", 3, may_exist=True, rerun_failed=True) == claim
    finish(store, claim, values={"n": 1}, error=RunFailedError("E", "m"))
    assert 1 == ledger.retry_failed()
    assert {"an-old-thread", "thread-a"} == set(store.orphaned_threads(10))
    store.close()
    assert {"pending": 1, "started": 0, "done": 0, "failed": 0} == ledger.counts()
    with pytest.raises(LedgerError, match="other options"):
        open_store(ledger)


def test_other_files_are_refused_and_not_changed(tmp_path: Path) -> None:
    text, database = tmp_path / "text", tmp_path / "other.sqlite"
    text.write_text("no database at all, but long enough for a header " * 50)
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE mine (a)")
    connection.close()
    before = text.read_bytes(), database.read_bytes()
    for path, message in ((text, "file is not a database"), (database, "not a ledger"), (tmp_path, "unable to open")):
        with pytest.raises(LedgerError, match=message):
            Ledger(path).counts()
        with pytest.raises(LedgerError, match=message):
            open_store(Ledger(path))
    assert before == (text.read_bytes(), database.read_bytes())


def test_a_newer_ledger_is_refused(ledger: Ledger, store: LedgerStore) -> None:
    with sqlite3.connect(ledger.path) as connection:
        connection.execute("PRAGMA user_version=2")
    connection.close()
    with pytest.raises(LedgerError, match="newer version of langgraph_runs"):
        ledger.counts()


@pytest.mark.parametrize("path", ["", ":memory:", 3, None, b"x", "a\0b"])
def test_a_path_is_the_path_of_a_file(path: Any) -> None:
    with pytest.raises(InvalidRequestError, match="give the path of a file"):
        Ledger(path)


def test_every_commit_is_synced(ledger: Ledger) -> None:
    """The promise for power failures depends on it."""
    file = SqliteFile(ledger.path, create=True)
    assert ((2,), ("wal",)) == (file.one("PRAGMA synchronous"), file.one("PRAGMA journal_mode"))
    file.close()


@pytest.mark.parametrize("url", ["mysql://u:sec-ret@host/db", "postgresql+psycopg://u:sec-ret@host/db"])
def test_another_database_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequestError, match="begins with postgresql://") as caught:
        Ledger(url)
    assert "sec-ret" not in str(caught.value)


def test_a_ledger_can_be_read_while_it_is_written(ledger: Ledger, store: LedgerStore) -> None:
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.append(len(list(ledger.entries()))))
    writing = SqliteFile(ledger.path, create=False)
    with writing.transaction():
        writing.run("INSERT INTO entry (key, digest, place, status) VALUES ('a', 'd', 0, 'pending')")
        reader.start()
        reader.join(20)
    writing.close()
    assert [0] == seen
    assert 1 == len(list(ledger.entries()))


def test_a_new_file_may_be_opened_by_several_at_the_same_time(tmp_path: Path) -> None:
    """SQLite refuses one of two connections that set the journal mode at once, without waiting for the other."""
    errors: List[LedgerError] = []

    def open_it(path: Path, barrier: threading.Barrier) -> None:
        barrier.wait()
        try:
            SqliteFile(path, create=True).close()
        except LedgerError as error:
            errors.append(error)

    for number in range(60):
        barrier = threading.Barrier(8)
        threads = [threading.Thread(target=open_it, args=(tmp_path / f"{number}.sqlite", barrier)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [] == errors


@pytest.mark.parametrize(("refusals", "text"), [(3, "database is locked"), (1, "disk I/O error")])
def test_only_a_lock_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusals: int, text: str) -> None:
    left = [sqlite3.OperationalError(text)] * refusals
    one = SqliteFile.one

    def refused(self: SqliteFile, statement: str, values: Any = ()) -> Any:
        if statement == "PRAGMA journal_mode=WAL" and left:
            error = left.pop()
            raise LedgerError(f"the ledger: {error}") from error
        return one(self, statement, values)

    monkeypatch.setattr(SqliteFile, "one", refused)
    if text == "database is locked":
        SqliteFile(tmp_path / "jobs.sqlite", create=True).close()
    else:
        with pytest.raises(LedgerError, match="disk I/O error"):
            SqliteFile(tmp_path / "jobs.sqlite", create=True)
    assert [] == left


def test_a_transaction_that_a_signal_handler_has_left_open_is_rolled_back(tmp_path: Path) -> None:
    """Its exception may arrive directly after the first statement."""
    with contextlib.closing(SqliteFile(tmp_path / "jobs.sqlite", create=True)) as file:
        file.run("BEGIN IMMEDIATE")
        file.run("INSERT INTO about VALUES ('lost', '1')")
        with file.transaction():
            file.run("INSERT INTO about VALUES ('kept', '1')")
        assert [("kept",)] == file.all("SELECT name FROM about")


def test_an_interrupted_transaction_that_ends_late_leaves_a_later_one_alone(tmp_path: Path) -> None:
    """Its generator lives as long as the exception that a signal handler raised before its block began."""
    with contextlib.closing(SqliteFile(tmp_path / "jobs.sqlite", create=True)) as file:
        interrupted: Any = file.transaction()
        interrupted.__enter__()
        with file.transaction():
            file.run("INSERT INTO about VALUES ('kept', '1')")
            interrupted.gen.close()  # as when the exception is forgotten
        assert [("kept",)] == file.all("SELECT name FROM about")
        interrupted = file.transaction()
        interrupted.__enter__()
    interrupted.gen.close()  # the file is closed


def test_an_interrupt_at_any_point_leaves_the_file_unlocked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the exception is handled, which refers to the frames that it came through."""
    monkeypatch.setattr(sqlite_file, "_BUSY_TIMEOUT", 0.0)
    monkeypatch.setattr(sqlite_file, "_BUSY_STEP", 0.0)
    monkeypatch.setattr(test_interrupts, "FILES", ("contextlib.py",))

    def use(number: int) -> None:
        SqliteFile(tmp_path / f"{number}.sqlite", create=True).close()

    use(0)
    point, locked, tracer = 0, [], test_interrupts.Tracer(-1, test_interrupts.interrupt)
    while True:
        point += 3
        tracer = test_interrupts.Tracer(point, test_interrupts.interrupt)
        try:
            tracer.run(functools.partial(use, point))
        except test_interrupts.Interrupt:
            try:
                use(point)
            except LedgerError as error:
                locked.append((tracer.place, str(error)))
        if tracer.place is None:
            break
    assert [] == locked
    assert point > 20


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer signals")
def test_a_signal_handler_runs_while_another_process_has_locked_the_file(tmp_path: Path) -> None:
    """As a job limit, or Ctrl-C: SQLite itself would wait for a minute before Python calls the handler."""

    class JobLimit(TimeoutError):
        pass

    def handler(*_: Any) -> None:
        raise JobLimit

    path = tmp_path / "jobs.sqlite"
    SqliteFile(path, create=True).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with contextlib.closing(SqliteFile(path, create=True)) as file:
            before = signal.signal(signal.SIGALRM, handler)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            began = time.monotonic()
            try:
                with pytest.raises(JobLimit), file.transaction():
                    pass
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
            assert time.monotonic() - began < 10
            other.execute("ROLLBACK")
            with file.transaction():
                file.run("INSERT INTO about VALUES ('a', '1')")


def test_the_end_of_a_map_waits_less_for_a_locked_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "_BUSY_AT_END", 0.0)
    monkeypatch.setattr(sqlite_file, "_BUSY_STEP", 0.0)
    path = tmp_path / "jobs.sqlite"
    with contextlib.closing(SqliteFile(path, create=True)) as file:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            threading.Timer(0.1, file.interrupt).start()
            with pytest.raises(LedgerError, match="locked"), file.transaction():
                pass

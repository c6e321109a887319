"""The ledger of a map: what is in the file after each step, which map has claimed what, and which files are refused."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Iterator, List

import pytest

from langgraph_runs import BatchResult, InvalidRequestError, Ledger, LedgerError, RunFailedError
from langgraph_runs.batch.ledger.sqlite_file import LockFile, SqliteFile
from langgraph_runs.batch.ledger.store import Claim
from langgraph_runs.batch.ledger.writer import LedgerWriter

ROOT = Path(__file__).resolve().parent.parent.parent
MADE_FOR = {"url": "http://server", "assistant_id": "agent"}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "jobs.sqlite")


@pytest.fixture
def writer(ledger: Ledger) -> Iterator[LedgerWriter]:
    writer = LedgerWriter(ledger.path, **MADE_FOR)
    yield writer
    writer.close()


def claim_input(writer: LedgerWriter, key: str, index: int = 0) -> Any:
    with writer.transaction():
        return writer.claim(key, f"digest of {key}", index)


def finish(writer: LedgerWriter, claim: Claim, *, delete: bool = True, **result: Any) -> None:
    with writer.transaction():
        fields = {"index": 0, "key": claim.key, "thread_id": claim.thread_id, "attempts": claim.attempts, **result}
        writer.finish(BatchResult(**fields), delete=delete)


def release(writer: LedgerWriter, claim: Claim, *, cancelled: bool = False, may_exist: bool = True) -> None:
    with writer.transaction():
        writer.release(claim, error=None, cancelled=cancelled, may_exist=may_exist)


# -- claims and results


def test_a_claim_is_recorded_with_its_thread(ledger: Ledger, writer: LedgerWriter) -> None:
    claim = claim_input(writer, "a", 7)
    (entry,) = ledger.entries()
    assert ("a", 7, "started", claim.thread_id, 1, None) == (
        entry.key,
        entry.index,
        entry.status,
        entry.thread_id,
        entry.attempts,
        entry.values,
    )
    assert (False, False) == (claim.may_exist, claim.rerun_failed)


def test_a_final_result_is_read_back(ledger: Ledger, writer: LedgerWriter) -> None:
    good, bad = claim_input(writer, "a"), claim_input(writer, "b")
    finish(writer, good, values={"n": [1, None, "é"]}, run_id="r1", seconds=1.5)
    finish(writer, bad, error=RunFailedError("ValueError", "no ink", run_id="r2"), values={"n": 1}, delete=False)
    item = object()
    found = writer.find_result("a", "digest of a", index=3, item=item)
    assert found is not None and found.input is item
    assert ({"n": [1, None, "é"]}, None, "r1", 1.5, 3, True) == (
        found.values,
        found.error,
        found.run_id,
        found.seconds,
        found.index,
        found.from_ledger,
    )
    failed = writer.find_result("b", "digest of b", index=0, item=None)
    assert failed is not None and isinstance(failed.error, RunFailedError)
    assert ("no ink", "r2", {"n": 1}, bad.thread_id) == (failed.error.message, failed.error.run_id, failed.values, failed.thread_id)
    assert [good.thread_id] == writer.orphaned_threads(10)
    assert {"pending": 0, "started": 0, "done": 1, "failed": 1} == ledger.counts()
    assert None is claim_input(writer, "a") is claim_input(writer, "b")


def test_a_value_of_null_is_a_value(writer: LedgerWriter) -> None:
    finish(writer, claim_input(writer, "a"), values=None)
    found = writer.find_result("a", "digest of a", index=0, item=None)
    assert found is not None and (None, None) == (found.values, found.error)


def test_a_changed_input_is_an_error(writer: LedgerWriter) -> None:
    claim_input(writer, "a")
    found = writer.find_result("a", "another", index=0, item=None)
    assert found is not None and isinstance(found.error, LedgerError)
    assert "'a' has changed" in str(found.error)


def test_a_deleted_thread_is_no_longer_orphaned(writer: LedgerWriter) -> None:
    claim = claim_input(writer, "a")
    finish(writer, claim, values=1)
    with writer.transaction():
        writer.remove_orphaned_threads([claim.thread_id])
    assert [] == writer.orphaned_threads(10)


def test_a_failed_transaction_changes_nothing(ledger: Ledger, writer: LedgerWriter) -> None:
    with pytest.raises(KeyError):
        with writer.transaction():
            writer.claim("a", "d", 0)
            raise KeyError("a")
    assert [] == list(ledger.entries())


def test_occurrences_are_counted_for_each_map(ledger: Ledger, writer: LedgerWriter) -> None:
    assert [1, 2, 1, 3] == [writer.occurrence(key) for key in ("a", "a", "b", "a")]
    other = LedgerWriter(ledger.path, **MADE_FOR)
    assert 1 == other.occurrence("a")
    other.close()


# -- releasing claims


@pytest.mark.parametrize(
    ("cancelled", "may_exist", "status", "found_may_exist", "rerun_failed"),
    [
        (False, True, "started", True, False),  # joined by the next map
        (True, True, "pending", True, True),  # looked up by the next map, and run again if it was cancelled
        (True, False, "pending", False, False),  # never sent
        (False, False, "pending", False, False),
    ],
)
def test_a_released_input_is_claimed_by_the_next_map(
    ledger: Ledger, writer: LedgerWriter, cancelled: bool, may_exist: bool, status: str, found_may_exist: bool, rerun_failed: bool
) -> None:
    claim = claim_input(writer, "a")
    release(writer, claim, cancelled=cancelled, may_exist=may_exist)
    assert status == next(ledger.entries()).status
    again = claim_input(writer, "a")
    assert (found_may_exist, rerun_failed, 2) == (again.may_exist, again.rerun_failed, again.attempts)
    assert (again.thread_id == claim.thread_id) is found_may_exist


def test_a_cancelled_input_is_run_again_even_if_the_next_map_dies(ledger: Ledger, writer: LedgerWriter) -> None:
    """Otherwise the cancelled run would become the result of the input."""
    release(writer, claim_input(writer, "a"), cancelled=True)
    release(writer, claim_input(writer, "a"))
    assert claim_input(writer, "a").rerun_failed


def test_an_input_on_a_new_thread_has_no_run_yet(writer: LedgerWriter) -> None:
    release(writer, claim_input(writer, "a"), cancelled=True)
    old = claim_input(writer, "a")
    with writer.transaction():
        new = writer.replace_thread(old, delete=True)
    assert new.thread_id != old.thread_id and not new.may_exist and not new.rerun_failed
    assert [old.thread_id] == writer.orphaned_threads(10)
    release(writer, new)
    assert (new.thread_id, False) == (claim_input(writer, "a").thread_id, False)


def test_a_deleted_thread_is_replaced(writer: LedgerWriter) -> None:
    claim = claim_input(writer, "a")
    release(writer, claim, cancelled=True)
    with writer.transaction():
        writer.forget_thread("a", claim.thread_id)
    again = claim_input(writer, "a")
    assert not again.may_exist and again.thread_id != claim.thread_id


@pytest.mark.parametrize("keys", [None, ["b"], ["a", "b"], ["nobody"], iter(["b"])])
def test_failed_inputs_can_be_run_again(ledger: Ledger, writer: LedgerWriter, keys: Any) -> None:
    finish(writer, claim_input(writer, "a"), values=1)
    finish(writer, claim_input(writer, "b"), error=RunFailedError("E", "m"))
    changed = ledger.retry_failed(keys)
    assert (0 if keys == ["nobody"] else 1) == changed
    again = claim_input(writer, "b")
    assert (again is not None) is bool(changed)
    assert None is claim_input(writer, "a")


# -- owners


def test_two_maps_do_not_claim_the_same_input(ledger: Ledger, writer: LedgerWriter) -> None:
    other = LedgerWriter(ledger.path, **MADE_FOR)
    claim = claim_input(writer, "a")
    assert None is claim_input(other, "a")
    assert not other.is_unclaimed("a")
    assert 0 == other.release_dead_owners()
    release(writer, claim)
    assert other.is_unclaimed("a")
    assert claim.thread_id == claim_input(other, "a").thread_id
    other.close()


def test_closing_a_map_releases_its_claims(ledger: Ledger) -> None:
    one = LedgerWriter(ledger.path, **MADE_FOR)
    claim = claim_input(one, "a")
    one.close()
    other = LedgerWriter(ledger.path, **MADE_FOR)
    again = claim_input(other, "a")
    assert (claim.thread_id, True, False) == (again.thread_id, again.may_exist, again.rerun_failed)
    other.close()
    assert ["jobs.sqlite"] == os.listdir(os.path.dirname(ledger.path))


def test_claims_of_a_killed_process_are_released(ledger: Ledger, writer: LedgerWriter) -> None:
    """And not before it has ended, however long that takes."""
    code = f"""
import sys, time
from langgraph_runs.batch.ledger.writer import LedgerWriter
writer = LedgerWriter({ledger.path!r}, **{MADE_FOR!r})
with writer.transaction():
    writer.claim("a", "digest of a", 0)
print("claimed", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"claimed\n" == process.stdout.readline()
        assert 0 == writer.release_dead_owners()
        assert None is claim_input(writer, "a")
        assert 2 == len([name for name in os.listdir(os.path.dirname(ledger.path)) if "-owner-" in name])
        process.kill()
    assert 1 == writer.release_dead_owners()
    assert claim_input(writer, "a").may_exist
    assert 1 == len([name for name in os.listdir(os.path.dirname(ledger.path)) if "-owner-" in name])


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
    writer = LedgerWriter(ledger.path, **MADE_FOR)
    assert ["an-old-thread"] == writer.orphaned_threads(10)
    claim = claim_input(writer, "a")
    assert Claim("a", "thread-a", 3, may_exist=True, rerun_failed=True) == claim
    finish(writer, claim, values={"n": 1}, error=RunFailedError("E", "m"))
    assert 1 == ledger.retry_failed()
    assert {"an-old-thread", "thread-a"} == set(writer.orphaned_threads(10))
    writer.close()
    assert {"pending": 1, "started": 0, "done": 0, "failed": 0} == ledger.counts()


def test_a_ledger_belongs_to_one_server_and_assistant(ledger: Ledger, writer: LedgerWriter) -> None:
    assert MADE_FOR == ledger.about()
    for other in ({"url": "http://other"}, {"assistant_id": "other"}):
        with pytest.raises(LedgerError, match="is for another"):
            LedgerWriter(ledger.path, **{**MADE_FOR, **other})
    assert 1 == len([name for name in os.listdir(os.path.dirname(ledger.path)) if "-owner-" in name])


def test_a_missing_ledger_cannot_be_read(ledger: Ledger) -> None:
    for read in (ledger.counts, ledger.about, ledger.retry_failed, lambda: list(ledger.entries())):
        with pytest.raises(LedgerError, match="there is no ledger at"):
            read()
    assert not ledger.exists
    assert not os.path.exists(ledger.path)


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
            LedgerWriter(str(path), **MADE_FOR)
    assert before == (text.read_bytes(), database.read_bytes())


def test_a_newer_ledger_is_refused(ledger: Ledger, writer: LedgerWriter) -> None:
    with sqlite3.connect(ledger.path) as connection:
        connection.execute("PRAGMA user_version=2")
    connection.close()
    with pytest.raises(LedgerError, match="newer version of langgraph_runs"):
        ledger.counts()


@pytest.mark.parametrize("path", ["", ":memory:", 3, None, b"x", "a\0b"])
def test_a_path_is_the_path_of_a_file(path: Any) -> None:
    with pytest.raises(InvalidRequestError, match="give the path of a file"):
        Ledger(path)


def test_an_unknown_status_is_refused(ledger: Ledger) -> None:
    with pytest.raises(InvalidRequestError, match="give one of pending, started, done, failed"):
        list(ledger.entries("finished"))
    with pytest.raises(InvalidRequestError, match="give a list of keys"):
        ledger.retry_failed("a")


def test_every_commit_is_synced(ledger: Ledger) -> None:
    """The promise for power failures depends on it."""
    file = SqliteFile(ledger.path, create=True)
    assert ((2,), ("wal",)) == (file.one("PRAGMA synchronous"), file.one("PRAGMA journal_mode"))
    file.close()


# -- reading


def test_entries_come_page_by_page_in_order(ledger: Ledger, writer: LedgerWriter) -> None:
    with writer.transaction():
        for n in range(1203):
            writer.claim(f"k{n}", "d", n)
    with writer.transaction():
        for n in range(0, 1203, 2):
            writer.finish(BatchResult(index=n, key=f"k{n}", values=n), delete=True)
    assert list(range(1203)) == [entry.index for entry in ledger.entries()]
    assert list(range(0, 1203, 2)) == [entry.values for entry in ledger.entries("done")]
    assert list(range(1, 1203, 2)) == [one["index"] for one in ledger.export("started")]
    assert {"pending": 0, "started": 601, "done": 602, "failed": 0} == ledger.counts()


def test_an_export_has_the_errors(ledger: Ledger, writer: LedgerWriter) -> None:
    claim = claim_input(writer, "a")
    finish(writer, claim, error=RunFailedError("ValueError", "no ink"), values={"n": 1}, seconds=0.12345, delete=False)
    assert [
        {
            "key": "a",
            "index": 0,
            "status": "failed",
            "values": {"n": 1},
            "error": {"class": "RunFailedError", "message": "the run failed: ValueError: no ink"},
            "run_id": None,
            "thread_id": claim.thread_id,
            "attempts": 1,
            "seconds": 0.123,
            "paused": False,
        }
    ] == list(ledger.export())


def test_a_ledger_can_be_read_while_it_is_written(ledger: Ledger, writer: LedgerWriter) -> None:
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.append(len(list(ledger.entries()))))
    with writer.transaction():
        writer.claim("a", "d", 0)
        reader.start()
        reader.join(20)
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

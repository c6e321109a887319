"""The ledger's file: what is in it after each step, who holds what, and what is refused."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Iterator

import pytest

from langgraph_runs import BatchResult, InvalidRequestError, Ledger, LedgerError, RunFailedError
from langgraph_runs.batch.ledger.sqlite_file import LockFile, SqliteFile
from langgraph_runs.batch.ledger.writer import Claim, LedgerWriter

ROOT = Path(__file__).resolve().parent.parent.parent
FOR = {"url": "http://server", "assistant_id": "agent"}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "jobs.sqlite")


@pytest.fixture
def claims(ledger: Ledger) -> Iterator[LedgerWriter]:
    claims = LedgerWriter(ledger.path, **FOR)
    yield claims
    claims.close()


def take(claims: LedgerWriter, key: str, place: int = 0) -> Any:
    with claims.change():
        return claims.take(key, f"digest of {key}", place)


def finish(claims: LedgerWriter, claim: Claim, *, delete: bool = True, **result: Any) -> None:
    with claims.change():
        told = {"index": 0, "key": claim.key, "thread_id": claim.thread_id, "attempts": claim.attempts, **result}
        claims.finish(BatchResult(**told), delete=delete)


def leave(claims: LedgerWriter, claim: Claim, *, given_up: bool = False, begun: bool = True) -> None:
    with claims.change():
        claims.leave(claim, error=None, given_up=given_up, begun=begun)


# -- taking and finishing


def test_an_input_is_noted_with_its_thread_before_it_is_run(ledger: Ledger, claims: LedgerWriter) -> None:
    claim = take(claims, "a", 7)
    (entry,) = ledger.entries()
    assert ("a", 7, "started", claim.thread_id, 1, None) == (
        entry.key,
        entry.index,
        entry.status,
        entry.thread_id,
        entry.attempts,
        entry.values,
    )
    assert (False, False) == (claim.look, claim.redo)


def test_what_is_finished_is_read_back(ledger: Ledger, claims: LedgerWriter) -> None:
    good, bad = take(claims, "a"), take(claims, "b")
    finish(claims, good, values={"n": [1, None, "é"]}, run_id="r1", seconds=1.5)
    finish(claims, bad, error=RunFailedError("ValueError", "no ink", run_id="r2"), values={"n": 1}, delete=False)
    item = object()
    found = claims.look("a", "digest of a", index=3, item=item)
    assert found is not None and found.input is item
    assert ({"n": [1, None, "é"]}, None, "r1", 1.5, 3, True) == (
        found.values,
        found.error,
        found.run_id,
        found.seconds,
        found.index,
        found.from_ledger,
    )
    failed = claims.look("b", "digest of b", index=0, item=None)
    assert failed is not None and isinstance(failed.error, RunFailedError)
    assert ("no ink", "r2", {"n": 1}, bad.thread_id) == (failed.error.message, failed.error.run_id, failed.values, failed.thread_id)
    assert [good.thread_id] == claims.litter(10)
    assert {"pending": 0, "started": 0, "done": 1, "failed": 1} == ledger.counts()
    assert None is take(claims, "a") is take(claims, "b")


def test_a_value_of_null_is_a_value(claims: LedgerWriter) -> None:
    finish(claims, take(claims, "a"), values=None)
    found = claims.look("a", "digest of a", index=0, item=None)
    assert found is not None and (None, None) == (found.values, found.error)


def test_a_changed_input_is_told(claims: LedgerWriter) -> None:
    take(claims, "a")
    found = claims.look("a", "another", index=0, item=None)
    assert found is not None and isinstance(found.error, LedgerError)
    assert "'a' has changed" in str(found.error)


def test_a_thread_that_is_swept_is_forgotten(claims: LedgerWriter) -> None:
    claim = take(claims, "a")
    finish(claims, claim, values=1)
    with claims.change():
        claims.swept([claim.thread_id])
    assert [] == claims.litter(10)


def test_a_transaction_that_fails_leaves_nothing(ledger: Ledger, claims: LedgerWriter) -> None:
    with pytest.raises(KeyError):
        with claims.change():
            claims.take("a", "d", 0)
            raise KeyError("a")
    assert [] == list(ledger.entries())


def test_occurrences_are_counted_for_each_map(ledger: Ledger, claims: LedgerWriter) -> None:
    assert [1, 2, 1, 3] == [claims.occurrence(key) for key in ("a", "a", "b", "a")]
    other = LedgerWriter(ledger.path, **FOR)
    assert 1 == other.occurrence("a")
    other.close()


# -- letting go


@pytest.mark.parametrize(
    ("given_up", "begun", "status", "look", "redo"),
    [
        (False, True, "started", True, False),  # joined by the next map
        (True, True, "pending", True, True),  # looked at, and done again where it was cancelled
        (True, False, "pending", False, False),  # never sent
        (False, False, "pending", False, False),
    ],
)
def test_what_is_left_is_taken_up_by_the_next(
    ledger: Ledger, claims: LedgerWriter, given_up: bool, begun: bool, status: str, look: bool, redo: bool
) -> None:
    claim = take(claims, "a")
    leave(claims, claim, given_up=given_up, begun=begun)
    assert status == next(ledger.entries()).status
    again = take(claims, "a")
    assert (look, redo, 2) == (again.look, again.redo, again.attempts)
    assert (again.thread_id == claim.thread_id) is look


def test_what_was_given_up_stays_so_when_its_next_map_dies(ledger: Ledger, claims: LedgerWriter) -> None:
    """Else the cancelled run would be taken for the result of the input."""
    leave(claims, take(claims, "a"), given_up=True)
    leave(claims, take(claims, "a"))
    assert take(claims, "a").redo


def test_an_input_that_is_renewed_is_looked_for_nowhere_else(claims: LedgerWriter) -> None:
    leave(claims, take(claims, "a"), given_up=True)
    old = take(claims, "a")
    with claims.change():
        new = claims.renew(old, delete=True)
    assert new.thread_id != old.thread_id and not new.look and not new.redo
    assert [old.thread_id] == claims.litter(10)
    leave(claims, new)
    assert (new.thread_id, False) == (take(claims, "a").thread_id, False)


def test_a_thread_that_is_gone_is_not_looked_at(claims: LedgerWriter) -> None:
    claim = take(claims, "a")
    leave(claims, claim, given_up=True)
    with claims.change():
        claims.forget_thread("a", claim.thread_id)
    again = take(claims, "a")
    assert not again.look and again.thread_id != claim.thread_id


@pytest.mark.parametrize("keys", [None, ["b"], ["a", "b"], ["nobody"], iter(["b"])])
def test_failures_can_be_tried_again(ledger: Ledger, claims: LedgerWriter, keys: Any) -> None:
    finish(claims, take(claims, "a"), values=1)
    finish(claims, take(claims, "b"), error=RunFailedError("E", "m"))
    changed = ledger.retry_failed(keys)
    assert (0 if keys == ["nobody"] else 1) == changed
    again = take(claims, "b")
    assert (again is not None) is bool(changed)
    assert None is take(claims, "a")


# -- owners


def test_two_maps_do_not_take_the_same_input(ledger: Ledger, claims: LedgerWriter) -> None:
    other = LedgerWriter(ledger.path, **FOR)
    claim = take(claims, "a")
    assert None is take(other, "a")
    assert not other.is_free("a")
    assert 0 == other.free_the_dead()
    leave(claims, claim)
    assert other.is_free("a")
    assert claim.thread_id == take(other, "a").thread_id
    other.close()


def test_what_a_map_holds_is_free_when_it_is_closed(ledger: Ledger) -> None:
    one = LedgerWriter(ledger.path, **FOR)
    claim = take(one, "a")
    one.close()
    other = LedgerWriter(ledger.path, **FOR)
    again = take(other, "a")
    assert (claim.thread_id, True, False) == (again.thread_id, again.look, again.redo)
    other.close()
    assert ["jobs.sqlite"] == os.listdir(os.path.dirname(ledger.path))


def test_what_a_killed_process_held_is_free(ledger: Ledger, claims: LedgerWriter) -> None:
    """And only then, however long it takes."""
    code = f"""
import sys, time
from langgraph_runs.batch.ledger.writer import LedgerWriter
claims = LedgerWriter({ledger.path!r}, **{FOR!r})
with claims.change():
    claims.take("a", "digest of a", 0)
print("taken", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"taken\n" == process.stdout.readline()
        assert 0 == claims.free_the_dead()
        assert None is take(claims, "a")
        assert 2 == len([name for name in os.listdir(os.path.dirname(ledger.path)) if "-owner-" in name])
        process.kill()
    assert 1 == claims.free_the_dead()
    assert take(claims, "a").look
    assert 1 == len([name for name in os.listdir(os.path.dirname(ledger.path)) if "-owner-" in name])


def test_a_lock_is_held_within_a_process_too(tmp_path: Path) -> None:
    """And looking at it does not take it away, which POSIX locks by themselves would do."""
    path = str(tmp_path / "lock")
    lock = LockFile(path)
    for _ in range(3):
        assert not LockFile.break_if_dead(path)
        with pytest.raises(LedgerError, match="cannot be taken"):
            LockFile(path)
    lock.release()
    assert LockFile.break_if_dead(path)
    assert [] == os.listdir(tmp_path)


# -- files that are none


def test_a_ledger_belongs_to_one_server_and_assistant(ledger: Ledger, claims: LedgerWriter) -> None:
    assert FOR == ledger.about()
    for other in ({"url": "http://other"}, {"assistant_id": "other"}):
        with pytest.raises(LedgerError, match="is for another"):
            LedgerWriter(ledger.path, **{**FOR, **other})
    assert 1 == len([name for name in os.listdir(os.path.dirname(ledger.path)) if "-owner-" in name])


def test_there_must_be_a_ledger_to_look_at(ledger: Ledger) -> None:
    for look in (ledger.counts, ledger.about, ledger.retry_failed, lambda: list(ledger.entries())):
        with pytest.raises(LedgerError, match="there is no ledger at"):
            look()
    assert not ledger.exists
    assert not os.path.exists(ledger.path)


def test_another_file_is_not_taken_for_a_ledger(tmp_path: Path) -> None:
    text, database = tmp_path / "text", tmp_path / "other.sqlite"
    text.write_text("no database at all, but long enough to be looked at " * 50)
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE mine (a)")
    connection.close()
    before = text.read_bytes(), database.read_bytes()
    for path, told in ((text, "file is not a database"), (database, "not a ledger"), (tmp_path, "unable to open")):
        with pytest.raises(LedgerError, match=told):
            Ledger(path).counts()
        with pytest.raises(LedgerError, match=told):
            LedgerWriter(str(path), **FOR)
    assert before == (text.read_bytes(), database.read_bytes())


def test_a_newer_ledger_is_refused(ledger: Ledger, claims: LedgerWriter) -> None:
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
    """What is promised of a power failure rests on it."""
    file = SqliteFile(ledger.path, create=True)
    assert ((2,), ("wal",)) == (file.one("PRAGMA synchronous"), file.one("PRAGMA journal_mode"))
    file.close()


# -- reading


def test_entries_come_page_by_page_in_order(ledger: Ledger, claims: LedgerWriter) -> None:
    with claims.change():
        for n in range(1203):
            claims.take(f"k{n}", "d", n)
    with claims.change():
        for n in range(0, 1203, 2):
            claims.finish(BatchResult(index=n, key=f"k{n}", values=n), delete=True)
    assert list(range(1203)) == [entry.index for entry in ledger.entries()]
    assert list(range(0, 1203, 2)) == [entry.values for entry in ledger.entries("done")]
    assert list(range(1, 1203, 2)) == [one["index"] for one in ledger.export("started")]
    assert {"pending": 0, "started": 601, "done": 602, "failed": 0} == ledger.counts()


def test_an_export_says_what_went_wrong(ledger: Ledger, claims: LedgerWriter) -> None:
    claim = take(claims, "a")
    finish(claims, claim, error=RunFailedError("ValueError", "no ink"), values={"n": 1}, seconds=0.12345, delete=False)
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


def test_a_ledger_can_be_read_while_it_is_written(ledger: Ledger, claims: LedgerWriter) -> None:
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.append(len(list(ledger.entries()))))
    with claims.change():
        claims.take("a", "d", 0)
        reader.start()
        reader.join(20)
    assert [0] == seen
    assert 1 == len(list(ledger.entries()))

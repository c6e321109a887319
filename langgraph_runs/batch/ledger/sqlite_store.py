"""`SqliteStore`: a `LedgerStore` in an SQLite file, for the processes of one machine.

A map claims an input in one transaction, together with the thread that its run will be created on, before the run is created. The
owner of a claim is one map; it is alive as long as it holds the lock on a file of its own beside the ledger. The operating system
releases the lock when the process ends, so a dead owner is recognised without a time limit. The inputs that a dead owner had
claimed can be claimed again; the new owner looks on the server for a run that may exist.
"""

from __future__ import annotations

import json
import os
import uuid
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from .sqlite_file import ORPHANED_THREADS, RERUN_FAILED, LockFile, SqliteFile
from .store import Changes, Claim, Finish, Move, Purpose, Record, Release, Wanted, Written

__all__ = ["SqliteStore"]


class SqliteStore:
    """A `LedgerStore` in an SQLite file."""

    longest_key = None

    def __init__(self, path: str, purpose: Purpose) -> None:
        self._file = SqliteFile(path, create=True)
        self._id = uuid.uuid4().hex
        try:
            self._lock = LockFile(self._lock_path(self._id))
            try:
                self._register(purpose)
            except BaseException:
                self._lock.release()
                raise
        except BaseException:
            self._file.close()
            raise

    def _register(self, purpose: Purpose) -> None:
        with self._file.transaction():
            recorded = dict(self._file.all("SELECT name, value FROM about"))
            given = {
                "url": purpose.url,
                "assistant_id": purpose.assistant_id,
                "options": json.dumps(purpose.options, sort_keys=True),
            }
            for name in given.keys() - recorded.keys():
                self._file.run("INSERT INTO about VALUES (?, ?)", [name, given[name]])
            found = {**given, **recorded}
            purpose.check(repr(self._file.path), Purpose(found["url"], found["assistant_id"], json.loads(found["options"])))
            self._file.run("INSERT INTO owner VALUES (?, ?)", [self._id, os.getpid()])
        self.release_dead_owners()

    def _lock_path(self, owner: str) -> str:
        return f"{self._file.path}-owner-{owner}"

    def watch(self, on_lost: Callable[[], object], max_outage: Optional[float]) -> None:
        """See `LedgerStore`. The lock on a file cannot be lost."""

    def holds(self, claim: Claim) -> bool:
        """See `LedgerStore`."""
        return True

    def may_create(self) -> bool:
        """See `LedgerStore`. True, since the lock on a file cannot be lost."""
        return True

    def interrupt(self) -> None:
        """See `LedgerStore`."""
        self._file.interrupt()

    def release_dead_owners(self) -> int:
        """See `LedgerStore`."""
        released = 0
        for (owner,) in self._file.all("SELECT id FROM owner WHERE id <> ?", [self._id]):
            if LockFile.break_if_dead(self._lock_path(owner)):
                with self._file.transaction():
                    released += self._file.run("UPDATE entry SET owner = NULL WHERE owner = ?", [owner])
                    self._file.run("DELETE FROM owner WHERE id = ?", [owner])
        return released

    # -- reading

    def look_up(self, keys: Sequence[str]) -> Dict[str, Record]:
        """See `LedgerStore`."""
        records: Dict[str, Record] = {}
        for key in keys:
            row = self._file.one(
                "SELECT digest, status, owner IS NOT NULL, thread_id, run_id, attempts, seconds, paused, "
                '"values", error FROM entry WHERE key = ?',
                [key],
            )
            if row is not None:
                records[key] = Record.of_row(row)
        return records

    def orphaned_threads(self, limit: int) -> List[str]:
        """See `LedgerStore`."""
        rows: List[Tuple[str]] = self._file.all(f"SELECT thread_id FROM {ORPHANED_THREADS} LIMIT ?", [limit])
        return [thread_id for (thread_id,) in rows]

    # -- writing

    def write(self, changes: Changes) -> Written:
        """See `LedgerStore`."""
        written = Written()
        # Without a transaction: reading the results of a finished map does not lock out other writers.
        found = self.look_up([wanted.key for wanted in changes.wanted])
        unfinished: List[Wanted] = []
        for wanted in changes.wanted:
            record = found.get(wanted.key)
            if record is not None and (record.is_final or record.digest != wanted.digest):
                written.records[wanted.key] = record
            else:
                unfinished.append(wanted)
        only_reads = not (changes.finished or changes.released or changes.moved or changes.forgotten or changes.deleted)
        if only_reads and not unfinished:
            return written
        with self._file.transaction():
            self._write(changes, written)
            for wanted in unfinished:
                self._claim(wanted, written)
        return written

    def _write(self, changes: Changes, written: Written) -> None:
        for finish in changes.finished:
            self._finish(finish, written)
        for release in changes.released:
            self._release(release, written)
        for move in changes.moved:
            self._move(move, written)
        for key, thread_id in changes.forgotten.items():
            self._file.run(
                f"UPDATE entry SET thread_id = NULL, {RERUN_FAILED} = 0"
                " WHERE key = ? AND thread_id = ? AND status = 'pending' AND owner IS NULL",
                [key, thread_id],
            )
        for thread_id in changes.deleted:
            self._file.run(f"DELETE FROM {ORPHANED_THREADS} WHERE thread_id = ?", [thread_id])

    def _claim(self, wanted: Wanted, written: Written) -> None:
        key = wanted.key
        row = self._file.one(f"SELECT status, owner, thread_id, {RERUN_FAILED}, attempts FROM entry WHERE key = ?", [key])
        if row is None:
            thread_id = str(uuid.uuid4())
            self._file.run(
                "INSERT INTO entry (key, digest, place, status, owner, thread_id, attempts) VALUES (?, ?, ?, 'started', ?, ?, 1)",
                [key, wanted.digest, wanted.index, self._id, thread_id],
            )
            written.claims[key] = Claim(key, thread_id, 1, owner=self._id)
            return
        status, owner, thread_id, rerun_failed, attempts = row
        if status in ("done", "failed") or owner is not None:
            return
        claim = written.claims[key] = Claim(
            key,
            thread_id or str(uuid.uuid4()),
            attempts + 1,
            may_exist=thread_id is not None,
            rerun_failed=thread_id is not None and bool(rerun_failed),
            owner=self._id,
        )
        self._file.run(
            f"UPDATE entry SET status = 'started', owner = ?, thread_id = ?, {RERUN_FAILED} = ?, attempts = ? WHERE key = ?",
            [self._id, claim.thread_id, int(claim.rerun_failed), claim.attempts, key],
        )

    def _finish(self, finish: Finish, written: Written) -> None:
        result = finish.result
        changed = self._file.run(
            f'UPDATE entry SET status = ?, owner = NULL, run_id = ?, {RERUN_FAILED} = 0, paused = ?, seconds = ?, "values" = ?,'
            " error = ?, attempts = ?, thread_id = ? WHERE key = ? AND owner = ?",
            [
                finish.status,
                result.run_id,
                int(result.paused),
                result.seconds,
                finish.values,
                finish.error,
                result.attempts,
                finish.kept_thread,
                result.key,
                self._id,
            ],
        )
        if changed and result.key is not None:
            written.held.add(result.key)
            if finish.orphaned_thread is not None:
                self._add_orphaned_thread(finish.orphaned_thread)

    def _release(self, release: Release, written: Written) -> None:
        key = release.claim.key
        if self._file.run(
            f"UPDATE entry SET status = ?, owner = NULL, {RERUN_FAILED} = ?, thread_id = ?, error = ? WHERE key = ? AND owner = ?",
            [release.status, int(release.rerun_failed), release.thread_id, release.error, key, self._id],
        ):
            written.held.add(key)

    def _move(self, move: Move, written: Written) -> None:
        key = move.claim.key
        if self._file.run(
            f"UPDATE entry SET thread_id = ?, {RERUN_FAILED} = 0, run_id = NULL WHERE key = ? AND owner = ?",
            [move.thread_id, key, self._id],
        ):
            written.held.add(key)
            if move.delete:
                self._add_orphaned_thread(move.claim.thread_id)

    def _add_orphaned_thread(self, thread_id: str) -> None:
        self._file.run(f"INSERT OR IGNORE INTO {ORPHANED_THREADS} VALUES (?)", [thread_id])

    def close(self) -> None:
        """See `LedgerStore`."""
        try:
            with self._file.transaction():
                self._file.run("UPDATE entry SET owner = NULL WHERE owner = ?", [self._id])
                self._file.run("DELETE FROM owner WHERE id = ?", [self._id])
        finally:
            self._file.close()
            self._lock.release()

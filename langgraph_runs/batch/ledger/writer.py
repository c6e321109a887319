"""The writing side of a ledger in an SQLite file: claims, results, and threads that are still to be deleted.

A map claims an input in one transaction, together with the thread that its run will be created on, before the run is created. The
owner of a claim is one map; it is alive as long as it holds the lock on a file of its own beside the ledger. The operating system
releases the lock when the process ends, so a dead owner is recognised without a time limit. The inputs that a dead owner had
claimed can be claimed again; the new owner looks on the server for a run that may exist.
"""

from __future__ import annotations

import os
import uuid
from contextlib import AbstractContextManager
from typing import Any, Dict, List, Optional, Tuple

from ...errors import LangGraphRunsError, LedgerError
from ...serialization import encode, parse
from ..results import BatchResult, error_from, error_text
from .sqlite_file import ORPHANED_THREADS, RERUN_FAILED, LockFile, SqliteFile
from .store import Claim

__all__ = ["LedgerWriter"]


class LedgerWriter:
    """A `LedgerStore` in an SQLite file."""

    def __init__(self, path: str, *, url: str, assistant_id: str) -> None:
        self._file = SqliteFile(path, create=True)
        self._id = uuid.uuid4().hex
        try:
            self._lock = LockFile(self._lock_path(self._id))
            try:
                self._register(url, assistant_id)
            except BaseException:
                self._lock.release()
                raise
        except BaseException:
            self._file.close()
            raise

    def _register(self, url: str, assistant_id: str) -> None:
        with self._file.transaction():
            self._check_purpose("url", url, "server")
            self._check_purpose("assistant_id", assistant_id, "assistant")
            self._file.run("INSERT INTO owner VALUES (?, ?)", [self._id, os.getpid()])
        # The number of times that this map has read each key. On disk: a million keys need no memory.
        self._file.run("CREATE TEMP TABLE seen (key TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID")
        self.release_dead_owners()

    def _check_purpose(self, name: str, value: str, what: str) -> None:
        row = self._file.one("SELECT value FROM about WHERE name = ?", [name])
        if row is None:
            self._file.run("INSERT INTO about VALUES (?, ?)", [name, value])
        elif row[0] != value:
            raise LedgerError(f"the ledger {self._file.path!r} is for another {what}: {row[0]}, not {value}; give another file")

    def _lock_path(self, owner: str) -> str:
        return f"{self._file.path}-owner-{owner}"

    def release_dead_owners(self) -> int:
        """See `LedgerStore`."""
        released = 0
        for (owner,) in self._file.all("SELECT id FROM owner WHERE id <> ?", [self._id]):
            if LockFile.break_if_dead(self._lock_path(owner)):
                with self._file.transaction():
                    released += self._file.run("UPDATE entry SET owner = NULL WHERE owner = ?", [owner])
                    self._file.run("DELETE FROM owner WHERE id = ?", [owner])
        return released

    def occurrence(self, key: str) -> int:
        """See `LedgerStore`."""
        self._file.run("INSERT INTO temp.seen VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET n = n + 1", [key])
        row = self._file.one("SELECT n FROM temp.seen WHERE key = ?", [key])
        assert row is not None
        return int(row[0])

    # -- claims

    def find_result(self, key: str, digest: str, *, index: int, item: Any) -> Optional[BatchResult]:
        """See `LedgerStore`."""
        row = self._file.one(
            'SELECT digest, status, "values", error, run_id, thread_id, attempts, seconds, paused FROM entry WHERE key = ?', [key]
        )
        if row is None:
            return None
        recorded_digest, status, values, error, run_id, thread_id, attempts, seconds, paused = row
        common: Dict[str, Any] = {"index": index, "key": key, "input": item, "attempts": attempts}
        if recorded_digest != digest:
            message = f"the input with the key {key!r} has changed since the ledger was written: give the new one another key"
            return BatchResult(error=LedgerError(message), **common)
        if status not in ("done", "failed"):
            return None
        return BatchResult(
            values=None if values is None else parse(values),
            error=None if error is None else error_from(error),
            run_id=run_id,
            thread_id=thread_id,
            seconds=seconds,
            paused=bool(paused),
            from_ledger=True,
            **common,
        )

    def transaction(self) -> AbstractContextManager[None]:
        """See `LedgerStore`."""
        return self._file.transaction()

    def claim(self, key: str, digest: str, index: int) -> Optional[Claim]:
        """See `LedgerStore`."""
        row = self._file.one(f"SELECT status, owner, thread_id, {RERUN_FAILED}, attempts FROM entry WHERE key = ?", [key])
        if row is None:
            thread_id = str(uuid.uuid4())
            self._file.run(
                "INSERT INTO entry (key, digest, place, status, owner, thread_id, attempts) VALUES (?, ?, ?, 'started', ?, ?, 1)",
                [key, digest, index, self._id, thread_id],
            )
            return Claim(key, thread_id, 1)
        status, owner, thread_id, rerun_failed, attempts = row
        if status in ("done", "failed") or owner is not None:
            return None
        claim = Claim(
            key,
            thread_id or str(uuid.uuid4()),
            attempts + 1,
            may_exist=thread_id is not None,
            rerun_failed=bool(rerun_failed),
        )
        self._file.run(
            f"UPDATE entry SET status = 'started', owner = ?, thread_id = ?, {RERUN_FAILED} = ?, attempts = ? WHERE key = ?",
            [self._id, claim.thread_id, int(claim.may_exist and claim.rerun_failed), claim.attempts, key],
        )
        return claim

    def replace_thread(self, claim: Claim, *, delete: bool) -> Claim:
        """See `LedgerStore`."""
        thread_id = str(uuid.uuid4())
        self._file.run(f"UPDATE entry SET thread_id = ?, {RERUN_FAILED} = 0, run_id = NULL WHERE key = ?", [thread_id, claim.key])
        if delete:
            self._add_orphaned_thread(claim.thread_id)
        return Claim(claim.key, thread_id, claim.attempts)

    def is_unclaimed(self, key: str) -> bool:
        """See `LedgerStore`."""
        return self._file.one("SELECT 1 FROM entry WHERE key = ? AND owner IS NOT NULL", [key]) is None

    def finish(self, result: BatchResult, *, delete: bool) -> None:
        """See `LedgerStore`."""
        self._file.run(
            f'UPDATE entry SET status = ?, owner = NULL, run_id = ?, {RERUN_FAILED} = 0, paused = ?, seconds = ?, "values" = ?,'
            " error = ?, attempts = ?, thread_id = ? WHERE key = ? AND owner = ?",
            [
                "done" if result.error is None else "failed",
                result.run_id,
                int(result.paused),
                result.seconds,
                None if result.values is None and result.error is not None else encode(result.values),
                None if result.error is None else error_text(result.error),
                result.attempts,
                None if delete else result.thread_id,
                result.key,
                self._id,
            ],
        )
        if delete and result.thread_id is not None:
            self._add_orphaned_thread(result.thread_id)

    def release(self, claim: Claim, *, error: Optional[LangGraphRunsError], cancelled: bool, may_exist: bool) -> None:
        """See `LedgerStore`."""
        status, rerun_failed = "started", claim.rerun_failed
        if cancelled or not may_exist:
            status, rerun_failed = "pending", claim.rerun_failed or cancelled
        keep_thread = may_exist or claim.may_exist
        self._file.run(
            f"UPDATE entry SET status = ?, owner = NULL, {RERUN_FAILED} = ?, thread_id = ?, error = ? WHERE key = ? AND owner = ?",
            [
                status,
                int(rerun_failed and keep_thread),
                claim.thread_id if keep_thread else None,
                None if error is None else error_text(error),
                claim.key,
                self._id,
            ],
        )

    def forget_thread(self, key: str, thread_id: str) -> None:
        """See `LedgerStore`."""
        self._file.run(
            f"UPDATE entry SET thread_id = NULL, {RERUN_FAILED} = 0"
            " WHERE key = ? AND thread_id = ? AND status = 'pending' AND owner IS NULL",
            [key, thread_id],
        )

    # -- orphaned threads: of inputs that no longer need them, and not yet deleted from the server

    def _add_orphaned_thread(self, thread_id: str) -> None:
        self._file.run(f"INSERT OR IGNORE INTO {ORPHANED_THREADS} VALUES (?)", [thread_id])

    def orphaned_threads(self, limit: int) -> List[str]:
        """See `LedgerStore`."""
        rows: List[Tuple[str]] = self._file.all(f"SELECT thread_id FROM {ORPHANED_THREADS} LIMIT ?", [limit])
        return [thread_id for (thread_id,) in rows]

    def remove_orphaned_threads(self, thread_ids: List[str]) -> None:
        """See `LedgerStore`."""
        for thread_id in thread_ids:
            self._file.run(f"DELETE FROM {ORPHANED_THREADS} WHERE thread_id = ?", [thread_id])

    def close(self) -> None:
        """See `LedgerStore`."""
        try:
            with self._file.transaction():
                self._file.run("UPDATE entry SET owner = NULL WHERE owner = ?", [self._id])
                self._file.run("DELETE FROM owner WHERE id = ?", [self._id])
        finally:
            self._file.close()
            self._lock.release()

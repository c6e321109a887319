"""One map's hold on a ledger: which inputs it has taken, what it has done with them. All writing to a ledger is here.

An input is taken in one transaction, with the thread that its run will be created on, before the run is created. Who has taken it
is an *owner*, alive as long as it holds the lock on a file of its own beside the ledger. The system gives that lock back when the
process ends, so that nobody has to guess from clocks. What a dead owner had taken is free, and whoever takes it looks on the
server for the run that may be there.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from typing import Any, Dict, Iterator, List, Optional, Tuple

import attrs

from ...errors import LangGraphRunsError, LedgerError
from ...serialization import encode, parse
from ..results import BatchResult, error_from, error_text
from .sqlite_file import LockFile, SqliteFile

__all__ = ["Claim", "LedgerWriter"]


@attrs.frozen
class Claim:
    """An input that is ours to run."""

    key: str
    thread_id: str
    #: Times it was begun, this one included.
    attempts: int
    #: Whether a run may be on the thread already.
    look: bool = False
    #: Whether a run that is there and ended badly is to be done again.
    redo: bool = False


class LedgerWriter:
    """What one map has taken from a ledger; made when the map begins, closed when it ends."""

    def __init__(self, path: str, *, url: str, assistant_id: str) -> None:
        self._file = SqliteFile(path, create=True)
        self._id = uuid.uuid4().hex
        try:
            self._lock = LockFile(self._lock_path(self._id))
            try:
                self._begin(url, assistant_id)
            except BaseException:
                self._lock.release()
                raise
        except BaseException:
            self._file.close()
            raise

    def _begin(self, url: str, assistant_id: str) -> None:
        with self._file.transaction():
            for name, value, what in (("url", url, "server"), ("assistant_id", assistant_id, "assistant")):
                found = self._file.one("SELECT value FROM about WHERE name = ?", [name])
                if found is None:
                    self._file.run("INSERT INTO about VALUES (?, ?)", [name, value])
                elif found[0] != value:
                    raise LedgerError(
                        f"the ledger {self._file.path!r} is for another {what}: {found[0]}, not {value}; give another file"
                    )
            self._file.run("INSERT INTO owner VALUES (?, ?)", [self._id, os.getpid()])
        # How often each key came in this map; on disk, so that a million of them need no memory.
        self._file.run("CREATE TEMP TABLE seen (key TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID")
        self.free_the_dead()

    def _lock_path(self, owner: str) -> str:
        return f"{self._file.path}-owner-{owner}"

    def free_the_dead(self) -> int:
        """Let go of what owners had taken that are no more; how many inputs that were."""
        freed = 0
        for (owner,) in self._file.all("SELECT id FROM owner WHERE id <> ?", [self._id]):
            if LockFile.break_if_dead(self._lock_path(owner)):
                with self._file.transaction():
                    freed += self._file.run("UPDATE entry SET owner = NULL WHERE owner = ?", [owner])
                    self._file.run("DELETE FROM owner WHERE id = ?", [owner])
        return freed

    def occurrence(self, key: str) -> int:
        """How often this key has come in this map, this time included."""
        self._file.run("INSERT INTO temp.seen VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET n = n + 1", [key])
        row = self._file.one("SELECT n FROM temp.seen WHERE key = ?", [key])
        assert row is not None
        return int(row[0])

    # -- taking

    def look(self, key: str, digest: str, *, index: int, item: Any) -> Optional[BatchResult]:
        """The result of an input that is finished; `LedgerError` (returned in it) where the input is not what it was."""
        row = self._file.one(
            'SELECT digest, status, "values", error, run_id, thread_id, attempts, seconds, paused FROM entry WHERE key = ?', [key]
        )
        if row is None:
            return None
        before, status, values, error, run_id, thread_id, attempts, seconds, paused = row
        told: Dict[str, Any] = {"index": index, "key": key, "input": item, "attempts": attempts}
        if before != digest:
            message = f"the input with the key {key!r} has changed since the ledger was written: give the new one another key"
            return BatchResult(error=LedgerError(message), **told)
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
            **told,
        )

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """One transaction for all that is taken and finished within."""
        with self._file.transaction():
            yield

    def take(self, key: str, digest: str, place: int) -> Optional[Claim]:
        """Take an input, within `change`; None where another map has it, or has finished it since it was looked at."""
        row = self._file.one("SELECT status, owner, thread_id, redo, attempts FROM entry WHERE key = ?", [key])
        if row is None:
            fresh = str(uuid.uuid4())
            self._file.run(
                "INSERT INTO entry (key, digest, place, status, owner, thread_id, attempts) VALUES (?, ?, ?, 'started', ?, ?, 1)",
                [key, digest, place, self._id, fresh],
            )
            return Claim(key, fresh, 1)
        status, owner, thread_id, redo, attempts = row
        if status in ("done", "failed") or owner is not None:
            return None
        claim = Claim(key, thread_id or str(uuid.uuid4()), attempts + 1, look=thread_id is not None, redo=bool(redo))
        self._file.run(
            "UPDATE entry SET status = 'started', owner = ?, thread_id = ?, redo = ?, attempts = ? WHERE key = ?",
            [self._id, claim.thread_id, int(claim.look and claim.redo), claim.attempts, key],
        )
        return claim

    def renew(self, claim: Claim, *, delete: bool) -> Claim:
        """The same input on a new thread, since what is on the old one is not its result; *delete* that; within `change`."""
        fresh = str(uuid.uuid4())
        self._file.run("UPDATE entry SET thread_id = ?, redo = 0, run_id = NULL WHERE key = ?", [fresh, claim.key])
        if delete:
            self._litter(claim.thread_id)
        return Claim(claim.key, fresh, claim.attempts)

    def is_free(self, key: str) -> bool:
        """Whether no map has taken the input, or the one that had is no more."""
        return self._file.one("SELECT 1 FROM entry WHERE key = ? AND owner IS NOT NULL", [key]) is None

    # -- ending

    def finish(self, result: BatchResult, *, delete: bool) -> None:
        """Write down a final result, and with *delete* that its thread is to be deleted; within `change`."""
        self._file.run(
            'UPDATE entry SET status = ?, owner = NULL, run_id = ?, redo = 0, paused = ?, seconds = ?, "values" = ?, error = ?,'
            " attempts = ?, thread_id = ? WHERE key = ? AND owner = ?",
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
            self._litter(result.thread_id)

    def leave(self, claim: Claim, *, error: Optional[LangGraphRunsError], given_up: bool, begun: bool) -> None:
        """Let go of an input that has no result; within `change`.

        *given_up*: its run was, or will be, cancelled; the next map starts another. Else the next map joins it. Not *begun*:
        nothing was sent for it.
        """
        status, redo = ("pending", claim.redo or given_up) if given_up or not begun else ("started", claim.redo)
        keeps = begun or claim.look
        self._file.run(
            "UPDATE entry SET status = ?, owner = NULL, redo = ?, thread_id = ?, error = ? WHERE key = ? AND owner = ?",
            [
                status,
                int(redo and keeps),
                claim.thread_id if keeps else None,
                None if error is None else error_text(error),
                claim.key,
                self._id,
            ],
        )

    def forget_thread(self, key: str, thread_id: str) -> None:
        """The thread of an input that was given up is gone; within `change`."""
        self._file.run(
            "UPDATE entry SET thread_id = NULL, redo = 0 WHERE key = ? AND thread_id = ? AND status = 'pending' AND owner IS NULL",
            [key, thread_id],
        )

    # -- threads that nobody needs any more

    def _litter(self, thread_id: str) -> None:
        self._file.run("INSERT OR IGNORE INTO litter VALUES (?)", [thread_id])

    def litter(self, limit: int) -> List[str]:
        """Threads that are to be deleted, as far as an earlier map did not get to it."""
        rows: List[Tuple[str]] = self._file.all("SELECT thread_id FROM litter LIMIT ?", [limit])
        return [thread_id for (thread_id,) in rows]

    def swept(self, thread_ids: List[str]) -> None:
        """These are deleted; within `change`."""
        for thread_id in thread_ids:
            self._file.run("DELETE FROM litter WHERE thread_id = ?", [thread_id])

    def close(self) -> None:
        """Give back the lock and the file. Whatever is still taken is free for the next map."""
        try:
            with self._file.transaction():
                self._file.run("UPDATE entry SET owner = NULL WHERE owner = ?", [self._id])
                self._file.run("DELETE FROM owner WHERE id = ?", [self._id])
        finally:
            self._file.close()
            self._lock.release()

"""`Ledger`: what stands in the file of a ``client.runs.map``, for those who want to look at it or to try failures again."""

from __future__ import annotations

import os
from typing import Any, Dict, Iterable, Iterator, Optional, Union

import attrs

from ...errors import InvalidRequestError, LangGraphRunsError
from ...serialization import parse
from ..results import error_from
from .sqlite_file import SqliteFile, check_path

__all__ = ["STATUSES", "Ledger", "LedgerEntry"]

#: What an entry may be, in the order of its life.
STATUSES = ("pending", "started", "done", "failed")
_PAGE = 500
_COLUMNS = 'id, key, place, status, "values", error, run_id, thread_id, attempts, seconds, paused'


@attrs.frozen(kw_only=True)
class LedgerEntry:
    """One input in a `Ledger`.

    >>> LedgerEntry(key="order-17", index=0, status="done", values={"n": 2}).values
    {'n': 2}
    """

    #: Its key: the given one, or one made from the input.
    key: str
    #: Its place among the inputs when it was first seen, from 0.
    index: int
    #: ``pending``: to be run. ``started``: a run was, or was to be, created on *thread_id*, and how it ended is not known here;
    #: the next map looks. ``done`` and ``failed``: final.
    status: str
    #: The final values; for a failed one what there was so far.
    values: Any = attrs.field(default=None, repr=False)
    #: Why it failed, or what went wrong the last time it was tried; None where nothing did.
    error: Optional[LangGraphRunsError] = None
    run_id: Optional[str] = None
    thread_id: Optional[str] = None
    #: How often it was begun.
    attempts: int = 0
    #: Seconds that it took, the last time.
    seconds: float = 0.0
    #: Whether the run waits for a human.
    paused: bool = False


class Ledger:
    """The file in which ``client.runs.map(..., ledger=...)`` keeps what was begun and what came of it.

    >>> import tempfile
    >>> ledger = Ledger(os.path.join(tempfile.mkdtemp(), "jobs.sqlite"))
    >>> ledger.exists
    False

    Give it, or just its path, to `map`, which makes the file if there is none. All methods here may be called while maps are at
    work on it, from other processes too; each opens the file and closes it again. They raise `LedgerError` where there is no
    ledger, or where it cannot be read.
    """

    def __init__(self, path: Union[str, os.PathLike[str]]) -> None:
        #: Where it is.
        self.path = check_path(path)

    @property
    def exists(self) -> bool:
        """Whether there is a file."""
        return os.path.exists(self.path)

    def about(self) -> Dict[str, str]:
        """What it was made for: ``url`` and ``assistant_id``."""
        with _Reading(self.path) as file:
            return dict(file.all("SELECT name, value FROM about ORDER BY name"))

    def counts(self) -> Dict[str, int]:
        """How many entries there are of each status: ``pending``, ``started``, ``done``, ``failed``, always all four."""
        with _Reading(self.path) as file:
            found = dict(file.all("SELECT status, count(*) FROM entry GROUP BY status"))
        return {status: found.get(status, 0) for status in STATUSES}

    def entries(self, status: Optional[str] = None) -> Iterator[LedgerEntry]:
        """All entries, or those of one *status*, in the order in which they were first seen. Read page by page."""
        if status is not None and status not in STATUSES:
            raise InvalidRequestError(f"status={status!r}: give one of {', '.join(STATUSES)}")
        with _Reading(self.path) as file:
            last = 0
            while True:
                where, given = ("status = ? AND id > ?", [status, last]) if status is not None else ("id > ?", [last])
                rows = file.all(f"SELECT {_COLUMNS} FROM entry WHERE {where} ORDER BY id LIMIT {_PAGE}", given)
                for row in rows:
                    yield _entry(row)
                if len(rows) < _PAGE:
                    return
                last = rows[-1][0]

    def export(self, status: Optional[str] = None) -> Iterator[Dict[str, Any]]:
        """The same as dicts that JSON can say, for a file of one line each: ``error`` is None or ``{"class", "message"}``."""
        for entry in self.entries(status):
            error = entry.error
            yield {
                "key": entry.key,
                "index": entry.index,
                "status": entry.status,
                "values": entry.values,
                "error": None if error is None else {"class": type(error).__name__, "message": str(error)},
                "run_id": entry.run_id,
                "thread_id": entry.thread_id,
                "attempts": entry.attempts,
                "seconds": round(entry.seconds, 3),
                "paused": entry.paused,
            }

    def retry_failed(self, keys: Optional[Iterable[str]] = None) -> int:
        """Make the failed entries, or those with these *keys*, ``pending``: the next `map` runs them again. Returns how many.

        Each gets a new run on a new thread, unless the old one has ended well after all.
        """
        change = "UPDATE entry SET status = 'pending', redo = 1, owner = NULL WHERE status = 'failed'"
        if isinstance(keys, str):
            raise InvalidRequestError(f"keys={keys!r}: give a list of keys")
        with _Reading(self.path) as file, file.transaction():
            if keys is None:
                return file.run(change)
            return sum(file.run(f"{change} AND key = ?", [key]) for key in keys)

    def __repr__(self) -> str:
        return f"Ledger({self.path!r})"


class _Reading:
    """The file, open for a moment."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> SqliteFile:
        self._file = SqliteFile(self._path, create=False)
        return self._file

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _entry(row: Any) -> LedgerEntry:
    _, key, place, status, values, error, run_id, thread_id, attempts, seconds, paused = row
    return LedgerEntry(
        key=key,
        index=place,
        status=status,
        values=None if values is None else parse(values),
        error=None if error is None else error_from(error),
        run_id=run_id,
        thread_id=thread_id,
        attempts=attempts,
        seconds=seconds,
        paused=bool(paused),
    )

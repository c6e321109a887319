"""`Ledger`: reads the ledger of a ``client.runs.map``, and lets failed inputs be run again."""

from __future__ import annotations

import os
from typing import Any, Dict, Iterable, Iterator, Optional, Union

import attrs

from ...errors import InvalidRequestError, LangGraphRunsError
from ...serialization import parse
from ..results import error_from
from .sqlite_file import RERUN_FAILED, SqliteFile, check_path

__all__ = ["STATUSES", "Ledger", "LedgerEntry"]

#: The statuses of an entry, in the order in which it goes through them.
STATUSES = ("pending", "started", "done", "failed")
_PAGE = 500
_COLUMNS = 'id, key, place, status, "values", error, run_id, thread_id, attempts, seconds, paused'


@attrs.frozen(kw_only=True)
class LedgerEntry:
    """One input in a `Ledger`.

    >>> LedgerEntry(key="order-17", index=0, status="done", values={"n": 2}).values
    {'n': 2}
    """

    #: The key that the caller gave, or the key that was made from the input.
    key: str
    #: The position among the inputs when the input was first read, from 0.
    index: int
    #: ``pending``: to be run. ``started``: a run may have been created on *thread_id*, and its end is not recorded; the next map
    #: looks it up on the server. ``done`` and ``failed``: final.
    status: str
    #: The final values; for a failed input the last known values.
    values: Any = attrs.field(default=None, repr=False)
    #: Why the input failed, or the error of its last attempt; None if there was none.
    error: Optional[LangGraphRunsError] = None
    run_id: Optional[str] = None
    thread_id: Optional[str] = None
    #: How often the input was started.
    attempts: int = 0
    #: Seconds that the last start took.
    seconds: float = 0.0
    #: True if the run waits for a human.
    paused: bool = False


class Ledger:
    """The file in which ``client.runs.map(..., ledger=...)`` records which inputs were started, and their results.

    >>> import tempfile
    >>> ledger = Ledger(os.path.join(tempfile.mkdtemp(), "jobs.sqlite"))
    >>> ledger.exists
    False

    Give it, or its path, to `map`, which creates the file if there is none. All methods may be called while maps use the ledger,
    also from other processes; each call opens the file and closes it again. They raise `LedgerError` if there is no ledger, or if
    it cannot be read.
    """

    def __init__(self, path: Union[str, os.PathLike[str]]) -> None:
        #: The path of the file.
        self.path = check_path(path)

    @property
    def exists(self) -> bool:
        """True if there is a file."""
        return os.path.exists(self.path)

    def about(self) -> Dict[str, str]:
        """Return what the ledger is for: ``url`` and ``assistant_id``."""
        with _OpenLedger(self.path) as file:
            return dict(file.all("SELECT name, value FROM about ORDER BY name"))

    def counts(self) -> Dict[str, int]:
        """Return the number of entries of each status: always all four of ``pending``, ``started``, ``done``, ``failed``."""
        with _OpenLedger(self.path) as file:
            counts = dict(file.all("SELECT status, count(*) FROM entry GROUP BY status"))
        return {status: counts.get(status, 0) for status in STATUSES}

    def entries(self, status: Optional[str] = None) -> Iterator[LedgerEntry]:
        """Yield all entries, or those of one *status*, in the order in which the inputs were first read. Reads page by page."""
        if status is not None and status not in STATUSES:
            raise InvalidRequestError(f"status={status!r}: give one of {', '.join(STATUSES)}")
        with _OpenLedger(self.path) as file:
            last = 0
            while True:
                where, values = ("status = ? AND id > ?", [status, last]) if status is not None else ("id > ?", [last])
                rows = file.all(f"SELECT {_COLUMNS} FROM entry WHERE {where} ORDER BY id LIMIT {_PAGE}", values)
                for row in rows:
                    yield _entry(row)
                if len(rows) < _PAGE:
                    return
                last = rows[-1][0]

    def export(self, status: Optional[str] = None) -> Iterator[Dict[str, Any]]:
        """Yield the entries as dicts for JSON, in the order of `entries`; ``error`` is None or ``{"class", "message"}``."""
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
        """Make the failed entries, or those with these *keys*, ``pending``: the next `map` runs them again. Returns the number.

        Each gets a new run on a new thread, unless its old run has succeeded meanwhile.
        """
        update = f"UPDATE entry SET status = 'pending', {RERUN_FAILED} = 1, owner = NULL WHERE status = 'failed'"
        if isinstance(keys, str):
            raise InvalidRequestError(f"keys={keys!r}: give a list of keys")
        with _OpenLedger(self.path) as file, file.transaction():
            if keys is None:
                return file.run(update)
            return sum(file.run(f"{update} AND key = ?", [key]) for key in keys)

    def __repr__(self) -> str:
        return f"Ledger({self.path!r})"


class _OpenLedger:
    """Context manager that opens the file and closes it."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> SqliteFile:
        self._file = SqliteFile(self._path, create=False)
        return self._file

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _entry(row: Any) -> LedgerEntry:
    _, key, index, status, values, error, run_id, thread_id, attempts, seconds, paused = row
    return LedgerEntry(
        key=key,
        index=index,
        status=status,
        values=None if values is None else parse(values),
        error=None if error is None else error_from(error),
        run_id=run_id,
        thread_id=thread_id,
        attempts=attempts,
        seconds=seconds,
        paused=bool(paused),
    )

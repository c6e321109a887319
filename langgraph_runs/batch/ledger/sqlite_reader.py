"""`SqliteReader`: a `LedgerReader` in an SQLite file."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

from .sqlite_file import RERUN_FAILED, SqliteFile
from .store import PAGE_COLUMNS

__all__ = ["SqliteReader"]


class SqliteReader:
    """One connection that reads a ledger."""

    def __init__(self, path: str) -> None:
        self._file = SqliteFile(path, create=False)

    def about(self) -> Dict[str, str]:
        """See `LedgerReader`."""
        return dict(self._file.all("SELECT name, value FROM about ORDER BY name"))

    def counts(self) -> Dict[str, int]:
        """See `LedgerReader`."""
        return dict(self._file.all("SELECT status, count(*) FROM entry GROUP BY status"))

    def page(self, status: Optional[str], after: int, limit: int) -> List[Any]:
        """See `LedgerReader`."""
        where, values = ("status = ? AND id > ?", [status, after]) if status is not None else ("id > ?", [after])
        return self._file.all(f"SELECT {PAGE_COLUMNS} FROM entry WHERE {where} ORDER BY id LIMIT ?", [*values, limit])

    def retry_failed(self, keys: Optional[Sequence[str]], *, new_options: bool) -> int:
        """See `LedgerReader`."""
        update = f"UPDATE entry SET status = 'pending', {RERUN_FAILED} = 1, owner = NULL WHERE status = 'failed'"
        with self._file.transaction():
            if new_options:
                self._file.run("DELETE FROM about WHERE name = 'options'")
            if keys is None:
                return self._file.run(update)
            return sum(self._file.run(f"{update} AND key = ?", [key]) for key in keys)

    def close(self) -> None:
        """See `LedgerReader`."""
        self._file.close()

"""`PostgresqlReader`: a `LedgerReader` in a PostgreSQL database. Takes no lock that a map waits for."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

from ....errors import LedgerError
from ..store import PAGE_COLUMNS
from .connection import connect, converted_errors
from .schema import tables_exist
from .url import PostgresqlUrl

__all__ = ["PostgresqlReader"]


class PostgresqlReader:
    """One connection that reads a ledger."""

    def __init__(self, url: PostgresqlUrl) -> None:
        self._url = url
        with converted_errors(url):
            self._connection = connect(url, "langgraph_runs")
        try:
            self._ledger = self._find()
        except BaseException:
            self.close()
            raise

    def _find(self) -> int:
        with converted_errors(self._url):
            if tables_exist(self._connection, str(self._url)):
                row = self._connection.execute("SELECT id FROM langgraph_runs_ledger WHERE name = %s", [self._url.name]).fetchone()
                if row is not None:
                    return int(row[0])
        raise LedgerError(f"there is no ledger at {self._url}")

    @classmethod
    def exists(cls, url: PostgresqlUrl) -> bool:
        """Return True if the database has the ledger. Raises `LedgerError` if the database cannot be reached."""
        with converted_errors(url), connect(url, "langgraph_runs") as connection:
            if not tables_exist(connection, str(url)):
                return False
            return connection.execute("SELECT FROM langgraph_runs_ledger WHERE name = %s", [url.name]).fetchone() is not None

    def about(self) -> Dict[str, str]:
        """See `LedgerReader`."""
        row = self._all("SELECT url, assistant_id, options FROM langgraph_runs_ledger WHERE id = %(ledger)s")[0]
        return {name: value for name, value in zip(("url", "assistant_id", "options"), row) if value is not None}

    def counts(self) -> Dict[str, int]:
        """See `LedgerReader`."""
        return dict(self._all("SELECT status, count(*) FROM langgraph_runs_entry WHERE ledger = %(ledger)s GROUP BY status"))

    def page(self, status: Optional[str], after: int, limit: int) -> List[Any]:
        """See `LedgerReader`."""
        return self._all(
            f"SELECT {PAGE_COLUMNS} FROM langgraph_runs_entry WHERE ledger = %(ledger)s AND id > %(after)s"
            + ("" if status is None else " AND status = %(status)s")
            + " ORDER BY id LIMIT %(limit)s",
            after=after,
            status=status,
            limit=limit,
        )

    def retry_failed(self, keys: Optional[Sequence[str]], *, new_options: bool) -> int:
        """See `LedgerReader`."""
        with converted_errors(self._url), self._connection.transaction():
            if new_options:
                self._connection.execute("UPDATE langgraph_runs_ledger SET options = NULL WHERE id = %s", [self._ledger])
            changed = self._connection.execute(
                "UPDATE langgraph_runs_entry SET status = 'pending', rerun_failed = true, owner = NULL"
                " WHERE ledger = %(ledger)s AND status = 'failed' AND (%(keys)s::text[] IS NULL OR key = ANY(%(keys)s::text[]))",
                {"ledger": self._ledger, "keys": keys},
            )
            return int(changed.rowcount)

    def _all(self, statement: str, **values: Any) -> List[Any]:
        with converted_errors(self._url):
            rows: List[Any] = self._connection.execute(statement, {"ledger": self._ledger, **values}).fetchall()
            return rows

    def close(self) -> None:
        """See `LedgerReader`."""
        with converted_errors(self._url):
            self._connection.close()

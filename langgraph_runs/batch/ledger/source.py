"""Where a ledger is: a file, or a database. Chooses the classes that read and write it."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Dict, List, Optional, Protocol, Sequence

from ...errors import InvalidRequestError
from .sqlite_file import check_path
from .sqlite_reader import SqliteReader
from .sqlite_store import SqliteStore
from .store import LedgerStore, Purpose

__all__ = ["LedgerReader", "Source", "source_of"]

_SCHEMES = ("postgresql://", "postgres://")


class LedgerReader(Protocol):
    """One connection to a ledger that reads it, and lets failed inputs be run again. Every method may raise `LedgerError`."""

    def about(self) -> Dict[str, str]:
        """Return what the ledger is for: ``url``, ``assistant_id``, and ``options``, a digest of each option as JSON."""

    def counts(self) -> Dict[str, int]:
        """Return the number of inputs of each status that occurs."""

    def page(self, status: Optional[str], after: int, limit: int) -> List[Any]:
        """Return at most *limit* rows of inputs, in order: those of one *status* or all, with an id above *after*.

        A row has id, key, index, status, values, error, run id, thread id, attempts, seconds and paused.
        """

    def retry_failed(self, keys: Optional[Sequence[str]], *, new_options: bool) -> int:
        """Make failed inputs ``pending``. With *new_options*, the options of the next map replace those of the ledger."""

    def close(self) -> None:
        """Close the connection."""


class Source(Protocol):
    """Where a ledger is. Can be pickled."""

    #: For messages: the path, or the URL without its password.
    name: str

    def exists(self) -> bool:
        """Return True if there is a ledger."""

    def open_store(self, purpose: Purpose) -> LedgerStore:
        """Open the ledger for a map; make it if there is none."""

    def open_reader(self) -> contextlib.AbstractContextManager[LedgerReader]:
        """Open the ledger for reading. Return a context manager that closes it."""


class _File:
    def __init__(self, path: Any) -> None:
        self.name = check_path(path)

    def exists(self) -> bool:
        return os.path.exists(self.name)

    def open_store(self, purpose: Purpose) -> LedgerStore:
        return SqliteStore(self.name, purpose)

    def open_reader(self) -> contextlib.AbstractContextManager[LedgerReader]:
        return contextlib.closing(SqliteReader(self.name))


class _Database:
    def __init__(self, url: str) -> None:
        from .postgresql import PostgresqlUrl

        self._url = PostgresqlUrl.parse(url)
        self.name = str(self._url)

    def exists(self) -> bool:
        from .postgresql import PostgresqlReader

        return PostgresqlReader.exists(self._url)

    def open_store(self, purpose: Purpose) -> LedgerStore:
        from .postgresql import PostgresqlStore

        return PostgresqlStore(self._url, purpose)

    def open_reader(self) -> contextlib.AbstractContextManager[LedgerReader]:
        from .postgresql import PostgresqlReader

        return contextlib.closing(PostgresqlReader(self._url))


def source_of(ledger: Any) -> Source:
    """Return where *ledger* is: a path, or a URL of PostgreSQL. Raises `InvalidRequestError` if it is neither."""
    if isinstance(ledger, str) and "://" in ledger:
        if not ledger.lower().startswith(_SCHEMES):
            raise InvalidRequestError("ledger=...: give the path of a file, or a URL that begins with postgresql://")
        return _Database(ledger)
    return _File(ledger)

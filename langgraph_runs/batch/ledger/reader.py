"""`Ledger`: reads the ledger of a ``client.runs.map``, and lets failed inputs be run again."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Iterable, Iterator, Optional, Tuple, Union

import attrs

from ...errors import InvalidRequestError, LangGraphRunsError
from ...serialization import parse
from ..results import error_from, row_of
from .source import source_of
from .store import LedgerStore, Purpose

__all__ = ["STATUSES", "Ledger", "LedgerEntry"]

#: The statuses of an entry, in the order in which it goes through them.
STATUSES = ("pending", "started", "done", "failed")
_PAGE = 500


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
    """Where ``client.runs.map(..., ledger=...)`` records which inputs were started, and their results: a file, or a database.

    >>> import tempfile
    >>> ledger = Ledger(os.path.join(tempfile.mkdtemp(), "jobs.sqlite"))
    >>> ledger.exists
    False

    Give it, its path or its URL to `map`, which creates the ledger if there is none. A URL such as
    ``postgresql://user@host/database?ledger=name`` names a ledger in PostgreSQL, which many machines share. All methods may be
    called while maps use the ledger, also from other processes; each call opens the ledger and closes it again. They raise
    `LedgerError` if there is no ledger, or if it cannot be read.
    """

    def __init__(self, path: Union[str, os.PathLike[str]]) -> None:
        self._source = source_of(path)
        #: With the password of a URL.
        self._given = path if isinstance(path, str) and "://" in path else self._source.name

    def __reduce__(self) -> Tuple[Any, ...]:
        return Ledger, (self._given,)

    @property
    def path(self) -> str:
        """The path of the file, or the URL without its password."""
        return self._source.name

    @property
    def exists(self) -> bool:
        """True if there is a ledger."""
        return self._source.exists()

    def about(self) -> Dict[str, str]:
        """Return what the ledger is for: ``url``, ``assistant_id``, and the names of the ``options`` that its maps had, if any."""
        with self._source.open_reader() as reader:
            about = reader.about()
        options = ", ".join(json.loads(about.pop("options", "{}")))
        return {**about, **({"options": options} if options else {})}

    def counts(self) -> Dict[str, int]:
        """Return the number of entries of each status: always all four of ``pending``, ``started``, ``done``, ``failed``."""
        with self._source.open_reader() as reader:
            counts = reader.counts()
        return {status: counts.get(status, 0) for status in STATUSES}

    def entries(self, status: Optional[str] = None) -> Iterator[LedgerEntry]:
        """Yield all entries, or those of one *status*, in the order in which the inputs were first read. Reads page by page."""
        if status is not None and status not in STATUSES:
            raise InvalidRequestError(f"status={status!r}: give one of {', '.join(STATUSES)}")
        with self._source.open_reader() as reader:
            last = 0
            while True:
                rows = reader.page(status, last, _PAGE)
                for row in rows:
                    yield _entry(row)
                if len(rows) < _PAGE:
                    return
                last = rows[-1][0]

    def export(self, status: Optional[str] = None) -> Iterator[Dict[str, Any]]:
        """Yield the entries as dicts for JSON, in the order of `entries`; ``error`` is None or ``{"class", "message"}``."""
        for entry in self.entries(status):
            yield row_of(entry, entry.status)

    def retry_failed(self, keys: Optional[Iterable[str]] = None, *, new_options: bool = False) -> int:
        """Make the failed entries, or those with these *keys*, ``pending``: the next `map` runs them again. Returns the number.

        Each gets a new run on a new thread, unless its old run has succeeded meanwhile. With *new_options*, the next map may have
        other options than those before it, such as another ``context``.
        """
        if isinstance(keys, str):
            raise InvalidRequestError(f"keys={keys!r}: give a list of keys")
        with self._source.open_reader() as reader:
            return reader.retry_failed(None if keys is None else list(keys), new_options=new_options)

    def open_store(self, purpose: Purpose) -> LedgerStore:
        """Open the ledger for a map; make it if there is none. For `map` alone."""
        return self._source.open_store(purpose)

    def __repr__(self) -> str:
        return f"Ledger({self.path!r})"


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

"""The sources of rows: what each has in common, and which objects are tables."""

from __future__ import annotations

import abc
from typing import Any, Iterator, List, Optional, Sequence, Tuple

from ...errors import InvalidRequestError

__all__ = ["Row", "Source", "check_columns", "is_table"]

#: A row: where it is, for messages, and its cells by the names of their columns, or any value of JSON lines, or the
#: error of the row.
Row = Tuple[str, Any]


class Source(abc.ABC):
    """A table. Reads its rows from the start for each call of `rows`, if it can be read more than once."""

    #: The name in messages.
    name: str
    #: The path of the file, or None if it is none, or has none.
    path: Optional[str] = None
    #: The names of the columns; None if each row has names of its own.
    columns: Optional[List[str]] = None
    #: Those of them that are no part of a row unless they are named.
    index_columns: Tuple[str, ...] = ()
    #: True if missing values are to be refused or replaced: JSON has null as a value, CSV has only text.
    has_missing = False

    def count(self) -> Optional[int]:
        """Return the number of rows, or None if it is not known."""
        return None

    @abc.abstractmethod
    def rows(self, columns: Optional[Sequence[str]]) -> Iterator[Row]:
        """Yield the rows with *columns*, or all columns."""


#: Classes of tables have one of each.
_DESCRIBES = ("columns", "column_names", "schema")
_GIVES_ROWS = ("itertuples", "iter_rows", "to_batches", "__arrow_c_stream__", "__dataframe__", "collect_schema", "toLocalIterator")


def is_table(given: Any) -> bool:
    """Return True for a DataFrame, or another table of columns, of any library. It is recognised by its methods.

    >>> is_table([{"n": 1}])
    False
    """
    kind = type(given)
    return any(hasattr(kind, name) for name in _DESCRIBES) and any(hasattr(kind, name) for name in _GIVES_ROWS)


def check_columns(name: str, columns: Sequence[Any]) -> List[str]:
    """Return the names of the columns. Raise `InvalidRequestError` if a name is not text or occurs twice."""
    names: List[str] = []
    for column in columns:
        if not isinstance(column, str) or not column:
            raise InvalidRequestError(f"{name}: column {len(names)} has no name that is text; give each column a name")
        if column in names:
            raise InvalidRequestError(f"{name}: there are two columns {column!r}; give each a name of its own")
        names.append(column)
    return names

"""Rows of DataFrames of pandas and of polars, which are recognised by their methods. Imports neither."""

from __future__ import annotations

from typing import Any, Iterator, Optional, Sequence

from .sources import Row, Source, check_columns

__all__ = ["PandasRows", "PolarsRows"]


class PandasRows(Source):
    """A DataFrame of pandas, or of a library with the same methods. A named level of its index counts as a column."""

    name = "the DataFrame"
    has_missing = True

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self._own = check_columns(self.name, list(frame.columns))
        self.index_columns = tuple(name for name in frame.index.names if isinstance(name, str) and name not in self._own)
        self.columns = [*self._own, *self.index_columns]

    def count(self) -> Optional[int]:
        """Return the number of rows."""
        return len(self._frame)

    def rows(self, columns: Optional[Sequence[str]]) -> Iterator[Row]:
        """Yield the rows, without a copy of the columns; without names, the index is left out."""
        wanted = self._own if columns is None else list(columns)
        values = [self._frame[name] if name in self._own else self._frame.index.get_level_values(name) for name in wanted]
        rows = zip(*values) if values else ((),) * len(self._frame)
        for number, cells in enumerate(rows):
            yield f"row {number}", dict(zip(wanted, cells))


class PolarsRows(Source):
    """A DataFrame of polars, or of a library with the same methods."""

    name = "the DataFrame"
    has_missing = True

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self._own = self.columns = check_columns(self.name, list(frame.columns))

    def count(self) -> Optional[int]:
        """Return the number of rows."""
        return len(self._frame)

    def rows(self, columns: Optional[Sequence[str]]) -> Iterator[Row]:
        """Yield the rows; polars converts some hundred of them at a time."""
        wanted = self._own if columns is None else list(columns)
        for number, cells in enumerate(self._frame.select(wanted).iter_rows()):
            yield f"row {number}", dict(zip(wanted, cells))

"""Rows of Parquet files and of Arrow tables. An importer of pyarrow, which is of the extra ``tables``."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from ...call import is_from_signal_handler, raise_foreign
from ...errors import InvalidRequestError
from .files import BinaryFile
from .sources import Row, Source, check_columns

__all__ = ["ArrowRows", "ParquetRows", "import_pyarrow"]

#: The first version that returns the maps of Arrow as dicts.
_OLDEST = 20
#: The name of a table that is no file.
_IN_MEMORY = "the table"
#: Options with which pyarrow reads pages of a column one after the other, and not all of a row group, which may be the whole file.
_PAGE_BY_PAGE = {"buffer_size": 1 << 16, "pre_buffer": False}
#: Rows, and bytes, that are converted to Python objects at a time, at most.
_BATCH, _BATCH_BYTES = 1000, 4 << 20


def import_pyarrow(purpose: str) -> Any:
    """Return pyarrow. Raise `InvalidRequestError` that names the extra if it is not installed, or too old."""
    try:
        import pyarrow
        import pyarrow.dataset
        import pyarrow.parquet
    except ImportError as error:
        raise InvalidRequestError(f'{purpose} needs pyarrow: pip install "langgraph_runs[tables]"') from error
    if int(pyarrow.__version__.partition(".")[0]) < _OLDEST:
        raise InvalidRequestError(f'{purpose} needs pyarrow {_OLDEST} or newer: pip install "langgraph_runs[tables]"')
    return pyarrow


class ArrowRows(Source):
    """A table, record batch, reader of record batches or dataset of Arrow, or what gives one by the Arrow C stream interface."""

    has_missing = True

    def __init__(self, given: Any, name: str = _IN_MEMORY) -> None:
        self.name = name
        self._pyarrow = import_pyarrow(name)
        self._given = given
        if hasattr(given, "to_batches"):  # a table or a dataset, which gives its rows again and again
            schema = given.schema
        elif hasattr(given, "__arrow_c_array__"):
            self._given = self._pyarrow.Table.from_batches([self._pyarrow.record_batch(given)])
            schema = self._given.schema
        else:
            self._given = self._pyarrow.RecordBatchReader.from_stream(given)
            schema = self._given.schema
        self._names = self.columns = check_columns(name, list(schema.names))

    def count(self) -> Optional[int]:
        """Return the number of rows, which a reader of record batches does not know."""
        if hasattr(self._given, "count_rows"):  # of a dataset
            return int(self._given.count_rows())
        rows = getattr(self._given, "num_rows", None)
        return rows if isinstance(rows, int) else None

    def rows(self, columns: Optional[Sequence[str]]) -> Iterator[Row]:
        """Yield the rows."""
        wanted = self._names if columns is None else list(columns)
        yield from _rows_of(self.name, self._batches(wanted), wanted, self._pyarrow)

    def _batches(self, wanted: Sequence[str]) -> Iterator[Any]:
        if hasattr(self._given, "scanner"):
            # One batch and one file ahead of the map, and not as many as there are cores.
            yield from self._given.to_batches(columns=wanted, batch_size=_BATCH, batch_readahead=1, fragment_readahead=1)
        elif hasattr(self._given, "to_batches"):
            yield from self._given.select(wanted).to_batches(max_chunksize=_BATCH)
        else:
            yield from self._given


class ParquetRows(Source):
    """A Parquet file, or a directory of Parquet files as Spark writes it, with the columns in the names of its directories."""

    has_missing = True

    def __init__(self, path: str) -> None:
        self.name = self.path = path
        self._pyarrow = import_pyarrow(path)
        #: The files, each with the values of the columns that the names of its directories have.
        self._files: List[Tuple[str, Dict[str, Any]]] = [(path, {})]
        with _errors_of(path, self._pyarrow):
            if os.path.isdir(path):
                dataset = self._pyarrow.dataset.dataset(path, format="parquet", partitioning="hive")
                values_of = self._pyarrow.dataset.get_partition_keys
                fragments = sorted(dataset.get_fragments(), key=lambda fragment: str(fragment.path))
                self._files = [(fragment.path, values_of(fragment.partition_expression)) for fragment in fragments]
                names, self._count = dataset.schema.names, int(dataset.count_rows())
            else:
                BinaryFile(path).check()
                with self._pyarrow.parquet.ParquetFile(path) as file:
                    names, self._count = file.schema_arrow.names, int(file.metadata.num_rows)
        self._names = self.columns = check_columns(path, list(names))

    def count(self) -> Optional[int]:
        """Return the number of rows."""
        return self._count

    def rows(self, columns: Optional[Sequence[str]]) -> Iterator[Row]:
        """Yield the rows; of the file, some pages of those columns are in memory."""
        wanted = self._names if columns is None else list(columns)
        for path, values in self._files:
            own = [name for name in wanted if name not in values]
            with _errors_of(path, self._pyarrow):
                file = self._pyarrow.parquet.ParquetFile(path, **_PAGE_BY_PAGE)
            with file:
                for name in own:
                    if name not in file.schema_arrow.names:
                        raise InvalidRequestError(f"{path}: there is no column {name!r}, which other files in {self.name} have")
                groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
                size = _rows_at_once(sum(group.total_byte_size for group in groups), file.metadata.num_rows)
                batches = file.iter_batches(batch_size=size, columns=own)
                for place, row in _rows_of(path, batches, own, self._pyarrow):
                    if values and isinstance(row, dict):
                        row = {name: values[name] if name in values else row[name] for name in wanted}
                    yield place, row


def _rows_at_once(size: int, rows: int) -> int:
    """Return how many of *rows*, which have *size* bytes in all, are converted at a time."""
    return max(1, min(_BATCH, _BATCH_BYTES * rows // max(1, size)))


def _rows_of(name: str, batches: Iterator[Any], wanted: Sequence[str], pyarrow: Any) -> Iterator[Row]:
    number = 0
    prefix = "" if name == _IN_MEMORY else f"{name}, "
    iterator = iter(batches)
    while True:
        with _errors_of(name, pyarrow):
            batch = next(iterator, None)
        if batch is None:
            return
        size = _rows_at_once(batch.nbytes, batch.num_rows)
        for first in range(0, batch.num_rows, size):
            part = batch.slice(first, size)
            for row in _converted(part, wanted):
                yield f"{prefix}row {number}", row
                number += 1


def _converted(batch: Any, wanted: Sequence[str]) -> Iterator[Any]:
    columns = [batch.column(batch.schema.get_field_index(name)) for name in wanted]
    try:
        cells = [column.to_pylist(maps_as_pydicts="strict") for column in columns]
    except (ValueError, KeyError, OverflowError):  # a time with nanoseconds, or a date before the year 1
        yield from _converted_by_cell(columns, wanted, batch.num_rows)
        return
    if not columns:
        cells = []
        yield from ({} for _ in range(batch.num_rows))
    for row in zip(*cells):
        yield dict(zip(wanted, row))


def _converted_by_cell(columns: Sequence[Any], wanted: Sequence[str], count: int) -> Iterator[Any]:
    for number in range(count):
        row = {}
        problem = None
        for name, column in zip(wanted, columns):
            try:
                row[name] = column[number].as_py(maps_as_pydicts="strict")
            except (ValueError, KeyError, OverflowError) as error:
                problem = problem or InvalidRequestError(
                    f"column {name!r}: this {column.type} has no form in Python ({type(error).__name__}); convert the column first"
                )
        yield row if problem is None else problem


@contextlib.contextmanager
def _errors_of(name: str, pyarrow: Any) -> Iterator[None]:
    try:
        yield
    except (OSError, pyarrow.ArrowException) as error:
        raise_foreign(error, foreign=is_from_signal_handler)
        raise InvalidRequestError(f"{name}: {getattr(error, 'strerror', None) or error}") from error

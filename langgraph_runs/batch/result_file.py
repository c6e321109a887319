"""Files of results: JSON lines, CSV and Parquet, and the DataFrame of `RunMap.to_pandas`.

A file is written as ``FILE.part`` and renamed when it is complete, so that a file with its name has a row for each result.
"""

from __future__ import annotations

import abc
import contextlib
import csv
import io
import os
import sys
from typing import Any, Dict, Iterable, List, Mapping, Optional, Union

from ..errors import InvalidRequestError
from ..serialization import encode, parse
from .results import BatchResult, row_of
from .tables import import_pyarrow

if sys.platform != "win32":
    import fcntl

__all__ = ["RESULT_FORMATS", "ResultFile", "result_row", "same_file", "to_pandas"]

#: The formats of files of results.
RESULT_FORMATS = ("jsonl", "csv", "parquet")
#: Ends of names that promise what is not written.
_NOT_WRITTEN = frozenset({".gz", ".bz2", ".xz", ".zst", ".zip", ".tsv", ".xls", ".xlsx", ".arrow", ".feather", ".avro", ".orc"})
#: The columns of tables of results. The error of JSON lines has two of them: its class and its message.
_COLUMNS = (
    "key",
    "index",
    "status",
    "values",
    "error_class",
    "error_message",
    "run_id",
    "thread_id",
    "attempts",
    "seconds",
    "paused",
)
#: Rows, and characters of their JSON text, in a row group of Parquet, at most. Until then they are in memory.
_ROW_GROUP, _ROW_GROUP_TEXT = 10_000, 16 << 20
_NULL = b"null"


def result_row(result: BatchResult, *, with_input: bool) -> Dict[str, Any]:
    """Return a result as a dict for JSON, with the same names as `Ledger.export`."""
    row = row_of(result, "done" if result.error is None else "failed")
    return {**row, "input": parse(_json_of(result.input))} if with_input else row


def _flat_row(result: BatchResult) -> Dict[str, Any]:
    row = result_row(result, with_input=False)
    error = row.pop("error") or {"class": None, "message": None}
    return {**row, "error_class": error["class"], "error_message": error["message"]}


def _text_row(result: BatchResult, *, with_input: bool) -> Dict[str, Any]:
    row = _flat_row(result)
    row["values"] = None if result.values is None else encode(result.values).decode("utf-8")
    if with_input:
        text = _json_of(result.input)
        row["input"] = None if text == _NULL else text.decode("utf-8")
    return row


def _json_of(value: Any) -> bytes:
    try:
        return encode(value)
    except InvalidRequestError:  # an input that was refused because it has no JSON form
        return _NULL


class ResultFile:
    """A file of results, as a context manager. Its ``.part`` file remains if `complete` is not called.

    Raises `OSError` if the file cannot be written, and its subclass `BlockingIOError` if another process writes it.
    """

    def __init__(self, path: Union[str, os.PathLike[str]], format: Optional[str] = None, *, with_input: bool = False) -> None:
        if not isinstance(path, (str, os.PathLike)) or path == "":
            raise InvalidRequestError(f"path: give the path of a file, not {'empty text' if path == '' else type(path).__name__}")
        # The target of a link to a pipe, as /dev/stdout is, is no path.
        is_device = os.path.exists(path) and not os.path.isfile(path)
        self._path = os.fspath(path) if is_device else os.path.realpath(path)
        self._with_input = with_input
        self._format = format or _format_of(self._path)
        self._file: Any = None
        self._ended = False
        #: The path of the file until it is complete; empty for a pipe or a device, which cannot be renamed.
        self.part = "" if is_device else f"{self._path}.part"
        writers = {"csv": _CsvWriter, "parquet": _ParquetWriter}
        self._writer = writers.get(self._format, _JsonWriter)(with_input)

    def __enter__(self) -> ResultFile:
        if not self.part:
            self._file = open(self._path, "wb")
        else:
            self._file = open(self.part, "ab")  # without truncating it: another process may write it
            try:
                _lock(self._file.fileno())
                self._file.truncate(0)
                self._file.seek(0)
            except BaseException:
                self._file.close()
                raise
        self._writer.begin(self._file)
        return self

    def write(self, result: BatchResult) -> None:
        """Write a result. Except for Parquet, which is written in groups of rows, it is in the file when this returns."""
        self._writer.write(result)

    def complete(self) -> None:
        """Rename the file: all results have been written."""
        self._writer.end()
        self._ended = True
        if self.part:
            os.fsync(self._file.fileno())
            try:
                os.replace(self.part, self._path)  # while the file is open, and therefore locked
            except PermissionError:
                self._file.close()  # Windows renames no open file
                os.replace(self.part, self._path)

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # its error was raised by a write before
            if not self._ended:
                self._writer.end()  # so that the part has the results so far, also as Parquet
        with contextlib.suppress(OSError):
            self._file.close()


def same_file(path: Union[str, os.PathLike[str]], others: Mapping[str, Any]) -> Optional[str]:
    """Return the name of the first of *others* that is the file at *path*, or None. Those that are no path of a file are left out.

    A file of results replaces what is at its path and at that with ``.part``: those must not be the inputs, nor the ledger.

    >>> same_file("in.jsonl", {"the inputs": "./in.jsonl", "the ledger": "postgresql://db/jobs"})
    'the inputs'
    """
    for name, other in others.items():
        if isinstance(other, (str, os.PathLike)) and "://" not in str(other) and _is_same(path, other):
            return name
    return None


def _is_same(one: Union[str, os.PathLike[str]], other: Union[str, os.PathLike[str]]) -> bool:
    if os.path.exists(one) and os.path.exists(other):
        return os.path.isfile(one) and os.path.samefile(one, other)
    return os.path.realpath(one) == os.path.realpath(other)


def _format_of(path: str) -> str:
    end = os.path.splitext(path)[1].lower()
    if end in _NOT_WRITTEN:
        names = "give a name that ends with .jsonl, .csv or .parquet, or name the format"
        raise InvalidRequestError(f"{path}: results are not written as {end}; {names}")
    return {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}.get(end, "jsonl")


def _lock(descriptor: int) -> None:
    """Lock a file until it is closed. On Windows nothing is locked."""
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class _Writer(abc.ABC):
    """Writes results in one format."""

    def __init__(self, with_input: bool) -> None:
        self._with_input = with_input
        self._names = [*_COLUMNS, "input"] if with_input else list(_COLUMNS)
        self._file: Any = None

    def begin(self, file: Any) -> None:
        """Write what stands before the first result."""
        self._file = file

    @abc.abstractmethod
    def write(self, result: BatchResult) -> None:
        """Write a result."""

    def end(self) -> None:
        """Write what stands after the last result, and flush."""
        self._file.flush()


class _JsonWriter(_Writer):
    """Writes a line of JSON for each result."""

    def write(self, result: BatchResult) -> None:
        self._file.write(encode(result_row(result, with_input=self._with_input)) + b"\n")
        self._file.flush()


class _CsvWriter(_Writer):
    """Writes a row of CSV for each result. The values, and the input, are JSON text in one cell."""

    def begin(self, file: Any) -> None:
        super().begin(file)
        self._write_cells(self._names)

    def write(self, result: BatchResult) -> None:
        row = _text_row(result, with_input=self._with_input)
        row["paused"] = "true" if row["paused"] else "false"
        self._write_cells([row[name] for name in self._names])

    def _write_cells(self, cells: List[Any]) -> None:
        text = io.StringIO()
        csv.writer(text).writerow(cells)
        self._file.write(text.getvalue().encode("utf-8"))
        self._file.flush()


class _ParquetWriter(_Writer):
    """Writes groups of rows. The values, and the input, are JSON text in one column, since each run may have others."""

    def __init__(self, with_input: bool) -> None:
        super().__init__(with_input)
        self._pyarrow = pyarrow = import_pyarrow("a Parquet file of results")
        types = {"index": pyarrow.int64(), "attempts": pyarrow.int64(), "seconds": pyarrow.float64(), "paused": pyarrow.bool_()}
        self._schema = pyarrow.schema([(name, types.get(name, pyarrow.string())) for name in self._names])
        self._rows: List[Dict[str, Any]] = []
        self._text = 0

    def begin(self, file: Any) -> None:
        super().begin(file)
        self._writer = self._pyarrow.parquet.ParquetWriter(file, self._schema)

    def write(self, result: BatchResult) -> None:
        row = _text_row(result, with_input=self._with_input)
        self._rows.append(row)
        self._text += len(row["values"] or "") + len(row.get("input") or "")
        if len(self._rows) >= _ROW_GROUP or self._text >= _ROW_GROUP_TEXT:
            self._write_rows()

    def _write_rows(self) -> None:
        self._writer.write_table(self._pyarrow.Table.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()
        self._text = 0

    def end(self) -> None:
        try:
            if self._rows:
                self._write_rows()
            self._writer.close()
        finally:
            self._writer.is_open = False  # it would be closed again, and the error printed, when it is garbage-collected
        super().end()


def to_pandas(results: Iterable[BatchResult], *, with_input: bool) -> Any:
    """Return a DataFrame with a row for each result."""
    try:
        import pandas
    except ImportError as error:
        raise InvalidRequestError("a DataFrame of results needs pandas: pip install pandas") from error
    names = [*_COLUMNS, "input"] if with_input else list(_COLUMNS)
    rows = [{**_flat_row(result), "input": result.input} for result in results]
    # Each column by itself, so that the values of runs stay the objects that they are.
    return pandas.DataFrame({name: pandas.Series([row[name] for row in rows], dtype=_TYPES.get(name, "object")) for name in names})


#: The types of columns of the DataFrame, by the names of pandas.
_TYPES = {"index": "int64", "attempts": "int64", "seconds": "float64", "paused": "bool"}

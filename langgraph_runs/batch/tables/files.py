"""Rows of files of JSON lines and CSV, with or without gzip. Each is read as the map goes on, one line at a time."""

from __future__ import annotations

import contextlib
import csv
import gzip
import os
import zlib
from typing import IO, Any, Dict, Iterator, List, Optional, Sequence, Union

from ...call import is_from_signal_handler, raise_foreign
from ...errors import InvalidRequestError
from .cells import parse_text
from .sources import Row, Source, check_columns

__all__ = ["BinaryFile", "CsvRows", "JsonLines"]


#: The size of files whose lines are counted before the first one is used, at most.
_COUNTED_BYTES = 1 << 30


class BinaryFile:
    """A file of bytes: the path of one, which can be read several times, or an open file, which can be read once."""

    def __init__(self, given: Union[str, os.PathLike[str], IO[bytes]]) -> None:
        self._given = given
        self.is_path = isinstance(given, (str, os.PathLike))
        #: The path, or None for an open file.
        self.path = os.fspath(given) if isinstance(given, (str, os.PathLike)) else None
        name = os.fspath(given) if isinstance(given, (str, os.PathLike)) else getattr(given, "name", None)
        self.name = "stdin" if name == "<stdin>" else name if isinstance(name, str) else "the file"

    @property
    def can_be_opened_again(self) -> bool:
        """True unless it is a pipe, or a file that the caller has opened."""
        return self.is_path and os.path.isfile(self.name)

    @property
    def can_be_counted(self) -> bool:
        """True if the whole file can be read once more, in a second or two: it is no pipe, neither compressed nor very large."""
        plain = self.can_be_opened_again and not self.name.endswith(".gz")
        return plain and os.path.getsize(self.name) <= _COUNTED_BYTES

    def check(self) -> None:
        """Raise `InvalidRequestError` if there is no such file. A pipe is not opened, since it can be opened only once."""
        if self.is_path and (os.path.isfile(self.name) or os.path.isdir(self.name) or not os.path.exists(self.name)):
            with self.open():
                pass

    @contextlib.contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open the file for reading. Raises `InvalidRequestError` that names the file for errors of the operating system."""
        with contextlib.ExitStack() as stack:
            try:
                file: Any = self._given
                if self.is_path:
                    opened = gzip.open if self.name.endswith(".gz") else open
                    file = stack.enter_context(opened(self.name, "rb"))
                yield file
            except (OSError, EOFError, zlib.error) as error:  # those of a damaged gzip too
                raise_foreign(error, foreign=is_from_signal_handler)
                raise InvalidRequestError(f"{self.name}: {getattr(error, 'strerror', None) or error}") from error

    def lines(self) -> Iterator[bytes]:
        """Yield the lines with their ends."""
        with self.open() as file:
            yield from file


class JsonLines(Source):
    """A file with a JSON value in each line. Empty lines are skipped."""

    def __init__(self, file: BinaryFile, *, missing: str) -> None:
        self.name = file.name
        self.path = file.path
        self._file = file
        self._missing = missing
        file.check()

    def count(self) -> Optional[int]:
        """Return the number of lines that are not empty, if that costs nothing but time."""
        return sum(1 for line in self._file.lines() if line.strip()) if self._file.can_be_counted else None

    def rows(self, columns: Optional[Sequence[str]]) -> Iterator[Row]:
        """Yield the values of the lines."""
        for number, line in enumerate(self._file.lines(), 1):
            if line.strip():
                place = f"{self.name}, line {number}"
                try:
                    text = line.rstrip(b"\r\n").decode("utf-8-sig" if number == 1 else "utf-8")
                    yield place, parse_text(text, missing=self._missing)
                except UnicodeDecodeError as error:
                    yield place, InvalidRequestError(f"not UTF-8: {error.reason} at byte {error.start}")
                except InvalidRequestError as error:
                    yield place, error


class CsvRows(Source):
    """A CSV file in UTF-8 with a line of names. Each cell is text; an empty cell is empty text."""

    def __init__(self, file: BinaryFile, *, delimiter: str) -> None:
        self.name = file.name
        self.path = file.path
        self._file = file
        self._delimiter = delimiter
        self._open_reader: Any = None
        self._names = self.columns = self._begin()
        if file.can_be_opened_again:
            self._open_reader = None  # the next reader begins at the start

    def _begin(self) -> List[str]:
        self._open_reader = csv.reader(
            (line.decode("utf-8-sig", "surrogateescape") for line in self._file.lines()), delimiter=self._delimiter, strict=True
        )
        try:
            return check_columns(self.name, next(self._open_reader, []))
        except csv.Error as error:
            raise InvalidRequestError(f"{self.name}, line 1: not CSV: {error}") from None

    def rows(self, columns: Optional[Sequence[str]]) -> Iterator[Row]:
        """Yield the rows. Raises `InvalidRequestError` if it is not known where the next row begins."""
        if self._open_reader is None:
            self._begin()
        reader, self._open_reader = self._open_reader, None
        while True:
            before = reader.line_num
            place = f"{self.name}, line {before + 1}"
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                remedy = "; raise it with csv.field_size_limit()" if "field limit" in str(error) else ""
                yield place, InvalidRequestError(f"not CSV: {error}{remedy}")
                if reader.line_num > before + 1 and "unexpected end" not in str(error):
                    text = f"{place}: not CSV: {error}{remedy}; where the next row begins is not known"
                    raise InvalidRequestError(text) from None
                continue
            if cells:
                yield place, self._row(cells)

    def _row(self, cells: List[str]) -> Union[Dict[str, str], InvalidRequestError]:
        if len(cells) != len(self._names):
            return InvalidRequestError(f"{len(cells)} cells, but the first line names {len(self._names)} columns")
        for column, cell in zip(self._names, cells):
            if not cell.isascii() and any("\udc80" <= char <= "\udcff" for char in cell):
                return InvalidRequestError(f"column {column!r}: not UTF-8")
        return dict(zip(self._names, cells))

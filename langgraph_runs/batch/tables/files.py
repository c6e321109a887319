"""Rows of files of JSON lines and CSV, with or without gzip. Each is read as the map goes on, one line at a time."""

from __future__ import annotations

import codecs
import contextlib
import csv
import gzip
import itertools
import os
import re
import zlib
from typing import IO, Any, Dict, Iterable, Iterator, List, Optional, Sequence, Union

from ...call import is_from_signal_handler, raise_foreign
from ...errors import InvalidRequestError
from .cells import parse_text
from .sources import Row, Source, check_columns

__all__ = ["BinaryFile", "CsvRows", "JsonLines"]


#: The size of files whose lines are counted before the first one is used, at most.
_COUNTED_BYTES = 1 << 30
#: The encodings whose files may begin with a mark that is never the begin of UTF-8, in the order in which they are tried.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: What bytes.strip removes.
_SPACE = " \t\r\n\v\f"
#: The name of the error handler that decodes what is not text to half a surrogate pair.
_ESCAPE = "langgraph_runs.surrogate"
#: The first line of a JSON document of many lines, and what to do with it.
_BEGINS = ("[", "{")
_ONE_DOCUMENT = "each line must be a value of its own: `jq -c '.[]'` writes a list so"
#: What bytes that are no text are decoded to.
_ESCAPED = re.compile("[\udc80-\udcff]")

codecs.register_error(_ESCAPE, lambda error: ("\udcff", getattr(error, "end", 0)))


class BinaryFile:
    """A file of bytes: the path of one, which can be read several times, or an open file, which can be read once."""

    def __init__(self, given: Union[str, os.PathLike[str], IO[bytes]], encoding: Optional[str] = None) -> None:
        self._given = given
        self._encoding = encoding
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

    def text_lines(self) -> Iterator[str]:
        """Yield the lines as text, with their ends. Bytes that are no text are halves of surrogate pairs, which `not_text` finds.

        If the caller gave no encoding, it is UTF-8, or UTF-16 or UTF-32 if the file begins with their mark. A mark is left out.
        """
        lines = self.lines()
        first = next(lines, b"")
        lines = itertools.chain([first], lines)
        if self._encoding is None:
            self._encoding = next((name for mark, name in _MARKS if first.startswith(mark)), "utf-8")
        utf8 = codecs.lookup(self._encoding).name == "utf-8"
        texts = (line.decode("utf-8", "surrogateescape") for line in lines) if utf8 else _decoded(lines, self._encoding)
        begin = next(texts, "")
        yield begin[1:] if begin.startswith("\ufeff") else begin
        yield from texts

    def not_text(self, text: str) -> Optional[str]:
        """Return why *text*, of `text_lines`, is not the text of this file, with the remedy; None if it is."""
        if text.isascii() or not _ESCAPED.search(text):
            return None
        reason = ""
        try:
            text.encode("utf-8", "surrogateescape").decode("utf-8")
        except UnicodeDecodeError as error:
            reason = f": {error.reason} at byte {error.start}" if self._encoding == "utf-8" else ""
        return f'not {self._name_of_encoding}{reason}; if the file has another encoding, name it: encoding="cp1252"'

    @property
    def _name_of_encoding(self) -> str:
        return (self._encoding or "utf-8").upper()


def _decoded(chunks: Iterable[bytes], encoding: str) -> Iterator[str]:
    """Yield the lines of a text whose line ends may be other bytes than those of ASCII."""
    decoder = codecs.getincrementaldecoder(encoding)(_ESCAPE)
    begun: List[str] = []
    for chunk in itertools.chain(chunks, [None]):
        text = decoder.decode(chunk or b"", final=chunk is None)
        *ended, rest = text.split("\n")
        for line in ended:
            yield "".join([*begun, line, "\n"])
            begun = []
        if rest:
            begun.append(rest)
    if begun:
        yield "".join(begun)


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
        if not self._file.can_be_counted:
            return None
        return sum(1 for line in self._file.text_lines() if line.strip(_SPACE))

    def rows(self, columns: Optional[Sequence[str]]) -> Iterator[Row]:
        """Yield the values of the lines."""
        for number, line in enumerate(self._file.text_lines(), 1):
            if line.strip(_SPACE):
                place = f"{self.name}, line {number}"
                problem = self._file.not_text(line)
                try:
                    if problem is not None:
                        raise InvalidRequestError(problem)
                    yield place, parse_text(line.rstrip("\r\n"), missing=self._missing)
                except InvalidRequestError as error:
                    if number == 1 and line.strip(_SPACE) in _BEGINS:
                        error = InvalidRequestError(f"{error._text}; {_ONE_DOCUMENT}")
                    yield place, error


class CsvRows(Source):
    """A CSV file with a line of names. Each cell is text; an empty cell is empty text."""

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
        lines = self._file.text_lines()
        first = next(lines, "")
        problem = self._file.not_text(first)
        if problem is None and "\0" in first:
            problem = 'a null character; a file in UTF-16 without a mark needs encoding="utf-16-le" or "utf-16-be"'
        if problem is not None:
            raise InvalidRequestError(f"{self.name}, line 1: {problem}")
        self._open_reader = csv.reader(itertools.chain([first], lines), delimiter=self._delimiter, strict=True)
        try:
            return check_columns(self.name, next(self._open_reader, []))
        except csv.Error as error:
            raise InvalidRequestError(f"{self.name}, line 1: {_reason(error)}") from None

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
                yield place, InvalidRequestError(_reason(error))
                if reader.line_num > before + 1 and "unexpected end" not in str(error):
                    text = f"{place}: {_reason(error)}; where the next row begins is not known"
                    raise InvalidRequestError(text) from None
                continue
            if cells:
                yield place, self._row(cells)

    def _row(self, cells: List[str]) -> Union[Dict[str, str], InvalidRequestError]:
        if len(cells) != len(self._names):
            return InvalidRequestError(f"{len(cells)} cells, but the first line names {len(self._names)} columns")
        for column, cell in zip(self._names, cells):
            problem = self._file.not_text(cell)
            if problem is not None:
                return InvalidRequestError(f"column {column!r}: {problem}")
        return dict(zip(self._names, cells))


def _reason(error: csv.Error) -> str:
    """Return why a row is not CSV, with the remedy."""
    if "new-line character" in str(error):  # the advice of csv is about how a program opens the file
        return "not CSV: a carriage return without a line feed; end the lines with a line feed, or put the cell in quotes"
    remedy = "; raise it with csv.field_size_limit()" if "field limit" in str(error) else ""
    return f"not CSV: {error}{remedy}"

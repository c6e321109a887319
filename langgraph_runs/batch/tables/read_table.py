"""`read_table`: the rows of a table as inputs of a map, with their keys."""

from __future__ import annotations

import codecs
import contextlib
import os
from typing import Any, Callable, Dict, Iterable, Iterator, List, Literal, Optional, Sequence, Tuple, Union

from ...errors import InvalidRequestError
from ...runs import key_text
from ...validation import check_choice, near
from .arrow import ArrowRows, ParquetRows
from .cells import MISSING, checked_cell, parse_text
from .dataframes import PandasRows, PolarsRows
from .files import BinaryFile, CsvRows, JsonLines
from .sources import Source, is_table

__all__ = ["guess_format", "read_table"]

#: The formats, with the ends of the names of their files.
_FORMATS = {
    "jsonl": (".jsonl", ".ndjson"),
    "csv": (".csv",),
    "tsv": (".tsv",),
    "parquet": (".parquet", ".pq"),
}
_PARQUET = b"PAR1"


def read_table(
    source: Any,
    *,
    key: Optional[str] = None,
    input: Union[str, Sequence[str], Callable[[Dict[str, Any]], Any], None] = None,
    missing: Literal["error", "null"] = "error",
    json_columns: Sequence[str] = (),
    format: Optional[Literal["jsonl", "csv", "tsv", "parquet"]] = None,
    delimiter: Optional[str] = None,
    encoding: Optional[str] = None,
) -> Iterable[Any]:
    """Return the rows of a table as inputs for ``client.runs.map``: pairs of a key and an input, or inputs if there is no *key*.

    *source* is the path of a file (JSON lines, CSV, Parquet; a directory of Parquet files), a file opened for reading bytes, or a
    DataFrame or table in memory (pandas, polars, Arrow, and what offers the Arrow C stream interface). It is read as the map goes
    on: a file of a million rows takes no more memory than one of a thousand. Parquet and Arrow need the extra ``tables``.

    - *key*: the column with the keys. Of a pandas DataFrame it may be a named level of the index.
    - *input*: None for the whole row as a dict; the name of a column whose value is the input; a list of names for a dict of these
      columns; or a function that takes the row as a dict and returns the input.
    - *missing*: what to do with NaN, NaT, NA, null and the infinities, anywhere in a row. ``"error"`` refuses the row, ``"null"``
      sends null. In JSON lines, null is a value and always sent. In CSV, an empty cell is empty text.
    - *json_columns*: columns whose text is parsed as JSON: numbers in a CSV file, or messages in a column of text.
    - *format*: ``"jsonl"``, ``"csv"``, ``"tsv"`` or ``"parquet"``, if the name of the file does not say it.
    - *delimiter*: the character between the cells of a CSV file, if that is not a comma (a tab in ``"tsv"``).
    - *encoding*: the encoding of a file of JSON lines or CSV, such as ``"cp1252"``, if that is not UTF-8. A file that begins with
      the byte order mark of UTF-16 or UTF-32 needs none.

    A row that cannot be used is the error of its result, which names the row (from 0) or the line (from 1) and the column; the
    other rows are run. Raises `InvalidRequestError` at once if the file cannot be read or a column does not exist.

    >>> import io
    >>> list(read_table(io.BytesIO(b"id,text\\n7,Why?\\n"), format="csv", key="id", input=["text"]))
    [('7', {'text': 'Why?'})]
    """
    check_choice("missing", missing, MISSING)
    if format is not None:
        check_choice("format", format, list(_FORMATS))
    if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n\0'):
        raise InvalidRequestError("delimiter: give one character, such as ';'")
    if encoding is not None:
        _check_encoding(encoding)
    return _Table(_source_of(source, format, missing, delimiter, encoding), key, input, missing, json_columns)


def _check_encoding(encoding: Any) -> None:
    try:
        codecs.getincrementaldecoder(encoding)
        with contextlib.suppress(UnicodeDecodeError):
            b"a".decode(encoding)  # raises LookupError for "base64" and others that are no encodings of text
    except (LookupError, TypeError, ValueError):
        raise InvalidRequestError('encoding: give the name of an encoding of text, such as "utf-16" or "cp1252"') from None


class _Table:
    """The inputs of a table. Its length hint is the number of rows, if that is known."""

    def __init__(self, source: Source, key: Any, input: Any, missing: str, json_columns: Sequence[str]) -> None:
        self._source = source
        #: The path of the file, which results must not replace.
        self.path = source.path
        self._key = key
        self._input = input
        self._missing = missing
        if isinstance(json_columns, str) or not all(isinstance(name, str) for name in json_columns):
            raise InvalidRequestError("json_columns: give a list of the names of columns")
        self._json_columns = frozenset(json_columns)
        self._fields: Optional[List[str]] = None
        if input is not None and not isinstance(input, str) and not callable(input):
            if not isinstance(input, (list, tuple)) or not input or not all(isinstance(name, str) for name in input):
                raise InvalidRequestError("input: give the name of a column, a list of names, or a function of the row")
            self._fields = list(input)
        if key is not None and not isinstance(key, str):
            raise InvalidRequestError("key: give the name of a column")
        self._check_names()

    def _check_names(self) -> None:
        columns = self._source.columns
        if columns is not None:
            for option, names in (("key", self._key), ("input", self._input), ("json_columns", self._json_columns)):
                for name in [names] if isinstance(names, str) else () if names is None or callable(names) else names:
                    if name not in columns:
                        shown = "; its columns are " + ", ".join(map(repr, columns[:20]))
                        hint = near(name, columns) or (shown if columns else "; it is empty")
                        raise InvalidRequestError(f"{option}: {self._source.name} has no column {name!r}{hint}")

    def __length_hint__(self) -> int:
        count = self._source.count()
        return NotImplemented if count is None else count

    def _wanted(self) -> Optional[List[str]]:
        """Return the columns that are read, or None for all of them."""
        if self._input is None or callable(self._input):
            columns = self._source.columns
            if columns is None or self._key is None:
                return None
            own = [name for name in columns if name not in self._source.index_columns]
            return own if self._key in own else [*own, self._key]
        names = [self._input] if isinstance(self._input, str) else list(self._fields or ())
        return names if self._key is None or self._key in names else [*names, self._key]

    def __iter__(self) -> Iterator[Any]:
        return _Inputs(self)

    def inputs_and_places(self) -> Iterator[Tuple[str, Any]]:
        """Yield where each row is, for messages, and its input, with its key."""
        for place, row in self._source.rows(self._wanted()):
            key: Optional[str] = None
            try:
                if isinstance(row, InvalidRequestError):
                    raise row
                key = self._key_of(row)
                given = self._input_of(row)
            except InvalidRequestError as error:
                given = InvalidRequestError(f"{place}: {error._text}")
            if key is not None:
                yield place, (key, given)
            else:
                yield place, list(given) if isinstance(given, tuple) else given  # a tuple could be taken for a key and an input

    def _key_of(self, row: Any) -> Optional[str]:
        if self._key is None:
            return None
        try:
            return key_text(_cell(row, self._key))
        except InvalidRequestError as error:
            raise InvalidRequestError(f"column {self._key!r}: {error._text}") from None

    def _input_of(self, row: Any) -> Any:
        if isinstance(self._input, str):
            return self._checked(row, self._input)
        if self._fields is not None:
            return {name: self._checked(row, name) for name in self._fields}
        if isinstance(row, dict):
            left_out = self._key if self._input is None and self._key in self._source.index_columns else None
            row = {name: self._checked(row, name) for name in row if name != left_out}
        return self._input(row) if callable(self._input) else row

    def _checked(self, row: Any, name: str) -> Any:
        """Return the value of a cell, by the rules for missing values and for JSON text."""
        try:
            value = _cell(row, name)
            if self._source.has_missing:
                value = checked_cell(value, missing=self._missing)
            return parse_text(value, missing=self._missing) if name in self._json_columns and isinstance(value, str) else value
        except InvalidRequestError as error:
            separator = "" if error._text.startswith((".", "[")) else ": "
            raise InvalidRequestError(f"column {name!r}{separator}{error._text}") from None


class _Inputs(Iterator[Any]):
    """The inputs of a table, from the first row. A map names the place of an input that cannot be sent."""

    def __init__(self, table: _Table) -> None:
        self._rows = table.inputs_and_places()
        #: Where the row of the last input is.
        self.place = ""

    def __next__(self) -> Any:
        self.place, given = next(self._rows)
        return given


def _cell(row: Any, name: str) -> Any:
    if not isinstance(row, dict):
        raise InvalidRequestError(f"a JSON object is needed here, not {_KINDS.get(type(row), 'a number')}")
    if name not in row:
        raise InvalidRequestError(f"there is no such field{near(name, row)}")
    return row[name]


#: The names of JSON's other types.
_KINDS = {list: "a list", str: "text", bool: "true or false", type(None): "null"}


def _source_of(source: Any, format: Optional[str], missing: str, delimiter: Optional[str], encoding: Optional[str]) -> Source:
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        if not isinstance(path, str) or not path or "://" in path:
            raise InvalidRequestError("source: give the path of a local file; of others, an open file or a dataset of pyarrow")
        return _file_source(path, format or _format_of(path), missing, delimiter, encoding)
    if isinstance(source, bytes) or not (hasattr(source, "read") or is_table(source)):
        raise InvalidRequestError(f"source: give the path of a file, an open file or a DataFrame, not {type(source).__name__}")
    if format is not None and is_table(source):
        raise InvalidRequestError("format: only a file has one")
    if encoding is not None and is_table(source):
        raise InvalidRequestError("encoding: only a file has one")
    if hasattr(source, "read"):
        if isinstance(source.read(0), str):
            raise InvalidRequestError("source: the file is open for text; open it for bytes")
        if format is None or format == "parquet":
            raise InvalidRequestError('format: an open file needs "jsonl", "csv" or "tsv"; give the path of a Parquet file')
        return _file_source(source, format, missing, delimiter, encoding)
    if hasattr(source, "iter_rows"):
        return PolarsRows(source)
    if hasattr(source, "itertuples"):
        return PandasRows(source)
    if hasattr(source, "to_batches") or hasattr(source, "__arrow_c_stream__"):
        return ArrowRows(source)
    raise InvalidRequestError(
        f"source: a {type(source).__name__} does not give its rows by itself; collect it, or write it as Parquet and give the path"
    )


def _file_source(source: Any, format: str, missing: str, delimiter: Optional[str], encoding: Optional[str]) -> Source:
    if delimiter is not None and format not in ("csv", "tsv"):
        raise InvalidRequestError("delimiter: only a CSV file has one")
    if format == "parquet":
        if encoding is not None:
            raise InvalidRequestError("encoding: only a file of JSON lines or CSV has one")
        return ParquetRows(source)
    if format == "jsonl":
        return JsonLines(BinaryFile(source, encoding), missing=missing)
    return CsvRows(BinaryFile(source, encoding), delimiter=delimiter or ("\t" if format == "tsv" else ","))


def _format_of(path: str) -> str:
    format = guess_format(path)
    if format is None:
        raise InvalidRequestError(f"{path}: the name does not say the format; give format={', '.join(map(repr, _FORMATS))}")
    return format


def guess_format(path: str) -> Optional[str]:
    """Return the format of a file by its name, or Parquet by its content; None if neither says it."""
    plain = path.lower()[: -len(".gz")] if path.lower().endswith(".gz") else path.lower()
    for format, ends in _FORMATS.items():
        if plain.endswith(ends):
            return format
    return "parquet" if os.path.isdir(path) or _begins_as_parquet(path) else None


def _begins_as_parquet(path: str) -> bool:
    if not os.path.isfile(path):
        return False
    with BinaryFile(path).open() as file:
        return file.read(len(_PARQUET)) == _PARQUET

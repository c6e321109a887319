"""Tables as inputs of a map: files of JSON lines and CSV, keys, columns, and the errors of rows."""

from __future__ import annotations

import csv
import gzip
import io
import operator
import re
from pathlib import Path
from typing import Any, Iterator, List

import pytest

from langgraph_runs import InvalidRequestError, read_table
from langgraph_runs.batch.inputs import InputReader, Item
from langgraph_runs.batch.tables.sources import is_table


def items(table: Any) -> List[Item]:
    reader = InputReader(table, {}, key=None, digests=False)
    found: List[Item] = []
    while True:
        item = reader.read()
        if item is None:
            return found
        found.append(item)


def lines(text: bytes, **options: Any) -> List[Any]:
    return list(read_table(io.BytesIO(text), format="jsonl", **options))


def cells(text: bytes, **options: Any) -> List[Any]:
    return list(read_table(io.BytesIO(text), format="csv", **options))


# -- JSON lines


def test_each_line_of_json_is_an_input() -> None:
    assert [{"n": 1}, [2], "three", None] == lines(b'\xef\xbb\xbf{"n": 1}\n\n[2]\r\n  "three"  \nnull')


def test_a_bad_line_is_the_error_of_that_line(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes(b'{"id": 1}\n{"id": 2\n\xff\n{"id": 4, "n": NaN}\n{"n": 5}\n[6]\n{"id": 1.5}\n{"id": 8}\n')
    found = items(read_table(file, key="id"))
    assert ["1", None, None, None, None, None, None, "8"] == [item.key for item in found]
    assert [
        f"{file}, line 2: not JSON: Expecting ',' delimiter at column 9",
        f'{file}, line 3: not UTF-8: invalid start byte at byte 0; if the file has another encoding, name it: encoding="cp1252"',
        f'{file}, line 4: not JSON: NaN; it is sent as null with missing="null"',
        f"{file}, line 5: column 'id': there is no such field",
        f"{file}, line 6: column 'id': a JSON object is needed here, not a list",
        f"{file}, line 7: column 'id': a float is no key; give text, a whole number, a UUID, a date or an enum",
    ] == [str(item.error) for item in found[1:7]]
    assert [{"id": 1}, {"id": 8}] == [item.given for item in found if item.error is None]


def test_a_list_over_many_lines_is_refused_with_the_remedy() -> None:
    found = lines(b'[\n  {"n": 1},\n  {"n": 2}\n]\n')
    assert "line 1: not JSON: Expecting value at column 2; each line must be a value of its own: `jq -c '.[]'`" in str(found[0])
    assert "jq" not in str(found[1]) and {"n": 2} == found[2] and "jq" not in str(found[3])


def test_null_is_a_value_in_json() -> None:
    assert [{"n": None}] == lines(b'{"n": null}')
    assert [{"n": None}] == lines(b'{"n": NaN}', missing="null")


def test_a_column_that_a_line_does_not_have_names_the_nearest() -> None:
    (error,) = lines(b'{"questions": "Why?"}', input="question")
    assert "column 'question': there is no such field; did you mean 'questions'?" in str(error)


# -- CSV


def test_each_cell_of_a_csv_file_is_text() -> None:
    text = '\ufeffid,question,words\r\n007,"Why, and\nsince when?",30\r\n\r\n8,,\r\n'.encode()
    assert [
        ("007", {"id": "007", "question": "Why, and\nsince when?", "words": "30"}),
        ("8", {"id": "8", "question": "", "words": ""}),
    ] == cells(text, key="id")


def test_a_bad_row_is_the_error_of_that_row() -> None:
    found = items(
        read_table(io.BytesIO(b'id,q\n1,a\n2\n3,"b"x\n4,\xff\n,e\n6,f\n7,"open\n8,g\n'), format="csv", key="id", input="q")
    )
    assert [
        "the file, line 3: 1 cells, but the first line names 2 columns",
        "the file, line 4: not CSV: ',' expected after '\"'",
        "the file, line 5: column 'q': not UTF-8: invalid start byte at byte 0"
        '; if the file has another encoding, name it: encoding="cp1252"',
        "the file, line 6: column 'id': empty text is no key; give text, a whole number, a UUID, a date or an enum",
        "the file, line 8: not CSV: unexpected end of data",
    ] == [str(item.error) for item in found if item.error is not None]
    assert [("1", "a"), ("6", "f")] == [(item.key, item.given) for item in found if item.error is None]


def test_reading_ends_where_the_next_row_may_begin_anywhere() -> None:
    """After a fault in a cell of several lines, a line could be a row or a part of a cell."""
    table = iter(read_table(io.BytesIO(b'id,q\n1,"a\nb"c\n2,d\n'), format="csv"))
    assert "line 2: not CSV" in str(next(table))
    with pytest.raises(InvalidRequestError, match="where the next row begins is not known"):
        next(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"id,id\n1,2\n", "there are two columns 'id'; give each a name of its own"),
        (b"id,,q\n1,2,3\n", "column 1 has no name that is text"),
        (b"", "has no column 'id'"),
        (b"id;question\n1;a\n", "has no column 'id'; its columns are 'id;question'"),
        (b'"id"x\n', "line 1: not CSV"),
        (b"", "has no column 'id'; it is empty"),
        (b"id,q\r1,a\r", "line 1: not CSV: a carriage return without a line feed; end the lines with a line feed"),
        (b"\xe9,id\n", 'line 1: not UTF-8: .* name it: encoding="cp1252"'),
        ("id,q\n".encode("utf-16-le"), 'line 1: a null character; a file in UTF-16 without a mark needs encoding="utf-16-le"'),
    ],
)
def test_a_bad_first_line_is_refused_at_once(text: bytes, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        read_table(io.BytesIO(text), format="csv", key="id")


ROWS = 'id,q\n1,"\u00e9\n\u0a0a"\n\n2,\u2028b\x1c\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "gb18030"])
def test_a_csv_file_may_have_any_encoding(encoding: str) -> None:
    expected = [{"id": "1", "q": "\u00e9\n\u0a0a"}, {"id": "2", "q": "\u2028b\x1c"}]
    assert expected == cells(ROWS.encode(encoding), encoding=encoding)
    with_mark = ROWS.encode(encoding) if encoding in ("utf-8-sig", "utf-16", "utf-32") else f"\ufeff{ROWS}".encode(encoding)
    assert expected == cells(with_mark, encoding=encoding)
    if encoding not in ("utf-7", "gb18030"):
        assert expected == cells(with_mark)


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_lines_of_json_may_have_any_encoding(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes('{"n": "\u00e9"}\r\n\r\n{"n": 2}'.encode(encoding))
    table = read_table(file, encoding=encoding)
    assert [{"n": "\u00e9"}, {"n": 2}] == list(table) == list(table)
    assert 2 == operator.length_hint(table)


def test_bytes_that_are_no_text_in_an_encoding_are_the_error_of_their_line(tmp_path: Path) -> None:
    for encoding in (None, "utf-16"):
        bad = '{"n": 1}\n"'.encode("utf-16") + b"\x00\xd8" + '"\n{"n": 3}\n'.encode("utf-16-le") + b"x"
        found = lines(bad, encoding=encoding)
        assert [{"n": 1}, {"n": 3}] == [found[0], found[2]] and 4 == len(found)
        assert 'line 2: not UTF-16; if the file has another encoding, name it: encoding="cp1252"' in str(found[1])
        assert "line 4: not UTF-16" in str(found[3])
    assert [{"q": "\u20ac"}] == cells(b"q\n\x80\n", encoding="cp1252")
    (error,) = cells(b"q\n\x81\n", encoding="cp1252")
    assert "line 2: column 'q': not CP1252" in str(error)


def test_text_in_cells_may_be_json() -> None:
    text = b'id,messages,words\n1,"[{""role"": ""user""}]",30\n2,[,30\n'
    found = cells(text, key="id", input=["messages", "words"], json_columns=["messages", "words"])
    assert ("1", {"messages": [{"role": "user"}], "words": 30}) == found[0]
    assert "line 3: column 'messages': not JSON: Expecting value at column 2" in str(found[1][1])
    assert "2" == found[1][0]


@pytest.fixture
def limit() -> Iterator[int]:
    """The limit of csv for one field, which holds for the whole process, as it is at first."""
    before = csv.field_size_limit(131072)
    yield 131072
    csv.field_size_limit(before)


def test_a_cell_that_is_too_long_names_the_remedy(limit: int) -> None:
    text = b"id,q\n1," + b"x" * (limit + 1) + b'\n2,a\n3,"b\n' + b"x" * (limit + 1) + b'"\n'
    table = iter(read_table(io.BytesIO(text), format="csv", key="id", input="q"))
    remedy = rf"line 2: not CSV: field larger than field limit \({limit}\); raise it with csv.field_size_limit\(\)"
    assert re.search(remedy, str(next(table)))
    assert ("2", "a") == next(table)
    assert "line 4" in str(next(table))
    with pytest.raises(InvalidRequestError, match=r"raise it with csv.field_size_limit\(\); where the next row begins"):
        next(table)


def test_cells_may_be_separated_by_another_character() -> None:
    assert [{"id": "1", "q": "a,b"}] == cells(b"id;q\n1;a,b\n", delimiter=";")
    assert [{"id": "1", "q": "a b"}] == list(read_table(io.BytesIO(b"id\tq\n1\ta b\n"), format="tsv"))


# -- inputs


def test_an_input_is_the_row_or_a_column_or_columns_or_what_a_function_makes_of_it() -> None:
    text = b"id,q,n\n1,Why?,2\n"
    assert [{"id": "1", "q": "Why?", "n": "2"}] == cells(text)
    assert ["Why?"] == cells(text, input="q")
    assert [{"n": "2", "q": "Why?"}] == cells(text, input=["n", "q"])
    assert [("1", {"topic": "Why?"})] == cells(text, key="id", input=lambda row: {"topic": row["q"]})


def test_the_exception_of_a_function_is_raised_unchanged() -> None:
    with pytest.raises(KeyError, match="nothing"):
        cells(b"id\n1\n", input=lambda row: row["nothing"])


def test_the_format_is_that_of_the_name(tmp_path: Path) -> None:
    for name, content in (
        ("a.csv", b"n\n1\n"),
        ("a.TSV", b"n\tm\n1\t2\n"),
        ("a.jsonl", b'{"n": "1"}\n'),
        ("a.ndjson", b'{"n": "1"}'),
    ):
        (tmp_path / name).write_bytes(content)
        assert ["1"] == list(read_table(tmp_path / name, input="n"))
        with gzip.open(tmp_path / f"{name}.gz", "wb") as file:
            file.write(content)
        assert ["1"] == list(read_table(str(tmp_path / f"{name}.gz"), input="n"))
    (tmp_path / "a.data").write_bytes(b"n\n1\n")
    assert ["1"] == list(read_table(tmp_path / "a.data", input="n", format="csv"))
    for name in ("a.data", "a.json"):  # the latter is more often a list than lines
        with pytest.raises(InvalidRequestError, match=f"{name}: the name does not say the format; give format='jsonl', "):
            read_table(tmp_path / name)


def test_a_table_of_a_path_can_be_read_again_and_knows_its_length_where_that_is_cheap(tmp_path: Path) -> None:
    for name, content, length in (("a.jsonl", b"1\n\n2\n", 2), ("a.csv", b'n\n1\n"2\n"\n', -1)):
        (tmp_path / name).write_bytes(content)
        table = read_table(tmp_path / name)
        assert 2 == len(list(table)) == len(list(table))
        assert length == operator.length_hint(table, -1)


def test_the_lines_of_a_large_file_are_not_counted(tmp_path: Path) -> None:
    with open(tmp_path / "a.jsonl", "wb") as file:
        file.truncate((1 << 30) + 1)  # a hole, which takes no space
    assert -1 == operator.length_hint(read_table(tmp_path / "a.jsonl"), -1)


def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"n": 1}\n' * 1000)
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidRequestError, match=r"a\.jsonl\.gz: "):
        list(read_table(tmp_path / "a.jsonl.gz"))


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_a_file_that_is_not_there_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"{name}: No such file"):
        read_table(tmp_path / name)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ([{"n": 1}], {}, "source: give the path of a file, an open file or a DataFrame, not list"),
        ("s3://bucket/a.parquet", {}, "source: give the path of a local file"),
        ("", {}, "source: give the path of a local file"),
        (io.StringIO("n"), {"format": "csv"}, "source: the file is open for text; open it for bytes"),
        (io.BytesIO(b"n"), {}, 'format: an open file needs "jsonl", "csv" or "tsv"'),
        (io.BytesIO(b"n"), {"format": "excel"}, "format='excel': give one of 'jsonl', "),
        (io.BytesIO(b"n"), {"format": "csv", "missing": "drop"}, "missing='drop': give one of 'error', 'null'"),
        (io.BytesIO(b"n"), {"format": "csv", "input": []}, "input: give the name of a column, a list of names, or a function"),
        (io.BytesIO(b"n"), {"format": "csv", "input": 3}, "input: give the name of a column, a list of names, or a function"),
        (io.BytesIO(b"n"), {"format": "csv", "delimiter": ";;"}, "delimiter: give one character"),
        (io.BytesIO(b"n"), {"format": "jsonl", "delimiter": ";"}, "delimiter: only a CSV file has one"),
        (io.BytesIO(b"n"), {"format": "csv", "encoding": "latin-47"}, "encoding: give the name of an encoding of text"),
        (io.BytesIO(b"n"), {"format": "csv", "encoding": "base64"}, "encoding: give the name of an encoding of text"),
        (io.BytesIO(b"n"), {"format": "csv", "encoding": 8}, "encoding: give the name of an encoding of text"),
        (io.BytesIO(b"n"), {"format": "csv", "key": 3}, "key: give the name of a column"),
        (io.BytesIO(b"n"), {"format": "csv", "json_columns": "n"}, "json_columns: give a list of the names of columns"),
        (
            io.BytesIO(b"n"),
            {"format": "csv", "json_columns": ["m"]},
            "json_columns: the file has no column 'm'; its columns are 'n'",
        ),
    ],
)
def test_wrong_arguments_are_refused_at_once(source: Any, options: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_table(source, **options)
    assert str(caught.value).startswith(message)


class Remote:
    """As a DataFrame of Spark: it has columns, and its rows are elsewhere."""

    columns = ("a",)

    def toLocalIterator(self) -> Any:
        return iter([])


def test_a_table_that_is_elsewhere_is_refused_with_the_remedy() -> None:
    assert is_table(Remote()) and not is_table({"columns": 1})
    with pytest.raises(InvalidRequestError, match="a Remote does not give its rows by itself; collect it, or write it as Parquet"):
        read_table(Remote())


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "a.bin").write_bytes(b"PAR1 and so on")
    with pytest.raises(InvalidRequestError, match=r'needs pyarrow: pip install "langgraph_runs\[tables\]"'):
        read_table(tmp_path / "a.bin")

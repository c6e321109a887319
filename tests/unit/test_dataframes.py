"""Tables of pandas, polars and Arrow, and Parquet files, as inputs of a map. Needs them: the extra ``tables``, pandas, polars."""

from __future__ import annotations

import datetime
import operator
import os
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

from langgraph_runs import Client, InvalidRequestError, read_table
from langgraph_runs.serialization import encode

pyarrow = pytest.importorskip("pyarrow")
pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
pytest.importorskip("pyarrow.dataset")
pytest.importorskip("pyarrow.parquet")

DAY = datetime.datetime(2026, 3, 1, 12)
COLUMNS: Dict[str, List[Any]] = {
    "id": [1, 2, 3],
    "text": ["Why?", "क्\u200dष", None],
    "score": [1.5, float("nan"), float("inf")],
    "when": [DAY, None, DAY],
    "tags": [["a"], ["b", None], []],
}


def written(folder: Path, table: Any) -> Path:
    pyarrow.parquet.write_table(table, folder / "a.parquet", row_group_size=2)
    return folder / "a.parquet"


def directory(folder: Path, table: Any) -> Path:
    target = folder / "out.parquet"
    target.mkdir()
    (target / "_SUCCESS").touch()
    pyarrow.parquet.write_table(table.slice(0, 2), target / "part-0.parquet")
    pyarrow.parquet.write_table(table.slice(2), target / "part-1.parquet")
    return target


ARROW = pyarrow.table(COLUMNS)
TABLES: Dict[str, Callable[[Path], Any]] = {
    "pandas": lambda folder: pandas.DataFrame(COLUMNS),
    "pandas, types of Arrow": lambda folder: ARROW.to_pandas(types_mapper=pandas.ArrowDtype),
    "pandas, nullable types": lambda folder: pandas.DataFrame(COLUMNS).astype({"id": "Int64", "text": "string"}),
    "polars": lambda folder: polars.DataFrame(COLUMNS, strict=False),
    "Arrow": lambda folder: ARROW,
    "record batch": lambda folder: ARROW.combine_chunks().to_batches()[0],
    "reader": lambda folder: ARROW.to_reader(),
    "dataset": lambda folder: pyarrow.dataset.dataset(written(folder, ARROW)),
    "Parquet": lambda folder: written(folder, ARROW),
    "directory": lambda folder: directory(folder, ARROW),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_rows_of_a_table_are_inputs(name: str, tmp_path: Path) -> None:
    """Every missing value and infinity is refused or null, whichever library the table is of, and however it writes them."""
    rows = list(read_table(TABLES[name](tmp_path), key="id"))
    assert ["1", "2", "3"] == [key for key, _ in rows]
    assert b'{"id":1,"text":"Why?","score":1.5,"when":"2026-03-01T12:00:00","tags":["a"]}' == encode(rows[0][1])
    problems = [str(error) for _, error in rows[1:]]
    assert problems[0].endswith("row 1: column 'score': a missing value; it is sent as null with missing=\"null\"")
    number = 0 if name == "directory" else 2  # the number within the file that is named
    assert problems[1].endswith(f"row {number}: column 'text': a missing value; it is sent as null with missing=\"null\"")

    rows = list(read_table(TABLES[name](tmp_path / "again" if (tmp_path / "again").mkdir() is None else tmp_path), missing="null"))
    assert {"id": 2, "text": "क्\u200dष", "score": None, "when": None, "tags": ["b", None]} == rows[1]
    assert (None, None) == (rows[2]["text"], rows[2]["score"])


@pytest.mark.parametrize("name", TABLES)
def test_columns_of_a_table(name: str, tmp_path: Path) -> None:
    table = read_table(TABLES[name](tmp_path), input=["text", "id"], missing="null")
    assert (-1 if name == "reader" else 3) == operator.length_hint(table, -1)
    assert [{"text": "Why?", "id": 1}, {"text": "क्\u200dष", "id": 2}, {"text": None, "id": 3}] == list(table)
    with pytest.raises(InvalidRequestError, match="key: .* has no column 'ids'; did you mean 'id'"):
        read_table(TABLES[name](tmp_path / "x" if (tmp_path / "x").mkdir() is None else tmp_path), key="ids")


@pytest.mark.parametrize("name", ["pandas", "polars", "Arrow", "record batch", "reader"])
def test_a_table_itself_is_refused_with_the_remedy(name: str, tmp_path: Path) -> None:
    with Client("http://localhost:1", api_key=None) as client:
        with pytest.raises(InvalidRequestError, match="inputs: give read_table"):
            client.runs.map("agent", TABLES[name](tmp_path))


def test_a_level_of_the_index_of_pandas_may_be_the_key() -> None:
    frame = pandas.DataFrame({"id": ["x", "y"], "n": [1, 2]}).set_index("id")
    assert [("x", {"n": 1}), ("y", {"n": 2})] == list(read_table(frame, key="id"))
    assert [("x", "x1"), ("y", "y2")] == list(read_table(frame, key="id", input=lambda row: f"{row['id']}{row['n']}"))
    assert [{"n": 1}, {"n": 2}] == list(read_table(frame))


def test_whole_numbers_beside_a_missing_one_are_floats_in_pandas_and_no_keys() -> None:
    (first, second) = list(read_table(pandas.DataFrame({"id": [1, None], "n": [1, 2]}), key="id", input="n"))
    assert "row 0: column 'id': a float is no key; give text, a whole number" in str(first)


def test_the_types_of_arrow() -> None:
    table = pyarrow.table(
        {
            "map": pyarrow.array([[("a", 1)]], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
            "struct": [{"x": [1]}],
            "large": pyarrow.array([2**64 - 1], pyarrow.uint64()),
            "word": pyarrow.array(["a"]).dictionary_encode(),
            "decimal": pyarrow.array([1], pyarrow.decimal128(5, 2)),
            "day": pyarrow.array([0], pyarrow.date32()),
        }
    )
    (row,) = read_table(table)
    assert b'{"map":{"a":1},"struct":{"x":[1]},"large":18446744073709551615,"word":"a","decimal":1.0,"day":"1970-01-01"}' == encode(
        row
    )


def test_the_names_of_directories_are_columns(tmp_path: Path) -> None:
    for day, part in (("2026-03-01", [1, 2]), ("2026-03-02", [3])):
        folder = tmp_path / f"day={day}"
        folder.mkdir()
        pyarrow.parquet.write_table(pyarrow.table({"id": part, "text": ["Why?"] * len(part)}), folder / "part-0.parquet")
    assert [
        ("1", {"day": "2026-03-01", "id": 1}),
        ("2", {"day": "2026-03-01", "id": 2}),
        ("3", {"day": "2026-03-02", "id": 3}),
    ] == list(read_table(tmp_path, key="id", input=["day", "id"]))
    assert ["2026-03-01"] * 2 + ["2026-03-02"] == [row["day"] for row in read_table(tmp_path)]
    pyarrow.parquet.write_table(pyarrow.table({"id": [4]}), tmp_path / "day=2026-03-02" / "part-1.parquet")
    assert 4 == len(list(read_table(tmp_path, input="id")))
    with pytest.raises(InvalidRequestError, match=r"part-1.parquet: there is no column 'text', which other files in"):
        list(read_table(tmp_path, input="text"))


def test_the_columns_of_a_parquet_file_are_read_page_by_page(tmp_path: Path) -> None:
    """Also those of a file whose only row group is the whole file, as pyarrow writes it."""
    text = os.urandom(1 << 13).hex()  # 16 kB; a page has 1,024 of them
    table = pyarrow.table({"text": [f"{n}{text}" for n in range(5000)]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", use_dictionary=False)
    for source in (tmp_path / "a.parquet", tmp_path):
        before = pyarrow.total_allocated_bytes()
        rows = iter(read_table(source))
        assert str(next(rows)["text"]).endswith(text)
        assert pyarrow.total_allocated_bytes() - before < table.nbytes // 2
        assert 4999 == len(list(rows))


def test_a_cell_without_a_form_in_python_is_the_error_of_its_row() -> None:
    table = pyarrow.table({"id": [1, 2], "at": pyarrow.array([0, -(2**62)], pyarrow.timestamp("s"))})
    first, second = read_table(table, key="id")
    assert ("1", datetime.datetime(1970, 1, 1)) == (first[0], first[1]["at"])
    assert "row 1: column 'at': this timestamp[s] has no form in Python" in str(second)


def test_a_file_that_is_no_parquet_is_refused_at_once(tmp_path: Path) -> None:
    for name, content in (("a.parquet", b"id\n1\n"), ("b.parquet", b"PAR1 cut"), ("c.parquet", None)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidRequestError, match=name):
            read_table(tmp_path / name)


def test_a_frame_that_is_not_computed_is_refused_with_the_remedy() -> None:
    with pytest.raises(InvalidRequestError, match="a LazyFrame does not give its rows by itself; collect it"):
        read_table(polars.DataFrame(COLUMNS, strict=False).lazy())


def test_a_pyarrow_that_is_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, ARROW)
    monkeypatch.setattr(pyarrow, "__version__", "19.0.1")
    with pytest.raises(InvalidRequestError, match="needs pyarrow 20 or newer: pip install"):
        read_table(path)


def test_names_of_columns_are_text() -> None:
    with pytest.raises(InvalidRequestError, match="the DataFrame: column 0 has no name that is text"):
        read_table(pandas.DataFrame([[1, 2]]))
    with pytest.raises(InvalidRequestError, match="there are two columns 'a'"):
        read_table(pandas.DataFrame([[1, 2]], columns=["a", "a"]))

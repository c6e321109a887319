"""Files of results: their rows in each format, and when the file gets its name."""

from __future__ import annotations

import csv
import fcntl
import gc
import io
import json
import math
import os
from pathlib import Path
from typing import Any, List

import pytest

from langgraph_runs import BatchResult, InvalidRequestError, RunFailedError
from langgraph_runs.batch.result_file import ResultFile, same_file, to_pandas

RESULTS = [
    BatchResult(
        index=0,
        key="a\u200cb\u2028",
        input={"n": 1},
        values={"n": [2], "text": 'é"\n,'},
        run_id="r",
        thread_id="t",
        seconds=0.12345,
    ),
    BatchResult(index=1, input={"n": math.nan}, error=InvalidRequestError("inputs[1]: $.n: nan"), attempts=0),
    BatchResult(
        index=2, key="c", input=[1], values={"n": None}, error=RunFailedError("ValueError", "no ink"), attempts=3, paused=False
    ),
    BatchResult(index=3, key="d", values=None, paused=True, from_ledger=True),
]
KEYS = ["a\u200cb\u2028", None, "c", "d"]


def written(path: Path, results: List[BatchResult] = RESULTS, **options: Any) -> Path:
    with ResultFile(path, **options) as file:
        for result in results:
            file.write(result)
        file.complete()
    return path


def test_a_line_of_json_for_each_result(tmp_path: Path) -> None:
    path = written(tmp_path / "out.jsonl", with_input=True)
    rows = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    assert KEYS == [row["key"] for row in rows]
    assert [{"n": 1}, None, [1], None] == [row["input"] for row in rows]
    assert ["done", "failed", "failed", "done"] == [row["status"] for row in rows]
    assert {"class": "RunFailedError", "message": "the run failed: ValueError: no ink"} == rows[2]["error"]
    assert {
        "key": "d",
        "index": 3,
        "status": "done",
        "values": None,
        "error": None,
        "run_id": None,
        "thread_id": None,
        "attempts": 1,
        "seconds": 0.0,
        "paused": True,
        "input": None,
    } == rows[3]


def test_a_row_of_csv_for_each_result(tmp_path: Path) -> None:
    path = written(tmp_path / "out.csv")
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [key or "" for key in KEYS] == [row["key"] for row in rows]
    assert [{"n": [2], "text": 'é"\n,'}, None, {"n": None}, None] == [json.loads(row["values"] or "null") for row in rows]
    assert ["", ""] == [rows[1]["values"], rows[3]["values"]]
    assert ["", "InvalidRequestError", "RunFailedError", ""] == [row["error_class"] for row in rows]
    assert ["false", "false", "false", "true"] == [row["paused"] for row in rows]
    assert "input" not in rows[0] and "0.123" == rows[0]["seconds"]


def test_a_parquet_file_has_the_same_columns_whatever_the_values_are(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    many = [BatchResult(index=n, key=str(n), values={f"field{n}": n}) for n in range(2499)]
    many.append(BatchResult(index=2499, key="2499", values={"field2499": 2499, "long": "x" * (16 << 20)}))
    many.append(BatchResult(index=2500, key="2500", values=[]))
    table = parquet.read_table(written(tmp_path / "out.parquet", [*RESULTS, *many], with_input=True))
    rows = table.to_pylist()
    assert [*KEYS, *map(str, range(2501))] == [row["key"] for row in rows]
    assert ({"field2498": 2498}, []) == (json.loads(rows[-3]["values"]), json.loads(rows[-1]["values"]))
    assert ('{"n":1}', None) == (rows[0]["input"], rows[1]["input"])
    assert (2, 3, True, 0.123) == (rows[2]["index"], rows[2]["attempts"], rows[3]["paused"], rows[0]["seconds"])
    assert 2 == parquet.ParquetFile(tmp_path / "out.parquet").num_row_groups
    empty = parquet.read_table(written(tmp_path / "empty.parquet", [], with_input=True))
    assert (0, table.schema) == (empty.num_rows, empty.schema)


def test_a_data_frame_has_the_values_as_they_are() -> None:
    pytest.importorskip("pandas")
    frame = to_pandas(RESULTS, with_input=True)
    assert (RESULTS[0].values, RESULTS[1].input) == (frame["values"][0], frame["input"][1])
    assert ["key", "index", "status", "values", "error_class"] == list(frame.columns[:5])
    assert (6, 4) == (frame["index"].sum(), len(frame)) and [3] == list(frame[frame["paused"]].index)
    assert [0, list(frame.columns)[:-1]] == [len(to_pandas([], with_input=False)), list(to_pandas([], with_input=False).columns)]


def test_the_file_gets_its_name_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("former\n", encoding="utf-8")
    with ResultFile(path) as file:
        file.write(RESULTS[0])
        assert 1 == (tmp_path / "out.jsonl.part").read_bytes().count(b"\n")
    assert "former\n" == path.read_text(encoding="utf-8")
    written(path, RESULTS[1:])
    assert [path] == list(tmp_path.iterdir())
    assert 3 == path.read_bytes().count(b"\n")


def test_the_part_of_parquet_can_be_read_when_a_map_was_ended(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    with pytest.raises(KeyboardInterrupt), ResultFile(tmp_path / "out.parquet") as file:
        file.write(RESULTS[0])
        raise KeyboardInterrupt
    assert KEYS[:1] == parquet.read_table(tmp_path / "out.parquet.part").column("key").to_pylist()
    assert not (tmp_path / "out.parquet").exists()


def test_a_full_disk_is_an_error_once() -> None:
    pytest.importorskip("pyarrow.parquet")
    with pytest.raises(OSError, match="No space left"), ResultFile("/dev/full", "parquet") as file:
        file.write(RESULTS[0])
        file.complete()
    del file
    gc.collect()  # nothing is raised again here, where pytest would report it


def test_two_processes_do_not_write_the_same_file(tmp_path: Path) -> None:
    with open(tmp_path / "out.csv.part", "wb") as other:
        other.write(b"of another")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError), ResultFile(tmp_path / "out.csv"):
            pass
    assert b"of another" == (tmp_path / "out.csv.part").read_bytes()


def test_a_device_is_written_without_a_part(tmp_path: Path) -> None:
    written(Path("/dev/null"))
    assert not Path("/dev/null.part").exists()


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(
        InvalidRequestError, match=r'a Parquet file of results needs pyarrow: pip install "langgraph_runs\[tables\]"'
    ):
        ResultFile(tmp_path / "out.parquet")
    assert [] == list(tmp_path.iterdir())


def test_the_same_file_is_recognised_by_other_names_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file, link = tmp_path / "in.jsonl", tmp_path / "link.jsonl"
    file.touch()
    link.symlink_to(file)
    assert ["in"] * 3 == [same_file(path, {"no": None, "in": file}) for path in ("in.jsonl", link, tmp_path / ".." / file)]
    assert "ledger" == same_file("new.sqlite", {"in": file, "ledger": str(tmp_path / "new.sqlite")})
    assert None is same_file("out.jsonl", {"in": str(file), "ledger": "postgresql://db/out.jsonl"})
    assert None is same_file("/dev/null", {"in": "/dev/null"})


def test_a_link_to_a_pipe_is_written_to(tmp_path: Path) -> None:
    """As ``/dev/stdout`` is, whose target is no path."""
    reading, writing = os.pipe()
    try:
        link = tmp_path / "out.jsonl"
        link.symlink_to(f"/dev/fd/{writing}")
        written(link, RESULTS[:1])
        os.close(writing)
        writing = -1
        with open(reading, "rb", closefd=False) as file:
            assert b"r" in file.read() and [link] == list(tmp_path.iterdir())
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)


@pytest.mark.parametrize("name", ["out.csv.gz", "out.xlsx", "out.TSV"])
def test_a_name_that_promises_another_format_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequestError, match="results are not written as .*; give a name that ends with .jsonl, .csv or"):
        ResultFile(tmp_path / name)
    assert written(tmp_path / name, format="jsonl").read_bytes().startswith(b"{")


@pytest.mark.parametrize(
    ("path", "kind"), [("", "empty text"), (5, "int"), (None, "NoneType"), (b"out", "bytes"), (io.StringIO(), "StringIO")]
)
def test_what_is_no_path_is_refused(path: Any, kind: str) -> None:
    """Empty text would be the working directory, which is noticed only when all runs have ended."""
    with pytest.raises(InvalidRequestError, match=f"path: give the path of a file, not {kind}"):
        ResultFile(path)

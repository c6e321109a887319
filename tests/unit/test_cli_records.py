"""What the commands for threads, assistants, crons and items have in common."""

from __future__ import annotations

import argparse
import json
from typing import Any, List

import pytest

from langgraph_runs import NotFoundError
from langgraph_runs.cli import records

GONE = NotFoundError("not found", status_code=404)


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    records.add_page(parser, "threads", limit=7)
    records.add_sorting(parser, ("name", "age"))
    return parser.parse_args(arguments)


def printed(args: argparse.Namespace, capsys: pytest.CaptureFixture[str]) -> str:
    records.print_found(
        args,
        [("a", 1), ("b", 2)],
        id_of=lambda one: one[0],
        described=lambda one: {"id": one[0], "age": one[1]},
        header=["ID", "AGE"],
        row=lambda one: [one[0], str(one[1])],
    )
    return capsys.readouterr().out


def test_the_options_are_those_of_a_search() -> None:
    args = parsed("-n", "3", "--sort-by", "age", "--sort-order", "desc")
    assert {"limit": 3, "offset": 0, "sort_by": "age", "sort_order": "desc"} == {**records.page(args), **records.sorting(args)}
    assert 7 == records.page(parsed())["limit"]
    with pytest.raises(SystemExit):
        parsed("--sort-by", "size")


def test_a_pipe_gets_lines_of_json_and_a_terminal_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [{"id": "a", "age": 1}, {"id": "b", "age": 2}]
    assert lines == [json.loads(line) for line in printed(parsed(), capsys).splitlines()]
    monkeypatch.setattr(records, "is_terminal", lambda: True)
    assert ["ID  AGE", "a   1", "b   2"] == [line.rstrip() for line in printed(parsed(), capsys).splitlines()]
    assert lines == [json.loads(line) for line in printed(parsed("--json"), capsys).splitlines()]
    assert "a\nb\n" == printed(parsed("--ids"), capsys)


@pytest.mark.parametrize(("missing_ok", "deleted"), [(True, ["a", "c"]), (False, ["a"])])
def test_missing_records_end_the_command_unless_they_may_be_missing(missing_ok: bool, deleted: List[str]) -> None:
    seen: List[Any] = []

    def delete(name: str) -> None:
        if name == "b":
            raise GONE
        seen.append(name)

    try:
        records.delete_each(["a", "b", "c"], delete, missing_ok=missing_ok)
    except NotFoundError as error:
        assert error is GONE and not missing_ok
    assert deleted == seen

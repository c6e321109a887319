"""The options of commands that start a run, and the arguments that they become."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest

from langgraph_runs import exit_codes
from langgraph_runs.cli.command import CommandError
from langgraph_runs.cli.options import run_options
from langgraph_runs.cli.program import parse

RUN = ["run", "agent"]


def options(*arguments: str) -> Dict[str, Any]:
    return run_options(parse([*RUN, *arguments]))


def refused(*arguments: str) -> str:
    """The message of a usage error."""
    with pytest.raises(CommandError) as raised:
        options(*arguments)
    assert exit_codes.USAGE == raised.value.code
    return str(raised.value)


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("n=3", {"n": 3}),
        ("n=-1.5", {"n": -1.5}),
        ("zip=00123", {"zip": "00123"}),
        ('zip="123"', {"zip": "123"}),
        ("text=a=b", {"text": "a=b"}),
        ("text=", {"text": ""}),
        ("text=NaN", {"text": "NaN"}),
        ("list=[1, {}]", {"list": [1, {}]}),
        ("none=null", {"none": None}),
        ("deep=" + "[" * 100_000, {"deep": "[" * 100_000}),
        ("a.b.c=true", {"a": {"b": {"c": True}}}),
        ("ü=ß", {"ü": "ß"}),
    ],
)
def test_the_value_of_a_pair_is_json_if_valid_else_text(typed: str, value: Dict[str, Any]) -> None:
    assert {"input": value} == options(typed)


def test_pairs_may_stand_between_options() -> None:
    found = options("a=1", "--durability", "exit", "b=2", "--metadata", "k=v", "c=3")

    assert {"input": {"a": 1, "b": 2, "c": 3}, "durability": "exit", "metadata": {"k": "v"}} == found


def test_pairs_are_merged_into_the_input() -> None:
    assert {"input": {"a": {"x": 1, "y": 3}, "b": 2}} == options("--input", '{"a": {"x": 1, "y": 2}, "b": 2}', "a.y=3")


def test_input_is_read_from_a_file_in_utf_8_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "in.json"
    file.write_bytes('\ufeff{"a": "ü"}'.encode())

    assert {"input": {"a": "ü"}} == options("--input-file", str(file)) == options("--input", f"@{file}")


def test_input_is_read_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"[1, 2]"), encoding="ascii"))

    assert {"input": [1, 2]} == options("--input-file", "-")


def test_without_input_no_input_is_sent() -> None:
    assert {} == options()
    assert {"command": {"resume": {"approved": True}}} == options("--resume", '{"approved": true}')
    assert {"command": {"goto": "a", "resume": "yes"}} == options("--command", '{"goto": "a"}', "--resume", "yes")


def test_options_become_arguments_of_the_library() -> None:
    assert {
        "config": {"tags": ["a"], "recursion_limit": 7},
        "context": {"user": "ada"},
        "interrupt_before": ["a", "b", "c"],
        "interrupt_after": "*",
        "stream_mode": ["values", "custom"],
        "stream_subgraphs": True,
        "after_seconds": 90.0,
        "kwargs": {"new.option": 1},
    } == options(
        *("--config", '{"tags": ["a"]}', "--recursion-limit", "7", "--context", '{"user": "ada"}'),
        *("--interrupt-before", "a,b", "--interrupt-before", "c", "--interrupt-after", "*", "--stream-mode", "values,custom"),
        *("--subgraphs", "--after", "1m30s", "--field", "new.option=1"),
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--input", "{"], "--input: not JSON: "),
        (["--input", '{"a": NaN}'], "--input: not JSON: NaN is not JSON"),
        (["--input", "[" * 100_000], "--input: not JSON: it is nested too deep"),
        (["--input", "{}", "--input-file", "x"], "--input excludes --input-file"),
        (["--input-file", "/nowhere/x"], "--input-file /nowhere/x: No such file or directory"),
        (["--input", "[1]", "a=1"], "key=value pairs need an input that is a JSON object"),
        (["a=1", "a.b=2"], "input: 'a.b': 'a' has a value already"),
        (["a..b=2"], "input: 'a..b': an empty name between dots"),
        (["--config", "[]"], '--config: give a JSON object, such as {"key": 1}'),
        (["a=\udcff"], "input: not text in this locale; give it in a file, in UTF-8"),
    ],
)
def test_invalid_input_is_refused_with_the_place_of_the_error(arguments: List[str], told: str) -> None:
    assert refused(*arguments).startswith(told)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "in.json"
    file.write_bytes(b'{"a": "\xff"}')

    assert f"--input-file {file}: not UTF-8: invalid start byte at byte 7" == refused("--input-file", str(file))


@pytest.mark.parametrize("arguments", [["--nope", "a=1"], ["a=1", "--nope"], ["word"], ["--timeout", "soon"], ["--timeout", "0"]])
def test_an_unknown_option_is_not_parsed_as_a_pair(arguments: List[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([*RUN, *arguments])

    assert 2 == ended.value.code
    assert 1 == capsys.readouterr().err.count("\n")

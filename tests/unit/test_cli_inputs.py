"""What is typed, and what it becomes; which error is which exit code."""

from __future__ import annotations

import argparse
import datetime
import io
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest

from langgraph_runs import errors
from langgraph_runs.cli import exit_codes, values
from langgraph_runs.cli.command import CommandError
from langgraph_runs.cli.options import run_options
from langgraph_runs.cli.program import parse

RUN = ["run", "agent"]


def options(*arguments: str) -> Dict[str, Any]:
    return run_options(parse([*RUN, *arguments]))


def refused(*arguments: str) -> str:
    """What is said of a wrong call, and that it is one."""
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
def test_a_pair_is_json_where_it_is_some_else_text(typed: str, value: Dict[str, Any]) -> None:
    assert {"input": value} == options(typed)


def test_pairs_stand_anywhere_among_the_options() -> None:
    found = options("a=1", "--durability", "exit", "b=2", "--metadata", "k=v", "c=3")

    assert {"input": {"a": 1, "b": 2, "c": 3}, "durability": "exit", "metadata": {"k": "v"}} == found


def test_pairs_are_laid_over_the_input() -> None:
    assert {"input": {"a": {"x": 1, "y": 3}, "b": 2}} == options("--input", '{"a": {"x": 1, "y": 2}, "b": 2}', "a.y=3")


def test_input_comes_from_a_file_in_utf_8_with_or_without_a_mark(tmp_path: Path) -> None:
    file = tmp_path / "in.json"
    file.write_bytes('\ufeff{"a": "ü"}'.encode())

    assert {"input": {"a": "ü"}} == options("--input-file", str(file)) == options("--input", f"@{file}")


def test_input_comes_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"[1, 2]"), encoding="ascii"))

    assert {"input": [1, 2]} == options("--input-file", "-")


def test_without_input_nothing_is_sent_for_it() -> None:
    assert {} == options()
    assert {"command": {"resume": {"approved": True}}} == options("--resume", '{"approved": true}')
    assert {"command": {"goto": "a", "resume": "yes"}} == options("--command", '{"goto": "a"}', "--resume", "yes")


def test_options_become_those_of_the_library() -> None:
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
        (["--input", '{"a": NaN}'], "--input: not JSON: NaN is no JSON"),
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
def test_what_cannot_be_meant_is_refused_with_its_place(arguments: List[str], told: str) -> None:
    assert refused(*arguments).startswith(told)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "in.json"
    file.write_bytes(b'{"a": "\xff"}')

    assert f"--input-file {file}: not UTF-8: invalid start byte at byte 7" == refused("--input-file", str(file))


@pytest.mark.parametrize("arguments", [["--nope", "a=1"], ["a=1", "--nope"], ["word"], ["--timeout", "soon"], ["--timeout", "0"]])
def test_a_wrong_option_is_not_taken_for_a_pair(arguments: List[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([*RUN, *arguments])

    assert 2 == ended.value.code
    assert 1 == capsys.readouterr().err.count("\n")


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [("90", 90), ("1.5", 1.5), ("250ms", 0.25), ("10m", 600), ("1h30m", 5400), ("7d", 604800), ("2w", 1209600)],
)
def test_durations(typed: str, seconds: float) -> None:
    assert seconds == values.duration(typed)


@pytest.mark.parametrize("typed", ["", "-1", "1x", "1 h", "m", "1h30", "1e3", "99999999w", "1.2.3s"])
def test_what_is_no_duration(typed: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="give a time|thirty years"):
        values.duration(typed)


def test_moments_are_aware_and_may_be_told_as_ages() -> None:
    now = datetime.datetime.now(datetime.timezone.utc)

    assert datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.timezone.utc) == values.moment("2026-01-31T12:00:00Z")
    assert values.moment("2026-01-31").tzinfo is not None
    assert datetime.timedelta(days=7) <= now - values.moment("7d") + datetime.timedelta(minutes=1) < datetime.timedelta(days=8)
    with pytest.raises(argparse.ArgumentTypeError, match="give a time as 2026"):
        values.moment("yesterday")


def status(code: int) -> errors.APIStatusError:
    return errors.status_error(code)("told", status_code=code)


CODES = [
    (errors.InvalidRequestError("x"), exit_codes.USAGE),
    (errors.LedgerError("x"), exit_codes.USAGE),
    (errors.AbortedError("x"), exit_codes.INTERRUPTED),
    (errors.APIConnectionError("x"), exit_codes.UNREACHABLE),
    (errors.APITimeoutError("x"), exit_codes.UNREACHABLE),
    (errors.DeadlineExceededError("x"), exit_codes.TIMED_OUT),
    (errors.StreamInterruptedError("x"), exit_codes.UNREACHABLE),
    (errors.CreateUncertainError("x"), exit_codes.UNREACHABLE),
    (errors.ResponseDecodeError("x"), exit_codes.UNREACHABLE),
    (status(302), exit_codes.USAGE),
    (status(400), exit_codes.USAGE),
    (status(401), exit_codes.REFUSED),
    (status(403), exit_codes.REFUSED),
    (status(404), exit_codes.USAGE),
    (status(407), exit_codes.REFUSED),
    (status(409), exit_codes.BUSY),
    (status(418), exit_codes.USAGE),
    (status(422), exit_codes.USAGE),
    (status(429), exit_codes.BUSY),
    (status(500), exit_codes.UNREACHABLE),
    (status(503), exit_codes.UNREACHABLE),
    (errors.RunError("x"), exit_codes.FAILED),
    (errors.RunFailedError("ValueError", "x"), exit_codes.FAILED),
    (errors.RunCancelledError("x"), exit_codes.FAILED),
    (errors.RunTimedOutError("x"), exit_codes.TIMED_OUT),
]


@pytest.mark.parametrize(("error", "code"), CODES, ids=lambda value: repr(value)[:40])
def test_each_error_has_its_exit_code(error: errors.LangGraphRunsError, code: int) -> None:
    assert code == exit_codes.code_of(error)


def test_no_error_was_forgotten() -> None:
    """Each class of the tree, its root aside, is in the table above."""
    tree = {getattr(errors, name) for name in errors.__all__ if name.endswith("Error")} - {errors.LangGraphRunsError}
    roots = {errors.APIStatusError}

    assert set() == tree - roots - {type(error) for error, _ in CODES}

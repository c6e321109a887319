"""The demo's tour: it executes the statements that it shows, and how it prints."""

from __future__ import annotations

import ast
import io
from pathlib import Path
from typing import Iterator, List

import pytest

from langgraph_runs.demo import tour

SOURCE = ast.parse(Path(tour.__file__).read_text(encoding="utf-8"))


def shown() -> Iterator[str]:
    """The statements that the tour shows: the arguments of ``screen.code(...)``."""
    for node in ast.walk(SOURCE):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "code":
            for argument in node.args:
                yield ast.literal_eval(argument)


def essence(statement: ast.stmt) -> str:
    """The statement as text, without the body of an except clause, which shows in the demo in its own way."""
    if isinstance(statement, ast.Try):
        handlers = [ast.ExceptHandler(type=handler.type, name=handler.name, body=[ast.Pass()]) for handler in statement.handlers]
        statement = ast.Try(body=statement.body, handlers=handlers, orelse=[], finalbody=[])
    if isinstance(statement, ast.With) and not isinstance(statement.body[0], ast.For):
        return ast.dump(ast.Module(body=[ast.With(items=statement.items, body=[ast.Pass()])], type_ignores=[]))
    return ast.dump(ast.Module(body=[statement], type_ignores=[]))


RUN = {essence(node) for node in ast.walk(SOURCE) if isinstance(node, ast.stmt)}


@pytest.mark.parametrize("code", list(shown()))
def test_every_line_that_is_shown_is_run(code: str) -> None:
    for statement in ast.parse(code).body:
        assert essence(statement) in RUN, f"shown, but not run: {code}"


def test_lines_fit_a_narrow_terminal() -> None:
    assert [] == [line for code in shown() for line in code.split("\n") if len(line) > 112]


def printed(*, styled: bool = False, width: int = 80) -> tuple[tour.Screen, io.StringIO]:
    out = io.StringIO()
    return tour.Screen(out, styled=styled, width=width), out


def test_a_text_that_comes_in_tokens_is_wrapped_at_words_and_shown_at_once() -> None:
    screen, out = printed(width=14)
    pieces: List[str] = []
    for token in ["one", " ", "two", " ", "three", " ", "four"]:
        screen.token(token)
        pieces.append(out.getvalue())
    screen.say("after")

    assert "    one two \n    three four\n    after\n" == out.getvalue()
    assert "    one" == pieces[0]


def test_values_are_shown_by_key_and_cut_at_the_edge() -> None:
    screen, out = printed(width=20)
    screen.values({"a": [1, 2], "text": "x" * 30})

    assert '    a: [1, 2]\n    text: "xxxxx ...\n' == out.getvalue()


def test_a_table_has_even_columns() -> None:
    screen, out = printed()
    screen.table(["run", "status"], [["a", "success"], ["bcde", "error"]])

    assert "    run   status\n    a     success\n    bcde  error\n" == out.getvalue()


def test_only_a_terminal_gets_styles(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not where NO_COLOR is set, or the terminal is dumb."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def styled(out: io.StringIO) -> bool:
        tour.Screen.on(out).code("x")
        return "\033[" in out.getvalue()

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert styled(Terminal())
    assert not styled(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not styled(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not styled(Terminal())

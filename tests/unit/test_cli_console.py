"""Output of the command line: JSON, tables, encodings, control characters, full disks."""

from __future__ import annotations

import io
import json
import sys
from typing import Any, List

import pytest

from langgraph_runs.cli import console, stream
from langgraph_runs.cli.command import CommandError
from langgraph_runs.streaming.events import CustomStreamEvent, MessagesStreamEvent

from .screen import screen_fixture  # noqa: F401


def test_json_is_one_line_in_a_pipe_and_indented_on_a_terminal(on: Any) -> None:
    pipe = on()
    console.print_json({"a": "ü"})
    terminal = on(terminal=True)
    console.print_json({"a": "ü"})

    assert '{"a":"ü"}\n' == pipe.bytes.getvalue().decode()
    assert '{\n  "a": "ü"\n}\n' == terminal.bytes.getvalue().decode()


def test_characters_that_the_encoding_lacks_are_escaped_in_json_and_replaced_in_text(on: Any) -> None:
    screen = on("ascii")
    console.print_json({"a": "ü\U0001f30a"})
    console.write_output("Gezeiten: Flut ü\n")

    assert b'{"a":"\\u00fc\\ud83c\\udf0a"}\nGezeiten: Flut ?\n' == screen.bytes.getvalue()
    assert {"a": "ü\U0001f30a"} == json.loads(screen.bytes.getvalue().splitlines()[0])


def test_json_that_is_nested_too_deep_to_print_is_an_error_of_one_line(on: Any) -> None:
    on()
    deep: List[Any] = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(CommandError, match="nested too deep"):
        console.print_json(deep)


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Full())

    with pytest.raises(CommandError, match="the output cannot be written: No space left on device"):
        console.write_output("x")


def test_control_characters_in_output_are_replaced_on_a_terminal(on: Any) -> None:
    screen = on(terminal=True)
    printer = stream.Terminal()
    printer.show(MessagesStreamEvent("messages", [{"type": "AIMessageChunk", "id": "1", "content": "a\x1b]0;b\x07\n"}, {}]))
    printer.show(CustomStreamEvent("custom", "\x9b2J"))
    console.print_json({"a": "\x9b\x1b"})
    console.print_table(["A"], [["\x1b[2J"]])

    shown = screen.bytes.getvalue().decode()
    assert "\x1b" not in shown.replace("\x1b[2m", "").replace("\x1b[0m", "")
    assert "\x9b" not in shown


def test_table_lines_are_cut_at_the_width_of_a_terminal_and_not_in_a_pipe(on: Any) -> None:
    row = ["x" * 30, "y" * 30]
    on(terminal=True)
    cut = console.table(["A", "B"], [row])
    on()
    whole = console.table(["A", "B"], [row])

    assert [40, 62] == [len(cut[1]), len(whole[1])]

"""The chapter of the command line: its sessions are run, and its tables are complete."""

from __future__ import annotations

import doctest
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from langgraph_runs import exit_codes
from langgraph_runs.cli.program import COMMANDS
from langgraph_runs.devserver import DevServer

from ..readme import CHAPTERS, DOCUMENTS, Block
from ..test_docs import AGENT, URL
from .commands import PROGRAM, Commands

CHAPTER = CHAPTERS["cli"]
#: Separates what one command printed from what the next one did.
MARK = "=== next ==="


def steps() -> list[tuple[int, str, str]]:
    """Line, command and what it prints, of all sessions from top to bottom."""
    found: list[tuple[int, str, str]] = []
    for block in CHAPTER.blocks("console"):
        for number, line in enumerate(block.text.splitlines(), block.line):
            if line.startswith("$ "):
                found.append((number, line[2:], ""))
            else:
                at, command, shown = found[-1]
                found[-1] = (at, command, f"{shown}{line}\n")
    return found


@pytest.mark.slow
def test_every_shown_session_prints_what_it_shows(tmp_path: Path) -> None:
    """In one bash, in a bare environment; ``...`` stands for anything."""
    program = tmp_path / "bin" / "langgraph-runs"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    script = "".join(f"{command}\necho '{MARK}'\n" for _, command, _ in steps())
    with DevServer(graphs={"agent": f"{AGENT}:graph"}) as server:
        env = Commands(server.url).environment(PATH=f"{program.parent}:/usr/bin:/bin")
        ended = subprocess.run(
            ["bash", "--norc", "-c", script.replace(URL, server.url)],
            env=env,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
            check=False,
        )
    printed = ended.stdout.decode("utf-8").split(f"{MARK}\n")

    for (line, command, shown), actual in zip(steps(), printed):
        same = doctest.OutputChecker().check_output(shown, actual, doctest.ELLIPSIS)
        assert same, f"{CHAPTER}, line {line}: {command}\nshows\n{shown}\nand prints\n{actual}"
    assert [*["" for _ in steps()], ""] == [*["" for _ in printed]]
    assert "Because the Earth turns" in (tmp_path / "answer.json").read_text(encoding="utf-8")


def test_the_table_of_commands_has_all_of_them() -> None:
    rows = CHAPTER.table("command")

    for command in COMMANDS:
        for name in command.name.split():
            assert f"``{name}``" in rows


def test_the_table_of_exit_codes_has_all_of_them() -> None:
    listed = {int(number) for number in re.findall(r"^(\d+) ", CHAPTER.table("code"), re.MULTILINE)}

    assert set(exit_codes.MEANINGS) == listed


def test_every_console_block_is_a_session_of_this_chapter() -> None:
    """A session in another document would not be run."""
    found: list[Block] = [block for document in DOCUMENTS for block in document.blocks("console")]

    assert [] == [block.place for block in found if block.document != CHAPTER.name or not block.text.startswith("$ ")]

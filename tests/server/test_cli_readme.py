"""README.rst, "Command line": its sessions are run, and its tables are complete."""

from __future__ import annotations

import doctest
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from langgraph_runs.cli import exit_codes
from langgraph_runs.cli.program import COMMANDS
from langgraph_runs.devserver import DevServer

from ..readme import README, Block, blocks
from ..test_docs import AGENT, URL
from .commands import PROGRAM, Commands

#: Separates what one command printed from what the next one did.
MARK = "=== next ==="


def steps() -> list[tuple[int, str, str]]:
    """Line, command and what it prints, of all sessions from top to bottom."""
    found: list[tuple[int, str, str]] = []
    for block in blocks("console"):
        for number, line in enumerate(block.text.splitlines(), block.line):
            if line.startswith("$ "):
                found.append((number, line[2:], ""))
            else:
                at, command, shown = found[-1]
                found[-1] = (at, command, f"{shown}{line}\n")
    return found


@pytest.mark.slow
def test_every_session_prints_what_it_shows(tmp_path: Path) -> None:
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

    for (line, command, shown), told in zip(steps(), printed):
        same = doctest.OutputChecker().check_output(shown, told, doctest.ELLIPSIS)
        assert same, f"README.rst, line {line}: {command}\nshows\n{shown}\nand prints\n{told}"
    assert [*["" for _ in steps()], ""] == [*["" for _ in printed]]
    assert "Because the Earth turns" in (tmp_path / "answer.json").read_text(encoding="utf-8")


def table(header: str) -> str:
    """The table that begins with these columns."""
    text = README.read_text(encoding="utf-8")
    found = re.search(rf"^=+ [= ]+\n{header} [^\n]*\n=+ [= ]+\n(.*?)\n=+ [= ]+$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_table_of_commands_has_all_of_them() -> None:
    told = table("command")

    for command in COMMANDS:
        for name in command.name.split():
            assert f"``{name}``" in told


def test_the_table_of_exit_codes_has_all_of_them() -> None:
    told = {int(number) for number in re.findall(r"^(\d+) ", table("code"), re.MULTILINE)}

    assert set(exit_codes.MEANINGS) == told


def test_sessions_are_sessions() -> None:
    found: list[Block] = blocks("console")

    assert [] == [block.line for block in found if not block.text.startswith("$ ")]

"""The completion scripts; the one for bash is run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Tuple

import pytest

import langgraph_runs
from langgraph_runs import cli
from langgraph_runs.cli.program import COMMANDS

CHECKOUT = str(Path(langgraph_runs.__file__).resolve().parent.parent)


def complete(lines: List[str]) -> List[List[str]]:
    """What bash offers for each line, the cursor being at its end."""
    script = subprocess.run(
        [sys.executable, "-m", "langgraph_runs", "completion", "bash"], cwd=CHECKOUT, capture_output=True, text=True, timeout=60
    )
    assert (0, "") == (script.returncode, script.stderr)
    asks = "\n".join(
        f"COMP_WORDS=({line}{' ' + chr(39) * 2 if line.endswith(' ') else ''}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); "
        'COMPREPLY=(); _langgraph_runs; echo "=${COMPREPLY[*]}"'
        for line in lines
    )
    bash = subprocess.run(
        ["bash", "--norc", "-eu", "-c", f"{script.stdout}\n{asks}"], capture_output=True, text=True, timeout=60, cwd=CHECKOUT
    )
    assert "" == bash.stderr
    assert 0 == bash.returncode
    return [line[1:].split() for line in bash.stdout.splitlines()]


def test_bash_completes_commands_options_and_values() -> None:
    """By sourcing what is printed, in a real bash."""
    asked: Dict[str, Tuple[List[str], List[str]]] = {
        "langgraph-runs ": (["run", "stream", "threads", "ledger", "doctor", "--version"], ["create_batch", "--url"]),
        "langgraph-runs st": (["stream"], ["run"]),
        "langgraph-runs threads ": (["create", "state", "history", "list", "delete"], ["run"]),
        "langgraph-runs threads l": (["list"], ["ledger"]),
        "langgraph-runs crons ": (["create", "update", "get", "list", "delete"], ["run"]),
        "langgraph-runs crons list --sort-order ": (["asc", "desc"], ["--url"]),
        "langgraph-runs store ": (["put", "get", "search", "namespaces", "delete"], ["list"]),
        "langgraph-runs assistants get --v": (["--versions", "--verbose"], ["--ids"]),
        "langgraph-runs threads list --st": (["--status"], ["--url"]),
        "langgraph-runs run agent --on-": (["--on-timeout", "--on-interrupt"], ["--ids"]),
        "langgraph-runs run agent --on-interrupt ": (["cancel", "detach"], ["--url"]),
        "langgraph-runs list --status e": (["error"], ["success"]),
        "langgraph-runs prune --status ": (["error", "timeout"], ["running"]),
        "langgraph-runs batch --log": (["--log-timestamps"], ["--lock"]),
        "langgraph-runs ledger show --log": (["--log-timestamps"], []),
        "langgraph-runs completion ": (["bash", "zsh", "fish"], ["run"]),
        "langgraph-runs run --input-file ": ([], ["--url", "run"]),
    }
    for (line, (offered, others)), found in zip(asked.items(), complete(list(asked))):
        assert set(offered) <= set(found), line
        assert set() == set(others) & set(found), line


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_for_other_shells_names_every_command_and_option(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == cli.main(["completion", shell])

    script = capsys.readouterr().out
    for command in COMMANDS:
        assert command.name.split()[-1] in script
    for option in ("on-interrupt", "older-than", "multitask-strategy"):
        assert option in script

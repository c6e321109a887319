"""The command line as a whole: help, version, usage errors, exit codes, and what is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, List

import pytest

import langgraph_runs
from langgraph_runs import cli, exit_codes
from langgraph_runs._version import __version__
from langgraph_runs.cli.command import Command
from langgraph_runs.cli.program import COMMANDS, parser
from langgraph_runs.errors import LangGraphRunsError

from .test_cli_demo import demo_that

CHECKOUT = str(Path(langgraph_runs.__file__).resolve().parent.parent)


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A Python process that has the package, wherever it is."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        timeout=60,
        text=True,
        check=False,
        **options,
    )


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])

    assert 0 == ended.value.code
    assert f"langgraph-runs {__version__}\n" == capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["demo", "--nonsense"], ["run", "agent", "no pair"], ["list"]])
def test_a_usage_error_is_exit_code_2_and_one_line_on_stderr(arguments: List[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)

    assert 2 == ended.value.code
    out, err = capsys.readouterr()
    assert "" == out
    assert err.startswith("langgraph-runs: ")
    assert err.endswith("--help`\n")
    assert 1 == err.count("\n")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.name))
def test_every_command_has_a_help_page(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """The list of commands has its line, and its own page says what it does, with an example and all exit codes."""
    for arguments in ([*command.name.split()[:-1], "--help"], [*command.name.split(), "--help"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert 0 == ended.value.code

    printed = " ".join(capsys.readouterr().out.split())
    assert command.summary in printed
    assert " ".join(command.description.split()) in printed
    assert f"usage: langgraph-runs {command.name} " in printed
    assert command.examples
    assert "exit codes:" in printed


def test_python_m_runs_the_same_program() -> None:
    shown = python("-m", "langgraph_runs", "--help")

    assert 0 == shown.returncode
    assert shown.stdout.startswith("usage: langgraph-runs ")
    assert "" == shown.stderr


def test_an_error_of_the_library_is_exit_code_1_and_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = demo_that(monkeypatch, LangGraphRunsError("it did\nnot work"))

    assert 1 == cli.main(["demo", "--log", "x.log"])
    assert ("", "langgraph-runs: it did not work\n") == capsys.readouterr()
    assert [{"log": "x.log"}] == calls


def test_ctrl_c_is_exit_code_130_without_a_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    demo_that(monkeypatch, KeyboardInterrupt())

    assert 130 == cli.main(["demo"])
    assert ("", "") == capsys.readouterr()


def test_another_exception_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that is not an error of the library keeps its traceback."""
    demo_that(monkeypatch, ZeroDivisionError())

    with pytest.raises(ZeroDivisionError):
        cli.main(["demo"])


def test_a_closed_output_is_exit_code_141_without_a_message() -> None:
    """As in ``langgraph-runs demo | head -1``."""
    code = (
        "import os, sys\n"
        "from langgraph_runs import cli, devserver\n"
        "from langgraph_runs.demo import tour\n"
        "def run(screen, **_):\n"
        "    screen.say('x')\n"
        "devserver.unavailable_reason = lambda: None\n"
        "tour.run = run\n"
        "read, write = os.pipe()\n"
        "os.close(read)\n"
        "os.dup2(write, 1)\n"
        "sys.exit(cli.main(['demo']))\n"
    )
    ended = python("-c", code)

    assert (141, "") == (ended.returncode, ended.stderr)


def test_importing_the_package_does_not_import_the_command_line_or_the_server() -> None:
    """They are imported only by their own users."""
    code = "import sys, langgraph_runs; print([name for name in sys.modules if name.startswith('langgraph_runs.')])"
    shown = python("-c", code)

    assert 0 == shown.returncode, shown.stderr
    assert not {"cli", "devserver", "demo", "__main__"} & {name.split(".")[1] for name in eval(shown.stdout)}


def test_version_and_help_import_neither_requests_nor_the_demo() -> None:
    code = """
import sys
from langgraph_runs import cli
try:
    cli.main([sys.argv[1]])
except SystemExit:
    print("\\n" + " ".join(sorted(sys.modules)))
"""
    heavy = {"requests", "urllib3", "tenacity", "cattrs", "asyncio", "sqlite3", "importlib.metadata", "http.client", "tqdm"}
    for argument in ("--version", "--help"):
        shown = subprocess.run(
            [sys.executable, "-c", code, argument], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True
        )
        loaded = set(shown.stdout.splitlines()[-1].split())

        assert set() == heavy & loaded
        assert set() == {name for name in loaded if name.startswith(("langgraph_runs.demo", "langgraph_runs.devserver"))}


def test_every_option_has_a_help_text() -> None:
    def walk(one: Any, path: str) -> None:
        for action in one._actions:
            if hasattr(action, "_choices_actions"):
                for name, inner in action.choices.items():
                    walk(inner, f"{path} {name}")
            else:
                assert action.help, f"{path} {action.dest}"

    walk(parser(), "langgraph-runs")


def test_every_exit_code_has_a_meaning() -> None:
    used = {code for command in COMMANDS for code in command.exits}

    assert used <= set(exit_codes.MEANINGS)


INTERRUPTED = """
import sys
from langgraph_runs import cli
from langgraph_runs.cli import program

def execute(argv):
    exec("raise KeyboardInterrupt")  # as within an import that makes a namedtuple

program.execute = execute
sys.exit(cli.main([]))
"""


def test_a_ctrl_c_within_generated_code_has_the_usual_exit_code(tmp_path: Path) -> None:
    """Started with -m, CPython would end the process by SIGINT after it, although the exception was handled."""
    (tmp_path / "interrupted.py").write_text(INTERRUPTED, encoding="utf-8")
    done = python("-m", "interrupted", env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), CHECKOUT])})
    assert (130, "", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "agent", "--timout", "5m", "n=1"], "no option --timout; did you mean --timeout?"),
        (["list", "t", "--limt=5"], "no option --limt; did you mean --limit?"),
        (["threads", "list", "--metdata", "a=1"], "no option --metdata; did you mean --metadata?"),
        (["steam", "agent"], "no command steam; did you mean stream?"),
        (["rnu", "agent"], "no command rnu; did you mean run?"),
        (["threads", "histroy", "t"], "no command histroy; did you mean history?"),
    ],
)
def test_a_misspelled_name_is_a_usage_error_that_names_the_nearest(
    arguments: List[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert 2 == caught.value.code
    assert capsys.readouterr().err.startswith(f"langgraph-runs: {message}; see `langgraph-runs ")


def test_a_name_that_resembles_none_is_a_usage_error_without_a_guess(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["run", "agent", "--xyzzy"], ["xyzzy"], ["run", "agent", "--", "--timout"]):
        with pytest.raises(SystemExit):
            cli.main(arguments)
        assert "did you mean" not in capsys.readouterr().err

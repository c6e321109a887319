"""The command line: what it prints where, and its exit codes. The demo itself is run in tests/server/test_demo.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest

import langgraph_runs
from langgraph_runs import cli, devserver
from langgraph_runs._version import __version__
from langgraph_runs.cli.command import Command
from langgraph_runs.cli.program import COMMANDS
from langgraph_runs.demo import tour
from langgraph_runs.devserver import DevServerError, unavailable_reason
from langgraph_runs.errors import LangGraphRunsError

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


def demo_that(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> List[Dict[str, Any]]:
    """Make the demo raise; returns how it was called."""
    calls: List[Dict[str, Any]] = []

    def run(screen: object, **options: Any) -> None:
        calls.append(options)
        raise error

    monkeypatch.setattr(devserver, "unavailable_reason", lambda: None)
    monkeypatch.setattr(tour, "run", run)
    return calls


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])

    assert 0 == ended.value.code
    assert f"langgraph-runs {__version__}\n" == capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["demo", "--nonsense"], ["run", "agent", "no pair"], ["list"]])
def test_a_wrong_call_is_2_and_says_so_in_one_line_on_stderr(arguments: List[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)

    assert 2 == ended.value.code
    out, err = capsys.readouterr()
    assert "" == out
    assert err.startswith("langgraph-runs: ")
    assert err.endswith("--help`\n")
    assert 1 == err.count("\n")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.name))
def test_every_command_has_a_page_of_help(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_python_m_is_the_same_program() -> None:
    shown = python("-m", "langgraph_runs", "--help")

    assert 0 == shown.returncode
    assert shown.stdout.startswith("usage: langgraph-runs ")
    assert "" == shown.stderr


def test_where_the_server_cannot_run_the_demo_says_what_to_do_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(devserver, "unavailable_reason", lambda: "it cannot be: do that")

    assert 2 == cli.main(["demo"])
    assert ("", "langgraph-runs: it cannot be: do that\n") == capsys.readouterr()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="an older Python is the reason by itself")
@pytest.mark.parametrize("missing", ["langgraph_api", "langgraph_runtime_inmem"])
def test_a_missing_extra_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)

    assert 'the LangGraph server is not installed: pip install "langgraph_runs[server]"' == unavailable_reason()


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="this Python can run the server")
def test_an_old_python_is_named_with_what_to_do() -> None:
    reason = unavailable_reason()

    assert reason is not None
    assert "needs Python 3.11 or newer, and this is 3." in reason
    assert 'pip install "langgraph_runs[server]"' in reason
    assert "\n" not in reason


def test_an_error_of_the_library_is_1_and_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    calls = demo_that(monkeypatch, LangGraphRunsError("it did\nnot work"))

    assert 1 == cli.main(["demo", "--log", "x.log"])
    assert ("", "langgraph-runs: it did not work\n") == capsys.readouterr()
    assert [{"log": "x.log"}] == calls


def test_a_server_that_does_not_start_shows_its_log(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    demo_that(monkeypatch, DevServerError("it ended", log="the log\nof the server"))

    assert 1 == cli.main(["demo"])
    assert ("", "langgraph-runs: it ended\nthe log\nof the server\n") == capsys.readouterr()


def test_interrupted_is_130_without_a_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    demo_that(monkeypatch, KeyboardInterrupt())

    assert 130 == cli.main(["demo"])
    assert ("", "") == capsys.readouterr()


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no error of the library keeps its traceback."""
    demo_that(monkeypatch, ZeroDivisionError())

    with pytest.raises(ZeroDivisionError):
        cli.main(["demo"])


def test_nobody_reading_is_141_and_silent() -> None:
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


def test_importing_the_package_imports_no_command_line_and_no_server() -> None:
    """They are for those who ask for them."""
    code = "import sys, langgraph_runs; print([name for name in sys.modules if name.startswith('langgraph_runs.')])"
    shown = python("-c", code)

    assert 0 == shown.returncode, shown.stderr
    assert not {"cli", "devserver", "demo", "__main__"} & {name.split(".")[1] for name in eval(shown.stdout)}

"""What is printed on what: terminals and pipes, encodings, closed and full outputs, locks, completion."""

from __future__ import annotations

import fcntl
import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest

import langgraph_runs
from langgraph_runs import _program, cli
from langgraph_runs.cli import console, exit_codes, stream
from langgraph_runs.cli.command import CommandError
from langgraph_runs.cli.program import COMMANDS, parser
from langgraph_runs.cli.signals import Signals
from langgraph_runs.streaming.events import CustomStreamEvent, MessagesStreamEvent, StreamEvent, ValuesStreamEvent

CHECKOUT = str(Path(langgraph_runs.__file__).resolve().parent.parent)


class Screen(io.TextIOWrapper):
    """A stdout in memory."""

    def __init__(self, encoding: str = "utf-8", *, terminal: bool = False) -> None:
        self.bytes = io.BytesIO()
        self._terminal = terminal
        super().__init__(self.bytes, encoding=encoding, write_through=True)

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(encoding: str = "utf-8", *, terminal: bool = False) -> Screen:
        screen = Screen(encoding, terminal=terminal)
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "40")
        monkeypatch.delenv("NO_COLOR", raising=False)
        console.prepare_streams()
        return screen

    return use


def test_json_is_one_line_in_a_pipe_and_indented_on_a_terminal(on: Any) -> None:
    pipe = on()
    console.print_json({"a": "ü"})
    terminal = on(terminal=True)
    console.print_json({"a": "ü"})

    assert '{"a":"ü"}\n' == pipe.bytes.getvalue().decode()
    assert '{\n  "a": "ü"\n}\n' == terminal.bytes.getvalue().decode()


def test_an_output_without_umlauts_gets_json_escapes_and_question_marks(on: Any) -> None:
    screen = on("ascii")
    console.print_json({"a": "ü\U0001f30a"})
    console.write_output("Gezeiten: Flut ü\n")

    assert b'{"a":"\\u00fc\\ud83c\\udf0a"}\nGezeiten: Flut ?\n' == screen.bytes.getvalue()
    assert {"a": "ü\U0001f30a"} == json.loads(screen.bytes.getvalue().splitlines()[0])


def test_json_nested_too_deep_to_print_is_an_error_of_one_line(on: Any) -> None:
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


def test_a_terminal_does_not_obey_what_a_graph_says(on: Any) -> None:
    screen = on(terminal=True)
    printer = stream.Terminal()
    printer.show(MessagesStreamEvent("messages", [{"type": "AIMessageChunk", "id": "1", "content": "a\x1b]0;b\x07\n"}, {}]))
    printer.show(CustomStreamEvent("custom", "\x9b2J"))
    console.print_json({"a": "\x9b\x1b"})
    console.print_table(["A"], [["\x1b[2J"]])

    shown = screen.bytes.getvalue().decode()
    assert "\x1b" not in shown.replace("\x1b[2m", "").replace("\x1b[0m", "")
    assert "\x9b" not in shown


def message(text: Any, key: str = "1", kind: str = "AIMessageChunk") -> StreamEvent:
    return MessagesStreamEvent("messages", [{"type": kind, "id": key, "content": text}, {"langgraph_node": "n"}])


def test_words_are_shown_as_they_come_and_other_events_on_lines_of_their_own(on: Any) -> None:
    screen = on(terminal=True)
    printer = stream.Terminal()
    for event in (
        StreamEvent("metadata", {"run_id": "r"}),
        message("high "),
        message([{"type": "text", "text": "tide"}]),
        message("", key="2"),
        message("a tool's words", key="3", kind="tool"),
        CustomStreamEvent("custom", {"progress": "a long story that is cut where the line ends"}),
        message("low", key="4"),
        message(" tide", key="5"),
        MessagesStreamEvent("messages/metadata", {"6": {"metadata": {}}}),
        MessagesStreamEvent("messages/partial", [{"type": "AIMessageChunk", "id": "6", "content": "ne"}]),
        MessagesStreamEvent("messages/partial", [{"type": "AIMessageChunk", "id": "6", "content": "neap"}]),
        MessagesStreamEvent("messages/complete", [{"type": "ai", "id": "6", "content": "neap"}]),
    ):
        printer.show(event)
    printer.finish()
    printer.finish()

    assert [
        "high tide",
        '\x1b[2mcustom: {"progress": "a long story th...\x1b[0m',
        "low",
        " tide",
        "neap",
    ] == screen.bytes.getvalue().decode().splitlines()


def test_in_a_pipe_each_event_is_a_line_of_json(on: Any) -> None:
    screen = on()
    printer = stream.Lines()
    printer.show(ValuesStreamEvent("values|child:1", {"n": "\u2028"}, "7-0"))

    assert ['{"event":"values|child:1","data":{"n":"\u2028"},"id":"7-0"}', ""] == screen.bytes.getvalue().decode().split("\n")


def test_a_table_is_as_wide_as_the_terminal_and_not_cut_in_a_pipe(on: Any) -> None:
    row = ["x" * 30, "y" * 30]
    on(terminal=True)
    cut = console.table(["A", "B"], [row])
    on()
    whole = console.table(["A", "B"], [row])

    assert [40, 62] == [len(cut[1]), len(whole[1])]


# -- signals


def test_a_signal_raises_outside_of_calls_and_fires_within() -> None:
    signals = Signals()
    fired = threading.Event()
    signals.signal.subscribe(lambda _: fired.set())
    with signals, signals.aborting_calls():
        signals.run_is_known()
        with signals.during_call():
            os.kill(os.getpid(), signal.SIGTERM)
            assert fired.wait(10)

    again = Signals()
    with pytest.raises(KeyboardInterrupt), again:
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(10)


def test_handlers_are_as_before_afterwards() -> None:
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    with Signals():
        assert before != [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]

    assert before == [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """As it is in a job that a shell has put into the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Signals():
            assert signal.SIG_IGN is signal.getsignal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("argv", "whole", "is_it"),
    [
        (["/venv/bin/langgraph-runs", "run"], ["python", "/venv/bin/langgraph-runs", "run"], True),
        (["C:/langgraph-runs.exe"], [], True),
        (["-m"], ["python", "-W", "error", "-m", "langgraph_runs"], True),
        (["-m"], ["python", "-m", "pytest", "langgraph_runs"], False),
        (["-m"], [], False),
        (["-c"], ["python", "-c", "import langgraph_runs"], False),
        ([""], ["python"], False),
        ([], [], False),
    ],
)
def test_only_the_program_changes_what_ctrl_c_does_while_it_loads(argv: List[str], whole: List[str], is_it: bool) -> None:
    assert is_it is _program.is_program(argv, whole)


# -- locks, before anything is sent


def test_a_lock_that_is_held_is_75_and_nothing_is_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing listens at that address, so that a request would be 5."""
    file = tmp_path / "job.lock"
    command = ["create", "agent", "--lock", str(file), "--url", "http://127.0.0.1:9", "--attempts", "1"]
    with file.open("w") as held:
        held.write("4711\n")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)

        assert 75 == cli.main(command)
        assert ("", f"langgraph-runs: --lock {file}: held by process 4711; nothing was started\n") == capsys.readouterr()

    assert 5 == cli.main(command)
    assert f"{os.getpid()}\n" == file.read_text()


def test_a_lock_that_cannot_be_made_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == cli.main(["create", "agent", "--lock", str(tmp_path / "no" / "job.lock")])
    assert f"langgraph-runs: --lock {tmp_path}/no/job.lock: No such file or directory\n" == capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--api-key-file", "/nowhere"], "--api-key-file /nowhere: No such file or directory"),
        (["--api-key-file", os.devnull], f"--api-key-file {os.devnull}: the file is empty"),
        (["--api-key", "k", "--api-key-file", "f"], "--api-key excludes --api-key-file"),
        (["--header", "nonsense"], "--header nonsense: give NAME:VALUE"),
        (["--url", "localhost:2024"], "url='localhost:2024': give http:// or https://"),
    ],
)
def test_a_wrong_server_option_is_2_and_names_it(arguments: List[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == cli.main(["list", "3fa85f64-5717-4562-b3fc-2c963f66afa6", *arguments])

    out, err = capsys.readouterr()
    assert ("", 1) == (out, err.count("\n"))
    assert err.startswith(f"langgraph-runs: {told}")


@pytest.mark.parametrize(
    "arguments",
    [
        ["prune", "--status", "error"],
        ["prune", "t", "--all-threads", "--status", "error"],
        ["prune", "t"],
        ["prune", "--all-threads"],
    ],
)
def test_prune_wants_to_know_where_and_what(arguments: List[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == cli.main(arguments)
    assert capsys.readouterr().err.startswith("langgraph-runs: give ")


# -- what it costs to load


def test_version_and_help_load_neither_requests_nor_the_demo() -> None:
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


# -- completion


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
        "langgraph-runs threads list --st": (["--status"], ["--url"]),
        "langgraph-runs run agent --on-": (["--on-timeout", "--on-interrupt"], ["--ids"]),
        "langgraph-runs run agent --on-interrupt ": (["cancel", "detach"], ["--url"]),
        "langgraph-runs list --status e": (["error"], ["success"]),
        "langgraph-runs prune --status ": (["error", "timeout"], ["running"]),
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


# -- the whole


def test_every_option_says_what_it_is_for() -> None:
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

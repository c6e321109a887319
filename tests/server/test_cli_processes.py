"""``langgraph-runs`` as a process: under cron, on a terminal, in a pipe, killed, interrupted, and twice at once."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from langgraph_runs import Client
from langgraph_runs.devserver import DevServer

from ..readme import CHAPTERS
from .commands import CHECKOUT, PROGRAM, Commands, Ended, Terminal, ended_in_any_case, wait
from .conftest import Gate, wait_until


@pytest.fixture
def run(server: DevServer) -> Commands:
    return Commands(server.url)


def gated(gate: Gate) -> str:
    return f"gate={gate._path}"


# -- environments


def test_the_command_line_works_in_an_empty_environment(run: Commands) -> None:
    """No HOME, no TERM, no language: text goes in and out in UTF-8."""
    ended = run.process("run", "echo", "a=ü", "--input-file", "-", input='{"value": "日本\U0001f30a"}'.encode())

    assert Ended(0, '{"value":"日本\U0001f30a","echo":"日本\U0001f30a","turns":1}\n', "") == ended


def test_json_is_escaped_in_an_ascii_locale(run: Commands) -> None:
    env = run.environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    ended = run.process("run", "echo", "--input-file", "-", input='{"value": "日本"}'.encode(), env=env)

    assert (0, "") == (ended.code, ended.err)
    assert ended.out.isascii()
    assert "日本" == ended.json["echo"]


# -- terminals


def test_tokens_are_printed_one_by_one_on_a_terminal(run: Commands) -> None:
    """The first ones are shown while the run goes on; other events are cut where the line ends."""
    question = '{"messages": [{"role": "user", "content": "high tide"}]}'
    with Terminal(run, "stream", "chat", "--input", question) as terminal:
        shown = terminal.read_until(None)
        assert 0 == terminal.process.wait(30)

    first, second, *more = shown.splitlines()
    assert "You said: high tide" == first
    assert re.fullmatch(r"\x1b\[2mupdates: \{\"answer\": .*\.\.\.\x1b\[0m", second)
    assert len(second) == 60 + len("\x1b[2m\x1b[0m")
    assert [] == more


def test_events_are_shown_at_once_and_ctrl_c_cancels_the_run(run: Commands, client: Client, thread_id: str, gate: Gate) -> None:
    with Terminal(run, "stream", "gated", gated(gate), "--thread", thread_id) as terminal:
        terminal.read_until('custom: {"begun": "run"}')
        os.killpg(terminal.process.pid, signal.SIGINT)
        shown = terminal.read_until(None)
        assert 130 == terminal.process.wait(30)
    (left,) = client.runs.list(thread_id)

    assert "interrupted" == left.status
    assert shown.endswith(f"langgraph-runs: interrupted: run {left.run_id} was cancelled\n")
    assert "Traceback" not in shown


def test_watch_draws_its_table_in_place_on_a_terminal(run: Commands, client: Client, thread_id: str, gate: Gate) -> None:
    client.runs.create(thread_id, "gated", input=gate.input())
    gate.wait_begun()
    with Terminal(run, "watch", thread_id, "--interval", "50ms") as terminal:
        terminal.read_until("\x1b[2A")
        assert "running" in terminal.seen
        gate.open()
        shown = terminal.read_until(None)
        assert 0 == terminal.process.wait(30)

    assert "success" in shown.rsplit("\x1b[2A", 1)[1]
    assert shown.rsplit("\x1b[2A", 1)[1].count("\n") == 2


# -- signals


@pytest.mark.parametrize(
    ("command", "signum", "arguments", "status"),
    [
        ("run", signal.SIGINT, [], "interrupted"),
        ("run", signal.SIGTERM, ["--on-interrupt", "detach"], "running"),
        ("stream", signal.SIGTERM, ["--on-interrupt", "cancel"], "interrupted"),
    ],
)
def test_a_signal_is_exit_code_130_and_the_run_is_cancelled_or_goes_on(
    command: str, signum: int, arguments: list[str], status: str, run: Commands, client: Client, thread_id: str, gate: Gate
) -> None:
    with ended_in_any_case(run.start(command, "gated", gated(gate), "--thread", thread_id, *arguments)) as process:
        gate.wait_begun()
        process.send_signal(signum)
        ended = wait(process)
    (left,) = client.runs.list(thread_id)

    assert (130, status) == (ended.code, left.status)
    what = (
        f"run {left.run_id} was cancelled"
        if status == "interrupted"
        else f"the run goes on: langgraph-runs join {thread_id} {left.run_id}"
    )
    assert f"langgraph-runs: interrupted: {what}\n" == ended.err


def test_serve_runs_a_server_until_it_is_interrupted(run: Commands) -> None:
    graphs = Path(__file__).with_name("graphs.py")
    with ended_in_any_case(run.start("serve", f"{graphs}:echo", f"chat={graphs}:chat", "--port", "0")) as process:
        assert process.stdout is not None
        with Client(process.stdout.readline().decode().strip(), api_key=None) as client:
            assert ["agent", "chat"] == sorted(str(one.graph_id) for one in client.assistants.search())
            assert 1 == client.runs.wait(None, "agent", input={"value": 1})["echo"]
        process.send_signal(signal.SIGINT)
        ended = wait(process)

    assert 130 == ended.code
    assert "langgraph-runs: serving agent, chat; Ctrl-C ends the server, and what it holds is lost\n" == ended.err


def test_a_second_signal_ends_the_process_at_once(gate: Gate, own_server: DevServer) -> None:
    """The first one waits for a server that has stopped answering."""
    run = Commands(own_server.url)
    with ended_in_any_case(run.start("run", "gated", gated(gate), "-v")) as process:
        gate.wait_begun()
        own_server.send_signal(signal.SIGSTOP)
        try:
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            line = b""
            while b"aborted" not in line.lower():
                line = process.stderr.readline()
                assert line, "it ended at the first signal"
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            ended = wait(process)
        finally:
            own_server.send_signal(signal.SIGCONT)

    assert 130 == ended.code
    assert time.monotonic() - begun < 4
    assert "Traceback" not in ended.err


LOADING = """
import sys
class Marker:
    def find_spec(self, name, path=None, target=None):
        if name == "langgraph_runs.call.abort":
            print(flush=True)
sys.argv = ["langgraph-runs", "list", "x"]
sys.meta_path.insert(0, Marker())
from langgraph_runs.cli import main
sys.exit(main())
"""


def test_ctrl_c_during_the_import_prints_nothing(run: Commands) -> None:
    """At any moment from the first import of the package on: it ends by the signal, or with 130."""
    for delay in (0.0, 0.03, 0.06, 0.1):
        with ended_in_any_case(
            subprocess.Popen([sys.executable, "-c", LOADING], env=run.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"\n"
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            ended = wait(process)

        assert ended.code in (-signal.SIGINT, 130, 2)  # 2, since x is no id: the signal came too late
        assert "Traceback" not in ended.err
        assert "KeyboardInterrupt" not in ended.err


# -- outputs that go away


def test_a_closed_output_is_exit_code_141_and_cancels_the_run(run: Commands, client: Client, thread_id: str) -> None:
    """``| head -2``, of a run that would write for half a minute."""
    stream = ["stream", "burst", "n=3000", "pause=0.01", "--stream-mode", "custom", "--thread", thread_id]
    with ended_in_any_case(run.start(*stream)) as process:
        assert process.stdout is not None
        assert [b'{"event":"metadata"', b'{"event":"custom"'] == [process.stdout.readline().split(b",")[0] for _ in range(2)]
        process.stdout.close()
        process.stdout = None
        ended = process.wait(30)
        assert process.stderr is not None
        said = process.stderr.read()

    assert (141, b"") == (ended, said)
    assert ["interrupted"] == [one.status for one in client.runs.list(thread_id)]


@pytest.mark.parametrize(
    ("redirection", "reason"), [(">/dev/full", "No space left on device"), (">&-", "stdout is closed")], ids=["full", "closed"]
)
def test_an_output_that_cannot_be_written_is_exit_code_1_and_loses_no_result(run: Commands, redirection: str, reason: str) -> None:
    line = f"{shlex.join([*PROGRAM, 'run', 'echo', 'value=1'])} {redirection}"
    ended = subprocess.run(["sh", "-c", line], env=run.environment(), capture_output=True, timeout=60, check=False)
    told, _, command = ended.stderr.decode().partition("; to see the result: langgraph-runs ")
    assert (1, f"langgraph-runs: the output cannot be written: {reason}") == (ended.returncode, told)
    assert 1 == run(*command.split()).json["echo"]


# -- twice at once, and killed


def test_a_command_does_nothing_while_another_holds_its_lock(
    run: Commands, client: Client, thread_id: str, gate: Gate, tmp_path: Path
) -> None:
    """And a third may, when the first was killed."""
    lock = ["--lock", str(tmp_path / "job.lock")]
    with ended_in_any_case(run.start("run", "gated", gated(gate), *lock)) as process:
        gate.wait_begun()
        second = run("run", "echo", "--thread", thread_id, *lock)
        process.kill()
        process.wait(30)
    third = run("run", "echo", "value=1", "--thread", thread_id, *lock)

    assert (75, f"langgraph-runs: --lock {tmp_path}/job.lock: held by process {process.pid}; nothing was started\n") == (
        second.code,
        second.err,
    )
    assert 0 == third.code
    assert 1 == len(client.runs.list(thread_id))


@pytest.mark.slow
def test_a_batch_continues_after_a_kill(run: Commands, client: Client, tmp_path: Path, new_id: str) -> None:
    """Killed twice in the middle: in the end each input has one line and one run, and no line is half."""
    inputs, out, ledger = tmp_path / "in.jsonl", tmp_path / "out.jsonl", tmp_path / "jobs.sqlite"
    inputs.write_text("".join(f'{{"value": {n}}}\n' for n in range(24)), encoding="utf-8")
    command = ["batch", "echo", str(inputs), "-o", str(out), "--ledger", str(ledger), "-c", "4", "--metadata", f"job={new_id}"]
    command += ["--keep-threads", "always"]
    part = tmp_path / "out.jsonl.part"
    for lines in (3, 9):
        with ended_in_any_case(run.start(*command)) as process:
            wait_until(
                lambda: process.poll() is not None or (part.exists() and part.read_bytes().count(b"\n") >= lines), "some results"
            )
            process.kill()
        assert not out.exists()
    ended = run.process(*command)

    assert Ended(0, "", "") == ended
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert list(range(24)) == sorted(row["values"]["echo"] for row in rows)
    assert not part.exists()
    threads = client.threads.search(metadata={"job": new_id}, limit=100)
    assert [1] * 24 == [len(client.runs.list(thread.thread_id)) for thread in threads]


def test_a_batch_that_detaches_leaves_its_runs_to_the_next_one(
    run: Commands, client: Client, gate: Gate, tmp_path: Path, new_id: str
) -> None:
    """With ``--on-interrupt detach``; in the end no input was run twice."""
    inputs, ledger = tmp_path / "in.jsonl", str(tmp_path / "jobs.sqlite")
    inputs.write_text("".join(json.dumps(gate.input(tag)) + "\n" for tag in "ab"), encoding="utf-8")
    command = ["batch", "gated", str(inputs), "--metadata", f"job={new_id}", "--keep-threads", "always"]

    def end(*arguments: str) -> Ended:
        with ended_in_any_case(run.start(*command, *arguments)) as process:
            wait_until(lambda: process.poll() is not None or (gate.begun("a") and gate.begun("b")), "both to begin")
            process.send_signal(signal.SIGTERM)
            return wait(process)

    def statuses() -> list[str]:
        threads = client.threads.search(metadata={"job": new_id}, limit=100)
        return sorted(one.status for thread in threads for one in client.runs.list(thread.thread_id))

    told = "langgraph-runs: interrupted; the same command continues the work\n"
    assert Ended(130, "", told) == end("--ledger", ledger, "--on-interrupt", "detach")
    assert ["running", "running"] == statuses()
    gate.open()
    ended = run.process(*command, "--ledger", ledger)
    assert (0, ["a", "b"]) == (ended.code, sorted(line["values"]["passed"][-1] for line in ended.lines))
    assert ["success", "success"] == statuses()


# -- the chapter of the command line


def crontab() -> tuple[str, str]:
    """The lines of a crontab in the chapter of the command line: the variable, and the command."""
    found = re.search(r"^   (LANGGRAPH_API_URL=\S+)\n   30 2 \* \* \* (.+)$", CHAPTERS["cli"].text, re.MULTILINE)
    assert found is not None
    return found.group(1), found.group(2)


@pytest.mark.slow
def test_the_crontab_of_the_chapter_does_what_it_says(run: Commands, tmp_path: Path, gate: Gate) -> None:
    """Run as cron does: by /bin/sh at home, with the four variables that cron sets. Twice at once."""
    variable, command = crontab()
    assert "LANGGRAPH_API_URL=http://localhost:2024" == variable
    home = tmp_path / "home"
    program = home / "venv" / "bin" / "langgraph-runs"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(CHECKOUT)} exec {shlex.join(PROGRAM)} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    (home / "key").write_text("a-key\n", encoding="utf-8")
    assert "run agent topic=tides" in command
    command = command.replace("run agent topic=tides", f"run gated {gated(gate)}")
    env = {"HOME": str(home), "LOGNAME": "agents", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin", "LANGGRAPH_API_URL": run.url}

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(["/bin/sh", "-c", command], env=env, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    with ended_in_any_case(start()) as first:
        gate.wait_begun()
        with ended_in_any_case(start()) as second:
            assert Ended(75, "", "") == wait(second)
        gate.open()
        assert Ended(0, "", "") == wait(first)

    said = (home / "log").read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"\S+T\S+ langgraph-runs: --lock lock: held by process \d+; nothing was started", said[0])
    assert ["begun", "run"] == json.loads(said[1])["passed"]

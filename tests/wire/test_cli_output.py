"""``langgraph-runs`` as a process whose output goes away: closed, full, a pipe without a reader, a terminal that is closed."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ..server.commands import PROGRAM, TIMEOUT, Commands, Ended, ended_in_any_case, wait
from .scripted import RUN_ID, THREAD_ID, Reply, ScriptedServer, reply, reply_json, run_json, waiting

CANCEL = f"/threads/{THREAD_ID}/runs/{RUN_ID}/cancel"
IDS = [THREAD_ID, RUN_ID]
OK = {
    ("GET", "/ok"): reply_json(200, {"ok": True}),
    ("GET", "/info"): reply_json(200, {"version": "1"}),
    ("POST", "/assistants/search"): reply_json(200, []),
    ("POST", "/threads/search"): reply_json(200, []),
    ("GET", "/threads/*/runs"): reply_json(200, []),
    ("GET", "/threads/*/runs/*"): reply_json(200, run_json()),
    ("POST", "/threads/*/runs"): reply_json(200, run_json()),
}


def shell(run: Commands, arguments: list[str], redirection: str, **env: str) -> Ended:
    command = f"{shlex.join([*PROGRAM, *arguments])} {redirection}"
    ended = subprocess.run(
        ["bash", "-c", command], env=run.environment(**env), stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT
    )
    return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(routes=OK) as server:
        yield server


def first(arguments: list[str]) -> str:
    return arguments[0]


PRINTING = [["--help"], ["--version"], ["completion", "bash"], ["get", *IDS], ["doctor", "--json"]]
#: How a disk may be full, in a process with and without a buffer for stdout, and how stdout may be closed.
UNWRITABLE = [
    (">/dev/full", "1", "No space left on device"),
    (">/dev/full", "", "No space left on device"),
    (">&-", "", "stdout is closed"),
]


@pytest.mark.parametrize(("redirection", "unbuffered", "told"), UNWRITABLE)
@pytest.mark.parametrize("arguments", PRINTING, ids=first)
def test_a_result_that_cannot_be_written_is_exit_code_1(
    server: ScriptedServer, arguments: list[str], redirection: str, unbuffered: str, told: str
) -> None:
    """Stdout is closed, or its disk is full. Nothing is printed by the interpreter at its exit."""
    ended = shell(Commands(server.url), arguments, redirection, PYTHONUNBUFFERED=unbuffered)

    assert Ended(1, "", f"langgraph-runs: the output cannot be written: {told}\n") == ended


def test_a_command_that_prints_nothing_needs_no_stdout(server: ScriptedServer) -> None:
    ended = shell(Commands(server.url), ["list", THREAD_ID, "--json"], ">&- <&-")

    assert Ended(0, "", "") == ended


def test_a_create_whose_output_cannot_be_written_names_the_run(server: ScriptedServer) -> None:
    ended = shell(Commands(server.url), ["create", "agent", "--thread", THREAD_ID, "--ids"], ">/dev/full")

    assert 1 == ended.code
    assert ended.err.endswith(f"; the run was created: langgraph-runs join {THREAD_ID} {RUN_ID}\n")


@pytest.mark.parametrize("arguments", PRINTING, ids=first)
def test_a_pipe_without_a_reader_is_exit_code_141_without_a_message(server: ScriptedServer, arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    with ended_in_any_case(Commands(server.url).start(*arguments, stdout=write)) as process:
        os.close(write)
        _, said = process.communicate(timeout=TIMEOUT)
    assert (141, b"") == (process.returncode, said)


@pytest.mark.parametrize(("redirection", "unbuffered"), [("2>/dev/full", ""), ("2>/dev/full", "1"), ("2>&-", "")])
def test_messages_that_cannot_be_written_do_not_change_the_exit_code(
    server: ScriptedServer, redirection: str, unbuffered: str
) -> None:
    run = Commands(server.url)
    for arguments, code in ((["nonsense"], 2), (["get", *IDS, "--verbose"], 0)):
        assert code == shell(run, arguments, redirection, PYTHONUNBUFFERED=unbuffered).code


# -- the terminal is closed


def gated_wait(begun: threading.Event) -> Any:
    def answer(request: Any) -> Reply:
        begun.set()
        return waiting(30.0, value={}, run=(THREAD_ID, RUN_ID))

    return answer


@contextlib.contextmanager
def waiting_server(begun: threading.Event) -> Iterator[ScriptedServer]:
    """A server whose runs last until they are cancelled."""
    routes: dict[Any, Any] = {
        ("POST", "/threads/*/runs/wait"): gated_wait(begun),
        ("POST", "/threads/*/runs/*/cancel"): reply(204),
    }
    with ScriptedServer(routes=routes) as server:
        yield server


def cancels(server: ScriptedServer) -> int:
    return sum(request.path == CANCEL for request in server.requests)


def test_sighup_cancels_the_run() -> None:
    """As SIGTERM does. A second one, which shells send when a terminal is closed, does not end the command before that."""
    begun = threading.Event()
    with waiting_server(begun) as server:
        with ended_in_any_case(Commands(server.url).start("run", "agent", "--thread", THREAD_ID)) as process:
            assert begun.wait(TIMEOUT)
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGHUP)
            ended = wait(process)

    assert Ended(130, "", f"langgraph-runs: interrupted: run {RUN_ID} was cancelled\n") == ended
    assert 1 == cancels(server)


def test_sighup_is_ignored_under_nohup() -> None:
    begun = threading.Event()
    with waiting_server(begun) as server:
        command = ["nohup", *PROGRAM, "run", "agent", "--thread", THREAD_ID]
        process = subprocess.Popen(
            command,
            env=Commands(server.url).environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with ended_in_any_case(process):
            assert begun.wait(TIMEOUT)
            process.send_signal(signal.SIGHUP)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            assert 0 == cancels(server)
            process.send_signal(signal.SIGTERM)
            ended = wait(process)

    assert 130 == ended.code
    assert 1 == cancels(server)


#: Makes the standard input the terminal of the session, and runs the program in the arguments.
ON_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("command", ["run", "stream"])
def test_a_terminal_that_is_closed_cancels_the_run(command: str) -> None:
    """The system sends SIGHUP, and every write to the terminal fails."""
    begun = threading.Event()

    def stream(request: Any) -> Reply:
        begun.set()
        items = [part for number in range(600) for part in (f'event: custom\ndata: {{"n":{number}}}\n\n', 0.01)]
        return Reply(
            "events",
            headers=(
                ("Content-Type", "text/event-stream"),
                ("Content-Location", f"/threads/{THREAD_ID}/runs/{RUN_ID}"),
            ),
            items=tuple(items),
            framing="chunked",
        )

    routes: dict[Any, Any] = {
        ("POST", "/threads/*/runs/wait"): gated_wait(begun),
        ("POST", "/threads/*/runs/stream"): stream,
        ("POST", "/threads/*/runs/*/cancel"): reply(204),
    }
    with ScriptedServer(routes=routes) as server:
        arguments = [*PROGRAM, command, "agent", "--thread", THREAD_ID, "--url", server.url]
        try:
            terminal, other = pty.openpty()
        except OSError:
            pytest.skip("this machine has no pseudo-terminals")
        # The program becomes the leader of a session whose terminal this is. (A fork of this process, with its threads, might hang.)
        process = subprocess.Popen(
            [sys.executable, "-c", ON_TERMINAL, *arguments],
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
            env=Commands(server.url).environment(TERM="xterm"),
        )
        os.close(other)
        assert begun.wait(TIMEOUT)
        if command == "stream":
            os.read(terminal, 100)
        os.close(terminal)
        code = process.wait(TIMEOUT)

    assert code in (130, 141)
    assert 1 == cancels(server)


# -- the time of each line


TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+05:30 (langgraph-runs: |INFO |DEBUG )")


@pytest.mark.parametrize(
    ("arguments", "code", "lines"),
    [
        (["get", *IDS], 2, 1),
        (["get", *IDS, "--verbose"], 2, 4),
        (["get"], 2, 1),
        (["ledger", "show", "/nowhere/at/all"], 2, 1),
        (["demo", "--port", "1"], 2, 1),
    ],
)
def test_each_message_begins_with_the_time_if_wanted(arguments: list[str], code: int, lines: int) -> None:
    """Errors, the log, and errors in the arguments."""
    with ScriptedServer(always=reply_json(404, {"detail": "Run not found"})) as server:
        plain = shell(Commands(server.url), arguments, "", TZ="Asia/Kolkata")
        timed = shell(Commands(server.url), [*arguments, "--log-timestamps"], "", TZ="Asia/Kolkata")

    assert (code, code) == (plain.code, timed.code)
    assert lines == len(timed.err.splitlines()) == len(plain.err.splitlines())
    assert all(TIME.match(line) for line in timed.err.splitlines()), timed.err
    assert not any(TIME.match(line) for line in plain.err.splitlines())

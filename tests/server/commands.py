"""Run ``langgraph-runs`` in tests: within this process, or as a process of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple, Optional

import langgraph_runs
from langgraph_runs import cli

CHECKOUT = str(Path(langgraph_runs.__file__).resolve().parent.parent)
PROGRAM = [sys.executable, "-m", "langgraph_runs"]
#: Seconds after which a process that has not ended fails the test.
TIMEOUT = 60


class Ended(NamedTuple):
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.split("\n")[:-1]]


class Commands:
    """Runs commands on one server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, *arguments: str) -> Ended:
        """Run a command within this process. Stdout is not a terminal."""
        return self.local(*arguments, "--url", self.url)

    def local(self, *arguments: str) -> Ended:
        """Run a command that needs no server, within this process."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = cli.main(arguments)
            except SystemExit as ended:
                code = int(ended.code or 0)
        return Ended(code, out.getvalue(), err.getvalue())

    def environment(self, **more: str) -> dict[str, str]:
        """Return an almost empty environment, as cron has it: no HOME, no TERM, no locale."""
        return {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": CHECKOUT,
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANGGRAPH_API_URL": self.url,
            **more,
        }

    def start(self, *arguments: str, env: Optional[dict[str, str]] = None, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command as a process, by default in the environment of `environment`."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen([*PROGRAM, *arguments], env=self.environment() if env is None else env, **options)

    def process(self, *arguments: str, input: Optional[bytes] = None, env: Optional[dict[str, str]] = None) -> Ended:
        """Run a command as a process and wait for its end."""
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        with self.start(*arguments, env=env, stdin=stdin) as process:
            out, err = process.communicate(input, TIMEOUT)
        return Ended(process.returncode, out.decode("utf-8"), err.decode("utf-8"))


class Terminal:
    """A command as a process whose stdin, stdout and stderr are a pseudo-terminal of 60 columns."""

    def __init__(self, commands: Commands, *arguments: str, env: Optional[dict[str, str]] = None) -> None:
        self._main, other = pty.openpty()
        env = {**commands.environment(), "TERM": "xterm", "COLUMNS": "60", "LINES": "24"} if env is None else env
        self.process = subprocess.Popen(
            [*PROGRAM, *arguments], env=env, stdin=other, stdout=other, stderr=other, start_new_session=True
        )
        os.close(other)
        self.seen = ""

    def read_until(self, text: Optional[str]) -> str:
        """Read until *text* was printed, or to the end if it is None; return everything that was printed."""
        while text is None or text not in self.seen:
            try:
                piece = os.read(self._main, 65536)
            except OSError:  # raised when the last process on the terminal has ended
                piece = b""
            if not piece:
                assert text is None, f"it ended before {text!r} was shown: {self.seen!r}"
                break
            self.seen += piece.decode("utf-8").replace("\r\n", "\n")
        return self.seen

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(TIMEOUT)
        os.close(self._main)


def wait(process: subprocess.Popen[bytes]) -> Ended:
    """Wait for the end of a process that was started."""
    out, err = process.communicate(timeout=TIMEOUT)
    return Ended(process.returncode, out.decode("utf-8"), err.decode("utf-8"))


@contextlib.contextmanager
def ended_in_any_case(process: subprocess.Popen[bytes]) -> Any:
    """Kill the process at the end of the block if it still runs, so that a failing test leaves no process."""
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()

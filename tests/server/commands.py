"""Running ``langgraph-runs``: within this process, where that shows the same, and as a process of its own."""

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
#: Seconds that a process may take before the test fails.
PATIENCE = 60


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

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
    """Commands on one server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, *arguments: str) -> Ended:
        """Run it within this process, its output going into a pipe as it were."""
        return self.local(*arguments, "--url", self.url)

    def local(self, *arguments: str) -> Ended:
        """The same for a command that asks no server."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = cli.main(arguments)
            except SystemExit as ended:
                code = int(ended.code or 0)
        return Ended(code, out.getvalue(), err.getvalue())

    def environment(self, **more: str) -> dict[str, str]:
        """Almost none, as cron has it: no HOME, no TERM, no language."""
        return {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": CHECKOUT,
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANGGRAPH_API_URL": self.url,
            **more,
        }

    def start(self, *arguments: str, env: Optional[dict[str, str]] = None, **options: Any) -> subprocess.Popen[bytes]:
        """Begin it as a process, in its bare environment."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen([*PROGRAM, *arguments], env=self.environment() if env is None else env, **options)

    def process(self, *arguments: str, input: Optional[bytes] = None, env: Optional[dict[str, str]] = None) -> Ended:
        """Run it as a process, in its bare environment, to its end."""
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        with self.start(*arguments, env=env, stdin=stdin) as process:
            out, err = process.communicate(input, PATIENCE)
        return Ended(process.returncode, out.decode("utf-8"), err.decode("utf-8"))


class Terminal:
    """A pseudo-terminal, 60 columns wide, and a process that has nothing else."""

    def __init__(self, commands: Commands, *arguments: str, env: Optional[dict[str, str]] = None) -> None:
        self._main, other = pty.openpty()
        env = {**commands.environment(), "TERM": "xterm", "COLUMNS": "60", "LINES": "24"} if env is None else env
        self.process = subprocess.Popen(
            [*PROGRAM, *arguments], env=env, stdin=other, stdout=other, stderr=other, start_new_session=True
        )
        os.close(other)
        self.seen = ""

    def read_until(self, text: Optional[str]) -> str:
        """Read until *text* has been shown, or for None to the end."""
        while text is None or text not in self.seen:
            try:
                piece = os.read(self._main, 65536)
            except OSError:  # how a terminal says that its last program is gone
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
        self.process.wait(PATIENCE)
        os.close(self._main)


def wait(process: subprocess.Popen[bytes]) -> Ended:
    """The end of a process that was begun."""
    out, err = process.communicate(timeout=PATIENCE)
    return Ended(process.returncode, out.decode("utf-8"), err.decode("utf-8"))


@contextlib.contextmanager
def ended_in_any_case(process: subprocess.Popen[bytes]) -> Any:
    """No process is left behind by a test that fails."""
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()

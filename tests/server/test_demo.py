"""``langgraph-runs demo`` as a person runs it: a process, in a pipe and on a terminal, to its end and interrupted."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, Iterator

import pytest

import langgraph_runs

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(sys.version_info < (3, 11), reason="the LangGraph server needs Python 3.11 or newer"),
]

CHECKOUT = str(Path(langgraph_runs.__file__).resolve().parent.parent)
DEMO = [sys.executable, "-m", "langgraph_runs", "demo"]
ANSI = re.compile(r"\x1b\[\d+m")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The directory for temporary files."""
    temp = tmp_path / "temp"
    temp.mkdir()
    return temp


@pytest.fixture
def environment(place: Path) -> Dict[str, str]:
    """Almost none, as cron has it: nothing of this machine is needed. A proxy that does not answer is in nobody's way."""
    return {
        "PATH": os.environ["PATH"],
        "TMPDIR": str(place),
        "PYTHONPATH": CHECKOUT,
        "PYTHONDONTWRITEBYTECODE": "1",
        "http_proxy": "http://127.0.0.1:9",
    }


@pytest.fixture(autouse=True)
def _nothing_is_left(place: Path, tmp_path: Path) -> Iterator[None]:
    """Neither the directory nor a process that has it as its own."""
    yield
    give_up = time.monotonic() + 5
    while list(place.iterdir()) or servers(place):
        assert time.monotonic() < give_up, f"left behind: {list(place.iterdir())}, processes {servers(place)}"
        time.sleep(0.02)


def servers(place: Path) -> Dict[str, str]:
    """The processes that work in a directory below this one."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            directory = os.readlink(process / "cwd")
            if directory.startswith(str(place)):
                found[process.name] = directory
    return found


@pytest.mark.slow
def test_the_demo_in_a_pipe(environment: Dict[str, str], tmp_path: Path) -> None:
    """It ends, says what it does, and each thing that it promises is there."""
    ended = subprocess.run(DEMO, cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=False)
    shown = ended.stdout.decode("ascii")

    assert (0, b"") == (ended.returncode, ended.stderr)
    assert "\x1b" not in shown
    for expected in (
        r">>> thread = client\.threads\.create\(\)",
        r"reading encyclopedia \(1 of 3\)",
        r"Here is a short text about tides\.",
        r"__interrupt__: .*Publish this text\?",
        r"published: true",
        r"RunCancelledError: .+",
        r"ValueError: there is no source about unicorns \(run [0-9a-f-]{36}\)",
        r"[0-9a-f-]{36} +error +\d\d:\d\d:\d\d",
        r"[0-9a-f-]{36} +interrupted +\d\d:\d\d:\d\d",
        r"[0-9a-f-]{36} +success +\d\d:\d\d:\d\d",
    ):
        assert re.search(expected, shown), f"not shown: {expected}\n{shown}"


@pytest.mark.slow
def test_tokens_are_shown_one_by_one_on_a_terminal(environment: Dict[str, str], tmp_path: Path) -> None:
    """They arrive over a second or so, not in one go; commands stand out."""
    main, other = pty.openpty()
    seen = b""
    moments = []  # when, and how much was there
    with subprocess.Popen(
        DEMO, cwd=tmp_path, env={**environment, "TERM": "xterm"}, stdin=other, stdout=other, stderr=other
    ) as process:
        os.close(other)
        with contextlib.suppress(OSError):  # how a terminal says that its last program is gone
            while True:
                piece = os.read(main, 65536)
                if not piece:
                    break
                seen += piece
                moments.append((time.monotonic(), len(seen)))
        os.close(main)
    begin, end = (seen.index(text) for text in (b"Here is a", b"beforehand,"))
    first, last = (next(moment for moment, length in moments if length > place) for place in (begin, end))

    assert 0 == process.returncode
    assert last - first > 0.5
    assert b"\x1b[36m  >>> thread = client.threads.create()\x1b[0m" in seen
    assert b"Traceback" not in seen


@pytest.mark.slow
@pytest.mark.parametrize("at", ["Start a LangGraph", "Connect to it", "Here is a", "Cancel a run"])
def test_ctrl_c_ends_the_demo_with_130_and_no_message(at: str, environment: Dict[str, str], tmp_path: Path) -> None:
    """At any moment; the whole group gets the signal, as from a terminal."""
    with subprocess.Popen(
        DEMO, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        seen = b""
        while at.encode() not in seen:
            piece = os.read(process.stdout.fileno(), 4096)
            assert piece, f"it ended before {at!r} was shown"
            seen += piece
        os.killpg(process.pid, signal.SIGINT)
        process.stdout.read()

        assert 130 == process.wait(20)
        assert b"" == process.stderr.read()


def test_a_closed_output_ends_the_demo_silently(environment: Dict[str, str], tmp_path: Path) -> None:
    """``langgraph-runs demo | head -2``."""
    with subprocess.Popen(DEMO, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()

        assert 141 == process.wait(30)
        assert b"" == process.stderr.read()

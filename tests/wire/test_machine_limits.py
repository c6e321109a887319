"""Limits of the machine: no further thread, and no file descriptor. Each program is a process of its own, which reaches the limit."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, Iterator

import pytest

from langgraph_runs.testing import fake_server, never_ends

from ..hosts.hosts import Place, place
from ..waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
NO_THREADS = """
import sys, threading
def refuse(self):
    raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
"""
PRELUDE = """
import json, os, resource, socket, sys
sys.path.insert(0, "tests/hosts")
from probes import Probe
from langgraph_runs import *
fake, silent = sys.argv[1:]
probe = Probe(fake, silent)
once = RetryPolicy(attempts=1)
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path) as made:
        yield made


def run(here: Place, *scripts: str) -> Any:
    code = "".join(textwrap.dedent(script) for script in (PRELUDE, *scripts))
    return json.loads(here.output(sys.executable, "-c", code, here.fake_url, here.silent_url))


def test_calls_need_no_further_thread(here: Place) -> None:
    """A name is looked up in the calling thread, and so are the inputs of a map run."""
    script = """
        real = socket.getaddrinfo
        socket.getaddrinfo = lambda host, *rest: real("127.0.0.1" if host == "server.test" else host, *rest)
        named = Client(fake.replace("127.0.0.1", "server.test"), api_key=None)
        print(json.dumps([named.ok(), *(probe.run(name) for name in ("plain", "stream", "timeout", "map"))]))
    """
    assert [True, "", "", "", ""] == run(here, NO_THREADS, script)


@pytest.mark.slow
def test_without_file_descriptors_each_call_raises_an_error_of_the_package(here: Place) -> None:
    """And works again when there is one. The server was certainly not reached."""
    script = """
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        held = []
        try:
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        results = []
        def tried(work):
            try:
                results.append(work())
            except LangGraphRunsError as error:
                results.append([type(error).__name__, getattr(error, "sent", None)])
        for url in (fake, fake.replace("127.0.0.1", "server.invalid"), fake.replace("http", "https")):
            tried(Client(url, api_key=None, retry=once).ok)
        tried(lambda: probe.client.with_options(retry=once).runs.wait(None, "agent"))
        tried(lambda: list(probe.client.with_options(retry=once).runs.stream(None, "agent")))
        tried(lambda: list(probe.client.runs.map("agent", [{"n": 1}], ledger=os.path.join(os.getcwd(), "never.sqlite"))))
        os.close(held.pop())
        tried(probe.client.ok)
        for descriptor in held:
            os.close(descriptor)
        tried(lambda: probe.run_all())
        print(json.dumps(results))
    """
    refused = ["APIConnectionError", False]
    found = run(here, script)
    assert [refused] * 5 + [["LedgerError", None], True] == found[:-1]
    assert {""} == set(found[-1].values())


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_the_command_line_needs_no_thread() -> None:
    """A signal cancels its run nevertheless."""
    code = f"{NO_THREADS}\nimport runpy\nsys.argv[0] = 'langgraph-runs'\nrunpy.run_module('langgraph_runs', run_name='__main__')"
    with fake_server() as fake:
        fake.script(never_ends())
        command = [sys.executable, "-c", code, "run", "agent", "--url", fake.url]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as program:
            try:
                run = wait_until(lambda: next(iter(fake.runs.values()), None), "the run", 30)
                program.send_signal(signal.SIGTERM)
                _, text = program.communicate(timeout=30)
            finally:
                program.kill()
        assert (130, "interrupted") == (program.returncode, run.status), text

"""Programs whose standard library is replaced: gevent and eventlet, under which web servers and task queues run.

Each program is a process of its own, which patches everything first. The server is in the process of the test.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from langgraph_runs.testing import fake_server, succeeds

from .scripted import ScriptedServer, reply_json, stall

PATCHES = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}
PRELUDE = """
    import json, sys, threading, time
    from langgraph_runs import *

    url = sys.argv[1]
    client = Client(url, api_key=None, retry=RetryPolicy(attempts=1), read_timeout=20)

    def timed(work):
        began = time.monotonic()
        try:
            result = work()
        except LangGraphRunsError as error:
            result = type(error).__name__
        return result, round(time.monotonic() - began, 2)

    def after(seconds, work):
        threading.Thread(target=lambda: (time.sleep(seconds), work()), daemon=True).start()
"""


@pytest.fixture(params=PATCHES)
def host(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


def run_in(host: str, script: str, url: str) -> Any:
    """The value of ``result`` at the end of a script that runs under *host*."""
    code = "\n".join([PATCHES[host], textwrap.dedent(PRELUDE), textwrap.dedent(script), "print(json.dumps(result))"])
    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, timeout=60, env={**os.environ})
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


def test_a_silent_server_blocks_no_call_for_ever(host: str) -> None:
    """Each limit ends the call when it is reached."""
    script = """
        controller = AbortController()
        closed = Client(url, api_key=None)
        result = [
            timed(lambda: client.ok(timeout=0.5)),
            timed(lambda: client.with_options(read_timeout=0.5).ok()),
            timed(lambda: (after(0.5, controller.abort), client.ok(signal=controller.signal))),
            timed(lambda: (after(0.5, closed.close), closed.ok())),
        ]
    """
    with ScriptedServer(always=stall()) as server:
        result = run_in(host, script, server.url)
    assert ["DeadlineExceededError", "APITimeoutError", "AbortedError", "AbortedError"] == [error for error, _ in result]
    assert [] == [(error, seconds) for error, seconds in result if not 0.4 < seconds < 10]


def test_other_tasks_run_while_a_call_waits(host: str) -> None:
    """Ten waits that take half a second each, at the same time."""
    script = """
        def one():
            thread_id = client.threads.create().thread_id
            found.append(client.runs.wait(thread_id, "agent"))
        found = []
        def all_at_once():
            threads = [threading.Thread(target=one) for _ in range(10)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return found
        result = timed(all_at_once)
    """
    with fake_server() as fake:
        fake.script(succeeds({"a": 1}, events=[("custom", 1), 0.5, ("custom", 2)]), repeat=True)
        found, seconds = run_in(host, script, fake.url)
    assert [{"a": 1}] * 10 == found
    assert seconds < 4


def test_streams_and_maps_work(host: str) -> None:
    script = """
        thread_id = client.threads.create().thread_id
        events = [event.data for event in client.runs.stream(thread_id, "agent", stream_mode="custom") if event.mode == "custom"]
        values = [one.values for one in client.runs.map("agent", [{"n": n} for n in range(6)], concurrency=3)]
        result = [events, values]
    """
    with fake_server() as fake:
        fake.script(succeeds({"a": 1}, events=[("custom", 1), 0.1, ("custom", 2)]).cut_after(1), repeat=True)
        events, values = run_in(host, script, fake.url)
    assert ([1, 2], [{"a": 1}] * 6) == (events, values)


def test_a_name_is_looked_up(host: str) -> None:
    with ScriptedServer(reply_json(200, {"ok": True})) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        assert True is run_in(host, "result = client.ok()", url)

"""``client.runs.map`` while the server is away, refuses requests, or stands behind a gateway that says so."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

from langgraph_runs import AbortedError, APIConnectionError, BatchResult, Client, Ledger, MapProgress, OutageError, RetryPolicy
from langgraph_runs.batch.worker import TaskRunner
from langgraph_runs.testing.loopback_server import ReplySource, Request

from ..server.commands import Commands
from ..waiting import wait_until
from .fake_langgraph import FakeLangGraph, FakeRun
from .replies import Reply, drop_before_answer, reply, reply_json, stall

Connect = Callable[..., Client]
#: Seconds. Longer than anything here takes, also on a busy machine.
TIMEOUT = 30.0
#: Probes follow each other after some hundredths of a second.
QUICK = RetryPolicy(wait_initial=0.01, wait_max=0.05)


class Server(FakeLangGraph):
    """A fake server that can be killed, and started again on the same port; that can stand behind a gateway; that has a limiter."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seen: list[int] = []
        #: The gateway's response to every request, while the server is away.
        self.instead_of_all: Optional[Reply] = None
        #: Requests per second that the gateway lets pass.
        self.rate: Optional[float] = None
        self.refused = 0
        self._last_accepted = 0.0
        super().__init__(self.double)

    def double(self, run: FakeRun) -> Any:
        n = run.input["n"]
        with self.lock:
            self.seen.append(n)
        run.cancelled.wait(run.input.get("seconds", 0.0))
        return {"doubled": 2 * n}

    def choose(self, method: str, path: str) -> ReplySource:
        if self.instead_of_all is not None:
            return self.instead_of_all
        with self.lock:
            now = time.monotonic()
            if self.rate is not None and now - self._last_accepted < 1.0 / self.rate:
                self.refused += 1
                return reply(503, "<html>too many requests</html>", {"content-type": "text/html"})
            self._last_accepted = now
        return self._poisoned if path.endswith("/wait") else super().choose(method, path)

    def _poisoned(self, request: Request) -> Reply:
        reply_to: Any = super().choose(request.method, request.path)
        return drop_before_answer() if "poison" in str(request.body) else reply_to(request)

    def kill(self) -> None:
        """Accept nothing, and reset every connection. The port stays reserved."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in list(self._threads):
            if thread.name.endswith("-accept"):
                thread.join(TIMEOUT)
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", self.port))
        with self._changed:
            for sock in self._open.values():
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    sock.shutdown(socket.SHUT_RDWR)

    def restart(self, *, empty: bool = False) -> None:
        """Accept requests again; *empty* says that all threads and runs are lost."""
        if empty:
            # in one step: a run that ends meanwhile would write to a thread that is gone
            with self._changed:
                for run in self.runs.values():
                    run.cancelled.set()
                self.threads.clear()
                self.runs.clear()
                self._changed.notify_all()
        self._listener = self._reserved
        self._listener.listen(256)
        self._start(self._accept, "accept")

    def wait_for_runs(self, count: int) -> None:
        wait_until(lambda: len(self.seen) >= count, f"{count} runs", TIMEOUT)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def inputs(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"n": n, **fields} for n in range(count)]


class Away(threading.Thread):
    """Calls *begin* when the server has started some runs, and *end* when the map says that it waits."""

    def __init__(self, server: Server, runs: int, begin: Callable[[], None], end: Callable[[], None]) -> None:
        super().__init__()
        self._server, self._runs, self._begin, self._end = server, runs, begin, end
        self._waits = threading.Event()
        self.shown: list[MapProgress] = []

    def progress(self, progress: MapProgress) -> None:
        self.shown.append(progress)
        if progress.waiting_for is not None:
            self._waits.set()

    def run(self) -> None:
        self._server.wait_for_runs(self._runs)
        self._begin()
        assert self._waits.wait(TIMEOUT), "the map did not wait for the server"
        self._end()


def check_all(results: list[BatchResult], count: int) -> None:
    assert list(range(count)) == sorted(result.index for result in results)
    assert [None] * count == [result.error for result in results]
    assert all({"doubled": 2 * result.index} == result.values for result in results)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(("ledger", "attempts"), [(False, 1), (True, 4)], ids=["without a ledger", "with a ledger"])
def test_no_input_is_used_up_while_the_server_is_away(
    server: Server, connect: Connect, tmp_path: Path, caplog: pytest.LogCaptureFixture, ledger: bool, attempts: int
) -> None:
    away = Away(server, 10, server.kill, server.restart)
    away.start()
    client = connect(server.url, retry=RetryPolicy(attempts=attempts, wait_initial=0.01, wait_max=0.05))
    path = tmp_path / "jobs.sqlite" if ledger else None
    results = list(client.runs.map("agent", inputs(40, seconds=0.01), ledger=path, progress=away.progress))
    away.join()
    check_all(results, 40)
    assert list(range(40)) == sorted(server.seen), "each input was run once"
    assert {} == server.threads
    began, ended = messages(caplog)
    assert "has not responded since" in began and "connect" in began.lower() and "next try at" in began
    assert "responds again after" in ended
    assert away.shown[-1].waiting_for is None


def test_runs_that_the_server_has_lost_are_run_again(server: Server, connect: Connect, tmp_path: Path) -> None:
    away = Away(server, 10, server.kill, lambda: server.restart(empty=True))
    away.start()
    client = connect(server.url, retry=QUICK)
    given = inputs(30, seconds=0.05)
    results = list(client.runs.map("agent", given, ledger=tmp_path / "jobs.sqlite", progress=away.progress))
    away.join()
    check_all(results, 30)
    assert set(range(30)) == set(server.seen)
    assert {} == server.threads


PAGE = {"content-type": "text/html"}


@pytest.mark.parametrize(
    "response",
    [
        reply(502, "<html>bad gateway</html>", PAGE),
        reply(503, "<html>no server</html>", PAGE),
        reply(404, "<html>nothing here</html>", PAGE),
        reply_json(404, {"detail": "Not Found"}),
        reply(200, "<html>maintenance</html>", PAGE),
        reply_json(500, {"detail": "the database is down"}),
        reply_json(429, {"detail": "not now"}),
    ],
    ids=["502", "503", "404 with a page", "404 in JSON", "200 with a page", "500 of the server", "429"],
)
def test_no_input_is_used_up_while_a_gateway_says_that_the_server_is_away(
    server: Server, connect: Connect, response: Reply, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("langgraph_runs.batch.outage._REFUSALS_SHOWN_AFTER", 0.1)

    def begin() -> None:
        server.instead_of_all = response

    def end() -> None:
        server.instead_of_all = None

    away = Away(server, 10, begin, end)
    away.start()
    client = connect(server.url, retry=QUICK)
    results = list(client.runs.map("agent", inputs(30, seconds=0.01), concurrency=4, progress=away.progress))
    away.join()
    check_all(results, 30)
    assert list(range(30)) == sorted(server.seen), "each input was run once"
    assert {} == server.threads


def test_a_map_ends_when_the_outage_lasts_too_long_and_the_same_call_goes_on(
    server: Server, connect: Connect, tmp_path: Path
) -> None:
    killer = threading.Thread(target=lambda: (server.wait_for_runs(10), server.kill()))
    killer.start()
    client, ledger = connect(server.url, retry=QUICK), Ledger(tmp_path / "jobs.sqlite")
    given = inputs(30, seconds=0.01)
    results = []
    with pytest.raises(OutageError) as caught:
        for result in client.runs.map("agent", given, ledger=ledger, max_outage=0.3):
            results.append(result)  # those before the error
    killer.join()
    error = caught.value
    assert (len(results), 0, 30) == (error.done, error.failed, error.total)
    assert error.seconds >= 0.3 and isinstance(error.__cause__, APIConnectionError)
    assert f"{len(results)} of 30 inputs are done" in str(error) and "the same call with the same ledger goes on" in str(error)
    assert all(result.succeeded for result in results)
    assert 0 == ledger.counts()["failed"]
    server.restart()
    check_all(list(client.runs.map("agent", given, ledger=ledger)), 30)
    assert list(range(30)) == sorted(server.seen), "each input was run once"
    assert {} == server.threads


def test_a_map_without_a_ledger_says_that_the_same_call_begins_again(server: Server, connect: Connect) -> None:
    server.kill()
    with pytest.raises(OutageError, match="with ledger= it would go on"):
        list(connect(server.url, retry=QUICK).runs.map("agent", inputs(3), max_outage=0.1))
    server.restart()


def test_an_input_that_breaks_the_connection_each_time_fails_alone(server: Server, connect: Connect) -> None:
    """The server responds to the probe, so the failure is the input's."""
    client = connect(server.url, retry=RetryPolicy(attempts=1))
    given = [*inputs(5), {"n": 5, "text": "poison"}, *inputs(10)[6:]]
    results = {result.index: result for result in client.runs.map("agent", given, concurrency=2)}
    poisoned = results.pop(5)
    assert isinstance(poisoned.error, APIConnectionError)
    assert 1 == poisoned.attempts
    assert all(result.succeeded for result in results.values())


def test_an_executor_of_the_user_waits_too(server: Server, connect: Connect) -> None:
    away = Away(server, 10, server.kill, server.restart)
    away.start()
    client = connect(server.url, retry=QUICK)
    with ThreadPoolExecutor(4) as pool:
        results = list(client.runs.map("agent", inputs(30, seconds=0.01), concurrency=4, executor=pool, progress=away.progress))
    away.join()
    check_all(results, 30)
    assert list(range(30)) == sorted(server.seen)


def test_a_task_that_begins_after_the_client_was_closed_ends_the_map_as_the_close_does(
    server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, run = connect(server.url), TaskRunner.run

    def run_late(*args: Any, **options: Any) -> Any:
        client.close()
        return run(*args, **options)

    monkeypatch.setattr(TaskRunner, "run", run_late)
    with pytest.raises(AbortedError, match="the client was closed"):
        list(client.runs.map("agent", inputs(3)))


@pytest.mark.parametrize("ends", ["signal", "close", "client"])
def test_a_map_that_waits_for_the_server_can_be_ended_at_once(server: Server, connect: Connect, tmp_path: Path, ends: str) -> None:
    client, ledger = connect(server.url, retry=RetryPolicy(wait_initial=20.0, wait_max=20.0, jitter="none")), Ledger(tmp_path / "l")
    server.kill()
    results = client.runs.map("agent", inputs(30), ledger=ledger)
    ended: list[float] = []

    def end() -> None:
        wait_until(lambda: results.progress.waiting_for, "the outage", TIMEOUT)
        ended.append(time.monotonic())
        (client if ends == "client" else results).close()

    ender = threading.Thread(target=end)
    ender.start()
    if ends == "client":
        with pytest.raises(AbortedError, match="the client was closed"):
            list(results)
    else:
        assert [] == list(results)
    assert time.monotonic() - ended[0] < 5.0, "much sooner than the next try"
    ender.join()
    assert 0 == ledger.counts()["failed"]
    server.restart()


@pytest.mark.parametrize("where", ["another thread", "a signal handler"])
def test_a_map_can_be_closed_soon_although_the_server_hangs(
    server: Server, connect: Connect, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("langgraph_runs.batch.shutdown._SILENCE", 0.3)
    results = connect(server.url).runs.map("agent", inputs(30, seconds=TIMEOUT), concurrency=4)
    closed: list[float] = []

    def close(*_: Any) -> None:
        closed.append(time.monotonic())
        results.close()

    def begin() -> None:
        server.wait_for_runs(4)
        server.instead_of_all = stall()
        if where == "another thread":
            close()
        else:
            os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, close)
    beginner = threading.Thread(target=begin)
    try:
        beginner.start()
        assert [] == list(results)
        beginner.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert time.monotonic() - closed[0] < 8.0, "sooner than a cleanup may take"
    for run in list(server.runs.values()):
        run.cancelled.set()


DAEMON = """
import sys, threading
from langgraph_runs import Client
results = Client(sys.argv[1], api_key=None).runs.map("agent", ({"n": n, "seconds": 60} for n in range(9)), concurrency=2)
threading.Thread(target=list, args=(results,), daemon=True).start()
sys.stdin.read()
"""


def test_a_map_in_a_daemon_thread_does_not_hold_up_the_end_of_its_process(server: Server) -> None:
    with subprocess.Popen([sys.executable, "-c", DAEMON, server.url], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        server.wait_for_runs(2)
        began = time.monotonic()
        process.stdin.close()
        assert 0 == process.wait(TIMEOUT)
        assert time.monotonic() - began < 10.0
    assert {} == server.threads
    for run in list(server.runs.values()):
        run.cancelled.set()


def test_to_close_the_client_during_a_map_ends_it_and_uses_up_no_input(server: Server, connect: Connect, tmp_path: Path) -> None:
    client, ledger = connect(server.url), Ledger(tmp_path / "jobs.sqlite")
    closer = threading.Thread(target=lambda: (server.wait_for_runs(4), client.close()))
    closer.start()
    with pytest.raises(AbortedError, match="the client was closed"):
        list(client.runs.map("agent", inputs(30, seconds=5.0), concurrency=4, ledger=ledger))
    closer.join()
    assert {"pending": 0, "started": 4, "done": 0, "failed": 0} == ledger.counts()
    for run in list(server.runs.values()):
        run.cancelled.set()


def test_all_inputs_succeed_behind_a_rate_limit(server: Server, connect: Connect) -> None:
    """As nginx has it by default: a 503 without Retry-After, no burst. Creates, requests for runs and deletions are refused."""
    server.rate = 30.0  # on a busy machine requests are late by some hundredths of a second, and too close to the next ones
    client = connect(server.url, retry=RetryPolicy(wait_initial=0.1, wait_max=1.0))
    count = 12
    results = list(client.runs.map("agent", inputs(count)))
    check_all(results, count)
    assert list(range(count)) == sorted(server.seen), "each input was run once"
    assert {} == server.threads
    assert len(server.requests) <= 1.5 * 4 * count, "of each input: start, status, state, deletion"
    assert server.refused > 0


def test_to_stop_early_behind_a_rate_limit_leaves_no_thread(server: Server, connect: Connect) -> None:
    server.rate = 50.0
    client = connect(server.url, retry=RetryPolicy(wait_initial=0.1, wait_max=1.0))
    endless = ({"n": n, "seconds": 0.0 if n == 3 else TIMEOUT} for n in itertools.count())
    for _ in client.runs.map("agent", endless, concurrency=8):
        break
    assert server.refused > 0
    assert {} == server.threads, "a thread is deleted only if its run has ended"


def test_the_command_line_says_that_it_waits_and_ends_with_5(server: Server, tmp_path: Path) -> None:
    commands, lines = Commands(server.url), tmp_path / "in.jsonl"
    lines.write_text("".join(f'{{"n": {n}, "seconds": 0.05}}\n' for n in range(30)))
    command = ("batch", "agent", str(lines), "--ledger", str(tmp_path / "l"), "-o", str(tmp_path / "out"))
    killer = threading.Thread(target=lambda: (server.wait_for_runs(10), server.kill()))
    killer.start()
    ended = commands(*command, "--max-outage", "2s")
    killer.join()
    assert 5 == ended.code, ended.err
    assert 1 == ended.err.count("has not responded since"), ended.err
    assert "the same command continues the work" in ended.err and "retry-failed" not in ended.err
    server.restart()
    ended = commands(*command, "--max-outage", "none")
    assert 0 == ended.code, ended.err
    assert 30 == len((tmp_path / "out").read_text().splitlines())
    assert list(range(30)) == sorted(server.seen)

"""Maps whose server goes away, or lets only some requests per second pass: does every input succeed, and what is left behind?

    python -m tests.bench.outages                                   # two tables, about eight minutes
    python -m tests.bench.outages --server aegra --away 5 --rated   # on another server; no table of rate limits

First table: ``client.runs.map`` over numbered inputs. After a third of the results the server is killed with SIGKILL, and started
again on the same port after so many seconds, or never. The Python server is empty then: it has lost its runs. Second table: nginx
in front of the server refuses what exceeds the rate, with a 503. The number of requests is compared to that of a map without a
limit. Exits 1 if an input fails, if a thread is left, or if there are more than 1.5 times as many requests.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

from langgraph_runs import Client, Ledger, OutageError
from langgraph_runs.devserver import DevServer

from ..servers import aegra, javascript, nginx
from ..servers.processes import answers

GRAPHS = Path(__file__).resolve().parent.parent / "servers" / "graphs.py"
#: Seconds that a server may take until it accepts requests again.
START_LIMIT = 120.0
#: Requests per accepted request of an unlimited map, at most.
MOST_REQUESTS = 1.5


# -- servers that can be killed


@dataclass
class Server:
    """A server that runs, and how to kill it and start it again."""

    url: str
    kill: Callable[[], None]
    start: Callable[[], object]


@contextlib.contextmanager
def python_server() -> Iterator[Server]:
    with DevServer({"work": f"{GRAPHS}:work"}, workers=60) as server:
        yield Server(server.url, server.kill, server.restart)


@contextlib.contextmanager
def other_server(module: Any) -> Iterator[Server]:
    """A server in a process group of its own, which is killed and started again with the same command."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="langgraph-runs-")))
        url = stack.enter_context(module.serve(directory))
        group = group_that_listens(int(url.rpartition(":")[2]))
        process = Path("/proc", str(group))
        command = process.joinpath("cmdline").read_bytes().split(b"\0")[:-1]
        pairs = process.joinpath("environ").read_bytes().split(b"\0")[:-1]
        environment = dict(pair.split(b"=", 1) for pair in pairs)
        where = os.readlink(process / "cwd")
        started: list[subprocess.Popen[bytes]] = []

        def kill() -> None:
            os.killpg(started[-1].pid if started else group, signal.SIGKILL)
            if started:
                started[-1].wait()

        def start() -> None:
            log = stack.enter_context(open(directory / "again.log", "ab"))
            options: dict[str, Any] = {"stdout": log, "stderr": log, "stdin": subprocess.DEVNULL, "start_new_session": True}
            started.append(subprocess.Popen(command, cwd=where, env=environment, **options))
            end = time.monotonic() + START_LIMIT
            while not (answers(f"{url}/ok") or answers(f"{url}/info")):
                assert time.monotonic() < end, "the server did not start again"
                time.sleep(0.1)

        try:
            yield Server(url, kill, start)
        finally:
            if started:
                kill()


def group_that_listens(port: int) -> int:
    """Return the process group of the process that listens on the port."""
    wanted = f":{port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {f"socket:[{line[9]}]" for line in lines if line[1].endswith(wanted) and line[3] == "0A"}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for file in process.joinpath("fd").iterdir():
                if os.readlink(file) in inodes:
                    return os.getpgid(int(process.name))
    raise AssertionError(f"no process listens on port {port}")


SERVERS: dict[str, Callable[[], contextlib.AbstractContextManager[Server]]] = {
    "python": python_server,
    "javascript": lambda: other_server(javascript),
    "aegra": lambda: other_server(aegra),
}


# -- one map


class Counter(logging.Handler):
    """Counts the requests of a client, and the lines at WARNING that a map logs."""

    def __init__(self) -> None:
        super().__init__()
        self.requests = self.refused = 0
        self.warnings: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.warnings.append(record.getMessage())
        elif isinstance(record.msg, str) and record.msg.endswith("attempt %d: status %d"):
            self.requests += 1
            self.refused += isinstance(record.args, tuple) and record.args[-1] in (429, 503)


@contextlib.contextmanager
def counted() -> Iterator[Counter]:
    log, counter = logging.getLogger("langgraph_runs"), Counter()
    log.addHandler(counter)
    log.setLevel(logging.DEBUG)
    log.propagate = False
    try:
        yield counter
    finally:
        log.removeHandler(counter)


@dataclass
class Found:
    inputs: int
    succeeded: int = 0
    errors: list[str] = field(default_factory=list)
    threads: int = 0
    seconds: float = 0.0
    ended: str = ""


def run_map(url: str, count: int, *, seconds: float, found: Found, on_result: Callable[[int], None], **options: Any) -> None:
    inputs = ((f"n-{n}", {"k": n, "seconds": seconds}) for n in range(count))
    began = time.monotonic()
    with Client(url, api_key=None) as client:
        try:
            for number, result in enumerate(client.runs.map("work", inputs, **options), 1):
                if result.succeeded and result.values["out"] == ["done", int(str(result.key)[2:])]:
                    found.succeeded += 1
                else:
                    found.errors.append(repr(result.error))
                on_result(number)
        except OutageError as error:
            found.ended = str(error)
    found.seconds = time.monotonic() - began


def threads_on(url: str) -> int:
    with Client(url, api_key=None) as client:
        return len(client.threads.search(limit=1000))


# -- outages


def outage(name: str, away: Optional[float], inputs: int, max_outage: float) -> tuple[Found, Counter, dict[str, int]]:
    """Run a map, and kill its server after a third of the results. *away*: seconds until it is started again, or None."""
    found = Found(inputs)
    with tempfile.TemporaryDirectory() as folder, SERVERS[name]() as server, counted() as counter:
        ledger = Ledger(Path(folder) / "jobs.sqlite")
        threads: list[threading.Thread] = []

        def interrupt() -> None:
            server.kill()
            if away is not None:
                time.sleep(away)
                server.start()

        def on_result(number: int) -> None:
            if number == inputs // 3:
                threads.append(threading.Thread(target=interrupt))
                threads[0].start()

        limit = {} if away is not None else {"max_outage": max_outage}
        run_map(server.url, inputs, seconds=0.2, found=found, on_result=on_result, ledger=ledger, **limit)
        for thread in threads:
            thread.join()
        if away is None:
            # The same call, when the server is back.
            server.start()
            run_map(server.url, inputs, seconds=0.2, found=(again := Found(inputs)), on_result=lambda _: None, ledger=ledger)
            found.errors += again.errors
            found.succeeded = again.succeeded
        found.threads = threads_on(server.url)
        return found, counter, ledger.counts()


def show_outages(options: argparse.Namespace) -> bool:
    good = True
    print(f"{options.inputs} inputs of 0.2 s; the {options.server} server is killed after a third of them\n")
    print(f"{'back after':12}{'succeeded':>10}{'failed':>8}{'threads left':>14}{'seconds':>9}   said")
    for text in options.away:
        away = None if text == "never" else float(text)
        found, counter, counts = outage(options.server, away, options.inputs, options.max_outage)
        shown = f"{text} s" if away is not None else "never"
        print(f"{shown:12}{found.succeeded:>10}{len(found.errors):>8}{found.threads:>14}{found.seconds:>9.1f}", end="")
        print("".join(f"   {line}\n{'':53}" for line in counter.warnings).rstrip(" ") or "\n", end="", flush=True)
        if away is None:
            print(f"{'':12}the map ended: {found.ended}\n{'':12}the numbers are those of the same call, when the server was back")
        for error in found.errors[:5]:
            print(f"{'':12}{error}")
        left = found.threads if options.server != "python" or away is None else 0
        good = good and found.succeeded == options.inputs == counts["done"] and not (found.errors or left)
        good = good and (away is not None or bool(found.ended))
    return good


# -- rate limits


def rated(url: str, count: int, rate: Optional[int]) -> tuple[Found, Counter]:
    found = Found(count)
    with nginx.gateway(url, rate=rate) as gateway, counted() as counter:
        run_map(gateway, count, seconds=0.0, found=found, on_result=lambda _: None)
    found.threads = threads_on(url)
    return found, counter


def show_rates(options: argparse.Namespace) -> bool:
    good = True
    print(f"\nnginx lets {options.rate} requests per second pass, and refuses the others with 503\n")
    titles = ("inputs", "succeeded", "threads left", "requests", "refused", "without a limit", "ratio", "seconds")
    print("".join(f"{title:>{len(title) + 3}}" for title in titles))
    with SERVERS[options.server]() as server:
        for count in options.rated:
            _, unlimited = rated(server.url, count, None)
            found, counter = rated(server.url, count, options.rate)
            ratio = counter.requests / unlimited.requests
            values = (count, found.succeeded, found.threads, counter.requests, counter.refused, unlimited.requests)
            cells = [*map(str, values), f"{ratio:.2f}", f"{found.seconds:.0f}"]
            print("".join(f"{cell:>{len(title) + 3}}" for title, cell in zip(titles, cells)), flush=True)
            good = good and found.succeeded == count and found.threads == 0 and ratio <= MOST_REQUESTS
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=sorted(SERVERS), default="python")
    parser.add_argument("--inputs", type=int, default=500)
    parser.add_argument("--away", nargs="*", default=["5", "60", "never"], help="seconds until the server is back, or never")
    parser.add_argument("--max-outage", type=float, default=20.0, help="of the map whose server never comes back, in seconds")
    parser.add_argument("--rate", type=int, default=8, help="requests per second")
    parser.add_argument("--rated", type=int, nargs="*", default=[30, 300], help="numbers of inputs behind the rate limit")
    options = parser.parse_args()
    good = show_outages(options) if options.away else True
    good = (show_rates(options) if options.rated else True) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

"""Maps that are killed with SIGKILL and restarted: is every input run exactly once, and does it have its result in the end?

    python -m tests.bench.killing --inputs 2000 --kills 10      # a table, some minutes; exits 1 if anything is doubled or lost

A process runs ``client.runs.map`` with a ledger over numbered inputs, through a proxy that breaks connections, on a real server. It
is killed at random moments and started again with the same ledger, until it ends by itself. Then all runs on the server are counted.
The same is done with two processes on one ledger at the same time. Needs the extra ``server``.

    python -m tests.bench.killing --ledger postgresql           # four "machines" on one ledger in PostgreSQL

Each process has a directory and, where the system allows it, a host name of its own. Besides the processes, their connections to
PostgreSQL are ended every few seconds, and PostgreSQL itself is killed twice and restarted once while they work.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import functools
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from langgraph_runs import Client, Ledger, LedgerError, RetryPolicy, RunsCreatePayload
from langgraph_runs.devserver import DevServer
from langgraph_runs.testing.cutting_proxy import CuttingProxy, seeded

from ..servers.postgresql import cluster

ROOT = Path(__file__).resolve().parent.parent.parent
GRAPHS = {"echo": f"{ROOT / 'tests' / 'server' / 'graphs.py'}:echo"}
#: Seconds that the last process may take.
TIMEOUT = 280.0


# -- the process that is killed


def work(url: str, ledger: str, inputs: int, concurrency: int, series: str, keep: bool) -> None:
    """Run the map to its end. Print for each result its index, its value, and whether it is from the ledger."""
    retry = RetryPolicy(attempts=10, wait_initial=0.05, wait_max=0.5, budget=None)
    items = ((f"n-{n}", RunsCreatePayload(input={"value": n}, metadata={"series": series, "n": n})) for n in range(inputs))
    with Client(url, api_key=None, retry=retry) as client:
        patiently(lambda: len(Ledger(ledger).counts()) if "://" in ledger and Ledger(ledger).exists else 0)
        for result in client.runs.map("echo", items, concurrency=concurrency, ledger=ledger, keep_threads=keep):
            echo = result.values["echo"] if result.error is None else str(result.error)
            print(json.dumps([result.index, echo, result.from_ledger]), flush=True)


def start(url: str, ledger: str, inputs: int, concurrency: int, series: str, keep: bool, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.bench.killing", "--work", url, ledger, str(inputs), str(concurrency), series]
    command += ["keep"] * keep
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    machine = out.with_name(out.name.partition(".")[0].rpartition("-")[0])  # "process-1" of "process-1-0.jsonl"
    machine.mkdir(exist_ok=True)
    if can_name_hosts():
        command = ["unshare", "--uts", "sh", "-c", f'hostname {machine.name} && exec "$@"', "sh", *command]
    with out.open("wb") as file:
        return subprocess.Popen(command, cwd=machine, env=environment, stdout=file)


@functools.cache
def can_name_hosts() -> bool:
    """True if a process can have a host name of its own."""
    with contextlib.suppress(OSError):
        return subprocess.run(["unshare", "--uts", "hostname", "another"], capture_output=True, check=False).returncode == 0
    return False


def kill_and_restart(
    url: str,
    folder: Path,
    name: str,
    *,
    inputs: int,
    kills: int,
    concurrency: int,
    series: str,
    keep: bool,
    seed: int,
    ledger: str,
    latest: float,
) -> tuple[list[list[Any]], int]:
    """Return what the last process printed, and how many processes were killed before it."""
    rng = random.Random(seed)
    killed: list[int] = []
    for number in range(kills + 1):
        out = folder / f"{name}-{number}.jsonl"
        process = start(url, ledger, inputs, concurrency, series, keep, out)
        try:
            if number < kills:
                try:
                    process.wait(rng.uniform(0.4, latest))
                except subprocess.TimeoutExpired:
                    killed.append(number)
            else:
                assert process.wait(TIMEOUT) == 0, f"{name} ended with {process.returncode}"
        finally:
            process.kill()
            process.wait()
    return [json.loads(line) for line in out.read_text().splitlines()], len(killed)


# -- the ledger


@dataclass
class Disturbed:
    """What was done to PostgreSQL."""

    ended: int = 0
    restarts: int = 0


@contextlib.contextmanager
def sqlite_ledger(folder: Path) -> Iterator[tuple[str, Disturbed]]:
    yield str(folder / "jobs.sqlite"), Disturbed()


@contextlib.contextmanager
def postgresql_ledger(seed: int) -> Iterator[tuple[str, Disturbed]]:
    """A ledger in a cluster that is disturbed all the time: its connections are ended, and it is killed and restarted."""
    import psycopg

    done = Disturbed()
    rng = random.Random(seed)
    finished = threading.Event()
    with cluster(fsync="on") as server:

        def disturb() -> None:
            for number in itertools.count(1):
                if finished.wait(rng.uniform(1.0, 3.0)):
                    return
                if number in (4, 10, 16):
                    server.stop(signal.SIGINT if number == 10 else signal.SIGQUIT)
                    finished.wait((0.0, 2.0, 6.0)[done.restarts])
                    server.start()
                    done.restarts += 1
                    continue
                with psycopg.connect(server.url) as connection:
                    rows = connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'langgraph_runs %%'"
                        " AND random() < %s",
                        [rng.choice((0.3, 1.0))],
                    ).fetchall()
                done.ended += len(rows)

        thread = threading.Thread(target=disturb)
        thread.start()

        def settle() -> None:
            finished.set()
            thread.join()

        with contextlib.ExitStack() as stack:
            stack.callback(settle)
            yield f"{server.url}?ledger=killed", done


# -- counting


@dataclass
class Found:
    """The counts of the ledger, of the last process and of the server."""

    inputs: int
    results: int = 0
    wrong: int = 0
    done: int = 0
    runs: int = 0
    doubled: int = 0
    lost: int = 0
    threads: int = 0
    breaks: int = 0
    kills: int = 0
    #: Connections to PostgreSQL that were ended, and its restarts.
    ended: int = 0
    restarts: int = 0
    seconds: float = 0.0
    #: True if threads are kept, so that runs can be counted; else no thread may be left.
    keep: bool = True
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        left = self.inputs if self.keep else 0
        exact = self.results == self.done == self.inputs and self.runs == self.threads == left
        return exact and not (self.wrong or self.doubled or self.lost or self.problems)


def count_on_server(url: str, series: str, found: Found) -> None:
    """Count the runs of the series on all threads of the server with its metadata."""
    per_input: collections.Counter[int] = collections.Counter()
    with Client(url, api_key=None) as client:
        threads: list[Any] = []
        while True:
            page = client.threads.search(limit=1000, offset=len(threads), metadata={"series": series}, sort_by="created_at")
            threads += page
            if len(page) < 1000:
                break
        found.threads = len({thread.thread_id for thread in threads})
        for thread in threads:
            for run in client.runs.iter(thread.thread_id):
                found.runs += 1
                if run.status == "success":
                    per_input[run.metadata["n"]] += 1
                else:
                    found.problems.append(f"input {run.metadata['n']}: a run with status {run.status}")
    found.doubled = sum(count > 1 for count in per_input.values())
    found.lost = sum(per_input[n] == 0 for n in range(found.inputs)) if found.keep else 0


def experiment(
    *,
    inputs: int,
    kills: int,
    processes: int,
    concurrency: int,
    seed: int,
    workers: int,
    latest: float,
    keep: bool = True,
    kind: str = "sqlite",
) -> Found:
    found = Found(inputs, keep=keep)
    series = f"killed-{seed}-{processes}-{keep}"
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name, DevServer(GRAPHS, workers=workers) as server, contextlib.ExitStack() as stack:
        folder = Path(name)
        opened = sqlite_ledger(folder) if kind == "sqlite" else postgresql_ledger(seed)
        ledger, disturbed = stack.enter_context(opened)
        with CuttingProxy(server.url, seeded(seed, 0.1, longest=1000)) as proxy:
            printed: list[tuple[list[list[Any]], int]] = [([], 0) for _ in range(processes)]

            def one(place: int) -> None:
                printed[place] = kill_and_restart(
                    proxy.url,
                    folder,
                    f"process-{place}",
                    inputs=inputs,
                    kills=kills,
                    concurrency=concurrency,
                    series=series,
                    keep=keep,
                    seed=seed + place,
                    ledger=ledger,
                    latest=latest,
                )

            threads = [threading.Thread(target=one, args=(place,)) for place in range(processes)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            found.breaks = sum(turn.fired for turn in proxy.turns)
        found.ended, found.restarts = disturbed.ended, disturbed.restarts
        for lines, killed in printed:
            found.kills += killed
            indexes = [index for index, _, _ in lines]
            if sorted(indexes) != list(range(inputs)):
                found.problems.append(f"a process printed {len(lines)} results for {len(set(indexes))} inputs")
            found.wrong += sum(index != echo for index, echo, _ in lines)
        found.results = min(len({index for index, _, _ in lines}) for lines, _ in printed)
        found.done = patiently(lambda: Ledger(ledger).counts()["done"])
        found.problems += [f"left behind: {path.name}" for path in folder.iterdir() if "-owner-" in path.name]
        count_on_server(server.url, series, found)
    found.seconds = time.monotonic() - started
    return found


def patiently(read: Callable[[], int]) -> int:
    """Read from a ledger whose database may be restarting."""
    while True:
        try:
            return read()
        except LedgerError:
            time.sleep(0.5)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--concurrency", type=int, default=24)
    parser.add_argument("--workers", type=int, default=60, help="runs at once on the server")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--delete", action="store_true", help="let the maps delete their threads; then none may be left")
    parser.add_argument("--ledger", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--processes", type=int, help="default: one, then two; with PostgreSQL four")
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        url, ledger, inputs, concurrency, series, *keep = options.work
        work(url, ledger, int(inputs), int(concurrency), series, bool(keep))
        return 0
    columns: list[Found] = []
    titles: list[str] = []
    numbers = [1, 2] if options.ledger == "sqlite" else [4]
    for processes in [options.processes] if options.processes else numbers:
        columns.append(
            experiment(
                inputs=options.inputs,
                kills=options.kills,
                processes=processes,
                concurrency=options.concurrency,
                seed=options.seed,
                workers=options.workers,
                latest=max(4.0, options.inputs / 250),
                keep=not options.delete,
                kind=options.ledger,
            )
        )
        titles.append(f"{processes} process" + "es" * (processes > 1))
        print(f"{titles[-1]}: {columns[-1].seconds:.0f} s", file=sys.stderr)
    names = ["kills", "ended", "restarts", "breaks", "inputs", "results", "wrong", "done", "threads", "runs", "doubled", "lost"]
    print(f"{'':10}" + "".join(f"{title:>16}" for title in titles))
    for name in names:
        print(f"{name:10}" + "".join(f"{getattr(column, name):>16}" for column in columns))
    for column in columns:
        for problem in column.problems[:20]:
            print(problem)
    return 0 if all(column.good for column in columns) else 1


if __name__ == "__main__":
    sys.exit(main())

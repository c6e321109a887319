"""One run for each key, from many processes that are killed, through a proxy that breaks connections.

    python -m tests.bench.idempotency --server python        # or javascript, or aegra
    python -m tests.bench.idempotency --server aegra --url http://127.0.0.1:9922 --keys 20

Each key is called by several processes at about the same time, with ``create`` or ``wait``; a call that fails is made again, as a
task queue does. Processes are killed with SIGKILL at random moments and started again, and repeat the call that they were in. At the
end the server's own list of runs is read, without the proxy: each key must have one run, which every call has returned.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from langgraph_runs import Client, LangGraphRunsError, NotFoundError, RetryPolicy
from langgraph_runs.runs import thread_of_key
from langgraph_runs.testing.cutting_proxy import CuttingProxy, seeded

__all__ = ["Outcome", "prove"]

ROOT = Path(__file__).resolve().parent.parent.parent
#: Seconds of the work of each run.
WORK = 0.3
#: Seconds within which all calls must have ended.
LIMIT = 900.0


@dataclass
class Outcome:
    """What a proof has found."""

    keys: int
    calls: int = 0
    replayed: int = 0
    kills: int = 0
    faults: int = 0
    #: How many calls were made again after an error, by the class of the error.
    repeated: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    doubled: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        return self.runs == self.keys and not (self.doubled or self.lost or self.wrong)

    @property
    def text(self) -> str:
        again = ", ".join(f"{count} {name}" for name, count in self.repeated.most_common()) or "none"
        return (
            f"{self.keys} keys: {self.runs} runs, {len(self.doubled)} doubled, {len(self.lost)} lost, {len(self.wrong)} calls with "
            f"another run; {self.calls} calls returned ({self.replayed} replayed), {self.kills} kills, {self.faults} faults, calls "
            f"made again: {again}; {self.seconds:.0f} s"
        )


def prove(url: str, *, keys: int, processes: int, callers: int, kills: int, rate: float = 0.15, seed: Any = 0) -> Outcome:
    """Call *keys* keys, each from *callers* of *processes* processes, and return what the server has afterwards."""
    series, outcome = f"bench {uuid.uuid4()}", Outcome(keys)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory, CuttingProxy(url, seeded(seed, rate)) as proxy:
        workers = [
            Worker(proxy.url, Path(directory) / str(number), series, number, keys, processes, callers)
            for number in range(processes)
        ]
        rng = random.Random(seed)
        try:
            for worker in workers:
                worker.start()
            while any(worker.is_running for worker in workers):
                time.sleep(rng.uniform(0.05, 0.5))
                alive = [worker for worker in workers if worker.is_running]
                if alive and outcome.kills < kills:
                    rng.choice(alive).kill()
                    outcome.kills += 1
                for worker in workers:
                    if worker.has_died:
                        worker.start()
                if time.monotonic() > began + LIMIT:
                    raise TimeoutError(f"not done within {LIMIT:.0f} s")
        finally:
            for worker in workers:
                worker.end()
        outcome.faults = sum(turn.fired for turn in proxy.turns)
        returned = [line for worker in workers for line in worker.lines()]
    outcome.seconds = time.monotonic() - began
    _count(url, series, returned, outcome)
    return outcome


class Worker:
    """A process that calls its share of the keys, in order. What it has done is in a file, so that it goes on after a kill."""

    def __init__(self, url: str, file: Path, series: str, number: int, keys: int, processes: int, callers: int) -> None:
        self._file = file
        shares = [key for key in range(keys) if (number - key) % processes < callers]
        arguments = [url, str(file), series, str(number), ",".join(map(str, shares))]
        self._command = [sys.executable, "-m", "tests.bench.idempotency", "--worker", *arguments]
        self._process: Optional[subprocess.Popen[bytes]] = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, cwd=ROOT)

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() != 0

    @property
    def has_died(self) -> bool:
        return self._process is not None and self._process.poll() == -signal.SIGKILL

    def lines(self) -> list[list[str]]:
        """Key, run, True for a replay, of each call that has returned; or "error" and the class of each error."""
        return whole_lines(self._file)


def whole_lines(file: Path) -> list[list[str]]:
    """The lines that a kill has not cut."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return [line.split("\t") for line in text.splitlines() if line.endswith("\t.")]


def work(url: str, file: str, series: str, number: str, keys: str) -> None:
    """The program of a worker."""
    path = Path(file)
    done = {line[0] for line in whole_lines(path)}
    retry = RetryPolicy(wait_initial=0.05, wait_max=0.5, budget=None)
    with path.open("a", encoding="utf-8") as out, Client(url, api_key=None, retry=retry, read_timeout=20) as client:

        def write(*fields: str) -> None:
            out.write("\t".join((*fields, ".")) + "\n")
            out.flush()

        out.write("\n")  # ends a line that a kill has cut
        for key in keys.split(","):
            while key not in done:
                options: Any = {"input": {"k": key, "seconds": WORK}, "idempotency_key": f"{series} {key}", "timeout": 120}
                try:
                    if (int(key) + int(number)) % 2:
                        run = client.runs.create(None, "work", **options)
                    else:
                        run = client.runs.wait(None, "work", raise_error=False, **options).run
                except LangGraphRunsError as error:
                    write("error", type(error).__name__)
                else:
                    write(key, run.run_id, str(run.replayed))
                    done.add(key)


def _count(url: str, series: str, returned: list[list[str]], outcome: Outcome) -> None:
    results: dict[str, set[str]] = {}
    for first, second, *rest in returned:
        if first == "error":
            outcome.repeated[second] += 1
        else:
            outcome.calls += 1
            outcome.replayed += rest[0] == "True"
            results.setdefault(first, set()).add(second)
    with Client(url, api_key=None) as client:
        for key in map(str, range(outcome.keys)):
            thread_id = thread_of_key(f"{series} {key}")
            try:
                runs = list(client.runs.iter(thread_id))
            except NotFoundError:
                runs = []
            outcome.runs += len(runs)
            if len(runs) > 1:
                outcome.doubled.append(key)
            elif not runs:
                outcome.lost.append(key)
            elif {run.run_id for run in runs} != results.get(key) or _wrong(client, runs[0], key):
                outcome.wrong.append(key)
            with contextlib.suppress(NotFoundError):
                client.threads.delete(thread_id)


def _wrong(client: Client, run: Any, key: str) -> bool:
    """Return True if the run does not end with the result of its key."""
    return bool(client.runs.join(run.thread_id, run.run_id, timeout=60)["out"] != ["done", key])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.idempotency", description=__doc__)
    parser.add_argument("--server", choices=("python", "javascript", "aegra"), help="start this server")
    parser.add_argument("--url", help="use a server that runs already, with the graphs of tests/servers/graphs.py")
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--callers", type=int, default=3, help="how many of the processes call each key")
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(*arguments.worker)
        return
    if not (arguments.server or arguments.url):
        parser.error("give --server or --url")
    from ..servers import serve

    with contextlib.nullcontext(arguments.url) if arguments.url else serve.start(arguments.server) as url:
        outcome = prove(
            url,
            keys=arguments.keys,
            processes=arguments.processes,
            callers=arguments.callers,
            kills=arguments.kills,
            seed=arguments.seed,
        )
    print(f"{arguments.server or url}: {outcome.text}")
    if not outcome.holds:
        print(f"doubled {outcome.doubled} lost {outcome.lost} wrong {outcome.wrong}")
        sys.exit(1)


if __name__ == "__main__":
    main()

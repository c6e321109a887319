"""The cost of a map compared to a loop of ``wait``, and its memory for many inputs.

    python -m tests.bench.mapping                               # a table, about two minutes
    python -m tests.bench.mapping --memory 10000 1000000        # the second takes an hour: two requests for each input
    python -m tests.bench.mapping --postgresql --memory         # a ledger in PostgreSQL beside one in SQLite

The cheap server runs in another process, and each row is a new process. Overhead: CPU and wall time per input of one thread that calls
``wait`` on a new thread and deletes it (what a map does for each input), of a map with concurrency 1, of a map with a ledger, and of
reading the results back from the ledger; with PostgreSQL also of maps with sixteen inputs at once, which share the transactions.
Memory: peak resident size for each number of inputs. Exits 1 if memory grows.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langgraph_runs import Client

from ..servers.postgresql import cluster

ROOT = Path(__file__).resolve().parent.parent.parent
#: The environment variable with the URL of a database for ledgers.
URL_VARIABLE = "LANGGRAPH_RUNS_BENCH_POSTGRESQL"
#: Bytes by which the peak may be higher for the largest number of inputs: less than a tenth of a kilobyte for each of a million.
GROWTH = 64 << 20


def inputs(count: int) -> Iterator[dict[str, Any]]:
    return ({"n": n, "text": "some text that is to be worked on"} for n in range(count))


def bare(client: Client, count: int, folder: str) -> None:
    for one in inputs(count):
        thread_id = str(uuid.uuid4())
        client.runs.wait(thread_id, "agent", input=one, if_not_exists="create", multitask_strategy="reject")
        client.threads.delete(thread_id)


def mapped(client: Client, count: int, folder: str) -> None:
    for result in client.runs.map("agent", inputs(count), concurrency=1):
        assert result.succeeded


def ledgered(client: Client, count: int, folder: str) -> None:
    for result in client.runs.map("agent", inputs(count), concurrency=1, ledger=os.path.join(folder, "jobs.sqlite")):
        assert result.succeeded


def postgresql(client: Client, count: int, folder: str) -> None:
    for result in client.runs.map("agent", inputs(count), concurrency=1, ledger=in_postgresql(folder)):
        assert result.succeeded


def in_postgresql(folder: str) -> str:
    return f"{os.environ[URL_VARIABLE]}?ledger={Path(folder).name}-{len(os.listdir(folder))}"


def sixteen_postgresql(client: Client, count: int, folder: str) -> None:
    for result in client.runs.map("agent", inputs(count), keep_threads=True, ledger=in_postgresql(folder)):
        assert result.succeeded


def sixteen(client: Client, count: int, folder: str) -> None:
    for result in client.runs.map("agent", inputs(count), keep_threads=True):
        assert result.succeeded


def sixteen_ledgered(client: Client, count: int, folder: str) -> None:
    path = os.path.join(folder, "jobs.sqlite")
    for result in client.runs.map("agent", inputs(count), keep_threads=True, ledger=path):
        assert result.succeeded


SIDES = {side.__name__: side for side in (bare, mapped, ledgered, postgresql, sixteen, sixteen_ledgered, sixteen_postgresql)}


def work(side: str, url: str, count: int) -> None:
    # One request for each input if only memory is measured: the request for the state of the run costs the same in all.
    with Client(url, api_key=None, verify_outcome=not side.startswith("sixteen")) as client:
        with tempfile.TemporaryDirectory() as folder:
            if side.startswith("read_back"):
                side = {"read_back": "ledgered", "read_back_postgresql": "sixteen_postgresql"}[side]
                SIDES[side](client, count, folder)
            else:
                SIDES[side](client, min(count, 50), folder)
                for path in Path(folder).iterdir():
                    path.unlink()
                Path(folder, "warm").touch()  # another ledger in PostgreSQL
            started = time.monotonic(), time.process_time()
            SIDES[side](client, count, folder)
            times = {"wall": time.monotonic() - started[0], "cpu": time.process_time() - started[1]}
    print(json.dumps({**times, "peak_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


def run(side: str, url: str, count: int) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "tests.bench.mapping", "--work", side, url, str(count)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="inputs for the overhead; 0 skips it")
    parser.add_argument("--memory", type=int, nargs="*", default=[10_000, 50_000], help="numbers of inputs for the memory")
    parser.add_argument("--postgresql", action="store_true", help="measure a ledger in PostgreSQL as well, in a cluster of its own")
    parser.add_argument("--work", nargs=3, metavar=("SIDE", "URL", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work[0], options.work[1], int(options.work[2]))
        return 0
    command = [sys.executable, "-m", "tests.bench.cheap_server"]
    grown = 0
    sides = ["bare", "mapped", "ledgered", "read_back"]
    with contextlib.ExitStack() as stack:
        if options.postgresql:
            os.environ[URL_VARIABLE] = stack.enter_context(cluster(fsync="on", full_page_writes="on")).url
            sides += ["postgresql", "read_back_postgresql", "sixteen", "sixteen_ledgered", "sixteen_postgresql"]
        server = stack.enter_context(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert server.stdout is not None and server.stdin is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        if options.count:
            print(f"{'per input, ms':24}{'wall':>10}{'CPU':>10}")
            for side in sides:
                figures = run(side, url, options.count)
                wall, cpu = (figures[name] / options.count * 1e3 for name in ("wall", "cpu"))
                print(f"{side:24}{wall:>10.3f}{cpu:>10.3f}", flush=True)
        if options.memory:
            print(f"{'peak memory, kB':24}" + "".join(f"{count:>14,}" for count in options.memory))
            for side in ("sixteen", "sixteen_ledgered"):
                peaks = []
                print(f"{side:24}", end="", flush=True)
                for count in options.memory:
                    peaks.append(run(side, url, count)["peak_kb"])
                    print(f"{peaks[-1]:>14,}", end="", flush=True)
                print()
                grown = max(grown, (max(peaks) - peaks[0]) << 10)
        server.stdin.close()
    return 0 if grown < GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())

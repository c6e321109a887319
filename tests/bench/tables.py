"""The memory of a map from a Parquet file to a Parquet file, for a few rows and for many.

    python -m tests.bench.tables                       # 10,000 and 1,000,000 rows, half an hour; needs the extra ``tables``
    python -m tests.bench.tables --read-only           # reads the rows only, a minute

Each line is a new process, which reads a file with one row group that has a key and 500 bytes of text in each row, as `read_table`
does. ``map`` sends each row to the cheap server, which runs in another process, and writes its result with ``to_parquet``. The figures
are the peak resident size of the process and the peak of what pyarrow has allocated. Exits 1 if memory grows.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from typing import Any, List

from langgraph_runs import Client, read_table

from .mapping import GROWTH, ROOT


def write(path: str, rows: int) -> None:
    """Write a file of random text, which cannot be compressed."""
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([("id", pyarrow.int64()), ("text", pyarrow.string())])
    parts = []
    for first in range(0, rows, 10_000):
        ids = range(first, min(rows, first + 10_000))
        parts.append(pyarrow.record_batch([list(ids), [os.urandom(250).hex() for _ in ids]], schema=schema))
    pyarrow.parquet.write_table(pyarrow.Table.from_batches(parts), path, row_group_size=rows)


def work(side: str, url: str, path: str) -> None:
    """Do one measurement, and print its figures as JSON."""
    import pyarrow

    table = read_table(path, key="id", input=["text"])
    if side == "read":
        done = sum(1 for _ in table)
    else:
        # One request for each input: the further ones cost the same memory, and time.
        with Client(url, api_key=None, verify_outcome=False) as client:
            done = client.runs.map("agent", table, keep_threads=True).to_parquet(f"{path}.out").done
        os.unlink(f"{path}.out")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"done": done, "peak_kb": peak, "arrow_kb": pyarrow.default_memory_pool().max_memory() >> 10}))


def run(*arguments: str) -> Any:
    """Run this module as a process, and return what it prints as JSON."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "tests.bench.tables", "--work", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=int, nargs="*", help="numbers of rows")
    parser.add_argument("--read-only", action="store_true", help="start no runs")
    parser.add_argument("--work", nargs=3, metavar=("SIDE", "URL", "PATH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        side, url, path = options.work
        write(path, int(url)) if side == "write" else work(side, url, path)
        return 0
    sides = ["read"] if options.read_only else ["read", "map"]
    peaks: List[List[int]] = [[] for _ in sides]
    command = [sys.executable, "-m", "tests.bench.cheap_server"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
    ):
        assert server.stdout is not None and server.stdin is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        print(f"{'':8}{'rows':>12}{'file, kB':>12}{'peak, kB':>12}{'arrow, kB':>12}")
        for rows in options.rows or [10_000, 1_000_000]:
            path = os.path.join(folder, f"{rows}.parquet")
            run("write", str(rows), path)
            for side, found in zip(sides, peaks):
                figures = run(side, url, path)
                assert rows == figures["done"]
                found.append(figures["peak_kb"])
                sizes = (rows, os.path.getsize(path) >> 10, figures["peak_kb"], figures["arrow_kb"])
                print(f"{side:8}" + "".join(f"{size:>12,}" for size in sizes), flush=True)
        server.stdin.close()
    return 0 if all((max(found) - found[0]) << 10 < GROWTH for found in peaks) else 1


if __name__ == "__main__":
    sys.exit(main())

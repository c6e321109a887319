"""How much this client costs, against the official SDK's sync client and against a floor (raw socket and orjson).

    python -m tests.bench                    # the table, some minutes; --json FILE, --plot FILE.svg
    python -m tests.bench get small          # some measures alone
    python -m tests.bench --rounds 9
    python -m tests.bench --no-orjson        # this client with the standard json; the others as they are
    python -m tests.bench install            # size and number of distributions of two fresh installations, by pip

Each measure is a fresh process per side, the sides in turn, against a cheap server in a process of its own. What counts is CPU time of
the client process; the ratio is of the medians, with the smallest and largest ratio of one round beside it. Needs langgraph-sdk.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .picture import draw

#: Measure, what it counts, how many of them, and what the ratio should be at the most.
MEASURES: dict[str, tuple[str, int, float]] = {
    "get": ("runs.get, keep-alive", 2000, 0.80),
    "create_1k": ("runs.create, 1 kB input", 1500, 0.85),
    "create_1m": ("runs.create, 1 MB input", 30, 1.0),
    "create_1m_nulls": ("runs.create, 1 MB with 2,000 nulls", 30, 1.0),
    "small": ("small events (200 B), each", 60_000, 0.45),
    "tokens": ("token events (700 B), each", 30_000, 0.50),
    "large": ("large events (200 kB), each", 200, 1.0),
    "one_8m": ("one event of 8 MB", 5, 1.0),
    "runs_of_10": ("a whole run of 10 events", 400, 0.80),
    "paced": ("events at a pace of 20 ms, each", 150, 0.85),
    "waits_64": ("2,000 waits from 64 threads, each", 2000, 0.50),
    "get_1": ("get from 1 thread", 1000, 0.80),
    "get_4": ("get from 4 threads", 1000, 0.80),
    "get_16": ("get from 16 threads", 1000, 0.80),
    "get_64": ("get from 64 threads", 1000, 0.80),
}
DELAYS = {"delay_chunked": "delay of an event, chunked", "delay_close": "delay of an event, Connection: close"}
OTHERS = ("threads", "waits_100", "import", "install", "memory", "growth")
SIDES = ("ours", "sdk", "floor")
GROWTH_EVENTS = (1_000, 10_000, 100_000, 1_000_000)
#: Growth of one kind of client is looked at in so many rounds; the smallest counts.
GROWTH_ROUNDS = 3
CHECKOUT = Path(__file__).resolve().parent.parent.parent


def environment(**further: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")]), **further}


class Server:
    """The cheap server, as a process of its own."""

    def __enter__(self) -> Server:
        command = [sys.executable, "-m", "tests.bench.cheap_server"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{self.process.stdout.readline().strip()}"
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


class Bench:
    """Runs measures against one server."""

    def __init__(self, url: str, rounds: int, *, orjson: bool) -> None:
        self.url = url
        self.rounds = rounds
        self.ours = {} if orjson else {"LANGGRAPH_RUNS_BENCH_NO_ORJSON": "1"}

    def run(self, side: str, measure: str, count: int) -> dict[str, Any]:
        command = [sys.executable, "-m", "tests.bench.worker", side, measure, self.url, str(count)]
        further = self.ours if side == "ours" else {}
        done = subprocess.run(command, capture_output=True, text=True, env=environment(**further), check=False)
        if done.returncode:
            raise SystemExit(f"{side} {measure}: {done.stderr}")
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def in_turn(self, measure: str, count: int, sides: tuple[str, ...] = SIDES) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
        for _ in range(self.rounds):
            for side in sides:
                found[side].append(self.run(side, measure, count))
        return found

    def compare(self, measure: str) -> dict[str, Any]:
        """One line of the table."""
        label, count, bound = MEASURES[measure]
        found = self.in_turn(measure, count)
        cpu = {side: median(rows, "cpu") * 1e6 for side, rows in found.items()}
        wall = {side: median(rows, "wall") * 1e6 for side, rows in found.items()}
        ratios = [a["cpu"] / b["cpu"] for a, b in zip(found["ours"], found["sdk"])]
        ratio = cpu["ours"] / cpu["sdk"]
        failures = sum(row.get("failures", 0) for row in found["ours"])
        opened = {side: max(row["connections"] for row in rows) for side, rows in found.items()}
        spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
        more = f"  connections: {opened['ours']}, SDK {opened['sdk']}" if max(opened.values()) > 2 else ""
        print(
            f"{label:36} {cpu['ours']:10.1f} {cpu['sdk']:10.1f} {cpu['floor']:10.1f}   {ratio:5.2f} ({spread})  {bound:4.2f}"
            f"   {wall['ours'] / wall['sdk']:5.2f}{more}" + (f"  {failures} failures" if failures else ""),
            flush=True,
        )
        return {
            "cpu_us": cpu, "wall_us": wall, "ratio": ratio, "ratios": ratios, "bound": bound,
            "failures": failures, "connections": opened,
        }  # fmt: skip

    def delay(self, measure: str) -> dict[str, float]:
        """By how much events are read later than they were sent."""
        found = self.in_turn(measure, 200, ("ours", "sdk"))
        ours, sdk = (median(found[side], "delay") * 1e6 for side in ("ours", "sdk"))
        first, first_sdk = (median(found[side], "first") * 1e6 for side in ("ours", "sdk"))
        print(f"{DELAYS[measure]:36} {ours:10.1f} {sdk:10.1f} {'':10}   {ours / sdk:5.2f} (wall)")
        print(f"{'  of the first event':36} {first:10.1f} {first_sdk:10.1f} {'':10}   {first / first_sdk:5.2f} (wall)", flush=True)
        return {"ours_us": ours, "sdk_us": sdk, "first_us": first, "first_sdk_us": first_sdk}

    def threads(self) -> dict[str, float]:
        """CPU per get over the number of threads, as a multiple of one thread's; each round in turn."""
        counts = (1, 4, 16, 64)
        rows: dict[int, list[float]] = {count: [] for count in counts}
        for _ in range(self.rounds):
            for count in counts:
                rows[count].append(self.run("ours", f"get_{count}", 2000)["cpu"] * 1e6)
        cpu = {str(count): statistics.median(found) for count, found in rows.items()}
        print("our CPU per get, us, by threads: " + "  ".join(f"{count}: {us:.0f}" for count, us in cpu.items()), end="")
        print(f"; grows {max(cpu.values()) / cpu['1']:.2f} times (under 1.5)", flush=True)
        return cpu

    def waits(self) -> dict[str, int]:
        """100 repetitions of 2,000 waits from 64 threads."""
        row = self.run("ours", "waits_100", 100 * 2000)
        print(
            f"100 times 2,000 waits from 64 threads: {row['connections'] / 100:.1f} connections opened each time"
            f" (at most 64), {row['failures']} failures",
            flush=True,
        )
        return {"connections": row["connections"], "failures": row["failures"]}

    def memory(self) -> dict[str, float]:
        """By how much the peak memory grows while a long stream is read."""
        told = {"1,000,000 events": self.run("ours", "small", 1_000_000), "300 events of 200 kB": self.run("ours", "large", 300)}
        for label, row in told.items():
            print(f"peak memory grown over {label}: {row['grown_kb'] / 1024:.1f} MB (under 5)", flush=True)
        return {label: row["grown_kb"] for label, row in told.items()}

    def growth(self) -> dict[str, Any]:
        """CPU per event over ever longer streams, per byte over ever larger events."""
        events: dict[str, dict[int, float]] = {}
        sizes: dict[str, dict[int, float]] = {}
        for side in SIDES:
            events[side] = {}
            for count in GROWTH_EVENTS[: 4 if side == "ours" else 3]:
                rows = [self.run(side, "small", count) for _ in range(GROWTH_ROUNDS if count < 1_000_000 else 1)]
                events[side][count] = min(row["cpu"] for row in rows) * 1e6
            print(f"{side:5} CPU per event, us:  " + "  ".join(f"{x}: {y:.2f}" for x, y in events[side].items()), flush=True)
        for side in SIDES:
            sizes[side] = {}
            for size in (1 << power for power in range(10, 25, 2)):
                count = max(2, (64 << 20) // size // 8)
                sizes[side][size] = min(self.run(side, f"size_{size}", count)["cpu"] for _ in range(GROWTH_ROUNDS)) / size * 1e9
            print(
                f"{side:5} CPU per byte, ns:   " + "  ".join(f"{in_bytes(x)}: {y:.2f}" for x, y in sizes[side].items()), flush=True
            )
        # What no client on this parser can be below, nor flatter than.
        alone = {size: min(parsing(size) for _ in range(GROWTH_ROUNDS)) / size * 1e9 for size in sizes["ours"]}
        print("orjson.loads alone, ns:    " + "  ".join(f"{in_bytes(x)}: {y:.2f}" for x, y in alone.items()), flush=True)
        return {"events": events, "bytes": {**sizes, "orjson.loads alone": alone}}


def parsing(size: int) -> float:
    """CPU seconds of parsing one event of *size* bytes, and no more."""
    import orjson

    text = '{"i":1,"x":"%s"}' % ("x" * size)
    count = max(2, (64 << 20) // size)
    orjson.loads(text)
    began = time.process_time()
    for _ in range(count):
        orjson.loads(text)
    return (time.process_time() - began) / count


def in_bytes(size: float) -> str:
    return f"{size / (1 << 20):.0f} MB" if size >= 1 << 20 else f"{size / 1024:.0f} kB"


def in_events(count: float) -> str:
    return f"{count / 1e6:.0f}M" if count >= 1e6 else f"{count / 1e3:.0f}k"


def median(rows: list[dict[str, Any]], key: str) -> float:
    return float(statistics.median(row[key] for row in rows))


def import_times() -> dict[str, dict[str, float]]:
    """CPU of importing, and of importing and making the first client, in ms."""
    # As pip does when it installs the SDK: without this, the first would be the time of compiling where no bytecode is written.
    compileall.compile_dir(CHECKOUT / "langgraph_runs", quiet=1)

    def once(statements: str) -> float:
        code = f"import time; a = time.process_time(); {statements}; print(time.process_time() - a)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
        return float(done.stdout) * 1e3

    found = {}
    for label, ours, sdk, bound in (
        ("import, ms", "import langgraph_runs", "import langgraph_sdk", 0.30),
        (
            "import and a client, ms",
            "import langgraph_runs; langgraph_runs.Client(api_key=None)",
            "import langgraph_sdk; langgraph_sdk.get_sync_client(url='http://localhost:2024', api_key=None)",
            1.0,
        ),
    ):
        rows = [(once(ours), once(sdk)) for _ in range(9)]
        a, b = (statistics.median(column) for column in zip(*rows))
        spread = f"{min(x / y for x, y in rows):.2f}-{max(x / y for x, y in rows):.2f}"
        print(f"{label:36} {a:10.1f} {b:10.1f} {'':10}   {a / b:5.2f} ({spread})  {bound:4.2f}", flush=True)
        found[label] = {"langgraph_runs": a, "langgraph_sdk": b}
    return found


def installed(requirement: str, place: Path) -> tuple[int, int]:
    """Distributions and bytes of *requirement* in a fresh virtual environment, without pip and setuptools."""
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-q", "install", "--no-compile", requirement]
    subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
    code = (
        "import importlib.metadata as m; found = [d for d in m.distributions() if d.name.lower() not in ('pip', 'setuptools', 'wheel')];"
        "print(len(found), sum(d.locate_file(f).stat().st_size for d in found for f in d.files or ()"
        " if d.locate_file(f).is_file() and f.suffix != '.pyc'))"
    )
    count, size = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True, cwd=place).stdout.split()
    return int(count), int(size)


def install() -> dict[str, Any]:
    """Both clients, each installed by pip into an environment of its own."""
    with tempfile.TemporaryDirectory() as where:
        ours = installed(str(CHECKOUT), Path(where) / "ours")
        sdk = installed("langgraph-sdk", Path(where) / "sdk")
    print(
        f"installed: {ours[0]} distributions, {ours[1] / 1e6:.1f} MB; SDK {sdk[0]}, {sdk[1] / 1e6:.1f} MB;"
        f" ratios {ours[0] / sdk[0]:.2f} (0.40) and {ours[1] / sdk[1]:.2f} (0.15)",
        flush=True,
    )
    return {"ours": ours, "sdk": sdk}


def main() -> None:
    every = [*MEASURES, *DELAYS, *OTHERS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measures", nargs="*", help=f"of {', '.join(every)}; all without, but install")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--plot", metavar="FILE.svg", help="how cost grows, with the measure growth")
    parser.add_argument("--no-orjson", action="store_true", help="this client where orjson cannot be imported")
    options = parser.parse_args()
    unknown = set(options.measures) - set(every)
    if unknown:
        parser.error(f"no such measure: {', '.join(sorted(unknown))}")
    wanted = options.measures or [name for name in every if name != "install"]
    results: dict[str, Any] = {"python": sys.version, "machine": platform.platform(), "cores": os.cpu_count()}
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
    if set(wanted) - set(OTHERS):
        print(f"{'':36} {'ours, us':>10} {'SDK, us':>10} {'floor, us':>10}   ratio (range)       reach   wall")
    with Server() as server:
        bench = Bench(server.url, options.rounds, orjson=not options.no_orjson)
        for name in wanted:
            if name in MEASURES:
                results[name] = bench.compare(name)
            elif name in DELAYS:
                results[name] = bench.delay(name)
            elif name == "import":
                results[name] = import_times()
            elif name == "install":
                results[name] = install()
            else:
                results[name] = {
                    "threads": bench.threads,
                    "waits_100": bench.waits,
                    "memory": bench.memory,
                    "growth": bench.growth,
                }[name]()
        if "growth" in results and options.plot:
            told = results["growth"]
            panels = [
                ("us of CPU per event of 200 B", told["events"], in_events),
                ("ns of CPU per byte of an event", told["bytes"], in_bytes),
            ]
            Path(options.plot).write_text(draw(panels), encoding="utf-8")
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

"""How much this client costs, against the official SDK's sync client and against a floor (raw socket and orjson).

    python -m tests.bench                    # the table, some minutes; --json FILE, --plot FILE.svg
    python -m tests.bench get small          # some measures alone
    python -m tests.bench --rounds 9

Each measure is a fresh process per side, the sides in turn, against a cheap server in a process of its own. What counts is CPU time of
the client process; the ratio is of the medians, with the smallest and largest ratio of one round beside it. Needs langgraph-sdk.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

#: Measure, what it counts, how many of them, and what the ratio should be at the most.
MEASURES: dict[str, tuple[str, int, float]] = {
    "get": ("runs.get, keep-alive", 2000, 0.80),
    "create_1k": ("runs.create, 1 kB input", 1500, 0.85),
    "create_1m": ("runs.create, 1 MB input", 30, 1.0),
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
SIDES = ("ours", "sdk", "floor")
GROWTH_EVENTS = (1_000, 10_000, 100_000, 1_000_000)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])}


def run(side: str, measure: str, url: str, count: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.worker", side, measure, url, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def import_seconds(module: str) -> float:
    code = f"import time; a = time.process_time(); import {module}; print(time.process_time() - a)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment()).stdout)


def in_turn(measure: str, url: str, count: int, rounds: int, sides: tuple[str, ...] = SIDES) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            found[side].append(run(side, measure, url, count))
    return found


def median(rows: list[dict[str, Any]], key: str) -> float:
    return statistics.median(row[key] for row in rows)


def show(label: str, found: dict[str, list[dict[str, Any]]], bound: float) -> dict[str, Any]:
    cpu = {side: median(rows, "cpu") * 1e6 for side, rows in found.items()}
    wall = {side: median(rows, "wall") * 1e6 for side, rows in found.items()}
    ratios = [a["cpu"] / b["cpu"] for a, b in zip(found["ours"], found["sdk"])]
    ratio = cpu["ours"] / cpu["sdk"]
    failures = sum(row.get("failures", 0) for row in found["ours"])
    print(
        f"{label:36} {cpu['ours']:10.1f} {cpu['sdk']:10.1f} {cpu['floor']:10.1f}   {ratio:5.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        f"  {bound:4.2f}   {wall['ours'] / wall['sdk']:5.2f}" + (f"  {failures} failures" if failures else ""),
        flush=True,
    )
    return {"cpu_us": cpu, "wall_us": wall, "ratio": ratio, "bound": bound, "failures": failures}


def growth(url: str) -> dict[str, Any]:
    """CPU per event over ever longer streams, per byte over ever larger events, and the memory of a long one."""
    told: dict[str, Any] = {"events": {}, "bytes": {}}
    print("\nour CPU per event, us: ", end="")
    for count in GROWTH_EVENTS:
        row = run("ours", "small", url, count)
        told["events"][count] = row["cpu"] * 1e6
        print(f"{count}: {row['cpu'] * 1e6:.2f}  ", end="", flush=True)
        told["grown_kb"] = row["grown_kb"]
    print(f"\npeak memory grown over {GROWTH_EVENTS[-1]} events: {told['grown_kb']} kB")
    print("our CPU per byte, ns: ", end="")
    for power in range(10, 25, 2):
        size = 1 << power
        row = run("ours", f"size_{size}", url, max(2, (64 << 20) // size // 8))
        told["bytes"][size] = row["cpu"] / size * 1e9
        print(f"{size}: {told['bytes'][size]:.2f}  ", end="", flush=True)
    print()
    return told


def plot(told: dict[str, Any], path: str) -> None:
    """CPU per event and per byte, each over a logarithmic axis, as an SVG that needs no library to draw."""
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" width="760" height="300" font-family="sans-serif" font-size="12">']
    for left, title, series in (
        (40, "us of CPU per event, by events", told["events"]),
        (420, "ns per byte, by bytes", told["bytes"]),
    ):
        top = max(series.values()) * 1.1
        points = []
        for index, (x, y) in enumerate(series.items()):
            at = left + index * 300 / max(1, len(series) - 1)
            height = 250 - 200 * y / top
            points.append(f"{at:.0f},{height:.0f}")
            parts.append(
                f'<circle cx="{at:.0f}" cy="{height:.0f}" r="3"/><text x="{at:.0f}" y="270" text-anchor="middle">{x:.0e}</text>'
            )
        parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="black"/><text x="{left}" y="20">{title}</text>')
        parts.append(f'<text x="{left}" y="40">top: {top:.2f}</text>')
    Path(path).write_text("\n".join([*parts, "</svg>"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measures", nargs="*", help=f"of {', '.join([*MEASURES, *DELAYS, 'import', 'growth'])}; all without")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--plot", metavar="FILE")
    options = parser.parse_args()
    wanted = options.measures or [*MEASURES, *DELAYS, "import", "growth"]
    results: dict[str, Any] = {"python": sys.version, "machine": platform.platform(), "cores": os.cpu_count()}
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
    print(f"{'':36} {'ours, us':>10} {'SDK, us':>10} {'floor, us':>10}   ratio (range)       reach   wall")
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.cheap_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        for name in wanted:
            if name in MEASURES:
                label, count, bound = MEASURES[name]
                results[name] = show(label, in_turn(name, url, count, options.rounds), bound)
            elif name in DELAYS:
                found = in_turn(name, url, 200, options.rounds, ("ours", "sdk"))
                ours, sdk = (median(found[side], "delay") * 1e6 for side in ("ours", "sdk"))
                print(f"{DELAYS[name]:36} {ours:10.1f} {sdk:10.1f} {'':10}   {ours / sdk:5.2f} (wall)")
                results[name] = {"ours_us": ours, "sdk_us": sdk}
        if "import" in wanted:
            times = {m: statistics.median(import_seconds(m) for _ in range(7)) * 1e3 for m in ("langgraph_runs", "langgraph_sdk")}
            ratio = times["langgraph_runs"] / times["langgraph_sdk"]
            print(f"{'import, ms':36} {times['langgraph_runs']:10.1f} {times['langgraph_sdk']:10.1f} {'':10}   {ratio:5.2f}")
            results["import_ms"] = times
        if "growth" in wanted:
            results["growth"] = growth(url)
            if options.plot:
                plot(results["growth"], options.plot)
    finally:
        assert server.stdin is not None
        server.stdin.close()
        server.wait(10)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

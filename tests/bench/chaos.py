"""What happens to runs when the network and the server fail: this client and the official SDK, with the same seeds.

    python -m tests.bench.chaos             # a table, about four minutes
    python -m tests.bench.chaos --creates 30 --events 500 --seeds 2 --ours

    python -m tests.bench.chaos --server javascript --server aegra --creates 300 --events 500 --seeds 20

With ``--server`` this client alone is measured, on servers that have the graphs of tests/servers: python, javascript and aegra are
started for it, and anything else is a URL. Events that are missing there are counted as lost unless the stream says where they are.

Needs the extra ``server``; the official SDK is measured where langgraph-sdk is installed. Everything runs on loopback, against the
real server behind a proxy that breaks about a third of the connections.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Optional

import langgraph_runs
from langgraph_runs import Client, RetryPolicy
from langgraph_runs.devserver import DevServer
from langgraph_runs.testing.cutting_proxy import CuttingProxy, Fault, Turn, seeded

from ..server.conftest import ALL_GRAPHS
from ..servers.plain import ask, new_thread
from ..servers.serve import SERVERS, start

Row = tuple[str, str]


class Side:
    """One of the two clients, with the calls that are the same in both."""

    name = ""
    #: Raised for a create that may have worked; nothing where a client has no word for it.
    uncertain: Any = ()
    client: Any
    #: True if a run is created first, and its stream is joined from the start then.
    joins = False
    #: The graph and the input of a create.
    quick: tuple[str, dict[str, Any]] = ("echo", {"value": 1})

    def events(self, thread_id: str, count: int, pause: float) -> Iterator[Any]:
        yield from self.client.runs.stream(
            thread_id, "burst", input={"n": count, "pause": pause}, stream_mode="custom", stream_resumable=True
        )

    def gaps(self) -> list[int]:
        """For each place where the last stream said that events are missing, how many it had delivered before."""
        return []

    def wait(self, thread_id: str, graph: str, **options: Any) -> Any:
        return self.client.runs.wait(thread_id, graph, **options)

    def stream(self, thread_id: str, graph: str, **options: Any) -> Any:
        return list(self.client.runs.stream(thread_id, graph, stream_mode="values", **options))

    def join(self, thread_id: str, run_id: str) -> Any:
        return self.client.runs.join(thread_id, run_id)

    def join_stream(self, thread_id: str, run_id: str) -> Any:
        return list(self.client.runs.join_stream(thread_id, run_id))

    def blocked(self, thread_id: str, graph: str, **options: Any) -> tuple[Iterator[Any], Callable[[], None]]:
        stream = self.client.runs.stream(thread_id, graph, stream_mode="custom", **options)
        return stream, stream.close


class Ours(Side):
    """This client."""

    name = "langgraph_runs"
    uncertain: Any = langgraph_runs.CreateUncertainError

    def __init__(self, url: str) -> None:
        self.client = Client(url, api_key=None, retry=RetryPolicy(wait_initial=0.05, wait_max=0.5, budget=None))

    def create(self, thread_id: str, key: str) -> str:
        graph, given = self.quick
        return str(self.client.runs.create(thread_id, graph, input=given, metadata={"client_key": key}).run_id)

    def wait_for(self, seconds: float, thread_id: str, graph: str, **options: Any) -> Any:
        return self.client.runs.wait(thread_id, graph, timeout=seconds, **options)


class OnAnyServer(Ours):
    """This client on a server with the graphs of tests/servers. A stream goes on behind a gap, and says where it is."""

    quick = ("work", {"k": 1})
    _stream: langgraph_runs.RunStream[Any]

    def events(self, thread_id: str, count: int, pause: float) -> Iterator[Any]:
        options: dict[str, Any] = {"input": {"n": count, "seconds": pause * count}, "stream_mode": "custom"}
        if self.joins:
            run = self.client.runs.create(thread_id, "burst", stream_resumable=True, **options)
            self._stream = self.client.runs.join_stream(thread_id, run.run_id, last_event_id="0", on_gap="mark")
        else:
            self._stream = self.client.runs.stream(thread_id, "burst", on_gap="mark", **options)
        with self._stream as stream:
            yield from stream

    def gaps(self) -> list[int]:
        return [gap.events_seen for gap in self._stream.gaps]


class Theirs(Side):
    """The official SDK's sync client, as its documentation shows it."""

    name = "langgraph-sdk"

    def __init__(self, url: str) -> None:
        from langgraph_sdk import get_sync_client

        self._make = get_sync_client
        self.url = url
        self.client = get_sync_client(url=url, api_key=None)

    def create(self, thread_id: str, key: str) -> str:
        # The loop that people write around it: three tries.
        for attempt in range(3):
            try:
                run = self.client.runs.create(thread_id, "echo", input={"value": 1}, metadata={"client_key": key})
                return str(run["run_id"])
            except Exception:
                if attempt == 2:
                    raise
        raise AssertionError

    def create_once(self, thread_id: str, key: str) -> str:
        return str(self.client.runs.create(thread_id, "echo", input={"value": 1}, metadata={"client_key": key})["run_id"])

    def wait_for(self, seconds: float, thread_id: str, graph: str, **options: Any) -> Any:
        return self._make(url=self.url, api_key=None, timeout=seconds).runs.wait(thread_id, graph, **options)


# -- once


def creates(make: Callable[[str], Any], url: str, count: int, seed: int, once: bool = False) -> dict[str, int]:
    """Create runs through a proxy that breaks a third of the requests; then count the runs on the server."""
    counts = {"broken": 0, "created": 0, "doubled": 0, "lost": 0, "uncertain": 0, "failed": 0, "phantom": 0}
    with CuttingProxy(url, seeded(seed, 1 / 3, when=b"POST ", longest=1500)) as proxy:
        side = make(proxy.url)
        create = side.create_once if once and hasattr(side, "create_once") else side.create
        thread_ids = [new_thread(url) for _ in range(count)]

        def one(thread_id: str) -> tuple[str, Optional[str], bool]:
            try:
                return thread_id, create(thread_id, uuid.uuid4().hex), False
            except side.uncertain:
                return thread_id, None, True
            except Exception:
                return thread_id, None, False

        with ThreadPoolExecutor(8) as pool:
            for thread_id, run_id, uncertain in pool.map(one, thread_ids):
                runs = {run["run_id"] for run in ask(url, "GET", f"/threads/{thread_id}/runs?limit=100")}
                counts["created"] += len(runs)
                counts["doubled"] += max(0, len(runs) - 1)
                counts["uncertain"] += uncertain
                counts["lost"] += bool(runs) and run_id is None and not uncertain
                counts["failed"] += not runs and run_id is None
                counts["phantom"] += run_id is not None and run_id not in runs
        counts["broken"] = sum(turn.fired for turn in proxy.turns)
    return counts


# -- streams


def events(make: Callable[[str], Any], url: str, count: int, seeds: int) -> dict[str, int]:
    """Numbered events over connections that are cut in mid-stream."""
    kinds = ("expected", "lost", "said to be missing", "said later", "doubled", "out of order", "errors", "cuts")
    counts = dict.fromkeys(kinds, 0)
    for seed in range(seeds):
        plan = seeded(f"stream-{seed}", 0.6, longest=40 * count)

        def gentle(turn: Turn, plan: Any = plan) -> Fault:
            # Only streams are cut: the events are counted, not the other requests.
            return plan(turn) if b"/stream" in turn.first.split(b"\r\n", 1)[0] else Fault("never")

        with CuttingProxy(url, gentle) as proxy:
            side = make(proxy.url)
            side.joins = seed % 3 == 2
            seen: list[int] = []
            places: list[int] = []
            try:
                for place, event in enumerate(side.events(new_thread(url), count, 0.0 if seed % 2 else 0.001)):
                    if event.event == "custom":
                        seen.append(event.data["i"])
                        places.append(place)
            except Exception as error:
                print(f"  stream {seed} of {side.name} ended with {error!r}"[:500], file=sys.stderr)
                counts["errors"] += 1
                continue
            finally:
                counts["cuts"] += sum(turn.fired for turn in proxy.turns)
        counts["expected"] += count
        silent, marked, later = missing(count, seen, places, side.gaps())
        counts["lost"] += silent
        counts["said to be missing"] += marked
        counts["said later"] += later
        counts["doubled"] += len(seen) - len(set(seen))
        counts["out of order"] += sum(b < a for a, b in zip(seen, seen[1:]))
    return counts


def missing(count: int, seen: list[int], places: list[int], gaps: list[int]) -> tuple[int, int, int]:
    """How many of the events 0 to count - 1 are missing: without a word, where the stream says so, and where it says so later.

    The events `seen` were the ones at `places` of the stream, counted from 0; `gaps` are the numbers of events before each gap.
    """
    # Only the first time that an event comes, so that one that comes again hides nothing.
    order = sorted(dict(zip(reversed(seen), reversed(places))).items())
    edges = [(-1, -1), *order, (count, sys.maxsize)]
    blocks = [(after - before - 1, begin, end) for (before, begin), (after, end) in zip(edges, edges[1:]) if after - before > 1]
    marked = [block for block in blocks if any(block[1] < gap <= block[2] for gap in gaps)]
    unused = [gap for gap in gaps if not any(begin < gap <= end for _, begin, end in marked)]
    later = [block for block in blocks if block not in marked and any(gap > block[2] for gap in unused)]
    silent = [block for block in blocks if block not in marked and block not in later]
    return sum(block[0] for block in silent), sum(block[0] for block in marked), sum(block[0] for block in later)


# -- the truth table


def truth(make: Callable[[str], Any], url: str) -> dict[str, int]:
    """Each way in which a run can fail, with each call: count the calls that return normally although the run failed."""
    side = make(url)
    counts = {"cells": 0, "lies": 0, "markers": 0}
    lies = []

    def wait_running(thread_id: str) -> str:
        while True:
            runs = ask(url, "GET", f"/threads/{thread_id}/runs")
            if runs and runs[0]["status"] == "running":
                return str(runs[0]["run_id"])
            time.sleep(0.02)

    def cancel(thread_id: str, run_id: str, action: str = "interrupt") -> None:
        ask(url, "POST", f"/threads/{thread_id}/runs/{run_id}/cancel?action={action}")

    def delete(thread_id: str, run_id: str) -> None:
        ask(url, "DELETE", f"/threads/{thread_id}/runs/{run_id}")

    long = {"graph": "burst", "input": {"n": 300, "pause": 0.01}}
    ways: dict[str, tuple[dict[str, Any], Optional[Callable[[str, str], None]]]] = {
        "graph error": ({"graph": "failing", "input": {"error": "ValueError", "message": "boom"}}, None),
        "own error": ({"graph": "failing", "input": {"error": "OwnError", "message": "boom"}}, None),
        "recursion": ({"graph": "steps", "input": {}, "config": {"recursion_limit": 1}}, None),
        "cancelled": (long, cancel),
        "rolled back": (long, lambda t, r: cancel(t, r, "rollback")),
        "deleted": (long, delete),
        "timed out": ({"graph": "burst", "input": {"n": 900, "pause": 0.01}}, None),
    }

    def judge(way: str, call: str, get: Callable[[], Any]) -> None:
        counts["cells"] += 1
        try:
            value = get()
        except Exception:
            return
        text = str(value)
        if "__error__" in text or "'error'" in text:
            counts["markers"] += 1
        else:
            counts["lies"] += 1
            lies.append(f"{way}/{call}")

    for way, (given, end) in ways.items():
        options = {"input": given["input"], **({"config": given["config"]} if "config" in given else {})}
        for call in ("wait", "stream", "join", "join_stream"):
            thread_id = new_thread(url)
            if call in ("wait", "stream"):
                if end is not None:
                    threading.Thread(target=lambda t=thread_id, e=end: e(t, wait_running(t)), daemon=True).start()
                start_call = getattr(side, call)
                judge(way, call, functools.partial(start_call, thread_id, given["graph"], **options))
                continue
            run = ask(url, "POST", f"/threads/{thread_id}/runs", {"assistant_id": given["graph"], **options})
            if end is not None:
                threading.Thread(target=lambda t=thread_id, e=end: e(t, wait_running(t)), daemon=True).start()
            judge(way, call, functools.partial(getattr(side, call), thread_id, run["run_id"]))
            judge(way, call + " later", functools.partial(getattr(side, call), thread_id, run["run_id"]))
    for call in ("join", "join_stream"):
        judge("unknown run", call, functools.partial(getattr(side, call), new_thread(url), str(uuid.uuid4())))
    thread_id = new_thread(url)
    old = ask(url, "POST", f"/threads/{thread_id}/runs", {"assistant_id": "echo", "input": {"value": "old"}})["run_id"]
    ask(url, "GET", f"/threads/{thread_id}/runs/{old}/join")
    ask(url, "POST", f"/threads/{thread_id}/runs/wait", {"assistant_id": "echo", "input": {"value": "new"}})
    counts["cells"] += 1
    with contextlib.suppress(Exception):
        if side.join(thread_id, old)["echo"] != "old":
            counts["lies"] += 1
            lies.append("older run/join")
    print(f"  {side.name}: lies: {', '.join(lies) or 'none'}", file=sys.stderr)
    return counts


# -- time


def deadline(make: Callable[[str], Any], url: str) -> float:
    """Seconds that a wait of 2 s takes longer than that, on a run of 9 s."""
    side = make(url)
    started = time.monotonic()
    with contextlib.suppress(Exception):
        side.wait_for(2.0, new_thread(url), "burst", input={"n": 9, "pause": 1.0})
    return time.monotonic() - started - 2.0


def abort(make: Callable[[str], Any], url: str) -> float:
    """Seconds until a blocked reader returns after its stream was closed from another thread."""
    side = make(url)
    stream, close = side.blocked(new_thread(url), "burst", input={"n": 3, "pause": 3.0})
    began = threading.Event()
    ended: list[float] = []

    def read() -> None:
        with contextlib.suppress(Exception):
            for event in stream:
                if event.event == "custom":
                    began.set()
        ended.append(time.monotonic())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    began.wait(30)
    time.sleep(0.2)  # long enough that the reader is blocked again; nothing tells that from outside
    start = time.monotonic()
    with contextlib.suppress(Exception):
        close()
    reader.join(30)
    return (ended[0] if ended else float("inf")) - start


def measure(make: Callable[[str], Any], url: str, slow_url: str, options: argparse.Namespace) -> list[Row]:
    rows: list[Row] = []
    made = creates(make, url, options.creates, options.seed)
    rows.append(("creates through faults", str(options.creates)))
    rows.append(("  exist without their caller knowing", str(made["lost"])))
    rows.append(("  doubled", str(made["doubled"])))
    rows.append(("  said to be uncertain", str(made["uncertain"])))
    rows.append(("  surely not created, and said so", str(made["failed"])))
    seen = events(make, url, options.events, options.seeds)
    rows.append((f"events over {seen['cuts']} cuts" if options.ours else "events over cuts", str(seen["expected"])))
    rows.append(("  lost behind a normal end", str(seen["lost"])))
    rows.append(("  doubled", str(seen["doubled"])))
    rows.append(("  out of order", str(seen["out of order"])))
    rows.append(("  streams that ended in an error", str(seen["errors"])))
    table = truth(make, slow_url)
    rows.append(("ways to end x calls", str(table["cells"])))
    rows.append(("  lies: a bad end that looks like success", str(table["lies"])))
    rows.append(("  only a marker inside the value", str(table["markers"])))
    rows.append(("timeout of 2 s: late by", f"{deadline(make, url) * 1000:.0f} ms"))
    rows.append(("close from another thread: reader back after", f"{abort(make, url) * 1000:.0f} ms"))
    return rows


def measure_server(url: str, options: argparse.Namespace) -> list[Row]:
    """Creates and events alone, on a server with the graphs of tests/servers."""
    made = creates(OnAnyServer, url, options.creates, options.seed)
    seen = events(OnAnyServer, url, options.events, options.seeds)
    return [
        ("creates through faults", str(options.creates)),
        ("  requests that were broken off", str(made["broken"])),
        ("  exist without their caller knowing", str(made["lost"])),
        ("  doubled", str(made["doubled"])),
        ("  with the id of a run that is not there", str(made["phantom"])),
        ("  said to be uncertain", str(made["uncertain"])),
        ("  surely not created, and said so", str(made["failed"])),
        ("events over cuts", str(seen["expected"])),
        ("  cuts", str(seen["cuts"])),
        ("  lost without a word", str(seen["lost"])),
        ("  missing where the stream says so", str(seen["said to be missing"])),
        ("  missing, and the stream says so later", str(seen["said later"])),
        ("  doubled", str(seen["doubled"])),
        ("  out of order", str(seen["out of order"])),
        ("  streams that ended in an error", str(seen["errors"])),
    ]


def measure_servers(options: argparse.Namespace) -> None:
    columns = {}
    for name in options.server:
        started = time.monotonic()
        with start(name) if name in SERVERS else contextlib.nullcontext(name) as url:
            columns[name] = measure_server(url, options)
        print(f"  {name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    table(columns)


def table(columns: dict[str, list[Row]]) -> None:
    labels = [label for label, _ in next(iter(columns.values()))]
    width = max(map(len, labels))
    print(f"{'':{width}}  " + "  ".join(f"{name:>16}" for name in columns))
    for index, label in enumerate(labels):
        print(f"{label:{width}}  " + "  ".join(f"{column[index][1]:>16}" for column in columns.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--creates", type=int, default=150)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=4, help="streams, each with its own cuts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ours", action="store_true", help="leave the official SDK out")
    parser.add_argument("--server", action="append", help="python, javascript, aegra or a URL; may be given several times")
    options = parser.parse_args()
    if options.server:
        measure_servers(options)
        return
    sides: list[Callable[[str], Any]] = [Ours]
    with contextlib.suppress(ImportError):
        import langgraph_sdk  # noqa: F401

        if not options.ours:
            sides.append(Theirs)
    warnings.simplefilter("ignore")
    columns = []
    with DevServer(ALL_GRAPHS, workers=20) as server, DevServer(ALL_GRAPHS, workers=20, env={"BG_JOB_TIMEOUT_SECS": "5"}) as slow:
        for side in sides:
            started = time.monotonic()
            columns.append(measure(side, server.url, slow.url, options))
            print(f"  {side.__name__}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    table({side.name: column for side, column in zip(sides, columns)})  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()

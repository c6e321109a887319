"""Browsers that read, disconnect and reconnect, on a real Django site, a real gunicorn and a real LangGraph server.

    python -m tests.bench.django_load [--streams 50] [--rounds 3] [--seed 1] [--langgraph-url URL]

Prints a table with a row for each kind of gunicorn worker, and exits with 1 if threads or sockets are left or a run did not end as
expected. In a round ``--streams`` browsers run at once; the behaviour of each is random:

- *reads* to the end: every event once, and the run is ``success``;
- *leaves* after some events, with FIN or RST: the run is ``interrupted``, or with ``on_disconnect="continue"`` ``success``;
- *leaves a silent run*, which sends nothing for a minute: the run is ``interrupted`` within the heartbeat;
- *comes back* with Last-Event-ID, several times until the end: every event once, in order.

Workers, threads and sockets are counted before and after, while there are no requests: when gunicorn has started all its threads,
and without idle connections in a client's pool that the server has closed (they are shown; there are at most ``pool_size`` for each
worker).
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from langgraph_runs import Client
from langgraph_runs.devserver import DevServer

from ..django.browser import Browser, numbers, post, query
from ..django.gunicorn import Gunicorn

GRAPHS = Path(__file__).resolve().parent.parent / "server" / "graphs.py"
#: Seconds within which a site must notice that a browser has disconnected.
HEARTBEAT = 2.0
#: Seconds that are added to limits, since the machine is busy.
SLACK = 3.0
TIMEOUT = 60.0


class BrowserResult(NamedTuple):
    """What one browser did, and the expected status of its run."""

    way: str
    run: Tuple[str, str]
    expected: str
    #: When it disconnected (`time.monotonic`); None if it did not.
    left: Optional[float]
    #: What was wrong with the events that it received, or "".
    wrong: str
    #: How often it reconnected.
    returns: int


def wait_until(condition: Callable[[], bool], seconds: float = TIMEOUT) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


# -- what browsers do


def open_stream(url: str, graph_input: Dict[str, Any], on_disconnect: str) -> Tuple[Browser, Tuple[str, str]]:
    path = "/stream/?" + query(graph="burst", input=graph_input, on_disconnect=on_disconnect, heartbeat=HEARTBEAT)
    browser = Browser(url, path)
    assert browser.response.status == 200, browser.response.status
    return browser, (browser.response.headers["X-Thread"], browser.response.headers["X-Run"])


def reads(url: str, chance: random.Random) -> BrowserResult:
    n = chance.randrange(10, 60)
    browser, run = open_stream(url, {"n": n, "pause": 0.03}, "cancel")
    events = list(browser.events())
    browser.leave()
    wrong = "" if numbers(events) == list(range(n)) and events[-1].event == "end" else f"saw {len(events)} events for {n}"
    return BrowserResult("reads", run, "success", None, wrong, 0)


def leaves(url: str, chance: random.Random) -> BrowserResult:
    on_disconnect = chance.choice(["cancel", "cancel", "continue"])
    # One that is to be cancelled takes long; one that goes on has an end that can be waited for.
    graph_input = {"n": 2000 if on_disconnect == "cancel" else 80, "pause": 0.03}
    browser, run = open_stream(url, graph_input, on_disconnect)
    events = browser.events()
    for _ in range(chance.randrange(0, 30)):
        next(events)
    browser.leave(abruptly=chance.random() < 0.5)
    expected = "interrupted" if on_disconnect == "cancel" else "success"
    return BrowserResult(f"leaves, {on_disconnect}", run, expected, time.monotonic() if on_disconnect == "cancel" else None, "", 0)


def leaves_silence(url: str, chance: random.Random) -> BrowserResult:
    browser, run = open_stream(url, {"n": 2, "pause": 60}, "cancel")
    events = browser.events()
    for event in events:
        if event.event == "custom":
            break
    time.sleep(chance.random())
    browser.leave(abruptly=chance.random() < 0.5)
    return BrowserResult("leaves silence", run, "interrupted", time.monotonic(), "", 0)


def comes_back(url: str, chance: random.Random) -> BrowserResult:
    n = chance.randrange(50, 400)
    ids = post(url, "/start/", {"graph": "burst", "input": {"n": n, "pause": chance.choice([0, 0, 0.002, 0.01])}})
    path = f"/events/{ids['thread_id']}/{ids['run_id']}/?heartbeat={HEARTBEAT}"
    seen: List[Any] = []
    last: Optional[str] = None
    returns = -1
    while not seen or seen[-1].event not in ("end", "error"):
        returns += 1
        browser = Browser(url, path, last_event_id=last)
        few = chance.randrange(1, max(2, n // 4))
        for event in browser.events():
            seen.append(event)
            few -= 1
            if few == 0:
                break
        last = browser.last_event_id
        browser.leave(abruptly=chance.random() < 0.5)
    wrong = "" if numbers(seen) == list(range(n)) else f"saw {len(numbers(seen))} of {n}, {len(set(numbers(seen)))} different"
    return BrowserResult("comes back", (ids["thread_id"], ids["run_id"]), "success", None, wrong, returns)


WAYS = [reads, leaves, leaves, leaves_silence, comes_back]


# -- a round


class Row(NamedTuple):
    """One kind of worker."""

    title: str
    streams: int
    disconnects: int
    slowest: float
    workers: Tuple[int, int]
    threads: Tuple[int, int]
    sockets: Tuple[int, int]
    pooled: int
    wrong_runs: int
    wrong_events: int

    @property
    def leaks(self) -> List[str]:
        named = {"workers": self.workers, "threads": self.threads, "sockets": self.sockets}
        found = [f"{name}: {before} before, {after} after" for name, (before, after) in named.items() if after > before]
        found += [f"{self.pooled} connections in pools"] if self.pooled > 64 * self.workers[0] else []
        found += ["a worker was lost"] if self.workers[1] < self.workers[0] else []
        found += [f"{self.wrong_runs} runs did not end as they should"] if self.wrong_runs else []
        found += [f"{self.wrong_events} browsers did not see every event once"] if self.wrong_events else []
        found += (
            [f"a run was cancelled only {self.slowest:.1f} s after its browser left"] if self.slowest > HEARTBEAT + SLACK else []
        )
        return found


def one_round(url: str, client: Client, streams: int, seed: int) -> Tuple[List[BrowserResult], float, int]:
    """Return the browsers' results, the longest time from a disconnect to the cancel, and how many runs ended unexpectedly."""
    ways = [WAYS[number % len(WAYS)] for number in range(streams)]
    cancelled: Dict[Tuple[str, str], float] = {}

    def play(number: int) -> BrowserResult:
        results = ways[number](url, random.Random(seed * 1000 + number))
        if results.left is not None:
            wait_until(lambda: client.runs.get(*results.run).finished)
            cancelled[results.run] = time.monotonic() - results.left
        return results

    with ThreadPoolExecutor(streams) as pool:
        results = list(pool.map(play, range(streams)))
    wrong = 0
    for one in results:
        wait_until(lambda one=one: client.runs.get(*one.run).finished)  # type: ignore[misc]
        status = client.runs.get(*one.run).status
        if status != one.expected:
            print(f"  {one.way}: run {one.run[1]} is {status}, not {one.expected}", file=sys.stderr)
            wrong += 1
    return results, max(cancelled.values(), default=0.0), wrong


def load(title: str, langgraph_url: str, options: Options, *, streams: int, rounds: int, seed: int) -> Row:
    results: List[BrowserResult] = []
    slowest, wrong = 0.0, 0
    with Gunicorn(langgraph_url, *options.command, workers=options.workers) as site, Client(langgraph_url, api_key=None) as client:
        post(site.url, "/start/", {"graph": "burst", "input": {"n": 1}})
        site.fill(options.threads)
        before = settled(site)
        for number in range(rounds):
            more, slow, bad = one_round(site.url, client, streams, seed + number)
            results, slowest, wrong = results + more, max(slowest, slow), wrong + bad
        wait_until(lambda: all(now <= then for now, then in zip(count(site)[:2], before[:2])), 20)
        after = count(site)
        pooled = site.sockets()["pooled"]
    for one in results:
        if one.wrong:
            print(f"  {one.way}: {one.wrong}", file=sys.stderr)
    return Row(
        title,
        streams=sum(1 + one.returns for one in results),
        disconnects=sum(one.way.startswith("leaves") + one.returns for one in results),
        slowest=slowest,
        workers=(len(before.workers), len(set(before.workers) & set(after.workers))),
        threads=(before.threads, after.threads),
        sockets=(before.sockets, after.sockets),
        pooled=pooled,
        wrong_runs=wrong,
        wrong_events=sum(bool(one.wrong) for one in results),
    )


class Count(NamedTuple):
    sockets: int
    threads: int
    workers: List[int]


def settled(site: Gunicorn) -> Count:
    """Return the counts when they have not changed for a second."""
    found = count(site)
    for _ in range(60):
        time.sleep(1)
        last, found = found, count(site)
        if last == found:
            break
    return found


def count(site: Gunicorn) -> Count:
    return Count(site.sockets()["open"], site.threads(), site.workers)


class Options(NamedTuple):
    """Options of gunicorn."""

    command: List[str]
    workers: int
    #: The size of the thread pool of each worker.
    threads: int


def kinds(streams: int) -> List[Tuple[str, Options]]:
    """Return the kinds of workers. A sync worker serves one browser at a time, so there is one for each browser."""
    return [
        (f"gthread, 2 x {streams}", Options(["-k", "gthread", "--threads", str(streams)], 2, streams)),
        (f"sync, {streams}", Options(["-k", "sync", "--timeout", "120"], streams, 0)),
    ]


def main(arguments: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Browsers that leave and come back: what is left behind?")
    parser.add_argument("--streams", type=int, default=50, help="browsers at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--langgraph-url", help="a server with the graph burst, for a Python that cannot run one")
    given = parser.parse_args(arguments)
    rows = []
    with contextlib.ExitStack() as stack:
        url = given.langgraph_url
        if url is None:
            url = stack.enter_context(DevServer({"burst": f"{GRAPHS}:burst"}, workers=given.streams + 10)).url
        for title, options in kinds(given.streams):
            rows.append(load(title, url, options, streams=given.streams, rounds=given.rounds, seed=given.seed))
    show(rows)
    return 1 if any(row.leaks for row in rows) else 0


def show(rows: Sequence[Row]) -> None:
    header = [
        "workers",
        "streams",
        "disconnects",
        "slowest cancel",
        "processes",
        "threads",
        "sockets",
        "in pools",
        "wrong runs",
        "wrong events",
    ]
    lines = [header]
    for row in rows:
        pairs = [f"{before} -> {after}" for before, after in (row.workers, row.threads, row.sockets)]
        cells = [
            row.title,
            row.streams,
            row.disconnects,
            f"{row.slowest:.1f} s",
            *pairs,
            row.pooled,
            row.wrong_runs,
            row.wrong_events,
        ]
        lines.append([str(cell) for cell in cells])
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    for row in rows:
        for leak in row.leaks:
            print(f"{row.title}: {leak}")


if __name__ == "__main__":
    sys.exit(main())

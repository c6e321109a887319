"""Interrupts calls at every point where Python looks for signals, and by many real signals; prints what went wrong.

python -m tests.interrupts                     # takes about an hour: all points, then 10,000 signals
python -m tests.interrupts --step 20 --signals 1000
python -m tests.interrupts --no-points         # signals only

What must hold: what the handler raises reaches the caller; no call gets the response of another one; no create is sent twice; no
call blocks for ever; no connection is lost to the pool or used by two calls. Needs Python 3.9 to 3.11 for the points, since later
versions do not trace the first call of a function. ``tests/wire/test_interrupts.py`` is the short form, for each test run.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import faulthandler
import gc
import json
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable, Optional

from langgraph_runs import Client, RetryPolicy
from langgraph_runs.testing import fake_server, succeeds
from langgraph_runs.testing.fake_runs import FakeRuns

from .wire.scripted import RUN_ID, THREAD_ID, Reply, Request, ScriptedServer, reply_json, run_json, sse
from .wire.test_interrupts import Interrupt, JobLimit, Tracer, idle_connections

#: Seconds after which a call has blocked for ever. All threads are printed then, and the program ends.
STUCK = 120.0
POOL = 4
#: How many of a hundred signals meet each kind of call.
SHARES = {"get": 55, "create": 25, "stream": 15, "map": 5}
QUICK = RetryPolicy(attempts=4, wait_initial=0.01, wait_max=0.02, budget=None)
INPUTS = 3


def own_reply(request: Request) -> Reply:
    """A reply with the number of its request."""
    if request.method == "GET":
        return reply_json(200, run_json(run_id=request.path.rpartition("/")[2]))
    number = json.loads(request.body)["input"]["number"]
    if request.path.endswith("/stream"):
        return sse(("values", {"number": number}), ("values", {"number": number, "last": True}), run=(THREAD_ID, RUN_ID))
    location = [("Content-Location", f"/threads/{THREAD_ID}/runs/{RUN_ID}")]
    return reply_json(200, run_json(metadata={"number": number}), location)


#: The exceptions of handlers that Python itself has dropped, as it does with all that a finalizer raises.
DROPPED: list[BaseException] = []


def note_dropped(dropped: Any) -> None:
    if isinstance(dropped.exc_value, (Interrupt, JobLimit)):
        # Without the frames, which may refer to a connection that would be closed now.
        dropped.exc_value.__traceback__ = dropped.exc_value.__context__ = None
        DROPPED.append(dropped.exc_value)
    else:
        sys.__unraisablehook__(dropped)


class Calls:
    """Calls of each kind, each with a number of its own, and what went wrong with them."""

    def __init__(self, server: ScriptedServer, fake: FakeRuns, directory: Path) -> None:
        self.client = Client(server.url, api_key=None, retry=QUICK, read_timeout=20, pool_size=POOL)
        self.mapping = fake.client(retry=QUICK)
        self.server, self.fake, self.directory = server, fake, directory
        self.number = 0
        self.wrong: list[str] = []

    def call(self, kind: str) -> None:
        """Make one call. What it returns must be its own."""
        self.number += 1
        number = self.number
        found: Any
        wanted: Any
        if kind == "get":
            found, wanted = self.client.runs.get(THREAD_ID, f"n{number}").run_id, f"n{number}"
        elif kind == "create":
            found, wanted = self.client.runs.create(THREAD_ID, "agent", input={"number": number}).metadata["number"], number
        elif kind == "stream":
            with self.client.runs.stream(THREAD_ID, "agent", input={"number": number}) as events:
                found, wanted = [event.data["number"] for event in events if event.mode == "values"], [number, number]
        else:
            self.map(number)
            return
        if found != wanted:
            self.wrong.append(f"{kind} {number}: {found!r} instead of {wanted!r}")

    def map(self, number: int) -> None:
        inputs = [{"number": number, "index": index} for index in range(INPUTS)]
        with self.mapping.runs.map("agent", inputs, concurrency=2, ledger=self.ledger(number)) as results:
            found = sorted(result.index for result in results if result.succeeded)
        if found != list(range(INPUTS)):
            self.wrong.append(f"map {number}: {found!r}")

    def ledger(self, number: int) -> Path:
        return self.directory / f"{number}.sqlite"

    def finish_map(self) -> None:
        """After a map was interrupted: the same map completes it."""
        self.map(self.number)
        self.check_runs()
        for path in self.directory.iterdir():
            if path.suffix == ".sqlite" and path != self.ledger(self.number):
                path.unlink()

    def check_runs(self) -> None:
        """No input has two runs that succeeded: one of them would have been created although the other one existed."""
        succeeded: collections.Counter[str] = collections.Counter()
        for run in list(self.fake.runs.values()):
            if run.status == "success":
                succeeded[json.dumps(run.input)] += 1
        self.wrong += [f"map: {times} runs for {given}" for given, times in succeeded.items() if times > 1]

    def check_creates(self) -> None:
        """No create was sent twice."""
        posts = [request for request in self.server.requests if request.method == "POST"]
        times = collections.Counter(json.loads(request.body)["input"]["number"] for request in posts if request.body)
        self.wrong += [f"create {number} was sent {count} times" for number, count in times.items() if count > 1]

    def check_pool(self, place: object = "") -> None:
        idle = idle_connections(self.client)
        if len(idle) > POOL or any(connection.exchange is not None for connection in idle):
            self.wrong.append(f"the pool holds {idle} {place}")

    def check_sockets(self) -> None:
        """After the client was closed, no connection to the server is open."""
        self.client.close()
        port = self.server.url.rpartition(":")[2]
        left = open_sockets(int(port))
        if left:
            self.wrong.append(f"{len(left)} connections are open after close(); what refers to one: {referrers(left.pop(), 6)}")


def open_sockets(port: int) -> list[socket.socket]:
    """The open sockets of this process that lead to *port*."""
    gc.collect()
    found = []
    for item in gc.get_objects():
        if type(item) is socket.socket and item.fileno() >= 0:
            with contextlib.suppress(OSError):  # not connected
                if item.getpeername()[1] == port:
                    found.append(item)
    return found


def referrers(item: object, depth: int) -> list[str]:
    """What keeps an object alive, and what keeps that alive, and so on: one way up."""
    found: list[str] = []
    known = {id(item), id(found)}
    for _ in range(depth):
        above = [one for one in gc.get_referrers(item) if id(one) not in known and one is not sys._getframe()]
        above = [one for one in above if not (isinstance(one, list) and len(one) > 100)]  # that of all objects
        if not above:
            break
        item = above[0]
        known |= {id(item), id(above)}
        code = getattr(item, "f_code", None)
        place = f"{code.co_name} in {code.co_filename}:{item.f_lineno}" if code is not None else repr(item)  # type: ignore[attr-defined]
        found.append(f"{type(item).__name__}: {place[:150]}")
    return found


# -- every point


def at_every_point(calls: Calls, kind: str, step: int) -> int:
    """Raise at each point of a call. Return the number of points."""
    for _ in range(2):
        calls.call(kind)  # what is done once is done now
    counter = Tracer(-1, lambda: None)
    counter.run(lambda: calls.call(kind))
    for point in range(1, counter.seen + 1, step):
        faulthandler.dump_traceback_later(STUCK, exit=True)
        interrupt_at(calls, kind, point)
    faulthandler.cancel_dump_traceback_later()
    return counter.seen


def interrupt_at(calls: Calls, kind: str, point: int) -> None:
    exception = (Interrupt, JobLimit)[point % 2]("of a signal handler")

    def handler(*_: Any) -> None:
        raise exception

    tracer = Tracer(point, handler)
    before = signal.signal(signal.SIGTERM, handler)
    try:
        tracer.run(lambda: calls.call(kind))
    except BaseException as error:
        if error is not exception:
            calls.wrong.append(f"{kind}: {error!r} at {tracer.place}")
    else:
        if tracer.place is not None and exception not in DROPPED:
            calls.wrong.append(f"{kind}: the exception was lost at {tracer.place}")
    finally:
        signal.signal(signal.SIGTERM, before)
    if kind == "map":
        calls.finish_map()
    else:
        calls.call("get")
        calls.check_pool(tracer.place)


# -- real signals


def by_signals(calls: Calls, count: int, seed: int) -> collections.Counter[str]:
    """Interrupt calls at random moments, while other threads use the same client. Return how many of each kind were interrupted."""
    chance = random.Random(seed)
    usual = {kind: usual_seconds(calls, kind) for kind in SHARES}
    interrupted: collections.Counter[str] = collections.Counter()
    ended = threading.Event()
    others = [threading.Thread(target=other_calls, args=(calls, ended, name)) for name in ("a", "b")]
    exception: Optional[BaseException] = None

    def handler(*_: Any) -> None:
        nonlocal exception
        exception = chance.choice([Interrupt, JobLimit])("of a signal handler")
        raise exception

    before = signal.signal(signal.SIGALRM, handler)
    try:
        for thread in others:
            thread.start()
        while sum(interrupted.values()) < count:
            kind = chance.choices(list(SHARES), weights=list(SHARES.values()))[0]
            faulthandler.dump_traceback_later(STUCK, exit=True)
            exception = None
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00005, usual[kind]))
                    calls.call(kind)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except BaseException as error:
                interrupted[kind] += 1
                if error is not exception:
                    calls.wrong.append(f"{kind} {calls.number}: {error!r} after a signal")
                if kind == "map":
                    calls.finish_map()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()
        ended.set()
        for thread in others:
            thread.join()
    calls.check_pool()
    return interrupted


def usual_seconds(calls: Calls, kind: str) -> float:
    began = time.perf_counter()
    for _ in range(5):
        calls.call(kind)
    return (time.perf_counter() - began) / 5


def other_calls(calls: Calls, ended: threading.Event, name: str) -> None:
    number = 0
    while not ended.wait(0.002):
        number += 1
        wanted = f"{name}{number}"
        try:
            found: Any = calls.client.runs.get(THREAD_ID, wanted).run_id
        except Exception as error:
            found = error
        if found != wanted:
            calls.wrong.append(f"another thread: {found!r} instead of {wanted}")


def report(title: str, work: Callable[[], Any], calls: Calls) -> None:
    began = time.monotonic()
    known = len(calls.wrong)
    result = work()
    print(f"{title:<24} {result!s:<70} {time.monotonic() - began:6.0f} s  wrong: {len(calls.wrong) - known}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.interrupts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--step", type=int, default=1, metavar="N", help="try each N-th point only (1)")
    parser.add_argument("--signals", type=int, default=10_000, metavar="N", help="interrupt N calls by signals (10000)")
    parser.add_argument("--seed", type=int, default=None, help="of the moments of the signals; by default another one each time")
    parser.add_argument("--no-points", action="store_true", help="no points, signals only")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else int.from_bytes(os.urandom(2), "big")
    sys.unraisablehook = note_dropped
    server = ScriptedServer(always=own_reply, takes_broken_requests=True)
    with server, fake_server() as fake, tempfile.TemporaryDirectory() as directory:
        fake.script(succeeds({"done": True}), repeat=True)
        calls = Calls(server, fake, Path(directory))
        for kind in () if arguments.no_points else SHARES:
            report(f"{kind}: points, each {arguments.step}.", partial(at_every_point, calls, kind, arguments.step), calls)
        report(f"signals, seed {seed}", lambda: dict(by_signals(calls, arguments.signals, seed)), calls)
        calls.check_creates()
        calls.check_runs()
        calls.check_sockets()
    for text in calls.wrong:
        print(text)
    print(f"{len(calls.wrong)} wrong")
    sys.exit(1 if calls.wrong else 0)


if __name__ == "__main__":
    main()

"""Many threads do everything with one client at once, for some seconds; prints what went wrong.

python -m tests.stress                             # a minute
python -m tests.stress --seconds 600 --threads 64  # of a build without the global interpreter lock
python3.14t -X gil=0 -m tests.stress

Threads create, get, wait, stream, map, abort, close, use idempotency keys, make copies with other options, and have more calls at once
than the pool keeps connections. What must hold: each call gets its own response; no connection is lost or used by two calls; an abort
ends the calls that have its signal and no others, with its reason; a key has one run; nothing blocks for ever, and no exception comes
that is not documented. In builds with the lock, Python changes threads every microsecond, so that steps which only look undivided are
divided there too. ``tests/wire/test_stress.py`` is the short form, for each test run.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import faulthandler
import random
import sys
import sysconfig
import threading
import time
import traceback
import uuid
from collections.abc import Iterator
from typing import Any, Callable, Optional

from langgraph_runs import (
    AbortController,
    AbortedError,
    Client,
    InvalidRequestError,
    NotFoundError,
    RetryPolicy,
)
from langgraph_runs.runs import thread_of_key
from langgraph_runs.testing.loopback_server import ReplySource, Request
from langgraph_runs.testing.replies import Reply, reply_json, stall

from .wire.fake_langgraph import FakeLangGraph, FakeRun

__all__ = ["KINDS", "POOL", "Stress", "switching_often"]

#: Seconds after the end in which the threads have ended, else something blocks for ever. All threads are printed then.
STUCK = 60.0
POOL = 4
#: Events of a stream, inputs of a map, and how many calls share an idempotency key, a thread and a client that is closed.
EVENTS, INPUTS, SHARING = 12, 4, 4
#: Nothing is repeated: a connection that is lost is an error.
ONCE = RetryPolicy(attempts=1)


def program(run: FakeRun) -> Any:
    for index in range(EVENTS):
        run.emit("custom", {"number": run.input["number"], "index": index})
    return {"number": run.input["number"]}


class StressServer(FakeLangGraph):
    """A fake server with two more endpoints: one sends a header back, the other one sends nothing."""

    def choose(self, method: str, path: str) -> ReplySource:
        """See `LoopbackServer`."""
        if path == "/silent":
            return stall()
        if path == "/echo":
            return _echo
        return super().choose(method, path)


def _echo(request: Request) -> Reply:
    return reply_json(200, {"number": request.header("x-number")})


class Shared:
    """An object that several threads use until one of them takes it away and ends it, and the others get a new one."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._current = make()

    def get(self) -> Any:
        with self._lock:
            return self._current

    def take(self) -> Any:
        """Return the object, and replace it by a new one."""
        with self._lock:
            taken, self._current = self._current, self._make()
        return taken


class Stress:
    """Calls of each kind on one client, and what went wrong with them. Each method named ``call_...`` is a kind."""

    def __init__(self, server: StressServer, *, pool_size: int = POOL, seed: int = 0) -> None:
        self.server = server
        self.client = Client(server.url, api_key=None, retry=ONCE, read_timeout=STUCK, pool_size=pool_size)
        self.pool_size = pool_size
        self.wrong: list[str] = []
        self.counts: collections.Counter[str] = collections.Counter()
        self._seed = seed
        self._stopped = threading.Event()
        self._controllers = Shared(self._new_controller)
        self._closing = Shared(lambda: Client(server.url, api_key=None, retry=ONCE, pool_size=2))
        self._keyed: dict[str, set[str]] = collections.defaultdict(set)
        self._keyed_lock = threading.Lock()
        self._base = uuid.uuid4().hex[:8]

    @staticmethod
    def _new_controller() -> tuple[AbortController, str]:
        return AbortController(), uuid.uuid4().hex

    # -- running

    def run(self, seconds: float, threads: int, kinds: tuple[str, ...] = ()) -> None:
        """Make calls of these *kinds*, by default of all, in as many threads, for some seconds; then check what is left."""
        chosen = kinds or KINDS
        workers = [threading.Thread(target=self._work, args=(number, chosen), daemon=True) for number in range(threads)]
        ending = threading.Thread(target=self._end_others, daemon=True)
        for thread in (*workers, ending):
            thread.start()
        self._stopped.wait(seconds)
        self._stopped.set()
        end = time.monotonic() + STUCK
        for thread in workers:
            # A call that waits for an abort or a close gets it, since the thread that sends them ends last.
            thread.join(max(0.0, end - time.monotonic()))
        if any(thread.is_alive() for thread in workers):
            faulthandler.dump_traceback(all_threads=True)
            self.wrong.append(f"{sum(thread.is_alive() for thread in workers)} threads are blocked for ever")
            return
        ending.join(STUCK)
        self.check_keys()
        self.check_connections()

    def _work(self, number: int, kinds: tuple[str, ...]) -> None:
        chance = random.Random(f"{self._seed} {number}")
        step = 0
        while not self._stopped.is_set():
            step += 1
            kind = kinds[(number + step) % len(kinds)]
            try:
                getattr(self, f"call_{kind}")(number * 1_000_000 + step, chance)
            except BaseException:
                self.wrong.append(f"{kind}: {traceback.format_exc()}")
            with self._keyed_lock:
                self.counts[kind] += 1

    def _end_others(self) -> None:
        """Abort, and close clients, while other threads use them; also after the end, until no call waits for it."""
        end: Optional[float] = None
        while end is None or time.monotonic() < end:
            if end is None and self._stopped.wait(0.01):
                end = time.monotonic() + 0.5
            controller, reason = self._controllers.take()
            controller.abort(reason)
            self._closing.take().close()
            time.sleep(0.01)
        self._closing.take().close()

    # -- the kinds of calls

    def call_create(self, number: int, chance: random.Random) -> None:
        """Create, get, list and delete."""
        thread_id = str(uuid.uuid4())
        run = self.client.runs.create(
            thread_id, "agent", input={"number": number}, metadata={"number": number}, if_not_exists="create"
        )
        expect(run.metadata["number"], number)
        expect(run.thread_id, thread_id)
        expect(self.client.runs.get(thread_id, run.run_id).run_id, run.run_id)
        expect([one.run_id for one in self.client.runs.list(thread_id)], [run.run_id])
        try:
            self.client.runs.get(thread_id, str(uuid.uuid4()))
        except NotFoundError as error:
            expect(error.thread_id in (None, thread_id), True)
        else:
            expect("a run", "NotFoundError")

    def call_wait(self, number: int, chance: random.Random) -> None:
        """Wait for a run on a thread that the library makes and deletes."""
        expect(self.client.runs.wait(None, "agent", input={"number": number}), {"number": number})

    def call_stream(self, number: int, chance: random.Random) -> None:
        """Stream a run to its end."""
        with self.client.runs.stream(None, "agent", input={"number": number}, stream_mode="custom") as stream:
            found = [event.data for event in stream if event.event == "custom"]
        expect(found, [{"number": number, "index": index} for index in range(EVENTS)])

    def call_closed_stream(self, number: int, chance: random.Random) -> None:
        """Stream a run, while another thread closes the stream."""
        stream = self.client.runs.stream(str(uuid.uuid4()), "agent", input={"number": number}, if_not_exists="create")
        closer = threading.Timer(chance.uniform(0.0, 0.003), stream.close)
        closer.start()
        for event in stream:
            expect(event.event in ("metadata", "values"), True)
        closer.join()
        stream.close()

    def call_options(self, number: int, chance: random.Random) -> None:
        """Make a copy with other headers; it has the copy's settings, and the client its own."""
        copy = self.client.with_options(headers={"x-number": str(number)}, timeout=30 + number % 7)
        expect(copy.request("GET", "/echo"), {"number": str(number)})
        expect(self.client.request("GET", "/echo"), {"number": None})

    def call_abort(self, number: int, chance: random.Random) -> None:
        """Wait for a server that is silent, until the signal fires that several calls share."""
        controller, reason = self._controllers.get()
        try:
            self.client.request("GET", "/silent", signal=controller.signal)
        except AbortedError as error:
            expect(error.reason, reason)
        else:
            expect("a response", "AbortedError")

    def call_close(self, number: int, chance: random.Random) -> None:
        """Call a client that another thread closes."""
        client = self._closing.get()
        for step in range(SHARING):
            try:
                expect(client.request("GET", "/echo", headers={"x-number": str(step)}), {"number": str(step)})
            except AbortedError as error:
                expect(error.reason, "the client was closed")
                return
            except InvalidRequestError as error:
                expect("closed" in str(error), True)
                return

    def call_map(self, number: int, chance: random.Random) -> None:
        """Map some inputs, in threads of the map's own."""
        inputs = [{"number": number, "index": index} for index in range(INPUTS)]
        with self.client.runs.map("agent", inputs, concurrency=2, ordered=True) as results:
            expect([(result.index, result.get()) for result in results], [(n, {"number": number}) for n in range(INPUTS)])

    def call_key(self, number: int, chance: random.Random) -> None:
        """Start the run of a key that other threads use at the same time, in three ways."""
        with self._keyed_lock:
            key = f"{self._base} {self.counts['key'] // SHARING}"
        given: dict[str, Any] = {
            "input": {"number": key},
            "idempotency_key": key,
            "stream_mode": "custom",
            "stream_resumable": True,
        }
        way = chance.randrange(3)
        if way == 0:
            run_id: Optional[str] = self.client.runs.create(None, "agent", **given).run_id
        elif way == 1:
            outcome = self.client.runs.wait(None, "agent", raise_error=False, **given)
            expect(outcome.values, {"number": key})
            run_id = outcome.run.run_id
        else:
            with self.client.runs.stream(None, "agent", **given) as stream:
                expect([event.data["index"] for event in stream if event.event == "custom"], list(range(EVENTS)))
                run_id = stream.run_id
        with self._keyed_lock:
            self._keyed[key].add(str(run_id))

    # -- what is left

    def check_keys(self) -> None:
        """Each key has one run, which all its calls have got."""
        for key, run_ids in self._keyed.items():
            left = [run.run_id for run in list(self.server.runs.values()) if run.thread_id == thread_of_key(key)]
            if len(run_ids) != 1 or left != list(run_ids):
                self.wrong.append(f"key: calls got {run_ids}, and the server has {left}")

    def check_connections(self) -> None:
        """The idle connections belong to no call, and are no more than the pool keeps; after `close` there is none."""
        connector: Any = self.client._transport._shared.connector()
        pools = connector.session.get_adapter(self.client.base_url).poolmanager.pools
        idle = [connection for key in list(pools.keys()) for connection in pools[key].pool]
        if len(idle) > self.pool_size or any(connection.exchange is not None for connection in idle):
            self.wrong.append(f"the pool holds {idle}")
        self.client.close()
        with contextlib.suppress(AssertionError):
            self.server.wait_until(lambda: self.server.open_connections == 0, "the end of all connections")
        if self.server.open_connections:
            self.wrong.append(f"{self.server.open_connections} connections are open after close()")


KINDS = tuple(name[len("call_") :] for name in vars(Stress) if name.startswith("call_"))


def expect(found: object, wanted: object) -> None:
    if found != wanted:
        raise AssertionError(f"{found!r} instead of {wanted!r}")


@contextlib.contextmanager
def switching_often() -> Iterator[None]:
    """Within this block, Python changes threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.stress", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, metavar="N", help="how long (60)")
    parser.add_argument("--threads", type=int, default=24, metavar="N", help="how many threads make calls (24)")
    parser.add_argument("--pool-size", type=int, default=POOL, metavar="N", help=f"connections that the client keeps ({POOL})")
    parser.add_argument("--kinds", default="", metavar="NAMES", help=f"only these, with commas: {','.join(KINDS)}")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    has_lock = getattr(sys, "_is_gil_enabled", lambda: True)()
    build = "a free-threaded build" if sysconfig.get_config_var("Py_GIL_DISABLED") else "a build with the lock"
    print(f"Python {sys.version.split()[0]}, {build}; the lock is {'in use' if has_lock else 'not used'}", flush=True)
    with StressServer(program) as server, switching_often():
        stress = Stress(server, pool_size=arguments.pool_size, seed=arguments.seed)
        stress.run(arguments.seconds, arguments.threads, tuple(filter(None, arguments.kinds.split(","))))
    print(dict(stress.counts))
    for text, times in collections.Counter(stress.wrong).most_common():
        print(f"{times} x {text}")
    print(f"{len(stress.wrong)} wrong")
    sys.exit(1 if stress.wrong else 0)


if __name__ == "__main__":
    main()

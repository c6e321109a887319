"""One measurement of one side in a fresh process: prints CPU and wall seconds and peak memory as JSON.

python -m tests.bench.worker ours get http://127.0.0.1:PORT [count]
"""

from __future__ import annotations

import functools
import json
import os
import resource
import socket
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

THREAD = "01a1fba7-134d-75bb-be92-342b603af512"
RUN = "01a1fba7-134f-707a-814b-b1e6473e86be"


class Side:
    """The calls that are measured; each subclass makes them with another client."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self) -> Any:
        raise NotImplementedError

    def create(self, value: Any) -> Any:
        raise NotImplementedError

    def wait(self) -> Any:
        raise NotImplementedError

    def stream(self, **options: Any) -> Any:
        """Yields (name, data)."""
        raise NotImplementedError


class Library(Side):
    """A client with the attribute ``runs``, as this library's and the SDK's."""

    runs: Any

    def get(self) -> Any:
        return self.runs.get(THREAD, RUN)

    def create(self, value: Any) -> Any:
        return self.runs.create(THREAD, "agent", input=value)

    def wait(self) -> Any:
        return self.runs.wait(THREAD, "agent", input={"n": 1})


class Ours(Library):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        from langgraph_runs import Client

        self.client = Client(url, api_key="k" * 40)
        self.runs = self.client.runs

    def stream(self, **options: Any) -> Any:
        return self.runs.stream(THREAD, "agent", input=options, stream_mode=options.get("kind", "custom"))


class SDK(Library):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        from langgraph_sdk import get_sync_client

        self.client = get_sync_client(url=url, api_key="k" * 40)
        self.runs = self.client.runs

    def stream(self, **options: Any) -> Any:
        return self.runs.stream(THREAD, "agent", input=options, stream_mode=options.get("kind", "custom"), stream_resumable=True)


class Part:
    __slots__ = ("data", "event")

    def __init__(self, event: str, data: Any) -> None:
        self.event = event
        self.data = data


class Floor(Side):
    """A raw socket and orjson: the lower bound for any client."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        import orjson

        self.loads, self.dumps = orjson.loads, orjson.dumps
        self.host, port = url.split("//")[1].split(":")
        self.port = int(port)
        self.local = threading.local()

    def connection(self) -> socket.socket:
        if not hasattr(self.local, "sock"):
            self.local.sock = socket.create_connection((self.host, self.port))
            self.local.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock: socket.socket = self.local.sock
        return sock

    def exchange(self, head: bytes, body: bytes = b"") -> Any:
        sock = self.connection()
        sock.sendall(head + body)
        data = sock.recv(65536)
        while b"\r\n\r\n" not in data:
            data += sock.recv(65536)
        top, _, rest = data.partition(b"\r\n\r\n")
        at = top.find(b"content-length: ") + 16
        length = int(top[at : top.find(b"\r\n", at) if top.find(b"\r\n", at) > 0 else len(top)])
        while len(rest) < length:
            rest += sock.recv(65536)
        return self.loads(rest)

    def get(self) -> Any:
        return self.exchange(b"GET /threads/%s/runs/%s HTTP/1.1\r\nHost: x\r\n\r\n" % (THREAD.encode(), RUN.encode()))

    def post(self, rest: str, value: Any) -> Any:
        body = self.dumps({"assistant_id": "agent", "input": value})
        head = f"POST /threads/{THREAD}/runs{rest} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        return head, body

    def create(self, value: Any) -> Any:
        return self.exchange(*self.post("", value))

    def wait(self) -> Any:
        return self.exchange(*self.post("/wait", {"n": 1}))

    def stream(self, **options: Any) -> Any:
        sock = self.connection()
        head, body = self.post("/stream", options)
        sock.sendall(head + body)
        pieces: list[bytes] = []
        loads = self.loads
        seen_head = False
        while True:
            data = sock.recv(1 << 16)
            if not data:
                del self.local.sock
                return
            if not seen_head:
                seen_head = True
                data = data.partition(b"\r\n\r\n")[2]
            if b"\n" not in data:  # the middle of a large event: a search for one byte costs next to nothing
                pieces.append(data)
                continue
            pieces.append(data)
            whole = b"".join(pieces)
            parts = whole.split(b"\r\n\r\n") if len(whole) < 1 << 17 else large(whole)
            pieces = [parts.pop()]
            for part in parts:
                at = part.find(b"data: ")
                if at < 0:
                    if part.endswith(b"0"):
                        return
                    continue
                name_at = part.find(b"event: ") + 7
                end = part.find(b"\r\n", at)
                yield Part(part[name_at : part.find(b"\r\n", name_at)].decode(), loads(part[at + 6 : end if end > 0 else None]))


def large(data: bytes) -> list[bytes]:
    """Return ``data.split(b"\\r\\n\\r\\n")``, faster if lines are long."""
    parts, start, at = [], 0, data.find(b"\n")
    while at >= 0:
        if data[at + 1 : at + 3] == b"\r\n" and at > start:
            parts.append(data[start : at - 1])
            start = at + 3
            at += 2
        at = data.find(b"\n", at + 1)
    return [*parts, data[start:]]


SIDES: dict[str, Callable[[str], Side]] = {"ours": Ours, "sdk": SDK, "floor": Floor}


def count_events(side: Side, **options: Any) -> int:
    seen = 0
    for event in side.stream(**options):
        if event.data is not None:
            seen += 1
    return seen


def threads_of(side: Side, method: Callable[[], Any], threads: int, calls: int) -> int:
    failures = 0

    def one(_: int) -> int:
        try:
            method()
            return 0
        except Exception:
            return 1

    with ThreadPoolExecutor(threads) as pool:
        failures = sum(pool.map(one, range(calls)))
    return failures


def delays(side: Side, **options: Any) -> list[float]:
    late = []
    for event in side.stream(**options):
        if isinstance(event.data, dict) and "t" in event.data:
            late.append(time.time() - event.data["t"])
    return late


def delayed(side: Side, count: int, **options: Any) -> dict[str, float]:
    """The median delay of events, and of the first events of ten streams."""
    firsts = [delays(side, events=2, size=200, pace=0.005, **options)[0] for _ in range(10)]
    late = delays(side, events=count, size=200, pace=0.005, **options)
    return {"delay": statistics.median(late), "first": statistics.median(firsts)}


def connections_of(url: str) -> int:
    """Return how many connections the server has accepted so far, without this one."""
    host, port = url.split("//")[1].split(":")
    with socket.create_connection((host, int(port))) as sock:
        sock.sendall(b"GET /connections HTTP/1.1\r\nHost: x\r\n\r\n")
        return int(sock.recv(65536).rpartition(b"\r\n")[2]) - 1


def main() -> None:
    if os.environ.get("LANGGRAPH_RUNS_BENCH_NO_ORJSON"):
        sys.modules["orjson"] = None  # type: ignore[assignment]  # so that it cannot be imported
    name, measure, url = sys.argv[1:4]
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    results: dict[str, Any] = {}
    side = SIDES[name](url)
    small = {"n": 1, "text": "x" * 900}
    nulls = {"messages": [{"role": "user", "content": "x" * 1000, "score": 0.5, "name": None, "id": None} for _ in range(1000)]}
    large = {"messages": [{"role": "user", "content": "x" * 1000, "score": 0.5} for _ in range(1000)]}

    def gets(threads: int, n: int) -> None:
        results.update(failures=threads_of(side, side.get, threads, n))

    work: dict[str, Callable[[int], Any]] = {
        "get": lambda n: [side.get() for _ in range(n)],
        "create_1k": lambda n: [side.create(small) for _ in range(n)],
        "create_1m": lambda n: [side.create(large) for _ in range(n)],
        "create_1m_nulls": lambda n: [side.create(nulls) for _ in range(n)],
        "wait": lambda n: [side.wait() for _ in range(n)],
        "small": lambda n: count_events(side, events=n, size=200),
        "tokens": lambda n: count_events(side, events=n, size=700, kind="messages"),
        "large": lambda n: count_events(side, events=n, size=200_000),
        "one_8m": lambda n: [count_events(side, events=1, size=8_000_000) for _ in range(n)],
        "runs_of_10": lambda n: [count_events(side, events=10, size=200) for _ in range(n)],
        "paced": lambda n: count_events(side, events=n, size=200, pace=0.02),
        "waits_100": lambda n: results.update(failures=sum(threads_of(side, side.wait, 64, n // 100) for _ in range(100))),
        "waits_64": lambda n: results.update(failures=threads_of(side, side.wait, 64, n)),
        **{f"get_{threads}": functools.partial(gets, threads) for threads in (1, 4, 16, 64)},
        "delay_chunked": lambda n: results.update(delayed(side, n)),
        "delay_close": lambda n: results.update(delayed(side, n, close=True)),
    }
    if measure.startswith("size_"):
        work[measure] = lambda n: count_events(side, events=n, size=int(measure[5:]))
    if not measure.startswith("delay"):
        warm = {"waits_100": 100, "large": 20}.get(
            measure, 1 if measure.startswith(("one", "size")) else max(1, min(20, count // 10))
        )
        work[measure](warm)
    opened = connections_of(url)
    before_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu, wall = time.process_time(), time.perf_counter()
    work[measure](count)
    results["cpu"] = (time.process_time() - cpu) / count
    results["wall"] = (time.perf_counter() - wall) / count
    results["grown_kb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_memory
    results["connections"] = connections_of(url) - opened - 1
    print(json.dumps(results))


if __name__ == "__main__":
    main()

"""Streams that are cut: every event comes exactly once and in order, or the loss is reported."""

from __future__ import annotations

import itertools
import pickle
import random
import threading
import time
from typing import Any, Callable, Optional

import pytest

from langgraph_runs import (
    APIStatusError,
    Client,
    LangGraphRunsError,
    NotFoundError,
    RetryPolicy,
    RunCancelledError,
    RunFailedError,
    RunStream,
    StreamInterruptedError,
)
from langgraph_runs.testing.cutting_proxy import CuttingProxy, Fault, Turn, cut_response, seeded, swallow

from ..waiting import PROMPT, wait_until
from .calls import hasty
from .fake_langgraph import Dialect, FakeLangGraph, FakeRun, GraphFailure, burst
from .scripted import (
    RUN_ID,
    THREAD_ID,
    Reply,
    Request,
    ScriptedServer,
    drop_before_answer,
    heartbeat,
    reply,
    reply_json,
    reset_before_answer,
    run_json,
    sse,
    stall,
    thread_json,
)

Connect = Callable[..., Client]

MODES: Any = ["custom", "values"]
RUN = (THREAD_ID, RUN_ID)
RUN_PATH = f"/threads/{THREAD_ID}/runs/{RUN_ID}"
STREAM_PATH = f"{RUN_PATH}/stream"
PATIENT = RetryPolicy(attempts=15, wait_initial=0, budget=None)


class Cuts:
    """After how many events each stream breaks, and how. Knows when all have been used."""

    def __init__(
        self, rng: random.Random, longest: int, *hows: str, count: int = 40, pauses: Callable[[], float] = lambda: 0.001
    ) -> None:
        self._pauses = pauses
        self._left = [(rng.randrange(longest), rng.choice(hows or ("fin", "rst"))) for _ in range(count)]
        #: Set when a stream was opened that is not cut.
        self.over = threading.Event()

    def __iter__(self) -> Cuts:
        return self

    def __next__(self) -> tuple[int, str]:
        if not self._left:
            self.over.set()
            raise StopIteration
        return self._left.pop()

    def paced(self, run: FakeRun) -> Any:
        """Numbered events as long as streams are being cut, and at least as many as the input says: every cut is while the run goes on."""
        i = 0
        while i < run.input["n"] or not self.over.is_set():
            run.emit("custom", {"i": i})
            i += 1
            if i % 25 == 0:
                time.sleep(self._pauses())
        run.emit("values", {"n": i})
        return {"n": i}


def started(client: Client, count: int, **options: Any) -> RunStream[Any]:
    options = {"input": {"n": count}, "stream_mode": MODES, "if_not_exists": "create", **options}
    return client.runs.stream(THREAD_ID, "agent", **options)


def check(events: list[Any], count: Optional[int] = None) -> None:
    """All events of a burst, each once, in order; `count` of them, or as many as the final values say."""
    if count is None:
        count = next(event.data["n"] for event in events if event.event == "values")
    numbers = [event.data["i"] for event in events if event.event == "custom"]
    lost, twice = sorted(set(range(count)) - set(numbers)), len(numbers) - len(set(numbers))
    assert ([], 0) == (lost, twice)
    assert list(range(count)) == numbers
    assert ["metadata", *["custom"] * count, "values"] == [event.event for event in events if event.event != "end"]


DIALECTS = {
    "ms": Dialect(),
    "ms, replay repeats": Dialect(overlap=60),
    "ms, many siblings": Dialect(siblings=40, overlap=30),
    "ms, one sibling": Dialect(siblings=1),
    "ms-seq": Dialect(ids="ms-seq", newline="\n"),
    "ms-seq, replay repeats": Dialect(ids="ms-seq", overlap=60),
    "int": Dialect(ids="int", newline="\n", end_event=True),
    "int, replay repeats": Dialect(ids="int", overlap=60),
    "uuid": Dialect(ids="uuid", newline="\n"),
    "uuid, replay repeats": Dialect(ids="uuid", overlap=60),
    "CR": Dialect(newline="\r", heartbeat=0.001),
    "no Location": Dialect(locations=False),
    "prefix": Dialect(prefix="/api/v1"),
    "prefix, no Location": Dialect(prefix="/api", locations=False, ids="int"),
    "end event": Dialect(end_event=True),
}


@pytest.mark.parametrize("seed", range(60))
def test_exact_when_cut_in_mid_run(connect: Connect, seed: int) -> None:
    """Seeded cuts, clean ends among them, while a run emits thousands of events: 0 lost, 0 doubled, in order, on each dialect."""
    rng = random.Random(seed)
    dialect = list(DIALECTS.values())[seed % len(DIALECTS)]
    cuts = Cuts(rng, 120 + dialect.overlap, "fin", "rst", "end")
    with FakeLangGraph(cuts.paced, dialect, seed=seed) as server:
        server.cuts = iter(cuts)
        with started(hasty(connect(server.url, retry=PATIENT)), 500) as stream:
            events = list(stream)

    check(events)
    assert [] == stream.gaps
    assert stream.outcome is not None and "success" == stream.outcome.status
    assert 1 == len(server.created)


STUBBORN = [
    DIALECTS["ms, many siblings"],
    Dialect(overlap=1),
    Dialect(siblings=1, overlap=1),
    Dialect(ids="uuid", overlap=1),
    Dialect(ids="uuid", overlap=60),
]


@pytest.mark.parametrize("seed", range(10))
def test_exact_when_connections_are_opened_while_nothing_is_published(connect: Connect, seed: int) -> None:
    """A server that always sends the last events again, also those from before the connection."""
    rng, dialect = random.Random(seed), STUBBORN[seed % len(STUBBORN)]
    cuts = Cuts(rng, 60, "fin", "rst", "end", count=30, pauses=lambda: rng.choice([0.001, 0.02]))
    with FakeLangGraph(cuts.paced, dialect, seed=seed) as server:
        server.cuts = iter(cuts)
        with started(hasty(connect(server.url, retry=PATIENT)), 500) as stream:
            check(list(stream))
    assert [] == stream.gaps


@pytest.mark.parametrize("verify", [True, False])
def test_a_run_that_ends_while_an_event_is_in_doubt(connect: Connect, verify: bool) -> None:
    """The end of the run decides: one more connection has each event once."""

    def program(run: FakeRun) -> Any:
        run.emit("custom", {"i": 0})
        wait_until(lambda: server.listeners >= 3, "the connection that waits for a newer event", PROMPT)
        return {}

    with FakeLangGraph(program, Dialect(siblings=1, overlap=1)) as server:
        server.cuts = iter([(2, "rst")])
        with started(hasty(connect(server.url, retry=PATIENT, verify_outcome=verify)), 1, stream_mode=["custom"]) as stream:
            assert ["metadata", "custom"] == [event.event for event in stream]
        assert 4 == server.listeners


@pytest.mark.parametrize("seed", range(60))
def test_exact_when_cut_after_a_burst(connect: Connect, seed: int) -> None:
    """The same when the run has ended long before its events were read."""
    rng = random.Random(seed)
    dialect = list(DIALECTS.values())[seed % len(DIALECTS)]
    count = rng.choice([200, 500, 1000, 2500])
    with FakeLangGraph(burst, dialect, seed=seed) as server:
        server.cuts = iter(Cuts(rng, count // 8 + 80))
        with started(hasty(connect(server.url, retry=PATIENT)), count) as stream:
            check(list(stream), count)
        assert [] == stream.gaps


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_exact_when_cut_after_every_event(connect: Connect, dialect: Dialect, how: str) -> None:
    """A connection that gives a few new events at the most, again and again: progress refills the attempts."""
    count = 40
    with FakeLangGraph(burst, dialect, seed=7) as server:
        step = 2 + 2 * (dialect.siblings if dialect.ids == "ms" else 1)
        server.cuts = iter([(1 + n % step, how) for n in range(60 * step)])
        with started(
            hasty(connect(server.url, retry=RetryPolicy(attempts=4 * step, wait_initial=0, budget=None))), count
        ) as stream:
            check(list(stream), count)


@pytest.mark.parametrize("seed", range(20))
def test_exact_when_cut_at_any_byte(connect: Connect, seed: int) -> None:
    """Cuts at random bytes of the stream, within events, chunk sizes and heads: half an event is never delivered."""
    count = 600
    dialect = list(DIALECTS.values())[seed % 10]
    with FakeLangGraph(burst, dialect, seed=seed) as server, CuttingProxy(server.url) as proxy:
        rng = random.Random(seed)

        def fault_of(turn: Turn) -> Fault:
            if b"/stream" not in turn.first[:200] or rng.random() < 0.1:
                return Fault("never")
            return cut_response(rng.randrange(12_000), reset=rng.random() < 0.5)

        proxy.choose_fault = fault_of
        with started(hasty(connect(proxy.url, retry=RetryPolicy(attempts=30, wait_initial=0, budget=None))), count) as stream:
            check(list(stream), count)


@pytest.mark.parametrize("seed", range(12))
def test_exact_when_every_request_may_break(connect: Connect, seed: int) -> None:
    """A third of all turns broken, the create and the questions about the run included."""
    count = 300
    with FakeLangGraph(burst, seed=seed) as server, CuttingProxy(server.url, seeded(seed, longest=15_000)) as proxy:
        client = hasty(connect(proxy.url, retry=RetryPolicy(attempts=12, wait_initial=0, budget=None)))
        with started(client, count) as stream:
            check(list(stream), count)

    assert 1 == len(server.created)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
def test_exact_when_joined_from_the_start(connect: Connect, dialect: Dialect) -> None:
    """join_stream from "0" of a run that goes on, under cuts: the same as if it had been streamed."""
    cuts = Cuts(random.Random(3), 100 + dialect.overlap, "fin", "rst", "end")
    with FakeLangGraph(cuts.paced, dialect, seed=3) as server:
        client = hasty(connect(server.url, retry=PATIENT))
        run = client.runs.create(
            THREAD_ID, "agent", input={"n": 400}, stream_mode=MODES, stream_resumable=True, if_not_exists="create"
        )
        server.cuts = iter(cuts)
        with client.runs.join_stream(THREAD_ID, run.run_id, last_event_id="0") as stream:
            check(list(stream))


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
@pytest.mark.parametrize("how", ["fin", "rst", "end"])
def test_a_connection_that_is_lost_before_its_first_event(connect: Connect, dialect: Dialect, how: str) -> None:
    """The headers had come, nothing else: the stream is opened again from its start."""
    if not dialect.locations:
        pytest.skip("without Location and metadata nothing has named the run; see the test below")
    with FakeLangGraph(burst, dialect) as server:
        server.cuts = iter([(0, how)] if how == "end" else [(0, how), (0, how)])
        with started(hasty(connect(server.url, retry=PATIENT)), 50) as stream:
            check(list(stream), 50)


@pytest.mark.parametrize("how", ["fin", "rst", "end"])
def test_a_run_that_nothing_has_named_is_found_on_its_thread(connect: Connect, how: str) -> None:
    """No Location, and the connection lost before metadata: the run is found by its request id, its events come all."""
    with FakeLangGraph(burst, Dialect(locations=False)) as server:
        server.cuts = iter([(0, how)])
        with started(hasty(connect(server.url, retry=PATIENT)), 50) as stream:
            check(list(stream), 50)

    assert [stream.run_id] == [run.run_id for run in server.created]


@pytest.mark.parametrize("ids", ["ms", "ms-seq", "int", "uuid"])
def test_equal_events_are_not_taken_for_one(connect: Connect, ids: str) -> None:
    """Events of equal content, as tokens are, come as often as they were sent, while no connection breaks."""

    def tokens(run: FakeRun) -> Any:
        for _ in range(200):
            run.emit("custom", " ")
        return {}

    with FakeLangGraph(tokens, Dialect(ids=ids)) as server:
        with connect(server.url).runs.stream(THREAD_ID, "agent", stream_mode="custom", if_not_exists="create") as stream:
            assert [" "] * 200 == [event.data for event in stream if event.event == "custom"]


@pytest.mark.parametrize("ids", ["ms-seq", "int", "uuid"])
@pytest.mark.parametrize("seed", range(4))
def test_equal_events_with_ids_of_their_own_survive_cuts(connect: Connect, ids: str, seed: int) -> None:
    """If ids are unique, equal content is no reason to drop an event after a cut either."""

    def tokens(run: FakeRun) -> Any:
        for number in range(300):
            run.emit("custom", " " if number % 10 else "word")
        return {}

    with FakeLangGraph(tokens, Dialect(ids=ids)) as server:
        server.cuts = iter(Cuts(random.Random(seed), 90))
        client = hasty(connect(server.url, retry=PATIENT))
        with client.runs.stream(THREAD_ID, "agent", stream_mode="custom", if_not_exists="create") as stream:
            got = [event.data for event in stream if event.event == "custom"]

    assert (["word"] + [" "] * 9) * 30 == got


# -- attempts


def running(then: str = "success", times: int = 1) -> Callable[[Request], Reply]:
    """The run: running for the first *times* requests, then ended."""
    requests: list[Request] = []

    def reply_to(request: Request) -> Reply:
        requests.append(request)
        return reply_json(200, run_json("running" if len(requests) <= times else then))

    return reply_to


def routes(run: Any = None, **more: Any) -> Any:
    found = {
        ("GET", RUN_PATH): run or reply_json(200, run_json("success")),
        ("GET", f"/threads/{THREAD_ID}/runs"): reply_json(200, []),
    }
    return {**found, **more}


ONE = ("custom", {"i": 0}, "1795224633885-0")
TWO = ("custom", {"i": 1}, "1795224633886-0")
#: What a server has to replay after both: events from the one before the last.
NO_MORE = sse(ONE, TWO)
#: The first event of a run, without an id.
HEAD = ("metadata", {"run_id": RUN_ID, "attempt": 1})


def test_without_progress_the_attempts_run_out(connect: Connect) -> None:
    """A finished run whose stream breaks at the same place again and again ends in StreamInterruptedError, not never."""
    with ScriptedServer(sse(ONE, run=RUN).then_cut(), routes=routes(), always=sse(ONE).then_cut()) as server:
        got: list[Any] = []
        with pytest.raises(StreamInterruptedError) as caught:
            for event in hasty(connect(server.url)).runs.stream(THREAD_ID, "agent"):
                got.append(event.data)
        opened = [request for request in server.requests if request.path.endswith("/stream")]

    assert [{"i": 0}] == got
    assert 4 == len(opened)
    assert (ONE[2], 1) == (caught.value.last_event_id, caught.value.events_seen)
    assert (RUN_ID, THREAD_ID) == (caught.value.run_id, caught.value.thread_id)


def test_a_new_event_resets_the_attempts(connect: Connect) -> None:
    """With two attempts, ten connections that each bring one event and break are no failure."""
    events = [("custom", {"i": n}, str(n + 1)) for n in range(10)]
    script = [sse(*pair).then_cut() for pair in zip(events, events[1:])]
    with ScriptedServer(sse(events[0], run=RUN).then_reset(), *script, routes=routes(), always=sse(events[-1])) as server:
        client = hasty(connect(server.url, retry=RetryPolicy(attempts=2, wait_initial=0)))
        assert list(range(10)) == [event.data["i"] for event in client.runs.stream(THREAD_ID, "agent")]


def test_a_server_that_is_away_for_a_while(connect: Connect) -> None:
    """Refused connections, 503 and 429 while reconnecting use up attempts, and the stream goes on where it was."""
    script = [reply(503), drop_before_answer()]
    with ScriptedServer(sse(ONE, run=RUN).then_cut(), *script, routes=routes(), always=NO_MORE) as server:
        got = [event.data["i"] for event in hasty(connect(server.url)).runs.stream(THREAD_ID, "agent")]

    assert [0, 1] == got


@pytest.mark.parametrize("status", [400, 401, 403, 410, 422])
def test_a_refused_reconnect_ends_the_stream(connect: Connect, status: int) -> None:
    """A status that is not transient ends the stream in StreamInterruptedError at once, caused by that response."""
    with ScriptedServer(
        sse(ONE, run=RUN).then_cut(), reply_json(status, {"detail": "no more"}), routes=routes(running(times=9))
    ) as server:
        stream = hasty(connect(server.url)).runs.stream(THREAD_ID, "agent")
        assert {"i": 0} == next(stream).data
        with pytest.raises(StreamInterruptedError, match="no more") as caught:
            next(stream)

    assert isinstance(caught.value.__cause__, APIStatusError)
    assert status == caught.value.__cause__.status_code


def test_silence_while_the_run_goes_on_uses_no_attempt(connect: Connect) -> None:
    """A server without heartbeats: the stream outlives many read timeouts, with a single attempt, while the run is running."""
    gate = threading.Event()

    def slow(run: FakeRun) -> Any:
        run.emit("custom", {"i": 0})
        run.wait(gate)
        run.emit("custom", {"i": 1})
        run.emit("values", {"n": 2})
        return {"n": 2}

    with FakeLangGraph(slow, Dialect(heartbeat=None)) as server:
        client = hasty(connect(server.url, read_timeout=0.6, retry=RetryPolicy(attempts=1)))
        with started(client, 2) as stream:
            assert ["metadata", "custom"] == [next(stream).event, next(stream).event]
            opener = threading.Thread(target=lambda: (server.wait_until(lambda: server.listeners >= 4, "4 listeners"), gate.set()))
            opener.start()
            assert ["custom", "values"] == [event.event for event in stream]
            opener.join()

    assert 4 <= server.listeners
    assert [] == stream.gaps


def test_silence_while_the_run_is_pending_uses_no_attempt(connect: Connect) -> None:
    """The same before the run has begun, in wait and join too."""
    gate = threading.Event()

    def slow(run: FakeRun) -> Any:
        run.wait(gate)
        return {"done": True}

    with FakeLangGraph(slow, Dialect(heartbeat=None)) as server:
        client = hasty(connect(server.url, read_timeout=0.6, retry=RetryPolicy(attempts=1)))

        def release() -> None:
            server.wait_until(lambda: sum("/join" in r.path for r in server._requests) >= 4, "4 joins")
            gate.set()

        opener = threading.Thread(target=release)
        opener.start()
        assert {"done": True} == client.runs.wait(THREAD_ID, "agent", if_not_exists="create")
        opener.join()

    assert 1 == len(server.created)


def test_heartbeats_alone_keep_a_stream_open(connect: Connect) -> None:
    """With heartbeats more frequent than read_timeout the first connection lasts, however long the run."""
    gate = threading.Event()
    streams: list[int] = []

    def slow(run: FakeRun) -> Any:
        run.wait(gate)
        run.emit("custom", {"i": 0})
        run.emit("values", {})
        return {}

    with FakeLangGraph(slow, Dialect(heartbeat=0.02)) as server:

        def open_gate() -> None:
            streams.append(sum("/stream" in request.path for request in server.requests))
            gate.set()

        timer = threading.Timer(1.5, open_gate)  # the passing of time is what is tested
        timer.start()
        with started(connect(server.url, read_timeout=1.0), 1) as stream:
            check(list(stream), 1)
        timer.join()

    # At the end one more may look for further events: the ids of this server do not go with the time.
    assert [1] == streams


def test_a_clean_end_while_the_run_goes_on_is_no_end(connect: Connect) -> None:
    """As a server that is shut down gracefully ends its streams: the run is requested, and the stream opened again."""
    with ScriptedServer(sse(ONE, run=RUN), routes=routes(running(times=1)), always=NO_MORE) as server:
        got = [event.data["i"] for event in connect(server.url).runs.stream(THREAD_ID, "agent")]

    assert [0, 1] == got


def test_a_server_that_ends_each_stream_at_once_is_not_hammered(connect: Connect) -> None:
    """While the run goes on and every stream ends at once, the pauses between the attempts grow."""
    moments: list[float] = []

    def empty(request: Request) -> Reply:
        moments.append(request.at)
        return sse(one)

    one = ("custom", {"i": 0}, "1")
    with ScriptedServer(sse(one, run=RUN), routes={**routes(running(times=6)), ("GET", STREAM_PATH): empty}) as server:
        assert [{"i": 0}] == [event.data for event in connect(server.url).runs.stream(THREAD_ID, "agent")]

    assert 7 == len(moments)
    assert moments[-1] - moments[0] > 0.5


# -- what is sent to go on


@pytest.mark.parametrize(
    ("ids", "sent"),
    [
        (["5", "6", "8"], "6"),
        (["5", "6", "7"], "6"),
        ([f"{RUN_ID}_event_{n}" for n in (1, 2, 3)], f"{RUN_ID}_event_2"),
        (["a", "b", "c"], "b"),
        (["1795224633885-0", "1795224633886-0", "1795224633887-0"], "1795224633886-0"),
        (["1795224633885-0", "1795224633886-0", "1795224633886-0"], "1795224633885-0"),
        (["1795224633885-0"] * 3, "-1"),
        (["é", "ü", "€"], "ü"),
    ],
    ids=["numbers", "counted", "counted with a name", "opaque", "clock", "clock, siblings", "clock, all siblings", "not ASCII"],
)
def test_a_stream_is_resumed_from_an_id_that_loses_no_event(connect: Connect, ids: list[str], sent: str) -> None:
    """From the id before the last one, so that no event is lost that shares the last id, and so that the last event comes again,
    which shows that the server keeps the events."""
    events = [("custom", {"i": n}, one) for n, one in enumerate(ids)]
    with ScriptedServer(sse(*events, run=RUN).then_cut(), routes=routes(), always=sse(*events)) as server:
        with connect(server.url).runs.stream(THREAD_ID, "agent") as stream:
            assert [0, 1, 2] == [event.data["i"] for event in stream]
        again = next(request for request in server.requests if request.line.startswith(f"GET {STREAM_PATH}".encode()))

    assert sent == (again.header("Last-Event-ID") or "").encode("latin-1").decode("utf-8")


def test_a_reconnect_sends_key_and_headers(connect: Connect) -> None:
    """The request that goes on has the client's key, the call's headers and the modes of a join."""
    with ScriptedServer(sse(HEAD, ONE).then_cut(), routes=routes(), always=sse(HEAD, ONE, TWO)) as server:
        client = connect(server.url, api_key="k", headers={"a": "b"})
        list(
            client.runs.join_stream(
                THREAD_ID, RUN_ID, stream_mode="custom", headers={"c": "d"}, params={"e": "f"}, last_event_id="0"
            )
        )
        first, again, *_ = [request for request in server.requests if request.path == STREAM_PATH]

    assert first.query == again.query
    assert ["k", "b", "d"] == [again.header(name) for name in ("x-api-key", "a", "c")]
    assert ["-1", "-1"] == [request.header("Last-Event-ID") for request in (first, again)]


def test_retry_of_the_server_is_obeyed(connect: Connect) -> None:
    """A ``retry:`` field sets the wait before the stream is opened again."""
    with ScriptedServer(sse(b"retry: 300\r\n\r\n", ONE, run=RUN).then_cut(), routes=routes(), always=NO_MORE) as server:
        list(connect(server.url, retry=RetryPolicy(wait_initial=0)).runs.stream(THREAD_ID, "agent"))
        _, checked, again = server.requests[:3]

    assert (RUN_PATH, STREAM_PATH) == (checked.path, again.path)
    assert again.at - checked.at > 0.28


# -- where to go on: Location


def evil_locations(evil: ScriptedServer, own: str) -> dict[str, str]:
    host, port = "127.0.0.1", evil.port
    name = own.partition("://")[2]
    path = "/threads/x/runs/y/stream"
    return {
        "absolute": f"http://{host}:{port}{path}",
        "scheme-relative": f"//{host}:{port}{path}",
        "three slashes": f"///{host}:{port}{path}",
        "backslashes": f"\\\\{host}:{port}{path}",
        "slash and backslash": f"/\\{host}:{port}{path}",
        "userinfo": f"http://{name}@{host}:{port}{path}",
        "userinfo and backslash": f"http://{host}:{port}\\@{name}{path}",
        "another port": f"http://{host}:{port}{path}",
        "another scheme": f"https://{name}{path}",
        "tab": f"/\t/{host}:{port}{path}",
        "newline": f"/\n/{host}:{port}{path}".replace("\n", "%0a"),
        "blank before": f" //{host}:{port}{path}",
        "without slashes": f"http:{host}:{port}{path}",
        "javascript": "javascript:alert(1)",
        "file": "file:///etc/passwd",
        "at the end": f"http://{name}.evil.example{path}",
        "bad port": f"http://{host}:99999999{path}",
        "bracket": f"http://[{host}]:{port}{path}",
        "fragment": f"#//{host}:{port}",
        "query": f"?x=//{host}:{port}",
        "not ASCII": f"http://{host}\u3002evil:{port}{path}",
        "full width slashes": f"\uff0f\uff0f{host}:{port}{path}",
        "dots": "/../../assistants",
        "encoded dots": "/%2e%2e/%2e%2e/assistants",
    }


KINDS = [
    "absolute",
    "scheme-relative",
    "three slashes",
    "backslashes",
    "slash and backslash",
    "userinfo",
    "userinfo and backslash",
    "another port",
    "another scheme",
    "tab",
    "newline",
    "blank before",
    "without slashes",
    "javascript",
    "file",
    "at the end",
    "bad port",
    "bracket",
    "fragment",
    "query",
    "not ASCII",
    "full width slashes",
    "dots",
    "encoded dots",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stateless", [False, True], ids=["on a thread", "stateless"])
def test_a_location_that_leads_elsewhere_is_not_followed(connect: Connect, kind: str, stateless: bool) -> None:
    """Neither the key nor anything else goes to another server, nor to another place of this one, than the run's stream."""
    with ScriptedServer() as evil:
        with ScriptedServer(always=reply(404)) as server:
            locations = evil_locations(evil, server.url)
            assert set(KINDS) == set(locations)
            location = locations[kind]
            first = sse(ONE, headers=[("Location", location), ("Content-Location", location)]).then_cut()
            server._script = [first]
            client = hasty(connect(server.url, api_key="secret"))
            with pytest.raises(LangGraphRunsError):
                list(client.runs.stream(None if stateless else THREAD_ID, "agent"))
            targets = {request.target for request in server.requests[1:]}
        assert 0 == evil.connections

    assert all(target.startswith(("/threads/", "/runs/")) and ".." not in target for target in targets), targets
    assert not any("assistants" in target for target in targets)


@pytest.mark.parametrize(
    "location",
    ["{path}", "{own}{path}", "{OWN}{path}", "{own}{prefix}{path}", "{prefix}{path}"],
)
@pytest.mark.parametrize("prefix", ["", "/api", "/a/b"])
def test_a_location_of_this_server_is_joined_below_the_prefix(connect: Connect, prefix: str, location: str) -> None:
    """A stream goes on at its Location, which may or may not name origin and mount prefix."""
    path = f"/runs/{RUN_ID}/stream"
    with ScriptedServer(always=reply(404)) as server:
        sent = location.format(path=path, own=server.url, OWN=server.url.replace("http", "HTTP"), prefix=prefix)
        server._script = [sse(ONE, headers={"Location": sent}).then_cut(), sse(ONE, TWO)]
        with hasty(connect(server.url + prefix, verify_outcome=False)).runs.stream(THREAD_ID, "agent") as stream:
            assert [0, 1] == [event.data["i"] for event in stream]
        assert f"{prefix}{path}" == server.requests[1].target


def test_behind_a_prefix_the_run_is_requested_below_it(connect: Connect) -> None:
    """Location lacks the mount prefix; the later requests have it."""
    prefixed = {("GET", f"/api{path}"): reply_ for (_, path), reply_ in routes().items()}
    with ScriptedServer(sse(ONE, run=RUN).then_cut(), routes=prefixed, always=NO_MORE) as server:
        with connect(f"{server.url}/api/").runs.stream(THREAD_ID, "agent") as stream:
            assert [0, 1] == [event.data["i"] for event in stream]

    assert all(request.target.startswith("/api/threads/") for request in server.requests)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        (f"{STREAM_PATH}?token=a%2Fb&empty=", f"{STREAM_PATH}?token=a%2Fb&empty="),
        ("/runs/elsewhere?x=1", "/runs/elsewhere?x=1"),
        ("{own}/runs/elsewhere?x=1#fragment", "/runs/elsewhere?x=1"),
    ],
)
def test_a_location_is_followed_with_its_query(connect: Connect, location: str, target: str) -> None:
    """Also where the run's own path is known: the server knows better where its stream is."""
    with ScriptedServer(routes=routes(), always=NO_MORE) as server:
        headers = {"Location": location.format(own=server.url), "Content-Location": RUN_PATH}
        server._script = [sse(ONE, headers=headers).then_cut(), NO_MORE]
        with connect(server.url).runs.stream(THREAD_ID, "agent") as stream:
            assert [0, 1] == [event.data["i"] for event in stream]
        opened = [request.target for request in server.requests if request.method == "GET" and request.target != RUN_PATH]

    assert target == opened[0]


def test_the_newest_location_is_followed(connect: Connect) -> None:
    """A resumed stream may name another place; one that names none leaves it as it was, and so does one of another server."""
    second, third = {"Location": f"{STREAM_PATH}?part=2"}, {"Location": "http://elsewhere.example/stream?part=3"}
    script = [
        sse(ONE, run=RUN).then_cut(),
        sse(ONE, TWO, headers=second).then_cut(),
        sse(TWO, headers=third).then_cut(),
        sse(TWO).then_cut(),
    ]
    end = sse(TWO, ("values", {"i": 2}, "1795224633887-0"), ("end", None, "1795224633888-0"))
    with ScriptedServer(*script, routes=routes(), always=end) as server:
        client = hasty(connect(server.url, retry=RetryPolicy(attempts=9, wait_initial=0)))
        with client.runs.stream(THREAD_ID, "agent") as stream:
            assert [0, 1, 2] == [event.data["i"] for event in stream if event.data]
        opened = [request.target for request in server.requests if request.path == STREAM_PATH]

    assert [STREAM_PATH, *[f"{STREAM_PATH}?part=2"] * 3] == opened


def test_a_join_after_an_id_that_counts_requests_no_filter_and_so_notices_missing_events(connect: Connect) -> None:
    """With a filter of the server ids jump, so that a jump would be no evidence. Other modes are left out here."""
    events = [("custom", {"i": number}, f"run_event_{number}") for number in range(13, 16)]
    replies = {"gap": sse(*events, ("end", None, "run_event_16")), "complete": sse(("values", {}, "run_event_12"), *events)}
    for name, response in replies.items():
        with ScriptedServer(response, routes=routes(), always=sse(("end", None, "run_event_16"))) as server:
            last = "run_event_8" if name == "gap" else "run_event_11"
            client = hasty(connect(server.url))
            with client.runs.join_stream(THREAD_ID, RUN_ID, stream_mode="custom", last_event_id=last) as stream:
                if name == "gap":
                    with pytest.raises(StreamInterruptedError):
                        list(stream)
                else:
                    assert [13, 14, 15] == [event.data["i"] for event in stream if event.event == "custom"]
                    assert [] == stream.gaps
            assert [""] * len(server.requests) == [request.query for request in server.requests]


def test_the_query_of_a_join_and_that_of_a_location_are_both_sent(connect: Connect) -> None:
    """The modes that the caller chose count for more than those in Location."""
    location = {"Location": f"{STREAM_PATH}?token=x&stream_mode=values", "Content-Location": RUN_PATH}
    with ScriptedServer(sse(HEAD, ONE, headers=location).then_cut(), routes=routes(), always=sse(HEAD, ONE, TWO)) as server:
        with connect(server.url).runs.join_stream(THREAD_ID, RUN_ID, stream_mode="custom", last_event_id="0") as stream:
            assert [0, 1] == [event.data["i"] for event in stream if event.mode == "custom"]
        first, second = [request.target for request in server.requests if request.path == STREAM_PATH][:2]

    assert second == first.replace("?", "?token=x&")


@pytest.mark.parametrize("wrong", [reply(404), reply(405), reply_json(200, {"joined": True})], ids=["404", "405", "no stream"])
def test_a_location_that_is_no_stream_is_left_for_the_path_of_the_run(connect: Connect, wrong: Reply) -> None:
    location = {"Location": f"{RUN_PATH}/join", "Content-Location": RUN_PATH}
    with ScriptedServer(sse(ONE, headers=location).then_cut(), wrong, routes=routes(), always=NO_MORE) as server:
        with connect(server.url).runs.stream(THREAD_ID, "agent") as stream:
            assert [0, 1] == [event.data["i"] for event in stream]
        opened = [request.path for request in server.requests if request.method == "GET" and request.path != RUN_PATH]

    assert [f"{RUN_PATH}/join", STREAM_PATH] == opened[:2]


# -- the last event id


def resumed_with(server: ScriptedServer) -> list[Optional[str]]:
    """The ids that the resumed connections were opened with."""
    return [request.header("Last-Event-ID") for request in server.requests if request.method == "GET" and "/stream" in request.path]


def test_the_id_of_a_frame_without_data_is_sent(connect: Connect) -> None:
    """It is no event, but the server wants to be resumed from there."""
    first = sse(("custom", {"i": 0}, "4"), b"id: 5\n\n", run=RUN).then_cut()
    with ScriptedServer(first, routes=routes(), always=sse(("custom", {"i": 1}, "6"))) as server:
        with connect(server.url).runs.stream(THREAD_ID, "agent") as stream:
            assert [("4", 0), ("6", 1)] == [(event.id, event.data["i"]) for event in stream]

    assert "5" == resumed_with(server)[0]


def test_a_frame_without_data_gives_its_id_to_events_without_one(connect: Connect) -> None:
    head = ("metadata", {"run_id": RUN_ID}, None)
    with ScriptedServer(sse(b"id: 5\n\n", head, ("custom", 1, "6"), run=RUN), routes=routes(), always=sse()) as server:
        with connect(server.url).runs.stream(THREAD_ID, "agent") as stream:
            assert ["5", "6"] == [event.id for event in stream]


def test_after_an_empty_id_none_is_sent(connect: Connect) -> None:
    """If the server then begins again from the start, nothing is lost and nothing comes twice."""
    events = [("custom", {"i": n}, str(n + 1)) for n in range(4)]
    first = sse(*events[:2], b"id:\n\n", run=RUN).then_cut()
    with ScriptedServer(first, routes=routes(), always=sse(*events)) as server:
        with connect(server.url).runs.stream(THREAD_ID, "agent") as stream:
            assert [0, 1, 2, 3] == [event.data["i"] for event in stream]

    assert None is resumed_with(server)[0]


def test_after_an_empty_id_a_stream_that_begins_later_has_a_gap(connect: Connect) -> None:
    """Nothing says that the events in between were none."""
    first = sse(("custom", {"i": 0}, "1"), b"id\n\n", run=RUN).then_cut()
    rest = sse(("custom", {"i": 2}, "3"))
    with ScriptedServer(first, routes=routes(), always=rest) as server:
        with connect(server.url).runs.stream(THREAD_ID, "agent", on_gap="mark") as stream:
            assert [0, 2] == [event.data["i"] for event in stream]
        assert [("1", 1)] == [(gap.after_id, gap.events_seen) for gap in stream.gaps]
    assert None is resumed_with(server)[0]

    with ScriptedServer(first, routes=routes(), always=rest) as server:
        with pytest.raises(StreamInterruptedError, match="keeps"):
            list(connect(server.url).runs.stream(THREAD_ID, "agent"))


def test_the_id_that_the_caller_gave_holds_until_the_server_sends_one(connect: Connect) -> None:
    with ScriptedServer(
        sse(("metadata", {"run_id": RUN_ID}, None), ("custom", 1, "6")), routes=routes(), always=sse(("custom", 1, "6"))
    ) as server:
        with connect(server.url).runs.join_stream(THREAD_ID, RUN_ID, last_event_id="5") as stream:
            assert [("5", "5"), ("6", "6")] == [(event.id, stream.last_event_id) for event in stream]


@pytest.mark.parametrize("cut", range(1, 6))
@pytest.mark.parametrize("words", ["aabac", "aaaaa", "ababa", "abaab", "aabaa"])
def test_equal_tokens_of_one_millisecond_are_exact_when_the_run_has_ended(connect: Connect, words: str, cut: int) -> None:
    """All share one id, so that the server sends all of them again: they are matched by their order."""
    tokens = [("custom", word, ONE[2]) for word in words]
    with ScriptedServer(sse(*tokens[:cut], run=RUN).then_cut(), routes=routes(), always=sse(*tokens)) as server:
        with connect(server.url).runs.stream(THREAD_ID, "agent") as stream:
            assert list(words) == [event.data for event in stream]


# -- stateless


@pytest.mark.parametrize("locations", [True, False], ids=["located", "not located"])
def test_a_stateless_stream_is_resumed_on_its_own_thread(connect: Connect, locations: bool) -> None:
    """The library has chosen the thread, so that the run is found there. The thread is deleted at the end of the stream."""
    with FakeLangGraph(burst, Dialect(locations=locations, stateless=False)) as server:
        server.cuts = iter([(2, "fin"), (9, "rst")])
        with hasty(connect(server.url)).runs.stream(None, "agent", input={"n": 20}, stream_mode="custom") as stream:
            got = [event.data["i"] for event in stream if event.event == "custom"]

        assert list(range(20)) == got
        assert [stream.run_id] == [run.run_id for run in server.created]
        assert {} == server.threads


# -- what cannot be replayed


def chatter(run: FakeRun) -> Any:
    run.emit("messages/metadata", {"m": {}})
    for number in range(5):
        run.emit("messages/partial", [{"content": "x" * number}])
    run.emit("values", {"n": 1})
    return {"n": 1}


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_messages_that_were_lost_are_an_error(connect: Connect, how: str) -> None:
    """The server keeps no messages/* events: a cut raises, after everything that was received."""
    with FakeLangGraph(chatter) as server:
        server.cuts = iter([(4, how)])
        got = []
        with pytest.raises(StreamInterruptedError) as caught:
            for event in connect(server.url).runs.stream(THREAD_ID, "agent", stream_mode="messages", if_not_exists="create"):
                got.append(event.event)

    assert ["metadata", "messages/metadata", "messages/partial", "messages/partial"] == got
    assert 4 == caught.value.events_seen
    assert server.created[0].run_id == caught.value.run_id


def test_messages_that_were_lost_are_marked(connect: Connect) -> None:
    """on_gap="mark" goes on with what there is, and notes where something is missing, once for each cut."""
    gate = threading.Event()

    def talk(run: FakeRun) -> Any:
        chatter(run)
        run.wait(gate)
        run.emit("messages/complete", [{"content": "done"}])
        return {}

    with FakeLangGraph(talk) as server:
        server.cuts = iter([(3, "fin")])
        modes: Any = ["messages", "values"]
        with hasty(connect(server.url)).runs.stream(
            THREAD_ID, "agent", stream_mode=modes, if_not_exists="create", on_gap="mark"
        ) as stream:
            got = [next(stream).event for _ in range(3)]
            opener = threading.Thread(
                target=lambda: (server.wait_until(lambda: server.listeners == 2, "a second listener"), gate.set())
            )
            opener.start()
            got += [event.event for event in stream]
            opener.join()

    assert ["metadata", "messages/metadata", "messages/partial"] == got[:3]
    assert "messages/complete" == got[-1]
    assert [3] == [gap.events_seen for gap in stream.gaps]
    assert stream.gaps[0].reason


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_stream_that_is_not_resumable(connect: Connect, how: str) -> None:
    """stream_resumable=False: events carry no ids and a cut is an error, with what was seen; no event is repeated."""
    with FakeLangGraph(burst) as server:
        server.cuts = iter([(20, how)])
        got = []
        with pytest.raises(StreamInterruptedError) as caught:
            for event in started(connect(server.url), 50, stream_resumable=False):
                got.append(event)

    assert list(range(19)) == [event.data["i"] for event in got[1:]]
    assert (None, 20) == (caught.value.last_event_id, caught.value.events_seen)


def test_a_clean_end_of_a_stream_that_is_not_resumable(connect: Connect) -> None:
    """Its body ended whole and the run has succeeded: that is its end, and nothing is missing."""
    with FakeLangGraph(burst) as server:
        with started(connect(server.url), 50, stream_resumable=False) as stream:
            check(list(stream), 50)
        assert 1 == sum("/stream" in request.path for request in server.requests)


def test_a_clean_end_in_mid_run_of_a_stream_that_is_not_resumable(connect: Connect) -> None:
    """The server ended the stream while the run went on: what came between is lost, and that is said."""
    gate = threading.Event()

    def slow(run: FakeRun) -> Any:
        run.emit("custom", {"i": 0})
        run.wait(gate)
        run.emit("values", {})
        return {}

    for on_gap in ("error", "mark"):
        gate.clear()
        with FakeLangGraph(slow) as server:
            server.cuts = iter([(2, "end")])
            stream = started(hasty(connect(server.url)), 1, stream_resumable=False, on_gap=on_gap)
            with stream:
                assert ["metadata", "custom"] == [next(stream).event, next(stream).event]
                opener = threading.Timer(0.05, gate.set)
                opener.start()
                if on_gap == "error":
                    with pytest.raises(StreamInterruptedError):
                        list(stream)
                else:
                    list(stream)
                    assert 1 == len(stream.gaps)
                opener.join()


def test_events_that_the_server_no_longer_keeps_are_a_gap(connect: Connect) -> None:
    """After a restart the replay begins later than it should: an error, or a mark, never silence."""
    late = [("custom", {"i": n}, f"179522463400{n}-0") for n in range(3)]
    for on_gap in ("error", "mark"):
        with ScriptedServer(sse(ONE, TWO, run=RUN).then_cut(), routes=routes(), always=sse(*late)) as server:
            stream = hasty(connect(server.url)).runs.stream(THREAD_ID, "agent", on_gap=on_gap)
            assert [0, 1] == [next(stream).data["i"], next(stream).data["i"]]
            if on_gap == "error":
                with pytest.raises(StreamInterruptedError, match="keep"):
                    list(stream)
            else:
                assert [0, 1, 2] == [event.data["i"] for event in stream]
                assert [(TWO[2], 2)] == [(gap.after_id, gap.events_seen) for gap in stream.gaps]


def test_a_replay_that_holds_nothing_is_a_gap(connect: Connect) -> None:
    """The run has ended, and the server has forgotten all of it: that the stream was whole is not claimed."""
    with FakeLangGraph(burst) as server:
        server.cuts = iter([(30, "fin")])
        stream = started(hasty(connect(server.url)), 50)
        assert "metadata" == next(stream).event
        server.wait_until(lambda: server.created[0].done, "the end of the run")
        server.forget_events()
        with pytest.raises(StreamInterruptedError):
            list(stream)


# -- the end of the run


def test_an_error_that_was_missed_is_fetched(connect: Connect) -> None:
    """error events are not kept: the reason comes from the thread, and nothing of the stream is lost."""
    with FakeLangGraph(burst) as server:
        server.cuts = iter([(40, "rst")])
        got = []
        with pytest.raises(RunFailedError) as caught:
            for event in started(hasty(connect(server.url)), 50, input={"n": 50, "fail": "boom"}):
                got.append(event)

    assert list(range(50)) == [event.data["i"] for event in got if event.event == "custom"]
    assert ("ValueError", "boom") == (caught.value.error, caught.value.message)


@pytest.mark.parametrize("how", ["fin", "rst", "end"])
def test_a_cut_right_after_the_error_event(connect: Connect, how: str) -> None:
    """The error has been seen: the stream ends with it, once, however the connection ends."""
    with FakeLangGraph(burst) as server:
        server.cuts = iter([(4, how)])
        got = []
        with pytest.raises(RunFailedError) as caught:
            for event in started(hasty(connect(server.url)), 2, input={"n": 2, "fail": "boom"}):
                got.append(event.event)

    assert ["metadata", "custom", "custom", "error"] == got
    assert "boom" == caught.value.message


def test_a_run_that_was_cancelled_meanwhile(connect: Connect) -> None:
    """Cancelled while the connection was lost: what there was comes, then RunCancelledError."""
    with FakeLangGraph(_forever) as server:
        stream = started(hasty(connect(server.url)), 1)
        with pytest.raises(RunCancelledError), stream:
            for event in stream:
                if event.event == "custom":
                    stream.cancel()


def _forever(run: FakeRun) -> Any:
    run.emit("custom", {"i": 0})
    run.wait(threading.Event())


def test_a_run_that_was_deleted_meanwhile(connect: Connect) -> None:
    """The run is deleted before the stream is resumed: NotFoundError, not an end."""
    with ScriptedServer(sse(ONE, run=RUN).then_cut(), always=reply_json(404, {"detail": "Run not found"}), routes={
        ("GET", f"/threads/{THREAD_ID}/runs"): reply_json(200, []),
    }) as server:  # fmt: skip
        stream = hasty(connect(server.url)).runs.stream(THREAD_ID, "agent")
        assert {"i": 0} == next(stream).data
        with pytest.raises(NotFoundError):
            next(stream)

    assert (RUN_ID, THREAD_ID) == (stream.run_id, stream.thread_id)


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_run_that_dies_with_its_connection_is_not_resumed(connect: Connect, how: str) -> None:
    """on_disconnect="cancel": after a cut the run is being cancelled; nothing is opened again."""
    with FakeLangGraph(_forever) as server:
        server.cuts = iter([(2, how)])
        stream = started(connect(server.url), 1, on_disconnect="cancel")
        assert ["metadata", "custom"] == [next(stream).event, next(stream).event]
        with pytest.raises((StreamInterruptedError, RunCancelledError)):
            next(stream)
        server.wait_until(lambda: server.created[0].done, "the cancel")
        assert 1 == sum("/stream" in request.path for request in server.requests)


def test_the_end_of_a_connection_is_not_the_end_of_a_stream(connect: Connect) -> None:
    """Behind an HTTP/1.0 proxy a cut looks like the end: a resumable stream is looked through for the rest."""
    rest = [ONE, TWO, ("values", {"n": 2}, "1795224633887-0")]
    with ScriptedServer(sse(ONE, run=RUN, framing="close"), sse(*rest), routes=routes()) as server:
        with connect(server.url).runs.stream(THREAD_ID, "agent") as stream:
            got = [event.data for event in stream]

    assert [{"i": 0}, {"i": 1}, {"n": 2}] == got


def test_an_end_event_ends_it(connect: Connect) -> None:
    """If the server says end, nothing is fetched again, though the connection alone ended the body."""
    with ScriptedServer(sse(ONE, ("end", None, "1795224633888-0"), run=RUN, framing="close"), routes=routes()) as server:
        with connect(server.url).runs.stream(THREAD_ID, "agent") as stream:
            assert ["custom", "end"] == [event.event for event in stream]
        assert 1 == sum(request.path.endswith("/stream") for request in server.requests)


def test_half_an_event_is_never_delivered(connect: Connect) -> None:
    """A body that ends cleanly within an event, as a proxy may end a cut one, is a cut."""
    half = b'event: custom\r\ndata: {"i": 1}\r\nid: 1795224633886-0\r\n'
    for framing in ("chunked", "length", "close"):
        with ScriptedServer(sse(ONE, half, run=RUN, framing=framing), routes=routes(), always=NO_MORE) as server:
            with connect(server.url).runs.stream(THREAD_ID, "agent") as stream:
                assert [0, 1] == [event.data["i"] for event in stream]


def test_a_complete_stream_costs_two_requests(connect: Connect) -> None:
    """A stream that was not cut costs one POST and one GET of the run."""
    with ScriptedServer(sse(ONE, TWO, run=RUN), routes=routes()) as server:
        list(connect(server.url).runs.stream(THREAD_ID, "agent"))
        sent = [f"{request.method} {request.target}" for request in server.requests]

    assert [f"POST /threads/{THREAD_ID}/runs/stream", f"GET {RUN_PATH}"] == sent


def test_without_verifying_a_cut_is_still_resumed(connect: Connect) -> None:
    """verify_outcome=False requests no run, and yet loses nothing."""
    with FakeLangGraph(burst) as server:
        server.cuts = iter(Cuts(random.Random(5), 60))
        with started(hasty(connect(server.url, retry=PATIENT, verify_outcome=False)), 300) as stream:
            events = list(stream)
        assert {"POST", "GET"} == {request.method for request in server.requests}
        assert not any(request.method == "GET" and not request.path.endswith("/stream") for request in server.requests)

    numbers = [event.data["i"] for event in events if event.event == "custom"]
    assert list(range(len(numbers))) == numbers


def test_metadata_without_an_id_comes_once(connect: Connect) -> None:
    """A server may send metadata at the head of each connection, without an id: it is delivered once."""
    head = ("metadata", {"run_id": RUN_ID, "attempt": 1})
    first, again = sse(head, ("custom", 1, "7"), run=RUN), sse(head, ("custom", 1, "7"), ("custom", 2, "8"))
    with ScriptedServer(first.then_cut(), routes=routes(), always=again) as server:
        got = [(event.event, event.data) for event in connect(server.url).runs.stream(THREAD_ID, "agent")]

    assert [head, ("custom", 1), ("custom", 2)] == got


def test_a_second_attempt_of_the_server_comes_through(connect: Connect) -> None:
    """metadata with attempt 2, and all events again with new ids, are new events."""
    again = [("metadata", {"run_id": RUN_ID, "attempt": 2}, "3-0"), ("custom", {"i": 0}, "4-0")]
    first = [("metadata", {"run_id": RUN_ID, "attempt": 1}, "1-0"), ("custom", {"i": 0}, "2-0")]
    with ScriptedServer(sse(*first, run=RUN).then_cut(), routes=routes(), always=sse(*first, *again)) as server:
        got = [event.event for event in connect(server.url).runs.stream(THREAD_ID, "agent")]

    assert ["metadata", "custom", "metadata", "custom"] == got


def test_heartbeats_between_do_not_disturb(connect: Connect) -> None:
    """Comments, empty lines and unknown fields between events and before a cut are nothing."""
    noise = [heartbeat(), b"\r\n\r\n", b": x\n\n", b"unknown: field\r\n\r\n"]
    again = sse(ONE, *noise, TWO, *noise)
    with ScriptedServer(sse(*noise, ONE, *noise, run=RUN).then_cut(), routes=routes(), always=again) as server:
        got = [event.data["i"] for event in connect(server.url).runs.stream(THREAD_ID, "agent")]

    assert [0, 1] == got


def test_a_run_that_cannot_be_requested_ends_the_stream(connect: Connect) -> None:
    """If the request for the run fails after a cut, the stream ends in an error that carries the last id."""
    with ScriptedServer(sse(ONE, run=RUN).then_cut(), routes={("GET", RUN_PATH): reply(500)}, always=reply(500)) as server:
        stream = hasty(connect(server.url)).runs.stream(THREAD_ID, "agent")
        next(stream)
        with pytest.raises(LangGraphRunsError) as caught:
            next(stream)

    assert isinstance(caught.value, StreamInterruptedError)
    assert ONE[2] == caught.value.last_event_id


@pytest.mark.parametrize("ids", ["int", "ms"])
def test_going_on_by_hand_is_exact(connect: Connect, ids: str) -> None:
    """What a StreamInterruptedError carries is enough to go on: join_stream from its last_event_id gives the rest."""
    count = 100
    with FakeLangGraph(burst, Dialect(ids=ids)) as server:
        server.cuts = iter([(40, "fin")])
        client = hasty(connect(server.url))
        got: list[Any] = []
        with pytest.raises(StreamInterruptedError) as caught:
            stream = started(client.with_options(retry=RetryPolicy(attempts=1)), count)
            for event in stream:
                got.append(event)
                if len(got) == 40:
                    for _ in range(3):
                        server.instead("GET", f"/threads/{THREAD_ID}/runs/{stream.run_id}", reply(500))
        with client.runs.join_stream(THREAD_ID, caught.value.run_id or "", last_event_id=caught.value.last_event_id) as rest:
            got += list(rest)

    check(got, count)


@pytest.mark.parametrize("modes", [MODES, "custom"])
def test_going_on_from_the_last_event_id_is_exact_though_events_share_it(connect: Connect, modes: Any) -> None:
    """join_stream after each number of events of another stream, also twice, and with the id pickled."""
    count = 24
    with FakeLangGraph(burst) as server:
        client = hasty(connect(server.url))
        with started(client, count) as stream:
            whole = [event for event in stream if modes is MODES or event.event == "custom"]
        for stop in range(1, len(whole)):
            got = []
            with started(client, count) as stream:
                for event in stream:
                    if modes is MODES or event.event == "custom":
                        got.append(event)
                    if len(got) == stop:
                        break
            place = pickle.loads(pickle.dumps(stream.last_event_id))
            assert place == got[-1].id
            for most in (1, None):
                with client.runs.join_stream(THREAD_ID, stream.run_id or "", stream_mode=modes, last_event_id=place) as rest:
                    assert place == rest.last_event_id
                    got += list(itertools.islice(rest, most))
                    place = rest.last_event_id
            assert [event.data for event in whole if event.event != "metadata"] == [
                event.data for event in got if event.event != "metadata"
            ]


def test_a_stall_is_a_cut(connect: Connect) -> None:
    """Silence longer than read_timeout, from a peer that is dead without a sign, is resumed like a break."""
    with FakeLangGraph(burst, Dialect(heartbeat=None)) as server:
        server.cuts = iter([(40, "stall"), (70, "stall")])
        with started(hasty(connect(server.url, read_timeout=0.1, retry=PATIENT)), 200) as stream:
            check(list(stream), 200)


def test_many_streams_at_once_under_cuts(connect: Connect) -> None:
    """16 threads, each with a stream of its own through breaking connections, on one client: each is exact."""
    failures: list[Any] = []
    with FakeLangGraph(burst) as server:
        server.cuts = iter(Cuts(random.Random(1), 200))
        client = hasty(connect(server.url, retry=PATIENT))

        def follow(number: int) -> None:
            try:
                thread_id = f"00000000-0000-4000-8000-{number:012d}"
                with client.runs.stream(thread_id, "agent", input={"n": 200}, stream_mode=MODES, if_not_exists="create") as stream:
                    check(list(stream), 200)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=follow, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [] == failures


def test_a_lost_first_response_is_no_second_run(connect: Connect) -> None:
    """The create's connection breaks before a byte of the response: the stream is joined from its start."""
    with FakeLangGraph(burst) as server, CuttingProxy(server.url) as proxy:
        proxy.arm(swallow(), when=b"POST")
        with started(hasty(connect(proxy.url)), 100) as stream:
            check(list(stream), 100)

    assert 1 == len(server.created)


def test_a_fault_while_the_stream_is_opened_again(connect: Connect) -> None:
    """Resets, stalls before the response and headers cut short while reconnecting are attempts like others."""
    script = [reset_before_answer(), stall(), sse(ONE, TWO).cut_after(30)]
    with ScriptedServer(sse(ONE, run=RUN).then_cut(), *script, routes=routes(), always=NO_MORE) as server:
        client = hasty(connect(server.url, read_timeout=0.1, retry=RetryPolicy(attempts=6, wait_initial=0)))
        assert [0, 1] == [event.data["i"] for event in client.runs.stream(THREAD_ID, "agent")]


def test_an_unknown_run_is_not_resumed(connect: Connect) -> None:
    """join_stream of a run that does not exist: 200 and an error event on this server, NotFoundError for the caller."""
    with FakeLangGraph(burst) as server:
        server.threads[THREAD_ID] = thread_json()
        with pytest.raises(NotFoundError):
            list(connect(server.url).runs.join_stream(THREAD_ID, RUN_ID))


def test_a_failure_that_was_seen_live(connect: Connect) -> None:
    """Without any cut the error event is delivered, then raised, with the values so far."""

    def fails(run: FakeRun) -> Any:
        run.emit("values", {"n": 1})
        raise GraphFailure("KeyError", "'x'")

    with FakeLangGraph(fails) as server:
        got = []
        with pytest.raises(RunFailedError) as caught:
            for event in started(connect(server.url), 1):
                got.append(event.event)

    assert ["metadata", "values", "error"] == got
    assert ("KeyError", "'x'", {"n": 1}) == (caught.value.error, caught.value.message, caught.value.values)

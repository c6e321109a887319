"""The real server behind a proxy that breaks connections: each run is started once, each event comes once and in order."""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Optional

import pytest

from langgraph_runs import (
    APIConnectionError,
    Client,
    CreateUncertainError,
    CustomStreamEvent,
    MessagesStreamEvent,
    RetryPolicy,
    StreamInterruptedError,
)
from langgraph_runs.devserver import DevServer
from langgraph_runs.testing.cutting_proxy import PASS, CuttingProxy, Fault, Turn, seeded, swallow

#: So patient that only a real fault ends a call: what is measured is that nothing is lost, not when we give up.
PATIENT = RetryPolicy(attempts=20, wait_initial=0.01, wait_max=0.2, budget=None)
#: Calls at once: as many as the server executes.
AT_ONCE = 24
WAYS = ["create", "wait", "stream"]


@pytest.fixture
def proxy(server: DevServer) -> Iterator[CuttingProxy]:
    with CuttingProxy(server.url) as proxy:
        yield proxy


@pytest.fixture
def cut(proxy: CuttingProxy) -> Iterator[Client]:
    """A client whose connections all go through the proxy; `client` is beside it."""
    with Client(proxy.url, api_key=None, retry=PATIENT, timeout=60) as client:
        yield client


def in_parallel(work: Callable[..., Any], *arguments: Sequence[Any], at_once: int = AT_ONCE) -> list[Any]:
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(work, *arguments))


# -- creating


def start(client: Client, way: str, thread_id: Optional[str], **options: Any) -> str:
    """Start a run in one of the ways, check what it made, and return its id."""
    created: list[Any] = []
    options = {"input": {"value": "once"}, "on_run_created": created.append, **options}
    if way == "create":
        run_id = client.runs.create(thread_id, "echo", **options).run_id
    elif way == "wait":
        values = client.runs.wait(thread_id, "echo", **options)
        assert ("once", 1) == (values["echo"], values["turns"])
        run_id = created[0]["run_id"]
    else:
        with client.runs.stream(thread_id, "echo", **options) as stream:
            events = [event.event for event in stream]
        assert ["metadata", "values", "values"] == events
        assert ("once", 1) == (stream.values["echo"], stream.values["turns"])
        run_id = str(stream.run_id)
    assert [run_id] == [ids["run_id"] for ids in created]
    return run_id


def runs_of(client: Client, thread_id: str) -> list[str]:
    return [run.run_id for run in client.runs.list(thread_id, limit=100)]


def length_of(proxy: CuttingProxy, cut: Client, client: Client, way: str) -> tuple[int, int]:
    """The bytes of the request and of the response when nothing breaks."""
    thread_id = client.threads.create().thread_id
    start(cut, way, thread_id)
    turn = next(turn for turn in proxy.turns if turn.first.startswith(b"POST /threads/" + thread_id.encode()))
    return turn.request, turn.response


def spread(count: int, length: int) -> list[int]:
    """*count* positions from 0 to length, both included, each with an odd neighbour so that they do not line up with lines."""
    return sorted(
        {min(length, round(length * index / (count - 1)) + (index % 3 if 0 < index < count - 1 else 0)) for index in range(count)}
    )


@pytest.mark.slow
@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("way", WAYS)
def test_a_run_is_started_once_wherever_the_connection_breaks(
    client: Client, cut: Client, proxy: CuttingProxy, way: str, how: str
) -> None:
    """A cut anywhere in the request that starts a run, or in its response, leaves exactly one run, which the caller knows."""
    start(cut, way, client.threads.create().thread_id)  # the first create carries its marker twice, until the server has shown it
    request, answer = length_of(proxy, cut, client, way)
    faults = [Fault("connect", 0, how)]
    faults += [Fault("request", after, how) for after in spread(20, request)]
    faults += [Fault("response", after, how) for after in spread(40, answer)]

    def one(fault: Fault) -> None:
        thread_id = client.threads.create().thread_id
        proxy.arm(fault, when=b"POST /threads/" + thread_id.encode())
        assert ([start(cut, way, thread_id)], fault) == (runs_of(client, thread_id), fault)

    in_parallel(one, faults)
    assert 0 == proxy.armed
    # Clocks and ids make responses a byte or two longer or shorter, so that the last position may not be reached.
    assert len(faults) - 2 <= sum(turn.fired for turn in proxy.turns)


@pytest.mark.parametrize("way", WAYS)
def test_a_run_is_started_once_wherever_the_connection_stalls(
    client: Client, proxy: CuttingProxy, way: str, server: DevServer
) -> None:
    """Silence in the response is taken for a dead peer, and leaves exactly one run.

    After silence in the request the server may still receive it, for all that the client knows: the run is uncertain, and not made.
    """
    with Client(proxy.url, api_key=None, retry=PATIENT, read_timeout=1.0, timeout=60) as impatient:
        request, answer = length_of(proxy, impatient, client, way)
        faults = [Fault("request", after, "stall") for after in spread(6, request)]
        faults += [Fault("response", after, "stall") for after in spread(12, answer)]

        def one(fault: Fault) -> None:
            thread_id = client.threads.create().thread_id
            proxy.arm(fault, when=b"POST /threads/" + thread_id.encode())
            try:
                made = [start(impatient, way, thread_id)]
            except CreateUncertainError:
                assert fault.where == "request"
                made = []
            assert (made, fault) == (runs_of(client, thread_id), fault)

        in_parallel(one, faults)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(3))
def test_no_run_is_lost_or_doubled_when_every_request_may_break(client: Client, server: DevServer, way: str, seed: int) -> None:
    """With a third of all requests broken, the looking-up too: one run for each start, or an error that says that it may exist."""
    thread_ids = in_parallel(lambda _: client.threads.create().thread_id, range(24))
    retry = RetryPolicy(wait_initial=0.02, wait_max=0.2, budget=None)
    with (
        CuttingProxy(server.url, seeded(f"every-{way}-{seed}", 1 / 3, longest=1500)) as proxy,
        Client(proxy.url, api_key=None, retry=retry, timeout=60) as broken,
    ):

        def one(thread_id: str) -> tuple[Optional[str], Optional[Exception]]:
            try:
                return start(broken, way, thread_id), None
            except APIConnectionError as error:
                return None, error

        results = in_parallel(one, thread_ids)
    for thread_id, (run_id, error) in zip(thread_ids, results):
        there = runs_of(client, thread_id)
        if error is None:
            assert [run_id] == there
        elif isinstance(error, CreateUncertainError):
            assert len(there) <= 1
            assert (thread_id, None) == (error.thread_id, error.run_id)
            assert error.request_id
        else:
            # What broke is the reading of a run that is known, or nothing was created at all.
            assert [error.run_id] == there if error.run_id is not None else [] == there
    assert len([error for _, error in results if error is not None]) < len(results) / 2


@pytest.mark.parametrize("way", WAYS)
def test_a_stateless_run_is_started_at_most_once(client: Client, cut: Client, proxy: CuttingProxy, way: str) -> None:
    """Without a thread to look on, a cut gives one run and its result, or an error that says that the run may exist."""
    key = uuid.uuid4().hex
    faults = [Fault("request", after, how) for after in (1, 60, 200, 340) for how in ("fin", "rst")]
    faults += [Fault("response", after, how) for after in (0, 1, 40, 200, 400, 700) for how in ("fin", "rst")]

    def one(index: int) -> tuple[Optional[str], Optional[Exception]]:
        # The fault finds its request by the path alone, so they go one after the other into the proxy; what follows does not.
        options = {"metadata": {"key": f"{key}-{index}"}, "on_completion": "keep"}
        proxies[index].arm(faults[index], when=b"POST /runs")
        with Client(proxies[index].url, api_key=None, retry=PATIENT, timeout=60) as stateless:
            try:
                return start(stateless, way, None, **options), None
            except APIConnectionError as error:
                return None, error

    proxies = [CuttingProxy(proxy.upstream) for _ in faults]
    results = in_parallel(one, range(len(faults)))
    for each in proxies:
        each.close()
    for index, (run_id, error) in enumerate(results):
        threads = client.threads.search(metadata={"key": f"{key}-{index}"})
        there = [run for thread in threads for run in runs_of(client, thread.thread_id)]
        if error is None:
            assert [run_id] == there
        else:
            assert len(there) <= 1
            assert isinstance(error, (CreateUncertainError, StreamInterruptedError)), error
            if there and error.run_id is not None:
                assert there == [error.run_id]
    if way == "create":
        assert all(isinstance(error, CreateUncertainError) for _, error in results if error is not None)


def test_batches_are_not_doubled(client: Client, proxy: CuttingProxy, cut: Client, thread_id: str) -> None:
    """The runs of a batch whose response is lost are found by a search of threads; nothing is sent again."""
    key = uuid.uuid4().hex
    items: list[Any] = [{"assistant_id": "echo", "input": {"value": n}, "metadata": {"key": key}} for n in range(3)]
    proxy.arm(swallow(), when=b"POST /runs/batch")
    found = cut.runs.create_batch([{**item, "on_completion": "keep"} for item in items])
    assert [0, 1, 2] == [run.kwargs["input"]["value"] for run in found]
    assert {run.thread_id for run in found} == {thread.thread_id for thread in client.threads.search(metadata={"key": key})}
    assert 1 == len([turn for turn in proxy.turns if turn.first.startswith(b"POST /runs/batch")])

    for _ in items:
        proxy.arm(swallow(reset=True), when=b"POST /threads/" + thread_id.encode())
    runs = cut.runs.create_batch([{**item, "thread_id": thread_id} for item in items])
    assert 0 == proxy.armed
    assert [run.run_id for run in runs] == runs_of(client, thread_id)[::-1]


# -- streaming


def cutting(seed: Any, longest: int, *, most: int = 12, progress: float = 0.8, least: int = 0) -> Callable[[Turn], Fault]:
    """A function that cuts streams, and only those, at random positions and in random ways, `most` times."""
    rng = random.Random(seed)
    left = itertools.count(1)

    def fault_of(turn: Turn) -> Fault:
        line = turn.first.split(b"\r\n", 1)[0]
        if b"/stream" not in line or rng.random() > 0.7 or next(left) > most:
            return PASS
        how = rng.choice(("fin", "rst"))
        if rng.random() < progress:
            return Fault("response", least + rng.randrange(longest), how)
        return rng.choice((Fault("connect", 0, how), Fault("request", rng.randrange(400), how), Fault("response", 0, how)))

    return fault_of


def numbered(server: DevServer, seed: int) -> tuple[int, int, list[int]]:
    """Numbered events through cuts: how many there were to be, how many cuts took place, and what came."""
    rng = random.Random(seed)
    pause = (0.0, 0.0, 0.0005, 0.002)[seed % 4]
    count = rng.randrange(200, 600) if pause else rng.randrange(500, 3000)
    modes: Any = rng.choice(("custom", ["values", "custom"], ["custom", "updates", "values"]))
    # An event is some 70 bytes; positions are drawn so that there are several cuts in one stream.
    fault_of = cutting(f"cuts-{seed}", 70 * count // rng.choice((2, 5, 10)))
    with CuttingProxy(server.url, fault_of) as proxy, Client(proxy.url, api_key=None, retry=PATIENT, timeout=90) as client:
        thread_id = client.threads.create().thread_id
        with client.runs.stream(thread_id, "burst", input={"n": count, "pause": pause}, stream_mode=modes) as stream:
            seen = [event.data["i"] for event in stream if isinstance(event, CustomStreamEvent)]
        assert [] == stream.gaps
        assert stream.outcome is not None
        assert "success" == stream.outcome.status
        assert modes == "custom" or {"n": count, "pause": pause, "written": count} == stream.values
        return count, sum(turn.fired for turn in proxy.turns), seen


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [range(start, start + 10) for start in range(0, 50, 10)], ids=lambda seeds: f"from {seeds[0]}")
def test_no_event_is_lost_doubled_or_moved(server: DevServer, seeds: range) -> None:
    """Bursts and paced events, hundreds to thousands, each over several cuts: every number once, in order."""
    results = in_parallel(lambda seed: numbered(server, seed), seeds, at_once=5)
    for seed, (count, _, seen) in zip(seeds, results):
        lost, doubled = sorted(set(range(count)) - set(seen)), len(seen) - len(set(seen))
        assert (0, [], 0) == (seed - seed, lost, doubled), f"seed {seed}"
        assert list(range(count)) == seen, f"seed {seed}: out of order"
    assert len(results) < sum(cuts for _, cuts, _ in results)


@pytest.mark.parametrize("mode", ["values", "updates", "debug", "tasks", "checkpoints", "events"])
def test_every_kept_mode_survives_cuts(server: DevServer, client: Client, mode: Any) -> None:
    """What a mode gives over a connection that breaks is what the server has kept of that run, event by event."""

    def one(seed: int) -> None:
        fault_of = cutting(f"{mode}-{seed}", 4000, most=5)
        with CuttingProxy(server.url, fault_of) as proxy, Client(proxy.url, api_key=None, retry=PATIENT, timeout=60) as cut:
            thread_id = client.threads.create().thread_id
            with cut.runs.stream(thread_id, "steps", input={"path": []}, stream_mode=mode) as stream:
                seen = [(event.event, event.id, event.raw) for event in stream]
        kept = client.runs.join_stream(thread_id, str(stream.run_id), last_event_id="0")
        assert [(event.event, event.id, event.raw) for event in kept] == seen

    in_parallel(one, range(6), at_once=6)


def words(seed: int, count: int) -> str:
    rng = random.Random(seed)
    return " ".join(rng.choice(("a", "b", "the", "the the", "word", "7")) for _ in range(count))


@pytest.mark.slow
def test_tokens_survive_cuts(server: DevServer, client: Client) -> None:
    """Chat tokens of messages-tuple joined are the whole message, for each of twenty seeds, equal ones in one millisecond too."""

    def one(seed: int) -> tuple[str, str, int]:
        said = words(seed, 60)
        fault_of = cutting(f"tokens-{seed}", 40000, most=6)
        with CuttingProxy(server.url, fault_of) as proxy, Client(proxy.url, api_key=None, retry=PATIENT, timeout=60) as cut:
            thread_id = client.threads.create().thread_id
            given = {"messages": [{"role": "user", "content": said}]}
            with cut.runs.stream(thread_id, "chat", input=given, stream_mode="messages-tuple") as stream:
                pieces = [event.data[0]["content"] for event in stream if isinstance(event, MessagesStreamEvent)]
            return f"You said: {said}", "".join(pieces), sum(turn.fired for turn in proxy.turns)

    results = in_parallel(one, range(20), at_once=5)
    for expected, pieces, _ in results:
        assert expected == pieces
    assert 20 < sum(cuts for _, _, cuts in results)


def test_equal_events_survive_cuts(server: DevServer, client: Client) -> None:
    """Events that are equal to the last letter, many in one millisecond, come as often as they were written.

    The first of them come before the first cut: only when a stream has shown that its events repeat is that known of the others.
    """

    def one(seed: int) -> tuple[int, int, int]:
        count = 300 + 100 * seed
        fault_of = cutting(f"equal-{seed}", 12 * count, most=6, progress=1.0, least=1500)
        with CuttingProxy(server.url, fault_of) as proxy, Client(proxy.url, api_key=None, retry=PATIENT, timeout=60) as cut:
            thread_id = client.threads.create().thread_id
            with cut.runs.stream(thread_id, "pourer", input={"items": ["x"] * count}, stream_mode="custom") as stream:
                seen = sum(event.data == "x" for event in stream if isinstance(event, CustomStreamEvent))
            return count, seen, sum(turn.fired for turn in proxy.turns)

    results = in_parallel(one, range(10), at_once=5)
    assert [count for count, _, _ in results] == [seen for _, seen, _ in results]
    assert 5 < sum(cuts for _, _, cuts in results)


@pytest.mark.parametrize("on_gap", ["error", "mark"])
@pytest.mark.parametrize("kind", ["messages", "not resumable"])
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_what_cannot_be_had_again_is_never_missing_in_silence(
    client: Client, cut: Client, proxy: CuttingProxy, thread_id: str, kind: str, on_gap: Any, how: str
) -> None:
    """Events that the server does not keep end in an error after all that came before the cut, or leave a mark, as was chosen."""
    options: dict[str, Any] = {"stream_mode": "custom", "stream_resumable": False, "input": {"n": 400, "pause": 0.002}}
    graph, after = "burst", 9000
    if kind == "messages":
        graph, after = "chat", 30_000
        options = {"stream_mode": "messages", "input": {"messages": [{"role": "user", "content": words(1, 300)}]}}
    proxy.arm(Fault("response", after, how), when=b"POST /threads/" + thread_id.encode())
    seen = []
    stream = cut.runs.stream(thread_id, graph, on_gap=on_gap, **options)
    try:
        for event in stream:
            seen.append(event)
    except StreamInterruptedError as error:
        assert "error" == on_gap
        assert (len(seen), stream.run_id, thread_id) == (error.events_seen, error.run_id, error.thread_id)
        assert [] == stream.gaps
    else:
        assert "mark" == on_gap
        assert 1 == len(stream.gaps)
        assert 1 < stream.gaps[0].events_seen <= len(seen)
        assert stream.outcome is not None
        assert "success" == stream.outcome.status
    if kind == "not resumable":
        numbers = [event.data["i"] for event in seen if isinstance(event, CustomStreamEvent)]
        whole = stream.gaps[0].events_seen - 1 if stream.gaps else len(numbers)
        assert list(range(whole)) == numbers[:whole]
        assert sorted(set(numbers)) == numbers
    assert 1 == len(runs_of(client, thread_id))
    # The run itself is not disturbed by what its reader lost.
    assert "written" in client.runs.join(thread_id, str(stream.run_id)) or kind == "messages"


@pytest.mark.parametrize("seed", range(4))
def test_below_a_mount_prefix_nothing_is_different(guarded_server: DevServer, seed: int) -> None:
    """A server below /api, whose Location headers leave that out, is resumed and looked up below it, with the key."""
    fault_of = cutting(f"prefix-{seed}", 6000, most=6)
    options: dict[str, Any] = {"api_key": "key-of-alice", "retry": PATIENT, "timeout": 60}
    with CuttingProxy(guarded_server.url, fault_of) as proxy, Client(f"{proxy.url}/api", **options) as cut:
        thread_id = cut.threads.create().thread_id
        proxy.arm(swallow(), when=b"POST /api/threads/" + thread_id.encode())
        with cut.runs.stream(thread_id, "burst", input={"n": 300}, stream_mode="custom") as stream:
            seen = [event.data["i"] for event in stream if isinstance(event, CustomStreamEvent)]
        assert 0 == proxy.armed
        assert list(range(300)) == seen
        assert [stream.run_id] == runs_of(cut, thread_id)
        assert all(turn.first.split(b" ", 2)[1].startswith(b"/api/") for turn in proxy.turns)

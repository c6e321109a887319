"""Streams cut at many positions: every event once and in order, or the stream says where events are missing."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any, Callable, Optional

import pytest

from langgraph_runs import Client, CreateUncertainError, RunStream, StreamEvent
from langgraph_runs.testing.cutting_proxy import PASS, CuttingProxy, Fault, Turn

from .conftest import PATIENCE, QUICK, RunningServer

#: Graph, input, stream modes.
RUNS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "burst": ("burst", {"n": 120}, "custom"),
    "slow burst": ("burst", {"n": 120, "seconds": 0.6}, ["values", "custom"]),
    "steps": ("steps", {"n": 10, "seconds": 0.4}, ["updates", "values"]),
    "tokens": ("chat", {"text": "the the a b the the"}, "messages-tuple"),
}
WAYS = ["stream", "stream, not kept", "join from now", "join from the start", "join from the start, not kept"]
POSITIONS = 3


def cutting(seed: str) -> Callable[[Turn], Fault]:
    """Cuts the first one to three streams in a random place."""
    rng = random.Random(seed)
    left = rng.choice((1, 2, 3))

    def choose(turn: Turn) -> Fault:
        nonlocal left
        if b"/stream" not in turn.first[:200] or not left:
            return PASS
        left -= 1
        return Fault("response", rng.randrange(250, 8000), rng.choice(("fin", "rst")))

    return choose


def start(way: str, direct: Client, client: Client, name: str) -> RunStream[Any]:
    graph, given, modes = RUNS[name]
    thread_id = direct.threads.create().thread_id
    options: dict[str, Any] = {"input": given, "stream_mode": modes, "stream_resumable": "not kept" not in way}
    if way.startswith("stream"):
        return client.runs.stream(thread_id, graph, on_gap="mark", **options)
    run = direct.runs.create(thread_id, graph, **options)
    start = None if way == "join from now" else "0"
    return client.runs.join_stream(thread_id, run.run_id, last_event_id=start, on_gap="mark")


def content(event: StreamEvent) -> Optional[str]:
    """What a delivered event says, for comparison; None for an end event. A server may name a replayed update a value."""
    if event.event in ("end", "metadata"):
        return None
    data = event.data[0]["content"] if event.event == "messages" else event.data
    return json.dumps(data, sort_keys=True)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", RUNS)
def test_nothing_is_lost_in_silence_or_doubled(any_server: RunningServer, client: Client, name: str, way: str) -> None:
    with start("stream", client, client, name) as stream:
        whole = [said for said in map(content, stream) if said is not None]
    for position in range(POSITIONS):
        with (
            CuttingProxy(any_server.url, cutting(f"{name} {way} {position}")) as proxy,
            Client(proxy.url, api_key=None, retry=QUICK, timeout=PATIENCE) as cut,
        ):
            try:
                stream = start(way, client, cut, name)
            except CreateUncertainError:
                continue
            with stream:
                got = [said for said in map(content, stream) if said is not None]
        assert not Counter(got) - Counter(whole), position
        if not stream.gaps:
            due = whole[len(whole) - len(got) :] if way == "join from now" else whole
            assert due == got, position

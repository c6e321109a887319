"""client.threads.join_stream on the real server: the events of all runs of a thread, each once, also on connections that break."""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from langgraph_runs import (
    AbortController,
    AbortedError,
    Client,
    DeadlineExceededError,
    InvalidRequestError,
    LangGraphRunsError,
    NotFoundError,
    StreamInterruptedError,
    ThreadStream,
)
from langgraph_runs.devserver import DevServer
from langgraph_runs.testing.cutting_proxy import CuttingProxy, cut_response

from .conftest import Gate

BURST: dict[str, Any] = {"stream_mode": "custom", "stream_resumable": True}


@pytest.fixture
def proxy(server: DevServer) -> Iterator[CuttingProxy]:
    with CuttingProxy(server.url) as proxy:
        yield proxy


def until_done(stream: ThreadStream, runs: int) -> list[Any]:
    """The events up to the end of so many runs, as pairs of name and data; of an end the status of the outcome."""
    found: list[Any] = []
    for event in stream:
        if isinstance(event.data, dict) and event.data.get("status") == "run_done":
            found.append(("end", stream.outcome.status if stream.outcome is not None else None))
            runs -= 1
            if not runs:
                break
        else:
            found.append((event.event, event.data))
    return found


def numbers_in(found: list[Any]) -> list[int]:
    return [data["i"] for name, data in found if name == "custom"]


def test_it_has_the_events_of_all_runs(client: Client, thread_id: str) -> None:
    """In order, from the beginning of each to its end, with how it ended; runs need not be resumable."""
    with client.threads.join_stream(thread_id, timeout=60) as stream, ThreadPoolExecutor(1) as pool:
        reading = pool.submit(until_done, stream, 3)
        for graph, given in (
            ("echo", {"value": 1}),
            ("failing", {"error": "ValueError", "message": "no ink"}),
            ("echo", {"value": 2}),
        ):
            client.runs.wait(thread_id, graph, input=given, raise_error=False)
        found = reading.result()

    assert ["metadata", "values", "values", "end"] == [name for name, _ in found[:4]]
    assert ["success", "error", "success"] == [data for name, data in found if name == "end"]
    assert ("error", True) == next((name, "no ink" in str(data)) for name, data in found if name == "error")
    assert {"value": 2, "echo": 2, "turns": 2} == found[-2][1]
    assert len(found) == stream.events_seen
    assert stream.outcome is not None and stream.outcome.values == found[-2][1]


def test_it_continues_after_an_event(client: Client, thread_id: str) -> None:
    """Where another one was closed; from "0" with all that the server keeps; runs that are not kept are a gap."""
    first = [client.runs.wait(thread_id, "burst", input={"n": 5}, **BURST) for _ in range(2)]
    assert [5, 5] == [values["written"] for values in first]
    with client.threads.join_stream(thread_id, last_event_id="0", timeout=60) as stream:
        begun = [next(stream) for _ in range(4)]
        place = stream.last_event_id
    assert ["metadata", "custom", "custom", "custom"] == [event.event for event in begun]

    with client.threads.join_stream(thread_id, last_event_id="-", timeout=60) as stream:
        assert [*range(5), *range(5)] == numbers_in(until_done(stream, 2))
    with client.threads.join_stream(thread_id, last_event_id=place, timeout=60) as stream:
        assert set(numbers_in(until_done(stream, 2))) >= {0, 4}

    client.runs.wait(thread_id, "burst", input={"n": 5}, stream_mode="custom")
    with client.threads.join_stream(thread_id, last_event_id="0", timeout=60) as stream:
        with pytest.raises(StreamInterruptedError):
            until_done(stream, 3)
    with client.threads.join_stream(thread_id, last_event_id="0", on_gap="mark", timeout=60) as stream:
        assert [*range(5), *range(5)] == numbers_in(until_done(stream, 3))
        assert 1 == len(stream.gaps)


@pytest.mark.parametrize("reset", [True, False])
def test_each_event_comes_once_although_the_connection_breaks(
    client: Client, proxy: CuttingProxy, thread_id: str, reset: bool
) -> None:
    """In the middle of a run, between two, and again: what was missed is read from the stream of the run itself."""
    with Client(proxy.url, api_key=None) as cut:
        for bytes_until_cut in (2500, 900, 1700):
            proxy.arm(cut_response(bytes_until_cut, reset=reset), when=f"GET /threads/{thread_id}/stream".encode())
        with cut.threads.join_stream(thread_id, timeout=60) as stream, ThreadPoolExecutor(1) as pool:
            reading = pool.submit(until_done, stream, 3)
            for _ in range(3):
                client.runs.wait(thread_id, "burst", input={"n": 40, "pause": 0.005}, **BURST)
            found = reading.result()
            gaps = stream.gaps

    assert [*range(40)] * 3 == numbers_in(found)
    assert ["success"] * 3 == [data for name, data in found if name == "end"]
    assert [] == gaps
    assert 3 <= sum(turn.fired for turn in proxy.turns)


def test_events_that_are_not_kept_are_a_gap(client: Client, proxy: CuttingProxy, thread_id: str) -> None:
    """A run that is not resumable is cut off: an error, or an entry in ``gaps`` and how the run ended."""
    path = f"GET /threads/{thread_id}/stream".encode()
    options: dict[str, Any] = {"input": {"n": 40, "pause": 0.005}, "stream_mode": "custom"}
    with Client(proxy.url, api_key=None) as cut, ThreadPoolExecutor(1) as pool:
        for on_gap in ("error", "mark"):
            proxy.arm(cut_response(2500, reset=True), when=path)
            with cut.threads.join_stream(thread_id, on_gap=on_gap, timeout=60) as stream:
                reading = pool.submit(until_done, stream, 1)
                client.runs.wait(thread_id, "burst", **options)
                if on_gap == "error":
                    with pytest.raises(StreamInterruptedError):
                        reading.result()
                else:
                    numbers = numbers_in(reading.result())
                    assert numbers == sorted(set(numbers)) and len(numbers) < 40
                    assert stream.gaps and stream.outcome is not None and stream.outcome.succeeded


def test_a_run_that_was_active_before_is_read_from_its_middle(client: Client, thread_id: str, gate: Gate) -> None:
    """Without an event id: from now on. How it ended is known, and a cancelled run is not taken for a success."""
    run = client.runs.create(thread_id, "gated", input=gate.input())
    gate.wait_begun()
    with client.threads.join_stream(thread_id, timeout=60) as stream, ThreadPoolExecutor(1) as pool:
        reading = pool.submit(until_done, stream, 2)
        client.runs.cancel(thread_id, run.run_id, wait=True)
        client.runs.wait(thread_id, "echo", input={"value": 1})
        found = reading.result()

    assert ["interrupted", "success"] == [data for name, data in found if name == "end"]
    assert run.run_id not in [data.get("run_id") for name, data in found if name == "metadata"]


def test_a_run_that_is_cancelled_before_it_begins_is_no_gap(client: Client, thread_id: str, gate: Gate) -> None:
    """It has only an end, or nothing at all; the runs around it are complete."""
    with client.threads.join_stream(thread_id, timeout=60) as stream, ThreadPoolExecutor(1) as pool:
        reading = pool.submit(lambda: list(stream))
        client.runs.create(thread_id, "gated", input=gate.input())
        gate.wait_begun()
        waiting = client.runs.create(thread_id, "echo", input={})
        client.runs.cancel(thread_id, waiting.run_id)
        gate.open()
        values = client.runs.wait(thread_id, "echo", input={"value": 3})
        stream_of_all = client.threads.join_stream(thread_id, timeout=60)
        stream_of_all.close()
        threading.Timer(1.0, stream.close).start()
        events = reading.result()

    assert values["echo"] == 3
    ended = [event.data["run_id"] for event in events if isinstance(event.data, dict) and event.data.get("status") == "run_done"]
    begun = [event.data["run_id"] for event in events if isinstance(event.data, dict) and "attempt" in event.data]
    assert set(begun) <= set(ended) and 2 == len(begun)
    assert [] == stream.gaps


def test_only_beginnings_and_ends(client: Client, thread_id: str) -> None:
    """With ``lifecycle`` the two metadata events of each run; with ``state_update`` what the server sends for an update."""
    with client.threads.join_stream(thread_id, stream_mode="lifecycle", timeout=60) as stream, ThreadPoolExecutor(1) as pool:
        reading = pool.submit(until_done, stream, 1)
        client.runs.wait(thread_id, "echo", input={"value": 1})
        assert ["metadata", "end"] == [name for name, _ in reading.result()]
    with client.threads.join_stream(thread_id, stream_mode=["state_update"], timeout=1) as stream:
        client.runs.wait(thread_id, "echo", input={"value": 1})
        with pytest.raises(DeadlineExceededError):
            for event in stream:
                assert event.event == "state_update"


def test_it_ends_when_it_is_closed_aborted_or_late(client: Client, thread_id: str) -> None:
    """Within moments, in a thread that waits for an event; a closed stream just ends."""
    controller = AbortController()
    stream = client.threads.join_stream(thread_id)
    threading.Timer(0.3, stream.close).start()
    assert [] == list(stream) == list(stream)

    threading.Timer(0.3, controller.abort, args=["enough"]).start()
    with pytest.raises(AbortedError, match="enough"):
        list(client.threads.join_stream(thread_id, signal=controller.signal))
    with pytest.raises(DeadlineExceededError, match="0.3 s"):
        list(client.threads.join_stream(thread_id, timeout=0.3))


def test_it_does_not_end_as_if_it_had_been_closed_when_it_was_interrupted(client: Client, thread_id: str) -> None:
    """As by a signal handler that raises: whoever iterates again learns that events are missing."""

    class Interrupt(Exception):
        pass

    def handler(*_: Any) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        stream = client.threads.join_stream(thread_id, timeout=30)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(Interrupt):
            next(stream)
        with pytest.raises(StreamInterruptedError, match="was ended by Interrupt"):
            next(stream)
        stream.close()
        assert [] == list(stream)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_error_of_the_callers_authentication_reaches_the_caller(proxy: CuttingProxy, thread_id: str) -> None:
    """As it was raised, whether the stream is opened or goes on after its connection broke."""
    wrong: list[LangGraphRunsError] = []

    def authenticate(request: Any) -> Any:
        if wrong:
            raise wrong[0]
        return request

    session = requests.Session()
    session.auth = authenticate
    with session, Client(proxy.url, api_key=None, session=session) as client:
        stream = client.threads.join_stream(thread_id, timeout=30)
        wrong.append(InvalidRequestError("the token has expired"))
        with pytest.raises(InvalidRequestError, match="the token has expired"):
            client.threads.join_stream(thread_id, timeout=30)
        proxy.break_all()
        with pytest.raises(InvalidRequestError, match="the token has expired"):
            next(stream)


def test_wrong_arguments_and_unknown_threads(client: Client, thread_id: str) -> None:
    """A thread that does not exist is NotFoundError at once, although the server would wait for its events for ever."""
    with pytest.raises(NotFoundError):
        client.threads.join_stream(str(uuid.uuid4()))
    for options, message in (
        ({"stream_mode": "values"}, "stream_mode='values': give one of 'run_modes'"),
        ({"stream_mode": []}, "stream_mode: give one mode"),
        ({"on_gap": "skip"}, "on_gap='skip': give one of"),
        ({"last_event_id": "a\nb"}, "last_event_id"),
        ({"last_event_id": "event-7"}, "last_event_id: give '0'"),
    ):
        with pytest.raises(InvalidRequestError, match=message):
            client.threads.join_stream(thread_id, **options)


def test_a_deleted_thread_ends_it(client: Client, proxy: CuttingProxy, thread_id: str) -> None:
    """When it connects again, the thread is not found."""
    with Client(proxy.url, api_key=None) as cut:
        stream = cut.threads.join_stream(thread_id, timeout=60)
        client.threads.delete(thread_id)
        threading.Timer(0.2, proxy.break_all).start()
        with pytest.raises(NotFoundError):
            list(stream)

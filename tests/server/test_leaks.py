"""Streams that are broken off in every way leave nothing behind: no socket, no thread."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

from langgraph_runs import AbortController, AbortedError, Client, DeadlineExceededError, RunStream
from langgraph_runs.devserver import DevServer

from .conftest import Gate, wait_until

STREAMS = 500
AT_ONCE = 25
DESCRIPTORS = Path("/proc/self/fd")

pytestmark = pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="open descriptors are counted in /proc/self/fd")


def sockets() -> list[str]:
    found = []
    for entry in os.listdir(DESCRIPTORS):
        try:
            target = os.readlink(DESCRIPTORS / entry)
        except FileNotFoundError:
            continue  # the listing's own
        if target.startswith("socket:"):
            found.append(target)
    return sorted(found)


def open_stream(client: Client, joined: tuple[str, str], **options: Any) -> RunStream[Any]:
    """The stream of a run that is held: its first events come, its end does not."""
    return client.runs.join_stream(*joined, last_event_id="0", **options)


def by_break(client: Client, joined: tuple[str, str]) -> None:
    for _ in open_stream(client, joined):
        break


def by_leaving_the_block(client: Client, joined: tuple[str, str]) -> None:
    with open_stream(client, joined) as stream:
        next(stream)


def by_exception(client: Client, joined: tuple[str, str]) -> None:
    with pytest.raises(ZeroDivisionError), open_stream(client, joined) as stream:
        for _ in stream:
            raise ZeroDivisionError


def by_exception_without_a_block(client: Client, joined: tuple[str, str]) -> None:
    try:
        for _ in open_stream(client, joined):
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass


def by_close_from_another_thread(client: Client, joined: tuple[str, str]) -> None:
    stream = open_stream(client, joined)
    closer = threading.Thread(target=lambda: (wait_until(lambda: stream.events_seen > 0, "an event"), stream.close()))
    closer.start()
    for _ in stream:
        pass
    closer.join()


def by_timeout(client: Client, joined: tuple[str, str]) -> None:
    with pytest.raises(DeadlineExceededError):
        list(open_stream(client, joined, timeout=0.3))


def by_garbage_collection(client: Client, joined: tuple[str, str]) -> None:
    stream: Optional[RunStream[Any]] = open_stream(client, joined)
    assert stream is not None
    next(stream)
    del stream
    gc.collect()


def by_never_reading(client: Client, joined: tuple[str, str]) -> None:
    open_stream(client, joined)


def by_abort(client: Client, joined: tuple[str, str]) -> None:
    controller = AbortController()
    stream = open_stream(client, joined, signal=controller.signal)
    with pytest.raises(AbortedError):
        for _ in stream:
            controller.abort()


def by_abort_from_another_thread(client: Client, joined: tuple[str, str]) -> None:
    controller = AbortController()
    stream = open_stream(client, joined, signal=controller.signal)
    aborter = threading.Thread(target=lambda: (wait_until(lambda: stream.events_seen > 0, "an event"), controller.abort()))
    aborter.start()
    with pytest.raises(AbortedError):
        list(stream)
    aborter.join()


BREAKS: list[Callable[[Client, tuple[str, str]], None]] = [
    by_break,
    by_leaving_the_block,
    by_exception,
    by_exception_without_a_block,
    by_close_from_another_thread,
    by_timeout,
    by_garbage_collection,
    by_never_reading,
    by_abort,
    by_abort_from_another_thread,
]


@pytest.fixture
def held(client: Client, gate: Gate) -> Iterator[tuple[str, str]]:
    """A run that has begun and goes on until the test is over."""
    thread_id = client.threads.create().thread_id
    run = client.runs.create(thread_id, "gated", input=gate.input(), stream_mode=["values", "custom"], stream_resumable=True)
    gate.wait_begun()
    yield thread_id, run.run_id


def test_five_hundred_broken_streams_leave_nothing(server: DevServer, held: tuple[str, str]) -> None:
    """After 500 streams broken off in ten ways, 25 at a time, there are no more sockets and threads than before."""
    with Client(server.url, api_key=None) as client:
        client.ok()
        for leave in BREAKS:
            leave(client, held)  # what is made once and kept, such as pooled connections, is there now
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda _: client.runs.get(*held), range(4 * AT_ONCE)))
        gc.collect()
        before = sockets(), threading.active_count()
        assert len(before[0]) > 0

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda number: BREAKS[number % len(BREAKS)](client, held), range(STREAMS)))
        gc.collect()
        wait_until(lambda: threading.active_count() <= before[1], "the threads to end")
        after = sockets()
        assert len(after) <= len(before[0])
        assert before[1] == threading.active_count()

        assert "running" == client.runs.get(*held).status
        assert next(iter(open_stream(client, held))).event == "metadata"
    gc.collect()
    assert [] == [socket for socket in sockets() if socket in after and socket not in before[0]]


@pytest.mark.parametrize("leave", BREAKS, ids=lambda leave: leave.__name__)
def test_each_way_lets_go_at_once(server: DevServer, held: tuple[str, str], leave: Any) -> None:
    """One stream broken off on a client of its own leaves no socket that was not there before, without waiting for anything."""
    gc.collect()
    before = Counter(sockets())
    with Client(server.url, api_key=None) as client:
        leave(client, held)
        gc.collect()
        started = time.monotonic()
        # A pooled connection may stay for the next call; the stream's own may not, since it is in the middle of an answer.
        assert "running" == client.runs.get(*held).status
        assert sum((Counter(sockets()) - before).values()) <= 1
        assert time.monotonic() - started < 5
    assert [] == list((Counter(sockets()) - before).elements())

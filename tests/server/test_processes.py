"""One client in many threads, on both sides of a fork, and in processes that unpickled it."""

from __future__ import annotations

import functools
import gc
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

import pytest

from langgraph_runs import Client, InvalidRequestError
from langgraph_runs.devserver import DevServer
from langgraph_runs.testing.cutting_proxy import CuttingProxy

forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def in_child(work: Callable[[], Any], inherited: Any = None) -> Any:
    """Return what *work* returns in a forked child, or the exception that it raises. The child runs no cleanup of pytest."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.alarm(30)
            try:
                result = work()
            except BaseException as error:
                result = error
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(result, pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    return pickle.loads(data)


def get_in_process(client: Client, ids: Any) -> str:
    return client.runs.get(*ids).run_id


@pytest.fixture
def ids(client: Client) -> Any:
    run = client.runs.create(client.threads.create().thread_id, "echo", input={"value": 1})
    return run.thread_id, run.run_id


@forking
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_parent_and_child_use_one_client_without_sharing_a_connection(server: DevServer, ids: Any) -> None:
    """Each gets its own responses, on its own connections, although one connection was open before the fork."""
    with CuttingProxy(server.url) as proxy, Client(proxy.url) as client:
        assert ids[1] == client.runs.get(*ids).run_id
        before = proxy.connections
        others = [client.runs.create(ids[0], "echo", input={"value": n}).run_id for n in range(4)]

        def ask(run_id: str) -> list[str]:
            return [client.runs.get(ids[0], run_id).run_id for _ in range(5)]

        results = [in_child(functools.partial(ask, other)) for other in others]
        assert [[other] * 5 for other in others] == results
        assert before + len(others) <= proxy.connections
        assert ids[1] == client.runs.get(*ids).run_id


@forking
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_does_not_disturb_a_stream_of_its_parent(server: DevServer) -> None:
    """Closing and garbage-collecting the inherited stream and client in the child leaves the stream of the parent complete."""
    with Client(server.url) as client:
        thread_id = client.threads.create().thread_id
        with client.runs.stream(thread_id, "burst", input={"n": 200, "pause": 0.005}, stream_mode="custom") as stream:
            first = next(stream)

            def clean_up() -> str:
                stream.close()
                client.close()
                gc.collect()
                return "cleaned up"

            assert "cleaned up" == in_child(clean_up)
            events = [first, *stream]
        assert list(range(200)) == [event.data["i"] for event in events if event.event == "custom"]
        assert not stream.gaps


@forking
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_cannot_read_the_stream_of_its_parent(server: DevServer) -> None:
    """The parent would miss the events that the child reads. The error says what to do instead."""
    with Client(server.url) as client:
        thread_id = client.threads.create().thread_id
        with client.runs.stream(thread_id, "burst", input={"n": 40, "pause": 0.02}, stream_mode="custom") as stream:
            first = next(stream)
            error = in_child(lambda: list(stream)[1000:])
            rest = list(stream)
    assert isinstance(error, InvalidRequestError)
    assert "join_stream" in str(error)
    assert list(range(40)) == [event.data["i"] for event in (first, *rest) if event.event == "custom"]


@pytest.mark.skipif(sys.platform == "win32", reason="the spawned child imports this module by its package")
def test_a_client_can_be_pickled_for_a_new_process(server: DevServer, ids: Any) -> None:
    """A spawned process uses the client with its own connections."""
    with Client(server.url) as client:
        client.ok()
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert ids[1] == pool.apply(get_in_process, (client, ids))


def test_sixty_four_threads_share_one_client_and_its_connections(server: DevServer, ids: Any) -> None:
    """Each thread gets its own responses. At most one connection is opened for each thread, and none for each call."""
    with CuttingProxy(server.url) as proxy, Client(proxy.url, pool_size=64) as client:
        runs = [client.runs.create(ids[0], "echo", input={"value": n}).run_id for n in range(8)]
        start = threading.Barrier(64)

        def get_runs(number: int) -> bool:
            start.wait(30)
            wanted = runs[number % len(runs)]
            return all(client.runs.get(ids[0], wanted).run_id == wanted for _ in range(10))

        with ThreadPoolExecutor(64) as pool:
            assert all(pool.map(get_runs, range(64)))
        assert proxy.connections <= 65

"""One client for all threads and for both sides of a fork; and nothing left behind, however things end."""

from __future__ import annotations

import contextlib
import copy
import gc
import json
import logging
import os
import pathlib
import pickle
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import Any, Callable

import pytest

import langgraph_runs
from langgraph_runs import (
    AbortController,
    Client,
    LangGraphRunsError,
    NotFoundError,
    RetryPolicy,
    RunFailedError,
    RunsCreatePayload,
    StreamEvent,
    ValuesStreamEvent,
)
from langgraph_runs.testing import fake_server, succeeds

from .calls import CALLS, QUICK, after, calls, named
from .fake_langgraph import Dialect, FakeLangGraph
from .scripted import (
    RUN_ID,
    THREAD_ID,
    Item,
    Reply,
    Request,
    ScriptedServer,
    drop_before_answer,
    event,
    reply,
    reply_json,
    run_json,
    sse,
    stall,
    waiting,
)

Connect = Callable[..., Client]

RUN = (THREAD_ID, RUN_ID)
SOURCE = str(pathlib.Path(langgraph_runs.__file__).parent.parent)
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def in_threads(count: int, work: Callable[[int], object]) -> None:
    """Run `work` in *count* threads at once; the first failure fails the test."""
    failures: list[BaseException] = []
    gate = threading.Barrier(count)

    def run(number: int) -> None:
        gate.wait()
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if failures:
        raise failures[0]


# -- threads


def echo(request: Request) -> Reply:
    """Responds with the ids of the path, so that a response for another request is noticed."""
    parts = request.path.strip("/").split("/")
    thread_id, rest = parts[1], parts[2:]
    if rest == ["runs"] and request.method == "GET":
        return reply_json(200, [run_json(thread_id=thread_id, run_id=f"run of {thread_id}")])
    if rest == ["runs"]:
        stored = {"config": {"configurable": {"langgraph_request_id": request.header("x-request-id")}}}
        return reply_json(200, run_json(thread_id=thread_id, metadata=request.json()["metadata"], kwargs=stored))
    if rest == ["runs", "wait"]:
        return waiting("\n", value={"thread": thread_id}, run=(thread_id, "r"))
    if rest == ["runs", "stream"]:
        return sse(*[("custom", {"thread": thread_id, "n": n}) for n in range(20)], run=(thread_id, "r"))
    if rest == ["runs", "missing"]:
        return reply_json(404, {"detail": f"none on {thread_id}"})
    return reply_json(200, run_json(thread_id=thread_id, run_id=rest[1], status="success"))


@pytest.mark.parametrize("pool_size", [64, 3])
def test_64_threads_on_one_client(connect: Connect, caplog: pytest.LogCaptureFixture, pool_size: int) -> None:
    """Every thread gets its own responses and errors, and a pool that is too small is no reason for a warning."""
    with ScriptedServer(always=echo) as server, caplog.at_level(logging.DEBUG):
        client = connect(server.url, pool_size=pool_size)

        def work(number: int) -> None:
            thread_id = f"thread-{number}"
            for step in range(5):
                assert f"{step}" == client.runs.get(thread_id, f"{step}").run_id
                assert [f"run of {thread_id}"] == [run.run_id for run in client.runs.list(thread_id)]
                assert {"n": number} == client.runs.create(thread_id, "agent", metadata={"n": number}).metadata
                assert {"thread": thread_id} == client.runs.wait(thread_id, "agent")
                with client.runs.stream(thread_id, "agent") as stream:
                    assert [{"thread": thread_id, "n": n} for n in range(20)] == [e.data for e in stream]
                with pytest.raises(NotFoundError, match=f"none on {thread_id}"):
                    client.runs.get(thread_id, "missing")

        in_threads(64, work)
        # The server has its own pace in seeing that a connection was closed.
        server.wait_until(lambda: server.open_connections <= pool_size, f"no more than {pool_size} connections to be left")

    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_first_calls_of_many_threads(connect: Connect) -> None:
    """A client that was never used before, by 32 threads at once: what is made on first use is made once, and whole."""
    with ScriptedServer(always=echo) as server:
        for _ in range(5):
            client = connect(server.url)
            in_threads(32, lambda number, client=client: client.runs.get(f"t{number}", "r") and None)  # type: ignore[misc]


def test_connections_are_kept_and_used_again(connect: Connect) -> None:
    """Call after call of eight threads needs eight connections, not one for each call."""
    with ScriptedServer(always=echo) as server:
        client = connect(server.url)
        in_threads(8, lambda number: [client.runs.get(f"t{number}", "r") for _ in range(30)])
        assert server.connections <= 8 + 2


def test_an_open_connection_is_used_before_a_closed_one(connect: Connect) -> None:
    """A stream that was broken off gives its closed connection back last. It must not hide the open one from the next call."""
    with ScriptedServer(always=echo) as server:
        client = connect(server.url)
        stream = client.runs.stream("t", "agent")
        client.runs.get("u", "r")
        stream.close()
        client.runs.get("u", "r")
        assert [0, 1, 1] == [request.connection for request in server.requests]


def test_closing_while_others_call(connect: Connect) -> None:
    """close() in the middle of 16 busy threads: each call succeeds or raises an error of this library; none hangs."""
    with ScriptedServer(always=echo) as server:
        client = connect(server.url)
        begun = threading.Barrier(17)

        def work(number: int) -> None:
            begun.wait()
            with contextlib.suppress(LangGraphRunsError):
                for _ in range(1000):
                    client.runs.get(f"t{number}", "r")

        closer = threading.Thread(target=lambda: (begun.wait(), server.wait_for(50), client.close()))
        closer.start()
        in_threads(16, work)
        closer.join()
        server.wait_closed()


# -- processes


def in_process(script: str, url: str, *, timeout: float = 60) -> Any:
    """Run a script in a Python of its own, which has `client`, `url` and `forked`; what it puts into `result` comes back."""
    prelude = """
        import gc, json, os, sys, threading, time, warnings
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)  # with threads, from 3.12 on
        from langgraph_runs import *
        url = sys.argv[1]
        result = None
        client = Client(url, api_key=None, retry=RetryPolicy(wait_initial=0.001, wait_max=0.001))

        def forked(work):
            # runs work in a child, returns what it returns
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                try:
                    told = json.dumps(work())
                except BaseException as error:
                    told = json.dumps(f"{type(error).__name__}: {error}")
                os.write(write, told.encode())
                os._exit(0)
            os.close(write)
            with os.fdopen(read) as pipe:
                told = pipe.read()
            os.waitpid(pid, 0)
            return json.loads(told)
    """
    code = textwrap.dedent(prelude) + textwrap.dedent(script) + "\nclient.close()\nprint(json.dumps(result))\n"
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, timeout=timeout, env=environment)
    assert (0, "") == (done.returncode, done.stderr)
    return json.loads(done.stdout)


@forks
def test_parent_and_child_do_not_share_a_connection() -> None:
    """A client that was used before the fork works on both sides; the child connects anew, the parent keeps its own."""
    script = """
        before = client.info().version
        child = forked(lambda: [client.info().version for _ in range(3)])
        result = [before, child, client.info().version]
    """
    with ScriptedServer(*[reply_json(200, {"version": str(n)}) for n in range(5)]) as server:
        assert ["0", ["1", "2", "3"], "4"] == in_process(script, server.url)
        assert [0, 1, 1, 1, 0] == [request.connection for request in server.requests]


@forks
def test_four_children_at_once_get_their_own_responses() -> None:
    """As with gunicorn's preload: four processes with one client, each asks a hundred times, no process gets another's response."""
    script = """
        client.runs.get("parent", "r")
        def work(name):
            return all(client.runs.get(f"{name}-{n}", "r").thread_id == f"{name}-{n}" for n in range(100))
        told = {}
        threads = []
        for number in range(4):
            thread = threading.Thread(target=lambda n=number: told.update({n: forked(lambda: work(f"child{n}"))}))
            thread.start()
            threads.append(thread)
        mine = work("parent")
        for thread in threads:
            thread.join()
        result = [mine, *told.values()]
    """
    with ScriptedServer(always=echo) as server:
        assert [True] * 5 == in_process(script, server.url)
        assert 401 + 100 == len(server.requests)


@forks
@pytest.mark.parametrize(
    "what", ["stream.close()", "client.close()", "stream.__del__()", "controller.abort()", "gc.collect()", "None"]
)
def test_what_a_child_does_with_the_parents_stream(what: str) -> None:
    """Closing, collecting, aborting in the child, and its exit, leave the parent's stream as it is."""
    script = f"""
        controller = AbortController()
        stream = client.runs.stream("t", "agent", signal=controller.signal)
        first = next(stream).data
        def work():
            {what}
            return "done"
        told = forked(work)
        client.info()
        result = [first, told, *[event.data for event in stream]]
    """
    gate = threading.Event()
    with ScriptedServer(
        sse(("custom", 0), gate, ("custom", 1), ("custom", 2), run=("t", "r")),
        routes={
            ("GET", "/info"): lambda _: (gate.set(), reply_json(200, {}))[1],
            ("GET", "/threads/t/runs/r"): reply_json(200, run_json()),
        },
    ) as server:
        assert [0, "done", 1, 2] == in_process(script, server.url)


@forks
def test_a_stream_belongs_to_its_process() -> None:
    """The child cannot read it, and the error says what to do; a stream of its own works."""
    script = """
        stream = client.runs.stream("t", "agent")
        next(stream)
        def read():
            try:
                for event in stream:  # but for what the parent had read already
                    pass
            except InvalidRequestError as error:
                return str(error)
        told = forked(read)
        own = forked(lambda: [event.data for event in client.runs.stream("t", "agent")])
        result = [told, own, [event.data for event in stream]]
    """
    with ScriptedServer(
        routes={
            ("POST", "/threads/t/runs/stream"): sse(("custom", 0), ("custom", 1), run=("t", "r")),
            ("GET", "/threads/t/runs/r"): reply_json(200, run_json()),
        }
    ) as server:
        told, own, rest = in_process(script, server.url)

    assert "join_stream" in told
    assert ([0, 1], [1]) == (own, rest)


@pytest.mark.skipif(sys.platform != "linux", reason="the fork of the C library is called by its name in Linux")
def test_a_process_that_was_forked_in_c_has_ids_of_its_own() -> None:
    """uWSGI forks its workers so: Python is not told. Equal ids would make one worker take another's run for its own."""
    script = """
        import ctypes
        def ids():
            for _ in range(3):
                client.runs.create("t", "agent")
        ids()
        pid = ctypes.CDLL(None).fork()
        ids()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    """
    with ScriptedServer(always=reply_json(200, run_json())) as server:
        in_process(script, server.url)
        headers = [request.header("x-request-id") for request in server.requests]
        markers = [request.json()["metadata"]["langgraph_runs_request_id"] for request in server.requests]
    assert 9 == len(set(headers)) == len(set(markers))


@forks
def test_a_map_belongs_to_its_process() -> None:
    """A child cannot iterate it, or it would wait forever for threads that it does not have; the parent goes on."""
    script = """
        results = client.runs.map("agent", [{"n": 1}, {"n": 2}, {"n": 3}], concurrency=1)
        next(results)
        def read():
            try:
                next(results)
            except InvalidRequestError as error:
                return str(error)
        told = forked(read)
        result = [told, len(list(results))]
    """
    with fake_server() as fake:
        fake.script(succeeds({"a": 1}), repeat=True)
        told, rest = in_process(script, fake.url)

    assert ("this map belongs to the parent process; start one in this process", 2) == (told, rest)


@forks
def test_a_fork_while_other_threads_call() -> None:
    """Locks that another thread held at the moment of the fork do not stop the child."""
    script = """
        over = threading.Event()
        def busy():
            while not over.is_set():
                client.runs.get("busy", "r")
        threads = [threading.Thread(target=busy) for _ in range(4)]
        for thread in threads:
            thread.start()
        result = [forked(lambda: client.runs.get(f"child{n}", "r", timeout=20).thread_id) for n in range(20)]
        over.set()
        for thread in threads:
            thread.join()
    """
    with ScriptedServer(always=echo) as server:
        assert [f"child{n}" for n in range(20)] == in_process(script, server.url)


@pytest.mark.slow
@forks
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_a_fork_while_another_thread_makes_the_first_client(delay: float) -> None:
    """A fork waits for the import of what clients need: the lock of a half-imported module is never released in the child."""
    code = """
import json, os, sys, threading, time
import langgraph_runs
def first():
    langgraph_runs.Client(sys.argv[1], api_key=None).runs.get("first", "r")
thread = threading.Thread(target=first)
thread.start()
time.sleep(float(sys.argv[2]))
pid = os.fork()
if pid == 0:
    found = langgraph_runs.Client(sys.argv[1], api_key=None, timeout=20).runs.get("child", "r").thread_id
    os._exit(0 if found == "child" else 1)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
thread.join()
sys.exit(code)
"""
    with ScriptedServer(always=echo) as server:
        command = [sys.executable, "-W", "ignore", "-c", code, server.url, str(delay)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, env={**os.environ, "PYTHONPATH": SOURCE})
    assert (0, "") == (done.returncode, done.stderr)


@forks
def test_a_call_that_goes_on_in_a_forked_child_uses_a_connection_of_its_own() -> None:
    """A hook of a call forks: parent and child both finish the call, and neither reads the other's response."""
    script = """
        read, write = os.pipe()
        pids = []
        def fork_once(details):
            if not pids:
                pids.append(os.fork())
        policy = RetryPolicy(attempts=4, wait_initial=0.001, on_retry=fork_once)
        found = client.with_options(retry=policy).runs.get("busy-once", "r").thread_id
        if pids == [0]:
            os.write(write, found.encode())
            os._exit(0)
        os.waitpid(pids[0], 0)
        result = [found, os.read(read, 100).decode()]
    """
    lost: list[int] = []

    def refuse_once(request: Request) -> Reply:
        if not lost:
            lost.append(1)
            return reply_json(503, {"detail": "busy"})
        return echo(request)

    with ScriptedServer(always=refuse_once) as server:
        assert ["busy-once", "busy-once"] == in_process(script, server.url)
        assert 3 == len(server.requests)
        parent, child = server.requests[1:]
        assert parent.connection != child.connection


@forks
def test_a_connection_of_the_parent_is_not_used_in_the_child(connect: Connect) -> None:
    """Also when the child goes on with a call that has begun: reading from it, or writing to it, raises there."""
    with ScriptedServer(always=echo) as server:
        client = connect(server.url)
        client.runs.get("t", "r")
        connector: Any = client._transport._shared.connector()
        pool = connector.session.get_adapter(server.url)._pool[1]
        (connection,) = pool.pool
        connection._limited.pid -= 1  # as if another process had connected it
        assert "u" == client.runs.get("u", "r").thread_id
        assert 2 == len({request.connection for request in server.requests})
        (connection,) = pool.pool
        connection._limited.pid -= 1
        with pytest.raises(ConnectionError, match="belongs to the parent process"):
            connection.limited().send(None, b"")


def test_calls_from_atexit() -> None:
    """At the end of the interpreter no thread can be started; a name is looked up in the calling thread then."""
    code = """
import atexit, sys
import langgraph_runs
client = langgraph_runs.Client(sys.argv[1], api_key=None)
def last():
    print(client.runs.get("last", "r").thread_id)
    import socket
    real = socket.getaddrinfo
    socket.getaddrinfo = lambda host, *rest: real("127.0.0.1", *rest)
    named = langgraph_runs.Client(sys.argv[1].replace("127.0.0.1", "some.name.test"), api_key=None)
    print(named.runs.get("named", "r").thread_id)
atexit.register(last)
client.runs.get("first", "r")
"""
    with ScriptedServer(always=echo) as server:
        command = [sys.executable, "-c", code, server.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, env={**os.environ, "PYTHONPATH": SOURCE})
    assert ("last\nnamed\n", "") == (done.stdout, done.stderr)


@forks
def test_no_two_processes_make_the_same_request_id() -> None:
    """Neither children of one parent, nor programs that seed `random`, as tests and models do: runs are found again by it."""
    script = """
        import random
        client.runs.create("t", "agent")
        def work():
            random.seed(0)
            return client.runs.create("t", "agent").run_id
        result = [work(), work(), forked(work), forked(work)]
    """
    with ScriptedServer(always=lambda request: reply_json(200, {**run_json(), "run_id": request.header("x-request-id")})) as server:
        ids = [one for _ in range(2) for one in in_process(script, server.url)]

    assert 8 == len(set(ids))


@forks
def test_a_child_may_use_a_closed_parents_settings() -> None:
    """A client that was never used before the fork, and one that the parent closes while the child uses it."""
    script = """
        import time
        def work():
            return [client.info(timeout=10).version for _ in range(3)]
        first = forked(work)
        client.info()
        second = forked(work)
        result = [first, second]
    """
    with ScriptedServer(always=reply_json(200, {"version": "1"})) as server:
        assert [["1"] * 3, ["1"] * 3] == in_process(script, server.url)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method: str, tmp_path: pathlib.Path) -> None:
    """A client goes to the workers of a pool, by inheritance or pickled, however they are started."""
    import multiprocessing

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    module = tmp_path / "pooled.py"
    module.write_text(
        textwrap.dedent("""
        import json, multiprocessing, sys, warnings
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
        from langgraph_runs import Client

        def work(args):
            client, name = args
            return client.runs.get(name, "r").thread_id

        if __name__ == "__main__":
            client = Client(sys.argv[1], api_key="k", timeout=30)
            client.runs.get("parent", "r")
            with multiprocessing.get_context(sys.argv[2]).Pool(2) as pool:
                print(json.dumps(pool.map(work, [(client, f"t{n}") for n in range(8)])))
            client.close()
        """)
    )
    with ScriptedServer(always=echo) as server:
        environment = {**os.environ, "PYTHONPATH": SOURCE}
        done = subprocess.run(
            [sys.executable, str(module), server.url, method], capture_output=True, text=True, timeout=60, env=environment
        )
        assert (0, "") == (done.returncode, done.stderr)
        assert {"k"} == {request.header("x-api-key") for request in server.requests}

    assert [f"t{n}" for n in range(8)] == json.loads(done.stdout)


# -- pickles and copies


def test_a_client_pickles(connect: Connect) -> None:
    """The copy has the settings, makes connections of its own, and outlives the original."""
    with ScriptedServer(always=reply_json(200, {"version": "1"})) as server:
        client = connect(server.url, api_key="k", timeout=7, headers={"a": "b"}, verify_outcome=False)
        client.ok()
        for made in (pickle.loads(pickle.dumps(client)), copy.deepcopy(client)):
            client.ok()
            with made:
                assert "1" == made.info().version
            assert repr(client) == repr(made)
        client.ok()
        connections = [request.connection for request in server.requests]
        assert ["k"] * 6 == [request.header("x-api-key") for request in server.requests]
        assert ["b"] * 6 == [request.header("a") for request in server.requests]

    assert [0, 0, 1, 0, 2, 0] == connections


def test_the_resources_of_a_client_pickle_as_it_does(connect: Connect) -> None:
    """So that a method can be passed to another process: ``executor.submit(client.runs.get, ...)``."""
    with ScriptedServer(always=reply_json(200, run_json())) as server:
        client = connect(server.url, api_key="s3cret")
        for made in (pickle.loads(pickle.dumps(client.runs)), copy.deepcopy(client.runs)):
            assert made.get(THREAD_ID, RUN_ID).run_id == RUN_ID
            made._transport.close()
        get, search = pickle.loads(pickle.dumps((client.runs.get, client.assistants.get)))
        assert get(THREAD_ID, RUN_ID).run_id == RUN_ID
        assert get.__self__._transport is search.__self__._transport  # with the same connections
        assert {"s3cret"} == {request.header("x-api-key") for request in server.requests}
        get.__self__._transport.close()


def test_a_closed_client_pickles_too(connect: Connect) -> None:
    """The copy is open: it is another client."""
    with ScriptedServer(always=reply_json(200, {})) as server:
        client = connect(server.url)
        client.close()
        with pickle.loads(pickle.dumps(client)) as made:
            assert made.ok()


@calls()
def test_errors_of_every_call_pickle(connect: Connect, call: Any) -> None:
    """A status error and a connection error come back the same from a pickle, without the key."""
    with ScriptedServer(reply_json(418, {"detail": "x"}), drop_before_answer(), always=reply(418)) as server:
        client = connect(server.url, api_key="s3cret", retry=RetryPolicy(attempts=1))
        for _ in range(2):
            with pytest.raises(LangGraphRunsError) as caught:
                call(client)
            pickled = pickle.dumps(caught.value)
            made = pickle.loads(pickled)
            assert b"s3cret" not in pickled
            assert (type(caught.value), str(caught.value), repr(caught.value)) == (type(made), str(made), repr(made))


def test_what_is_sent_and_received_pickles(connect: Connect) -> None:
    """Runs, events, payloads, outcomes and policies."""
    outcome_route = {("GET", "/threads/*/runs/*"): reply_json(200, run_json("error"))}
    with ScriptedServer(sse(("values", {"n": 1}), ("error", "boom"), run=RUN), routes=outcome_route) as server:
        client = connect(server.url)
        events: list[StreamEvent] = []
        with pytest.raises(RunFailedError) as caught:
            for one in client.runs.stream(THREAD_ID, "agent"):
                events.append(one)
    things: list[Any] = [*events, caught.value.run, RunsCreatePayload(input={"n": 1}), QUICK]
    for thing in things:
        assert thing == pickle.loads(pickle.dumps(thing)) == copy.deepcopy(thing)
    assert caught.value.run == pickle.loads(pickle.dumps(caught.value)).run


# -- nothing left


def sockets() -> int:
    """How many sockets this process has open."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    return found


def on_and_on() -> Iterator[Item]:
    for number in range(1_000_000):
        yield event("custom", number)


ENDLESS = Reply("on and on", headers=sse(run=RUN).headers, items=on_and_on, framing="chunked")
STALLED = sse(("custom", 1), run=RUN).then_stall()

#: Ways in which a stream may end too early: what the server does, and what the reader does.
WAYS: dict[str, tuple[Reply, Callable[[Client], Any]]] = {}


def way(reply_: Reply) -> Callable[[Callable[[Client], Any]], Callable[[Client], Any]]:
    def keep(work: Callable[[Client], Any]) -> Callable[[Client], Any]:
        WAYS[work.__name__] = (reply_, work)
        return work

    return keep


@way(ENDLESS)
def broken_off(client: Client) -> None:
    for _ in client.runs.stream(THREAD_ID, "agent"):
        break


@way(ENDLESS)
def left_by_an_exception(client: Client) -> None:
    with contextlib.suppress(ZeroDivisionError), client.runs.stream(THREAD_ID, "agent") as stream:
        for _ in stream:
            raise ZeroDivisionError


@way(ENDLESS)
def never_read(client: Client) -> None:
    client.runs.stream(THREAD_ID, "agent")


@way(ENDLESS)
def closed(client: Client) -> None:
    client.runs.stream(THREAD_ID, "agent").close()


@way(ENDLESS)
def in_a_cycle(client: Client) -> None:
    holder: list[Any] = [client.runs.stream(THREAD_ID, "agent")]
    holder.append(holder)


@way(STALLED)
def out_of_time(client: Client) -> None:
    list(client.runs.stream(THREAD_ID, "agent", timeout=0.02))


@way(STALLED)
def aborted(client: Client) -> None:
    controller = AbortController()
    stream = client.runs.stream(THREAD_ID, "agent", signal=controller.signal)
    next(stream)
    controller.abort()
    next(stream)


@way(STALLED)
def silent(client: Client) -> None:
    list(client.with_options(read_timeout=0.05).runs.stream(THREAD_ID, "agent", stream_resumable=False))


@way(sse(("custom", 1), run=RUN).then_cut())
def cut(client: Client) -> None:
    list(client.runs.stream(THREAD_ID, "agent", stream_resumable=False))


@way(sse(("custom", 1), run=RUN).then_reset())
def reset(client: Client) -> None:
    list(client.runs.stream(THREAD_ID, "agent", stream_resumable=False))


@way(sse(("values", b"{no json"), run=RUN).then_stall())
def undecodable(client: Client) -> None:
    list(client.runs.stream(THREAD_ID, "agent"))


@way(sse(("custom", "x" * 5000), run=RUN).then_stall())
def too_large(client: Client) -> None:
    list(client.with_options(max_event_bytes=100).runs.stream(THREAD_ID, "agent"))


@way(reply(200, "<html>", {"Content-Type": "text/html"}).then_stall())
def no_stream(client: Client) -> None:
    client.runs.stream(THREAD_ID, "agent")


@way(reply_json(422, {"detail": "no"}))
def refused(client: Client) -> None:
    client.runs.stream(THREAD_ID, "agent")


@way(Reply("error on and on", b"HTTP/1.1 400 Bad Request", items=(b"x" * 3_000_000,), framing="close"))
def refused_at_length(client: Client) -> None:
    client.runs.stream(THREAD_ID, "agent")


@way(reply(302, "moved", {"Location": "/elsewhere"}))
def sent_elsewhere(client: Client) -> None:
    client.runs.stream(THREAD_ID, "agent")


@way(STALLED)
def a_callback_that_fails(client: Client) -> None:
    def fail(_: Any) -> None:
        raise ZeroDivisionError

    with contextlib.suppress(ZeroDivisionError):
        client.runs.stream(THREAD_ID, "agent", on_run_created=fail)


@way(sse(("error", "boom"), run=RUN).then_stall())
def failed(client: Client) -> None:
    list(client.runs.stream(THREAD_ID, "agent"))


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="sockets are counted in /proc")
def test_500_streams_that_ended_too_early_leave_nothing(connect: Connect) -> None:
    """After 500 streams, broken off in every way in turn: not a socket and not a thread more than before."""
    current: list[Reply] = []
    routes: dict[tuple[str, str], Any] = {
        ("POST", f"/threads/{THREAD_ID}/runs/stream"): lambda _: current[0],
        ("GET", f"/threads/{THREAD_ID}/runs/{RUN_ID}"): reply_json(200, run_json("error")),
    }
    with ScriptedServer(routes=routes, always=reply(404)) as server:
        client = connect(server.url)
        counts: list[tuple[int, int]] = []
        for number in range(500 + len(WAYS)):
            if number == len(WAYS):
                gc.collect()
                server.wait_until(lambda: len(server._open) <= 2, "the connections of the first round to be closed")
                counts.append((sockets(), _others(server)))
            current[:], work = [list(WAYS.values())[number % len(WAYS)][0]], list(WAYS.values())[number % len(WAYS)][1]
            with contextlib.suppress(LangGraphRunsError):
                work(client)
        gc.collect()
        server.wait_until(lambda: len(server._open) <= 2, "the connections to be closed")
        counts.append((sockets(), _others(server)))
        client.close()
        server.wait_closed()
        # Nearly all came to be: a busy machine may end one before it is sent, or ask again for a late answer.
        assert 500 <= sum(request.path.endswith("/stream") for request in server.requests)

    # A kept connection more or less, with both its ends, is chance; of 500 streams it would be hundreds.
    assert abs(counts[1][0] - counts[0][0]) <= 4
    assert counts[0][1] == counts[1][1]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="sockets are counted in /proc")
def test_a_long_500_whose_run_is_looked_up_leaves_nothing(connect: Connect) -> None:
    """It leaves open whether there is a run. Apart from the 500 streams, since each look-up takes its time."""
    at_length = Reply("error on and on", b"HTTP/1.1 500 Oops", items=(b"x" * 3_000_000,), framing="close")
    routes: dict[tuple[str, str], Any] = {("POST", f"/threads/{THREAD_ID}/runs/stream"): at_length}
    with ScriptedServer(routes=routes, always=reply(404)) as server:
        client = connect(server.url)
        counts: list[tuple[int, int]] = []
        for _ in range(3):
            with contextlib.suppress(LangGraphRunsError):
                client.runs.stream(THREAD_ID, "agent")
            gc.collect()
            server.wait_until(lambda: len(server._open) <= 2, "the connections to be closed")
            counts.append((sockets(), _others(server)))
        assert 3 <= sum(request.path.endswith("/stream") for request in server.requests)
        assert len(server.requests) > 3  # the look-ups

    assert abs(counts[2][0] - counts[0][0]) <= 2
    assert counts[0][1] == counts[2][1]


def _others(server: ScriptedServer) -> int:
    """How many threads there are beside those of the server, of which one may be ending at this moment."""
    return len(set(threading.enumerate()) - set(server._threads))


#: Seconds after which a call ends. A create without a response is looked up for 4 seconds: that it then ends is tested elsewhere.
LIMITS = {"silent": 2}
#: Seconds without a byte after which a request is given up. On a busy machine the server may begin to read it only after a while.
READ_LIMITS = {"silent": 0.2}


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="sockets are counted in /proc")
@pytest.mark.parametrize("kind", ["good", "cut", "silent", "refused", "dropped"])
def test_no_call_leaves_a_socket(connect: Connect, kind: str) -> None:
    """Every call, succeeding and failing in every way: once the client is closed there are as many sockets as before."""
    before = sockets()
    for call in CALLS:
        broken = {
            "good": call.good,
            "cut": Reply("cut", headers=call.good.headers, items=(b" ",), framing="chunked").then_cut(),
            "silent": stall(),
            "refused": reply_json(418, {}),
            "dropped": drop_before_answer(),
        }[kind]
        with ScriptedServer(broken, routes=after(call), always=reply(418)) as server:
            client = Client(server.url, api_key=None, read_timeout=READ_LIMITS.get(kind, 5), retry=RetryPolicy(attempts=1))
            with contextlib.suppress(LangGraphRunsError):
                call(client, timeout=LIMITS.get(kind, 3))
            assert server.open_connections <= 2
            client.close()
            server.wait_closed()
    gc.collect()
    assert before == sockets()


def test_a_client_without_references_closes_its_connections() -> None:
    """Without close(), without a warning: when the client is collected its idle connections are closed."""
    with ScriptedServer(always=reply_json(200, {})) as server:
        client = Client(server.url, api_key=None)
        client.ok()
        assert 1 == server.open_connections
        del client
        gc.collect()
        server.wait_closed()


@pytest.mark.slow
def test_memory_stays_flat_over_many_events(connect: Connect) -> None:
    """What a stream remembers does not grow with the number of its events."""
    import tracemalloc

    size = 30_000
    for ids in ("ms", "int", "uuid"):
        with FakeLangGraph(dialect=Dialect(ids=ids)) as server:
            modes: Any = ["custom", "values"]
            stream = connect(server.url).runs.stream(
                THREAD_ID, "agent", input={"n": size}, stream_mode=modes, if_not_exists="create"
            )
            server.wait_until(lambda: bool(server.created) and server.created[0].done, "the end of the run")
            marks = []
            with stream:
                for number, _ in enumerate(stream):
                    if number == size // 3:
                        tracemalloc.start()
                    if number in (size // 2, size - 10):
                        gc.collect()
                        kept = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, f"{SOURCE}/langgraph_runs/*")])
                        marks.append(sum(stat.size for stat in kept.statistics("filename")))
            tracemalloc.stop()
        assert marks[1] - marks[0] < 1_500_000


def test_an_event_type_for_completeness(connect: Connect) -> None:
    """The events that threads exchange are plain values: equal if they say the same."""
    with ScriptedServer(*[named("stream").good] * 2) as server:
        client = connect(server.url, verify_outcome=False)
        one, two = (list(client.runs.stream(THREAD_ID, "agent")) for _ in range(2))
    assert one == two
    assert isinstance(one[1], ValuesStreamEvent)
    assert hash(type(one[0])) == hash(type(two[0]))

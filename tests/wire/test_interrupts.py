"""An exception or a nested call at any point of a call leaves the client right: Ctrl-C, soft time limits, signal handlers.

Python runs signal handlers between two instructions, after a call, at the start of a function and at the end of a loop's pass. The
tests stop a call at such points by tracing it, and check what the next calls get.
"""

from __future__ import annotations

import dis
import gc
import os
import queue
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Callable, Optional

import pytest
import requests
from urllib3.exceptions import ProtocolError

from langgraph_runs import (
    AbortController,
    AbortedError,
    APIConnectionError,
    APITimeoutError,
    Client,
    ConflictError,
    DeadlineExceededError,
    LangGraphRunsError,
    RetryPolicy,
)
from langgraph_runs.http import connection, pool
from langgraph_runs.http.connect import dial
from langgraph_runs.testing import fake_server, succeeds

from .scripted import RUN_ID, THREAD_ID, Reply, Request, ScriptedServer, closed_port, reply_json, run_json, sse, stall

#: Of the files whose code is part of a call.
FILES = ("langgraph_runs", "urllib3", "requests", "http/client.py", "socket.py")
#: Instructions after which Python looks for signals.
CALLS = ("CALL", "JUMP_BACKWARD", "JUMP_ABSOLUTE")
POINTS = {code for name, code in dis.opmap.items() if name.startswith(CALLS)}
#: The first instruction after a call that raised; Python does not look for signals there.
HANDLER = dis.opmap.get("PUSH_EXC_INFO")
EVENTS = [("values", {"n": 1}), ("values", {"n": 2})]

# An exception between the creation of a socket and its assignment to a variable leaves closing it to its finalizer, which warns.
# So does one that drops a connection, if the garbage collector comes to its socket first.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

Call = Callable[[Client], Any]


#: Each how many-th point is tried. Set all to 1 to try all of them, which takes minutes.
STEPS = {"get": 5, "create": 11, "stream": 19}


class Interrupt(BaseException):
    """What a signal handler raises."""


def get(client: Client) -> str:
    return client.runs.get(THREAD_ID, "outer").run_id


def create(client: Client) -> str:
    return client.runs.create(THREAD_ID, "agent", input={"n": 1}).run_id


def stream(client: Client) -> list[Any]:
    with client.runs.stream(THREAD_ID, "agent", input={}) as events:
        return [event.data for event in events]


KINDS: dict[str, tuple[Call, Any]] = {
    "get": (get, "outer"),
    "create": (create, RUN_ID),
    "stream": (stream, [data for _, data in EVENTS]),
}


class Tracer:
    """Runs a call and does something at the point with a given number; -1 counts the points."""

    def __init__(self, point: int, action: Callable[[], Any]) -> None:
        self.point, self.action = point, action
        self.seen = 0
        #: File, line and function of the point.
        self.place: Optional[tuple[str, int, str]] = None
        self._last: dict[int, int] = {}

    def run(self, work: Callable[[], Any]) -> Any:
        if sys.version_info >= (3, 12):
            pytest.skip("from Python 3.12 on, the instructions of a function are traced from its second call on only")
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            return work()
        finally:
            sys.settrace(before)

    def _enter(self, frame: Any, event: str, arg: Any) -> Any:
        # Python itself drops what is raised in a finalizer.
        if frame.f_code.co_name == "__del__" or not any(file in frame.f_code.co_filename for file in FILES):
            return None
        self._last.pop(id(frame), None)
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self._reach(frame)  # Python looks for signals at the start of each function
        return self._step

    def _step(self, frame: Any, event: str, arg: Any) -> Any:
        if event == "opcode":
            last = self._last.get(id(frame))
            self._last[id(frame)] = now = frame.f_code.co_code[frame.f_lasti]
            if last in POINTS and now != HANDLER:
                self._reach(frame)
        return self._step

    def _reach(self, frame: Any) -> None:
        self.seen += 1
        if self.seen == self.point:
            self.place = (os.path.basename(frame.f_code.co_filename), frame.f_lineno, frame.f_code.co_name)
            self.action()


def own_reply(request: Request) -> Reply:
    """A reply that shows which request it belongs to."""
    if request.path.endswith("/stream"):
        return sse(*EVENTS, run=(THREAD_ID, RUN_ID))
    if request.method == "POST":
        return reply_json(200, run_json(), [("Content-Location", f"/threads/{THREAD_ID}/runs/{RUN_ID}")])
    return reply_json(200, run_json(run_id=request.path.rpartition("/")[2]))


@pytest.fixture(autouse=True)
def _no_garbage_left() -> Iterator[None]:
    """The exception of a handler refers to itself through the handler's frame: what it keeps alive must not warn in a later test."""
    yield
    gc.collect()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(always=own_reply, takes_broken_requests=True) as running:
        yield running


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Client]:
    with Client(server.url, api_key=None, retry=RetryPolicy(attempts=1), read_timeout=5, pool_size=4) as made:
        yield made


def pools_of(client: Client) -> list[Any]:
    connector: Any = client._transport._shared.connector()
    pools = connector.session.get_adapter(client.base_url).poolmanager.pools
    return [pools[key] for key in list(pools.keys())]


def idle_connections(client: Client) -> list[Any]:
    return [connection for each in pools_of(client) for connection in each.pool]


def wrong_results(client: Client, threads: int, calls: int) -> list[str]:
    """Gets from several threads at once, each for a run of its own; what came instead of it."""
    wrong: queue.Queue[str] = queue.Queue()

    def work(number: int) -> None:
        for index in range(calls):
            wanted = f"{number}-{index}"
            try:
                found = client.runs.get(THREAD_ID, wanted).run_id
            except BaseException as error:
                found = repr(error)
            if found != wanted:
                wrong.put(f"{wanted}: {found}")

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    return list(wrong.queue)


def interrupt() -> None:
    raise Interrupt


def count_points(client: Client, call: Call) -> int:
    for _ in range(2):
        call(client)  # what is done once is done now
    counter = Tracer(-1, lambda: None)
    counter.run(lambda: call(client))
    assert counter.seen > 100
    return counter.seen


class JobLimit(TimeoutError):
    """The usual limit of a job: the handler of SIGALRM raises it."""


class Unavailable(ConnectionError):
    pass


class Refused(ValueError):
    pass


#: What a signal handler may raise, by turns: also exceptions of the classes that sockets, parsers, libraries and calls raise.
RAISED: dict[str, tuple[type[BaseException], ...]] = {
    "Interrupt": (Interrupt,),
    "JobLimit": (JobLimit,),
    "OSError": (OSError, BlockingIOError, Unavailable),
    "Refused": (Refused,),
    "libraries": (requests.Timeout, requests.HTTPError, ProtocolError, requests.ConnectionError),
}


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_at_any_point_leaves_the_connections_right(client: Client, kind: str, raised: str) -> None:
    """It reaches the caller unchanged. No connection is shared afterwards, none is lost, and no call gets another's response."""
    call, _ = KINDS[kind]
    total = count_points(client, call)
    wrong: list[Any] = []
    for point in range(1, total + 1, STEPS[kind]):
        classes = RAISED[raised]
        exception = classes[point // STEPS[kind] % len(classes)]("of a signal handler")

        def handler(*_: Any, exception: BaseException = exception) -> None:
            raise exception

        tracer = Tracer(point, handler)
        before = signal.signal(signal.SIGTERM, handler)
        try:
            tracer.run(lambda: call(client))
        except BaseException as error:
            if error is not exception:
                wrong.append((tracer.place, repr(error)))
        else:
            if tracer.place is not None:
                wrong.append((tracer.place, "the exception was lost"))
        finally:
            signal.signal(signal.SIGTERM, before)
        if point % 5 == 0:
            wrong += [(tracer.place, text) for text in wrong_results(client, 2, 1)]
        elif client.runs.get(THREAD_ID, f"after-{point}").run_id != f"after-{point}":
            wrong.append((tracer.place, "the next call got another response"))
        idle = idle_connections(client)
        if len(idle) > 4 or any(connection.exchange is not None for connection in idle):
            wrong.append((tracer.place, f"the pool holds {idle}"))
    assert [] == wrong
    assert [] == wrong_results(client, 6, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_interrupted_calls_leave_no_socket(server: ScriptedServer, kind: str) -> None:
    """After the client is closed, no socket is left of the calls that were interrupted."""
    call, _ = KINDS[kind]
    client = Client(server.url, api_key=None, retry=RetryPolicy(attempts=1), read_timeout=5)
    total = count_points(client, call)
    port = int(server.url.rpartition(":")[2])
    for point in range(1, total + 1, 4 * STEPS[kind]):
        try:
            Tracer(point, interrupt).run(lambda: call(client))
        except Interrupt:
            pass
    client.close()
    gc.collect()
    left = [item for item in gc.get_objects() if type(item) is socket.socket and item.fileno() >= 0 and peer_port(item) == port]
    assert [] == left


def peer_port(sock: socket.socket) -> Optional[int]:
    try:
        return int(sock.getpeername()[1])
    except OSError:
        return None


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_may_be_nested_at_any_point(client: Client, kind: str) -> None:
    """A signal handler that uses the same client in the same thread gets its own response, and the outer call gets its own."""
    call, expected = KINDS[kind]
    inner: list[str] = []
    wrong: list[Any] = []
    for point in range(1, count_points(client, call) + 1, 2 * STEPS[kind]):
        tracer = Tracer(point, lambda: inner.append(client.runs.get(THREAD_ID, "inner").run_id))
        found = tracer.run(lambda: call(client))
        if found != expected or (tracer.place is not None and inner != ["inner"]):
            wrong.append((tracer.place, found, inner))
        inner.clear()
    assert [] == wrong


def test_a_signal_may_be_fired_at_any_point_of_a_sleep(client: Client) -> None:
    """A signal handler that aborts the call that it interrupts does not block, and ends the sleep if it came before its end."""
    early, point = 0, 0
    while True:
        point += 1
        controller = AbortController()
        tracer = Tracer(point, controller.abort)
        began = time.monotonic()
        with client._transport.scope(None, controller.signal) as scope:
            try:
                tracer.run(lambda: scope.sleep(0.1))
            except AbortedError:
                early += time.monotonic() - began < 0.1
        if tracer.place is None:
            break
    assert early >= 3


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer signals")
def test_real_signals_whose_handler_raises(client: Client) -> None:
    """As Ctrl-C, and the soft time limits of task queues: gets that are interrupted at random moments leave the others right."""
    for _ in range(5):
        get(client)
    began = time.perf_counter()
    for _ in range(20):
        get(client)
    usual = (time.perf_counter() - began) / 20
    chance = random.Random(1)
    interrupted = 0

    def handler(*_: Any) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGALRM, handler)
    try:
        for number in range(3000):
            if interrupted == 40:
                break
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(usual * 0.05, usual))
                found = client.runs.get(THREAD_ID, f"r{number}").run_id
                signal.setitimer(signal.ITIMER_REAL, 0)
                assert f"r{number}" == found
            except Interrupt:
                interrupted += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert 40 == interrupted
    assert [] == wrong_results(client, 4, 20)


def test_an_exception_just_after_connecting_leaves_no_connection_open(
    server: ScriptedServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket is closed by the call: the caller may keep the exception, and with it the frames that refer to the socket."""
    made = []

    def interrupted(*arguments: Any, **options: Any) -> None:
        made.append(dial(*arguments, **options))
        raise Interrupt

    monkeypatch.setattr(connection, "dial", interrupted)
    with pytest.raises(Interrupt):
        get(client)
    assert [-1] == [sock.fileno() for sock in made]


def interrupt_use(_: Any, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pool, "_is_usable", lambda *_: interrupt())


def interrupt_return(_: Any, patch: pytest.MonkeyPatch) -> None:
    times = iter([time.monotonic])  # for the check whether the connection was idle for too long
    patch.setattr(pool, "time", SimpleNamespace(monotonic=lambda: next(times, interrupt)()))


def interrupt_put(idle: Any, patch: pytest.MonkeyPatch) -> None:
    class Interrupted(dict[Any, None]):
        def pop(self, *_: Any) -> None:
            raise Interrupt

    patch.setattr(idle, "_closed", Interrupted())


@pytest.mark.parametrize("interrupted", [interrupt_use, interrupt_return, interrupt_put])
def test_an_exception_in_the_pool_leaves_no_connection_open(
    client: Client, monkeypatch: pytest.MonkeyPatch, interrupted: Callable[[Any, pytest.MonkeyPatch], None]
) -> None:
    """A connection that is not in the pool any more, or not yet, is closed by the call."""
    get(client)
    (found,) = idle_connections(client)
    sock = found.sock
    with monkeypatch.context() as patch:
        interrupted(pools_of(client)[0].pool, patch)
        with pytest.raises(Interrupt):
            get(client)
    assert -1 == sock.fileno()
    assert "outer" == get(client)


def test_an_exception_within_a_codec_arrives_unchanged(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python raises another one of its class in its place if a signal arrives while a codec encodes the name of the host."""
    exception = JobLimit("of a signal handler")

    def handler(*_: Any) -> None:
        raise exception

    def interrupted(*_: Any) -> Any:
        try:
            signal.raise_signal(signal.SIGTERM)
        except JobLimit as error:
            raise JobLimit("encoding with 'idna' codec failed") from error

    monkeypatch.setattr(socket, "getaddrinfo", interrupted)
    before = signal.signal(signal.SIGTERM, handler)
    try:
        with pytest.raises(JobLimit) as caught:
            client.ok()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert exception is caught.value


@pytest.mark.parametrize("kind", [KeyError, ConnectionError, requests.Timeout])
def test_calls_may_be_made_while_an_exception_is_handled(kind: type[Exception]) -> None:
    """In an ``except`` block that cancels a run, say: the call succeeds or fails by itself, not with that exception."""
    late = reply_json(200, {"ok": True}).dripping(60, 0.02)
    with ScriptedServer(late, late, stall()) as server, closed_port() as closed:
        client, refused = (Client(url, api_key=None, retry=RetryPolicy(attempts=1)) for url in (server.url, closed))
        with client, refused:
            try:
                raise kind("of the caller")
            except (KeyError, OSError):
                assert client.ok()  # connects
                assert client.ok()
                with pytest.raises(DeadlineExceededError):
                    client.ok(timeout=0.1)
                with pytest.raises(APIConnectionError, match="refused") as caught:
                    refused.runs.get(THREAD_ID, RUN_ID)
    assert (APIConnectionError, False) == (type(caught.value), caught.value.sent)


OWN = [APITimeoutError("x"), DeadlineExceededError("x", timeout=1.0), APIConnectionError("x"), ConflictError("x", status_code=409)]


@pytest.mark.parametrize("error", OWN, ids=lambda error: type(error).__name__)
def test_an_error_of_this_package_from_a_handler_arrives_unchanged(error: LangGraphRunsError) -> None:
    """The handler makes a call itself, which fails; or its job limit has such a class. The outer call does not go on."""

    def handler(*_: Any) -> None:
        raise error

    with ScriptedServer(always=stall()) as server, Client(server.url, api_key=None, read_timeout=20) as client:
        before = signal.signal(signal.SIGALRM, handler)
        try:
            for call in (get, create, stream):
                error.__traceback__ = error.__context__ = None
                signal.setitimer(signal.ITIMER_REAL, 0.02)
                with pytest.raises(LangGraphRunsError) as caught:
                    call(client)
                assert caught.value is error
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    assert len(server.requests) <= 3


def test_a_stream_does_not_end_with_a_stop_iteration_of_the_caller() -> None:
    """A hook that raises it would end the loop as if the run had succeeded. Generators raise RuntimeError then, too."""

    def hook(_: Any) -> None:
        raise StopIteration

    with fake_server() as fake:
        fake.script(succeeds({}, events=[("custom", 1), ("custom", 2)]).cut_after(1))
        client = fake.client(retry=RetryPolicy(wait_initial=0.001, on_retry=hook))
        events = client.runs.stream(client.threads.create().thread_id, "agent", stream_mode="custom")
        with pytest.raises(RuntimeError) as caught:
            list(events)
        assert isinstance(caught.value.__cause__, StopIteration)

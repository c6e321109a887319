"""Nothing blocks for longer than it may, and whatever blocks can be ended from another thread."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Callable, List, Optional

import pytest

from langgraph_runs import (
    AbortController,
    AbortedError,
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    Client,
    DeadlineExceededError,
    InternalServerError,
    InvalidRequestError,
    LangGraphRunsError,
    RetryPolicy,
)
from langgraph_runs.testing import fake_server, succeeds

from .calls import CALLS, Call, after, calls, named
from .fake_langgraph import Dialect, FakeLangGraph, FakeRun
from .scripted import (
    RUN_ID,
    THREAD_ID,
    Item,
    Reply,
    Request,
    ScriptedServer,
    black_hole,
    chunked,
    closed_port,
    cut_request_after,
    drop_before_answer,
    event,
    heartbeat,
    raw,
    reply,
    reply_json,
    run_json,
    sse,
    stall,
    waiting,
)

Connect = Callable[..., Client]

#: Seconds that a call is given here, and by how much it may be late on a busy machine.
TIMEOUT = 0.3
LATE = 1.5
#: Seconds in which a blocked call must have ended after it was told to.
SOON = 2.0

RUN = (THREAD_ID, RUN_ID)


def endless(*items: Any, gap: float = 0.01) -> Callable[[], Iterator[Item]]:
    """Steps of a response that never ends: the items again and again, with a pause between."""

    def steps() -> Iterator[Item]:
        while True:
            for item in items:
                yield item
                yield gap

    return steps


def never_ending(kind: str) -> Reply:
    """Responses that a read timeout alone never ends."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    if kind == "silence":
        return stall()
    if kind == "drip in the status line":
        return Reply(kind, b"", (), endless(b"H"), "bare")
    if kind == "drip in the head":
        return raw(head, b"x-a: ", *[item for _ in range(5000) for item in (b"b", 0.01)])
    if kind == "endless interim answers":
        return raw(*[item for _ in range(20) for item in (b"HTTP/1.1 102 Processing\r\n\r\n", 0.02)]).then_stall()
    if kind == "drip in a chunked body":
        return Reply(kind, headers=(("content-type", "text/event-stream"),), items=endless(b"\n"), framing="chunked")
    if kind == "drip in a body of known length":
        return raw(head + b"Content-Length: 100000\r\n\r\n", *[item for _ in range(5000) for item in (b" ", 0.01)])
    if kind == "drip in a body without length":
        return Reply(kind, headers=(("content-type", "text/event-stream"),), items=endless(b"\n"), framing="close")
    if kind == "drip in a chunk size":
        return raw(head + b"Transfer-Encoding: chunked\r\n\r\n", *[item for _ in range(5000) for item in (b"0", 0.01)])
    if kind == "drip in the trailers":
        rest = [item for _ in range(5000) for item in (b"a", 0.01)]
        return raw(head + b"Transfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n", *rest)
    if kind == "drip in the body of an error":
        return Reply(kind, b"HTTP/1.1 500 Oops", (), endless(b"x"), "close")
    if kind == "drip in the body of a redirect":
        return Reply(kind, b"HTTP/1.1 302 Found", (("location", "/"),), endless(b"x"), "close")
    if kind == "drip in gzip":
        pairs = (("content-type", "text/event-stream"), ("content-encoding", "gzip"))
        return Reply(kind, headers=pairs, items=endless(b""), framing="close", gzip=True)
    raise AssertionError(kind)


KINDS = (
    "silence",
    "drip in the status line",
    "drip in the head",
    "endless interim answers",
    "drip in a chunked body",
    "drip in a body of known length",
    "drip in a body without length",
    "drip in a chunk size",
    "drip in the trailers",
    "drip in the body of an error",
    "drip in the body of a redirect",
    "drip in gzip",
)


def all_at_once(client: Client, chosen: Any = CALLS, **options: Any) -> dict[str, tuple[float, Any]]:
    """Make the calls at the same time; by name how many seconds each took and what it raised or returned."""
    results: dict[str, tuple[float, Any]] = {}

    def make(call: Call) -> None:
        begun = time.monotonic()
        try:
            result: Any = call(client, **options)
        except BaseException as error:
            result = error
        results[call.name] = (time.monotonic() - begun, result)

    threads = [threading.Thread(target=make, args=(call,), name=call.name) for call in chosen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {call.name for call in chosen} == set(results), "some calls never ended"
    return results


def check_deadlines(results: dict[str, tuple[float, Any]], timeout: float = TIMEOUT) -> None:
    """Each call ended with `DeadlineExceededError`, not before its time and hardly after it."""
    assert dict.fromkeys(results, DeadlineExceededError) == {name: type(result) for name, (_, result) in results.items()}
    early = {name: seconds for name, (seconds, _) in results.items() if seconds < timeout - 0.02}
    late = {name: seconds for name, (seconds, _) in results.items() if seconds > timeout + LATE}
    assert ({}, {}) == (early, late)


# -- the deadline


@pytest.mark.parametrize("kind", KINDS)
def test_a_deadline_bounds_every_call(connect: Connect, kind: str) -> None:
    """Whatever the server does not finish, every call raises DeadlineExceededError when its time is over."""
    with ScriptedServer(always=never_ending(kind)) as server:
        client = connect(server.url, retry=RetryPolicy(attempts=1))
        results = all_at_once(client, timeout=TIMEOUT)

    check_deadlines(results)
    for name, (_, error) in results.items():
        assert isinstance(error, TimeoutError) and isinstance(error, DeadlineExceededError), name
        assert TIMEOUT == error.timeout
        assert error.request is not None and server.origin in error.request.url
        assert error.__cause__ is not None or error.__context__ is None


def test_the_clients_own_timeout_counts(connect: Connect) -> None:
    """Client(timeout=) is for every call; a call's own replaces it, and None takes it away."""
    with ScriptedServer(always=stall()) as server:
        client = connect(server.url, timeout=TIMEOUT, read_timeout=2 * TIMEOUT, retry=RetryPolicy(attempts=1))
        check_deadlines(all_at_once(client))
        assert 0.1 == _error(client.ok, timeout=0.1).timeout
        late = _error(client.ok, timeout=None)
        assert (APITimeoutError, None) == (type(late), getattr(late, "timeout", None))


def _error(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    with pytest.raises(LangGraphRunsError) as caught:
        call(*args, **options)
    return caught.value


def test_a_deadline_bounds_connecting(connect: Connect) -> None:
    """A port that neither accepts nor refuses: the call's time ends it, and nothing was sent."""
    with black_hole() as url:
        results = all_at_once(connect(url, connect_timeout=None), timeout=TIMEOUT)

    check_deadlines(results)
    assert {False} == {error.sent for _, error in results.values()}


def test_a_deadline_bounds_sending(connect: Connect) -> None:
    """A server that does not read a large request: the write is ended, and what the server got is unknown."""
    with ScriptedServer(cut_request_after(1000).then_stall()) as server:
        client = connect(server.url, read_timeout=None)
        begun = time.monotonic()
        error = _error(client.runs.create, *RUN[:1], "agent", input="x" * 16_000_000, timeout=1.0)
        took = time.monotonic() - begun

    assert isinstance(error, DeadlineExceededError)
    assert 0.98 < took < 1.0 + 3 * LATE
    assert None is error.sent


def test_a_slow_reader_of_the_request_is_bounded(connect: Connect) -> None:
    """A server that takes a large request in drips never lets a read timeout fire; the deadline does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def sip() -> None:
            sock = listener.accept()[0]
            with sock, contextlib.suppress(OSError):
                while not over.wait(0.01):
                    sock.recv(200_000)

        reader = threading.Thread(target=sip)
        reader.start()
        client = connect(f"http://127.0.0.1:{listener.getsockname()[1]}", read_timeout=0.6)
        begun = time.monotonic()
        error = _error(client.threads.update_state, THREAD_ID, {"x": "x" * 40_000_000}, timeout=1.2)
        took = time.monotonic() - begun
        over.set()
        reader.join()

    assert isinstance(error, DeadlineExceededError)
    assert 1.18 < took < 1.2 + 3 * LATE


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_wait_that_would_cross_the_deadline_is_not_begun(connect: Connect, status: int) -> None:
    """If the next attempt would come too late, the last real error is raised at once, and says how long to wait."""
    refusal = reply_json(status, {"detail": "later"}, {"Retry-After": "9"})
    with ScriptedServer(always=refusal) as server:
        client = connect(server.url, retry=RetryPolicy())
        results = all_at_once(client, timeout=5.0)

    for name, (seconds, error) in results.items():
        assert isinstance(error, APIStatusError) and status == error.status_code, name
        assert 9.0 == error.retry_after
        assert seconds < 4.9, name


def test_waits_before_repeats_keep_to_the_deadline_too(connect: Connect) -> None:
    """An exponential wait that would cross the deadline is not begun either."""
    with ScriptedServer(always=reply(503)) as server:
        client = connect(server.url, retry=RetryPolicy(attempts=10, wait_initial=0.4, jitter="none"))
        begun = time.monotonic()
        error = _error(client.ok, timeout=2.4)
        took = time.monotonic() - begun

    # 0.4 + 0.8 have been waited; 1.6 more would be too late
    assert (InternalServerError, 3) == (type(error), error.attempts)
    assert 1.19 < took < 2.4
    assert 3 == len(server.requests)


def test_attempts_share_the_time(connect: Connect) -> None:
    """Each attempt gets what is left: many that stall for a read timeout do not add up beyond the deadline."""
    with ScriptedServer(always=stall()) as server:
        client = connect(server.url, read_timeout=0.4, retry=RetryPolicy(attempts=50, wait_initial=0, budget=None))
        begun = time.monotonic()
        error = _error(client.ok, timeout=1.8)
        took = time.monotonic() - begun

    assert isinstance(error, DeadlineExceededError)
    assert 1.78 < took < 1.8 + LATE
    assert 3 <= len(server.requests) <= 6


@pytest.mark.parametrize("name", ["stream", "join_stream"])
@pytest.mark.parametrize("what", ["events", "heartbeats"])
def test_a_deadline_bounds_a_stream_that_goes_on(connect: Connect, name: str, what: str) -> None:
    """A stream that says something all the time is ended by its time; what came before was delivered."""
    one = event("custom", {"i": 1}, "1795224633885-0") if what == "events" else heartbeat()
    with ScriptedServer(Reply("on and on", headers=sse(run=RUN).headers, items=endless(one), framing="chunked")) as server:
        client = connect(server.url)
        begun = time.monotonic()
        error = _error(named(name), client, timeout=TIMEOUT)
        took = time.monotonic() - begun

    assert isinstance(error, DeadlineExceededError)
    assert TIMEOUT - 0.02 < took < TIMEOUT + LATE
    assert RUN_ID == error.run_id
    assert THREAD_ID == error.thread_id


@pytest.mark.parametrize("name", ["wait", "join"])
def test_a_deadline_carries_the_run(connect: Connect, name: str) -> None:
    """wait and join that ran out of time tell run and thread, so that the run can be joined later."""
    drip = Reply("drip", headers=(*waiting(value=1, run=RUN).headers,), items=endless(b"\n"), framing="chunked")
    with ScriptedServer(drip) as server:
        error = _error(named(name), connect(server.url), timeout=TIMEOUT)

    assert (RUN_ID, THREAD_ID) == (error.run_id, error.thread_id)
    assert RUN_ID in str(error)
    assert True is error.sent


def test_a_deadline_is_for_the_whole_iteration(connect: Connect) -> None:
    """iter() over pages that each come in time ends when its own time is over."""

    def page(request: Request) -> Reply:
        return chunked(0.1, json.dumps([run_json(run_id=str(n)) for n in range(2)]))

    with ScriptedServer(always=page) as server:
        client = connect(server.url)
        begun = time.monotonic()
        with pytest.raises(LangGraphRunsError):
            for _ in client.runs.iter(THREAD_ID, page_size=2, timeout=TIMEOUT):
                pass
        assert time.monotonic() - begun < TIMEOUT + LATE


def test_a_deadline_that_is_over_sends_nothing_more(connect: Connect) -> None:
    """After the time of a stream is over the next event raises, without another request."""
    with ScriptedServer(sse(("custom", 1, "1"), run=RUN).then_stall()) as server:
        stream = connect(server.url).runs.stream(THREAD_ID, "agent", timeout=TIMEOUT)
        assert 1 == next(stream).data
        with pytest.raises(DeadlineExceededError):
            next(stream)
        with pytest.raises(StopIteration):
            next(stream)
        assert 1 == len(server.requests)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "5", True], ids=str)
def test_a_timeout_that_is_none_is_refused(connect: Connect, timeout: Any) -> None:
    """A timeout is a positive number of seconds; anything else is refused before anything is sent."""
    with ScriptedServer() as server:
        client = connect(server.url)
        for call in CALLS:
            with pytest.raises(InvalidRequestError, match="timeout"):
                call(client, timeout=timeout)
        assert 0 == server.connections


# -- on_timeout


@pytest.mark.parametrize("name", ["wait", "stream", "join", "join_stream"])
def test_on_timeout_cancels_the_run(connect: Connect, name: str) -> None:
    """on_timeout="cancel": when the time is over the run is cancelled, then DeadlineExceededError is raised."""
    with FakeLangGraph(_blocked, Dialect(heartbeat=0.05)) as server:
        client = connect(server.url)
        if name.startswith("join"):
            run = client.runs.create(THREAD_ID, "agent", if_not_exists="create")
            if name == "join":
                error = _error(client.runs.join, THREAD_ID, run.run_id, timeout=TIMEOUT, on_timeout="cancel")
            else:
                error = _error(_read, client.runs.join_stream(THREAD_ID, run.run_id, timeout=TIMEOUT, on_timeout="cancel"))
        elif name == "wait":
            error = _error(client.runs.wait, THREAD_ID, "agent", if_not_exists="create", timeout=TIMEOUT, on_timeout="cancel")
        else:
            error = _error(
                _read, client.runs.stream(THREAD_ID, "agent", if_not_exists="create", timeout=TIMEOUT, on_timeout="cancel")
            )
        assert isinstance(error, DeadlineExceededError)
        assert "interrupted" == server.created[0].status
        cancels = [request.query for request in server.requests if request.path.endswith("/cancel")]

    assert ["wait=0&action=interrupt"] == cancels
    assert server.created[0].run_id == error.run_id


@pytest.mark.parametrize("name", ["wait", "stream", "join", "join_stream"])
def test_without_on_timeout_the_run_goes_on(connect: Connect, name: str) -> None:
    """By default nothing is cancelled: one request, and the run is left alone."""
    good = named(name).good
    never = Reply("never", headers=good.headers, items=endless(b"\n"), framing="chunked")
    with ScriptedServer(never) as server:
        assert isinstance(_error(named(name), connect(server.url), timeout=TIMEOUT), DeadlineExceededError)
        assert 1 == len(server.requests)


def test_a_cancel_that_fails_does_not_hide_the_deadline(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """The error stays DeadlineExceededError; that the run was not cancelled is logged."""
    with ScriptedServer(waiting(30.0, value={}, run=RUN), always=reply(403)) as server:
        error = _error(connect(server.url).runs.wait, THREAD_ID, "agent", timeout=TIMEOUT, on_timeout="cancel")

    assert isinstance(error, DeadlineExceededError)
    assert any("not cancelled" in record.getMessage() for record in caplog.records)


def _blocked(run: FakeRun) -> Any:
    run.wait(threading.Event())


def _read(stream: Any) -> None:
    with stream:
        for _ in stream:
            pass


# -- silence and connecting


def test_silence_is_a_timeout(connect: Connect) -> None:
    """Silence longer than read_timeout is APITimeoutError, no DeadlineExceededError; repeated as often as the policy says."""
    with ScriptedServer(stall(), stall()) as server:
        client = connect(server.url, read_timeout=0.1, retry=RetryPolicy(attempts=2, wait_initial=0))
        error = _error(client.ok)
        server.wait_until(lambda: len(server.requests) >= 2, "both requests")
        assert 2 == len(server.requests)

    assert (APITimeoutError, None, 2) == (type(error), error.sent, error.attempts)
    assert "0.1" in str(error)


def test_single_bytes_are_no_silence(connect: Connect) -> None:
    """Bytes that come more often than read_timeout keep a call alive, however long it takes."""
    with ScriptedServer(chunked(*[item for _ in range(12) for item in ("\n", 0.03)], '{"version": "1"}')) as server:
        assert "1" == connect(server.url, read_timeout=0.15, retry=RetryPolicy(attempts=1)).info().version


def test_connecting_takes_connect_timeout_at_most(connect: Connect) -> None:
    """Connecting to a silent port ends after connect_timeout, for all kinds of calls, with sent False."""
    with black_hole() as url:
        results = all_at_once(connect(url, connect_timeout=0.2, retry=RetryPolicy(attempts=1)))

    assert {APITimeoutError} == {type(error) for _, error in results.values()}
    assert {False} == {error.sent for _, error in results.values()}
    assert all(0.18 < seconds < 0.2 + LATE for seconds, _ in results.values())


def test_a_refused_connection_is_no_timeout(connect: Connect) -> None:
    """No server listens: APIConnectionError at once, and no TimeoutError."""
    with closed_port() as url:
        results = all_at_once(connect(url, retry=RetryPolicy(attempts=1)), timeout=10)

    assert {APIConnectionError} == {type(error) for _, error in results.values()}
    assert {False} == {error.sent for _, error in results.values()}
    assert all(seconds < 1 for seconds, _ in results.values())


# -- ending it from another thread


@contextlib.contextmanager
def ending(call: Callable[[], Any]) -> Iterator[Any]:
    """Run a blocked call in a thread; the block ends it. Yields what will hold its outcome, and checks that it ended soon."""
    outcome: dict[str, Any] = {}

    def make() -> None:
        try:
            outcome["result"] = call()
        except BaseException as error:
            outcome["error"] = error
        outcome["at"] = time.monotonic()

    thread = threading.Thread(target=make)
    thread.start()
    try:
        yield outcome
        told = time.monotonic()
    finally:
        thread.join(10)
    assert not thread.is_alive()
    assert outcome["at"] - told < SOON


@calls()
@pytest.mark.parametrize("where", ["before the head", "in the head", "in the body"])
def test_abort_ends_a_blocked_read(connect: Connect, call: Call, where: str) -> None:
    """abort() from another thread: AbortedError with the reason, soon; and the client goes on as if nothing had been."""
    kind = "text/event-stream" if call.due == "sse" else "application/json"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n".encode()
    stalled = {
        "before the head": stall(),
        "in the head": raw(head).then_stall(),
        "in the body": raw(head + b"Content-Length: 100\r\n\r\n ").then_stall(),
    }[where]
    controller = AbortController()
    with ScriptedServer(stalled, call.good, routes=after(call)) as server:
        client = connect(server.url)
        with ending(lambda: call(client, signal=controller.signal)) as outcome:
            server.wait_for(1)
            if where != "before the head":
                threading.Event().wait(0.02)
            controller.abort("enough")
        assert (AbortedError, "enough") == (type(outcome["error"]), outcome["error"].reason)
        assert outcome["error"].attempts == 1
        call(client)
        server.wait_until(
            lambda: 1 == sum(r.client_disconnected.is_set() for r in server._requests), "the aborted connection to be closed"
        )


@calls()
def test_abort_ends_connecting(connect: Connect, call: Call) -> None:
    """A connect that hangs is ended, soon."""
    controller = AbortController()
    with black_hole() as url:
        client = connect(url)
        with ending(lambda: call(client, signal=controller.signal)) as outcome:
            threading.Event().wait(0.05)
            controller.abort()

    assert (AbortedError, None) == (type(outcome["error"]), outcome["error"].reason)


@calls()
def test_abort_ends_the_sleep_before_a_retry(connect: Connect, call: Call) -> None:
    """A call that waits to be tried again is ended, and not tried again."""
    controller = AbortController()
    waits = threading.Event()
    policy = RetryPolicy(on_retry=lambda _: waits.set())
    with ScriptedServer(reply(429, "", {"Retry-After": "30"})) as server:
        client = connect(server.url, retry=policy)
        with ending(lambda: call(client, signal=controller.signal)) as outcome:
            if call.kind == "write" and not waits.wait(0.2):
                pass
            else:
                assert waits.wait(5)
            controller.abort()
        assert 1 == len(server.requests)

    assert isinstance(outcome["error"], AbortedError)


def test_abort_ends_sending(connect: Connect) -> None:
    """A large request that the server does not read is ended too."""
    controller = AbortController()
    with ScriptedServer(cut_request_after(1000).then_stall()) as server:
        client = connect(server.url)
        with ending(lambda: client.runs.create(THREAD_ID, "agent", input="x" * 16_000_000, signal=controller.signal)) as outcome:
            server.wait_for(1)
            threading.Event().wait(0.3)
            controller.abort()

    assert isinstance(outcome["error"], AbortedError)


@pytest.mark.parametrize("name", ["stream", "join_stream"])
@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_abort_ends_a_stream(connect: Connect, name: str, framing: str) -> None:
    """A stream that blocks between two events raises AbortedError, with run and thread; the run is not cancelled."""
    controller = AbortController()
    first = sse(("custom", 1, "1"), run=RUN, framing=framing).then_stall()
    with ScriptedServer(first) as server:
        runs = connect(server.url).runs
        got: list[Any] = []
        seen = threading.Event()

        def follow() -> None:
            args: Any = (THREAD_ID, "agent") if name == "stream" else RUN
            for one in getattr(runs, name)(*args, signal=controller.signal):
                got.append(one.data)
                seen.set()

        with ending(follow) as outcome:
            assert seen.wait(5)
            controller.abort("stop")
        assert 1 == len(server.requests)
        server.wait_closed()

    assert [1] == got
    assert (AbortedError, RUN_ID, THREAD_ID) == (type(outcome["error"]), outcome["error"].run_id, outcome["error"].thread_id)


def test_one_signal_ends_many_calls(connect: Connect) -> None:
    """All calls that were given a signal end together; others go on."""
    controller = AbortController()
    gate = threading.Event()
    with ScriptedServer(routes={("GET", "/info"): chunked(gate, '{"version": "1"}')}, always=stall()) as server:
        client = connect(server.url)
        other: list[Any] = []
        bystander = threading.Thread(target=lambda: other.append(client.info()))
        bystander.start()
        chosen = [call for call in CALLS if call.name != "info"]
        with ending(lambda: all_at_once(client, chosen, signal=controller.signal)) as outcome:
            server.wait_for(len(chosen) + 1)
            controller.abort()
        assert {AbortedError} == {type(error) for _, error in outcome["result"].values()}
        assert [] == other
        gate.set()
        bystander.join()

    assert "1" == other[0].version


@calls()
def test_a_signal_that_has_fired_sends_nothing(connect: Connect, call: Call) -> None:
    """A call with a signal that has fired raises AbortedError at once; nothing is sent."""
    controller = AbortController()
    controller.abort("before")
    with ScriptedServer() as server:
        error = _error(call, connect(server.url), signal=controller.signal)
        assert 0 == server.connections

    assert (AbortedError, "before", 0) == (type(error), error.reason, error.attempts)


def test_aborting_after_the_end_does_nothing(connect: Connect) -> None:
    """A signal that fires when its call is over disturbs neither the result nor a later call on the same connection."""
    controller = AbortController()
    with ScriptedServer(reply_json(200, {}), reply_json(200, {"version": "2"})) as server:
        client = connect(server.url)
        client.ok(signal=controller.signal)
        controller.abort()
        assert "2" == client.info().version
        assert 1 == server.connections


@pytest.mark.parametrize("attempt", range(10))
def test_a_connection_is_never_shut_down_under_the_next_call(connect: Connect, attempt: int) -> None:
    """Aborts that race with the end of their call never hit the call that has the connection next."""
    with ScriptedServer(always=reply_json(200, {"version": "1"})) as server:
        client = connect(server.url, retry=RetryPolicy(attempts=1))
        for _ in range(50):
            controller = AbortController()
            aborter = threading.Thread(target=controller.abort)
            aborter.start()
            with contextlib.suppress(AbortedError):
                client.ok(signal=controller.signal)
            assert "1" == client.info().version
            aborter.join()


# -- closing


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_closing_a_stream_ends_its_loop(connect: Connect, framing: str) -> None:
    """stream.close() from another thread: the loop just ends, without an error; the run goes on."""
    with ScriptedServer(sse(("custom", 1, "1"), run=RUN, framing=framing).then_stall(), reply_json(200, {})) as server:
        client = connect(server.url)
        stream = client.runs.stream(THREAD_ID, "agent")
        seen = threading.Event()

        def follow() -> list[Any]:
            got = []
            for one in stream:
                got.append(one.data)
                seen.set()
            return got

        with ending(follow) as outcome:
            assert seen.wait(5)
            stream.close()
        assert [1] == outcome["result"]
        server.wait_closed()
        client.ok()
        assert 2 == len(server.requests)
        assert [] == list(stream)


def test_closing_a_stream_ends_its_reconnect(connect: Connect) -> None:
    """A stream that is waiting to be opened again, or being opened, ends as well."""
    for way_back in (reply(503, "", {"Retry-After": "30"}), stall()):
        first = sse(("custom", 1, "1"), run=RUN).then_cut()
        with ScriptedServer(first, reply_json(200, run_json("running")), way_back) as server:
            stream = connect(server.url, retry=RetryPolicy()).runs.stream(THREAD_ID, "agent")
            with ending(lambda: list(stream)) as outcome:
                server.wait_for(3)
                threading.Event().wait(0.05)
                stream.close()
            assert [1] == [one.data for one in outcome["result"]]
            assert 3 == len(server.requests)


def test_closing_twice_and_after_the_end(connect: Connect) -> None:
    """close() may be called at any time, as often as one likes."""
    with ScriptedServer(named("stream").good, reply_json(200, run_json())) as server:
        stream = connect(server.url).runs.stream(THREAD_ID, "agent")
        assert 2 == len(list(stream))
        stream.close()
        stream.close()
        assert [] == list(stream)


def test_closing_the_client_ends_everything(connect: Connect) -> None:
    """client.close(): AbortedError in every blocked call, soon; no connection is left open."""
    with ScriptedServer(always=stall()) as server:
        client = connect(server.url)
        with ending(lambda: all_at_once(client)) as outcome:
            server.wait_for(len(CALLS))
            client.close()
        server.wait_closed()

    assert {AbortedError} == {type(error) for _, error in outcome["result"].values()}
    assert all("closed" in str(error) for _, error in outcome["result"].values())


@calls()
def test_a_closed_client_says_so(connect: Connect, call: Call) -> None:
    """A call on a closed client is refused with a clear error; nothing is sent."""
    with ScriptedServer() as server:
        client = connect(server.url)
        client.close()
        client.close()
        with pytest.raises(LangGraphRunsError, match="closed"):
            call(client)
        assert 0 == server.connections


def test_closing_the_client_ends_a_retry_sleep_and_a_connect(connect: Connect) -> None:
    """Also what is not blocked on a read."""
    waits = threading.Event()
    with ScriptedServer(reply(503, "", {"Retry-After": "30"})) as server:
        client = connect(server.url, retry=RetryPolicy(on_retry=lambda _: waits.set()))
        with ending(client.ok) as outcome:
            assert waits.wait(5)
            client.close()
        assert isinstance(outcome["error"], AbortedError)
    with black_hole() as url:
        client = connect(url)
        with ending(client.ok) as outcome:
            threading.Event().wait(0.05)
            client.close()
        assert isinstance(outcome["error"], AbortedError)


def test_cancelling_a_stream_from_another_thread(connect: Connect) -> None:
    """stream.cancel() while the stream is read: the run is cancelled, and the loop ends with what the server says then."""
    with FakeLangGraph(_blocked) as server:
        stream = connect(server.url).runs.stream(THREAD_ID, "agent", if_not_exists="create")
        seen = threading.Event()

        def follow() -> None:
            for _ in stream:
                seen.set()

        with ending(follow) as outcome:
            assert seen.wait(5)
            stream.cancel()

    assert "RunCancelledError" == type(outcome["error"]).__name__
    assert "interrupted" == server.created[0].status


# -- KeyboardInterrupt


@pytest.fixture
def interrupted() -> Iterator[Callable[[float], None]]:
    """Schedules a KeyboardInterrupt in this, the main, thread."""
    main = threading.main_thread()
    if threading.current_thread() is not main:
        pytest.skip("signals are for the main thread")
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    timers: list[threading.Timer] = []

    def schedule(seconds: float) -> None:
        timers.append(threading.Timer(seconds, lambda: signal.pthread_kill(main.ident or 0, signal.SIGINT)))
        timers[-1].start()

    yield schedule
    for timer in timers:
        timer.join()
    signal.signal(signal.SIGINT, old)


@pytest.mark.parametrize("name", ["create", "wait", "stream", "get", "join", "join_stream", "cancel", "delete", "threads.search"])
def test_ctrl_c_ends_a_blocked_call(connect: Connect, interrupted: Callable[[float], None], name: str) -> None:
    """KeyboardInterrupt comes through at once, is not retried, and the client can be used afterwards."""
    call = named(name)
    with ScriptedServer(stall(), call.good, routes=after(call)) as server:
        client = connect(server.url)
        began: list[float] = []

        def interrupt() -> None:
            server.wait_until(lambda: len(server.requests) == 1, "the request")
            began.append(time.monotonic())
            interrupted(0.05)

        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        with pytest.raises(KeyboardInterrupt):
            call(client)
        assert time.monotonic() - began[0] < SOON
        interrupter.join()
        assert 1 == len(server.requests)
        call(client)
        server.wait_until(lambda: len(server._open) <= 1, "the interrupted connection to be closed")


def test_ctrl_c_ends_a_sleep(connect: Connect, interrupted: Callable[[float], None]) -> None:
    """So it does while a retry is waited for."""
    with ScriptedServer(reply(503, "", {"Retry-After": "30"})) as server:
        interrupted(0.1)
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            connect(server.url, retry=RetryPolicy()).ok()
        assert time.monotonic() - begun < SOON + 0.1
        assert 1 == len(server.requests)


@pytest.mark.parametrize("wrong", [KeyboardInterrupt, SystemExit, ZeroDivisionError])
def test_an_exception_of_a_callback_reaches_the_caller(connect: Connect, wrong: Any) -> None:
    """An exception of the caller's own callback is neither retried nor wrapped, and the connection is let go."""

    def callback(_: Any) -> None:
        raise wrong

    for name in ("create", "wait", "stream"):
        with ScriptedServer(named(name).good) as server:
            with pytest.raises(wrong):
                named(name)(connect(server.url), on_run_created=callback)
            assert 1 == len(server.requests)
    with ScriptedServer(reply(503)) as server, pytest.raises(wrong):
        connect(server.url, retry=RetryPolicy(on_retry=callback)).ok()


def test_a_look_up_that_does_not_fit_into_the_time_leaves_the_create_uncertain(connect: Connect) -> None:
    """A create that broke, and whose look-up does not fit into the time, is not silently given up as never sent."""
    with ScriptedServer(drop_before_answer(), always=stall()) as server:
        begun = time.monotonic()
        error: Optional[Any] = _error(connect(server.url).runs.create, THREAD_ID, "agent", timeout=TIMEOUT)
        assert time.monotonic() - begun < TIMEOUT + LATE

    assert isinstance(error, APIConnectionError)
    assert error.sent is not False


@pytest.mark.parametrize("call", ["stream", "join_stream"])
def test_a_stream_may_have_a_longer_timeout_than_other_calls(call: str) -> None:
    """And a shorter one; without one of its own it has that of the client."""
    with fake_server() as fake:

        def events(**options: Any) -> List[Any]:
            fake.script(succeeds({"a": 1}, events=[("custom", 1), 0.8, ("custom", 2)]))
            setup = fake.client()
            thread_id = setup.threads.create().thread_id
            runs = fake.client(**options).runs
            if call == "stream":
                return [event.data for event in runs.stream(thread_id, "agent", stream_mode="custom") if event.mode == "custom"]
            run = setup.runs.create(thread_id, "agent", stream_mode="custom", stream_resumable=True)
            joined = runs.join_stream(thread_id, run.run_id, last_event_id="0")
            return [event.data for event in joined if event.mode == "custom"]

        assert [1, 2] == events(timeout=0.4, stream_timeout=None) == events(timeout=0.4, stream_timeout=60)
        for late in ({"timeout": None, "stream_timeout": 0.4}, {"timeout": 0.4}):
            with pytest.raises(DeadlineExceededError, match="not done within timeout=0.4 s"):
                events(**late)

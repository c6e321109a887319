"""Runs with an idempotency key: one run for a key, whichever calls begin, break off or come late."""

from __future__ import annotations

import datetime
import json
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any, Callable, Optional

import pytest
import requests

from langgraph_runs import (
    Client,
    ConflictError,
    CreateUncertainError,
    DeadlineExceededError,
    IdempotencyConflictError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    RunFailedError,
    UnprocessableEntityError,
)
from langgraph_runs.markers import LOCK, MARKER, RELEASED
from langgraph_runs.runs import key_lookup, locks
from langgraph_runs.runs import thread_of_key as key_id
from langgraph_runs.testing.cutting_proxy import CuttingProxy, Fault, cut_request, cut_response, stall_response, swallow
from langgraph_runs.testing.loopback_server import ReplySource

from ..server.commands import Commands
from .fake_langgraph import FakeLangGraph, FakeRun, GraphFailure
from .scripted import Reply, Request, reply, reply_json

Connect = Callable[..., Client]
INPUT = {"n": 3}


def program(run: FakeRun) -> Any:
    for i in range(run.input.get("n", 0)):
        run.emit("custom", {"i": i})
    return {"done": run.input}


@pytest.fixture
def server() -> Iterator[FakeLangGraph]:
    with FakeLangGraph(program) as fake:
        yield fake


@pytest.fixture
def key() -> str:
    return f"order {uuid.uuid4()}"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks that expire soon."""
    monkeypatch.setattr(locks, "HOLD", 0.4)
    monkeypatch.setattr(locks, "EXPIRY", 0.5)


def paths(server: FakeLangGraph) -> list[str]:
    return [f"{request.method} {request.path.partition('?')[0]}" for request in server.requests]


# -- the first call and the later ones


def test_the_first_create_sends_three_requests_and_a_later_one_two(connect: Connect, server: FakeLangGraph, key: str) -> None:
    first = connect(server.url).runs.create(None, "agent", input=INPUT, idempotency_key=key)
    thread_id = key_id(key)
    assert ["POST /threads", f"POST /threads/{thread_id}/runs", f"GET /threads/{thread_id}/runs"] == paths(server)
    create = server.requests[1]
    assert key == create.header("Idempotency-Key")
    assert "reject" == create.json()["multitask_strategy"]
    again = connect(server.url).runs.create(None, "agent", input=INPUT, idempotency_key=key)
    assert ["POST /threads", f"GET /threads/{thread_id}/runs"] == paths(server)[3:]
    assert (first.run_id, False, True) == (again.run_id, first.replayed, again.replayed)
    assert (thread_id, first.request_id) == (first.thread_id, again.request_id)


def test_nothing_of_the_protocol_is_shown(connect: Connect, server: FakeLangGraph, key: str) -> None:
    client = connect(server.url)
    run = client.runs.create(None, "agent", input=INPUT, metadata={"customer": "ada"}, idempotency_key=key)
    shown = [run.metadata, client.threads.get(run.thread_id).metadata, client.runs.get(run.thread_id, run.run_id).metadata]
    assert not [name for metadata in shown for name in metadata if name.startswith("langgraph_runs")]
    assert ["ada", "ada"] == [metadata["customer"] for metadata in (shown[0], shown[2])]
    assert ";" not in str(run.request_id)


def test_create_wait_and_stream_with_one_key_are_one_run(connect: Connect, server: FakeLangGraph, key: str) -> None:
    client = connect(server.url)
    told: list[Any] = []
    options: dict[str, Any] = {"input": INPUT, "idempotency_key": key, "on_run_created": told.append}
    with client.runs.stream(None, "agent", stream_mode=["custom", "values"], **options) as stream:
        events = [event.event for event in stream]
    assert "custom" in events and not stream.replayed
    values = client.runs.wait(None, "agent", **options)
    outcome = client.runs.wait(None, "agent", raise_error=False, **options)
    run = client.runs.create(None, "agent", **options)
    with client.runs.stream(None, "agent", stream_mode=["custom", "values"], **options) as stream:
        assert events == [event.event for event in stream]
    assert stream.replayed and outcome.run.replayed and run.replayed
    assert {"done": INPUT} == values == outcome.values
    assert 1 == len(server.created)
    assert [{"run_id": run.run_id, "thread_id": run.thread_id}] * 5 == told
    assert run.thread_id in server.threads


def test_calls_of_many_clients_at_once_make_one_run(connect: Connect, server: FakeLangGraph, key: str) -> None:
    together, runs = threading.Barrier(8), []

    def call() -> None:
        client = connect(server.url)
        together.wait()
        runs.append(client.runs.create(None, "agent", input=INPUT, idempotency_key=key))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 == len(server.created) == len({run.run_id for run in runs})
    assert [False] + [True] * 7 == sorted(run.replayed for run in runs)


@pytest.mark.parametrize("given", [False, True])
def test_another_input_is_a_conflict_and_starts_nothing(connect: Connect, server: FakeLangGraph, key: str, given: bool) -> None:
    client = connect(server.url)
    thread_id = client.threads.create().thread_id if given else None
    run = client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key)
    for verb in (client.runs.create, client.runs.wait, client.runs.stream):
        with pytest.raises(IdempotencyConflictError, match="another input and metadata;") as caught:
            verb(thread_id, "agent", input={"n": 4}, metadata={"a": 1}, idempotency_key=key)
        assert ("input", "metadata") == caught.value.differs
        assert run.run_id == caught.value.run_id
    assert 1 == len(server.created)


@pytest.mark.parametrize(
    "options",
    [
        {"on_disconnect": "cancel"},
        {"on_completion": "delete"},
        {"command": {"resume": 1}},
        {"checkpoint_id": str(uuid.uuid4())},
        {"idempotency_key": ""},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_a_key_does_not_allow_is_refused_before_anything_is_sent(
    connect: Connect, server: FakeLangGraph, key: str, options: Any
) -> None:
    with pytest.raises(InvalidRequestError, match=next(iter(options))):
        connect(server.url).runs.wait(None, "agent", **{"idempotency_key": key, **options})
    assert [] == server.requests


def test_the_error_of_a_run_that_an_earlier_call_has_started_says_so(connect: Connect, key: str) -> None:
    """Else a call that was repeated when the reason had been removed would seem to have failed again."""

    def fail(run: FakeRun) -> Any:
        run.emit("custom", {"i": 0})
        raise GraphFailure("ValueError", "no ink")

    with FakeLangGraph(fail) as server:
        client = connect(server.url)

        def error_of(call: str) -> str:
            with pytest.raises(RunFailedError, match="ValueError: no ink") as caught:
                if call == "wait":
                    client.runs.wait(None, "agent", input=INPUT, idempotency_key=key)
                else:
                    list(client.runs.stream(None, "agent", input=INPUT, idempotency_key=key, stream_mode="custom"))
            assert caught.value.run is not None and caught.value.run.replayed is ("earlier call" in str(caught.value))
            return str(caught.value)

        assert "earlier call" not in error_of("stream")
        for call in ("stream", "wait"):
            assert "an earlier call with the idempotency_key has started this run: give another key" in error_of(call)
        assert 1 == len(server.created)


def test_a_key_whose_run_was_deleted_gets_another_run(connect: Connect, server: FakeLangGraph, key: str, quick: None) -> None:
    client = connect(server.url)
    run = client.runs.create(None, "agent", input=INPUT, idempotency_key=key)
    client.runs.join(run.thread_id, run.run_id)
    client.runs.delete(run.thread_id, run.run_id)
    again = client.runs.create(None, "agent", input=INPUT, idempotency_key=key)
    assert not again.replayed and again.run_id != run.run_id
    assert [again.run_id] == [one.run_id for one in client.runs.list(run.thread_id)]


def test_a_server_that_knows_keys_says_that_the_run_existed(connect: Connect, server: FakeLangGraph, key: str) -> None:
    client = connect(server.url)
    run = client.runs.create(None, "agent", input=INPUT)
    known = reply_json(200, server.run_json(server.created[0]), headers=[("Idempotency-Replayed", "true")])
    server.instead("POST", "/threads/*/runs", known)
    again = client.runs.create(None, "agent", input=INPUT, idempotency_key=key)
    assert (run.run_id, True) == (again.run_id, again.replayed)


# -- calls that break off


def test_a_lost_response_to_the_create_is_looked_up(connect: Connect, server: FakeLangGraph, key: str) -> None:
    with CuttingProxy(server.url) as proxy:
        proxy.arm(cut_response(9), when=b"POST /threads/")
        run = connect(proxy.url).runs.create(None, "agent", input=INPUT, idempotency_key=key)
    assert [run.run_id] == [created.run_id for created in server.created]
    assert not run.replayed


def test_a_lost_response_to_the_lock_does_not_lose_the_lock(connect: Connect, server: FakeLangGraph, key: str) -> None:
    """The token in the thread shows that the call itself has created it."""
    with CuttingProxy(server.url) as proxy:
        proxy.arm(swallow(), when=b"POST /threads ")
        run = connect(proxy.url).runs.create(None, "agent", input=INPUT, idempotency_key=key)
    assert not run.replayed and 1 == len(server.created)
    assert 2 == paths(server).count("POST /threads")


def test_a_call_that_died_before_its_create_is_taken_over(connect: Connect, server: FakeLangGraph, key: str, quick: None) -> None:
    client = connect(server.url)
    client.threads.create(thread_id=key_id(key), metadata={LOCK: "of a call that has died"})
    run = client.runs.create(None, "agent", input=INPUT, idempotency_key=key)
    assert not run.replayed and 1 == len(server.created)
    assert [run.thread_id] == list(server.threads)  # the lock of the takeover was deleted
    assert client.runs.create(None, "agent", input=INPUT, idempotency_key=key).replayed


@pytest.mark.parametrize("zone", [0, -9, 14])
def test_a_call_with_little_time_takes_over_from_one_that_died_long_ago(
    connect: Connect, server: FakeLangGraph, key: str, zone: float
) -> None:
    """Two times of the server's own clock show that, whatever its time zone. A new thread is not taken over at once."""
    client = connect(server.url)
    client.threads.create(thread_id=key_id(key), metadata={LOCK: "of a call that has died"})
    clock = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=zone)
    set_times(server, key_id(key), clock, 9)
    with pytest.raises(DeadlineExceededError):
        client.runs.create(None, "agent", input=INPUT, idempotency_key=key, timeout=1)
    assert [] == server.created
    set_times(server, key_id(key), clock, 11)
    assert not client.runs.create(None, "agent", input=INPUT, idempotency_key=key, timeout=5).replayed


def set_times(server: FakeLangGraph, thread_id: str, clock: datetime.datetime, seconds: float) -> None:
    """Let the server say that the thread was created *seconds* before its *clock*."""
    thread = server.threads[thread_id]
    thread["created_at"] = thread["updated_at"] = (clock - datetime.timedelta(seconds=seconds)).isoformat()
    touched = {**thread, "updated_at": clock.isoformat()}
    server.instead("PATCH", "/threads/*", reply_json(200, touched))


def test_one_of_several_waiting_calls_takes_over(connect: Connect, server: FakeLangGraph, key: str, quick: None) -> None:
    connect(server.url).threads.create(thread_id=key_id(key), metadata={LOCK: "of a call that has died"})
    runs = []
    threads = [
        threading.Thread(
            target=lambda: runs.append(connect(server.url).runs.create(None, "agent", input=INPUT, idempotency_key=key))
        )
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 == len(server.created) == len({run.run_id for run in runs})
    assert 4 == sum(run.replayed for run in runs)


def test_a_refused_create_gives_the_lock_back(connect: Connect, server: FakeLangGraph, key: str) -> None:
    """So that a corrected call does not have to wait, and may have other arguments: there is no run yet."""
    client = connect(server.url)
    server.instead("POST", "/threads/*/runs", reply_json(422, {"detail": "Invalid assistant"}))
    with pytest.raises(UnprocessableEntityError):
        client.runs.create(None, "nobody", input=INPUT, idempotency_key=key)
    assert True is server.threads[key_id(key)]["metadata"][RELEASED]
    run = client.runs.create(None, "agent", input=INPUT, idempotency_key=key, timeout=5)
    assert not run.replayed and 1 == len(server.created)


def test_a_create_that_is_refused_for_a_moment_is_sent_again(connect: Connect, server: FakeLangGraph, key: str) -> None:
    for _ in range(2):
        server.instead("POST", "/threads/*/runs", reply(429, headers=[("Retry-After", "0")]))
    run = connect(server.url).runs.create(None, "agent", input=INPUT, idempotency_key=key)
    assert not run.replayed
    assert ["POST /threads"] + [f"POST /threads/{run.thread_id}/runs"] * 3 == paths(server)[:-1]


def test_a_long_refusal_gives_the_lock_back_and_takes_the_next_one(
    connect: Connect, server: FakeLangGraph, key: str, quick: None
) -> None:
    server.instead("POST", "/threads/*/runs", reply(429, headers=[("Retry-After", "1")]))
    run = connect(server.url).runs.create(None, "agent", input=INPUT, idempotency_key=key)
    assert not run.replayed and 1 == len(server.created)
    assert f"PATCH /threads/{run.thread_id}" in paths(server)


def test_a_create_that_arrives_after_a_takeover_makes_no_second_run(
    connect: Connect, server: FakeLangGraph, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call that held the lock was suspended before its create; the older run stays, and both calls get it."""
    monkeypatch.setattr(locks, "EXPIRY", 0.2)
    late, posted = threading.Event(), threading.Event()
    runs: list[Any] = []
    may_send = locks.Locks.may_send

    def suspended(self: locks.Locks, lock: locks.Lock, seconds: float = 0.0) -> bool:
        if threading.current_thread() is thread:
            posted.set()
            assert late.wait(10)
            return True
        return may_send(self, lock, seconds)

    monkeypatch.setattr(locks.Locks, "may_send", suspended)
    client = connect(server.url)
    thread = threading.Thread(target=lambda: runs.append(client.runs.create(None, "agent", input=INPUT, idempotency_key=key)))
    thread.start()
    assert posted.wait(10)
    taken_over = connect(server.url).runs.wait(None, "agent", input=INPUT, idempotency_key=key, raise_error=False)
    late.set()
    thread.join()
    assert taken_over.run.run_id == runs[0].run_id and runs[0].replayed
    assert [taken_over.run.run_id] == [run.run_id for run in connect(server.url).runs.iter(key_id(key))]


@pytest.mark.parametrize("call", ["create", "wait", "stream"])
@pytest.mark.parametrize("given", [False, True])
def test_a_failure_to_look_again_is_no_failure_of_the_create(
    connect: Connect, server: FakeLangGraph, key: str, call: str, given: bool
) -> None:
    """A list that is refused was not executed, but the create was: it is not sent again. The next call gets the run."""
    client = connect(server.url)
    thread_id = client.threads.create().thread_id if given else None
    if given:
        server.instead("GET", "/threads/*/runs", reply_json(200, []))
    for _ in range(4):
        server.instead("GET", "/threads/*/runs", reply(429))
    with pytest.raises(RateLimitError) as caught:
        getattr(client.runs, call)(thread_id, "agent", input=INPUT, idempotency_key=key)
    assert [caught.value.run_id] == [run.run_id for run in server.created]
    assert caught.value.run_id == client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key).run_id
    assert 1 == len(server.created)


def test_a_list_from_a_cache_proves_nothing(connect: Connect, server: FakeLangGraph, key: str) -> None:
    client = connect(server.url)
    thread_id = client.threads.create().thread_id
    server.instead("GET", "/threads/*/runs", reply_json(200, [], headers=[("Age", "7")]))
    with pytest.raises(CreateUncertainError, match="from a cache") as caught:
        client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key)
    assert caught.value.sent is False and [] == server.created


class Cached(FakeLangGraph):
    """What a client sees behind a cache that keeps the response to each GET, whatever the request says, and does not tell."""

    def choose(self, method: str, path: str) -> ReplySource:
        reply_to = super().choose(method, path)
        kept: dict[tuple[str, str], Reply] = self.__dict__.setdefault("kept", {})

        def cached(request: Request) -> Reply:
            assert callable(reply_to)
            place = (request.path, request.query)
            if method != "GET":
                return reply_to(request)
            if place not in kept:
                kept[place] = reply_to(request)
            return kept[place]

        return cached


def test_a_cache_that_does_not_tell_is_passed(connect: Connect, key: str) -> None:
    with Cached(lambda run: {"n": 1}) as server:
        client = connect(server.url)
        thread_id = client.threads.create().thread_id
        first = client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key)
        assert first.run_id == client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key).run_id
        assert 1 == len(server.created)


def check_second_is_uncertain(client: Client, server: FakeLangGraph, key: str) -> None:
    """Two creates with one key on a thread make one run, and the second does not know it."""
    thread_id = client.threads.create().thread_id
    client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key)
    with pytest.raises(CreateUncertainError):
        client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key)
    assert 1 == len(server.created)


def test_markers_that_a_gateway_cuts_make_no_second_run(connect: Connect, key: str) -> None:
    class Cuts(FakeLangGraph):
        def begin(self, request: Optional[Request], thread_id: Optional[str], body: dict[str, Any], program: Any) -> FakeRun:
            for metadata in (body["metadata"], body["config"]["metadata"]):
                metadata.update({name: value[:50] for name, value in metadata.items()})
            return super().begin(request, thread_id, body, program)

    with Cuts(lambda run: {"n": 1}) as server:
        check_second_is_uncertain(connect(server.url), server, key)


def test_a_marker_that_a_gateway_masks_makes_no_second_run(connect: Connect, key: str) -> None:
    class Masks(FakeLangGraph):
        def run_json(self, run: FakeRun) -> dict[str, Any]:
            return {
                **super().run_json(run),
                "metadata": {"graph_id": "agent", "langgraph_runs_request_id": "[REDACTED]"},
                "kwargs": {},
            }

    with Masks(lambda run: {"n": 1}) as server:
        client = connect(server.url)
        thread_id = client.threads.create().thread_id
        for sent in (True, False):  # the first call says at once that a later one cannot find its run
            with pytest.raises(CreateUncertainError) as caught:
                client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key)
            assert (sent, sent) == (caught.value.sent, caught.value.run_id is not None)
        assert 1 == len(server.created)


def test_after_a_list_that_was_behind_the_older_run_of_the_key_stays(connect: Connect, key: str) -> None:
    """The second call does not see the run of the first, creates one, and waits until the list shows its own run."""

    class Behind(FakeLangGraph):
        lists = 0

        def _list(self, thread_id: str, query: Any) -> list[Any]:
            self.lists += 1
            return [] if 3 <= self.lists <= 4 else super()._list(thread_id, query)  # before the create, and after it

    with Behind(lambda run: {"n": 1}) as server:
        client = connect(server.url)
        thread_id = client.threads.create().thread_id
        first = client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key)
        second = client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key)
        assert first.run_id == second.run_id and 2 == len(server.created) and 6 == server.lists
        assert [first.run_id] == [run.run_id for run in client.runs.list(thread_id)]


def test_a_proxy_that_sends_every_request_twice_does_not_take_the_lock_away(connect: Connect, key: str) -> None:
    class Twice(FakeLangGraph):
        def _create_thread(self, body: Any) -> Reply:
            super()._create_thread(body)
            return super()._create_thread(body)

    with Twice(lambda run: {"n": 1}) as server:
        client = connect(server.url)
        began = time.monotonic()
        run = client.runs.create(None, "agent", input=INPUT, idempotency_key=key)
        assert run.run_id == client.runs.create(None, "agent", input=INPUT, idempotency_key=key).run_id
        assert 1 == len(server.created) and time.monotonic() - began < locks.EXPIRY


def test_a_server_that_drops_the_marker_makes_no_second_run(connect: Connect, key: str) -> None:
    """Its runs have metadata, but not those of the create."""

    class Drops(FakeLangGraph):
        def begin(self, request: Optional[Request], thread_id: Optional[str], body: dict[str, Any], program: Any) -> FakeRun:
            left = {name: value for name, value in body.items() if name not in ("metadata", "config")}
            return super().begin(request, thread_id, {**left, "metadata": {"graph_id": "agent"}}, program)

    with Drops(lambda run: {"n": 1}) as server:
        client = connect(server.url)
        check_second_is_uncertain(client, server, key)
        first = client.runs.create(None, "agent", input=INPUT, idempotency_key=key)
        assert first.run_id == client.runs.create(None, "agent", input=INPUT, idempotency_key=key).run_id
        assert 2 == len(server.created)


def test_a_gateway_without_a_server_proves_nothing(connect: Connect, server: FakeLangGraph, key: str) -> None:
    client = connect(server.url)
    thread_id = client.threads.create().thread_id
    server.instead("GET", "/threads/*/runs", reply_json(404, {"detail": "Not Found"}))
    with pytest.raises(NotFoundError):
        client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key)
    assert [] == server.created


class Twice(requests.Session):
    """Sends each create twice and returns the second response, as a proxy does that has lost the first one."""

    def __init__(self, server: FakeLangGraph) -> None:
        super().__init__()
        self.server = server

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> Any:
        if method == "POST" and str(url).endswith("/runs"):
            super().request(method, url, *args, **options).close()
            assert self.server.created[-1].wait_for_end(10)
        return super().request(method, url, *args, **options)


@pytest.mark.parametrize("given", [False, True])
def test_a_create_that_a_proxy_sends_twice_makes_one_run(connect: Connect, server: FakeLangGraph, key: str, given: bool) -> None:
    """The first run has ended before the second request comes, so that ``reject`` does not refuse it."""
    plain = connect(server.url)
    thread_id = plain.threads.create().thread_id if given else None
    with Twice(server) as session:
        run = connect(server.url, session=session).runs.create(thread_id, "agent", input=INPUT, idempotency_key=key)
    assert 2 == len(server.created)
    assert [server.created[0].run_id] == [run.run_id] == [left.run_id for left in plain.runs.iter(run.thread_id)]
    assert not run.replayed
    assert run.run_id == plain.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key).run_id


def test_a_copy_that_nobody_removed_is_removed_by_the_next_call(
    connect: Connect, server: FakeLangGraph, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call that posted it has died before it looked again."""
    monkeypatch.setattr(key_lookup, "SETTLING", (0.0,))
    plain = connect(server.url)
    server.instead("GET", "/threads/*/runs", reply_json(200, []))
    with Twice(server) as session:
        connect(server.url, session=session).runs.create(None, "agent", input=INPUT, idempotency_key=key)
    assert 2 == len(list(plain.runs.iter(key_id(key))))
    run = plain.runs.create(None, "agent", input=INPUT, idempotency_key=key)
    assert [server.created[0].run_id] == [run.run_id] == [left.run_id for left in plain.runs.iter(run.thread_id)]


def test_a_run_that_may_have_inherited_the_marker_is_not_removed(connect: Connect, server: FakeLangGraph, key: str) -> None:
    """A thread that was created with its first run has the metadata of that run, and gives them to later runs."""
    client = connect(server.url)
    thread_id = str(uuid.uuid4())
    run = client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key, if_not_exists="create")
    client.runs.join(thread_id, run.run_id)
    body = json.dumps({"assistant_id": "agent", "input": INPUT}).encode()
    url = f"{server.url}/threads/{thread_id}/runs"
    with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"})) as response:
        other = json.load(response)
    assert other["metadata"][MARKER] == server.run_json(server.created[0])["metadata"][MARKER]
    assert run.run_id == client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key).run_id
    assert 2 == len(list(client.runs.iter(thread_id)))


@pytest.mark.parametrize("cut", [cut_request(40), swallow(), swallow(reset=True), stall_response(0)], ids=str)
def test_a_create_whose_response_is_lost_is_not_sent_again_with_the_same_lock(
    connect: Connect, server: FakeLangGraph, key: str, quick: None, cut: Fault
) -> None:
    """It may still arrive: so the call waits until that is out of the question, and takes the next lock."""
    with CuttingProxy(server.url) as proxy:
        proxy.arm(cut, when=b"POST /threads/")
        client = connect(proxy.url, read_timeout=1)
        try:
            client.runs.create(None, "agent", input=INPUT, idempotency_key=key)
        except CreateUncertainError:
            assert cut == stall_response(0)
        run = client.runs.create(None, "agent", input=INPUT, idempotency_key=key)
    assert [run.run_id] == [created.run_id for created in server.created]


@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_server_may_refuse_a_thread_that_exists_with_another_status(
    connect: Connect, server: FakeLangGraph, key: str, status: int
) -> None:
    """The thread itself shows whether another call has created it."""
    first = connect(server.url).runs.create(None, "agent", input=INPUT, idempotency_key=key)
    for _ in range(8):
        server.instead("POST", "/threads", reply_json(status, {"detail": "already exists"}))
    again = connect(server.url).runs.create(None, "agent", input=INPUT, idempotency_key=key)
    assert (first.run_id, True) == (again.run_id, again.replayed)


def test_a_refused_thread_that_does_not_exist_is_an_error(connect: Connect, server: FakeLangGraph, key: str) -> None:
    server.instead("POST", "/threads", reply_json(422, {"detail": "no"}))
    with pytest.raises(UnprocessableEntityError):
        connect(server.url).runs.create(None, "agent", input=INPUT, idempotency_key=key)
    assert [] == server.created


def test_a_server_that_returns_the_old_thread_instead_of_refusing_gives_no_lock(
    connect: Connect, server: FakeLangGraph, key: str
) -> None:
    client = connect(server.url)
    first = client.runs.create(None, "agent", input=INPUT, idempotency_key=key)
    server.instead("POST", "/threads", reply_json(200, server.threads[first.thread_id]))
    assert client.runs.create(None, "agent", input=INPUT, idempotency_key=key).replayed
    assert 1 == len(server.created)


def test_a_server_that_does_not_show_metadata_of_threads_gives_the_lock_by_its_refusals(
    connect: Connect, server: FakeLangGraph, key: str
) -> None:
    thread = {"thread_id": key_id(key), "created_at": "2026-11-28T20:00:00Z", "status": "idle"}
    server.add_thread(key_id(key))
    server.instead("POST", "/threads", reply_json(200, thread))
    run = connect(server.url).runs.create(None, "agent", input=INPUT, idempotency_key=key)
    runs = f"/threads/{run.thread_id}/runs"
    assert ["POST /threads", f"GET {runs}", f"POST {runs}", f"GET {runs}"] == paths(server)  # it looks before it posts


class WithoutMetadata(FakeLangGraph):
    """Shows neither the metadata nor the config of runs."""

    def run_json(self, run: FakeRun) -> dict[str, Any]:
        return {name: value for name, value in super().run_json(run).items() if name not in ("metadata", "kwargs")}


def test_on_a_server_that_shows_no_metadata_of_runs_the_derived_thread_is_the_evidence(connect: Connect, key: str) -> None:
    with WithoutMetadata(program) as server:
        client = connect(server.url)
        run = client.runs.create(None, "agent", input=INPUT, idempotency_key=key)
        again = connect(server.url).runs.wait(None, "agent", input=INPUT, idempotency_key=key, raise_error=False)
        assert (run.run_id, False, True) == (again.run.run_id, run.replayed, again.run.replayed)
        thread_id = client.threads.create().thread_id
        client.runs.create(thread_id, "agent", input=INPUT)
        with pytest.raises(CreateUncertainError, match="does not show the metadata of runs") as caught:
            client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key)
        assert caught.value.sent is False and 2 == len(server.created)


def test_a_thread_of_another_user_is_an_error_and_no_endless_wait(connect: Connect, server: FakeLangGraph, key: str) -> None:
    for _ in range(20):
        server.instead("POST", "/threads", reply_json(409, {"detail": "Thread already exists"}))
    with pytest.raises(CreateUncertainError, match="may belong to another user") as caught:
        connect(server.url).runs.create(None, "agent", input=INPUT, idempotency_key=key)
    assert caught.value.sent is False and [] == server.created


# -- on a given thread


def test_on_a_given_thread_the_key_is_looked_for_before_and_after(connect: Connect, server: FakeLangGraph, key: str) -> None:
    client = connect(server.url)
    thread_id = client.threads.create().thread_id
    begun = len(server.requests)
    run = client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key)
    again = client.runs.wait(thread_id, "agent", input=INPUT, idempotency_key=key, raise_error=False)
    runs = f"/threads/{thread_id}/runs"
    assert [f"GET {runs}", f"POST {runs}", f"GET {runs}", f"GET {runs}"] == paths(server)[begun : begun + 4]
    assert run.run_id == again.run.run_id and again.run.replayed and not run.replayed
    other = client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key + " other")
    assert other.run_id != run.run_id and not other.replayed


def test_on_a_busy_thread_the_strategy_of_the_caller_holds(connect: Connect, key: str) -> None:
    go_on = threading.Event()

    def work(run: FakeRun) -> Any:
        run.wait(go_on)
        return {}

    with FakeLangGraph(work) as server:
        client = connect(server.url)
        thread_id = client.threads.create().thread_id
        client.runs.create(thread_id, "agent", input=INPUT)
        with pytest.raises(ConflictError):
            client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key, multitask_strategy="reject")
        run = client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key)
        assert "enqueue" == run.multitask_strategy or run.multitask_strategy is None
        assert client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key).run_id == run.run_id
        go_on.set()
        assert 2 == len(server.created)


def test_of_two_runs_that_slipped_through_the_older_stays(connect: Connect, server: FakeLangGraph, key: str) -> None:
    """As if both calls had looked before either posted: the second one sees no run of the first one."""
    client = connect(server.url)
    thread_id = client.threads.create().thread_id
    first = client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key)
    client.runs.join(thread_id, first.run_id)
    told: list[Any] = []
    server.instead("GET", "/threads/*/runs", reply_json(200, []))
    second = client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key, on_run_created=told.append)
    assert second.run_id == first.run_id and second.replayed
    assert [first.run_id] == [ids["run_id"] for ids in told]
    assert [first.run_id] == [run.run_id for run in client.runs.iter(thread_id)]
    assert 2 == len(server.created)


def test_a_second_run_of_a_call_that_has_died_is_removed_by_the_next_call(
    connect: Connect, server: FakeLangGraph, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_lookup, "SETTLING", (0.0,))
    client = connect(server.url)
    thread_id = client.threads.create().thread_id
    first = client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key)
    client.runs.join(thread_id, first.run_id)
    for _ in range(2):
        server.instead("GET", "/threads/*/runs", reply_json(200, []))
    left = client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key)
    foreign = client.runs.create(thread_id, "agent", input=INPUT)
    assert left.run_id != first.run_id
    assert first.run_id == client.runs.create(thread_id, "agent", input=INPUT, idempotency_key=key).run_id
    assert {first.run_id, foreign.run_id} == {run.run_id for run in client.runs.iter(thread_id)}


# -- maps


def row_key(prefix: str) -> Callable[[Any], str]:
    return lambda row: f"{prefix} {row['id']}"


def test_the_keys_of_a_map_without_a_ledger_are_idempotency_keys(connect: Connect, server: FakeLangGraph, key: str) -> None:
    client = connect(server.url)
    rows = [{"id": number} for number in range(6)]
    first = {result.key: result for result in client.runs.map("agent", rows[:4], key=row_key(key))}
    again = {result.key: result for result in client.runs.map("agent", rows, key=row_key(key), concurrency=2)}
    assert 6 == len(server.created) == len(again)
    assert all(result.succeeded and again[name].run_id == result.run_id for name, result in first.items())
    assert [{"done": row} for row in rows] == [again[row_key(key)(row)].values for row in rows]
    run = client.runs.create(None, "agent", input=rows[0], idempotency_key=row_key(key)(rows[0]))
    assert run.replayed and run.thread_id in server.threads


def test_a_key_of_a_map_with_another_input_is_a_conflict_of_that_input(connect: Connect, server: FakeLangGraph, key: str) -> None:
    client = connect(server.url)
    list(client.runs.map("agent", [{"id": 1}], key=row_key(key)))
    results = list(client.runs.map("agent", [{"id": 1, "n": 1}, {"id": 2}], key=row_key(key), ordered=True))
    assert isinstance(results[0].error, IdempotencyConflictError) and results[1].succeeded


def test_a_map_deletes_the_threads_of_its_keys_only_if_that_is_asked_for(connect: Connect, server: FakeLangGraph, key: str) -> None:
    client = connect(server.url)
    list(client.runs.map("agent", [{"id": 1}], key=row_key(key), keep_threads=False))
    assert {} == server.threads
    list(client.runs.map("agent", {key: {"id": 1}}.items()))
    assert {} == server.threads


def test_a_map_that_is_interrupted_forgets_the_keys_of_the_runs_that_it_cancels(connect: Connect, key: str) -> None:
    go_on = threading.Event()

    def work(run: FakeRun) -> Any:
        run.wait(go_on)
        return {"done": run.input}

    with FakeLangGraph(work) as server:
        client = connect(server.url)
        with client.runs.map("agent", [{"id": 1}, {"id": 2}], key=row_key(key)) as results:
            thread = threading.Thread(target=lambda: list(results))
            thread.start()
            server.wait_until(lambda: len(server.created) == 2, "two runs")
        thread.join()
        assert {} == server.threads
        go_on.set()


def test_a_map_pauses_when_the_server_refuses_keyed_creates(connect: Connect, server: FakeLangGraph, key: str) -> None:
    for _ in range(3):
        server.instead("POST", "/threads/*/runs", reply(429, headers=[("Retry-After", "0")]))
    results = list(connect(server.url).runs.map("agent", [{"id": number} for number in range(3)], key=row_key(key)))
    assert [True] * 3 == [result.succeeded for result in results]
    assert 3 == len(server.created)


# -- the command line


def test_a_command_that_is_repeated_with_its_key_gets_the_run_of_the_first(server: FakeLangGraph, key: str) -> None:
    command = Commands(server.url)
    created = command("create", "agent", "n=2", "--idempotency-key", key)
    again = command("create", "agent", "n=2", "--idempotency-key", key)
    assert (0, 0) == (created.code, again.code), created.err + again.err
    assert (created.json["run_id"], False, True) == (again.json["run_id"], created.json["replayed"], again.json["replayed"])
    assert {"done": {"n": 2}} == command("run", "agent", "n=2", "--idempotency-key", key).json
    streamed = command("stream", "agent", "n=2", "--idempotency-key", key + " 2", "--stream-mode", "custom,values")
    again = command("stream", "agent", "n=2", "--idempotency-key", key + " 2", "--stream-mode", "custom,values")
    assert streamed.lines == again.lines and 2 <= len(streamed.lines)
    assert {key_id(key), key_id(key + " 2")} == server.threads.keys()  # they stay
    assert 2 == len(server.created)


def test_a_command_with_another_input_or_a_deleted_thread_is_a_usage_error(server: FakeLangGraph, key: str) -> None:
    command = Commands(server.url)
    assert 0 == command("run", "agent", "n=2", "--idempotency-key", key).code
    for call in ("run", "stream", "create"):
        ended = command(call, "agent", "n=3", "--idempotency-key", key)
        assert 2 == ended.code and "another input" in ended.err, ended.err
    ended = command("create", "agent", "--idempotency-key", key, "--on-completion", "delete")
    assert 2 == ended.code and "on_completion" in ended.err
    ended = command("run", "agent", "--idempotency-key", "")
    assert 2 == ended.code and "idempotency_key: empty text is no key; give text" in ended.err
    assert 1 == len(server.created)


def test_a_timeout_of_a_command_with_a_key_cancels_its_run_and_keeps_the_thread(key: str) -> None:
    go_on = threading.Event()

    def work(run: FakeRun) -> Any:
        run.wait(go_on)
        return {}

    with FakeLangGraph(work) as server:
        ended = Commands(server.url)("run", "agent", "n=2", "--idempotency-key", key, "--timeout", "1")
        assert 4 == ended.code and "was cancelled" in ended.err, ended.err
        assert [key_id(key)] == list(server.threads)
        go_on.set()

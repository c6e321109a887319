"""What stands before a server replaces single responses of status 200, has old data, or adds frames to streams."""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Iterator
from typing import Any, Callable, Optional

import pytest

from langgraph_runs import Client, NotFoundError, RunError, RunFailedError
from langgraph_runs.testing.loopback_server import ReplySource
from langgraph_runs.testing.replies import Item

from ..waiting import wait_until
from .calls import hasty
from .fake_langgraph import Dialect, FakeLangGraph, FakeRun, GraphFailure, Paused, burst
from .scripted import THREAD_ID, Reply, Request, reply, reply_json

Connect = Callable[..., Client]

RUN = re.compile(r"GET /threads/[^/]+/runs/[^/]+$")
CREATE = re.compile(r"POST /threads/[^/]+/runs$")
WAIT = re.compile(r"POST /threads/[^/]+/runs/wait$")
PAGE = reply(200, b"<html>maintenance</html>", headers=[("Content-Type", "text/html")])
REPLACEMENTS = {
    "object": reply_json(200, {}),
    "null": reply_json(200, None),
    "nothing": reply(200),
    "page": PAGE,
    "cut": reply(200, b'{"run_id": "0d9f", "sta', headers=[("Content-Type", "application/json")]),
}


class Between(FakeLangGraph):
    """A server behind something that may replace the server's reply by another one."""

    def __init__(
        self, program: Any, replaces: Callable[[Request, Reply], Optional[Reply]], dialect: Optional[Dialect] = None
    ) -> None:
        self._replaces = replaces
        super().__init__(program, dialect)

    def choose(self, method: str, path: str) -> ReplySource:
        reply_to = super().choose(method, path)

        def between(request: Request) -> Reply:
            assert callable(reply_to)
            own = reply_to(request)
            return self._replaces(request, own) or own

        return between


def once(where: re.Pattern[str], other: Reply) -> Callable[[Request, Reply], Optional[Reply]]:
    """Replace the first reply to such a request."""
    left = [other]
    return lambda request, own: left.pop() if left and where.match(f"{request.method} {request.path}") else None


def program(run: FakeRun) -> Any:
    run.pause(0.02)
    if run.input.get("fail"):
        raise GraphFailure("ValueError", "no ink")
    run.emit("values", {"n": run.input["n"]})
    return {"n": run.input["n"]}


def values_by(client: Client, way: str, thread_id: str) -> Any:
    """The values of a new run, which is waited for or joined."""
    if way == "wait":
        return client.runs.wait(thread_id, "agent", input={"n": 1})
    return client.runs.join(thread_id, client.runs.create(thread_id, "agent", input={"n": 1}).run_id)


@pytest.mark.parametrize("other", REPLACEMENTS)
@pytest.mark.parametrize("way", ["wait", "join", "stream"])
def test_a_response_that_is_no_run_is_requested_again(connect: Connect, way: str, other: str) -> None:
    with Between(program, once(RUN, REPLACEMENTS[other])) as server:
        client = hasty(connect(server.url))
        thread_id = client.threads.create().thread_id
        if way != "stream":
            assert {"n": 1} == values_by(client, way, thread_id)
        else:
            with pytest.raises(RunFailedError, match="no ink"):
                list(client.runs.stream(thread_id, "agent", input={"n": 1, "fail": True}))
        assert 1 == len(server.created)


@pytest.mark.parametrize("other", REPLACEMENTS)
def test_a_create_whose_response_is_no_run_is_looked_up(connect: Connect, other: str) -> None:
    with Between(program, once(CREATE, REPLACEMENTS[other])) as server:
        client = hasty(connect(server.url))
        thread_id = client.threads.create().thread_id
        run = client.runs.create(thread_id, "agent", input={"n": 1})
        assert [run.run_id] == [run.run_id for run in server.created]


@pytest.mark.parametrize("other", ["object", "null"])
@pytest.mark.parametrize("thread", [True, False])
def test_an_empty_response_to_a_wait_is_not_the_result(connect: Connect, other: str, thread: bool) -> None:
    with Between(program, once(WAIT, REPLACEMENTS[other])) as server:
        client = hasty(connect(server.url))
        thread_id = client.threads.create().thread_id if thread else None
        assert {"n": 1} == client.runs.wait(thread_id, "agent", input={"n": 1})
        assert 1 == len(server.created)


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("kind", ["run", "thread", "accepted", "accepted run"])
def test_a_record_in_the_response_to_a_wait_is_not_the_result(connect: Connect, kind: str, quick: bool) -> None:
    """Some servers respond with the run or its thread, or at once with 202 and whatever they like."""

    def replaces(request: Request, own: Reply) -> Optional[Reply]:
        if not WAIT.match(f"{request.method} {request.path}"):
            return None
        run = server.created[-1]
        if quick:
            wait_until(lambda: run.done, "the end of the run", 10.0)
        if kind == "thread":
            times = {"created_at": "2026-11-21T01:09:53+00:00", "updated_at": "2026-11-21T01:09:53+00:00"}
            return reply_json(200, {"thread_id": run.thread_id, "status": "idle", "metadata": {}, "values": run.values, **times})
        return reply_json(200 if kind == "run" else 202, {"message": "accepted"} if kind == "accepted" else server.run_json(run))

    with Between(program, replaces) as server:
        client = hasty(connect(server.url))
        thread_id = client.threads.create().thread_id
        assert {"n": 1} == client.runs.wait(thread_id, "agent", input={"n": 1})
        with pytest.raises(RunFailedError, match="no ink"):
            client.runs.wait(thread_id, "agent", input={"n": 1, "fail": True})
        assert 2 == len(server.created)


@pytest.mark.parametrize("way", ["create", "wait", "stream"])
def test_a_redirect_to_the_created_run_leads_to_it(connect: Connect, way: str) -> None:
    def replaces(request: Request, own: Reply) -> Optional[Reply]:
        if request.method != "POST" or "/runs" not in request.path or len(server.created) != 1:
            return None
        run = server.created[-1]
        return reply(303, headers=[("Location", f"/threads/{run.thread_id}/runs/{run.run_id}")])

    with Between(program, replaces) as server:
        client = hasty(connect(server.url))
        thread_id = client.threads.create().thread_id
        if way == "create":
            assert client.runs.create(thread_id, "agent", input={"n": 1}).run_id == server.created[0].run_id
        elif way == "wait":
            assert {"n": 1} == client.runs.wait(thread_id, "agent", input={"n": 1})
        else:
            assert {"n": 1} == list(client.runs.stream(thread_id, "agent", input={"n": 1}))[-1].data
        assert 1 == len(server.created)


@pytest.mark.parametrize("way", ["wait", "join", "stream"])
def test_a_404_of_a_gateway_does_not_make_the_run_disappear(connect: Connect, way: str) -> None:
    """The list of the thread's runs has the run."""
    absent = reply_json(404, {"message": "no Route matched with those values"})
    with Between(program, lambda request, own: absent if RUN.match(f"{request.method} {request.path}") else None) as server:
        client = hasty(connect(server.url))
        thread_id = client.threads.create().thread_id
        if way != "stream":
            assert {"n": 1} == values_by(client, way, thread_id)
        else:
            with client.runs.stream(thread_id, "agent", input={"n": 1}) as stream:
                assert {"n": 1} == [event.data for event in stream][-1]


@pytest.mark.parametrize("way", ["wait", "stream"])
def test_a_copy_of_the_data_that_is_behind_does_not_make_the_run_disappear(connect: Connect, way: str) -> None:
    """The client waits for about two seconds in all: see `hasty`."""
    requested: list[Request] = []

    def behind(request: Request, own: Reply) -> Optional[Reply]:
        if not RUN.match(f"{request.method} {request.path}"):
            return None
        requested.append(request)
        return reply_json(404, {"detail": "Run not found"}) if len(requested) < 5 else None

    with Between(program, behind) as server:
        client = hasty(connect(server.url))
        thread_id = client.threads.create().thread_id
        if way == "wait":
            assert {"n": 1} == client.runs.wait(thread_id, "agent", input={"n": 1})
        else:
            with client.runs.stream(thread_id, "agent", input={"n": 1}) as stream:
                assert {"n": 1} == [event.data for event in stream][-1]
    assert 5 == len(requested)


@pytest.mark.parametrize("thread", [True, False])
def test_the_response_to_a_wait_is_no_success_if_the_server_has_lost_the_run(connect: Connect, thread: bool) -> None:
    """A server that was restarted may give the last values of a run before it has lost the run and the thread."""

    def lost(request: Request, own: Reply) -> Optional[Reply]:
        is_later = "/runs/" in request.path and request.method == "GET"
        if not is_later and not (request.method == "GET" and request.path.endswith("/runs")):
            return None
        return reply_json(404, {"detail": f"Thread with ID {request.path.split('/')[2]} not found"})

    with Between(program, lost) as server:
        client = hasty(connect(server.url))
        thread_id = client.threads.create().thread_id if thread else None
        with pytest.raises(NotFoundError, match="the run is gone"):
            client.runs.wait(thread_id, "agent", input={"n": 1})


@pytest.mark.parametrize("frame", ["event: done\ndata: {}\n\n", "data: [DONE]\n\n", "event: complete\ndata: null\n\n"])
def test_a_last_frame_without_an_id_is_no_sign_that_events_are_missing(connect: Connect, frame: str) -> None:
    """It is delivered once, however often the stream is cut."""

    def framed(request: Request, own: Reply) -> Optional[Reply]:
        if not request.path.endswith("/stream"):
            return None

        def items() -> Iterator[Item]:
            yield from own.items() if callable(own.items) else own.items
            yield frame.encode()

        return dataclasses.replace(own, items=items)

    with Between(burst, framed) as server:
        server.cuts = iter([(7, "fin"), (4, "end")])
        client = hasty(connect(server.url))
        with client.runs.stream(THREAD_ID, "agent", input={"n": 20}, stream_mode="custom", if_not_exists="create") as stream:
            events = list(stream)
    assert list(range(20)) == [event.data["i"] for event in events if event.event == "custom"]
    assert 1 == sum(event.event not in ("metadata", "custom") for event in events)


@pytest.mark.parametrize("body", [b"", b'{"status": "cancelling"}'])
def test_a_cancel_that_waits_returns_when_the_run_has_ended(connect: Connect, body: bytes) -> None:
    """Some servers respond with 202 at once, and cancel the run later."""
    go_on = threading.Event()

    def waiting(run: FakeRun) -> Any:
        run.wait(go_on)
        return {"n": 1}

    accepted = reply(202, body, headers=[("Content-Type", "application/json")])
    with Between(waiting, lambda request, own: accepted if request.path.endswith("/cancel") else None) as server:
        server.instead("POST", "/threads/*/runs/*/cancel", accepted)
        client = connect(server.url)
        thread_id = client.threads.create().thread_id
        run = client.runs.create(thread_id, "agent", input={"n": 1})
        timer = threading.Timer(0.3, go_on.set)
        timer.start()
        client.runs.cancel(thread_id, run.run_id, wait=True)
        assert server.created[0].done
        timer.join()


def test_a_map_finds_a_pause_that_only_the_thread_shows(connect: Connect) -> None:
    def paused(run: FakeRun) -> Any:
        return Paused({"n": 1})

    plain = reply_json(200, {"n": 1})
    with Between(paused, lambda request, own: plain if WAIT.match(f"{request.method} {request.path}") else None) as server:
        result = next(iter(connect(server.url).runs.map("agent", [{"n": 1}])))
        assert result.paused and result.thread_id in server.threads


JOIN = re.compile(r"GET /threads/[^/]+/runs/[^/]+/join$")


@pytest.mark.parametrize("status, text", [(404, "Not Found"), (405, "Method Not Allowed"), (501, "Not Implemented")])
@pytest.mark.parametrize("lacks", ["wait", "join", "both"])
def test_a_server_without_the_route_of_a_wait_or_a_join(connect: Connect, lacks: str, status: int, text: str) -> None:
    """The run is created, and the server is asked how it is until it has ended."""

    class Lacks(FakeLangGraph):
        def choose(self, method: str, path: str) -> ReplySource:
            line = f"{method} {path}"
            if (WAIT.match(line) and lacks != "join") or (JOIN.match(line) and lacks != "wait"):
                return reply_json(status, {"detail": text})
            return super().choose(method, path)

    with Lacks(program) as server:
        client = hasty(connect(server.url))
        thread_id = client.threads.create().thread_id
        assert {"n": 1} == client.runs.wait(thread_id, "agent", input={"n": 1})
        assert {"n": 2} == client.runs.wait(None, "agent", input={"n": 2})
        with pytest.raises(RunFailedError, match="no ink"):
            client.runs.wait(thread_id, "agent", input={"n": 1, "fail": True})
        run = client.runs.create(thread_id, "agent", input={"n": 3})
        assert {"n": 3} == client.runs.join(thread_id, run.run_id)
        assert 4 == len(server.created)


def test_a_404_of_a_gateway_that_passed_the_wait_on_makes_no_second_run(connect: Connect) -> None:
    absent = once(WAIT, reply_json(404, {"detail": "Not Found"}))
    with Between(program, absent) as server:
        client = hasty(connect(server.url))
        thread_id = client.threads.create().thread_id
        assert {"n": 1} == client.runs.wait(thread_id, "agent", input={"n": 1})
        assert 1 == len(server.created)


@pytest.mark.parametrize("way", ["wait", "stream", "map"])
def test_a_server_that_creates_no_threads_with_their_runs(connect: Connect, way: str) -> None:
    class Ignores(FakeLangGraph):
        def _create(self, request: Request, thread_id: Optional[str], body: Any) -> Any:
            return super()._create(request, thread_id, {**body, "if_not_exists": "reject"})

        def error(self, status: int, text: str) -> Reply:
            return super().error(status, text.replace("Thread or assistant", "Thread"))

    with Ignores(program) as server:
        client = hasty(connect(server.url))
        if way == "wait":
            assert {"n": 1} == client.runs.wait(None, "agent", input={"n": 1})
        elif way == "stream":
            assert {"n": 1} == list(client.runs.stream(None, "agent", input={"n": 1}))[-1].data
        else:
            assert [{"n": 1}] == [result.values for result in client.runs.map("agent", [{"n": 1}])]
        assert 1 == len(server.created) and {} == dict(server.threads)


def test_a_wait_whose_run_cannot_be_found_lets_the_next_one_create_its_run_first(connect: Connect) -> None:
    """The server shows neither the run of a wait nor the metadata of runs."""

    class Silent(FakeLangGraph):
        def run_json(self, run: FakeRun) -> dict[str, Any]:
            return {name: value for name, value in super().run_json(run).items() if name not in ("metadata", "kwargs")}

        def _located(self, reply: Reply, run: FakeRun, then: Optional[str]) -> Reply:
            return reply

    with Silent(program) as server:
        client = hasty(connect(server.url))
        thread_id = client.threads.create().thread_id
        with pytest.raises(RunError, match="the response does not name the run"):
            client.runs.wait(thread_id, "agent", input={"n": 1})
        assert {"n": 2} == client.runs.wait(thread_id, "agent", input={"n": 2})
        assert 2 == len(server.created)

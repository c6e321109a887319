"""The fake LangGraph server behaves as its dialect says."""

from __future__ import annotations

import http.client
import json
import threading
import uuid
from typing import Any, Optional

import pytest

from .fake_langgraph import Dialect, FakeLangGraph, FakeRun, Paused
from .scripted import reply

T = "/threads/7f0c9b1e-8a54-4e0a-9a25-6a1f3f0c2d11"
NEW = {"assistant_id": "agent", "if_not_exists": "create"}


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers = response.status, response.headers
        try:
            self.body, self.whole = response.read(), True
        except (http.client.IncompleteRead, ConnectionResetError) as error:
            self.body, self.whole = getattr(error, "partial", b""), False

    def json(self) -> Any:
        return json.loads(self.body)

    def events(self) -> list[tuple[Any, ...]]:
        """(event, data, id) of each whole event; the line ends are the server's own."""
        newline = b"\r\n" if b"\r\n" in self.body else b"\n"
        blocks = [b for b in self.body.split(newline * 2)[:-1] if not b.startswith(b":")]
        found = [dict(line.decode().split(": ", 1) for line in block.split(newline)) for block in blocks]
        return [(f["event"], json.loads(f["data"]), f.get("id")) for f in found]


def ask(server: FakeLangGraph, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        sent = None if body is None else json.dumps(body)
        connection.request(method, server.dialect.prefix + path, sent, {k.replace("_", "-"): v for k, v in headers.items()})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def stream(server: FakeLangGraph, n: int = 3, **more: Any) -> Answer:
    body = {**NEW, "input": {"n": n}, "stream_mode": ["custom", "values"], "stream_resumable": True, **more}
    return ask(server, "POST", f"{T}/runs/stream", body)


def replay(server: FakeLangGraph, last_event_id: str, query: str = "") -> Answer:
    run = server.created[-1]
    return ask(server, "GET", f"{T}/runs/{run.run_id}/stream{query}", Last_Event_ID=last_event_id)


def test_a_stream_has_metadata_and_the_requested_events_and_no_end_event() -> None:
    """The real server's habits: CRLF, metadata first, no end event, Location with the run."""
    with FakeLangGraph() as server:
        answer = stream(server, 2)

    run = server.created[0]
    assert f"{T}/runs/{run.run_id}/stream" == answer.headers["Location"]
    assert ["metadata", "custom", "custom", "values"] == [e[0] for e in answer.events()]
    assert {"run_id": run.run_id, "attempt": 1} == answer.events()[0][1]
    assert answer.whole and answer.body.count(b"\r\n") == answer.body.count(b"\n")


def test_ids_are_shared_and_a_resume_loses_events_with_the_same_id() -> None:
    """Resuming from an id gives what is greater as a string: the siblings of that id do not come."""
    with FakeLangGraph(seed=1) as server:
        events = stream(server, 50).events()
        ids = [e[2] for e in events]
        later = {i: replay(server, i).events() for i in sorted(set(ids))}
        everything = replay(server, "-").events()

    assert len(set(ids)) < len(ids)
    assert ids == sorted(ids)
    assert everything == events
    assert all([e for e in events if e[2] > i] == rest for i, rest in later.items())


@pytest.mark.parametrize("ids", ["ms-seq", "int", "uuid"])
def test_unique_ids_resume_exactly(ids: str) -> None:
    """With unique ids what comes after an id is everything after that event; an unknown id gives all."""
    with FakeLangGraph(dialect=Dialect(ids=ids)) as server:
        events = stream(server, 20).events()
        assert 22 == len({e[2] for e in events})
        assert events[8:] == replay(server, events[7][2]).events()
        assert events == replay(server, "0").events()


def test_errors_are_not_kept() -> None:
    """The error event is seen live and not in a replay; the reason is in the thread."""
    with FakeLangGraph() as server:
        live = stream(server, 1, input={"fail": "boom"}).events()
        again = replay(server, "-").events()
        thread = ask(server, "GET", T).json()
        run = ask(server, "GET", f"{T}/runs/{server.created[0].run_id}").json()

    assert ("error", {"error": "ValueError", "message": "boom"}) == live[-1][:2]
    assert ["metadata"] == [e[0] for e in again]
    assert ("error", "error") == (thread["status"], run["status"])
    assert {"error": "ValueError", "message": "boom"} == thread["error"]


def test_a_replay_in_mid_run_repeats_what_the_dialect_says() -> None:
    """With an overlap the last events before the replay come a second time, after newer ones."""
    half, rest = threading.Event(), threading.Event()

    def program(run: FakeRun) -> Any:
        for i in range(6):
            if i == 4:
                half.set()
                run.wait(rest)
            run.emit("custom", i)
        return {}

    with FakeLangGraph(program, Dialect(overlap=2)) as server:
        ask(server, "POST", f"{T}/runs", {**NEW, "stream_mode": "custom", "stream_resumable": True})
        assert half.wait(5)
        events: list[Any] = []
        listener = threading.Thread(target=lambda: events.extend(replay(server, "-").events()))
        listener.start()
        # the kept events are read before the program goes on
        server.wait_for(2)
        server.wait_until(lambda: server.listeners == 1, "the listener")
        rest.set()
        listener.join()

    assert [0, 1, 2, 3, 2, 3, 4, 5] == [e[1] for e in events[1:]]


def test_join_filters_by_mode_and_takes_the_last() -> None:
    """A mode or a JSON array of modes keeps those only, metadata and error not excepted."""
    with FakeLangGraph() as server:
        stream(server, 1)
        one = replay(server, "-", "?stream_mode=values&stream_mode=custom").events()
        two = replay(server, "-", "?stream_mode=%5B%22custom%22%2C%22metadata%22%5D").events()

    assert [["custom"], ["metadata", "custom"]] == [[e[0] for e in one], [e[0] for e in two]]


def test_a_run_without_stream_resumable_has_no_ids() -> None:
    """Not resumable means no ids and nothing to replay, unless the dialect keeps everything."""
    with FakeLangGraph() as server:
        assert {None} == {e[2] for e in stream(server, stream_resumable=False).events()}
        assert [] == replay(server, "-").events()
    with FakeLangGraph(dialect=Dialect(always_resumable=True)) as server:
        assert stream(server, stream_resumable=False).events() == replay(server, "-").events()


def test_cuts_break_streams_after_a_number_of_events() -> None:
    """fin and rst break off, end ends cleanly; the run goes on."""
    with FakeLangGraph() as server:
        server.cuts = iter([(2, "fin"), (1, "end"), (0, "rst")])
        cut, ended, reset = stream(server), stream(server), stream(server)
        assert (2, False) == (len(cut.events()), cut.whole)
        assert (1, True) == (len(ended.events()), ended.whole)
        assert not reset.whole
        assert 5 == len(stream(server).events())

    assert ["success"] * 4 == [run.status for run in server.created]


def test_wait_and_join() -> None:
    """wait gives the values or __error__ with status 200; a late join gives the thread's state of now."""
    with FakeLangGraph() as server:
        first = ask(server, "POST", f"{T}/runs/wait", {**NEW, "input": {"a": 1}})
        failed = ask(server, "POST", f"{T}/runs/wait", {**NEW, "input": {"fail": "no"}})
        ask(server, "POST", f"{T}/runs/wait", {**NEW, "input": {"a": 3}})
        late = ask(server, "GET", f"{T}/runs/{server.created[0].run_id}/join")
        unknown = ask(server, "GET", f"{T}/runs/{uuid.uuid4()}/join")

    assert first.headers["Location"].endswith("/join")
    assert ({"a": 1}, {"a": 3}) == (first.json(), late.json())
    assert (200, {"__error__": {"error": "ValueError", "message": "no"}}) == (failed.status, failed.json())
    assert (200, "404: Run not found") == (unknown.status, unknown.json()["__error__"]["message"])


def test_a_paused_run_has_the_status_success() -> None:
    """A paused run has status success, its thread interrupted, and wait shows the interrupts."""
    with FakeLangGraph(lambda run: Paused({"a": 1}, ({"id": "i", "value": "?"},))) as server:
        value = ask(server, "POST", f"{T}/runs/wait", NEW).json()
        thread = ask(server, "GET", T).json()

    assert {"a": 1, "__interrupt__": [{"id": "i", "value": "?", "response_schema": None}]} == value
    assert ("success", "interrupted") == (server.created[0].status, thread["status"])


def test_runs_keep_the_id_of_their_request() -> None:
    """x-request-id is kept with the run, or not, as the dialect says; runs are listed newest first."""
    for keeps in (True, False):
        with FakeLangGraph(dialect=Dialect(keeps_request_id=keeps)) as server:
            ask(server, "POST", f"{T}/runs", NEW, x_request_id="mine")
            ask(server, "POST", f"{T}/runs", {**NEW, "metadata": {"k": 2}})
            runs = ask(server, "GET", f"{T}/runs").json()

        assert [run.run_id for run in server.created] == [run["run_id"] for run in runs[::-1]]
        assert keeps == (runs[1]["kwargs"]["config"]["configurable"]["langgraph_request_id"] == "mine")
        assert 2 == runs[0]["metadata"]["k"]


def test_multitask_and_cancel() -> None:
    """reject is 409 while a run is there, enqueue waits, cancel ends, cancelled again is 404, rollback deletes."""
    gate = threading.Event()
    with FakeLangGraph(lambda run: run.wait(gate)) as server:
        ask(server, "POST", f"{T}/runs", NEW)
        assert 409 == ask(server, "POST", f"{T}/runs", {**NEW, "multitask_strategy": "reject"}).status
        ask(server, "POST", f"{T}/runs", NEW)
        first, second = server.created
        server.wait_until(lambda: first.status == "running", "the first run to begin")
        assert "pending" == second.status
        assert [202, 404] == [ask(server, "POST", f"{T}/runs/{first.run_id}/cancel").status for _ in range(2)]
        server.wait_until(lambda: second.status == "running", "the second run to begin")
        assert 202 == ask(server, "POST", f"{T}/runs/{second.run_id}/cancel?action=rollback").status
        assert 404 == ask(server, "GET", f"{T}/runs/{second.run_id}").status
        assert "interrupted" == ask(server, "GET", f"{T}/runs/{first.run_id}").json()["status"]


@pytest.mark.parametrize("on_disconnect, status", [("cancel", "interrupted"), ("continue", "success"), (None, "success")])
@pytest.mark.parametrize("call", ["stream", "wait"])
def test_on_disconnect(call: str, on_disconnect: Optional[str], status: str) -> None:
    """A run whose caller leaves is cancelled only if the caller said so."""
    gate = threading.Event()
    with FakeLangGraph(lambda run: run.wait(gate)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        body = NEW if on_disconnect is None else {**NEW, "on_disconnect": on_disconnect}
        connection.request("POST", f"{T}/runs/{call}", json.dumps(body))
        connection.getresponse().close()
        connection.close()
        assert server.requests[0].client_disconnected.wait(5)
        (run,) = server.created
        if on_disconnect != "cancel":
            gate.set()
        server.wait_until(lambda: run.done, "the end of the run")

    assert status == run.status


def test_dialects_change_newlines_errors_and_headers() -> None:
    """LF line ends, an end event, a prefix that Location lacks, no Location, no stateless endpoints, other errors."""
    with FakeLangGraph(dialect=Dialect(newline="\n", end_event=True, prefix="/api")) as server:
        answer = stream(server)
        assert b"\r" not in answer.body
        assert "end" == answer.events()[-1][0]
        assert f"/runs/{server.created[0].run_id}/stream" in answer.headers["Location"]
        assert not answer.headers["Location"].startswith("/api")
        assert server.url.endswith("/api")
    with FakeLangGraph(dialect=Dialect(locations=False, stateless=False, empty_wait=True)) as server:
        answer = ask(server, "POST", f"{T}/runs/wait", {**NEW, "input": {"fail": "x"}})
        assert (None, None, {}) == (answer.headers["Location"], answer.headers["Content-Location"], answer.json())
        assert 404 == ask(server, "POST", "/runs", NEW).status
    for errors, body in [("error", {"error": "not_found", "message": "Not Found"}), ("bare", "Not Found")]:
        with FakeLangGraph(dialect=Dialect(errors=errors)) as server:
            assert body == ask(server, "GET", "/nothing").json()


def test_stateless_runs_are_deleted_when_they_end() -> None:
    """A stateless run is reachable while it runs; afterwards only with on_completion=keep."""
    for keep in (False, True):
        with FakeLangGraph() as server:
            body = {"assistant_id": "agent", "input": {"n": 1}, "metadata": {"k": "v"}}
            answer = ask(server, "POST", "/runs/wait", {**body, "on_completion": "keep" if keep else "delete"})
            found = ask(server, "POST", "/threads/search", {"metadata": {"k": "v"}}).json()

        assert {"n": 1} == answer.json()
        assert ([server.created[0].thread_id] if keep else []) == [thread["thread_id"] for thread in found]


def test_heartbeats() -> None:
    """A dialect with fast heartbeats sends them while nothing happens; one without sends none."""
    for every in (0.01, None):
        gate = threading.Event()
        with FakeLangGraph(lambda run: run.wait(gate), Dialect(heartbeat=every)) as server:
            timer = threading.Timer(0.1, gate.set)
            timer.start()
            answer = stream(server)
            timer.join()

        assert (every is not None) == (b": heartbeat\r\n\r\n" in answer.body)


def test_instead_replaces_one_response() -> None:
    """The replaced request had no effect; the next one gets the usual response."""
    with FakeLangGraph() as server:
        server.instead("POST", f"{T}/runs", reply(503))
        assert [503, 200] == [ask(server, "POST", f"{T}/runs", NEW).status for _ in range(2)]

    assert 1 == len(server.created)


def test_nothing_is_left_behind() -> None:
    """A run that never ends does not outlive the server."""
    before = threading.active_count()
    with FakeLangGraph(lambda run: run.wait(threading.Event())) as server:
        ask(server, "POST", f"{T}/runs", NEW)

    assert before == threading.active_count()

"""What `stream_response` sends to a browser, and what it does when the browser goes away."""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import pytest
from django.db.utils import ConnectionHandler
from django.http import StreamingHttpResponse

from langgraph_runs import Client, InvalidRequestError, RetryPolicy
from langgraph_runs.django import browser_event, responses, stream_reader, stream_response
from langgraph_runs.streaming.events import StreamEvent, event_class
from langgraph_runs.streaming.sse import EventParser, ServerSentEvent

from .. import waiting
from ..wire.fake_langgraph import FakeLangGraph, FakeRun, GraphFailure
from .gunicorn import ROOT

PATIENCE = 10.0


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL + 1)


wait_until = functools.partial(waiting.wait_until, seconds=PATIENCE, pause=0.005)


class Site:
    """A LangGraph server whose runs do what the test says, and the view that streams one."""

    def __init__(self, program: Callable[[FakeRun], Any]) -> None:
        self.server = FakeLangGraph(program)
        self.client = Client(self.server.url, api_key=None, retry=RetryPolicy(attempts=2, wait_initial=0.01))

    def stream(self, *, modes: Any = ("custom", "values"), **options: Any) -> Any:
        thread_id = self.client.threads.create().thread_id
        return self.client.runs.stream(thread_id, "agent", input={}, stream_mode=list(modes), **options)

    def joined(self, **options: Any) -> Any:
        """The stream of a run that another request has started."""
        thread_id = self.client.threads.create().thread_id
        run = self.client.runs.create(thread_id, "agent", input={}, stream_mode=["custom", "values"], stream_resumable=True)
        return self.client.runs.join_stream(thread_id, run.run_id, last_event_id="0", **options)

    def response(self, *, modes: Any = ("custom", "values"), **options: Any) -> StreamingHttpResponse:
        response = stream_response(self.stream(modes=modes), **options)
        assert isinstance(response, StreamingHttpResponse)
        return response

    @property
    def run(self) -> FakeRun:
        return self.server.created[-1]


@pytest.fixture
def site() -> Iterator[Callable[[Callable[[FakeRun], Any]], Site]]:
    made: List[Site] = []

    def make(program: Callable[[FakeRun], Any]) -> Site:
        made.append(Site(program))
        return made[-1]

    yield make
    for one in made:
        one.client.close()
        one.server.close()


Make = Callable[[Callable[[FakeRun], Any]], Site]


def parsed(response: Any) -> List[ServerSentEvent]:
    """All events of a response, read to its end."""
    events = EventParser().feed(b"".join(response))
    response.close()
    return events


def told(events: List[ServerSentEvent], name: str) -> List[Any]:
    return [json.loads(event.data) for event in events if event.event == name]


class Held:
    """A program that says that it began, and goes on when it may."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def __call__(self, run: FakeRun) -> Any:
        run.emit("custom", {"i": 0})
        run.wait(self.go)
        run.emit("custom", {"i": 1})
        return {}


def one_event(run: FakeRun) -> Any:
    run.emit("custom", {"i": 0})
    return {}


# -- what is sent


def test_the_headers_prevent_caching_and_buffering(site: Make) -> None:
    response = site(one_event).response()

    assert 200 == response.status_code
    assert "text/event-stream; charset=utf-8" == response["Content-Type"]
    assert "no" == response["X-Accel-Buffering"]
    assert "no-store" in response["Cache-Control"] and "no-transform" in response["Cache-Control"]
    assert not response.has_header("Content-Length")
    parsed(response)


def test_a_run_is_sent_event_by_event_and_then_its_end(site: Make) -> None:
    def program(run: FakeRun) -> Any:
        run.emit("custom", {"i": 0})
        run.emit("values", {"done": True})
        return {"done": True}

    events = parsed(site(program).response())

    assert ["metadata", "custom", "values", "end"] == [event.event for event in events]
    assert [{"i": 0}] == told(events, "custom")
    assert [{"status": "success", "paused": False, "interrupts": []}] == told(events, "end")
    assert all(event.own_id for event in events)


def test_the_first_bytes_go_out_before_the_first_event(site: Make) -> None:
    go = threading.Event()
    one = site(lambda run: run.wait(go))

    response = one.response()

    assert next(iter(response)).startswith(b":")
    response.close()


def test_a_failed_run_is_an_error_event_without_the_message_of_the_exception(site: Make) -> None:
    def program(run: FakeRun) -> Any:
        raise GraphFailure("ValueError", "the password is hunter2")

    response = site(program).response()
    body = b"".join(response)
    response.close()
    events = EventParser().feed(body)

    assert b"hunter2" not in body and b"ValueError" not in body
    assert [{"code": "failed", "message": "The run failed.", "retry": False}] == told(events, "error")
    assert ["error"] == [end["status"] for end in told(events, "end")]


def test_show_errors_sends_the_message_of_the_exception(site: Make) -> None:
    def program(run: FakeRun) -> Any:
        raise GraphFailure("ValueError", "no ink")

    events = parsed(site(program).response(show_errors=True))

    assert [{"code": "failed", "message": "no ink", "retry": False, "error": "ValueError"}] == told(events, "error")


def test_a_run_that_another_client_cancelled_is_an_error_event(site: Make) -> None:
    held = Held()
    one = site(held)
    stream = one.stream()
    threading.Timer(0.05, stream.cancel).start()

    events = parsed(stream_response(stream))

    assert ["cancelled"] == [error["code"] for error in told(events, "error")]
    assert ["interrupted"] == [end["status"] for end in told(events, "end")]


def test_when_the_server_is_unreachable_the_browser_is_told_to_reconnect(site: Make) -> None:
    """There is an error, and no end: a stream that was cut never looks finished."""
    held = Held()
    one = site(held)
    response = stream_response(one.joined(), on_disconnect="continue")
    body = iter(response)
    next(body)
    assert b"metadata" in next(body)

    one.server.close()
    events = EventParser().feed(b"".join(body))
    response.close()

    assert [("unavailable", True)] == [(error["code"], error["retry"]) for error in told(events, "error")]
    assert [] == told(events, "end")


def test_after_the_timeout_the_browser_is_told_to_reconnect(site: Make) -> None:
    """The run goes on: the next response shows the rest."""
    one = site(Held())

    events = parsed(stream_response(one.joined(timeout=0.3), on_disconnect="continue"))

    assert ["metadata", "custom", "error"] == [event.event for event in events]
    assert [("deadline", True)] == [(error["code"], error["retry"]) for error in told(events, "error")]
    assert not one.run.cancelled.is_set()


def test_a_browser_whose_request_started_the_run_is_not_told_to_repeat_it(site: Make) -> None:
    """That would start a second run. It is told that the end is not known."""
    one = site(Held())

    events = parsed(stream_response(one.stream(timeout=0.3), on_disconnect="continue"))

    assert ["metadata", "custom", "error", "end"] == [event.event for event in events]
    assert [("deadline", False)] == [(error["code"], error["retry"]) for error in told(events, "error")]
    assert [{"status": "unknown", "paused": False, "interrupts": []}] == told(events, "end")
    assert not one.run.cancelled.is_set()


@pytest.mark.parametrize("kind", ["end", "error"])
def test_the_events_error_and_end_of_the_server_are_replaced(site: Make, kind: str) -> None:
    def program(run: FakeRun) -> Any:
        if kind == "error":
            raise GraphFailure("ValueError", "no ink")
        return {}

    one = site(program)
    one.server.dialect = type(one.server.dialect)(end_event=True)
    names = [event.event for event in parsed(one.response())]

    assert (1, names.count("error")) == (names.count("end"), int(kind == "error"))
    assert "end" == names[-1]


def test_without_an_outcome_the_status_is_unknown(site: Make) -> None:
    one = site(one_event)
    hasty = one.client.with_options(verify_outcome=False)
    stream = hasty.runs.stream(one.client.threads.create().thread_id, "agent", input={}, stream_mode="custom")

    assert ["unknown"] == [end["status"] for end in told(parsed(stream_response(stream)), "end")]


# -- heartbeats


def test_a_silent_run_has_heartbeats(site: Make) -> None:
    held = Held()
    response = site(held).response(heartbeat=0.1)
    body = iter(response)
    wait_until(lambda: next(body) == b": heartbeat\n\n", "a heartbeat")

    assert b": heartbeat\n\n" == next(body)
    held.go.set()
    assert b'data: {"i":1}' in b"".join(body)
    response.close()


def test_heartbeats_are_sent_while_no_event_is_for_the_browser(site: Make) -> None:
    """The web server must write now and then, or it never learns that the browser has gone."""
    go = threading.Event()

    def program(run: FakeRun) -> Any:
        while not go.wait(0.001):
            run.emit("custom", {"i": 0})
        return {}

    response = site(program).response(heartbeat=0.1, transform=lambda event: None)
    body = iter(response)
    next(body)

    assert [b": heartbeat\n\n"] * 3 == [next(body) for _ in range(3)]
    go.set()
    response.close()


# -- when the browser goes away


def test_closing_the_response_is_immediate_and_cancels_the_run(site: Make) -> None:
    one = site(Held())
    response = one.response()
    body = iter(response)
    next(body), next(body)

    began = time.monotonic()
    response.close()
    assert time.monotonic() - began < waiting.PROMPT
    wait_until(one.run.cancelled.is_set, "the cancel")


def test_on_disconnect_continue_lets_the_run_go_on(site: Make) -> None:
    held = Held()
    one = site(held)
    response = one.response(on_disconnect="continue")
    body = iter(response)
    next(body), next(body)

    response.close()
    held.go.set()
    wait_until(lambda: one.run.done, "the run to end")
    assert "success" == one.run.status


def test_a_response_that_is_never_read_cancels_its_run(site: Make) -> None:
    one = site(Held())

    one.response().close()

    wait_until(one.run.cancelled.is_set, "the cancel")


def test_a_response_that_is_collected_cancels_its_run(site: Make) -> None:
    one = site(Held())
    response: Optional[StreamingHttpResponse] = one.response()
    assert response is not None
    next(iter(response))

    response = None
    gc.collect()

    wait_until(one.run.cancelled.is_set, "the cancel")


def test_a_response_that_was_read_to_the_end_does_not_cancel(site: Make) -> None:
    one = site(one_event)
    response = one.response()
    list(response)
    response.close()

    assert [] == [request.path for request in one.server.requests if request.path.endswith("/cancel")]


@pytest.mark.parametrize("on_disconnect", ["cancel", "continue"])
def test_when_the_process_ends_browsers_are_told_to_reconnect(site: Make, on_disconnect: str) -> None:
    held = Held()
    one = site(held)
    response = stream_response(one.joined(), on_disconnect=on_disconnect)  # type: ignore[arg-type]
    body = iter(response)
    next(body), next(body)

    stream_reader._stop_all()
    events = EventParser().feed(b"".join(body))
    response.close()

    assert ("error", "unavailable", True) == (events[-1].event, *list(told(events, "error")[0].values())[::2])
    if on_disconnect == "cancel":
        wait_until(one.run.cancelled.is_set, "the cancel")
    held.go.set()
    wait_until(lambda: one.run.done, "the run to end")
    assert {"cancel": "interrupted", "continue": "success"}[on_disconnect] == one.run.status


def test_a_failed_cancel_is_logged_as_a_warning(site: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "langgraph_runs.django")
    one = site(Held())
    response = one.response()
    next(iter(response))
    one.server.close()

    response.close()

    wait_until(lambda: "could not be cancelled" in caplog.text, "the warning")


@pytest.mark.parametrize(("count", "size", "most"), [(5000, 500, 130), (50, 300_000, 5)], ids=["many", "large"])
def test_a_slow_browser_makes_the_reader_wait_with_bounded_memory(site: Make, count: int, size: int, most: int) -> None:
    """Of all the events that are ready few are read while the browser takes none; then it gets all."""

    def program(run: FakeRun) -> Any:
        for i in range(count):
            run.emit("custom", {"i": i, "x": "x" * size})
        return {}

    one = site(program)
    stream = one.stream()
    response = stream_response(stream)
    body = iter(response)
    taken = next(body) + next(body)
    wait_until(lambda: one.run.done and stream.events_seen > 2, "everything to be ready")
    time.sleep(0.1)

    assert stream.events_seen <= most
    events = EventParser().feed(taken + b"".join(body))
    response.close()
    assert list(range(count)) == [event["i"] for event in told(events, "custom")]


# -- transform


def test_transform_can_drop_change_and_replace_events(site: Make) -> None:
    def program(run: FakeRun) -> Any:
        for i in range(3):
            run.emit("custom", {"i": i})
        return {}

    def transform(event: StreamEvent) -> Any:
        if event.mode != "custom":
            return None
        number = event.data["i"]
        return [None, {"number": number}, StreamEvent("tick", number)][number]

    events = parsed(site(program).response(transform=transform))

    assert [("custom", '{"number":1}'), ("tick", "2")] == [(event.event, event.data) for event in events[:-1]]


def test_a_transform_that_raises_is_an_error_event_and_ends_the_run(site: Make) -> None:
    def transform(event: StreamEvent) -> Any:
        raise KeyError("secret")

    one = site(Held())
    response = one.response(transform=transform, show_errors=True)
    body = b"".join(response)
    events = EventParser().feed(body)
    response.close()

    assert b"secret" not in body
    assert ["internal"] == [error["code"] for error in told(events, "error")]
    assert "end" == events[-1].event
    wait_until(one.run.cancelled.is_set, "the cancel")


def test_a_transform_runs_in_the_thread_of_the_request(site: Make) -> None:
    """So that the database connections that it opens are closed with the request."""
    threads = set()

    def transform(event: StreamEvent) -> Any:
        threads.add(threading.current_thread())
        return None

    parsed(site(one_event).response(transform=transform))

    assert {threading.current_thread()} == threads


@pytest.mark.parametrize(
    "result", [float("nan"), object(), StreamEvent("a\nevent: b", 1), StreamEvent("a\0b", 1)], ids=["nan", "object", "line", "nul"]
)
def test_data_that_cannot_be_encoded_are_an_error_event(site: Make, result: Any) -> None:
    events = parsed(site(one_event).response(transform=lambda event: result))

    assert ["error", "end"] == [event.event for event in events]


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\r\nb", "a\n\nid: x\n\nb", "\u2028\u0085\0", "data: x"])
def test_no_text_can_break_out_of_its_event(site: Make, text: str) -> None:
    events = parsed(site(one_event).response(transform=lambda event: text))

    assert [text, text] == [json.loads(event.data) for event in events[:-1]]


def test_plain_text_of_a_server_is_sent_as_json() -> None:
    plain = StreamEvent("custom", "two\nlines", None, "two\nlines")

    events = parsed(stream_response([plain], transform=lambda event: event))

    assert '"two\\nlines"' == events[0].data


# -- what goes through


SECRET = "sk-123"
HIDDEN: Dict[str, Any] = {
    "metadata": {"run_id": "r", "attempt": 1, "user": SECRET},
    "messages": [{"content": "hi"}, {"langgraph_node": "n", "langgraph_auth_user": SECRET, "tags": ["t"]}],
    "messages/metadata": {"m": {"metadata": {"langgraph_node": "n", "api_key": SECRET}}},
    "messages|child:1": [{"content": "hi"}, {"thread_id": SECRET}],
    "checkpoints": {"config": {"configurable": {"key": SECRET}}},
    "debug": {"payload": {"config": SECRET}},
    "tasks": {"input": SECRET},
    "events": {"metadata": {"key": SECRET}},
    "feedback": {"score": f"http://localhost/{SECRET}"},
    "brand_new": {"key": SECRET},
    "error": {"error": "ValueError", "message": SECRET},
}


@pytest.mark.parametrize("name", HIDDEN)
def test_by_default_nothing_secret_is_sent(name: str) -> None:
    event = event_class(name)(name, HIDDEN[name], None, json.dumps(HIDDEN[name]))

    response = stream_response([event])
    body = b"".join(response)
    response.close()

    assert SECRET.encode() not in body


def test_transform_can_send_what_is_hidden_by_default() -> None:
    event = event_class("tasks")("tasks", HIDDEN["tasks"])

    assert [HIDDEN["tasks"]] == told(parsed(stream_response([event], transform=lambda event: event)), "tasks")


@pytest.mark.parametrize("name", ["values", "updates", "custom", "values|child:1", "messages/partial", "messages/complete"])
def test_values_updates_and_custom_events_are_sent_unchanged(name: str) -> None:
    data: Any = [{"content": "hi"}] if "messages" in name else {"n": 1}
    event = event_class(name)(name, data)

    found = browser_event(event)

    assert found is not None and data == found.data


@pytest.mark.parametrize("data", [None, [], {}, "x", [1], [1, 2, 3]])
def test_messages_of_an_unknown_shape_are_not_sent(data: Any) -> None:
    for name in ("messages", "messages/metadata", "metadata"):
        found = browser_event(event_class(name)(name, data))
        assert found is not None and found.data in ([], {})


# -- how it is called


@pytest.mark.parametrize("options", [{}, {"on_disconnect": "cancel"}], ids=["continue", "cancel"])
def test_a_run_without_a_thread_is_cancelled_and_its_thread_deleted(site: Make, options: Any) -> None:
    """The library has chosen the thread, so that it can do both, on servers too that do not name the thread."""
    one = site(Held())
    one.server.dialect = type(one.server.dialect)(locations=False)

    response = stream_response(one.client.runs.stream(None, "agent", input={}, stream_mode="custom", **options))
    frames = iter(response)
    while b"metadata" not in next(frames):
        pass
    response.close()
    wait_until(one.run.cancelled.is_set, "the cancel")
    wait_until(lambda: not one.server.threads, "the end of the thread")


def test_the_end_of_the_process_cancels_a_run_that_is_streamed() -> None:
    """As runserver ends, when its code changes: within the seconds that the end may take."""
    with FakeLangGraph(Held()) as server:
        code = f"""
import sys
from django.conf import settings
settings.configure(LANGGRAPH_RUNS={{"URL": {server.url!r}, "API_KEY": None}})
from langgraph_runs.django import get_client, stream_response
client = get_client()
thread_id = client.threads.create().thread_id
response = stream_response(client.runs.stream(thread_id, "agent", input={{}}, stream_mode="custom"))
body = iter(response)
next(body), next(body)
sys.exit(3)
"""
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

        assert (3, "") == (done.returncode, done.stderr)
        assert server.created[0].cancelled.is_set()


@pytest.mark.parametrize(
    "options",
    [{"on_disconnect": "stop"}, {"heartbeat": 0}, {"heartbeat": None}, {"heartbeat": 1e9}, {"heartbeat": "15"}, {"transform": 1}],
    ids=str,
)
def test_invalid_arguments_are_refused(options: Dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=next(iter(options))):
        stream_response([], **options)


def test_any_iterable_of_events_can_be_streamed() -> None:
    events = parsed(stream_response([event_class("custom")("custom", {"i": 0})]))

    assert [("custom", '{"i":0}'), ("end", '{"status":"success","paused":false,"interrupts":[]}')] == [
        (event.event, event.data) for event in events
    ]


# -- the database


class Databases:
    """A real database in a file, whose connections the response sees, and how often it was opened."""

    def __init__(self, place: Path) -> None:
        self.handler = ConnectionHandler({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(place / "db.sqlite3")}})

    def query(self) -> None:
        with self.handler["default"].cursor() as cursor:
            cursor.execute("SELECT 1")

    def is_open(self) -> bool:
        return self.handler["default"].connection is not None


@pytest.fixture
def databases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Databases]:
    made = Databases(tmp_path)
    monkeypatch.setattr(responses, "connections", made.handler)
    monkeypatch.setattr(responses, "_DATABASE_IDLE", 0.05)
    yield made
    made.handler.close_all()


def test_a_stream_holds_no_connection_to_the_database(site: Make, databases: Databases) -> None:
    """Neither that of the view, nor for long one that the transform function has opened."""
    held = Held()

    def transform(event: StreamEvent) -> StreamEvent:
        databases.query()
        return event

    databases.query()
    assert databases.is_open()
    body = iter(site(held).response(transform=transform, heartbeat=1))
    assert b": open\n\n" == next(body)
    assert not databases.is_open()
    while b'"i":0' not in next(body):
        pass
    assert databases.is_open()
    assert b": heartbeat\n\n" == next(body)
    assert not databases.is_open()
    held.go.set()
    assert b'"i":1' in b"".join(body)


def test_a_connection_in_a_transaction_stays_open(site: Make, databases: Databases) -> None:
    """That of a test of Django's, which runs in one and is rolled back."""
    with transaction_of(databases):
        body = b"".join(site(one_event).response())
        assert databases.is_open()
    assert b'"i":0' in body


@contextlib.contextmanager
def transaction_of(databases: Databases) -> Iterator[None]:
    connection = databases.handler["default"]
    databases.query()
    connection.set_autocommit(False)
    connection.in_atomic_block = True
    try:
        yield
    finally:
        connection.in_atomic_block = False
        connection.set_autocommit(True)

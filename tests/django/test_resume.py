"""A browser that comes back gets every event once, wherever it left, whatever ids the server gives."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any, Callable, Dict, List, Optional, Tuple

import pytest
from django.http import Http404, StreamingHttpResponse
from django.test import RequestFactory

from langgraph_runs import Client, RetryPolicy
from langgraph_runs.django import resume_stream, stream_response
from langgraph_runs.streaming.sse import EventParser, ServerSentEvent

from ..wire.fake_langgraph import Dialect, FakeLangGraph, FakeRun, GraphFailure

IDS = ["ms", "ms-seq", "int", "uuid"]
Start = Callable[..., Tuple["Site", str, str]]


class Site:
    """A run on a server, and the view that shows it."""

    def __init__(self, program: Callable[[FakeRun], Any], dialect: Dialect) -> None:
        self.server = FakeLangGraph(program, dialect)
        self.client = Client(self.server.url, api_key=None, retry=RetryPolicy(attempts=3, wait_initial=0.01))
        self.thread_id = self.client.threads.create().thread_id

    def start(self, **options: Any) -> str:
        chosen: Dict[str, Any] = {"stream_mode": ["custom", "values", "messages-tuple"], "stream_resumable": True, **options}
        return self.client.runs.create(self.thread_id, "agent", input={}, **chosen).run_id

    def open(self, run_id: str, last: Optional[str] = None, thread_id: Optional[str] = None, **options: Any) -> Any:
        headers: Dict[str, Any] = {} if last is None else {"HTTP_LAST_EVENT_ID": last}
        request = RequestFactory().get("/", **headers)
        stream = resume_stream(request, thread_id or self.thread_id, run_id, client=self.client, **options)
        return stream_response(stream, on_disconnect="continue")

    def read(self, run_id: str, last: Optional[str] = None, **options: Any) -> List[ServerSentEvent]:
        response = self.open(run_id, last, **options)
        assert isinstance(response, StreamingHttpResponse)
        events = EventParser().feed(b"".join(response))
        response.close()
        return events


@pytest.fixture
def start() -> Iterator[Start]:
    made: List[Site] = []

    def make(program: Callable[[FakeRun], Any], dialect: Optional[Dialect] = None, **options: Any) -> Tuple[Site, str, str]:
        made.append(Site(program, dialect or Dialect()))
        return made[-1], made[-1].thread_id, made[-1].start(**options)

    yield make
    for site in made:
        site.client.close()
        site.server.close()


def burst(run: FakeRun) -> Any:
    """Twins among them: equal events under one id."""
    for i in range(40):
        run.emit("custom", {"i": i})
        run.emit("messages", [{"content": " "}, {}])
        if i % 5 == 0:
            run.emit("values", {"i": i})
    return {}


@pytest.mark.parametrize("ids", IDS)
def test_after_any_last_event_the_rest_follows(start: Start, ids: str) -> None:
    site, _, run_id = start(burst, Dialect(ids=ids))
    whole = site.read(run_id)

    assert 90 == len(whole)
    for at in range(len(whole) - 1):
        assert whole[at + 1 :] == site.read(run_id, whole[at].own_id), f"after event {at}"


@pytest.mark.parametrize("ids", IDS)
def test_a_browser_that_reconnects_during_the_run_misses_nothing(start: Start, ids: str) -> None:
    go = threading.Semaphore(0)

    def program(run: FakeRun) -> Any:
        for i in range(60):
            if i % 10 == 0:
                while not go.acquire(timeout=0.005):
                    if run.cancelled.is_set():
                        return {}
            run.emit("custom", {"i": i})
        return {}

    site, _, run_id = start(program, Dialect(ids=ids, overlap=5))
    seen: List[ServerSentEvent] = []
    last: Optional[str] = None
    for _ in range(5):
        go.release()
        response = site.open(run_id, last)
        parser = EventParser()
        wanted = len(seen) + 8
        for chunk in response:
            seen += parser.feed(chunk)
            last = next((event.own_id for event in reversed(seen) if event.own_id), None)
            if len(seen) >= wanted:
                break
        response.close()
    go.release()
    seen += site.read(run_id, last)

    assert list(range(60)) == [json.loads(event.data)["i"] for event in seen if event.event == "custom"]


def test_a_new_browser_gets_all_events_or_only_new_ones(start: Start) -> None:
    site, _, run_id = start(burst)
    site.client.runs.join(site.thread_id, run_id)

    assert 90 == len(site.read(run_id))
    assert ["end"] == [event.event for event in site.read(run_id, from_start=False)]


@pytest.mark.parametrize("last", ["", "0", "1795224633885-0", "\u00e9", "lgr1,,,,,", "x" * 5000, "lgr1,00000000,0,7-0,00000000,1"])
def test_an_unknown_id_starts_from_the_beginning(start: Start, last: str) -> None:
    site, _, run_id = start(burst)

    assert 90 == len(site.read(run_id, last))


def test_an_id_of_another_run_starts_from_the_beginning(start: Start) -> None:
    site, _, run_id = start(burst)
    last = site.read(run_id)[50].own_id
    other = site.start()

    assert 90 == len(site.read(other, last))


def test_a_browser_that_received_the_end_gets_a_204(start: Start) -> None:
    """A 204 ends an EventSource; nothing is opened for it."""
    site, _, run_id = start(burst)
    last = site.read(run_id)[-1].own_id
    assert last is not None

    response = site.open(run_id, last)

    assert 204 == response.status_code


def test_a_run_whose_events_are_not_kept_has_a_gap_and_an_end(start: Start) -> None:
    """A browser that reconnected would get no more: it is told so, and that the response is the last."""
    begun, held = threading.Event(), threading.Event()

    def program(run: FakeRun) -> Any:
        begun.set()
        run.wait(held)

    site, _, run_id = start(program, stream_resumable=False)
    assert begun.wait(20)  # what comes before, nobody keeps for the browser
    response = site.open(run_id)
    body = iter(response)
    next(body)
    held.set()
    events = EventParser().feed(b"".join(body))

    assert ["error", "end"] == [event.event for event in events]
    assert ("gap", False) == (json.loads(events[0].data)["code"], json.loads(events[0].data)["retry"])
    assert 204 == site.open(run_id, events[1].own_id).status_code


def test_a_failed_run_is_an_error_again_after_a_reconnect(start: Start) -> None:
    def program(run: FakeRun) -> Any:
        run.emit("custom", {"i": 0})
        raise GraphFailure("ValueError", "no ink")

    site, _, run_id = start(program)
    whole = site.read(run_id)

    assert ["metadata", "custom", "error", "end"] == [event.event for event in whole]
    assert ["error", "end"] == [event.event for event in site.read(run_id, whole[1].own_id)]


@pytest.mark.parametrize("ids", IDS)
def test_dropped_events_are_an_error_and_not_skipped(start: Start, ids: str) -> None:
    site, _, run_id = start(burst, Dialect(ids=ids))
    last = site.read(run_id)[50].own_id
    site.server.forget_events()

    events = site.read(run_id, last)

    assert ["error", "end"] == [event.event for event in events]
    assert ("gap", False) == (json.loads(events[0].data)["code"], json.loads(events[0].data)["retry"])


def test_a_gap_can_be_marked(start: Start) -> None:
    site, _, run_id = start(burst)
    last = site.read(run_id)[50].own_id
    site.server.forget_events()

    events = site.read(run_id, last, on_gap="mark")

    assert ["gap", "end"] == [event.event for event in events]
    assert "success" == json.loads(events[1].data)["status"]


def test_a_run_of_another_thread_is_not_shown(start: Start) -> None:
    site, _, run_id = start(burst)
    other = site.client.threads.create().thread_id

    for thread_id, wanted in ((other, run_id), (site.thread_id, other), (other, "x")):
        with pytest.raises(Http404):
            site.open(wanted, thread_id=thread_id)

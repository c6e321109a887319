"""Streams of the real server: every mode, every kind of data, and ways to leave one."""

from __future__ import annotations

import datetime
import gc
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from langgraph_runs import (
    CheckpointsStreamEvent,
    Client,
    CustomStreamEvent,
    DebugStreamEvent,
    ErrorStreamEvent,
    EventsStreamEvent,
    MessagesStreamEvent,
    MetadataStreamEvent,
    RunCancelledError,
    RunFailedError,
    StreamEvent,
    StreamInterruptedError,
    TasksStreamEvent,
    UpdatesStreamEvent,
    ValuesStreamEvent,
)
from langgraph_runs.devserver import DevServer
from langgraph_runs.testing.cutting_proxy import CuttingProxy, cut_response

from ..waiting import PROMPT
from .conftest import Gate, wait_until

#: Stream mode, the names that its events have, and their class.
MODES = [
    ("values", {"values"}, ValuesStreamEvent),
    ("updates", {"updates"}, UpdatesStreamEvent),
    ("custom", {"custom"}, CustomStreamEvent),
    ("tasks", {"tasks"}, TasksStreamEvent),
    ("checkpoints", {"checkpoints"}, CheckpointsStreamEvent),
    ("debug", {"debug"}, DebugStreamEvent),
    ("events", {"events"}, EventsStreamEvent),
    ("messages", {"messages/metadata", "messages/partial", "messages/complete"}, MessagesStreamEvent),
    ("messages-tuple", {"messages"}, MessagesStreamEvent),
]


def chat_input(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


# -- modes


@pytest.mark.parametrize("mode, names, cls", MODES, ids=[mode for mode, _, _ in MODES])
def test_each_mode_has_its_class(client: Client, thread_id: str, mode: Any, names: set[str], cls: type[StreamEvent]) -> None:
    """Metadata first, then only events of the mode, each as its class; the run is known before the first event."""
    graph, given = ("chat", chat_input("hello there")) if "messages" in mode else ("burst", {"n": 2})
    with client.runs.stream(thread_id, graph, input=given, stream_mode=mode) as stream:
        run_id = stream.run_id
        first, *rest = stream

    assert isinstance(first, MetadataStreamEvent)
    assert (run_id, 1, thread_id) == (first.data["run_id"], first.attempt, stream.thread_id)
    assert rest
    assert {event.event for event in rest} <= names
    assert {cls} == {type(event) for event in rest}
    assert {mode.split("-")[0]} == {event.mode for event in rest}


def test_several_modes_come_in_one_stream(client: Client, thread_id: str) -> None:
    """All events of the chosen modes, in the order in which the graph made them."""
    modes: list[Any] = ["values", "updates", "custom", "metadata"]
    with client.runs.stream(thread_id, "burst", input={"n": 2}, stream_mode=modes) as stream:
        events = [(event.event, event.data) for event in stream if event.mode != "metadata"]

    assert [
        ("values", {"n": 2}),
        ("custom", {"i": 0}),
        ("custom", {"i": 1}),
        ("updates", {"write": {"written": 2}}),
        ("values", {"n": 2, "written": 2}),
    ] == sorted(events, key=lambda e: (e[0] != "values" or "written" in e[1], e[0] == "values", e[0] == "updates"))
    assert {"n": 2, "written": 2} == stream.values
    assert stream.outcome is not None
    assert ("success", False, ()) == (stream.outcome.status, stream.outcome.paused, stream.interrupts)


def test_values_are_the_default(client: Client, thread_id: str) -> None:
    """Without stream_mode the full states come."""
    with client.runs.stream(thread_id, "steps", input={"path": []}) as stream:
        states = [event.data["path"] for event in stream if event.mode == "values"]

    assert [["one"], ["one", "two"], ["one", "two", "three"]] == [state for state in states if state]


def test_chat_tokens_come_one_by_one(client: Client, thread_id: str) -> None:
    """The pieces of the message joined are the message; each carries the tags of the model, and comes before the end."""
    with client.runs.stream(thread_id, "chat", input=chat_input("a b c"), stream_mode="messages-tuple") as stream:
        pieces = [event for event in stream if isinstance(event, MessagesStreamEvent)]

    assert "You said: a b c" == "".join(event.data[0]["content"] for event in pieces)
    assert len(pieces) > 5
    assert {("fake-model",)} == {event.tags for event in pieces}


def test_messages_mode_accumulates(client: Client, thread_id: str) -> None:
    """In mode messages each partial event holds the message so far."""
    with client.runs.stream(thread_id, "chat", input=chat_input("a b"), stream_mode="messages") as stream:
        partial = [event.data[0]["content"] for event in stream if event.event == "messages/partial"]

    assert "You said: a b" == partial[-1]
    assert partial == sorted(partial, key=len)


def test_subgraph_events_carry_their_namespace(client: Client, thread_id: str) -> None:
    """The event's name is the server's own, its mode and namespace the parts of it; the outer values stay the stream's."""
    modes: list[Any] = ["values", "custom"]
    options: Any = {"stream_mode": modes, "stream_subgraphs": True}
    with client.runs.stream(thread_id, "nested", input={"path": []}, **options) as stream:
        events = list(stream)
    child = [event for event in events if event.namespace]

    assert {"custom": {"in": "inner"}, "values": {"path": ["outer", "inner"]}} == {e.mode: e.data for e in child}
    assert {f"{e.mode}|{e.namespace[0]}" for e in child} == {e.event for e in child}
    assert all(e.namespace[0].startswith("child:") for e in child)
    assert [{"in": "outer"}] == [e.data for e in events if e.mode == "custom" and not e.namespace]
    assert "inner" in stream.values["path"] and stream.values == [e.data for e in events if e.event == "values"][-1]


# -- data


ITEMS = [
    None,
    True,
    0,
    -1.5,
    "",
    "text",
    [],
    {},
    [1, [2, {"a": None}]],
    "line\nfeed\r\nreturn\r",
    "data: x\n\nevent: y\n\n",
    "\u2028 \u2029 \u0085 \x7f \x0b \x0c \x1c \x1d \x1e",
    "\U0001f600 \ufeff \u00e9",
    {"\u2028": "\u0085"},
    2**53 + 1,
    2**64 - 1,
    1e308,
    "x" * 300_000,
]


def test_data_may_be_any_json(client: Client, thread_id: str) -> None:
    """Each item is one event with equal data: no line separator splits one, none is lost, none is merged."""
    with client.runs.stream(thread_id, "pourer", input={"items": ITEMS}, stream_mode="custom") as stream:
        found = [event.data for event in stream if event.event == "custom"]

    assert ITEMS == found
    assert [type(item) for item in ITEMS] == [type(item) for item in found]


def test_a_burst_comes_whole_and_in_order(client: Client, thread_id: str) -> None:
    """Three thousand numbered events, many of one millisecond and one id, come each once and in order."""
    with client.runs.stream(thread_id, "burst", input={"n": 3000}, stream_mode="custom") as stream:
        events = [event for event in stream if event.event == "custom"]

    assert list(range(3000)) == [event.data["i"] for event in events]
    assert len({event.id for event in events}) < 3000
    assert [] == stream.gaps


def test_events_tell_their_time(client: Client, thread_id: str) -> None:
    """Aware UTC, from the id where the server gives one, within the time of the stream; ids are the server's."""
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1)
    with client.runs.stream(thread_id, "burst", input={"n": 1}, stream_mode=["custom", "debug"]) as stream:
        events = list(stream)
    after = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)

    assert all(before <= event.timestamp <= after for event in events)
    assert {datetime.timedelta(0)} == {event.timestamp.utcoffset() for event in events}
    assert all(event.id and event.id.endswith("-0") for event in events)
    assert events[-1].id == stream.last_event_id


def test_events_come_while_the_run_goes_on(client: Client, thread_id: str, gate: Gate) -> None:
    """An event is delivered when it happens, not when the run ends."""
    with client.runs.stream(thread_id, "gated", input=gate.input(), stream_mode="custom") as stream:
        assert {"begun": "run"} == next(event for event in stream if event.event == "custom").data
        assert not gate.passed()
        gate.open()
        assert [] == [event for event in stream if event.event == "custom"]

    assert gate.passed()


# -- ends


def test_a_failure_is_an_event_and_then_an_error(client: Client, thread_id: str) -> None:
    """All that came before is delivered, then the error event, then RunFailedError with the ids and the values so far."""
    given = {"error": "ValueError", "message": "boom"}
    seen: list[StreamEvent] = []
    stream = client.runs.stream(thread_id, "failing", input=given, stream_mode=["custom", "values"])
    with pytest.raises(RunFailedError) as caught, stream:
        for event in stream:
            seen.append(event)

    assert {"before": "the failure"} in [event.data for event in seen]
    last = seen[-1]
    assert isinstance(last, ErrorStreamEvent)
    assert ("ValueError", "boom") == (last.error, last.message)
    assert ("ValueError", "boom") == (caught.value.error, caught.value.message)
    assert (stream.run_id, thread_id) == (caught.value.run_id, caught.value.thread_id)
    assert "the failure" == caught.value.values["before"]
    assert caught.value.run is not None
    assert "error" == caught.value.run.status


def test_the_server_hides_messages_of_errors_it_does_not_know(client: Client, thread_id: str) -> None:
    """The class comes through, the message does not."""
    with pytest.raises(RunFailedError) as caught:
        list(client.runs.stream(thread_id, "failing", input={"error": "OwnError", "message": "secret"}))

    assert ("OwnError", False) == (caught.value.error, "secret" in repr(caught.value))


@pytest.mark.parametrize("mode", ["values", "custom"])
def test_a_question_is_seen_in_every_mode(client: Client, thread_id: str, mode: Any) -> None:
    """stream.interrupts has the questions, also where the mode hides them."""
    with client.runs.stream(thread_id, "asker", input={"questions": ["a", "b"]}, stream_mode=mode) as stream:
        events = list(stream)

    assert (mode == "values") == any("__interrupt__" in event.data for event in events if event.mode == "values")
    assert ({"a", "b"}, True) == ({interrupt.value for interrupt in stream.interrupts}, stream.paused)
    assert all(interrupt.id for interrupt in stream.interrupts)


def test_a_pause_by_interrupt_before_is_a_pause(client: Client, thread_id: str) -> None:
    """No question, no marker in the values, and still paused; the run after it is not."""
    with client.runs.stream(thread_id, "steps", input={"path": []}, interrupt_before=["two"]) as stream:
        list(stream)
    with client.runs.stream(thread_id, "steps") as rest:
        list(rest)

    assert ((), False) == (rest.interrupts, rest.paused)
    assert ((), ["one"]) == (stream.interrupts, stream.values["path"])


def test_a_pause_by_interrupt_before_is_told_when_it_is_new(client: Client, thread_id: str) -> None:
    """paused is true right after the stream's end."""
    with client.runs.stream(thread_id, "steps", input={"path": []}, interrupt_before=["two"]) as stream:
        list(stream)

    assert stream.paused


@pytest.mark.parametrize("by", ["stream.cancel", "runs.cancel"])
def test_a_cancel_ends_the_stream_with_an_error(client: Client, thread_id: str, gate: Gate, by: str) -> None:
    """The stream of a cancelled run does not look finished: RunCancelledError, in a moment."""
    with client.runs.stream(thread_id, "gated", input=gate.input(), stream_mode=["custom", "values"]) as stream:
        next(event for event in stream if event.event == "custom")
        if by == "stream.cancel":
            timer = threading.Timer(0.05, stream.cancel)
        else:
            timer = threading.Timer(0.05, client.runs.cancel, (thread_id, stream.run_id))
        timer.start()
        at = time.monotonic()
        with pytest.raises(RunCancelledError) as caught:
            list(stream)

    assert time.monotonic() - at < PROMPT
    timer.join()  # the stream may end before the response to the cancel has come
    assert stream.run_id == caught.value.run_id
    assert not gate.passed()
    stream.cancel()  # of a run that has ended: nothing happens


# -- leaving


@pytest.fixture
def proxy(server: DevServer) -> Iterator[CuttingProxy]:
    """Counts connections; breaks none."""
    with CuttingProxy(server.url) as proxy:
        yield proxy


@pytest.fixture
def proxied(proxy: CuttingProxy) -> Iterator[Client]:
    with Client(proxy.url) as client:
        yield client


def _leave(how: str, client: Client, thread_id: str, gate: Gate) -> Any:
    stream = client.runs.stream(thread_id, "gated", input=gate.input(), stream_mode="custom")
    next(event for event in stream if event.event == "custom")
    if how == "close":
        stream.close()
        stream.close()
        assert [] == list(stream)
    elif how == "break in a with block":
        with stream:
            pass
    elif how == "exception":
        with pytest.raises(KeyError), stream:
            raise KeyError("mine")
    else:
        ids = stream.run_id
        del stream
        gc.collect()
        return ids
    return stream.run_id


@pytest.mark.parametrize("how", ["close", "break in a with block", "exception", "garbage collection"])
def test_leaving_a_stream_lets_go_of_its_connection(
    proxied: Client, proxy: CuttingProxy, thread_id: str, gate: Gate, how: str
) -> None:
    """The connection is closed, not kept in the pool, the run goes on, and the client can be used as before."""
    run_id = _leave(how, proxied, thread_id, gate)

    proxy.wait_until(lambda: not proxy._open, "the stream's connection to be closed")
    assert "running" == proxied.runs.get(thread_id, run_id).status
    gate.open()
    assert ["begun", "run"] == proxied.runs.join(thread_id, run_id)["passed"]


def test_a_stream_read_to_its_end_gives_its_connection_back(proxied: Client, proxy: CuttingProxy, thread_id: str) -> None:
    """The stream and the call after it use one connection, and so do three streams."""
    for _ in range(3):
        with proxied.runs.stream(thread_id, "echo", input={"value": 1}) as stream:
            assert 1 == [event.data for event in stream][-1]["echo"]

    assert proxy.connections == 1


def test_a_cut_stream_goes_on_where_it_was(proxied: Client, proxy: CuttingProxy, thread_id: str) -> None:
    """Cut again and again, by FIN and by RST, the stream delivers every event once and in order."""
    for number in range(6):
        proxy.arm(cut_response(3000 * (number + 1), reset=bool(number % 2)), when=b"POST " if number == 0 else b"GET ")
    options: Any = {"input": {"n": 600, "pause": 0.002}, "stream_mode": ["custom", "values"]}
    with proxied.runs.stream(thread_id, "burst", **options) as stream:
        events = list(stream)

    assert list(range(600)) == [event.data["i"] for event in events if event.event == "custom"]
    assert {"written": 600}.items() <= events[-1].data.items()
    assert 1 == sum(event.event == "metadata" for event in events)
    assert any(turn.fired for turn in proxy.turns)
    assert [] == stream.gaps


@pytest.mark.parametrize("call", ["stream", "join_stream"])
def test_what_cannot_be_replayed_is_an_error_or_a_mark(
    proxied: Client, proxy: CuttingProxy, thread_id: str, gate: Gate, call: str
) -> None:
    """Of a run that is not resumable the rest is lost by a cut: StreamInterruptedError, or with on_gap="mark" a gap."""
    for on_gap in ("error", "mark"):
        thread_id = proxied.threads.create().thread_id
        modes: Any = ["custom", "values"]
        if call == "stream":
            given: Any = {"stream_mode": modes, "stream_resumable": False, "on_gap": on_gap}
            stream = proxied.runs.stream(thread_id, "gated", input=gate.input(on_gap), **given)
            next(event for event in stream if event.event == "custom")
        else:
            run = proxied.runs.create(thread_id, "gated", input=gate.input(on_gap), stream_mode=modes)
            gate.wait_begun(on_gap)
            stream = proxied.runs.join_stream(thread_id, run.run_id, on_gap=on_gap)
        seen = stream.events_seen
        proxy.break_all()
        if on_gap == "error":
            with pytest.raises(StreamInterruptedError) as caught:
                for _ in stream:
                    seen += 1
            assert (seen, stream.run_id) == (caught.value.events_seen, caught.value.run_id)
        else:
            timer = threading.Timer(0.3, gate.open)
            timer.start()
            assert ["begun", "mark"] == [event.data for event in stream if event.event == "values"][-1]["passed"]
            timer.join()
            (gap,) = stream.gaps
            assert seen <= gap.events_seen < stream.events_seen
        stream.close()


def test_close_from_another_thread_ends_the_loop(client: Client, thread_id: str, gate: Gate) -> None:
    """A loop that is blocked in the stream just ends, within 100 ms of the close; the run goes on."""
    stream = client.runs.stream(thread_id, "gated", input=gate.input(), stream_mode="custom")
    next(event for event in stream if event.event == "custom")
    closed_at: list[float] = []

    def close() -> None:
        closed_at.append(time.monotonic())
        stream.close()

    timer = threading.Timer(0.2, close)
    timer.start()
    assert [] == list(stream)
    ended_at = time.monotonic()
    timer.join()

    assert ended_at - closed_at[0] < 0.1
    assert "running" == client.runs.get(thread_id, str(stream.run_id)).status


def test_many_streams_at_once(client: Client) -> None:
    """Twenty threads stream on one client; each gets its own events only, all of them."""
    found: dict[int, list[int]] = {}

    def read(number: int) -> None:
        with client.runs.stream(None, "burst", input={"n": 20 + number, "pause": 0.005}, stream_mode="custom") as stream:
            found[number] = [event.data["i"] for event in stream if event.event == "custom"]

    readers = [threading.Thread(target=read, args=(number,)) for number in range(20)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()

    assert {number: list(range(20 + number)) for number in range(20)} == found


def test_a_stateless_stream_needs_no_thread(client: Client) -> None:
    """The run is known before its first event, and the thread if the server names it; the events are the same."""
    with client.runs.stream(None, "echo", input={"value": 1}) as stream:
        assert stream.run_id
        assert 1 == [event.data for event in stream][-1]["echo"]
    with pytest.raises(RunFailedError, match="boom"):
        list(client.runs.stream(None, "failing", input={"error": "ValueError", "message": "boom"}))


def test_a_long_silence_is_no_end(server: DevServer, thread_id: str, gate: Gate) -> None:
    """A stream on which nothing comes for longer than read_timeout goes on: the server says that the run does."""
    with Client(server.url, read_timeout=0.8) as impatient:
        with impatient.runs.stream(thread_id, "gated", input=gate.input(), stream_mode=["custom", "values"]) as stream:
            next(event for event in stream if event.event == "custom")
            timer = threading.Timer(1.5, gate.open)
            timer.start()
            rest = [event.data for event in stream if event.mode == "values"]
            timer.join()
        joined = impatient.runs.join(thread_id, str(stream.run_id))

    assert ["begun", "run"] == rest[-1]["passed"] == joined["passed"]
    assert 1 == len([data for data in rest if len(data.get("passed", [])) == 2])


def test_the_stream_of_a_run_that_was_rolled_back_ends_in_an_error(client: Client, thread_id: str, gate: Gate) -> None:
    """The run is deleted: the stream does not end as if it had finished."""
    with client.runs.stream(thread_id, "gated", input=gate.input(), stream_mode="custom") as stream:
        next(event for event in stream if event.event == "custom")
        client.runs.cancel(thread_id, str(stream.run_id), action="rollback")
        with pytest.raises(Exception, match="gone"):
            list(stream)

    wait_until(lambda: not client.runs.list(thread_id), "the run to be deleted")
    assert not gate.passed()

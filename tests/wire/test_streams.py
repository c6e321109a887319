"""Event streams whose connection holds: each event as soon as it is there, whole, of its kind, and nothing left open behind."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any, Callable, cast

import pytest

from langgraph_runs import (
    CheckpointsStreamEvent,
    Client,
    CustomStreamEvent,
    DebugStreamEvent,
    EndStreamEvent,
    ErrorStreamEvent,
    EventsStreamEvent,
    FeedbackStreamEvent,
    InvalidRequestError,
    LangGraphRunsError,
    MessagesStreamEvent,
    MetadataStreamEvent,
    ResponseDecodeError,
    RunCancelledError,
    RunFailedError,
    RunStream,
    RunTimedOutError,
    StreamEvent,
    StreamInterruptedError,
    TasksStreamEvent,
    UpdatesStreamEvent,
    ValuesStreamEvent,
)

from .calls import EVENTS, named
from .fake_langgraph import Dialect, FakeLangGraph, FakeRun, Paused
from .scripted import (
    RUN_ID,
    THREAD_ID,
    Item,
    Reply,
    Request,
    ScriptedServer,
    event,
    heartbeat,
    raw,
    reply,
    reply_json,
    run_json,
    sse,
)

Connect = Callable[..., Client]

RUN = (THREAD_ID, RUN_ID)
RUN_ROUTE = ("GET", f"/threads/{THREAD_ID}/runs/{RUN_ID}")
RUNS_ROUTE = ("GET", f"/threads/{THREAD_ID}/runs")
HISTORY_ROUTE = ("POST", f"/threads/{THREAD_ID}/history")


def routes(status: str = "success", **more: Any) -> Any:
    """The requests after a stream: the run, and the thread's state."""
    state = {"values": more.get("values"), "next": more.get("next", []), "metadata": {"run_id": RUN_ID}}
    state["interrupts"] = more.get("interrupts", [])
    return {RUN_ROUTE: reply_json(200, run_json(status)), HISTORY_ROUTE: reply_json(200, [state])}


def stream(connect: Connect, server: ScriptedServer, **options: Any) -> RunStream[Any]:
    return connect(server.url).runs.stream(THREAD_ID, "agent", **options)


def received(connect: Connect, *events: Any, status: str = "success", **how: Any) -> list[Any]:
    """The events of a stream that was sent so."""
    with ScriptedServer(sse(*events, run=RUN, **how), routes=routes(status), always=sse()) as server:
        return list(stream(connect, server))


# -- as they come


@pytest.mark.parametrize("newline", ["\r\n", "\n", "\r"], ids=["CRLF", "LF", "CR"])
@pytest.mark.parametrize("framing", ["chunked", "close", "length"])
@pytest.mark.parametrize("name", ["stream", "join_stream"])
def test_each_event_is_delivered_before_the_next_is_sent(connect: Connect, name: str, framing: str, newline: str) -> None:
    """The server sends an event only when the one before has been delivered: nothing waits for a buffer to fill."""
    seen = [threading.Event() for _ in range(4)]
    steps: list[Item] = []
    for number, one in enumerate(seen):
        # after CR alone the end of an event shows only with the next byte: a comment, as a heartbeat would be
        steps += [event("custom", {"i": number}, newline=newline), f":{newline}" if newline == "\r" else "", one]
    headers = [("Content-Length", str(sum(len(s) for s in steps if isinstance(s, (bytes, str)))))] if framing == "length" else []
    reply_ = Reply("one by one", headers=(*sse(run=RUN).headers, *headers), items=tuple(steps), framing=framing)
    if framing == "length":
        reply_ = raw(b"HTTP/1.1 200 OK\r\n" + "".join(f"{n}: {v}\r\n" for n, v in reply_.headers).encode() + b"\r\n", *steps)
    with ScriptedServer(reply_, routes=routes(), always=sse()) as server:
        runs = connect(server.url).runs
        opened = (
            runs.join_stream(*RUN) if name == "join_stream" else runs.stream(None if "stateless" in name else THREAD_ID, "agent")
        )
        with opened:
            for number, one in enumerate(seen):
                assert {"i": number} == next(opened).data
                one.set()
            assert [] == list(opened)


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_compressed_events_are_delivered_as_they_come(connect: Connect, framing: str) -> None:
    """gzip is flushed after each event, and each event is there at once."""
    seen = [threading.Event() for _ in range(4)]
    steps: list[Item] = [item for number, one in enumerate(seen) for item in (event("custom", {"i": number}), one)]
    reply_ = Reply("gzip", headers=sse(run=RUN).headers, items=tuple(steps), framing=framing).gzipped()
    with ScriptedServer(reply_, routes=routes(), always=sse()) as server, stream(connect, server) as opened:
        for number, one in enumerate(seen):
            assert {"i": number} == next(opened).data
            one.set()
        assert [] == list(opened)


def test_the_run_is_known_before_the_first_event(connect: Connect) -> None:
    """run_id and thread_id come with the headers."""
    gate = threading.Event()
    with ScriptedServer(sse(gate, *EVENTS, run=RUN), routes=routes()) as server, stream(connect, server) as opened:
        assert RUN == (opened.thread_id, opened.run_id)
        assert (0, None, None) == (opened.events_seen, opened.last_event_id, opened.outcome)
        gate.set()
        assert 2 == len(list(opened))


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_any_cut_into_pieces_is_the_same_stream(connect: Connect, framing: str, piece: int) -> None:
    """Events come out the same however the bytes are cut: within a character, a CRLF, a chunk size."""
    events = [("custom", {"text": "ü€😀\u2028\u0085 x", "n": n}, f"{n}-0") for n in range(5)]
    for newline in ("\r\n", "\n", "\r"):
        reply_ = sse(heartbeat(newline), *events, newline=newline, run=RUN, framing=framing).dripping(piece)
        with ScriptedServer(reply_, routes=routes(), always=sse()) as server:
            found = list(stream(connect, server))
        assert [(name, data, one) for name, data, one in events] == [(e.event, e.data, e.id) for e in found]


def test_mixed_line_ends(connect: Connect) -> None:
    """CR, LF and CRLF in one stream, also as the two ends of a blank line."""
    body = b"event: custom\ndata: 1\r\revent: custom\r\ndata: 2\n\r\nevent: custom\rdata: 3\r\n\revent: custom\ndata: 4\n\n"
    for size in (1, 2, 1000):
        assert [1, 2, 3, 4] == [e.data for e in received(connect, *[body[i : i + size] for i in range(0, len(body), size)])]


def test_separators_of_text_are_no_line_ends(connect: Connect) -> None:
    """U+2028, U+2029, U+0085, VT, FF and the rest stay inside their event."""
    text = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\x1dh\x1ei"
    found = received(connect, ("custom", text), b'event: custom\ndata: "\xe2\x80\xa8\xc2\x85"\n\n')
    assert [text, "\u2028\u0085"] == [e.data for e in found]


def test_a_bom_comments_and_odd_fields(connect: Connect) -> None:
    """As the specification says: BOM skipped, comments and unknown fields ignored, one space taken, fields without colon empty."""
    body = (
        b"\xef\xbb\xbf: comment\n"
        b"event:custom\ndata:  two spaces\n\n"
        b"event: custom\ndata\n\n"
        b"event: custom\ndata: one\ndata: two\nfoo: bar\nid: 7\n\n"
        b"data\n\n"
        b"event: custom\nid: no data\n\n"
        b"event: custom\nid: \x00bad\ndata: 3\n\n"
        b":\n\n\n\n"
    )
    found = received(connect, body)
    assert [(" two spaces", None), (None, None), ("one\ntwo", "7"), (None, "7"), (3, "no data")] == [(e.data, e.id) for e in found]
    assert ["custom", "custom", "custom", "message", "custom"] == [e.event for e in found]


def test_bytes_that_are_no_utf8(connect: Connect) -> None:
    """They become U+FFFD, and the stream goes on."""
    assert ["a\ufffdb", "\ufffd"] == [
        e.data for e in received(connect, b'event: custom\ndata: "a\xffb"\n\n', b"event: custom\ndata: \xc3\n\n")
    ]


def test_a_stream_without_events(connect: Connect) -> None:
    """Nothing but heartbeats, or nothing at all: an empty stream of a run that succeeded."""
    for steps in ([], [heartbeat()] * 3, [b"\r\n" * 5]):
        assert [] == received(connect, *steps)


# -- size


@pytest.mark.parametrize("piece", [16384, 997])
def test_a_large_event_takes_linear_time(connect: Connect, piece: int) -> None:
    """8 MB in small pieces: twice the size takes about twice the time, and it is whole."""
    taken = []
    for size in (4_000_000, 8_000_000):
        one = event("custom", {"x": "y" * size})
        steps = [one[i : i + piece] for i in range(0, len(one), piece)]
        with (
            ScriptedServer(sse(b"".join(steps[:1]), *steps[1:], run=RUN), routes=routes()) as server,
            stream(connect, server) as opened,
        ):
            begun = time.process_time()
            assert size == len(next(opened).data["x"])
            taken.append(time.process_time() - begun)
            list(opened)
    assert taken[1] < 4 * taken[0] + 0.5


def test_an_event_that_is_too_large(connect: Connect) -> None:
    """Beyond max_event_bytes it is ResponseDecodeError, after the events before it, and the connection is closed."""
    one, large = event("custom", 1), event("custom", "x" * 5000)
    for steps in ([large], [large[:4000], large[4000:]], [large[i : i + 10] for i in range(0, len(large), 10)]):
        with ScriptedServer(sse(one, *steps, run=RUN).then_stall()) as server:
            client = connect(server.url, max_event_bytes=3000)
            got = []
            with pytest.raises(ResponseDecodeError, match="max_event_bytes") as caught:
                for e in client.runs.stream(THREAD_ID, "agent"):
                    got.append(e.data)
            server.wait_closed()
            assert 1 == len(server.requests)
        assert [1] == got
        assert RUN_ID == caught.value.run_id


@pytest.mark.parametrize("what", ["a line", "lines", "comments", "gzip"])
def test_an_event_that_never_ends_is_bounded(connect: Connect, what: str) -> None:
    """An endless line, endless lines without a blank one, an endless comment, a gzip bomb: an error, not memory."""
    chunk = {
        "a line": b"data: " + b"x" * 65536,
        "lines": b"data: x\n" * 8192,
        "comments": b":" + b"x" * 65536,
        "gzip": b"x" * 1_000_000,
    }[what]

    def endless() -> Iterator[Item]:
        while True:
            yield chunk

    reply_ = Reply("endless", headers=sse(run=RUN).headers, items=endless, framing="chunked")
    reply_ = reply_.gzipped() if what == "gzip" else reply_
    with ScriptedServer(reply_) as server:
        client = connect(server.url, max_event_bytes=1_000_000)
        with pytest.raises(ResponseDecodeError):
            list(client.runs.stream(THREAD_ID, "agent"))
        server.wait_closed()


def test_many_small_events_are_no_large_one(connect: Connect) -> None:
    """max_event_bytes is for each event: a long stream of small ones passes."""
    with ScriptedServer(sse(*[event("custom", n) for n in range(5000)], run=RUN), routes=routes()) as server:
        client = connect(server.url, max_event_bytes=100)
        assert list(range(5000)) == [e.data for e in client.runs.stream(THREAD_ID, "agent")]


# -- kinds


KINDS: list[tuple[str, Any, Any]] = [
    ("values", {"n": 1}, ValuesStreamEvent),
    ("updates", {"node": {"n": 1}}, UpdatesStreamEvent),
    ("custom", "token", CustomStreamEvent),
    ("messages", [{"content": "x"}, {"tags": ["t"]}], MessagesStreamEvent),
    ("messages/partial", [{"content": "x"}], MessagesStreamEvent),
    ("messages/complete", [{"content": "x"}], MessagesStreamEvent),
    ("messages/metadata", {"id": {"metadata": {}}}, MessagesStreamEvent),
    ("events", {"event": "on_chain_start", "tags": ["a", "b"]}, EventsStreamEvent),
    ("debug", {"step": 1, "timestamp": "2026-11-21T01:09:53.5+00:00", "type": "task"}, DebugStreamEvent),
    ("tasks", {"id": "i", "name": "n"}, TasksStreamEvent),
    ("checkpoints", {"config": {}}, CheckpointsStreamEvent),
    ("metadata", {"run_id": RUN_ID, "attempt": 2}, MetadataStreamEvent),
    ("feedback", {"key": "https://example/x"}, FeedbackStreamEvent),
    ("end", None, EndStreamEvent),
    ("tools", {"any": 1}, StreamEvent),
    ("message", 1, StreamEvent),
]


@pytest.mark.parametrize(("name", "data", "kind"), KINDS, ids=[name for name, _, _ in KINDS])
def test_the_kind_of_each_event(connect: Connect, name: str, data: Any, kind: Any) -> None:
    """Each name has its class; a name that is not known is a StreamEvent; mode is the name's first part."""
    [found] = received(connect, (name, data))

    assert (kind, name, data) == (type(found), found.event, found.data)
    assert name.split("/")[0] == found.mode
    assert () == found.namespace
    assert json.loads(found.raw) == data
    assert found.timestamp.utcoffset() is not None and 0 == found.timestamp.utcoffset().total_seconds()


@pytest.mark.parametrize("name", ["values", "updates", "custom", "tasks", "checkpoints", "messages", "debug", "events"])
def test_events_of_subgraphs(connect: Connect, name: str) -> None:
    """``mode|ns1|ns2``: the class is the mode's, the namespace the rest, outermost first."""
    found = received(connect, (f"{name}|child:1f0c", [{}, {}]), (f"{name}|a:1|b:2", [{}, {}]), (name, [{}, {}]))

    assert [("child:1f0c",), ("a:1", "b:2"), ()] == [e.namespace for e in found]
    assert [name] * 3 == [e.mode for e in found]
    assert 1 == len({type(e) for e in found})


def test_values_of_a_subgraph_are_not_the_runs(connect: Connect) -> None:
    """stream.values is the graph's own last state."""
    with ScriptedServer(sse(("values", {"n": 1}), ("values|child:1", {"n": 2}), run=RUN), routes=routes()) as server:
        with stream(connect, server) as opened:
            list(opened)
    assert {"n": 1} == opened.values


@pytest.mark.parametrize(
    "data", [None, 0, 1.5, True, False, "text", "", [], {}, [1, [2]], {"a": None}, 2**64 - 1, "\u2028", "\ufffd"]
)
def test_data_may_be_any_json(connect: Connect, data: Any) -> None:
    """A custom event carries whatever the node wrote."""
    [found] = received(connect, ("custom", data))

    assert [data, type(data)] == [found.data, type(found.data)]


def test_text_that_is_no_json(connect: Connect) -> None:
    """Kinds whose data other servers send as plain text keep it; in the others it is ResponseDecodeError."""
    assert ["plain text", "[DONE]"] == [e.data for e in received(connect, ("custom", b"plain text"), ("message", b"[DONE]"))]
    for name in ("values", "updates", "messages", "messages/partial", "events", "debug", "tasks", "checkpoints", "values|a:1"):
        got = []
        with ScriptedServer(sse(("custom", 1), (name, b"{half"), run=RUN).then_stall()) as server:
            with pytest.raises(ResponseDecodeError, match="JSON") as caught:
                for e in stream(connect, server):
                    got.append(e.data)
        assert ([1], RUN_ID) == (got, caught.value.run_id)


def test_ids_and_times(connect: Connect) -> None:
    """The id persists until the next one; a clock id, or a timestamp in the data, says when it happened."""
    found = received(
        connect,
        ("custom", 1),
        ("custom", 2, "1795224633885-0"),
        ("custom", 3),
        b"id\ndata: 4\n\n",
        ("debug", {"timestamp": "2026-11-21T01:09:53Z"}, "x"),
    )

    assert [None, "1795224633885-0", "1795224633885-0", None, "x"] == [e.id for e in found]
    assert 1795224633.885 == found[1].timestamp.timestamp()
    assert "2026-11-21T01:09:53+00:00" == found[4].timestamp.isoformat()
    assert abs(found[0].timestamp.timestamp() - time.time()) < 60


def test_a_second_metadata_is_a_new_attempt(connect: Connect) -> None:
    """The server tries the run again on the same stream: all of it is delivered."""
    found = received(
        connect,
        ("metadata", {"run_id": RUN_ID, "attempt": 1}),
        ("custom", 1),
        ("metadata", {"run_id": RUN_ID, "attempt": 2}),
        ("custom", 1),
    )

    assert [1, None, 2, None] == [getattr(e, "attempt", None) for e in found]


def test_the_metadata_event_names_the_run_if_the_headers_do_not(connect: Connect) -> None:
    """run_id is known from the first event at the latest, on_run_created is called once."""
    called: list[Any] = []
    with ScriptedServer(sse(*EVENTS), routes={**routes(), RUNS_ROUTE: reply_json(200, [])}, always=sse()) as server:
        with stream(connect, server, on_run_created=called.append) as opened:
            before = opened.run_id
            next(opened)
            assert before is None
            assert RUN == (opened.thread_id, opened.run_id)
            list(opened)

    assert [{"run_id": RUN_ID, "thread_id": THREAD_ID}] == called


def test_feedback_and_end_are_events_like_others(connect: Connect) -> None:
    """They are delivered; after end only the run is requested."""
    with ScriptedServer(sse(*EVENTS, ("feedback", {"k": "u"}), ("end", None), run=RUN), routes=routes()) as server:
        assert ["metadata", "values", "feedback", "end"] == [e.event for e in stream(connect, server)]
        assert 2 == len(server.requests)


def test_an_end_without_data(connect: Connect) -> None:
    """``event: end`` alone is no event to the specification, and yet the server's word."""
    with ScriptedServer(sse(*EVENTS, b"event: end\n\n", run=RUN, framing="close"), routes=routes()) as server:
        assert ["metadata", "values"] == [e.event for e in stream(connect, server)]
        assert 2 == len(server.requests)


# -- errors


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ({"error": "ValueError", "message": "boom"}, "ValueError", "boom"),
        ("boom", None, "boom"),
        ({"error": "boom"}, None, "boom"),
        ({"message": "boom"}, None, "boom"),
        ({"error": {"error": "E", "message": "boom"}}, "E", "boom"),
        (b"boom, as plain text", None, "boom, as plain text"),
        ({"error": "ValueError", "message": ""}, "ValueError", ""),
        ({"error": "E", "message": {"a": 1}}, "E", "{'a': 1}"),
    ],
    ids=str,
)
def test_an_error_event_is_delivered_then_raised(connect: Connect, data: Any, error: Any, message: str) -> None:
    """In every shape that servers use; the events before it have been delivered, the values are on the error."""
    got = []
    with ScriptedServer(sse(("values", {"n": 1}), ("error", data), run=RUN), routes=routes("error")) as server:
        with pytest.raises(RunFailedError) as caught:
            for e in stream(connect, server):
                got.append(e)

    assert [ValuesStreamEvent, ErrorStreamEvent] == [type(e) for e in got]
    assert (error, message, {"n": 1}) == (caught.value.error, caught.value.message, caught.value.values)
    assert RUN == (caught.value.thread_id, caught.value.run_id)


@pytest.mark.parametrize("data", [None, 3, [], {}, {"x": 1}, {"error": None, "message": None}], ids=str)
def test_an_error_event_of_no_known_shape(connect: Connect, data: Any) -> None:
    """It is an error, whatever it says."""
    with ScriptedServer(
        sse(("error", data), run=RUN), routes={**routes("error"), ("GET", "/threads/*"): reply(404), RUNS_ROUTE: reply(404)}
    ) as server:
        with pytest.raises(RunFailedError):
            list(stream(connect, server))


def test_an_error_whose_connection_stays_open(connect: Connect) -> None:
    """Not every server closes after an error: the run is requested, and the stream ends."""
    with ScriptedServer(sse(("error", "boom"), run=RUN).then_stall(), routes=routes("error")) as server:
        with pytest.raises(RunFailedError):
            list(stream(connect, server))
        server.wait_until(lambda: server._requests[0].client_disconnected.is_set(), "the stream's connection to be closed")


def test_an_error_of_a_run_that_goes_on(connect: Connect) -> None:
    """An error event while the run is tried again by the server: what comes afterwards is delivered too."""
    gate = threading.Event()
    requests: list[Request] = []

    def run(request: Request) -> Reply:
        requests.append(request)
        gate.set()
        return reply_json(200, run_json("running" if len(requests) == 1 else "success"))

    with ScriptedServer(sse(("error", "boom"), gate, ("custom", 1), run=RUN), routes={RUN_ROUTE: run}) as server:
        assert ["error", "custom"] == [e.event for e in stream(connect, server)]


def test_raise_error_false_gives_the_outcome(connect: Connect) -> None:
    """A failed run just ends its stream; the outcome says how."""
    with ScriptedServer(sse(("values", {"n": 1}), ("error", "boom"), run=RUN), routes=routes("error")) as server:
        with stream(connect, server, raise_error=False) as opened:
            assert ["values", "error"] == [e.event for e in opened]
    assert opened.outcome is not None
    assert ("error", "boom", {"n": 1}) == (opened.outcome.status, opened.outcome.message, opened.outcome.values)


@pytest.mark.parametrize(("status", "kind"), [("interrupted", RunCancelledError), ("timeout", RunTimedOutError)])
@pytest.mark.parametrize("name", ["stream", "join_stream"])
def test_a_clean_end_of_a_run_that_did_not_succeed(connect: Connect, name: str, status: str, kind: Any) -> None:
    """Cancelled and timed out look like success on the wire, and are raised."""
    got = []
    thread = {("GET", "/threads/*"): reply_json(200, {"thread_id": THREAD_ID, "status": "idle"})}
    thread["GET", "/threads/*/runs"] = reply_json(200, [run_json(status)])
    with ScriptedServer(sse(*EVENTS, run=RUN), routes={**routes(status), **thread}) as server:
        runs = connect(server.url).runs
        opened: Any = runs.stream(THREAD_ID, "agent") if name == "stream" else runs.join_stream(*RUN)
        with pytest.raises(kind) as caught:
            for e in opened:
                got.append(e)

    assert 2 == len(got)
    assert ({"n": 1}, status) == (caught.value.values, caught.value.run.status)
    assert status == opened.outcome.status


def test_an_error_is_raised_once(connect: Connect) -> None:
    """After it the stream is over: further next() just ends."""
    with ScriptedServer(sse(("values", {}), ("error", "boom"), run=RUN), routes=routes("error")) as server:
        opened = stream(connect, server)
        assert ["values", "error"] == [next(opened).event, next(opened).event]
        with pytest.raises(RunFailedError):
            next(opened)
        with pytest.raises(StopIteration):
            next(opened)
        assert 2 == len(server.requests)


def test_a_run_that_is_unknown_when_it_is_requested(connect: Connect) -> None:
    """A stream that ended, of a run that is deleted: not found, unless its thread is deleted too, as a stateless one is."""
    with ScriptedServer(
        sse(*EVENTS, run=RUN), routes={RUN_ROUTE: reply(404), RUNS_ROUTE: reply_json(200, [])}, always=reply(404)
    ) as server:
        with pytest.raises(LangGraphRunsError):
            list(stream(connect, server))


# -- pauses


QUESTION = {"value": {"ask": "sure?"}, "id": "0123"}


@pytest.mark.parametrize("name", ["values", "updates"])
def test_a_question_is_on_the_stream(connect: Connect, name: str) -> None:
    """__interrupt__ in values or updates is a pause: the stream ends normally, and has the question."""
    with ScriptedServer(sse((name, {"__interrupt__": [QUESTION]}), run=RUN), routes=routes()) as server:
        with stream(connect, server) as opened:
            list(opened)
        assert opened.paused
        assert [({"ask": "sure?"}, "0123")] == [(i.value, i.id) for i in opened.interrupts]
        assert 2 == len(server.requests)


def test_a_question_that_the_modes_hide(connect: Connect) -> None:
    """With stream_mode="custom" nothing is seen of it: it is requested when the caller reads it, and only then."""
    with ScriptedServer(sse(("custom", 1), run=RUN), routes=routes(interrupts=[QUESTION], next=["node"])) as server:
        with stream(connect, server, stream_mode="custom") as opened:
            assert [1] == [e.data for e in opened]
        assert 2 == len(server.requests)
        assert ["0123"] == [i.id for i in opened.interrupts]
        assert opened.paused
        assert 3 == len(server.requests)


def test_a_pause_without_a_question(connect: Connect) -> None:
    """interrupt_before leaves nodes to do: that is a pause; a run that is done is none."""
    for next_nodes in (["node"], []):
        with ScriptedServer(sse(("custom", 1), run=RUN), routes=routes(next=next_nodes)) as server:
            with stream(connect, server, stream_mode="custom") as opened:
                list(opened)
            assert (bool(next_nodes), ()) == (opened.paused, opened.interrupts)


def test_a_paused_program(connect: Connect) -> None:
    """The same against a server with a memory."""
    with FakeLangGraph(lambda run: Paused({"n": 1}, (QUESTION,))) as server:
        with connect(server.url).runs.stream(THREAD_ID, "agent", if_not_exists="create") as opened:
            list(opened)
    assert opened.outcome is not None and opened.outcome.succeeded


# -- letting go


def on_and_on() -> Iterator[Item]:
    number = 0
    while True:
        yield event("custom", number)
        number += 1
        yield 0.001


def endless() -> Reply:
    return Reply("on and on", headers=sse(run=RUN).headers, items=on_and_on, framing="chunked")


def leave_by_break(opened: RunStream[Any]) -> None:
    for _ in opened:
        break
    opened.close()


def leave_by_with(opened: RunStream[Any]) -> None:
    with opened:
        next(opened)


def leave_by_exception(opened: RunStream[Any]) -> None:
    with contextlib.suppress(ZeroDivisionError), opened:
        for _ in opened:
            raise ZeroDivisionError


def leave_unread(opened: RunStream[Any]) -> None:
    opened.close()


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_with, leave_by_exception, leave_unread])
def test_leaving_a_stream_lets_its_connection_go(connect: Connect, leave: Callable[[Any], None]) -> None:
    """However a loop is left, the connection is closed at once, the run goes on, and nothing is requested."""
    with ScriptedServer(endless(), reply_json(200, {"version": "1"})) as server:
        client = connect(server.url)
        leave(client.runs.stream(THREAD_ID, "agent"))
        server.wait_closed()
        assert "1" == client.info().version
        assert 2 == len(server.requests)


@pytest.mark.parametrize("started", [False, True])
def test_a_stream_without_references_is_closed(connect: Connect, started: bool) -> None:
    """Garbage collection closes the connection, without a warning."""
    with ScriptedServer(endless()) as server:
        opened = connect(server.url).runs.stream(THREAD_ID, "agent")
        if started:
            for _ in opened:
                break
        alive = weakref.ref(opened)
        del opened
        if started:
            del _
        gc.collect()
        assert alive() is None
        server.wait_closed()


def test_a_stream_in_a_cycle_is_closed(connect: Connect) -> None:
    """Also where only the collector finds it."""
    with ScriptedServer(endless()) as server:
        holder: dict[str, Any] = {"stream": connect(server.url).runs.stream(THREAD_ID, "agent")}
        holder["self"] = holder
        next(holder["stream"])
        del holder
        gc.collect()
        server.wait_closed()


def test_a_stream_read_to_its_end_gives_its_connection_back(connect: Connect) -> None:
    """The next call uses it."""
    with ScriptedServer(sse(*EVENTS, run=RUN), sse(*EVENTS, run=RUN), routes=routes()) as server:
        client = connect(server.url)
        for _ in range(2):
            assert 2 == len(list(client.runs.stream(THREAD_ID, "agent")))
        assert 1 == server.connections


def test_a_closed_stream_yields_nothing_more(connect: Connect) -> None:
    """Also not what had already arrived."""
    with ScriptedServer(sse(*[("custom", n) for n in range(10)], run=RUN).then_stall()) as server:
        opened = stream(connect, server)
        assert 0 == next(opened).data
        opened.close()
        assert [] == list(opened)
        assert 1 == opened.events_seen


def test_a_stream_is_its_own_iterator(connect: Connect) -> None:
    """A second loop goes on where the first was left."""
    with (
        ScriptedServer(sse(*[("custom", n) for n in range(4)], run=RUN), routes=routes()) as server,
        stream(connect, server) as opened,
    ):
        assert opened is iter(opened)
        first = [e.data for _, e in zip(range(2), opened)]
        assert [0, 1, 2, 3] == [*first, *[e.data for e in opened]]


def test_a_repr_of_a_stream_has_its_ids_and_state(connect: Connect) -> None:
    """Run, thread and how far it is; no data of the run."""
    with ScriptedServer(sse(("custom", "secret"), run=RUN), routes=routes()) as server:
        opened = stream(connect, server)
        list(opened)
    assert RUN_ID in repr(opened) and THREAD_ID in repr(opened) and "1 events" in repr(opened)
    assert "secret" not in repr(opened)


# -- cancelling


def test_cancelling_from_within_the_loop(connect: Connect) -> None:
    """stream.cancel() sends its request on another connection; the stream ends in RunCancelledError with the values so far."""

    def goes_on(run: FakeRun) -> Any:
        run.emit("values", {"n": 1})
        run.wait(threading.Event())

    with FakeLangGraph(goes_on) as server:
        opened = connect(server.url).runs.stream(THREAD_ID, "agent", if_not_exists="create")
        with pytest.raises(RunCancelledError) as caught, opened:
            for e in opened:
                if isinstance(e, ValuesStreamEvent):
                    opened.cancel()
    assert {"n": 1} == caught.value.values


def test_cancelling_what_has_ended(connect: Connect) -> None:
    """404 means that there is nothing to cancel: no error."""
    with ScriptedServer(sse(*EVENTS, run=RUN), reply_json(404, {"detail": "No runs found to cancel."}), routes=routes()) as server:
        opened = stream(connect, server)
        list(opened)
        opened.cancel(action="rollback", wait=True)
        assert "wait=1&action=rollback" == server.requests[-1].query


def test_cancelling_in_a_way_that_there_is_not(connect: Connect) -> None:
    """Refused before anything is sent, as `runs.cancel` refuses it."""
    with ScriptedServer(sse(*EVENTS, run=RUN), routes=routes()) as server:
        opened = stream(connect, server)
        sent = len(server.requests)
        with pytest.raises(InvalidRequestError, match=r"action='rolback': give one of .* did you mean 'rollback'"):
            opened.cancel(action=cast(Any, "rolback"))
        assert sent == len(server.requests)
        opened.close()


def test_cancelling_where_the_run_is_unknown(connect: Connect) -> None:
    """A stream whose run the server has not named yet cannot be cancelled: an error says so."""
    with ScriptedServer(sse(("custom", 1)).then_stall()) as server:
        with connect(server.url).runs.stream(None, "agent") as opened:
            next(opened)
            with pytest.raises(LangGraphRunsError, match="did not send the ids of the run"):
                opened.cancel()
            assert 1 == len(server.requests)


# -- many at once, dialects


@pytest.mark.parametrize(
    "dialect",
    [
        Dialect(),
        Dialect(newline="\n", ids="int", end_event=True),
        Dialect(newline="\r", heartbeat=0.001),
        Dialect(locations=False),
        Dialect(prefix="/x"),
    ],
    ids=["this server", "LF and end", "CR", "no Location", "prefix"],
)
def test_a_burst_on_every_dialect(connect: Connect, dialect: Dialect) -> None:
    """2000 events at once, whole and in order."""
    with FakeLangGraph(dialect=dialect) as server:
        modes: Any = ["custom", "values"]
        with connect(server.url).runs.stream(
            THREAD_ID, "agent", input={"n": 2000}, stream_mode=modes, if_not_exists="create"
        ) as opened:
            assert list(range(2000)) == [e.data["i"] for e in opened if e.event == "custom"]


def test_two_streams_do_not_mix(connect: Connect) -> None:
    """Two streams of one client, read in turn by one thread, each give their own events."""
    ones, twos = [("custom", f"a{n}") for n in range(50)], [("custom", f"b{n}") for n in range(50)]
    with ScriptedServer(sse(*ones, run=RUN), sse(*twos, run=RUN), routes=routes()) as server:
        client = connect(server.url)
        with client.runs.stream(THREAD_ID, "agent") as first, client.runs.stream(THREAD_ID, "agent") as second:
            pairs = list(zip(first, second))
    assert [(f"a{n}", f"b{n}") for n in range(50)] == [(a.data, b.data) for a, b in pairs]


def test_calls_within_a_loop(connect: Connect) -> None:
    """Other calls on the same client while a stream is open go out on connections of their own."""
    gate = threading.Event()
    with ScriptedServer(
        sse(("custom", 1), gate, ("custom", 2), run=RUN), reply_json(200, {"version": "1"}), routes=routes()
    ) as server:
        client = connect(server.url)
        for e in client.runs.stream(THREAD_ID, "agent"):
            if e.data == 1:
                assert "1" == client.info().version
                gate.set()
        assert 2 == server.connections


@pytest.mark.parametrize("seed", range(20))
def test_random_streams_in_random_pieces(connect: Connect, seed: int) -> None:
    """Random events, with random line ends, comments and heartbeats between, in random pieces, plain or gzip."""
    rng = random.Random(seed)
    alphabet = 'aü€😀\u2028\u0085"\\ \t{}:'
    events, body = [], b""
    for number in range(60):
        newline = rng.choice(["\r\n", "\n", "\r"])
        data = rng.choice([number, "".join(rng.choices(alphabet, k=rng.randrange(40))), {"n": [None, number]}, None, True])
        name, id_ = rng.choice(["custom", "values", "updates|a:1", "debug"]), rng.choice([None, f"{number}"])
        events.append((name, data))
        body += event(name, data, id_, newline=newline)
        if rng.random() < 0.3:
            body += rng.choice([b": heartbeat\r\n\r\n", b"\n\n", b":\r", b"retry: 10\n\n"])
    steps: list[bytes] = []
    while body:
        size = rng.choice([1, 2, 5, 50, 500])
        steps.append(body[:size])
        body = body[size:]
    reply_ = Reply("random", headers=sse(run=RUN).headers, items=tuple(steps), framing=rng.choice(["chunked", "close", "length"]))
    with ScriptedServer(reply_.gzipped() if seed % 3 == 0 else reply_, routes=routes(), always=sse()) as server:
        found = [(e.event, e.data) for e in stream(connect, server)]
    assert events == found


# -- without the ids of the run


def test_without_verifying_an_error_event_still_raises(connect: Connect) -> None:
    """verify_outcome=False requests nothing: the events are all that is known."""
    with ScriptedServer(sse(("error", "boom"), run=RUN), named("stream").good) as server:
        client = connect(server.url, verify_outcome=False)
        with pytest.raises(RunFailedError):
            list(client.runs.stream(THREAD_ID, "agent"))
        assert 2 == len(list(client.runs.stream(THREAD_ID, "agent")))
        assert 2 == len(server.requests)


def test_a_stream_that_was_interrupted_does_not_end_as_if_it_were_complete(connect: Connect) -> None:
    """As by a signal handler that raises: whoever iterates again learns that events are missing."""
    go_on = threading.Event()

    def program(run: FakeRun) -> Any:
        run.emit("custom", {"i": 0})
        go_on.wait(20.0)
        run.emit("custom", {"i": 1})
        return {}

    class Interrupt(Exception):
        pass

    def handler(*_: Any) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with FakeLangGraph(program) as server:
            events = connect(server.url).runs.stream(None, "agent", input={}, stream_mode="custom")
            with pytest.raises(Interrupt):
                for one in events:
                    if one.event == "custom":
                        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            go_on.set()
            with pytest.raises(StreamInterruptedError, match="was ended by") as caught:
                next(events)
            assert events.events_seen == caught.value.events_seen
            events.close()
            assert [] == list(events)
    finally:
        signal.signal(signal.SIGUSR1, before)

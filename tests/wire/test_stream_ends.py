"""The end of a stream: what is complete ends normally, what may not be complete is a gap, whatever the connection's end looks like."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from langgraph_runs import Client, StreamInterruptedError
from langgraph_runs.testing.loopback_server import Request

from .replies import RUN_ID, THREAD_ID, Reply, reply, reply_json, run_json, sse
from .scripted import ScriptedServer

Connect = Callable[..., Client]

RUN = (THREAD_ID, RUN_ID)
RUN_PATH = f"/threads/{THREAD_ID}/runs/{RUN_ID}"
STREAM_PATH = f"{RUN_PATH}/stream"
#: The frames of a run of three events, as the JavaScript server sends them.
COUNTED = [
    ("metadata", {"run_id": RUN_ID, "attempt": 1}, "0"),
    ("values", {"n": 3, "log": []}, "1"),
    ("values", {"n": 3, "out": ["done", None], "log": []}, "2"),
]
#: The same as Aegra sends them. The last frame is all that it sends once the run has ended.
NAMED = [(name, data, f"{RUN_ID}_event_{int(number) + 1}") for name, data, number in COUNTED]
ONLY_END = sse(("end", {"status": "success"}))
FINAL = {"n": 3, "out": ["done", None], "log": []}
#: A run on a server whose event ids are times.
CREATED, ENDED = "2026-11-21T01:30:33.800+00:00", "2026-11-21T01:30:33.889+00:00"


def state(values: Any = FINAL, run_id: str = RUN_ID, **fields: Any) -> Reply:
    return reply_json(200, {"values": values, "next": [], "tasks": [], "metadata": {"run_id": run_id}, **fields})


def routes(*, run: Any = None, current: Any = None, stream: Any = None) -> Any:
    found: dict[tuple[str, str], Any] = {
        ("GET", RUN_PATH): run or reply_json(200, run_json("success")),
        ("GET", f"/threads/{THREAD_ID}/runs"): reply_json(200, []),
        ("GET", f"/threads/{THREAD_ID}/state"): current or reply_json(404, {"detail": "Not Found"}),
    }
    if stream is not None:
        found["GET", STREAM_PATH] = stream
    return found


def events_of(client: Client, **options: Any) -> tuple[list[Any], Any]:
    with client.runs.stream(THREAD_ID, "agent", on_gap="mark", **options) as stream:
        return [event.data for event in stream if event.event != "end"], stream


# -- complete


@pytest.mark.parametrize("frames", [COUNTED, NAMED], ids=["numbers", "named"])
@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_a_stream_that_ends_with_the_final_state_is_complete(connect: Connect, frames: Any, framing: str) -> None:
    """Though the server keeps no events after the end of the run."""
    with ScriptedServer(sse(*frames, run=RUN, framing=framing), routes=routes(current=state(), stream=ONLY_END)) as server:
        data, stream = events_of(connect(server.url))

    assert ([data for _, data, _ in frames], []) == (data, stream.gaps)


@pytest.mark.parametrize("frames", [COUNTED, NAMED], ids=["numbers", "named"])
def test_a_stream_cut_after_the_final_state_is_complete(connect: Connect, frames: Any) -> None:
    with ScriptedServer(sse(*frames, run=RUN).then_reset(), routes=routes(current=state(), stream=ONLY_END)) as server:
        data, stream = events_of(connect(server.url))

    assert ([data for _, data, _ in frames], []) == (data, stream.gaps)


@pytest.mark.parametrize("current", [state({"n": 4}), state(run_id="another"), state(next=["node"]), None], ids=str)
def test_a_stream_cut_before_its_end_has_a_gap_if_the_server_does_not_keep_events(connect: Connect, current: Any) -> None:
    with ScriptedServer(sse(*NAMED[:2], run=RUN).then_reset(), routes=routes(current=current, stream=ONLY_END)) as server:
        data, stream = events_of(connect(server.url))
        with pytest.raises(StreamInterruptedError, match="no longer keeps"):
            list(connect(server.url).runs.join_stream(THREAD_ID, RUN_ID, last_event_id="0"))

    assert [data for _, data, _ in NAMED[:2]] == data
    assert [NAMED[1][2]] == [gap.after_id for gap in stream.gaps]


def test_ids_without_a_gap_are_complete_after_a_clean_end(connect: Connect) -> None:
    """Only the end of the connection ended the body; the server keeps nothing. No number is missing."""
    frames = [("custom", {"i": number}, str(number)) for number in range(3)]
    with ScriptedServer(sse(*frames, run=RUN, framing="close"), routes=routes(stream=sse())) as server:
        data, stream = events_of(connect(server.url))

    assert ([{"i": 0}, {"i": 1}, {"i": 2}], []) == (data, stream.gaps)


@pytest.mark.parametrize("rest", [b": heartbeat\r\n", b": half a comm", b":"])
def test_a_clean_end_within_a_comment_is_no_cut(connect: Connect, rest: bytes) -> None:
    with ScriptedServer(sse(*COUNTED, rest, run=RUN), routes=routes(current=state())) as server:
        data, stream = events_of(connect(server.url))
        assert 0 == sum(request.path == STREAM_PATH for request in server.requests)

    assert ([data for _, data, _ in COUNTED], []) == (data, stream.gaps)


# -- not complete


def test_a_clean_end_before_the_end_of_the_run_is_a_cut(connect: Connect) -> None:
    """A gateway that has lost its server ends the body properly. When the run is requested it has ended."""
    first, last = ("custom", {"i": 0}, "1795224633810-0"), ("custom", {"i": 1}, "1795224633889-0")
    later = reply_json(200, run_json(created_at=CREATED, updated_at="2030-01-01T00:00:00+00:00"))
    with ScriptedServer(sse(first, run=RUN), routes=routes(run=later, stream=sse(first, last))) as server:
        data, stream = events_of(connect(server.url))

    assert ([{"i": 0}, {"i": 1}], []) == (data, stream.gaps)


def test_a_clean_end_after_the_end_of_the_run_costs_no_further_request(connect: Connect) -> None:
    frames = [("custom", {"i": 0}, "1795224633810-0"), ("custom", {"i": 1}, "1795224633889-0")]
    run = reply_json(200, run_json(created_at=CREATED, updated_at=ENDED))
    with ScriptedServer(sse(*frames, run=RUN), routes=routes(run=run)) as server:
        data, stream = events_of(connect(server.url))
        assert ["POST", "GET"] == [request.method for request in server.requests]

    assert ([{"i": 0}, {"i": 1}], []) == (data, stream.gaps)


def test_after_a_burst_one_more_connection_looks_for_further_events(connect: Connect) -> None:
    """The run went on for as long as the burst took, so that others may have followed."""
    frames = [("custom", {"i": number}, f"1795224633880-{number}") for number in range(24)]
    run = reply_json(200, run_json(created_at=CREATED, updated_at=ENDED))
    with ScriptedServer(sse(*frames[:20], run=RUN), routes=routes(run=run, stream=sse(*frames))) as server:
        data, stream = events_of(connect(server.url))

    assert ([{"i": number} for number in range(24)], []) == (data, stream.gaps)


@pytest.mark.parametrize("seconds", [100.0, 0.0])
def test_without_ids_the_length_of_the_run_shows_a_clean_end_that_came_early(connect: Connect, seconds: float) -> None:
    updated_at = f"2026-11-21T01:2{3 + int(seconds / 60)}:53.800+00:00"
    run = reply_json(200, run_json(created_at="2026-11-21T01:23:53.800+00:00", updated_at=updated_at))
    with ScriptedServer(sse(("custom", 1), run=RUN), routes=routes(run=run)) as server:
        data, stream = events_of(connect(server.url), stream_resumable=False)

    assert ([1], bool(seconds)) == (data, bool(stream.gaps))


@pytest.mark.parametrize("start", ["0", "-", "-1"])
@pytest.mark.parametrize("answer", [ONLY_END, sse(), reply(204)], ids=["end", "nothing", "204"])
def test_all_events_of_a_run_cannot_be_none(connect: Connect, answer: Reply, start: str) -> None:
    with ScriptedServer(routes=routes(stream=answer)) as server:
        with pytest.raises(StreamInterruptedError, match="no longer keeps"):
            list(connect(server.url).runs.join_stream(THREAD_ID, RUN_ID, last_event_id=start))
        assert "-1" == server.requests[0].header("Last-Event-ID")
        from_now = connect(server.url).runs.join_stream(THREAD_ID, RUN_ID)
        assert [] == [event for event in from_now if event.event != "end"]


def test_a_response_without_a_body_starts_no_stream(connect: Connect) -> None:
    """Nothing says which run it is, or that there is one."""
    with ScriptedServer(reply(204), routes=routes(), always=reply_json(200, [])) as server:
        with pytest.raises(StreamInterruptedError, match="which run"):
            list(connect(server.url).runs.stream(THREAD_ID, "agent"))


# -- the connection of the server


def test_a_server_that_gives_each_event_to_one_reader_leaves_a_gap(connect: Connect) -> None:
    """It gave some events to the broken connection: the numbers jump."""
    frames = [("custom", {"i": number}, str(number)) for number in range(9)]
    with ScriptedServer(sse(*frames[:3], run=RUN).then_cut(), routes=routes(stream=sse(*frames[6:]))) as server:
        data, stream = events_of(connect(server.url))

    assert [{"i": number} for number in (0, 1, 2, 6, 7, 8)] == data
    assert [("2", 3)] == [(gap.after_id, gap.events_seen) for gap in stream.gaps][:1]


def test_a_reconnect_asks_for_all_modes_where_the_ids_count(connect: Connect) -> None:
    """So that a number is missing only if an event is. Events of other modes are left out here."""
    frames = [("custom", {"i": 0}, "0"), ("custom", {"i": 1}, "1"), ("values", {"n": 1}, "2"), ("custom", {"i": 2}, "3")]
    with ScriptedServer(sse(*frames[:2]).then_cut(), routes=routes(), always=sse(*frames)) as server:
        stream = connect(server.url).runs.join_stream(THREAD_ID, RUN_ID, stream_mode="custom", on_gap="mark")
        assert [{"i": 0}, {"i": 1}, {"i": 2}] == [event.data for event in stream]
        first, again = [request for request in server.requests if request.path == STREAM_PATH][:2]

    assert ("stream_mode" in first.query, "stream_mode" in again.query, []) == (True, False, stream.gaps)


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_refuses_the_modes_of_a_join_is_asked_without_them(connect: Connect, status: int) -> None:
    frames = [("metadata", {"run_id": RUN_ID}, "0"), ("values", {"n": 1}, "1"), ("custom", 1, "2"), ("end", None)]

    def answer(request: Request) -> Reply:
        return reply_json(status, {"detail": "stream_mode"}) if "stream_mode" in request.query else sse(*frames)

    with ScriptedServer(routes=routes(stream=answer)) as server:
        client = connect(server.url)
        for sent in (2, 3):
            found = [event.event for event in client.runs.join_stream(THREAD_ID, RUN_ID, stream_mode="custom")]
            assert ["metadata", "custom", "end"] == found
            assert sent == sum(request.path == STREAM_PATH for request in server.requests)


@pytest.mark.parametrize("minutes", [-30, 30])
@pytest.mark.parametrize("tokens", ["aabab", "aaaa"])
def test_the_date_of_a_gateway_decides_nothing(connect: Connect, minutes: int, tokens: str) -> None:
    """Equal tokens of one millisecond, of which the server sends a block again, behind a gateway whose clock is wrong."""
    frames = [("custom", token, "1795224633880-0") for token in tokens]
    date = {"date": "Sat, 21 Nov 2026 00:53:53 GMT" if minutes < 0 else "Sat, 21 Nov 2026 01:53:53 GMT"}
    block = sse(*frames, *frames, ("custom", "z", "1795224633890-0"), headers=date)
    run = [reply_json(200, run_json("running"))] * 2
    answers = iter(run)

    def run_now(_: Request) -> Reply:
        return next(answers, reply_json(200, run_json("success")))

    whole = sse(*frames, ("custom", "z", "1795224633890-0"), headers=date)
    with ScriptedServer(
        sse(*frames[:2], run=RUN, headers=date).then_cut(), block, routes=routes(run=run_now), always=whole
    ) as server:
        data, stream = events_of(connect(server.url))

    assert ([*tokens, "z"], []) == (data, stream.gaps)


def test_all_events_of_a_run_that_is_not_kept_begin_with_metadata(connect: Connect) -> None:
    """A server that keeps no events sends only those from now on, without ids: the stream does not begin with the run."""
    metadata, value = ("metadata", {"run_id": RUN_ID, "attempt": 1}), ("values", {"n": 1})
    for frames, gaps in (([value], 1), ([metadata, value], 0)):
        with ScriptedServer(routes=routes(stream=sse(*frames))) as server:
            stream = connect(server.url).runs.join_stream(THREAD_ID, RUN_ID, last_event_id="0", on_gap="mark")
            assert [data for _, data in frames] == [event.data for event in stream]
            assert gaps == len(stream.gaps)
    with ScriptedServer(sse(metadata).then_cut(), routes=routes(), always=sse(value)) as server:
        stream = connect(server.url).runs.join_stream(THREAD_ID, RUN_ID, last_event_id="0", on_gap="mark")
        assert [metadata[1], value[1]] == [event.data for event in stream]
        assert [1] == [gap.events_seen for gap in stream.gaps]


def test_the_run_says_that_it_has_messages_which_are_not_kept(connect: Connect) -> None:
    """The join does not name the modes. The server sends no message again that the broken connection has lost."""
    frames = [("metadata", {"run_id": RUN_ID, "attempt": 1}, "1795224633810-0"), ("values", {}, "1795224633880-0")]
    run = reply_json(200, run_json(kwargs={"stream_mode": ["messages", "values"]}))
    with ScriptedServer(sse(frames[0]).then_cut(), routes=routes(run=run), always=sse(*frames)) as server:
        with pytest.raises(StreamInterruptedError, match="does not keep"):
            list(connect(server.url).runs.join_stream(THREAD_ID, RUN_ID, last_event_id="0"))
    with ScriptedServer(sse(frames[0]).then_cut(), routes=routes(run=run), always=sse(*frames)) as server:
        assert 2 == len(list(connect(server.url).runs.join_stream(THREAD_ID, RUN_ID, stream_mode="values", last_event_id="0")))


@pytest.mark.parametrize("last", [("custom", 1, "2"), ("updates", {"__interrupt__": []}, "2")], ids=str)
def test_a_stream_of_states_ends_with_a_state(connect: Connect, last: Any) -> None:
    """A custom event after a state is not the end of a run that has succeeded, if the server cannot show that it is the last."""
    frames = [*COUNTED[:2], last]
    with ScriptedServer(sse(*frames, run=RUN), routes=routes(stream=sse())) as server:
        data, stream = events_of(connect(server.url))

    assert ([data for _, data, _ in frames], last[0] == "custom") == (data, bool(stream.gaps))


def test_a_server_that_keeps_nothing_and_another_final_state_is_a_gap(connect: Connect) -> None:
    """The gateway ended the body properly before the last state, and the server gives events to one reader only."""
    with ScriptedServer(sse(*COUNTED[:2], run=RUN), routes=routes(current=state(), stream=sse())) as server:
        data, stream = events_of(connect(server.url))

    assert ([data for _, data, _ in COUNTED[:2]], 1) == (data, len(stream.gaps))

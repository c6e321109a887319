"""The parser against the algorithm of the WHATWG specification, written down once more, character by character."""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Tuple

import pytest
import sseclient
from hypothesis import example, given, settings
from hypothesis import strategies as st

from langgraph_runs.streaming.frames import split_long_lines
from langgraph_runs.streaming.sse import EventParser


class Expected(NamedTuple):
    events: List[Tuple[str, str, str]]
    last_id: str
    retry: Optional[int]
    unfinished: bool


def oracle(stream: bytes) -> Expected:
    """HTML, section 9.2.6, as literally as can be. Knows nothing of pieces."""
    text = stream.decode("utf-8", "replace")  # "UTF-8 decode": maximal subparts become U+FFFD, as in Python
    if text.startswith("\ufeff"):
        text = text[1:]
    events: List[Tuple[str, str, str]] = []
    data = event_type = ""
    id_buffer = last_id = ""
    retry: Optional[int] = None
    line = ""
    position = 0
    fresh = True  # no line since the last blank one
    while position < len(text):
        char = text[position]
        position += 1
        if char == "\r" and text[position : position + 1] == "\n":
            position += 1
        elif char not in "\r\n":
            line += char
            continue
        field, colon, value = line.partition(":")
        if line == "":
            last_id = id_buffer
            if data != "":
                events.append((event_type or "message", data[:-1], last_id))
            data = event_type = ""
            fresh = True
        else:
            fresh = False
            if value.startswith(" "):
                value = value[1:]
            if colon and field == "":
                pass
            elif field == "event":
                event_type = value
            elif field == "data":
                data += value + "\n"
            elif field == "id" and "\0" not in value:
                id_buffer = value
            elif field == "retry" and value and all(digit in "0123456789" for digit in value):
                retry = int(value)
        line = ""
    return Expected(events, last_id, retry, not fresh or line != "")


ENDS = st.sampled_from(["\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n", "\n\r", "\r\n\r", "\n\r\n"])
VALUES = st.sampled_from(
    ["", " ", "  x", "x", ":", "a:b", "1", "007", "1a", "\0", "é", "\u2028", "\x85", "\ufeff", "end", "\x1c", "data"]
)
FIELDS = st.sampled_from(["data", "event", "id", "retry", "", " data", "Data", "data ", "unknown", "\ufeffdata", "__dict__"])
LINES = st.one_of(
    st.builds(lambda field, colon, value: field + colon + value, FIELDS, st.sampled_from([":", ": ", ""]), VALUES),
    st.text(alphabet="data:ei \0é\u2028\n\r", max_size=8),
)
LIKELY = st.lists(st.builds(lambda line, end: (line + end).encode(), LINES, ENDS), max_size=14).map(b"".join)
DIRTY = st.lists(
    st.sampled_from([b"data: ", b"id", b":", b"\n", b"\r", b"\r\n", b"\xef", b"\xbb", b"\xbf", b"\xff", b"\xe2\x82", b"x"]),
    max_size=30,
).map(b"".join)
STREAMS = st.one_of(LIKELY, DIRTY, st.builds(lambda stream: b"\xef\xbb\xbf" + stream, LIKELY), st.binary(max_size=60))


def in_pieces(stream: bytes, cuts: List[int]) -> List[bytes]:
    """The stream, cut at these places."""
    places = sorted({cut % (len(stream) + 1) for cut in cuts})
    return [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)])]


@settings(max_examples=400)
@given(STREAMS, st.lists(st.integers(0, 1000), max_size=12))
@example(b"data: a\r", [7])
@example(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", [1, 2, 4])
@example(b"id: 1\n\nid: 2\n", [])
@example(b"data\n\n", [4, 5])
def test_the_parser_does_what_the_specification_says(stream: bytes, cuts: List[int]) -> None:
    """Over random streams in random pieces: the same events, the same last id, the same retry, the same unfinished rest."""
    parser = EventParser()
    events, last_id = [], ""
    for piece in in_pieces(stream, cuts):
        for event, data, own_id in parser.feed(piece):
            last_id = last_id if own_id is None else own_id
            if event:
                events.append((event, data, last_id))
    expected = oracle(stream)
    assert expected.events == events
    assert expected.last_id == last_id
    assert expected.retry == parser.retry
    assert expected.unfinished == parser.pending


@settings(max_examples=100)
@given(LIKELY, LIKELY, st.integers(0, 1000))
def test_a_second_connection_parses_as_if_it_stood_alone(first: bytes, second: bytes, cut: int) -> None:
    """Of a connection that was cut nothing is left: the next one parses as if it stood alone."""
    alone = EventParser().feed(second)
    EventParser().feed(first[: cut % (len(first) + 1)])
    assert alone == EventParser().feed(second)


NAMES = st.sampled_from(["values", "messages", "values|child:1f", "", "é", " x", "message", "end"])
TEXTS = st.sampled_from(["", "1", '{"a":"b"}', ":", " x", "é\u2028", "\0", "data: x", "x" * 20_000])
IDS = st.sampled_from(["1795224633885-0", "1", "", "\0", "a\0b", "é", " 1"])
#: Nearly always an event line, a data line and perhaps an id; sometimes another order, another line, or one without its space.
FRAMES = st.one_of(
    st.builds(lambda name, text, own: [f"event: {name}", f"data: {text}", f"id: {own}"], NAMES, TEXTS, IDS),
    st.builds(lambda name, text: [f"event: {name}", f"data: {text}"], NAMES, TEXTS),
    st.builds(lambda name, text, own: [f"id: {own}", f"event: {name}", f"data: {text}"], NAMES, TEXTS, IDS),
    st.builds(lambda name, text, last: [f"event: {name}", f"data: {text}", last], NAMES, TEXTS, LINES.filter(str.isprintable)),
    st.builds(lambda name, text: [f"event:{name}", f"data:{text}"], NAMES, TEXTS),
    st.just([": heartbeat"]),
)


def by_sseclient(frames: List[List[bytes]]) -> List[Tuple[str, str]]:
    """What sseclient-py itself makes of whole frames."""
    whole = [b"\n".join(lines) + b"\n\n" for lines in frames]
    return [(event.event, event.data) for event in sseclient.SSEClient(iter(whole)).events()]


@settings(max_examples=150)
@given(
    st.lists(FRAMES, min_size=1, max_size=12), st.lists(st.integers(0, 60_000), max_size=6), st.sampled_from(["\n", "\r\n", "\r"])
)
def test_a_frame_of_the_common_form_is_what_sseclient_py_makes_of_it(frames: List[List[str]], cuts: List[int], end: str) -> None:
    """Frames of the common form, which sseclient-py does not see, give what sseclient-py gives for all, and the same ids."""
    lines = [[line.encode() for line in frame] for frame in [*frames, *frames]]
    stream = "".join(end.join([*frame, "", ""]) for frame in [*frames, *frames]).encode()
    short = EventParser()
    events = [event for piece in in_pieces(stream, cuts) for event in short.feed(piece)]
    assert by_sseclient(lines) == [(event.event, event.data) for event in events if event.event]
    parser = EventParser()
    long = []
    for frame in lines:
        long += parser.feed(b": comment\n" + b"\n".join(frame) + b"\n\n")  # so that it is not of the common form
    assert long == events


def test_sseclient_py_parses_the_frames_that_are_not_of_the_common_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each event comes in its place among the others."""
    seen: List[Any] = []

    class Spied(sseclient.Event):
        def __init__(self) -> None:
            super().__init__()
            seen.append(self)

    monkeypatch.setattr(sseclient, "Event", Spied)
    plain = b"event: values\ndata: %d\nid: 7\n\n"
    stream = plain % 1 + plain % 2 + b"event: values\ndata: 3\ndata: 4\n\n" + plain % 5
    assert ["1", "2", "3\n4", "5"] == [event.data for event in EventParser().feed(stream)]
    assert ["3\n4"] == [event.data for event in seen]


def test_remembered_names_are_bounded() -> None:
    """A server that names each event differently, at length or not, takes no memory, and its events are the same."""
    parser = EventParser()
    for number in range(1000):
        name = f"{number}" if number % 2 else "x" * 1000 + f"{number}"
        for _ in range(2):
            (event,) = parser.feed(f"event: {name}\ndata: 1\n\n".encode())
            assert name == event.event
    assert 0 < len(parser._names) <= 256 and max(map(len, parser._names)) < 600


@given(st.lists(st.sampled_from([b"\r", b"\n", b"x", b"yy", b"\x0b", b"\x85"]), max_size=30).map(b"".join))
def test_long_lines_are_the_lines_of_splitlines(chunk: bytes) -> None:
    """Splitting by searching gives what splitting by looking at each byte gives."""
    assert chunk.splitlines() == split_long_lines(chunk)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_large_events_are_the_same_in_any_pieces(end: bytes) -> None:
    """Where lines are long they are split another way: the events do not change by that."""
    stream = b"".join(end.join([b"event: custom", b"data: " + b"x" * size, b"id: 1", b"", b""]) for size in (5_000, 3, 90_000, 40))
    for size in (len(stream), 64_000, 7_001, 512):
        parser = EventParser()
        events = [event for at in range(0, len(stream), size) for event in parser.feed(stream[at : at + size])]
        assert [5_000, 3, 90_000, 40] == [len(event.data) for event in events]

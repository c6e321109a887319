"""Server-sent events by the WHATWG specification (HTML, section 9.2), in whatever pieces they come."""

from __future__ import annotations

import logging
import time
import tracemalloc
from typing import Iterable, List, NamedTuple, Optional, Tuple

import pytest

from langgraph_runs.errors import ResponseDecodeError
from langgraph_runs.streaming.sse import EventParser, ServerSentEvent

LINE_ENDS = ["\n", "\r", "\r\n"]


class Parsed(NamedTuple):
    """A dispatched event, with the last event id as of this event."""

    event: str
    data: str
    own_id: Optional[str]
    last_id: Optional[str]


def with_last_id(frames: Iterable[ServerSentEvent], last_id: Optional[str] = None) -> List[Parsed]:
    """The events among these frames; an id persists until the next one, from frames without data too."""
    found = []
    for event, data, own_id in frames:
        last_id = last_id if own_id is None else own_id
        if event:
            found.append(Parsed(event, data, own_id, last_id))
    return found


def parsed(*chunks: bytes, parser: Optional[EventParser] = None) -> List[Parsed]:
    """The events of these chunks."""
    parser = parser or EventParser()
    return with_last_id(event for chunk in chunks for event in parser.feed(chunk))


def data_of(*chunks: bytes) -> List[str]:
    return [event.data for event in parsed(*chunks)]


def types_and_data(text: str) -> List[Tuple[str, str]]:
    return [(event.event, event.data) for event in parsed(text.encode())]


# -- the examples of the specification


def test_the_example_of_two_lines() -> None:
    """Two data lines are one event, joined by a line feed."""
    assert [("message", "YHOO\n+2\n10")] == types_and_data("data: YHOO\ndata: +2\ndata: 10\n\n")


def test_the_example_of_comments_and_ids() -> None:
    """Four blocks: a comment, an event with an id, one that resets the id, and an unfinished one that is discarded."""
    text = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\ndata: not ended\n"
    assert [
        ("message", "first event", "1", "1"),
        ("message", "second event", "", ""),
        ("message", " third event", None, ""),
    ] == parsed(text.encode())


def test_the_example_of_empty_data() -> None:
    """An event of empty data, one of a single line feed, and a block that is not finished."""
    assert [("message", ""), ("message", "\n")] == types_and_data("data\n\ndata\ndata\n\ndata:")


def test_the_example_of_the_optional_space() -> None:
    """One space after the colon is not part of the value; both events are the same."""
    assert [("message", "test"), ("message", "test")] == types_and_data("data:test\n\ndata: test\n\n")


def test_the_example_of_event_types() -> None:
    """Each event has the type of its own block."""
    text = "event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n"
    assert [("add", "73857293"), ("remove", "2153"), ("add", "113411")] == types_and_data(text)


# -- fields


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("event\ndata: x\n\n", [("message", "x")]),
        ("event: a\nevent: b\ndata: x\n\n", [("b", "x")]),
        ("event: a\nevent:\ndata: x\n\n", [("message", "x")]),
        ("event: a\n\ndata: x\n\n", [("message", "x")]),
        ("data: x\nevent: late\n\n", [("late", "x")]),
        ("Data: x\ndata: y\n\n", [("message", "y")]),
        ("data : x\ndata: y\n\n", [("message", "y")]),
        (" data: x\ndata: y\n\n", [("message", "y")]),
        ("unknown: x\ndata: y\n\n", [("message", "y")]),
        ("data:\tx\n\n", [("message", "\tx")]),
        ("data:  x \n\n", [("message", " x ")]),
        ("data: a:b: c\n\n", [("message", "a:b: c")]),
        (":data: x\ndata: y\n:\n\n", [("message", "y")]),
        ("id: 1\nretry: 5\nevent: x\n\n", []),
        ("\n\n\n\ndata: x\n\n\n\n", [("message", "x")]),
        ("   \ndata: x\n\n", [("message", "x")]),
        ("data: x\n \ndata: y\n\n", [("message", "x\ny")]),
        ("__dict__: x\n__class__: y\ndata: z\n\n", [("message", "z")]),
    ],
)
def test_fields_are_parsed_as_specified(text: str, events: List[Tuple[str, str]]) -> None:
    """Names are exact, the last type counts, data add up, anything else is skipped."""
    assert events == types_and_data(text)


@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\u00a0", "\x00"])
def test_only_cr_and_lf_end_a_line(char: str) -> None:
    """What str.splitlines() would split at, and servers send raw, stays in the data."""
    assert [("message", f"a{char}b{char}")] == types_and_data(f"data: a{char}b{char}\n\n")


# -- ids and retry


def test_the_id_persists_until_the_next_one() -> None:
    """An event without an id of its own has the last one's, and says that it is not its own."""
    assert [(None, None), ("1", "1"), (None, "1"), ("2", "2")] == [
        (event.own_id, event.last_id) for event in parsed(b"data: a\n\nid: 1\ndata: b\n\ndata: c\n\nid: 2\ndata: d\n\n")
    ]


def test_a_block_without_data_still_sets_the_id() -> None:
    """It is no event, but its id is the last one from there on, in its place among the events."""
    parser = EventParser()
    assert [("", "", "7")] == parser.feed(b"id: 7\n\n")
    assert [("message", "x", None)] == parser.feed(b"data: x\n\n")
    assert [("", "", "")] == parser.feed(b"id\n\n")
    assert [("x", None, "7", "7"), ("y", None, None, "8")] == [
        (event.data, None, event.own_id, event.last_id) for event in parsed(b"id: 7\ndata: x\n\nid: 8\n\ndata: y\n\n")
    ]


def test_an_unfinished_block_sets_no_id() -> None:
    """A block that is not dispatched at the end of the stream has no effect."""
    parser = EventParser()
    assert ["1"] == [event.own_id for event in parser.feed(b"id: 1\ndata: x\n\nid: 2\ndata: y\n")]
    assert True is parser.pending


def test_an_id_with_a_nul_is_ignored() -> None:
    """The one before it counts, in the same block too."""
    assert [("a", "1"), ("b", "1"), ("c", "2")] == [
        (event.data, event.last_id) for event in parsed(b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\nid: 2\nid: 3\0\ndata: c\n\n")
    ]


def test_ids_are_text_of_any_kind() -> None:
    """Not ASCII, with spaces, with a colon: as they were sent, but for the one leading space."""
    assert ["ü:1 "] == [event.last_id for event in parsed("id: ü:1 \ndata: x\n\n".encode())]


def test_an_empty_id_is_an_id() -> None:
    """It is not the same as none: it resets the last event id."""
    assert [("message", "a", None), ("message", "b", "")] == EventParser().feed(b"data: a\n\nid:\ndata: b\n\n")


@pytest.mark.parametrize(
    ("text", "retry"),
    [
        (b"retry: 1500\n\n", 1500),
        (b"retry: 1500\ndata: x\n\n", 1500),
        (b"retry:0\n\n", 0),
        (b"retry: 5\n\nretry: x\n\n", 5),
        (b"retry: 1.5\n\n", None),
        (b"retry: -1\n\n", None),
        (b"retry\n\n", None),
        ("retry: ٣\n\n".encode(), None),
        (b"retry: 5", None),
    ],
)
def test_retry_is_whole_milliseconds(text: bytes, retry: Optional[int]) -> None:
    """Digits alone count, in a block with data or without; anything else leaves it as it was."""
    parser = EventParser()
    parser.feed(text)
    assert retry == parser.retry


def test_a_retry_of_any_size_is_no_error() -> None:
    """A number of ten thousand digits is a long time, and costs nothing."""
    parser = EventParser()
    parser.feed(b"retry: " + b"9" * 10_000 + b"\n\n")
    assert 10**17 < (parser.retry or 0)


def test_an_end_event_without_data_is_noticed() -> None:
    """The specification does not dispatch it, but other servers end their streams so."""
    parser = EventParser()
    assert [] == parser.feed(b"event: end\n\n")
    assert True is parser.ended
    with_data = EventParser()
    assert [("end", "null", None)] == with_data.feed(b"event: end\ndata: null\n\n")
    assert False is with_data.ended


# -- pieces

STREAM = (
    ': comment{e}{e}event: metadata{e}data: {{"run":1}}{e}id: 1-0{e}{e}{e}data: é\u2028€😀{e}data{e}data: ß{e}{e}'
    "event: values|child:1{e}data: [1]{e}id{e}{e}: heartbeat{e}{e}retry: 10{e}{e}data:x{e}{e}data: cut"
)
EXPECTED = [
    ("metadata", '{"run":1}', "1-0", "1-0"),
    ("message", "é\u2028€😀\n\nß", None, "1-0"),
    ("values|child:1", "[1]", "", ""),
    ("message", "x", None, ""),
]


def mixed(text: str) -> str:
    """The text with another line end each time."""
    pieces = text.split("{e}")
    return "".join(piece + ("\r\n", "\n", "\r")[index % 3] for index, piece in enumerate(pieces[:-1])) + pieces[-1]


def all_ends(text: str) -> List[bytes]:
    plain = text.replace("{{", "{").replace("}}", "}")
    return [*(plain.replace("{e}", end).encode() for end in LINE_ENDS), mixed(plain).encode()]


@pytest.mark.parametrize("stream", all_ends(STREAM), ids=["LF", "CR", "CRLF", "mixed"])
def test_every_two_pieces(stream: bytes) -> None:
    """Wherever the stream is cut, within a line end, a character or a field, the events are the same."""
    for cut in range(len(stream) + 1):
        parser = EventParser()
        assert EXPECTED == parsed(stream[:cut], stream[cut:], parser=parser), cut
        assert True is parser.pending


@pytest.mark.parametrize("stream", all_ends(STREAM), ids=["LF", "CR", "CRLF", "mixed"])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
def test_small_pieces(stream: bytes, size: int) -> None:
    """Byte by byte, and in a few, the events are the same; empty pieces change nothing."""
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert EXPECTED == parsed(*pieces)
    assert EXPECTED == parsed(*(part for piece in pieces for part in (b"", piece, b"")))


@pytest.mark.parametrize("stream", all_ends("data: a{e}{e}data: b{e}{e}"), ids=["LF", "CR", "CRLF", "mixed"])
def test_every_three_pieces(stream: bytes) -> None:
    """Two cuts at once, in all places."""
    for first in range(len(stream) + 1):
        for second in range(first, len(stream) + 1):
            assert ["a", "b"] == data_of(stream[:first], stream[first:second], stream[second:]), (first, second)


@pytest.mark.parametrize("end", LINE_ENDS, ids=["LF", "CR", "CRLF"])
def test_an_event_comes_with_its_blank_line(end: str) -> None:
    """Nothing waits for bytes that come after it; CR alone ends a line although LF may follow."""
    parser = EventParser()
    blank = end.encode()
    assert [] == parser.feed(b"data: a" + blank)
    assert ["a"] == [event.data for event in parser.feed(blank[:1])]
    assert [] == parser.feed(blank[1:])


def test_a_cr_and_an_lf_in_two_pieces_are_one_line_end() -> None:
    """The LF that follows a CR in the next piece is not a blank line."""
    assert ["a\nb"] == data_of(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n")
    assert ["a"] == data_of(b"data: a\r", b"\n", b"\r", b"\n", b"\r", b"\n")


# -- what is left at the end


@pytest.mark.parametrize(
    ("stream", "pending"),
    [
        (b"", False),
        (b"data: a\n\n", False),
        (b"data: a\r\n\r\n", False),
        (b"data: a\r\r", False),
        (b"data: a\n\n\n\n", False),
        (b"data: a\n\n: comment\n\n", False),
        (b"data: a\n\ndata: b", True),
        (b"data: a\n\ndata: b\n", True),
        (b"data: a\n\n: heart", True),
        (b"data: a\n\nd", True),
    ],
)
def test_an_unfinished_event_is_noticed_and_not_dispatched(stream: bytes, pending: bool) -> None:
    """Half an event at the end is never an event; whether there was one is known."""
    parser = EventParser()
    assert (["a"] if stream else []) == [event.data for event in parser.feed(stream)]
    assert pending is parser.pending


# -- encoding


@pytest.mark.parametrize("cut", range(5))
def test_a_byte_order_mark_is_skipped_once(cut: int) -> None:
    """One at the very start is no data, wherever it is cut; a second one is."""
    stream = b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\ndata: \xef\xbb\xbfc\n\n"
    assert ["a", "\ufeffc"] == data_of(stream[:cut], stream[cut:])


@pytest.mark.parametrize("start", [b"\xef", b"\xef\xbb", b"\xef\xbbdata: x\n\n", b"\xef: 1\n\n"])
def test_half_a_byte_order_mark_is_text(start: bytes) -> None:
    """What only begins like one is part of the first line."""
    assert ["a"] == data_of(start, b"\ndata: a\n\n")[-1:]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a\xffb", "a\ufffdb"),
        (b"\xc3", "\ufffd"),
        (b"\xe2\x82", "\ufffd"),
        (b"\xf0\x9f\x98x", "\ufffdx"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"\xc0\x80", "\ufffd\ufffd"),
    ],
)
def test_invalid_utf8_becomes_the_replacement_character(data: bytes, text: str) -> None:
    """It is no error, and does not touch what is around it, in data and in ids."""
    assert [("message", text, text, text), ("message", "after", None, text)] == parsed(
        b"id: " + data + b"\ndata: " + data + b"\n\ndata: after\n\n"
    )


# -- size and time


def megabytes(count: int, size: int) -> Iterable[bytes]:
    piece = b"x" * size
    yield b"data: "
    for _ in range(count * 1024 * 1024 // size):
        yield piece
    yield b"\n\n"


def test_a_large_event_may_come_in_small_pieces() -> None:
    """8 MB in 16 KiB pieces arrive whole, and memory stays at a few copies of them."""
    tracemalloc.start()
    try:
        found = parsed(*megabytes(8, 16 * 1024))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [8 * 1024 * 1024] == [len(event.data) for event in found]
    assert peak < 8 * 8 * 1024 * 1024


def test_time_grows_with_the_size_and_not_with_its_square() -> None:
    """Four times the data take about four times as long, in pieces of 1 KiB; a square would take sixteen times."""

    def seconds(count: int) -> float:
        best = float("inf")
        for _ in range(3):
            begun = time.process_time()
            parsed(*megabytes(count, 1024))
            best = min(best, time.process_time() - begun)
        return best

    assert seconds(8) < 10 * seconds(2) + 0.05


@pytest.mark.parametrize("end", LINE_ENDS, ids=["LF", "CR", "CRLF"])
@pytest.mark.parametrize("pieces", [1, 7])
def test_an_event_that_is_too_large_is_an_error(end: str, pieces: int) -> None:
    """More than the limit is refused as soon as it is known, one that fits exactly is not."""
    whole = f"data: 67890{end}{end}".encode()
    size = max(1, len(whole) // pieces)
    chunks = [whole[start : start + size] for start in range(0, len(whole), size)]
    assert ["67890"] == [event.data for event in parsed(*chunks, parser=EventParser(max_event_bytes=12))]
    with pytest.raises(ResponseDecodeError, match="an event is larger than max_event_bytes=10"):
        parsed(*chunks, parser=EventParser(max_event_bytes=10))


def test_an_endless_line_and_endless_comments_are_errors() -> None:
    """A stream that never comes to a blank line does not fill the memory."""
    for piece in (b"x" * 1000, b": comment\n" * 100, b"data: x\n" * 100):
        parser = EventParser(max_event_bytes=10_000)
        with pytest.raises(ResponseDecodeError):
            for _ in range(20):
                parser.feed(piece)


def test_the_limit_is_for_each_event_and_not_for_the_stream() -> None:
    """Small events and heartbeats may go on for ever."""
    parser = EventParser(max_event_bytes=20)
    assert 2000 == sum(len(parser.feed(b"data: x\n\n: heartbeat\n\n")) for _ in range(2000))


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """sseclient-py would log what it does not know, which may be anything that a server sends."""
    with caplog.at_level(logging.DEBUG):
        parsed(b"secret text without a field\ndata: secret\nid: secret\n\n")
    assert [] == caplog.records

"""Parses bytes into server-sent events, as the WHATWG specification defines them (HTML, section 9.2). No I/O.

`frames` splits the stream into complete frames; sseclient-py parses the fields of each. sseclient-py does not get the raw bytes: it
would take quadratic time for large events, dispatch half an event at the end, and merge events with different line ends.
"""

from __future__ import annotations

from typing import Dict, Iterator, List, NamedTuple, Optional

from .._sseclient import SSEClient
from ..errors import ResponseDecodeError
from .frames import Frame, FrameCutter, FrameTooLargeError

__all__ = ["EventParser", "ServerSentEvent"]

#: Makes a named tuple without its own constructor, which costs as much as parsing a line.
_new_tuple = tuple.__new__
#: The maximum number of event lines that a connection remembers, and their maximum length in bytes.
_NAMES = 256
_LONG = 512
#: From this many bytes on, copying them takes longer than making a memoryview.
_LARGE = 1 << 14


class ServerSentEvent(NamedTuple):
    """A dispatched event, or a frame without data that has an id."""

    #: The type; ``message`` if the server sent none. "" for a frame without data, of which only the id counts.
    event: str
    #: The data lines, joined by line feeds.
    data: str
    #: The id in the frame, or None. "" means that there is no last event id from here on.
    own_id: Optional[str]


class _NoLogger:
    """Takes the place of sseclient-py's logger, whose debug lines would contain what the server sends."""

    def debug(self, *_: object) -> None:
        """Log nothing."""


class _FrameBytes:
    """The lines of one event, in place of the bytes that sseclient-py would split into lines."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        self.lines: Frame = []

    def splitlines(self) -> Frame:
        return self.lines


class _Fields(SSEClient):
    """sseclient-py's field parser. It gets complete frames, so that it does not search for their ends."""

    _logger = _NoLogger()

    def __init__(self, frames: Iterator[_FrameBytes]) -> None:
        self._frames = frames
        self._char_enc = "utf-8"

    def _read(self) -> Iterator[_FrameBytes]:
        return self._frames


class EventParser:
    r"""Parses the bytes of one connection, in chunks of any size. Does not keep the last event id: see `cursor`.

    >>> parser = EventParser()
    >>> [event.data for event in parser.feed(b"data: 1\r\n\r")]
    ['1']
    >>> [event.data for event in parser.feed(b"\ndata: half an event")]
    []
    >>> parser.pending  # an event without its blank line is never dispatched
    True
    """

    def __init__(self, *, max_event_bytes: Optional[int] = None) -> None:
        #: The milliseconds to wait before reconnecting that the server sent (``retry:``), or None.
        self.retry: Optional[int] = None
        #: True if there was a frame ``event: end`` without data, which is not dispatched, as the specification demands.
        self.ended = False
        #: After `feed` has raised: the events that were complete before the error.
        self.before_fault: List[ServerSentEvent] = []
        self._limit = max_event_bytes
        self._cutter = FrameCutter(max_event_bytes)
        self._names: Dict[bytes, str] = {}  # the type by its event line
        self._frame = _FrameBytes()
        self._id_line: Optional[bytes] = None  # the id line of the current frame, if it is the last line
        self._undispatched = False

    @property
    def pending(self) -> bool:
        """True if bytes are left that belong to an event whose blank line has not come."""
        return self._cutter.pending

    @property
    def in_event(self) -> bool:
        """True if the stream is within an event. Unlike `pending`, False after and within comments, which belong to no event."""
        return self._cutter.in_event

    def feed(self, chunk: bytes) -> List[ServerSentEvent]:
        """Return the events that *chunk* completes. Raise `ResponseDecodeError` for an event that is too large."""
        cutter = self._cutter
        try:
            frames = cutter.cut(chunk)
        except FrameTooLargeError as error:
            self.before_fault = self._parse(error.before)
            raise ResponseDecodeError(
                f"an event is larger than max_event_bytes={self._limit}",
                problems=(f"$: an event of more than {self._limit} bytes",),
            ) from None
        parsed = self._parse(frames) if frames else []
        if cutter.new_lines:
            for line in cutter.lines[-cutter.new_lines :]:
                if line[:5] == b"retry":
                    self._set_retry([line])  # it applies from its line on, even if its event is incomplete
        return parsed

    def _parse(self, frames: List[Frame]) -> List[ServerSentEvent]:
        parsed: List[ServerSentEvent] = []
        for event in _Fields(self._parse_common(frames, parsed)).events():
            self._undispatched = False
            if event.retry is not None:
                self._set_retry(self._frame.lines)
            parsed.append(ServerSentEvent(event.event, event.data, self._own_id(event.id)))
        return parsed

    def _parse_common(self, frames: List[Frame], parsed: List[ServerSentEvent]) -> Iterator[_FrameBytes]:
        """Parse frames of the common form, and append their events to *parsed*. Yield the other frames, for sseclient-py.

        The common form is an event line, one data line and perhaps an id line. The loop runs once for each event and is written for
        speed: sseclient-py would take most of the time that a small event takes. A test compares the results of both parsers.
        """
        names = self._names
        for lines in frames:
            count = len(lines)
            if count == 3 or count == 2:
                name, line = names.get(lines[0]) or self._name_in(lines[0]), lines[1]
                if name and line[:6] == b"data: ":
                    try:
                        text = line[6:].decode() if len(line) < _LARGE else str(memoryview(line)[6:], "utf-8")
                        if count == 2:
                            parsed.append(_new_tuple(ServerSentEvent, (name, text, None)))
                            continue
                        line = lines[2]
                        own_id = line[4:].decode()
                        if line[:4] == b"id: " and "\0" not in own_id:
                            parsed.append(_new_tuple(ServerSentEvent, (name, text, own_id)))
                            continue
                    except UnicodeDecodeError:
                        pass  # sseclient-py gets it, with the invalid bytes replaced
            elif count == 1 and lines[0][:1] == b":":
                continue  # a comment: the heartbeat of a server
            yield self._prepared(lines)
            if self._undispatched:
                self._note_undispatched(parsed)

    def _name_in(self, line: bytes) -> str:
        """Return the type in an event line of the common form, and remember it; return "" for any other line."""
        if line[:7] != b"event: " or len(line) >= _LONG:
            return ""
        try:
            name = line[7:].decode()
        except UnicodeDecodeError:
            return ""
        if len(self._names) >= _NAMES:
            self._names.clear()
        self._names[line] = name
        return name

    def _prepared(self, lines: Frame) -> _FrameBytes:
        """Return a frame for sseclient-py, without the id line if that is the last line."""
        if not self._cutter.ascii:
            lines = _valid_utf8(lines)
        self._id_line = lines.pop() if lines[-1][:3] == b"id:" else None
        self._frame.lines = lines
        self._undispatched = True
        return self._frame

    def _own_id(self, parsed: Optional[str]) -> Optional[str]:
        """Return the id of the current frame, or None. *parsed* is the id that sseclient-py has found, not in the last line."""
        line = self._id_line
        if line is not None and b"\0" not in line:
            return (line[4:] if line[3:4] == b" " else line[3:]).decode("utf-8")
        if parsed is not None and "\0" in parsed:
            # The specification ignores an id with a NUL. An earlier id in the frame may be valid.
            valid = [value for value in _values(b"id", self._frame.lines) if b"\0" not in value]
            return valid[-1].decode("utf-8") if valid else None
        return parsed

    def _note_undispatched(self, parsed: List[ServerSentEvent]) -> None:
        # A frame without data is no event, but its id and retry are valid. sseclient-py ignores them.
        self._undispatched = False
        lines = self._frame.lines
        ids = _values(b"id", lines)
        own_id = self._own_id(ids[-1].decode("utf-8") if ids else None)
        if own_id is not None:
            parsed.append(ServerSentEvent("", "", own_id))
        self._set_retry(lines)
        if _values(b"event", lines)[-1:] == [b"end"]:
            self.ended = True

    def _set_retry(self, lines: Frame) -> None:
        for value in _values(b"retry", lines):
            if value.isdigit():
                self.retry = int(value[:18])


def _values(field: bytes, lines: Frame) -> List[bytes]:
    """Return all values of *field* in *lines*, in order."""
    found = []
    for line in lines:
        name, _, value = line.partition(b":")
        if name == field:
            found.append(value[1:] if value[:1] == b" " else value)
    return found


def _valid_utf8(lines: Frame) -> Frame:
    """Return the lines, with U+FFFD in place of bytes that are not UTF-8."""
    valid = []
    for line in lines:
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            line = line.decode("utf-8", "replace").encode("utf-8")
        valid.append(line)
    return valid

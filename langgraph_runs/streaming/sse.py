"""Bytes to server-sent events, by the WHATWG specification (HTML, section 9.2). No I/O.

We cut the stream into complete frames; sseclient-py parses the fields of each. It is not given raw bytes, since there it takes
quadratic time for large events, dispatches a half event at the end, and merges events whose line ends differ.
"""

from __future__ import annotations

from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence

import sseclient

from ..errors import ResponseDecodeError

__all__ = ["EventParser", "ServerSentEvent"]

if not hasattr(sseclient.SSEClient, "events"):
    raise ImportError(
        "the module 'sseclient' is not the one of sseclient-py: pip uninstall sseclient; pip install --force-reinstall sseclient-py"
    )

_BOM = b"\xef\xbb\xbf"
#: Makes a named tuple without its own constructor, which costs as much as parsing a line.
_new_tuple = tuple.__new__
#: Event lines that sseclient-py has parsed, by all parsers of this process, and what it made of them; so many at the most.
_names: Dict[bytes, str] = {}
_NAMES = 256
#: Lines that are longer on average are split another way.
_LONG = 512
#: From this many bytes on a copy of them costs more than a view.
_LARGE = 1 << 14


class ServerSentEvent(NamedTuple):
    """One dispatched event."""

    #: Its type; ``message`` where the server gave none.
    event: str
    #: Its data lines, joined by line feeds.
    data: str
    #: The id that it carries itself, or None.
    own_id: Optional[str]
    #: The last event id as of this event; "" after an empty ``id`` line.
    last_id: Optional[str]


class _Silent:
    """Takes the place of sseclient-py's logger, whose debug lines would tell what the server sends."""

    def debug(self, *_: object) -> None:
        """Say nothing."""


class _Frame:
    """The lines of one event, handed to sseclient-py as the bytes that it would split into them."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        self.lines: List[bytes] = []

    def splitlines(self) -> List[bytes]:
        return self.lines


class _Fields(sseclient.SSEClient):
    """sseclient-py's field parser over frames that are whole already, so that it need not look for their ends."""

    _logger = _Silent()

    def __init__(self, frames: Iterator[_Frame]) -> None:
        self._frames = frames
        self._char_enc = "utf-8"

    def _read(self) -> Iterator[_Frame]:
        return self._frames


class EventParser:
    r"""Feed it the bytes of one connection, in whatever pieces they come.

    >>> parser = EventParser()
    >>> [event.data for event in parser.feed(b"data: 1\r\n\r")]
    ['1']
    >>> [event.data for event in parser.feed(b"\ndata: half an event")]
    []
    >>> parser.pending  # an event without its blank line is never dispatched
    True
    """

    def __init__(self, *, max_event_bytes: Optional[int] = None, last_id: Optional[str] = None) -> None:
        #: The last event id so far, given or seen.
        self.last_id = last_id
        #: Milliseconds that the server asked to wait before reconnecting (``retry:``), or None.
        self.retry: Optional[int] = None
        #: Whether a frame was seen that says ``event: end`` and has no data; the specification does not dispatch it.
        self.ended = False
        #: When `feed` has raised: the events that were complete before what it raised for.
        self.before_fault: List[ServerSentEvent] = []
        self._limit = max_event_bytes
        self._lines: List[bytes] = []  # of the event that is open, those that are complete
        self._partial: List[bytes] = []  # pieces of the line that is not
        self._long = False  # whether lines are
        self._size = 0
        self._ascii = True
        self._after_cr = False
        self._start = b""
        self._started = False
        self._frame = _Frame()
        self._own: Optional[bytes] = None
        self._undispatched = False

    @property
    def pending(self) -> bool:
        """Whether bytes are left that belong to an event whose blank line has not come."""
        return bool(self._lines or self._partial or self._start)

    @property
    def cut(self) -> bool:
        """Whether an end here would be within something: as `pending`, but whole comments are no part of an event."""
        return any(line[:1] != b":" for line in self._lines) or bool(self._partial or self._start)

    def feed(self, chunk: bytes) -> List[ServerSentEvent]:
        """The events that are complete with these bytes."""
        if not self._started:
            chunk = self._start + chunk
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._start = chunk
                return []
            self._started, self._start = True, b""
            if chunk.startswith(_BOM):
                chunk = chunk[len(_BOM) :]
        return self._parse(self._cut(chunk))

    def _cut(self, chunk: bytes) -> List[List[bytes]]:
        """The frames, each its lines, that are complete with *chunk*. Each byte is looked at once, however it was cut."""
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[:1] == b"\n":
                chunk = chunk[1:]  # the second half of a line end whose first half was one already
        if not chunk:
            return []
        self._size += len(chunk)
        self._ascii = self._ascii and chunk.isascii()
        if b"\n" not in chunk and b"\r" not in chunk:
            self._partial.append(chunk)
            self._check_size(self._size)
            return []
        # Of bytes, splitlines ends lines at CR, LF and CRLF, and nowhere else.
        lines = _long_lines(chunk) if self._long else chunk.splitlines()
        self._long = len(chunk) > _LONG * len(lines)
        if self._partial:
            self._partial.append(lines[0])
            lines[0] = b"".join(self._partial)
            self._partial = []
        self._after_cr = chunk[-1:] == b"\r"
        if chunk[-1:] not in (b"\n", b"\r"):
            self._partial = [lines.pop()]
        frames: List[List[bytes]] = []
        start = 0
        for _ in range(lines.count(b"")):
            end = lines.index(b"", start)
            frame = lines[start:end] if start or not self._lines else self._lines + lines[:end]
            if frame:
                frames.append(frame)
            start = end + 1
        if start:
            self._lines = lines = lines[start:]
        else:
            self._lines += lines
        for line in lines:
            if line[:5] == b"retry":
                self._set_retry([line])  # it counts from its line on, not from the end of its event
        if frames and self._limit is not None and self._size > self._limit:
            for index, frame in enumerate(frames):
                self._check_size(sum(map(len, frame)) + len(frame), frames[:index])
        if start:
            self._size = sum(map(len, self._lines)) + sum(map(len, self._partial))
        self._check_size(self._size, frames)
        return frames

    def _check_size(self, size: int, before: Sequence[List[bytes]] = ()) -> None:
        if self._limit is not None and size > self._limit:
            self.before_fault = self._parse(list(before))
            raise ResponseDecodeError(
                f"an event is larger than max_event_bytes={self._limit}",
                problems=(f"$: an event of more than {self._limit} bytes",),
            )

    def _parse(self, frames: List[List[bytes]]) -> List[ServerSentEvent]:
        # This loop runs once for each event: what only some events need is in calls.
        parsed: List[ServerSentEvent] = []
        if not frames:
            return parsed
        for event in _Fields(self._whole(frames, parsed)).events():
            self._undispatched = False
            line = self._own
            if line is None or b"\0" in line:
                own = self._own_id(event.id)
            else:
                self.last_id = own = str(line[4:] if line[3:4] == b" " else line[3:], "utf-8")
            if event.retry is not None:
                self._set_retry()
            parsed.append(_new_tuple(ServerSentEvent, (event.event, event.data, own, self.last_id)))
            lines = self._frame.lines
            if len(lines) == 2 and lines[0][:7] == b"event: " and lines[1][:6] == b"data: " and len(lines[0]) < _LONG:
                if len(_names) >= _NAMES:
                    _names.clear()
                _names[lines[0]] = event.event
        self._ascii = not self._lines and not self._partial
        return parsed

    def _whole(self, frames: List[List[bytes]], parsed: List[ServerSentEvent]) -> Iterator[_Frame]:
        """Each frame, for sseclient-py; without the id line that most end with, since ids are kept here.

        The one trick of this module: sseclient-py takes most of what a small event costs, and nearly all frames are an event line
        that it has parsed before, one data line and perhaps an id. Those go to *parsed* from here. A test holds both ways together.
        """
        frame, names = self._frame, _names
        for lines in frames:
            count = len(lines)
            if count == 3 or count == 2:
                name, line = names.get(lines[0]), lines[1]
                if name is not None and line[:6] == b"data: ":
                    try:
                        text = line[6:].decode() if len(line) < _LARGE else str(memoryview(line)[6:], "utf-8")
                        if count == 2:
                            parsed.append(_new_tuple(ServerSentEvent, (name, text, None, self.last_id)))
                            continue
                        line = lines[2]
                        own = line[4:].decode()
                        if line[:4] == b"id: " and "\0" not in own:
                            self.last_id = own
                            parsed.append(_new_tuple(ServerSentEvent, (name, text, own, own)))
                            continue
                    except UnicodeDecodeError:
                        pass  # made valid below
            elif count == 1 and lines[0][:1] == b":":
                continue  # a heartbeat
            if not self._ascii:
                lines = _valid_utf8(lines)
            self._own = lines.pop() if lines[-1][:3] == b"id:" else None
            frame.lines = lines
            self._undispatched = True
            yield frame
            if self._undispatched:
                self._note_undispatched()

    def _own_id(self, parsed: Optional[str]) -> Optional[str]:
        """The id of the frame at hand, or None; remembered as the last one. *parsed* is one that was not the last line."""
        own = self._own
        if own is not None and b"\0" not in own:
            self.last_id = (own[4:] if own[3:4] == b" " else own[3:]).decode("utf-8")
            return self.last_id
        if parsed is not None and "\0" in parsed:
            # The specification ignores ids with a NUL; an earlier one in the frame may be without.
            valid = [value for value in self._values(b"id") if b"\0" not in value]
            parsed = valid[-1].decode("utf-8") if valid else None
        if parsed is not None:
            self.last_id = parsed
        return parsed

    def _note_undispatched(self) -> None:
        # A frame without data is no event, but its id and retry count (the parser below us forgets them).
        self._undispatched = False
        ids = self._values(b"id")
        self._own_id(ids[-1].decode("utf-8") if ids else None)
        self._set_retry()
        if self._values(b"event")[-1:] == [b"end"]:
            self.ended = True

    def _set_retry(self, lines: Optional[List[bytes]] = None) -> None:
        for value in self._values(b"retry", lines):
            if value.isdigit():
                self.retry = int(value[:18])

    def _values(self, field: bytes, lines: Optional[List[bytes]] = None) -> List[bytes]:
        """All values of a field of the frame at hand, or of other *lines*, in order."""
        found = []
        for line in self._frame.lines if lines is None else lines:
            name, _, value = line.partition(b":")
            if name == field:
                found.append(value[1:] if value[:1] == b" " else value)
        return found


def _long_lines(chunk: bytes) -> List[bytes]:
    """``chunk.splitlines()``, which looks at each byte, by searching: slower for short lines, much faster for long ones."""
    lines: List[bytes] = []
    at, cr, lf = 0, chunk.find(b"\r"), chunk.find(b"\n")
    while cr >= 0 or lf >= 0:
        if lf < 0 or 0 <= cr < lf:
            lines.append(chunk[at:cr])
            at = cr + 1
            if lf == at:
                at += 1
                lf = chunk.find(b"\n", at)
            cr = chunk.find(b"\r", at)
        else:
            lines.append(chunk[at:lf])
            at = lf + 1
            lf = chunk.find(b"\n", at)
    if at < len(chunk):
        lines.append(chunk[at:])
    return lines


def _valid_utf8(lines: List[bytes]) -> List[bytes]:
    """The lines, with U+FFFD for what is not UTF-8."""
    valid = []
    for line in lines:
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            line = line.decode("utf-8", "replace").encode("utf-8")
        valid.append(line)
    return valid

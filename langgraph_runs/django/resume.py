"""`resume_stream`: continue a run's stream in a browser that reconnects, after the last event that it received.

A browser's EventSource reconnects by itself, and sends the id of the last event that it received as ``Last-Event-ID``. The ids of
the LangGraph server are not sufficient for this: events of one millisecond share an id, so resuming after that id would lose the
events of the same millisecond that had not arrived. So the browser is sent ids that encode a `Position`: the server's id, the
server's previous id, the name of the event, and how many events of that name had been sent with the id. To resume, the stream is
opened after the previous id, and the events up to the position are skipped. This is exact as long as the stream modes are the same.

Events that the server does not keep (``messages/*``, ``feedback``) get no id. A browser that was disconnected when they were sent
does not get them.
"""

from __future__ import annotations

import re
import urllib.parse
import zlib
from types import TracebackType
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple, Type

from django.http import Http404, HttpRequest

from .. import BadRequestError, Client, Gap, NotFoundError, RunStream, StreamEvent, StreamInterruptedError, UnprocessableEntityError
from .clients import get_client

__all__ = ["PositionLostError", "Position", "PositionTracker", "ResumedStream", "last_event_id", "resume_stream"]

#: The first part of every id that is sent to a browser: the format's version.
_FORMAT = "lgr1"
#: Ids of the server that can be part of a position: printable ASCII of limited length.
_SERVER_ID = re.compile(r"[!-~]{1,200}\Z", re.ASCII)
_MAX_LENGTH = 1000
_FROM_START = "0"
_NOT_KEPT = ("messages/", "error", "feedback", "end")
_NUMBERS = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?\Z", re.ASCII)


def _hash(text: str) -> str:
    return f"{zlib.crc32(text.encode('utf-8', 'replace')):08x}"


class PositionLostError(StreamInterruptedError):
    """The server no longer keeps the last event that the browser received. Reconnecting again does not help."""


class Position(NamedTuple):
    """A position in a run's stream, after one event.

    >>> position = Position(run="1f0c", before="0", id="1795224633885-0", kind="custom", nth=2)
    >>> Position.parse(str(position), "1f0c").nth
    2
    >>> Position.parse(str(position), "another run") is None
    True
    """

    #: The run's id; as text only its hash.
    run: str
    #: The server's last id that differs from *id*: the stream is resumed after it.
    before: str
    #: The server's id of the event.
    id: str
    #: The event's name; as text, and when parsed, only its hash.
    kind: str
    #: How many events of that name had that id so far, including this one.
    nth: int
    #: True if no more events follow.
    ended: bool = False

    def __str__(self) -> str:
        quoted = (urllib.parse.quote(part, safe="-:") for part in (self.before, self.id))
        parts = [_FORMAT, _hash(self.run), *quoted, _hash(self.kind), str(self.nth)]
        return ",".join([*parts, "end"] if self.ended else parts)

    @classmethod
    def parse(cls, text: str, run_id: str) -> Optional[Position]:
        """Return the position that was formatted as *text*; None if it is not a position of this run. *kind* is a hash."""
        parts = text.split(",") if len(text) <= _MAX_LENGTH else []
        ended = parts[6:] == ["end"]
        if len(parts) != 6 + ended or parts[0] != _FORMAT or parts[1] != _hash(run_id):
            return None
        before, last = (urllib.parse.unquote(part) for part in parts[2:4])
        valid = _SERVER_ID.match(before) and _SERVER_ID.match(last) and re.fullmatch(r"[0-9]{1,9}", parts[5], re.ASCII)
        return cls(run_id, before, last, parts[4], int(parts[5]), ended) if valid else None


class PositionTracker:
    """Computes the position after each event of one stream."""

    def __init__(self, before: str = _FROM_START) -> None:
        self._before = before
        self._id: Optional[str] = None
        self._counts: Dict[str, int] = {}

    def after(self, event: StreamEvent, run_id: Optional[str]) -> Optional[Position]:
        """Return the position after *event*, the next one of the stream; None if the server does not keep it, or gave it no id."""
        if run_id is None or not event.id or not _SERVER_ID.match(event.id) or event.event.startswith(_NOT_KEPT):
            return None
        if event.id != self._id:
            if self._id is not None:
                self._before = self._id
            self._id, self._counts = event.id, {}
        count = self._counts[event.event] = self._counts.get(event.event, 0) + 1
        return Position(run_id, self._before, event.id, event.event, count)

    def end(self, run_id: Optional[str]) -> Optional[Position]:
        """Return the position after the last event."""
        return None if run_id is None else Position(run_id, _FROM_START, self._id or _FROM_START, "end", 0, ended=True)


def last_event_id(request: HttpRequest) -> Optional[str]:
    """Return the id of the last event that the browser received: the header ``Last-Event-ID``, else ``?lastEventId=``, else None.

    An EventSource sends the header when it reconnects by itself. A page that creates a new EventSource cannot set a header, so it
    puts the id into the query. If there are both, the header is newer.
    """
    return request.headers.get("Last-Event-ID") or request.GET.get("lastEventId") or None


def resume_stream(
    request: HttpRequest, thread_id: str, run_id: str, *, client: Optional[Client] = None, from_start: bool = True, **options: Any
) -> ResumedStream:
    """Return the events of a run after the last one that the browser received, for `stream_response`.

    A browser that sends no last event id gets all events, or with ``from_start=False`` only new ones. *options* are those of
    ``client.runs.join_stream`` (``stream_mode``, ``on_gap``, ``timeout`` ...). The default *client* is ``get_client()``. The run
    must have been created with ``stream_resumable=True``.

    With the same stream modes each time, no event is lost and none is sent twice, except for events that the server does not keep:
    those of the mode ``messages`` (use ``messages-tuple``), and those that it has dropped. For dropped events, the stream raises
    `StreamInterruptedError`, or with ``on_gap="mark"`` adds an entry to ``gaps``, which the browser gets as an event.

    Sends one request for the run first. Raises ``Http404`` if the run does not exist or is on another thread.
    """
    chosen = client if client is not None else get_client()
    try:
        run = chosen.runs.get(thread_id, run_id)
    except (NotFoundError, UnprocessableEntityError, BadRequestError):
        raise Http404("no such run") from None
    last_id = last_event_id(request)
    position = Position.parse(last_id, run.run_id) if last_id is not None else None
    if position is not None and position.ended:
        return ResumedStream(None, position, on_gap=options.get("on_gap"))
    if position is not None and _order(position.id) is None:
        # A server may repeat events from before the id to resume after. With ordered ids they are recognized; with these they are
        # not, so the stream is read from the start.
        position = position._replace(before=_FROM_START)
    start = position.before if position is not None else (_FROM_START if from_start else None)
    stream = chosen.runs.join_stream(run.thread_id, run.run_id, last_event_id=start, **options)
    return ResumedStream(stream, position, on_gap=options.get("on_gap"))


class ResumedStream(Iterator[StreamEvent]):
    """A `RunStream` without the events that the browser has received; made by `resume_stream`.

    Iterate over it, or pass it to `stream_response`.
    """

    def __init__(self, stream: Optional[RunStream[StreamEvent]], position: Optional[Position], *, on_gap: Optional[str]) -> None:
        self._stream = stream
        self._position = position
        #: How many events of the position's id and name were read.
        self._seen = 0
        #: True if an event with the position's id was read.
        self._reached_id = False
        self._on_gap = on_gap
        self._own_gaps: List[Gap] = []
        self.positions = PositionTracker(position.before if position is not None else _FROM_START)

    @property
    def stream(self) -> Optional[RunStream[StreamEvent]]:
        """The stream that is read; None if the browser has received all events."""
        return self._stream

    @property
    def gaps(self) -> List[Gap]:
        """The places where events are missing (with ``on_gap="mark"``)."""
        return [*self._own_gaps, *(self._stream.gaps if self._stream is not None else ())]

    def __iter__(self) -> ResumedStream:
        return self

    def __next__(self) -> StreamEvent:
        if self._stream is None:
            raise StopIteration
        while True:
            try:
                event = next(self._stream)
            except StopIteration:
                if self._position is not None:
                    self._position_lost(self._position)  # the stream ended without the last event that the browser received
                raise
            if self._position is None or not self._was_seen(event, self._position):
                return event

    def _was_seen(self, event: StreamEvent, position: Position) -> bool:
        """Return True if the browser has received the event. When the position is reached, forget it."""
        if event.id == position.id:
            self._reached_id = True
            self.positions.after(event, position.run)
            if _hash(event.event) == position.kind:
                self._seen += 1
                if self._seen == position.nth:
                    self._position = None
            return True
        if self._reached_id:
            # All events of that id were read without reaching the position: the stream modes have changed. This event is new.
            self._position = None
            return False
        if self._is_before(event.id, position):
            return True
        self._position_lost(position)
        return False

    def _is_before(self, event_id: Optional[str], position: Position) -> bool:
        if not event_id:
            return False
        here, there = _order(event_id), _order(position.id)
        if here is not None and there is not None:
            return here < there
        return position.before == _FROM_START  # unordered ids: the stream is read from the start, and the position follows

    def _position_lost(self, position: Position) -> None:
        """Record a gap, or raise: the server no longer keeps the last event that the browser received, and maybe later ones."""
        self._position = None
        reason = "the server no longer keeps the events since the last one that the browser saw"
        if self._on_gap == "mark":
            self._own_gaps.append(Gap(after_id=position.id, events_seen=0, reason=reason))
            return
        self.close()
        message = f"the stream cannot be resumed: {reason}"
        raise PositionLostError(message, sent=True, last_event_id=position.id, run_id=position.run)

    # -- methods and properties of a RunStream

    @property
    def run_id(self) -> Optional[str]:
        """The run's id."""
        return self._stream.run_id if self._stream is not None else None

    @property
    def thread_id(self) -> Optional[str]:
        """Its thread's id."""
        return self._stream.thread_id if self._stream is not None else None

    def cancel(self) -> None:
        """Cancel the run, from any thread."""
        if self._stream is not None:
            self._stream.cancel()

    def close(self) -> None:
        """Close the connection, from any thread. The run goes on."""
        if self._stream is not None:
            self._stream.close()

    def __enter__(self) -> ResumedStream:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()


def _order(event_id: str) -> Optional[Tuple[int, int]]:
    found = _NUMBERS.match(event_id)
    return (int(found.group(1)), int(found.group(2) or -1)) if found else None

"""Where a browser stands in a run's stream: the ids that it is sent, and what they mean when it comes back with the last one.

A browser's EventSource reconnects by itself, with the id of the last event that it saw as ``Last-Event-ID``. The server's own ids
will not do: on this server events of one millisecond share an id, so that resuming after it loses those that did not come. So
we send ids of our own: the server's id, the one before it, the kind of the event, and how many of that kind had come under the
id. To resume, the stream is opened after the id before, and what was seen is left out. That is exact, as long as the modes are
the same. Events that the server does not keep (``messages/*``, ``feedback``) get no id: the position is that of
the event before them, and a browser that was away when they came does not get them.
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

__all__ = ["PlaceLostError", "Position", "Positions", "ResumedStream", "last_event_id", "resume_stream"]

#: Begins every id that we send.
_MARK = "lgr1"
#: Server's ids that we can carry: on one line, printable, not endless.
_PLAIN = re.compile(r"[!-~]{1,200}\Z", re.ASCII)
_LONGEST = 1000
_FROM_START = "0"
_NOT_KEPT = ("messages/", "error", "feedback", "end")
_NUMBERS = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?\Z", re.ASCII)


def _short(text: str) -> str:
    return f"{zlib.crc32(text.encode('utf-8', 'replace')):08x}"


class PlaceLostError(StreamInterruptedError):
    """The server no longer keeps the event that the browser saw last: coming back once more will not help."""


class Position(NamedTuple):
    """One place in one run's stream.

    >>> position = Position(run="1f0c", before="0", id="1795224633885-0", kind="custom", nth=2)
    >>> Position.parse(str(position), "1f0c").nth
    2
    >>> Position.parse(str(position), "another run") is None
    True
    """

    #: The run, shortened.
    run: str
    #: The server's id before *id*, to resume after.
    before: str
    #: The server's id of the last event.
    id: str
    #: That event's name, shortened.
    kind: str
    #: How many events of that name came under that id, it included.
    nth: int
    #: Whether the stream was complete there.
    ended: bool = False

    def __str__(self) -> str:
        quoted = (urllib.parse.quote(part, safe="-:") for part in (self.before, self.id))
        parts = [_MARK, _short(self.run), *quoted, _short(self.kind), str(self.nth)]
        return ",".join([*parts, "end"] if self.ended else parts)

    @classmethod
    def parse(cls, text: str, run_id: str) -> Optional[Position]:
        """What was sent as *text*; None for a text that was not, or was for another run. *kind* stays shortened."""
        parts = text.split(",") if len(text) <= _LONGEST else []
        ended = parts[6:] == ["end"]
        if len(parts) != 6 + ended or parts[0] != _MARK or parts[1] != _short(run_id):
            return None
        before, last = (urllib.parse.unquote(part) for part in parts[2:4])
        plain = _PLAIN.match(before) and _PLAIN.match(last) and re.fullmatch(r"[0-9]{1,9}", parts[5], re.ASCII)
        return cls(run_id, before, last, parts[4], int(parts[5]), ended) if plain else None


class Positions:
    """Makes the ids of one stream, in the order of its events."""

    def __init__(self, before: str = _FROM_START) -> None:
        self._before = before
        self._id: Optional[str] = None
        self._counts: Dict[str, int] = {}

    def note(self, event: StreamEvent, run_id: Optional[str]) -> Optional[Position]:
        """The position after *event*; None for one that the server does not keep, or gave no id."""
        if run_id is None or not event.id or not _PLAIN.match(event.id) or event.event.startswith(_NOT_KEPT):
            return None
        if event.id != self._id:
            if self._id is not None:
                self._before = self._id
            self._id, self._counts = event.id, {}
        count = self._counts[event.event] = self._counts.get(event.event, 0) + 1
        return Position(run_id, self._before, event.id, event.event, count)

    def end(self, run_id: Optional[str]) -> Optional[Position]:
        """The position after everything."""
        return None if run_id is None else Position(run_id, _FROM_START, self._id or _FROM_START, "end", 0, ended=True)


def last_event_id(request: HttpRequest) -> Optional[str]:
    """The id of the last event that the browser saw, or None: of the header ``Last-Event-ID``, else of ``?lastEventId=``.

    An EventSource sends the header when it reconnects by itself. A page that makes a new EventSource cannot set a header: it
    puts the last id that it saw in the query. Where there are both the header is the later one.
    """
    return request.headers.get("Last-Event-ID") or request.GET.get("lastEventId") or None


def resume_stream(
    request: HttpRequest, thread_id: str, run_id: str, *, client: Optional[Client] = None, from_start: bool = True, **options: Any
) -> ResumedStream:
    """The events of a run from where the browser was, for `stream_response`; from the start where it is new here.

    *options* are those of ``client.runs.join_stream`` (``stream_mode``, ``on_gap``, ``timeout`` ...), *client* is that of
    `get_client` unless told otherwise. ``from_start=False`` gives a new browser only what comes from now on. The run must have
    been created with ``stream_resumable=True``.

    With the same modes each time no event is lost and none comes twice, but for what the server does not keep: events of mode
    ``messages`` (use ``messages-tuple``), and those that it has dropped, which is a `StreamInterruptedError`, or with
    ``on_gap="mark"`` an entry in ``gaps`` that the browser gets as an event.

    One request is made first that asks for the run. A run that is not there, or on another thread, is an ``Http404``.
    """
    chosen = client if client is not None else get_client()
    try:
        run = chosen.runs.get(thread_id, run_id)
    except (NotFoundError, UnprocessableEntityError, BadRequestError):
        raise Http404("no such run") from None
    told = last_event_id(request)
    position = Position.parse(told, run.run_id) if told is not None else None
    if position is not None and position.ended:
        return ResumedStream(None, position, on_gap=options.get("on_gap"))
    if position is not None and _order(position.id) is None:
        # A server may repeat events that are older than where it was asked to begin. Ids with an order tell; these do not, so all
        # is read again.
        position = position._replace(before=_FROM_START)
    start = position.before if position is not None else (_FROM_START if from_start else None)
    stream = chosen.runs.join_stream(run.thread_id, run.run_id, last_event_id=start, **options)
    return ResumedStream(stream, position, on_gap=options.get("on_gap"))


class ResumedStream(Iterator[StreamEvent]):
    """A `RunStream` that goes on where a browser was; made by `resume_stream`. Iterate it, or give it to `stream_response`."""

    def __init__(self, stream: Optional[RunStream[StreamEvent]], position: Optional[Position], *, on_gap: Optional[str]) -> None:
        self._stream = stream
        self._position = position
        self._seen = 0
        self._met = False
        self._on_gap = on_gap
        self._own_gaps: List[Gap] = []
        self.positions = Positions(position.before if position is not None else _FROM_START)

    @property
    def stream(self) -> Optional[RunStream[StreamEvent]]:
        """What is read; None where the browser has had everything."""
        return self._stream

    @property
    def gaps(self) -> List[Gap]:
        """Where events are missing (``on_gap="mark"``)."""
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
                    self._lost(self._position)  # it ended without the event that the browser had seen last
                raise
            if self._position is None or not self._was_seen(event, self._position):
                return event

    def _was_seen(self, event: StreamEvent, position: Position) -> bool:
        """Whether the browser has had the event. The last such event ends the search."""
        if event.id == position.id:
            self._met = True
            self.positions.note(event, position.run)
            if _short(event.event) == position.kind:
                self._seen += 1
                if self._seen == position.nth:
                    self._position = None
            return True
        if self._met:
            # All of that id came, and not what the browser had seen of it: the modes are others, and these events are new.
            self._position = None
            return False
        if self._is_before(event.id, position):
            return True
        self._lost(position)
        return False

    def _is_before(self, event_id: Optional[str], position: Position) -> bool:
        if not event_id:
            return False
        here, there = _order(event_id), _order(position.id)
        if here is not None and there is not None:
            return here < there
        return position.before == _FROM_START  # ids without an order: everything is sent again, and the place is to come

    def _lost(self, position: Position) -> None:
        """The server no longer has the event that the browser saw last, nor perhaps those after it."""
        self._position = None
        reason = "the server no longer keeps the events since the last one that the browser saw"
        if self._on_gap == "mark":
            self._own_gaps.append(Gap(after_id=position.id, events_seen=0, reason=reason))
            return
        self.close()
        told = f"the stream cannot be resumed: {reason}"
        raise PlaceLostError(told, sent=True, last_event_id=position.id, run_id=position.run)

    # -- what it shares with a RunStream

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
        """Let go of the connection, from any thread; the run goes on."""
        if self._stream is not None:
            self._stream.close()

    def __enter__(self) -> ResumedStream:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()


def _order(event_id: str) -> Optional[Tuple[int, int]]:
    found = _NUMBERS.match(event_id)
    return (int(found.group(1)), int(found.group(2) or -1)) if found else None

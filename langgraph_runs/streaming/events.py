"""What a stream yields: one frozen record per server-sent event, its class by the kind of event. Knows no bytes and no HTTP."""

from __future__ import annotations

import datetime
import re
import time
from typing import Any, Dict, Optional, Tuple, Type

import attrs

__all__ = [
    "KINDS",
    "CheckpointsStreamEvent",
    "CustomStreamEvent",
    "DebugStreamEvent",
    "EndStreamEvent",
    "ErrorStreamEvent",
    "EventsStreamEvent",
    "FeedbackStreamEvent",
    "MessagesStreamEvent",
    "MetadataStreamEvent",
    "StreamEvent",
    "TasksStreamEvent",
    "UpdatesStreamEvent",
    "ValuesStreamEvent",
    "build_event",
    "event_class",
    "mode_of",
]

#: Ids that carry the time: milliseconds since 1970, a dash, a counter.
_CLOCK_ID = re.compile(r"(\d{13})-\d+\Z")


def mode_of(name: str) -> str:
    """The stream mode of an event's name, without namespace and detail.

    >>> mode_of("values|child:1"), mode_of("messages/partial")
    ('values', 'messages')
    """
    return name.split("|", 1)[0].split("/", 1)[0]


def _utc(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, tz=datetime.timezone.utc)


def _parsed(text: Any) -> Optional[datetime.datetime]:
    if not isinstance(text, str) or len(text) < 19:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text)
        if moment.tzinfo is None:
            return moment.replace(tzinfo=datetime.timezone.utc)
        return moment.astimezone(datetime.timezone.utc)
    except (ValueError, OverflowError):
        return None


@attrs.frozen
class StreamEvent:
    """One event. Kinds that this library does not know come as this class, the known ones as a subclass.

    >>> event = StreamEvent("values|child:1f0c", {"n": 1})
    >>> event.mode, event.namespace
    ('values', ('child:1f0c',))
    """

    #: What the server sent: ``values``, ``messages/partial``, ``values|child:uuid``.
    event: str
    #: The parsed data: any JSON value; None where the event had none.
    data: Any = None
    #: The last event id as of this event (WHATWG: it persists until the next one), or None. Not unique on every server.
    id: Optional[str] = None
    #: The data as text, as it was sent.
    raw: str = attrs.field(default="", repr=False, eq=False)
    #: When it arrived: seconds since 1970.
    received_at: float = attrs.field(factory=time.time, repr=False, eq=False)

    @property
    def mode(self) -> str:
        """The stream mode that it belongs to, without namespace and detail: ``values``, ``messages``."""
        return mode_of(self.event)

    @property
    def namespace(self) -> Tuple[str, ...]:
        """The subgraph that it comes from, outermost first; empty for the graph itself."""
        return tuple(self.event.split("|")[1:])

    @property
    def timestamp(self) -> datetime.datetime:
        """When it happened, aware UTC: from the data where they have a time, else from the id, else the time of arrival."""
        told = _parsed(self._told("timestamp"))
        if told is not None:
            return told
        clock = _CLOCK_ID.match(self.id) if self.id else None
        return _utc(int(clock.group(1)) / 1000.0 if clock else self.received_at)

    @property
    def tags(self) -> Tuple[str, ...]:
        """The tags in its data, or ()."""
        told = self._told("tags")
        return tuple(str(tag) for tag in told) if isinstance(told, (list, tuple)) else ()

    def _told(self, key: str) -> Any:
        return self.data.get(key) if isinstance(self.data, dict) else None


class _StateEvent(StreamEvent):
    __slots__ = ()

    def _told(self, key: str) -> Any:
        return None  # the data are the user's state: its keys are not ours to interpret


class ValuesStreamEvent(_StateEvent):
    """The full state after a step; with ``__interrupt__`` where the run waits for a human.

    >>> ValuesStreamEvent("values", {"n": 1}).data
    {'n': 1}
    """

    __slots__ = ()


class UpdatesStreamEvent(_StateEvent):
    """What a step changed, by node.

    >>> UpdatesStreamEvent("updates|child:1f0c", {"add": {"n": 1}}).namespace  # of a subgraph
    ('child:1f0c',)
    """

    __slots__ = ()


class MessagesStreamEvent(StreamEvent):
    """Messages of a chat model: ``messages`` (chunk and metadata), or ``messages/partial``, ``/complete``, ``/metadata``.

    The first comes with the mode ``messages-tuple``, the others with ``messages``.

    >>> event = MessagesStreamEvent("messages", [{"content": "Hi"}, {"tags": ["draft"]}])
    >>> event.data[0]["content"], event.tags
    ('Hi', ('draft',))
    """

    __slots__ = ()

    def _told(self, key: str) -> Any:
        if isinstance(self.data, list) and len(self.data) == 2 and isinstance(self.data[1], dict):
            return self.data[1].get(key)
        return None


class EventsStreamEvent(StreamEvent):
    """What langchain's ``astream_events`` tells: ``on_chain_start``, ``on_chat_model_stream`` and so on.

    >>> EventsStreamEvent("events", {"event": "on_chain_start", "tags": ["seq:step:1"]}).tags
    ('seq:step:1',)
    """

    __slots__ = ()


class DebugStreamEvent(StreamEvent):
    """Tasks and checkpoints in detail: ``step``, ``timestamp``, ``type``, ``payload``.

    >>> DebugStreamEvent("debug", {"timestamp": "2026-01-02T03:04:05+00:00"}).timestamp.isoformat()
    '2026-01-02T03:04:05+00:00'
    """

    __slots__ = ()


class MetadataStreamEvent(StreamEvent):
    """Comes first, with ``run_id`` and ``attempt``; once more when the server tries the run again.

    Then the events of the run so far come again as well, for the new attempt.

    >>> MetadataStreamEvent("metadata", {"run_id": "1f0c", "attempt": 2}).attempt
    2
    """

    __slots__ = ()

    @property
    def attempt(self) -> int:
        """The server's own attempt at the run; 1 is the first."""
        told = self._told("attempt")
        return told if isinstance(told, int) else 1


class CustomStreamEvent(StreamEvent):
    """What a node wrote with a stream writer: any JSON value.

    >>> CustomStreamEvent("custom", {"progress": 0.5}).data["progress"]
    0.5
    """

    __slots__ = ()


class TasksStreamEvent(StreamEvent):
    """The start or the result of a step.

    >>> TasksStreamEvent("tasks", {"id": "t1", "name": "add", "result": {"n": 1}}).data["name"]
    'add'
    """

    __slots__ = ()


class CheckpointsStreamEvent(StreamEvent):
    """A checkpoint that was written.

    >>> CheckpointsStreamEvent("checkpoints", {"next": ["add"]}).mode
    'checkpoints'
    """

    __slots__ = ()


class ErrorStreamEvent(StreamEvent):
    """The run failed. The stream raises `RunFailedError` after it.

    >>> event = ErrorStreamEvent("error", {"error": "ValueError", "message": "no ink"})
    >>> event.error, event.message
    ('ValueError', 'no ink')
    """

    __slots__ = ()

    @property
    def error(self) -> Optional[str]:
        """The class of the graph's exception, as text; None where the server gave only a message."""
        told = self._told("error")
        return told if isinstance(told, str) and self._told("message") is not None else None

    @property
    def message(self) -> Optional[str]:
        """Its message."""
        if isinstance(self.data, str):
            return self.data
        told = self._told("message")
        if told is None:
            told = self._told("error")
        return told if told is None or isinstance(told, str) else str(told)


class FeedbackStreamEvent(StreamEvent):
    """URLs to post feedback to, by key.

    >>> FeedbackStreamEvent("feedback", {"score": "http://localhost/feedback"}).data["score"]
    'http://localhost/feedback'
    """

    __slots__ = ()


class EndStreamEvent(StreamEvent):
    """The server said that the stream is complete; not every server does.

    >>> EndStreamEvent("end").data is None
    True
    """

    __slots__ = ()


#: The class of each kind of event that is known by its whole name.
KINDS: Dict[str, Type[StreamEvent]] = {
    "values": ValuesStreamEvent,
    "updates": UpdatesStreamEvent,
    "messages": MessagesStreamEvent,
    "messages-tuple": MessagesStreamEvent,
    "events": EventsStreamEvent,
    "debug": DebugStreamEvent,
    "metadata": MetadataStreamEvent,
    "custom": CustomStreamEvent,
    "tasks": TasksStreamEvent,
    "checkpoints": CheckpointsStreamEvent,
    "error": ErrorStreamEvent,
    "feedback": FeedbackStreamEvent,
    "end": EndStreamEvent,
}


def event_class(event: str) -> Type[StreamEvent]:
    """The class for an event of this name.

    >>> event_class("messages/partial").__name__, event_class("tools").__name__
    ('MessagesStreamEvent', 'StreamEvent')
    """
    found = KINDS.get(event)
    if found is None:
        found = KINDS.get(mode_of(event), StreamEvent)
    return found


# The one place where speed comes before plainness: an event is built for every frame of a stream, and the constructor of a
# frozen class takes half as long again as setting its slots.
_new = object.__new__
_set_event = StreamEvent.event.__set__  # type: ignore[attr-defined]
_set_data = StreamEvent.data.__set__
_set_id = StreamEvent.id.__set__  # type: ignore[union-attr]
_set_raw = StreamEvent.raw.__set__  # type: ignore[attr-defined]
_set_received_at = StreamEvent.received_at.__set__  # type: ignore[attr-defined]


def build_event(cls: Type[StreamEvent], name: str, data: Any, event_id: Optional[str], raw: str, at: float) -> StreamEvent:
    """``cls(name, data, event_id, raw, at)``, faster."""
    built = _new(cls)
    _set_event(built, name)
    _set_data(built, data)
    _set_id(built, event_id)
    _set_raw(built, raw)
    _set_received_at(built, at)
    return built

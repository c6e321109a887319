"""The events that a stream yields: a frozen record for each server-sent event, with a class for each kind. No bytes and no HTTP.

A class of events is registered by declaring it: ``class X(StreamEvent, kinds=("x",))``.
"""

from __future__ import annotations

import datetime
import re
import time
from typing import Any, ClassVar, Dict, Optional, Tuple, Type

import attrs

from ..call import Scope, raise_foreign
from ..errors import ResponseDecodeError
from ..serialization import parse
from ..times import parse_time

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
    "decode_event",
    "event_class",
    "mode_of",
    "sent_after",
    "text_of",
]

#: The class of each kind of event, by the whole name of the kind. Declaring a class adds it.
KINDS: Dict[str, Type[StreamEvent]] = {}

#: Ids that carry the time: milliseconds since 1970, a dash, a counter.
_CLOCK_ID = re.compile(r"(\d{13})-\d+\Z")


def mode_of(name: str) -> str:
    """Return the stream mode in an event's name, without namespace and detail.

    >>> mode_of("values|child:1"), mode_of("messages/partial")
    ('values', 'messages')
    """
    return name.split("|", 1)[0].split("/", 1)[0]


def _utc(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, tz=datetime.timezone.utc)


def _time_in(value: Any) -> Optional[datetime.datetime]:
    """Return the time that *value* holds as text, in UTC, or None if it holds none."""
    try:
        moment = parse_time(value) if isinstance(value, str) else None
        return None if moment is None else moment.astimezone(datetime.timezone.utc)
    except (ValueError, OverflowError) as error:
        raise_foreign(error)
        return None


@attrs.frozen
class StreamEvent:
    """One event of a run. Each kind that this library knows has a subclass; events of other kinds are of this class.

    >>> event = StreamEvent("values|child:1f0c", {"n": 1})
    >>> event.mode, event.namespace
    ('values', ('child:1f0c',))
    """

    #: What the server sent: ``values``, ``messages/partial``, ``values|child:uuid``.
    event: str
    #: The parsed data: any JSON value; None if the event had none.
    data: Any = None
    #: The last event id at this event, or None. An event without an id has that of the event before it (as WHATWG specifies). Ids
    #: are not unique on every server.
    id: Optional[str] = None
    #: The data as text, as it was sent.
    raw: str = attrs.field(default="", repr=False, eq=False)
    #: When it arrived: seconds since 1970.
    received_at: float = attrs.field(factory=time.time, repr=False, eq=False)
    #: True if the data of events of this class must be JSON. Otherwise some servers send plain text, and `data` is that text.
    must_be_json: ClassVar[bool] = False

    def __init_subclass__(cls, *, kinds: Tuple[str, ...] = (), must_be_json: bool = True, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.must_be_json = must_be_json
        KINDS.update(dict.fromkeys(kinds, cls))

    @property
    def mode(self) -> str:
        """The stream mode of the event, without namespace and detail: ``values``, ``messages``."""
        return mode_of(self.event)

    @property
    def namespace(self) -> Tuple[str, ...]:
        """The path of the subgraph that sent the event, outermost first; empty for the graph itself."""
        return tuple(self.event.split("|")[1:])

    @property
    def timestamp(self) -> datetime.datetime:
        """When the event happened, an aware UTC datetime: the time in its data, else that in its id, else the time of arrival."""
        moment = _time_in(self._detail("timestamp"))
        if moment is not None:
            return moment
        clock = _CLOCK_ID.match(self.id) if self.id else None
        return _utc(int(clock.group(1)) / 1000.0 if clock else self.received_at)

    @property
    def tags(self) -> Tuple[str, ...]:
        """The tags in its data, or ()."""
        tags = self._detail("tags")
        return tuple(str(tag) for tag in tags) if isinstance(tags, (list, tuple)) else ()

    @property
    def text(self) -> str:
        """The text of the message in a message event; empty for any other event."""
        return ""

    def _detail(self, key: str) -> Any:
        """Return what the server says about the event under *key* of the data; None if the data have no such key."""
        return self.data.get(key) if isinstance(self.data, dict) else None


class _StateEvent(StreamEvent):
    __slots__ = ()

    def _detail(self, key: str) -> Any:
        return None  # the data are the state of the user's graph, whose keys say nothing about the event


class ValuesStreamEvent(_StateEvent, kinds=("values",)):
    """The full state after a step; with ``__interrupt__`` if the run waits for a human.

    >>> ValuesStreamEvent("values", {"n": 1}).data
    {'n': 1}
    """

    __slots__ = ()


class UpdatesStreamEvent(_StateEvent, kinds=("updates",)):
    """The changes of a step, by node.

    >>> UpdatesStreamEvent("updates|child:1f0c", {"add": {"n": 1}}).namespace  # of a subgraph
    ('child:1f0c',)
    """

    __slots__ = ()


class MessagesStreamEvent(StreamEvent, kinds=("messages", "messages-tuple")):
    """Messages of a chat model: ``messages`` (chunk and metadata), or ``messages/partial``, ``/complete``, ``/metadata``.

    The first comes with the mode ``messages-tuple``, the others with ``messages``.

    >>> event = MessagesStreamEvent("messages", [{"content": [{"type": "text", "text": "Hi"}]}, {"tags": ["draft"]}])
    >>> event.text, event.tags
    ('Hi', ('draft',))
    """

    __slots__ = ()

    @property
    def text(self) -> str:
        """The text of the message: its content, or the text of its content blocks, without reasoning, images and tool calls.

        With the mode ``messages-tuple`` this is the new part of the message; with ``messages`` it is the whole text so far. The
        messages of tools and humans have text too: ``event.data[0]["type"]`` tells whose it is.
        """
        return "".join(map(text_of, self.messages))

    @property
    def messages(self) -> Tuple[Dict[str, Any], ...]:
        """The messages in the event: the chunk of one message, or one or more whole messages so far."""
        found = self.data if isinstance(self.data, list) else []
        if self.event.startswith("messages/metadata"):
            return ()
        if "/" not in self.event:
            found = found[:1]  # the second item is metadata about the first
        return tuple(item for item in found if isinstance(item, dict))

    def _detail(self, key: str) -> Any:
        if isinstance(self.data, list) and len(self.data) == 2 and isinstance(self.data[1], dict):
            return self.data[1].get(key)
        return None


class EventsStreamEvent(StreamEvent, kinds=("events",)):
    """The events of langchain's ``astream_events``: ``on_chain_start``, ``on_chat_model_stream`` and so on.

    >>> EventsStreamEvent("events", {"event": "on_chain_start", "tags": ["seq:step:1"]}).tags
    ('seq:step:1',)
    """

    __slots__ = ()


class DebugStreamEvent(StreamEvent, kinds=("debug",)):
    """Tasks and checkpoints in detail: ``step``, ``timestamp``, ``type``, ``payload``.

    >>> DebugStreamEvent("debug", {"timestamp": "2026-01-02T03:04:05+00:00"}).timestamp.isoformat()
    '2026-01-02T03:04:05+00:00'
    """

    __slots__ = ()


class MetadataStreamEvent(StreamEvent, kinds=("metadata",)):
    """The first event, with ``run_id`` and ``attempt``. The server sends it again when it runs the graph again after a failure.

    After that the events come again from the start, as those of the new attempt.

    >>> MetadataStreamEvent("metadata", {"run_id": "1f0c", "attempt": 2}).attempt
    2
    """

    __slots__ = ()

    @property
    def attempt(self) -> int:
        """The number of the server's attempt at the run; 1 is the first."""
        attempt = self._detail("attempt")
        return attempt if isinstance(attempt, int) else 1


class CustomStreamEvent(StreamEvent, kinds=("custom",), must_be_json=False):
    """Data that a node wrote with a stream writer: any JSON value.

    >>> CustomStreamEvent("custom", {"progress": 0.5}).data["progress"]
    0.5
    """

    __slots__ = ()


class TasksStreamEvent(StreamEvent, kinds=("tasks",)):
    """The start or the result of a step.

    >>> TasksStreamEvent("tasks", {"id": "t1", "name": "add", "result": {"n": 1}}).data["name"]
    'add'
    """

    __slots__ = ()


class CheckpointsStreamEvent(StreamEvent, kinds=("checkpoints",)):
    """A checkpoint that the server wrote.

    >>> CheckpointsStreamEvent("checkpoints", {"next": ["add"]}).mode
    'checkpoints'
    """

    __slots__ = ()


class ErrorStreamEvent(StreamEvent, kinds=("error",), must_be_json=False):
    """The run failed. The stream raises `RunFailedError` after it.

    >>> event = ErrorStreamEvent("error", {"error": "ValueError", "message": "no ink"})
    >>> event.error, event.message
    ('ValueError', 'no ink')
    """

    __slots__ = ()

    @property
    def error(self) -> Optional[str]:
        """The class of the graph's exception, as text; None if the server sent only a message."""
        error = self._detail("error")
        return error if isinstance(error, str) and self._detail("message") is not None else None

    @property
    def message(self) -> Optional[str]:
        """The message of the graph's exception; None if there is none."""
        if isinstance(self.data, str):
            return self.data
        message = self._detail("message")
        if message is None:
            message = self._detail("error")
        return message if message is None or isinstance(message, str) else str(message)


class FeedbackStreamEvent(StreamEvent, kinds=("feedback",), must_be_json=False):
    """URLs to post feedback to, by key.

    >>> FeedbackStreamEvent("feedback", {"score": "http://localhost/feedback"}).data["score"]
    'http://localhost/feedback'
    """

    __slots__ = ()


class EndStreamEvent(StreamEvent, kinds=("end",), must_be_json=False):
    """The server says that the stream is complete. Not every server sends it.

    >>> EndStreamEvent("end").data is None
    True
    """

    __slots__ = ()


def text_of(message: Dict[str, Any]) -> str:
    """Return the text of a message, whose content is a string or a list of blocks.

    >>> text_of({"content": [{"type": "reasoning", "text": "Hm."}, {"type": "text", "text": "high "}, "tide"]})
    'high tide'
    """
    content = message.get("content")
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    texts = [block.get("text") if isinstance(block, dict) and _is_text(block) else block for block in blocks]
    return "".join(text for text in texts if isinstance(text, str))


def _is_text(block: Dict[str, Any]) -> bool:
    # "text", "text_delta", "input_text", "output_text"; a block without a type is text as well.
    return "text" in str(block.get("type") or "text")


def event_class(event: str) -> Type[StreamEvent]:
    """Return the class for events of this name.

    >>> event_class("messages/partial").__name__, event_class("tools").__name__
    ('MessagesStreamEvent', 'StreamEvent')
    """
    found = KINDS.get(event)
    if found is None:
        found = KINDS.get(mode_of(event), StreamEvent)
    return found


# Written for speed: an event is built for every frame of a stream, and the constructor of a frozen class takes 1.5 times as long
# as setting its slots.
_new = object.__new__
_set_event = StreamEvent.event.__set__  # type: ignore[attr-defined]
_set_data = StreamEvent.data.__set__
_set_id = StreamEvent.id.__set__  # type: ignore[union-attr]
_set_raw = StreamEvent.raw.__set__  # type: ignore[attr-defined]
_set_received_at = StreamEvent.received_at.__set__  # type: ignore[attr-defined]


def build_event(cls: Type[StreamEvent], name: str, data: Any, event_id: Optional[str], raw: str, at: float) -> StreamEvent:
    """Return ``cls(name, data, event_id, raw, at)``, faster than the constructor does."""
    built = _new(cls)
    _set_event(built, name)
    _set_data(built, data)
    _set_id(built, event_id)
    _set_raw(built, raw)
    _set_received_at(built, at)
    return built


def decode_event(scope: Scope, name: str, text: str, event_id: Optional[str], at: float) -> StreamEvent:
    """Return the event of a server-sent event that arrived *at* a time, in seconds since 1970.

    Raise `ResponseDecodeError` if its data must be JSON and are not.
    """
    cls = KINDS.get(name) or event_class(name)
    try:
        data = parse(text) if text else None
    except ValueError as error:
        raise_foreign(error)
        if cls.must_be_json:
            problem = f"$: the data of event {name!r} are not JSON ({error})"
            raise scope.identify(ResponseDecodeError(problem[3:], problems=(problem,))) from error
        data = text
    return build_event(cls, name, data, event_id, text, at)


def sent_after(event_id: Optional[str], moment: Optional[datetime.datetime]) -> bool:
    """Return False if *moment* is known to be before the event with an id that is a time."""
    clock = _CLOCK_ID.match(event_id or "")
    return clock is None or moment is None or moment.timestamp() * 1000.0 >= int(clock.group(1))

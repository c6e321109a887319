"""The events of a run: bytes to server-sent events, the position in the stream, reconnecting, and what the caller iterates.

Knows what the events say about their run. How the run ended is requested through `runs`.
"""

from .cursor import Cursor
from .events import (
    CheckpointsStreamEvent,
    CustomStreamEvent,
    DebugStreamEvent,
    EndStreamEvent,
    ErrorStreamEvent,
    EventsStreamEvent,
    FeedbackStreamEvent,
    MessagesStreamEvent,
    MetadataStreamEvent,
    StreamEvent,
    TasksStreamEvent,
    UpdatesStreamEvent,
    ValuesStreamEvent,
    build_event,
    event_class,
    mode_of,
)
from .run_stream import RunStream
from .stream_config import Gap, StreamConfig

__all__ = [
    "CheckpointsStreamEvent",
    "Cursor",
    "CustomStreamEvent",
    "DebugStreamEvent",
    "EndStreamEvent",
    "ErrorStreamEvent",
    "EventsStreamEvent",
    "FeedbackStreamEvent",
    "Gap",
    "MessagesStreamEvent",
    "MetadataStreamEvent",
    "RunStream",
    "StreamConfig",
    "StreamEvent",
    "TasksStreamEvent",
    "UpdatesStreamEvent",
    "ValuesStreamEvent",
    "build_event",
    "event_class",
    "mode_of",
]

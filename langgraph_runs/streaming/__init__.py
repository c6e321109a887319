"""The events of a run: bytes to server-sent events, the position in the stream, reconnecting, and what the caller iterates.

Knows what the events say about their run. How the run ended is requested through `runs`.
"""

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
from .open_stream import stream_existing_run, stream_new_run
from .run_stream import RunStream
from .stream_config import Gap

__all__ = [
    "CheckpointsStreamEvent",
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
    "StreamEvent",
    "TasksStreamEvent",
    "UpdatesStreamEvent",
    "ValuesStreamEvent",
    "build_event",
    "event_class",
    "mode_of",
    "stream_existing_run",
    "stream_new_run",
]

"""The events of a run: parses server-sent events, keeps the position in the stream, reconnects, and yields events to the caller.

Knows what the events say about their run. Finds out through `runs` how the run ended.
"""

from .._public import name_public
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
from .open_stream import stream_existing_run, stream_new_run, stream_thread
from .run_stream import RunStream
from .stream_config import Gap
from .thread_stream import ThreadStream

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
    "ThreadStream",
    "UpdatesStreamEvent",
    "ValuesStreamEvent",
    "build_event",
    "event_class",
    "mode_of",
    "stream_existing_run",
    "stream_new_run",
    "stream_thread",
]

name_public("langgraph_runs", [item for name, item in globals().items() if name in __all__])

"""What a browser gets to see of a run's events, and how that is written as server-sent events. No I/O."""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping, Optional

import attrs

from .. import (
    AbortedError,
    APIConnectionError,
    APIStatusError,
    CustomStreamEvent,
    DeadlineExceededError,
    InternalServerError,
    InvalidRequestError,
    LangGraphRunsError,
    MessagesStreamEvent,
    MetadataStreamEvent,
    NotFoundError,
    RateLimitError,
    ResponseDecodeError,
    RunCancelledError,
    RunError,
    RunFailedError,
    RunTimedOutError,
    StreamEvent,
    UpdatesStreamEvent,
    ValuesStreamEvent,
)
from ..serialization import encode
from .resume import PlaceLostError

__all__ = ["HEARTBEAT", "browser_event", "code_of", "error_frame", "event_frame", "frame", "is_passing"]

#: A comment: no event to the browser, but something to write.
HEARTBEAT = b": heartbeat\n\n"
_LINE_END = re.compile(rb"\r\n|\r|\n")
#: Of what a chat model's chunk says about itself. The rest holds the run's config: users, ids, whatever the graph was given.
_ABOUT_MESSAGE = ("langgraph_node", "langgraph_step", "tags")
_ABOUT_RUN = ("run_id", "attempt")
_AS_THEY_ARE = (ValuesStreamEvent, UpdatesStreamEvent, CustomStreamEvent)

#: What went wrong, in a word for a page's code, and in a sentence for its reader.
_TOLD: Mapping[str, str] = {
    "failed": "The run failed.",
    "cancelled": "The run was cancelled.",
    "timed_out": "The run took longer than the server allows.",
    "deadline": "The answer takes longer than one response may.",
    "gap": "Some events were lost, and cannot be sent again.",
    "not_found": "There is no such run.",
    "unavailable": "The server cannot be reached at the moment.",
    "internal": "Something went wrong.",
}


# -- what goes through


def browser_event(event: StreamEvent) -> Optional[StreamEvent]:
    """What of an event may go to a browser by default; None for nothing.

    ``values``, ``updates`` and ``custom`` are sent as they are: they are what the stream was opened for. Of ``metadata`` the run's
    id and attempt; of messages the messages, and about each its node, step and tags. Nothing of ``events``, ``tasks``,
    ``checkpoints``, ``debug`` and ``feedback``, nor of kinds that this library does not know: they hold inputs, configuration
    and keys. Give ``transform=`` to `stream_response` to decide otherwise; there this function may be called.

    >>> browser_event(MetadataStreamEvent("metadata", {"run_id": "1f0c", "attempt": 1, "user": "ada"})).data
    {'run_id': '1f0c', 'attempt': 1}
    >>> browser_event(StreamEvent("checkpoints", {"config": {}})) is None
    True
    """
    if isinstance(event, _AS_THEY_ARE):
        return event
    if isinstance(event, MetadataStreamEvent):
        return _with(event, _chosen(event.data, _ABOUT_RUN))
    if isinstance(event, MessagesStreamEvent):
        return _with(event, _messages(event))
    return None


def _with(event: StreamEvent, data: Any) -> StreamEvent:
    return attrs.evolve(event, data=data, raw="")


def _chosen(data: Any, names: Any) -> Dict[str, Any]:
    return {name: data[name] for name in names if name in data} if isinstance(data, dict) else {}


def _messages(event: StreamEvent) -> Any:
    data = event.data
    name = event.event.split("|", 1)[0]
    if name in ("messages/partial", "messages/complete"):
        return data
    if name == "messages/metadata":
        told = data.items() if isinstance(data, dict) else ()
        return {key: {"metadata": _chosen(_field(value, "metadata"), _ABOUT_MESSAGE)} for key, value in told}
    if isinstance(data, list) and len(data) == 2:
        return [data[0], _chosen(data[1], _ABOUT_MESSAGE)]
    return []


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


# -- how it is written


def frame(event: str, data: bytes, event_id: Optional[str] = None) -> bytes:
    r"""One server-sent event. Line ends of any kind in *data* begin another data line; in a name or an id they are refused.

    >>> frame("custom", b"1\r\n2", "7")
    b'event: custom\nid: 7\ndata: 1\ndata: 2\n\n'
    """
    head = f"event: {_line('event', event)}\n"
    if event_id is not None:
        head += f"id: {_line('id', event_id)}\n"
    body = b"".join(b"data: " + line + b"\n" for line in _LINE_END.split(data))
    return head.encode("utf-8", "replace") + body + b"\n"


def _line(what: str, text: str) -> str:
    if any(char in text for char in "\r\n\0"):
        raise InvalidRequestError(f"{what}={text!r}: give one line of text without NUL")
    return text


def event_frame(event: StreamEvent, data: Any = ..., event_id: Optional[str] = None) -> bytes:
    """An event of a run with its own data, or with others. The data are JSON in any case, on one line."""
    if data is ...:
        data = event.data
        if event.raw and data.__class__ is not str:  # as it was sent; but plain text, which some servers send, is no JSON
            return frame(event.event, event.raw.encode("utf-8", "replace"), event_id)
    return frame(event.event, encode(data), event_id)


# -- errors


def code_of(error: BaseException) -> str:
    """The word for an error, as the page's code gets it."""
    if isinstance(error, RunFailedError):
        return "failed"
    if isinstance(error, RunCancelledError):
        return "cancelled"
    if isinstance(error, RunTimedOutError):
        return "timed_out"
    if isinstance(error, RunError):
        return "failed"
    if isinstance(error, PlaceLostError):
        return "gap"
    if isinstance(error, NotFoundError):
        return "not_found"
    if isinstance(error, DeadlineExceededError):
        return "deadline"
    return "unavailable" if is_passing(error) else "internal"


def is_passing(error: BaseException) -> bool:
    """Whether the run may go on and another stream may follow it, so that the browser should come back."""
    if isinstance(error, APIStatusError):
        return isinstance(error, (RateLimitError, InternalServerError))
    final = (PlaceLostError, ResponseDecodeError)
    return isinstance(error, (APIConnectionError, AbortedError)) and not isinstance(error, final)


def error_frame(error: BaseException, *, show: bool = False) -> bytes:
    """The event ``error`` for a browser: a code and a general sentence; with *show* the graph's own words as well."""
    code = code_of(error)
    told: Dict[str, Any] = {"code": code, "message": _TOLD[code], "retry": is_passing(error)}
    if show and isinstance(error, RunFailedError):
        told["error"], told["message"] = error.error, error.message or told["message"]
    elif show and isinstance(error, LangGraphRunsError):
        told["error"], told["message"] = type(error).__name__, str(error)
    return frame("error", encode(told))

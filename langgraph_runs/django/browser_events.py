"""Filter a run's events for a browser, and encode them as server-sent events. No I/O."""

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
    StreamInterruptedError,
    UpdatesStreamEvent,
    ValuesStreamEvent,
)
from ..serialization import encode

__all__ = ["HEARTBEAT", "browser_event", "code_of", "error_frame", "event_frame", "frame", "is_retryable"]

#: A comment line, which a browser ignores.
HEARTBEAT = b": heartbeat\n\n"
_LINE_END = re.compile(rb"\r\n|\r|\n")
#: The metadata of a message that a browser may see. The rest is the run's config: users, ids, whatever the graph was given.
_MESSAGE_FIELDS = ("langgraph_node", "langgraph_step", "tags")
_RUN_FIELDS = ("run_id", "attempt")
_SENT_UNCHANGED = (ValuesStreamEvent, UpdatesStreamEvent, CustomStreamEvent)

#: The codes of errors, for the page's script, and a sentence for each, for its reader.
_MESSAGES: Mapping[str, str] = {
    "failed": "The run failed.",
    "cancelled": "The run was cancelled.",
    "timed_out": "The run took longer than the server allows.",
    "deadline": "The run takes longer than one response may last.",
    "gap": "Some events were lost, and cannot be sent again.",
    "not_found": "There is no such run.",
    "unavailable": "The server cannot be reached at the moment.",
    "internal": "Something went wrong.",
}


# -- filtering


def browser_event(event: StreamEvent) -> Optional[StreamEvent]:
    """The default *transform* of `stream_response`: return the event to send to the browser, or None to send nothing.

    ``values``, ``updates`` and ``custom`` are sent unchanged. Of ``metadata`` only the run's id and attempt are sent; of messages
    the messages, each with its node, step and tags. Events of the kinds ``events``, ``tasks``, ``checkpoints``, ``debug`` and
    ``feedback`` are not sent, nor those of kinds that this library does not know: they contain inputs, configuration and keys. Pass
    *transform* to `stream_response` for other rules; it may call this function.

    >>> browser_event(MetadataStreamEvent("metadata", {"run_id": "1f0c", "attempt": 1, "user": "ada"})).data
    {'run_id': '1f0c', 'attempt': 1}
    >>> browser_event(StreamEvent("checkpoints", {"config": {}})) is None
    True
    """
    if isinstance(event, _SENT_UNCHANGED):
        return event
    if isinstance(event, MetadataStreamEvent):
        return _with_data(event, _select(event.data, _RUN_FIELDS))
    if isinstance(event, MessagesStreamEvent):
        return _with_data(event, _messages(event))
    return None


def _with_data(event: StreamEvent, data: Any) -> StreamEvent:
    return attrs.evolve(event, data=data, raw="")


def _select(data: Any, names: Any) -> Dict[str, Any]:
    return {name: data[name] for name in names if name in data} if isinstance(data, dict) else {}


def _messages(event: StreamEvent) -> Any:
    data = event.data
    name = event.event.split("|", 1)[0]
    if name in ("messages/partial", "messages/complete"):
        return data
    if name == "messages/metadata":
        items = data.items() if isinstance(data, dict) else ()
        return {key: {"metadata": _select(_field(value, "metadata"), _MESSAGE_FIELDS)} for key, value in items}
    if isinstance(data, list) and len(data) == 2:
        return [data[0], _select(data[1], _MESSAGE_FIELDS)]
    return []


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


# -- encoding


def frame(event: str, data: bytes, event_id: Optional[str] = None) -> bytes:
    r"""Return one encoded event. Each line of *data* becomes a data line; a name or an id with a line end is refused.

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
    """Encode an event of a run, with its own data or with *data*. The data are sent as one line of JSON."""
    if data is ...:
        data = event.data
        if event.raw and data.__class__ is not str:  # the text as received, unless it is plain text, which some servers send
            return frame(event.event, event.raw.encode("utf-8", "replace"), event_id)
    return frame(event.event, encode(data), event_id)


# -- errors


def code_of(error: BaseException) -> str:
    """Return the code of an error for the page's script."""
    if isinstance(error, RunFailedError):
        return "failed"
    if isinstance(error, RunCancelledError):
        return "cancelled"
    if isinstance(error, RunTimedOutError):
        return "timed_out"
    if isinstance(error, RunError):
        return "failed"
    if isinstance(error, StreamInterruptedError) and not is_retryable(error):
        return "gap"
    if isinstance(error, NotFoundError):
        return "not_found"
    if isinstance(error, DeadlineExceededError):
        return "deadline"
    return "unavailable" if is_retryable(error) else "internal"


def is_retryable(error: BaseException) -> bool:
    """Return True if the run may still go on."""
    if isinstance(error, APIStatusError):
        return isinstance(error, (RateLimitError, InternalServerError))
    if isinstance(error, StreamInterruptedError):
        return error.__cause__ is not None  # else events are missing, and will be missing from the next response too
    return isinstance(error, (APIConnectionError, AbortedError)) and not isinstance(error, ResponseDecodeError)


def error_frame(error: BaseException, *, show: bool = False, retry: bool = False) -> bytes:
    """Encode the event ``error``: a code and a general sentence; with *show*, the class and message of the graph's exception.

    *retry* says whether the browser should repeat its request.
    """
    code = code_of(error)
    data: Dict[str, Any] = {"code": code, "message": _MESSAGES[code], "retry": retry}
    if show and isinstance(error, RunFailedError):
        data["error"], data["message"] = error.error, error.message or data["message"]
    elif show and isinstance(error, LangGraphRunsError):
        data["error"], data["message"] = type(error).__name__, str(error)
    return frame("error", encode(data))

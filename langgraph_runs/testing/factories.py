"""Factories of runs, threads, states and events, for tests of code that receives them.

Each function builds JSON as the server sends it, and decodes it as the client decodes responses. So the records are valid: ids are
UUIDs, times are aware, and fields are consistent with one another.
"""

from __future__ import annotations

import datetime
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .. import InvalidRequestError, Run, StreamEvent, Thread, ThreadState
from ..serialization import decode, encode, parse
from ..streaming import build_event, event_class
from .server_json import interrupt_json, is_id, new_id, run_json, state_json, thread_json

__all__ = [
    "custom_event",
    "error_event",
    "make_event",
    "make_run",
    "make_state",
    "make_thread",
    "message_event",
    "metadata_event",
    "updates_event",
    "values_event",
]

_SECOND = datetime.timedelta(seconds=1)
#: The status of a thread whose last run has this status; a status that is not here leaves it idle.
_THREAD_STATUS = {"pending": "busy", "running": "busy", "error": "error", "timeout": "error", "interrupted": "interrupted"}


def make_run(
    *,
    run_id: Optional[str] = None,
    thread_id: Optional[str] = None,
    assistant_id: str = "agent",
    status: str = "success",
    input: Any = None,
    command: Optional[Mapping[str, Any]] = None,
    config: Optional[Mapping[str, Any]] = None,
    context: Optional[Mapping[str, Any]] = None,
    metadata: Optional[Mapping[str, Any]] = None,
    multitask_strategy: str = "enqueue",
    request_id: Optional[str] = None,
    created_at: Optional[datetime.datetime] = None,
    updated_at: Optional[datetime.datetime] = None,
) -> Run:
    """Return a run of the graph or assistant *assistant_id*, as ``client.runs.get`` returns it.

    >>> run = make_run(status="error", input={"n": 1})
    >>> run.finished, run.kwargs["input"], run.created_at < run.updated_at
    (True, {'n': 1}, True)
    """
    begun, ended = _span("created_at", created_at, "updated_at", updated_at, moved=status != "pending")
    body = {
        "input": input,
        "command": command,
        "config": config,
        "context": context,
        "multitask_strategy": multitask_strategy,
    }
    made = run_json(
        run_id=_id("run_id", run_id),
        thread_id=_id("thread_id", thread_id),
        assistant_id=assistant_id,
        status=status,
        body=_json({name: value for name, value in body.items() if value is not None}),
        metadata=metadata,
        request_id=request_id,
        created_at=begun,
        updated_at=ended,
    )
    return decode(made, Run)


def make_thread(
    *,
    run: Optional[Run] = None,
    thread_id: Optional[str] = None,
    status: Optional[str] = None,
    metadata: Optional[Mapping[str, Any]] = None,
    values: Any = None,
    questions: Sequence[Any] = (),
    error: Optional[tuple[str, str]] = None,
    created_at: Optional[datetime.datetime] = None,
    updated_at: Optional[datetime.datetime] = None,
) -> Thread:
    """Return a thread, as ``client.threads.get`` returns it; the thread of *run*, if that is given.

    *questions* are the questions to a human that it is paused at. *error* is the class and message of the exception of its last
    run. If *status* is not given, it follows from these and from *run*.

    >>> run = make_run(status="error")
    >>> thread = make_thread(run=run, error=("ValueError", "no ink"))
    >>> thread.status, thread.thread_id == run.thread_id, thread.error["message"]
    ('error', True, 'no ink')
    """
    if run is not None and thread_id not in (None, run.thread_id):
        raise InvalidRequestError(f"thread_id={thread_id!r}: the run is one of thread {run.thread_id!r}")
    failure = {"error": error[0], "message": error[1]} if error else None
    if failure is None and run is not None and run.status in ("error", "timeout"):
        failure = {"error": "TimeoutError" if run.status == "timeout" else "ValueError", "message": ""}
    if status is None:
        status = "interrupted" if questions else "error" if failure else _THREAD_STATUS.get(run.status, "idle") if run else "idle"
    own: dict[str, Any] = {key: run.metadata[key] for key in ("graph_id", "assistant_id") if key in run.metadata} if run else {}
    begun, ended = _span("created_at", created_at, "updated_at", updated_at, moved=run is not None or values is not None)
    made = thread_json(
        thread_id=run.thread_id if run else _id("thread_id", thread_id),
        status=status,
        metadata={**own, **(metadata or {})},
        values=_json(values),
        created_at=begun,
    )
    interrupts = {str(uuid.uuid4()): [interrupt_json(question) for question in _json(list(questions))]} if questions else {}
    made.update(error=failure, interrupts=interrupts, updated_at=ended, state_updated_at=ended)
    return decode(made, Thread)


def make_state(
    *,
    run: Optional[Run] = None,
    thread_id: Optional[str] = None,
    values: Any = None,
    next: Sequence[str] = (),
    questions: Sequence[Any] = (),
    error: Optional[str] = None,
    created_at: Optional[datetime.datetime] = None,
) -> ThreadState:
    """Return the state of a thread, as ``client.threads.get_state`` returns it; of *run*, if that is given.

    *next* are the names of the next nodes. The first of them asks the *questions*, or has failed with *error*, such as
    ``"ValueError('no ink')"``; if there is none, it is called ``review``.

    >>> state = make_state(values={"n": 1}, questions=["Send this?"])
    >>> state.next, state.interrupts[0].value, state.tasks[0].interrupts == state.interrupts
    (('review',), 'Send this?', True)
    """
    if not next and (questions or error):
        next = ("review",)
    metadata = {**run.metadata, "run_id": run.run_id} if run else {}
    made = state_json(
        thread_id=run.thread_id if run else _id("thread_id", thread_id) or new_id(),
        values=_json({} if values is None else values),
        next=next,
        error=error,
        interrupts=[interrupt_json(question) for question in _json(list(questions))],
        metadata=metadata,
        created_at=None if created_at is None else _text("created_at", created_at),
    )
    return decode(made, ThreadState)


def make_event(name: str, data: Any = None, *, id: Optional[str] = None, at: Optional[datetime.datetime] = None) -> StreamEvent:
    """Return an event of the class for its *name*, as a stream yields it. *at* is the time of the event, an aware datetime.

    >>> event = make_event("updates|child:1f0c", {"add": {"n": 1}})
    >>> type(event).__name__, event.mode, event.namespace
    ('UpdatesStreamEvent', 'updates', ('child:1f0c',))
    """
    if not name or not isinstance(name, str):
        raise InvalidRequestError(f"name={name!r}: give the event's name, such as 'values'")
    raw = encode(data)
    moment = time.time() if at is None else _aware("at", at).timestamp()
    if id is None and at is not None:
        id = f"{int(moment * 1000)}-0"
    return build_event(event_class(name), name, parse(raw), id, raw.decode(), moment)


def values_event(values: Any, *, id: Optional[str] = None) -> StreamEvent:
    """Return an event with the whole state after a step.

    >>> values_event({"n": 1}).data
    {'n': 1}
    """
    return make_event("values", values, id=id)


def updates_event(node: str, changes: Any, *, id: Optional[str] = None) -> StreamEvent:
    """Return an event with the changes of *node*.

    >>> updates_event("add", {"n": 1}).data
    {'add': {'n': 1}}
    """
    return make_event("updates", {node: changes}, id=id)


def custom_event(data: Any, *, id: Optional[str] = None) -> StreamEvent:
    """Return an event with data that a node wrote with a stream writer; any JSON value.

    >>> custom_event("thinking").event
    'custom'
    """
    return make_event("custom", data, id=id)


def message_event(
    content: str,
    *,
    message_id: str = "lc_run--01a1fba7-134f-707a-814b-b1e6473e86be",
    node: str = "agent",
    tags: Sequence[str] = (),
    id: Optional[str] = None,
) -> StreamEvent:
    """Return an event with a chunk of a chat model's message, as in the mode ``messages-tuple``.

    The chunks of one message have the same *message_id*.

    >>> event = message_event("Hi", tags=["draft"])
    >>> event.data[0]["content"], event.tags
    ('Hi', ('draft',))
    """
    chunk: dict[str, Any] = {
        "content": content,
        "additional_kwargs": {},
        "response_metadata": {},
        "type": "AIMessageChunk",
        "name": None,
        "id": message_id,
        "tool_calls": [],
        "invalid_tool_calls": [],
        "usage_metadata": None,
        "tool_call_chunks": [],
        "chunk_position": None,
    }
    metadata = {"created_by": "system", "graph_id": "agent", "langgraph_step": 1, "langgraph_node": node, "tags": list(tags)}
    return make_event("messages", [chunk, metadata], id=id)


def metadata_event(run: Optional[Run] = None, *, attempt: int = 1) -> StreamEvent:
    """Return the first event of the stream of *run*, or of some run.

    >>> run = make_run()
    >>> metadata_event(run).data["run_id"] == run.run_id
    True
    """
    return make_event("metadata", {"run_id": run.run_id if run else new_id(), "attempt": attempt})


def error_event(error: str = "ValueError", message: str = "boom") -> StreamEvent:
    """Return the event that a stream yields before it raises `RunFailedError`.

    >>> error_event("KeyError", "ink").data
    {'error': 'KeyError', 'message': 'ink'}
    """
    return make_event("error", {"error": error, "message": message})


def _id(name: str, value: Optional[str]) -> Optional[str]:
    if value is not None and not is_id(value):
        raise InvalidRequestError(f"{name}={value!r}: the server's ids are UUIDs; leave it out to get one")
    return value


def _json(value: Any) -> Any:
    return parse(encode(value))


def _aware(name: str, moment: datetime.datetime) -> datetime.datetime:
    if not isinstance(moment, datetime.datetime) or moment.tzinfo is None:
        raise InvalidRequestError(f"{name}={moment!r}: give a datetime with a time zone, such as datetime.now(timezone.utc)")
    return moment.astimezone(datetime.timezone.utc)


def _text(name: str, moment: datetime.datetime) -> str:
    return _aware(name, moment).isoformat(timespec="microseconds")


def _span(
    first: str, begun: Optional[datetime.datetime], last: str, ended: Optional[datetime.datetime], *, moved: bool
) -> tuple[str, str]:
    """Return the two times as text, in order. One that is not given is derived from the other; later by a second if *moved*."""
    length = _SECOND if moved else datetime.timedelta(0)
    end = _aware(last, ended) if ended is not None else None
    begin = _aware(first, begun) if begun is not None else (end or datetime.datetime.now(datetime.timezone.utc)) - length
    end = begin + length if end is None else end
    if end < begin:
        raise InvalidRequestError(f"{last}={ended!r} is before {first}={begun!r}")
    return begin.isoformat(timespec="microseconds"), end.isoformat(timespec="microseconds")

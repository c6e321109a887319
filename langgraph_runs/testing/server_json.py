"""Runs, threads, states and assistants as the server tells them, as JSON: what the fake server answers and what factories decode.

The shapes are those of langgraph-api; `tests/server/test_testing.py` compares them with a real server's.
"""

from __future__ import annotations

import datetime
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Optional

__all__ = [
    "assistant_id_of",
    "assistant_json",
    "interrupt_json",
    "is_id",
    "new_id",
    "now",
    "run_json",
    "state_json",
    "thread_json",
]

#: The server makes the id of a graph's own assistant from the graph's name in this namespace.
_GRAPHS = uuid.UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")


def new_id() -> str:
    """An id as the server makes them for runs and threads: UUID version 7, which begins with the time.

    >>> uuid.UUID(new_id()).version, new_id() != new_id()
    (7, True)
    """
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | 7 << 76
    number = number & ~(3 << 62) | 2 << 62
    return str(uuid.UUID(int=number))


def is_id(text: Any) -> bool:
    """Whether the server takes it for an id: a UUID in any spelling.

    >>> is_id("01a1fba7-134d-75bb-be92-342b603af512"), is_id("my thread")
    (True, False)
    """
    try:
        uuid.UUID(text)
    except (ValueError, AttributeError, TypeError):
        return False
    return True


def assistant_id_of(name: str) -> str:
    """The assistant id for the name of a graph, the same on every server; an id stays as it is.

    >>> assistant_id_of("agent")
    'fe096781-5601-53d2-b2f6-0d3403f7e9ca'
    """
    return name if is_id(name) else str(uuid.uuid5(_GRAPHS, name))


def now() -> str:
    """The time, as the server writes it."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds")


def run_json(
    *,
    run_id: Optional[str] = None,
    thread_id: Optional[str] = None,
    assistant_id: str = "agent",
    graph_id: Optional[str] = None,
    status: str = "success",
    body: Optional[Mapping[str, Any]] = None,
    metadata: Optional[Mapping[str, Any]] = None,
    request_id: Optional[str] = None,
    temporary: bool = False,
    resumable: Optional[bool] = None,
    created_at: Optional[str] = None,
    updated_at: Optional[str] = None,
) -> dict[str, Any]:
    """A run that the request *body* has made; *metadata* are all that the server has merged for it."""
    body = body or {}
    run_id, thread_id = run_id or new_id(), thread_id or new_id()
    graph_id = graph_id or ("agent" if is_id(assistant_id) else assistant_id)
    assistant_id = assistant_id_of(assistant_id)
    merged = {"created_by": "system", "graph_id": graph_id, "assistant_id": assistant_id, **(metadata or {})}
    config = dict(body.get("config") or {})
    configurable = {
        **(config.get("configurable") or {}),
        "langgraph_auth_user": None,
        "langgraph_auth_user_id": "",
        "langgraph_auth_permissions": [],
        "langgraph_request_id": request_id or str(uuid.uuid4()),
        "run_id": run_id,
        "thread_id": thread_id,
        "graph_id": graph_id,
        "assistant_id": assistant_id,
        "user_id": "",
    }
    modes = body.get("stream_mode") or ["values"]
    created_at = created_at or now()
    return {
        "run_id": run_id,
        "thread_id": thread_id,
        "assistant_id": assistant_id,
        "metadata": merged,
        "status": status,
        "kwargs": {
            "input": body.get("input"),
            "command": body.get("command"),
            "config": {**config, "configurable": configurable, "metadata": dict(merged)},
            "context": body.get("context") or {},
            "stream_mode": [modes] if isinstance(modes, str) else list(modes),
            "interrupt_before": body.get("interrupt_before"),
            "interrupt_after": body.get("interrupt_after"),
            "webhook": body.get("webhook"),
            "feedback_keys": body.get("feedback_keys"),
            "temporary": temporary,
            "subgraphs": bool(body.get("stream_subgraphs")),
            "resumable": bool(body.get("stream_resumable")) if resumable is None else resumable,
            "checkpoint_during": body.get("durability") != "exit",
            "durability": body.get("durability") or "async",
        },
        "multitask_strategy": body.get("multitask_strategy") or "enqueue",
        "created_at": created_at,
        "updated_at": updated_at or created_at,
        "langsmith_session_name": None,
    }


def thread_json(
    *,
    thread_id: Optional[str] = None,
    status: str = "idle",
    metadata: Optional[Mapping[str, Any]] = None,
    values: Any = None,
    created_at: Optional[str] = None,
) -> dict[str, Any]:
    """A thread that no run has worked on; the keys ``error`` and ``interrupts`` come with the first run's end."""
    created_at = created_at or now()
    return {
        "thread_id": thread_id or new_id(),
        "created_at": created_at,
        "updated_at": created_at,
        "state_updated_at": created_at,
        "metadata": dict(metadata or {}),
        "status": status,
        "config": {},
        "values": values,
    }


def interrupt_json(value: Any, interrupt_id: Optional[str] = None) -> dict[str, Any]:
    """A question to a human, as the thread and its states tell it."""
    return {"id": interrupt_id or uuid.uuid4().hex, "value": value}


def state_json(
    *,
    thread_id: str,
    values: Any,
    next: Sequence[str] = (),
    error: Optional[str] = None,
    interrupts: Sequence[Mapping[str, Any]] = (),
    metadata: Optional[Mapping[str, Any]] = None,
    parent: Optional[Mapping[str, Any]] = None,
    task_id: Optional[str] = None,
    created_at: Optional[str] = None,
) -> dict[str, Any]:
    """A thread's state at one checkpoint. The first of the nodes in *next* is the one that failed with *error*, or asks."""

    def place(checkpoint_id: str) -> dict[str, Any]:
        return {"checkpoint_id": checkpoint_id, "thread_id": thread_id, "checkpoint_ns": ""}

    checkpoint_id, asked = new_id(), [dict(one) for one in interrupts]
    parent_id = parent["checkpoint_id"] if parent else None
    step = parent["metadata"]["step"] + 1 if parent else 0
    tasks = [
        {
            "id": (task_id if first else None) or new_id(),
            "name": name,
            "path": ["__pregel_pull", name],
            "error": error if first else None,
            "interrupts": asked if first else [],
            "checkpoint": None,
            "state": None,
            "result": None,
        }
        for name, first in zip(next, [True, *[False] * len(next)])
    ]
    return {
        "values": values,
        "next": list(next),
        "tasks": tasks,
        "metadata": {"source": "loop", "step": step, "parents": {}, "thread_id": thread_id, **(metadata or {})},
        "created_at": created_at or now(),
        "checkpoint": place(checkpoint_id),
        "parent_checkpoint": place(parent_id) if parent_id else None,
        "interrupts": asked,
        "checkpoint_id": checkpoint_id,
        "parent_checkpoint_id": parent_id,
    }


def assistant_json(name: str, created_at: Optional[str] = None) -> dict[str, Any]:
    """The assistant that a server makes for each of its graphs."""
    moment = created_at or now()
    return {
        "assistant_id": assistant_id_of(name),
        "graph_id": name,
        "config": {},
        "context": {},
        "metadata": {"created_by": "system"},
        "name": name,
        "created_at": moment,
        "updated_at": moment,
        "version": 1,
        "description": None,
    }

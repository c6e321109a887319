"""JSON of runs, threads, states and assistants, as langgraph-api sends it: for the fake server's responses and for the factories.

`tests/server/test_testing.py` compares it with the JSON of a real server.
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
    "cron_json",
    "interrupt_json",
    "is_id",
    "new_id",
    "now",
    "run_json",
    "state_json",
    "thread_json",
]

#: The namespace in which the server derives the id of a graph's default assistant from the graph's name.
_GRAPH_NAMESPACE = uuid.UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")


def new_id() -> str:
    """Return a new id, as the server makes them for runs and threads: a UUID of version 7, which begins with the time.

    >>> uuid.UUID(new_id()).version, new_id() != new_id()
    (7, True)
    """
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | 7 << 76
    number = number & ~(3 << 62) | 2 << 62
    return str(uuid.UUID(int=number))


def is_id(text: Any) -> bool:
    """Return True if the server accepts *text* as an id: a UUID in any spelling.

    >>> is_id("01a1fba7-134d-75bb-be92-342b603af512"), is_id("my thread")
    (True, False)
    """
    try:
        uuid.UUID(text)
    except (ValueError, AttributeError, TypeError):
        return False
    return True


def assistant_id_of(name: str) -> str:
    """Return the id of the default assistant of the graph *name*, the same on every server. An id is returned unchanged.

    >>> assistant_id_of("agent")
    'fe096781-5601-53d2-b2f6-0d3403f7e9ca'
    """
    return name if is_id(name) else str(uuid.uuid5(_GRAPH_NAMESPACE, name))


def now() -> str:
    """Return the current time, as the server writes it."""
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
    """Return a run that was created by a request with *body*. *metadata* is the merged metadata of the run."""
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
    """Return a thread without runs. The keys ``error`` and ``interrupts`` are added when its first run ends."""
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
    """Return a question to a human, as it is part of a thread and its states."""
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
    """Return the state of a thread at one checkpoint. The first node of *next* has failed with *error*, or asks *interrupts*."""

    def checkpoint(checkpoint_id: str) -> dict[str, Any]:
        return {"checkpoint_id": checkpoint_id, "thread_id": thread_id, "checkpoint_ns": ""}

    checkpoint_id, questions = new_id(), [dict(one) for one in interrupts]
    parent_id = parent["checkpoint_id"] if parent else None
    step = parent["metadata"]["step"] + 1 if parent else 0
    tasks = [
        {
            "id": (task_id if first else None) or new_id(),
            "name": name,
            "path": ["__pregel_pull", name],
            "error": error if first else None,
            "interrupts": questions if first else [],
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
        "checkpoint": checkpoint(checkpoint_id),
        "parent_checkpoint": checkpoint(parent_id) if parent_id else None,
        "interrupts": questions,
        "checkpoint_id": checkpoint_id,
        "parent_checkpoint_id": parent_id,
    }


def assistant_json(name: str, created_at: Optional[str] = None) -> dict[str, Any]:
    """Return the default assistant of the graph *name*."""
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


def cron_json(body: Mapping[str, Any], thread_id: Optional[str] = None) -> dict[str, Any]:
    """Return a cron that was created by a request with *body*. Its next run is not computed: it is the time of its creation."""
    cron_id, moment = new_id(), now()
    assistant_id = assistant_id_of(body["assistant_id"])
    config = dict(body.get("config") or {})
    config["configurable"] = {**(config.get("configurable") or {}), "cron_id": cron_id}
    return {
        "cron_id": cron_id,
        "assistant_id": assistant_id,
        "thread_id": thread_id,
        "user_id": "",
        "end_time": body.get("end_time"),
        "schedule": body["schedule"],
        "timezone": body.get("timezone"),
        "payload": {**body, "assistant_id": assistant_id, "config": config},
        "next_run_date": moment,
        "metadata": dict(body.get("metadata") or {}),
        "on_run_completed": None if thread_id is not None else body.get("on_run_completed") or "delete",
        "enabled": body.get("enabled", True),
        "created_at": moment,
        "updated_at": moment,
    }

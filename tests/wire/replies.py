"""Replies of `langgraph_runs.testing`, and a run and a thread that are always the same, for answers that do not care which."""

from __future__ import annotations

from typing import Any

from langgraph_runs.testing.replies import (
    Break,
    Item,
    Reply,
    chunked,
    cut_request_after,
    drop_before_answer,
    event,
    heartbeat,
    raw,
    reply,
    reply_json,
    reset_before_answer,
    run_headers,
    sse,
    stall,
    waiting,
)

__all__ = [
    "ASSISTANT_ID",
    "RUN_ID",
    "THREAD_ID",
    "Break",
    "Item",
    "Reply",
    "chunked",
    "cut_request_after",
    "drop_before_answer",
    "event",
    "heartbeat",
    "raw",
    "reply",
    "reply_json",
    "reset_before_answer",
    "run_headers",
    "run_json",
    "sse",
    "stall",
    "thread_json",
    "waiting",
]

#: Ids for answers that need one and do not care which.
THREAD_ID = "01a1fba7-134d-75bb-be92-342b603af512"
RUN_ID = "01a1fba7-134f-707a-814b-b1e6473e86be"
ASSISTANT_ID = "fe096781-5601-53d2-b2f6-0d3403f7e9ca"


def run_json(status: str = "success", **fields: Any) -> dict[str, Any]:
    """A Run as the server sends it, with `fields` laid over."""
    run = {
        "run_id": RUN_ID,
        "thread_id": THREAD_ID,
        "assistant_id": ASSISTANT_ID,
        "metadata": {"created_by": "system", "graph_id": "agent", "assistant_id": ASSISTANT_ID},
        "status": status,
        "kwargs": {"input": {"n": 1}, "config": {"configurable": {"langgraph_request_id": None}}},
        "multitask_strategy": "enqueue",
        "created_at": "2026-11-21T01:09:53.104205+00:00",
        "updated_at": "2026-11-21T01:09:53.104211+00:00",
        "langsmith_session_name": None,
    }
    return {**run, **fields}


def thread_json(status: str = "idle", **fields: Any) -> dict[str, Any]:
    """A Thread as the server sends it, with `fields` laid over."""
    thread: dict[str, Any] = {
        "thread_id": THREAD_ID,
        "created_at": "2026-11-21T01:09:53.104205+00:00",
        "updated_at": "2026-11-21T01:09:53.104211+00:00",
        "state_updated_at": "2026-11-21T01:09:53.104211+00:00",
        "metadata": {},
        "status": status,
        "config": {},
        "values": None,
    }
    return {**thread, **fields}

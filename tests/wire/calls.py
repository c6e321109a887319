"""Every call of a client, with its request and a response that makes it succeed, for tests of rules that hold for all calls."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable

import pytest

from langgraph_runs import Client, RetryPolicy
from langgraph_runs.testing.loopback_server import Request

from .replies import ASSISTANT_ID, RUN_ID, THREAD_ID, Reply, reply, reply_json, run_headers, run_json, sse, thread_json, waiting

__all__ = ["CALLS", "CREATES", "QUICK", "Call", "after", "body_of", "calls", "hasty", "named"]

#: The retry policy of tests: four attempts, with almost no time between them.
QUICK = RetryPolicy(wait_initial=0.001, wait_max=0.001)

T = f"/threads/{THREAD_ID}"
R = f"{T}/runs/{RUN_ID}"
VALUES = {"n": 1}
EVENTS = (("metadata", {"run_id": RUN_ID, "attempt": 1}), ("values", VALUES))
STATE = {"values": VALUES, "next": [], "metadata": {"run_id": RUN_ID}, "tasks": [], "checkpoint": {"checkpoint_id": "c"}}
ITEMS, ITEM = "/store/items", {"namespace": ["n"], "key": "k", "value": {}}
ASSISTANT = {"assistant_id": ASSISTANT_ID, "graph_id": "agent", "name": "agent"}


def body_of(request: Request) -> Any:
    """Return the body of a create without its marker, which it must have; of a batch, without the markers of its items."""
    body = request.json()
    for item in body if isinstance(body, list) else [body]:
        uuid.UUID(item["metadata"]["langgraph_runs_request_id"].split()[-1])
        for holder, within in ((item.get("config", {}), item), (item, None)):
            metadata = holder.get("metadata", {})
            for name in ("langgraph_runs_request_id", "langgraph_runs_batch_item"):
                metadata.pop(name, None)
            if metadata == {}:
                holder.pop("metadata", None)
            if holder == {} and within:
                within.pop("config", None)
    return body


@dataclass(frozen=True)
class Call:
    """One call of a client. Calling this object makes the call, with further options; streams are read to their end."""

    name: str
    method: str
    path: str
    make: Callable[..., Any]
    #: A response that makes the call succeed.
    good: Reply
    #: ``read`` (may be repeated), ``end`` (may be repeated; 404 on a repeat means done), ``create`` (a run; once) or ``write`` (once).
    kind: str = "read"
    #: What the response must contain: ``json``, ``sse`` or ``nothing``.
    due: str = "json"

    def __call__(self, client: Client, **options: Any) -> Any:
        return self.make(client, **options)

    def __str__(self) -> str:
        return self.name


def _streamed(stream: Any) -> list[Any]:
    with stream:
        return list(stream)


ON_THREAD = (THREAD_ID, "agent")
RUN = (THREAD_ID, RUN_ID)
GOOD_RUN = reply_json(200, run_json(), run_headers(THREAD_ID, RUN_ID))
GOOD_STREAM = sse(*EVENTS, run=RUN)
GOOD_WAIT = waiting("\n", value=VALUES, run=RUN)
NOTHING = reply(204)

CALLS: tuple[Call, ...] = (
    Call("create", "POST", f"{T}/runs", lambda c, **o: c.runs.create(*ON_THREAD, **o), GOOD_RUN, "create"),
    Call("create_stateless", "POST", "/runs", lambda c, **o: c.runs.create(None, "agent", **o), GOOD_RUN, "create"),
    Call(
        "create_batch",
        "POST",
        "/runs/batch",
        lambda c, **o: c.runs.create_batch([{"assistant_id": "agent"}], **o),
        reply_json(200, [run_json()]),
        "create",
    ),
    Call("wait", "POST", f"{T}/runs/wait", lambda c, **o: c.runs.wait(*ON_THREAD, **o), GOOD_WAIT, "create"),
    Call(
        "stream", "POST", f"{T}/runs/stream", lambda c, **o: _streamed(c.runs.stream(*ON_THREAD, **o)), GOOD_STREAM, "create", "sse"
    ),
    Call("list", "GET", f"{T}/runs", lambda c, **o: c.runs.list(THREAD_ID, **o), reply_json(200, [run_json()])),
    Call("iter", "GET", f"{T}/runs", lambda c, **o: list(c.runs.iter(THREAD_ID, **o)), reply_json(200, [run_json()])),
    Call("get", "GET", R, lambda c, **o: c.runs.get(*RUN, **o), reply_json(200, run_json())),
    Call("cancel", "POST", f"{R}/cancel", lambda c, **o: c.runs.cancel(*RUN, **o), reply(202), "end", "nothing"),
    Call(
        "cancel_and_wait",
        "POST",
        f"{R}/cancel",
        lambda c, **o: c.runs.cancel(*RUN, wait=True, **o),
        reply_json(200, {}),
        "end",
        "nothing",
    ),
    Call(
        "cancel_many",
        "POST",
        "/runs/cancel",
        lambda c, **o: c.runs.cancel_many(thread_id=THREAD_ID, run_ids=[RUN_ID], **o),
        NOTHING,
        "end",
        "nothing",
    ),
    Call("join", "GET", f"{R}/join", lambda c, **o: c.runs.join(*RUN, **o), GOOD_WAIT),
    Call("join_stream", "GET", f"{R}/stream", lambda c, **o: _streamed(c.runs.join_stream(*RUN, **o)), GOOD_STREAM, "read", "sse"),
    Call("delete", "DELETE", R, lambda c, **o: c.runs.delete(*RUN, **o), NOTHING, "end", "nothing"),
    Call("threads.create", "POST", "/threads", lambda c, **o: c.threads.create(**o), reply_json(200, thread_json()), "write"),
    Call("threads.get", "GET", T, lambda c, **o: c.threads.get(THREAD_ID, **o), reply_json(200, thread_json())),
    Call(
        "threads.update", "PATCH", T, lambda c, **o: c.threads.update(THREAD_ID, metadata={}, **o), reply_json(200, thread_json())
    ),
    Call("threads.delete", "DELETE", T, lambda c, **o: c.threads.delete(THREAD_ID, **o), NOTHING, "end", "nothing"),
    Call(
        "threads.copy", "POST", f"{T}/copy", lambda c, **o: c.threads.copy(THREAD_ID, **o), reply_json(200, thread_json()), "write"
    ),
    Call("threads.search", "POST", "/threads/search", lambda c, **o: c.threads.search(**o), reply_json(200, [thread_json()])),
    Call("threads.get_state", "GET", f"{T}/state", lambda c, **o: c.threads.get_state(THREAD_ID, **o), reply_json(200, STATE)),
    Call(
        "threads.update_state",
        "POST",
        f"{T}/state",
        lambda c, **o: c.threads.update_state(THREAD_ID, {}, **o),
        reply_json(200, {"checkpoint": {"checkpoint_id": "c"}}),
        "write",
    ),
    Call(
        "threads.get_history",
        "POST",
        f"{T}/history",
        lambda c, **o: c.threads.get_history(THREAD_ID, **o),
        reply_json(200, [STATE]),
    ),
    Call(
        "assistants.get",
        "GET",
        f"/assistants/{ASSISTANT_ID}",
        lambda c, **o: c.assistants.get(ASSISTANT_ID, **o),
        reply_json(200, ASSISTANT),
    ),
    Call("assistants.search", "POST", "/assistants/search", lambda c, **o: c.assistants.search(**o), reply_json(200, [ASSISTANT])),
    Call(
        "assistants.update",
        "PATCH",
        f"/assistants/{ASSISTANT_ID}",
        lambda c, **o: c.assistants.update(ASSISTANT_ID, name="n", **o),
        reply_json(200, ASSISTANT),
        "write",
    ),
    Call("store.put_item", "PUT", ITEMS, lambda c, **o: c.store.put_item(["n"], "k", {}, **o), NOTHING, "read", "nothing"),
    Call("store.get_item", "GET", ITEMS, lambda c, **o: c.store.get_item(["n"], "k", **o), reply_json(200, ITEM)),
    Call("ok", "GET", "/ok", lambda c, **o: c.ok(**o), reply_json(200, {"ok": True}), "read", "nothing"),
    Call("info", "GET", "/info", lambda c, **o: c.info(**o), reply_json(200, {"version": "0.16.7", "flags": {}})),
)
CREATES = tuple(call for call in CALLS if call.kind == "create")


def named(name: str) -> Call:
    """Return the call of this name."""
    return next(call for call in CALLS if call.name == name)


def hasty(client: Client) -> Client:
    """Return the client with a sleep function that returns at once."""
    client._transport._sleep = _no_sleep
    return client.with_options()


def _no_sleep(seconds: float) -> None:
    """Return at once."""


def calls(*kinds: str, due: str = "") -> pytest.MarkDecorator:
    """Parametrize a test with each call of these kinds; without kinds, with every call."""
    chosen = [call for call in CALLS if (not kinds or call.kind in kinds) and (not due or call.due == due)]
    return pytest.mark.parametrize("call", chosen, ids=str)


def after(call: Call, **replies: Reply) -> Mapping[tuple[str, str], Reply]:
    """Return routes for the further requests of a call: the run has succeeded, and the thread's history and list contain it.

    The keywords ``run``, ``history`` and ``runs`` replace a reply. The request of the call itself is left to the script.
    """
    routes = {
        "run": (("GET", "/threads/*/runs/*"), reply_json(200, run_json("success"))),
        "history": (("POST", "/threads/*/history"), reply_json(200, [STATE])),
        "runs": (("GET", "/threads/*/runs"), reply_json(200, [run_json("success")])),
    }
    own = {"get": "run", "delete": "", "threads.get_history": "history", "list": "runs", "iter": "runs"}.get(call.name)
    return {route: replies.get(name, good) for name, (route, good) in routes.items() if name != own}


def beside(call: Call) -> Mapping[tuple[str, str], Reply]:
    """Return routes for the requests with which a refused cancel is examined: the run does not exist."""
    absent = reply_json(404, {"detail": "Run not found"})
    return {
        "cancel": {("GET", R): absent},
        "cancel_and_wait": {("GET", R): absent},
        "cancel_many": {("POST", f"{R}/cancel"): absent},
    }.get(call.name, {})

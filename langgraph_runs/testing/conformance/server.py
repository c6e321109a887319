"""The checks of what else the library promises: lists, cancels, states, statuses, and connections that fall silent."""

from __future__ import annotations

import time
import uuid
from typing import Any, Dict, List, Optional, Tuple

from ... import APIStatusError, APITimeoutError, ConflictError, LangGraphRunsError, NotFoundError, RetryPolicy, ThreadState
from ..cutting_proxy import stall_response
from .check import HOLDS, Finding, PromiseBroken, differs, expect, not_tried, promise
from .trial import Trial
from .ways import wait_ended

__all__ = ["CHECKS"]

#: Seconds of silence that the check of a silent connection allows.
_SILENCE = 0.5


@promise("list-order", "runs.list has the newest runs first, and runs.iter has all runs, each once.")
def list_order(trial: Trial) -> Finding:
    thread_id = trial.thread()
    created: List[str] = []
    for _ in range(5):
        run = trial.create(thread_id, trial.main, multitask_strategy="enqueue")
        wait_ended(trial, thread_id, run.run_id)
        created.insert(0, run.run_id)
    listed = [run.run_id for run in trial.client.runs.list(thread_id, limit=2)]
    expect(listed == created[:2], "runs.list(limit=2) does not return the two newest of five runs")
    every = [run.run_id for run in trial.client.runs.iter(thread_id, page_size=2)]
    expect(every == created, f"runs.iter yields {len(every)} runs, not the five newest first")
    first, second = (
        trial.plain("GET", f"/threads/{thread_id}/runs", query=[("limit", 2), ("offset", offset)]).json or [] for offset in (0, 2)
    )
    habits = []
    if [run.get("run_id") for run in first] != created[:2]:
        habits.append("lists runs oldest first")
    if len(second) != 2:
        habits.append("has no second page")
    if habits:
        return differs(f"the server {' and '.join(habits)}", "returns all of them, newest first")
    return HOLDS


@promise("not-found", "A run or thread that does not exist is NotFoundError.")
def not_found(trial: Trial) -> Finding:
    unknown = str(uuid.uuid4())
    thread_id = trial.thread()
    status = 0
    for call in (
        lambda: trial.client.threads.get(unknown),
        lambda: trial.client.runs.get(thread_id, unknown),
        lambda: trial.client.runs.join(thread_id, unknown),
    ):
        try:
            call()
        except NotFoundError:
            continue
        except APIStatusError as error:
            status = error.status_code
            continue
        raise PromiseBroken("a call for something that does not exist returned normally")
    return differs(f"the status is {status} and not 404", f"raises the error of {status}") if status else HOLDS


@promise("cancel-ended", "The cancel of a run that has ended is NotFoundError or ConflictError.")
def cancel_ended(trial: Trial) -> Finding:
    thread_id = trial.thread()
    run = trial.create(thread_id, trial.main)
    wait_ended(trial, thread_id, run.run_id)
    status = trial.plain("POST", f"/threads/{thread_id}/runs/{run.run_id}/cancel", query=[("wait", 0)]).status
    try:
        trial.client.runs.cancel(thread_id, run.run_id)
    except (NotFoundError, ConflictError) as error:
        raised = type(error).__name__
    else:
        raised = ""
    if not raised:
        now = trial.client.runs.get(thread_id, run.run_id).status
        changed = "" if now == "success" else f", and the status of the run becomes {now}"
        return differs(f"the server accepts it with {status}{changed}", "returns normally")
    return HOLDS if status == 404 else differs(f"the status is {status} and not 404", f"raises {raised}")


@promise("cancel-many", "cancel_many cancels the runs of a list.", needs=("lasting",))
def cancel_many(trial: Trial) -> Finding:
    thread_id = trial.thread()
    run = trial.create(thread_id, trial.graph("lasting"))
    body = {"thread_id": thread_id, "run_ids": [str(uuid.uuid4())]}
    unknown = trial.plain("POST", "/runs/cancel", body)
    try:
        trial.client.runs.cancel_many(thread_id=thread_id, run_ids=[run.run_id])
    except LangGraphRunsError as error:
        return differs("the server cannot cancel a list of runs", f"raises {type(error).__name__}")
    wait_ended(trial, thread_id, run.run_id)
    status = trial.client.runs.get(thread_id, run.run_id).status
    expect(status != "success", "the run was not cancelled")
    route = trial.plain("POST", "/runs/cancel-of-no-route", body)
    if unknown.status == route.status and unknown.text == route.text:
        return differs("there is no such route", "cancels the runs in another way")
    return HOLDS


def _history(trial: Trial) -> Tuple[str, List[ThreadState]]:
    thread_id = trial.thread()
    trial.client.runs.join(thread_id, trial.create(thread_id, trial.main).run_id)
    return thread_id, trial.client.threads.get_history(thread_id, limit=20)


def _checkpoint_id(state: ThreadState) -> Optional[str]:
    return state.checkpoint.checkpoint_id if state.checkpoint is not None else None


def _as_json(checkpoint: Any, thread_id: str) -> Dict[str, Any]:
    return {"thread_id": thread_id, "checkpoint_ns": checkpoint.checkpoint_ns or "", "checkpoint_id": checkpoint.checkpoint_id}


@promise("state-at-checkpoint", "get_state returns the state at a checkpoint.")
def state_at_checkpoint(trial: Trial) -> Finding:
    thread_id, history = _history(trial)
    if len(history) < 2 or not history[1].checkpoint:
        return not_tried("the history of a run has no second state")
    wanted = history[1].checkpoint.checkpoint_id
    for state in (
        trial.client.threads.get_state(thread_id, checkpoint_id=wanted),
        trial.client.threads.get_state(thread_id, checkpoint=history[1].checkpoint),
    ):
        found = _checkpoint_id(state)
        expect(found == wanted, f"get_state returned the state at {found} and not at {wanted}")
    body = {"checkpoint": _as_json(history[1].checkpoint, thread_id), "subgraphs": False}
    status = trial.plain("POST", f"/threads/{thread_id}/state/checkpoint", body).status
    if status >= 300:
        return differs(f"'subgraphs': false in the request gives {status}", "returns the state")
    return HOLDS


@promise("history-before", "get_history(before=) takes a checkpoint, a state or the id of a checkpoint.")
def history_before(trial: Trial) -> Finding:
    thread_id, history = _history(trial)
    if len(history) < 2 or not history[0].checkpoint:
        return not_tried("the history of a run has no second state")
    ids = [_checkpoint_id(state) for state in history]
    for before in (ids[0], history[0].checkpoint):
        rest = trial.client.threads.get_history(thread_id, limit=20, before=before)
        found = [_checkpoint_id(state) for state in rest]
        kind = "an id" if isinstance(before, str) else "a checkpoint"
        expect(found == ids[1:], f"with {kind}, {len(found)} states came and not the {len(ids) - 1} before it")
    status = trial.plain(
        "POST", f"/threads/{thread_id}/history", {"limit": 20, "before": _as_json(history[0].checkpoint, thread_id)}
    ).status
    if status >= 300:
        return differs(f"a checkpoint as 'before' gives {status}", "returns the states before it")
    return HOLDS


@promise("silent-connection", "A connection that falls silent is APITimeoutError after read_timeout.", cuts=True)
def silent_connection(trial: Trial) -> Finding:
    thread_id = trial.thread()
    with trial.cutting(read_timeout=_SILENCE, retry=RetryPolicy(attempts=1)) as (proxy, client):
        proxy.arm(stall_response(20))
        begun = time.monotonic()
        try:
            client.with_options(timeout=_SILENCE * 20).threads.get(thread_id)
        except APITimeoutError:
            took = time.monotonic() - begun
            expect(took < _SILENCE * 10, f"it was noticed after {took:.1f} s and not after {_SILENCE:g} s")
            return HOLDS
    raise PromiseBroken("the call returned normally")


@promise("ok", "client.ok(), client.info() and assistants.search work.")
def ok(trial: Trial) -> Finding:
    missing = [path for path in ("/ok", "/info") if trial.plain("GET", path).status == 404]
    for path, call in {"/ok": trial.client.ok, "/info": trial.client.info}.items():
        if path not in missing:
            call()
    trial.client.assistants.search(limit=10)
    if missing:
        return differs(f"there is no {' and no '.join(missing)}", "raises NotFoundError; doctor judges by other requests")
    return HOLDS


CHECKS = (
    list_order,
    not_found,
    cancel_ended,
    cancel_many,
    state_at_checkpoint,
    history_before,
    silent_connection,
    ok,
)

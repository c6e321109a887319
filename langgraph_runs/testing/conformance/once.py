"""The checks of the second promise: a create makes one run, whatever happens to the connection."""

from __future__ import annotations

import uuid
from typing import Any, Callable, Mapping, Optional, Set
from urllib.parse import urlsplit

from ... import APIStatusError, Client, CreateUncertainError, RunFailedError, StreamInterruptedError
from ..cutting_proxy import cut_response, swallow
from .check import HOLDS, Finding, PromiseBroken, differs, expect, not_tried, promise
from .trial import Trial
from .ways import read

__all__ = ["CHECKS"]

_MARKER = "langgraph_runs_request_id"
_OTHER_EVIDENCE = "finds the run in another way if a create is interrupted, or raises CreateUncertainError"


@promise("metadata", "The metadata of a run are kept, and with them the marker of its request.")
def metadata(trial: Trial) -> Finding:
    marker = str(uuid.uuid4())
    thread_id = trial.thread()
    created = trial.plain_start("", thread_id, trial.main, metadata={_MARKER: marker})
    run_id = created.json.get("run_id") if isinstance(created.json, dict) else None
    expect(run_id, f"a create gives {created.status} and no run")
    listed = [run for run in trial.runs_of(thread_id) if run.get("run_id") == run_id]
    if not listed:
        return differs("the list of the thread's runs lacks the new run", _OTHER_EVIDENCE)
    kept = listed[0].get("metadata")
    if not isinstance(kept, dict) or kept.get(_MARKER) != marker:
        return differs("the list of runs does not show the metadata of a run", _OTHER_EVIDENCE)
    return HOLDS


@promise("request-id", "The x-request-id of a create is stored with its run.")
def request_id(trial: Trial) -> Finding:
    sent = str(uuid.uuid4())
    body = {"assistant_id": trial.main.assistant_id, "input": trial.main.input}
    created = trial.plain("POST", f"/threads/{trial.thread()}/runs", body, headers={"x-request-id": sent})
    expect(created.status < 300, f"a create gives {created.status}")
    if sent not in created.text:
        return differs("x-request-id is not stored, or was replaced", "uses it as a hint only")
    return HOLDS


def _one_run(trial: Trial, start: Callable[[Client, str], Any], fault: Any) -> Finding:
    """Start a run while the response is lost; expect one run, or an error that says that it is not known."""
    thread_id = trial.thread()
    with trial.cutting() as (proxy, client):
        proxy.arm(fault, when=f"POST {urlsplit(client.base_url).path}/threads/{thread_id}/runs".encode())
        reported = ""
        try:
            start(client, thread_id)
        except (CreateUncertainError, StreamInterruptedError) as error:
            reported = type(error).__name__
        fired = any(turn.fired for turn in proxy.turns)
    expect(fired or not reported, f"the call raised {reported} without a fault")
    if not fired:
        return not_tried("the connection was not cut: the response came from elsewhere")
    runs = trial.runs_of(thread_id)
    expect(len(runs) <= 1, f"one call has made {len(runs)} runs")
    if reported == "StreamInterruptedError":
        return differs("the server does not have the events of the run", f"raises {reported}")
    if reported:
        return differs("what the server shows does not prove whether the run exists", f"raises {reported}")
    expect(len(runs) == 1, "the call returned, and the thread has no run")
    return HOLDS


@promise("create-cut", "create whose response is lost makes one run, or raises CreateUncertainError.", cuts=True)
def create_cut(trial: Trial) -> Finding:
    graph = trial.main
    return _one_run(trial, lambda client, on: client.runs.create(on, graph.assistant_id, input=graph.input), swallow())


@promise("wait-cut", "wait whose response is lost, or ends in the middle, makes one run.", cuts=True)
def wait_cut(trial: Trial) -> Finding:
    graph = trial.main
    faults = (swallow(reset=True), cut_response(190))
    findings = [
        _one_run(trial, lambda client, on: client.runs.wait(on, graph.assistant_id, input=graph.input), fault) for fault in faults
    ]
    return next((finding for finding in findings if finding != HOLDS), HOLDS)


@promise("stream-open-cut", "stream whose response is lost makes one run, or reports what is not known.", cuts=True)
def stream_open_cut(trial: Trial) -> Finding:
    graph = trial.main

    def start(client: Client, thread_id: str) -> None:
        with client.runs.stream(thread_id, graph.assistant_id, input=graph.input) as stream:
            read(stream)

    return _one_run(trial, start, swallow())


@promise("busy", "A thread with an active run refuses another one with multitask_strategy='reject'.", needs=("lasting",))
def busy(trial: Trial) -> Finding:
    thread_id = trial.thread()
    trial.create(thread_id, trial.graph("lasting"))
    try:
        trial.create(thread_id, trial.main, multitask_strategy="reject")
    except APIStatusError as error:
        status, raised = error.status_code, type(error).__name__
    else:
        return differs("'reject' is ignored: a second run starts", "cannot prevent it, and returns the second run")
    expect(len(trial.runs_of(thread_id)) == 1, f"the server refused with {status}, and the thread has another run")
    if status != 409:
        return differs(f"the refusal is {status} and not 409", f"raises {raised}")
    return HOLDS


@promise("stateless", "wait and stream without a thread return the result of their run, and leave no thread.")
def stateless(trial: Trial) -> Finding:
    graph = trial.main
    threads: Set[Optional[str]] = set()
    has_route = trial.plain("POST", "/runs/wait", {"assistant_id": graph.assistant_id, "input": graph.input}).status < 300

    def note(ids: Mapping[str, Any]) -> None:
        trial.note_run(ids)
        threads.add(ids.get("thread_id"))

    try:
        trial.client.runs.wait(None, graph.assistant_id, input=graph.input, on_run_created=note)
        with trial.client.runs.stream(None, graph.assistant_id, input=graph.input, on_run_created=note) as stream:
            list(stream)
    except APIStatusError as error:
        if not has_route:
            return differs("there are no stateless routes", f"raises the error of {error.status_code}")
        raise
    deleted = trial.until(
        lambda: all(trial.plain("GET", f"/threads/{thread_id}").status == 404 for thread_id in threads - {None}), seconds=15
    )
    expect(deleted, "a thread is still there 15 seconds after the end")
    if not has_route:
        return differs("there are no stateless routes", "uses a thread that it deletes afterwards")
    return HOLDS


@promise("stateless-failure", "A stateless run that failed is RunFailedError.", needs=("failing",))
def stateless_failure(trial: Trial) -> Finding:
    failing = trial.graph("failing")
    try:
        trial.client.runs.wait(None, failing.assistant_id, input=failing.input, on_run_created=trial.note_run)
    except RunFailedError:
        return HOLDS
    except APIStatusError as error:
        return differs(f"a stateless wait is refused with {error.status_code}", "raises the error of this status")
    raise PromiseBroken("wait returned normally")


CHECKS = (
    metadata,
    request_id,
    create_cut,
    wait_cut,
    stream_open_cut,
    busy,
    stateless,
    stateless_failure,
)

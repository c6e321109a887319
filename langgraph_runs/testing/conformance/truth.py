"""The checks of the first promise: a call returns normally only if its run succeeded or paused for a human."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict

from ... import DeadlineExceededError, RunCancelledError, RunFailedError, RunTimedOutError
from ...api import ids_from
from .check import HOLDS, Finding, NotTried, PromiseBroken, differs, expect, not_tried, promise
from .trial import Trial
from .ways import WAYS, ended, expect_error_each_way, status_of

__all__ = ["CHECKS"]


@promise("success", "A run that succeeded is a success for wait, stream, join and join_stream.")
def success(trial: Trial) -> Finding:
    for name, way in WAYS.items():
        thread_id = trial.thread()
        way(trial, thread_id, trial.main, {})
        statuses = [run.get("status") for run in trial.runs_of(thread_id)]
        expect(statuses == ["success"], f"after {name} the server lists runs with the status {statuses}")
    return HOLDS


@promise("named-run", "wait reports the id of its run.")
def named_run(trial: Trial) -> Finding:
    seen: Dict[str, Any] = {}
    thread_id = trial.thread()
    trial.client.runs.wait(thread_id, trial.main.assistant_id, input=trial.main.input, on_run_created=seen.update)
    listed = [run.get("run_id") for run in trial.runs_of(thread_id)]
    expect([seen.get("run_id")] == listed, f"on_run_created got {seen.get('run_id')}, and the thread has the runs {listed}")
    response = trial.plain_start("wait", trial.thread(), trial.main)
    if ids_from(response.headers).run_id is None:
        return differs("the response to a wait does not name the run", "finds the run: on_run_created gets its id")
    return HOLDS


@promise("failure", "A run whose graph raised is RunFailedError for each call.", needs=("failing",))
def failure(trial: Trial) -> Finding:
    failing = trial.graph("failing")
    status = status_of(trial, failing)
    if status != "error":
        return not_tried(f"the graph that fails ended with the status {status!r}")
    expect_error_each_way(trial, failing, RunFailedError)
    response = trial.plain_start("wait", trial.thread(), failing)
    reported = isinstance(response.json, dict) and "__error__" in response.json
    if not reported:
        return differs(f"the response to a wait for a failed run is {response.status} without an error", "raises RunFailedError")
    return HOLDS


@promise("error-text", "RunFailedError has the name of the error and its message as text.", needs=("failing",))
def error_text(trial: Trial) -> Finding:
    failing = trial.graph("failing")
    try:
        trial.client.runs.wait(trial.thread(), failing.assistant_id, input=failing.input)
    except RunFailedError as error:
        shown = error.message or ""
        expect(not shown.lstrip().startswith("{"), "the message is JSON and not a text")
        if not error.error or not shown:
            missing = "the name of the error" if not error.error else "its message"
            return differs(f"the server does not report {missing}", "raises RunFailedError without it")
        return HOLDS
    raise PromiseBroken("the run that fails returned normally")


@promise("recursion-limit", "A run that exceeds its recursion limit is RunFailedError for each call.")
def recursion_limit(trial: Trial) -> Finding:
    config = {"recursion_limit": 1}
    if status_of(trial, trial.main, config=config) == "success":
        return not_tried("the graph ends within one step, or the server ignores the limit")
    expect_error_each_way(trial, trial.main, RunFailedError, config=config)
    return HOLDS


@promise("cancelled", "A cancelled run is RunCancelledError for each call that waits for it.", needs=("lasting",))
def cancelled(trial: Trial) -> Finding:
    lasting = trial.graph("lasting")
    joined = trial.thread()
    run = trial.create(joined, lasting, stream_mode=["values"], stream_resumable=True)
    with trial.client.runs.join_stream(joined, run.run_id) as stream:
        _cancel_active(trial, joined)
        _expect_cancelled("join_stream", lambda: list(stream))
    _expect_cancelled("join", lambda: trial.client.runs.join(joined, run.run_id))
    _expect_cancelled("join_stream of an ended run", lambda: list(trial.client.runs.join_stream(joined, run.run_id)))
    streamed = trial.thread()
    with trial.client.runs.stream(streamed, lasting.assistant_id, input=lasting.input) as stream:
        _cancel_active(trial, streamed)
        _expect_cancelled("stream", lambda: list(stream))
    waited = trial.thread()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(trial.client.runs.wait, waited, lasting.assistant_id, input=lasting.input)
        _cancel_active(trial, waited)
        _expect_cancelled("wait", waiting.result)
    return HOLDS


def _cancel_active(trial: Trial, thread_id: str) -> None:
    """Cancel the run of a thread as soon as the server lists it as running."""
    trial.until(lambda: any(run.get("status") != "pending" for run in trial.runs_of(thread_id)), seconds=10)
    for run in trial.runs_of(thread_id):
        if run.get("status") not in ("pending", "running"):
            raise NotTried("the run of the graph that lasts had ended already")
        trial.client.runs.cancel(thread_id, str(run.get("run_id")))


def _expect_cancelled(name: str, call: Any) -> None:
    try:
        call()
    except RunCancelledError:
        return
    raise PromiseBroken(f"{name} returned normally for the cancelled run")


@promise("server-time-limit", "A run that the server stopped for its time limit is no success.", needs=("exceeding",))
def server_time_limit(trial: Trial) -> Finding:
    exceeding = trial.graph("exceeding")
    thread_id = trial.thread()
    try:
        trial.client.runs.wait(thread_id, exceeding.assistant_id, input=exceeding.input)
    except RunTimedOutError:
        return HOLDS
    except (RunFailedError, RunCancelledError) as error:
        return differs(f"the status of the run is {error.run.status if error.run else 'unknown'}", f"raises {type(error).__name__}")
    if trial.runs_of(thread_id)[0].get("status") == "success":
        return not_tried("the server let the run end")
    raise PromiseBroken("wait returned normally")


@promise("pause", "A run that stops before a node is paused, and is neither finished nor cancelled.")
def pause(trial: Trial) -> Finding:
    graph = trial.main
    options: Dict[str, Any] = {"interrupt_before": "*"}
    waited, streamed = trial.thread(), trial.thread()
    outcome = trial.client.runs.wait(waited, graph.assistant_id, input=graph.input, raise_error=False, **options)
    if not outcome.paused and not trial.client.threads.get_state(waited).next:
        return not_tried("the server does not stop before the nodes of this graph")
    expect(outcome.paused, "wait does not report the pause")
    with trial.client.runs.stream(streamed, graph.assistant_id, input=graph.input, **options) as stream:
        list(stream)
        expect(stream.paused, "stream does not report the pause")
    listed = trial.runs_of(waited)[0]
    joined = trial.client.runs.join(waited, str(listed.get("run_id")), raise_error=False)
    expect(joined.paused, "join of the paused run does not report the pause")
    return _pause_finding(listed.get("status"))


@promise("question", "A question of the graph reaches the caller, by each call.", needs=("pausing",))
def question(trial: Trial) -> Finding:
    pausing = trial.graph("pausing")
    waited = trial.thread()
    outcome = trial.client.runs.wait(waited, pausing.assistant_id, input=pausing.input, raise_error=False)
    if not outcome.interrupts and not _waits_for_answer(trial, waited):
        return not_tried("the graph that pauses did not ask a question")
    expect(outcome.paused and outcome.interrupts, "wait does not report the question")
    status = trial.runs_of(waited)[0].get("status")
    thread_id = trial.thread()
    with trial.client.runs.stream(thread_id, pausing.assistant_id, input=pausing.input, stream_mode="values") as stream:
        list(stream)
        expect(stream.paused and stream.interrupts, "stream does not report the question")
    run_id = str(trial.runs_of(thread_id)[0].get("run_id"))
    joined = trial.client.runs.join(thread_id, run_id, raise_error=False)
    expect(joined.paused and joined.interrupts, "join of the paused run does not report the question")
    with trial.client.runs.join_stream(thread_id, run_id) as late:
        list(late)
        expect(late.paused and late.interrupts, "join_stream of the paused run does not report the question")
    return _pause_finding(status)


def _waits_for_answer(trial: Trial, thread_id: str) -> bool:
    state = trial.plain("GET", f"/threads/{thread_id}/state").json or {}
    return bool(state.get("next")) or any(task.get("interrupts") for task in state.get("tasks") or ())


def _pause_finding(status: Any) -> Finding:
    if status != "success":
        return differs(f"the status of a paused run is {status}", "reports the pause")
    return HOLDS


@promise("older-run", "join of an older run never returns the values of a later one.")
def older_run(trial: Trial) -> Finding:
    thread_id = trial.thread()
    runs, values = [], []
    for _ in range(2):
        run = trial.create(thread_id, trial.main)
        values.append(trial.client.runs.join(thread_id, run.run_id))
        runs.append(run.run_id)
    if values[0] == values[1]:
        return not_tried("two runs of the graph on one thread have the same values")
    outcome = trial.client.runs.join(thread_id, runs[0], raise_error=False)
    if outcome.values is None and not outcome.exact:
        return differs("the history does not have the values of the older run", "returns no values, and says so")
    expect(outcome.values == values[0], "join of the older run returned other values")
    return HOLDS


@promise("time-limit", "timeout= ends a call on time, and on_timeout='cancel' ends its run.", needs=("lasting",))
def time_limit(trial: Trial) -> Finding:
    lasting, limit = trial.graph("lasting"), 1.5
    thread_id, begun = trial.thread(), time.monotonic()
    client = trial.client
    try:
        client.runs.wait(thread_id, lasting.assistant_id, input=lasting.input, timeout=limit, on_timeout="cancel")
    except DeadlineExceededError:
        took = time.monotonic() - begun
    else:
        if time.monotonic() - begun < limit:
            return not_tried("the run of the graph that lasts had ended already")
        raise PromiseBroken("wait returned normally, after its time was over")
    # The cancel may take three seconds more.
    expect(took < limit + 4, f"wait ended after {took:.1f} s and not after {limit:g} s")
    listed = [str(run.get("run_id")) for run in trial.runs_of(thread_id)]
    expect(len(listed) == 1, f"the thread has {len(listed)} runs")
    stopped = trial.until(lambda: ended(trial.client, thread_id, listed[0]), seconds=15)
    expect(stopped, "the run goes on 15 seconds after it should have been cancelled")
    status = trial.client.runs.get(thread_id, listed[0]).status
    expect(status not in ("success", "error"), f"the run was not cancelled: its status is {status}")
    return HOLDS


CHECKS = (
    success,
    named_run,
    failure,
    error_text,
    recursion_limit,
    cancelled,
    server_time_limit,
    pause,
    question,
    older_run,
    time_limit,
)

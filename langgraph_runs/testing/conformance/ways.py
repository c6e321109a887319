"""The ways in which a caller learns how a run ended: each starts a run, or joins one, and waits for its end."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, Type

from ... import Client, RunError, RunOutcome
from .check import PromiseBroken
from .results import Graph
from .trial import Trial

__all__ = ["WAYS", "ended", "expect_error_each_way", "read", "status_of", "wait_ended"]

#: Seconds between two requests for the status of a run.
_INTERVAL = 0.1

Way = Callable[[Trial, str, Graph, Dict[str, Any]], Any]


def _wait(trial: Trial, thread_id: str, graph: Graph, options: Dict[str, Any]) -> Any:
    return trial.client.runs.wait(thread_id, graph.assistant_id, input=graph.input, **options)


def _stream(trial: Trial, thread_id: str, graph: Graph, options: Dict[str, Any]) -> Any:
    with trial.client.runs.stream(thread_id, graph.assistant_id, input=graph.input, stream_mode="values", **options) as stream:
        return read(stream)


def _join(trial: Trial, thread_id: str, graph: Graph, options: Dict[str, Any]) -> Any:
    return trial.client.runs.join(thread_id, trial.create(thread_id, graph, **options).run_id)


def _join_stream(trial: Trial, thread_id: str, graph: Graph, options: Dict[str, Any]) -> Any:
    run = trial.create(thread_id, graph, stream_mode=["values"], stream_resumable=True, **options)
    with trial.client.runs.join_stream(thread_id, run.run_id) as stream:
        return read(stream)


def _late_join(trial: Trial, thread_id: str, graph: Graph, options: Dict[str, Any]) -> Any:
    run = trial.create(thread_id, graph, **options)
    wait_ended(trial, thread_id, run.run_id)
    return trial.client.runs.join(thread_id, run.run_id)


def _late_join_stream(trial: Trial, thread_id: str, graph: Graph, options: Dict[str, Any]) -> Any:
    run = trial.create(thread_id, graph, **options)
    wait_ended(trial, thread_id, run.run_id)
    with trial.client.runs.join_stream(thread_id, run.run_id) as stream:
        return read(stream)


WAYS: Dict[str, Way] = {
    "wait": _wait,
    "stream": _stream,
    "join": _join,
    "join_stream": _join_stream,
    "join of an ended run": _late_join,
    "join_stream of an ended run": _late_join_stream,
}


def read(stream: Any) -> RunOutcome:
    """Read a stream to its end and return the outcome of its run."""
    for _ in stream:
        pass
    outcome = stream.outcome
    if not isinstance(outcome, RunOutcome):
        raise PromiseBroken("the stream ended, and its outcome is not known")
    return outcome


def ended(client: Client, thread_id: str, run_id: str) -> bool:
    """Return True if the server says that the run has ended."""
    return client.runs.get(thread_id, run_id).finished


def wait_ended(trial: Trial, thread_id: str, run_id: str) -> None:
    """Block until the server says that the run has ended."""
    while not ended(trial.client, thread_id, run_id):
        if trial.left <= _INTERVAL:
            raise PromiseBroken("the server did not report the end of the run within the time of the check")
        time.sleep(_INTERVAL)


def status_of(trial: Trial, graph: Graph, **options: Any) -> str:
    """Run *graph* and return the status of its run."""
    thread_id = trial.thread()
    run = trial.create(thread_id, graph, **options)
    wait_ended(trial, thread_id, run.run_id)
    return trial.client.runs.get(thread_id, run.run_id).status


def expect_error_each_way(trial: Trial, graph: Graph, error: Type[RunError], **options: Any) -> None:
    """Run *graph* once for each way; raise `PromiseBroken` if one of them does not raise *error*."""
    for name, way in WAYS.items():
        try:
            way(trial, trial.thread(), graph, options)
        except error:
            continue
        except RunError as other:
            raise PromiseBroken(f"{name} raised {type(other).__name__}: {other}") from other
        raise PromiseBroken(f"{name} returned normally")

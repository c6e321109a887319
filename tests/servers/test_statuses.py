"""What the statuses and the forms of each server mean: the same for the caller on all of them."""

from __future__ import annotations

import time
import uuid
from typing import Any, Callable

import pytest

from langgraph_runs import Client, ConflictError, NotFoundError, Run

from .conftest import RunningServer

UNKNOWN = str(uuid.UUID(int=7))


def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; fail after half a minute."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "waited for half a minute"
        time.sleep(0.05)


@pytest.fixture
def running(client: Client, thread_id: str) -> Run:
    """A run that runs for a minute."""
    run = client.runs.create(thread_id, "work", input={"seconds": 60})
    until(lambda: client.runs.get(thread_id, run.run_id).status == "running")
    return run


def test_cancels_and_deletes_succeed(client: Client, thread_id: str, running: Run) -> None:
    """Each server's own confirmation is accepted: the run is cancelled, and is gone afterwards, like its thread."""
    client.runs.cancel(thread_id, running.run_id)
    until(lambda: client.runs.get(thread_id, running.run_id).finished)
    client.runs.delete(thread_id, running.run_id)
    with pytest.raises(NotFoundError):
        client.runs.get(thread_id, running.run_id)
    client.threads.delete(thread_id)
    with pytest.raises(NotFoundError):
        client.threads.get(thread_id)


def test_cancel_with_wait(client: Client, thread_id: str, running: Run) -> None:
    client.runs.cancel(thread_id, running.run_id, wait=True)
    until(lambda: client.runs.get(thread_id, running.run_id).finished)


def test_cancel_many_finds_what_is_there(client: Client, thread_id: str, running: Run) -> None:
    """With the route for it and without: a run that exists is cancelled, and without one nothing is found."""
    assert client.runs.cancel_many(thread_id=thread_id, run_ids=[UNKNOWN, running.run_id]) in (None, [running.run_id])
    until(lambda: client.runs.get(thread_id, running.run_id).finished)
    with pytest.raises(NotFoundError):
        client.runs.cancel_many(thread_id=thread_id, run_ids=[UNKNOWN])


@pytest.mark.parametrize("call", ["create", "wait", "stream"])
def test_a_busy_thread_is_a_conflict(any_server: RunningServer, client: Client, thread_id: str, running: Run, call: str) -> None:
    """409 on one server, 422 on another. Aegra does not refuse, and so is not asked."""
    if any_server.name == "aegra":
        return
    with pytest.raises(ConflictError):
        started: Any = getattr(client.runs, call)(thread_id, "work", input={}, multitask_strategy="reject")
        list(started)
    assert [running.run_id] == [run.run_id for run in client.runs.list(thread_id)]
    client.runs.cancel(thread_id, running.run_id)


def test_a_history_begins_before_a_state_a_checkpoint_or_an_id(client: Client, thread_id: str) -> None:
    """The states are the same whatever form the server takes."""
    client.runs.wait(thread_id, "steps", input={"n": 5})
    history = client.threads.get_history(thread_id, limit=20)
    assert len(history) > 5
    state = history[3]
    assert state.checkpoint is not None and state.checkpoint.checkpoint_id is not None
    forms: list[Any] = [
        state,
        state.checkpoint,
        state.checkpoint.checkpoint_id,
        {"configurable": {"checkpoint_id": state.checkpoint.checkpoint_id}},
    ]
    for before in forms:
        assert history[4:6] == client.threads.get_history(thread_id, limit=2, before=before)
    assert [] == client.threads.get_history(thread_id, before=history[-1])
    for subgraphs in (False, True):
        found = client.threads.get_state(thread_id, state.checkpoint, subgraphs=subgraphs)
        assert (state.values, state.next) == (found.values, found.next)

"""Calls without a thread, on each server: what they return, and what becomes of the thread that the library has chosen."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_runs import Client, DeadlineExceededError, NotFoundError, RunFailedError
from langgraph_runs.testing.cutting_proxy import CuttingProxy, cut_response, swallow

FAILS = {"fail": "value"}


def run(client: Client, call: str, graph: str, **options: Any) -> Any:
    """Run *graph* without a thread and return its values."""
    if call == "wait":
        return client.runs.wait(None, graph, **options)
    with client.runs.stream(None, graph, **options) as stream:
        list(stream)
    return stream.values


def is_deleted(client: Client, thread_id: str) -> bool:
    try:
        client.threads.get(thread_id)
    except NotFoundError:
        return True
    return False


@pytest.mark.parametrize("call", ["wait", "stream"])
def test_the_thread_is_deleted_when_the_run_has_ended(client: Client, call: str) -> None:
    """After a success, and after a failure, which is an error."""
    seen: dict[str, Any] = {}
    assert ["done", 7] == run(client, call, "work", input={"k": 7}, on_run_created=seen.update)["out"]
    assert is_deleted(client, seen["thread_id"])
    with pytest.raises(RunFailedError, match="boom"):
        run(client, call, "work", input=FAILS, on_run_created=seen.update)
    assert is_deleted(client, seen["thread_id"])


@pytest.mark.parametrize("call", ["wait", "stream"])
def test_a_paused_run_is_resumed_on_its_thread(client: Client, call: str) -> None:
    """The thread stays, although the modes of the stream hide the question."""
    seen: dict[str, Any] = {}
    run(client, call, "ask", input={"k": 1}, stream_mode=["custom"], on_run_created=seen.update)
    thread_id = seen["thread_id"]
    outcome = client.runs.join(thread_id, seen["run_id"], raise_error=False)
    assert (True, 1) == (outcome.paused, len(outcome.interrupts))
    assert not client.runs.wait(thread_id, "ask", command={"resume": "ada"}, raise_error=False).paused
    client.threads.delete(thread_id)


@pytest.mark.parametrize("call", ["wait", "stream"])
def test_a_broken_connection_leads_to_one_run(proxy: CuttingProxy, proxied: Client, client: Client, call: str) -> None:
    """The run is found on the thread, and the thread is deleted afterwards. Not every server keeps the events of the stream."""
    options: dict[str, Any] = {"on_gap": "mark"} if call == "stream" else {}
    for fault in (swallow(), cut_response(20)):
        seen: dict[str, Any] = {}
        proxy.arm(fault, when=b"POST /threads/")
        values = run(proxied, call, "work", input={"k": 7}, on_run_created=seen.update, **options)
        assert values is None or ["done", 7] == values["out"]
        assert is_deleted(client, seen["thread_id"])


def test_a_run_that_is_late_is_cancelled_and_its_thread_deleted(client: Client) -> None:
    """With on_timeout="cancel"; otherwise the run goes on, and its thread stays."""
    seen: dict[str, Any] = {}
    for on_timeout in ("cancel", None):
        options: dict[str, Any] = {"timeout": 1.0, "on_timeout": on_timeout}
        with pytest.raises(DeadlineExceededError) as caught:
            client.runs.wait(None, "work", input={"k": 1, "seconds": 20}, on_run_created=seen.update, **options)
        thread_id = str(caught.value.thread_id)
        assert (on_timeout == "cancel") is is_deleted(client, thread_id)
    for late in client.runs.list(thread_id):
        client.runs.cancel(thread_id, late.run_id, wait=True)
    client.threads.delete(thread_id)

"""Assistants, the store, prunes and the stream of a thread, on each server."""

from __future__ import annotations

import uuid

import pytest

from langgraph_runs import APIStatusError, Client, ConflictError, NotFoundError
from langgraph_runs.testing.cutting_proxy import CuttingProxy, swallow

from .conftest import PATIENCE


def test_assistants(client: Client, proxy: CuttingProxy, proxied: Client) -> None:
    """One that is created is found, changed and deleted; a lost response makes no second one."""
    mark = {"test": uuid.uuid4().hex}
    proxy.arm(swallow(), when=b"POST /assistants HTTP")
    made = proxied.assistants.create("work", name="one", metadata=mark)
    assert [made.assistant_id] == [found.assistant_id for found in client.assistants.search(metadata=mark)]
    assert made.assistant_id == client.assistants.get(made.assistant_id).assistant_id
    with pytest.raises(ConflictError):
        client.assistants.create("work", assistant_id=made.assistant_id, name="two")
    assert 2 == client.assistants.update(made.assistant_id, graph_id="work", name="two", metadata=mark).version
    assert {1, 2} == {version.version for version in client.assistants.get_versions(made.assistant_id)}
    assert "one" == client.assistants.set_latest(made.assistant_id, 1).name
    assert "__start__" in [node["id"] for node in client.assistants.get_graph(made.assistant_id).nodes]
    client.assistants.delete(made.assistant_id)
    with pytest.raises(NotFoundError):
        client.assistants.get(made.assistant_id)


def test_the_store(client: Client) -> None:
    """An item under several labels; None if there is none."""
    here = ["tests", uuid.uuid4().hex]
    client.store.put_item(here, "k", {"n": 1})
    item = client.store.get_item(here, "k")
    assert item is not None and {"n": 1} == item.value
    assert ["k"] == [found.key for found in client.store.search_items(here).items]
    assert [tuple(here)] == client.store.list_namespaces(here).namespaces
    client.store.delete_item(here, "k")
    assert client.store.get_item(here, "k") is None


def test_threads_are_pruned(client: Client) -> None:
    """With one request, or one for each thread."""
    ids = [client.threads.create().thread_id for _ in range(2)]
    assert 2 == client.threads.prune([*ids, str(uuid.uuid4())]).pruned_count
    assert 0 == client.threads.prune(ids).pruned_count


def test_crons_are_created_or_refused(client: Client) -> None:
    """A server without crons says so, and nothing is uncertain."""
    try:
        cron = client.crons.create("work", schedule="0 12 29 2 *", enabled=False)
    except APIStatusError:
        return
    client.crons.delete(cron.cron_id)


def test_the_events_of_a_thread(client: Client, thread_id: str) -> None:
    """Also on a server without a stream of threads: how the run ended is known, and no event comes twice."""
    with client.threads.join_stream(thread_id, on_gap="mark", timeout=PATIENCE) as stream:
        run = client.runs.create(thread_id, "work", input={"k": 3, "seconds": 2.5}, stream_mode="values", stream_resumable=True)
        events = []
        for event in stream:
            if isinstance(event.data, dict) and event.data.get("status") == "run_done":
                break
            events.append((event.id, event.event, event.raw))
    assert run.run_id == event.data["run_id"]
    assert stream.outcome is not None and stream.outcome.succeeded and ["done", 3] == stream.outcome.values["out"]
    known = [one for one in events if one[0] is not None]
    assert len(known) == len(set(known)), known  # different events may share an id

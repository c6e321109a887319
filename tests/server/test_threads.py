"""client.threads on the real server: each call and each option has its effect."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import pytest

from langgraph_runs import (
    Client,
    ConflictError,
    InternalServerError,
    InvalidRequestError,
    NotFoundError,
    RetryPolicy,
    Thread,
    ThreadsPruned,
    ThreadState,
    UnprocessableEntityError,
)
from langgraph_runs.devserver import DevServer
from langgraph_runs.testing.cutting_proxy import CuttingProxy, swallow


@pytest.fixture
def echo_id(client: Client) -> str:
    """A thread with three states: turns 1, 3, 6."""
    thread_id = client.threads.create(graph_id="echo").thread_id
    for turns in (1, 2, 3):
        client.threads.update_state(thread_id, {"turns": turns, "echo": f"e{turns}"}, as_node="say")
    return thread_id


# -- create, get


def test_create_makes_a_thread(client: Client) -> None:
    """Without anything the server chooses the id; times are aware; there are no values yet. get tells the same."""
    thread = client.threads.create()

    assert thread == client.threads.get(thread.thread_id)
    assert ("idle", None, {}, None) == (thread.status, thread.values, thread.metadata, thread.error)
    assert isinstance(thread.created_at, datetime.datetime) and thread.created_at.tzinfo is not None
    assert thread.created_at <= datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)


def test_create_with_an_id_and_metadata(client: Client, new_id: str) -> None:
    """The id is the caller's, in any spelling of a UUID; the graph's name goes into the metadata."""
    thread = client.threads.create(thread_id=new_id.upper(), metadata={"k": "\u2028"}, graph_id="echo")

    assert (new_id, {"k": "\u2028", "graph_id": "echo"}) == (thread.thread_id, thread.metadata)


def test_create_of_a_taken_id(client: Client, new_id: str) -> None:
    """A conflict, or with if_exists="do_nothing" the thread as it was."""
    client.threads.create(thread_id=new_id, metadata={"first": 1})
    for options in ({}, {"if_exists": "raise"}):
        with pytest.raises(ConflictError):
            client.threads.create(thread_id=new_id, **options)  # type: ignore[arg-type]

    assert {"first": 1} == client.threads.create(thread_id=new_id, metadata={"x": 2}, if_exists="do_nothing").metadata


def test_create_with_supersteps_has_a_history(client: Client) -> None:
    """The thread begins with the states that the steps make."""
    steps = [{"updates": [{"values": {"turns": n}, "as_node": "say"}]} for n in (1, 2)]

    thread = client.threads.create(graph_id="echo", supersteps=steps)

    assert 3 == client.threads.get_state(thread.thread_id).values["turns"]
    assert [3, 1] == [state.values["turns"] for state in client.threads.get_history(thread.thread_id)][:2]


def test_ttl_is_taken(client: Client) -> None:
    """Minutes, or an object, at create and update; this server shows nothing of it."""
    thread = client.threads.create(ttl=60)
    client.threads.create(ttl={"ttl": 60, "strategy": "delete"})

    assert thread.thread_id == client.threads.update(thread.thread_id, metadata={}, ttl=5).thread_id
    assert thread.thread_id == client.threads.get(thread.thread_id, include=["ttl"]).thread_id


# -- update, delete, copy


def test_update_merges_metadata(client: Client) -> None:
    """New pairs are added, old ones replaced or kept."""
    thread_id = client.threads.create(metadata={"a": 1, "b": 1}).thread_id

    updated = client.threads.update(thread_id, metadata={"b": 2, "c": None})

    assert {"a": 1, "b": 2, "c": None} == updated.metadata == client.threads.get(thread_id).metadata


def test_delete_removes_the_thread_and_its_runs(client: Client, echo_id: str) -> None:
    """Afterwards nothing of it is found; a second delete is NotFoundError."""
    run = client.runs.create(echo_id, "echo", input={}, after_seconds=3600)
    client.threads.delete(echo_id)

    for call in (
        lambda: client.threads.get(echo_id),
        lambda: client.runs.get(echo_id, run.run_id),
        lambda: client.threads.delete(echo_id),
    ):
        with pytest.raises(NotFoundError):
            call()


def test_copy_has_the_same_history_and_goes_its_own_way(client: Client, echo_id: str) -> None:
    """Values and checkpoints are there; what is written to the copy is not in the original."""
    copy = client.threads.copy(echo_id)
    client.threads.update_state(copy.thread_id, {"turns": 10}, as_node="say")

    assert copy.thread_id != echo_id
    assert [16, 6, 3, 1] == [state.values["turns"] for state in client.threads.get_history(copy.thread_id)][:4]
    assert 6 == client.threads.get_state(echo_id).values["turns"]


# -- state


def test_get_state_is_the_newest_or_the_one_at_a_checkpoint(client: Client, echo_id: str) -> None:
    """By checkpoint, as an object or a dict, or by its id; the parent of a state leads to the one before."""
    newest = client.threads.get_state(echo_id)
    assert newest.parent_checkpoint is not None and newest.parent_checkpoint.checkpoint_id is not None
    parent = newest.parent_checkpoint
    as_dict = {"checkpoint_id": parent.checkpoint_id, "checkpoint_ns": "", "thread_id": echo_id}

    assert (6, "e3") == (newest.values["turns"], newest.values["echo"])
    assert [3, 3, 3] == [
        state.values["turns"]
        for state in (
            client.threads.get_state(echo_id, parent),
            client.threads.get_state(echo_id, as_dict),
            client.threads.get_state(echo_id, checkpoint_id=parent.checkpoint_id),
        )
    ]
    assert newest.checkpoint is not None and newest.checkpoint.thread_id == echo_id
    assert newest.created_at is not None and newest.created_at.tzinfo is not None
    assert ("update", ()) == (newest.metadata["source"], newest.next)


def test_get_state_shows_tasks_questions_and_subgraphs(client: Client, thread_id: str) -> None:
    """A paused thread has its open questions; with subgraphs=True a task shows the state inside it."""
    client.runs.wait(thread_id, "asker", input={"questions": ["who?"]})
    state = client.threads.get_state(thread_id)
    assert ["who?"] == [interrupt.value for interrupt in state.interrupts]
    assert [("ask", ["who?"])] == [(task.name, [i.value for i in task.interrupts]) for task in state.tasks]
    assert ("interrupted", ["who?"]) == (
        client.threads.get(thread_id).status,
        [i.value for found in client.threads.get(thread_id).interrupts.values() for i in found],
    )

    nested = client.threads.create().thread_id
    client.runs.wait(nested, "nested", input={"path": ["ask"]})
    (plain,) = client.threads.get_state(nested).tasks
    (deep,) = client.threads.get_state(nested, subgraphs=True).tasks
    assert ("child", None, ["deep?"]) == (plain.name, plain.state, [i.value for i in deep.interrupts])
    assert ["ask", "outer"] == deep.state["values"]["path"]


def test_update_state_writes_as_a_node(client: Client, echo_id: str) -> None:
    """What comes next depends on the node; from an older checkpoint it makes a fork; the new checkpoint is returned."""
    steps = client.threads.create(graph_id="steps").thread_id
    first = client.threads.update_state(steps, {"path": ["mine"]}, as_node="one")
    assert ("two",) == client.threads.get_state(steps).next
    client.threads.update_state(steps, {"path": ["later"]}, as_node="two")
    assert first.checkpoint is not None and first.checkpoint.checkpoint_id is not None

    fork = client.threads.update_state(steps, {"path": ["fork"]}, as_node="two", checkpoint=first.checkpoint)
    by_id = {"as_node": "two", "checkpoint_id": first.checkpoint.checkpoint_id}
    client.threads.update_state(steps, {"path": ["fork by id"]}, **by_id)  # type: ignore[arg-type]

    assert ["mine", "fork by id"] == client.threads.get_state(steps).values["path"]
    assert ["mine", "fork"] == client.threads.get_state(steps, fork.checkpoint).values["path"]
    assert ("three",) == client.threads.get_state(steps, fork.checkpoint).next


def test_get_history_is_newest_first(client: Client, echo_id: str) -> None:
    """limit cuts it off, before begins after a checkpoint, metadata and checkpoint filter."""

    def turns(**options: Any) -> list[int]:
        return [state.values["turns"] for state in client.threads.get_history(echo_id, **options) if state.values]

    history = client.threads.get_history(echo_id)
    assert [6, 3, 1] == turns()
    assert [6] == turns(limit=1)
    second = history[1].checkpoint
    assert second is not None
    assert [1] == turns(before=second.checkpoint_id)
    assert [1] == turns(before={"configurable": {"checkpoint_id": second.checkpoint_id}})
    assert [3] == turns(metadata={"step": history[1].metadata["step"]})


def test_the_states_of_a_run_are_found_by_its_id(client: Client, thread_id: str) -> None:
    """History filtered by run_id is that run's own."""
    first = client.runs.create(thread_id, "echo", input={"value": 1})
    second = client.runs.create(thread_id, "echo", input={"value": 2})
    client.runs.join(thread_id, second.run_id)

    for run, value in ((first, 1), (second, 2)):
        (state,) = client.threads.get_history(thread_id, limit=1, metadata={"run_id": run.run_id})
        assert (value, run.run_id) == (state.values["echo"], state.metadata["run_id"])


# -- search


def test_search_filters(client: Client) -> None:
    """By metadata, ids, status and values; nothing else comes."""
    key = str(uuid.uuid4())
    made = [client.threads.create(metadata={"key": key, "n": n}, graph_id="echo").thread_id for n in range(3)]
    for n, thread_id in enumerate(made):
        client.threads.update_state(thread_id, {"echo": f"{key}-{n}"}, as_node="say")

    def found(**options: Any) -> list[str]:
        return [thread.thread_id for thread in client.threads.search(**options)]

    assert set(made) == set(found(metadata={"key": key}))
    assert [made[1]] == found(metadata={"key": key, "n": 1})
    assert [] == found(metadata={"key": "nobody"})
    assert {made[0], made[2]} == set(found(ids=[made[0], made[2]]))
    assert set(made) == set(found(metadata={"key": key}, status="idle"))
    assert [] == found(metadata={"key": key}, status="busy")
    assert [made[0]] == found(metadata={"key": key}, values={"echo": f"{key}-0"})


def test_search_pages_and_sorts(client: Client) -> None:
    """limit and offset cut out a page of the order that was asked for."""
    key = {"key": str(uuid.uuid4())}
    made = [client.threads.create(metadata=key).thread_id for _ in range(4)]

    def found(**options: Any) -> list[str]:
        return [thread.thread_id for thread in client.threads.search(metadata=key, **options)]

    assert made == found(sort_by="created_at", sort_order="asc")
    assert made[::-1] == found(sort_by="created_at", sort_order="desc")
    assert made[1:3] == found(sort_by="created_at", sort_order="asc", limit=2, offset=1)


def test_search_selects_and_extracts(client: Client, echo_id: str) -> None:
    """Only the fields that were selected come; extract takes a part of the values along."""
    (thread,) = client.threads.search(ids=[echo_id], select=["thread_id", "status"])
    assert (echo_id, "idle", None, {}) == (thread.thread_id, thread.status, thread.values, thread.metadata)

    (extracted,) = client.threads.search(ids=[echo_id], extract={"said": "values.echo"})
    assert isinstance(extracted, Thread)
    assert {"said": "e3"} == extracted.extra["extracted"]


def test_unknown_threads_are_not_found(client: Client, new_id: str) -> None:
    """Every call on one says so, but for copy."""
    for call in (
        lambda: client.threads.get(new_id),
        lambda: client.threads.get_state(new_id),
        lambda: client.threads.update(new_id, metadata={}),
        lambda: client.threads.update_state(new_id, {}),
        lambda: client.threads.delete(new_id),
    ):
        with pytest.raises(NotFoundError) as caught:
            call()
        assert new_id == caught.value.thread_id
    with pytest.raises(ConflictError):  # as the server has it
        client.threads.copy(new_id)


# -- count, prune, select


def test_count_is_by_metadata_values_and_status(client: Client, echo_id: str, new_id: str) -> None:
    """Of the threads that have all of them."""
    client.threads.update(echo_id, metadata={"test": new_id})
    client.threads.create(metadata={"test": new_id})

    assert 2 == client.threads.count(metadata={"test": new_id}) == client.threads.count(metadata={"test": new_id}, status="idle")
    assert 0 == client.threads.count(metadata={"test": new_id}, status="busy")
    # This server fails with a filter on values if there is a thread without values, such as the one above.
    with pytest.raises(InternalServerError):
        client.with_options(retry=RetryPolicy(attempts=1)).threads.count(metadata={"test": new_id}, values={"turns": 6})
    with pytest.raises(InvalidRequestError, match="status='tired': give one of"):
        client.threads.count(status="tired")


def test_prune_deletes_the_threads_that_exist(client: Client, new_id: str) -> None:
    """And says how many there were; this server cannot keep the latest state."""
    ids = [client.threads.create().thread_id for _ in range(3)]

    assert ThreadsPruned(pruned_count=2) == client.threads.prune([ids[0], uuid.UUID(ids[1]), new_id])  # type: ignore[list-item]
    assert ThreadsPruned(pruned_count=0) == client.threads.prune(ids[:2]) == client.threads.prune([])
    for thread_id in ids[:2]:
        with pytest.raises(NotFoundError):
            client.threads.get(thread_id)
    with pytest.raises(UnprocessableEntityError, match="keep_latest"):
        client.threads.prune(ids, strategy="keep_latest")
    assert ids[2] == client.threads.get(ids[2]).thread_id


def test_a_prune_whose_response_is_lost_does_not_invent_a_number(client: Client, server: DevServer) -> None:
    """The threads are deleted, and the number is not known."""
    ids = [client.threads.create().thread_id for _ in range(2)]
    with CuttingProxy(server.url) as proxy, Client(proxy.url, api_key=None) as cut:
        proxy.arm(swallow(reset=True), when=b"POST /threads/prune")
        assert ThreadsPruned(pruned_count=None) == cut.threads.prune(ids)

    assert ThreadsPruned(pruned_count=0) == client.threads.prune(ids)


def test_select_returns_these_fields_alone(client: Client, echo_id: str) -> None:
    """Of the current state, of one at a checkpoint, and of a history; also from a server that sends all of them."""
    whole = client.threads.get_state(echo_id)
    assert whole.parent_checkpoint is not None
    parent = str(whole.parent_checkpoint.checkpoint_id)

    one = client.threads.get_state(echo_id, select=["values.turns", "next"])
    assert ThreadState(values={"turns": 6}, next=whole.next) == one
    assert ThreadState(values=whole.values) == client.threads.get_state(echo_id, select=["values"])
    assert ThreadState(values={"turns": 3}) == client.threads.get_state(echo_id, checkpoint_id=parent, select=["values.turns"])
    place = client.threads.get_state(echo_id, whole.parent_checkpoint, select=["checkpoint"])
    assert place.checkpoint is not None and (parent, None) == (place.checkpoint.checkpoint_id, place.values)

    history = client.threads.get_history(echo_id, select=["values.turns"])
    assert [{"turns": 6}, {"turns": 3}, {"turns": 1}] == [state.values for state in history][:3]
    assert [None, None, None] == [state.checkpoint for state in history][:3]
    older = client.threads.get_history(echo_id, before=whole, select=["values.turns"])
    assert [ThreadState(values={"turns": 3}), ThreadState(values={"turns": 1})] == older[:2]
    for wrong in ("values", ["value"], [1]):
        with pytest.raises(InvalidRequestError, match="select"):
            client.threads.get_state(echo_id, select=wrong)  # type: ignore[arg-type]


def test_update_can_leave_out_the_thread(client: Client, thread_id: str) -> None:
    """The metadata are changed, and nothing is returned."""
    assert client.threads.update(thread_id, metadata={"a": 1}, return_minimal=True) is None
    assert {"a": 1} == client.threads.get(thread_id).metadata

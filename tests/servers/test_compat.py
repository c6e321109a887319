"""The client of `langgraph_runs.compat`, under `RemoteGraph`, on each server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from langgraph_runs import compat

from .conftest import RunningServer

pytest.importorskip("langgraph", reason="langgraph is not installed")


@pytest.fixture
def sdk_like(any_server: RunningServer) -> Iterator[Any]:
    made: Any = compat.get_sync_client(url=any_server.url, api_key=None)
    with made as client:
        yield client


def test_dicts_and_tuples(sdk_like: Any) -> None:
    thread = sdk_like.threads.create(metadata={"k": 1})
    run = sdk_like.runs.create(thread["thread_id"], "work", input={"k": 7})
    assert ["done", 7] == sdk_like.runs.join(thread["thread_id"], run["run_id"])["out"]
    found = sdk_like.runs.get(thread["thread_id"], run["run_id"])
    assert ("success", run["run_id"]) == (found["status"], found.run_id)
    events = [event for event, data, event_id in sdk_like.runs.stream(thread["thread_id"], "work", input={}, stream_mode="updates")]
    assert ["updates", "updates"] == [event for event in events if event == "updates"]
    with pytest.raises(compat.NotFoundError):
        sdk_like.threads.get("01a1fba7-134d-75bb-be92-342b603af512")


def test_remote_graph(sdk_like: Any) -> None:
    """Invoking, streaming, a question and its answer, the state, its history and its change, and the graph."""
    from langgraph.pregel.remote import RemoteGraph
    from langgraph.types import Command

    graph = RemoteGraph("ask", sync_client=sdk_like)
    config: Any = {"configurable": {"thread_id": sdk_like.threads.create()["thread_id"]}}
    assert {"q": "who?"} == graph.invoke({"k": 1}, config)["__interrupt__"][0]["value"]
    state = graph.get_state(config)
    assert (("ask",), {"q": "who?"}) == (state.next, state.interrupts[0].value)
    assert ["answer", "ada"] == graph.invoke(Command(resume="ada"), config)["out"]
    assert () == graph.get_state(config).next and 2 < len(list(graph.get_state_history(config)))
    assert config["configurable"]["thread_id"] == graph.update_state(config, {"log": ["x"]})["configurable"]["thread_id"]
    assert {"first", "ask"} <= set(graph.get_graph().nodes)
    streamed: Any = RemoteGraph("chat", sync_client=sdk_like).stream({"text": "high tide"}, stream_mode="messages")
    assert "high tide" == "".join(message["content"] for message, _ in streamed)

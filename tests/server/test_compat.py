"""The client of `langgraph_runs.compat`, beside the official SDK's, and under `RemoteGraph`."""

from __future__ import annotations

import itertools
import operator
import uuid
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypedDict

import pytest

from langgraph_runs import RunFailedError, compat
from langgraph_runs.devserver import DevServer

pytest.importorskip("langgraph", reason="langgraph is not installed")

INPUT = {"value": "hello"}


@pytest.fixture(params=["langgraph_runs", "langgraph_sdk"])
def either(request: pytest.FixtureRequest, server: DevServer) -> Iterator[Any]:
    """The client of this library, and that of the SDK, for which a test passes unchanged."""
    made: Any
    if request.param == "langgraph_sdk":
        made = pytest.importorskip("langgraph_sdk").get_sync_client(url=server.url)
    else:
        made = compat.get_sync_client(url=server.url)
    with made as client:
        yield client


@pytest.fixture
def sdk_like(server: DevServer) -> Iterator[Any]:
    made: Any = compat.get_sync_client(url=server.url)
    with made as client:
        yield client


@pytest.fixture
def sdk_client(server: DevServer) -> Iterator[Any]:
    with pytest.importorskip("langgraph_sdk").get_sync_client(url=server.url) as client:
        yield client


def config_of(client: Any) -> Any:
    return {"configurable": {"thread_id": client.threads.create()["thread_id"]}}


def remote(client: Any, graph: str) -> Any:
    from langgraph.pregel.remote import RemoteGraph

    return RemoteGraph(graph, sync_client=client)


def shape_of(value: Any) -> Any:
    """The keys at every level that have a value, without the values, which differ from call to call."""
    if isinstance(value, dict):
        return {key: shape_of(item) for key, item in value.items() if item not in (None, {})}
    return [shape_of(item) for item in value] if isinstance(value, (list, tuple)) else type(value).__name__


def same_but(first: Any, second: Any, *names: str) -> None:
    assert {**first, **dict.fromkeys(names)} == {**second, **dict.fromkeys(names)}


# -- code that was written for the SDK


def test_the_same_code_runs_with_both_clients(either: Any) -> None:
    thread = either.threads.create(metadata={"customer": "ada"})
    run = either.runs.create(thread["thread_id"], "echo", input=INPUT, metadata={"k": 1})
    assert "hello" == either.runs.join(thread["thread_id"], run["run_id"])["echo"]
    found = either.runs.get(thread["thread_id"], run["run_id"])
    assert ("success", 1, run["created_at"]) == (found["status"], found["metadata"]["k"], found["created_at"])
    assert [run["run_id"]] == [one["run_id"] for one in either.runs.list(thread["thread_id"])]
    state = either.threads.get_state(thread["thread_id"])
    assert ("hello", [], run["run_id"]) == (state["values"]["echo"], state["next"], state["metadata"]["run_id"])
    assert [] == [one for one in either.threads.get_history(thread["thread_id"]) if "checkpoint" not in one]
    parts = list(either.runs.stream(thread["thread_id"], "echo", input=INPUT, stream_mode="updates"))
    assert ["metadata", "updates"] == [event for event, _, _ in parts]
    assert "say" in parts[1].data
    v2 = list(either.runs.stream(thread["thread_id"], "echo", input=INPUT, stream_mode="values", version="v2"))
    assert {"metadata", "values"} == {part["type"] for part in v2}
    assert isinstance(either.assistants.search(graph_id="echo")[0]["assistant_id"], str)
    found_threads = either.threads.search(ids=[thread["thread_id"]])
    assert ["ada"] == [one["metadata"]["customer"] for one in found_threads]


def test_the_same_clauses_catch_the_errors_of_both_clients(either: Any) -> None:
    errors = pytest.importorskip("langgraph_sdk.errors")
    httpx = pytest.importorskip("httpx", exc_type=ImportError)
    thread_id = either.threads.create()["thread_id"]
    with pytest.raises(errors.NotFoundError) as caught:
        either.runs.get(thread_id, str(uuid.uuid4()))
    assert 404 == caught.value.status_code == caught.value.response.status_code
    with pytest.raises(httpx.HTTPStatusError):
        either.threads.get(str(uuid.uuid4()))
    with pytest.raises(compat.ConflictError):
        either.threads.create(thread_id=thread_id)
    with pytest.raises(Exception, match="ValueError: no ink"):
        either.runs.wait(thread_id, "failing", input={"error": "ValueError", "message": "no ink"})
    values = either.runs.wait(thread_id, "failing", input={"error": "ValueError", "message": "no ink"}, raise_error=False)
    assert ("ValueError", "no ink") == (values["__error__"]["error"], values["__error__"]["message"])


def test_keys_and_values_of_what_the_server_sends_are_the_sdks(sdk_client: Any, sdk_like: Any) -> None:
    thread_id = sdk_like.threads.create(metadata={"k": 1})["thread_id"]
    run_id = sdk_like.runs.create(thread_id, "asker", input={"questions": ["who?"]})["run_id"]
    sdk_like.runs.join(thread_id, run_id)

    expected, found = sdk_client.threads.get(thread_id), sdk_like.threads.get(thread_id)
    same_but(expected, found, "config")  # where the server keeps the field that marks a request
    expected, found = sdk_client.threads.get_state(thread_id, subgraphs=True), sdk_like.threads.get_state(thread_id, subgraphs=True)
    assert expected["tasks"] == found["tasks"] and expected["checkpoint"] == found["checkpoint"]
    same_but(expected, found, "metadata", "kwargs")
    expected, found = sdk_client.runs.get(thread_id, run_id), sdk_like.runs.get(thread_id, run_id)
    same_but(expected, found, "metadata", "kwargs")
    assert sdk_client.assistants.search(graph_id="echo") == sdk_like.assistants.search(graph_id="echo")


def test_the_other_resources_give_the_sdks_keys(sdk_client: Any, sdk_like: Any) -> None:
    nested = sdk_client.assistants.search(graph_id="nested")[0]["assistant_id"]
    calls: list[Callable[[Any, str], Any]] = [
        lambda client, name: client.assistants.create("echo", name=name, metadata={"k": 1}),
        lambda client, name: client.assistants.get_versions(client.assistants.create("echo")["assistant_id"]),
        lambda client, _: client.assistants.search(graph_id="nested", response_format="object"),
        lambda client, _: client.assistants.get_graph(nested, xray=True),
        lambda client, _: client.assistants.get_schemas(nested),
        lambda client, _: client.assistants.get_subgraphs(nested),
        lambda client, _: client.assistants.count(graph_id="nested"),
        lambda client, name: client.store.put_item(["a", name], "k", {"v": 1}),
        lambda client, name: client.store.get_item(["a", name], "k"),
        lambda client, name: client.store.search_items(["a", name]),
        lambda client, name: client.store.list_namespaces(["a", name]),
        lambda client, _: client.threads.update(client.threads.create()["thread_id"], metadata={"k": 1}),
        lambda client, _: client.threads.update(client.threads.create()["thread_id"], metadata={"k": 1}, return_minimal=True),
        lambda client, _: client.threads.count(status="busy", metadata={"no": "such"}),
        lambda client, _: client.http.get("/ok"),
        lambda client, name: client.http.post("/threads/search", json={"metadata": {"no": name}}),
    ]
    for number, call in enumerate(calls):
        assert shape_of(call(sdk_client, f"sdk{number // 4}")) == shape_of(call(sdk_like, f"own{number // 4}")), number


def test_the_events_of_a_thread_are_tuples(either: Any) -> None:
    thread_id = either.threads.create()["thread_id"]
    stream = either.threads.join_stream(thread_id, last_event_id="0")
    either.runs.create(thread_id, "echo", input=INPUT, stream_resumable=True, stream_mode="values")
    parts = itertools.takewhile(lambda part: part.event != "values" or part.data.get("echo") != "hello", stream)
    assert "metadata" in [event for event, _, _ in parts]
    stream.close()


def test_errors_of_calls_of_the_client_itself_have_the_sdks_classes(sdk_like: Any) -> None:
    with pytest.raises(compat.NotFoundError):
        sdk_like.request("GET", "/no/such/path")
    assert sdk_like.ok() and sdk_like.info()["version"]


def test_what_only_this_library_has_works_with_its_dicts(sdk_like: Any) -> None:
    thread_id = sdk_like.threads.create()["thread_id"]
    run = sdk_like.runs.create(thread_id, "echo", input=INPUT)
    assert ["hello"] == [result.values["echo"] for result in sdk_like.runs.join_all([run])]
    assert [run["run_id"]] == [one["run_id"] for one in sdk_like.runs.iter(thread_id)]
    with sdk_like.runs.stream(thread_id, "echo", input=INPUT) as stream:
        assert stream.run_id != run.run_id
        assert "hello" == [*stream][-1].data["echo"]
    assert stream.outcome.succeeded
    with pytest.raises(RunFailedError) as caught:
        list(sdk_like.runs.stream(thread_id, "failing", input={"error": "ValueError", "message": "no ink"}))
    assert "no ink" == caught.value.message


# -- RemoteGraph


def test_invoke_and_the_state(sdk_like: Any) -> None:
    graph, config = remote(sdk_like, "steps"), config_of(sdk_like)
    assert {"path": ["one", "two", "three"]} == graph.invoke({}, config)
    state = graph.get_state(config)
    assert ({"path": ["one", "two", "three"]}, (), 3) == (state.values, state.next, state.metadata["step"])
    history = list(graph.get_state_history(config))
    assert [3, 2, 1, 0, -1] == [one.metadata["step"] for one in history]
    assert history[0].parent_config == history[1].config
    assert [2, 1] == [one.metadata["step"] for one in graph.get_state_history(config, before=history[0].config, limit=2)]
    assert ("three",) == graph.get_state(history[1].config).next
    assert [1] == [one.metadata["step"] for one in graph.get_state_history(config, filter={"step": 1})]


def test_invoke_without_a_thread(sdk_like: Any) -> None:
    assert "hello" == remote(sdk_like, "echo").invoke(INPUT)["echo"]


def test_update_state_and_going_on_from_there(sdk_like: Any) -> None:
    graph, config = remote(sdk_like, "steps"), config_of(sdk_like)
    graph.invoke({}, config, interrupt_before=["three"])
    updated = graph.update_state(config, {"path": ["changed"]}, as_node="one")
    assert config["configurable"]["thread_id"] == updated["configurable"]["thread_id"]
    assert ("two",) == graph.get_state(updated).next
    assert ["one", "two", "changed", "two", "three"] == graph.invoke(None, config)["path"]


MODES = ["values", "updates", "messages", "custom", "debug", "tasks", "checkpoints"]


@pytest.mark.parametrize("graph", ["nested", "chat"])
def test_streams_in_every_mode_are_those_of_the_sdk(sdk_client: Any, sdk_like: Any, graph: str) -> None:
    """All modes at once, and one alone: what differs from run to run, such as ids, times and their order, is left out."""
    given = {"messages": [{"role": "user", "content": "a b"}]} if graph == "chat" else {}

    def shape(part: Any) -> Any:
        namespace, mode, data = part
        names = sorted(data) if isinstance(data, dict) else [item.get("content") for item in data]
        return mode, [name.split(":")[0] for name in namespace], names

    def shapes(client: Any) -> Any:
        streamed = remote(client, graph).stream(given, config_of(client), stream_mode=MODES, subgraphs=True)
        return sorted(map(shape, streamed), key=repr)

    found, expected = shapes(sdk_like), shapes(sdk_client)
    assert expected == found
    assert {"messages" if graph == "chat" else "custom", "values", "updates", "debug", "tasks", "checkpoints"} <= {
        mode for mode, _, _ in found
    }
    if graph == "chat":
        return
    alone = [next(iter(remote(client, graph).stream(given, stream_mode="updates"))) for client in (sdk_like, sdk_client)]
    assert list(alone[0]) == list(alone[1])
    tuples = list(remote(sdk_like, graph).stream(given, stream_mode=["updates"]))
    assert ["updates"] == sorted({event for event, _, _ in tuples})
    v2 = list(remote(sdk_like, graph).stream(given, stream_mode="values", version="v2"))
    assert {"values"} == {part["type"] for part in v2}


def test_stream_events_of_version_3_go_through_the_sdk(server: DevServer) -> None:
    client: Any = compat.get_sync_client(url=server.url)
    with client, remote(client, "steps").stream_events({}, version="v3") as run:
        assert {"values"} <= {event["method"] for event in run}
        assert {"path": ["one", "two", "three"]} == run.output
    assert "_of_sdk" not in vars(client.threads)


def test_a_failed_run_is_the_error_of_remote_graph(sdk_like: Any) -> None:
    from langgraph.pregel.remote import RemoteException

    with pytest.raises(RemoteException, match="no ink"):
        remote(sdk_like, "failing").invoke({"error": "ValueError", "message": "no ink"})


def test_questions_and_their_answers(sdk_like: Any) -> None:
    from langgraph.types import Command

    graph, config = remote(sdk_like, "asker"), config_of(sdk_like)
    paused = graph.invoke({"questions": ["who?"]}, config)
    assert "who?" == paused["__interrupt__"][0]["value"]
    state = graph.get_state(config)
    assert ("who?", ("ask",)) == (state.interrupts[0].value, state.next)
    assert "who?" == state.tasks[0].interrupts[0].value
    assert [{"who?": "ada"}] == graph.invoke(Command(resume="ada"), config)["answers"]
    second = graph.invoke({"questions": ["where?"]}, config, version="v2")
    assert "where?" == second.interrupts[0].value


def test_the_state_of_subgraphs(sdk_like: Any) -> None:
    graph, config = remote(sdk_like, "nested"), config_of(sdk_like)
    graph.invoke({"path": ["ask"]}, config)
    state = graph.get_state(config, subgraphs=True)
    inner = state.tasks[0].state
    assert ("child", ("inner",)) == (state.tasks[0].name, inner.next)
    assert graph.get_state(inner.config).next == ("inner",)


def test_the_graph(sdk_like: Any) -> None:
    drawn = remote(sdk_like, "nested").get_graph(xray=True)
    assert {"__start__", "outer", "__end__"} <= set(drawn.nodes)
    assert "outer" in drawn.draw_mermaid()


class State(TypedDict, total=False):
    questions: list[str]
    answers: Annotated[list[Any], operator.add]


def test_as_a_node_of_another_graph_it_streams_and_asks(either: Any) -> None:
    """Events of the remote graph come through the local one, and a question of the remote graph pauses the local one."""
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.graph import END, START, StateGraph

    graph = (
        StateGraph(State)
        .add_node("asker", remote(either, "asker"))
        .add_edge(START, "asker")
        .add_edge("asker", END)
        .compile(checkpointer=InMemorySaver())
    )
    paused: Any = graph.invoke({"questions": ["who?"]}, config_of(either))
    assert "who?" == paused["__interrupt__"][0].value

    steps: Any = (
        StateGraph(State).add_node("remote", remote(either, "nested")).add_edge(START, "remote").add_edge("remote", END).compile()
    )
    modes = list(steps.stream({}, stream_mode=["custom", "updates"], subgraphs=True))
    assert {"outer", "inner"} == {data["in"] for _, mode, data in modes if mode == "custom"}
    assert {"remote", "child"} <= {name.split(":")[0] for namespace, _, _ in modes for name in namespace}

"""client.assistants, client.ok and client.info on the real server."""

from __future__ import annotations

import importlib.metadata
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from langgraph_runs import Client, ConflictError, NotFoundError
from langgraph_runs.devserver import DevServer
from langgraph_runs.testing.cutting_proxy import CuttingProxy, swallow

from .conftest import GRAPHS

#: Metadata of the assistants that the server itself has made. Other tests make further ones.
SYSTEM = {"created_by": "system"}


def test_each_graph_has_an_assistant(client: Client) -> None:
    """search finds one for each graph of the server, with name, version and aware times."""
    found = client.assistants.search(metadata=SYSTEM, limit=100)

    assert sorted(GRAPHS) == sorted(str(assistant.graph_id) for assistant in found)
    assert {1} == {assistant.version for assistant in found}
    assert all(a.created_at is not None and a.created_at.tzinfo is not None for a in found)


def test_get_finds_it_by_its_id(client: Client, new_id: str) -> None:
    """get tells the same as search; an unknown id is NotFoundError."""
    (found,) = client.assistants.search(graph_id="echo", metadata=SYSTEM)

    assert found == client.assistants.get(found.assistant_id)
    assert ("echo", "echo", {"created_by": "system"}) == (found.graph_id, found.name, found.metadata)
    with pytest.raises(NotFoundError):
        client.assistants.get(new_id)


def test_search_filters_pages_sorts_and_selects(client: Client) -> None:
    """By graph, name and metadata; in the order asked for; a page of it; only the fields that were selected."""
    search = client.assistants.search

    def names(**options: Any) -> list[str]:
        return [str(assistant.name) for assistant in search(**{"metadata": SYSTEM, **options})]

    assert ["steps"] == names(name="steps")
    with pytest.raises(NotFoundError, match="nobody"):
        search(graph_id="nobody")
    assert [] == names(metadata={"mine": True})
    assert sorted(GRAPHS) == names(sort_by="name", sort_order="asc", limit=100)
    assert sorted(GRAPHS)[::-1] == names(sort_by="name", sort_order="desc", limit=100)
    assert sorted(GRAPHS)[1:3] == names(sort_by="name", sort_order="asc", limit=2, offset=1)
    (selected,) = search(graph_id="echo", metadata=SYSTEM, select=["assistant_id", "name"])
    assert ("echo", None, None) == (selected.name, selected.graph_id, selected.created_at)

    page = search(metadata=SYSTEM, sort_by="name", sort_order="asc", limit=3, response_format="object")
    assert (sorted(GRAPHS)[:3], "3") == ([assistant.name for assistant in page.assistants], page.next)
    assert search(metadata=SYSTEM, limit=100, response_format="object").next is None


# -- changes


@pytest.fixture
def mine(client: Client, new_id: str) -> Iterator[dict[str, Any]]:
    """Metadata of the assistants of this test alone, which are deleted afterwards."""
    metadata = {"test": new_id}
    yield metadata
    for assistant in client.assistants.search(metadata=metadata, limit=100):
        client.assistants.delete(assistant.assistant_id)


def test_create_makes_an_assistant_of_a_graph(client: Client, new_id: str, mine: dict[str, Any]) -> None:
    """With what is given; without an id one is chosen. Runs of it get its configuration."""
    options: dict[str, Any] = {"name": "Echo", "description": "repeats", "metadata": mine}
    made = client.assistants.create("echo", {"tags": ["t"]}, context={"tone": "dry"}, assistant_id=new_id, **options)
    other = client.assistants.create("echo", metadata=mine)

    assert made == client.assistants.get(new_id)
    assert ("echo", "Echo", "repeats", 1) == (made.graph_id, made.name, made.description, made.version)
    assert (["t"], {"tone": "dry"}, mine) == (made.config["tags"], made.context, made.metadata)
    assert other.assistant_id != new_id
    assert client.runs.wait(None, new_id, input={"value": 5})["echo"] == 5


def test_create_of_a_taken_id(client: Client, new_id: str, mine: dict[str, Any]) -> None:
    """A conflict, or with if_exists="do_nothing" the assistant as it was. An unknown graph is NotFoundError."""
    client.assistants.create("echo", assistant_id=new_id, metadata=mine)
    for options in ({}, {"if_exists": "raise"}):
        with pytest.raises(ConflictError):
            client.assistants.create("echo", assistant_id=new_id, **options)  # type: ignore[arg-type]

    assert mine == client.assistants.create("echo", assistant_id=new_id, metadata={"x": 1}, if_exists="do_nothing").metadata
    with pytest.raises(NotFoundError):
        client.assistants.create("nobody")


@pytest.mark.parametrize("given", [True, False])
def test_an_assistant_whose_response_is_lost_is_created_once(
    client: Client, server: DevServer, new_id: str, mine: dict[str, Any], given: bool
) -> None:
    """The create is sent again, with the same id, and the server does not create another one."""
    with CuttingProxy(server.url) as proxy, Client(proxy.url, api_key=None) as cut:
        proxy.arm(swallow(reset=True), when=b"POST /assistants HTTP")
        made = cut.assistants.create("echo", metadata=mine, assistant_id=new_id if given else None)
        sent = [turn for turn in proxy.turns if turn.first.startswith(b"POST /assistants HTTP")]

    assert 2 == len(sent)
    assert [made] == client.assistants.search(metadata=mine)


def test_a_lost_response_does_not_hide_a_conflict(client: Client, server: DevServer, new_id: str, mine: dict[str, Any]) -> None:
    """The assistant existed before, and is another one: the repeated create must not return it as if it were new."""
    client.assistants.create("echo", assistant_id=new_id, name="first", metadata=mine)
    with CuttingProxy(server.url) as proxy, Client(proxy.url, api_key=None) as cut:
        proxy.arm(swallow(reset=True), when=b"POST /assistants HTTP")
        with pytest.raises(ConflictError):
            cut.assistants.create("echo", assistant_id=new_id, name="second")


def test_versions(client: Client, mine: dict[str, Any]) -> None:
    """Each update makes one, and an older one can be made the current one again."""
    made = client.assistants.create("echo", metadata=mine, name="one")
    again = client.assistants.update(made.assistant_id, metadata={"more": 1}, name="two", description="d", context={"tone": "dry"})
    moved = client.assistants.update(made.assistant_id, graph_id="steps", config={"tags": ["t"]})

    assert ({**mine, "more": 1}, "two", "d", {"tone": "dry"}, 2) == (
        again.metadata,
        again.name,
        again.description,
        again.context,
        again.version,
    )
    assert ("steps", ["t"], 3) == (moved.graph_id, moved.config["tags"], moved.version)

    def versions(*arguments: Any, **options: Any) -> list[Any]:
        return [version.version for version in client.assistants.get_versions(made.assistant_id, *arguments, **options)]

    assert [3, 2, 1] == versions()
    assert [2] == versions(limit=1, offset=1)
    assert [3, 2] == versions({"more": 1})
    latest = client.assistants.set_latest(made.assistant_id, 1)
    assert ("one", 1) == (latest.name, latest.version)
    assert "one" == client.assistants.get(made.assistant_id).name
    with pytest.raises(NotFoundError):
        client.assistants.set_latest(made.assistant_id, version=9)


def test_count(client: Client, mine: dict[str, Any]) -> None:
    """By metadata, graph and name."""
    for graph_id, name in (("echo", "a"), ("echo", "b"), ("steps", "a")):
        client.assistants.create(graph_id, metadata=mine, name=name)

    assert 3 == client.assistants.count(metadata=mine)
    assert 2 == client.assistants.count(metadata=mine, graph_id="echo")
    assert 2 == client.assistants.count(metadata=mine, name="a")


def test_delete(client: Client, mine: dict[str, Any]) -> None:
    """With its threads, if that is asked for; a second delete is NotFoundError."""
    kept, gone = (client.assistants.create("echo", metadata=mine).assistant_id for _ in range(2))
    threads = {}
    for name in (kept, gone):
        run = client.runs.create(str(uuid.uuid4()), name, input={}, if_not_exists="create")  # its thread names the assistant
        threads[name] = run.thread_id
    client.assistants.delete(kept)
    client.assistants.delete(gone, delete_threads=True)

    assert threads[kept] == client.threads.get(threads[kept]).thread_id
    with pytest.raises(NotFoundError):
        client.threads.get(threads[gone])
    for assistant_id in (kept, gone):
        with pytest.raises(NotFoundError):
            client.assistants.delete(assistant_id)


def test_what_a_graph_consists_of(client: Client) -> None:
    """Nodes and edges, with those of subgraphs; the schemas of the graph and of its subgraphs."""
    (nested,) = client.assistants.search(graph_id="nested", metadata=SYSTEM)

    plain, deep = (client.assistants.get_graph(nested.assistant_id, xray=xray) for xray in (False, True))
    assert ["__start__", "outer", "child", "__end__"] == [node["id"] for node in plain.nodes]
    assert "child:inner" in [node["id"] for node in deep.nodes]
    assert deep == client.assistants.get_graph(nested.assistant_id, xray=1)
    assert all({"source", "target"} <= edge.keys() for edge in plain.edges)

    (chat,) = client.assistants.search(graph_id="chat", metadata=SYSTEM)
    schemas = client.assistants.get_schemas(chat.assistant_id)
    assert ("chat", None) == (schemas.graph_id, schemas.context_schema)
    assert schemas.input_schema and schemas.output_schema and "messages" in (schemas.state_schema or {})["properties"]

    subgraphs = client.assistants.get_subgraphs(nested.assistant_id)
    assert ["child"] == list(subgraphs) == list(client.assistants.get_subgraphs(nested.assistant_id, "child", True))
    assert subgraphs == client.assistants.get_subgraphs(nested.assistant_id, recurse=True)
    assert subgraphs["child"].graph_id is None and subgraphs["child"].state_schema is not None
    assert {} == client.assistants.get_subgraphs(nested.assistant_id, namespace="nobody")


def test_ok_and_info(client: Client, server: DevServer) -> None:
    """The server is well and says which it is."""
    assert client.ok() is True
    info = client.info()

    assert importlib.metadata.version("langgraph-api") == info.version
    assert importlib.metadata.version("langgraph") == info.langgraph_py_version
    assert info.flags["assistants"] is True
    assert server.url == client.base_url

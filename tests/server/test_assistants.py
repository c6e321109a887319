"""client.assistants, client.ok and client.info on the real server."""

from __future__ import annotations

import importlib.metadata

import pytest

from langgraph_runs import Client, NotFoundError
from langgraph_runs.devserver import DevServer

from .conftest import GRAPHS


def test_each_graph_has_an_assistant(client: Client) -> None:
    """search finds one for each graph of the server, with name, version and aware times."""
    found = client.assistants.search(limit=100)

    assert sorted(GRAPHS) == sorted(str(assistant.graph_id) for assistant in found)
    assert {1} == {assistant.version for assistant in found}
    assert all(a.created_at is not None and a.created_at.tzinfo is not None for a in found)


def test_get_finds_it_by_its_id(client: Client, new_id: str) -> None:
    """get tells the same as search; an unknown id is NotFoundError."""
    (found,) = client.assistants.search(graph_id="echo")

    assert found == client.assistants.get(found.assistant_id)
    assert ("echo", "echo", {"created_by": "system"}) == (found.graph_id, found.name, found.metadata)
    with pytest.raises(NotFoundError):
        client.assistants.get(new_id)


def test_search_filters_pages_sorts_and_selects(client: Client) -> None:
    """By graph, name and metadata; in the order asked for; a page of it; only the fields that were selected."""
    search = client.assistants.search

    def names(**options: object) -> list[str]:
        return [str(assistant.name) for assistant in search(**options)]  # type: ignore[arg-type]

    assert ["steps"] == names(name="steps")
    with pytest.raises(NotFoundError, match="nobody"):
        search(graph_id="nobody")
    assert [] == names(metadata={"mine": True})
    assert sorted(GRAPHS) == names(metadata={"created_by": "system"}, sort_by="name", sort_order="asc", limit=100)
    assert sorted(GRAPHS)[::-1] == names(sort_by="name", sort_order="desc", limit=100)
    assert sorted(GRAPHS)[1:3] == names(sort_by="name", sort_order="asc", limit=2, offset=1)
    (selected,) = search(graph_id="echo", select=["assistant_id", "name"])
    assert ("echo", None, None) == (selected.name, selected.graph_id, selected.created_at)


def test_ok_and_info(client: Client, server: DevServer) -> None:
    """The server is well and says which it is."""
    assert client.ok() is True
    info = client.info()

    assert importlib.metadata.version("langgraph-api") == info.version
    assert importlib.metadata.version("langgraph") == info.langgraph_py_version
    assert info.flags["assistants"] is True
    assert server.url == client.base_url

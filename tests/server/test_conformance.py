"""The checks of a server: what they find on the Python server, that they notice a broken promise, and that they leave nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from langgraph_runs import Client, InvalidRequestError, UnprocessableEntityError
from langgraph_runs.devserver import DevServer
from langgraph_runs.testing.conformance import CATALOG, ConformanceRow, Graph, Graphs, Verdict, check_conformance, own_server
from langgraph_runs.testing.conformance.trial import METADATA

from ..gateways import ChangedRequestId, Gateway
from .commands import Commands

NAMES = [check.name for checks in CATALOG.values() for check in checks]


@pytest.fixture(scope="module")
def own() -> Iterator[tuple[str, Graphs]]:
    with own_server() as (server, graphs):
        yield server.url, graphs


@pytest.fixture
def client(own: tuple[str, Graphs]) -> Iterator[Client]:
    """A client of the server; nothing that the checks created is there after the test."""
    with Client(own[0], api_key=None, timeout=60) as client:
        yield client
        assert [] == client.threads.search(metadata=METADATA, limit=100)


def check(client: Client, graphs: Graphs, *only: str, **others: Any) -> dict[str, ConformanceRow]:
    found = check_conformance(client, only=only, **{**graphs.as_arguments(), **others})
    assert () == found.left_threads
    return {row.name: row for row in found.rows}


@pytest.mark.slow
def test_the_command_makes_all_checks_and_each_promise_holds(own: tuple[str, Graphs], client: Client) -> None:
    graphs = {
        "--graph": own[1].main,
        "--graph-that-fails": own[1].failing,
        "--graph-that-pauses": own[1].pausing,
        "--graph-that-lasts": own[1].lasting,
        "--graph-that-streams": own[1].streaming,
        "--graph-that-exceeds": own[1].exceeding,
    }
    options = [
        word for name, graph in graphs.items() if graph for word in (name, f"{graph.assistant_id}={json.dumps(graph.input)}")
    ]
    ended = Commands(own[0])("doctor", "--conformance", "--json", "--concurrency", "16", *options)

    failed = [line for line in ended.lines if line["verdict"] in ("broken", "not tried")]
    assert [] == failed, failed
    assert sorted(NAMES) == sorted(line["name"] for line in ended.lines)
    assert 0 == ended.code


def test_a_promise_that_is_broken_is_noticed(own: tuple[str, Graphs], client: Client) -> None:
    """A client that does not verify outcomes takes a cancelled run for a success."""
    with Client(own[0], api_key=None, verify_outcome=False) as careless:
        found = check(careless, own[1], "cancelled", "ok")
    assert (Verdict.BROKEN, "join_stream returned normally for the cancelled run") == (
        found["cancelled"].verdict,
        found["cancelled"].found,
    )
    assert Verdict.HOLDS == found["ok"].verdict


def test_a_check_whose_graph_is_missing_or_another_is_not_tried(own: tuple[str, Graphs], client: Client) -> None:
    found = check(
        client, own[1], "failure", "question", "stream-cut", failing=Graph("work", {}), pausing=None, streaming=Graph("work", {})
    )
    assert {Verdict.NOT_TRIED} == {row.verdict for row in found.values()}
    assert "the graph that fails ended with the status 'success'" == found["failure"].found
    assert "no graph was named for it: pausing" == found["question"].found
    assert "the graph that streams has 0 custom events, and the check needs at least 20" == found["stream-cut"].found


def test_checks_that_are_ended_early_leave_nothing(own: tuple[str, Graphs], client: Client) -> None:
    """As by Ctrl-C. The fixture looks for threads."""
    rows: list[str] = []

    def end(row: ConformanceRow, done: int, total: int) -> None:
        rows.append(row.name)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_conformance(client, **own[1].as_arguments(), on_row=end)
    assert 1 == len(rows)


def test_a_graph_that_does_not_succeed_is_an_error_before_the_checks(own: tuple[str, Graphs], client: Client) -> None:
    with pytest.raises(InvalidRequestError, match="ended with the status 'error'"):
        check_conformance(client, "work", input={"fail": "no ink"})
    with pytest.raises(UnprocessableEntityError):
        check_conformance(client, "no-such-graph")


def test_the_habit_of_a_gateway_shows(own: tuple[str, Graphs], client: Client) -> None:
    """One that replaces request ids: the id is not stored, and no create is doubled."""
    with Gateway(own[0], ChangedRequestId()) as gateway, Client(gateway.url, api_key=None) as behind:
        found = check(behind, own[1], "request-id", "create-cut", "metadata")
    assert (Verdict.DIFFERS, "uses it as a hint only") == (found["request-id"].verdict, found["request-id"].handling)
    assert Verdict.HOLDS == found["metadata"].verdict
    assert found["create-cut"].verdict in (Verdict.HOLDS, Verdict.DIFFERS)


def test_a_server_below_a_path_and_with_a_key(guarded_server: DevServer) -> None:
    with Client(guarded_server.url, api_key="key-of-alice") as alice:
        found = check(alice, Graphs(Graph("echo", {"text": "hi"})), "create-cut", "silent-connection", "ok")
        assert {"create-cut": "holds", "silent-connection": "holds", "ok": "holds"} == {
            name: row.verdict.value for name, row in found.items()
        }
        assert [] == alice.threads.search(metadata=METADATA, limit=100)


def test_without_a_url_and_a_graph_the_command_starts_a_server() -> None:
    ended = Commands("").local("doctor", "--conformance", "--only", "ok,not-found", "--json")
    assert (0, "") == (ended.code, ended.err)
    assert {"ok": "holds", "not-found": "holds"} == {line["name"]: line["verdict"] for line in ended.lines}

"""The records of what the checks found."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_runs import InvalidRequestError
from langgraph_runs.testing.conformance import Conformance, ConformanceRow, Graph, Graphs, Verdict, check_conformance


def row(name: str, verdict: Verdict) -> ConformanceRow:
    return ConformanceRow(name, "Area", "It is so.", verdict, found="found", handling="handling", seconds=1.23456)


def test_a_server_conforms_unless_a_promise_is_broken() -> None:
    rows = (row("a", Verdict.HOLDS), row("b", Verdict.DIFFERS), row("c", Verdict.NOT_TRIED))
    assert Conformance("http://x", rows).conforms
    broken = Conformance("http://x", (*rows, row("d", Verdict.BROKEN)))
    assert (False, ["d"]) == (broken.conforms, [found.name for found in broken.broken])
    assert {"holds": 1, "differs": 1, "broken": 1, "not tried": 1} == broken.counts
    assert ["b"] == [found.name for found in broken.having("differs")]


def test_a_row_as_json() -> None:
    assert {
        "name": "a",
        "area": "Area",
        "promise": "It is so.",
        "verdict": "differs",
        "found": "found",
        "handling": "handling",
        "seconds": 1.235,
    } == row("a", Verdict.DIFFERS).as_dict()


def test_graphs_are_named_by_id_or_as_graph() -> None:
    graphs = Graphs.of("agent", {"n": 1}, failing="broken", pausing=Graph("review", {"n": 2}), lasting=None)
    assert Graph("agent", {"n": 1}) == graphs.main
    assert (Graph("broken"), Graph("review", {"n": 2}), None) == (graphs.failing, graphs.pausing, graphs.lasting)
    again = graphs.as_arguments()
    assert graphs == Graphs.of(again.pop("assistant_id"), **again)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"assistant_id": None}, "assistant_id=None: give the id of an assistant, or a Graph"),
        ({"assistant_id": "agent", "failing": 3}, "failing=3: give the id"),
        ({"assistant_id": Graph("agent"), "input": {}}, "input= is for an assistant"),
        ({"assistant_id": "agent", "only": ["no-check"]}, "there are no such checks; there are success, named-run"),
        ({"assistant_id": "agent", "concurrency": 0}, "concurrency=0"),
    ],
)
def test_wrong_arguments_raise_before_anything_is_sent(arguments: Any, message: str) -> None:
    client: Any = None  # it would fail with another error
    with pytest.raises(InvalidRequestError, match=message):
        check_conformance(client, **arguments)

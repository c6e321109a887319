"""``langgraph-runs serve``: the graphs that it is given."""

from __future__ import annotations

from typing import List

import pytest

from langgraph_runs import cli
from langgraph_runs.cli.serve import graphs_of


def test_a_graph_may_have_a_name() -> None:
    assert {"agent": "graph.py:graph"} == graphs_of(["graph.py:graph"])
    assert {"chat": "bot/chat.py:graph", "agent": "report:graph"} == graphs_of(["chat=bot/chat.py:graph", "report:graph"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["graph.py"], "graph.py: give PATH:VARIABLE or NAME=PATH:VARIABLE, such as agent=graph.py:graph"),
        (["=graph.py:graph"], "=graph.py:graph: give PATH:VARIABLE"),
        (["a.py:graph", "b.py:graph"], "there are two graphs of the name agent: give NAME=PATH:VARIABLE for each"),
    ],
)
def test_a_graph_that_is_not_understood_is_a_usage_error(
    arguments: List[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 2 == cli.main(["serve", *arguments])
    assert capsys.readouterr().err.startswith(f"langgraph-runs: {message}")

"""``langgraph-runs prune``: usage errors."""

from __future__ import annotations

from typing import List

import pytest

from langgraph_runs import cli


@pytest.mark.parametrize(
    "arguments",
    [
        ["prune", "--status", "error"],
        ["prune", "t", "--all-threads", "--status", "error"],
        ["prune", "t"],
        ["prune", "--all-threads"],
        ["prune", "--threads", "--older-than", "1d"],
        ["prune", "--threads", "--all-threads"],
    ],
)
def test_prune_needs_threads_and_a_filter(arguments: List[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == cli.main(arguments)
    assert capsys.readouterr().err.startswith("langgraph-runs: give ")

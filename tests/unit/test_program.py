"""Which processes are the command line."""

from __future__ import annotations

from typing import List

import pytest

from langgraph_runs import _program


@pytest.mark.parametrize(
    ("argv", "whole", "is_it"),
    [
        (["/venv/bin/langgraph-runs", "run"], ["python", "/venv/bin/langgraph-runs", "run"], True),
        (["C:/langgraph-runs.exe"], [], True),
        (["-m"], ["python", "-W", "error", "-m", "langgraph_runs"], True),
        (["-m"], ["python", "-m", "pytest", "langgraph_runs"], False),
        (["-m"], [], False),
        (["-c"], ["python", "-c", "import langgraph_runs"], False),
        ([""], ["python"], False),
        ([], [], False),
    ],
)
def test_the_command_line_is_recognized_by_its_arguments(argv: List[str], whole: List[str], is_it: bool) -> None:
    assert is_it is _program.is_program(argv, whole)

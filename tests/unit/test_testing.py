"""The names of langgraph_runs.testing."""

from __future__ import annotations

import importlib

import pytest

import langgraph_runs.testing


def test_every_name_has_one_module() -> None:
    """The imports for type checkers are the same as those at run time."""
    assert sorted(langgraph_runs.testing.__all__) == langgraph_runs.testing.__all__
    assert set(langgraph_runs.testing.__all__) == set(langgraph_runs.testing._MODULE_OF)
    for name, module in langgraph_runs.testing._MODULE_OF.items():
        home = importlib.import_module(f"langgraph_runs.testing.{module}")
        assert name in home.__all__ and getattr(langgraph_runs.testing, name) is getattr(home, name)
    assert set(langgraph_runs.testing.__all__) <= set(dir(langgraph_runs.testing))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = langgraph_runs.testing.nothing  # type: ignore[attr-defined]

"""The checked arguments of a map. Refused arguments are tested with the call, in wire/test_map.py."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import attrs
import pytest

from langgraph_runs import Ledger
from langgraph_runs.batch import MapConfig
from langgraph_runs.options import MapOptions, option_docs
from langgraph_runs.resources.runs import RunsClient


@pytest.mark.parametrize(
    ("keep", "after_success", "after_failure"), [(False, True, True), ("failed", True, False), (True, False, False)]
)
def test_threads_are_deleted_unless_they_are_kept(keep: Any, after_success: bool, after_failure: bool) -> None:
    config = MapConfig(keep_threads=keep)
    assert (after_success, after_failure) == (config.deletes_thread(failed=False), config.deletes_thread(failed=True))


def test_common_options_are_separated_from_those_of_the_runs() -> None:
    config = MapConfig(options={"metadata": {"a": 1}, "headers": {"x-own": "1"}, "params": {"q": 1}})
    assert {"metadata": {"a": 1}} == config.run_options
    assert ({"x-own": "1"}, [("q", "1")]) == (config.call.headers, config.call.params)


def test_a_ledger_may_be_given_as_a_path(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    assert {str(path)} == {MapConfig(ledger=given).ledger.path for given in (path, str(path), Ledger(path))}  # type: ignore[union-attr]


def test_each_argument_of_map_is_a_field_with_the_same_default() -> None:
    run_options = set(option_docs(MapOptions))
    parameters = {
        name: one.default for name, one in inspect.signature(RunsClient.map).parameters.items() if name not in run_options
    }
    fields = {field.name: field.default for field in attrs.fields(MapConfig) if field.init}
    assert set(parameters) - {"self", "inputs"} == set(fields) - {"options"}
    assert [] == [
        name for name, default in parameters.items() if default is not inspect.Parameter.empty and default != fields[name]
    ]

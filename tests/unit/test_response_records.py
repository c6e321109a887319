"""Records of the API where the values of a run are due."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_runs import Run
from langgraph_runs.runs.response_records import is_record_of, values_in

RUN = Run(run_id="r", thread_id="t", status="success")
TIME = "2026-11-21T01:09:53+00:00"


@pytest.mark.parametrize(
    ("value", "values"),
    [
        ({"run_id": "r", "thread_id": "t", "assistant_id": "a", "status": "success", "created_at": TIME}, None),
        ({"run_id": "r", "assistant_id": "a", "status": "success", "created_at": TIME, "output": {"n": 1}}, {"n": 1}),
        ({"thread_id": "t", "status": "idle", "created_at": TIME, "metadata": {}, "values": {"n": 1}}, {"n": 1}),
        ({"values": {"n": 1}, "next": [], "tasks": [], "metadata": {"run_id": "r"}}, {"n": 1}),
    ],
)
def test_a_record_of_the_run_is_recognised(value: Any, values: Any) -> None:
    assert (True, values) == (is_record_of(RUN, value), values_in(value))


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"run_id": "r", "status": "paid"},
        {"run_id": "other", "assistant_id": "a", "status": "success", "created_at": TIME},
        {"thread_id": "other", "status": "idle", "created_at": TIME, "metadata": {}, "values": {}},
        {"thread_id": "t", "values": [1], "metadata": {}},
        {"values": {"n": 1}, "next": "page 2", "tasks": [], "metadata": {"run_id": "other"}},
        {"values": {"n": 1}, "metadata": None},
    ],
)
def test_values_are_no_record(value: Any) -> None:
    assert not is_record_of(RUN, value)

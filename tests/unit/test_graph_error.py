"""The error of a graph, as servers report it."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_runs import Run, ThreadState, ThreadTask
from langgraph_runs.runs.graph_error import GraphError, error_in_run, error_in_state, reported_error


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"error": "ValueError", "message": "boom"}, ("ValueError", "boom")),
        ({"error": "boom"}, (None, "boom")),
        ({"message": "boom"}, (None, "boom")),
        ({"error": {"error": "E", "message": "m"}}, ("E", "m")),
        ({"error": {"message": "m"}, "message": "outer"}, (None, "m")),
        ("boom", (None, "boom")),
        ("", (None, "")),
        ({"error": 5, "message": 6}, ("5", "6")),
        ({"name": "ValueError", "message": "boom"}, ("ValueError", "boom")),
        # As recorded from the JavaScript server.
        (
            {"error": "Error", "message": '{"error":"GraphRecursionError","message":"Recursion limit of 3 reached"}'},
            ("GraphRecursionError", "Recursion limit of 3 reached"),
        ),
        ('Error: {"error":"GraphRecursionError","message":"limit"}', ("GraphRecursionError", "limit")),
        ('{"message":"boom","name":"Error"}', ("Error", "boom")),
        # The message is the user's own, since the class says so.
        ({"error": "ValueError", "message": '{"error":"E","message":"m"}'}, ("ValueError", '{"error":"E","message":"m"}')),
        ('{"message": 5}', (None, '{"message": 5}')),
        ("Error: {not json}", (None, "Error: {not json}")),
        ({}, None),
        ({"other": 1}, None),
        (None, None),
        ([1], None),
        (5, None),
    ],
)
def test_errors_in_the_shapes_of_servers(value: Any, told: Any) -> None:
    """Class and message are found in each, and nothing in what is none of them."""
    assert told == reported_error(value)


@pytest.mark.parametrize(
    ("extra", "found"),
    [
        ({"error_message": "boom", "output": {}}, GraphError(None, "boom")),
        ({"error": {"error": "E", "message": "m"}, "error_message": "boom"}, GraphError("E", "m")),
        ({"error_message": None}, None),
        ({"error_message": ""}, None),
        ({}, None),
    ],
)
def test_the_error_that_is_kept_with_a_run(extra: Any, found: Any) -> None:
    """Some servers have fields for it."""
    assert found == error_in_run(Run(run_id="r", thread_id="t", status="error", extra=extra))


def test_the_error_of_a_step() -> None:
    """As JSON in text, on the JavaScript server, and as the repr of an exception, on the others."""
    state = ThreadState(tasks=[ThreadTask(error=None), ThreadTask(error='{"message":"boom","name":"TypeError"}')])
    assert GraphError("TypeError", "boom") == error_in_state(state)
    assert GraphError("ValueError", "boom") == error_in_state(ThreadState(tasks=[ThreadTask(error="ValueError('boom')")]))
    assert None is error_in_state(None)

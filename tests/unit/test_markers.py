"""Unit tests for markers: where the marker of a create is found, and that nothing of it is left for the caller."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from langgraph_runs.markers import BATCH_ITEM, MARKER, is_in_metadata, marker_in, shown_request_id, take_marker
from langgraph_runs.models import Run, Thread, ThreadState
from langgraph_runs.serialization import decode

OWN = {MARKER: "m", BATCH_ITEM: 3}
#: The places where servers show metadata, and what is left of the run when the marker is taken out.
SHOWN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"metadata": {"a": 1, **OWN}}, {"metadata": {"a": 1}}),
    ({"config": {"tags": ["t"], "metadata": OWN}}, {"config": {"tags": ["t"]}}),
    ({"kwargs": {"input": 1, "config": {"metadata": {"a": 1, **OWN}}}}, {"kwargs": {"input": 1, "config": {"metadata": {"a": 1}}}}),
]


@pytest.mark.parametrize(("shown", "left"), SHOWN, ids=["metadata", "config", "kwargs"])
def test_the_marker_is_found_and_taken_from_each_place(shown: dict[str, Any], left: dict[str, Any]) -> None:
    before, fields = copy.deepcopy(shown), dict(shown)
    assert "m" == marker_in(shown) == take_marker(fields)
    assert (left, before) == (fields, shown)
    assert ("metadata" in shown) == is_in_metadata(shown)
    assert marker_in(fields) is None


@pytest.mark.parametrize(
    "value", [None, [], "text", {}, {"metadata": None}, {"metadata": []}, {"metadata": {MARKER: 1}}, {"kwargs": {"config": "x"}}]
)
def test_what_has_no_marker_has_none(value: Any) -> None:
    assert marker_in(value) is None
    assert not is_in_metadata(value)
    if isinstance(value, dict):
        take_marker(value)


def test_a_decoded_run_shows_the_marker_as_its_request_id_and_nowhere_else() -> None:
    for shown, left in SHOWN:
        run = decode({"run_id": "r", "thread_id": "t", "status": "success", **shown}, Run)
        assert "m" == run.request_id
        assert (left.get("metadata", {}), left.get("kwargs", {})) == (run.metadata, run.kwargs)
        assert ({"config": left["config"]} if "config" in left else {}) == run.extra


def test_the_marker_counts_more_than_the_header_that_the_server_stored() -> None:
    kwargs = {"config": {"configurable": {"langgraph_request_id": "changed by a gateway"}}}
    run = {"run_id": "r", "thread_id": "t", "status": "success", "kwargs": kwargs}
    assert (
        "changed by a gateway" == decode(run, Run).request_id == Run(run_id="r", thread_id="t", status="", kwargs=kwargs).request_id
    )
    assert "mine" == decode({**run, "metadata": {MARKER: "mine 01"}}, Run).request_id


def test_a_field_of_that_name_from_the_server_never_fails_the_call() -> None:
    run = {"run_id": "r", "thread_id": "t", "status": "success"}
    assert None is decode({**run, "request_id": 7}, Run).request_id
    assert "theirs" == decode({**run, "request_id": "theirs"}, Run).request_id


def test_threads_and_states_do_not_show_it() -> None:
    """A thread that a run made has the run's metadata, and so have its states."""
    thread = decode({"thread_id": "t", "metadata": {"a": 1, **OWN}, "config": {"metadata": OWN}}, Thread)
    assert ({"a": 1}, {}) == (thread.metadata, thread.config)
    assert {"step": 1} == decode({"values": {}, "metadata": {"step": 1, **OWN}}, ThreadState).metadata


def test_the_id_of_the_caller_is_what_is_shown() -> None:
    assert ["mine", "job 7", "m"] == [shown_request_id(marker) for marker in ("mine 01", "job 7 01", "m")]

"""`Record`: a record of the library as the dict that the server sent."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from langgraph_runs import Checkpoint, Interrupt, Run, Thread, ThreadState, ThreadTask
from langgraph_runs.compat.records import Record, as_dicts
from langgraph_runs.serialization import decode

RUN = {"run_id": "r", "thread_id": "t", "status": "running", "created_at": "2026-11-21T01:09:53.100000+00:00", "newer": [1]}


@pytest.fixture
def run() -> Any:
    return Record(decode(RUN, Run))


def test_a_record_has_what_the_server_sent_by_key(run: Any) -> None:
    assert RUN == {name: run[name] for name in RUN}
    assert "running" == run.get("status") and "status" in run and set(RUN) <= set(run) and run.get("missing", 5) == 5


def test_what_the_library_adds_is_an_attribute_only(run: Any) -> None:
    assert "request_id" not in run and "extra" not in run
    assert run.request_id is None and run.extra == {"newer": [1]}


def test_times_are_text_by_key_and_datetimes_as_attributes(run: Any) -> None:
    assert run.created_at.isoformat() == run["created_at"]


def test_an_attribute_that_a_record_does_not_have_is_an_attribute_error(run: Any) -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = run.nothing


def test_it_is_json_and_can_be_copied_and_pickled(run: Any) -> None:
    assert json.loads(json.dumps(run)) == run
    for other in (pickle.loads(pickle.dumps(run)), copy.copy(run), copy.deepcopy(run)):
        assert other == run and other.finished is False


def test_records_within_records_are_dicts_too() -> None:
    task = ThreadTask(id="1", name="ask", interrupts=[Interrupt(value="who?", id="i")], checkpoint=Checkpoint(checkpoint_id="c"))
    state = Record(ThreadState(values={"n": 1}, next=("ask",), tasks=[task]))

    assert {"value": "who?", "id": "i"} == state["tasks"][0]["interrupts"][0]
    assert "who?" == state.tasks[0].interrupts[0].value == state.tasks[0]["interrupts"][0].value
    assert {"checkpoint_id": "c"} == state["tasks"][0]["checkpoint"]
    assert state["tasks"][0]["state"] is None and state["tasks"][0]["error"] is None
    assert ["ask"] == state["next"] and state["parent_checkpoint"] is None


def test_the_questions_of_a_thread_are_dicts_by_task() -> None:
    thread = Record(Thread(thread_id="t", interrupts={"task": [Interrupt(value="who?")]}))
    assert {"task": [{"value": "who?"}]} == json.loads(json.dumps(thread))["interrupts"]


def test_values_of_a_state_are_its_values_and_of_other_records_the_method(run: Any) -> None:
    assert {"n": 1} == Record(ThreadState(values={"n": 1})).values
    assert "running" in list(run.values())


def test_data_of_the_user_stay_the_same_objects() -> None:
    data = {"list": [1], "run_id": "no run"}
    assert Record(ThreadState(values=data))["values"] is data
    assert as_dicts(data) is data

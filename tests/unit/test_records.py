"""Parsed JSON to records: strict where a conclusion is drawn from a value, tolerant where a server may differ."""

from __future__ import annotations

import datetime
import threading
from typing import Any, Dict, List, Optional

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_runs import Assistant, Checkpoint, Interrupt, Run, ServerInfo, Thread, ThreadState, ThreadUpdate
from langgraph_runs.errors import ResponseDecodeError
from langgraph_runs.models import kind_of
from langgraph_runs.serialization import decode, decode_list

from .played import RUN, THREAD, run_json

UTC = datetime.timezone.utc


def problems_of(value: Any, cls: Any) -> List[str]:
    """The problems of the error that *value* raises."""
    with pytest.raises(ResponseDecodeError) as caught:
        decode(value, cls)
    assert True is caught.value.sent
    return list(caught.value.problems)


def test_a_run_is_decoded() -> None:
    """Ids and status are text, times aware datetimes, and the one unknown field is kept."""
    run = decode(run_json(), Run)
    assert (RUN, THREAD, "success") == (run.run_id, run.thread_id, run.status)
    assert datetime.datetime(2026, 11, 21, 1, 9, 53, 104205, UTC) == run.created_at
    assert {"langsmith_session_name": None} == run.extra
    assert {"input": {"n": 1}} == run.kwargs


def test_unknown_fields_are_kept() -> None:
    """What a newer server adds is in ``extra``, as it came, a field of that very name included."""
    run = decode(run_json(cancel_reason={"by": ["x"]}, extra=5), Run)
    assert {"langsmith_session_name": None, "cancel_reason": {"by": ["x"]}, "extra": 5} == run.extra


def test_an_unknown_status_is_text() -> None:
    """A newer server's status is no error."""
    assert "paused" == decode(run_json(status="paused"), Run).status


@pytest.mark.parametrize("absent", [None, ...])
def test_a_field_that_may_be_absent_may_be_null(absent: Any) -> None:
    """A field with a default gets it when it is null as well as when it is missing."""
    least = {"run_id": "r", "thread_id": "t", "status": "x"}
    optional = {name for name in attrs.fields_dict(Run) if name not in least} - {"replayed"}
    value = least if absent is ... else {**least, **dict.fromkeys(optional - {"extra"}, None)}
    assert Run(run_id="r", thread_id="t", status="x") == decode(value, Run)


def test_a_field_of_the_library_is_not_read_from_the_server() -> None:
    """A server may have a field of the same name, which means something else."""
    run = decode(run_json(replayed=True), Run)
    assert (False, True) == (run.replayed, run.extra["replayed"])


@pytest.mark.parametrize(
    ("change", "default"),
    [
        ({"status": 3}, ""),
        ({"thread_id": {"id": "t"}}, ""),
        ({"assistant_id": True}, None),
        ({"metadata": []}, {}),
        ({"kwargs": "x"}, {}),
        ({"created_at": 1795223393}, None),
        ({"created_at": "yesterday"}, None),
        ({"created_at": "2026-13-21T01:09:53Z"}, None),
        ({"multitask_strategy": ["enqueue"]}, None),
    ],
)
def test_a_field_of_another_type_is_kept_in_extra(change: Any, default: Any) -> None:
    """It fails nothing, nothing is converted silently, and the value that came is not lost."""
    ((name, value),) = change.items()
    run = decode(run_json(**change), Run)
    assert default == getattr(run, name)
    assert {"langsmith_session_name": None, name: value} == run.extra


@pytest.mark.parametrize("value", [None, 3, "", True, [], {}, ["r"], {"id": "r"}])
def test_a_run_has_an_id(value: Any) -> None:
    """Without it the record is useless, and the error names the place."""
    if value == "":
        assert "" == decode(run_json(run_id=value), Run).run_id  # a list that selects other fields
        return
    assert [f"$.run_id: expected a string, not {kind_of(value)}"] == problems_of(run_json(run_id=value), Run)


def test_a_missing_field_is_named() -> None:
    """The id of a run must be there; other fields that a server leaves out are empty."""
    value = run_json()
    del value["run_id"], value["thread_id"], value["status"]
    assert ["$.run_id: missing"] == problems_of(value, Run)
    run = decode({"run_id": "r"}, Run)
    assert ("", "", False) == (run.thread_id, run.status, run.finished)


def test_only_what_makes_the_record_useless_is_a_problem() -> None:
    """Fields that are kept in ``extra`` are none."""
    value = run_json(status=3, metadata=[])
    del value["run_id"]
    assert ["$.run_id: missing"] == problems_of(value, Run)


@pytest.mark.parametrize("value", [None, [], "x", 3, True])
def test_a_value_that_is_not_an_object_is_refused(value: Any) -> None:
    """The problem names the type that was found, and its place."""
    assert [f"$: expected an object, not {kind_of(value)}"] == problems_of(value, Run)


def test_places_within_lists_and_records() -> None:
    """The path leads through indexes and fields to the value that is wrong."""
    state = {"values": {}, "next": ["a", 2], "tasks": [{"id": "1"}, {"id": "2", "interrupts": 5}]}
    assert {
        "$.next[1]: expected a string, not a number",
        "$.tasks[1].interrupts: expected a list, not a number",
    } == set(problems_of(state, ThreadState))


@pytest.mark.parametrize(
    ("value", "by_task"),
    [
        ({"task": [{"value": 1, "id": "i"}]}, {"task": [Interrupt(value=1, id="i")]}),
        ([], {}),
        ([{"value": 1, "id": "i"}], {"": [Interrupt(value=1, id="i")]}),
        ({"task": ["sure?"]}, {"task": [Interrupt(value="sure?")]}),
        ({"task": {"value": 1, "id": 5}}, {"task": [Interrupt(value=1, extra={"id": 5})]}),
        ({"task": "sure?"}, {"task": [Interrupt(value="sure?")]}),
    ],
)
def test_questions_in_the_shapes_of_servers(value: Any, by_task: Any) -> None:
    """A thread's questions come by task, as a list, or as text; a state's are a list. None is lost."""
    assert by_task == decode({"thread_id": "t", "interrupts": value}, Thread).interrupts
    questions = [item for items in by_task.values() for item in items]
    assert questions == decode({"interrupts": value}, ThreadState).interrupts
    assert questions == decode({"tasks": [{"interrupts": value}]}, ThreadState).tasks[0].interrupts
    assert questions == decode({"tasks": [{"interrupts": value}, {"name": "next"}]}, ThreadState).interrupts
    assert questions == decode({"tasks": [{"interrupts": value}], "interrupts": value}, ThreadState).interrupts


def test_questions_that_cannot_be_read_are_no_absence_of_questions() -> None:
    """A thread keeps them in ``extra``; a state, from which a pause is concluded, is an error."""
    assert {"interrupts": 5} == decode({"thread_id": "t", "interrupts": 5}, Thread).extra
    assert ["$.interrupts: expected a list, not a number"] == problems_of({"interrupts": 5}, ThreadState)


@pytest.mark.parametrize(("field", "value"), [("next", {"a": 1}), ("next", "ab"), ("tasks", {}), ("interrupts", "x"), ("tasks", 5)])
def test_a_value_that_is_not_a_list_is_refused(field: str, value: Any) -> None:
    """An object or a string is not iterated as if it were a list."""
    assert [f"$.{field}: expected a list, not {kind_of(value)}"] == problems_of({field: value}, ThreadState)


def test_a_list_is_decoded_to_records() -> None:
    """Each item is decoded, and a problem names its index; anything but a list is an error."""
    assert ["a", "b"] == [run.run_id for run in decode_list([run_json(run_id="a"), run_json(run_id="b")], Run)]
    with pytest.raises(ResponseDecodeError) as caught:
        decode_list([run_json(), run_json(run_id=3)], Run)
    assert ("$[1].run_id: expected a string, not a number",) == caught.value.problems
    with pytest.raises(ResponseDecodeError) as caught:
        decode_list({"runs": []}, Run)
    assert ("$: expected a list, not an object",) == caught.value.problems


def test_a_thread_is_decoded() -> None:
    """Interrupts are records under their task; the error and the values are plain JSON."""
    thread = decode(
        {
            "thread_id": THREAD,
            "status": "interrupted",
            "metadata": {"a": 1},
            "values": {"n": [1, {"m": None}]},
            "interrupts": {"task": [{"value": "sure?", "id": "i1", "response_schema": None}]},
            "error": {"error": "ValueError", "message": "boom"},
            "created_at": "2026-11-21T01:09:53.104205+00:00",
        },
        Thread,
    )
    assert {"task": [Interrupt(value="sure?", id="i1", extra={"response_schema": None})]} == thread.interrupts
    assert {"error": "ValueError", "message": "boom"} == thread.error
    assert {"n": [1, {"m": None}]} == thread.values


def test_a_state_is_decoded() -> None:
    """Checkpoints, tasks and their questions are records all the way down."""
    state = decode(
        {
            "values": [1, 2],
            "next": ["ask"],
            "checkpoint": {"thread_id": "t", "checkpoint_id": "c", "checkpoint_ns": "", "more": 1},
            "parent_checkpoint": None,
            "metadata": {"run_id": "r"},
            "tasks": [{"id": "1", "name": "ask", "error": None, "interrupts": [{"value": 1, "id": "i"}], "checkpoint": None}],
            "created_at": "2026-11-21T01:09:53Z",
        },
        ThreadState,
    )
    assert (("ask",), [1, 2], None) == (state.next, state.values, state.parent_checkpoint)
    assert Checkpoint(thread_id="t", checkpoint_id="c", checkpoint_ns="", extra={"more": 1}) == state.checkpoint
    assert [Interrupt(value=1, id="i")] == state.tasks[0].interrupts


def test_the_other_records_are_decoded() -> None:
    """Assistants, server information and updates of a state decode as well."""
    assert 3 == decode({"assistant_id": "a", "version": 3}, Assistant).version
    for version in (True, 1.5):
        assistant = decode({"assistant_id": "a", "version": version}, Assistant)
        assert (None, {"version": version}) == (assistant.version, assistant.extra)
    assert "0.16.7" == decode({"version": "0.16.7", "flags": {"assistants": True}}, ServerInfo).version
    assert {"configurable": {}} == decode({"configurable": {}}, ThreadUpdate).extra


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-21T01:09:53.104205+00:00", datetime.datetime(2026, 11, 21, 1, 9, 53, 104205, UTC)),
        ("2026-11-21T01:09:53Z", datetime.datetime(2026, 11, 21, 1, 9, 53, 0, UTC)),
        ("2026-11-21T01:09:53", datetime.datetime(2026, 11, 21, 1, 9, 53, 0, UTC)),
        ("2026-11-21 01:09:53.1z", datetime.datetime(2026, 11, 21, 1, 9, 53, 100000, UTC)),
        ("2026-11-21T01:09:53.123456789Z", datetime.datetime(2026, 11, 21, 1, 9, 53, 123456, UTC)),
        ("2026-11-21T03:09:53+0200", datetime.datetime(2026, 11, 21, 1, 9, 53, 0, UTC)),
    ],
)
def test_times_in_the_spellings_of_servers(text: str, moment: datetime.datetime) -> None:
    """Any number of digits, any form of offset, on every Python; without an offset it is UTC."""
    found = decode(run_json(created_at=text), Run).created_at
    assert moment == found
    assert found is not None and found.tzinfo is not None


@pytest.mark.parametrize("text", ["", "2026-11-21", "2026-11-21T25:00:00Z", "٢٠٢٦-11-21T01:09:53Z", "2026-11-21T01:09:53Z\n"])
def test_a_value_that_is_not_a_time_is_not_guessed(text: str) -> None:
    """It is no time, and is kept in ``extra``."""
    run = decode(run_json(created_at=text), Run)
    assert (None, text) == (run.created_at, run.extra["created_at"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
NAMED = st.dictionaries(st.sampled_from([*attrs.fields_dict(ThreadState), *attrs.fields_dict(Run)]), JSON, max_size=6)


@pytest.mark.slow
@given(JSON | NAMED | st.lists(NAMED, max_size=2), st.sampled_from([Run, Thread, ThreadState, Assistant, Checkpoint, ServerInfo]))
def test_any_json_value_is_a_record_or_a_decode_error(value: Any, cls: Any) -> None:
    """No JSON value makes another exception than ResponseDecodeError, whose problems begin with a place."""
    try:
        assert cls is type(decode(value, cls))
    except ResponseDecodeError as error:
        assert error.problems
        assert [] == [problem for problem in error.problems if not problem.startswith("$")]


def test_first_use_by_many_threads() -> None:
    """Threads that decode the first record of a class at the same time all get it."""
    found: List[Any] = []
    threads = [threading.Thread(target=lambda: found.append(decode(run_json(), Run))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [decode(run_json(), Run)] * 16 == found


@attrs.frozen(kw_only=True)
class Cron:
    """A record class that only this file knows."""

    cron_id: str
    next_run: Optional[Interrupt] = None
    extra: Dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Lossy:
    """An attrs class that has no place for fields that it does not know."""

    cron_id: str


@attrs.frozen(kw_only=True)
class HoldsLossy:
    cron: Lossy
    extra: Dict[str, Any] = attrs.field(factory=dict)


def test_declaring_a_record_class_is_enough() -> None:
    """A new class is decoded by the same rules, also within others, and keeps unknown fields."""
    cron = decode({"cron_id": "c", "next_run": {"id": "i", "more": 1}, "schedule": "* * * * *"}, Cron)
    assert Cron(cron_id="c", next_run=Interrupt(id="i", extra={"more": 1}), extra={"schedule": "* * * * *"}) == cron
    assert ["$.cron_id: expected a string, not a number"] == problems_of({"cron_id": 5}, Cron)
    assert ["$.cron_id: missing"] == problems_of({}, Cron)


@pytest.mark.parametrize("cls", [Lossy, HoldsLossy])
def test_a_class_that_would_lose_fields_is_refused(cls: Any) -> None:
    """It is a mistake of the class, and not of the server."""
    with pytest.raises(TypeError, match="Lossy has no field 'extra'"):
        decode({"cron_id": "c", "cron": {"cron_id": "c"}}, cls)


def test_many_problems_are_cut_in_the_text_only() -> None:
    state = {"next": list(range(1000))}
    with pytest.raises(ResponseDecodeError) as caught:
        decode(state, ThreadState)
    assert len(str(caught.value)) < 600
    assert 1000 == len(caught.value.problems)

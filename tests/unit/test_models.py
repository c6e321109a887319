"""The records are frozen, can be pickled, and do not show in a repr what may be secret."""

from __future__ import annotations

import copy
import datetime
import inspect
import pickle
from typing import Any, List

import attrs
import pytest

import langgraph_runs
from langgraph_runs import Run, RunOutcome, models
from langgraph_runs.models import kind_of
from langgraph_runs.serialization import decode

RECORDS: List[Any] = [item for item in vars(models).values() if inspect.isclass(item) and attrs.has(item)]


def filled(cls: Any) -> Any:
    required = {field.name: "x" for field in attrs.fields(cls) if field.default is attrs.NOTHING}
    return cls(**required)


def test_the_config_of_a_run_is_that_of_its_start() -> None:
    run = Run(run_id="r", thread_id="t", status="success", kwargs={"config": {"tags": ["a"]}})
    assert {"tags": ["a"]} == run.config
    assert {} == Run(run_id="r", thread_id="t", status="success", kwargs={"config": None}).config


@pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)
def test_records_are_frozen_values(cls: Any) -> None:
    """A record cannot be changed, compares by value, and survives pickling and copying."""
    record = filled(cls)
    name = attrs.fields(cls)[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(record, name, "other")
    assert filled(cls) == record == pickle.loads(pickle.dumps(record)) == copy.deepcopy(record)


@pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)
def test_records_are_public_and_every_field_is_by_keyword(cls: Any) -> None:
    """They can be imported from the package, and a field that is added later moves no other."""
    assert getattr(langgraph_runs, cls.__name__) is cls
    assert [] == [field.name for field in attrs.fields(cls) if not field.kw_only]


def test_a_repr_does_not_show_what_a_run_was_started_with() -> None:
    """Input, config and unknown fields may hold secrets, and are not in a run's repr."""
    run = Run(run_id="r", thread_id="t", status="error", kwargs={"input": "secret"}, extra={"more": "secret"})
    assert "secret" not in repr(run)


@pytest.mark.parametrize(
    ("status", "finished"),
    [
        ("pending", False),
        ("running", False),
        ("success", True),
        ("error", True),
        ("timeout", True),
        ("interrupted", True),
        ("x", True),
    ],
)
def test_only_two_statuses_are_unfinished(status: str, finished: bool) -> None:
    """An unknown status counts as ended, so that no call waits for ever."""
    assert finished is Run(run_id="r", thread_id="t", status=status).finished


@pytest.mark.parametrize(
    ("kwargs", "found"),
    [
        ({"config": {"configurable": {"langgraph_request_id": "rq"}}}, "rq"),
        ({}, None),
        ({"config": None}, None),
        ({"config": []}, None),
        ({"config": {"configurable": None}}, None),
        ({"config": {"configurable": {"langgraph_request_id": 5}}}, None),
    ],
)
def test_the_request_id_of_a_run(kwargs: Any, found: Any) -> None:
    """It is found where the Python server keeps it; another value there is no error."""
    assert found == Run(run_id="r", thread_id="t", status="success", kwargs=kwargs).request_id


def test_an_outcome_succeeded_only_with_success() -> None:
    """No other status counts, also if there are values."""
    assert [True, False, False, False, False] == [
        RunOutcome(status=status, values={"n": 1}).succeeded for status in ("success", "error", "interrupted", "timeout", "")
    ]


@pytest.mark.parametrize(
    ("value", "name"),
    [(True, "a boolean"), ("x", "a string"), (1, "a number"), (1.5, "a number"), ({}, "an object"), ([], "a list"), (None, "null")],
)
def test_the_json_name_of_a_value(value: Any, name: str) -> None:
    """Messages speak of JSON's types, not of Python's; a boolean is no number."""
    assert name == kind_of(value)


def test_a_time_keeps_its_zone() -> None:
    """A time keeps its zone in a record."""
    moment = datetime.datetime(2026, 11, 21, tzinfo=datetime.timezone.utc)
    assert moment == Run(run_id="r", thread_id="t", status="x", created_at=moment).created_at


@pytest.mark.parametrize(
    "word, status",
    [
        ("queued", "pending"),
        ("in_progress", "running"),
        ("In-Progress", "running"),
        ("COMPLETED", "success"),
        ("Success", "success"),
        ("succeeded", "success"),
        ("failed", "error"),
        ("ERROR", "error"),
        ("canceled", "interrupted"),
        ("Cancelled", "interrupted"),
        ("timed out", "timeout"),
        ("scheduled", "pending"),
        ("processing", "running"),
        ("done", "success"),
        ("Finished", "success"),
        ("failure", "error"),
        ("aborted", "interrupted"),
    ],
)
def test_other_words_for_a_status_are_translated(word: str, status: str) -> None:
    run = decode({"run_id": "r", "thread_id": "t", "status": word}, Run)
    assert (status, {"status": word}, status in ("pending", "running")) == (run.status, run.extra, not run.finished)


@pytest.mark.parametrize("error", [{"error": "ValueError"}, {"error_message": "boom"}])
def test_a_word_that_says_only_that_a_run_has_ended_is_no_success_beside_an_error(error: dict[str, str]) -> None:
    assert "error" == decode({"run_id": "r", "thread_id": "t", "status": "completed", **error}, Run).status


@pytest.mark.parametrize("word", ["expired", "paid", ""])
def test_a_status_that_is_not_known_stays_as_it_is(word: str) -> None:
    run = decode({"run_id": "r", "thread_id": "t", "status": word}, Run)
    assert (word, {}) == (run.status, run.extra)

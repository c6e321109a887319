"""The key of a call: the thread that it stands for, and what two calls with one key must have in common."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from typing import Any, Dict

import pytest

from langgraph_runs import IdempotencyConflictError, InvalidRequestError, Run
from langgraph_runs.api import MarkedRun
from langgraph_runs.markers import fingerprint_in, key_in, keyed_marker, shown_request_id
from langgraph_runs.runs.idempotency_key import IdempotencyKey, fingerprint_of, is_replayed

BODY: Dict[str, Any] = {"assistant_id": "agent", "input": {"n": 1}, "config": {"tags": ["a"]}}


def key_for(body: Dict[str, Any], value: Any = "order 7") -> IdempotencyKey:
    return IdempotencyKey.of(value, body, derived=True)


def row_of(key: IdempotencyKey, **fields: Any) -> MarkedRun:
    run = Run(run_id="r", thread_id=key.thread_id, status="success", **fields)
    return MarkedRun(run, keyed_marker("0d9f", key.id, key.fingerprint), True, True)


def test_the_thread_of_a_key_never_changes() -> None:
    """Another version of the library must find the runs of this one."""
    assert str(uuid.uuid5(uuid.UUID("5d0c24d8-65f7-5b85-ba32-a008c71719cf"), "order 7")) == key_for(BODY).thread_id


def test_a_number_and_a_uuid_are_keys_as_their_text() -> None:
    number = uuid.uuid4()
    assert key_for(BODY, "17") == key_for(BODY, 17)
    assert key_for(BODY, str(number)) == key_for(BODY, number)


def test_what_is_a_key_of_a_map_is_an_idempotency_key() -> None:
    """A map without a ledger uses the former as the latter; numbers of numpy and of databases, dates and enums are keys too."""
    numpy = pytest.importorskip("numpy")
    for value in (numpy.int64(17), decimal.Decimal(17), enum.Enum("Number", {"ONE": "17"}).ONE):  # type: ignore[attr-defined]
        assert key_for(BODY, "17") == key_for(BODY, value)
    assert key_for(BODY, "2026-03-01") == key_for(BODY, datetime.date(2026, 3, 1))


@pytest.mark.parametrize("value", ["", "a\0b", "\ud800", b"key", True, 1.5, ["key"], pytest.param(10**5000, id="large")])
def test_a_wrong_key_is_refused_and_not_shown(value: Any) -> None:
    with pytest.raises(
        InvalidRequestError, match="^idempotency_key: .*; give (text|a shorter)|^idempotency_key: text with"
    ) as caught:
        key_for(BODY, value)
    assert not value or isinstance(value, int) or str(value) not in str(caught.value)


def test_each_lock_is_another_thread() -> None:
    key = key_for(BODY)
    assert key.thread_id == key.lock_id(0)
    assert 10 == len({key.lock_id(number) for number in range(10)})


def test_numbers_are_the_same_by_their_value() -> None:
    """A table with a gap makes floats of whole numbers; JavaScript and PostgreSQL make no difference."""
    whole, fractions = {"input": {"n": [1, 0, 10**16], "t": "1.0"}, "after_seconds": 3}, {"n": [1.0, -0.0, 1e16], "t": "1.0"}
    assert fingerprint_of(whole) == fingerprint_of({"input": fractions, "after_seconds": 3.0})
    for other in ({"n": [1, 0, 10**16], "t": "1"}, {"n": [1.5, 0, 10**16], "t": "1.0"}, {"n": [True, 0, 10**16], "t": "1.0"}):
        assert fingerprint_of(whole) != fingerprint_of({**whole, "input": other})


def test_the_same_arguments_are_the_same_in_any_order_and_type() -> None:
    same = {"config": {"tags": ("a",)}, "input": {"n": 1}, "assistant_id": "agent"}
    assert fingerprint_of(BODY) == fingerprint_of(same)
    key_for(same).check(row_of(key_for(BODY)))


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"assistant_id": "other"}, ("assistant_id",)),
        ({"input": {"n": 2}}, ("input",)),
        ({"input": None, "metadata": {"a": 1}}, ("input", "metadata")),
        ({"new field; of=kwargs": 1}, ("new field; of=kwargs",)),
    ],
)
def test_other_arguments_are_a_conflict_that_names_them(change: Dict[str, Any], differs: Any) -> None:
    row = row_of(key_for({**BODY, **change}))
    with pytest.raises(IdempotencyConflictError, match="another") as caught:
        key_for(BODY).check(row)
    assert differs == caught.value.differs
    assert ("r", row.run.thread_id) == (caught.value.run_id, caught.value.thread_id)


def test_how_a_call_receives_the_run_is_not_compared() -> None:
    given = {"stream_mode": "values", "stream_resumable": True, "on_disconnect": "continue", "multitask_strategy": "reject"}
    key_for({**BODY, **given}).check(row_of(key_for(BODY)))


def test_an_assistant_may_be_given_by_its_name_first_and_by_its_id_later() -> None:
    key_for({**BODY, "assistant_id": "1f0c"}).check(row_of(key_for(BODY), assistant_id="1f0c"))


def test_without_a_marker_nothing_is_compared() -> None:
    row = row_of(key_for(BODY))._replace(marker=None)
    key_for({"assistant_id": "other"}).check(row)


@pytest.mark.parametrize("given", ["job 7 0d9f", "0d9f"])
def test_the_marker_has_the_key_and_the_fingerprint_and_shows_the_request_id(given: str) -> None:
    marker = keyed_marker(given, "k1", {"a;b=c d": "12", "input": "34"})
    assert ("k1", {"a;b=c d": "12", "input": "34"}) == (key_in(marker), fingerprint_in(marker))
    assert shown_request_id(given) == shown_request_id(marker)


def test_the_header_is_the_key_or_what_stands_for_it() -> None:
    assert {"Idempotency-Key": "order 7"} == key_for(BODY).headers({})
    for value in ("Bestellung \u00e4", "x" * 300, " 7", "a\nb"):
        key = key_for(BODY, value)
        assert {"Idempotency-Key": key.id} == key.headers({})
    assert {} == key_for(BODY).headers({"idempotency-KEY": "own"})


def test_the_header_of_a_server_that_knows_keys() -> None:
    assert is_replayed({"idempotency-replayed": "True"})
    assert not any(map(is_replayed, ({}, {"idempotency-replayed": "false"}, None)))

"""The rule for missing values, and JSON text in a cell."""

from __future__ import annotations

import decimal
import math
from typing import Any, Callable

import pytest

from langgraph_runs import InvalidRequestError
from langgraph_runs.batch.tables.cells import checked_cell, is_missing, parse_text

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "a missing value"),
        (NAN, "a missing value"),
        (decimal.Decimal("sNaN"), "a missing value"),
        (math.inf, "an infinity"),
        (-math.inf, "an infinity"),
        (decimal.Decimal("-Infinity"), "an infinity"),
    ],
)
def test_each_missing_value_is_refused_or_null(value: Any, kind: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"^{kind}; it is sent as null with missing"):
        checked_cell(value, missing="error")
    assert checked_cell(value, missing="null") is None


@pytest.mark.parametrize("make", [lambda pandas: pandas.NA, lambda pandas: pandas.NaT], ids=["NA", "NaT"])
def test_those_of_pandas_too(make: Callable[[Any], Any]) -> None:
    value = make(pytest.importorskip("pandas"))
    with pytest.raises(InvalidRequestError, match=r"^\.a\[0\]: a missing value; it is"):
        checked_cell({"a": [value]}, missing="error")
    assert {"a": [None]} == checked_cell({"a": [value]}, missing="null")


def test_those_of_numpy_and_its_arrays_too() -> None:
    numpy = pytest.importorskip("numpy")
    assert [1.0, None] == checked_cell(numpy.array([1.0, NAN]), missing="null")
    assert [[1, 2]] == checked_cell([numpy.array([1, 2])], missing="error")
    assert 3 == checked_cell(numpy.int64(3), missing="error")
    time = numpy.datetime64("2026-03-01T00:00:00.000000001")
    assert [time, None] == checked_cell(numpy.array([time, "NaT"], dtype="M8[ns]"), missing="null")


@pytest.mark.parametrize("value", [0, 0.0, "", "nan", False, [], {}, decimal.Decimal(0), b"", object()])
def test_other_values_are_not_missing(value: Any) -> None:
    assert not is_missing(value)
    assert value == checked_cell(value, missing="error")


def test_the_place_within_a_cell_is_named() -> None:
    cell = {"messages": [{"role": "user"}, {"full name": None}]}
    with pytest.raises(InvalidRequestError, match=r"^\.messages\[1\]\['full name'\]: a missing value"):
        checked_cell(cell, missing="error")


def test_an_object_that_contains_itself_is_refused() -> None:
    cell: Any = []
    cell.append(cell)
    with pytest.raises(InvalidRequestError, match="nested too deep"):
        checked_cell(cell, missing="null")


@pytest.mark.parametrize("text", ["", "{'a': 1}", '{"a": 1', "[" * 100_000, "secret", "9" * 5000])
def test_text_that_is_not_json_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="^not JSON: ") as caught:
        parse_text(text, missing="error")
    assert "secret" not in str(caught.value) and len(str(caught.value)) < 200


def test_the_numbers_that_json_does_not_have_follow_the_same_rule() -> None:
    with pytest.raises(InvalidRequestError, match='^not JSON: -Infinity; it is sent as null with missing="null"'):
        parse_text('{"a": -Infinity}', missing="error")
    assert {"a": None, "b": None} == parse_text('{"a": -Infinity, "b": NaN}', missing="null")
    assert {"a": None} == parse_text('{"a": null}', missing="error")

"""The text form of keys."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from typing import Any

import pytest

from langgraph_runs import InvalidRequestError
from langgraph_runs.runs.keys import key_text

UTC = datetime.timezone.utc


class Colour(str, enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


class Day(enum.Enum):
    FIRST = datetime.date(2026, 1, 1)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("order-17", "order-17"),
        ("007", "007"),
        (17, "17"),
        (-1, "-1"),
        (decimal.Decimal(17), "17"),
        (2**70, "1180591620717411303424"),
        (uuid.UUID("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        (datetime.date(2026, 3, 1), "2026-03-01"),
        (datetime.datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01T12:00:00+00:00"),
        (Colour.RED, "red"),
        (Number.ONE, "1"),
        (Day.FIRST, "2026-01-01"),
    ],
)
def test_the_text_form_of_a_key(key: Any, text: str) -> None:
    """It is in ledgers of users: a change would run their inputs again."""
    assert text == key_text(key)
    assert str is type(key_text(key))


@pytest.mark.parametrize(
    "text", ["می\u200cخواهم", "क्\u200dष", "100\u00a0km", "a\nb", "\u2028", "👩\u200d🚀", " ", "\u202eabc", "日本"]
)
def test_characters_of_all_scripts_are_in_a_key(text: str) -> None:
    assert text == key_text(text)


@pytest.mark.parametrize(
    "key",
    [
        None,
        True,
        False,
        1.0,
        decimal.Decimal("1.0"),
        decimal.Decimal("NaN"),
        float("nan"),
        b"a",
        ("a",),
        {"a": 1},
        "",
        "a\0b",
        "\ud800",
        10**5000,
        [1],
    ],
    ids=lambda key: type(key).__name__,
)
def test_what_cannot_be_a_key_is_refused_without_its_value(key: Any) -> None:
    with pytest.raises(InvalidRequestError, match="is no key") as caught:
        key_text(key)
    assert len(str(caught.value)) < 120 and "{" not in str(caught.value)


def test_a_whole_number_of_numpy_is_a_key_and_its_missing_time_is_not() -> None:
    numpy = pytest.importorskip("numpy")
    assert "17" == key_text(numpy.int64(17))
    for key in (numpy.bool_(True), numpy.float64(1), numpy.datetime64("NaT", "s")):
        with pytest.raises(InvalidRequestError):
            key_text(key)

"""Deadlines: a moment on a monotonic clock, and which numbers are seconds."""

from __future__ import annotations

import decimal
from typing import Any

import pytest

from langgraph_runs.call.deadline import Deadline
from langgraph_runs.errors import InvalidRequestError
from langgraph_runs.validation import check_seconds

from .played import Time


def test_a_deadline_counts_down_and_never_below_zero() -> None:
    """The remaining time shrinks with the clock and stops at 0."""
    time = Time()
    deadline = Deadline(5.0, clock=time.clock)
    assert (5.0, False) == (deadline.remaining(), deadline.expired())
    time.now += 4.5
    assert (0.5, False) == (deadline.remaining(), deadline.expired())
    time.now += 0.5
    assert (0.0, True) == (deadline.remaining(), deadline.expired())
    time.now += 100
    assert (0.0, True) == (deadline.remaining(), deadline.expired())


def test_no_timeout_is_no_deadline() -> None:
    """None never ends and never reads the clock."""

    def clock() -> float:
        raise AssertionError("the clock is not needed")

    deadline = Deadline(None, clock=clock)
    assert (None, False, True) == (deadline.remaining(), deadline.expired(), deadline.allows(1e9))


def test_a_wait_that_would_end_on_the_deadline_is_not_allowed() -> None:
    """There is no time left to do anything after such a wait."""
    deadline = Deadline(5.0, clock=Time().clock)
    assert [True, False, False] == [deadline.allows(seconds) for seconds in (4.9, 5.0, 5.1)]


@pytest.mark.parametrize("value", [1, 0.001, 30.0, 1e18])
def test_numbers_above_zero_are_seconds(value: float) -> None:
    """Whole numbers and fractions become floats."""
    checked = check_seconds("timeout", value)
    assert value == checked
    assert isinstance(checked, float)


def test_none_is_no_limit() -> None:
    """None stays None."""
    assert None is check_seconds("timeout", None)


@pytest.mark.parametrize("value", [0, -1, 0.0, float("nan"), float("inf"), True, "5", (5, 5), decimal.Decimal(5)])
def test_any_other_argument_is_refused_by_name(value: Any) -> None:
    """The error names the option, the value and what to give."""
    with pytest.raises(InvalidRequestError) as caught:
        check_seconds("read_timeout", value)
    assert f"read_timeout={value!r}: give a number of seconds above 0, or None for no limit" == str(caught.value)

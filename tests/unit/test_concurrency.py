"""The adaptive concurrency limit of a map."""

from __future__ import annotations

from typing import Optional

import pytest

from langgraph_runs import RetryPolicy
from langgraph_runs.batch.concurrency import ConcurrencyLimit
from langgraph_runs.batch.pacing import RequestPacer

from .played import Time


@pytest.fixture
def time() -> Time:
    return Time()


def limit_of(time: Time, concurrency: int = 16, pacer: Optional[RequestPacer] = None) -> ConcurrencyLimit:
    """Return a limit whose beginning is over."""
    limit = ConcurrencyLimit(concurrency, wait_initial=0.5, wait_max=8.0, retry_after_max=60.0, pacer=pacer, clock=time.clock)
    limit.started()
    time.now += 1.0
    assert concurrency == limit.current
    return limit


def test_a_refusal_halves_the_limit_and_pauses_all_starts(time: Time) -> None:
    limit = limit_of(time)
    assert (16, 0.0) == (limit.current, limit.seconds_left())
    assert 3.0 == limit.refused(3.0)
    time.now += 1
    assert (8, 2.0) == (limit.current, limit.seconds_left())


def test_refusals_during_a_pause_count_as_one(time: Time) -> None:
    limit = limit_of(time)
    for _ in range(10):
        limit.refused(2.0)
    assert (8, 2.0) == (limit.current, limit.seconds_left())


def test_without_retry_after_the_pause_doubles(time: Time) -> None:
    limit, waits = limit_of(time), []
    for _ in range(7):
        waits.append(limit.refused())
        time.now += waits[-1]
    assert [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0] == waits
    assert 1 == limit.current


def test_the_limit_grows_slowly_while_long_runs_go_on(time: Time) -> None:
    limit = limit_of(time)
    limit.refused(1.0)
    limits = []
    for _ in range(4):
        time.now += 1.0
        limits.append(limit.current)
    assert [8, 9, 10, 11] == limits
    assert 1.0 == limit.grows_after
    limit.refused(1.0)
    time.now += 100.0
    assert 16 == limit.current
    assert not limit.grows_after


def test_no_pause_is_longer_than_the_policy_allows(time: Time) -> None:
    assert 60.0 == limit_of(time).refused(3600.0)


def test_the_limit_grows_by_one_for_each_round_of_successes(time: Time) -> None:
    limit = limit_of(time, 4)
    limit.refused(1.0)
    time.now += 1
    limits = []
    for _ in range(12):
        limit.succeeded()
        limits.append(limit.current)
    assert [2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4] == limits
    assert 0.5 == limit.refused()  # the pauses start again with the shortest


def test_a_few_inputs_start_first_and_soon_all(time: Time) -> None:
    limit = ConcurrencyLimit(16, wait_initial=0.5, wait_max=8.0, retry_after_max=60.0, clock=time.clock)
    limits = [limit.current]
    assert limit.grows_after is not None
    limit.started()
    for _ in range(3):
        limits.append(limit.current)
        time.now += 0.051
    assert [4, 4, 8, 16] == limits
    assert limit.grows_after is None


def test_each_success_at_the_beginning_starts_more(time: Time) -> None:
    limit = ConcurrencyLimit(16, wait_initial=0.5, wait_max=8.0, retry_after_max=60.0, clock=time.clock)
    limit.started()
    limit.succeeded()
    time.now += 0.051
    assert 16 == limit.current


def test_a_refusal_at_the_beginning_halves_the_few(time: Time) -> None:
    limit = ConcurrencyLimit(16, wait_initial=0.5, wait_max=8.0, retry_after_max=60.0, clock=time.clock)
    limit.started()
    limit.refused(1.0)
    assert 2 == limit.current


def test_inputs_start_one_by_one_while_requests_are_spaced(time: Time) -> None:
    pacer = RequestPacer(RetryPolicy(wait_initial=0.5), clock=time.clock)
    limit = limit_of(time, pacer=pacer)
    assert limit.started() and 0.0 == limit.seconds_left()
    pacer.refused()
    assert 0.5 == limit.seconds_left()
    time.now += 0.5
    assert 0.0 == limit.seconds_left()
    assert not limit.started()
    assert pacer.interval == limit.seconds_left() > 0.0

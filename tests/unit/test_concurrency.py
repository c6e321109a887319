"""The adaptive concurrency limit of a map."""

from __future__ import annotations

import pytest

from langgraph_runs.batch.concurrency import ConcurrencyLimit

from .played import Time


@pytest.fixture
def time() -> Time:
    return Time()


def limit_of(time: Time, concurrency: int = 16) -> ConcurrencyLimit:
    return ConcurrencyLimit(concurrency, wait_initial=0.5, wait_max=8.0, retry_after_max=60.0, clock=time.clock)


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

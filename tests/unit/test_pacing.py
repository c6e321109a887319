"""How the requests of a map are spaced after refusals: against limiters that the test plays, on a clock of its own."""

from __future__ import annotations

from typing import Any, Callable, List, Optional

import pytest

from langgraph_runs import APIConnectionError, APIStatusError, RetryDetails, RetryPolicy
from langgraph_runs.batch.pacing import RequestPacer
from langgraph_runs.call import Deadline, Scope

from .played import Time


@pytest.fixture
def time() -> Time:
    return Time()


def pacer_of(time: Time, **policy: Any) -> RequestPacer:
    return RequestPacer(RetryPolicy(**policy), clock=time.clock)


def scope_of(time: Time, timeout: Optional[float] = None) -> Scope:
    def sleep(seconds: float) -> None:
        time.now += seconds

    return Scope(Deadline(timeout, clock=time.clock), sleep=sleep)


def test_a_create_waits_until_it_is_allowed(time: Time) -> None:
    """Its deadline does not count the wait. Other requests do not wait."""
    pacer, scope, asked = pacer_of(time), scope_of(time, 1.0), []

    def may_create() -> bool:
        asked.append(time.now)
        return time.now >= 1007.0

    pacer.create_only_if(may_create)
    assert "done" == pacer.send(lambda: "done", scope, "GET /x", repeat=True)
    assert (1000.0, []) == (time.now, asked)
    sent = []
    pacer.send(lambda: sent.append(time.now), scope, "POST /x", repeat=False)
    assert 1007.0 <= sent[0] <= 1008.0
    scope.check()


class Limiter:
    """Accepts *rate* requests per second and *burst* more at once, as nginx does; counts both kinds."""

    def __init__(
        self, time: Time, rate: float, burst: int = 0, *, retry_after: Optional[float] = None, took: float = 0.001
    ) -> None:
        self.accepted = self.refused = 0
        self._time, self._rate, self._burst, self._retry_after, self._took = time, rate, burst, retry_after, took
        self._excess = 0.0
        self._at = time.now

    def __call__(self) -> str:
        self._time.now += self._took
        excess = max(0.0, self._excess - (self._time.now - self._at) * self._rate) + 1.0
        if excess > self._burst + 1.0:
            self.refused += 1
            raise APIStatusError("too many", status_code=503, retry_after=self._retry_after)
        self._excess, self._at = excess, self._time.now
        self.accepted += 1
        return "done"


def test_without_refusals_nothing_is_delayed(time: Time) -> None:
    pacer, scope = pacer_of(time), scope_of(time)
    assert ["done"] * 3 == [pacer.send(lambda: "done", scope, "GET /x", repeat=True) for _ in range(3)]
    assert (1000.0, 0.0, 0.0) == (time.now, pacer.seconds_left(), pacer.interval)


@pytest.mark.parametrize("burst", [0, 20])
@pytest.mark.parametrize("rate", [2.0, 8.0, 100.0])
def test_few_requests_are_refused_and_the_rate_is_used(time: Time, rate: float, burst: int) -> None:
    pacer, scope, limiter = pacer_of(time), scope_of(time), Limiter(time, rate, burst)
    for _ in range(900):
        assert "done" == pacer.send(limiter, scope, "GET /x", repeat=True)
    assert limiter.refused <= 900 / 10
    assert 900 / rate - 11 <= time.now - 1000.0 <= 900 / rate * 2 + 5


def test_a_limiter_that_goes_away_is_noticed(time: Time) -> None:
    pacer, scope, limiter = pacer_of(time), scope_of(time), Limiter(time, 5.0)
    for _ in range(100):
        pacer.send(limiter, scope, "GET /x", repeat=True)
    for _ in range(2000):
        pacer.send(lambda: "done", scope, "GET /x", repeat=True)
    assert 0.0 == pacer.interval


def test_after_a_time_in_which_everything_is_refused_the_requests_soon_follow_each_other_again(time: Time) -> None:
    pacer, scope = pacer_of(time, wait_initial=0.01, wait_max=0.05), scope_of(time)
    for _ in range(200):
        pacer.refused(sent=time.now)
        time.now += 0.05
    began = time.now
    for _ in range(60):
        pacer.send(lambda: "done", scope, "GET /x", repeat=True)
    assert time.now - began < 3.0


def test_the_server_chooses_the_delay(time: Time) -> None:
    pacer, scope = pacer_of(time), scope_of(time)
    limiter = Limiter(time, 1.0, retry_after=30.0)
    for _ in range(2):
        pacer.send(limiter, scope, "GET /x", repeat=True)
    assert time.now >= 1030.0 and 1 == limiter.refused


def test_no_delay_is_longer_than_the_policy_allows(time: Time) -> None:
    pacer = pacer_of(time, retry_after_max=60.0)
    pacer.refused(3600.0)
    assert 60.0 == pacer.seconds_left()


def test_refusals_of_requests_that_were_sent_before_the_delay_count_as_one(time: Time) -> None:
    pacer = pacer_of(time, wait_initial=0.5)
    for _ in range(20):
        pacer.refused(sent=1000.0)
        time.now += 0.01
    assert 0.3 == pytest.approx(pacer.seconds_left())
    assert 0.5 == pytest.approx(pacer.interval)


def test_the_delay_doubles_until_a_request_is_accepted(time: Time) -> None:
    pacer, delays = pacer_of(time, wait_initial=0.5, wait_max=8.0), []
    for _ in range(6):
        pacer.refused(sent=time.now)
        delays.append(pacer.seconds_left())
        time.now += delays[-1]
    assert [0.5, 1.0, 2.0, 4.0, 8.0, 8.0] == delays
    pacer.accepted()
    pacer.refused(sent=time.now)
    assert 0.5 == pacer.seconds_left()


def test_the_delay_is_not_counted_against_the_deadline(time: Time) -> None:
    pacer, scope = pacer_of(time), scope_of(time, 5.0)
    pacer.refused(20.0)
    assert "done" == pacer.send(lambda: "done", scope, "GET /x", repeat=True)
    assert 20.0 == scope.deadline.extended and 5.0 == scope.deadline.remaining()


def refusing(status: int, calls: List[int]) -> Callable[[], str]:
    def attempt() -> str:
        calls.append(status)
        raise APIStatusError("no", status_code=status)

    return attempt


@pytest.mark.parametrize(("status", "repeat", "sent"), [(429, False, 1), (503, False, 1), (503, True, 9), (500, True, 1)])
def test_only_refusals_are_repeated_and_not_for_ever(time: Time, status: int, repeat: bool, sent: int) -> None:
    calls: List[int] = []
    with pytest.raises(APIStatusError):
        pacer_of(time).send(refusing(status, calls), scope_of(time), "GET /x", repeat=repeat)
    assert sent == len(calls)


def test_each_repeat_is_announced_with_its_delay(time: Time) -> None:
    announced: List[RetryDetails] = []
    pacer = pacer_of(time, wait_initial=0.5, on_retry=announced.append)
    limiter = Limiter(time, 1.0, took=0.0)
    for _ in range(2):
        pacer.send(limiter, scope_of(time), "GET /x", repeat=True)
    assert [("GET /x", 2, 0.5)] == [(one.call, one.attempt, one.wait) for one in announced][:1]
    assert limiter.refused == len(announced)


def test_a_failure_without_a_response_is_remembered(time: Time) -> None:
    pacer = pacer_of(time)
    assert not pacer.lost_contact_since(0.0)

    def attempt() -> str:
        raise APIConnectionError("cut", sent=True)

    with pytest.raises(APIConnectionError):
        pacer.send(attempt, scope_of(time), "GET /x", repeat=True)
    assert pacer.lost_contact_since(999.0) and not pacer.lost_contact_since(1000.1)

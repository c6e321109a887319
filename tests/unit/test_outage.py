"""What a map knows about a server that does not respond, and when it gives up."""

from __future__ import annotations

import logging
from typing import Optional

import pytest

from langgraph_runs import (
    APIConnectionError,
    APIStatusError,
    CreateUncertainError,
    DeadlineExceededError,
    InvalidRequestError,
    LangGraphRunsError,
    ResponseDecodeError,
    RunFailedError,
    ServerOutage,
)
from langgraph_runs.batch.outage import OutageWatch, may_be_outage, shows_server

from .played import Time

REFUSED = APIConnectionError("cannot connect: connection refused", sent=False)
BUSY = APIStatusError("busy", status_code=429)


@pytest.fixture
def time() -> Time:
    return Time()


def watch_of(time: Time, max_outage: Optional[float] = 600.0) -> OutageWatch:
    return OutageWatch("http://server", max_outage=max_outage, wait_initial=0.5, wait_max=8.0, clock=time.clock)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (REFUSED, True),
        (DeadlineExceededError("late", timeout=1.0), True),
        (CreateUncertainError("cut"), True),
        (ResponseDecodeError("a page", sent=None), True),
        (ResponseDecodeError("another shape", sent=True), False),
        (APIStatusError("Not Found", status_code=404), True),
        (APIStatusError("Assistant with ID a not found", status_code=404), False),
        (APIStatusError("defect", status_code=500, body={"detail": "defect"}), True),
        (APIStatusError("?", status_code=524), True),
        (APIStatusError("?", status_code=501), False),
        (BUSY, False),
        (APIStatusError("invalid", status_code=422), False),
        (RunFailedError("E", "m"), False),
        (InvalidRequestError("wrong"), False),
    ],
    ids=str,
)
def test_which_errors_of_an_input_the_server_may_have_caused(error: LangGraphRunsError, expected: bool) -> None:
    assert expected is may_be_outage(error)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (REFUSED, False),
        (BUSY, False),
        (APIStatusError("Thread with ID t not found", status_code=404), True),
        (APIStatusError("Not Found", status_code=404, body={"detail": "Not Found"}), False),
        (APIStatusError("no key", status_code=401, body={"detail": "no key"}), True),
        (APIStatusError("no key", status_code=401), False),
        (APIStatusError("defect", status_code=500, body={"detail": "defect"}), False),
    ],
    ids=str,
)
def test_which_errors_of_a_probe_show_the_server(error: LangGraphRunsError, expected: bool) -> None:
    assert expected is shows_server(error)


def test_the_pauses_between_probes_grow(time: Time) -> None:
    watch = watch_of(time)
    assert not watch.is_down and 0.0 == watch.seconds_to_probe()
    pauses = []
    for _ in range(6):
        watch.probe_failed(REFUSED)
        pauses.append(watch.seconds_to_probe())
        time.now += pauses[-1]
    for pause, most in zip(pauses, [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]):
        assert 0.8 * most <= pause <= most


def test_an_outage_is_said_once_with_its_reason_and_once_when_it_is_over(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="langgraph_runs")
    watch = watch_of(time)
    for _ in range(3):
        watch.probe_failed(REFUSED)
        time.now += 7.0
    outage = watch.outage
    assert outage is not None and "connection refused" in outage.reason and not outage.refuses
    assert outage.next_try > outage.since
    watch.probe_succeeded()
    assert watch.outage is None and 1021.0 == watch.ended_at
    began, ended = [record.getMessage() for record in caplog.records]
    assert "http://server" in began and "connection refused" in began and "600 s" in began
    assert "responds again after 21 s" in ended


def test_the_map_gives_up_when_the_outage_has_lasted_too_long(time: Time) -> None:
    watch = watch_of(time, 60.0)
    assert watch.seconds_to_end() is None and not watch.is_over()
    watch.probe_failed(REFUSED)
    time.now += 59.0
    watch.probe_failed(REFUSED)
    assert 1.0 == watch.seconds_to_end() and not watch.is_over()
    time.now += 1.0
    assert watch.is_over() and 60.0 == watch.elapsed()


def test_without_a_limit_the_map_never_gives_up(time: Time) -> None:
    watch = watch_of(time, None)
    watch.probe_failed(REFUSED)
    time.now += 1e6
    assert not watch.is_over()


def test_each_outage_has_its_own_time(time: Time) -> None:
    watch = watch_of(time, 60.0)
    for _ in range(3):
        watch.probe_failed(REFUSED)
        time.now += 50.0
        assert not watch.is_over()
        watch.probe_succeeded()


def test_a_refusal_during_an_outage_does_not_begin_its_time_again(time: Time) -> None:
    """As of a task that was in flight, from a gateway."""
    watch = watch_of(time, 60.0)
    watch.probe_failed(REFUSED)
    time.now += 50.0
    watch.refused(BUSY, 1.0)
    assert watch.is_down and 50.0 == watch.elapsed()
    watch.probe_succeeded()
    watch.refused(BUSY, 1.0)
    time.now += 5.0
    watch.refused(BUSY, 1.0)
    assert watch.outage is not None and watch.outage.refuses and 5.0 == watch.elapsed()


def test_a_success_during_an_outage_is_a_reason_to_probe_at_once(time: Time) -> None:
    watch = watch_of(time)
    watch.probe_failed(REFUSED)
    watch.probe_soon()
    assert 0.0 == watch.seconds_to_probe()


def test_refusals_are_an_outage_only_if_nothing_else_comes_for_some_seconds(time: Time) -> None:
    watch = watch_of(time, 60.0)
    for _ in range(3):
        watch.refused(BUSY, 1.0)
        time.now += 4.0
        assert watch.outage is None
        watch.accepted()
    watch.refused(BUSY, 1.0)
    time.now += 6.0
    watch.refused(BUSY, 8.0)
    outage: Optional[ServerOutage] = watch.outage
    assert outage is not None and outage.refuses and not watch.is_down
    assert "refuses all requests" in str(outage)
    time.now += 54.0
    assert watch.is_over()
    watch.accepted()
    assert not watch.is_over()

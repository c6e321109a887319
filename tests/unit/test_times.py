"""The forms of time that servers send, and text that is no time."""

from __future__ import annotations

import datetime
from typing import Optional

import pytest

from langgraph_runs.times import parse_time


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-11-21T01:09:53.104205+00:00", "2026-11-21T01:09:53.104205+00:00"),
        ("2026-11-21T01:09:53.104205Z", "2026-11-21T01:09:53.104205+00:00"),
        ("2026-11-21T01:09:53z", "2026-11-21T01:09:53+00:00"),
        ("2026-11-21 01:09:53", "2026-11-21T01:09:53+00:00"),
        ("2026-11-21T01:09:53.1", "2026-11-21T01:09:53.100000+00:00"),
        ("2026-11-21T01:09:53.123456789Z", "2026-11-21T01:09:53.123456+00:00"),
        ("2026-11-21T03:09:53+02:00", "2026-11-21T03:09:53+02:00"),
        ("2026-11-21T03:09:53-0130", "2026-11-21T03:09:53-01:30"),
    ],
)
def test_a_time_is_aware_and_keeps_its_offset(text: str, iso: str) -> None:
    moment = parse_time(text)
    assert moment is not None and iso == moment.isoformat()


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-11-21", "2026-W47-6T01:09:53", "20261121T010953Z", "2026-11-21T01:09:53Z ", "x" * 100_000]
)
def test_other_text_is_no_time(text: str) -> None:
    assert parse_time(text) is None


@pytest.mark.parametrize("text", ["2026-13-21T01:09:53Z", "2026-02-30T01:09:53", "2026-11-21T25:09:53Z"])
def test_a_date_that_does_not_exist_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)


def test_the_result_compares_with_other_aware_times() -> None:
    moment: Optional[datetime.datetime] = parse_time("2026-11-21T03:09:53+02:00")
    assert datetime.datetime(2026, 11, 21, 1, 9, 53, tzinfo=datetime.timezone.utc) == moment

"""Durations and times as they are typed."""

from __future__ import annotations

import argparse
import datetime

import pytest

from langgraph_runs.cli import values


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [("90", 90), ("1.5", 1.5), ("250ms", 0.25), ("10m", 600), ("1h30m", 5400), ("7d", 604800), ("2w", 1209600)],
)
def test_durations(typed: str, seconds: float) -> None:
    assert seconds == values.duration(typed)


@pytest.mark.parametrize("typed", ["", "-1", "1x", "1 h", "m", "1h30", "1e3", "99999999w", "1.2.3s"])
def test_invalid_durations_are_refused(typed: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="give a time|thirty years"):
        values.duration(typed)


def test_times_are_aware_and_may_be_relative_to_now() -> None:
    now = datetime.datetime.now(datetime.timezone.utc)

    assert datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.timezone.utc) == values.moment("2026-01-31T12:00:00Z")
    assert values.moment("2026-01-31").tzinfo is not None
    assert datetime.timedelta(days=7) <= now - values.moment("7d") + datetime.timedelta(minutes=1) < datetime.timedelta(days=8)
    with pytest.raises(argparse.ArgumentTypeError, match="give a time as 2026"):
        values.moment("yesterday")

"""How the measurement of faults counts events that are missing."""

from __future__ import annotations

import pytest

from ..bench.chaos import missing


@pytest.mark.parametrize(
    ("seen", "places", "gaps", "expected"),
    [
        ([0, 1, 2, 3], [1, 2, 3, 4], [], (0, 0, 0)),
        ([0, 3], [1, 2], [], (2, 0, 0)),
        ([0, 3], [1, 2], [2], (0, 2, 0)),
        ([0, 3], [1, 2], [1], (2, 0, 0)),  # before event 0
        ([2, 3], [1, 2], [1], (0, 2, 0)),
        ([0, 1], [1, 2], [3], (0, 2, 0)),
        ([], [], [], (4, 0, 0)),
        ([], [], [0], (0, 4, 0)),
        ([0, 2, 3], [1, 2, 3], [3], (0, 0, 1)),
        ([0, 2], [1, 2], [3], (1, 1, 0)),  # the gap is that of event 3
        ([0, 1, 1, 2, 3], [1, 2, 3, 4, 5], [], (0, 0, 0)),
        ([0, 3, 0, 3], [1, 2, 3, 4], [2], (0, 2, 0)),
    ],
)
def test_missing(seen: list[int], places: list[int], gaps: list[int], expected: tuple[int, int, int]) -> None:
    """An event is missing without a word unless a gap lies between its neighbours, or one that has no other event comes later."""
    assert expected == missing(4, seen, places, gaps)

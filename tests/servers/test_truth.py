"""The truth table on each server. No cell may lie: neither success for a bad end, nor a bad end for a success."""

from __future__ import annotations

import pytest

from .conftest import RunningServer
from .truth import CELLS, check, play


@pytest.mark.parametrize(("way", "entry"), CELLS)
def test_the_table(any_server: RunningServer, way: str, entry: str) -> None:
    """A run that succeeded or waits for a human returns, and says which; any other end is its own error, with its reason."""
    assert None is check(play(any_server.url, way, entry))

"""Each call in each host: what the table of the chapter "Where it runs" shows."""

from __future__ import annotations

import pytest

from .hosts import HOSTS, Place
from .probes import CALLS


@pytest.mark.parametrize("name", HOSTS)
def test_all_calls_work(name: str, here: Place) -> None:
    reason = HOSTS[name].unavailable_reason()
    if reason:
        pytest.skip(reason)
    assert dict.fromkeys(CALLS, "") == HOSTS[name].calls(here)

"""The checks of a server on each server: no promise is broken, and nothing is left there."""

from __future__ import annotations

import pytest

from langgraph_runs import Client
from langgraph_runs.testing.conformance import Verdict, as_text, check_conformance

from .conformance import GRAPHS
from .conftest import RunningServer


@pytest.mark.slow
def test_no_promise_is_broken(any_server: RunningServer) -> None:
    with Client(any_server.url, api_key=None) as client:
        found = check_conformance(client, **GRAPHS.as_arguments())
    assert found.conforms, as_text(found)
    assert () == found.left_threads
    # No other server of the three limits the time of a run, and Aegra does not stop before all nodes.
    assert {"server-time-limit", "pause"} >= {row.name for row in found.having(Verdict.NOT_TRIED)}, as_text(found)

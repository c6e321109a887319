"""A worker of Celery stops when it is told to, also while a task waits for a silent server."""

from __future__ import annotations

import sys

import pytest

from ..waiting import wait_until
from .hosts import HOSTS, Place, celery_worker


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_a_worker_stops_while_a_task_waits(pool: str, here: Place) -> None:
    """It waits for the task, whose call ends at its timeout."""
    reason = HOSTS[f"celery {pool}"].unavailable_reason()
    if reason:
        pytest.skip(reason)
    code = "from tests.hosts.celery_app import wait_for_silence; wait_for_silence.delay(2.0)"
    with celery_worker(here, pool, stop_within=15) as added:
        here.output(sys.executable, "-c", code, **added)
        wait_until(lambda: "wait_for_silence" in here.log.read_text() and "received" in here.log.read_text(), "the task", 30)
    assert "succeeded" in here.log.read_text() and "DeadlineExceededError" in here.log.read_text()

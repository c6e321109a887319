"""What the tests of rows share: a server whose runs do what the test says, receivers of the signals, and rows with runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List, Tuple, TypeVar

import pytest
from django.core.cache import cache
from django.db import connection, connections
from django.test import override_settings

from langgraph_runs import Run, RunOutcome
from langgraph_runs.django import run_finished
from langgraph_runs.django.clients import replaced_options
from langgraph_runs.django.runs.models import AgentRun
from langgraph_runs.django.runs.signals import run_status_changed
from langgraph_runs.testing import FakeRuns, fake_server, no_wait

T = TypeVar("T")


@pytest.fixture(name="server")
def server_of_rows(database: None, caplog: pytest.LogCaptureFixture) -> Iterator[FakeRuns]:
    caplog.set_level(logging.CRITICAL + 1)
    cache.clear()
    with fake_server() as fake, replaced_options(url=fake.url, api_key=None, retry=no_wait(2)):
        with override_settings(ROOT_URLCONF="tests.django.urls_rows"):
            yield fake


class Heard:
    """A receiver of the signals."""

    def __init__(self) -> None:
        self.finished: List[Dict[str, Any]] = []
        self.changes: List[Tuple[str, str]] = []
        #: Raised at the next calls, one each.
        self.raises: List[Exception] = []

    def finish(self, sender: Any, run: Run, outcome: RunOutcome, row: AgentRun, **kwargs: Any) -> None:
        self.finished.append({"run": run, "outcome": outcome, "row": row, **kwargs})
        if self.raises:
            raise self.raises.pop(0)

    def change(self, sender: Any, row: AgentRun, old: str, new: str, **kwargs: Any) -> None:
        self.changes.append((old, new))


@pytest.fixture(name="heard")
def heard_signals() -> Iterator[Heard]:
    receiver = Heard()
    run_finished.connect(receiver.finish)
    run_status_changed.connect(receiver.change)
    yield receiver
    run_finished.disconnect(receiver.finish)
    run_status_changed.disconnect(receiver.change)


def started(server: FakeRuns, script: Any, **options: Any) -> AgentRun:
    """A row whose run the server has."""
    server.script(script)
    row: AgentRun = AgentRun.objects.start("agent", {"n": 1}, **options)
    assert AgentRun.Status.STARTED == row.status
    return row


def ended(server: FakeRuns, script: Any, **options: Any) -> AgentRun:
    row = started(server, script, **options)
    server.started[-1].wait_for_end(5)
    assert row.refresh()
    return row


def again(row: AgentRun) -> AgentRun:
    """The row as it is in the database."""
    found: AgentRun = AgentRun.objects.get(pk=row.pk)
    return found


def at_once(work: Callable[[int], T], count: int) -> List[T]:
    """What *work* returns for each number, in threads of their own, each with its own connection to the database."""

    def in_thread(number: int) -> T:
        try:
            return work(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(in_thread, range(count)))


def needs_a_database_server() -> None:
    """Skip the test on SQLite, where a transaction that has read keeps all others from writing."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has neither connections that end nor transactions that read beside one that writes")


_CONNECTIONS = {
    "postgresql": (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
        "SELECT pg_terminate_backend(%s)",
    ),
    "mysql": ("SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()", "KILL %s"),
}


def end_connections() -> None:
    """Let the database end all connections of the tests, as it does when it is restarted or has seen no query for long."""
    others, end = _CONNECTIONS[connection.vendor]

    def end_others(_: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(others)
            for (number,) in cursor.fetchall():
                cursor.execute(end, [number])

    at_once(end_others, 1)

"""Django set up once for a process of the tests; nothing is collected where it is not installed."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from .database import database_in
from .setup import set_up

collect_ignore_glob = []
if importlib.util.find_spec("django") is None:
    collect_ignore_glob.append("test_*.py")
else:
    set_up()


@pytest.fixture(autouse=True)
def _no_records(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The views have no records of runs, as in a site without the app of the rows, unless the test has the fixture `database`."""
    if "database" not in request.fixturenames:
        monkeypatch.setattr("langgraph_runs.django.run_records._registered", [])


@pytest.fixture(scope="session")
def empty_database() -> Iterator[Optional[bytes]]:
    """The content of a file with the tables of the project; None if the database of the settings is a server."""
    from django.core.management import call_command
    from django.db import connections
    from django.db.backends.signals import connection_created

    if connections["default"].vendor != "sqlite":
        call_command("migrate", verbosity=0)
        yield None
        connections.close_all()
        return

    def hurry(sender: Any, connection: Any, **kwargs: Any) -> None:
        connection.cursor().execute("PRAGMA synchronous = OFF")

    connection_created.connect(hurry)
    with tempfile.TemporaryDirectory() as directory, database_in(Path(directory) / "rows.sqlite3") as path:
        call_command("migrate", verbosity=0)
        connections.close_all()
        content = path.read_bytes()
    yield content
    connection_created.disconnect(hurry)


@pytest.fixture
def database(empty_database: Optional[bytes], tmp_path: Path) -> Iterator[None]:
    """The tables, as they were made. Transactions are real ones, so that functions for after the commit run."""
    from django.core.management import call_command
    from django.db import connections

    if empty_database is None:
        yield
        call_command("flush", interactive=False, verbosity=0)
        connections.close_all()
        return
    path = tmp_path / "rows.sqlite3"
    path.write_bytes(empty_database)
    with database_in(path):
        yield

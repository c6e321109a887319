"""Rows of runs in PostgreSQL: the tests of the app with another database, which has ``SKIP LOCKED`` and refuses more than SQLite."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import or_skipped
from .postgresql import database

pytest.importorskip("django")
pytest.importorskip("psycopg")

ROOT = Path(__file__).resolve().parent.parent.parent
TESTS = ("test_agent_runs.py", "test_agent_runs_admin.py", "test_agent_runs_sync.py")


def test_the_tests_of_rows_pass_on_postgresql() -> None:
    with or_skipped(database()) as url:
        command = [sys.executable, "-m", "pytest", "-q", "-n0", *(f"tests/django/{name}" for name in TESTS)]
        env = {**os.environ, "TEST_POSTGRESQL": url}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert 0 == done.returncode, done.stdout[-5000:]

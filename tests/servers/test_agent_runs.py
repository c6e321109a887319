"""Rows of runs in PostgreSQL and MariaDB: the tests of the app with databases that refuse more than SQLite, and take more for equal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from . import mariadb, postgresql
from .conftest import or_skipped

pytest.importorskip("django")

ROOT = Path(__file__).resolve().parent.parent.parent
TESTS = ("test_agent_runs.py", "test_agent_runs_admin.py", "test_agent_runs_sync.py")


def test_the_tests_of_rows_pass_on_postgresql() -> None:
    pytest.importorskip("psycopg")
    with or_skipped(postgresql.database()) as url:
        run_tests(TEST_POSTGRESQL=url)


# Skipped also where .ci/run says that all servers must be there: not every distribution has it.
@pytest.mark.skipif(bool(mariadb.unavailable_reason()), reason=mariadb.unavailable_reason())
def test_the_tests_of_rows_pass_on_mariadb() -> None:
    pytest.importorskip("pymysql")
    with or_skipped(mariadb.database()) as url:
        run_tests(TEST_MYSQL=url)
        # The isolation level that the server has where Django does not choose another one.
        run_tests("-k", "a_transaction", TEST_MYSQL=f"{url}&isolation_level=repeatable+read")
        run_tests("-k", "are_alike or of_every_kind", TEST_MYSQL=url.replace("/site?", "/old?"))


def run_tests(*arguments: str, **variables: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-n0", *(f"tests/django/{name}" for name in TESTS), *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, timeout=900, check=False
    )
    assert 0 == done.returncode, done.stdout[-5000:]
    assert " passed" in done.stdout

"""The ledger in PostgreSQL: what holds for every ledger, and connections that break."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from langgraph_runs import Ledger

from ..ledgers import LedgerTests
from .conftest import or_skipped
from .postgresql import database

_numbers = itertools.count()


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    with or_skipped(database()) as url:
        yield url


@pytest.fixture
def ledger(database_url: str) -> Ledger:
    return Ledger(f"{database_url}?ledger=test-{next(_numbers)}")


class TestPostgresql(LedgerTests):
    """What holds for every ledger."""

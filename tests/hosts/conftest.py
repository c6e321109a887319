"""These tests start whole programs, which take long: they are left out unless the command names them, by marker or path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..conftest import leave_out_unless_wanted
from .hosts import Place, place


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    leave_out_unless_wanted(config, items, "hosts")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    """The servers for one host, and a directory for its files."""
    with place(tmp_path) as made:
        yield made

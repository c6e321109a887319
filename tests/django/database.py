"""The database of the tests: files of SQLite, each for one test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def database_in(path: Path) -> Iterator[Path]:
    """Within this block the database of the settings is this file, for all threads."""
    from django.db import connections

    connections.close_all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(connections["default"].settings_dict, "NAME", str(path))  # the dict of the settings, which all threads share
        yield path
        connections.close_all()

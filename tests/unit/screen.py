"""A stdout in memory, for tests of what the command line prints to terminals and pipes."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from langgraph_runs.cli import console


class Screen(io.TextIOWrapper):
    """A stdout in memory."""

    def __init__(self, encoding: str = "utf-8", *, terminal: bool = False) -> None:
        self.bytes = io.BytesIO()
        self._terminal = terminal
        super().__init__(self.bytes, encoding=encoding, write_through=True)

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture(name="on")
def screen_fixture(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replace stdout by a `Screen` for the rest of the test."""

    def use(encoding: str = "utf-8", *, terminal: bool = False) -> Screen:
        screen = Screen(encoding, terminal=terminal)
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "40")
        monkeypatch.delenv("NO_COLOR", raising=False)
        console.prepare_streams()
        return screen

    return use

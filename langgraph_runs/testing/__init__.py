"""A fake LangGraph server and what else tests need of code that uses this library. Nothing to install beside it."""

from __future__ import annotations

from .dialect import Dialect
from .fake_langgraph import FakeLangGraph
from .programs import FakeRun, GraphFailure, Paused, Stopped

__all__ = ["Dialect", "FakeLangGraph", "FakeRun", "GraphFailure", "Paused", "Stopped"]

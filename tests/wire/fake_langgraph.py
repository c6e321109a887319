"""The fake server of `langgraph_runs.testing`, whose runs do what these tests mostly want of a run."""

from __future__ import annotations

from typing import Any, Optional

from langgraph_runs.testing import fake_langgraph
from langgraph_runs.testing.dialect import Dialect
from langgraph_runs.testing.fake_run import FakeRun, GraphFailure, LoggedEvent, Paused, Program

__all__ = ["Dialect", "FakeLangGraph", "FakeRun", "GraphFailure", "LoggedEvent", "Paused", "Program", "burst"]


def burst(run: FakeRun) -> Any:
    """Emit ``input["n"]`` numbered custom events, then the input as the final values. Fails where ``input["fail"]``."""
    asked = run.input or {}
    for i in range(asked.get("n", 0)):
        run.emit("custom", {"i": i})
    if "fail" in asked:
        raise GraphFailure("ValueError", asked["fail"])
    run.emit("values", asked)
    return asked


class FakeLangGraph(fake_langgraph.FakeLangGraph):
    """As it is, with `burst` for a program."""

    def __init__(self, program: Program = burst, dialect: Optional[Dialect] = None, *, seed: Any = 0) -> None:
        super().__init__(program, dialect, seed=seed)

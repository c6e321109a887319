"""langgraph_runs.testing as a type checker sees it. Checked by mypy, never run."""

from __future__ import annotations

from typing_extensions import assert_type

from langgraph_runs import Client, Run, StreamEvent, Thread, testing
from langgraph_runs.testing import (
    FakeRun,
    FakeRuns,
    Script,
    fake_server,
    make_run,
    make_thread,
    no_wait,
    succeeds,
    values_event,
)


def double(run: FakeRun) -> dict[str, int]:
    return {"n": run.input["n"] * 2}


with fake_server() as fake:
    assert_type(fake, FakeRuns)
    assert_type(fake.assert_started(input={"n": 1}), FakeRun)
    assert_type(FakeRuns().client(retry=no_wait()), Client)
    assert_type(succeeds({"n": 1}, events=[("custom", 1), 0.5, values_event({})]).cut_after(1), Script)
    FakeRuns().script(double, succeeds(), repeat=True, assistant_id="agent")
    FakeRuns().script(3)  # type: ignore[arg-type]
    assert_type(make_run(status="error"), Run)
    make_run(statsu="error")  # type: ignore[call-arg]
    assert_type(make_thread(run=make_run()), Thread)
    assert_type(values_event({}), StreamEvent)

print(testing.nonsense)  # type: ignore[attr-defined]

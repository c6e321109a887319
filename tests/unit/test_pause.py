"""Whether a run ended with a pause: each place where servers show one, and what only looks like it."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_runs import Interrupt, Run, Thread, ThreadState, ThreadTask
from langgraph_runs.runs.pause import Pause, interrupts_in, own_output, pause_of, with_questions

QUESTION = Interrupt(value="sure?", id="i")
VALUES = {"n": 1, "__interrupt__": [{"value": "sure?", "id": "i"}]}
ASKED = Pause((QUESTION,))
STOPPED = Pause(())
#: States as servers show them: with the questions at the top and at the task, at the task alone, and of a node that is next.
BOTH = ThreadState(next=("ask",), tasks=[ThreadTask(interrupts=[QUESTION])], interrupts=[QUESTION])
AT_TASK = ThreadState(next=("ask",), tasks=[ThreadTask(interrupts=[QUESTION])])
NEXT = ThreadState(next=("work",), tasks=[ThreadTask(name="work")])
DONE = ThreadState(values={"n": 1})
WAITING = Thread(thread_id="t", status="interrupted", interrupts={"task": [QUESTION]})
AT_NODE = Thread(thread_id="t", status="interrupted")
CANCELLED = Thread(thread_id="t", status="interrupted", error={"error": "UserInterrupt", "message": "interrupt requested"})
IDLE = Thread(thread_id="t", status="idle")


def run_of(status: str, **extra: Any) -> Run:
    return Run(run_id="r", thread_id="t", status=status, extra=extra)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"__interrupt__": [{"value": "sure?", "id": "i", "ns": ["a"]}]}, (Interrupt(value="sure?", id="i", extra={"ns": ["a"]}),)),
        ({"__interrupt__": [{"value": 1}, "bare"]}, (Interrupt(value=1), Interrupt(value="bare"))),
        ({"__interrupt__": [{"id": 5}]}, (Interrupt(extra={"id": 5}),)),
        ({"__interrupt__": {"value": 1}}, ()),
        ({"__interrupt__": None}, ()),
        ({}, ()),
        (None, ()),
        (["__interrupt__"], ()),
    ],
)
def test_questions_in_values(data: Any, found: Any) -> None:
    """They are records; what a user keeps under that name in another shape is no error."""
    assert found == interrupts_in(data)


@pytest.mark.parametrize(
    ("evidence", "pause"),
    [
        ({"values": VALUES}, ASKED),
        ({"values": {"__interrupt__": []}}, STOPPED),  # all that one server responds after interrupt_before
        ({"values": {"n": 1, "__interrupt__": []}}, None),  # a key of the user's own
        ({"values": {"n": 1}}, None),
        ({"values": None}, None),
        ({"state": BOTH}, ASKED),
        ({"state": AT_TASK}, ASKED),
        ({"state": NEXT}, STOPPED),
        ({"state": DONE, "values": {"n": 1}}, None),
        ({"thread": WAITING}, ASKED),
        ({"thread": AT_NODE}, STOPPED),
        ({"thread": IDLE}, None),
        ({"seen": (QUESTION,)}, ASKED),
        ({"run": run_of("success", output=VALUES)}, ASKED),
    ],
)
def test_a_run_that_succeeded_or_paused(evidence: Any, pause: Any) -> None:
    """A pause is a pause wherever it shows, and a plain success is none."""
    assert pause == pause_of(**{"run": run_of("success"), **evidence})


@pytest.mark.parametrize(
    ("evidence", "pause"),
    [
        ({"run": run_of("interrupted", output=VALUES)}, ASKED),
        ({"thread": WAITING}, ASKED),
        ({"thread": AT_NODE, "state": AT_TASK}, ASKED),
        ({"thread": AT_NODE, "state": NEXT}, None),
        (
            {"thread": AT_NODE, "run": Run(run_id="r", thread_id="t", status="interrupted", kwargs={"interrupt_before": ["work"]})},
            STOPPED,
        ),
        ({"thread": CANCELLED, "state": AT_TASK, "values": VALUES}, None),
        ({"thread": IDLE, "state": AT_TASK}, None),
        ({"thread": IDLE, "run": run_of("interrupted", output={})}, None),
        ({"state": AT_TASK}, ASKED),
        ({"state": AT_TASK, "run": run_of("interrupted", cancel_reason="user")}, None),
        ({"state": NEXT}, None),
        ({}, None),
    ],
)
def test_a_run_with_the_status_interrupted(evidence: Any, pause: Any) -> None:
    """It was cancelled, unless there is evidence of a pause."""
    assert pause == pause_of(**{"run": run_of("interrupted"), **evidence})


@pytest.mark.parametrize("status", ["pending", "running", "error", "timeout", "odd"])
def test_no_other_status_is_a_pause(status: str) -> None:
    """A failed run may have open questions too: another of its nodes had asked."""
    assert None is pause_of(run_of(status, output=VALUES), values=VALUES, state=BOTH, thread=WAITING, seen=(QUESTION,))


def test_questions_are_added_to_values() -> None:
    """Values that have questions, and values that are no object, stay as they are."""
    assert VALUES == with_questions({"n": 1}, ASKED)
    assert {"n": 1} == with_questions({"n": 1}, STOPPED) == with_questions({"n": 1}, None)
    assert VALUES == with_questions(VALUES, Pause((Interrupt(value="other"),)))
    assert [1] == with_questions([1], ASKED)


def test_the_output_of_a_run() -> None:
    """It counts only when the run has ended, and if it is an object."""
    assert {"n": 1} == own_output(run_of("success", output={"n": 1}))
    assert None is own_output(run_of("running", output={"n": 1}))
    assert None is own_output(run_of("success", output="text"))

"""What a probe decides about tasks that have failed."""

from __future__ import annotations

from typing import Any, List, Optional

import pytest

from langgraph_runs import APIConnectionError, APIStatusError, LangGraphRunsError, RunFailedError
from langgraph_runs.batch.concurrency import ConcurrencyLimit
from langgraph_runs.batch.inputs import Item
from langgraph_runs.batch.outage import OutageWatch
from langgraph_runs.batch.retries import InputRetries
from langgraph_runs.batch.suspended import SuspendedTasks
from langgraph_runs.batch.task import InFlightTask, TaskResult

from .played import Time, transport_of

REFUSED = APIConnectionError("refused", sent=False)
CUT = TaskResult(error=APIConnectionError("cut", sent=True))
LOST = TaskResult(error=APIStatusError("Not Found", status_code=404), contact_lost=True)


class Dispatcher:
    """Notes the probes, which the test ends."""

    def __init__(self) -> None:
        self.probed: List[str] = []
        self.is_probing = False
        self.probe_results: List[Optional[LangGraphRunsError]] = []

    def probe(self, thread_id: str) -> None:
        self.probed.append(thread_id)
        self.is_probing = True

    def end(self, result: Optional[LangGraphRunsError]) -> None:
        self.is_probing = False
        self.probe_results.append(result)


def as_dispatcher(dispatcher: Any) -> Any:
    return dispatcher


class Suspended:
    """The tasks, and what they need."""

    def __init__(self) -> None:
        self.time = Time()
        self.dispatcher = Dispatcher()
        limit = ConcurrencyLimit(8, wait_initial=0.5, wait_max=8.0, retry_after_max=60.0, clock=self.time.clock)
        retries = InputRetries(transport_of()[0], limit, clock=self.time.clock)
        self.watch = OutageWatch("http://server", max_outage=None, wait_initial=0.5, wait_max=8.0, clock=self.time.clock)
        self.tasks = SuspendedTasks(as_dispatcher(self.dispatcher), retries, self.watch)

    def add(self, name: str, result: TaskResult = CUT) -> InFlightTask:
        task = InFlightTask(Item(index=0, given=None), name)
        task.note_started()
        task.started_at = self.time.now
        if result is LOST:
            task.note_created()
        assert self.tasks.concerns(task, result)
        self.tasks.tasks.append((task, result))
        return task

    def probe(self, result: Optional[LangGraphRunsError]) -> None:
        self.tasks.probe()
        self.dispatcher.end(result)
        self.tasks.note_probes()

    def decided(self) -> List[Any]:
        return [(task.thread_id, is_own) for task, _, is_own in self.tasks.decided()]


@pytest.fixture
def suspended() -> Suspended:
    return Suspended()


def test_a_failure_of_the_run_needs_no_probe(suspended: Suspended) -> None:
    task = InFlightTask(Item(index=0, given=None), "a")
    assert not suspended.tasks.concerns(task, TaskResult(error=RunFailedError("E", "m")))
    assert not suspended.tasks.concerns(task, TaskResult(run_id="r"))


def test_if_the_server_responds_the_failures_before_the_probe_are_the_inputs(suspended: Suspended) -> None:
    suspended.add("a")
    suspended.add("b")
    suspended.tasks.probe()
    suspended.add("c")
    assert [] == suspended.decided(), "the probe goes on"
    suspended.dispatcher.end(None)
    suspended.tasks.note_probes()
    assert [("a", True), ("b", True)] == suspended.decided()
    assert ["a"] == suspended.dispatcher.probed
    suspended.probe(None)
    assert [("c", True)] == suspended.decided()
    assert ["a", "c"] == suspended.dispatcher.probed


def test_if_the_server_does_not_respond_no_failure_is_an_inputs(suspended: Suspended) -> None:
    task = suspended.add("a")
    suspended.tasks.probe()
    suspended.add("b")
    suspended.dispatcher.end(REFUSED)
    suspended.tasks.note_probes()
    assert [("a", False), ("b", False)] == suspended.decided()
    assert 2 == task.attempts and task.may_exist
    suspended.add("c")
    assert [("c", False)] == suspended.decided(), "without a further probe"


def test_a_probe_is_made_again_after_its_pause(suspended: Suspended) -> None:
    suspended.add("a")
    suspended.probe(REFUSED)
    suspended.decided()
    suspended.tasks.probe()
    assert 1 == len(suspended.dispatcher.probed)
    suspended.time.now += suspended.watch.seconds_to_probe()
    suspended.probe(None)
    assert 2 == len(suspended.dispatcher.probed) and suspended.watch.outage is None


def test_a_failure_of_a_task_that_was_started_before_the_end_of_an_outage_is_not_its_own(suspended: Suspended) -> None:
    suspended.add("a")
    suspended.probe(REFUSED)
    suspended.decided()
    suspended.time.now += 10.0
    suspended.probe(None)
    old, new = suspended.add("old"), suspended.add("new")
    old.started_at -= 5.0
    new.started_at += 5.0
    suspended.probe(None)
    assert [("old", False), ("new", True)] == suspended.decided()


def test_a_run_that_the_server_has_lost_is_started_again(suspended: Suspended) -> None:
    task = suspended.add("a", LOST)
    suspended.probe(None)
    assert [("a", False)] == suspended.decided()
    assert not task.is_created and task.may_exist and not task.may_still_arrive


def test_a_task_stays_if_an_exception_interrupts_its_evaluation(suspended: Suspended) -> None:
    suspended.add("a")
    suspended.probe(None)
    with pytest.raises(KeyboardInterrupt):
        for _ in suspended.tasks.decided():
            raise KeyboardInterrupt
    assert [("a", True)] == suspended.decided()

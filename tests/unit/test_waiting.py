"""The order in which inputs start that wait."""

from __future__ import annotations

from langgraph_runs.batch.inputs import Item
from langgraph_runs.batch.task import InFlightTask
from langgraph_runs.batch.waiting import WaitingTasks

from .played import Time


def test_tasks_start_in_their_order_and_those_that_were_put_back_first() -> None:
    waiting, tasks = WaitingTasks(), [InFlightTask(Item(index=index, given=None), str(index)) for index in range(5)]
    waiting.append(tasks[2])
    waiting.extend(tasks[3:])
    waiting.put_back(*tasks[:2])
    assert tasks == list(waiting) and 5 == len(waiting)
    started = []
    while waiting:
        ready = waiting.next_ready()
        assert ready is not None
        waiting.remove(ready)
        started.append(ready)
    assert tasks == started
    assert waiting.next_ready() is None and 0.0 == waiting.seconds_to_ready()


def test_a_task_that_must_not_start_yet_lets_others_pass() -> None:
    time = Time()
    waiting, early, late = WaitingTasks(time.clock), *(InFlightTask(Item(index=index, given=None)) for index in range(2))
    late.not_before = time.now + 2.0
    waiting.extend([late, early])
    assert early is waiting.next_ready() and 0.0 == waiting.seconds_to_ready()
    waiting.remove(early)
    assert waiting.next_ready() is None and 2.0 == waiting.seconds_to_ready()
    time.now += 2.0
    assert late is waiting.next_ready()
    waiting.remove(late)
    assert 0.0 == late.not_before

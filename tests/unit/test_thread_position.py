"""Which run the events of a thread's stream belong to, what is known already, and what shows that events were lost."""

from __future__ import annotations

from typing import Any, Optional

from langgraph_runs.streaming.events import ErrorStreamEvent, StreamEvent, ValuesStreamEvent
from langgraph_runs.streaming.thread_position import ThreadPosition, Verdict, run_begun, run_done

NEW, KNOWN, LAST, LOST = Verdict.NEW, Verdict.KNOWN, Verdict.LAST, Verdict.LOST


def begin(run_id: str, number: int = 0) -> StreamEvent:
    return StreamEvent("metadata", {"run_id": run_id, "attempt": 1}, f"179522463300{number}-0", raw=f"begin {run_id}")


def end(run_id: str) -> StreamEvent:
    return StreamEvent("metadata", {"run_id": run_id, "status": "run_done"}, "1795224633999-0", raw=f"end {run_id}")


def custom(number: int, event_id: Optional[str] = None) -> StreamEvent:
    return StreamEvent("custom", {"i": number}, event_id or f"179522463300{number}-0", raw=f'{{"i": {number}}}')


def verdicts(position: ThreadPosition, *events: StreamEvent) -> list[Any]:
    found = []
    for event in events:
        verdict = position.examine(event)
        found.append(verdict)
        done = run_done(event)
        if verdict is LAST and done is not None:
            position.note_done(done)
    return found


def test_runs_follow_each_other() -> None:
    """Each event of a run whose beginning came is new, and its end is the last one."""
    position = ThreadPosition()
    assert [NEW, NEW, LAST, NEW, LAST] == verdicts(position, begin("a"), custom(1), end("a"), begin("b"), end("b"))
    assert position.is_done("a") and position.is_done("b") and not position.is_done("c")


def test_events_without_a_beginning_were_preceded_by_lost_ones() -> None:
    """Unless the stream began in the middle of a run."""
    assert [LOST] == verdicts(ThreadPosition(), custom(1))
    assert [LOST] == verdicts(ThreadPosition(), end("a"))

    position = ThreadPosition()
    position.in_the_middle = True
    assert [NEW, LAST, LOST] == verdicts(position, custom(1), end("a"), custom(2))


def test_events_of_runs_that_were_read_on_their_own_are_known() -> None:
    """Those of a run that was active when the connection began, and those of one that begins on it."""
    position = ThreadPosition()
    assert [NEW, NEW] == verdicts(position, begin("a"), custom(1))
    active = position.restart()
    assert active is not None and ("a", 2) == (active.run_id, active.cursor.admitted)
    position.drop_until_begin()
    position.note_done("a")
    position.note_done("b")

    assert [KNOWN, KNOWN, KNOWN, KNOWN, KNOWN] == verdicts(position, custom(2), end("a"), begin("b"), custom(3), end("b"))
    assert [NEW, NEW, LAST] == verdicts(position, begin("c", 4), custom(5), end("c"))


def test_an_end_without_a_beginning_while_events_are_dropped_is_of_a_lost_run() -> None:
    """It is not among the runs that were read."""
    position = ThreadPosition()
    position.drop_until_begin()
    assert [KNOWN, LOST] == verdicts(position, custom(1), end("x"))


def test_the_end_of_another_run_leaves_the_current_one() -> None:
    """A run that a later one has interrupted may end after that one has begun."""
    position = ThreadPosition()
    assert [NEW, NEW, LAST, NEW, LAST] == verdicts(position, begin("a"), begin("b", 1), end("a"), custom(2), end("b"))


def test_values_and_errors_of_the_current_run_are_noted() -> None:
    """Not those of its subgraphs; a new run begins without any."""
    position = ThreadPosition()
    position.examine(begin("a"))
    position.examine(ValuesStreamEvent("values", {"n": 1}, "1795224633001-0", raw="1"))
    position.examine(ValuesStreamEvent("values|child:1", {"n": 2}, "1795224633002-0", raw="2"))
    position.examine(ErrorStreamEvent("error", {"error": "ValueError", "message": "no ink"}, "1795224633003-0", raw="3"))
    assert ({"n": 1}, ("ValueError", "no ink")) == (position.values, position.reported)

    position.examine(begin("b", 4))
    assert (None, None) == (position.values, position.reported)


def test_what_begins_and_ends_a_run() -> None:
    """Only metadata events with the id of a run."""
    assert ("a", None, None, "a") == (run_begun(begin("a")), run_done(begin("a")), run_begun(end("a")), run_done(end("a")))
    for event in (
        custom(1),
        StreamEvent("metadata", None),
        StreamEvent("metadata", {"run_id": 3}),
        StreamEvent("values", {"run_id": "a"}),
    ):
        assert (None, None) == (run_begun(event), run_done(event))
    assert NEW is ThreadPosition().examine(StreamEvent("state_update", {}))

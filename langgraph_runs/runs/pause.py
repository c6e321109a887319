"""Decides whether a run ended with a pause for a human, and finds its questions. Sends nothing.

Servers show a pause in different places: as ``__interrupt__`` in the values, with or without the rest of the state; in the state,
as questions, tasks that have some, or nodes that come next; as the status of the thread; as the status ``interrupted`` of the run,
which means a cancel on other servers.
"""

from __future__ import annotations

from typing import Any, Iterator, NamedTuple, Optional, Tuple

from ..errors import ResponseDecodeError
from ..models import Interrupt, Run, Thread, ThreadState
from ..serialization import decode

__all__ = ["QUESTIONS", "Pause", "interrupts_in", "own_output", "pause_of", "with_questions"]

#: The key of the open questions in values and updates.
QUESTIONS = "__interrupt__"


class Pause(NamedTuple):
    """The end of a run that waits for a human."""

    #: The open questions; empty after ``interrupt_before`` and ``interrupt_after``.
    interrupts: Tuple[Interrupt, ...]


def pause_of(
    run: Optional[Run] = None,
    *,
    values: Any = None,
    state: Optional[ThreadState] = None,
    thread: Optional[Thread] = None,
    seen: Tuple[Interrupt, ...] = (),
) -> Optional[Pause]:
    """Return the pause with which a run ended, or None if nothing shows one.

    Every argument must be evidence about this very run: *values* and *state* are its own; *thread* is given only if the run is the
    newest on it; *seen* are questions in the events of its stream. *run* has ended; None stands for a run that is known to have
    succeeded or paused.

    - Status ``success``: a question anywhere is a pause, and so is a list of questions alone in the values, even an empty one; a
      node that comes next; and the status ``interrupted`` of the thread.
    - Status ``interrupted``: a cancelled run may have questions too. The evidence of a pause is a question in the run's own output,
      or a thread that is ``interrupted``, has no error, and has a question, or whose run was started to stop at a node. Without a
      thread, a question is enough, unless the run has a reason for its cancel.
    - Any other status is no pause.

    >>> pause_of(values={"n": 1, "__interrupt__": [{"value": "sure?"}]}).interrupts[0].value
    'sure?'
    >>> pause_of(values={"__interrupt__": []}), pause_of(values={"n": 1})
    (Pause(interrupts=()), None)
    """
    status = "success" if run is None else run.status
    if status not in ("success", "interrupted"):
        return None
    output = None if run is None else own_output(run)
    stored = interrupts_in(output)
    questions = seen or interrupts_in(values) or stored or tuple(_in_state(state)) or tuple(_in_thread(thread))
    if status == "success":
        stopped = _are_only_questions(values) or _are_only_questions(output)
        stopped = stopped or (state is not None and bool(state.next)) or (thread is not None and thread.status == "interrupted")
        return Pause(questions) if questions or stopped else None
    assert run is not None
    if stored:
        return Pause(questions)
    if thread is not None:
        waits = thread.status == "interrupted" and not thread.error
        return Pause(questions) if waits and (questions or _stops_at_nodes(run)) else None
    return Pause(questions) if questions and not run.extra.get("cancel_reason") else None


def interrupts_in(data: Any) -> Tuple[Interrupt, ...]:
    """Return the open questions (``__interrupt__``) in values or updates."""
    reported = data.get(QUESTIONS) if isinstance(data, dict) else None
    if not isinstance(reported, list):
        return ()
    return tuple(_interrupt(item) for item in reported)


def with_questions(values: Any, pause: Optional[Pause]) -> Any:
    """Return *values* with the questions of the pause, as a server reports them, unless they have some or are no object."""
    if pause is None or not pause.interrupts or not isinstance(values, dict) or QUESTIONS in values:
        return values
    return {**values, QUESTIONS: [{"value": item.value, "id": item.id, **item.extra} for item in pause.interrupts]}


def own_output(run: Run) -> Any:
    """Return the final values that some servers keep with the run itself; None if there are none."""
    output = run.extra.get("output")
    return output if isinstance(output, dict) and run.finished else None


def _are_only_questions(values: Any) -> bool:
    return isinstance(values, dict) and values.keys() == {QUESTIONS} and isinstance(values[QUESTIONS], list)


def _interrupt(item: Any) -> Interrupt:
    try:
        return decode(item, Interrupt)
    except ResponseDecodeError:
        return Interrupt(value=item)  # it may be a key of the user's own data


def _in_state(state: Optional[ThreadState]) -> Iterator[Interrupt]:
    if state is not None:
        yield from state.interrupts


def _in_thread(thread: Optional[Thread]) -> Iterator[Interrupt]:
    if thread is not None:
        for of_task in thread.interrupts.values():
            yield from of_task


def _stops_at_nodes(run: Run) -> bool:
    """Return True if the run was started to stop before or after a node."""
    places = (run.kwargs, run.extra)
    return any(place.get(name) for place in places for name in ("interrupt_before", "interrupt_after"))

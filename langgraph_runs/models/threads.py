"""Threads, their states, and the questions of a run that waits for a human.

The annotations are read at run time, so this module does not postpone them.
"""

import datetime
from typing import Any, Dict, List, Optional, Tuple

import attrs

from ..markers import take_marker

__all__ = ["Checkpoint", "Interrupt", "THREAD_STATUSES", "Thread", "ThreadState", "ThreadTask", "ThreadUpdate", "ThreadsPruned"]

THREAD_STATUSES = ("idle", "busy", "interrupted", "error")


@attrs.frozen(kw_only=True)
class Interrupt:
    """A question to a human, made by ``interrupt()`` in a node. It is answered with ``command={"resume": ...}``.

    >>> Interrupt(value={"question": "Send this?"}, id="9d4d").value["question"]
    'Send this?'
    """

    #: The argument of ``interrupt()``.
    value: Any = None
    #: Needed to answer one of several: ``command={"resume": {id: value}}``.
    id: Optional[str] = None
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class Thread:
    """A thread: state that its runs read and write.

    >>> Thread(thread_id="t", metadata={"customer": "ada"}).metadata["customer"]
    'ada'
    """

    #: The id.
    thread_id: str
    #: ``idle``, ``busy``, ``interrupted`` or ``error``. May be out of date: list the runs to know whether the thread is free.
    status: Optional[str] = None
    #: When it was created.
    created_at: Optional[datetime.datetime] = None
    #: When it was last changed.
    updated_at: Optional[datetime.datetime] = None
    #: When its state was last changed.
    state_updated_at: Optional[datetime.datetime] = None
    #: Your own key-value pairs, and those of the server.
    metadata: Dict[str, Any] = attrs.field(factory=dict)
    #: The current state, or None before the first run.
    values: Any = None
    #: Open questions to a human, by task id; under ``""`` if the server does not say of which task they are.
    interrupts: Dict[str, List[Interrupt]] = attrs.field(factory=dict)
    #: Why the last run failed: ``{"error": class, "message": text}``, or a string; None if it did not fail.
    error: Any = None
    #: Configuration of the last run.
    config: Dict[str, Any] = attrs.field(factory=dict, repr=False)
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)

    @staticmethod
    def _prepared(fields: Dict[str, Any], extra: Dict[str, Any]) -> None:
        take_marker(fields, extra)


@attrs.frozen(kw_only=True)
class Checkpoint:
    """A point in the history of a thread, for ``checkpoint=``.

    >>> Checkpoint(thread_id="t", checkpoint_ns="", checkpoint_id="1f0c").checkpoint_id
    '1f0c'
    """

    thread_id: Optional[str] = None
    checkpoint_ns: Optional[str] = None
    checkpoint_id: Optional[str] = None
    checkpoint_map: Optional[Dict[str, Any]] = None
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class ThreadTask:
    """A step of a thread that comes next, has failed, or waits for a human.

    >>> ThreadTask(name="review", interrupts=[Interrupt(value="Send this?")]).interrupts[0].value
    'Send this?'
    """

    id: Optional[str] = None
    name: Optional[str] = None
    #: Why it failed, as text, or None.
    error: Any = None
    #: Its open questions.
    interrupts: List[Interrupt] = attrs.field(factory=list, metadata={"strict": True})
    checkpoint: Optional[Checkpoint] = None
    #: The state of its subgraph, if it was requested with ``subgraphs=True``.
    state: Any = None
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class ThreadState:
    """The state of a thread at one checkpoint.

    >>> ThreadState(values={"n": 1}, next=("review",)).next
    ('review',)
    """

    #: The values of the state: an object for most graphs.
    values: Any = None
    #: The nodes that come next; empty when nothing is left to do.
    next: Tuple[str, ...] = attrs.field(default=(), metadata={"strict": True})
    #: Its place in the history of the thread.
    checkpoint: Optional[Checkpoint] = None
    #: The checkpoint's own metadata: source, step, run_id and so on.
    metadata: Dict[str, Any] = attrs.field(factory=dict)
    created_at: Optional[datetime.datetime] = None
    parent_checkpoint: Optional[Checkpoint] = None
    tasks: List[ThreadTask] = attrs.field(factory=list, metadata={"strict": True})
    #: Open questions of all tasks, also if the server shows them only at the tasks.
    interrupts: List[Interrupt] = attrs.field(factory=list, metadata={"strict": True})
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)

    @staticmethod
    def _prepared(fields: Dict[str, Any], extra: Dict[str, Any]) -> None:
        take_marker(fields, extra)

    def __attrs_post_init__(self) -> None:
        if not self.interrupts:
            object.__setattr__(self, "interrupts", [question for task in self.tasks for question in task.interrupts])


@attrs.frozen(kw_only=True)
class ThreadUpdate:
    """The result of `update_state`: the checkpoint that it wrote.

    >>> ThreadUpdate(checkpoint=Checkpoint(checkpoint_id="1f0c")).checkpoint.checkpoint_id
    '1f0c'
    """

    checkpoint: Optional[Checkpoint] = None
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class ThreadsPruned:
    """The result of ``threads.prune``.

    >>> ThreadsPruned(pruned_count=2).pruned_count
    2
    """

    #: The number of threads that were pruned. None if that is not known, since the response to an earlier attempt was lost.
    pruned_count: Optional[int] = None
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)

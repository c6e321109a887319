"""The server's objects as frozen records. `serialization` makes them from JSON.

Fields that a server may leave out have a default. Fields that a record does not have are kept in its ``extra``, and so are fields
that have another type than documented. Statuses and strategies are plain strings, since new versions of a server add some.

The annotations are read at run time, so this module does not postpone them.
"""

import datetime
from typing import Any, Dict, List, Optional, Tuple

import attrs

from .markers import shown_request_id, take_marker

__all__ = [
    "Assistant",
    "Checkpoint",
    "Interrupt",
    "RUN_STATUSES",
    "Run",
    "RunOutcome",
    "ServerInfo",
    "THREAD_STATUSES",
    "Thread",
    "ThreadState",
    "ThreadTask",
    "ThreadUpdate",
]

RUN_STATUSES = ("pending", "running", "error", "success", "timeout", "interrupted")
THREAD_STATUSES = ("idle", "busy", "interrupted", "error")
#: A run with one of these statuses has not ended; every other status is final.
UNFINISHED = frozenset({"pending", "running"})


def _stored_request_id(kwargs: Any) -> Optional[str]:
    """Return the ``x-request-id`` that some servers store with a run."""
    config = kwargs.get("config") if isinstance(kwargs, dict) else None
    configurable = config.get("configurable") if isinstance(config, dict) else None
    found = configurable.get("langgraph_request_id") if isinstance(configurable, dict) else None
    return found if isinstance(found, str) else None


@attrs.frozen(kw_only=True)
class Run:
    """One execution of an assistant on a thread.

    >>> Run(run_id="r", thread_id="t", status="running").finished
    False
    """

    #: The id, as the server writes it.
    run_id: str
    #: The thread of the run; for a stateless run a temporary one. Empty if the server does not say it.
    thread_id: str = attrs.field(metadata={"unreadable": ""})
    #: ``pending``, ``running``, ``success``, ``error``, ``timeout`` or ``interrupted``, or the status of a newer server.
    #: ``interrupted`` means cancelled; a run that waits for a human has ``success``. Empty if the server does not say it.
    status: str = attrs.field(metadata={"unreadable": ""})
    #: The assistant, by id.
    assistant_id: Optional[str] = None
    #: When it was created; for a delayed run, when it is due.
    created_at: Optional[datetime.datetime] = None
    #: When its status last changed.
    updated_at: Optional[datetime.datetime] = None
    #: Metadata of the assistant, the thread and the run, merged by the server. Without the field of this library, which is shown as
    #: *request_id*.
    metadata: Dict[str, Any] = attrs.field(factory=dict)
    #: What the run was started with: input, config and so on. Not in the repr, since it may hold secrets.
    kwargs: Dict[str, Any] = attrs.field(factory=dict, repr=False)
    #: What the server did with other runs of the thread when it created this one.
    multitask_strategy: Optional[str] = None
    #: The id of the request that created the run: the ``x-request-id`` that the caller gave, else one that the library made. For a
    #: run that another program created, the ``x-request-id`` of its request, if the server stores it. Else None.
    request_id: Optional[str] = attrs.field(
        default=attrs.Factory(lambda self: _stored_request_id(self.kwargs), takes_self=True), repr=False
    )
    #: True if a call with an *idempotency_key* has not created this run, but found it: an earlier call created it.
    replayed: bool = attrs.field(default=False, metadata={"ours": True}, repr=False, eq=False)
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)

    @property
    def finished(self) -> bool:
        """True if the run has ended, well or not. False if the status is not known."""
        return self.status != "" and self.status not in UNFINISHED

    @property
    def config(self) -> Dict[str, Any]:
        """The config that the run was started with: ``tags``, ``configurable`` and so on. Empty if the server does not say it."""
        found = self.kwargs.get("config")
        return found if isinstance(found, dict) else {}

    @staticmethod
    def _prepared(fields: Dict[str, Any], extra: Dict[str, Any]) -> None:
        marker = take_marker(fields, extra)
        if marker is not None:
            fields["request_id"] = shown_request_id(marker)
        elif not isinstance(fields.get("request_id"), str):
            fields.pop("request_id", None)


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
    #: Open questions of all tasks.
    interrupts: List[Interrupt] = attrs.field(factory=list, metadata={"strict": True})
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)

    @staticmethod
    def _prepared(fields: Dict[str, Any], extra: Dict[str, Any]) -> None:
        take_marker(fields, extra)


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
class Assistant:
    """A graph with a configuration, under an id.

    >>> Assistant(assistant_id="fe09", graph_id="agent").graph_id
    'agent'
    """

    assistant_id: str
    graph_id: Optional[str] = None
    name: Optional[str] = None
    description: Optional[str] = None
    version: Optional[int] = None
    config: Dict[str, Any] = attrs.field(factory=dict, repr=False)
    context: Dict[str, Any] = attrs.field(factory=dict, repr=False)
    metadata: Dict[str, Any] = attrs.field(factory=dict)
    created_at: Optional[datetime.datetime] = None
    updated_at: Optional[datetime.datetime] = None
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class ServerInfo:
    """The version and the features of a server.

    >>> ServerInfo(version="0.16.7", flags={"crons": True}).flags["crons"]
    True
    """

    #: The version of the server, or None if it does not say.
    version: Optional[str] = None
    #: The version of langgraph on the server.
    langgraph_py_version: Optional[str] = None
    #: The features by name; True if the feature is on.
    flags: Dict[str, Any] = attrs.field(factory=dict)
    metadata: Dict[str, Any] = attrs.field(factory=dict)
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class RunOutcome:
    """How a run ended. Calls with ``raise_error=False`` return it instead of raising a `RunError`.

    >>> RunOutcome(status="error", error="ValueError", message="boom").succeeded
    False
    """

    #: The final status, as in `Run.status`; ``"success"`` also for a run that waits for a human (see *paused*).
    status: str
    #: The final values of a run that succeeded; else the last values that are known, or None.
    values: Any = None
    #: The class of the graph's exception, if the run failed and the server says why.
    error: Optional[str] = None
    #: Its message.
    message: Optional[str] = None
    #: Open questions to a human; empty for a run that was paused by interrupt_before or interrupt_after.
    interrupts: Tuple[Interrupt, ...] = ()
    #: True if the run stopped for a human, by ``interrupt()``, interrupt_before or interrupt_after.
    paused: bool = False
    #: True if *values* are known to be of this run, and not of a later run on the same thread.
    exact: bool = True
    #: The run, or None if it could not be read.
    run: Optional[Run] = None

    @property
    def succeeded(self) -> bool:
        """True if the run ended well, or stopped for a human."""
        return self.status == "success"


def kind_of(value: Any) -> str:
    """Return the JSON name of a value's type, for messages.

    >>> kind_of({}), kind_of(None), kind_of(True)
    ('an object', 'null', 'a boolean')
    """
    for kind, name in _KIND_NAMES:
        if isinstance(value, kind):
            return name
    return "null"


_KIND_NAMES: Tuple[Tuple[type, str], ...] = (
    (bool, "a boolean"),
    (str, "a string"),
    (int, "a number"),
    (float, "a number"),
    (dict, "an object"),
    (list, "a list"),
)

"""The options of every call: name, type and documentation of each, once.

Editors and type checkers read the types, ``help()`` shows the documentation, which is the text in ``Annotated``. It describes how
the server was observed to behave.
"""

import datetime
import enum
import inspect
import uuid
from typing import (
    Annotated,
    Any,
    Callable,
    Dict,
    List,
    Literal,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypedDict,
    TypeVar,
    Union,
)

from .call import AbortSignal, RetryPolicy

__all__ = [
    "CallOptions",
    "ClientOptions",
    "CreateOptions",
    "CronOptions",
    "CronSettings",
    "CronUpdateOptions",
    "IfExists",
    "InvokeOptions",
    "JoinOptions",
    "JoinStreamArguments",
    "JoinStreamOptions",
    "ListOptions",
    "MapOptions",
    "ModeOption",
    "RunCreateMetadata",
    "RunStatus",
    "SortOrder",
    "StreamMode",
    "StreamOptions",
    "ThreadCronOptions",
    "ThreadStatus",
    "Time",
    "WaitOptions",
    "documented",
    "option_docs",
]

StreamMode = Literal[
    "values", "messages", "messages-tuple", "updates", "events", "debug", "tasks", "checkpoints", "custom", "metadata"
]
MultitaskStrategy = Literal["reject", "rollback", "interrupt", "enqueue"]
IfNotExists = Literal["create", "reject"]
OnDisconnect = Literal["cancel", "continue"]
OnCompletion = Literal["delete", "keep"]
#: What the option takes: what servers know, and the words of the JavaScript client.
OnCompletionWord = Literal["delete", "keep", "complete", "continue"]
Durability = Literal["sync", "async", "exit"]
CancelAction = Literal["interrupt", "rollback"]
OnGap = Literal["error", "mark"]
OnTimeout = Literal["cancel"]
IfExists = Literal["raise", "do_nothing"]
RunStatus = Literal["pending", "running", "error", "success", "timeout", "interrupted"]
ThreadStatus = Literal["idle", "busy", "interrupted", "error"]
SortOrder = Literal["asc", "desc"]
Time = Union[datetime.datetime, str]
ThreadStreamMode = Literal["run_modes", "lifecycle", "state_update"]
Params = Union[Mapping[str, Any], Sequence[Tuple[str, Any]]]


class RunCreateMetadata(TypedDict):
    """The argument of an ``on_run_created`` callback, which is called before the first byte of the response body is read."""

    run_id: str
    thread_id: Optional[str]


class Command(TypedDict, total=False):
    """Instructions to a thread instead of input."""

    update: Any
    resume: Any
    goto: Any


# -- options that several calls share, each defined once

_OnDisconnectOption = Annotated[
    Optional[OnDisconnect],
    "What the server does with the run when the connection breaks; default ``continue``. "
    "``cancel`` means that a network fault ends the run, so it excludes reconnecting.",
]
_SubgraphsOption = Annotated[
    Optional[bool],
    "Whether subgraphs stream as well; their events carry a namespace. This is decided when the run is started: `join_stream` "
    "only leaves out the events of subgraphs if it is False.",
]
_OnGapOption = Annotated[
    OnGap,
    "When events were lost that the server cannot replay: ``error`` (default) raises `StreamInterruptedError`, "
    "``mark`` goes on and notes it in ``stream.gaps``.",
]


class LimitOptions(TypedDict, total=False):
    """The limits of a call."""

    timeout: Annotated[
        Optional[float],
        "Seconds that the whole call may take: attempts, waits and reading together. None: no limit. Default: the client's.",
    ]
    signal: Annotated[Optional[AbortSignal], "Ends the call from another thread: `AbortController().signal`."]


class RequestOptions(TypedDict, total=False):
    """Headers and query parameters that are added to each request."""

    headers: Annotated[Optional[Mapping[str, str]], "Further headers. ``x-api-key`` is reserved for the client's own key."]
    params: Annotated[Optional[Params], "Further query parameters."]


class CallOptions(LimitOptions, RequestOptions, total=False):
    """Options of every call."""


class ClientOptions(TypedDict, total=False):
    """The options of a client that a copy may change."""

    timeout: Optional[float]
    stream_timeout: Optional[float]
    connect_timeout: Optional[float]
    read_timeout: Optional[float]
    retry: Optional[RetryPolicy]
    headers: Optional[Mapping[str, str]]
    verify_outcome: bool
    max_event_bytes: int
    max_response_bytes: int


class InputOptions(TypedDict, total=False):
    """The input of the graph."""

    input: Annotated[Any, "The input of the graph: any JSON value, usually an object. Not together with *command*."]
    command: Annotated[
        Optional[Mapping[str, Any]],
        "``{'resume': value}`` answers an interrupt, ``{'goto': node}`` jumps, ``{'update': values}`` changes the state.",
    ]


class RunSettings(TypedDict, total=False):
    """Options of each run, whether a call or a cron starts it."""

    stream_subgraphs: _SubgraphsOption
    stream_resumable: Annotated[
        Optional[bool],
        "Whether the server keeps the events, so that a broken stream can be resumed. Default of `stream`: True.",
    ]
    metadata: Annotated[Optional[Mapping[str, Any]], "Your own key-value pairs, kept with the run."]
    config: Annotated[
        Optional[Mapping[str, Any]], "``tags``, ``recursion_limit``, ``configurable`` and ``metadata`` for the graph."
    ]
    context: Annotated[Optional[Mapping[str, Any]], "Static context for the graph. Not together with config.configurable."]
    checkpoint_during: Annotated[Optional[bool], "Deprecated: use *durability*; False means ``exit``."]
    interrupt_before: Annotated[
        Union[Literal["*"], Sequence[str], None],
        "Nodes to pause before: a list of names, or ``'*'`` for all. `map` keeps the threads of paused runs.",
    ]
    interrupt_after: Annotated[
        Union[Literal["*"], Sequence[str], None],
        "Nodes to pause after: a list of names, or ``'*'`` for all. `map` keeps the threads of paused runs.",
    ]
    webhook: Annotated[Optional[str], "Absolute http(s) URL that the server posts the finished run to."]
    durability: Annotated[
        Optional[Durability],
        "When checkpoints are written: ``sync`` before the next step, ``async`` (default) beside it, ``exit`` only at the end.",
    ]


class RunOptions(RunSettings, total=False):
    """Options of a run, for `create`, `wait`, `stream`, and for each run of `map`."""

    feedback_keys: Annotated[Optional[Sequence[str]], "Keys to make feedback URLs for; needs LangSmith on the server."]
    after_seconds: Annotated[Optional[float], "Seconds that the server waits before it starts the run."]
    langsmith_tracing: Annotated[Optional[Mapping[str, Any]], "``project_name`` and ``example_id`` for the server's tracing."]
    strict_resume: Annotated[
        Optional[bool], "Whether resuming with nothing to resume is an error, on servers that know the option."
    ]
    kwargs: Annotated[Optional[Mapping[str, Any]], "Further body fields, sent as they are: for options newer than this library."]


class ModeOption(TypedDict, total=False):
    """The option that decides the type of a stream's events; separate from the others, so that overloads can name it."""

    stream_mode: Annotated[
        Union[StreamMode, Sequence[StreamMode], None],
        "What is streamed: one mode or several. Not given: ``values``. ``metadata`` is accepted and not sent: it always comes.",
    ]


class EndOptions(TypedDict, total=False):
    """What happens when the run or the call has not ended well."""

    on_timeout: Annotated[Optional[OnTimeout], "``cancel``: when *timeout* is over, cancel the run before raising."]
    raise_error: Annotated[
        bool,
        "False: a run that failed is not raised, but returned as a `RunOutcome`; of a stream it is ``stream.outcome``. "
        "Default True.",
    ]


# -- the options of each call


class InvokeOptions(CallOptions, InputOptions, RunOptions, total=False):
    """Options of create, wait and stream."""

    checkpoint: Annotated[Any, "Where in the thread's history to start: a `Checkpoint`, or its object."]
    checkpoint_id: Annotated[Optional[str], "The same, by id alone."]
    on_completion: Annotated[
        Optional[OnCompletionWord],
        "Without a *thread_id*: whether the thread of the run is kept, or deleted when the run has ended (default). Given "
        "``delete``, `wait` and `stream` delete the thread of a paused run too. ``complete`` is sent as ``delete``, and "
        "``continue`` as ``keep``, with a warning.",
    ]
    multitask_strategy: Annotated[
        Optional[MultitaskStrategy],
        "What to do when the thread is busy: ``enqueue`` (default), ``reject`` (`ConflictError`), ``interrupt`` or ``rollback``.",
    ]
    if_not_exists: Annotated[
        Optional[IfNotExists], "Whether a thread that does not exist is made; default ``reject`` (`NotFoundError`)."
    ]
    idempotency_key: Annotated[
        Union[str, int, uuid.UUID, datetime.date, enum.Enum, None],
        "For one key, one run, from any number of calls, processes and machines: a later call gets the run of the first one. Text, "
        "a whole number, a UUID, a date or an enum; None for no key. The same key with another assistant, input or options is an "
        "`IdempotencyConflictError`.",
    ]
    on_run_created: Annotated[
        Optional[Callable[[RunCreateMetadata], None]],
        "Called once with ``{'run_id', 'thread_id'}`` as soon as the run exists, before the first byte of its result is read.",
    ]


class CreateOptions(InvokeOptions, ModeOption, total=False):
    """Options of `create`."""


class WaitOptions(InvokeOptions, ModeOption, EndOptions, total=False):
    """Options of `wait`."""

    on_disconnect: _OnDisconnectOption


class StreamOptions(InvokeOptions, EndOptions, total=False):
    """Options of `stream`, without *stream_mode*, which decides the type of the events."""

    on_disconnect: _OnDisconnectOption
    on_gap: _OnGapOption


class MapOptions(RunOptions, ModeOption, RequestOptions, total=False):
    """Options of `map`: those of each of its runs."""


class JoinOptions(CallOptions, EndOptions, total=False):
    """Options of `join`."""


class ListOptions(CallOptions, total=False):
    """Options of `list` in one object."""

    limit: int
    offset: int
    status: Optional[RunStatus]
    select: Optional[Sequence[str]]
    metadata: Optional[Mapping[str, Any]]
    created_after: Optional[Time]
    created_before: Optional[Time]


class JoinStreamOptions(JoinOptions, total=False):
    """Options of `join_stream`, without *stream_mode*, which decides the type of the events."""

    stream_subgraphs: _SubgraphsOption
    cancel_on_disconnect: Annotated[bool, "Whether the server cancels the run when this connection breaks. Default False."]
    last_event_id: Annotated[
        Optional[str],
        "Continue after this event of a resumable run; ``'0'`` for all from its start. None: only the events from now on.",
    ]
    on_gap: _OnGapOption


class JoinStreamArguments(JoinStreamOptions, ModeOption, total=False):
    """Options of `join_stream` in one object."""


class CronSettings(CallOptions, RunSettings, ModeOption, total=False):
    """Options of ``crons.update``, and of the calls that create crons."""

    input: Annotated[Any, "The input of each run: any JSON value, usually an object."]
    timezone: Annotated[
        Union[str, datetime.tzinfo, None],
        "The time zone of *schedule*: an IANA name such as ``Europe/Berlin``, or a ``tzinfo`` object. Default: UTC.",
    ]
    enabled: Annotated[Optional[bool], "False: no runs are started until it is enabled. Default of a new cron: True."]


class ThreadCronOptions(CronSettings, total=False):
    """Options of ``crons.create_for_thread``."""

    multitask_strategy: Annotated[
        Optional[MultitaskStrategy],
        "What to do when the thread of a run is busy: ``enqueue`` (default), ``reject``, ``interrupt`` or ``rollback``.",
    ]
    end_time: Annotated[Union[datetime.datetime, str, None], "When it stops: an aware datetime, or ISO 8601 text. Default: never."]


_OnRunCompletedOption = Annotated[
    Optional[OnCompletion], "What happens to the thread of a run when the run has ended: ``delete`` (default) or ``keep``."
]


class CronOptions(ThreadCronOptions, total=False):
    """Options of ``crons.create``."""

    on_run_completed: _OnRunCompletedOption


class CronUpdateOptions(CronSettings, total=False):
    """Options of ``crons.update``."""

    schedule: Annotated[Optional[str], "Minute, hour, day of the month, month and day of the week: ``0 9 * * 1-5``."]
    end_time: Annotated[
        Union[datetime.datetime, str, None], "When it stops: an aware datetime, or ISO 8601 text. None: it does not stop any more."
    ]
    on_run_completed: _OnRunCompletedOption


def option_docs(options: Type[Any]) -> Dict[str, str]:
    """Return name and documentation of each option of a TypedDict above.

    >>> option_docs(CallOptions)["signal"]
    'Ends the call from another thread: `AbortController().signal`.'
    """
    return {name: hint.__metadata__[0] for name, hint in options.__annotations__.items() if hasattr(hint, "__metadata__")}


F = TypeVar("F", bound=Callable[..., Any])


def documented(*options: Type[Any]) -> Callable[[F], F]:
    """Decorate a method that takes ``**options``, so that ``help()`` and `inspect.signature` show each option.

    Type checkers read the same definition from ``Unpack`` (PEP 692).
    """

    def decorate(method: F) -> F:
        shown = inspect.signature(method)
        fixed = [p for p in shown.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        taken = {p.name for p in fixed}
        docs = {name: doc for one in options for name, doc in option_docs(one).items() if name not in taken}
        hints = {name: hint for one in options for name, hint in one.__annotations__.items()}
        keywords = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=_DEFAULTS.get(name),
                annotation=hints[name].__origin__,
            )
            for name in docs
        ]
        method.__signature__ = shown.replace(parameters=fixed + keywords)  # type: ignore[attr-defined]
        lines: List[str] = [inspect.cleandoc(method.__doc__ or ""), "", "Options:"]
        lines += [f"    {name}: {doc}" for name, doc in docs.items()]
        method.__doc__ = "\n".join(lines)
        return method

    return decorate


class _ClientDefault:
    """The default, in a signature, of an option whose default is the setting of the client. (None means no limit.)"""

    def __repr__(self) -> str:
        return "<the client's>"


#: The defaults that are not None, for the signatures that ``help()`` shows.
_DEFAULTS: Dict[str, Any] = {
    "timeout": _ClientDefault(),
    "raise_error": True,
    "on_gap": "error",
    "cancel_on_disconnect": False,
}

"""Starting runs: create, create_batch, wait and stream, each of which sends one request that must not be sent twice."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    List,
    Literal,
    Mapping,
    Optional,
    Sequence,
    Union,
    overload,
)

from ..errors import (
    DeadlineExceededError,
)
from ..http import Transport, parse_call_options
from ..models import Run
from ..options import CallOptions, CreateOptions, ModeOption, StreamMode, StreamOptions, WaitOptions, documented
from ..payloads import RunCreate, RunsCreatePayload, RunsInvokePayload, RunsStreamPayload, RunsWaitPayload
from ..runs import RunStarter, create_runs, prepare_start
from ..streaming import (
    CheckpointsStreamEvent,
    CustomStreamEvent,
    DebugStreamEvent,
    EventsStreamEvent,
    MessagesStreamEvent,
    RunStream,
    StreamEvent,
    TasksStreamEvent,
    UpdatesStreamEvent,
    ValuesStreamEvent,
    stream_new_run,
)
from ..validation import check_count

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..server_traits import ServerTraits

__all__ = ["RunStarts"]


class RunStarts:
    """The calls of ``client.runs`` that start runs; `runs.RunsClient` adds those for runs that exist."""

    def __init__(self, transport: Transport, knowledge: Optional[ServerTraits] = None) -> None:
        self._transport = transport
        self._starter = RunStarter(transport, knowledge)

    @documented(CreateOptions)
    def create(
        self,
        thread_id: Optional[str],
        assistant_id: str,
        payload: Optional[RunsInvokePayload] = None,
        **options: Unpack[CreateOptions],
    ) -> Run:
        """The new run, started in the background; *thread_id* None runs it on a thread of its own.

        That thread is deleted when the run has ended, with its result, unless ``on_completion="keep"``. Does not wait for the
        run: `join` or `join_stream` it. After a failure that leaves open whether the run exists, the
        thread's runs are looked through, and the run is found or created again; where that is not possible (a stateless run),
        raises `CreateUncertainError`. Raises `ConflictError` for a busy thread with ``multitask_strategy="reject"``, and
        `NotFoundError` for an unknown thread or assistant.
        """
        start = prepare_start("create", RunsCreatePayload, self._starter.creator, thread_id, assistant_id, payload, options)
        with start.options.scope(self._transport) as scope:
            return self._starter.create(start, scope)

    @documented(CallOptions)
    def create_batch(
        self,
        payloads: Sequence[Union[RunCreate, Mapping[str, Any]]],
        *,
        max_items: int = 500,
        max_bytes: int = 8 * 1024 * 1024,
        **options: Unpack[CallOptions],
    ) -> List[Run]:
        """The new runs, in the order of *payloads* (`RunCreate`, or dicts of the same fields), each on a thread of its own.

        They are sent in requests of at most *max_items* runs and *max_bytes* bytes each. An item with a ``thread_id`` is created on
        that thread, in a request of its own, since the server's batch endpoint ignores it. *timeout* is for all of them together.

        Nothing of this is all or nothing, not even one request. The error, of whatever class, says what there is: ``created``, a
        dict of place and `Run`, and ``uncertain``, the places of runs that may exist; nothing was sent for the rest.
        """
        common = parse_call_options("create_batch", options)
        check_count("max_items", max_items, least=1)
        check_count("max_bytes", max_bytes, least=1)
        return create_runs(self._starter, payloads, common, max_items=max_items, max_bytes=max_bytes)

    @documented(WaitOptions)
    def wait(
        self,
        thread_id: Optional[str],
        assistant_id: str,
        payload: Optional[RunsInvokePayload] = None,
        **options: Unpack[WaitOptions],
    ) -> Any:
        """The final values of a new run; blocks until it has ended, for at most *timeout* seconds.

        A run that waits for a human returns as well, its values with ``__interrupt__`` where it asked a question. To tell a
        pause by ``interrupt_before`` from an end, pass ``raise_error=False``: the result is then a `RunOutcome`, with
        ``paused`` and ``interrupts``, for failed runs too. Otherwise raises `RunFailedError`, `RunCancelledError` or
        `RunTimedOutError`. When the connection breaks, the run is joined again; it is never started twice.

        With *thread_id* None the server deletes the run when it has ended, so that it cannot be asked how: one that was
        cancelled or timed out looks like a success, unless ``on_completion="keep"``. Failures raise in any case.
        """
        start = prepare_start("wait", RunsWaitPayload, self._starter.creator, thread_id, assistant_id, payload, options)
        with start.options.scope(self._transport) as scope:
            try:
                return self._starter.waiter.give(self._starter.wait(start, scope), scope, options)
            except DeadlineExceededError as error:
                self._starter.waiter.late(error, scope, options)

    @overload
    def stream(
        self,
        thread_id: Optional[str],
        assistant_id: str,
        payload: None = None,
        **options: Unpack[StreamOptions],
    ) -> RunStream[ValuesStreamEvent]: ...
    @overload
    def stream(
        self,
        thread_id: Optional[str],
        assistant_id: str,
        payload: Optional[RunsInvokePayload] = None,
        *,
        stream_mode: Literal["values"],
        **options: Unpack[StreamOptions],
    ) -> RunStream[ValuesStreamEvent]: ...
    @overload
    def stream(
        self,
        thread_id: Optional[str],
        assistant_id: str,
        payload: Optional[RunsInvokePayload] = None,
        *,
        stream_mode: Literal["updates"],
        **options: Unpack[StreamOptions],
    ) -> RunStream[UpdatesStreamEvent]: ...
    @overload
    def stream(
        self,
        thread_id: Optional[str],
        assistant_id: str,
        payload: Optional[RunsInvokePayload] = None,
        *,
        stream_mode: Literal["messages", "messages-tuple"],
        **options: Unpack[StreamOptions],
    ) -> RunStream[MessagesStreamEvent]: ...
    @overload
    def stream(
        self,
        thread_id: Optional[str],
        assistant_id: str,
        payload: Optional[RunsInvokePayload] = None,
        *,
        stream_mode: Literal["custom"],
        **options: Unpack[StreamOptions],
    ) -> RunStream[CustomStreamEvent]: ...
    @overload
    def stream(
        self,
        thread_id: Optional[str],
        assistant_id: str,
        payload: Optional[RunsInvokePayload] = None,
        *,
        stream_mode: Literal["events"],
        **options: Unpack[StreamOptions],
    ) -> RunStream[EventsStreamEvent]: ...
    @overload
    def stream(
        self,
        thread_id: Optional[str],
        assistant_id: str,
        payload: Optional[RunsInvokePayload] = None,
        *,
        stream_mode: Literal["debug"],
        **options: Unpack[StreamOptions],
    ) -> RunStream[DebugStreamEvent]: ...
    @overload
    def stream(
        self,
        thread_id: Optional[str],
        assistant_id: str,
        payload: Optional[RunsInvokePayload] = None,
        *,
        stream_mode: Literal["tasks"],
        **options: Unpack[StreamOptions],
    ) -> RunStream[TasksStreamEvent]: ...
    @overload
    def stream(
        self,
        thread_id: Optional[str],
        assistant_id: str,
        payload: Optional[RunsInvokePayload] = None,
        *,
        stream_mode: Literal["checkpoints"],
        **options: Unpack[StreamOptions],
    ) -> RunStream[CheckpointsStreamEvent]: ...
    @overload
    def stream(
        self,
        thread_id: Optional[str],
        assistant_id: str,
        payload: Optional[RunsInvokePayload] = None,
        *,
        stream_mode: Union[StreamMode, Sequence[StreamMode], None] = ...,
        **options: Unpack[StreamOptions],
    ) -> RunStream[StreamEvent]: ...
    @documented(ModeOption, StreamOptions)
    def stream(
        self,
        thread_id: Optional[str],
        assistant_id: str,
        payload: Optional[RunsInvokePayload] = None,
        **options: Any,
    ) -> RunStream[Any]:
        """The events of a new run, as they come: a `RunStream`, whose ``run_id`` is known before the first event.

        Blocks until the server has begun to answer; then each event blocks. The stream ends only when the run has: normally
        for a success or a pause, else with the run's `RunError`. A broken connection is resumed without losing or repeating an
        event, since ``stream_resumable=True`` is sent unless told otherwise (the server then keeps the events of the run in
        memory; pass False to spare it that, and a broken stream raises `StreamInterruptedError`). ``messages`` events
        (not ``messages-tuple``) are never kept by the server. Metadata and errors come in every mode.

        With *thread_id* None a broken stream raises `StreamInterruptedError`, and a run that was cancelled or timed out looks
        like a success, on servers that do not tell the run's thread; this one does not.
        """
        start = prepare_start("stream", RunsStreamPayload, self._starter.creator, thread_id, assistant_id, payload, options)
        return stream_new_run(self._starter, start, options)

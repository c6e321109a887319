"""Starting runs: create, create_batch, wait and stream, each of which sends one request that must not be sent twice."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    List,
    Literal,
    Mapping,
    Optional,
    Sequence,
    Union,
    overload,
)

from ..call import Scope
from ..errors import (
    AuthenticationError,
    CreateUncertainError,
    DeadlineExceededError,
    InvalidRequestError,
    LangGraphRunsError,
    PermissionDeniedError,
    ResponseDecodeError,
)
from ..http import CommonOptions, Request, Response, Transport, parse_call_options
from ..models import Run
from ..options import CallOptions, CreateOptions, ModeOption, StreamMode, StreamOptions, WaitOptions, documented
from ..payloads import RunCreate, RunsCreatePayload, RunsInvokePayload, RunsStreamPayload, RunsWaitPayload
from ..runs import RecoveredRun, RunStarter, batch_item, modes_of, note_batch, prepare_start, split_batch
from ..serialization import decode, decode_body, decode_list
from ..streaming import (
    CheckpointsStreamEvent,
    Cursor,
    CustomStreamEvent,
    DebugStreamEvent,
    EventsStreamEvent,
    MessagesStreamEvent,
    RunStream,
    StreamConfig,
    StreamEvent,
    TasksStreamEvent,
    UpdatesStreamEvent,
    ValuesStreamEvent,
)
from ..validation import check_count

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..http import ByteStream
    from ..server_traits import ServerTraits

__all__ = ["RunStarts"]


class RunStarts:
    """The calls of ``client.runs`` that start runs; `runs.RunsClient` adds those for runs that exist."""

    def __init__(self, transport: Transport, knowledge: Optional[ServerTraits] = None) -> None:
        self._transport = transport
        self._starter = RunStarter(transport, knowledge)
        self._outcomes = self._starter.outcomes
        self._creator = self._starter.creator
        self._waiter = self._starter.waiter

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
        start = prepare_start("create", RunsCreatePayload, self._creator, thread_id, assistant_id, payload, options)
        with start.given.scope(self._transport) as scope:
            result = self._starter.send_once(start, scope)
            if isinstance(result, RecoveredRun):
                run = self._adopt(result, scope, start.ticket.request_id)
            else:
                run = decode(decode_body(result.body), Run)
                self._creator.learn(run, start.ticket)
            start.tell(run.run_id, run.thread_id)
            return run

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
        given = parse_call_options("create_batch", options)
        check_count("max_items", max_items, least=1)
        check_count("max_bytes", max_bytes, least=1)
        items = [batch_item(index, item) for index, item in enumerate(payloads)]
        if not items:
            raise InvalidRequestError("payloads=[]: give at least one run to create")
        batches = split_batch(items, max_items=max_items, max_bytes=max_bytes)
        found: Dict[int, Run] = {}
        with given.scope(self._transport) as scope:
            for places, body in batches:
                try:
                    if body is not None:
                        found.update(zip(places, self._create_together(len(places), body, given, scope)))
                    else:
                        found[places[0]] = self._create_alone(items[places[0]], given, scope)
                except LangGraphRunsError as error:
                    unsent = self._transport.is_surely_not_executed(error) or isinstance(
                        error, (AuthenticationError, PermissionDeniedError)
                    )
                    note_batch(error, found, [] if unsent else places)
                    raise
        return [found[index] for index in sorted(found)]

    def _create_together(self, count: int, body: bytes, given: CommonOptions, scope: Scope) -> List[Run]:
        ticket = self._creator.prepare({}, given.headers)
        request = Request(
            method="POST",
            path="/runs/batch",
            query=given.params,
            body=body,
            headers={**given.headers, **ticket.headers},
            creates=True,
        )
        answer = self._creator.once(
            lambda: self._transport.call(request, scope, once=True),
            request=request,
            thread_id=None,
            ticket=ticket,
            scope=scope,
        )
        assert isinstance(answer, Response)
        runs = decode_list(decode_body(answer.body), Run)
        if len(runs) != count:
            problem = f"$: expected {count} runs, not {len(runs)}"
            raise scope.identify(ResponseDecodeError(f"the answer does not tell all runs: {problem}", problems=(problem,)))
        return runs

    def _create_alone(self, item: RunCreate, given: CommonOptions, scope: Scope) -> Run:
        scope.check()
        left = scope.deadline.remaining()
        return self.create(
            item.thread_id,
            item.assistant_id,
            item.payload,
            timeout=left if left is None else max(left, 0.001),
            signal=given.signal,
            headers=given.headers,
            params=given.params,
        )

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
        start = prepare_start("wait", RunsWaitPayload, self._creator, thread_id, assistant_id, payload, options)
        with start.given.scope(self._transport) as scope:
            try:
                return self._waiter.give(self._starter.wait(start, scope), scope, options)
            except DeadlineExceededError as error:
                self._waiter.late(error, scope, options)

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
        start = prepare_start("stream", RunsStreamPayload, self._creator, thread_id, assistant_id, payload, options)
        modes = modes_of(start.payload.stream_mode)
        cursor = Cursor(from_start=start.resumable, modes=modes)
        scope = start.given.scope(self._transport)

        def open_first() -> Optional[ByteStream]:
            first = self._creator.once(
                lambda: self._transport.open(start.request, scope),
                request=start.request,
                thread_id=start.thread_id,
                ticket=start.ticket,
                scope=scope,
                adopt=start.payload.on_disconnect != "cancel",
            )
            if isinstance(first, RecoveredRun):
                scope.run_id, scope.thread_id = first.run_id, first.thread_id
                return None
            return first

        plan = StreamConfig(
            open_first=open_first,
            thread_id=start.thread_id,
            run_id=None,
            cursor=cursor,
            headers=start.given.headers,
            on_gap=options.get("on_gap") or "error",
            on_timeout=options.get("on_timeout"),
            raise_error=options.get("raise_error", True) is not False,
            on_run_created=start.on_run_created,
            find=lambda: self._creator.look(start.thread_id, start.ticket, scope),
            dies_with_connection=start.payload.on_disconnect == "cancel",
        )
        return RunStream(self._transport, self._outcomes, scope, plan)

    def _adopt(self, found: RecoveredRun, scope: Scope, request_id: str) -> Run:
        scope.run_id, scope.thread_id = found.run_id, found.thread_id
        if found.run is not None:
            return found.run
        if found.thread_id is None:
            message = "the run was created, but its answer was lost before it told the run's thread"
            raise scope.identify(CreateUncertainError(message, sent=True, request_id=request_id))
        return self._outcomes.run(found.thread_id, found.run_id, scope)

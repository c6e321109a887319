"""The methods of ``client.runs`` that start runs. Each sends a request that must not be executed twice."""

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
from .resource import Resource

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..server_traits import ServerTraits

__all__ = ["RunStarts"]


class RunStarts(Resource):
    """The methods that start runs. `RunsClient` adds the methods for existing runs."""

    def __init__(self, transport: Transport, traits: Optional[ServerTraits] = None) -> None:
        super().__init__(transport)
        self._starter = RunStarter(transport, traits)

    @documented(CreateOptions)
    def create(
        self,
        thread_id: Optional[str],
        assistant_id: str,
        payload: Optional[RunsInvokePayload] = None,
        **options: Unpack[CreateOptions],
    ) -> Run:
        """Start a run in the background and return it. Does not wait for its end: `join` or `join_stream` it.

        With *thread_id* None the run gets a thread of its own (a stateless run). The server deletes that thread, with the
        result, when the run has ended, unless ``on_completion="keep"``.

        After a failure that leaves open whether the run exists, the library lists the runs of the thread. If the run is there, the
        call returns it; if not, the run is created again. If this cannot be decided, as for a stateless run, the call raises
        `CreateUncertainError`. Raises `ConflictError` for a busy thread with ``multitask_strategy="reject"``, and `NotFoundError`
        for an unknown thread or assistant.

        With *idempotency_key* there is one run for the key, however many calls, processes and machines start it, and whatever
        breaks: a later call returns the run of the first one, with ``replayed`` True. With *thread_id* None, this holds as long as
        the thread of the run exists, whose id is derived from the key, and no create is executed more than 5 seconds after it was
        sent. If a call dies before it has posted the run, the next one waits 10 seconds. On a thread that you name, the key counts
        for that thread, and two calls at the same moment can both create a run, if the first run ends between the second call's
        two requests (the list of runs and the create), or while the thread is busy with another run. The younger run is then
        cancelled and deleted before any call returns it; it may have worked for the time of two requests or, if its process dies
        within that time, until the next call with the key. Raises `IdempotencyConflictError` if the key has a run with another
        assistant, input or other options.
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
        """Start many runs in the background and return them in the order of *payloads* (`RunCreate`, or dicts of its fields).

        Each run gets a thread of its own. They are sent in requests of at most *max_items* runs and *max_bytes* bytes each. An
        item with a ``thread_id`` is created on that thread, in a request of its own, because the server's batch endpoint
        ignores the field. *timeout* is for all requests together.

        The call is not atomic, and neither is one of its requests. An error of any class says what exists: ``created`` is a
        dict from the position of an item to its `Run`, ``uncertain`` are the positions of runs that may exist. Nothing was sent
        for the others.
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
        """Start a run and return its final values. Blocks until the run has ended, for at most *timeout* seconds.

        Raises `RunFailedError`, `RunCancelledError` or `RunTimedOutError` for a run that did not succeed. A run that waits for
        a human returns normally; if it asked a question, its values have the key ``__interrupt__``. With ``raise_error=False``
        the result is a `RunOutcome` instead, for failed runs too, and its ``paused`` and ``interrupts`` distinguish a pause by
        ``interrupt_before`` from an end. When the connection breaks, the run is joined again; it is never started twice.

        With *thread_id* None the run gets a new thread, whose id the library chooses. The thread is deleted when the run has ended.
        It stays if the run waits for a human, who answers on that thread (``on_run_created`` and ``outcome.run`` have its id), and
        if it is not known that the run has ended, as after a timeout. ``on_completion="keep"`` keeps the thread in any case,
        ``"delete"`` deletes it even if the run waits for a human. Deleting takes 2 seconds at most, and never fails the call.

        With *idempotency_key* the call joins the run of an earlier call with the key, as described for `create`. The thread stays.
        """
        start = prepare_start("wait", RunsWaitPayload, self._starter.creator, thread_id, assistant_id, payload, options)
        with start.options.scope(self._transport) as scope:
            return self._starter.result_of(start, scope, options)

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
        """Start a run and return its events as they come: a `RunStream`, whose ``run_id`` is known before the first event.

        Blocks until the server's response begins; then each event blocks. The stream ends when the run has ended: normally for
        a success or a pause, otherwise with the run's `RunError`. Metadata and error events come in every mode.

        A broken connection is resumed without losing or repeating an event. For that the server keeps the events of the run in
        memory (``stream_resumable=True`` is sent unless you pass False; then a broken stream raises `StreamInterruptedError`).
        It never keeps events of the mode ``messages``, only of ``messages-tuple``.

        With *thread_id* None the run gets a new thread, as for `wait`. It is deleted when the stream has been read to its end. If
        the stream is closed early, the run goes on, and its thread stays.

        With *idempotency_key* the call streams the run of an earlier call with the key from its start (see `create`, and
        `RunStream.replayed`), or raises `StreamInterruptedError` if the server does not have its events any more. The thread stays.
        """
        start = prepare_start("stream", RunsStreamPayload, self._starter.creator, thread_id, assistant_id, payload, options)
        return stream_new_run(self._starter, start, options)

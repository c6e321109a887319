"""The methods of ``client.runs`` that follow one run that exists, to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Mapping, Optional, Sequence, Union, overload

from ..errors import DeadlineExceededError, InvalidRequestError, NotFoundError
from ..http import parse_call_options
from ..options import JoinOptions, JoinStreamArguments, JoinStreamOptions, ModeOption, StreamMode, documented
from ..runs import JOINING, check_client_options, hint_at_keep
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
    stream_existing_run,
)
from ..validation import check_id
from .resource import merged_arguments
from .run_starts import RunStarts

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["RunJoins"]

_STREAMING = JOINING | {"on_gap", "cancel_on_disconnect", "last_event_id", "stream_subgraphs"}


class RunJoins(RunStarts):
    """The methods that join a run. `RunsClient` adds the methods for several runs, and those that read and end them."""

    @documented(JoinOptions)
    def join(self, thread_id: str, run_id: str, **options: Unpack[JoinOptions]) -> Any:
        """Return the final values of a run that exists, as `wait` does. Blocks until the run has ended.

        For a run that had ended before, the server responds with the *current* state of its thread. If later runs have changed
        that state, the run's own values are requested from the thread's history. If the server does not have them, raises
        `RunError` (with ``raise_error=False`` the outcome's ``exact`` is False and its ``values`` are None).
        """
        thread_id, run_id = check_id("thread_id", thread_id), check_id("run_id", run_id)
        check_client_options(options)
        waiter = self._starter.waiter
        with self._call("join", options, thread_id=thread_id, run_id=run_id, further=JOINING) as (scope, common):
            try:
                return waiter.result_of(waiter.join(thread_id, run_id, scope, common), scope, options, pause_known=True)
            except DeadlineExceededError as error:
                waiter.raise_late(error, scope, options)
            except NotFoundError as error:
                hint_at_keep(error)
                raise

    @overload
    def join_stream(
        self,
        thread_id: Optional[str],
        run_id: str,
        arguments: Optional[JoinStreamOptions] = None,
        *,
        stream_mode: Literal["values"],
        **options: Unpack[JoinStreamOptions],
    ) -> RunStream[ValuesStreamEvent]: ...
    @overload
    def join_stream(
        self,
        thread_id: Optional[str],
        run_id: str,
        arguments: Optional[JoinStreamOptions] = None,
        *,
        stream_mode: Literal["updates"],
        **options: Unpack[JoinStreamOptions],
    ) -> RunStream[UpdatesStreamEvent]: ...
    @overload
    def join_stream(
        self,
        thread_id: Optional[str],
        run_id: str,
        arguments: Optional[JoinStreamOptions] = None,
        *,
        stream_mode: Literal["messages", "messages-tuple"],
        **options: Unpack[JoinStreamOptions],
    ) -> RunStream[MessagesStreamEvent]: ...
    @overload
    def join_stream(
        self,
        thread_id: Optional[str],
        run_id: str,
        arguments: Optional[JoinStreamOptions] = None,
        *,
        stream_mode: Literal["custom"],
        **options: Unpack[JoinStreamOptions],
    ) -> RunStream[CustomStreamEvent]: ...
    @overload
    def join_stream(
        self,
        thread_id: Optional[str],
        run_id: str,
        arguments: Optional[JoinStreamOptions] = None,
        *,
        stream_mode: Literal["events"],
        **options: Unpack[JoinStreamOptions],
    ) -> RunStream[EventsStreamEvent]: ...
    @overload
    def join_stream(
        self,
        thread_id: Optional[str],
        run_id: str,
        arguments: Optional[JoinStreamOptions] = None,
        *,
        stream_mode: Literal["debug"],
        **options: Unpack[JoinStreamOptions],
    ) -> RunStream[DebugStreamEvent]: ...
    @overload
    def join_stream(
        self,
        thread_id: Optional[str],
        run_id: str,
        arguments: Optional[JoinStreamOptions] = None,
        *,
        stream_mode: Literal["tasks"],
        **options: Unpack[JoinStreamOptions],
    ) -> RunStream[TasksStreamEvent]: ...
    @overload
    def join_stream(
        self,
        thread_id: Optional[str],
        run_id: str,
        arguments: Optional[JoinStreamOptions] = None,
        *,
        stream_mode: Literal["checkpoints"],
        **options: Unpack[JoinStreamOptions],
    ) -> RunStream[CheckpointsStreamEvent]: ...
    @overload
    def join_stream(
        self,
        thread_id: Optional[str],
        run_id: str,
        arguments: Optional[JoinStreamArguments] = None,
        *,
        stream_mode: Union[StreamMode, Sequence[StreamMode], None] = ...,
        **options: Unpack[JoinStreamOptions],
    ) -> RunStream[StreamEvent]: ...
    @documented(ModeOption, JoinStreamOptions)
    def join_stream(
        self, thread_id: Optional[str], run_id: str, arguments: Optional[Mapping[str, Any]] = None, **options: Any
    ) -> RunStream[Any]:
        """Return the events of an existing run: those from now on, or after *last_event_id* (``"0"``: all, if it is resumable).

        *stream_mode* selects among the modes that the run was started with; metadata and error events come in any case. The
        stream ends as that of `stream` does. Raises `NotFoundError` for an unknown run or thread, at the first event.

        With *thread_id* None the route for runs without a thread is used, which few servers have. Without its thread the run
        cannot be requested, so unless an event says that the run has ended, the stream ends with `StreamInterruptedError`, or
        with a gap. *arguments* is a dict of any of the options, which those given by name supplement.
        """
        if arguments is not None:
            return self.join_stream(
                thread_id, run_id, **merged_arguments("join_stream", JoinStreamArguments, arguments, {}, options)
            )
        stream_mode = options.pop("stream_mode", None)
        thread_id = None if thread_id is None else check_id("thread_id", thread_id)
        run_id = check_id("run_id", run_id)
        common = parse_call_options("join_stream", options, _STREAMING)
        check_client_options(options)
        subgraphs = options.get("stream_subgraphs")
        if subgraphs is not None and not isinstance(subgraphs, bool):
            raise InvalidRequestError("stream_subgraphs: give True or False")
        return stream_existing_run(self._starter, thread_id, run_id, common, options, stream_mode=stream_mode)

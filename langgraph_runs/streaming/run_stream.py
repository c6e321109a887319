"""`RunStream`: the events of one run, over several connections if necessary."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from types import TracebackType
from typing import Any, Deque, Generic, Iterator, List, Optional, Tuple, Type, TypeVar, get_args

from .. import api
from ..call import Scope, UserCodeError
from ..errors import (
    AbortedError,
    APIConnectionError,
    InvalidRequestError,
    LangGraphRunsError,
    NotFoundError,
    ResponseDecodeError,
    StreamInterruptedError,
)
from ..http import Transport
from ..models import Interrupt, RunOutcome
from ..options import CancelAction
from ..runs import RunOutcomes
from ..validation import check_choice
from .connection import StreamConnection
from .event_position import PositionTracker
from .events import StreamEvent, ValuesStreamEvent, decode_event
from .observed_run import CHECKED_KINDS, ObservedRun
from .sse import ServerSentEvent
from .stream_config import Gap, StreamConfig
from .stream_end import NOT_KEPT, StreamEnd

__all__ = ["RunStream"]

E = TypeVar("E", bound=StreamEvent, covariant=True)
_log = logging.getLogger(__name__)


class RunStream(Generic[E], Iterator[E]):
    """The events of a run as they come. Iterate over it, best in a ``with`` block.

    The iteration ends when the run has succeeded or waits for a human (see `interrupts`). It raises a `RunError` if the run failed,
    was cancelled or timed out. It blocks until the next event has come. One thread iterates; `close` and `cancel` may be called
    from any other.
    """

    def __init__(self, transport: Transport, outcomes: RunOutcomes, scope: Scope, config: StreamConfig) -> None:
        self._transport = transport
        self._scope = scope
        self._config = config
        self._run = ObservedRun(scope, config)
        self._connection = StreamConnection(
            transport, scope, config.cursor, mode_filter=config.mode_filter, query=config.query, options=config.options
        )
        self._end = StreamEnd(transport, outcomes, scope, config, self._connection, self._run)
        self._ready: Deque[Any] = deque()
        #: An error to raise when the events before it have been delivered, or None.
        self._fault: Optional[BaseException] = None
        self._last: Optional[StreamEvent] = None
        self._tracker = PositionTracker(config.cursor.start or config.cursor.origin)
        self._reading = threading.Lock()
        self._closed = self._cancelled = False
        #: What has interrupted the iteration, for a message; None if nothing has.
        self._interrupted_by: Optional[str] = None
        self._began = time.monotonic()
        #: The last full state that was streamed, or None.
        self.values: Any = None
        #: The number of events delivered so far.
        self.events_seen = 0
        self._released = False
        try:
            self._open_first()
        except UserCodeError as carrier:
            self._release()
            carrier.unwrap()
        except BaseException as error:
            self._release(type(error).__name__)
            self._end.cancel_if_late(error)
            raise

    # -- what is known of the run

    @property
    def run_id(self) -> Optional[str]:
        """The run's id. It is in the headers of the response, and so is known before the first event."""
        return self._scope.run_id

    @property
    def thread_id(self) -> Optional[str]:
        """The thread's id. For a stream without a *thread_id*, the thread that the library has chosen."""
        return self._scope.thread_id

    @property
    def replayed(self) -> bool:
        """True if this call has not created the run: an earlier call with the same *idempotency_key* has."""
        return self._config.is_replayed()

    @property
    def last_event_id(self) -> Optional[str]:
        """The last event id at the last delivered event. Pass it to `join_stream` to continue after that event.

        It is text that, in this process or pickled, also tells which of the events that share the id were delivered.
        """
        return self._config.cursor.start if self._last is None else self._tracker.position

    @property
    def interrupts(self) -> Tuple[Interrupt, ...]:
        """The open questions to a human. If the stream's modes hide them, one request is sent once the stream has ended."""
        if self._run.interrupts:
            return self._run.interrupts
        outcome = self.outcome
        return outcome.interrupts if outcome is not None else ()

    @property
    def paused(self) -> bool:
        """True if the run has stopped for a human, by a question or by interrupt_before or interrupt_after."""
        return bool(self.interrupts) or bool(self.outcome and self.outcome.paused)

    @property
    def outcome(self) -> Optional[RunOutcome]:
        """How the run ended. None before the end of the stream, and if the run could not be requested.

        The first use after a success sends one request, to find out if the run waits for a human; none after the client was closed.
        """
        self._end.look_for_pause()
        return self._end.outcome

    @property
    def gaps(self) -> List[Gap]:
        """The places where events are missing (with ``on_gap="mark"``)."""
        return self._end.gaps

    # -- reading

    def __iter__(self) -> RunStream[E]:
        return self

    def __next__(self) -> E:
        try:
            event: Any = self._ready.popleft()
        except IndexError:
            event = None  # the next one is read outside of this block; else later errors would have this one as their context
        if event is None:
            event = self._next()
        self._last = event
        self.events_seen += 1
        tracker, event_id = self._tracker, event.id
        if event_id != tracker.id:
            tracker.move_to(event_id)
        tracker.counts[event.event] = tracker.counts.get(event.event, 0) + 1
        if event.__class__ is ValuesStreamEvent and "|" not in event.event:
            self.values = event.data
        return event  # type: ignore[no-any-return]

    def _next(self) -> StreamEvent:
        with self._reading:
            try:
                self._run.note_delivered(self._last, self.events_seen, self.values)
                while not self._ready:
                    self._advance()
                    self._run.announce()  # not within a request: an exception of the caller's function is not a failed request
                event: StreamEvent = self._ready.popleft()
                return event
            except StopIteration as stop:
                if not (self._released or self._end.finished):
                    # Of a hook or a signal handler. The stream would end as if it were complete.
                    self._interrupted_by = "StopIteration"
                    self._release("StopIteration")
                    raise RuntimeError("code of the caller raised StopIteration within a stream") from stop
                self._release(self._end.summary())
                raise
            except AbortedError:
                self._release("closed" if self._closed else "AbortedError")
                if self._closed:
                    raise StopIteration from None
                raise
            except UserCodeError as carrier:
                self._interrupted_by = "an exception of the caller's code"
                self._release()
                carrier.unwrap()
            except BaseException as error:
                if not isinstance(error, LangGraphRunsError):
                    self._interrupted_by = type(error).__name__
                elif isinstance(error, StreamInterruptedError) and error.last_event_id == self.last_event_id:
                    error.last_event_id = self.last_event_id  # it is exact
                self._release(type(error).__name__)
                self._end.cancel_if_late(error)
                raise

    def _advance(self) -> None:
        """Do one step: raise the error that is due, open the next connection, or read once."""
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault
        if self._interrupted_by is not None and not self._closed and not self._end.finished:
            # Else the stream would end as if it were complete.
            raise StreamInterruptedError(
                f"the stream was ended by {self._interrupted_by}: join the run again from its last event",
                last_event_id=self.last_event_id,
                events_seen=self.events_seen,
            )
        if self._released or self._end.finished:
            raise StopIteration
        if self._connection.is_open:
            self._read()
        else:
            self._end.reopen()

    def _read(self) -> None:
        """Read once. If the connection has ended, decide what that means."""
        if os.getpid() != self._scope.pid:
            raise InvalidRequestError("this stream belongs to the parent process; open one in this process with join_stream")
        self._end.after_error_event()
        if self._end.finished:
            return
        connection = self._connection
        try:
            parsed = connection.read()
        except APIConnectionError as error:
            self._scope.check(error)
            connection.close()
            if isinstance(error, ResponseDecodeError):
                raise
            self._end.after_break(error)
            return
        if parsed is None:
            connection.close()
            if self._config.cursor.holding:
                self._config.cursor.give_up_missing()
                self._queue_new([])
                if self._config.cursor.doubt:
                    return
            self._end.after_clean_end()
            return
        try:
            self._queue_new(parsed)
        except LangGraphRunsError as error:
            self._fault = error
        else:
            self._fault = connection.fault

    def _queue_new(self, parsed: List[ServerSentEvent]) -> None:
        """Queue the new ones among *parsed*. Written for speed: the loop runs once for each event."""
        cursor, queue, now = self._config.cursor, self._ready.append, time.time()
        admitted = cursor.admitted
        admit = cursor.admit
        omits = self._config.mode_filter.omits if self._config.mode_filter.omits_some else None
        for name, text, own_id in parsed:
            new = admit(name, text, own_id)
            if cursor.gap:
                self._end.note_gap(NOT_KEPT, place=cursor.take_gap())
            if not new or (omits is not None and omits(name)):
                continue
            queue(self._event(name, text, own_id or cursor.last_id, now))
            if cursor.released:
                self._queue_released()
        if cursor.gap:
            self._end.note_gap(NOT_KEPT, place=cursor.take_gap())
        if cursor.released:
            self._queue_released()
        if cursor.doubt and not cursor.awaits_newer:
            self._connection.close()
        if cursor.admitted != admitted:
            self._connection.progressed()
            self._run.note_batch(self._ready)

    def _queue_released(self) -> None:
        """Queue the events that were held for missing ones."""
        omits = self._config.mode_filter.omits if self._config.mode_filter.omits_some else None
        now = time.time()
        for name, text, own_id in self._config.cursor.take_released():
            if omits is not None and omits(name):
                continue
            self._ready.append(self._event(name, text, own_id, now))

    def _event(self, name: str, text: str, event_id: Optional[str], now: float) -> StreamEvent:
        """Return a new event, and note what it says about the run."""
        event = decode_event(self._scope, name, text, event_id, now)
        data = event.data
        if event.__class__ in CHECKED_KINDS or (data.__class__ is dict and "__interrupt__" in data):
            self._note(event)
        return event

    def _note(self, event: StreamEvent) -> None:
        self._run.note(event)
        if self._config.cursor.admitted == 1 and self._run.reports_not_found:
            self._end.finish_if_ended()  # some servers report an unknown run or thread as the first event: raises NotFoundError

    def _open_first(self) -> None:
        body = self._config.open_first()
        if body is not None:
            self._connection.begin(body)
        self._run.announce()

    # -- ending it

    def cancel(self, *, action: CancelAction = "interrupt", wait: bool = False) -> None:
        """Cancel the run, from any thread. The stream then ends with `RunCancelledError`. If the run has ended, do nothing.

        If the stream was started without a thread, and is closed before or after this call, the thread is deleted.

        *action* and *wait* are as in ``runs.cancel``.
        """
        check_choice("action", action, get_args(CancelAction))
        thread_id, run_id = self.thread_id, self.run_id
        if thread_id is None or run_id is None:
            raise self._scope.identify(
                StreamInterruptedError(
                    "the run cannot be cancelled: the server did not send the ids of the run", events_seen=self.events_seen
                )
            )
        with self._transport.scope() as scope:
            try:
                api.cancel_run(self._transport, scope, thread_id, run_id, wait=wait, until_ended=wait, action=action)
            except NotFoundError:
                return
        self._cancelled = True
        if self._closed and self._config.finish is not None:
            self._end.cancel()

    def close(self) -> None:
        """Close the connection; the run goes on. In another thread that iterates, the iteration ends without an error.

        If the run was cancelled, by `cancel` or by ``on_disconnect="cancel"``, and the stream was started without a thread, the
        thread is deleted. This waits until the run has stopped, for 3 seconds at most.
        """
        ended = self._released
        self._disconnect()
        if not ended and self._config.finish is not None and (self._cancelled or self._config.dies_with_connection):
            self._end.cancel()

    def _disconnect(self) -> None:
        self._closed = True
        if self._scope.pid == os.getpid():
            self._scope.interrupt("the stream was closed")
        if self._reading.acquire(blocking=False):
            try:
                self._release()
            finally:
                self._reading.release()

    def _release(self, how: str = "closed") -> None:
        """Close the connection and the scope. The first time, log *how* the stream ended."""
        ended, self._released = not self._released, True
        self._ready.clear()
        self._fault = None
        self._connection.close()
        self._scope.close()
        opened = self._connection.opened
        if ended and opened and _log.isEnabledFor(logging.INFO):
            seconds = time.monotonic() - self._began
            text = "the stream of run %s: %s after %d events, %.3f s and %d reconnects"
            _log.info(text, self.run_id, how, self.events_seen, seconds, opened - 1)

    def __enter__(self) -> RunStream[E]:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_released", True):
            self._disconnect()

    def __repr__(self) -> str:
        state = "ended" if self._released or self._end.finished else "open"
        return f"<RunStream run_id={self.run_id!r} thread_id={self.thread_id!r} {state}, {self.events_seen} events>"

"""`RunStream`: the events of one run, over as many connections as it takes, ending as the run ended.

What happens when a connection ends, in whatever way:

1. The run is asked. If it is pending or running, the stream is opened again where it was; no attempt is used up by that.
2. If the run has ended and its connection ended cleanly, the stream ends as the run did: normally, or with its `RunError`.
3. If the connection broke, what is missing is fetched first, from the events that the server keeps of a resumable run.
4. What the server cannot send again is a gap: an error, or a mark in `gaps`, as the caller chose.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Deque, Generic, Iterator, List, Optional, Sequence, Tuple, Type, TypeVar, get_args

import attrs

from ..api import cancelling
from ..call import Scope
from ..errors import (
    AbortedError,
    APIConnectionError,
    APIStatusError,
    DeadlineExceededError,
    InvalidRequestError,
    LangGraphRunsError,
    NotFoundError,
    ResponseDecodeError,
    StreamInterruptedError,
)
from ..http import Request, Transport
from ..models import Interrupt, Run, RunOutcome
from ..options import CancelAction
from ..runs import RunOutcomes, deleted_run_error, error_for, interrupts_in, reported_error
from ..serialization import parse
from ..validation import check_choice
from .connection import StreamConnection
from .cursor import Cursor
from .events import (
    KINDS,
    EndStreamEvent,
    ErrorStreamEvent,
    MetadataStreamEvent,
    StreamEvent,
    ValuesStreamEvent,
    build_event,
    event_class,
)
from .sse import ServerSentEvent

if TYPE_CHECKING:
    from ..http import ByteStream

__all__ = ["Gap", "RunStream"]

E = TypeVar("E", bound=StreamEvent, covariant=True)

#: Kinds that say something about the run itself.
_NOTED = frozenset({ErrorStreamEvent, EndStreamEvent, MetadataStreamEvent})
#: Seconds within which the run is asked after its stream has ended; later, it may have gone on in between.
_AT_ONCE = 0.25
#: Seconds that events may come later than they happened before they count as a backlog.
_BACKLOG = 1.0
#: Ends of a run that are told when all its events are out; a cancelled one may still write some.
_WRITTEN = frozenset({"success", "error"})
_NOT_KEPT = "the server no longer keeps the events since the last one"
_NEVER_KEPT = "the server does not keep this run's events"


@attrs.frozen
class Gap:
    """A place in a stream where events are missing.

    >>> Gap(after_id="1795224633885-0", events_seen=7, reason="the server no longer keeps them").events_seen
    7
    """

    #: Id of the last event before it, if that had one.
    after_id: Optional[str]
    #: How many events were delivered before it.
    events_seen: int
    #: Why they could not be fetched.
    reason: str


@attrs.frozen(kw_only=True)
class StreamConfig:
    """How a stream is opened and what is done when it breaks; made by `runs`."""

    #: Opens the first connection; None where the run was found after its connection had been lost.
    open_first: Callable[[], Optional[ByteStream]]
    thread_id: Optional[str]
    run_id: Optional[str]
    cursor: Cursor
    #: Query of every later connection.
    query: Sequence[Tuple[str, Any]] = ()
    headers: Any = attrs.field(factory=dict)
    on_gap: str = "error"
    on_timeout: Optional[str] = None
    raise_error: bool = True
    on_run_created: Optional[Callable[[Any], None]] = None
    #: Looks for the run where the server's answer did not tell it.
    find: Optional[Callable[[], Optional[Run]]] = None
    #: Whether a broken connection ends the run on the server (on_disconnect="cancel").
    dies_with_connection: bool = False

    @property
    def on_given_thread(self) -> bool:
        """Whether the run was started here, on a thread of the caller's."""
        return self.thread_id is not None and self.run_id is None


class RunStream(Generic[E], Iterator[E]):
    """The events of a run as they come; iterate it, best in a ``with`` block.

    It ends when the run has succeeded or waits for a human (see `interrupts`). A run that failed, was cancelled or timed out
    raises its `RunError`. One thread iterates; `close` and `cancel` may be called from any other.
    """

    def __init__(self, transport: Transport, outcomes: RunOutcomes, scope: Scope, plan: StreamConfig) -> None:
        self._transport = transport
        self._outcomes = outcomes
        self._scope = scope
        self._plan = plan
        self._cursor = plan.cursor
        self._ready: Deque[Any] = deque()
        #: Raised when the events before it have been delivered.
        self._fault: Optional[BaseException] = None
        self._first: Optional[StreamEvent] = None
        self._last: Optional[StreamEvent] = None
        self._feed = StreamConnection(transport, scope, plan.cursor, query=plan.query, headers=plan.headers)
        self._reading = threading.Lock()
        self._closed = False
        self._finished = False
        self._pid = os.getpid()
        self._told: Optional[Tuple[Optional[str], Optional[str]]] = None
        self._asked_after_error = False
        self._ended_by_server = False
        self._looked_for_pause = False
        #: Whether a connection ended before the run did.
        self._ended_early = False
        #: Events taken in when the server was last asked whether it has more.
        self._rest_asked_at = -1
        self._run_told = False
        #: The last full state that was streamed, or None.
        self.values: Any = None
        self._interrupts: Tuple[Interrupt, ...] = ()
        #: Events delivered so far.
        self.events_seen = 0
        #: Where events are missing (``on_gap="mark"``).
        self.gaps: List[Gap] = []
        #: How the run ended, once the stream has ended; None before, and where it could not be asked.
        self.outcome: Optional[RunOutcome] = None
        scope.run_id, scope.thread_id = plan.run_id, plan.thread_id
        try:
            self._begin()
        except BaseException as error:
            self._end()
            self._cancel_if_late(error)
            raise

    # -- what is known of it

    @property
    def run_id(self) -> Optional[str]:
        """The run's id: from the headers of the answer, before its first event."""
        return self._scope.run_id

    @property
    def thread_id(self) -> Optional[str]:
        """The thread's id; None for a stateless stream on a server that does not tell it."""
        return self._scope.thread_id

    @property
    def last_event_id(self) -> Optional[str]:
        """The last event id as of the event that was delivered last: give it to `join_stream` to go on from here."""
        return self._plan.cursor.start if self._last is None else self._last.id

    @property
    def interrupts(self) -> Tuple[Interrupt, ...]:
        """The open questions to a human. Where the stream's modes hide them, asks the server once the stream has ended."""
        outcome = self.outcome
        if not self._interrupts and outcome is not None and not outcome.paused and not self._looked_for_pause:
            self._looked_for_pause = True
            with self._transport.scope() as scope:
                self.outcome = self._outcomes.look_for_pause(outcome, self.thread_id, scope)
            self._interrupts = self.outcome.interrupts
        return self._interrupts

    @property
    def paused(self) -> bool:
        """Whether the run has stopped for a human, by a question or by interrupt_before or interrupt_after."""
        return bool(self.interrupts) or bool(self.outcome and self.outcome.paused)

    # -- reading

    def __iter__(self) -> RunStream[E]:
        return self

    def __next__(self) -> E:
        try:
            event: Any = self._ready.popleft()
        except IndexError:
            event = None  # and not in here, or every error of what follows would drag this one along
        if event is None:
            event = self._next()
        self._last = event
        self.events_seen += 1
        if event.__class__ is ValuesStreamEvent and "|" not in event.event:
            self.values = event.data
        return event  # type: ignore[no-any-return]

    def _next(self) -> StreamEvent:
        with self._reading:
            try:
                while not self._ready:
                    fault, self._fault = self._fault, None
                    if fault is not None:
                        raise fault
                    if self._finished:
                        raise StopIteration
                    if self._feed.body is None:
                        self._reopen()
                    else:
                        self._read()
                event: StreamEvent = self._ready.popleft()
                return event
            except StopIteration:
                self._end()
                raise
            except AbortedError:
                self._end()
                if self._closed:
                    raise StopIteration from None
                raise
            except BaseException as error:
                self._end()
                self._cancel_if_late(error)
                raise

    def _read(self) -> None:
        """Read once; when the connection has ended, decide what that means."""
        if os.getpid() != self._pid:
            raise InvalidRequestError("this stream belongs to the parent process; open one in this process with join_stream")
        if self._told is not None and not self._asked_after_error:
            # After an error event the server has nothing to add, but not every server closes the connection.
            self._asked_after_error = True
            if self._ask_whether_over():
                return
        feed = self._feed
        try:
            parsed = feed.read()
        except APIConnectionError as error:
            self._scope.check(error)
            feed.let_go()
            if isinstance(error, ResponseDecodeError):
                raise
            self._broken(error)
            return
        if parsed is None:
            feed.let_go()
            self._clean_end()
            return
        try:
            self._take_in(parsed)
        except LangGraphRunsError as error:
            self._fault = error
        else:
            self._fault = feed.fault

    def _take_in(self, parsed: List[ServerSentEvent]) -> None:
        """Queue what is new of these events; runs once for each event, so what only some need is in calls."""
        feed, cursor, queue, now = self._feed, self._cursor, self._ready.append, time.time()
        taken = feed.taken
        admit, kinds = cursor.admit, KINDS
        for name, text, own_id, last_id in parsed:
            new = admit(name, text, own_id)
            if cursor.gap:
                cursor.gap = False
                self._gap(_NOT_KEPT, after=cursor.gap_after)
            if not new:
                continue
            cls = kinds.get(name) or event_class(name)
            try:
                data = parse(text) if text else None
            except ValueError as error:
                data = self._plain_text(name, text, error)
            event = build_event(cls, name, data, last_id or None, text, now)
            feed.taken += 1
            if cls in _NOTED or (data.__class__ is dict and "__interrupt__" in data):
                self._note(event)
            queue(event)
        if cursor.doubt:
            feed.let_go()
        if feed.taken != taken:
            feed.progressed()
            if self._first is None and self._ready:
                self._first = self._ready[0]

    def _note(self, event: StreamEvent) -> None:
        """Remember what an event says about the run itself."""
        if isinstance(event, ErrorStreamEvent):
            self._told = reported_error(event.data) or (None, None)
            if self._feed.taken == 1 and self._is_not_found():
                self._ask_whether_over()  # an unknown run or thread comes as an event here: raises NotFoundError
        elif isinstance(event, EndStreamEvent):
            self._ended_by_server = True
        elif isinstance(event, MetadataStreamEvent):
            run_id = event.data.get("run_id") if isinstance(event.data, dict) else None
            if self._scope.run_id is None and isinstance(run_id, str):
                self._scope.run_id = run_id
                self._tell()
        else:
            self._interrupts += tuple(i for i in interrupts_in(event.data) if i not in self._interrupts)

    def _plain_text(self, name: str, text: str, error: ValueError) -> str:
        if not event_class(name).must_be_json:
            return text
        problem = f"$: the data of event {name!r} are not JSON ({error})"
        raise self._identified(ResponseDecodeError(problem[3:], problems=(problem,))) from error

    def _is_not_found(self) -> bool:
        error, message = self._told or (None, None)
        return error == "HTTPException" and (message or "").startswith("404")

    # -- when a connection ends

    def _clean_end(self) -> None:
        if not self._transport.settings.verify_outcome:
            self._finish_unasked()
            return
        began = time.monotonic()
        try:
            run = self._ask(at_end=True)
        except NotFoundError:
            raise
        except (APIConnectionError, APIStatusError) as error:
            self._scope.check(error)
            if self._told is None:
                raise self._feed.interrupted(None, f"the run could not be asked ({error})") from error
            run = None
        if run is None:
            self._finish_unasked()
        elif not run.finished:
            self._ended_early = True
            if not self._cursor.resumable:
                self._gap(_NEVER_KEPT)
            self._feed.wait_before_reopening()
        elif self._cursor.ended_early():
            self._gap(_NOT_KEPT)
            self._finish(run)
        elif self._may_lack_events(time.monotonic() - began) and self._cursor.resumable:
            self._rest_asked_at = self._feed.taken
            self._fetch_rest(run)
        else:
            self._finish(run)

    def _may_lack_events(self, seconds: float) -> bool:
        """Whether a clean end may have come before the last event, so that the server has to be asked for more.

        A server that goes down ends its streams as cleanly as one whose run has ended. Asking each time would double what the
        truth costs, so it is done where there is a sign: there was no event at all; the connection alone ended the body; this
        stream ended early before; the run was not asked at once, so it may have gone on in between; or we were reading a backlog.
        """
        if self._feed.parser.ended or self._ended_by_server or self._rest_asked_at == self._feed.taken:
            return False
        late = seconds > _AT_ONCE or self._scope.attempts > 1
        return not self._feed.taken or self._feed.ended_by_connection or self._ended_early or late or self._lag() > _BACKLOG

    def _lag(self) -> float:
        """By how many seconds the last event was read later after it had happened than the first one."""
        first, last = self._first, self._last
        if first is None or last is None or not first.id or not last.id:
            return 0.0
        late = [event.received_at - event.timestamp.timestamp() for event in (first, last)]
        return late[1] - late[0]

    def _broken(self, error: APIConnectionError) -> None:
        if self._plan.dies_with_connection:
            raise self._feed.interrupted(error, 'on_disconnect="cancel" made the server cancel the run')
        self._ended_early = True
        run = None
        if self._transport.settings.verify_outcome:
            try:
                run = self._ask()
            except NotFoundError:
                raise
            except LangGraphRunsError as second:
                self._scope.check(second)
                raise self._feed.interrupted(error, f"the run could not be asked ({second})") from second
        self._cursor.settled = run is not None and run.status in _WRITTEN
        if self._told is not None and run is not None and run.finished:
            self._finish(run)
            return
        if not self._cursor.resumable:
            self._gap(_NEVER_KEPT, error)
            if run is not None and run.finished:
                self._finish(run)
                return
        if run is None or run.finished:
            self._feed.count_failure(error, at_once=True)
        else:
            self._feed.wait_before_reopening()

    def _fetch_rest(self, run: Run) -> None:
        self._cursor.settled = run.status in _WRITTEN
        try:
            self._open_again()
        except (APIStatusError, APIConnectionError) as error:
            self._scope.check(error)
            self._finish(run)

    def _ask(self, *, at_end: bool = False) -> Optional[Run]:
        """The run as it is now; None where it cannot be asked."""
        self._find_run()
        thread_id, run_id = self._scope.thread_id, self._scope.run_id
        if thread_id is None or run_id is None:
            return None
        try:
            return self._outcomes.run(thread_id, run_id, self._scope)
        except NotFoundError as error:
            # A stateless run is deleted with its thread when it has ended. A server that was away in between may have lost
            # both as well; and a thread that was given at the start is nobody's to delete.
            deleted_at_end = at_end and self.events_seen and error.attempts == 1 and not self._plan.on_given_thread
            if deleted_at_end and not self._is_not_found() and self._outcomes.is_thread_gone(thread_id, self._scope):
                return None
            raise deleted_run_error(error, self.values) if self.events_seen else error from None

    def _find_run(self) -> None:
        """Look for the run on its thread, where neither the answer's headers nor an event told it."""
        if self._scope.run_id is None and self._plan.find is not None:
            found = self._plan.find()
            if found is not None:
                self._scope.run_id = found.run_id
                self._tell()

    def _ask_whether_over(self) -> bool:
        if not self._transport.settings.verify_outcome:
            return False
        run = self._ask(at_end=True)
        if run is not None and run.finished:
            self._feed.let_go()
            self._finish(run)
            return True
        return False

    def _finish(self, run: Run) -> None:
        self._finished = True
        outcome = self._outcomes.outcome_of(run, self._scope, values=self.values, told=self._told)
        if outcome.succeeded and self._interrupts:
            outcome = attrs.evolve(outcome, interrupts=self._interrupts, paused=True)
        self.outcome = outcome
        error = error_for(outcome)
        if error is not None and self._plan.raise_error:
            raise self._identified(error)

    def _finish_unasked(self) -> None:
        self._finished = True
        if self._told is not None:
            error, message = self._told
            self.outcome = RunOutcome(status="error", values=self.values, error=error, message=message)
            failure = error_for(self.outcome)
            if failure is not None and self._plan.raise_error:
                raise self._identified(failure)

    def _gap(self, reason: str, cause: Optional[APIConnectionError] = None, *, after: Optional[str] = None) -> None:
        if self._plan.on_gap != "mark":
            raise self._feed.interrupted(cause, reason, after=after)
        self.gaps.append(Gap(after_id=after or self._cursor.last, events_seen=self._feed.taken, reason=reason))

    def _identified(self, error: LangGraphRunsError) -> LangGraphRunsError:
        return self._scope.identify(error)

    # -- connections

    def _begin(self) -> None:
        body = self._plan.open_first()
        if body is not None:
            self._feed.begin(body)
        self._tell()

    def _tell(self) -> None:
        """Call ``on_run_created`` as soon as the run is known."""
        callback = self._plan.on_run_created
        if callback is not None and self._scope.run_id is not None and not self._run_told:
            self._run_told = True
            callback({"run_id": self._scope.run_id, "thread_id": self._scope.thread_id})

    def _reopen(self) -> None:
        """Open the next connection; passing failures use up attempts, and progress gives them back."""
        if self._cursor.doubt:
            # Long enough for the millisecond in doubt to be over; longer where doubts are many, so that each settles more.
            self._scope.sleep(min(0.2, 0.01 * self._cursor.doubts))
            self._ask_whether_settled()
        try:
            self._open_again()
        except APIStatusError as error:
            if not self._transport.is_transient(error):
                raise self._interrupted_by(error) from error
            self._feed.count_failure(error)
        except APIConnectionError as error:
            self._scope.check(error)
            if isinstance(error, (ResponseDecodeError, DeadlineExceededError, StreamInterruptedError)):
                raise
            self._feed.count_failure(error)

    def _open_again(self) -> None:
        self._find_run()
        self._feed.open_again()

    def _ask_whether_settled(self) -> None:
        # Of a run that has ended nothing comes twice, so that one more connection settles all that is left.
        if self._transport.settings.verify_outcome and not self._cursor.settled:
            try:
                run = self._ask()
            except (APIStatusError, APIConnectionError) as error:
                self._scope.check(error)
            else:
                self._cursor.settled = run is not None and run.status in _WRITTEN

    def _interrupted_by(self, error: APIStatusError) -> LangGraphRunsError:
        if error.status_code == 404 and self._scope.thread_id is not None and self._scope.run_id is not None:
            self._outcomes.run(self._scope.thread_id, self._scope.run_id, self._scope)  # 404 as well: then that is the error
        return self._feed.interrupted(None, str(error))

    # -- ending it

    def cancel(self, *, action: CancelAction = "interrupt", wait: bool = False) -> None:
        """Cancel the run, from any thread. The stream then ends with `RunCancelledError`. A run that has ended stays as it is.

        *action* and *wait* as in ``runs.cancel``.
        """
        check_choice("action", action, get_args(CancelAction))
        thread_id, run_id = self.thread_id, self.run_id
        if thread_id is None or run_id is None:
            raise self._identified(
                StreamInterruptedError(
                    "the run cannot be cancelled: the server did not tell its thread", events_seen=self.events_seen
                )
            )
        path, query = cancelling(thread_id, run_id, wait=wait, action=action)
        with self._transport.scope() as scope:
            try:
                self._transport.call(Request(method="POST", path=path, query=query), scope)
            except NotFoundError:
                return

    def close(self) -> None:
        """Let go of the connection; the run goes on. From another thread it ends a blocked read: the loop there just ends."""
        self._closed = True
        if self._pid == os.getpid():
            self._scope.interrupt("the stream was closed")
        if self._reading.acquire(blocking=False):
            try:
                self._end()
            finally:
                self._reading.release()

    def _end(self) -> None:
        self._finished = True
        self._ready.clear()
        self._fault = None
        self._feed.let_go()
        self._scope.close()

    def _cancel_if_late(self, error: BaseException) -> None:
        if isinstance(error, DeadlineExceededError) and self._plan.on_timeout == "cancel":
            self._outcomes.cancel_late(self.thread_id, self.run_id)

    def __enter__(self) -> RunStream[E]:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_finished", True):
            self.close()

    def __repr__(self) -> str:
        state = "ended" if self._finished else "open"
        return f"<RunStream run_id={self.run_id!r} thread_id={self.thread_id!r} {state}, {self.events_seen} events>"

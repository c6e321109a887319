"""`ThreadStream`: the events of all runs of a thread, as they come.

Some servers send the events of all runs of a thread on one connection. They neither say what was lost when it broke, nor how the
runs ended. So each run of which events may be missing, since it was active while nothing was connected, is read to its end with a
`RunStream`, which has the rules for that. Only then is the stream of the thread read on, without the events of these runs.

If the server has no such stream, the runs of the thread are listed again and again, and each of them is read in this way.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from types import TracebackType
from typing import Any, Deque, Iterator, List, Optional, Tuple, Type

from .. import api
from ..call import Scope, UserCodeError, at_moments, may_lack_route, polling_wait
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
from ..models import Run, RunOutcome
from ..runs import Filters, RunStarter, pages
from .cursor import Cursor, Place, is_from_start
from .events import MetadataStreamEvent, StreamEvent, decode_event, sent_after
from .run_stream import RunStream
from .stream_config import Gap, StreamConfig
from .thread_position import DueRun, ThreadPosition, Verdict, run_done
from .thread_stream_config import ThreadConnection, ThreadStreamConfig

__all__ = ["ThreadStream"]

#: The newest runs that are requested to find the active ones; and the number of known runs in a row after which all older ones are
#: taken for known.
_RECENT = 20
#: When a run is requested that the server has reported to be done, while its status does not say so yet: in seconds.
_SETTLING = (0.0, 0.05, 0.2, 0.5, 1.0, 2.0)
_STATES_NOT_KEPT = "the server does not keep updates of the state"


class ThreadStream(Iterator[StreamEvent]):
    """The events of all runs of a thread. Iterate over it, best in a ``with`` block. It does not end by itself: `close` it.

    A run begins with a metadata event that has its ``run_id``, and ends with one that has ``"status": "run_done"`` as well. When
    that has been delivered, `outcome` says how the run ended. A run that failed does not end the stream.

    One thread iterates; `close` may be called from any other.
    """

    def __init__(self, starter: RunStarter, scope: Scope, config: ThreadStreamConfig) -> None:
        self._starter = starter
        self._transport = starter.transport
        self._scope = scope
        self._config = config
        #: For requests beside the stream of the thread: a scope can interrupt one connection at a time.
        self._side_scope = self._new_scope()
        self._counter = Cursor(from_start=False)
        self._connection = ThreadConnection(config, self._transport, scope, self._counter)
        self._position = ThreadPosition()
        #: False if the server has no stream of a thread.
        self._has_route = True
        #: The runs that have to be read with streams of their own, and the stream of the first one.
        self._due: Deque[DueRun] = deque()
        self._run_stream: Optional[RunStream[Any]] = None
        self._polls = 0
        #: Events that can be delivered; with the last one of a run comes how it ended.
        self._ready: Deque[Tuple[StreamEvent, bool, Optional[RunOutcome]]] = deque()
        self._fault: Optional[LangGraphRunsError] = None
        self._reading = threading.Lock()
        self._closed = self._released = False
        #: What has interrupted the iteration, for a message; None if nothing has.
        self._interrupted_by: Optional[str] = None
        #: The id of the last delivered event that had one. Pass it to `join_stream` to continue after that event.
        self.last_event_id = config.start
        #: How the run ended whose last event was delivered. None before, and if the run could not be requested.
        self.outcome: Optional[RunOutcome] = None
        #: The number of events delivered so far.
        self.events_seen = 0
        #: The places where events are missing (with ``on_gap="mark"``).
        self.gaps: List[Gap] = []
        try:
            self._connect()
        except UserCodeError as carrier:
            self._release()
            carrier.unwrap()
        except BaseException:
            self._release()
            raise

    @property
    def thread_id(self) -> str:
        """The id of the thread."""
        return self._config.thread_id

    # -- reading

    def __iter__(self) -> ThreadStream:
        return self

    def __next__(self) -> StreamEvent:
        with self._reading:
            try:
                while not self._ready:
                    self._advance()
            except AbortedError:
                self._release()
                if self._closed:
                    raise StopIteration from None
                raise
            except UserCodeError as carrier:
                self._interrupted_by = "an exception of the caller's code"
                self._release()
                carrier.unwrap()
            except BaseException as error:
                if not isinstance(error, (LangGraphRunsError, StopIteration)):
                    self._interrupted_by = type(error).__name__
                self._release()
                raise
            event, ends, outcome = self._ready.popleft()
            if ends:
                self.outcome = outcome
            self.last_event_id = event.id or self.last_event_id
            self.events_seen += 1
            return event

    def _advance(self) -> None:
        """Do one step: read the stream of one run, begin one, or read the stream of the thread."""
        if self._interrupted_by is not None and not self._closed:
            # Else the stream would end as if it had been closed.
            raise StreamInterruptedError(
                f"the stream was ended by {self._interrupted_by}: join the thread again from its last event",
                last_event_id=self.last_event_id,
                events_seen=self.events_seen,
            )
        if self._released:
            raise StopIteration
        if os.getpid() != self._scope.pid:
            raise InvalidRequestError("this stream belongs to the parent process; open one in this process with join_stream")
        self._scope.check()
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault
        if self._run_stream is not None:
            self._read_run(self._run_stream)
        elif self._due:
            self._run_stream = self._stream_of(self._due[0])
        elif not self._has_route:
            self._look_for_runs()
        elif self._connection.is_open:
            self._read()
        else:
            self._reconnect()

    def _read(self) -> None:
        connection = self._connection
        try:
            parsed = connection.read()
        except APIConnectionError as error:
            self._scope.check(error)
            connection.close()
            if isinstance(error, ResponseDecodeError):
                raise
            connection.count_failure(error, at_once=True)
            return
        if parsed is None:
            connection.close()
            connection.wait_before_reopening()
            return
        self._fault = connection.fault
        now = time.time()
        for name, text, own_id in parsed:
            if name and not self._take(decode_event(self._scope, name, text, own_id, now)):
                connection.close()
                return
            connection.progressed()

    def _take(self, event: StreamEvent) -> bool:
        """Take one event of the stream of the thread. Return False if events before it were lost."""
        done, current = run_done(event), self._position.current
        own = current is not None and current.run_id == done
        values, reported = (self._position.values, self._position.reported) if own else (None, None)
        verdict = self._position.examine(event)
        if verdict is Verdict.NEW:
            self._put(event)
        elif done is not None and verdict in (Verdict.LAST, Verdict.LOST):
            outcome = self._outcome_of(done, values, reported)
            if verdict is Verdict.LOST and (outcome is None or outcome.status != "interrupted"):
                return False
            self._position.note_done(done)  # a run that was cancelled before it began has no other event
            self._put(event, ends=True, outcome=outcome)
        return verdict is not Verdict.LOST or done is not None

    def _put(self, event: StreamEvent, *, ends: bool = False, outcome: Optional[RunOutcome] = None) -> None:
        if self._config.wants(event):
            self._ready.append((event, ends, outcome))
            self._counter.admitted += 1

    # -- connections

    def _connect(self) -> None:
        """Open the stream of the thread for the first time."""
        path, query = self._connection.target
        try:
            request = api.stream_request(path, self._config.options, query=query)
            self._connection.begin(self._transport.open_with_retries(request, self._scope))
        except APIStatusError as error:
            if not may_lack_route(error) or not self._config.reads_runs:
                raise
            self._has_route = False
        if self._config.start is not None:
            self._catch_up(self._runs(None), first=True)
            return
        active = []
        for run in self._runs(_RECENT):
            if run.finished:
                self._position.note_done(run.run_id)
            elif run.status != "pending":
                active.append(run)
        self._position.in_the_middle = bool(active)
        if not self._has_route:
            self._due.extend(DueRun(run.run_id, Cursor(from_start=False, joined=True)) for run in active[::-1])

    def _reconnect(self) -> None:
        try:
            self._connection.open_again()
            runs = self._runs(None)
        except APIStatusError as error:
            if not self._transport.is_transient(error):
                self._runs(1)  # raises NotFoundError if the thread does not exist any more
                raise self._connection.interrupted(None, str(error)) from error
            self._connection.close()
            self._connection.count_failure(error)
            return
        except APIConnectionError as error:
            self._scope.check(error)
            if isinstance(error, (ResponseDecodeError, DeadlineExceededError, StreamInterruptedError)):
                raise
            self._connection.close()
            self._connection.count_failure(error)
            return
        if "state_update" in self._config.modes:
            self._note_gap(_STATES_NOT_KEPT)
        self._catch_up(runs)

    def _runs(self, limit: Optional[int]) -> List[Run]:
        """Return runs of the thread, newest first: at most *limit*, and none that are older than several known ones."""
        found: List[Run] = []
        known = 0
        filters = Filters.checked(None, None, None, None, None)
        options, traits = self._config.options.headers_only, self._starter.traits
        for run in pages(self._transport, self._side_scope, self.thread_id, filters, options, traits, page_size=100):
            known = known + 1 if self._position.is_done(run.run_id) else 0
            if known == _RECENT or len(found) == limit:
                break
            found.append(run)
        return found

    def _catch_up(self, runs: List[Run], *, first: bool = False) -> None:
        """Note which of *runs*, newest first, may have had events while nothing was connected: they are read on their own."""
        current = self._position.restart()
        if not self._config.reads_runs:
            return
        start = self._config.start if first and not is_from_start(self._config.start) else None
        for run in reversed(runs):
            if self._position.is_done(run.run_id) or run.status == "pending":
                continue
            if start is not None and not sent_after(start, run.updated_at):
                self._position.note_done(run.run_id)
            elif current is not None and run.run_id == current.run_id:
                self._due.append(current)
            elif start is not None and not sent_after(start, run.created_at):
                self._due.append(DueRun(run.run_id, Cursor(from_start=False, start=start, joined=True)))
            else:
                self._due.append(DueRun(run.run_id, Cursor(from_start=True, joined=True)))
        if self._due:
            self._position.drop_until_begin()

    def _look_for_runs(self) -> None:
        """Look for runs that have begun, on a server that has no stream of the thread."""
        try:
            self._catch_up(self._runs(None))
        except (APIConnectionError, APIStatusError) as error:
            self._scope.check(error)
            if not self._transport.is_transient(error):
                raise
            self._connection.count_failure(error)
            return
        self._connection.progressed()
        self._polls = 0 if self._due else self._polls + 1
        self._scope.sleep(polling_wait(self._polls))

    # -- runs that are read on their own

    def _stream_of(self, due: DueRun) -> RunStream[Any]:
        """Return the stream of a run, after what was delivered of it."""
        config = StreamConfig(
            open_first=lambda: None,
            thread_id=self.thread_id,
            run_id=due.run_id,
            cursor=due.cursor,
            options=self._config.options.headers_only,
            on_gap=self._config.on_gap,
            raise_error=False,
        )
        return RunStream(self._transport, self._starter.outcomes, self._new_scope(), config)

    def _new_scope(self) -> Scope:
        """Return a scope for further requests, with the same limits."""
        scope = self._transport.scope(None, self._config.options.signal)
        scope.deadline = self._scope.deadline
        scope.note_run(thread_id=self.thread_id)
        return scope

    def _read_run(self, stream: RunStream[Any]) -> None:
        try:
            self._put(next(stream))
            return
        except StopIteration:
            if self._closed:
                self._scope.check()
        except NotFoundError:
            self._runs(1)  # raises if the thread does not exist any more; else the run was deleted, as by a rollback
        self._run_stream = None
        stream.close()
        self.gaps += [Gap(gap.after_id, self._counter.admitted, gap.reason) for gap in stream.gaps]
        run_id = self._due.popleft().run_id
        self._position.note_done(run_id)
        end = MetadataStreamEvent("metadata", {"status": "run_done", "run_id": run_id}, stream.last_event_id)
        self._put(end, ends=True, outcome=stream.outcome)

    # -- how it ends

    def _outcome_of(self, run_id: str, values: Any, reported: Any) -> Optional[RunOutcome]:
        """Return how a run ended that the server has reported to be done; None if it could not be requested."""
        if not self._transport.settings.verify_outcome:
            return None
        outcomes = self._starter.outcomes
        try:
            for _ in at_moments(self._side_scope, _SETTLING):
                run = outcomes.run(self.thread_id, run_id, self._side_scope)
                if run.finished:
                    return outcomes.outcome_of(run, self._side_scope, values=values, reported=reported)
        except (APIConnectionError, APIStatusError) as error:
            self._scope.check(error)
        return None

    def _note_gap(self, reason: str) -> None:
        place = Place(self.last_event_id, self._counter.admitted)
        if self._config.on_gap != "mark":
            raise self._connection.interrupted(None, reason, place=place)
        self.gaps.append(Gap(place.after_id, place.events_seen, reason))

    def close(self) -> None:
        """Close the connections; the runs go on. In another thread that iterates, the iteration ends without an error."""
        self._closed = True
        if self._scope.pid == os.getpid():
            for scope in (self._scope, self._side_scope):
                scope.interrupt("the stream was closed")
            stream = self._run_stream
            if stream is not None:
                stream.close()
        if self._reading.acquire(blocking=False):
            try:
                self._release()
            finally:
                self._reading.release()

    def _release(self) -> None:
        self._released = True
        self._ready.clear()
        self._connection.close()
        stream, self._run_stream = self._run_stream, None
        if stream is not None:
            stream.close()
        self._side_scope.close()
        self._scope.close()

    def __enter__(self) -> ThreadStream:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_released", True):
            self.close()

    def __repr__(self) -> str:
        state = "ended" if self._released else "open"
        return f"<ThreadStream thread_id={self.thread_id!r} {state}, {self.events_seen} events>"

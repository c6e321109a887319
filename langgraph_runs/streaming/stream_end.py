"""Decides what the end of a connection means: the stream ends as its run did, or the next connection is opened.

1. The run is requested. If it is pending or running, the stream goes on, and no attempt is used up.
2. If the run has ended and its connection ended cleanly, the stream ends as the run did: normally, or with its `RunError`. If
   there is a sign that events are missing, one more connection is opened first (`end_evidence`).
3. If the connection broke, the missing events are fetched first. The server keeps the events of a resumable run.
4. Events that the server cannot send again are a gap: an error, or an entry in `gaps`, as the caller chose.
"""

from __future__ import annotations

import time
from typing import List, Optional

import attrs

from ..call import Scope
from ..errors import (
    APIConnectionError,
    APIStatusError,
    DeadlineExceededError,
    LangGraphRunsError,
    NotFoundError,
    ResponseDecodeError,
    StreamInterruptedError,
)
from ..http import Transport
from ..models import Run, RunOutcome
from ..runs import RunOutcomes, deleted_run_error, error_for, hint_at_keep
from .connection import StreamConnection
from .cursor import Cursor, Place
from .end_evidence import EndEvidence, Sign
from .events import MetadataStreamEvent
from .observed_run import ObservedRun
from .stream_config import Gap, StreamConfig

__all__ = ["NOT_KEPT", "StreamEnd"]

#: Statuses that the server sets after it has published all events of the run. A cancelled run may still write some.
_ALL_PUBLISHED = frozenset({"success", "error"})
NOT_KEPT = "the server no longer keeps the events since the last one"
_NEVER_KEPT = "the server does not keep this run's events"
_WITHOUT_THREAD = "the thread of the run is not known, so that its end cannot be verified: give thread_id"
_UNNAMED = "the server did not say which run this is, so that its end cannot be verified"


class StreamEnd:
    """Ends or continues one stream. Not thread-safe: only the iterating thread uses it."""

    def __init__(
        self,
        transport: Transport,
        outcomes: RunOutcomes,
        scope: Scope,
        config: StreamConfig,
        connection: StreamConnection,
        run: ObservedRun,
    ) -> None:
        self._transport = transport
        self._outcomes = outcomes
        self._scope = scope
        self._config = config
        self._cursor: Cursor = config.cursor
        self._connection = connection
        self._run = run
        self._evidence = EndEvidence(transport, scope, config.cursor, connection, run)
        self._checked_after_error = False
        self._looked_for_pause = False
        #: True if a connection ended before the run did.
        self._ended_early = False
        #: The number of new events when a connection was last opened to look for further events after a clean end.
        self._rest_requested_at = -1
        #: The sign of missing events for which it was opened.
        self._sign = Sign.NONE
        #: The run, if it had ended when that connection was opened.
        self._ended_run: Optional[Run] = None
        #: True if the run is known to have published all its events before the next connection is opened.
        self._all_published = False
        #: True if no further connection is opened.
        self.finished = False
        #: How the run ended. None before the end, and if the run could not be requested.
        self.outcome: Optional[RunOutcome] = None
        #: The places where events are missing (with ``on_gap="mark"``).
        self.gaps: List[Gap] = []

    # -- what has happened

    def after_clean_end(self) -> None:
        """Decide what to do after a clean end of the response."""
        if not self._transport.settings.verify_outcome:
            if self._cursor.doubt:
                self._all_published = True
            else:
                self._finish_unverified()
            return
        ended_at = time.time()
        try:
            run = self._ended_run or self._request_run(at_end=True)
        except NotFoundError:
            raise
        except (APIConnectionError, APIStatusError) as error:
            self._scope.check(error)
            if self._run.reported_error is None:
                raise self._connection.interrupted(None, f"the run could not be requested ({error})") from error
            run = None
        if self._cursor.doubt and (run is None or run.finished):
            # One more connection, on which each event comes once.
            self._all_published, self._rest_requested_at, self._ended_run = True, self._cursor.admitted, run
        elif run is None:
            if self._scope.run_id is None and not self._run.events_seen:
                raise self._connection.interrupted(None, _UNNAMED)
            if self._is_unknown_whether_ended():
                self.note_gap(_WITHOUT_THREAD)
            self._finish_unverified()
        elif not run.finished:
            self._ended_early = True
            if not self._cursor.resumable:
                self.note_gap(_NEVER_KEPT)
            self._connection.wait_before_reopening()
        else:
            self._after_clean_end_of(run, ended_at)

    def _is_unknown_whether_ended(self) -> bool:
        """Return True for the stream of a run that was joined without its thread, if no event said that the run has ended."""
        joined = self._config.run_id is not None and self._scope.thread_id is None
        return joined and not self._run.has_end_event and self._run.reported_error is None

    def _after_clean_end_of(self, run: Run, ended_at: float) -> None:
        """Finish with a run that has ended, or open one more connection if there is a sign of missing events."""
        if self._cursor.ended_early():
            self._finish_if_complete(run)
            return
        if self._evidence.has_end_event:
            sign = Sign.NONE
        elif self._ended_early:
            sign = Sign.STRONG
        else:
            sign = self._evidence.sign_of_missing_events(run, ended_at)
        resumable = self._cursor.resumable
        if sign is Sign.NONE or not resumable or self._rest_requested_at == self._cursor.admitted:
            premature = sign is Sign.PREMATURE and not resumable and not self._evidence.is_final(run)
            if premature or self._lacks_all_events():
                self.note_gap(NOT_KEPT if resumable else _NEVER_KEPT)
            self._finish(run)
        elif sign is Sign.UNPROVEN and not self._cursor.has_clock_ids and self._evidence.is_final(run):
            self._finish(run)
        else:
            self._rest_requested_at, self._sign, self._ended_run = self._cursor.admitted, sign, run
            self._fetch_rest(run)

    def _lacks_all_events(self) -> bool:
        """Return True if there was no event, although the stream should have those from the start of the run."""
        if self._run.last_event is not None or self._run.reported_error is not None:
            return False
        if self._config.run_id is not None:
            return self._cursor.from_start
        # The stream of a new run. If its server kept no events, and ended the first connection without one, there were none.
        connection = self._connection
        return self._ended_early or not connection.began or connection.without_body or not self._cursor.resumable

    def _finish_if_complete(self, run: Run) -> None:
        """Finish, although the server did not send again what may be missing. Without evidence that nothing is, report a gap."""
        final = self._evidence.is_final(run)
        if final is False or (final is None and not self._is_unbroken()):
            self.note_gap(NOT_KEPT)
        self._finish(run)

    def after_break(self, error: APIConnectionError) -> None:
        """Decide what to do after the connection broke with *error*."""
        if self._config.dies_with_connection:
            raise self._connection.interrupted(error, 'on_disconnect="cancel" made the server cancel the run')
        self._ended_early = True
        run = self._request_run_after(error) if self._transport.settings.verify_outcome else None
        finished = run is not None and run.finished
        self._note_status(run)
        if run is not None and finished and self._run.reported_error is not None:
            self._finish(run)
            return
        if not self._cursor.resumable:
            if run is None or not finished:
                self.note_gap(_NEVER_KEPT, error)
            else:
                if not self._evidence.is_final(run):
                    self.note_gap(_NEVER_KEPT, error)
                self._finish(run)
                return
        if run is None or finished:
            self._connection.count_failure(error, at_once=True)
        else:
            self._connection.wait_before_reopening()

    def after_error_event(self) -> None:
        """Finish after an error event if the run has ended: the server sends nothing more, but may keep the connection open."""
        if self._run.reported_error is not None and not self._checked_after_error:
            self._checked_after_error = True
            self.finish_if_ended()

    def finish_if_ended(self) -> None:
        """Request the run, and finish if it has ended. Raises `NotFoundError` for an unknown run or thread."""
        if self._transport.settings.verify_outcome:
            run = self._request_run(at_end=True)
            if run is not None and run.finished:
                self._connection.close()
                self._finish(run)

    def note_gap(self, reason: str, cause: Optional[APIConnectionError] = None, *, place: Optional[Place] = None) -> None:
        """Report that events are missing, at *place* or after the last event: raise, or add to `gaps`."""
        if self._config.on_gap != "mark":
            raise self._connection.interrupted(cause, reason, place=place)
        after_id, events_seen = place or self._cursor.place
        self.gaps.append(Gap(after_id=after_id, events_seen=events_seen, reason=reason))

    # -- the next connection

    def reopen(self) -> None:
        """Open the next connection. Transient failures use up attempts; a new event resets their number."""
        if self._cursor.doubt:
            # Wait until the millisecond in doubt is over; longer after many doubts, so that each connection resolves more.
            self._scope.sleep(min(0.2, 0.01 * self._cursor.doubts))
            self._check_whether_all_published()
        try:
            self._open()
        except APIStatusError as error:
            if not self._transport.is_transient(error):
                raise self._interrupted_by(error) from error
            self._connection.count_failure(error)
        except APIConnectionError as error:
            self._scope.check(error)
            if isinstance(error, (ResponseDecodeError, DeadlineExceededError, StreamInterruptedError)):
                raise
            self._connection.count_failure(error)

    def _open(self) -> None:
        self._run.find()
        self._connection.open_again(all_published=self._all_published)

    def _fetch_rest(self, run: Run) -> None:
        """Open one more connection, for events that may follow the last one."""
        self._note_status(run)
        try:
            self._open()
        except (APIStatusError, APIConnectionError) as error:
            self._scope.check(error)
            if self._is_unbroken() or not self._transport.is_transient(error):
                self._finish_if_complete(run)
            else:
                self._connection.count_failure(error)  # then `reopen`

    def _is_unbroken(self) -> bool:
        """Return True if no event id is missing, and only a sign of missing events made the stream look incomplete."""
        counts = self._sign is Sign.STRONG and self._cursor.counting
        if self._ended_early or isinstance(self._run.last_event, MetadataStreamEvent):
            return False
        return self._sign is Sign.UNPROVEN or counts

    def _check_whether_all_published(self) -> None:
        # After the run has ended, no event comes twice, so that one more connection resolves all doubts.
        if self._transport.settings.verify_outcome and not self._all_published:
            self._note_status(self._scope.unless_failed(self._request_run, None))

    def _note_status(self, run: Optional[Run]) -> None:
        self._all_published = run is not None and run.status in _ALL_PUBLISHED

    def _interrupted_by(self, error: APIStatusError) -> LangGraphRunsError:
        thread_id, run_id = self._scope.thread_id, self._scope.run_id
        if error.status_code == 404 and thread_id is not None and run_id is not None:
            self._outcomes.run(thread_id, run_id, self._scope)  # raises NotFoundError if the run is unknown
        return self._connection.interrupted(None, str(error))

    # -- the run

    def _request_run_after(self, broken: APIConnectionError) -> Optional[Run]:
        try:
            return self._request_run()
        except NotFoundError:
            raise
        except LangGraphRunsError as error:
            self._scope.check(error)
            raise self._connection.interrupted(broken, f"the run could not be requested ({error})") from error

    def _request_run(self, *, at_end: bool = False) -> Optional[Run]:
        """Return the run as it is now; None if its ids are unknown, or if the server has deleted it at its end."""
        self._run.find()
        thread_id, run_id = self._scope.thread_id, self._scope.run_id
        if thread_id is None or run_id is None:
            return None
        try:
            existed = self._config.on_given_thread and not self._run.reports_not_found
            run = self._outcomes.run(thread_id, run_id, self._scope, existed=existed)
            self._note_modes(run)
            return run
        except NotFoundError as error:
            # The server deletes a stateless run and its thread when the run has ended. But a server that was restarted may have
            # lost them before the end. The server never deletes a thread that the caller named.
            may_be_deleted = at_end and self._run.events_seen and error.attempts == 1 and not self._config.on_given_thread
            if may_be_deleted and not self._run.reports_not_found and self._outcomes.is_thread_absent(thread_id, self._scope):
                return None
            if self._run.events_seen:
                raise deleted_run_error(error, self._run.values) from None
            if self._config.run_id is not None:
                hint_at_keep(error)
            raise

    def _note_modes(self, run: Run) -> None:
        """Note the modes with which the run was started, if this stream joined it: some servers do not keep the events of all."""
        modes = run.kwargs.get("stream_mode") if self._config.run_id is not None else None
        if isinstance(modes, list) and not self._config.mode_filter.excludes("messages"):
            self._cursor.note_modes(modes)

    def _finish(self, run: Run) -> None:
        self.finished = True
        if self._config.is_replayed():
            run = attrs.evolve(run, replayed=True)
        outcome = self._outcomes.outcome_of(
            run, self._scope, values=self._run.values, reported=self._run.reported_error, seen=self._run.interrupts
        )
        self._end_with(outcome)

    def _finish_unverified(self) -> None:
        self.finished = True
        failure = self._run.failure()
        self._end_with(failure)

    def summary(self) -> str:
        """Return how the run of a stream that has ended without an error ended, for the log."""
        if self.outcome is None:
            return "ended"
        return "paused" if self.outcome.paused else self.outcome.status or "ended"

    def _end_with(self, outcome: Optional[RunOutcome]) -> None:
        if self._config.finish is not None:
            outcome = self._config.finish(outcome)
            self._looked_for_pause = True
        self.outcome = outcome
        error = None if outcome is None else error_for(outcome)
        if error is not None and self._config.raise_error:
            raise self._scope.identify(error)

    def look_for_pause(self) -> None:
        """Find out if the run stopped for a human, unless the outcome already says so, and note it in the outcome.

        Sends one request, the first time only. Does nothing while the outcome is unknown, and after the client was closed.
        """
        outcome = self.outcome
        if outcome is not None and not outcome.paused and not self._looked_for_pause and not self._transport.is_closed:
            self._looked_for_pause = True
            with self._transport.scope() as scope:
                self.outcome = self._outcomes.look_for_pause(outcome, self._scope.thread_id, scope)

    def cancel_if_late(self, error: BaseException) -> None:
        """Cancel the run if *error* is a `DeadlineExceededError` and the caller chose ``on_timeout="cancel"``."""
        if isinstance(error, DeadlineExceededError) and self._config.on_timeout == "cancel":
            self.cancel()

    def cancel(self) -> None:
        """Cancel the run, and delete its thread if the library made it. Blocks for 3 seconds at most. A failure is only logged."""
        if self._config.cancel_late is not None:
            self._config.cancel_late()
        else:
            self._outcomes.cancel_late(self._scope.thread_id, self._scope.run_id)

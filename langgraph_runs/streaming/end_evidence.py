"""Evidence that a stream is complete, for a connection that ended cleanly while its run has ended.

A clean end proves nothing by itself: a server that shuts down and a gateway that has lost its server end a body as cleanly as a run
that has ended. A stream is complete if one of these holds:

- The server sent an end event on a connection that showed all events before it.
- A connection that was opened after the end of the run began with the last delivered event, and brought no other.
- The last event is the final state of the run.
- The connection ended cleanly, and nothing is a sign of missing events. By the server's own clock, the run ended before the
  connection; and the last events did not come so fast that others may have followed them.
"""

from __future__ import annotations

import time
from enum import Enum
from typing import Optional

from .. import api
from ..call import Scope
from ..http import Transport
from ..models import Run
from .connection import StreamConnection
from .cursor import Cursor
from .events import ValuesStreamEvent
from .observed_run import ObservedRun

__all__ = ["EndEvidence", "Sign"]

#: If the run is requested more than this many seconds after the end of a stream, it may have gone on in between.
_AT_ONCE = 0.25
#: If the delay of events grows by more than this many seconds, they count as a backlog.
_BACKLOG = 1.0
#: The precision of ids that are times, in seconds.
_TICK = 0.002
#: How fast two clocks may drift apart, as a part of the time.
_DRIFT = 0.001
#: Servers whose ids are not times wait for further events before they end a stream: for more than this many seconds.
_PAUSE = 0.05
#: Servers whose ids are times end a run within this many seconds of its last event, if they are not busy.
_TAIL = 0.010
#: A server may note the end of a run this many seconds after it has ended the stream, if the event ids are its times.
_NOTED_LATER = 0.005
#: The same if only the durations can be compared. What is missing then could not be requested again: so this is generous.
_NOTED_MUCH_LATER = 1.0
#: Kinds of events that a step sends before its state.
_BEFORE_STATE = frozenset({"custom", "messages", "updates"})


class Sign(Enum):
    """How likely events are missing after a clean end."""

    NONE = "none"
    #: The end looks like that of a run, but others may have followed the last events.
    UNPROVEN = "unproven"
    #: Only the end of the connection ended the body, or the run may have ended after it.
    STRONG = "strong"
    #: The run ended after the connection.
    PREMATURE = "premature"


class EndEvidence:
    """Looks for evidence that one stream is complete. Not thread-safe: only the iterating thread uses it."""

    def __init__(self, transport: Transport, scope: Scope, cursor: Cursor, connection: StreamConnection, run: ObservedRun) -> None:
        self._transport = transport
        self._scope = scope
        self._cursor = cursor
        self._connection = connection
        self._run = run

    @property
    def has_end_event(self) -> bool:
        """True if the server said that the stream is complete."""
        return self._connection.has_end_frame or self._run.has_end_event

    def sign_of_missing_events(self, run: Run, ended_at: float) -> Sign:
        """Return the sign of missing events for a run that has ended. *ended_at* is when the connection ended, by `time.time`."""
        if not self._cursor.admitted:
            return Sign.STRONG
        outlived = self._outlived_connection(run, ended_at)
        if outlived:
            return Sign.PREMATURE
        late = outlived is None and (time.time() - ended_at > _AT_ONCE or self._scope.attempts > 1)
        if late or self._connection.ended_by_connection or self._run.lag() > _BACKLOG:
            return Sign.STRONG
        return Sign.UNPROVEN if self._may_have_followers(run, ended_at) else Sign.NONE

    def _outlived_connection(self, run: Run, ended_at: float) -> Optional[bool]:
        """Return True if the run ended after the connection, False if before; None if that is not known."""
        if run.updated_at is None or run.created_at is None:
            return None
        if self._has_times_of(run):
            return run.updated_at.timestamp() > ended_at - self._run.least_delay + _NOTED_LATER
        if self._run.requested_at is None:
            return None
        # The stream was requested before the run was created, so that it lasts longer than the run.
        lasted = ended_at - self._run.requested_at
        later = _NOTED_MUCH_LATER if self._cursor.last is None else 0.0
        return (run.updated_at - run.created_at).total_seconds() > lasted * (1 + _DRIFT) + later

    def _has_times_of(self, run: Run) -> bool:
        """Return True if the event ids are times between the creation and the end of the run: of the same clock."""
        if run.updated_at is None or run.created_at is None or not self._cursor.has_clock_ids:
            return False
        return run.created_at.timestamp() - _TICK <= self._run.newest_time <= run.updated_at.timestamp() + _TICK

    def _may_have_followers(self, run: Run, ended_at: float) -> bool:
        """Return True if the last events came so shortly before the end that others may have followed them."""
        if self._cursor.last is None:
            return False
        if run.updated_at is not None and self._has_times_of(run):
            run_ended_at = run.updated_at.timestamp()
            return run_ended_at - self._run.newest_time > _TAIL or self._run.has_burst_before(run_ended_at)
        return self._run.has_events_since(ended_at - _PAUSE, burst=self._cursor.has_clock_ids)

    def is_final(self, run: Run) -> Optional[bool]:
        """Return True if the last event is the final state of the run, False if it is not, None if that is not known.

        Sends one request if the last event is a state.
        """
        last = self._run.last_event
        if run.status != "success" or last is None:
            return None
        if last.__class__ is not ValuesStreamEvent or last.event != "values":
            return False if self.ends_before_state(run) else None
        if not isinstance(last.data, dict):
            return None
        state = self._scope.unless_failed(lambda: api.get_state(self._transport, self._scope, run.thread_id), None)
        if state is None or state.metadata.get("run_id") != run.run_id or state.next:
            return None
        return bool({key: value for key, value in last.data.items() if not key.startswith("__")} == state.values)

    def ends_before_state(self, run: Run) -> bool:
        """Return True if the stream has states, but does not end with one, as that of a run that has succeeded does."""
        last = self._run.last_event
        if run.status != "success" or last is None or not self._run.has_states or self._run.interrupts:
            return False
        return last.event in _BEFORE_STATE and not (isinstance(last.data, dict) and "__interrupt__" in last.data)

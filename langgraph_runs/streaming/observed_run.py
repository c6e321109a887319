"""The state of a run as far as its stream has shown it: ids, error, open questions, last values."""

from __future__ import annotations

import math
import time
from collections import deque
from itertools import islice
from typing import Any, Deque, Optional, Tuple

from ..call import Scope
from ..errors import LangGraphRunsError
from ..models import Interrupt, RunOutcome
from ..runs import GraphError, interrupts_in, reported_error
from .clock_ids import clock_key
from .events import EndStreamEvent, ErrorStreamEvent, MetadataStreamEvent, StreamEvent
from .stream_config import StreamConfig

__all__ = ["CHECKED_KINDS", "ObservedRun"]

#: The kinds of events for which `ObservedRun.note` is called, in addition to events with an interrupt in their data.
CHECKED_KINDS = frozenset({ErrorStreamEvent, EndStreamEvent, MetadataStreamEvent})

#: That many events in a short time are a burst.
_BURST = 16


class ObservedRun:
    """The run as its stream has shown it. The ids are kept in the scope, which puts them on errors."""

    def __init__(self, scope: Scope, config: StreamConfig) -> None:
        self._scope = scope
        self._config = config
        #: Class and message from the last error event; None if there was no error event.
        self.reported_error: Optional[GraphError] = None
        #: True if an event said that the stream is complete.
        self.has_end_event = False
        #: The open questions in values and updates.
        self.interrupts: Tuple[Interrupt, ...] = ()
        #: The last full state that was delivered, and the number of events delivered.
        self.values: Any = None
        self.events_seen = 0
        self._first: Optional[StreamEvent] = None
        self._last: Optional[StreamEvent] = None
        #: The last event other than an end event, delivered or about to be.
        self.last_event: Optional[StreamEvent] = None
        #: True if there was an event with a full state.
        self.has_states = False
        #: The least delay of an event, in seconds from its time by the server's clock to its arrival by ours. Infinite if unknown.
        self.least_delay = math.inf
        #: When the stream was requested, by `time.time`, if the run did not exist before.
        self.requested_at = time.time() if config.run_id is None else None
        # When the last events came, by `time.time`.
        self._arrivals: Deque[float] = deque(maxlen=_BURST)
        # The times of the last events whose ids are times, in milliseconds of the server's clock.
        self._times: Deque[int] = deque(maxlen=_BURST)
        scope.note_run(config.run_id, config.thread_id)

    # -- its ids

    def announce(self) -> None:
        """Report the run to the caller when its id is known."""
        if self._config.report is not None and self._scope.run_id is not None:
            self._config.report(self._scope.run_id, self._scope.thread_id)

    def find(self) -> None:
        """Look for the run on its thread if neither headers nor events have named it. Sends a few requests at most."""
        if self._scope.run_id is None and self._config.find is not None:
            found = self._config.find()
            if found is not None:
                self._scope.note_run(found.run_id)

    # -- its events

    def note(self, event: StreamEvent) -> None:
        """Remember what an event says about the run itself."""
        if isinstance(event, ErrorStreamEvent):
            self.reported_error = reported_error(event.data) or GraphError(None, None)
        elif isinstance(event, EndStreamEvent):
            self.has_end_event = True
        elif isinstance(event, MetadataStreamEvent):
            run_id = event.data.get("run_id") if isinstance(event.data, dict) else None
            if self._scope.run_id is None and isinstance(run_id, str):
                self._scope.note_run(run_id)
        else:
            self.interrupts += tuple(i for i in interrupts_in(event.data) if i not in self.interrupts)

    def note_delivered(self, last: Optional[StreamEvent], events_seen: int, values: Any) -> None:
        """Remember what was delivered to the caller: the last event, the number of events, the last full state."""
        self._last, self.events_seen, self.values = last, events_seen, values

    def note_batch(self, batch: Deque[Any]) -> None:
        """Remember what the end of the stream may be compared with. *batch* are new events that arrived together."""
        if not batch:
            return
        if self._first is None:
            self._first = batch[0]
        self.has_states = self.has_states or "values" in [event.event for event in batch]
        for event in reversed(batch):
            if event.__class__ is not EndStreamEvent:
                self.last_event = event
                break
        for event in islice(batch, max(0, len(batch) - _BURST), None):
            self._arrivals.append(event.received_at)
            key = clock_key(event.id or "")
            if key is not None:
                self._times.append(key[0])
                self.least_delay = min(self.least_delay, event.received_at - key[0] / 1000.0)

    @property
    def newest_time(self) -> float:
        """The time of the last event whose id is a time, in seconds by the server's clock; 0 if there is none."""
        return self._times[-1] / 1000.0 if self._times else 0.0

    def has_events_since(self, begin: float, *, burst: bool) -> bool:
        """Return True if events came after *begin*, by `time.time`; with *burst* only if there were several."""
        if burst:
            return len(self._arrivals) == _BURST and self._arrivals[0] > begin
        return bool(self._arrivals) and self._arrivals[-1] > begin

    def has_burst_before(self, end: float) -> bool:
        """Return True if as much time before the last event as the run took after it had several events.

        Then others may have followed the last one. *end* is when the run ended, in seconds by the server's clock.
        """
        if len(self._times) < _BURST:
            return False
        after = max(1.0, end * 1000.0 - self._times[-1])
        return self._times[-1] - self._times[0] < after

    @property
    def reports_not_found(self) -> bool:
        """True if an error event says 404: some servers send one for an unknown run or thread."""
        return self.reported_error is not None and self.reported_error.is_not_found

    def lag(self) -> float:
        """Return by how many seconds the last event was delayed (from happening to arrival) more than the first event."""
        first, last = self._first, self._last
        if first is None or last is None or not first.id or not last.id:
            return 0.0
        delays = [event.received_at - event.timestamp.timestamp() for event in (first, last)]
        return delays[1] - delays[0]

    # -- its outcome

    def failure(self) -> Optional[RunOutcome]:
        """Return the outcome that the error event reports, or None if there was no error event."""
        if self.reported_error is None:
            return None
        error, message = self.reported_error
        return RunOutcome(status="error", values=self.values, error=error, message=message)

    def identify(self, error: LangGraphRunsError) -> LangGraphRunsError:
        """Set the ids, the attempts and the request of the call on *error*, and return it."""
        return self._scope.identify(error)

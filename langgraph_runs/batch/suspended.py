"""Tasks of a map that have failed in a way which the server may have caused, until a probe decides."""

from __future__ import annotations

import uuid
from typing import Iterator, List, Tuple

from .dispatcher import Dispatcher
from .outage import OutageWatch, may_be_outage
from .retries import InputRetries
from .task import InFlightTask, TaskResult

__all__ = ["SuspendedTasks"]


class SuspendedTasks:
    """Decides whether such a task is started again as if it had not failed, or has failed for a reason of its own.

    If the server does not respond to a probe, none of the tasks has failed for a reason of its own. Used by the iterating thread.
    """

    def __init__(self, dispatcher: Dispatcher, retries: InputRetries, watch: OutageWatch) -> None:
        self._dispatcher = dispatcher
        self._retries = retries
        self._watch = watch
        self.tasks: List[Tuple[InFlightTask, TaskResult]] = []
        #: How many of them had failed before the probe began.
        self._probed = 0

    def concerns(self, in_flight: InFlightTask, result: TaskResult) -> bool:
        """Return True if a probe must decide what *result* means."""
        error = result.error
        return error is not None and (may_be_outage(error) or self._retries.run_was_lost(in_flight, result))

    def probe(self) -> None:
        """Begin a probe of the server if one is due."""
        if self._dispatcher.is_probing:
            return
        if self._watch.is_down:
            if self._watch.seconds_to_probe() == 0.0:
                self._dispatcher.probe(str(uuid.uuid4()))
        elif self.tasks:
            self._probed = len(self.tasks)
            self._dispatcher.probe(self.tasks[0][0].thread_id)

    def note_probes(self) -> None:
        """Note the results of the probes that have ended."""
        results = self._dispatcher.probe_results
        while results:
            if results[0] is not None:
                self._watch.probe_failed(results[0])
                self._probed = 0
            else:
                self._watch.probe_succeeded()
            del results[0]

    def decided(self) -> Iterator[Tuple[InFlightTask, TaskResult, bool]]:
        """Yield the tasks about which a probe has decided, with True for a failure of their own; the others are to start again.

        Each is removed when the next one is requested.
        """
        while self.tasks and (self._watch.is_down or (self._probed > 0 and not self._dispatcher.is_probing)):
            in_flight, result = self.tasks[0]
            is_own = not self._watch.is_down and self._is_own(in_flight, result)
            if not is_own:
                self._retries.requeue(in_flight, result)
            yield in_flight, result, is_own
            del self.tasks[0]
            self._probed = max(0, self._probed - 1)

    def _is_own(self, in_flight: InFlightTask, result: TaskResult) -> bool:
        """Return True for a failure before a probe that has succeeded, unless the task was started before the end of an outage."""
        ended_at = self._watch.ended_at
        in_outage = ended_at is not None and in_flight.started_at < ended_at
        return not in_outage and not self._retries.run_was_lost(in_flight, result)

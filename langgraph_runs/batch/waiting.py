"""The inputs of a map that are started before further ones are read: those that are started again, and those that were put back."""

from __future__ import annotations

import time
from collections import deque
from typing import Callable, Deque, Iterable, Iterator, Optional

from .task import InFlightTask

__all__ = ["WaitingTasks"]


class WaitingTasks:
    """Tasks in the order in which they are started, except for those that must not start yet (`InFlightTask.not_before`)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._tasks: Deque[InFlightTask] = deque()
        self._clock = clock

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[InFlightTask]:
        return iter(self._tasks)

    def append(self, in_flight: InFlightTask) -> None:
        """Add a task as the last one."""
        self._tasks.append(in_flight)

    def extend(self, tasks: Iterable[InFlightTask]) -> None:
        """Add tasks as the last ones."""
        self._tasks.extend(tasks)

    def put_back(self, *tasks: InFlightTask) -> None:
        """Add tasks as the first ones."""
        self._tasks.extendleft(reversed(tasks))

    def next_ready(self) -> Optional[InFlightTask]:
        """Return the first task that may start now, or None."""
        now = self._clock()
        return next((in_flight for in_flight in self._tasks if in_flight.not_before <= now), None)

    def remove(self, in_flight: InFlightTask) -> None:
        """Remove a task that starts."""
        self._tasks.remove(in_flight)
        if in_flight.not_before:
            in_flight.note_settled()

    def seconds_to_ready(self) -> float:
        """Return the seconds until a task may start; 0 if one may start now, or if there is none."""
        if not self._tasks:
            return 0.0
        return max(0.0, min(in_flight.not_before for in_flight in self._tasks) - self._clock())

"""The position in the stream of a thread: which run its events belong to, and which runs have ended. No I/O."""

from __future__ import annotations

import enum
from collections import OrderedDict
from typing import Any, NamedTuple, Optional

from ..runs import GraphError, reported_error
from .cursor import Cursor
from .events import ErrorStreamEvent, StreamEvent, ValuesStreamEvent

__all__ = ["DueRun", "ThreadPosition", "Verdict", "run_begun", "run_done"]

#: Runs that have ended, of which the ids are remembered.
_REMEMBERED = 10_000


class Verdict(enum.Enum):
    """What an event of the stream of a thread is."""

    #: It is new.
    NEW = "new"
    #: It was delivered before, or belongs to a run that has been read with a stream of its own.
    KNOWN = "known"
    #: It is new, and the last one of a run.
    LAST = "last"
    #: Events before it were lost: the run to which it belongs has not begun on this connection.
    LOST = "lost"


class DueRun(NamedTuple):
    """A run, and the position in its events."""

    run_id: str
    cursor: Cursor


class ThreadPosition:
    """Reads the events of one connection after the other.

    >>> position = ThreadPosition()
    >>> begin, end = ({"run_id": "r", "attempt": 1}, {"run_id": "r", "status": "run_done"})
    >>> [position.examine(StreamEvent("metadata", data, "1795224633885-0")) for data in (begin, end)]
    [<Verdict.NEW: 'new'>, <Verdict.LAST: 'last'>]
    """

    def __init__(self) -> None:
        #: True while a run is active whose beginning was not wanted, since the stream began later.
        self.in_the_middle = False
        #: The run whose events come now; None if that is not known.
        self.current: Optional[DueRun] = None
        #: Its last full state, and its error.
        self.values: Any = None
        self.reported: Optional[GraphError] = None
        self._drop = False
        self._done: OrderedDict[str, None] = OrderedDict()

    def is_done(self, run_id: str) -> bool:
        """Return True if the run is known to have ended, or is not wanted."""
        return run_id in self._done

    def note_done(self, run_id: str) -> None:
        """Note that a run has ended, or is not wanted. Further events of it are known."""
        self._done[run_id] = None
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        if self.current is not None and self.current.run_id == run_id:
            self._leave()

    def restart(self) -> Optional[DueRun]:
        """Note that a connection has ended, and return the run that was active then."""
        current = self.current
        self._leave()
        self.in_the_middle = self._drop = False
        return current

    def drop_until_begin(self) -> None:
        """Note that runs are read with streams of their own, and that the connection may have events of them too."""
        self._drop = True

    def _leave(self) -> None:
        self.current = self.values = self.reported = None

    def examine(self, event: StreamEvent) -> Verdict:
        """Return what *event* is, and note what it says about its run."""
        if event.event == "state_update":
            return Verdict.NEW
        done, begun = run_done(event), run_begun(event)
        if done is not None:
            return self._examine_end(done)
        if begun is not None and (self.current is None or self.current.run_id != begun):
            self._drop = self.is_done(begun)
            self._leave()
            self.in_the_middle = False
            self.current = None if self._drop else DueRun(begun, Cursor(from_start=True))
        if self._drop:
            return Verdict.KNOWN
        if self.current is None:
            return Verdict.NEW if self.in_the_middle else Verdict.LOST
        if not self.current.cursor.admit(event.event, event.raw, event.id):
            return Verdict.KNOWN
        if isinstance(event, ValuesStreamEvent) and not event.namespace:
            self.values = event.data
        elif isinstance(event, ErrorStreamEvent):
            self.reported = reported_error(event.data)
        return Verdict.NEW

    def _examine_end(self, run_id: str) -> Verdict:
        if self.is_done(run_id):
            if self.current is None:
                self._drop = False
            return Verdict.KNOWN
        known = self.in_the_middle or (self.current is not None and not self._drop)
        self.in_the_middle = False
        return Verdict.LAST if known else Verdict.LOST


def run_begun(event: StreamEvent) -> Optional[str]:
    """Return the id of the run that begins with *event*, or None."""
    found = _run_id(event)
    return None if found is None or event.data.get("status") == "run_done" else found


def run_done(event: StreamEvent) -> Optional[str]:
    """Return the id of the run that ends with *event*, or None."""
    found = _run_id(event)
    return found if found is not None and event.data.get("status") == "run_done" else None


def _run_id(event: StreamEvent) -> Optional[str]:
    if event.event != "metadata" or not isinstance(event.data, dict):
        return None
    run_id = event.data.get("run_id")
    return run_id if isinstance(run_id, str) else None

"""Looks up the run of a create whose response was lost: finds it by its marker, or shows that it does not exist.

*Evidence of presence* is a run with the marker. *Evidence of absence* is a list of the thread's runs, from the server itself, that
has every run which the create may have made, each of which is known to be another one. Whatever shows neither is a problem.
"""

from __future__ import annotations

import time
import uuid
from typing import Collection, Dict, List, Optional, Sequence

import attrs

from .. import api
from ..call import Scope, states_absence
from ..errors import NotFoundError
from ..http import NO_OPTIONS, CommonOptions, Transport
from ..markers import is_cut
from ..models import UNFINISHED, Run
from ..server_traits import ServerTraits
from .pagination import PageReader, shows_newest_first
from .request_marker import RequestMarker

__all__ = ["RecoveredRun", "RunLookup", "StatelessLookup", "is_thread_absent"]

#: Runs on the first page, and on further pages.
_FEW, _MANY = 20, 500
#: The most pages that are read for one look-up.
_PAGES = 40
#: Seconds within which the times of one server are compared.
_SLACK = 5.0
#: Seconds after which a run is older than a create for certain: by the clock of this machine and the ``Date`` of the server, or by
#: one of them, which may be wrong by a time zone.
_OLD, _OLD_BY_ONE_CLOCK = 60.0, 26 * 3600.0


@attrs.frozen
class RecoveredRun:
    """A run that an attempt had created before its response was lost."""

    run_id: str
    thread_id: Optional[str]
    #: The run itself, if it was looked up; None if only its ids are known.
    run: Optional[Run] = None
    #: True if another call with the same idempotency key has created it.
    replayed: bool = False


class RunLookup:
    """Looks for the run of one create on its thread. *began* is the time of `Deadline.clock` before the create was sent."""

    def __init__(
        self,
        transport: Transport,
        traits: ServerTraits,
        thread_id: str,
        marker: RequestMarker,
        options: CommonOptions = NO_OPTIONS,
        *,
        began: Optional[float] = None,
    ) -> None:
        self._transport = transport
        self._traits = traits
        self._thread_id = thread_id
        self._marker = marker
        self._options = options
        self._began = began
        #: After `find` with *thorough*: why it is not known that the run does not exist; None if that is known.
        self.problem: Optional[str] = None
        self._reader: Optional[PageReader[api.MarkedRun]] = None
        self._from_cache = False
        self._server_time: Optional[float] = None

    def find(self, scope: Scope, *, thorough: bool = False) -> Optional[Run]:
        """Return the run, or None if it is not found. Sends one request, if the server lists the newest runs first.

        With *thorough*, reads as many pages as show that the run does not exist, and sets *problem*.
        """
        self.problem = None
        try:
            found = self._read(scope, thorough=thorough)
        except NotFoundError as error:
            absent = thorough and states_absence(error)
            if thorough and not (absent and is_thread_absent(self._transport, scope, self._thread_id, self._options)):
                self.problem = f"the list of runs could not be requested ({error})"
            return None
        if found is None:
            return None
        found.note_in(self._traits, shows_marker=self._marker.is_shown_by(found))
        return found.run

    def _read(self, scope: Scope, *, thorough: bool) -> Optional[api.MarkedRun]:
        self._from_cache = False
        reader = self._reader
        if reader is None or not _is_oldest_first(reader.rows):
            reader = self._new_reader(scope)
        else:
            reader.resume(self._fetch_within(scope))  # the run comes after those that are known
        self._reader = reader
        elapsed = None if self._began is None else scope.deadline.clock() - self._began
        for _ in range(_PAGES):
            reader.read()
            found = [row for row in reader.page if self._marker.is_on(row)]
            if found:
                # Runs that were created later without metadata may have inherited the marker from the thread.
                return min(found, key=lambda row: row.run.created_at.timestamp() if row.run.created_at else 0.0)
            if reader.complete is not None:
                break
            newest_first = shows_newest_first([row.run for row in reader.rows])
            self._traits.note_order(newest_first)
            if not thorough and (newest_first or len(reader.rows) < _FEW):
                return None
            if thorough and newest_first and elapsed is not None and _reach_back(reader.rows, elapsed):
                self._check_rows(reader.rows, elapsed)
                return None
            reader.size = _MANY
        if thorough:
            if reader.complete:
                self._check_rows(reader.rows, elapsed)
            else:
                self.problem = "the server does not show all runs of the thread"
        return None

    def _new_reader(self, scope: Scope) -> PageReader[api.MarkedRun]:
        return PageReader(self._fetch_within(scope), lambda row: row.run.run_id, size=_FEW, thorough=True)

    def _fetch_within(self, scope: Scope) -> api.FetchPage:
        def fetch(limit: int, offset: int) -> List[api.MarkedRun]:
            listed = api.list_marked_runs(self._transport, scope, self._thread_id, self._options, limit=limit, offset=offset)
            self._from_cache = self._from_cache or listed.from_cache
            self._server_time = listed.server_time
            return listed.rows

        return fetch

    def _check_rows(self, rows: Sequence[api.MarkedRun], elapsed: Optional[float]) -> None:
        """Set *problem*, unless each of *rows* is known to be another run. They are all runs that come into question."""
        if self._from_cache:
            self.problem = "the list of runs came from a cache"
        elif not all(self._is_another(row, rows, elapsed) for row in rows):
            self.problem = "the server does not say which request created a run"

    def _is_another(self, row: api.MarkedRun, rows: Sequence[api.MarkedRun], elapsed: Optional[float]) -> bool:
        """Return True if *row*, which does not have the marker, is known not to be the run of the create."""
        if row.marker is not None and not is_cut(row.marker):
            return True
        if row.marker is None and self._traits.shows_marker and row.has_metadata:
            return True
        if elapsed is None or row.run.created_at is None:
            return False
        created = row.run.created_at.timestamp()
        newest = _newest_begun(rows)
        if newest is not None and newest - created > elapsed + _SLACK:
            return True
        if created < time.time() - elapsed - _OLD_BY_ONE_CLOCK:
            return True
        clocks = [time.time()] if self._server_time is None else [time.time(), self._server_time]
        return len(clocks) == 2 and self._traits.shows_marker is None and created < min(clocks) - elapsed - _OLD


class StatelessLookup:
    """Looks for the runs of one create without a thread: a server that makes a thread for a run gives it the run's metadata.

    It cannot show that a run does not exist, since such a thread is deleted when the run has ended.
    """

    problem = "the server does not show the thread of the run, which may have ended"

    def __init__(
        self, transport: Transport, traits: ServerTraits, marker: RequestMarker, options: CommonOptions = NO_OPTIONS
    ) -> None:
        self._transport = transport
        self._traits = traits
        self._marker = marker
        self._options = options

    def find(self, scope: Scope, *, thorough: bool = False) -> Optional[Run]:
        """Return the run, or None if it is not found."""
        return next(iter(self.find_items(scope, limit=1).values()), None)

    def find_items(self, scope: Scope, *, limit: int, known: Collection[int] = ()) -> Dict[int, Run]:
        """Return the runs that are found, by their position in the batch, except for *known* ones. A single run has position 0.

        At most *limit* threads are requested, and those of the *known* runs.
        """
        threads = api.search_marked_threads(self._transport, scope, self._marker.value, self._options, limit=limit + len(known))
        runs: Dict[int, Run] = {}
        for thread in threads:
            item = thread.batch_item or 0
            if item not in known:
                lookup = RunLookup(self._transport, self._traits, thread.thread_id, self._marker, self._options)
                found = lookup.find(scope)
                if found is not None:
                    runs[item] = found
        return runs


def is_thread_absent(transport: Transport, scope: Scope, thread_id: str, options: CommonOptions) -> bool:
    """Return True if the server itself says that it does not have the thread, in response to a question that it can answer."""
    found = scope.unless_failed(lambda: api.search_threads(transport, scope, options, limit=1, ids=[thread_id]), None)
    return found is not None and all(_plain_id(thread.thread_id) != _plain_id(thread_id) for thread in found)


def _is_oldest_first(rows: Sequence[api.MarkedRun]) -> bool:
    return shows_newest_first([row.run for row in rows[::-1]]) is True


def _newest_begun(rows: Sequence[api.MarkedRun]) -> Optional[float]:
    """Return when the newest run that has begun was created, by the server's clock. A delayed run may be due in the future."""
    times = [row.run.created_at.timestamp() for row in rows if row.run.created_at and row.run.status not in UNFINISHED]
    return max(times, default=None)


def _reach_back(rows: Sequence[api.MarkedRun], elapsed: float) -> bool:
    """Return True if *rows*, newest first, begin before the create: every run that it may have made is among them.

    Compares times of one clock, the server's: a run that is older than another by more than the create has taken until now was
    there before.
    """
    newest, oldest = _newest_begun(rows), rows[-1].run.created_at
    return newest is not None and oldest is not None and newest - oldest.timestamp() > elapsed + _SLACK


def _plain_id(thread_id: str) -> str:
    try:
        return str(uuid.UUID(thread_id))
    except ValueError:
        return thread_id

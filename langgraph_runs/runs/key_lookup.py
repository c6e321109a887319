"""Looks for the run of an idempotency key on its thread, and removes a second one that slipped through with it."""

from __future__ import annotations

from typing import List, Optional, Tuple

from .. import api
from ..call import Scope, at_moments, states_absence
from ..errors import ConflictError, CreateUncertainError, NotFoundError
from ..http import CommonOptions, Transport
from ..markers import is_cut
from ..server_traits import ServerTraits
from .create_once import SETTLING
from .pagination import PageReader
from .request_marker import RequestMarker
from .run_lookup import is_thread_absent

__all__ = ["KeyLookup"]

#: Runs on the first page, and on further pages.
_FEW, _MANY = 20, 500


class KeyLookup:
    """Looks for the run of one key on one thread.

    *Evidence of presence* is a run whose marker has the key. *Evidence of absence* is the server's whole list of the thread's
    runs, not from a cache, in which every run shows its metadata and none has the key; or the server's statement that it does not
    have the thread. All else raises `CreateUncertainError`. If the server shows no metadata of runs, the oldest run on a thread
    that is derived from the key is the run of the key.
    """

    def __init__(
        self,
        transport: Transport,
        traits: ServerTraits,
        thread_id: str,
        marker: RequestMarker,
        options: CommonOptions,
        scope: Scope,
        *,
        derived: bool,
    ) -> None:
        self._transport = transport
        self._traits = traits
        self._thread_id = thread_id
        self._marker = marker
        self._options = options
        self._scope = scope
        self._derived = derived

    def look(self, own: Optional[str] = None) -> Optional[api.MarkedRun]:
        """Return the run of the key, the oldest if there are several; None if there is evidence that there is none.

        Others are removed, also that with the id *own*, which the call has just created.
        """
        attempts = self._scope.attempts
        try:
            for _ in at_moments(self._scope, SETTLING):
                rows, problem = self._read()
                if own is None or any(row.run.run_id == own or self._marker.is_on(row) for row in rows):
                    break  # else the list is of a copy of the data that is behind, which may lack an older run too
        except NotFoundError as error:
            if not (states_absence(error) and is_thread_absent(self._transport, self._scope, self._thread_id, self._options)):
                raise
            return None
        finally:
            self._scope.attempts = attempts  # the requests of the look-up have counted theirs
        of_key = sorted((row for row in rows if self._marker.is_on(row)), key=_age)
        if of_key:
            of_key[0].note_in(self._traits, shows_marker=self._marker.is_shown_by(of_key[0]))
            self._remove_younger(of_key, own)
            return of_key[0]
        shown = [self._shows_its_marker(row) for row in rows]
        if problem is None and not all(shown):
            if self._derived and not any(shown):
                return min(rows, key=_age)  # the thread was made for the run of the key
            problem = "the server does not show the metadata of runs"
        if problem is not None:
            message = f"idempotency_key: it is not known whether the key has a run on the thread: {problem}"
            raise self._scope.identify(CreateUncertainError(message, sent=own is not None, request_id=self._marker.request_id))
        return None

    def _shows_its_marker(self, row: api.MarkedRun) -> bool:
        """Return True if the server shows the marker of a run like *row*, if it was created with one.

        Metadata without a marker are no evidence if the server has dropped that of another create, or shows no metadata of others.
        """
        if row.marker is not None:
            return not is_cut(row.marker)
        if self._traits.shows_marker is not None:
            return self._traits.shows_marker and row.has_metadata
        return row.has_metadata and bool(row.run.metadata or row.run.config)

    def _read(self) -> Tuple[List[api.MarkedRun], Optional[str]]:
        """Return all runs of the thread, and why the list is no evidence of absence, or None."""
        from_cache = False

        def fetch(limit: int, offset: int) -> List[api.MarkedRun]:
            nonlocal from_cache
            listed = api.list_marked_runs(self._transport, self._scope, self._thread_id, self._options, limit=limit, offset=offset)
            from_cache = from_cache or listed.from_cache
            return listed.rows

        reader: PageReader[api.MarkedRun] = PageReader(fetch, lambda row: row.run.run_id, size=_FEW, thorough=True)
        while reader.complete is None:
            reader.read()
            reader.size = _MANY
        if not reader.complete:
            return reader.rows, "the server does not show all runs of the thread"
        return reader.rows, "the list of runs came from a cache" if from_cache else None

    def _remove_younger(self, of_key: List[api.MarkedRun], own: Optional[str]) -> None:
        """Cancel and delete the runs of the key that creates with the key have made after the oldest one.

        A run with the very marker of the oldest one was made by the same create, which a proxy has sent twice, or another program
        has created it, and it has inherited the marker from the thread's metadata. It stays unless the thread has no marker.
        """
        younger = of_key[1:]
        copies = [row for row in younger if row.marker == of_key[0].marker and row.run.run_id != own]
        inherited = bool(copies) and api.has_marker(self._transport, self._scope, self._thread_id, self._options)
        for row in younger:
            if not (inherited and row in copies):
                self.remove(row.run.run_id)

    def remove(self, run_id: str) -> None:
        """Cancel a run and, when it has stopped, delete it."""
        try:
            api.cancel_run(self._transport, self._scope, self._thread_id, run_id, self._options, wait=True)
        except (NotFoundError, ConflictError):
            pass  # it has ended, or another call has removed it
        try:
            api.delete_run(self._transport, self._scope, self._thread_id, run_id, self._options)
        except NotFoundError:
            pass


def _age(row: api.MarkedRun) -> Tuple[float, str]:
    """Return what puts runs in the order of their creation, the same for every call."""
    created = row.run.created_at
    return (float("inf") if created is None else created.timestamp(), row.run.run_id)

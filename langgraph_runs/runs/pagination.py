"""Lists runs: the filters of the server and of this library, and iteration over pages that shift while runs come and go."""

from __future__ import annotations

import datetime
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

import attrs

from ..api import list_runs
from ..call import Scope
from ..errors import InvalidRequestError, ResponseDecodeError
from ..http import CommonOptions, Transport
from ..models import RUN_STATUSES, Run
from ..validation import check_choice

__all__ = ["Filters", "pages"]

#: How often the same page may come at growing offsets, since as many new runs as it holds may have been created meanwhile.
_REPEATED = 10
#: The smallest default page of a server. A shorter page is the last one; a longer one that is shorter than the requested limit
#: may be the most that the server returns at a time.
_FEWEST = 10
_COLUMNS = (
    "run_id",
    "thread_id",
    "assistant_id",
    "created_at",
    "updated_at",
    "status",
    "metadata",
    "kwargs",
    "multitask_strategy",
    "langsmith_session_name",
)


@attrs.frozen
class Filters:
    """The filters of a list of runs, and the fields to return."""

    status: Optional[str]
    select: Tuple[str, ...]
    metadata: Mapping[str, Any]
    created_after: Optional[datetime.datetime]
    created_before: Optional[datetime.datetime]

    @classmethod
    def checked(
        cls,
        status: Optional[str],
        select: Optional[Sequence[str]],
        metadata: Optional[Mapping[str, Any]],
        created_after: Optional[datetime.datetime],
        created_before: Optional[datetime.datetime],
    ) -> Filters:
        """Return the filters from the arguments of `list`. Raise `InvalidRequestError` for a wrong argument."""
        if status is not None:
            check_choice("status", status, RUN_STATUSES)
        if isinstance(select, str):
            raise InvalidRequestError(f"select={select!r}: give a list of field names")
        for column in select or ():
            check_choice("select", column, _COLUMNS)
        if metadata is not None and not isinstance(metadata, Mapping):
            raise InvalidRequestError(f"metadata={metadata!r}: give an object (dict)")
        for name, moment in (("created_after", created_after), ("created_before", created_before)):
            if moment is not None and (not isinstance(moment, datetime.datetime) or moment.tzinfo is None):
                raise InvalidRequestError(f"{name}={moment!r}: give a datetime with a time zone")
        return cls(status, tuple(select or ()), metadata or {}, created_after, created_before)

    @property
    def filter_here(self) -> bool:
        """True if the server cannot apply all filters, so that runs are filtered here."""
        return bool(self.metadata or self.created_after or self.created_before)

    @property
    def selected(self) -> Tuple[str, ...]:
        """The fields to request: those of *select*, and those that the filters here need. Empty: all fields."""
        if not self.select:
            return ()
        wanted = list(self.select)
        needed = (("metadata", self.metadata), ("created_at", self.created_after or self.created_before))
        wanted += [name for name, used in needed if used and name not in wanted]
        return tuple(wanted)

    def match(self, run: Run) -> bool:
        """Return True if *run* passes the filters that are applied here."""
        if any(name not in run.metadata or run.metadata[name] != value for name, value in self.metadata.items()):
            return False
        if self.created_after is not None and (run.created_at is None or run.created_at <= self.created_after):
            return False
        return self.created_before is None or (run.created_at is not None and run.created_at < self.created_before)


def pages(
    transport: Transport, scope: Scope, thread_id: str, filters: Filters, options: CommonOptions, *, page_size: int
) -> Iterator[Run]:
    """Yield all runs that match the filters of the server, newest first, each once.

    The server pages only by offset. When runs are created, rows move down, and would come twice; when runs are deleted, rows move
    up, and would be skipped. So each page begins with the last row of the page before. If that row is missing, pages are read
    backwards until a known row is found.
    """
    seen: Set[str] = set()
    before: List[str] = []
    offset = repeated = 0
    reach = limit = max(2, page_size)
    select = filters.selected
    if select and "run_id" not in select:
        select += ("run_id",)
    while True:
        rows = list_runs(transport, scope, thread_id, options, limit=limit, offset=offset, status=filters.status, select=select)
        if offset > 0 and not any(run.run_id in seen for run in rows):
            offset = max(0, offset - reach + 1)
            continue
        for run in rows:
            if run.run_id not in seen:
                seen.add(run.run_id)
                yield run
        ids = [run.run_id for run in rows]
        if len(rows) < min(limit, _FEWEST):
            return
        # A page may be short because the server limits its pages to fewer rows than requested.
        reach = min(limit, max(2, len(rows)))
        offset += len(rows) - 1
        repeated = repeated + 1 if ids == before else 0
        before = ids
        if repeated == _REPEATED:
            if len(rows) < limit:
                return  # the page has all runs, and the server ignores the offset
            problem = f"$: the same {len(rows)} runs whatever the offset"
            raise scope.identify(ResponseDecodeError(f"the server does not page: {problem}", problems=(problem,)))

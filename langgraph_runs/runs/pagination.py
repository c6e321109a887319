"""Listing runs: filters of the server and of this library, and iterating over pages that shift while runs come and go."""

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

#: The same page may come this often at growing offsets: as many runs may have been created meanwhile as it holds.
_REPEATED = 10
#: A page that is shorter than its limit may be all that the server gives at a time, but no server gives fewer than its default.
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
    """Which runs are wanted, and which of their fields."""

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
        """From the arguments of `list`, or `InvalidRequestError`."""
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
        """Whether the server cannot apply all filters, so that runs are filtered here."""
        return bool(self.metadata or self.created_after or self.created_before)

    @property
    def selected(self) -> Tuple[str, ...]:
        """The fields to request: those of *select*, and what the filters here need; empty for all."""
        if not self.select:
            return ()
        wanted = list(self.select)
        needed = (("metadata", self.metadata), ("created_at", self.created_after or self.created_before))
        wanted += [name for name, used in needed if used and name not in wanted]
        return tuple(wanted)

    def match(self, run: Run) -> bool:
        """Whether *run* passes the filters that are applied here."""
        if any(name not in run.metadata or run.metadata[name] != value for name, value in self.metadata.items()):
            return False
        if self.created_after is not None and (run.created_at is None or run.created_at <= self.created_after):
            return False
        return self.created_before is None or (run.created_at is not None and run.created_at < self.created_before)


def pages(
    transport: Transport, scope: Scope, thread_id: str, filters: Filters, options: CommonOptions, *, page_size: int
) -> Iterator[Run]:
    """All runs that the server's own filters admit, newest first, each once.

    The server pages by offset alone, and rows shift when runs are created (down: they would come twice) or deleted (up: they
    would be skipped). So each page begins with the last row of the one before; where that row is missing, pages are read
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
        # A page may be short because the server limits pages, whatever was requested.
        reach = min(limit, max(2, len(rows)))
        offset += len(rows) - 1
        repeated = repeated + 1 if ids == before else 0
        before = ids
        if repeated == _REPEATED:
            if len(rows) < limit:
                return  # these were all, and the server ignores the offset
            problem = f"$: the same {len(rows)} runs whatever the offset"
            raise scope.identify(ResponseDecodeError(f"the server does not page: {problem}", problems=(problem,)))

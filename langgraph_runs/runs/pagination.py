"""Pages of runs: the server's filters and ours, and iterating over rows that shift while runs come and go."""

from __future__ import annotations

import datetime
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

import attrs

from ..call import Scope
from ..errors import InvalidRequestError, ResponseDecodeError
from ..http import CommonOptions, Request, Response, Transport
from ..models import RUN_STATUSES, Run
from ..serialization import decode_body, decode_list
from ..validation import check_choice

__all__ = ["Filters", "pages"]

#: So often the same page may come at growing offsets, since as many runs may have been created meanwhile as it holds.
_REPEATED = 10
#: A page that is shorter than was asked for may be all that the server gives at a time; but none gives fewer than its default.
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
    def ours(self) -> bool:
        """Whether something is filtered on our side."""
        return bool(self.metadata or self.created_after or self.created_before)

    @property
    def query(self) -> List[Tuple[str, str]]:
        """What the server filters."""
        pairs = [] if self.status is None else [("status", self.status)]
        wanted = list(self.select)
        if wanted and self.ours:
            # Ours need their fields, selected or not.
            needed = (("metadata", self.metadata), ("created_at", self.created_after or self.created_before))
            wanted += [name for name, used in needed if used and name not in wanted]
        return pairs + [("select", name) for name in wanted]

    def decode(self, answer: Response, thread_id: str) -> List[Run]:
        """The runs of one page; fields that were not selected are filled with what stands for "not known"."""
        rows = decode_body(answer.body)
        if self.select and isinstance(rows, list):
            rows = [_complete(row, thread_id) for row in rows]
        return decode_list(rows, Run)

    def match(self, run: Run) -> bool:
        """Whether *run* passes the filters on our side."""
        if any(name not in run.metadata or run.metadata[name] != value for name, value in self.metadata.items()):
            return False
        if self.created_after is not None and (run.created_at is None or run.created_at <= self.created_after):
            return False
        return self.created_before is None or (run.created_at is not None and run.created_at < self.created_before)


def _complete(row: Any, thread_id: str) -> Any:
    # A selection may leave out what every run has; empty text is what cannot be mistaken for a value.
    return {"run_id": "", "thread_id": thread_id, "status": "", **row} if isinstance(row, dict) else row


def pages(
    transport: Transport, path: str, filters: Filters, given: CommonOptions, scope: Scope, thread_id: str, *, page_size: int
) -> Iterator[Run]:
    """All runs, newest first, each once.

    The server pages by offset alone, and rows shift when runs are created (down: they would come twice) or deleted (up: they
    would be skipped). So each page begins with the last row of the one before; where that row is gone, pages are read backwards
    until a known row is found.
    """
    seen: Set[str] = set()
    before: List[str] = []
    offset = repeated = 0
    reach = limit = max(2, page_size)
    known = [("select", "run_id")] if filters.select and "run_id" not in filters.select else []
    while True:
        query = [("limit", limit), ("offset", offset), *filters.query, *known, *given.params]
        request = Request(method="GET", path=path, query=query, headers=given.headers)
        rows = filters.decode(transport.call(request, scope), thread_id)
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
        # A page may be short since the server gives no more at a time, whatever was asked.
        reach = min(limit, max(2, len(rows)))
        offset += len(rows) - 1
        repeated = repeated + 1 if ids == before else 0
        before = ids
        if repeated == _REPEATED:
            if len(rows) < limit:
                return  # these were all, and the server knows no offset
            problem = f"$: the same {len(rows)} runs whatever the offset"
            raise scope.identify(ResponseDecodeError(f"the server does not page: {problem}", problems=(problem,)))

"""Lists runs: reads pages that shift while runs come and go, and puts runs in order, whatever the server's order and paging."""

from __future__ import annotations

import datetime
import itertools
from typing import Any, Callable, Generic, Iterator, List, Mapping, Optional, Sequence, Set, Tuple, TypeVar

import attrs

from ..api import list_runs
from ..call import Scope, raise_foreign
from ..errors import APIStatusError, BadRequestError, InvalidRequestError, ResponseDecodeError, UnprocessableEntityError
from ..fields import as_object
from ..http import CommonOptions, Transport
from ..models import RUN_STATUSES, Run
from ..options import Time
from ..server_traits import ServerTraits
from ..times import parse_time
from ..validation import check_choice, shown

__all__ = ["Filters", "PageReader", "list_newest", "pages", "shows_newest_first"]

T = TypeVar("T")

#: How often the same page may come at growing offsets, since as many new runs as it holds may have been created meanwhile.
_REPEATED = 10
#: The smallest default page of a server. A shorter page is the last one; a longer one that is shorter than the requested limit
#: may be the most that the server returns at a time.
_FEWEST = 10
#: Runs per request, when all of a thread are needed.
_MANY = 500
#: The numbers of rows to request after the server has refused more at a time.
_SMALLER = (100, 50, 20, _FEWEST)
#: How many pages without a known row a thorough reader reads, before it gives up.
_BACKWARDS = 5
_BEGINNING = datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)
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
        created_after: Optional[Time],
        created_before: Optional[Time],
    ) -> Filters:
        """Return the filters from the arguments of `list`. Raise `InvalidRequestError` for a wrong argument."""
        if status is not None:
            check_choice("status", status, RUN_STATUSES)
        if isinstance(select, str):
            raise InvalidRequestError(f"select={shown(select)}: give a list of field names")
        for column in select or ():
            check_choice("select", column, _COLUMNS)
        if metadata is not None:
            metadata = as_object("metadata", metadata)
        after, before = _moment("created_after", created_after), _moment("created_before", created_before)
        return cls(status, tuple(select or ()), metadata or {}, after, before)

    @property
    def filter_here(self) -> bool:
        """True if the server cannot apply all filters, so that runs are filtered here."""
        return bool(self.metadata or self.created_after or self.created_before)

    @property
    def selected(self) -> Tuple[str, ...]:
        """The fields to request: those of *select*, and those that order, pages and filters need. Empty: all fields."""
        if not self.select:
            return ()
        wanted = list(self.select)
        needed = (("run_id", True), ("metadata", self.metadata), ("created_at", True))
        wanted += [name for name, used in needed if used and name not in wanted]
        return tuple(wanted)

    def without_unselected(self, run: Run) -> Run:
        """Return *run* without the time that was requested only to put the runs in order."""
        if not self.select or "created_at" in self.select or self.created_after or self.created_before:
            return run
        return attrs.evolve(run, created_at=None)

    def match(self, run: Run) -> bool:
        """Return True if *run* passes the filters that are applied here."""
        if any(name not in run.metadata or run.metadata[name] != value for name, value in self.metadata.items()):
            return False
        if self.created_after is not None and (run.created_at is None or run.created_at <= self.created_after):
            return False
        return self.created_before is None or (run.created_at is not None and run.created_at < self.created_before)


def _moment(name: str, value: Any) -> Optional[datetime.datetime]:
    """Return *value*, a datetime or ISO 8601 text, as a datetime with a time zone. Raise `InvalidRequestError`."""
    if value is None:
        return None
    moment = value
    if isinstance(value, str):
        try:
            # A text that is a time with an offset behind it has none of its own.
            moment = None if parse_time(f"{value}Z") is not None else parse_time(value)
        except ValueError as error:
            raise_foreign(error)
            moment = None
    if not isinstance(moment, datetime.datetime) or moment.tzinfo is None:
        raise InvalidRequestError(f"{name}={shown(value)}: give a datetime with a time zone, or text such as 2026-11-21T01:09:53Z")
    return moment


def shows_newest_first(runs: Sequence[Run]) -> Optional[bool]:
    """Return True if *runs* are in the order of their creation, newest first; False if not; None if they do not show an order."""
    times = [run.created_at or _BEGINNING for run in runs]
    if any(earlier < later for earlier, later in zip(times, times[1:])):
        return False
    return True if any(earlier > later for earlier, later in zip(times, times[1:])) else None


class PageReader(Generic[T]):
    """Reads the rows of a list page by page, each row once.

    Servers page by offset. When runs are created, rows move down, and would come twice; when runs are deleted, rows move up, and
    would be skipped. So each page begins with the last row of the page before. If that row is missing, pages are read backwards
    until a known row is found.

    On some servers ``limit`` is the position of the end of a page, not its length, so that the second page has only the row that
    is known. A full page that is followed by such a page is therefore requested again with a larger limit.
    """

    def __init__(
        self, fetch: Callable[[int, int], List[T]], id_of: Callable[[T], str], *, size: int, thorough: bool = False
    ) -> None:
        self._fetch = fetch
        self._id_of = id_of
        #: The number of rows to request at a time.
        self.size = max(2, size)
        #: True if a short page is not taken for the last one, since the server may return fewer rows than were requested.
        self._thorough = thorough
        #: All rows so far, in the server's order.
        self.rows: List[T] = []
        #: The rows of the last page, with those that are known.
        self.page: List[T] = []
        #: True when all rows were read; False if the server does not page in a way that shows it. None before.
        self.complete: Optional[bool] = None
        self._seen: Set[str] = set()
        self._before: List[str] = []
        self._offset = self._repeated = self._backwards = 0
        self._reach = self.size
        #: True if a page ended at the position that ``limit`` would be, if it was the end of a page.
        self._reached_limit = False
        #: What ``limit`` is on this server, as far as pages have shown it.
        self._limit_is_length = self._limit_is_end = False
        #: The most rows to request at a time, if the server has refused more.
        self._most: Optional[int] = None

    def read(self) -> List[T]:
        """Request one page and return its new rows; it may have none. Sets *complete* at the end."""
        limit = self._fetch_page()
        rows = self.page
        ids = [self._id_of(row) for row in rows]
        if self._offset > 0 and not self._seen.intersection(ids):
            self._offset = max(0, self._offset - self._reach + 1)
            self._backwards += 1
            if self._thorough and self._backwards > _BACKWARDS:
                self.complete = False
            return []
        fresh = [row for row, run_id in zip(rows, ids) if run_id not in self._seen]
        self._seen.update(ids)
        self.rows += fresh
        if len(rows) > limit - self._offset and self._offset > 0:
            self._limit_is_length = True
        if self._is_last(ids, fresh):
            if self._offset > 0 and self._reached_limit and not self._limit_is_length and not self._limit_is_end:
                self._limit_is_end = True  # perhaps: the next page shows whether more rows follow
            else:
                self.complete = True
        else:
            # A page may be short because the server limits its pages to fewer rows than requested.
            self._reach = min(limit, max(2, len(rows)))
            self._reached_limit = self._offset + len(rows) >= limit
            self._offset += len(rows) - 1
            self._count_repeated(ids)
        return fresh

    def _fetch_page(self) -> int:
        """Request *page*, with fewer rows if the server refuses so many. Return the limit."""
        while True:
            size = self.size if self._most is None else min(self.size, self._most)
            limit = self._offset + size if self._limit_is_end else size
            try:
                self.page = self._fetch(limit, self._offset)
                return limit
            except (BadRequestError, UnprocessableEntityError) as error:
                smaller = next((most for most in _SMALLER if most < size), None)
                if smaller is None or self._limit_is_end or not _refuses_limit(error):
                    raise
                self._most = smaller

    def _is_last(self, ids: List[str], fresh: List[T]) -> bool:
        """Return True if no rows follow this page, as far as it shows."""
        if len(ids) <= 1:
            return True
        if not self._thorough:
            return len(ids) < min(self.size, _FEWEST)
        # Known rows at the end, which have moved down. A server that ignores the offset begins with the first row again.
        return len(ids) < _FEWEST and not fresh and ids[0] != self._id_of(self.rows[0])

    def resume(self, fetch: Callable[[int, int], List[T]]) -> None:
        """Read on after the last row, which may not be the last any more, with another *fetch*."""
        self._fetch = fetch
        self.complete = None
        self._repeated = self._backwards = 0

    def _count_repeated(self, ids: List[str]) -> None:
        self._repeated = self._repeated + 1 if ids == self._before else 0
        self._before = ids
        if self._repeated == (_REPEATED if not self._thorough else 2):
            self.complete = False

    @property
    def last_page(self) -> int:
        """The number of rows on the last page that repeated the one before."""
        return len(self._before)


def pages(
    transport: Transport,
    scope: Scope,
    thread_id: str,
    filters: Filters,
    options: CommonOptions,
    traits: ServerTraits,
    *,
    page_size: int,
) -> Iterator[Run]:
    """Yield all runs that match the filters of the server, newest first, each once.

    If the first page shows that the server lists the newest first, pages are requested when they are needed. Else all are
    requested first.
    """
    select = filters.selected

    def fetch(limit: int, offset: int) -> List[Run]:
        return list_runs(transport, scope, thread_id, options, limit=limit, offset=offset, status=filters.status, select=select)

    reader = PageReader(fetch, _run_id, size=page_size)
    first = reader.read()
    order = shows_newest_first(first)
    traits.note_order(order)
    if order or (order is None and traits.lists_newest_first):
        yield from map(filters.without_unselected, first)
        while reader.complete is None:
            yield from map(filters.without_unselected, reader.read())
    else:
        reader.size = max(reader.size, _MANY)
        while reader.complete is None:
            reader.read()
        yield from map(filters.without_unselected, _sorted(reader.rows))
    if reader.complete is False and reader.last_page >= reader.size:
        problem = f"$: the same {reader.last_page} runs whatever the offset"
        raise scope.identify(ResponseDecodeError(f"the server does not page: {problem}", problems=(problem,)))


def list_newest(
    transport: Transport,
    scope: Scope,
    thread_id: str,
    filters: Filters,
    options: CommonOptions,
    traits: ServerTraits,
    *,
    limit: int,
    offset: int = 0,
) -> List[Run]:
    """Return at most *limit* runs that match the filters of the server, newest first, after skipping *offset*.

    One request, if the server is known to list the newest first, or if the response shows it; else all runs are requested.
    """
    known = traits.lists_newest_first
    if known is not False:
        requested = limit if known else max(2, limit)  # a single run shows no order

        def read(length: int, start: int) -> List[Run]:
            return list_runs(
                transport, scope, thread_id, options, limit=length, offset=start, status=filters.status, select=filters.selected
            )

        try:
            rows = read(requested, offset)
        except (BadRequestError, UnprocessableEntityError) as error:
            if requested <= _FEWEST or not _refuses_limit(error):
                raise
            rows = None
        if rows is not None:
            order = shows_newest_first(rows)
            traits.note_order(order)
            # A long page that is shorter than requested may be the most that the server returns at a time.
            all_of_them = not _FEWEST <= len(rows) < requested or not read(1, offset + len(rows))
            if all_of_them and (order or (order is None and known)):
                return [filters.without_unselected(run) for run in rows[:limit]]
            if offset == 0 and len(rows) < min(requested, _FEWEST):  # these are all
                return [filters.without_unselected(run) for run in _sorted(rows)[:limit]]
    every = pages(transport, scope, thread_id, filters, options, traits, page_size=_MANY)
    return list(itertools.islice(every, offset, offset + limit))


def _refuses_limit(error: APIStatusError) -> bool:
    """Return True if the server may have refused a request because its ``limit`` is too large."""
    return "limit" in str(error.body)


def _sorted(runs: Sequence[Run]) -> List[Run]:
    """Return *runs*, newest first. Of runs that were created at the same time, the later one in an ascending list is newer."""
    if shows_newest_first(runs) is False:
        runs = runs[::-1]
    return sorted(runs, key=lambda run: run.created_at or _BEGINNING, reverse=True)


def _run_id(run: Run) -> str:
    return run.run_id

"""One pass over all rows that are not up to date: what ``manage.py langgraph_runs sync`` does."""

from __future__ import annotations

import datetime
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Callable, Dict, Iterator, List, Optional

from django.db import Error, connections
from django.db.models import Q, QuerySet
from django.utils import timezone

from ... import APIConnectionError, LangGraphRunsError, NotFoundError
from ...call import states_absence
from ..clients import get_client
from .outcomes import carry_out_cancel, deliver, post, refresh
from .posting import LEASE
from .statuses import ENDED, Status
from .transitions import claim_some, note, reconnect_if_closed

if TYPE_CHECKING:
    from .models import AgentRun

__all__ = ["Sync"]

#: Rows that are claimed at a time, for each thread. Fewer than can be worked through before the claims expire.
_PAGE = 5


class Sync:
    """One pass. `changes` does the work and yields a line for each row that it has changed; *errors* then has what went wrong.

    Several passes may run at the same time: each row is worked on by one of them.

    Arguments:
        rows: The rows to look at.
        check_after: Started runs are requested that were not requested in these seconds.
        delete_threads_after: The threads of rows that have ended longer ago than this are deleted; None: no thread is.
        concurrency: How many runs are posted or requested at a time, each in a thread of its own if there are several.
    """

    def __init__(
        self,
        rows: QuerySet[AgentRun],
        *,
        check_after: float,
        delete_threads_after: Optional[datetime.timedelta] = None,
        concurrency: int = 1,
    ) -> None:
        self._rows = rows
        self._concurrency = concurrency
        self._began = timezone.now()
        self._check_after = datetime.timedelta(seconds=check_after)
        self._delete_after = delete_threads_after
        self.errors: List[Exception] = []
        #: Rows whose receivers of `run_finished` raised.
        self.failed_receivers = 0
        #: Servers that could not be reached, with the error. They get no further request in this pass.
        self._unreachable: Dict[str, LangGraphRunsError] = {}

    def changes(self) -> Iterator[str]:
        """Do the work, and yield a line of text for each change, when it was made."""
        cancelling = Q(cancel_requested_at__isnull=False)
        yield from self._each(self._rows.filter(status=Status.QUEUED), lambda row: post(row, claimed=True))
        yield from self._each(self._rows.filter(cancelling, status=Status.STARTED), carry_out_cancel)
        yield from self._each(self._rows.filter(self._is_due(), status=Status.STARTED), refresh)
        self._report()
        if self._delete_after is not None:
            yield from self._deleted_threads(self._began - self._delete_after)

    def _is_due(self) -> Q:
        before = self._began - self._check_after
        return Q(checked_at__lt=before) | Q(checked_at__isnull=True, started_at__lt=before)

    def _each(self, rows: QuerySet[AgentRun], work: Callable[[AgentRun], bool]) -> Iterator[str]:
        """Do *work* for each of the rows that no other process has, and yield a line for each one whose status has changed."""
        keys = list(rows.order_by("changed_at", "pk").values_list("pk", flat=True))
        size = _PAGE * self._concurrency
        for first in range(0, len(keys), size):
            reachable = rows.exclude(server__in=list(self._unreachable))
            page = claim_some(reachable.filter(pk__in=keys[first : first + size]), LEASE, size)
            before = [row.status for row in page]
            self._work_on(page, work)
            for row, old in zip(page, before):
                if row.status != old:
                    yield _line(row, old)

    def _work_on(self, rows: List[AgentRun], work: Callable[[AgentRun], bool]) -> None:
        if self._concurrency == 1:  # in this thread, whose transaction the rows may be in, as in tests
            for row in rows:
                self._try(row, work)
            return

        def in_thread(row: AgentRun) -> None:
            try:
                self._try(row, work)
            finally:
                connections.close_all()  # those of this thread

        with ThreadPoolExecutor(self._concurrency, "langgraph-runs-sync") as pool:
            list(pool.map(in_thread, rows))

    def _try(self, row: AgentRun, work: Callable[[AgentRun], bool]) -> None:
        """Do *work*, unless the row's server is known to be unreachable, and give the claim back."""
        sent_before = row.was_claimed
        if row.server in self._unreachable:
            note(row, claimed_until=self._began if sent_before else None)
            return
        try:
            work(row)
        except (LangGraphRunsError, Error) as error:
            self._note_error(row, error)
        if row.status == Status.STARTED:
            note(row, claimed_until=None)

    def _note_error(self, row: AgentRun, error: Exception) -> None:
        """Note what went wrong for one row, such as values that the database refuses. It does not stop the others."""
        self.errors.append(error)
        if isinstance(error, Error):
            reconnect_if_closed(row._state.db)
        if isinstance(error, APIConnectionError):
            self._unreachable[row.server] = error

    def _report(self) -> None:
        """Send `run_finished` for the runs whose end was stored by a process that was killed before it sent it."""
        for row in _one_by_one(self._rows.filter(unreported=True)):
            if not deliver(row):
                self.failed_receivers += 1

    def _deleted_threads(self, before: datetime.datetime) -> Iterator[str]:
        """Delete the threads that were made for rows which have ended before this moment."""
        old = self._rows.filter(status__in=ENDED, finished_at__lt=before, own_thread_ids__isnull=False, unreported=False)
        for row in _one_by_one(old):
            if row.server in self._unreachable:
                continue
            try:
                for thread_id in row.own_thread_ids or []:
                    _delete_thread(row, thread_id)
            except LangGraphRunsError as error:
                self._note_error(row, error)
                continue
            count = len(row.own_thread_ids or [])
            if note(row, own_thread_ids=None):
                yield f"{row.pk} {row.status}: deleted {count} thread{'s' if count > 1 else ''}"


def _one_by_one(rows: QuerySet[AgentRun]) -> Iterator[AgentRun]:
    """Yield each of the rows as it is then. No cursor is open meanwhile, which a transaction would end."""
    for key in list(rows.values_list("pk", flat=True)):
        row = rows.filter(pk=key).first()
        if row is not None:
            yield row


def _delete_thread(row: AgentRun, thread_id: str) -> None:
    """Delete a thread, unless the server itself says that it does not exist: an earlier call has deleted it."""
    try:
        get_client(row.server).threads.delete(thread_id)
    except NotFoundError as error:
        if not states_absence(error):
            raise


def _line(row: AgentRun, old: str) -> str:
    error = f": {row.error}" if row.error and row.status in ENDED else ""
    return f"{row.pk} {old} -> {row.status}{error}"

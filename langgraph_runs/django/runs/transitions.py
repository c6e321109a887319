"""How rows change: only by UPDATEs that name the status and the run that the row must still have.

So two processes that change a row at the same time do not overwrite each other's change, on every database and without locks.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Collection, List, Optional

from django.db import connections, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from .signals import run_status_changed
from .statuses import Status

if TYPE_CHECKING:
    from .models import AgentRun

__all__ = ["change", "claim", "claim_some", "newest", "note", "read_again", "reconnect_if_closed", "send_status_changed"]

#: How often a change is tried again because another process has changed the row meanwhile.
_TRIES = 5


def change(row: AgentRun, when: Collection[Status], *conditions: Q, **fields: Any) -> bool:
    """Set *fields* if the row has one of the statuses *when*, and still the run that it had when *row* was read.

    Return True if they were set; *row* then has them, and `run_status_changed` is sent after the commit if the status is another
    one. Otherwise *row* is read again.
    """
    number, now = row.run_number, timezone.now()
    if row.status not in when and not read_again(row):
        return False
    for _ in range(_TRIES):
        old = Status(row.status)
        if old not in when or row.run_number != number:
            return False
        if _same(row).filter(*conditions).update(changed_at=now, **fields):
            for name, value in {**fields, "changed_at": now}.items():
                setattr(row, name, value)
            if row.status != old:
                send_status_changed(row, old)
            return True
        if not read_again(row):
            return False
        if old == row.status and conditions:
            return False
    return False


def note(row: AgentRun, *conditions: Q, **fields: Any) -> bool:
    """Set *fields* that are no change of the row's state, if it still has its status and its run, and *conditions* hold."""
    if not _same(row).filter(*conditions).update(**fields):
        return False
    for name, value in fields.items():
        setattr(row, name, value)
    return True


def newest(rows: QuerySet[AgentRun]) -> QuerySet[AgentRun]:
    """Return *rows* so that the query reads what others have committed until now.

    MySQL and MariaDB do so in transactions of Django's default isolation level. In one of ``REPEATABLE READ``, which a site may
    choose, a query reads what was there at its first one, whereas an UPDATE finds the newest row; only a locking read does as well.
    """
    connection: Any = connections[rows.db]
    if connection.vendor != "mysql" or not connection.in_atomic_block or connection.isolation_level == "read committed":
        return rows
    return rows.select_for_update()


def read_again(row: AgentRun) -> bool:
    """Read *row* from the database; return False if it was deleted."""
    rows = newest(_all(row).filter(pk=row.pk))
    if rows.query.select_for_update:  # refresh_from_db cannot do that before Django 5.1
        names = {field.attname for field in row._meta.concrete_fields} - row.get_deferred_fields()
        found = rows.values(*names).first()
        for name, value in (found or {}).items():
            setattr(row, name, value)
        return found is not None
    try:
        row.refresh_from_db()
    except type(row).DoesNotExist:
        return False
    return True


def reconnect_if_closed(using: Optional[str]) -> None:
    """Let this thread open a new connection to the database if the database or the network has ended the one that it has.

    Django does this between the requests of a site only. A transaction is over with its connection, so it gets its error.
    """
    connection = transaction.get_connection(using)
    if connection.connection is not None and not connection.in_atomic_block and not connection.is_usable():
        connection.close()


def _same(row: AgentRun) -> QuerySet[AgentRun]:
    return _all(row).filter(pk=row.pk, run_number=row.run_number, status=row.status)


def _all(row: AgentRun) -> QuerySet[AgentRun]:
    return type(row)._default_manager.using(row._state.db)


def send_status_changed(row: AgentRun, old: str) -> None:
    """Send `run_status_changed` after the commit."""
    new, model = row.status, type(row)

    def send() -> None:
        run_status_changed.send_robust(sender=model, row=row, old=old, new=new)  # logs what the receivers raise

    transaction.on_commit(send, using=row._state.db, robust=True)


# -- claims: which process works on a row


def _is_free(now: datetime.datetime) -> Q:
    return Q(claimed_until=None) | Q(claimed_until__lt=now)


def claim(row: AgentRun, seconds: float) -> bool:
    """Reserve the row for this process for some seconds; return False if another one has it, or if the row has changed.

    A claim spares requests; it is not what prevents a second run. A process that is killed leaves its claim, which then expires.
    """
    for _ in range(2):
        now, before = timezone.now(), row.claimed_until
        if before is None or before < now:
            until = now + datetime.timedelta(seconds=seconds)
            unchanged = Q(claimed_until__isnull=True) if before is None else Q(claimed_until=before)
            if _same(row).filter(unchanged).update(claimed_until=until):
                row.claimed_until, row.was_claimed = until, before is not None
                return True
        if not read_again(row):
            return False
    return False


def claim_some(rows: QuerySet[AgentRun], seconds: float, limit: int) -> List[AgentRun]:
    """Return at most *limit* of *rows* that no other process has, those that have waited longest first, reserved for this one.

    Where the database has ``SKIP LOCKED``, rows that another process is just claiming are skipped and not waited for. Elsewhere
    each row is claimed by an UPDATE of its own.
    """
    free = rows.filter(_is_free(timezone.now())).order_by("changed_at", "pk")
    if not connections[rows.db].features.has_select_for_update_skip_locked:
        return [row for row in free[:limit] if claim(row, seconds)]
    with transaction.atomic(using=rows.db):
        return [row for row in free.select_for_update(skip_locked=True)[:limit] if claim(row, seconds)]

"""``AgentRun.objects``: starting a run within a transaction, and finding rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Optional

from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, OperationalError, models, router, transaction
from django.urls import NoReverseMatch

from ... import IdempotencyConflictError, InvalidRequestError
from ...payloads import RunsCreatePayload, names_of
from ...runs import check_key
from ...validation import check_id, check_known
from ..clients import get_client
from ..configurations import option
from ..webhooks import webhook_url
from .statuses import ENDED, Status
from .stored_json import levels_of, storable, to_store
from .transitions import newest, send_status_changed

if TYPE_CHECKING:
    from .models import AgentRun

__all__ = ["AgentRunManager", "AgentRunQuerySet"]


#: Options of a run that a row has itself, or that would take its thread away before the row is up to date.
_NOT_FOR_ROWS = frozenset({"input", "on_completion", "if_not_exists"})
#: Characters of a text that a row stores.
_LONGEST = 255
#: The number of this error in MySQL and MariaDB.
_DEADLOCK = 1213
_OPTIONS = tuple(name for name in names_of(RunsCreatePayload) if name not in _NOT_FOR_ROWS)


class AgentRunQuerySet(models.QuerySet["AgentRun"]):
    """Rows."""

    def unfinished(self) -> AgentRunQuerySet:
        """Return the rows that are queued or started."""
        return self.filter(status__in=(Status.QUEUED, Status.STARTED))

    def ended(self) -> AgentRunQuerySet:
        """Return the rows to which nothing more happens by itself."""
        return self.filter(status__in=ENDED)

    def about(self, item: models.Model) -> AgentRunQuerySet:
        """Return the rows of runs that are about this object."""
        return self.filter(content_type=ContentType.objects.get_for_model(item), object_id=str(item.pk))


class AgentRunManager(models.Manager.from_queryset(AgentRunQuerySet)):  # type: ignore[misc]
    """The manager of `AgentRun`."""

    def start(
        self,
        assistant: str,
        input: Any = None,
        *,
        owner: Any = None,
        about: Optional[models.Model] = None,
        key: Optional[str] = None,
        server: str = "default",
        post: bool = True,
        **options: Any,
    ) -> AgentRun:
        """Write the row of a new run in the caller's transaction, and post the run to the server after the commit.

        If the transaction is rolled back, there is no run. If the process is killed after the commit, or if the server cannot be
        reached, the row stays queued, and ``manage.py langgraph_runs sync`` posts it. The run is created once, whatever happens.
        Outside of a transaction the run is posted before this method returns. Posting blocks for one request.

        Arguments:
            assistant, input: As for ``client.runs.create``. The input is stored as JSON.
            owner: A user. An anonymous user counts as None.
            about: The object that the run is about, of any saved model.
            key: One row for each key: if there is one, it is returned, and its ``replayed`` is True. For a form that is posted
                twice, and for tasks that are delivered twice.
            server: The name of a configuration in ``LANGGRAPH_RUNS``.
            post: False: call ``row.post()`` yourself after the commit, for example in a task queue.
            options: Further arguments of ``client.runs.create``, such as ``thread_id``, ``metadata`` and ``config``. They are
                stored as JSON. The default of ``stream_resumable`` is True; that of ``webhook`` is `webhook_url`, if the site has
                the view and ``WEBHOOK_BASE_URL`` is set.

        Raises `InvalidRequestError` before anything is written, and `IdempotencyConflictError` if the row of *key* has another
        assistant, input or options.
        """
        using = self._db or router.db_for_write(self.model)
        row: AgentRun = self.model(
            assistant=check_id("assistant", assistant),
            owner=owner if getattr(owner, "is_authenticated", False) else None,
            key=None if key is None else check_key("key", key),
            server=server,
            **_checked(input, options, server, using),
        )
        if about is not None:
            if about.pk is None:
                raise InvalidRequestError("about=...: save the object first, so that it has a primary key")
            row.content_type, row.object_id = ContentType.objects.get_for_model(about), str(about.pk)
        for name, text in (("assistant", row.assistant), ("key", row.key), ("thread_id", row.options.get("thread_id"))):
            _check_text(name, text)
        written = self._written(row, using)
        if written.status == Status.QUEUED and post:
            written.post_after_commit()
        return written

    def _written(self, row: AgentRun, using: str) -> AgentRun:
        """Insert the row, or return the one that has its key."""
        try:  # the first statement writes, since SQLite refuses a transaction that reads first if another one writes meanwhile
            self._insert(row, using)
        except IntegrityError:
            found: Optional[AgentRun] = newest(self.using(using).filter(key=row.key)).first() if row.key is not None else None
            if found is None or found.key != row.key:
                raise
        else:
            send_status_changed(row, "")
            return row
        _check_same(found, row)
        found.replayed = True
        return found

    def _insert(self, row: AgentRun, using: str, *, tries: int = 5) -> None:
        """Insert the row. Outside of a transaction of the caller, repeat this if MySQL or MariaDB ends it because of a deadlock.

        That happens to all but one of those that wait for another transaction with the same key, if it is rolled back.
        """
        connection: Any = transaction.get_connection(using)
        for left in reversed(range(tries)):
            try:
                with transaction.atomic(using=using):
                    row.save(force_insert=True, using=using)
                return
            except OperationalError as error:
                if not left or connection.in_atomic_block or connection.vendor != "mysql" or error.args[:1] != (_DEADLOCK,):
                    raise


def _check_text(name: str, text: Optional[str]) -> None:
    """Refuse what the column of this name does not store. SQLite would, so that the error were first seen in production."""
    if text is not None and len(text) > _LONGEST:
        raise InvalidRequestError(f"{name}: has {len(text):,} characters, and a row stores {_LONGEST} at most; give a shorter one")
    if text is not None and storable(text) != text:
        raise InvalidRequestError(f"{name}: has NUL or half a surrogate pair, which not every database stores; remove it")


def _checked(input: Any, options: Dict[str, Any], server: str, using: str) -> Dict[str, Any]:
    """Return the JSON fields of a row; raise `InvalidRequestError` for what the server could not be sent."""
    get_client(server)  # raises SettingsError if there is no such configuration
    thread_id = options.pop("thread_id", None)
    if "on_completion" in options:
        raise InvalidRequestError(
            "on_completion: a row needs its thread; `manage.py langgraph_runs sync --delete-threads` deletes it"
        )
    check_known("AgentRun.objects.start", options, _OPTIONS)
    RunsCreatePayload(input=input, **options)
    given = {"stream_resumable": True, **{name: value for name, value in options.items() if value is not None}}
    if thread_id is not None:
        given["thread_id"] = check_id("thread_id", thread_id)
    if "webhook" not in given:
        url = _default_webhook(server)
        given.update({} if url is None else {"webhook": url})
    return to_store({"input": input, "options": given}, levels_of(using))


def _default_webhook(server: str) -> Optional[str]:
    if option(server, "WEBHOOK_BASE_URL") is None:
        return None
    try:
        return webhook_url(name=server)
    except NoReverseMatch:
        return None


def _check_same(found: AgentRun, wanted: AgentRun) -> None:
    """Raise `IdempotencyConflictError` if the row of a key is another one. The webhook may differ, as its secret changes."""
    differing = [name for name in ("assistant", "input", "server") if getattr(found, name) != getattr(wanted, name)]
    names = sorted({*found.options, *wanted.options} - {"webhook"})
    differing += [name for name in names if found.options.get(name) != wanted.options.get(name)]
    if differing:
        raise IdempotencyConflictError(
            f"key: the row {found.pk} has the same key and another {', '.join(differing)}; give each job a key of its own",
            differs=differing,
            run_id=found.run_id or None,
            thread_id=found.thread_id or None,
        )

"""`AgentRun`: a run of the site as a row of its database."""

from __future__ import annotations

import datetime
import logging
import uuid
from typing import Any, ClassVar, Collection, Optional

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models, transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from ... import InvalidRequestError, LangGraphRunsError, RunOutcome
from ..clients import get_client
from ..resume import ResumedStream, resume_stream
from .managers import AgentRunManager
from .outcomes import carry_out_cancel, deliver, outcome_of, post, record_outcome, refresh
from .posting import post_unclaimed
from .statuses import CANCELLABLE, ENDED, RETRYABLE, SERVER_STATUSES
from .statuses import Status as RunStatus
from .stored_json import levels_of, to_store
from .text_fields import AnyCharField, AnyTextField, ExactCharField
from .transitions import change, read_again, reconnect_if_closed

__all__ = ["AgentRun", "WrongStatusError"]


_log = logging.getLogger("langgraph_runs.django")


class WrongStatusError(InvalidRequestError):
    """The row's status does not allow the call: for example, a run that is not paused cannot be resumed."""


class AgentRun(models.Model):
    """A run, from the decision to start it to its end. Make one with ``AgentRun.objects.start(...)``.

    A row is one job. It has one run of the server at a time: `resume` and `retry` give it the next one. The fields are written by
    this app only, by UPDATEs that check the row's status, so do not call ``save`` on a row that was started.
    """

    #: The values of *status*.
    Status = RunStatus

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    #: There is one row for each key.
    key: models.CharField[Optional[str], Optional[str]] = ExactCharField(max_length=255, null=True, blank=True, unique=True)
    owner: models.ForeignKey[Any, Any] = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="agent_runs"
    )
    content_type: models.ForeignKey[Optional[ContentType], Optional[ContentType]] = models.ForeignKey(
        ContentType, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    object_id: models.CharField[Optional[str], Optional[str]] = ExactCharField(max_length=255, null=True, blank=True)
    #: The object that the run is about.
    about = GenericForeignKey("content_type", "object_id")

    #: The name of a configuration in LANGGRAPH_RUNS.
    server: models.CharField[str, str] = ExactCharField(max_length=100, default="default")
    assistant: models.CharField[str, str] = AnyCharField(max_length=255)
    input = models.JSONField(null=True, blank=True)
    #: Further arguments of ``client.runs.create``.
    options = models.JSONField(default=dict, blank=True)
    #: The answer with which the current run continues the one before.
    answer = models.JSONField(null=True, blank=True)

    status: models.CharField[str, str] = models.CharField(max_length=20, choices=RunStatus.choices, default=RunStatus.QUEUED)
    thread_id: models.CharField[str, str] = ExactCharField(max_length=255, blank=True, db_index=True)
    run_id: models.CharField[str, str] = ExactCharField(max_length=255, blank=True, db_index=True)
    #: The values of a run that has ended, or is paused.
    values = models.JSONField(null=True, blank=True)
    #: The class of the error, and its message.
    error: models.CharField[str, str] = AnyCharField(max_length=255, blank=True)
    message: models.TextField[str, str] = AnyTextField(blank=True)
    #: What a paused run asks: a list of objects with ``id`` and ``value``.
    questions = models.JSONField(null=True, blank=True)

    #: How often the run was begun: once, and once for each retry.
    attempts: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(default=1)
    #: How many runs the row had before the current one, by retries and answers. Part of the idempotency key.
    run_number: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(default=0, editable=False)
    created_at: models.DateTimeField[datetime.datetime, datetime.datetime] = models.DateTimeField(
        default=timezone.now, editable=False
    )
    started_at: models.DateTimeField[Optional[datetime.datetime], Optional[datetime.datetime]] = models.DateTimeField(
        null=True, blank=True
    )
    finished_at: models.DateTimeField[Optional[datetime.datetime], Optional[datetime.datetime]] = models.DateTimeField(
        null=True, blank=True
    )
    changed_at: models.DateTimeField[datetime.datetime, datetime.datetime] = models.DateTimeField(
        default=timezone.now, editable=False
    )
    #: When the run was last requested from the server.
    checked_at: models.DateTimeField[Optional[datetime.datetime], Optional[datetime.datetime]] = models.DateTimeField(
        null=True, blank=True
    )
    #: When the server first said that it does not have the run.
    missing_since: models.DateTimeField[Optional[datetime.datetime], Optional[datetime.datetime]] = models.DateTimeField(
        null=True, blank=True
    )
    cancel_requested_at: models.DateTimeField[Optional[datetime.datetime], Optional[datetime.datetime]] = models.DateTimeField(
        null=True, blank=True
    )
    #: Until when a process has the row for itself. None in a queued row: its run was surely not posted yet.
    claimed_until: models.DateTimeField[Optional[datetime.datetime], Optional[datetime.datetime]] = models.DateTimeField(
        null=True, blank=True
    )
    #: True if the run has ended, and `run_finished` was not sent yet.
    unreported: models.BooleanField[bool, bool] = models.BooleanField(default=False, editable=False)
    #: The runs that the row had before the current one. None if there are none.
    earlier_run_ids = models.JSONField(null=True, blank=True, editable=False)
    #: The threads that were made for this row, until ``sync`` has deleted them. None if there are none.
    own_thread_ids = models.JSONField(null=True, blank=True, editable=False)

    #: After `claim`: True if an earlier request may have posted the current run.
    was_claimed = False
    #: True if `start` returned the row of an earlier call with the same key.
    replayed = False

    objects: ClassVar[AgentRunManager] = AgentRunManager()

    class Meta:
        verbose_name = "agent run"
        ordering = ("-created_at", "-id")
        indexes = [
            models.Index(fields=["status", "changed_at"], name="agent_run_status"),
            models.Index(fields=["owner", "created_at"], name="agent_run_owner"),
            models.Index(fields=["content_type", "object_id"], name="agent_run_about"),
            models.Index(fields=["created_at"], name="agent_run_created"),
        ]
        permissions = [("cancel_agentrun", "Can cancel agent runs"), ("retry_agentrun", "Can retry agent runs")]

    def __str__(self) -> str:
        return f"{self.assistant} {str(self.id)[:8]} ({self.status_label})"

    # -- reading

    @property
    def idempotency_key(self) -> str:
        """The key of the current run: the row's id, and for a run after the first its number."""
        return f"{self.pk}:{self.run_number}" if self.run_number else str(self.pk)

    @property
    def status_label(self) -> str:
        """The status in words."""
        return str(RunStatus(self.status).label)

    @property
    def ended(self) -> bool:
        """True if nothing more happens to the row by itself. A paused run has not ended."""
        return self.status in ENDED

    @property
    def outcome(self) -> Optional[RunOutcome]:
        """How the run ended, as the library's calls say it; None while it has not, and for a lost run."""
        return outcome_of(self) if self.status in SERVER_STATUSES else None

    # -- acting on the server; each method changes this object as well

    def post(self) -> bool:
        """Post the run of a queued row now, as the commit after `start` does; return True if the row has changed.

        Does nothing if the run was posted, or if another process is posting it. Raises the client's error; the row then stays
        queued, with the error in its fields, or has failed if the server itself refuses the run.
        """
        return post(self)

    def refresh(self) -> bool:
        """Bring the row up to date with the server: post a queued run, request a started one. Return True if the row has changed.

        Raises the client's error, for example `APIConnectionError`; the row then stays as it is.
        """
        return refresh(self)

    def wait(self, *, timeout: Optional[float] = None) -> str:
        """Post the run if it is queued, wait until it has ended or is paused, and return the row's status.

        For task queues. Blocks a connection to the server and a thread, for at most *timeout* seconds, which raises
        `DeadlineExceededError`. May be called again, and by several processes.
        """
        if self.status == RunStatus.QUEUED:
            post_unclaimed(self)
        if self.status == RunStatus.STARTED:
            outcome = get_client(self.server).runs.join(self.thread_id, self.run_id, raise_error=False, timeout=timeout)
            reconnect_if_closed(self._state.db)  # it was idle for as long as the run took
            record_outcome(self, outcome)
        return str(self.status)

    def stream(self, request: Optional[HttpRequest] = None, **options: Any) -> ResumedStream:
        """Return the events of the current run, for ``stream_response(row.stream(request), on_disconnect="continue")``.

        With *request*, the events after the last one that its browser has received. *options* are those of
        ``client.runs.join_stream``. A queued run is posted first. When `stream_response` has sent the end, the row is up to date;
        a program that iterates itself calls `refresh` afterwards. Raises the client's error, or ``Http404`` if the server does not
        have the run.
        """
        if self.status == RunStatus.QUEUED:
            post_unclaimed(self)
        if not self.run_id:
            raise WrongStatusError(f"row.stream(): the run is {self.status_label} and was never started")
        given = request if request is not None else HttpRequest()
        return resume_stream(given, self.thread_id, self.run_id, client=get_client(self.server), **options)

    def cancel(self) -> None:
        """Cancel the run. The request is stored in the row; it is sent after the commit, and the row is brought up to date.

        A run that was never posted, or that is paused, is cancelled at once. If the server cannot be reached, ``sync`` repeats the
        request. Raises `WrongStatusError` if the run has ended.
        """
        now = timezone.now()
        read_again(self)
        never_posted = Q(claimed_until=None) | ~Q(status=RunStatus.QUEUED)
        if change(
            self, [RunStatus.QUEUED, RunStatus.PAUSED], never_posted, status=RunStatus.CANCELLED, finished_at=now, questions=None
        ):
            return
        if not change(self, [RunStatus.QUEUED, RunStatus.STARTED], cancel_requested_at=now):
            raise self._wrong_status("cancel", CANCELLABLE)
        self._after_commit(carry_out_cancel, "cancelled")

    def resume(self, answer: Any, *, post: bool = True) -> None:
        """Answer the question of a paused run. It goes on as the next run on its thread, which is posted after the commit.

        *answer* is any JSON value, or for one of several questions a dict from its id to the answer. With ``post=False``, call
        `post` yourself, for example in a task queue. Raises `WrongStatusError` if the run is not paused: for two answers at the
        same time, in the second one.
        """
        answer = to_store({"answer": answer}, levels_of(self._state.db))["answer"]
        if answer is None:
            raise InvalidRequestError("answer=None: give the answer to the question; the server does not take null for one")
        deliver(self)  # what the run before has to report
        self._next_run("resume", [RunStatus.PAUSED], post=post, answer=answer)

    def retry(self, *, post: bool = True) -> None:
        """Begin again with the same input, after a failure, a cancellation, a time-out, or a loss; post the run after the commit.

        The run gets a new thread, unless the row was started with a *thread_id*: then it is the next run on that thread. Raises
        `WrongStatusError` for a run that has not ended, or that has succeeded.
        """
        read_again(self)
        deliver(self)
        self._next_run("retry", RETRYABLE, post=post, answer=None, attempts=self.attempts + 1, thread_id="", started_at=None)

    def _next_run(self, call: str, when: Collection[RunStatus], *, post: bool, **fields: Any) -> None:
        cleared = {"values": None, "questions": None, "error": "", "message": "", "finished_at": None, "missing_since": None}
        if not change(
            self,
            when,
            status=RunStatus.QUEUED,
            run_number=self.run_number + 1,
            earlier_run_ids=[*(self.earlier_run_ids or []), *([self.run_id] if self.run_id else [])] or None,
            run_id="",
            claimed_until=None,
            cancel_requested_at=None,
            checked_at=None,
            unreported=False,
            **cleared,
            **fields,
        ):
            raise self._wrong_status(call, when)
        if post:
            self.post_after_commit()

    def post_after_commit(self) -> None:
        """Post the queued run when the caller's transaction is committed, at once if there is none. A failure is only logged."""
        self._after_commit(post, "posted")

    def _after_commit(self, work: Any, verb: str) -> None:
        number = self.run_number

        def carry_out() -> None:
            try:
                if self.run_number == number:
                    work(self)
            except LangGraphRunsError as error:
                later = "" if self.ended else "; sync tries again"
                _log.warning("run %s could not be %s%s: %s", self.pk, verb, later, error)

        transaction.on_commit(carry_out, using=self._state.db, robust=True)

    def _wrong_status(self, call: str, when: Collection[RunStatus]) -> WrongStatusError:
        allowed = ", ".join(str(RunStatus(one).label) for one in when)
        return WrongStatusError(f"row.{call}(): the run is {self.status_label}; only one that is {allowed} allows it")

"""A task of a map: `Task` goes to a task runner, `TaskResult` comes back, `InFlightTask` is the state in the scheduler."""

from __future__ import annotations

import enum
from typing import Any, Mapping, Optional, Tuple

import attrs

from ..errors import CreateUncertainError, InvalidRequestError, LangGraphRunsError
from ..models import RunOutcome
from ..payloads import RunsWaitPayload
from .inputs import Item, error_at
from .ledger import Claim
from .results import BatchResult

__all__ = ["RESTARTED", "InFlightTask", "RunPresence", "Task", "TaskResult"]

#: The reason of the `AbortedError` of a task that was ended only to be started again.
RESTARTED = "the ledger cannot be reached"


@attrs.frozen(kw_only=True)
class Task:
    """The work of a task runner for one input. Pickled if an executor sends it to another process."""

    thread_id: str
    #: The run to join, or None if a run is created.
    run_id: Optional[str]
    assistant_id: str
    #: None if a run is joined.
    payload: Optional[RunsWaitPayload]
    headers: Mapping[str, str]
    params: Any
    #: Seconds that the task may take, or None for no limit.
    timeout: Optional[float]
    #: True if a run for this input may be on the thread already.
    may_exist: bool
    #: True if an earlier create may still arrive at the server.
    may_still_arrive: bool
    #: True if an earlier create timed out, so that it may arrive at any time: another one is sent only to a server that refuses a
    #: second run on the thread.
    may_arrive_late: bool
    #: True if a failed run that is found on the thread is not the result of the input.
    rerun_failed: bool
    #: True if the task runner deletes the thread after a success; the same after a failure.
    delete: Tuple[bool, bool]
    #: The idempotency key of the run, from which *thread_id* is derived; None if the thread is for this task alone.
    idempotency_key: Optional[str] = None


@attrs.frozen(kw_only=True)
class TaskResult:
    """The result of a task, as a task runner returns it."""

    outcome: Optional[RunOutcome] = None
    error: Optional[LangGraphRunsError] = None
    run_id: Optional[str] = None
    seconds: float = 0.0
    #: True if a failed run was found that is not the result: the input needs another thread. Nothing was created.
    superseded: bool = False
    #: True if a request of the task, or another one at the same time, failed without a response.
    contact_lost: bool = False
    #: True if the thread was to be deleted, or its run to be cancelled, and that must be tried again.
    thread_left: bool = False


class RunPresence(enum.IntEnum):
    """Whether the run of an input exists. A higher value is never replaced by a lower one, except on a new thread."""

    #: No create was sent, or the server surely did not execute it.
    ABSENT = 0
    #: A create may have been executed. If so, the run is on the thread now.
    MAY_EXIST = 1
    #: A create may have been executed, or may still arrive at the server.
    MAY_STILL_ARRIVE = 2
    #: The run exists.
    CREATED = 3


class InFlightTask:
    """An input between its reading and its result. Used by the iterating thread, except for `note_created`.

    >>> task = InFlightTask(Item(index=0, given=None), "a-thread")
    >>> task.may_exist, task.presence
    (False, <RunPresence.ABSENT: 0>)
    >>> task.note_started()
    >>> task.may_exist, task.presence
    (True, <RunPresence.MAY_STILL_ARRIVE: 2>)
    """

    __slots__ = (
        "_created",
        "_presence",
        "_settles",
        "_started",
        "_was_ended",
        "claim",
        "contact_lost",
        "item",
        "may_arrive_late",
        "not_before",
        "retries",
        "seconds",
        "started_at",
        "thread_id",
    )

    def __init__(self, item: Item, thread_id: str = "") -> None:
        self.item = item
        #: Empty until a ledger has assigned a thread.
        self.thread_id = thread_id
        self.claim: Optional[Claim] = None
        #: How often this map has started the input again.
        self.retries = 0
        #: Seconds that its attempts took.
        self.seconds = 0.0
        #: When the task was started last, and when it may be started again, in monotonic time.
        self.started_at = self.not_before = 0.0
        #: True if a create of this map timed out, so that it may arrive at any time.
        self.may_arrive_late = False
        self._presence = RunPresence.ABSENT
        #: True if its run, if it exists, is on its thread at `not_before`.
        self._settles = True
        #: True if the run was cancelled, or not waited for, because the server was away.
        self._was_ended = False
        #: True if the server could not be reached since the run was created.
        self.contact_lost = False
        self._started = False
        # A field of its own, so that the thread that sets it cannot overwrite another change.
        self._created = False

    @property
    def presence(self) -> RunPresence:
        """Whether the run exists, as far as is known. While the task is being run, its create may be on its way to the server."""
        if self._created:
            return RunPresence.CREATED
        return RunPresence.MAY_STILL_ARRIVE if self._started else self._presence

    @property
    def may_exist(self) -> bool:
        """True if a run may exist, now or soon."""
        return self.presence is not RunPresence.ABSENT

    @property
    def may_still_arrive(self) -> bool:
        """True if a run that is not on the thread now may be there a moment later."""
        return self.presence >= RunPresence.MAY_STILL_ARRIVE

    @property
    def is_created(self) -> bool:
        """True if the run is known to exist."""
        return self._created

    @property
    def rerun_failed(self) -> bool:
        """True if a failed run that is found on the thread is not the result of the input."""
        return self._was_ended or (self.claim is not None and self.claim.rerun_failed)

    @property
    def attempts(self) -> int:
        """How often the input was started, by this map and by earlier ones."""
        return self.retries + (1 if self.claim is None else self.claim.attempts)

    # -- transitions

    def assign(self, claim: Claim) -> None:
        """Note that the ledger has assigned the input and its thread to this map."""
        self.claim = claim
        self.thread_id = claim.thread_id
        self._note_new_thread()
        self._settles = not claim.may_exist
        # An earlier map may have been killed a moment ago, after it had sent a create.
        self._presence = RunPresence.MAY_STILL_ARRIVE if claim.may_exist else RunPresence.ABSENT

    def note_started(self) -> None:
        """Note that the task is about to be given to a task runner."""
        self._started = True

    def note_created(self, _: Any = None) -> None:
        """Note that the run exists. Called by the thread that runs the task."""
        self._created = True

    def note_withdrawn(self, *, surely_not_started: bool) -> None:
        """Note that the executor has given the task back."""
        self._started = False
        if not surely_not_started:
            self._raise_presence_to(RunPresence.MAY_STILL_ARRIVE)

    def note_settled(self) -> None:
        """Note that the moment `not_before` has passed."""
        self.not_before = 0.0
        if self._settles and self._presence is RunPresence.MAY_STILL_ARRIVE:
            self._presence = RunPresence.MAY_EXIST

    def note_ended_from_outside(self) -> None:
        """Note that the run did not end by itself, and that its end is not the result of the input."""
        self._was_ended = True

    def move_to(self, thread_id: str) -> None:
        """Note that the input is run on another thread, if there is no ledger, which assigns one."""
        self.thread_id = thread_id
        self._note_new_thread()

    def _note_new_thread(self) -> None:
        self._created = self._was_ended = self.contact_lost = False
        self._presence = RunPresence.ABSENT
        self._settles = True

    def note_lost(self) -> None:
        """Note that the server no longer has the run, which existed."""
        self._created = self.contact_lost = False
        self._presence = RunPresence.MAY_EXIST

    def note_result(self, result: TaskResult, learned: RunPresence, *, settles: bool = False) -> None:
        """Note that the task runner has returned *result*, and that *learned* follows from it about the run.

        *settles* says that a create which may have been executed was refused, so that it does not wait in a queue.
        """
        self.seconds += result.seconds
        self.contact_lost = self.contact_lost or result.contact_lost
        self._created = self._created or result.run_id is not None
        error = result.error
        self.may_arrive_late = self.may_arrive_late or (isinstance(error, CreateUncertainError) and error.may_still_arrive)
        if learned is RunPresence.MAY_STILL_ARRIVE:
            self._settles = self._settles and settles
        self._raise_presence_to(learned)
        self._started = False

    def note_retry(self) -> None:
        """Note that the task is started again after an error."""
        self.retries += 1

    def _raise_presence_to(self, presence: RunPresence) -> None:
        self._presence = max(self._presence, presence)

    def result(self, result: TaskResult) -> BatchResult:
        """Return the result of the input, made from what the task runner returned last."""
        outcome, error = result.outcome, result.error
        if type(error) is InvalidRequestError:  # the input has a value that cannot be sent
            error = error_at(self.item.place, error)
        return BatchResult(
            index=self.item.index,
            key=self.item.key,
            input=self.item.given,
            values=outcome.values if outcome is not None else None,
            error=error,
            run=outcome.run if outcome is not None else None,
            run_id=result.run_id,
            thread_id=self.thread_id,
            attempts=self.attempts,
            seconds=self.seconds,
            paused=outcome is not None and outcome.paused,
        )

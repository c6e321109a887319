"""Runs and how they ended.

The annotations are read at run time, so this module does not postpone them.
"""

import datetime
from typing import Any, Dict, Optional, Tuple

import attrs

from ..markers import shown_request_id, take_marker
from .threads import Interrupt

__all__ = ["RUN_STATUSES", "Run", "RunOutcome", "UNFINISHED"]

RUN_STATUSES = ("pending", "running", "error", "success", "timeout", "interrupted")
#: Other words for them, which some servers use, in lower case and with underscores.
_OTHER_WORDS = {
    word: status
    for status, words in {
        "pending": ("queued", "created", "scheduled", "submitted", "enqueued"),
        "running": ("in_progress", "processing", "started", "starting", "active", "executing", "cancelling", "canceling"),
        "success": ("succeeded", "successful", "completed", "complete", "finished", "done", "ok"),
        "error": ("failed", "failure", "errored", "exception"),
        "interrupted": ("cancelled", "canceled", "aborted", "stopped", "terminated", "killed"),
        "timeout": ("timed_out",),
    }.items()
    for word in words
}
#: Fields in which servers keep the error of a run. Some of the words above say only that the run has ended.
_ERRORS = ("error", "error_message")
#: A run with one of these statuses has not ended; every other status is final.
UNFINISHED = frozenset({"pending", "running"})


def _stored_request_id(kwargs: Any) -> Optional[str]:
    """Return the ``x-request-id`` that some servers store with a run."""
    config = kwargs.get("config") if isinstance(kwargs, dict) else None
    configurable = config.get("configurable") if isinstance(config, dict) else None
    found = configurable.get("langgraph_request_id") if isinstance(configurable, dict) else None
    return found if isinstance(found, str) else None


@attrs.frozen(kw_only=True)
class Run:
    """One execution of an assistant on a thread.

    >>> Run(run_id="r", thread_id="t", status="running").finished
    False
    """

    #: The id, as the server writes it.
    run_id: str
    #: The thread of the run; for a stateless run a temporary one. Empty if the server does not say it.
    thread_id: str = attrs.field(metadata={"unreadable": ""})
    #: ``pending``, ``running``, ``success``, ``error``, ``timeout`` or ``interrupted``, or the status of a newer server.
    #: ``interrupted`` means cancelled; a run that waits for a human has ``success``. Empty if the server does not say it. Another
    #: word for one of them, such as ``COMPLETED`` or ``cancelled``, is translated; that of the server is in *extra*.
    status: str = attrs.field(metadata={"unreadable": ""})
    #: The assistant, by id.
    assistant_id: Optional[str] = None
    #: When it was created; for a delayed run, when it is due.
    created_at: Optional[datetime.datetime] = None
    #: When its status last changed.
    updated_at: Optional[datetime.datetime] = None
    #: Metadata of the assistant, the thread and the run, merged by the server. Without the field of this library, which is shown as
    #: *request_id*.
    metadata: Dict[str, Any] = attrs.field(factory=dict)
    #: What the run was started with: input, config and so on. Not in the repr, since it may hold secrets.
    kwargs: Dict[str, Any] = attrs.field(factory=dict, repr=False)
    #: What the server did with other runs of the thread when it created this one.
    multitask_strategy: Optional[str] = None
    #: The id of the request that created the run: the ``x-request-id`` that the caller gave, else one that the library made. For a
    #: run that another program created, the ``x-request-id`` of its request, if the server stores it. Else None.
    request_id: Optional[str] = attrs.field(
        default=attrs.Factory(lambda self: _stored_request_id(self.kwargs), takes_self=True), repr=False
    )
    #: True if a call with an *idempotency_key* has not created this run, but found it: an earlier call created it.
    replayed: bool = attrs.field(default=False, metadata={"ours": True}, repr=False, eq=False)
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)

    @property
    def finished(self) -> bool:
        """True if the run has ended, well or not. False if the status is not known."""
        return self.status != "" and self.status not in UNFINISHED

    @property
    def config(self) -> Dict[str, Any]:
        """The config that the run was started with: ``tags``, ``configurable`` and so on. Empty if the server does not say it."""
        found = self.kwargs.get("config")
        return found if isinstance(found, dict) else {}

    @staticmethod
    def _prepared(fields: Dict[str, Any], extra: Dict[str, Any]) -> None:
        status = fields.get("status")
        if isinstance(status, str) and status not in RUN_STATUSES:
            word = status.strip().lower().replace("-", "_").replace(" ", "_")
            known = word if word in RUN_STATUSES else _OTHER_WORDS.get(word)
            if known == "success" and word != "success" and any(extra.get(name) for name in _ERRORS):
                known = "error"
            if known is not None:
                fields["status"], extra["status"] = known, status
        marker = take_marker(fields, extra)
        if marker is not None:
            fields["request_id"] = shown_request_id(marker)
        elif not isinstance(fields.get("request_id"), str):
            fields.pop("request_id", None)


@attrs.frozen(kw_only=True)
class RunOutcome:
    """How a run ended. Calls with ``raise_error=False`` return it instead of raising a `RunError`.

    >>> RunOutcome(status="error", error="ValueError", message="boom").succeeded
    False
    """

    #: The final status, as in `Run.status`; ``"success"`` also for a run that waits for a human (see *paused*).
    status: str
    #: The final values of a run that succeeded; else the last values that are known, or None.
    values: Any = None
    #: The class of the graph's exception, if the run failed and the server says why.
    error: Optional[str] = None
    #: Its message.
    message: Optional[str] = None
    #: Open questions to a human; empty for a run that was paused by interrupt_before or interrupt_after.
    interrupts: Tuple[Interrupt, ...] = ()
    #: True if the run stopped for a human, by ``interrupt()``, interrupt_before or interrupt_after.
    paused: bool = False
    #: True if *values* are known to be of this run, and not of a later run on the same thread.
    exact: bool = True
    #: The run, or None if it could not be read.
    run: Optional[Run] = None

    @property
    def succeeded(self) -> bool:
        """True if the run ended well, or stopped for a human."""
        return self.status == "success"

"""The configuration of one stream: how it is opened, and what it does when a connection breaks. Also the record of a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Optional, Sequence, Tuple

import attrs

from ..http import NO_OPTIONS, CommonOptions
from ..models import Run, RunOutcome
from .cursor import Cursor
from .mode_filter import ModeFilter

if TYPE_CHECKING:
    from ..http import ByteStream

__all__ = ["Gap", "StreamConfig"]


@attrs.frozen
class Gap:
    """A place in a stream where events are missing.

    >>> Gap(after_id="1795224633885-0", events_seen=7, reason="the server no longer keeps them").events_seen
    7
    """

    #: The id of the last event before the gap, or None if it had none.
    after_id: Optional[str]
    #: The number of events delivered before the gap.
    events_seen: int
    #: Why the missing events could not be fetched.
    reason: str


@attrs.frozen(kw_only=True)
class StreamConfig:
    """How a stream is opened and what is done when it breaks."""

    #: Opens the first connection. Returns None if the run was found after the response to its create had been lost.
    open_first: Callable[[], Optional[ByteStream]]
    thread_id: Optional[str]
    run_id: Optional[str]
    cursor: Cursor
    #: The query of every later connection, besides the filter of modes.
    query: Sequence[Tuple[str, Any]] = ()
    #: The stream modes that the caller wants.
    mode_filter: ModeFilter = attrs.field(factory=ModeFilter)
    #: The caller's headers and query parameters, for every later connection.
    options: CommonOptions = NO_OPTIONS
    on_gap: str = "error"
    on_timeout: Optional[str] = None
    raise_error: bool = True
    #: Called with the ids of the run when they are known, perhaps repeatedly; None for a stream that starts no run.
    report: Optional[Callable[[str, Optional[str]], None]] = None
    #: Looks for the run on its thread, for a server whose response does not name the run.
    find: Optional[Callable[[], Optional[Run]]] = None
    #: True if the server cancels the run when its connection breaks (``on_disconnect="cancel"``).
    dies_with_connection: bool = False
    #: Called once with how the run ended, or None if that could not be requested. Returns it with any pause found, and deletes the
    #: thread if the library made it and the run has ended for good.
    finish: Optional[Callable[[Optional[RunOutcome]], Optional[RunOutcome]]] = None
    #: Returns True if an earlier call with the same idempotency key has created the run.
    is_replayed: Callable[[], bool] = bool
    #: Cancels the run when the time of the call is over, and deletes the thread if the library made it.
    cancel_late: Optional[Callable[[], None]] = None

    @property
    def on_given_thread(self) -> bool:
        """True if this stream started the run, on a thread that the caller named."""
        return self.thread_id is not None and self.run_id is None

"""One request and its answer on a connection: how far it came, which says whether the server can have acted on it."""

from __future__ import annotations

from typing import Optional

from ..call import Scope

__all__ = ["Exchange"]


class Exchange:
    """One request and its answer on a connection: the limits, and what became of it."""

    __slots__ = ("connect_timeout", "idle_limit", "phase", "read_timeout", "scope")

    #: Phases, in order. UNKNOWN: some other adapter does the work.
    UNKNOWN, CONNECTING, SENDING, ANSWERED = range(4)

    def __init__(self, scope: Scope, *, connect_timeout: Optional[float], read_timeout: Optional[float], idle_limit: float) -> None:
        self.scope = scope
        #: Seconds for name, connection and TLS handshake, over all addresses together.
        self.connect_timeout = connect_timeout
        #: Seconds of silence.
        self.read_timeout = read_timeout
        #: A connection that was idle for longer, in seconds, is not used.
        self.idle_limit = idle_limit
        self.phase = Exchange.UNKNOWN

    def ran_out(self, seconds: Optional[float]) -> None:
        """A read or write has blocked for *seconds*, as the kernel counts. Raises `TimeoutError`, unless it is to be tried again.

        The kernel counts ticks and may be early by one. Where a deadline cut the time short, the clock alone tells if it is over.
        """
        if seconds == self.read_timeout:
            raise TimeoutError("timed out") from None

"""One attempt at a request: its limits and its phase, which says whether the server may have acted."""

from __future__ import annotations

import time
from typing import Optional

from ..call import Scope

__all__ = ["Exchange"]


class Exchange:
    """One attempt at a request: its limits, and the phase that it has reached.

    It is passed along with the request (as its timeout, see `pool.ExchangeTimeout`), and is set on the connection that sends the
    request. A connection belongs to the exchange that is set on it. If that is None, it is not in use.
    """

    __slots__ = ("connect_by", "connect_timeout", "idle_limit", "may_repeat", "phase", "read_timeout", "scope", "was_sent")

    #: Phases, in order. UNKNOWN: the request goes through a connection that is not this package's.
    UNKNOWN, CONNECTING, SENDING, RESPONDED = range(4)

    def __init__(
        self,
        scope: Scope,
        *,
        connect_timeout: Optional[float],
        read_timeout: Optional[float],
        idle_limit: float,
        may_repeat: bool = True,
    ) -> None:
        self.scope = scope
        #: Seconds for name lookup, connecting and the TLS handshake, over all addresses together. None: no limit.
        self.connect_timeout = connect_timeout
        #: Seconds that the server may be silent. None: no limit.
        self.read_timeout = read_timeout
        #: A connection that was idle for more seconds than this is not used.
        self.idle_limit = idle_limit
        #: False if the adapter of a user's session must not send the request again: it creates something.
        self.may_repeat = may_repeat
        #: True if such an adapter has sent the request before.
        self.was_sent = False
        self.phase = Exchange.UNKNOWN
        #: The monotonic time at which the connection must be there, a proxy's tunnel and TLS included. None: no limit.
        self.connect_by: Optional[float] = None

    def connecting_timeout(self) -> Optional[float]:
        """Return the seconds that the next step of connecting may take. Raise as `Scope.io_timeout`; None: no limit."""
        left = None if self.connect_by is None else self.connect_by - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError("connecting took too long")
        return self.scope.io_timeout(left)

"""One attempt at a request: its limits and its phase, which says whether the server may have acted."""

from __future__ import annotations

from typing import Optional

from ..call import Scope

__all__ = ["Exchange"]


class Exchange:
    """One attempt at a request: its limits, and the phase that it has reached.

    It is passed along with the request (as its timeout, see `pool.ExchangeTimeout`), and is set on the connection that sends the
    request. A connection belongs to the exchange that is set on it. If that is None, it is not in use.
    """

    __slots__ = ("connect_timeout", "idle_limit", "phase", "read_timeout", "scope")

    #: Phases, in order. UNKNOWN: the request goes through a connection that is not this package's.
    UNKNOWN, CONNECTING, SENDING, RESPONDED = range(4)

    def __init__(self, scope: Scope, *, connect_timeout: Optional[float], read_timeout: Optional[float], idle_limit: float) -> None:
        self.scope = scope
        #: Seconds for name lookup, connecting and the TLS handshake, over all addresses together. None: no limit.
        self.connect_timeout = connect_timeout
        #: Seconds that the server may be silent. None: no limit.
        self.read_timeout = read_timeout
        #: A connection that was idle for more seconds than this is not used.
        self.idle_limit = idle_limit
        self.phase = Exchange.UNKNOWN

"""Keeping tests off the network: within `no_network` a client connects to this machine alone."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator
from typing import Any

from .. import LangGraphRunsError
from .._public import name_public

__all__ = ["NetworkRefusedError", "no_network"]


class NetworkRefusedError(LangGraphRunsError, AssertionError):
    """Code under test wants to reach another machine. Nothing was sent, not even to a name server.

    >>> str(NetworkRefusedError("no connection to api.example.com:443"))
    'no connection to api.example.com:443'
    """


@contextlib.contextmanager
def no_network(*allowed: str) -> Iterator[None]:
    """Within this block every connection of a `Client` to another machine is a `NetworkRefusedError`, in all threads.

    Addresses of the loopback and the name ``localhost`` are this machine; *allowed* are further hosts, as a URL spells them. A
    name is refused without being looked up. What is not a `Client` of this library connects as always, and so do clients with
    a ``session`` that brings adapters of its own (mocks among them), and connections that were open before. It is not repeated,
    whatever the `RetryPolicy` says. Blocks may be nested.

    >>> from langgraph_runs import Client
    >>> with no_network(), Client("https://api.example.com", api_key=None) as client:
    ...     client.ok()
    Traceback (most recent call last):
    ...
    langgraph_runs.testing.NetworkRefusedError: no_network(): this test wants to connect to api.example.com, port 443; ...
    """
    from ..http import connection as connections  # urllib3 is not brought along with the plugin

    limited = connections.LimitedConnection
    connect = limited._new_conn

    def checked(self: Any) -> Any:
        host = self._dns_host.strip("[]").rstrip(".").lower()
        if not _is_here(host) and host not in allowed:
            raise NetworkRefusedError(
                f"no_network(): this test wants to connect to {host}, port {self.port}; "
                "give the code under test the url of a fake server"
            )
        return connect(self)

    limited._new_conn = checked  # type: ignore[method-assign]
    try:
        yield
    finally:
        limited._new_conn = connect  # type: ignore[method-assign]


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


name_public("langgraph_runs.testing", [NetworkRefusedError])

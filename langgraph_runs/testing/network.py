"""`no_network`: a block in which clients can connect to this machine only."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator
from typing import Any, Callable

from .. import LangGraphRunsError
from .._public import name_public

__all__ = ["NetworkRefusedError", "no_network", "only_address"]


class NetworkRefusedError(LangGraphRunsError, AssertionError):
    """The code under test tried to connect to another machine. Nothing was sent, not even to a name server.

    >>> str(NetworkRefusedError("no connection to api.example.com:443"))
    'no connection to api.example.com:443'
    """


@contextlib.contextmanager
def no_network(*allowed: str) -> Iterator[None]:
    """Within this block every connection of a `Client` to another machine raises `NetworkRefusedError`, in all threads.

    Loopback addresses and the name ``localhost`` are this machine; *allowed* are further hosts, as spelled in URLs. Names are
    refused without being looked up. The error is not retried, whatever the `RetryPolicy`. Blocks may be nested.

    The block has no effect on connections that are open already, on clients whose ``session`` has other adapters (such as mocks),
    and on code that does not use `Client`.

    >>> from langgraph_runs import Client
    >>> with no_network(), Client("https://api.example.com", api_key=None) as client:
    ...     client.ok()
    Traceback (most recent call last):
    ...
    langgraph_runs.testing.NetworkRefusedError: no_network(): this test wants to connect to api.example.com, port 443; ...
    """
    with _checked_connections(lambda host, port: _is_here(host) or host in allowed, "no_network()"):
        yield


@contextlib.contextmanager
def only_address(host: str, port: int, name: str) -> Iterator[None]:
    """Within this block, let every `Client` connect to this address only, as `no_network`. *name* is for the error."""
    with _checked_connections(lambda other, number: (other, number) == (host, port), name):
        yield


@contextlib.contextmanager
def _checked_connections(is_allowed: Callable[[str, int], bool], name: str) -> Iterator[None]:
    """Within this block, refuse every connection of a `Client` to a host and port for which *is_allowed* returns False."""
    from ..http import connection as connections  # imported here, so that the pytest plugin does not import urllib3

    limited = connections.LimitedConnection
    connect = limited._new_conn

    def checked(self: Any) -> Any:
        host = self._dns_host.strip("[]").rstrip(".").lower()
        if not is_allowed(host, self.port):
            raise NetworkRefusedError(
                f"{name}: this test wants to connect to {host}, port {self.port}; give the code under test the url of a fake server"
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

"""Makes the session of a client. requests is imported when a client is made, not with this package."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, List, Mapping

import attrs

if TYPE_CHECKING:
    from .session import Connector

__all__ = ["SessionFactory"]

#: Held while requests is imported. A process that is forked meanwhile could never import it: the thread that holds the lock of the
#: half-imported module does not exist there.
_importing = threading.RLock()
#: Seconds that a fork waits for the import at most.
_LONGEST_IMPORT = 10.0
_acquired: List[bool] = []


def _before_fork() -> None:
    _acquired.append(_importing.acquire(timeout=_LONGEST_IMPORT))


def _after_fork() -> None:
    if _acquired.pop():
        _importing.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


@attrs.frozen
class SessionFactory:
    """Makes the session of one client, once in each process. Pickles, so that another process can make its own."""

    base_url: str
    #: The keyword arguments of `Connector`.
    options: Mapping[str, Any] = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        # Not left to the first request: a signal handler that makes one may interrupt the import of the first.
        with _importing:
            from . import session  # noqa: F401  # importing requests takes longer than importing all the rest

    def __call__(self) -> Connector:
        """A new session with its connection pools."""
        from .session import Connector

        return Connector(self.base_url, **self.options)

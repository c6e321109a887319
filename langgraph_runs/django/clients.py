"""`get_client`: one client per process and configuration, created at the first call and closed when the process ends."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any, Dict, List, Mapping, Tuple

from django.conf import settings
from django.core.signals import setting_changed

from .. import Client
from .configurations import SETTING, client_options

__all__ = ["get_client", "replaced_options"]

#: Arguments that all clients have instead of those of the settings; the last ones apply. See `replaced_options`.
_replacements: List[Mapping[str, Any]] = []


class _Clients:
    """The clients of one process.

    Clients are stored by the identity of the settings object, and of the replacement of its options, so that
    ``override_settings`` uses other clients, and the previous ones are used again afterwards.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: Dict[Tuple[int, int, str], Tuple[Any, Client]] = {}
        #: The settings objects of the ``override_settings`` blocks that are entered, the innermost last.
        self._overrides: List[Any] = []

    def get(self, name: str) -> Client:
        given, replacement = getattr(settings, SETTING, None), _replacements[-1] if _replacements else None
        key = (id(given), id(replacement), name)
        found = self._clients.get(key)
        if found is None:
            with self._lock:
                found = self._clients.get(key)
                if found is None:
                    # Both objects are stored too: while they are referenced, no other object can have their ids.
                    options = {**client_options(name), **(replacement or {})}
                    found = self._clients[key] = ((given, replacement), Client(**options))
        return found[1]

    def changed(self, *, enter: bool) -> None:
        """Note that an override of the setting was entered or left; close the clients of an override that was left."""
        given = getattr(settings, SETTING, None)
        if enter:
            self._overrides.append(given)
            return
        left = self._overrides.pop() if self._overrides else None
        if left is not None and left is not given and not any(other is left for other in self._overrides):
            self.close_clients_of(id(left))

    def close_clients_of(self, one: int) -> None:
        """Close and forget the clients of a settings object, or of a replacement, with this id."""
        with self._lock:
            clients = [self._clients.pop(key)[1] for key in list(self._clients) if one in key[:2]]
        for client in clients:
            client.close()

    def close(self) -> None:
        with self._lock:
            clients, self._clients = self._clients, {}
        for _, client in clients.values():
            client.close()


#: By process id. A forked child gets clients of its own, and does not wait for a lock that a thread of the parent held.
_processes: Dict[int, _Clients] = {}


def _of_this_process() -> _Clients:
    pid = os.getpid()
    found = _processes.get(pid)
    if found is None:
        found = _processes.setdefault(pid, _Clients())  # an atomic operation, so that all threads get the same object
        for other in list(_processes):
            if other != pid:
                _processes.pop(other, None)  # the parent's clients; this closes the child's copies of their sockets only
    return found


def get_client(name: str = "default") -> Client:
    """Return the client of a configuration in ``settings.LANGGRAPH_RUNS``. All threads of a process share it.

    Makes no request. After a fork (gunicorn with ``preload_app``, uWSGI) the child process gets a client of its own. The client is
    closed when the process ends; do not close it yourself. Within ``override_settings`` another client is returned. Options that
    are not set have the defaults of `Client`, which include environment variables.

    Raises `SettingsError` if there is no configuration *name*, or if it is invalid.
    """
    return _of_this_process().get(name)


@contextlib.contextmanager
def replaced_options(**options: Any) -> Iterator[None]:
    """Within this block, `get_client` returns clients with these arguments instead of those of the settings. For tests."""
    _replacements.append(options)
    try:
        yield
    finally:
        _replacements.remove(options)
        _of_this_process().close_clients_of(id(options))


def _setting_changed(*, setting: str, enter: bool, **_: Any) -> None:
    if setting == SETTING:
        _of_this_process().changed(enter=enter)


def _close() -> None:
    found = _processes.get(os.getpid())
    if found is not None:
        found.close()


setting_changed.connect(_setting_changed, dispatch_uid="langgraph_runs.django")
atexit.register(_close)

"""`get_client`: one client per process and configuration, created at the first call and closed when the process ends."""

from __future__ import annotations

import atexit
import os
import threading
from typing import Any, Dict, List, Tuple

from django.conf import settings
from django.core.signals import setting_changed

from .. import Client
from .configurations import SETTING, client_options

__all__ = ["get_client"]


class _Clients:
    """The clients of one process.

    Clients are stored by the identity of the settings object, so that ``override_settings`` uses other clients, and the previous
    ones are used again afterwards.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: Dict[Tuple[int, str], Tuple[Any, Client]] = {}
        #: The settings objects of the ``override_settings`` blocks that are entered, the innermost last.
        self._overrides: List[Any] = []

    def get(self, name: str) -> Client:
        given = getattr(settings, SETTING, None)
        key = (id(given), name)
        found = self._clients.get(key)
        if found is None:
            with self._lock:
                found = self._clients.get(key)
                if found is None:
                    # The settings object is stored too: while it is referenced, no other object can have its id.
                    found = self._clients[key] = (given, Client(**client_options(name)))
        return found[1]

    def changed(self, *, enter: bool) -> None:
        """Note that an override of the setting was entered or left; close the clients of an override that was left."""
        given = getattr(settings, SETTING, None)
        if enter:
            self._overrides.append(given)
            return
        left = self._overrides.pop() if self._overrides else None
        if left is not None and left is not given and not any(other is left for other in self._overrides):
            self._close_clients_of(id(left))

    def _close_clients_of(self, settings_id: int) -> None:
        with self._lock:
            clients = [self._clients.pop(key)[1] for key in list(self._clients) if key[0] == settings_id]
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
        for other in list(_processes):
            _processes.pop(other, None)  # the parent's clients; this closes the child's copies of their sockets only
        found = _processes.setdefault(pid, _Clients())
    return found


def get_client(name: str = "default") -> Client:
    """Return the client of a configuration in ``settings.LANGGRAPH_RUNS``. All threads of a process share it.

    Makes no request. After a fork (gunicorn with ``preload_app``, uWSGI) the child process gets a client of its own. The client is
    closed when the process ends; do not close it yourself. Within ``override_settings`` another client is returned. Options that
    are not set have the defaults of `Client`, which include environment variables.

    Raises `SettingsError` if there is no configuration *name*, or if it is invalid.
    """
    return _of_this_process().get(name)


def _setting_changed(*, setting: str, enter: bool, **_: Any) -> None:
    if setting == SETTING:
        _of_this_process().changed(enter=enter)


def _close() -> None:
    found = _processes.get(os.getpid())
    if found is not None:
        found.close()


setting_changed.connect(_setting_changed, dispatch_uid="langgraph_runs.django")
atexit.register(_close)

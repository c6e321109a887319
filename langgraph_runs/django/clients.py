"""`get_client`: one client for each process and configuration, made when it is first asked for, closed when the process ends."""

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

    What was made is kept by the very object that the setting is, so that within ``override_settings`` there are other clients,
    and after it the old ones again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Dict[Tuple[int, str], Tuple[Any, Client]] = {}
        #: What the setting was changed to and is not back from yet.
        self._overrides: List[Any] = []

    def get(self, name: str) -> Client:
        given = getattr(settings, SETTING, None)
        key = (id(given), name)
        found = self._made.get(key)
        if found is None:
            with self._lock:
                found = self._made.get(key)
                if found is None:
                    # With the object itself, so that no other can come to have its id.
                    found = self._made[key] = (given, Client(**client_options(name)))
        return found[1]

    def changed(self, *, enter: bool) -> None:
        """The setting was changed (*enter*), or was changed back."""
        given = getattr(settings, SETTING, None)
        if enter:
            self._overrides.append(given)
            return
        left = self._overrides.pop() if self._overrides else None
        if left is not None and left is not given and not any(other is left for other in self._overrides):
            self._drop(id(left))

    def _drop(self, source: int) -> None:
        with self._lock:
            dropped = [self._made.pop(key)[1] for key in list(self._made) if key[0] == source]
        for client in dropped:
            client.close()

    def close(self) -> None:
        with self._lock:
            made, self._made = self._made, {}
        for _, client in made.values():
            client.close()


#: By process id: a fork gets clients of its own, and never waits for a lock that a thread of its parent's held.
_processes: Dict[int, _Clients] = {}


def _here() -> _Clients:
    pid = os.getpid()
    found = _processes.get(pid)
    if found is None:
        for other in list(_processes):
            _processes.pop(other, None)  # the parent's: closes our copies of its sockets, and none of its own
        found = _processes.setdefault(pid, _Clients())
    return found


def get_client(name: str = "default") -> Client:
    """The client of a configuration in ``settings.LANGGRAPH_RUNS``: the same for all threads of the process.

    Makes no request. After a fork (gunicorn with ``preload_app``, uWSGI) the child gets one of its own. It is closed when the
    process ends: do not close it yourself. It follows ``override_settings``. Raises `SettingsError` where there is no such
    configuration, or it cannot be meant; options that are not set are as in `Client`, the environment included.
    """
    return _here().get(name)


def _setting_changed(*, setting: str, enter: bool, **_: Any) -> None:
    if setting == SETTING:
        _here().changed(enter=enter)


def _close() -> None:
    found = _processes.get(os.getpid())
    if found is not None:
        found.close()


setting_changed.connect(_setting_changed, dispatch_uid="langgraph_runs.django")
atexit.register(_close)

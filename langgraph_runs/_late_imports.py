"""The modules that every client needs and that ``import langgraph_runs`` leaves out, since they take long to import.

They are imported when a client is made, not by a call: a signal handler that uses the client may interrupt that call, and would
find a half-imported module; a process that is forked meanwhile could never import it; and a process without free file
descriptors, or whose packages were replaced, could not import what its first failure needs.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
import types
from typing import List

__all__ = ["import_all", "import_late"]

_NAMES = (
    *("difflib", "email.utils", "hashlib", "html", "tenacity"),
    *("langgraph_runs.http.session", "langgraph_runs.resources", "langgraph_runs.serialization.records"),
    # Of maps.
    *("concurrent.futures", "langgraph_runs.batch"),
)
#: A Python may lack these. What needs them then fails, as it would without this module.
_OPTIONAL = ("sqlite3", "encodings.idna", "encodings.punycode", "encodings.utf_8_sig")
#: Seconds that a fork waits for another thread's import at most.
_LONGEST_IMPORT = 10.0

# A process that is forked during the import could never import the module: it waits for a thread that does not exist there.
_importing = threading.RLock()
_acquired: List[bool] = []


def import_all() -> None:
    """Import the modules. Processes that other threads fork meanwhile are forked afterwards."""
    with _importing:
        for name in _NAMES:
            importlib.import_module(name)
        for name in _OPTIONAL:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


def import_late(name: str) -> types.ModuleType:
    """Return the module *name*, which is imported if no client was made yet."""
    with _importing:
        return importlib.import_module(name)


def _before_fork() -> None:
    _acquired.append(_importing.acquire(timeout=_LONGEST_IMPORT))


def _after_fork() -> None:
    if _acquired.pop():
        _importing.release()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)

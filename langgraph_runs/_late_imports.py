"""The modules that every client needs and that ``import langgraph_runs`` leaves out, since they take long to import.

They are imported when a client is made, not by a call: a signal handler that uses the client may interrupt that call, and would
find a half-imported module; a process that is forked meanwhile could never import it; and a process without free file
descriptors, or whose packages were replaced, could not import what its first failure needs.

The main thread lets another thread import them. What a signal handler raises in the main thread, as Ctrl-C does, would end the
import in the middle otherwise, and leave a package without some of its modules for as long as the process lives.
"""

from __future__ import annotations

import _thread
import contextlib
import importlib
import logging  # noqa: F401 - before the functions below are registered, see there
import os
import sys
import threading
import time
import types
from typing import Callable, ContextManager, List

__all__ = ["import_all", "import_late"]

_NAMES = (
    *("difflib", "email.utils", "hashlib", "html", "tenacity"),
    *("langgraph_runs.http.session", "langgraph_runs.resources", "langgraph_runs.serialization.records"),
    # Of maps.
    *("concurrent.futures", "langgraph_runs.batch"),
)
#: A Python may lack these. What needs them then fails, as it would without this module.
_OPTIONAL = ("sqlite3", "encodings.idna", "encodings.punycode", "encodings.utf_8_sig")
#: Seconds that a fork, and the main thread, wait for another thread's import at most.
_LONGEST_IMPORT = 10.0
#: Seconds of a single wait in the kernel, see `langgraph_runs.call.SIGNAL_INTERVAL`.
_SIGNAL_INTERVAL = 0.5

# A process that is forked during the import could never import the module: it waits for a thread that does not exist there.
_importing = threading.RLock()
_acquired: List[bool] = []
#: Seconds for the system to end a thread that has returned.
_LONGEST_EXIT = 0.2
#: True once all modules are imported.
_complete: List[bool] = []
#: True in a process that was forked during the import of another thread, and has waited for it in vain.
_cut_off: List[bool] = []


def import_all() -> None:
    """Import the modules. Processes that other threads fork meanwhile are forked afterwards.

    Raise `RuntimeError` in a process that was forked during an import which took too long: it can never import the modules.
    """
    _check()
    _beside(_import_all)
    _import_all()


def import_late(name: str) -> types.ModuleType:
    """Return the module *name*, which is imported if no client was made yet."""
    _check()
    if name not in sys.modules:
        _beside(lambda: _import(name))
    return _import(name)


def _check() -> None:
    if _cut_off and not _complete:
        raise RuntimeError(
            "this process was forked while another thread of its parent imported what a client needs: make a client before the "
            "process is forked, or start it with the method 'spawn'"
        )


def _lock() -> ContextManager[object]:
    """Return what is held during an import. The thread that holds the lock does not exist in a process that is cut off from it."""
    return contextlib.nullcontext() if _cut_off else _importing


def _import_all() -> None:
    with _lock():
        for name in _NAMES:
            importlib.import_module(name)
        for name in _OPTIONAL:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        _complete.append(True)


def _import(name: str) -> types.ModuleType:
    with _lock():
        return importlib.import_module(name)


def _beside(work: Callable[[], object]) -> None:
    """If this is the main thread, let another thread do *work*, and wait for it. The caller then repeats *work*, which raises."""
    if _complete or threading.current_thread() is not threading.main_thread():
        return
    ended = threading.Lock()
    ended.acquire()
    native_ids: List[int] = []

    def run() -> None:
        native_ids.append(threading.get_native_id())
        try:
            with contextlib.suppress(Exception):
                work()
        finally:
            ended.release()

    try:
        _thread.start_new_thread(run, ())
    except RuntimeError:  # no further thread can be started
        return
    # No longer: this thread may be importing a module that the other thread needs.
    end = time.monotonic() + _LONGEST_IMPORT
    while not ended.acquire(timeout=_SIGNAL_INTERVAL) and time.monotonic() < end:
        pass  # a signal may have come before the wait began: now its handler is called
    # A fork warns of threads that still run, from Python 3.12 on.
    place = f"/proc/self/task/{native_ids[0]}" if native_ids else ""
    end = min(end, time.monotonic() + _LONGEST_EXIT)
    while native_ids != [threading.get_native_id()] and os.path.exists(place) and time.monotonic() < end:
        time.sleep(0.0005)


def _before_fork() -> None:
    _acquired.append(not _cut_off and _importing.acquire(timeout=_LONGEST_IMPORT))


def _after_fork() -> None:
    if _acquired.pop():
        _importing.release()


def _after_fork_in_child() -> None:
    if _acquired.pop():
        _importing.release()
    else:
        _cut_off.append(True)


# What is registered later runs earlier before a fork. `logging` acquires its lock then, which an import in another thread needs.
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)

"""Ctrl-C, SIGTERM and SIGHUP: the first signal ends the command in an orderly way, the second one ends the process at once."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Dict, Iterator, Optional, Type

from .. import AbortController, AbortSignal, exit_codes

__all__ = ["Signals"]

#: Seconds to wait for the id of a run that is being created, so that the run can be cancelled.
_ID_TIMEOUT = 1.5
#: The signal of a terminal that was closed; Windows does not have it.
_HANGUP: Optional[int] = getattr(signal, "SIGHUP", None)


class Signals:
    """The handler of SIGINT, SIGTERM and SIGHUP while this context is entered.

    Outside of a call, a signal raises `KeyboardInterrupt`. Within `during_call` it fires `signal` instead, which was passed to the
    call, so that the call raises an `AbortedError` that knows the run. The handler runs between any two steps of the program and
    must not wait for a lock, so it only puts an item into a queue. The thread that `aborting_calls` starts reads the queue.
    """

    def __init__(self) -> None:
        self._controller = AbortController()
        #: True for a signal, False to end the thread.
        self._queue: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._run_is_known = threading.Event()
        self._in_call = False
        self._has_thread = True
        #: True while the run is being cancelled, or the command ends in another way.
        self.ending = False
        self._count = 0
        self._previous_handlers: Dict[int, Any] = {}

    @property
    def signal(self) -> AbortSignal:
        """To be passed to the calls within `during_call`."""
        return self._controller.signal

    def run_is_known(self) -> None:
        """Note that the run's id is known: a signal need not wait for it any more."""
        self._run_is_known.set()

    @contextlib.contextmanager
    def aborting_calls(self) -> Iterator[None]:
        """Run the thread that aborts a call when a signal arrives; `during_call` is used within this block."""
        thread = threading.Thread(target=self._abort_on_signal, name="langgraph-runs-signals", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the machine gives no further thread
            self._has_thread = False
        try:
            yield
        finally:
            self._run_is_known.set()
            self._queue.put(False)
            if self._has_thread:
                thread.join()

    @contextlib.contextmanager
    def during_call(self) -> Iterator[None]:
        """Within this block a signal aborts the call, which was given `signal`."""
        self._in_call = True
        try:
            yield
        finally:
            self._in_call = False

    def _abort_on_signal(self) -> None:
        if self._queue.get():
            self._run_is_known.wait(_ID_TIMEOUT)
            self._controller.abort("interrupted")

    def _handle(self, signum: int, frame: Optional[FrameType]) -> None:
        if signum == _HANGUP and (self._count or self.ending):
            return  # when a terminal is closed, the system sends one, and the shell may send another
        self._count += 1
        if self._count > 1:
            os._exit(exit_codes.INTERRUPTED)
        if self._in_call and not self._has_thread:
            self._controller.abort("interrupted")  # without waiting for the id of the run
        elif self._in_call:
            self._queue.put(True)
        else:
            raise KeyboardInterrupt

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for signum in filter(None, (signal.SIGINT, signal.SIGTERM, _HANGUP)):
                # A shell starts background jobs with SIGINT ignored, and nohup a command with SIGHUP ignored; it stays ignored.
                if signal.getsignal(signum) is not signal.SIG_IGN:
                    self._previous_handlers[signum] = signal.signal(signum, self._handle)
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        for signum, handler in self._previous_handlers.items():
            signal.signal(signum, handler)
        self._previous_handlers.clear()

"""Ctrl-C and SIGTERM: the first one ends what is under way in order, a second one ends the process at once."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Dict, Iterator, Optional, Type

from .. import AbortController, AbortSignal
from . import codes

__all__ = ["Interrupts"]

#: Seconds that a run which is being created gets to tell its id, so that it can be cancelled.
_ID_WITHIN = 1.5


class Interrupts:
    """What the two signals do while this is entered.

    They raise `KeyboardInterrupt`, except within `calling`: there they fire `signal`, which the call was given, so that it ends
    with an `AbortedError` that knows the run. The handler itself only puts a note into a queue: it runs between any two steps
    of the program, and so must not wait for a lock. A thread that `attending` starts does the rest.
    """

    def __init__(self) -> None:
        self._controller = AbortController()
        self._notes: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._created = threading.Event()
        self._in_call = False
        self._came = 0
        self._before: Dict[int, Any] = {}

    @property
    def signal(self) -> AbortSignal:
        """For the calls within `calling`."""
        return self._controller.signal

    @property
    def came(self) -> bool:
        """Whether one has come."""
        return self._came > 0

    def run_is_known(self) -> None:
        """From now on a call need not be waited for: it is known which run to end."""
        self._created.set()

    @contextlib.contextmanager
    def attending(self) -> Iterator[None]:
        """In here are calls of which `calling` tells."""
        thread = threading.Thread(target=self._attend, name="langgraph-runs-interrupts", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._created.set()
            self._notes.put(False)
            thread.join()

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """In here a call blocks that was given `signal`."""
        self._in_call = True
        try:
            yield
        finally:
            self._in_call = False

    def _attend(self) -> None:
        if self._notes.get():
            self._created.wait(_ID_WITHIN)
            self._controller.abort("interrupted")

    def _handle(self, signum: int, frame: Optional[FrameType]) -> None:
        self._came += 1
        if self._came > 1:
            os._exit(codes.INTERRUPTED)
        if self._in_call:
            self._notes.put(True)
        else:
            raise KeyboardInterrupt

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM):
                # A job that a shell runs in the background ignores Ctrl-C, and goes on doing so.
                if signal.getsignal(signum) is not signal.SIG_IGN:
                    self._before[signum] = signal.signal(signum, self._handle)
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before.clear()

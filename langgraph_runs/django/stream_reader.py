"""The thread that reads a run's stream, so that the thread that writes to the browser is never blocked for longer than it wants.

Between them is a queue with room for little: a browser that reads slowly stops the reader, and the memory that it takes is
bounded. Each side can end the other at once: the writer by `Reader.close`, the reader by putting the end into the queue.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import threading
import time
import weakref
from collections import deque
from typing import Any, Deque, Dict, List, NamedTuple, Optional, Union

from .. import AbortedError, LangGraphRunsError, RunStream, StreamEvent
from .resume import Position, Positions, ResumedStream

__all__ = ["End", "Fault", "Item", "Lost", "Piece", "Reader", "end_streams_at"]

_log = logging.getLogger("langgraph_runs.django")
#: The queue is full when it holds so many events, or events with so many characters of data.
_EVENTS = 64
_CHARACTERS = 256 * 1024
#: Seconds that the end of the process waits for streams to be let go of, and their runs to be cancelled.
_GRACE = 3.0


class Piece(NamedTuple):
    """An event and the position after it."""

    event: StreamEvent
    position: Optional[Position]


class Lost(NamedTuple):
    """Events are missing here (``on_gap="mark"``)."""

    reason: str


class End(NamedTuple):
    """The run has ended, or waits for a human."""

    told: Dict[str, Any]
    position: Optional[Position]


class Fault(NamedTuple):
    """The stream raised."""

    error: BaseException
    position: Optional[Position]


Item = Union[Piece, Lost, End, Fault]


class Reader:
    """Reads *stream* in a thread of its own from the first `take` on; *cancel*: a stream left before its end cancels its run."""

    def __init__(self, stream: Any, *, cancel: bool) -> None:
        self._stream = stream
        self._cancel = cancel
        self._positions: Positions = getattr(stream, "positions", None) or Positions()
        self._changed = threading.Condition()
        self._items: Deque[Item] = deque()
        self._size = 0
        self._gaps = 0
        self._closed = False
        self._stopped = False
        self._read_to_end = False
        self._pid = os.getpid()
        self._thread: Optional[threading.Thread] = None

    # -- the writer's side

    def take(self, timeout: float) -> List[Item]:
        """What has come, at least one; empty when nothing came for *timeout* seconds."""
        self._start()
        with self._changed:
            if not self._items:
                self._changed.wait_for(lambda: self._items, timeout)
            taken = list(self._items)
            self._items.clear()
            self._size = 0
            if taken:
                self._changed.notify_all()
        return taken

    def close(self) -> None:
        """Nobody wants more. Returns at once: the thread lets go of the stream, and cancels the run if so chosen."""
        if self._pid != os.getpid():
            return  # a fork has neither the thread nor the browser
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
        if not self._read_to_end:
            self._let_go()
            if not _ending.is_set():
                self._start()  # for the cancel, of a stream that was never read

    def stop(self) -> None:
        """End the stream from our side, from any thread: the writer gets what has come, and a fault after it."""
        with self._changed:
            if self._closed or self._stopped or self._read_to_end:
                return
            self._stopped = True
            told = AbortedError("the process is about to end", run_id=getattr(self._stream, "run_id", None))
            self._items.append(Fault(told, None))
            self._changed.notify_all()
        self._let_go()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def join(self, timeout: float) -> None:
        """Wait for the thread to end."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _let_go(self) -> None:
        if isinstance(self._stream, (RunStream, ResumedStream)):
            self._stream.close()  # ends a blocked read in the thread

    def _start(self) -> None:
        with self._changed:
            if self._thread is not None:
                return
            # A daemon, since the end of the process must not wait for a run; _end_all gives it the time that it needs.
            thread = threading.Thread(target=self._run, name="langgraph-runs-stream", daemon=True)
            thread.start()
            self._thread = thread
            _readers.add(self)

    # -- the thread's side

    def _run(self) -> None:
        try:
            self._put(self._read())
        finally:
            close = getattr(self._stream, "close", None)
            if close is not None:
                close()
            if not self._read_to_end and self._cancel:
                self._cancel_run()

    def _read(self) -> Item:
        """Queue all events; returns what comes after them."""
        stream = self._stream
        try:
            for event in stream:
                self._note_gaps()
                if not self._put(Piece(event, self._positions.note(event, getattr(stream, "run_id", None)))):
                    break
            self._note_gaps()
            return End(self._told() if not self._closed else {}, self._positions.end(getattr(stream, "run_id", None)))
        except BaseException as error:
            return Fault(error, self._positions.end(getattr(stream, "run_id", None)))

    def _put(self, item: Item) -> bool:
        """Wait until there is room; False when nobody wants it any more."""
        size = len(item.event.raw) if isinstance(item, Piece) else 0
        with self._changed:
            self._changed.wait_for(self._has_room)
            if self._closed or self._stopped:
                return False
            if isinstance(item, (End, Fault)):
                self._read_to_end = True
            self._items.append(item)
            self._size += size
            self._changed.notify_all()
        return True

    def _has_room(self) -> bool:
        return self._closed or self._stopped or (len(self._items) < _EVENTS and self._size < _CHARACTERS)

    def _note_gaps(self) -> None:
        gaps = getattr(self._stream, "gaps", ())
        for gap in gaps[self._gaps :]:
            self._put(Lost(gap.reason))
        self._gaps = len(gaps)

    def _told(self) -> Dict[str, Any]:
        """What the browser is told at the end: how the run ended, and the questions that it asks."""
        stream = getattr(self._stream, "stream", self._stream)
        outcome = getattr(stream, "outcome", None)
        asked = [{"id": one.id, "value": one.value} for one in getattr(stream, "interrupts", ())]
        # None where the run was not asked, or was gone when it was: a test's own events have ended well.
        unasked = "unknown" if isinstance(stream, RunStream) else "success"
        status = unasked if outcome is None else outcome.status
        return {"status": status, "paused": bool(getattr(stream, "paused", False)), "interrupts": asked}

    def _cancel_run(self) -> None:
        cancel = getattr(self._stream, "cancel", None)
        if cancel is None:
            return
        try:
            cancel()
        except LangGraphRunsError as error:
            _log.warning("the browser has gone, and its run could not be cancelled: %s", error)


#: Those whose thread runs.
_readers: weakref.WeakSet[Reader] = weakref.WeakSet()


#: Set when the process ends: no thread can be started any more.
_ending = threading.Event()


def _end_all() -> None:
    _ending.set()
    until = time.monotonic() + _GRACE
    open_ones = [reader for reader in list(_readers) if reader.alive]
    for reader in open_ones:
        reader.close()
    for reader in open_ones:
        reader.join(max(0.0, until - time.monotonic()))


def end_streams_at(*signals: int) -> None:
    """Have the streams of this process end at once when one of these *signals* comes; then its handler goes on as before.

    For a web server that waits for its requests before it stops, as gunicorn does at ``SIGTERM``. The browsers are told to come
    back, which leads them to the next process; a run is cancelled or goes on as its view chose for a browser that leaves. Call it
    in the main thread of each worker, after the server has set its own handlers: in gunicorn's ``post_worker_init``.
    """
    for number in signals:
        _chain(number, signal.getsignal(number))


def _chain(number: int, before: Any) -> None:
    def handle(received: int, frame: Any) -> None:
        # Not here: the thread that is interrupted may be within a reader.
        threading.Thread(target=_stop_all, name="langgraph-runs-stop").start()
        if callable(before):
            before(received, frame)
        elif before == signal.SIG_DFL:
            signal.signal(received, signal.SIG_DFL)
            os.kill(os.getpid(), received)

    signal.signal(number, handle)


def _stop_all() -> None:
    for reader in list(_readers):
        reader.stop()


# After that of `clients`, which is imported before: so it is called first, while the clients can still cancel.
atexit.register(_end_all)

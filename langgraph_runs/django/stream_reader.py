"""`StreamReader`: a thread that reads a run's stream, so that the thread of the HTTP request can wait with a timeout.

The reader thread puts events into a bounded queue, and the request's thread (the writer) sends them to the browser. If the browser
reads slowly, the queue is full and the reader thread waits, so memory is bounded. The writer ends the reader thread with
`StreamReader.close`; the reader thread ends the writer with an `EndItem` or `ErrorItem` in the queue.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import logging
import os
import signal
import threading
import time
import weakref
from collections import deque
from typing import Any, Deque, Dict, List, NamedTuple, Optional, Union

from .. import AbortedError, LangGraphRunsError, RunStream, StreamEvent
from .resume import Position, PositionTracker, ResumedStream

__all__ = ["EndItem", "ErrorItem", "Item", "GapItem", "EventItem", "StreamReader", "end_streams_at"]

_log = logging.getLogger("langgraph_runs.django")
#: The queue is full when it holds this many events, or events with this many characters of data.
_MAX_EVENTS = 64
_MAX_CHARACTERS = 256 * 1024
#: Seconds that the end of the process waits for streams to be closed and their runs to be cancelled.
_EXIT_TIMEOUT = 3.0


class EventItem(NamedTuple):
    """An event and the position after it."""

    event: StreamEvent
    position: Optional[Position]


class GapItem(NamedTuple):
    """Events are missing here (``on_gap="mark"``)."""

    reason: str


class EndItem(NamedTuple):
    """The run has ended, or waits for a human; *data* are those of the event ``end``."""

    data: Dict[str, Any]
    position: Optional[Position]


class ErrorItem(NamedTuple):
    """The stream raised."""

    error: BaseException
    position: Optional[Position]


Item = Union[EventItem, GapItem, EndItem, ErrorItem]


class StreamReader:
    """Reads *stream* in a thread, which the first `get_items` starts. With *cancel*, closing it before the end cancels the run."""

    def __init__(self, stream: Any, *, cancel: bool) -> None:
        self._stream = stream
        self._cancel = cancel
        self._positions: PositionTracker = getattr(stream, "positions", None) or PositionTracker()
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

    def get_items(self, timeout: float) -> List[Item]:
        """Remove and return all items of the queue; wait at most *timeout* seconds for the first one, then return no items."""
        self._start()
        with self._changed:
            if not self._items:
                self._changed.wait_for(lambda: self._items, timeout)
            items = list(self._items)
            self._items.clear()
            self._size = 0
            if items:
                self._changed.notify_all()
        return items

    def close(self) -> None:
        """End the reader thread. Returns at once; the thread closes the stream, and cancels the run if *cancel* was given."""
        if self._pid != os.getpid():
            return  # a forked child has neither the thread nor the browser's connection
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
        if not self._read_to_end:
            self._close_stream()
            if not _exiting.is_set():
                self._start()  # if it was not started before: the thread cancels the run

    def stop(self) -> None:
        """End the stream, from any thread. The writer still gets the items in the queue, then an `AbortedError`."""
        with self._changed:
            if self._closed or self._stopped or self._read_to_end:
                return
            self._stopped = True
            error = AbortedError("the process is about to end", run_id=getattr(self._stream, "run_id", None))
            self._items.append(ErrorItem(error, None))
            self._changed.notify_all()
        self._close_stream()

    @property
    def run_id(self) -> Optional[str]:
        """The id of the stream's run, or None if it is not known."""
        return getattr(self._stream, "run_id", None)

    @property
    def alive(self) -> bool:
        """True if the thread is running."""
        return self._thread is not None and self._thread.is_alive()

    def join(self, timeout: float) -> None:
        """Wait for the thread to end, at most *timeout* seconds."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _close_stream(self) -> None:
        if isinstance(self._stream, (RunStream, ResumedStream)):
            self._stream.close()  # ends a blocked read in the thread

    def _start(self) -> None:
        with self._changed:
            if self._thread is not None:
                return
            # A daemon thread, since the end of the process must not wait for a run. _close_all waits for it for a limited time.
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
        """Put all events into the queue; return the item that follows them."""
        stream = self._stream
        try:
            for event in stream:
                self._put_gaps()
                if not self._put(EventItem(event, self._positions.after(event, getattr(stream, "run_id", None)))):
                    break
            self._put_gaps()
            return EndItem(self._end_data() if not self._closed else {}, self._positions.end(getattr(stream, "run_id", None)))
        except BaseException as error:
            return ErrorItem(error, self._positions.end(getattr(stream, "run_id", None)))

    def _put(self, item: Item) -> bool:
        """Put an item into the queue, waiting while it is full; return False if the reader was closed or stopped."""
        size = len(item.event.raw) if isinstance(item, EventItem) else 0
        with self._changed:
            self._changed.wait_for(self._can_put)
            if self._closed or self._stopped:
                return False
            if isinstance(item, (EndItem, ErrorItem)):
                self._read_to_end = True
            self._items.append(item)
            self._size += size
            self._changed.notify_all()
        return True

    def _can_put(self) -> bool:
        return self._closed or self._stopped or (len(self._items) < _MAX_EVENTS and self._size < _MAX_CHARACTERS)

    def _put_gaps(self) -> None:
        gaps = getattr(self._stream, "gaps", ())
        for gap in gaps[self._gaps :]:
            self._put(GapItem(gap.reason))
        self._gaps = len(gaps)

    def _end_data(self) -> Dict[str, Any]:
        """Return the data of the event ``end``: the run's status, and its questions if it is paused."""
        stream = getattr(self._stream, "stream", self._stream)
        outcome = getattr(stream, "outcome", None)
        interrupts = [{"id": one.id, "value": one.value} for one in getattr(stream, "interrupts", ())]
        # A RunStream has no outcome if it was not requested, or if the run was deleted. Other iterables of events have succeeded.
        default = "unknown" if isinstance(stream, RunStream) else "success"
        status = default if outcome is None else outcome.status
        return {"status": status, "paused": bool(getattr(stream, "paused", False)), "interrupts": interrupts}

    def _cancel_run(self) -> None:
        cancel = getattr(self._stream, "cancel", None)
        if cancel is None:
            return
        try:
            cancel()
        except LangGraphRunsError as error:
            _log.warning("the browser has disconnected, and its run could not be cancelled: %s", error)


#: All readers whose thread was started.
_readers: weakref.WeakSet[StreamReader] = weakref.WeakSet()


#: Set when the process ends: then no thread can be started.
_exiting = threading.Event()


def _close_all() -> None:
    _exiting.set()
    until = time.monotonic() + _EXIT_TIMEOUT
    running = [reader for reader in list(_readers) if reader.alive]
    for reader in running:
        reader.close()
    for reader in running:
        reader.join(max(0.0, until - time.monotonic()))


def end_streams_at(*signals: int) -> None:
    """End the streams of this process when one of these *signals* arrives; afterwards call the signal's previous handler.

    For a web server that waits for its requests before it stops, as gunicorn does at ``SIGTERM``. The browsers
    then reconnect, and reach another process. The runs are cancelled or go on, as *on_disconnect* of `stream_response` says.
    Call it in the main thread of each worker, after the server has set its own handlers; with gunicorn, in ``post_worker_init``.
    """
    for number in signals:
        _add_handler(number, signal.getsignal(number))


def _add_handler(number: int, previous: Any) -> None:
    def handle(received: int, frame: Any) -> None:
        # In another thread: the interrupted thread may hold the lock of a reader. `threading.Thread.start` would wait for it, which
        # gevent forbids where it calls signal handlers. If there can be no other thread, the streams end with the process.
        with contextlib.suppress(RuntimeError):
            _thread.start_new_thread(_stop_all, ())
        if callable(previous):
            previous(received, frame)
        elif previous == signal.SIG_DFL:
            signal.signal(received, signal.SIG_DFL)
            os.kill(os.getpid(), received)

    signal.signal(number, handle)


def _stop_all() -> None:
    for reader in list(_readers):
        reader.stop()


# Registered after the function of the module `clients`, so that it is called before it, while the clients can still cancel runs.
atexit.register(_close_all)

"""`stream_response`: a streaming response that sends a run's events to a browser."""

from __future__ import annotations

import logging
import time
from typing import Any, Callable, Iterable, Iterator, List, Literal, Optional, Sequence, Union

from django.db import connections
from django.http import HttpResponse, StreamingHttpResponse

from .. import AbortedError, InvalidRequestError, LangGraphRunsError, RunError, RunStream, StreamEvent
from ..serialization import encode
from ..validation import check_seconds
from .browser_events import HEARTBEAT, browser_event, code_of, error_frame, event_frame, frame, is_retryable
from .resume import Position, ResumedStream
from .run_records import record_stream_end
from .stream_reader import EndItem, EventItem, GapItem, Item, StreamReader

__all__ = ["browser_event", "stream_response"]

_log = logging.getLogger("langgraph_runs.django")
_LONGEST_HEARTBEAT = 3600.0
#: Seconds without an event after which database connections are closed that the transform function has opened.
_DATABASE_IDLE = 1.0
Transform = Callable[[StreamEvent], Any]


def stream_response(
    stream: Union[RunStream[Any], ResumedStream, Iterable[StreamEvent]],
    *,
    transform: Optional[Transform] = None,
    heartbeat: float = 15.0,
    on_disconnect: Literal["cancel", "continue"] = "cancel",
    show_errors: bool = False,
) -> Union[StreamingHttpResponse, HttpResponse]:
    """Return a response, for a view, that sends each event of a run to the browser when it arrives, as server-sent events.

    The response closes the stream when it is closed itself. When the browser disconnects, the thread of the web server is free
    within *heartbeat* seconds, and the run is cancelled or goes on (*on_disconnect*). Choose ``"continue"`` if the browser may
    reconnect, as an EventSource does, and always with `resume_stream`.

    Arguments:
        stream: From ``client.runs.stream``, ``client.runs.join_stream`` or `resume_stream`; or any iterable of events.
        transform: A function that is called with each event, in the thread of the request. It returns None to send nothing, an
            event to send instead, or any JSON value to send as the event's data. The default is `browser_event`, which removes
            configuration and other data that may be secret.
        heartbeat: Seconds within which a disconnected browser is noticed. While the run sends no events, a comment is sent every
            *heartbeat* / 2 seconds.
        on_disconnect: What happens to the run if the browser disconnects before it ends: ``"cancel"`` or ``"continue"``.
        show_errors: Whether to send the message of the graph's exception to the browser, which may contain secrets.

    The last event is one of these:

    - ``end`` with ``{"status": ..., "paused": ..., "interrupts": [...]}``: no more events follow. The page must close its
      EventSource, which would reconnect otherwise. If it does reconnect, `resume_stream` ends it with a 204.
    - ``error`` with ``{"code": ..., "message": ..., "retry": false}``, then ``end``: the run failed, was cancelled, and so on.
    - ``error`` with ``"retry": true`` and no ``end``: the server could not be reached, the stream's timeout has expired, or
      this process is about to end. The browser should reconnect. It must not do so if *stream* has started the run, since the
      same request would start a second one: then ``retry`` is false, and an ``end`` with the status ``unknown`` follows. The run
      may go on; `resume_stream` continues it.

    With ``on_gap="mark"``, an event ``gap`` is sent where events are missing.

    The response holds no connection to the database: those of the view are closed before the first event, and those that
    *transform* has opened when no event has come for a second. A query opens them again.
    """
    if on_disconnect not in ("cancel", "continue"):
        raise InvalidRequestError(f"on_disconnect={on_disconnect!r}: give 'cancel' or 'continue'")
    if transform is not None and not callable(transform):
        raise InvalidRequestError(f"transform={transform!r}: give a function of one event")
    seconds = check_seconds("heartbeat", heartbeat)
    if seconds is None or not 0 < seconds <= _LONGEST_HEARTBEAT:
        raise InvalidRequestError(f"heartbeat={heartbeat!r}: give seconds, above 0 and at most {_LONGEST_HEARTBEAT:g}")
    if isinstance(stream, ResumedStream) and stream.stream is None:
        return HttpResponse(status=204)
    reader = StreamReader(stream, cancel=on_disconnect == "cancel")
    starts_run = isinstance(stream, RunStream) and stream._config.run_id is None
    frames = _Frames(reader, transform or browser_event, seconds / 2, show_errors, repeatable=not starts_run)
    return StreamingHttpResponse(
        frames,
        content_type="text/event-stream; charset=utf-8",
        headers={
            "Cache-Control": "no-store, no-transform",
            "X-Accel-Buffering": "no",  # nginx
            "Content-Encoding": "identity",  # or GZipMiddleware would hold the events back to compress them
        },
    )


class _Frames(Iterator[bytes]):
    """The body of the response. The web server calls `close` when the browser has disconnected, and after the last item."""

    def __init__(
        self, reader: StreamReader, transform: Transform, heartbeat_interval: float, show_errors: bool, *, repeatable: bool
    ) -> None:
        self._reader = reader
        #: True if the browser may repeat its request: that does not start another run.
        self._repeatable = repeatable
        self._transform = transform
        self._heartbeat_interval = heartbeat_interval
        self._show_errors = show_errors
        self._started = False
        self._ended = False

    def __iter__(self) -> _Frames:
        return self

    def __next__(self) -> bytes:
        if self._ended:
            raise StopIteration
        if not self._started:
            self._started = True
            _close_database_connections()  # those of the view
            return b": open\n\n"  # so that the headers are sent before the first event
        due = time.monotonic() + self._heartbeat_interval
        body = b""
        # Repeated, since items may encode to nothing: the heartbeat is due also if no event is meant for the browser.
        while not body and not self._ended:
            items = self._reader.get_items(min(_DATABASE_IDLE, due - time.monotonic()))
            if not items:
                _close_database_connections()
                items = self._reader.get_items(due - time.monotonic())
            if not items and time.monotonic() >= due:
                return HEARTBEAT
            body = self._encode_all(items)
        return body

    def _encode_all(self, items: Sequence[Item]) -> bytes:
        frames: List[bytes] = []
        for item in items:
            try:
                frames.append(self._encode(item))
            except Exception as error:  # raised by the transform function, or by encoding what it returned
                _log.exception("an event could not be sent to the browser")
                frames.append(self._error(error, None))
            if self._ended:
                self._reader.close()
                break
        return b"".join(frames)

    def _encode(self, item: Item) -> bytes:
        if isinstance(item, EventItem):
            return self._event(item)
        if isinstance(item, GapItem):
            return frame("gap", encode({"message": item.reason}))
        if isinstance(item, EndItem):
            self._record_end()
            return self._end(item.data, item.position)
        if not isinstance(item.error, LangGraphRunsError):
            _log.error("a run's stream raised", exc_info=item.error)
        else:
            level = logging.INFO if isinstance(item.error, AbortedError) else logging.WARNING
            _log.log(level, "a run's stream ended: %s (run %s)", code_of(item.error), item.error.run_id)
            if isinstance(item.error, RunError):
                self._record_end()
        return self._error(item.error, item.position)

    def _record_end(self) -> None:
        """Update the record of the run, if the site has an app that keeps records. In this thread, whose connections are closed."""
        record_stream_end(self._reader.run_id)
        _close_database_connections()

    def _event(self, item: EventItem) -> bytes:
        event, position = item
        if event.mode in ("error", "end"):
            return b""  # this class sends its own, when the run's outcome is known
        result = self._transform(event)
        if result is None:
            return b""
        event_id = None if position is None else str(position)
        if isinstance(result, StreamEvent):
            return event_frame(result, event_id=event_id)
        return event_frame(event, result, event_id=event_id)

    def _error(self, error: BaseException, position: Optional[Position]) -> bytes:
        retry = self._repeatable and is_retryable(error)
        encoded = error_frame(error, show=self._show_errors, retry=retry)
        if retry:
            self._ended = True
            return encoded
        status = {"failed": "error", "cancelled": "interrupted", "timed_out": "timeout"}.get(code_of(error), "unknown")
        return encoded + self._end({"status": status, "paused": False, "interrupts": []}, position)

    def _end(self, data: Any, position: Optional[Position]) -> bytes:
        self._ended = True
        return frame("end", encode(data), None if position is None else str(position))

    def close(self) -> None:
        """Close the stream, from any thread. Returns at once."""
        self._ended = True
        self._reader.close()

    def __del__(self) -> None:
        self._reader.close()


def _close_database_connections() -> None:
    """Close the database connections of this thread, since a stream may last for hours. Django opens them again for a query.

    A connection in a transaction stays open: tests run in one.
    """
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()

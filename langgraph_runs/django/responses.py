"""`stream_response`: a run's events as a response that a browser reads as they come."""

from __future__ import annotations

import logging
import time
from typing import Any, Callable, Iterable, Iterator, List, Literal, Optional, Sequence, Union

from django.http import HttpResponse, StreamingHttpResponse

from .. import AbortedError, InvalidRequestError, LangGraphRunsError, RunStream, StreamEvent
from ..serialization import encode
from ..validation import check_seconds
from .browser_events import HEARTBEAT, browser_event, code_of, error_frame, event_frame, frame, is_passing
from .resume import Position, ResumedStream
from .stream_reader import End, Item, Lost, Piece, Reader

__all__ = ["browser_event", "stream_response"]

_log = logging.getLogger("langgraph_runs.django")
_LONGEST_HEARTBEAT = 3600.0
Transform = Callable[[StreamEvent], Any]


def stream_response(
    stream: Union[RunStream[Any], ResumedStream, Iterable[StreamEvent]],
    *,
    transform: Optional[Transform] = None,
    heartbeat: float = 15.0,
    on_disconnect: Literal["cancel", "continue"] = "cancel",
    show_errors: bool = False,
) -> Union[StreamingHttpResponse, HttpResponse]:
    """The events of a run as server-sent events, each sent to the browser when it comes. Return it from a view.

    The stream belongs to the response from now on: it is closed when that is, whatever happens. When the browser goes away, the
    thread of the web server is free within *heartbeat* seconds, and the run is cancelled, or goes on (*on_disconnect*).
    Choose ``"continue"`` where the browser may come back, as an EventSource does after a cut, and always with `resume_stream`.

    Arguments:
        stream: From ``client.runs.stream``, ``client.runs.join_stream`` or `resume_stream`; or any iterable of events.
        transform: Called with each event, in the thread of the request. What it returns is sent: None for nothing, an event, or
            anything that has a JSON form, as the event's data. Not given: `browser_event`, which lets nothing secret through.
        heartbeat: Seconds in which it is noticed that a browser has gone. While the run is silent, a comment is sent after each
            half of it.
        on_disconnect: What becomes of a run whose browser goes away before its end: ``"cancel"`` or ``"continue"``. A stateless
            run whose thread the server does not tell can be cancelled only by the same option of ``client.runs.stream``.
        show_errors: Whether the browser gets the words of the graph's exception, which may hold anything.

    After the run's events comes one of these:

    - ``end`` with ``{"status": ..., "paused": ..., "interrupts": [...]}``: there is no more, and the page closes its EventSource,
      which would come back otherwise. If it does, it gets a 204 from `resume_stream`, which ends it.
    - ``error`` with ``{"code": ..., "message": ..., "retry": false}``, then ``end``: the run failed, was cancelled, and so on.
    - ``error`` with ``"retry": true`` and no ``end``: the server could not be reached, the stream's ``timeout`` is over, or this
      process is about to end; the browser should come back.

    ``gap`` may come between the others, with ``on_gap="mark"``: events are missing there.
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
    if on_disconnect == "cancel" and isinstance(stream, RunStream) and stream.thread_id is None:
        if not stream._config.dies_with_connection:
            stream.close()
            raise InvalidRequestError(
                "on_disconnect='cancel': the server does not tell the thread of this run, so it could not be cancelled; give"
                " on_disconnect='cancel' to client.runs.stream too, or a thread_id, or 'continue' here"
            )
        on_disconnect = "continue"  # the server cancels it as soon as the stream is closed
    reader = Reader(stream, cancel=on_disconnect == "cancel")
    frames = _Frames(reader, transform or browser_event, seconds / 2, show_errors)
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
    """The body. Its `close` is what the web server calls when the browser has gone, and when all is sent."""

    def __init__(self, reader: Reader, transform: Transform, patience: float, show_errors: bool) -> None:
        self._reader = reader
        self._transform = transform
        self._patience = patience
        self._show_errors = show_errors
        self._begun = False
        self._over = False

    def __iter__(self) -> _Frames:
        return self

    def __next__(self) -> bytes:
        if self._over:
            raise StopIteration
        if not self._begun:
            self._begun = True
            return b": open\n\n"  # so that the headers go out before the first event
        due = time.monotonic() + self._patience
        written = b""
        while not written and not self._over:
            # Not only where nothing comes: also where all that comes is not for the browser.
            taken = self._reader.take(due - time.monotonic())
            if not taken and time.monotonic() >= due:
                return HEARTBEAT
            written = self._write_all(taken)
        return written

    def _write_all(self, items: Sequence[Item]) -> bytes:
        written: List[bytes] = []
        for item in items:
            try:
                written.append(self._write(item))
            except Exception as error:  # of the transform, or of data that it made
                _log.exception("an event could not be sent to the browser")
                written.append(self._fault(error, None))
            if self._over:
                self._reader.close()
                break
        return b"".join(written)

    def _write(self, item: Item) -> bytes:
        if isinstance(item, Piece):
            return self._event(item)
        if isinstance(item, Lost):
            return frame("gap", encode({"message": item.reason}))
        if isinstance(item, End):
            return self._end(item.told, item.position)
        if not isinstance(item.error, LangGraphRunsError):
            _log.error("a run's stream raised", exc_info=item.error)
        else:
            level = logging.INFO if isinstance(item.error, AbortedError) else logging.WARNING
            _log.log(level, "a run's stream ended: %s (run %s)", code_of(item.error), item.error.run_id)
        return self._fault(item.error, item.position)

    def _event(self, piece: Piece) -> bytes:
        event, position = piece
        if event.mode in ("error", "end"):
            return b""  # ours come instead, when it is known how the run ended
        told = self._transform(event)
        if told is None:
            return b""
        event_id = None if position is None else str(position)
        if isinstance(told, StreamEvent):
            return event_frame(told, event_id=event_id)
        return event_frame(event, told, event_id=event_id)

    def _fault(self, error: BaseException, position: Optional[Position]) -> bytes:
        told = error_frame(error, show=self._show_errors)
        if is_passing(error):
            self._over = True
            return told
        status = {"failed": "error", "cancelled": "interrupted", "timed_out": "timeout"}.get(code_of(error), "unknown")
        return told + self._end({"status": status, "paused": False, "interrupts": []}, position)

    def _end(self, told: Any, position: Optional[Position]) -> bytes:
        self._over = True
        return frame("end", encode(told), None if position is None else str(position))

    def close(self) -> None:
        """Let go of the stream, from any thread; returns at once."""
        self._over = True
        self._reader.close()

    def __del__(self) -> None:
        self._reader.close()

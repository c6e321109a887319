"""Opens the connections of one stream, each where the last one ended, and reads their bytes as server-sent events.

Knows how a stream is resumed in HTTP, and how often. Does not know what the events mean.
"""

from __future__ import annotations

import time
import urllib.parse
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple

from .. import api
from ..call import Retrier, Scope, may_lack_route, polling_wait
from ..errors import APIConnectionError, APIStatusError, LangGraphRunsError, ResponseDecodeError, StreamInterruptedError
from ..http import CommonOptions, Transport
from .cursor import Cursor, Place
from .mode_filter import ModeFilter
from .sse import EventParser, ServerSentEvent

if TYPE_CHECKING:
    from ..http import ByteStream

__all__ = ["REFUSES_FILTER", "StreamConnection"]

#: Statuses of a server that does not take the filter of modes of a join.
REFUSES_FILTER = frozenset({400, 422})

_EVENT_STREAM = "text/event-stream"
#: Path below the base URL, and query.
_Target = Tuple[str, List[Tuple[str, Any]]]


class StreamConnection:
    """Opens the connections of one stream, and reads them. Keeps the ``Location`` that the server sent last."""

    def __init__(
        self,
        transport: Transport,
        scope: Scope,
        cursor: Cursor,
        *,
        mode_filter: ModeFilter,
        query: Sequence[Tuple[str, Any]],
        options: CommonOptions,
    ) -> None:
        self._transport = transport
        self._scope = scope
        self._cursor = cursor
        self._filter = mode_filter
        self._query = query
        self._options = options
        self._location: Optional[_Target] = None
        # Both are counted since the last new event: failed attempts, and connections that ended although the run went on.
        self._retrier: Optional[Retrier] = None
        self._quiet_ends = 0
        self._body: Optional[ByteStream] = None
        self._parser = EventParser(max_event_bytes=transport.settings.max_event_bytes)
        #: The error to raise after the events that `read` has returned.
        self.fault: Optional[LangGraphRunsError] = None
        #: True if only the end of the connection marked the end of the last body, so that a broken connection would look the same.
        self.ended_by_connection = False
        #: How many connections brought a response with events.
        self.opened = 0
        #: True if this connection began the stream: its response was not lost.
        self.began = False
        #: True if the server answered without a body (204).
        self.without_body = False

    @property
    def is_open(self) -> bool:
        """True if a connection is open."""
        return self._body is not None

    @property
    def has_end_frame(self) -> bool:
        """True if the last connection had a frame ``event: end`` without data."""
        return self._parser.ended

    # -- opening

    def begin(self, body: ByteStream) -> None:
        """Read the response that starts the stream. Its headers name the run."""
        ids = api.ids_from(body.headers)
        self._scope.note_run(ids.run_id, ids.thread_id)
        self.began = True
        self._read_from(body)

    def open_again(self, *, all_published: bool = False) -> None:
        """Open the next connection where the last one ended.

        With *all_published* the run is known to have published all its events. The server then sends each of them once.
        """
        last_id = self._cursor.reconnect(all_published=all_published)
        if self._cursor.counting:
            self._filter.filter_here()  # so that a jump in the ids can only mean a missing event
        try:
            self._open_at(self._targets(), last_id)
        except APIStatusError as error:
            if error.status_code not in REFUSES_FILTER or not self._filter.is_sent:
                raise
            self._filter.filter_here()
            self._open_at(self._targets(), last_id)

    def _open_at(self, targets: List[_Target], last_id: Optional[str]) -> None:
        for index, (path, query) in enumerate(targets):
            request = api.stream_request(path, self._options, query=query, last_event_id=last_id)
            try:
                body = self._transport.open(request, self._scope)
            except APIStatusError as error:
                if may_lack_route(error) and index + 1 < len(targets):
                    continue
                raise
            if _media_type(body) != _EVENT_STREAM and index + 1 < len(targets):
                body.close()
                continue
            self._read_from(body)
            return

    def _targets(self) -> List[_Target]:
        """Return where to request the stream: the newest ``Location``, which may be wrong, and then the documented path."""
        targets = []
        if self._location is not None:
            path, query = self._location
            own = {name for name, _ in self._query}
            given = (pair for pair in self._filter.without(query) if pair[0] not in own)
            targets.append((path, [*given, *self._filter.query(), *self._query]))
        if self._scope.thread_id is not None and self._scope.run_id is not None:
            target = (api.stream_path(self._scope.thread_id, self._scope.run_id), [*self._filter.query(), *self._query])
            if target not in targets:
                targets.append(target)
        if not targets:
            raise self.interrupted(None, "the server did not say where the run's stream is")
        return targets

    def _read_from(self, body: ByteStream) -> None:
        media_type = _media_type(body)
        if media_type != _EVENT_STREAM:
            body.close()
            problem = f"$: expected content-type {_EVENT_STREAM}, not {media_type!r}"
            raise self._scope.identify(
                ResponseDecodeError(f"the response is not an event stream: {problem[3:]}", problems=(problem,), request=body.info)
            )
        self._location = _target_of(body.headers.get("location"), self._transport.base_url) or self._location
        self._body = body
        self.opened += 1
        self.without_body = body.status == 204
        self._parser = EventParser(max_event_bytes=self._transport.settings.max_event_bytes)

    # -- reading

    def read(self) -> Optional[List[ServerSentEvent]]:
        """Read bytes, and return the events that they complete; None at a clean end. Blocks until bytes come.

        Raise `APIConnectionError` at any other end. If the bytes cannot be parsed, return the events before the error, and set
        `fault` to the error.
        """
        body = self._body
        assert body is not None
        self.fault = None
        began = time.monotonic()
        data = body.read1()
        self._cursor.waited(time.monotonic() - began)
        if not data:
            if self._parser.in_event:
                raise APIConnectionError("the connection ended within an event", sent=True, request=body.info)
            self.ended_by_connection = body.ends_with_connection
            return None
        try:
            return self._parser.feed(data)
        except ResponseDecodeError as error:
            self.fault = self._scope.identify(error)
            return self._parser.before_fault

    def close(self) -> None:
        """Close the connection, if one is open."""
        body, self._body = self._body, None
        if body is not None:
            body.close()

    # -- trying again

    def progressed(self) -> None:
        """Note that a new event has come: count failures from 0 again."""
        self._quiet_ends = 0
        if self._retrier is not None:
            self._retrier.succeeded()

    def count_failure(self, error: LangGraphRunsError, *, at_once: bool = False) -> None:
        """Count a failed attempt and wait; with *at_once* do not wait after the first. Raise if no attempt is left."""
        if self._retrier is None:
            call = f"the stream of run {self._scope.run_id}"
            self._retrier = self._transport.retrier_of(call, lambda _: True, scope=self._scope)
        seconds = 0.0 if at_once and not self._retrier.failures else None
        wait = self._retrier.next_wait(error, seconds=seconds, least=self._requested_pause())
        if wait is None:
            if self._retrier.out_of_time:
                raise self._scope.identify(error)
            cause = error if isinstance(error, APIConnectionError) else None
            raise self.interrupted(cause, str(error) if cause is None else "no attempt brought a new event") from error
        self._scope.sleep(wait)

    def wait_before_reopening(self) -> None:
        """Wait before the next connection, if the run goes on. Counts no failure. The wait grows with each connection."""
        seconds = max(polling_wait(self._quiet_ends), self._requested_pause())
        self._quiet_ends += 1
        self._scope.sleep(seconds)

    def _requested_pause(self) -> float:
        """Return the seconds that the server requested with a ``retry`` field, at most the longest wait of the policy."""
        retry = self._parser.retry
        return 0.0 if retry is None else min(retry / 1000.0, self._transport.settings.retry.wait_max)

    def interrupted(self, cause: Optional[APIConnectionError], reason: str, *, place: Optional[Place] = None) -> LangGraphRunsError:
        """Return the error that says why the stream cannot go on."""
        text = f"{cause._text}; " if cause is not None else ""
        after_id, events_seen = place or self._cursor.place
        error = StreamInterruptedError(
            f"the stream was cut after {events_seen} events and cannot be resumed: {text}{reason}",
            sent=True,
            last_event_id=after_id,
            events_seen=events_seen,
            request=cause.request if cause is not None else None,
        )
        error.__cause__ = cause
        return self._scope.identify(error)


def _media_type(body: ByteStream) -> str:
    return body.headers.get("content-type", _EVENT_STREAM).split(";", 1)[0].strip().lower()


def _target_of(location: Optional[str], base_url: str) -> Optional[_Target]:
    """Return where a ``Location`` leads, or None if there is none or it leads, or could lead, to another server."""
    path = api.local_path(location, base_url)
    if path is None or location is None:
        return None
    query = urllib.parse.urlsplit(location).query
    return path, [*urllib.parse.parse_qsl(query, keep_blank_values=True)]

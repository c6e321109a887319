"""The connections of one stream, one after the other, each opened where the last one ended; their bytes as server-sent events.

Knows how a stream is resumed on the wire and how often that is tried. Does not know what the events mean.
"""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Sequence, Tuple

from ..api import ids_from, local_path, run_path
from ..call import Scope
from ..errors import APIConnectionError, APIStatusError, LangGraphRunsError, ResponseDecodeError, StreamInterruptedError
from ..http import Request, Transport, as_utf8
from .cursor import Cursor, Place
from .sse import EventParser, ServerSentEvent

if TYPE_CHECKING:
    from ..http import ByteStream

__all__ = ["StreamConnection"]

#: Path below the base URL, and query.
_Target = Tuple[str, List[Tuple[str, Any]]]


class StreamConnection:
    """Opens the connections of one stream, and reads them. Keeps the ``Location`` that the server sent last."""

    def __init__(
        self, transport: Transport, scope: Scope, cursor: Cursor, *, query: Sequence[Tuple[str, Any]], headers: Mapping[str, str]
    ) -> None:
        self._transport = transport
        self._scope = scope
        self._cursor = cursor
        self._query = query
        self._headers = headers
        self._location: Optional[_Target] = None
        # Both count since the last new event: attempts used up, and connections that ended although the run went on.
        self._failures = 0
        self._quiet_ends = 0
        self._body: Optional[ByteStream] = None
        self._parser = EventParser(max_event_bytes=transport.settings.max_event_bytes)
        #: The error to raise after the events that `read` has returned.
        self.fault: Optional[LangGraphRunsError] = None
        #: Whether the end of the last body was marked by the end of the connection alone, so that a cut would look the same.
        self.ended_by_connection = False

    @property
    def is_open(self) -> bool:
        """True if there is a connection to read."""
        return self._body is not None

    @property
    def has_end_frame(self) -> bool:
        """True if the last connection had a frame ``event: end`` without data."""
        return self._parser.ended

    # -- opening

    def begin(self, body: ByteStream) -> None:
        """Read the response that starts the stream. Its headers name the run."""
        ids = ids_from(body.headers)
        self._scope.note_run(ids.run_id, ids.thread_id)
        self._read_from(body)

    def open_again(self, *, all_published: bool = False) -> None:
        """Open the next connection where the last one ended.

        With *all_published* the run is known to have published all its events. The server then sends each of them once.
        """
        targets = self._targets()
        headers = dict(self._headers)
        last_id = self._cursor.reconnect(all_published=all_published)
        if last_id is not None:
            headers["Last-Event-ID"] = as_utf8(last_id)
        for index, (path, query) in enumerate(targets):
            request = Request(method="GET", path=path, query=query, headers=headers, accept="text/event-stream")
            try:
                body = self._transport.open(request, self._scope)
            except APIStatusError as error:
                if error.status_code in (404, 405) and index + 1 < len(targets):
                    continue
                raise
            self._read_from(body)
            return

    def _targets(self) -> List[_Target]:
        """Where the run's stream is: the newest ``Location``, and the documented path for servers whose ``Location`` is wrong."""
        targets = []
        if self._location is not None:
            path, query = self._location
            own = {name for name, _ in self._query}
            targets.append((path, [*(pair for pair in query if pair[0] not in own), *self._query]))
        if self._scope.thread_id is not None and self._scope.run_id is not None:
            target = (run_path(self._scope.thread_id, self._scope.run_id, "stream"), [*self._query])
            if target not in targets:
                targets.append(target)
        if not targets:
            raise self.interrupted(None, "the server did not say where the run's stream is")
        return targets

    def _read_from(self, body: ByteStream) -> None:
        self._cursor.opened(body.server_time)
        media_type = body.headers.get("content-type", "text/event-stream").split(";", 1)[0].strip().lower()
        if media_type != "text/event-stream":
            body.close()
            problem = f"$: expected content-type text/event-stream, not {media_type!r}"
            raise self._scope.identify(
                ResponseDecodeError(f"the response is no stream: {problem[3:]}", problems=(problem,), request=body.info)
            )
        self._location = _target_of(body.headers.get("location"), self._transport.base_url) or self._location
        self._body = body
        self._parser = EventParser(max_event_bytes=self._transport.settings.max_event_bytes)

    # -- reading

    def read(self) -> Optional[List[ServerSentEvent]]:
        """Return the events that are complete with the next bytes, or None at a clean end. Blocks until bytes come.

        Raise `APIConnectionError` at any other end. If the bytes cannot be read as events, `fault` is the error, and the events
        before it are returned.
        """
        body = self._body
        assert body is not None
        self.fault = None
        data = body.read1()
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
        """A new event has come: failures are counted from here."""
        self._failures = self._quiet_ends = 0

    def count_failure(self, error: LangGraphRunsError, *, at_once: bool = False) -> None:
        """Use up an attempt and wait; with *at_once* there is no wait after the first. Raise when no attempt is left."""
        first = not self._failures
        self._failures += 1
        policy = self._transport.settings.retry
        if self._failures >= policy.attempts or policy.forbids(error):
            cause = error if isinstance(error, APIConnectionError) else None
            raise self.interrupted(cause, str(error) if cause is None else "no attempt brought anything new") from error
        seconds = 0.0 if first and at_once else policy.wait(self._failures, getattr(error, "retry_after", None))
        policy.announce(f"the stream of run {self._scope.run_id}", self._failures + 1, seconds, error)
        self._pause(seconds, error)

    def wait_before_reopening(self) -> None:
        """Wait before the next connection of a run that goes on. Not a failure, but a server that closes at once is spared."""
        seconds = min(1.0, 0.05 * 2 ** min(self._quiet_ends, 10)) if self._quiet_ends else 0.0
        self._quiet_ends += 1
        self._pause(seconds, None)

    def _pause(self, seconds: float, error: Optional[LangGraphRunsError]) -> None:
        if self._parser.retry is not None:
            seconds = max(seconds, min(self._parser.retry / 1000.0, self._transport.settings.retry.wait_max))
        if error is not None and not self._scope.deadline.allows(seconds):
            raise self._scope.identify(error)
        self._scope.sleep(seconds)

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


def _target_of(location: Optional[str], base_url: str) -> Optional[_Target]:
    """Return where a ``Location`` leads, or None if there is none or it leads, or could lead, to another server."""
    path = local_path(location, base_url)
    if path is None or location is None:
        return None
    query = urllib.parse.urlsplit(location).query
    return path, [*urllib.parse.parse_qsl(query, keep_blank_values=True)]

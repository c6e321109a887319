"""The connections of one stream, one after the other, each opened where the last one ended; their bytes as server-sent events.

Knows what going on takes on the wire and how often it is tried; not what the events say, nor how the run fares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Sequence, Tuple

from ..api import ids_from, local_path, run_path
from ..call import Scope
from ..errors import APIConnectionError, APIStatusError, LangGraphRunsError, ResponseDecodeError, StreamInterruptedError
from ..http import Request, Transport, as_utf8
from .cursor import Cursor
from .sse import EventParser, ServerSentEvent

if TYPE_CHECKING:
    from ..http import ByteStream

__all__ = ["StreamConnection"]


class StreamConnection:
    """Opens the connections of one stream, and reads them."""

    def __init__(
        self, transport: Transport, scope: Scope, cursor: Cursor, *, query: Sequence[Tuple[str, Any]], headers: Mapping[str, str]
    ) -> None:
        self._transport = transport
        self._scope = scope
        self._cursor = cursor
        self._query = query
        self._headers = headers
        self._location: Optional[str] = None
        # Both count from the last event on: attempts used up, and connections that ended although the run went on.
        self._failures = 0
        self._quiet_ends = 0
        #: The connection that is read, or None.
        self.body: Optional[ByteStream] = None
        self.parser = EventParser(max_event_bytes=transport.settings.max_event_bytes)
        #: What is to be raised after the events that `read` has given.
        self.fault: Optional[LangGraphRunsError] = None
        #: Whether only the end of the connection ended the last body, so that a cut would look the same.
        self.ended_by_connection = False
        #: Events that were new so far; whoever takes them in counts them.
        self.taken = 0

    # -- opening

    def begin(self, body: ByteStream) -> None:
        """Read the answer that starts the stream; its headers tell the run."""
        ids = ids_from(body.headers)
        self._scope.run_id = self._scope.run_id or ids.run_id
        self._scope.thread_id = self._scope.thread_id or ids.thread_id
        self._location = local_path(body.headers.get("location"), self._transport.base_url)
        self._take(body)

    def open_again(self) -> None:
        """Open the next connection where the last one ended."""
        paths = self._paths()
        headers = dict(self._headers)
        last_id = self._cursor.reconnect()
        if last_id is not None:
            headers["Last-Event-ID"] = as_utf8(last_id)
        for index, path in enumerate(paths):
            request = Request(method="GET", path=path, query=self._query, headers=headers, accept="text/event-stream")
            try:
                body = self._transport.open(request, self._scope)
            except APIStatusError as error:
                if error.status_code in (404, 405) and index + 1 < len(paths):
                    continue
                raise
            self._take(body)
            return

    def _paths(self) -> List[str]:
        paths = []
        if self._scope.thread_id is not None and self._scope.run_id is not None:
            paths.append(run_path(self._scope.thread_id, self._scope.run_id, "stream"))
        if self._location is not None and self._location not in paths:
            paths.append(self._location)
        if not paths:
            raise self.interrupted(None, "the server did not say where the run's stream is")
        return paths

    def _take(self, body: ByteStream) -> None:
        self._cursor.opened(body.server_time)
        claimed = body.headers.get("content-type", "text/event-stream").split(";", 1)[0].strip().lower()
        if claimed != "text/event-stream":
            body.close()
            problem = f"$: expected content-type text/event-stream, not {claimed!r}"
            raise self._scope.identify(
                ResponseDecodeError(f"the answer is no stream: {problem[3:]}", problems=(problem,), request=body.info)
            )
        self.body = body
        self.parser = EventParser(max_event_bytes=self._transport.settings.max_event_bytes, last_id=self.parser.last_id)

    # -- reading

    def read(self) -> Optional[List[ServerSentEvent]]:
        """The events that are complete with the next bytes; None at a clean end. Raises `APIConnectionError` at any other.

        Where the bytes cannot be read as events, `fault` says so, and the events before are given.
        """
        body = self.body
        assert body is not None
        self.fault = None
        data = body.read1()
        if not data:
            if self.parser.cut:
                raise APIConnectionError("the connection ended within an event", sent=True, request=body.info)
            self.ended_by_connection = body.ends_with_connection
            return None
        try:
            return self.parser.feed(data)
        except ResponseDecodeError as error:
            self.fault = self._scope.identify(error)
            return self.parser.before_fault

    def let_go(self) -> None:
        """Close the connection, if there is one."""
        body, self.body = self.body, None
        if body is not None:
            body.close()

    # -- trying again

    def progressed(self) -> None:
        """Something new has come: failures count from here."""
        self._failures = self._quiet_ends = 0

    def count_failure(self, error: LangGraphRunsError, *, at_once: bool = False) -> None:
        """Use up an attempt and wait; with *at_once* there is no wait after the first. Raises when there is none left."""
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
        """Wait where the server says that the run goes on. That is no failure, but who closes at once is not to be hammered."""
        seconds = min(1.0, 0.05 * 2 ** min(self._quiet_ends, 10)) if self._quiet_ends else 0.0
        self._quiet_ends += 1
        self._pause(seconds, None)

    def _pause(self, seconds: float, error: Optional[LangGraphRunsError]) -> None:
        if self.parser.retry is not None:
            seconds = max(seconds, min(self.parser.retry / 1000.0, self._transport.settings.retry.wait_max))
        if error is not None and not self._scope.deadline.allows(seconds):
            raise self._scope.identify(error)
        self._scope.sleep(seconds)

    def interrupted(self, cause: Optional[APIConnectionError], reason: str, *, after: Optional[str] = None) -> LangGraphRunsError:
        """The error that says why the stream cannot go on."""
        told = f"{cause._text}; " if cause is not None else ""
        error = StreamInterruptedError(
            f"the stream was cut after {self.taken} events and cannot be resumed: {told}{reason}",
            sent=True,
            last_event_id=after or self._cursor.last,
            events_seen=self.taken,
            request=cause.request if cause is not None else None,
        )
        error.__cause__ = cause
        return self._scope.identify(error)

"""What a browser does with server-sent events, over a plain socket: reads them, keeps the last id, goes away, comes back."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import urllib.parse
from collections.abc import Iterator
from typing import Any, Dict, List, Optional

from langgraph_runs.streaming.sse import EventParser, ServerSentEvent

#: Seconds; no test waits so long for a byte unless something hangs.
PATIENCE = 30.0


class Browser:
    """One response, read as it comes. *url* is ``http://127.0.0.1:port``."""

    def __init__(
        self, url: str, path: str, *, last_event_id: Optional[str] = None, headers: Optional[Dict[str, str]] = None
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
        sent = {"Accept": "text/event-stream", "Accept-Encoding": "gzip", **(headers or {})}
        if last_event_id:
            sent["Last-Event-ID"] = last_event_id
        self._connection.request("GET", path, headers=sent)
        assert isinstance(self._connection.sock, socket.socket)
        self._socket: socket.socket = self._connection.sock
        self.response = self._connection.getresponse()
        self.last_event_id = last_event_id
        #: Comments that came.
        self.comments = 0

    def events(self) -> Iterator[ServerSentEvent]:
        """Until the connection ends."""
        parser = EventParser()
        while True:
            data = self.response.read1(65536)
            if not data:
                return
            self.comments += data.count(b": heartbeat\n\n")
            for event in parser.feed(data):
                self.last_event_id = event.own_id or self.last_event_id
                if event.event:
                    yield event

    def leave(self, *, abruptly: bool = False) -> None:
        """Close the connection: politely, or with a reset, as a phone that changes its network."""
        if abruptly and self._socket.fileno() >= 0:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.response.close()
        self._connection.close()


def query(**fields: Any) -> str:
    """For the view `stream`: ``input`` as JSON, the others as text."""
    return urllib.parse.urlencode({name: json.dumps(value) if name == "input" else value for name, value in fields.items()})


def post(url: str, path: str, body: Any) -> Any:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, (answer.status, text[:500])
        return json.loads(text)
    finally:
        connection.close()


def numbers(events: List[ServerSentEvent]) -> List[int]:
    """What the graph `burst` counted in these events."""
    return [json.loads(event.data)["i"] for event in events if event.event == "custom"]

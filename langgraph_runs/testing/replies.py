"""`Reply`: what a server of a test sends for one request, byte for byte, and how the connection breaks.

A reply is an immutable value, independent of sockets and threads. `LoopbackServer` sends it.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Callable, Optional, Union

__all__ = [
    "Break",
    "Item",
    "Reply",
    "chunked",
    "cut_request_after",
    "drop_before_answer",
    "event",
    "heartbeat",
    "raw",
    "reply",
    "reply_json",
    "reset_before_answer",
    "run_headers",
    "sse",
    "stall",
    "waiting",
]


@dataclass(frozen=True)
class Break:
    """An item of a reply that ends it at once; the items after it are not sent."""

    #: ``fin``, ``rst`` or ``stall``, as in `Reply.ending`.
    how: str = "fin"


#: One item of a reply: bytes or text to send, a float to pause (seconds), an Event to wait for, a `Break`, or None to check whether
#: the client has disconnected.
Item = Union[bytes, str, float, threading.Event, Break, None]

Headers = Union[Mapping[str, str], Iterable[tuple[str, str]]]


@dataclass(frozen=True)
class Reply:
    """The reply to one request. Made by the functions of this module; each method returns a modified copy.

    For example: ``sse(("values", {"n": 1})).then_reset()``.
    """

    #: The reply as code, for the messages of failing tests.
    story: str
    #: The status line without its line end. If it is empty, only the items are sent.
    status_line: bytes = b"HTTP/1.1 200 OK"
    headers: tuple[tuple[str, str], ...] = ()
    #: The items of the body, or a function that returns them, which is called each time the reply is sent.
    items: Union[tuple[Item, ...], Callable[[], Iterable[Item]]] = ()
    #: ``length``, ``chunked``, ``close`` (the end of the connection ends the body) or ``bare`` (items, nothing else).
    framing: str = "length"
    #: ``complete``, or what happens instead of the end: ``fin`` (close), ``rst`` (reset), ``stall`` (send nothing more).
    ending: str = "complete"
    #: End the response as `ending` says after this many bytes, head included.
    response_limit: Optional[int] = None
    #: Read only this many bytes of the request, then end as `ending` says, without a response.
    request_limit: Optional[int] = None
    #: Responses with a 1xx status that are sent first.
    interim: bytes = b""
    #: Send nothing before this is set.
    starts: Optional[threading.Event] = None
    #: Send pieces of this many bytes ...
    piece: Optional[int] = None
    #: ... and pause this many seconds after each.
    gap: float = 0.0
    gzip: bool = False
    #: Close the connection after the complete response, without a header that says so.
    hang_up: bool = False

    def __str__(self) -> str:
        return self.story

    def then_cut(self) -> Reply:
        """Close the connection (FIN) instead of ending the body."""
        return replace(self, ending="fin", story=f"{self.story}.then_cut()")

    def then_reset(self) -> Reply:
        """Reset the connection (RST) instead of ending the body."""
        return replace(self, ending="rst", story=f"{self.story}.then_reset()")

    def then_stall(self) -> Reply:
        """Send nothing more until the client disconnects, instead of ending the body."""
        return replace(self, ending="stall", story=f"{self.story}.then_stall()")

    def then_hang_up(self) -> Reply:
        """Send the complete response, then close the connection, which the headers have promised to keep open."""
        return replace(self, hang_up=True, story=f"{self.story}.then_hang_up()")

    def cut_after(self, count: int) -> Reply:
        """Close (FIN) after `count` bytes of the response, head included."""
        return replace(self, response_limit=count, ending="fin", story=f"{self.story}.cut_after({count})")

    def reset_after(self, count: int) -> Reply:
        """Reset (RST) after `count` bytes of the response, head included."""
        return replace(self, response_limit=count, ending="rst", story=f"{self.story}.reset_after({count})")

    def stall_after(self, count: int) -> Reply:
        """Send nothing more after `count` bytes of the response, head included."""
        return replace(self, response_limit=count, ending="stall", story=f"{self.story}.stall_after({count})")

    def dripping(self, piece: int = 1, gap: float = 0.0) -> Reply:
        """Send `piece` bytes at a time, with `gap` seconds between."""
        return replace(self, piece=piece, gap=gap, story=f"{self.story}.dripping({piece}, {gap})")

    def gzipped(self) -> Reply:
        """Compress the body. Each item can be decompressed when it has arrived."""
        return replace(self, gzip=True, headers=(*self.headers, ("Content-Encoding", "gzip")), story=f"{self.story}.gzipped()")

    def once(self, event: threading.Event) -> Reply:
        """Do not send the first byte before `event` is set."""
        return replace(self, starts=event, story=f"{self.story}.once(...)")

    def after_interim(self, status: int, headers: Headers = ()) -> Reply:
        """Send a response with a 1xx status first."""
        head = _head(_status_line(status), _pairs(headers))
        return replace(self, interim=self.interim + head, story=f"{self.story}.after_interim({status})")

    def with_header(self, name: str, value: str) -> Reply:
        """Add a header after the others. A ``Content-Length`` replaces the correct one."""
        return replace(self, headers=(*self.headers, (name, value)), story=f"{self.story}.with_header({name!r}, ...)")

    def pieces(self) -> Iterator[Item]:
        """Yield everything to send, in order: bytes, and the pauses and events to wait for in between."""
        yield self.interim
        items: Iterable[Item] = self.items() if callable(self.items) else self.items
        if not self.status_line:
            yield from (_as_bytes(item) if isinstance(item, str) else item for item in items)
            return
        if self.gzip:
            items = _gzipped(items)
        headers = self.headers
        names = {name.lower() for name, _ in headers}
        if self.framing == "length":
            items = tuple(items)
            if "content-length" not in names:
                size = sum(len(_as_bytes(item)) for item in items if isinstance(item, (bytes, str)))
                headers = (*headers, ("content-length", str(size)))
        elif self.framing == "chunked":
            headers = (*headers, ("transfer-encoding", "chunked"))
        elif self.framing == "close" and "connection" not in names:
            headers = (*headers, ("connection", "close"))
        yield _head(self.status_line, headers)
        for item in items:
            if not isinstance(item, (bytes, str)):
                yield item
                continue
            data = _as_bytes(item)
            if self.framing == "chunked":
                if data:
                    yield b"%x\r\n%s\r\n" % (len(data), data)
            else:
                yield data
        if self.framing == "chunked" and self.ending == "complete":
            yield b"0\r\n\r\n"

    @property
    def ends_connection(self) -> bool:
        """True if the connection is closed after the complete response."""
        said = any(name.lower() == "connection" and "close" in value.lower() for name, value in self.headers)
        return said or self.hang_up or self.framing == "close"


def reply(status: int, body: Union[bytes, str] = b"", headers: Headers = (), *, framing: str = "length") -> Reply:
    """Return a whole response with `body` unchanged."""
    return Reply(f"reply({status})", _status_line(status), _pairs(headers), (body,), framing)


def reply_json(status: int, value: Any, headers: Headers = (), *, framing: str = "length") -> Reply:
    """Return a whole response with `value` as JSON."""
    pairs = (("content-type", "application/json"), *_pairs(headers))
    return Reply(f"reply_json({status})", _status_line(status), pairs, (_json(value),), framing)


def chunked(*items: Item, status: int = 200, headers: Headers = (("content-type", "application/json"),)) -> Reply:
    """Return a chunked response, with a chunk for each item of bytes or text."""
    return Reply(f"chunked(... {len(items)} items)", _status_line(status), _pairs(headers), items, "chunked")


def sse(
    *events: Union[Item, tuple[Any, ...]],
    headers: Headers = (),
    newline: str = "\r\n",
    framing: str = "chunked",
    run: Optional[tuple[str, str]] = None,
) -> Reply:
    """Return an event stream. Each ``(event, data)`` or ``(event, data, id)`` is one chunk; anything else is an `Item`.

    `run`, a pair of thread id and run id, adds the headers that name the run.
    """
    named = _pairs(run_headers(*run, then="stream")) if run else ()
    pairs = (
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("content-type", "text/event-stream; charset=utf-8"),
        *named,
        *_pairs(headers),
    )
    items = tuple(event(*e, newline=newline) if isinstance(e, tuple) else e for e in events)
    return Reply(f"sse(... {len(items)} items)", _status_line(200), pairs, items, framing)


def waiting(*items: Item, value: Any, run: Optional[tuple[str, str]] = None, headers: Headers = ()) -> Reply:
    """Return a response as of ``wait`` and ``join``: the headers at once, then `items`, such as newlines, then `value` as JSON."""
    named = _pairs(run_headers(*run, then="join")) if run else ()
    pairs = (("content-type", "application/json"), *named, *_pairs(headers))
    return Reply("waiting(...)", _status_line(200), pairs, (*items, _json(value)), "chunked")


def raw(*items: Item) -> Reply:
    """Return a reply of exactly these bytes; nothing is added."""
    return Reply("raw(...)", b"", (), items, "bare")


def drop_before_answer() -> Reply:
    """Read the whole request, then close (FIN) without a response."""
    return Reply("drop_before_answer()", b"", response_limit=0, ending="fin")


def reset_before_answer() -> Reply:
    """Read the whole request, then reset (RST) without a response."""
    return Reply("reset_before_answer()", b"", response_limit=0, ending="rst")


def stall() -> Reply:
    """Read the whole request, and send nothing until the client disconnects."""
    return Reply("stall()", b"", response_limit=0, ending="stall")


def cut_request_after(count: int, *, reset: bool = False) -> Reply:
    """Read `count` bytes of the request, then close (FIN) or reset (RST) without a response."""
    ending = "rst" if reset else "fin"
    return Reply(f"cut_request_after({count})", b"", request_limit=count, response_limit=0, ending=ending)


def event(name: Optional[str], data: Any = None, id: Optional[str] = None, *, newline: str = "\r\n") -> bytes:
    """Return an encoded event, with the fields in the server's order. `data` is encoded as JSON, unless it is bytes."""
    text = data.decode("utf-8", "surrogateescape") if isinstance(data, bytes) else _json(data)
    lines = [] if name is None else [f"event: {name}"]
    lines.append(f"data: {text}")
    if id is not None:
        lines.append(f"id: {id}")
    return (newline.join(lines) + newline * 2).encode("utf-8", "surrogateescape")


def heartbeat(newline: str = "\r\n") -> bytes:
    """Return the comment that the server sends every five seconds."""
    return f": heartbeat{newline * 2}".encode()


def run_headers(thread_id: str, run_id: str, *, then: Optional[str] = None, prefix: str = "") -> dict[str, str]:
    """Return the headers that name a run. `then` is the end of Location, ``stream`` or ``join``; None omits Location."""
    path = f"{prefix}/threads/{thread_id}/runs/{run_id}"
    named = {"Content-Location": path}
    return {**named, "Location": f"{path}/{then}"} if then else named


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _as_bytes(item: Union[bytes, str]) -> bytes:
    return item.encode() if isinstance(item, str) else item


def _pairs(headers: Headers) -> tuple[tuple[str, str], ...]:
    return tuple(headers.items()) if isinstance(headers, Mapping) else tuple(headers)


def _status_line(status: int) -> bytes:
    phrases = {s.value: s.phrase for s in HTTPStatus}
    return f"HTTP/1.1 {status} {phrases.get(status, 'Status')}".encode()


def _head(status_line: bytes, headers: tuple[tuple[str, str], ...]) -> bytes:
    lines = [status_line, *(f"{name}: {value}".encode("utf-8", "surrogateescape") for name, value in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _gzipped(items: Iterable[Item]) -> Iterator[Item]:
    compressor = zlib.compressobj(wbits=31)
    for item in items:
        if isinstance(item, (bytes, str)):
            yield compressor.compress(_as_bytes(item)) + compressor.flush(zlib.Z_SYNC_FLUSH)
        else:
            yield item
    yield compressor.flush()

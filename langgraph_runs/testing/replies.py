"""What goes back over the wire, byte for byte: replies as values that read as the story of an exchange.

A `Reply` knows what is sent and how it breaks off. It knows nothing of sockets, threads or the order of replies;
`LoopbackServer` plays it.
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
    """A step of an answer that ends it right there, whatever would come next."""

    #: ``fin``, ``rst`` or ``stall``, as in `Reply.ending`.
    how: str = "fin"


#: One step of an answer: bytes or text to send, a float to pause (seconds), an Event to wait for, a `Break`,
#: None to look whether the client is still there.
Item = Union[bytes, str, float, threading.Event, Break, None]

Headers = Union[Mapping[str, str], Iterable[tuple[str, str]]]


@dataclass(frozen=True)
class Reply:
    """What one request is answered with.

    Made by the functions below and bent by the methods, so that a script reads as a sentence:
    ``sse(("values", {"n": 1})).then_reset()``.
    """

    #: What a failing test prints for this reply.
    story: str
    #: The status line without its end; empty sends the items bare.
    status_line: bytes = b"HTTP/1.1 200 OK"
    headers: tuple[tuple[str, str], ...] = ()
    #: The steps of the body, or what makes them, once for each time the reply is played.
    items: Union[tuple[Item, ...], Callable[[], Iterable[Item]]] = ()
    #: ``length``, ``chunked``, ``close`` (the end of the connection ends the body) or ``bare`` (items, nothing else).
    framing: str = "length"
    #: ``complete``, or what comes instead of the end: ``fin`` (close), ``rst`` (reset), ``stall`` (silence).
    ending: str = "complete"
    #: End the answer, in the manner of `ending`, after so many of its bytes, the head included.
    answer_limit: Optional[int] = None
    #: Read only so many bytes of the request, then end in the manner of `ending` without an answer.
    request_limit: Optional[int] = None
    #: Answers with a 1xx status, sent before.
    interim: bytes = b""
    #: Do not begin before this is set.
    starts: Optional[threading.Event] = None
    #: Send in pieces of so many bytes ...
    piece: Optional[int] = None
    #: ... with so many seconds between.
    gap: float = 0.0
    gzip: bool = False
    #: Close the connection after a complete answer, without having said so.
    hang_up: bool = False

    def __str__(self) -> str:
        return self.story

    def then_cut(self) -> Reply:
        """Leave out the end of the body and close (FIN)."""
        return replace(self, ending="fin", story=f"{self.story}.then_cut()")

    def then_reset(self) -> Reply:
        """Leave out the end of the body and reset (RST)."""
        return replace(self, ending="rst", story=f"{self.story}.then_reset()")

    def then_stall(self) -> Reply:
        """Leave out the end of the body and fall silent until the client leaves."""
        return replace(self, ending="stall", story=f"{self.story}.then_stall()")

    def then_hang_up(self) -> Reply:
        """Answer completely, then close the connection that was promised to live on."""
        return replace(self, hang_up=True, story=f"{self.story}.then_hang_up()")

    def cut_after(self, count: int) -> Reply:
        """Close (FIN) after `count` bytes of the answer, the head included."""
        return replace(self, answer_limit=count, ending="fin", story=f"{self.story}.cut_after({count})")

    def reset_after(self, count: int) -> Reply:
        """Reset (RST) after `count` bytes of the answer, the head included."""
        return replace(self, answer_limit=count, ending="rst", story=f"{self.story}.reset_after({count})")

    def stall_after(self, count: int) -> Reply:
        """Fall silent after `count` bytes of the answer, the head included."""
        return replace(self, answer_limit=count, ending="stall", story=f"{self.story}.stall_after({count})")

    def dripping(self, piece: int = 1, gap: float = 0.0) -> Reply:
        """Send `piece` bytes at a time, with `gap` seconds between."""
        return replace(self, piece=piece, gap=gap, story=f"{self.story}.dripping({piece}, {gap})")

    def gzipped(self) -> Reply:
        """Compress the body; each item can be decompressed as soon as it has arrived."""
        return replace(self, gzip=True, headers=(*self.headers, ("Content-Encoding", "gzip")), story=f"{self.story}.gzipped()")

    def once(self, event: threading.Event) -> Reply:
        """Do not send the first byte before `event` is set."""
        return replace(self, starts=event, story=f"{self.story}.once(...)")

    def after_interim(self, status: int, headers: Headers = ()) -> Reply:
        """Send an answer with a 1xx status before this one."""
        head = _head(_status_line(status), _pairs(headers))
        return replace(self, interim=self.interim + head, story=f"{self.story}.after_interim({status})")

    def with_header(self, name: str, value: str) -> Reply:
        """One more header, after the others; a ``Content-Length`` given so replaces the true one."""
        return replace(self, headers=(*self.headers, (name, value)), story=f"{self.story}.with_header({name!r}, ...)")

    def pieces(self) -> Iterator[Item]:
        """Everything that goes over the wire, in order: bytes, and the pauses and events between."""
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
        """Whether the connection is over after a complete answer."""
        said = any(name.lower() == "connection" and "close" in value.lower() for name, value in self.headers)
        return said or self.hang_up or self.framing == "close"


def reply(status: int, body: Union[bytes, str] = b"", headers: Headers = (), *, framing: str = "length") -> Reply:
    """A whole answer with `body` as it is."""
    return Reply(f"reply({status})", _status_line(status), _pairs(headers), (body,), framing)


def reply_json(status: int, value: Any, headers: Headers = (), *, framing: str = "length") -> Reply:
    """A whole answer with `value` as JSON, as the server's own answers look."""
    pairs = (("content-type", "application/json"), *_pairs(headers))
    return Reply(f"reply_json({status})", _status_line(status), pairs, (_json(value),), framing)


def chunked(*items: Item, status: int = 200, headers: Headers = (("content-type", "application/json"),)) -> Reply:
    """A chunked answer, one chunk for each item of bytes or text."""
    return Reply(f"chunked(... {len(items)} items)", _status_line(status), _pairs(headers), items, "chunked")


def sse(
    *events: Union[Item, tuple[Any, ...]],
    headers: Headers = (),
    newline: str = "\r\n",
    framing: str = "chunked",
    run: Optional[tuple[str, str]] = None,
) -> Reply:
    """An event stream: each ``(event, data)`` or ``(event, data, id)`` is one chunk, anything else an `Item`.

    `run`, a pair of thread id and run id, adds the headers by which the server names the run.
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
    """What ``wait`` and ``join`` answer: the headers at once, `items` (newlines, say), then `value` as JSON."""
    named = _pairs(run_headers(*run, then="join")) if run else ()
    pairs = (("content-type", "application/json"), *named, *_pairs(headers))
    return Reply("waiting(...)", _status_line(200), pairs, (*items, _json(value)), "chunked")


def raw(*items: Item) -> Reply:
    """Exactly these bytes, whatever they mean; nothing is added."""
    return Reply("raw(...)", b"", (), items, "bare")


def drop_before_answer() -> Reply:
    """Read the whole request, answer nothing, close (FIN)."""
    return Reply("drop_before_answer()", b"", answer_limit=0, ending="fin")


def reset_before_answer() -> Reply:
    """Read the whole request, answer nothing, reset (RST)."""
    return Reply("reset_before_answer()", b"", answer_limit=0, ending="rst")


def stall() -> Reply:
    """Read the whole request and never answer; over when the client leaves."""
    return Reply("stall()", b"", answer_limit=0, ending="stall")


def cut_request_after(count: int, *, reset: bool = False) -> Reply:
    """Read `count` bytes of the request, then close (FIN) or reset (RST) without an answer."""
    ending = "rst" if reset else "fin"
    return Reply(f"cut_request_after({count})", b"", request_limit=count, answer_limit=0, ending=ending)


def event(name: Optional[str], data: Any = None, id: Optional[str] = None, *, newline: str = "\r\n") -> bytes:
    """One event in the server's own order of fields; `data` is sent as JSON, bytes as they are."""
    text = data.decode("utf-8", "surrogateescape") if isinstance(data, bytes) else _json(data)
    lines = [] if name is None else [f"event: {name}"]
    lines.append(f"data: {text}")
    if id is not None:
        lines.append(f"id: {id}")
    return (newline.join(lines) + newline * 2).encode("utf-8", "surrogateescape")


def heartbeat(newline: str = "\r\n") -> bytes:
    """The comment that the server sends every five seconds."""
    return f": heartbeat{newline * 2}".encode()


def run_headers(thread_id: str, run_id: str, *, then: Optional[str] = None, prefix: str = "") -> dict[str, str]:
    """The headers that name a run; `then` is the last part of Location (``stream`` or ``join``), None leaves it out."""
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

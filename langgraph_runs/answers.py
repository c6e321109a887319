"""Reading an answer: its head, its framing, its body, each read within the limits of the call. Knows http.client, not urllib3.

http.client parses the head with the email package, which costs more than all else in a small answer, and takes the end of the
connection for the end of a head, so that a cut answer looks like a whole one. So the head is read here. What a body is, and where
it ends, follows RFC 9112, section 6.
"""

from __future__ import annotations

import functools
import http.client
import io
import re
from typing import Any, Dict, List, Optional, Tuple

from .exchange import Exchange
from .sockets import Bounds

__all__ = ["Response"]

#: Bytes that one read takes from the socket at the most.
_BUFFER = 1 << 16
_LONGEST_LINE = 1 << 16
_INTERIM_LIMIT = 32
_MOST_FIELDS = 256
#: Lines with the size of a chunk that are remembered.
_SIZES = 1024
_HEX = re.compile(rb"[0-9A-Fa-f]+\Z")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_USUAL = re.compile(rb"HTTP/1\.1 [0-9]{3}[ \r]")
#: What bytes.strip() takes off: str.strip() would take more.
_BLANK = " \t\n\r\v\f"


class _Reader(io.RawIOBase):
    """The receiving side of a socket, each read bounded by the exchange that was under way when it was made."""

    def __init__(self, sock: Any, exchange: Exchange, bounds: Bounds) -> None:
        self._sock = sock
        self._receive = sock.recv_into
        self._held: Any = None
        self._exchange = exchange
        self._bounds = bounds
        self._received = 0
        #: Whether the head of the answer is still being read.
        self.in_head = True

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        """What http.client reads from."""
        return io.BufferedReader(self, _BUFFER)

    def hold(self) -> None:
        """Keep the socket open until the answer is read, also when the connection lets go of it."""
        self._held = self._sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        exchange = self._exchange
        self._bounds.reads(exchange.scope.io_timeout(exchange.read_timeout))
        try:
            count: int = self._receive(buffer)
        except BlockingIOError:
            raise TimeoutError("timed out") from None
        if not count:
            if exchange.scope.interrupted:
                # Our own shutdown looks like the end of the answer; it must not be taken for it.
                raise ConnectionAbortedError("the call was ended from another thread")
            if self.in_head:
                # http.client takes the end of the connection for the end of the head, and so a cut answer for a whole one.
                raise http.client.RemoteDisconnected("the server closed the connection before the end of the answer's head")
        self._received += count
        return count

    def tell(self) -> int:
        return self._received

    def close(self) -> None:
        if not self.closed:
            if self._held is not None:
                self._held.close()
            super().close()


class BadChunk(http.client.HTTPException):
    """A chunked body that is not framed as RFC 9112, section 7.1, says."""


class _Chunks:
    """Takes the chunk framing off a body, many chunks at a time.

    http.client does it too, with several calls per chunk; servers send each event as a chunk of its own, so that is most of
    what an event costs.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0  # of the chunk that is open: its data and the line end after them
        self._sizes: Dict[bytes, int] = {}  # lines that tell a size, with their ends
        self._width = 1  # bytes in the last of them
        self._trailers = False
        self._trailer_lines = 0
        #: Whether the last chunk and its trailers have come.
        self.done = False
        #: Bytes that followed.
        self.surplus = False

    def decode(self, data: bytes) -> bytes:
        """The payload in *data*, which follows what was given before."""
        left, at, end = self._left, 0, len(data)
        if left >= end + 2:
            self._left = left - end  # within one chunk, and so all payload
            return data
        if self._rest:
            data, self._rest = self._rest + data, b""
            end = len(data)
        pieces: List[bytes] = []
        sizes, width = self._sizes, self._width
        while not self._trailers:
            if left:
                if left > 2:
                    piece = data[at : at + left - 2]
                    pieces.append(piece)
                    at += len(piece)
                    left -= len(piece)
                if end - at < left:
                    break
                if left == 2 and data[at : at + 2] != b"\r\n":
                    raise BadChunk("a chunk does not end where its size says")
                at += left
                left = 0
            # Chunks of a stream are much alike: a line of the last one's length that was parsed before need not be looked for.
            size = sizes.get(data[at : at + width])
            if size is None:
                line = data.find(b"\n", at)
                if line < 0:
                    if end - at > _LONGEST_LINE:
                        raise BadChunk("the size of a chunk is no line")
                    break
                size = _chunk_size(data[at:line])
                width = line + 1 - at
                if size == 0:
                    at += width
                    self._trailers = True
                    break
                if len(sizes) < _SIZES:
                    sizes[data[at : line + 1]] = size
            at += width
            stop = at + size
            if data[stop : stop + 2] == b"\r\n":
                pieces.append(data[at:stop])
                at = stop + 2
            else:
                left = size + 2  # cut short, or wrong: both are seen above
        self._left, self._width = left, width
        if self._trailers:
            self._skip_trailers(data[at:])
        elif left <= 2:
            self._rest = data[at:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _skip_trailers(self, data: bytes) -> None:
        while True:
            line, newline, rest = data.partition(b"\n")
            if not newline:
                if len(data) > _LONGEST_LINE:
                    raise BadChunk("the trailers do not end")
                self._rest = data
                return
            data = rest
            self._trailer_lines += 1
            if self._trailer_lines > _MOST_FIELDS:
                raise BadChunk("the trailers do not end")
            if not line.strip(b"\r"):
                self.done = True
                self.surplus = bool(data)
                return


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not _HEX.match(digits):
        raise BadChunk("the size of a chunk is not a number")
    return int(digits, 16)


class Response(http.client.HTTPResponse):
    """An answer that is read within the limits of its exchange, and tells its connection when it was read to the end."""

    fp: Any
    fields: List[Tuple[str, str]]
    told: Dict[str, str]
    length: Optional[int]
    chunk_left: Optional[int]
    _method: Optional[str]

    def __init__(self, sock: Any, *, method: str, connection: Any, exchange: Exchange, bounds: Bounds) -> None:
        self._reader = _Reader(sock, exchange, bounds)
        super().__init__(self._reader, method=method)  # type: ignore[arg-type]  # it wants its makefile alone
        self._connection_of = connection
        self._exchange = exchange
        self._chunks: Optional[_Chunks] = None

    def begin(self) -> None:
        """Read the head, and decide how the body is framed."""
        version, self.status, self.reason, self.fields = self._read_final_head()
        self.code = self.status
        self.version = 10 if version == "HTTP/1.0" else 11
        #: By name in lower case; of a repeated one, the values joined by commas.
        told: Dict[str, str] = {}
        self.told = told
        for name, value in self.fields:
            name = name.lower()
            told[name] = f"{told[name]}, {value}" if name in told else value
        self.chunked = told.get("transfer-encoding", "").lower().rpartition(",")[2].strip() == "chunked"
        self.chunk_left = None
        self.length = None if "transfer-encoding" in told else _length(told.get("content-length"))
        if self.status in (204, 304) or self._method == "HEAD":
            self.length, self.chunked = 0, False
        wishes = told.get("connection", "").lower()
        stays = "keep-alive" in wishes if self.version == 10 else "close" not in wishes
        self.will_close = not stays or (self.length is None and not self.chunked)
        self._reader.in_head = False
        if self.will_close:
            self._reader.hold()
        if self.length == 0:
            self._close_conn()

    def _read_final_head(self) -> Tuple[str, int, str, List[Tuple[str, str]]]:
        """HTTP version, status, reason, and the fields as they came."""
        for _ in range(_INTERIM_LIMIT):
            lines = self._usual_head()
            if lines is not None:
                version, status, reason = "HTTP/1.1", int(lines[0][9:12]), lines[0][13:].strip()
            else:
                version, status, reason = self._read_status()  # type: ignore[attr-defined]
            self._exchange.phase = Exchange.ANSWERED
            if not version.startswith("HTTP/1."):
                raise http.client.UnknownProtocol(version)
            fields = self._read_fields() if lines is None else _fields(lines)
            if not 100 <= status < 200 or status == 101:
                return version, status, reason, fields
        raise http.client.HTTPException("too many interim answers")

    def _usual_head(self) -> Optional[List[str]]:
        """The lines of the head, if all of it is here and of the usual form; else None, and nothing was read."""
        head = self.fp.peek()
        end = head.find(b"\r\n\r\n")
        if end < 0 or not _USUAL.match(head):
            return None
        text: str = head[:end].decode("latin-1")
        lines = text.split("\r\n")
        if text.count("\n") >= len(lines) or len(lines) > _MOST_FIELDS or "\n " in text or "\n\t" in text:
            return None
        self.fp.read(end + 4)
        return lines

    def _read_fields(self) -> List[Tuple[str, str]]:
        fields: List[Tuple[str, str]] = []
        while True:
            line = self.fp.readline(_LONGEST_LINE + 1)
            if line in (b"\r\n", b"\n"):
                return fields
            if len(line) > _LONGEST_LINE:
                raise http.client.LineTooLong("header line")
            if len(fields) >= _MOST_FIELDS:
                raise http.client.HTTPException(f"more than {_MOST_FIELDS} header lines")
            if line[:1] in (b" ", b"\t"):
                if fields:  # a folded line, which nobody should send any more, goes on with the one before
                    name, value = fields[-1]
                    fields[-1] = name, f"{value} {line.strip().decode('latin-1')}"
                continue
            fields += _fields([line.decode("latin-1")])

    def read_some(self) -> bytes:
        """The body's next bytes as soon as there are any, still compressed; b"" at its end."""
        fp = self.fp
        if fp is None:
            return b""
        if not self.chunked:
            data = self.read1(_BUFFER)
            if not data and self.length:
                raise http.client.IncompleteRead(b"", self.length)
            if self.length == 0 and self.fp is not None:
                self._close_conn()
            return data
        if self._chunks is None:
            self._chunks = _Chunks()
        while True:
            data = fp.read1(_BUFFER)
            if not data:
                raise http.client.IncompleteRead(b"")
            payload = self._chunks.decode(data)
            if self._chunks.done:
                self._connection_of.surplus = self._connection_of.surplus or self._chunks.surplus
                self._close_conn()
                return payload
            if payload:
                return payload

    def _close_conn(self) -> None:
        # Called when the body is complete, before the connection goes back to the pool.
        self._exchange.scope.detach()
        if self.fp is not None and not self.fp.closed and self.fp.tell() < self._reader.tell():
            self._connection_of.surplus = True
        super()._close_conn()  # type: ignore[misc]


def _fields(lines: List[str]) -> List[Tuple[str, str]]:
    """Names and values of the header lines among *lines*."""
    found: List[Tuple[str, str]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and _is_name(name):
            found.append((name, value.strip(_BLANK)))
    return found


@functools.lru_cache(256)
def _is_name(text: str) -> bool:
    return _NAME.match(text) is not None


def _length(told: Optional[str]) -> Optional[int]:
    """The number of bytes in the body. Differing or senseless lengths are an error: somebody would read another answer than we."""
    if told is None:
        return None
    values = {value.strip() for value in told.split(",")}
    value = values.pop()
    if values or not (value.isascii() and value.isdigit()):
        raise http.client.HTTPException(f"content-length {told!r} is not one number")
    return int(value)

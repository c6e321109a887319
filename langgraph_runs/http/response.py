"""The response parser: head, framing and body, read within the limits of an exchange. Knows sockets, not urllib3.

http.client parses the head with the email package, which takes longer than the rest of a small response, and accepts the end of the
connection as the end of a head, so that a response that was cut off looks complete. This parser follows RFC 9112, and raises
http.client's exceptions.
"""

from __future__ import annotations

import functools
import http.client
import io
import operator
import re
from typing import Any, Dict, List, Optional, Tuple

from .exchange import Exchange
from .sockets import LimitedSocket

__all__ = ["ChunkedDecoder", "HTTPResponse"]

#: The maximum number of bytes that one read takes from the socket.
_BUFFER = 1 << 16
#: After a read that had to wait for fewer bytes, as for one event of a slow stream, the next read waits before it reads.
_MUCH = 2048
_LONGEST_LINE = 1 << 16
_INTERIM_LIMIT = 32
_MOST_FIELDS = 256
#: The parsed forms of header lines are not cached if one of them has this length or more.
_LONG_LINE = 256
#: The maximum number of size lines of chunks whose parsed form is cached, per response.
_SIZES = 1024
_HEX = re.compile(rb"[0-9A-Fa-f]+\Z")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_USUAL = re.compile(rb"HTTP/1\.1 [0-9]{3}[ \r]")
_STATUS = re.compile(r"[0-9]{3}\Z")
#: The characters that bytes.strip() removes; str.strip() removes more.
_BLANK = " \t\n\r\v\f"


class HTTPResponse(http.client.HTTPResponse):
    """A response that is read within the limits of its exchange.

    It is a subclass of `http.client.HTTPResponse`, since libraries that trace http.client read its ``status``, ``reason``,
    ``chunked`` and ``length``, and replace its `close`. All reading is done here. The constructor of the base class is not called,
    since it would make a buffered file from the socket.
    """

    fp: Any = None
    flush = io.IOBase.flush  # http.client's would flush the file that it reads from
    #: True if the end of the body was read.
    is_complete = False
    #: True if bytes came after the body: they belong to no response.
    has_surplus = False
    #: True if the body, or a part of it, was read through `file`.
    is_read_as_file = False

    def __init__(self, *, method: str, exchange: Exchange, limited: LimitedSocket) -> None:
        #: None after the body was read.
        self._exchange: Any = exchange
        self._limited = limited
        self._method = method
        self._chunks: Optional[ChunkedDecoder] = None
        #: Bytes that were received and are not parsed yet.
        self._ahead = b""
        self._in_head = True
        #: True if more bytes have probably arrived: then reading before waiting saves the wait, else it costs a read.
        self._more_soon = False

    # -- the head

    def begin(self) -> None:
        """Read the head, and decide how the body is framed: RFC 9112, section 6.3."""
        version, status, reason, lines = self._final_head()
        self.status = self.code = status
        self.reason = reason
        self.version = 10 if version == "HTTP/1.0" else 11
        parse = _field if max(map(len, lines), default=0) < _LONG_LINE else _parsed
        self._fields = fields = list(filter(None, map(parse, lines)))
        #: Values by the name in lower case; those of a repeated field are joined by commas.
        self.headers: Dict[str, str] = dict(map(_NAME_AND_VALUE, fields))  # type: ignore[assignment]
        headers = self.headers
        if len(headers) < len(fields):
            headers.clear()
            for name, value, _ in fields:
                headers[name] = value if name not in headers else f"{headers[name]}, {value}"
        codings = headers.get("transfer-encoding")
        if codings is not None:
            # "identity", of RFC 2616, says nothing. Some servers send it beside the length.
            codings = ",".join(coding for coding in codings.lower().replace(" ", "").split(",") if coding != "identity") or None
        self.chunked = codings is not None and codings.rpartition(",")[2].strip() == "chunked"
        #: The number of bytes of the body that have not come yet; None if the head does not say it.
        self.length = _content_length(headers.get("content-length")) if codings is None else None
        if status in (204, 304) or self._method == "HEAD":
            self.length, self.chunked = 0, False
        options = headers.get("connection", "").lower()
        stays_open = "keep-alive" in options if self.version == 10 else "close" not in options
        #: True if the connection cannot be used for another response.
        self.will_close = not stays_open or (not self.chunked and (self.length is None or "transfer-encoding" in headers))
        self._in_head = False
        self._more_soon = True
        if self.will_close:
            # http.client closes the connection now. This reference keeps the socket open until the response is read.
            self.fp = self._limited.sock.makefile("rb", buffering=0)
        if self.length == 0:
            self._complete()

    @property
    def fields(self) -> List[Tuple[str, str]]:
        """Names and values as the server sent them."""
        return [(name, value) for _, value, name in self._fields]

    @property
    def msg(self) -> http.client.HTTPMessage:  # type: ignore[override]
        """The header fields as http.client has them: requests looks for cookies there."""
        message = http.client.HTTPMessage()
        for name, value in self.fields:
            message[name] = value
        return message

    def getheader(self, name: str, default: Any = None) -> Any:
        """Return the value of a header field."""
        return self.headers.get(name.lower(), default)

    def getheaders(self) -> List[Tuple[str, str]]:
        """Return all header fields, as the server sent them."""
        return self.fields

    def _final_head(self) -> Tuple[str, int, str, List[str]]:
        """Skip interim responses, and return the HTTP version, status, reason and header lines of the final one."""
        for _ in range(_INTERIM_LIMIT):
            lines = self._whole_head()
            if lines is not None:
                version, status, reason = "HTTP/1.1", int(lines[0][9:12]), lines[0][13:].strip()
            else:
                version, status, reason = self._status_line()
            self._exchange.phase = Exchange.RESPONDED
            if lines is None:
                if not version.startswith("HTTP/1."):
                    raise http.client.UnknownProtocol(version)
                lines = self._header_lines()
            if not 100 <= status < 200 or status == 101:
                return version, status, reason, lines
        raise http.client.HTTPException("too many interim responses")

    def _whole_head(self) -> Optional[List[str]]:
        """Return the lines of the head if the whole head came at once in the usual form; else return None and consume nothing."""
        data = self._receive()
        end = data.find(b"\r\n\r\n")
        if end >= 0 and _USUAL.match(data):
            text = data[:end].decode("latin-1")
            lines = text.split("\r\n")
            if text.count("\n") < len(lines) <= _MOST_FIELDS and "\n " not in text and "\n\t" not in text:
                self._ahead = data[end + 4 :]
                return lines
        self._ahead = data
        return None

    def _status_line(self) -> Tuple[str, int, str]:
        line = self._line("status line").decode("latin-1")
        version, status, reason = (*line.split(None, 2), "", "", "")[:3]
        if not version.startswith("HTTP/") or not _STATUS.match(status) or int(status) < 100:
            raise http.client.BadStatusLine(line)
        return version, int(status), reason.strip()

    def _header_lines(self) -> List[str]:
        lines: List[str] = []
        while True:
            line = self._line("header line")
            if line in (b"\r\n", b"\n"):
                return lines
            if len(lines) >= _MOST_FIELDS:
                raise http.client.HTTPException(f"more than {_MOST_FIELDS} header lines")
            if line[:1] not in (b" ", b"\t"):
                lines.append(line.decode("latin-1"))
            elif lines:  # a folded line continues the one before: obsolete, but some servers send such lines
                lines[-1] = f"{lines[-1].rstrip(_BLANK)} {line.strip().decode('latin-1')}"

    def _line(self, what: str) -> bytes:
        """Return the next line with its line end."""
        data, self._ahead = self._ahead, b""
        start = 0
        while True:
            at = data.find(b"\n", start)
            if (len(data) if at < 0 else at) > _LONGEST_LINE:
                raise http.client.LineTooLong(what)
            if at >= 0:
                self._ahead = data[at + 1 :]
                return data[: at + 1]
            start = len(data)
            data += self._receive()

    # -- the body

    def read_some(self) -> bytes:
        """Return the next bytes of the body as soon as there are any, still compressed; b"" at its end."""
        if self.is_complete or self.closed:
            return b""
        data = self._receive()
        if self.chunked:
            return self._unchunked(data)
        if self.length is None:
            if not data:
                self._complete()  # the end of the connection ends the body; whether it is complete is not known
            return data
        if not data:
            raise http.client.IncompleteRead(b"", self.length)
        if len(data) > self.length:
            data, self._ahead = data[: self.length], data[self.length :]
        self.length -= len(data)
        if not self.length:
            self._complete()
        return data

    def _unchunked(self, data: bytes) -> bytes:
        chunks = self._chunks
        if chunks is None:
            chunks = self._chunks = ChunkedDecoder()
        while True:
            if not data:
                raise http.client.IncompleteRead(b"")
            payload = chunks.decode(data)
            if chunks.done:
                self.has_surplus = chunks.surplus
                self._complete()
                return payload
            if payload:
                return payload
            data = self._receive()

    def file(self) -> BodyFile:
        """Return the body as a file, as urllib3 needs it; still compressed."""
        return BodyFile(self)

    def isclosed(self) -> bool:
        """Return True if the body was read to its end, or the response was closed."""
        return self.is_complete or self.closed

    def _complete(self) -> None:
        # As soon as the connection is in the pool it may serve another call, so this scope must not shut it down any more.
        self._exchange.scope.detach()
        self.has_surplus = self.has_surplus or bool(self._ahead)
        self.is_complete = True
        # http.client keeps the last response of each connection, which must not keep the call and its objects alive.
        self._exchange = None
        self.close()

    def _receive(self) -> bytes:
        """Wait for bytes and return them; b"" at the end of the connection."""
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            return ahead
        limited = self._limited
        limited.waited = False
        data = limited.receive(self._exchange, _BUFFER, soon=self._more_soon)
        self._more_soon = not limited.waited or len(data) >= _MUCH
        if not data:
            if self._exchange.scope.interrupted:
                # The scope has shut the socket down: this is not the end of the response.
                raise ConnectionAbortedError("the call was ended from another thread")
            if self._in_head:
                raise http.client.RemoteDisconnected("the server closed the connection before the end of the response's head")
        return data


class BodyFile:
    """The body of a response as the file that urllib3 reads from."""

    def __init__(self, response: HTTPResponse) -> None:
        self._response = response
        self._rest = b""
        #: True after `close`.
        self.closed = False

    def read1(self, size: int = -1) -> bytes:
        """Return at most *size* bytes as soon as there are any."""
        self._response.is_read_as_file = True
        data = self._rest or self._response.read_some()
        if 0 <= size < len(data):
            data, self._rest = data[:size], data[size:]
        else:
            self._rest = b""
        return data

    def read(self, size: Optional[int] = None) -> bytes:
        """Return *size* bytes, or fewer at the end of the body; without *size*, the rest of the body."""
        pieces: List[bytes] = []
        left = -1 if size is None else size
        while left:
            piece = self.read1(left)
            if not piece:
                break
            pieces.append(piece)
            left = left - len(piece) if left > 0 else -1
        return b"".join(pieces)

    def close(self) -> None:
        """Close the response."""
        self.closed = True
        self._response.close()


class BadChunk(http.client.HTTPException):
    """A chunked body that is not framed as in RFC 9112, section 7.1."""


class ChunkedDecoder:
    """Removes the chunk framing from a body, many chunks in one call.

    http.client needs several calls for each chunk. Servers send each event as a chunk, so these calls would take most of the time.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0  # missing bytes of the current chunk, its line end included
        self._sizes: Dict[bytes, int] = {}  # sizes by size line, with its line end
        self._width = 1  # length of the last size line
        self._trailers = False
        self._trailer_lines = 0
        #: True if the last chunk and its trailers have come.
        self.done = False
        #: True if bytes followed the end of the body.
        self.surplus = False

    def decode(self, data: bytes) -> bytes:
        """Return the payload in *data*, the next bytes of the body. Raise `BadChunk` if they are malformed."""
        left, at, end = self._left, 0, len(data)
        if left >= end + 2:
            self._left = left - end  # *data* is within one chunk
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
            # The chunks of a stream are alike: a known size line of the same length as the last one needs no search for its end.
            size = sizes.get(data[at : at + width])
            if size is None:
                line = data.find(b"\n", at)
                if line < 0:
                    if end - at > _LONGEST_LINE:
                        raise BadChunk("the size of a chunk is not on a line")
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
                left = size + 2  # incomplete or malformed, which the next iteration finds out
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


def _parsed(line: str) -> Optional[Tuple[str, str, str]]:
    """Return the name in lower case, the value, and the name as it is written; None if it is not a header line."""
    name, colon, value = line.partition(":")
    return (name.lower(), value.strip(_BLANK), name) if colon and _NAME.match(name) else None


_NAME_AND_VALUE = operator.itemgetter(0, 1)


#: Most header lines of a response are the same as in the response before.
_field = functools.lru_cache(256)(_parsed)


def _content_length(text: Optional[str]) -> Optional[int]:
    """Return the number in Content-Length. Different lengths are an error, since a proxy may have used another one of them."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    values = {value.strip() for value in text.split(",")}
    value = values.pop()
    if values or not (value.isascii() and value.isdigit()):
        raise http.client.HTTPException(f"content-length {text!r} is not one number")
    return int(value)

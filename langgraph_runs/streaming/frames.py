"""Splits the bytes of a stream of server-sent events into frames: the lines of each event, without its blank line. No I/O.

Lines end at CR, LF or CRLF (WHATWG HTML, section 9.2). Each byte is read once, whatever the sizes of the chunks.
"""

from __future__ import annotations

from typing import List, Optional

__all__ = ["Frame", "FrameCutter", "FrameTooLargeError"]

#: The lines of one event, without their ends.
Frame = List[bytes]

_BOM = b"\xef\xbb\xbf"
#: Lines that are longer on average are split by `split_long_lines`.
_LONG = 512


class FrameTooLargeError(Exception):
    """An event is larger than the limit; *before* are the frames that were complete before it."""

    def __init__(self, before: List[Frame]) -> None:
        super().__init__()
        self.before = before


class FrameCutter:
    r"""Cuts the bytes of one connection into frames.

    >>> cutter = FrameCutter()
    >>> cutter.cut(b"data: 1\r\n\r\ndata: 2\r"), cutter.cut(b"\n\r")
    ([[b'data: 1']], [[b'data: 2']])
    """

    def __init__(self, limit: Optional[int] = None) -> None:
        self._limit = limit
        #: Lines of the open event that are complete, and how many of them the last chunk completed.
        self.lines: Frame = []
        self.new_lines = 0
        self._partial: List[bytes] = []  # pieces of the incomplete line
        self._size = 0  # of the open event, in bytes
        self._after_cr = False
        self._has_long_lines = False
        #: True if the frames of the last chunk are known to have only ASCII characters.
        self.ascii = True
        # The bytes so far, while they may be the beginning of a byte order mark; None once the stream has begun.
        self._start: Optional[bytes] = b""

    @property
    def pending(self) -> bool:
        """True if bytes are left that belong to an event whose blank line has not come."""
        return bool(self.lines or self._partial or self._start)

    @property
    def in_event(self) -> bool:
        """True if the stream is within an event. Unlike `pending`, False after and within comments, which belong to no event."""
        partial = self._partial[0][:1] if self._partial else self._start
        return any(line[:1] != b":" for line in self.lines) or bool(partial and partial != b":")

    def cut(self, chunk: bytes) -> List[Frame]:
        """Return the frames that *chunk* completes. Raise `FrameTooLargeError` if a frame, or the open event, is too large."""
        self.new_lines = 0
        if self._start is not None:
            chunk = self._without_mark(self._start + chunk)
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[:1] == b"\n":
                chunk = chunk[1:]  # the second half of a line end, whose first half ended the line
        if not chunk:
            return []
        self._size += len(chunk)
        self.ascii = chunk.isascii() and (self.ascii or not (self.lines or self._partial))
        if b"\n" not in chunk and b"\r" not in chunk:
            self._partial.append(chunk)
            self._check_open_event([])
            return []
        lines = self._split(chunk)
        frames: List[Frame] = []
        start = 0
        for _ in range(lines.count(b"")):
            end = lines.index(b"", start)
            frame = lines[start:end] if start or not self.lines else self.lines + lines[:end]
            if frame:
                frames.append(frame)
            start = end + 1
        if start:
            self.lines = lines = lines[start:]
        else:
            self.lines += lines
        self.new_lines = len(lines)
        if frames and self._limit is not None and self._size > self._limit:
            self._check(frames)
        if start:
            self._size = sum(map(len, self.lines)) + sum(map(len, self._partial))
        self._check_open_event(frames)
        return frames

    def _without_mark(self, start: bytes) -> bytes:
        """Return *start* without a byte order mark; return nothing while *start* may be the beginning of one."""
        if len(start) < len(_BOM) and _BOM.startswith(start):
            self._start = start
            return b""
        self._start = None
        return start[len(_BOM) :] if start.startswith(_BOM) else start

    def _split(self, chunk: bytes) -> List[bytes]:
        """Return the lines that *chunk* completes, and keep the rest."""
        # bytes.splitlines() ends lines at CR, LF and CRLF only, unlike str.splitlines().
        lines = split_long_lines(chunk) if self._has_long_lines else chunk.splitlines()
        self._has_long_lines = len(chunk) > _LONG * len(lines)
        if self._partial:
            self._partial.append(lines[0])
            lines[0] = b"".join(self._partial)
            self._partial = []
        self._after_cr = chunk[-1:] == b"\r"
        if chunk[-1:] not in (b"\n", b"\r"):
            self._partial = [lines.pop()]
        return lines

    def _check(self, frames: List[Frame]) -> None:
        for index, frame in enumerate(frames):
            if self._limit is not None and sum(map(len, frame)) + len(frame) > self._limit:
                raise FrameTooLargeError(frames[:index])

    def _check_open_event(self, before: List[Frame]) -> None:
        if self._limit is not None and self._size > self._limit:
            raise FrameTooLargeError(before)


def split_long_lines(chunk: bytes) -> List[bytes]:
    """Return ``chunk.splitlines()``, found by searching: slower for short lines, much faster for long ones."""
    lines: List[bytes] = []
    at, cr, lf = 0, chunk.find(b"\r"), chunk.find(b"\n")
    while cr >= 0 or lf >= 0:
        if lf < 0 or 0 <= cr < lf:
            lines.append(chunk[at:cr])
            at = cr + 1
            if lf == at:
                at += 1
                lf = chunk.find(b"\n", at)
            cr = chunk.find(b"\r", at)
        else:
            lines.append(chunk[at:lf])
            at = lf + 1
            lf = chunk.find(b"\n", at)
    if at < len(chunk):
        lines.append(chunk[at:])
    return lines

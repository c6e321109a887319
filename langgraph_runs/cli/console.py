"""Output of the command line: results to stdout, messages to stderr; whether stdout is a terminal or a pipe, in any encoding."""

from __future__ import annotations

import contextlib
import datetime
import errno
import io
import json
import os
import shutil
import stat
import sys
from typing import Any, Iterator, Optional, Sequence

from .. import exit_codes
from ..serialization import encode, parse
from .command import CommandError

__all__ = [
    "escape_controls",
    "print_message",
    "shorten",
    "write_output",
    "in_utf8",
    "is_terminal",
    "as_json",
    "prepare_streams",
    "print_json",
    "print_table",
    "CheckedOutput",
    "discard",
    "finish_streams",
    "TimedLines",
    "stderr_with_times",
    "styled",
    "terminal_width",
]

#: Columns of a terminal that does not report its size.
_WIDTH = 100


def prepare_streams() -> None:
    """Make stdout and stderr usable if they are closed, or in an encoding that lacks most characters."""
    if sys.stdout is None:
        # Open for reading only, so that each write fails as it does on a closed file. A command that prints nothing succeeds.
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")  # noqa: SIM115
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def finish_streams() -> None:
    """Flush stdout and stderr. If that fails, discard the rest: the interpreter would print an error and exit with code 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            discard(stream)


class TimedLines:
    """A text stream that puts the time before each line: in ISO 8601, as local time with its offset to UTC."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._at_start = True

    def write(self, text: str) -> int:
        """Write text, which may be a part of a line or several lines."""
        for line in text.splitlines(keepends=True):
            if self._at_start:
                now = datetime.datetime.now(datetime.timezone.utc).astimezone()
                self._stream.write(f"{now.isoformat(timespec='milliseconds')} ")
            self._stream.write(line)
            self._at_start = line.endswith("\n")
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def stderr_with_times(shown: bool) -> Iterator[None]:
    """Within the block, each line on stderr begins with the time if *shown* is true."""
    plain = sys.stderr
    if shown:
        sys.stderr = TimedLines(plain)
    try:
        yield
    finally:
        sys.stderr = plain


def print_message(text: str) -> None:
    """Print an error, warning or note to stderr, as one line with the program's name. Does nothing if stderr is closed."""
    with contextlib.suppress(OSError, ValueError):
        print(f"langgraph-runs: {escape_controls(' '.join(text.split()))}", file=sys.stderr, flush=True)


def discard(stream: Any) -> None:
    """Redirect a stream to the null device, so that the flush of the interpreter at exit prints no error."""
    with contextlib.suppress(OSError, ValueError):  # it is not a file, or is closed: nothing will be flushed
        target = stream.fileno()
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, target)
        os.close(devnull)


@contextlib.contextmanager
def writing_output() -> Iterator[None]:
    """Turn an `OSError` of the block into a `CommandError`, except for a ``BrokenPipeError``, which is raised unchanged.

    For a terminal that was closed it raises a ``BrokenPipeError`` too: the output has no reader any more.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        was_closed = error.errno == errno.EIO and _is_device(sys.stdout)
        discard(sys.stdout)
        if was_closed:
            raise BrokenPipeError(errno.EPIPE, "the terminal was closed") from error
        reason = "stdout is closed" if error.errno == errno.EBADF else error.strerror or error
        raise CommandError(f"the output cannot be written: {reason}", exit_codes.FAILED) from error


def _is_device(stream: Any) -> bool:
    try:
        return stat.S_ISCHR(os.fstat(stream.fileno()).st_mode)  # isatty() is False after the terminal was closed
    except (OSError, ValueError):
        return False


def write_output(text: str) -> None:
    """Write to stdout and flush."""
    with writing_output():
        sys.stdout.write(text)
        sys.stdout.flush()


class CheckedOutput:
    """Stdout as a stream for other packages, whose writes raise as `write_output` does."""

    def write(self, text: str) -> int:
        """Write to stdout."""
        with writing_output():
            return sys.stdout.write(text)

    def flush(self) -> None:
        """Flush stdout."""
        with writing_output():
            sys.stdout.flush()

    def isatty(self) -> bool:
        """Return True if stdout is a terminal."""
        return sys.stdout.isatty()


def is_terminal() -> bool:
    """Return True if stdout is a terminal."""
    return sys.stdout.isatty()


def styled() -> bool:
    """Return True if stdout is a terminal that can show styled text, and ``NO_COLOR`` is not set."""
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def terminal_width() -> Optional[int]:
    """Return the width of the terminal in columns, or None if stdout is not a terminal: then lines are not shortened."""
    return shutil.get_terminal_size((_WIDTH, 24)).columns if is_terminal() else None


def in_utf8() -> bool:
    """Return True if the encoding of stdout is UTF-8."""
    return (sys.stdout.encoding or "utf-8").lower().replace("-", "").replace("_", "") == "utf8"


def as_json(value: Any) -> Any:
    """Return *value* as dicts, lists and scalars. The ``extra`` fields of the library's records are merged into the record."""
    data = parse(encode(value).decode("utf-8"))
    return _with_extra(data)


def _with_extra(data: Any) -> Any:
    if isinstance(data, list):
        return [_with_extra(item) for item in data]
    if isinstance(data, dict) and isinstance(data.get("extra"), dict):
        known = {name: value for name, value in data.items() if name != "extra"}
        return {**data["extra"], **known}
    return data


def print_json(value: Any, *, pretty: Optional[bool] = None) -> None:
    """Print one line of JSON; indented if *pretty* is true, or if it is None and stdout is a terminal."""
    indented = is_terminal() if pretty is None else pretty
    try:
        text = json.dumps(
            value,
            ensure_ascii=not in_utf8(),
            indent=2 if indented else None,
            separators=None if indented else (",", ":"),
        )
    except RecursionError:
        raise CommandError("the result is nested too deep to be printed", exit_codes.FAILED) from None
    # Lone surrogates, which cannot be encoded, were refused by the decoder. A graph's output must not control the terminal.
    write_output((escape_controls(text) if is_terminal() else text) + "\n")


def escape_controls(text: str) -> str:
    """Return *text* with control characters replaced, except for newlines and tabs: they could control the terminal.

    >>> escape_controls("tides\\x1b[2J")
    'tides\\ufffd[2J'
    """
    if text.isprintable():
        return text
    return "".join(char if char in "\n\t" or not _controls(char) else "\ufffd" for char in text)


def _controls(char: str) -> bool:
    return char < " " or "\x7f" <= char <= "\x9f"


def shorten(text: str, columns: Optional[int]) -> str:
    """Return *text* as one line of at most *columns* characters.

    >>> shorten("a long line", 8)
    'a lon...'
    """
    line = " ".join(text.split())
    return line if columns is None or len(line) <= columns else line[: max(0, columns - 3)] + "..."


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table. On a terminal its lines are cut at the terminal's width."""
    write_output("".join(line + "\n" for line in table(header, rows)))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Sequence[str]:
    """Return the lines of a table."""
    cells = [list(header), *([escape_controls(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]
    columns = terminal_width()
    return [line if columns is None else line[:columns] for line in lines]

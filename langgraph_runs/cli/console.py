"""Where the command line writes: results to stdout, everything else to stderr, each safe for what is at the other end."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
from typing import Any, Iterator, Optional, Sequence

from ..serialization import encode, parse
from . import codes
from .command import CommandError

__all__ = [
    "clean",
    "complain",
    "cut",
    "emit",
    "in_utf8",
    "is_terminal",
    "plain",
    "prepare",
    "print_json",
    "print_table",
    "silence",
    "styled",
    "width",
]

#: Columns where there is no terminal to ask.
_WIDTH = 100


def prepare() -> None:
    """Make stdout and stderr usable, however this process was started: closed, or in a locale that lacks most characters."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper) and descriptor == 1:
            stream.reconfigure(errors="replace")


def complain(text: str) -> None:
    """One line on stderr, which is where errors go: stdout is for results."""
    with contextlib.suppress(OSError, ValueError):  # nobody reads that either
        print(f"langgraph-runs: {clean(' '.join(text.split()))}", file=sys.stderr, flush=True)


def silence() -> None:
    """Let stdout go nowhere from now on: the interpreter flushes once more at exit, which must not fail aloud."""
    with contextlib.suppress(OSError, ValueError):  # it is no file, or closed: then nothing is flushed
        target = sys.stdout.fileno()
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, target)
        os.close(devnull)


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Failures to write the output are errors of one line. A broken pipe stays what it is."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        silence()
        raise CommandError(f"the output cannot be written: {error.strerror or error}", codes.FAILED) from error


def emit(text: str) -> None:
    """Write to stdout, at once."""
    with writing():
        sys.stdout.write(text)
        sys.stdout.flush()


def is_terminal() -> bool:
    """Whether a person may be looking at stdout."""
    return sys.stdout.isatty()


def styled() -> bool:
    """Whether stdout is a terminal that shows bold and dim, and may."""
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def width() -> Optional[int]:
    """Columns of the terminal, or None: what is not looked at is not cut."""
    return shutil.get_terminal_size((_WIDTH, 24)).columns if is_terminal() else None


def in_utf8() -> bool:
    """Whether stdout can show every character."""
    return (sys.stdout.encoding or "utf-8").lower().replace("-", "").replace("_", "") == "utf8"


def plain(value: Any) -> Any:
    """*value* as plain JSON; of records of this library, unknown fields among the known ones."""
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
    """One line of JSON; on a terminal, or where *pretty* says so, indented."""
    indented = is_terminal() if pretty is None else pretty
    try:
        text = json.dumps(
            value,
            ensure_ascii=not in_utf8(),
            indent=2 if indented else None,
            separators=None if indented else (",", ":"),
        )
    except RecursionError:
        raise CommandError("the result is nested too deep to be printed", codes.FAILED) from None
    # What no encoding has, half of a pair, was refused by the decoder; a terminal must not obey what a graph says.
    emit((clean(text) if is_terminal() else text) + "\n")


def clean(text: str) -> str:
    """*text* without what a terminal would obey instead of show: control characters, but for line ends and tabs.

    >>> clean("tides\\x1b[2J")
    'tides\\ufffd[2J'
    """
    if text.isprintable():
        return text
    return "".join(char if char in "\n\t" or not _controls(char) else "\ufffd" for char in text)


def _controls(char: str) -> bool:
    return char < " " or "\x7f" <= char <= "\x9f"


def cut(text: str, columns: Optional[int]) -> str:
    """*text* on one line of at most so many columns.

    >>> cut("a long line", 8)
    'a lon...'
    """
    line = " ".join(text.split())
    return line if columns is None or len(line) <= columns else line[: max(0, columns - 3)] + "..."


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns below one another; on a terminal no line is longer than that is wide."""
    emit("".join(line + "\n" for line in table(header, rows)))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Sequence[str]:
    """The lines of a table."""
    cells = [list(header), *([clean(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]
    columns = width()
    return [line if columns is None else line[:columns] for line in lines]

"""Where the command line writes: results to stdout, everything else to stderr, each safe for what is at the other end."""

from __future__ import annotations

import contextlib
import os
import sys

__all__ = ["complain", "silence"]


def complain(text: str) -> None:
    """One line on stderr, which is where errors go: stdout is for results."""
    with contextlib.suppress(OSError, ValueError):  # nobody reads that either
        print(f"langgraph-runs: {' '.join(text.split())}", file=sys.stderr)


def silence() -> None:
    """Let stdout go nowhere from now on: the interpreter flushes once more at exit, which must not fail aloud."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)

"""The command line, ``langgraph-runs``: what a shell, cron or a person at a terminal can do without writing Python.

Knows arguments, exit codes (`codes`) and what to print where; the work is done by the library. A command is one `Command` in
the table of `program`: its arguments and a function from the parsed arguments to an exit code. There is one noun per module.
"""

from __future__ import annotations

from typing import Optional, Sequence

__all__ = ["main"]


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one command and return its exit code; ``argv`` without the program's name, by default that of the process."""
    try:
        # Imported within the guard, so that a Ctrl-C while it loads shows no traceback.
        from .program import execute

        return execute(argv)
    except KeyboardInterrupt:
        return 130

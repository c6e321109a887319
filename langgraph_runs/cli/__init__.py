"""The command line, ``langgraph-runs``: the library for shells, cron and people at a terminal.

This package parses arguments, prints results and chooses exit codes; all requests are made through the public names of
`langgraph_runs`. Each command is a `Command` in the table of the module ``program``: its arguments, and a function from the parsed
arguments to an exit code.
"""

from __future__ import annotations

from typing import Optional, Sequence

__all__ = ["main"]


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one command and return its exit code. *argv* does not include the program's name; the default is ``sys.argv[1:]``."""
    try:
        # Imported within the try statement, so that a Ctrl-C during the import shows no traceback.
        from .program import execute

        return execute(argv)
    except KeyboardInterrupt:
        return 130
    finally:
        # CPython notes a KeyboardInterrupt that leaves an `exec` of source text, such as that of namedtuple in an import. Although
        # the exception was handled, it ends a program that was started with ``-m`` by SIGINT, and not with its exit code. The next
        # `exec` resets the note.
        exec("")

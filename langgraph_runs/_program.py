"""The program ``langgraph-runs``: while it loads, Ctrl-C ends it silently. Imported first; does nothing in any other program.

Python shows a traceback for a Ctrl-C during imports, and the package is imported before the first line of its command line runs.
"""

from __future__ import annotations

import os
import sys
from typing import Sequence

__all__ = ["is_program"]


def is_program(argv: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether this process is the command line, by its arguments without and with those of the interpreter.

    >>> is_program(["/usr/bin/langgraph-runs", "list"], []), is_program(["-m"], ["python3", "-m", "langgraph_runs", "list"])
    (True, True)
    >>> is_program(["job.py", "langgraph-runs"], ["python3", "job.py", "langgraph-runs"])
    False
    """
    first = argv[0] if argv else ""
    if first == "-m":
        return "-m" in whole and whole[whole.index("-m") + 1 :][:1] == ["langgraph_runs"]
    return os.path.splitext(os.path.basename(first))[0] == "langgraph-runs"


if is_program(getattr(sys, "argv", ()), getattr(sys, "orig_argv", ())):
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

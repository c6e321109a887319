"""Let Ctrl-C end the command line silently while it loads. Has no effect in any other program.

Python prints a traceback for a Ctrl-C during imports, and the package is imported before the first line of the command line runs.
So the package imports this module first.
"""

from __future__ import annotations

import os
import sys
from typing import Sequence

__all__ = ["is_program"]


def is_program(argv: Sequence[str], orig_argv: Sequence[str]) -> bool:
    """Return True if this process is the command line, judging by ``sys.argv`` and ``sys.orig_argv``.

    >>> is_program(["/usr/bin/langgraph-runs", "list"], []), is_program(["-m"], ["python3", "-m", "langgraph_runs", "list"])
    (True, True)
    >>> is_program(["job.py", "langgraph-runs"], ["python3", "job.py", "langgraph-runs"])
    False
    """
    first = argv[0] if argv else ""
    if first == "-m":
        return "-m" in orig_argv and orig_argv[orig_argv.index("-m") + 1 :][:1] == ["langgraph_runs"]
    return os.path.splitext(os.path.basename(first))[0] == "langgraph-runs"


if is_program(getattr(sys, "argv", ()), getattr(sys, "orig_argv", ())):
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

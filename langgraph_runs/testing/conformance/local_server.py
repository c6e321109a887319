"""`own_server`: a local server with graphs that allow all checks."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Iterator, Tuple

from ...devserver import DevServer
from .results import Graph, Graphs

__all__ = ["own_server"]

_SOURCE = Path(__file__).with_name("graphs.py")
#: Seconds that the server allows a run.
_RUN_LIMIT = 6
OWN_GRAPHS = Graphs(
    Graph("work", {}),
    failing=Graph("work", {"fail": "no ink"}),
    pausing=Graph("ask", {}),
    lasting=Graph("work", {"seconds": 60}),
    streaming=Graph("work", {"events": 60, "seconds": 0.6}),
    exceeding=Graph("work", {"seconds": 60}),
)


@contextlib.contextmanager
def own_server(**options: Any) -> Iterator[Tuple[DevServer, Graphs]]:
    """Start a `DevServer` with graphs that allow all checks, and yield both. It is stopped at the end of the block.

    *options* are those of `DevServer`, such as ``log``. Raises `DevServerError` if the server cannot be started.
    """
    graphs = {name: f"{_SOURCE}:{name}" for name in ("work", "ask")}
    env = {"BG_JOB_TIMEOUT_SECS": str(_RUN_LIMIT), **options.pop("env", {})}
    with DevServer(graphs, env=env, **{"workers": 30, **options}) as server:
        yield server, OWN_GRAPHS

"""The Python server (PyPI: langgraph-api), by `DevServer`, with the same graphs as the other servers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from langgraph_runs import devserver

from .aegra import GRAPHS
from .processes import Unavailable

#: Runs that it executes at a time: those of all processes of the tests.
WORKERS = 60


def unavailable_reason() -> str:
    """Why this Python cannot run it, and how to get it; empty if it can."""
    return devserver.unavailable_reason() or ""


@contextlib.contextmanager
def serve(directory: Path, port: int = 0) -> Iterator[str]:
    """Run the server and yield its URL."""
    reason = unavailable_reason()
    if reason:
        raise Unavailable(reason)
    graphs = {name: f"{Path(__file__).parent / 'graphs.py'}:{name}" for name in GRAPHS}
    with devserver.DevServer(graphs, port=port, workers=WORKERS, log=directory / "log") as server:
        yield server.url

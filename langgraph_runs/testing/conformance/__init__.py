"""Checks whether the promises of this library hold on a server.

``check_conformance(client, "agent", input=...)`` runs small graphs on the server and returns a `Conformance`: a row for each
promise. ``langgraph-runs doctor --conformance`` is the same as a command. `own_server` starts a local server with graphs that
allow all checks. README.rst of `langgraph_runs.testing` has examples.
"""

from ..._public import name_public
from .local_server import own_server
from .results import Conformance, ConformanceRow, Graph, Graphs, Verdict
from .run import CATALOG, check_conformance
from .table import as_differences, as_table, as_text

__all__ = [
    "CATALOG",
    "Conformance",
    "ConformanceRow",
    "Graph",
    "Graphs",
    "Verdict",
    "as_differences",
    "as_table",
    "as_text",
    "check_conformance",
    "own_server",
]

name_public(__name__, [Conformance, ConformanceRow, Graph, Graphs, Verdict])

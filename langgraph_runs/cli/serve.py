"""``langgraph-runs serve``: a LangGraph server with your graphs on this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Dict, Sequence

from .. import exit_codes
from .command import Command, CommandError
from .console import print_message, write_output
from .values import count

__all__ = ["COMMAND", "graphs_of"]

#: The name of a graph that is given without one, and the port: those that the other commands and `Client` use by default.
_NAME, _PORT = "agent", 2024
#: Seconds between two looks at whether the server still runs.
_INTERVAL = 0.5


def configure_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "graphs",
        metavar="[NAME=]PATH:VARIABLE",
        nargs="+",
        help=f"a graph: the file or module, and its variable; the name of the only graph may be left out ({_NAME})",
    )
    parser.add_argument("--port", metavar="N", type=count(0), default=_PORT, help=f"the port; 0 for a free one ({_PORT})")
    parser.add_argument("--workers", metavar="N", type=count(1), default=10, help="runs that are executed at the same time (10)")
    parser.add_argument("--log", metavar="FILE", help="append the server's log to this file")


def graphs_of(texts: Sequence[str]) -> Dict[str, str]:
    """Return the graphs by name.

    >>> graphs_of(["graph.py:graph"]), graphs_of(["a=one.py:graph", "b=two.py:graph"])
    ({'agent': 'graph.py:graph'}, {'a': 'one.py:graph', 'b': 'two.py:graph'})
    """
    found: Dict[str, str] = {}
    for text in texts:
        name, sign, place = text.partition("=")
        if not sign:
            name, place = _NAME, text
        if not name or ":" not in place:
            raise CommandError(f"{text}: give PATH:VARIABLE or NAME=PATH:VARIABLE, such as agent=graph.py:graph", exit_codes.USAGE)
        if name in found:
            raise CommandError(f"there are two graphs of the name {name}: give NAME=PATH:VARIABLE for each", exit_codes.USAGE)
        found[name] = place
    return found


def run_serve(args: argparse.Namespace) -> int:
    from ..devserver import DevServer, DevServerError, unavailable_reason  # no other command but the demo needs it

    graphs = graphs_of(args.graphs)
    reason = unavailable_reason()
    if reason is not None:
        raise CommandError(reason, exit_codes.USAGE)
    try:
        with DevServer(graphs, port=args.port, workers=args.workers, log=args.log) as server:
            write_output(f"{server.url}\n")
            sys.stdout.flush()
            print_message(f"serving {', '.join(graphs)}; Ctrl-C ends the server, and what it holds is lost")
            while server.running:
                time.sleep(_INTERVAL)
    except DevServerError as error:
        print_message(str(error))
        if error.log:
            print(error.log, file=sys.stderr)
        return exit_codes.FAILED
    print_message("the server has ended by itself; --log FILE shows why")
    return exit_codes.FAILED


COMMAND = Command(
    name="serve",
    summary="start a LangGraph server with your graphs on this machine",
    description=(
        "Starts a LangGraph server with the given graphs, in memory, on this machine alone, prints its URL, and runs until "
        f"Ctrl-C or SIGTERM. Its port is {_PORT}, which the other commands use by default. It is for development and tests: what "
        'it holds is lost when it ends. Needs the extra: pip install "langgraph_runs[server]" on Python 3.11 or newer.'
    ),
    configure=configure_serve,
    run=run_serve,
    examples=[
        ("langgraph-runs serve graph.py:graph", "then: langgraph-runs run agent topic=tides"),
        ("langgraph-runs serve --port 0 chat=bot/chat.py:graph report=bot.report:graph", "two graphs, on a free port"),
    ],
    exits=[exit_codes.FAILED],
)

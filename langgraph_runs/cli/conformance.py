"""``langgraph-runs doctor --conformance``: check whether the promises of the library hold on a server."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any, Dict, Iterator, Tuple

from .. import exit_codes
from .command import CommandError
from .connection import client_of
from .console import escape_controls, print_json, print_message, write_output
from .demo import without_proxy_for
from .values import count, json_value, limit, names

if TYPE_CHECKING:
    from ..testing.conformance import ConformanceRow, Graph

__all__ = ["check_conformance_options", "configure_conformance", "run_conformance"]

#: The options for graphs, by the argument of `check_conformance`.
_GRAPHS = {
    "failing": ("--graph-that-fails", "a graph that raises"),
    "pausing": ("--graph-that-pauses", "a graph that asks a human, by interrupt()"),
    "lasting": ("--graph-that-lasts", "a graph that takes ten seconds or longer; its runs are cancelled"),
    "streaming": ("--graph-that-streams", "a graph that writes at least 20 custom events, the same ones in each run"),
    "exceeding": ("--graph-that-exceeds", "a graph that takes longer than the server allows a run"),
}
_COLUMNS = 100


def configure_conformance(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``--conformance``."""
    group = parser.add_argument_group(
        "conformance", "GRAPH is the id of an assistant, or ID=INPUT with the input as JSON or @FILE."
    )
    group.add_argument(
        "--conformance", action="store_true", help="check instead which promises of the library hold on this server, by small runs"
    )
    group.add_argument(
        "--devserver",
        action="store_true",
        help="on a local server with graphs for all checks; the default without a URL and a graph",
    )
    group.add_argument("--graph", metavar="GRAPH", help="a graph that succeeds, best within a second")
    for name, (option, text) in _GRAPHS.items():
        group.add_argument(option, metavar="GRAPH", dest=name, help=text)
    group.add_argument("--only", metavar="NAMES", action="append", help="only the checks with these names, comma-separated")
    group.add_argument("--timeout-each", metavar="TIME", type=limit, help="limit for each check (60s)")
    group.add_argument("--concurrency", metavar="N", type=count(1), help="checks at the same time (8)")


def check_conformance_options(args: argparse.Namespace) -> None:
    """Raise a usage error for options that have no effect without ``--conformance``."""
    others = ("devserver", "graph", *_GRAPHS, "only", "timeout_each", "concurrency")
    if not args.conformance and any(getattr(args, name) for name in others):
        raise CommandError("the options for graphs and checks are for --conformance", exit_codes.USAGE)


def run_conformance(args: argparse.Namespace) -> int:
    """Make the checks, print what they found, and return the exit code."""
    from ..testing.conformance import as_text, check_conformance

    def show(row: ConformanceRow, done: int, total: int) -> None:
        if args.json:
            print_json(row.as_dict(), pretty=False)
        progress.show(f"{done}/{total} checks; {row.name}: {row.verdict.value}")

    options = {name: getattr(args, name) for name in ("timeout_each", "concurrency") if getattr(args, name) is not None}
    with _server(args) as (url, graphs), without_proxy_for("127.0.0.1"):
        args.url = url
        with client_of(args, timeout=args.timeout) as client, _Progress() as progress:
            found = check_conformance(client, only=names(args.only) or (), on_row=show, **graphs, **options)
    if not args.json:
        columns = min(120, shutil.get_terminal_size((_COLUMNS, 24)).columns)
        write_output(escape_controls(as_text(found, columns)))
    for thread_id in found.left_threads:
        print_message(f"warning: the thread {thread_id} could not be deleted")
    return exit_codes.OK if found.conforms else exit_codes.NOT_CONFORMING


@contextlib.contextmanager
def _server(args: argparse.Namespace) -> Iterator[Tuple[Any, Dict[str, Any]]]:
    """Yield the URL to check and the graphs to run; start a local server if that is wanted."""
    from ..devserver import DevServerError
    from ..testing.conformance import own_server

    others = {name: _graph(option, getattr(args, name)) for name, (option, _) in _GRAPHS.items() if getattr(args, name)}
    if args.graph is not None:
        if args.devserver:
            raise CommandError("--devserver has graphs of its own: leave out --graph", exit_codes.USAGE)
        yield args.url, {"assistant_id": _graph("--graph", args.graph), **others}
        return
    if others or (not args.devserver and (args.url or os.environ.get("LANGGRAPH_API_URL"))):
        raise CommandError("--conformance needs a graph that succeeds: --graph ID or --graph ID=INPUT", exit_codes.USAGE)
    if args.url:
        raise CommandError("--devserver excludes --url", exit_codes.USAGE)
    try:
        with own_server() as (server, graphs):
            yield server.url, graphs.as_arguments()
    except DevServerError as error:
        raise CommandError(str(error), exit_codes.FAILED) from error


def _graph(option: str, text: str) -> Graph:
    """Return the graph of ``ID`` or ``ID=INPUT``."""
    from ..testing.conformance import Graph

    assistant_id, sign, given = text.partition("=")
    if not assistant_id:
        raise CommandError(f"{option}: give ID or ID=INPUT", exit_codes.USAGE)
    return Graph(assistant_id, json_value(option, given) if sign else None)


class _Progress:
    """A line on stderr that shows how far the checks are, if stderr is a terminal."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def show(self, text: str) -> None:
        if self._shown:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(f"\r\x1b[K{escape_controls(text)}")
                sys.stderr.flush()

    def __enter__(self) -> _Progress:
        self.show("checking")
        return self

    def __exit__(self, *error: object) -> None:
        self.show("")

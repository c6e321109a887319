"""``langgraph-runs demo``: a real server on this machine, and the calls of this library shown on it."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import sys
from typing import Iterator

from . import codes
from .command import Command
from .console import complain

__all__ = ["COMMAND", "configure_demo", "past_the_proxy", "run_demo"]


@contextlib.contextmanager
def past_the_proxy(host: str) -> Iterator[None]:
    """Reach this host directly: a proxy of the environment cannot reach our own machine for us."""
    before = {name: os.environ.get(name) for name in ("no_proxy", "NO_PROXY")}
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(None, [*before.values(), host]))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def configure_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log", metavar="FILE", help="keep what the server prints in this file")
    parser.add_argument("--web", action="store_true", help="serve a chat on this machine instead, until Ctrl-C; needs Django too")
    parser.add_argument("--port", type=int, metavar="N", help="with --web: the port, by default a free one")
    parser.add_argument("--open", action="store_true", help="with --web: open the chat in the browser")


def run_demo(args: argparse.Namespace) -> int:
    # Not before it is asked for: `langgraph-runs --help` does without.
    from ..demo import tour
    from ..devserver import DevServerError, unavailable_reason

    reason = unavailable_reason()
    if not args.web and (args.port is not None or args.open):
        reason = "--port and --open are for the chat: add --web"
    elif reason is None and args.web and importlib.util.find_spec("django") is None:
        reason = 'the chat needs Django: pip install "langgraph_runs[server,django]"'
    if reason is not None:
        complain(reason)
        return codes.USAGE
    try:
        with past_the_proxy("127.0.0.1"):
            if args.web:
                from ..demo.web import serving

                serving.run(sys.stdout, port=args.port or 0, open_page=args.open, log=args.log)
            else:
                tour.run(tour.Screen.on(sys.stdout), log=args.log)
    except DevServerError as error:
        complain(str(error))
        if error.log:
            print(error.log, file=sys.stderr)
        return codes.FAILED
    return codes.OK


COMMAND = Command(
    name="demo",
    summary="start a real server with a sample graph and show the calls of this library on it",
    description=(
        "Starts a LangGraph server on a free port of this machine, in a temporary directory, offline, with a "
        "sample graph that needs no model key, and walks through the calls of this library: streaming, answering "
        "a question of the graph, cancelling, a failing run, listing. Takes about ten seconds and leaves nothing "
        "behind. With --web it serves a chat in the browser, until Ctrl-C. "
        'Needs the extra: pip install "langgraph_runs[server]" on Python 3.11 or newer.'
    ),
    configure=configure_demo,
    run=run_demo,
    examples=[
        ("langgraph-runs demo", "the calls of this library, one by one"),
        ("langgraph-runs demo --web --open", "a chat on Django, in the browser"),
    ],
    exits=[codes.FAILED],
)

"""``langgraph-runs demo``: show the calls of this library on a real server on this machine."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import sys
from typing import Any, Iterator

from .. import exit_codes
from .command import Command
from .console import CheckedOutput, print_message

__all__ = ["COMMAND", "configure_demo", "run_demo", "without_proxy_for"]


@contextlib.contextmanager
def without_proxy_for(host: str) -> Iterator[None]:
    """Bypass the proxy of the environment for *host*: a proxy on another machine cannot reach this machine's loopback."""
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
    parser.add_argument("--log", metavar="FILE", help="write the server's log to this file")
    parser.add_argument("--web", action="store_true", help="serve a chat for the browser instead, until Ctrl-C; also needs Django")
    parser.add_argument("--port", type=int, metavar="N", help="with --web: the port (a free one)")
    parser.add_argument("--open", action="store_true", help="with --web: open the chat in the browser")


def run_demo(args: argparse.Namespace) -> int:
    # Imported here, since no other command needs them.
    from ..demo import tour
    from ..devserver import DevServerError, unavailable_reason

    reason = unavailable_reason()
    if not args.web and (args.port is not None or args.open):
        reason = "--port and --open are for the chat: add --web"
    elif reason is None and args.web and importlib.util.find_spec("django") is None:
        reason = 'the chat needs Django: pip install "langgraph_runs[server,demo]"'
    if reason is not None:
        print_message(reason)
        return exit_codes.USAGE
    output: Any = CheckedOutput()
    try:
        with without_proxy_for("127.0.0.1"):
            if args.web:
                from ..demo.web import serving

                serving.run(output, port=args.port or 0, open_page=args.open, log=args.log)
            else:
                tour.run(tour.Screen.on(output), log=args.log)
    except DevServerError as error:
        print_message(str(error))
        if error.log:
            print(error.log, file=sys.stderr)
        return exit_codes.FAILED
    return exit_codes.OK


COMMAND = Command(
    name="demo",
    summary="start a real server with a sample graph and show the calls of this library on it",
    description=(
        "Starts a LangGraph server on a free port of this machine, in a temporary directory, offline, with a "
        "sample graph that needs no model key, and shows the calls of this library on it: streaming, answering "
        "a question of the graph, cancelling, a failing run, listing. Takes about ten seconds and leaves nothing "
        "behind. With --web it serves a chat for the browser instead, until Ctrl-C. "
        'Needs the extra: pip install "langgraph_runs[server]" on Python 3.11 or newer.'
    ),
    configure=configure_demo,
    run=run_demo,
    examples=[
        ("langgraph-runs demo", "the calls of this library, one by one"),
        ("langgraph-runs demo --web --open", "a chat on Django, in the browser"),
    ],
    exits=[exit_codes.FAILED],
)

"""``langgraph-runs demo``: a real server on this machine, and the calls of this library shown on it."""

from __future__ import annotations

import argparse
import contextlib
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


def run_demo(args: argparse.Namespace) -> int:
    # Not before it is asked for: `langgraph-runs --help` does without.
    from ..demo import tour
    from ..devserver import DevServerError, unavailable_reason

    reason = unavailable_reason()
    if reason is not None:
        complain(reason)
        return codes.USAGE
    try:
        with past_the_proxy("127.0.0.1"):
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
        "behind. "
        'Needs the extra: pip install "langgraph_runs[server]" on Python 3.11 or newer.'
    ),
    configure=configure_demo,
    run=run_demo,
    examples=[("langgraph-runs demo", "the calls of this library, one by one")],
    exits=[codes.FAILED],
)

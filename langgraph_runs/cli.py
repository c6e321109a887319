"""The command line, ``langgraph-runs``: what a shell, cron or a person at a terminal can do without writing Python.

Knows arguments, exit codes and what to print where; the work is done by the library. A command is one `Command` in
`COMMANDS`: its arguments and a function from the parsed arguments to an exit code.

Exit codes: 0 success; 1 it failed; 2 wrongly called, or not possible here; 130 interrupted (Ctrl-C); 141 nobody reads
the output.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from typing import Callable, Iterator, NamedTuple, Optional, Sequence

from ._version import __version__
from .demo import tour
from .devserver import DevServerError, unavailable_reason
from .errors import LangGraphRunsError

__all__ = ["COMMANDS", "Command", "main"]

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


class Command(NamedTuple):
    """One command: its name, a line about it, its arguments and what it does."""

    name: str
    summary: str
    description: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def complain(text: str) -> None:
    """One line on stderr, which is where errors go: stdout is for results."""
    print(f"langgraph-runs: {text}", file=sys.stderr)


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
    reason = unavailable_reason()
    if reason is not None:
        complain(reason)
        return EXIT_USAGE
    try:
        with past_the_proxy("127.0.0.1"):
            tour.run(tour.Screen.on(sys.stdout), log=args.log)
    except DevServerError as error:
        complain(str(error))
        if error.log:
            print(error.log, file=sys.stderr)
        return EXIT_FAILED
    return EXIT_OK


COMMANDS: Sequence[Command] = (
    Command(
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
    ),
)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    whole = argparse.ArgumentParser(
        prog="langgraph-runs",
        description="Runs of a LangGraph server, from the command line.",
        epilog="`langgraph-runs COMMAND --help` tells about one command.",
    )
    whole.add_argument("--version", action="version", version=f"langgraph-runs {__version__}")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        one = commands.add_parser(command.name, help=command.summary, description=command.description)
        command.configure(one)
        one.set_defaults(command=command)
    return whole


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one command and return its exit code; ``argv`` without the program's name, by default that of the process."""
    try:
        args = parser().parse_args(argv)
        code: int = args.command.run(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes once more at exit, which must not fail aloud.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except LangGraphRunsError as error:
        complain(str(error))
        return EXIT_FAILED

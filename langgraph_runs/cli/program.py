"""The table of commands, and what is common to all of them: parsing, signals, errors, exit codes."""

from __future__ import annotations

import argparse
import sys
import traceback
from typing import Dict, Optional, Sequence

from .. import APIStatusError, CreateUncertainError, LangGraphRunsError, __version__
from . import batch, codes, completion, demo, doctor, ledger, prune, run, runs, stream, threads, watch
from .command import Command, CommandError, Page, Parser, add_command
from .connection import log_shown
from .console import complain, prepare, silence
from .interrupts import Interrupts

__all__ = ["COMMANDS", "execute", "parser"]

#: Groups of commands, each with a line about it.
GROUPS: Dict[str, str] = {
    "ledger": "look at and change the file that batch --ledger keeps",
    "threads": "make, look at and delete threads: the state that runs work on",
}


def parser() -> Parser:
    """The whole command line."""
    whole = Parser(
        prog="langgraph-runs",
        description="Runs of a LangGraph server, from the command line.",
        epilog=_epilog(),
        formatter_class=Page,
        allow_abbrev=False,
    )
    whole.add_argument("--version", action="version", version=f"langgraph-runs {__version__}")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    groups = {"": commands}
    for command in COMMANDS:
        group = command.name.rpartition(" ")[0]
        if group not in groups:
            about = GROUPS[group]
            of_group = commands.add_parser(group, help=about, description=about, formatter_class=Page, allow_abbrev=False)
            groups[group] = of_group.add_subparsers(title="commands", metavar="COMMAND", required=True)
        add_command(groups[group], command)
    return whole


def _epilog() -> str:
    lines = [
        "`langgraph-runs COMMAND --help` is a page about one command.",
        "",
        "environment:",
        "  LANGGRAPH_API_URL             the server, where --url does not say; else http://localhost:2024",
        "  LANGGRAPH_API_KEY             the key, where --api-key-file does not say; else LANGSMITH_API_KEY,",
        "                                LANGCHAIN_API_KEY",
        "  HTTP_PROXY, HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE",
        "  NO_COLOR                      no dim text on terminals",
        "",
        "exit codes:",
    ]
    return "\n".join([*lines, *(f"  {code:<4} {meaning}" for code, meaning in codes.MEANINGS.items())])


COMMANDS: Sequence[Command] = (
    run.RUN,
    stream.COMMAND,
    runs.CREATE,
    run.JOIN,
    *runs.COMMANDS,
    watch.COMMAND,
    batch.COMMAND,
    *ledger.COMMANDS,
    prune.COMMAND,
    *threads.COMMANDS,
    doctor.COMMAND,
    completion.command_for(parser),
    demo.COMMAND,
)


def parse(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """The parsed arguments; ``key=value`` pairs may stand before, between and behind the options."""
    args, more = parser().parse_known_args(argv)
    if more:
        pairs = [tuple(text.split("=", 1)) for text in more]
        if not hasattr(args, "pairs") or any(text.startswith(("-", "=")) or "=" not in text for text in more):
            args.parser.error(f"unrecognized arguments: {' '.join(more)}")
        args.pairs += pairs
    return args


def execute(argv: Optional[Sequence[str]] = None) -> int:
    """Run one command and return its exit code; ``argv`` without the program's name, by default that of the process."""
    prepare()
    with Interrupts() as interrupts:
        args = None
        try:
            args = parse(argv)
            args.interrupts = interrupts
            with log_shown(args):
                code: int = args.command.run(args)
            sys.stdout.flush()
            return code
        except KeyboardInterrupt:
            return codes.INTERRUPTED
        except BrokenPipeError:
            silence()
            return codes.BROKEN_PIPE
        except CommandError as error:
            complain(str(error))
            tell_more(error, args)
            return error.code
        except LangGraphRunsError as error:
            complain(remedied(error))
            tell_more(error, args)
            return codes.code_of(error)


def remedied(error: LangGraphRunsError) -> str:
    """The error's line, with what to do about it where that is known."""
    code = codes.code_of(error)
    if isinstance(error, CreateUncertainError) and error.thread_id is not None:
        return f"{error}; request id {error.request_id}; to look for it: langgraph-runs list {error.thread_id} --created-after 1h"
    if code == codes.REFUSED:
        return f"{error}; give a key that may do this in LANGGRAPH_API_KEY or --api-key-file"
    if code == codes.UNREACHABLE and error.attempts and getattr(error, "sent", True) is False:
        return f"{error}; is the server running, and is --url right? `langgraph-runs doctor` looks"
    return str(error)


def tell_more(error: BaseException, args: Optional[argparse.Namespace]) -> None:
    """With --verbose: the error whole, and what led to it."""
    if args is None or not getattr(args, "verbose", False):
        return
    link: Optional[BaseException] = error
    while link is not None:
        if isinstance(link, APIStatusError) and link.request_id:
            complain(f"request id: {link.request_id}")
        complain(f"because of: {traceback.format_exception_only(type(link), link)[-1]}")
        link = link.__cause__

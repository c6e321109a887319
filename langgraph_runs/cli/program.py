"""The table of commands, and what is common to all of them: parsing, errors, exit codes."""

from __future__ import annotations

import argparse
import sys
from typing import Dict, Optional, Sequence

from .._version import __version__
from ..errors import LangGraphRunsError
from . import codes, demo
from .command import Command, Page, add_command
from .console import complain, silence

__all__ = ["COMMANDS", "execute", "parser"]

COMMANDS: Sequence[Command] = (demo.COMMAND,)

#: Groups of commands, each with a line about it.
GROUPS: Dict[str, str] = {}


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    whole = argparse.ArgumentParser(
        prog="langgraph-runs",
        description="Runs of a LangGraph server, from the command line.",
        epilog="`langgraph-runs COMMAND --help` tells about one command.",
        formatter_class=Page,
        allow_abbrev=False,
    )
    whole.add_argument("--version", action="version", version=f"langgraph-runs {__version__}")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    groups = {"": commands}
    for command in COMMANDS:
        group = command.name.rpartition(" ")[0]
        if group not in groups:
            of_group = commands.add_parser(group, help=GROUPS[group], description=GROUPS[group], allow_abbrev=False)
            groups[group] = of_group.add_subparsers(title="commands", metavar="COMMAND", required=True)
        add_command(groups[group], command)
    return whole


def execute(argv: Optional[Sequence[str]] = None) -> int:
    """Run one command and return its exit code; ``argv`` without the program's name, by default that of the process."""
    try:
        args = parser().parse_args(argv)
        code: int = args.command.run(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return codes.INTERRUPTED
    except BrokenPipeError:
        silence()
        return codes.BROKEN_PIPE
    except LangGraphRunsError as error:
        complain(str(error))
        return codes.code_of(error)

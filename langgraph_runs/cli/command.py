"""`Command`: one command of the command line, and the help page that is generated from it."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any, Callable, Iterator, List, NamedTuple, Sequence, Tuple

from .. import exit_codes

__all__ = ["LOG_TIMESTAMPS", "Command", "CommandError", "HelpFormatter", "add_command"]

#: The option of every command that `console.stderr_with_times` carries out.
LOG_TIMESTAMPS = "--log-timestamps"


class CommandError(Exception):
    """Ends the command with this line on stderr and this exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Command(NamedTuple):
    """One command: its name, texts, arguments and function."""

    #: ``run``, or ``threads list`` for a command of a group.
    name: str
    summary: str
    description: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    #: Command lines, each with a comment.
    examples: Sequence[Tuple[str, str]] = ()
    #: The exit codes that it can have, except for 0, 2, 130 and 141, which every command can have.
    exits: Sequence[int] = ()


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Wraps paragraphs of help texts; leaves lines that begin with a space as they are."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(
            indent + line
            for paragraph in text.split("\n")
            for line in ([paragraph] if not paragraph or paragraph.startswith(" ") else self._split_lines(paragraph, width))
        )

    def _split_lines(self, text: str, width: int) -> List[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


def add_command(commands: argparse._SubParsersAction[Any], command: Command) -> None:
    """Add a parser for *command* to the parsers of its group."""
    name = command.name.split()[-1]
    parser = commands.add_parser(
        name,
        help=command.summary,
        description=command.description,
        epilog=_epilog(command),
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    command.configure(parser)
    parser.add_argument_group("messages").add_argument(
        LOG_TIMESTAMPS, action="store_true", help="begin each line on stderr with the time, for logs of cron"
    )
    # The default usage text would list all options, which the help page lists anyway.
    parser.usage = " ".join(["%(prog)s", *_positionals(parser), "[options]"])
    parser.set_defaults(command=command, parser=parser)


def _positionals(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if not action.option_strings:
            name = str(action.metavar)
            yield {"*": f"[{name} ...]", "+": f"{name} [{name} ...]", "?": f"[{name}]"}.get(str(action.nargs), name)


def _epilog(command: Command) -> str:
    lines = []
    if command.examples:
        lines.append("examples:" if len(command.examples) > 1 else "example:")
        for line, comment in command.examples:
            lines += [f"  # {comment}", f"  {line}"]
        lines.append("")
    lines.append("exit codes:")
    for code in sorted({exit_codes.OK, exit_codes.USAGE, exit_codes.INTERRUPTED, exit_codes.BROKEN_PIPE, *command.exits}):
        lines.append(f"  {code:<4} {exit_codes.MEANINGS[code]}")
    return "\n".join(lines)

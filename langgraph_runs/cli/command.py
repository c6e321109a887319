"""`Command`: one command of the command line, and the page of help that is made of it."""

from __future__ import annotations

import argparse
import textwrap
from typing import Callable, Iterator, List, NamedTuple, NoReturn, Sequence, Tuple

from . import codes

__all__ = ["Command", "CommandError", "Page", "Parser", "add_command"]


class CommandError(Exception):
    """A command ends with this line on stderr, and this exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Command(NamedTuple):
    """One command: its name, a line about it, its arguments and what it does."""

    #: ``run``, or with its group ``threads list``.
    name: str
    summary: str
    description: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    #: What to type, each with a line that says what for.
    examples: Sequence[Tuple[str, str]] = ()
    #: Exit codes that it can have, beside 0, 2 and 130.
    exits: Sequence[int] = ()


class Page(argparse.RawDescriptionHelpFormatter):
    """Help with wrapped paragraphs; lines that begin with a blank stay as they are."""

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


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(codes.USAGE, f"langgraph-runs: {' '.join(message.split())}; see `{self.prog} --help`\n")


def add_command(commands: argparse._SubParsersAction[Parser], command: Command) -> None:
    """Add *command* to the parsers of its group."""
    name = command.name.split()[-1]
    parser = commands.add_parser(
        name,
        help=command.summary,
        description=command.description,
        epilog=_epilog(command),
        formatter_class=Page,
        allow_abbrev=False,
    )
    command.configure(parser)
    # In full it would be twenty lines of options, which the page lists anyway.
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
        for typed, about in command.examples:
            lines += [f"  # {about}", f"  {typed}"]
        lines.append("")
    lines.append("exit codes:")
    for code in sorted({codes.OK, codes.USAGE, codes.INTERRUPTED, codes.BROKEN_PIPE, *command.exits}):
        lines.append(f"  {code:<4} {codes.MEANINGS[code]}")
    return "\n".join(lines)

"""The table of commands, and the steps common to all of them: parsing, signals, errors, exit codes."""

from __future__ import annotations

import argparse
import difflib
import itertools
import sys
import traceback
from typing import Any, Dict, NoReturn, Optional, Sequence

from .. import APIStatusError, CreateUncertainError, LangGraphRunsError, __version__, exit_codes
from . import assistants, batch, completion, crons, demo, doctor, ledger, prune, run, runs, serve, store, stream, threads, watch
from .command import LOG_TIMESTAMPS, Command, CommandError, HelpFormatter, add_command
from .connection import log_shown, proxy_remedy, repeated
from .console import discard, finish_streams, prepare_streams, print_message, stderr_with_times, write_output, writing_output
from .signals import Signals

__all__ = ["COMMANDS", "execute", "parser"]

#: Groups of commands, each with its line in the list of commands.
GROUPS: Dict[str, str] = {
    "assistants": "create, show, change and delete assistants (graphs with a configuration)",
    "crons": "have the server start runs on a schedule",
    "ledger": "show and change the ledger that batch --ledger writes",
    "store": "read and write the objects that all threads share",
    "threads": "create, show and delete threads (the state that runs work on)",
}


class Parser(argparse.ArgumentParser):
    """A parser that prints a usage error as one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        print_message(f"{message}; see `{self.prog} --help`")
        self.exit(exit_codes.USAGE)

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is not None and file is sys.stderr:
            super()._print_message(message, file)
        else:  # a page of --help or --version; argparse would ignore that it cannot be written
            write_output(message)


def parser() -> Parser:
    """Build the parser of the whole command line."""
    whole = Parser(
        prog="langgraph-runs",
        description="Runs of a LangGraph server, from the command line.",
        epilog=_epilog(),
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    whole.add_argument("--version", action="version", version=f"langgraph-runs {__version__}")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    groups = {"": commands}
    for command in COMMANDS:
        group = command.name.rpartition(" ")[0]
        if group not in groups:
            about = GROUPS[group]
            of_group = commands.add_parser(group, help=about, description=about, formatter_class=HelpFormatter, allow_abbrev=False)
            groups[group] = of_group.add_subparsers(title="commands", metavar="COMMAND", required=True)
        add_command(groups[group], command)
    return whole


def _epilog() -> str:
    lines = [
        "`langgraph-runs COMMAND --help` shows the options, examples and exit codes of one command.",
        "",
        "environment:",
        "  LANGGRAPH_API_URL             URL of the server, if --url is not given; default http://localhost:2024",
        "  LANGGRAPH_API_KEY             API key, if --api-key-file is not given; then LANGSMITH_API_KEY,",
        "                                then LANGCHAIN_API_KEY",
        "  HTTP_PROXY, HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE",
        "                                as in curl and requests",
        "  NO_COLOR                      print no styled text on terminals",
        "",
        "exit codes:",
    ]
    return "\n".join([*lines, *(f"  {code:<4} {meaning}" for code, meaning in exit_codes.MEANINGS.items())])


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
    *assistants.COMMANDS,
    *crons.COMMANDS,
    *store.COMMANDS,
    doctor.COMMAND,
    completion.command_for(parser),
    serve.COMMAND,
    demo.COMMAND,
)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments. ``key=value`` pairs may stand before, between and after the options."""
    whole = parser()
    refuse_misspelled(whole, argv)
    args, rest = whole.parse_known_args(argv)
    if rest:
        pairs = [tuple(text.split("=", 1)) for text in rest]
        if not hasattr(args, "pairs") or any(text.startswith(("-", "=")) or "=" not in text for text in rest):
            args.parser.error(f"unrecognized arguments: {' '.join(rest)}")
        args.pairs += pairs
    return args


def refuse_misspelled(whole: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """End with a usage error if *argv* has a command or an option that is unknown, and that is nearly the name of a known one."""
    current = whole
    for text in argv:
        choices = next((action.choices for action in current._actions if isinstance(action, argparse._SubParsersAction)), None)
        if choices is None or text.startswith("-"):
            break
        if text not in choices:
            _refuse_if_near(current, text, list(choices), "no command")
            return
        current = choices[text]
    for text in itertools.takewhile(lambda text: text != "--", argv):
        name = text.partition("=")[0]
        if name.startswith("--") and name not in current._option_string_actions:
            _refuse_if_near(current, name, list(current._option_string_actions), "no option")


def _refuse_if_near(current: argparse.ArgumentParser, text: str, known: Sequence[str], what: str) -> None:
    # Two of the three letters of `run` are found with this bound. Options are longer, and many of them resemble each other.
    for found in difflib.get_close_matches(text, known, n=1, cutoff=0.7 if text.startswith("-") else 0.6):
        current.error(f"{what} {text}; did you mean {found}?")


def execute(argv: Optional[Sequence[str]] = None) -> int:
    """Run one command and return its exit code. *argv* does not include the program's name; the default is ``sys.argv[1:]``."""
    prepare_streams()
    arguments = sys.argv[1:] if argv is None else argv
    # The option is known before the arguments are parsed, for usage errors.
    with stderr_with_times(LOG_TIMESTAMPS in arguments):
        try:
            return _executed(arguments)
        finally:
            finish_streams()


def _executed(argv: Sequence[str]) -> int:
    with Signals() as signals:
        args = None
        try:
            args = parse(argv)
            args.signals = signals
            with log_shown(args):
                code: int = args.command.run(args)
            with writing_output():
                sys.stdout.flush()
            return code
        except KeyboardInterrupt:
            return exit_codes.INTERRUPTED
        except BrokenPipeError:
            discard(sys.stdout)
            return exit_codes.BROKEN_PIPE
        except CommandError as error:
            print_message(str(error))
            print_causes(error, args)
            return error.code
        except LangGraphRunsError as error:
            print_message(with_remedy(error, args))
            print_causes(error, args)
            return exit_codes.code_of(error)


def with_remedy(error: LangGraphRunsError, args: Optional[argparse.Namespace] = None) -> str:
    """Return the error's message, with a remedy if one is known."""
    code = exit_codes.code_of(error)
    if isinstance(error, CreateUncertainError) and error.thread_id is not None:
        command = _repeated(f"list {error.thread_id} --created-after 1h", args)
        return f"{error}; request id {error.request_id}; to look for it: {command}"
    if proxy_remedy(error):
        return f"{error}; {proxy_remedy(error)}"
    if code == exit_codes.REFUSED:
        return f"{error}; give a key that may do this in LANGGRAPH_API_KEY or --api-key-file"
    if code == exit_codes.UNREACHABLE and error.attempts and getattr(error, "sent", True) is False:
        return f"{error}; is the server running, and is --url right? `{_repeated('doctor', args)}` finds out"
    return str(error)


def _repeated(command: str, args: Optional[argparse.Namespace]) -> str:
    return f"langgraph-runs {command}" if args is None or not hasattr(args, "url") else repeated(command, args)


def print_causes(error: BaseException, args: Optional[argparse.Namespace]) -> None:
    """With ``--verbose``, print the whole error and the chain of its causes."""
    if args is None or not getattr(args, "verbose", False):
        return
    cause: Optional[BaseException] = error
    while cause is not None:
        if isinstance(cause, APIStatusError) and cause.request_id:
            print_message(f"request id: {cause.request_id}")
        print_message(f"because of: {traceback.format_exception_only(type(cause), cause)[-1]}")
        cause = cause.__cause__

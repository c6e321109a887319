"""``langgraph-runs ledger``: show and change the ledger that ``batch --ledger`` writes."""

from __future__ import annotations

import argparse
import itertools
from typing import Any, Dict

from .. import Ledger, exit_codes
from ..batch import STATUSES
from .command import Command, CommandError
from .console import escape_controls, print_json, shorten, terminal_width, write_output
from .values import count

__all__ = ["COMMANDS"]


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ledger", metavar="LEDGER", help="the file, or the URL of PostgreSQL, that was given to batch --ledger")


def configure_show(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    parser.add_argument("-n", "--limit", metavar="N", type=count(0), default=10, help="show the first N failures (10)")
    parser.add_argument("--json", action="store_true", help='print one line of JSON with the keys "about" and "counts"')


def run_show(args: argparse.Namespace) -> int:
    ledger = Ledger(args.ledger)
    about, counts = ledger.about(), ledger.counts()
    if args.json:
        data: Dict[str, Any] = {"about": about, "counts": counts}
        print_json(data, pretty=False)
        return exit_codes.OK
    for name, value in [*about.items(), *counts.items()]:
        write_output(f"{name:<14} {escape_controls(str(value))}\n")
    if counts["failed"] and args.limit:
        write_output("\n")
    for entry in itertools.islice(ledger.entries("failed"), args.limit):
        write_output(shorten(escape_controls(f"{entry.key}: {entry.error}"), terminal_width()) + "\n")
    return exit_codes.OK


def configure_retry(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    parser.add_argument("keys", metavar="KEY", nargs="*", help="key of an input that failed; default: all that failed")
    parser.add_argument(
        "--new-options", action="store_true", help="let the next batch have other options, such as --context, than the ones before"
    )


def run_retry(args: argparse.Namespace) -> int:
    ledger = Ledger(args.ledger)
    changed = ledger.retry_failed(args.keys or None, new_options=args.new_options)
    write_output(f"{changed} inputs will be run again by the next batch\n")
    unknown = set(args.keys)
    if changed < len(unknown):  # else each key is that of an input that had failed
        unknown.difference_update(entry.key for entry in ledger.entries())
    else:
        unknown.clear()
    if unknown:
        names = ", ".join(escape_controls(repr(key)) for key in args.keys if key in unknown)
        raise CommandError(f"the ledger has no input with the key {names}", exit_codes.USAGE)
    return exit_codes.OK


def configure_export(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    parser.add_argument("--status", choices=STATUSES, help="only inputs with this status")


def run_export(args: argparse.Namespace) -> int:
    for entry in Ledger(args.ledger).export(args.status):
        print_json(entry, pretty=False)
    return exit_codes.OK


COMMANDS = (
    Command(
        name="ledger show",
        summary="show the progress and the failures of a batch",
        description=(
            "Prints the assistant and the options that the ledger was made for, how many inputs are pending, started, done and "
            "failed, and the errors of the first failures."
        ),
        configure=configure_show,
        run=run_show,
        examples=[
            ("langgraph-runs ledger show jobs.sqlite", "also while the batch is running"),
            ("langgraph-runs ledger show 'postgresql://jobs@db.example/work?ledger=nightly'", "with the password in PGPASSWORD"),
        ],
    ),
    Command(
        name="ledger retry-failed",
        summary="mark failed inputs to be run again by the next batch",
        description="Marks failed inputs as pending, so that the same batch command runs them again. Does not run them itself.",
        configure=configure_retry,
        run=run_retry,
        examples=[("langgraph-runs ledger retry-failed jobs.sqlite", "all that failed")],
    ),
    Command(
        name="ledger export",
        summary="print the inputs of a ledger as JSON lines",
        description="Prints a line of JSON for each input, with the same keys as the output of the command batch.",
        configure=configure_export,
        run=run_export,
        examples=[("langgraph-runs ledger export jobs.sqlite --status failed | jq -r .key", "the keys of the inputs that failed")],
    ),
)

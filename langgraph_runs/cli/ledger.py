"""``langgraph-runs ledger``: what stands in the file that ``batch --ledger`` keeps."""

from __future__ import annotations

import argparse
import itertools
from typing import Any, Dict

from .. import Ledger
from ..batch import STATUSES
from . import codes
from .command import Command
from .console import clean, cut, emit, print_json, width
from .inputs import count

__all__ = ["COMMANDS"]


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ledger", metavar="LEDGER", help="the file that batch --ledger has made")


def configure_show(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    parser.add_argument("-n", "--limit", metavar="N", type=count(0), default=10, help="of the failures, show the first N (10)")
    parser.add_argument("--json", action="store_true", help="one line of JSON: about and counts")


def run_show(args: argparse.Namespace) -> int:
    ledger = Ledger(args.ledger)
    about, counts = ledger.about(), ledger.counts()
    if args.json:
        told: Dict[str, Any] = {"about": about, "counts": counts}
        print_json(told, pretty=False)
        return codes.OK
    for name, value in [*about.items(), *counts.items()]:
        emit(f"{name:<14} {clean(str(value))}\n")
    if counts["failed"] and args.limit:
        emit("\n")
    for entry in itertools.islice(ledger.entries("failed"), args.limit):
        emit(cut(clean(f"{entry.key}: {entry.error}"), width()) + "\n")
    return codes.OK


def configure_retry(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    parser.add_argument("keys", metavar="KEY", nargs="*", help="of an input that failed; else all that did")


def run_retry(args: argparse.Namespace) -> int:
    changed = Ledger(args.ledger).retry_failed(args.keys or None)
    emit(f"{changed} inputs will be run again by the next batch\n")
    return codes.OK


def configure_export(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    parser.add_argument("--status", choices=STATUSES, help="only inputs that are")


def run_export(args: argparse.Namespace) -> int:
    for entry in Ledger(args.ledger).export(args.status):
        print_json(entry, pretty=False)
    return codes.OK


COMMANDS = (
    Command(
        name="ledger show",
        summary="tell how far a batch is",
        description="Prints what the ledger was made for, how many inputs are pending, started, done and failed, and failures.",
        configure=configure_show,
        run=run_show,
        examples=[("langgraph-runs ledger show jobs.sqlite", "also while the batch is at work")],
    ),
    Command(
        name="ledger retry-failed",
        summary="let the next batch run again what failed",
        description="Makes inputs that failed pending, so that the same batch command runs them again. Runs nothing itself.",
        configure=configure_retry,
        run=run_retry,
        examples=[("langgraph-runs ledger retry-failed jobs.sqlite", "all that failed")],
    ),
    Command(
        name="ledger export",
        summary="print the inputs of a ledger as JSON lines",
        description="Prints a line of JSON for each input, with the keys that the lines of batch have.",
        configure=configure_export,
        run=run_export,
        examples=[("langgraph-runs ledger export jobs.sqlite --status failed | jq -r .key", "the keys of what failed")],
    ),
)

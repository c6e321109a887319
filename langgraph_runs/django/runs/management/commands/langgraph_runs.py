"""``manage.py langgraph_runs sync``: bring the rows of runs up to date with the LangGraph server."""

from __future__ import annotations

import datetime
import signal
import sys
import threading
from typing import Any, List

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, close_old_connections

from ..... import LangGraphRunsError, exit_codes
from ....clients import get_client
from ...models import AgentRun
from ...sync import Sync

__all__ = ["Command"]


_MOST_THREADS = 64
#: So many days ago there is a date.
_MOST_DAYS = 500_000


class Command(BaseCommand):
    """The command. Its exit codes are those of the command line ``langgraph-runs``."""

    help = "Brings the rows of runs up to date with the LangGraph server. Run it every minute, or with --loop."

    def add_arguments(self, parser: CommandParser) -> None:
        """See Django."""
        commands = parser.add_subparsers(dest="what", required=True, metavar="COMMAND")
        sync = commands.add_parser(
            "sync",
            help="bring the rows up to date",
            description="Posts runs that were not posted, requests the end of runs that no webhook has reported, repeats requests "
            "to cancel, marks runs that the server has lost, sends run_finished where a process was killed before it did, and "
            "deletes old threads. Prints a line for each row that has changed. Several may run at the same time.",
        )
        sync.add_argument("--server", metavar="NAME", help="only rows of this configuration in LANGGRAPH_RUNS")
        sync.add_argument(
            "--check-after",
            metavar="SECONDS",
            type=_number,
            default=30.0,
            help="request runs that were not requested for so long (30)",
        )
        sync.add_argument(
            "--delete-threads", metavar="DAYS", type=_days, help="delete the threads of rows that ended more than DAYS ago"
        )
        sync.add_argument("--concurrency", metavar="N", type=_count, default=1, help="post or request N runs at a time (1)")
        sync.add_argument("--loop", metavar="SECONDS", type=_number, help="repeat, with a pause, until SIGTERM or Ctrl-C")

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        rows = AgentRun.objects.all()
        if options["server"] is not None:
            get_client(options["server"])  # raises SettingsError if there is no such configuration
            rows = rows.filter(server=options["server"])
        days = options["delete_threads"]
        stopped = threading.Event()
        if options["loop"] is not None:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stopped.set())
        while True:
            sync = Sync(
                rows,
                check_after=options["check_after"],
                delete_threads_after=None if days is None else datetime.timedelta(days=days),
                concurrency=options["concurrency"],
            )
            try:
                for line in sync.changes():
                    self.stdout.write(line)
                    self.stdout.flush()
                    if stopped.is_set():
                        break
            except Error as error:  # the database is away; a loop goes on when it is back
                sync.errors.append(error)
            code = self._report(sync)
            if options["loop"] is None or stopped.is_set():
                break
            close_old_connections()
            if stopped.wait(options["loop"]):
                break
        if code:
            sys.exit(code)

    def _report(self, sync: Sync) -> int:
        """Print what went wrong, each error once, and return the exit code."""
        for line in dict.fromkeys(_shown(error) for error in sync.errors):
            self.stderr.write(line)
        if sync.failed_receivers:
            self.stderr.write(f"{sync.failed_receivers} receivers of run_finished raised; see the log")
        codes: List[int] = [_code_of(error) for error in sync.errors]
        return max(codes, default=exit_codes.FAILED if sync.failed_receivers else exit_codes.OK)


def _code_of(error: Exception) -> int:
    return exit_codes.code_of(error) if isinstance(error, LangGraphRunsError) else exit_codes.FAILED


def _shown(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= _MOST_THREADS:
        raise CommandError(f"{text!r}: give a whole number from 1 to {_MOST_THREADS}", returncode=exit_codes.USAGE)
    return int(text)


def _number(text: str, below: float = 1e9) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < below:
        raise CommandError(f"{text!r}: give a number, 0 or more, and less than {below:,.0f}", returncode=exit_codes.USAGE)
    return value


def _days(text: str) -> float:
    return _number(text, _MOST_DAYS)

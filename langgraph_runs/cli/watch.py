"""``langgraph-runs watch``: a live table of a thread's runs."""

from __future__ import annotations

import argparse
import datetime
import time
from typing import Dict, List, Optional, Sequence, Set

from .. import Run, exit_codes
from .command import Command
from .connection import add_connection, client_of
from .console import is_terminal, print_json, styled, table, write_output
from .runs import described, row
from .values import count, limit

__all__ = ["COMMAND"]

#: The exit code for a run that ended with this status.
_BAD = {"error": exit_codes.FAILED, "interrupted": exit_codes.FAILED, "timeout": exit_codes.TIMED_OUT}


def configure_watch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("thread", metavar="THREAD", help="id of the thread")
    parser.add_argument("-n", "--limit", metavar="N", type=count(1), default=10, help="show the newest N runs (10)")
    parser.add_argument("--interval", metavar="TIME", type=limit, default=1.0, help="time between two updates (1s)")
    parser.add_argument("--forever", action="store_true", help="do not stop when all runs have ended")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each change")
    add_connection(parser)


def run_watch(args: argparse.Namespace) -> int:
    view: View = Live() if styled() and not args.json else Changes(as_json=args.json)
    unfinished: Set[str] = set()
    worst = exit_codes.OK
    with client_of(args) as client:
        while True:
            runs = client.runs.list(args.thread, limit=args.limit)
            view.show(runs)
            for run in runs:
                if not run.finished:
                    unfinished.add(run.run_id)
                elif run.run_id in unfinished:
                    unfinished.discard(run.run_id)
                    worst = max(worst, _BAD.get(run.status, exit_codes.OK))
            if not args.forever and all(run.finished for run in runs):
                # Older runs than those that are shown may still be running.
                if not any(client.runs.list(args.thread, limit=1, status=status) for status in ("pending", "running")):
                    return worst
            time.sleep(args.interval)


class View:
    """One way of showing the runs of a thread."""

    def show(self, runs: Sequence[Run]) -> None:
        raise NotImplementedError


class Live(View):
    """A table that is redrawn in place."""

    def __init__(self) -> None:
        self._lines = 0

    def show(self, runs: Sequence[Run]) -> None:
        lines: List[str] = list(table(["RUN", "STATUS", "CREATED", "GRAPH", "FOR"], [[*row(run), age(run)] for run in runs]))
        up = f"\033[{self._lines}A" if self._lines else ""
        blank = max(0, self._lines - len(lines))  # runs may have been deleted
        write_output(up + "".join(f"\033[2K{line}\n" for line in [*lines, *[""] * blank]))
        self._lines = len(lines) + blank


class Changes(View):
    """A line for each change of a run's status, for logs and programs."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._known: Dict[str, str] = {}

    def show(self, runs: Sequence[Run]) -> None:
        for run in reversed(runs):
            if self._known.get(run.run_id) == run.status:
                continue
            self._known[run.run_id] = run.status
            if self._as_json or not is_terminal():
                print_json(described(run), pretty=False)
            else:
                write_output("  ".join(row(run)) + "\n")


def age(run: Run, now: Optional[datetime.datetime] = None) -> str:
    """Return how long a run took, or has been running so far, as text.

    >>> begun = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    >>> age(Run(run_id="r", thread_id="t", status="running", created_at=begun), begun + datetime.timedelta(seconds=75))
    '1m15s'
    """
    if run.created_at is None:
        return ""
    end = run.updated_at if run.finished else now or datetime.datetime.now(datetime.timezone.utc)
    seconds = max(0, int((end - run.created_at).total_seconds())) if end is not None else 0
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m" if hours else f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


COMMAND = Command(
    name="watch",
    summary="watch the runs of a thread",
    description=(
        "Shows a live table of the newest runs of a thread, until none is pending or running. In a pipe, or on a terminal "
        "that cannot move its cursor, it prints a line for each change. The exit code is that of the worst outcome among the "
        "runs that ended while they were watched."
    ),
    configure=configure_watch,
    run=run_watch,
    examples=[
        ("langgraph-runs watch $THREAD", "until all have ended"),
        ("langgraph-runs watch $THREAD --forever --json | jq -r '[.run_id, .status] | @tsv'", "each change, for a program"),
    ],
    exits=[exit_codes.FAILED, exit_codes.TIMED_OUT, exit_codes.UNREACHABLE, exit_codes.REFUSED],
)

"""``langgraph-runs create``, ``get``, ``list``, ``cancel`` and ``delete``: start, show and end runs in the background."""

from __future__ import annotations

import argparse
import datetime
import itertools
import typing
import uuid
from typing import Any, Dict, Iterable, List, Optional

from .. import Client, NotFoundError, Run, exit_codes
from ..models import RUN_STATUSES
from ..options import CancelAction, OnCompletion
from .command import Command, CommandError
from .connection import add_connection, client_of, repeated
from .console import as_json, is_terminal, print_json, print_message, print_table, write_output
from .lock import add_lock, locked
from .options import add_run_options, run_options
from .records import delete_each
from .values import count, flat, limit, moment, names, pair

__all__ = ["COMMANDS", "CREATE", "add_filters", "described", "filters", "when"]


# -- create


def configure_create(parser: argparse.ArgumentParser) -> None:
    add_run_options(parser)
    background = parser.add_argument_group("in the background")
    background.add_argument(
        "--on-completion",
        choices=typing.get_args(OnCompletion),
        default="keep",
        help="without --thread: whether the run's own thread, and the result with it, is deleted when the run ends (keep)",
    )
    background.add_argument("--resumable", action="store_true", help="have the server keep the events, for `join --stream`")
    background.add_argument("--ids", action="store_true", help="print only the ids, THREAD RUN, as join and get take them")
    background.add_argument("--json", action="store_true", help="print JSON on one line on a terminal too")
    background.add_argument("--timeout", metavar="TIME", type=limit, help="limit for creating the run (no limit)")
    add_lock(parser)
    add_connection(parser)


def run_create(args: argparse.Namespace) -> int:
    options = run_options(args)
    thread_id: Optional[str] = args.thread
    if thread_id is None and args.on_completion == "keep" and args.idempotency_key is None:
        thread_id = str(uuid.uuid4())
        options.update(if_not_exists="create", multitask_strategy="reject")
    elif thread_id is None:
        options["on_completion"] = args.on_completion
    if args.resumable:
        options["stream_resumable"] = True
    with locked(args), client_of(args) as client:
        run = client.runs.create(thread_id, args.assistant, timeout=args.timeout, **options)
    try:
        if args.ids:
            write_output(f"{run.thread_id} {run.run_id}\n")
        else:
            print_json(described(run), pretty=False if args.json else None)
    except CommandError as error:
        command = repeated(f"join {run.thread_id} {run.run_id}", args)
        raise CommandError(f"{error}; the run was created: {command}", error.code) from error
    return exit_codes.OK


def described(run: Run, *, whole: bool = False) -> Dict[str, Any]:
    """Return a run as JSON; without ``kwargs`` (input, config, context) unless *whole*, since they may hold secrets."""
    data: Dict[str, Any] = as_json(run)
    if not whole:
        data.pop("kwargs", None)
    return data


# -- get, list


def configure_get(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("thread", metavar="THREAD", help="id of the run's thread")
    parser.add_argument("run", metavar="RUN", help="id of the run")
    parser.add_argument("--full", action="store_true", help="include what the run was started with: input, config and so on")
    add_connection(parser)


def run_get(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        print_json(described(client.runs.get(args.thread, args.run), whole=args.full))
    return exit_codes.OK


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add the options that select runs: the filters of ``client.runs.list``."""
    group = parser.add_argument_group("which runs")
    group.add_argument("--status", choices=RUN_STATUSES, help="runs with this status; interrupted means cancelled")
    group.add_argument("-m", "--metadata", metavar="KEY=VALUE", action="append", type=pair, help="runs with this in their metadata")
    group.add_argument("--created-after", metavar="TIME", type=moment, help="as 2026-01-31T12:00:00Z, or how long ago, as 7d")
    group.add_argument("--created-before", metavar="TIME", type=moment, help="as --created-after")


def filters(args: argparse.Namespace) -> Dict[str, Any]:
    """Return the given filters as arguments of ``client.runs``."""
    options = {
        "status": args.status,
        "metadata": flat("--metadata", args.metadata),
        "created_after": args.created_after,
        "created_before": args.created_before,
    }
    return {name: value for name, value in options.items() if value is not None}


def configure_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("thread", metavar="THREAD", help="id of the thread")
    add_filters(parser)
    parser.add_argument("--request-id", metavar="ID", help="the run that this request created, as named in an error message")
    page = parser.add_argument_group("how many")
    page.add_argument("-n", "--limit", metavar="N", type=count(1), default=10, help="at most N runs, newest first (10)")
    page.add_argument("--offset", metavar="N", type=count(0), default=0, help="skip the N newest runs (0)")
    page.add_argument("--all", action="store_true", help="all runs")
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print JSON lines on a terminal too")
    output.add_argument("--table", action="store_true", help="print a table in a pipe too")
    output.add_argument("--select", metavar="FIELDS", action="append", help="print JSON lines of these fields only: run_id,status")
    add_connection(parser)


def run_list(args: argparse.Namespace) -> int:
    selected = names(args.select)
    in_table = args.table or (is_terminal() and not args.json and not selected)
    options = filters(args)
    if selected:
        options["select"] = selected
    with client_of(args) as client:
        found: Iterable[Run]
        if args.all or args.request_id:
            found = client.runs.iter(args.thread, **options)
            if args.request_id:
                found = (run for run in found if run.request_id == args.request_id)
            found = itertools.islice(found, args.offset, None if args.all else args.offset + args.limit)
        else:
            found = client.runs.list(args.thread, limit=args.limit, offset=args.offset, **options)
        if in_table:
            print_runs(found)
            return exit_codes.OK
        for run in found:
            data = described(run, whole=bool(selected))
            print_json({name: data.get(name) for name in selected} if selected else data, pretty=False)
    return exit_codes.OK


def print_runs(found: Iterable[Run]) -> None:
    """Print a table of runs."""
    print_table(["RUN", "STATUS", "CREATED", "GRAPH"], [row(run) for run in found])


def row(run: Run) -> List[str]:
    """Return a run as one line of a table."""
    return [run.run_id, run.status, when(run.created_at), str(run.metadata.get("graph_id") or run.assistant_id or "")]


def when(moment: Optional[datetime.datetime]) -> str:
    """Return a time in this machine's time zone, as tables show it."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if moment is not None else ""


# -- cancel, delete


def configure_cancel(parser: argparse.ArgumentParser) -> None:
    _add_ids(parser)
    parser.add_argument("--wait", action="store_true", help="wait until the runs have stopped")
    parser.add_argument(
        "--action",
        choices=typing.get_args(CancelAction),
        default="interrupt",
        help="rollback also deletes the run and reverts its changes (interrupt)",
    )
    add_connection(parser)


def run_cancel(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        return max([_cancel(client, args, run_id) for run_id in args.runs], default=exit_codes.OK)


def _cancel(client: Client, args: argparse.Namespace, run_id: str) -> int:
    try:
        client.runs.cancel(args.thread, run_id, wait=args.wait, action=args.action)
    except NotFoundError:
        # The server responds with the same status if the run has ended and if it does not exist.
        run = client.runs.get(args.thread, run_id)
        if not run.finished:
            raise
        print_message(f"run {run_id} has ended before, with status {run.status}")
        return exit_codes.OK if args.action == "interrupt" else exit_codes.FAILED
    return exit_codes.OK


def configure_delete(parser: argparse.ArgumentParser) -> None:
    _add_ids(parser)
    parser.add_argument("--missing-ok", action="store_true", help="do not fail for runs that do not exist")
    add_connection(parser)


def run_delete(args: argparse.Namespace) -> int:
    with client_of(args) as client:

        def delete(run_id: str) -> None:
            if not client.runs.get(args.thread, run_id).finished:
                raise CommandError(f"run {run_id} has not ended, and deleting does not stop it: cancel it first", exit_codes.BUSY)
            client.runs.delete(args.thread, run_id)

        delete_each(args.runs, delete, missing_ok=args.missing_ok)
    return exit_codes.OK


def _add_ids(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("thread", metavar="THREAD", help="id of the runs' thread")
    parser.add_argument("runs", metavar="RUN", nargs="+", help="id of a run")


_REQUEST_CODES = (exit_codes.UNREACHABLE, exit_codes.REFUSED)

CREATE = Command(
    name="create",
    summary="start a run in the background",
    description=(
        "Starts a run and prints it as JSON, without waiting for it to end. Without --thread the run gets a thread of its own, "
        "whose id is printed too, and which stays until it is deleted."
    ),
    configure=configure_create,
    run=run_create,
    examples=[
        ('read -r thread run <<< "$(langgraph-runs create agent topic=tides --ids)"', "remember the ids"),
        (
            "langgraph-runs create agent --thread $THREAD --multitask-strategy reject n=1",
            "only if the thread has no unfinished run",
        ),
    ],
    exits=[exit_codes.TIMED_OUT, exit_codes.BUSY, *_REQUEST_CODES],
)

COMMANDS = (
    Command(
        name="get",
        summary="print a run as it stands now",
        description=(
            "Prints a run as JSON: its status, times and metadata. The exit code does not depend on the status: it is 0 also for "
            "a run that failed."
        ),
        configure=configure_get,
        run=run_get,
        examples=[("langgraph-runs get $THREAD $RUN | jq -r .status", "its status alone")],
        exits=_REQUEST_CODES,
    ),
    Command(
        name="list",
        summary="list the runs of a thread",
        description=(
            "Lists the runs of a thread, newest first: a table on a terminal, a line of JSON for each in a pipe. --metadata, "
            "--created-after and --created-before are applied on this machine, to all runs of the thread; the other options by "
            "the server."
        ),
        configure=configure_list,
        run=run_list,
        examples=[
            ("langgraph-runs list $THREAD --status error --created-after 1d", "what failed since yesterday"),
            ("langgraph-runs list $THREAD --all --select run_id,status", "all of them, for a program"),
        ],
        exits=_REQUEST_CODES,
    ),
    Command(
        name="cancel",
        summary="cancel runs",
        description=(
            "Cancels runs of a thread. It is not an error if a run has already ended, except with --action rollback, which is "
            "not possible then."
        ),
        configure=configure_cancel,
        run=run_cancel,
        examples=[("langgraph-runs cancel $THREAD $RUN --wait", "cancel a run and wait until it has stopped")],
        exits=[exit_codes.FAILED, *_REQUEST_CODES],
    ),
    Command(
        name="delete",
        summary="delete runs",
        description=(
            "Deletes runs of a thread that have ended, with the checkpoints that they wrote: when its newest run is deleted, a "
            "thread is as it was before that run."
        ),
        configure=configure_delete,
        run=run_delete,
        examples=[("langgraph-runs delete $THREAD $RUN --missing-ok", "succeeds even if the run is already deleted")],
        exits=[exit_codes.BUSY, *_REQUEST_CODES],
    ),
)

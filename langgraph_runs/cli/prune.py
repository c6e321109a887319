"""``langgraph-runs prune``: delete old runs of one or many threads, or old threads with all that is in them."""

from __future__ import annotations

import argparse
import datetime
from typing import Any, Dict, Iterator, List, Optional, Tuple

from .. import Client, NotFoundError, Run, Thread, exit_codes
from ..markers import TEMPORARY, THREAD_USE
from ..models import THREAD_STATUSES
from ..runs import pause_of
from .command import Command, CommandError
from .connection import add_connection, client_of
from .console import print_json, print_message, write_output
from .lock import add_lock, locked
from .runs import when
from .values import count, duration, flat, pair

__all__ = ["COMMAND"]

#: The statuses of runs that have ended; other runs are never deleted.
_ENDED = ("success", "error", "timeout", "interrupted")
_PAGE = 100


def configure_prune(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("in which threads")
    where.add_argument("threads", metavar="THREAD", nargs="*", help="id of a thread")
    where.add_argument("--all-threads", action="store_true", help="in all threads of the server")
    where.add_argument(
        "--thread-metadata", metavar="KEY=VALUE", action="append", type=pair, help="in threads with this in their metadata"
    )
    where.add_argument("--thread-status", choices=THREAD_STATUSES, help="in threads with this status")
    where.add_argument(
        "--temporary", action="store_true", help="in threads that calls without a thread have made for their run and left behind"
    )
    where.add_argument(
        "--threads",
        dest="whole_threads",
        action="store_true",
        help="delete the threads themselves, those without runs included, instead of runs; never one whose run is unfinished or "
        "waits for a human",
    )
    which = parser.add_argument_group("which runs")
    which.add_argument("--status", choices=_ENDED, action="append", help="runs with this status; may be repeated")
    which.add_argument(
        "--older-than",
        metavar="TIME",
        type=duration,
        help="runs created longer ago than this: 12h, 7d; with --threads: threads unchanged for so long",
    )
    which.add_argument("-m", "--metadata", metavar="KEY=VALUE", action="append", type=pair, help="runs with this in their metadata")
    which.add_argument("--keep", metavar="N", type=count(0), default=0, help="keep the N newest runs of each thread (0)")
    output = parser.add_argument_group("output")
    output.add_argument("--dry-run", action="store_true", help="delete nothing, print what would be deleted")
    output.add_argument("--json", action="store_true", help="print a line of JSON for each run")
    add_lock(parser)
    add_connection(parser)


def run_prune(args: argparse.Namespace) -> int:
    searched = bool(args.all_threads or args.thread_metadata or args.thread_status or args.temporary)
    if bool(args.threads) == searched:
        raise CommandError(
            "give threads, or one of --all-threads, --thread-metadata, --thread-status and --temporary", exit_codes.USAGE
        )
    if args.whole_threads:
        return run_prune_threads(args, searched=searched)
    if not (args.status or args.older_than is not None or args.metadata):
        raise CommandError("give --status, --older-than or --metadata, so that not simply everything is deleted", exit_codes.USAGE)
    pruned = searched_threads = 0
    with locked(args), client_of(args) as client:
        for thread_id in search_threads(client, args) if searched else list(args.threads):
            searched_threads += 1
            for run in candidates(client, args, thread_id, missing_ok=searched):
                pruned += _prune(client, args, run)
    verb = "would be deleted" if args.dry_run else "deleted"
    print_message(f"{pruned} runs {verb}, in {searched_threads} threads")
    return exit_codes.OK


def run_prune_threads(args: argparse.Namespace, *, searched: bool) -> int:
    """Delete whole threads."""
    if args.status or args.metadata or args.keep:
        raise CommandError("--threads excludes --status, --metadata and --keep, which select runs", exit_codes.USAGE)
    if args.older_than is None:
        raise CommandError("give --older-than, so that threads in use are not deleted", exit_codes.USAGE)
    limit = _ago(args.older_than)
    pruned = looked_at = 0
    with locked(args), client_of(args) as client:
        for thread_id in search_threads(client, args) if searched else list(args.threads):
            looked_at += 1
            try:
                thread = client.threads.get(thread_id)
                if is_disposable(client, thread, limit):
                    pruned += _prune_thread(client, args, thread)
            except NotFoundError:
                if not searched:
                    raise
    verb = "would be deleted" if args.dry_run else "deleted"
    print_message(f"{pruned} threads {verb}, of {looked_at}")
    return exit_codes.OK


def is_disposable(client: Client, thread: Thread, limit: datetime.datetime) -> bool:
    """Return True if a thread was last changed before *limit*, and each of its runs has ended and none waits for a human.

    The status of a thread may be out of date, so the runs and the state are requested.
    """
    changed = [moment for moment in (thread.updated_at, thread.state_updated_at, thread.created_at) if moment is not None]
    if not changed or max(changed) >= limit:
        return False
    found = list(client.runs.iter(thread.thread_id))
    if any(run.status not in _ENDED or run.created_at is None or run.created_at >= limit for run in found):
        return False
    if not found:
        return not thread.interrupts
    return pause_of(found[0], state=client.threads.get_state(thread.thread_id), thread=thread) is None


def _prune_thread(client: Client, args: argparse.Namespace, thread: Thread) -> int:
    if not args.dry_run:
        client.threads.delete(thread.thread_id)
    if args.json:
        print_json({"thread_id": thread.thread_id, "status": thread.status, "deleted": not args.dry_run}, pretty=False)
    else:
        write_output(f"{thread.thread_id} {thread.status or ''} {when(thread.updated_at or thread.created_at)}\n")
    return 1


def _ago(seconds: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds)


def search_threads(client: Client, args: argparse.Namespace) -> List[str]:
    """Return the ids of the selected threads. All pages are read before the first run is deleted, since that could shift them."""
    metadata = flat("--thread-metadata", args.thread_metadata)
    if args.temporary:
        metadata = {**(metadata or {}), THREAD_USE: TEMPORARY}
    options: Dict[str, Any] = {"metadata": metadata, "status": args.thread_status}
    found: Dict[str, None] = {}
    while True:
        page = client.threads.search(
            limit=_PAGE, offset=len(found), sort_by="created_at", sort_order="asc", select=["thread_id"], **options
        )
        new = [thread.thread_id for thread in page if thread.thread_id not in found]
        found.update(dict.fromkeys(new))
        if not new:
            return list(found)


def candidates(client: Client, args: argparse.Namespace, thread_id: str, *, missing_ok: bool) -> Iterator[Run]:
    """Yield the selected runs of one thread, oldest first, so that the newest runs are left if the command is interrupted."""
    before: Optional[datetime.datetime] = None
    if args.older_than is not None:
        before = _ago(args.older_than)
    try:
        runs = list(client.runs.iter(thread_id))
    except NotFoundError:
        if not missing_ok:
            raise
        return  # the thread was deleted since the search
    wanted = flat("--metadata", args.metadata) or {}
    statuses: Tuple[str, ...] = tuple(args.status or _ENDED)
    for run in reversed(runs[args.keep :]):
        old = before is None or (run.created_at is not None and run.created_at < before)
        if run.status in statuses and old and all(run.metadata.get(key, _prune) == value for key, value in wanted.items()):
            yield run


def _prune(client: Client, args: argparse.Namespace, run: Run) -> int:
    if not args.dry_run:
        try:
            client.runs.delete(run.thread_id, run.run_id)
        except NotFoundError:
            return 0  # deleted by another client in the meantime
    if args.json:
        data = {"thread_id": run.thread_id, "run_id": run.run_id, "status": run.status, "deleted": not args.dry_run}
        print_json(data, pretty=False)
    else:
        write_output(f"{run.thread_id} {run.run_id} {run.status} {when(run.created_at)}\n")
    return 1


COMMAND = Command(
    name="prune",
    summary="delete old runs, or old threads",
    description=(
        "Deletes runs that have ended, in the threads that are given or searched for, and prints a line for each. Runs that "
        "are pending or running are never deleted. The checkpoints that a run wrote are deleted with it: when its newest run is "
        "deleted, a thread is as it was before that run. --keep 1 keeps the newest run of every thread.\n\n"
        "With --threads it deletes the threads themselves, those without runs included. A thread with a run that has not ended or "
        "that waits for a human stays, and so does one that was changed since --older-than."
    ),
    configure=configure_prune,
    run=run_prune,
    examples=[
        ("langgraph-runs prune --all-threads --status error --older-than 7d --dry-run", "what would be deleted"),
        ("langgraph-runs prune $THREAD --older-than 30d --keep 1", "in one thread"),
        ("langgraph-runs prune --threads --temporary --older-than 1d", "threads that a process which was killed left behind"),
    ],
    exits=[exit_codes.UNREACHABLE, exit_codes.REFUSED, exit_codes.BUSY],
)

"""``langgraph-runs threads``: the state that runs work on."""

from __future__ import annotations

import argparse
from typing import Any, Dict

from .. import NotFoundError, Thread
from ..models import THREAD_STATUSES
from . import codes
from .command import Command
from .connection import add_connection, client_of
from .console import emit, is_terminal, plain, print_json, print_table
from .inputs import count, flat, limit, pair
from .runs import when

__all__ = ["COMMANDS"]

_SORT_FIELDS = ("thread_id", "status", "created_at", "updated_at")


def _add_thread(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("thread", metavar="THREAD", help="id of the thread")


def configure_create(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--id", metavar="UUID", help="of your choice; else the server chooses")
    parser.add_argument("--if-exists", choices=("raise", "do_nothing"), help="what to do when --id is taken (raise)")
    parser.add_argument("-m", "--metadata", metavar="KEY=VALUE", action="append", type=pair, help="may be repeated")
    parser.add_argument("--ttl", metavar="TIME", type=limit, help="after which the server deletes it, if it can")
    parser.add_argument("--json", action="store_true", help="print all that is known of it, not only its id")
    add_connection(parser)


def run_create(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        thread = client.threads.create(
            thread_id=args.id,
            if_exists=args.if_exists,
            metadata=flat("--metadata", args.metadata),
            ttl=None if args.ttl is None else args.ttl / 60,
        )
    if args.json:
        print_json(described(thread))
    else:
        emit(f"{thread.thread_id}\n")
    return codes.OK


def described(thread: Thread) -> Dict[str, Any]:
    """A thread as JSON, without the configuration of its last run, which may hold what is not for logs."""
    data: Dict[str, Any] = plain(thread)
    data.pop("config", None)
    return data


def configure_get(parser: argparse.ArgumentParser) -> None:
    _add_thread(parser)
    add_connection(parser)


def run_get(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        print_json(described(client.threads.get(args.thread)))
    return codes.OK


def configure_state(parser: argparse.ArgumentParser) -> None:
    _add_thread(parser)
    parser.add_argument("--checkpoint-id", metavar="ID", help="the state at this point of its history; else the current one")
    parser.add_argument("--subgraphs", action="store_true", help="with the states of its subgraphs")
    parser.add_argument("--values", action="store_true", help="print its values alone")
    add_connection(parser)


def run_state(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        state = client.threads.get_state(args.thread, checkpoint_id=args.checkpoint_id, subgraphs=args.subgraphs)
    print_json(state.values if args.values else plain(state))
    return codes.OK


def configure_history(parser: argparse.ArgumentParser) -> None:
    _add_thread(parser)
    parser.add_argument("-n", "--limit", metavar="N", type=count(1), default=10, help="at most so many, newest first (10)")
    parser.add_argument("--before", metavar="ID", help="of a checkpoint: those before it")
    parser.add_argument("--run", metavar="ID", help="those that this run wrote")
    parser.add_argument("--json", action="store_true", help="JSON lines on a terminal too")
    add_connection(parser)


def run_history(args: argparse.Namespace) -> int:
    metadata = None if args.run is None else {"run_id": args.run}
    with client_of(args) as client:
        states = client.threads.get_history(args.thread, limit=args.limit, before=args.before, metadata=metadata)
    if args.json or not is_terminal():
        for state in states:
            print_json(plain(state), pretty=False)
        return codes.OK
    rows = []
    for state in states:
        checkpoint = state.checkpoint.checkpoint_id if state.checkpoint else None
        step = state.metadata.get("step")
        rows.append([checkpoint or "", "" if step is None else str(step), when(state.created_at), ", ".join(state.next)])
    print_table(["CHECKPOINT", "STEP", "CREATED", "NEXT"], rows)
    return codes.OK


def configure_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-m", "--metadata", metavar="KEY=VALUE", action="append", type=pair, help="with this in their metadata")
    parser.add_argument("--status", choices=THREAD_STATUSES, help="with this status; interrupted means waiting for a human")
    parser.add_argument("-n", "--limit", metavar="N", type=count(1), default=10, help="at most so many (10)")
    parser.add_argument("--offset", metavar="N", type=count(0), default=0, help="after skipping so many (0)")
    parser.add_argument("--sort-by", choices=_SORT_FIELDS, help="in this order")
    parser.add_argument("--sort-order", choices=("asc", "desc"), help="which way")
    parser.add_argument("--json", action="store_true", help="JSON lines on a terminal too")
    parser.add_argument("--ids", action="store_true", help="the ids alone")
    add_connection(parser)


def run_list(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        threads = client.threads.search(
            metadata=flat("--metadata", args.metadata),
            status=args.status,
            limit=args.limit,
            offset=args.offset,
            sort_by=args.sort_by,
            sort_order=args.sort_order,
        )
    if args.ids:
        emit("".join(f"{thread.thread_id}\n" for thread in threads))
    elif args.json or not is_terminal():
        for thread in threads:
            print_json(described(thread), pretty=False)
    else:
        rows = [
            [thread.thread_id, thread.status or "", when(thread.updated_at), str(thread.metadata.get("graph_id") or "")]
            for thread in threads
        ]
        print_table(["THREAD", "STATUS", "UPDATED", "GRAPH"], rows)
    return codes.OK


def configure_delete(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("threads", metavar="THREAD", nargs="+", help="id of a thread")
    parser.add_argument("--missing-ok", action="store_true", help="threads that are not there are no error")
    add_connection(parser)


def run_delete(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        for thread_id in args.threads:
            try:
                client.threads.delete(thread_id)
            except NotFoundError:
                if not args.missing_ok:
                    raise
    return codes.OK


_ASKING = (codes.UNREACHABLE, codes.REFUSED)

COMMANDS = (
    Command(
        name="threads create",
        summary="make a thread",
        description="Makes a thread and prints its id.",
        configure=configure_create,
        run=run_create,
        examples=[("thread=$(langgraph-runs threads create --metadata customer=ada)", "make one, and remember its id")],
        exits=[codes.BUSY, *_ASKING],
    ),
    Command(
        name="threads get",
        summary="print a thread",
        description="Prints a thread as JSON: its status, metadata, values and open questions.",
        configure=configure_get,
        run=run_get,
        examples=[("langgraph-runs threads get $THREAD | jq .interrupts", "what it asks")],
        exits=_ASKING,
    ),
    Command(
        name="threads state",
        summary="print the state of a thread",
        description="Prints the state of a thread as JSON: its values, and what comes next.",
        configure=configure_state,
        run=run_state,
        examples=[("langgraph-runs threads state $THREAD --values", "what its runs have made so far")],
        exits=_ASKING,
    ),
    Command(
        name="threads history",
        summary="list the states that a thread had",
        description="Lists the states of a thread, newest first: a table on a terminal, a line of JSON for each in a pipe.",
        configure=configure_history,
        run=run_history,
        examples=[("langgraph-runs threads history $THREAD --run $RUN", "the states that one run wrote")],
        exits=_ASKING,
    ),
    Command(
        name="threads list",
        summary="search threads",
        description="Lists threads: a table on a terminal, a line of JSON for each in a pipe.",
        configure=configure_list,
        run=run_list,
        examples=[("langgraph-runs threads list --status interrupted --ids", "those that wait for a human")],
        exits=_ASKING,
    ),
    Command(
        name="threads delete",
        summary="delete threads",
        description="Deletes threads with their runs and their history. A run that is running is not stopped by that.",
        configure=configure_delete,
        run=run_delete,
        examples=[("langgraph-runs threads delete $THREAD --missing-ok", "may be done twice")],
        exits=_ASKING,
    ),
)

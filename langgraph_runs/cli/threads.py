"""``langgraph-runs threads``: create, show and delete threads."""

from __future__ import annotations

import argparse
from typing import Any, Dict

from .. import Thread, exit_codes
from ..models import THREAD_STATUSES
from .command import Command
from .connection import add_connection, client_of
from .console import as_json, is_terminal, print_json, print_table, write_output
from .records import add_page, add_sorting, delete_each, page, print_found, sorting
from .runs import when
from .values import count, flat, limit, pair

__all__ = ["COMMANDS"]

_SORT_FIELDS = ("thread_id", "status", "created_at", "updated_at")


def _add_thread(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("thread", metavar="THREAD", help="id of the thread")


def configure_create(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--id", metavar="UUID", help="id of the new thread; default: the server chooses one")
    parser.add_argument("--if-exists", choices=("raise", "do_nothing"), help="what to do if a thread --id exists (raise)")
    parser.add_argument(
        "-m", "--metadata", metavar="KEY=VALUE", action="append", type=pair, help="metadata of the thread; may be repeated"
    )
    parser.add_argument(
        "--ttl", metavar="TIME", type=limit, help="the server deletes the thread after this time, if it supports that"
    )
    parser.add_argument("--ids", action="store_true", help="print only the id")
    parser.add_argument("--json", action="store_true", help="print JSON on one line on a terminal too")
    add_connection(parser)


def run_create(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        thread = client.threads.create(
            thread_id=args.id,
            if_exists=args.if_exists,
            metadata=flat("--metadata", args.metadata),
            ttl=None if args.ttl is None else args.ttl / 60,
        )
    if args.ids:
        write_output(f"{thread.thread_id}\n")
    else:
        print_json(described(thread), pretty=False if args.json else None)
    return exit_codes.OK


def described(thread: Thread) -> Dict[str, Any]:
    """Return a thread as JSON, without the configuration of its last run, which may hold secrets."""
    data: Dict[str, Any] = as_json(thread)
    data.pop("config", None)
    return data


def configure_get(parser: argparse.ArgumentParser) -> None:
    _add_thread(parser)
    add_connection(parser)


def run_get(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        print_json(described(client.threads.get(args.thread)))
    return exit_codes.OK


def configure_state(parser: argparse.ArgumentParser) -> None:
    _add_thread(parser)
    parser.add_argument("--checkpoint-id", metavar="ID", help="the state at this checkpoint; default: the current one")
    parser.add_argument("--subgraphs", action="store_true", help="include the states of subgraphs")
    parser.add_argument("--values", action="store_true", help="print only the values")
    add_connection(parser)


def run_state(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        state = client.threads.get_state(args.thread, checkpoint_id=args.checkpoint_id, subgraphs=args.subgraphs)
    print_json(state.values if args.values else as_json(state))
    return exit_codes.OK


def configure_history(parser: argparse.ArgumentParser) -> None:
    _add_thread(parser)
    parser.add_argument("-n", "--limit", metavar="N", type=count(1), default=10, help="at most N states, newest first (10)")
    parser.add_argument("--before", metavar="ID", help="only states before this checkpoint")
    parser.add_argument("--run", metavar="ID", help="only states that this run wrote")
    parser.add_argument("--json", action="store_true", help="print JSON lines on a terminal too")
    add_connection(parser)


def run_history(args: argparse.Namespace) -> int:
    metadata = None if args.run is None else {"run_id": args.run}
    with client_of(args) as client:
        states = client.threads.get_history(args.thread, limit=args.limit, before=args.before, metadata=metadata)
    if args.json or not is_terminal():
        for state in states:
            print_json(as_json(state), pretty=False)
        return exit_codes.OK
    rows = []
    for state in states:
        checkpoint = state.checkpoint.checkpoint_id if state.checkpoint else None
        step = state.metadata.get("step")
        rows.append([checkpoint or "", "" if step is None else str(step), when(state.created_at), ", ".join(state.next)])
    print_table(["CHECKPOINT", "STEP", "CREATED", "NEXT"], rows)
    return exit_codes.OK


def configure_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-m", "--metadata", metavar="KEY=VALUE", action="append", type=pair, help="threads with this in their metadata"
    )
    parser.add_argument("--status", choices=THREAD_STATUSES, help="threads with this status; interrupted: waiting for a human")
    add_page(parser, "threads")
    add_sorting(parser, _SORT_FIELDS)
    add_connection(parser)


def run_list(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        threads = client.threads.search(
            metadata=flat("--metadata", args.metadata),
            status=args.status,
            **page(args),
            **sorting(args),
        )
    print_found(
        args,
        threads,
        id_of=lambda thread: thread.thread_id,
        described=described,
        header=["THREAD", "STATUS", "UPDATED", "GRAPH"],
        row=lambda thread: [
            thread.thread_id,
            thread.status or "",
            when(thread.updated_at),
            str(thread.metadata.get("graph_id") or ""),
        ],
    )
    return exit_codes.OK


def configure_delete(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("threads", metavar="THREAD", nargs="+", help="id of a thread")
    parser.add_argument("--missing-ok", action="store_true", help="do not fail for threads that do not exist")
    add_connection(parser)


def run_delete(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        delete_each(args.threads, client.threads.delete, missing_ok=args.missing_ok)
    return exit_codes.OK


_REQUEST_CODES = (exit_codes.UNREACHABLE, exit_codes.REFUSED)

COMMANDS = (
    Command(
        name="threads create",
        summary="create a thread",
        description="Creates a thread and prints it as JSON, as the command create does with a run.",
        configure=configure_create,
        run=run_create,
        examples=[("thread=$(langgraph-runs threads create --ids --metadata customer=ada)", "create a thread and keep its id")],
        exits=[exit_codes.BUSY, *_REQUEST_CODES],
    ),
    Command(
        name="threads get",
        summary="print a thread",
        description="Prints a thread as JSON: its status, metadata, values and unanswered questions (interrupts).",
        configure=configure_get,
        run=run_get,
        examples=[("langgraph-runs threads get $THREAD | jq .interrupts", "the questions it is paused at")],
        exits=_REQUEST_CODES,
    ),
    Command(
        name="threads state",
        summary="print the state of a thread",
        description="Prints the state of a thread as JSON: its values, the next nodes and their tasks.",
        configure=configure_state,
        run=run_state,
        examples=[("langgraph-runs threads state $THREAD --values", "only the values")],
        exits=_REQUEST_CODES,
    ),
    Command(
        name="threads history",
        summary="list the states of a thread",
        description="Lists the states of a thread, newest first: a table on a terminal, a line of JSON for each in a pipe.",
        configure=configure_history,
        run=run_history,
        examples=[("langgraph-runs threads history $THREAD --run $RUN", "the states that one run wrote")],
        exits=_REQUEST_CODES,
    ),
    Command(
        name="threads list",
        summary="search threads",
        description="Lists the threads that match all given options: a table on a terminal, a line of JSON for each in a pipe.",
        configure=configure_list,
        run=run_list,
        examples=[("langgraph-runs threads list --status interrupted --ids", "the threads that wait for a human")],
        exits=_REQUEST_CODES,
    ),
    Command(
        name="threads delete",
        summary="delete threads",
        description="Deletes threads with their runs and their history. This does not stop a run that is running.",
        configure=configure_delete,
        run=run_delete,
        examples=[("langgraph-runs threads delete $THREAD --missing-ok", "succeeds even if the thread is already deleted")],
        exits=_REQUEST_CODES,
    ),
)

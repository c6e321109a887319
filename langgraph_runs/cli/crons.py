"""``langgraph-runs crons``: create, show, change and delete schedules on which the server starts runs."""

from __future__ import annotations

import argparse
import typing
from typing import Any, Dict

from .. import CreateUncertainError, Cron, exit_codes
from ..options import Durability, MultitaskStrategy, OnCompletion
from .command import Command, CommandError
from .connection import add_connection, client_of
from .console import as_json, print_json, write_output
from .options import add_input, modes
from .records import add_page, add_sorting, delete_each, page, print_found, sorting
from .runs import when
from .values import flat, json_object, moment, names, pair, read_input

__all__ = ["COMMANDS"]

_SORT_FIELDS = ("cron_id", "assistant_id", "thread_id", "created_at", "updated_at", "next_run_date", "end_time")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    add_input(parser, "input of each run")
    run = parser.add_argument_group("each run")
    run.add_argument("-m", "--metadata", metavar="KEY=VALUE", action="append", type=pair, help="of the cron and its runs")
    run.add_argument("--config", metavar="JSON", help="tags, recursion_limit, configurable and metadata for the graph")
    run.add_argument("--context", metavar="JSON", help="the graph's runtime context, a JSON object")
    run.add_argument("--interrupt-before", metavar="NODES", action="append", help="pause before these nodes: a,b or *")
    run.add_argument("--interrupt-after", metavar="NODES", action="append", help="pause after these nodes: a,b or *")
    run.add_argument("--stream-mode", metavar="MODES", action="append", help=f"one or more of {', '.join(modes())}")
    run.add_argument("--subgraphs", action="store_true", help="stream the events of subgraphs too")
    run.add_argument("--resumable", action="store_true", help="have the server keep the events")
    run.add_argument("--durability", choices=typing.get_args(Durability), help="when checkpoints are written (async)")
    run.add_argument("--webhook", metavar="URL", help="the server posts the finished run to this URL")
    run.add_argument(
        "--on-run-completed",
        choices=typing.get_args(OnCompletion),
        help="what happens to the thread of a run, if the cron has no thread (delete)",
    )
    when_ = parser.add_argument_group("when")
    when_.add_argument("--timezone", metavar="NAME", help="time zone of the schedule, as Europe/Berlin (UTC)")
    when_.add_argument("--until", metavar="TIME", type=moment, help="when it stops, as 2027-01-31T12:00:00Z (never)")


def _settings(args: argparse.Namespace) -> Dict[str, Any]:
    options = {
        "input": read_input(args),
        "metadata": flat("--metadata", args.metadata),
        "config": None if args.config is None else json_object("--config", args.config),
        "context": None if args.context is None else json_object("--context", args.context),
        "interrupt_before": names(args.interrupt_before),
        "interrupt_after": names(args.interrupt_after),
        "stream_mode": names(args.stream_mode),
        "stream_subgraphs": True if args.subgraphs else None,
        "stream_resumable": True if args.resumable else None,
        "durability": args.durability,
        "webhook": args.webhook,
        "on_run_completed": args.on_run_completed,
        "timezone": args.timezone,
        "end_time": args.until,
    }
    return {name: value for name, value in options.items() if value is not None}


def _described(cron: Cron, *, whole: bool = False) -> Dict[str, Any]:
    """Return a cron as JSON; without what its runs are started with unless *whole*, since that may hold secrets."""
    data: Dict[str, Any] = as_json(cron)
    if not whole:
        data.pop("payload", None)
    return data


def _print(cron: Cron, args: argparse.Namespace) -> None:
    if args.ids:
        write_output(f"{cron.cron_id}\n")
    else:
        print_json(_described(cron))


def configure_create(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("assistant", metavar="ASSISTANT", help="name of a graph, or id of an assistant")
    parser.add_argument(
        "schedule", metavar="SCHEDULE", help="minute, hour, day of the month, month, day of the week: '0 9 * * 1-5'"
    )
    _add_settings(parser)
    parser.add_argument("-t", "--thread", metavar="ID", help="all runs on this thread; default: each on a thread of its own")
    parser.add_argument(
        "--multitask-strategy", choices=typing.get_args(MultitaskStrategy), help="what to do when the thread is busy (enqueue)"
    )
    parser.add_argument("--disabled", action="store_true", help="start no runs until it is enabled")
    parser.add_argument("--ids", action="store_true", help="print only the id")
    add_connection(parser)


def run_create(args: argparse.Namespace) -> int:
    options = _settings(args)
    if args.multitask_strategy is not None:
        options["multitask_strategy"] = args.multitask_strategy
    if args.disabled:
        options["enabled"] = False
    if args.thread is not None and "on_run_completed" in options:
        raise CommandError("--on-run-completed excludes --thread: the thread stays", exit_codes.USAGE)
    with client_of(args) as client:
        try:
            if args.thread is None:
                cron = client.crons.create(args.assistant, schedule=args.schedule, **options)
            else:
                cron = client.crons.create_for_thread(args.thread, args.assistant, schedule=args.schedule, **options)
        except CreateUncertainError as error:
            text = f"{error}; request id {error.request_id}; to look for it: langgraph-runs crons list"
            raise CommandError(text, exit_codes.code_of(error)) from error
    _print(cron, args)
    return exit_codes.OK


def configure_update(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cron", metavar="CRON", help="id of the cron")
    _add_settings(parser)
    parser.add_argument("--schedule", metavar="SCHEDULE", help="another schedule")
    parser.add_argument("--forever", action="store_true", help="it does not stop any more: removes --until")
    switch = parser.add_mutually_exclusive_group()
    switch.add_argument("--enable", action="store_true", help="start runs again")
    switch.add_argument("--disable", action="store_true", help="start no runs for now")
    parser.add_argument("--ids", action="store_true", help="print only the id")
    add_connection(parser)


def run_update(args: argparse.Namespace) -> int:
    options = _settings(args)
    if args.schedule is not None:
        options["schedule"] = args.schedule
    if args.enable or args.disable:
        options["enabled"] = args.enable
    if args.forever:
        if "end_time" in options:
            raise CommandError("--forever excludes --until", exit_codes.USAGE)
        options["end_time"] = None
    if not options:
        raise CommandError("give at least one option to change", exit_codes.USAGE)
    with client_of(args) as client:
        _print(client.crons.update(args.cron, **options), args)
    return exit_codes.OK


def configure_get(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cron", metavar="CRON", help="id of the cron")
    parser.add_argument("--full", action="store_true", help="include what its runs are started with: input, config and so on")
    add_connection(parser)


def run_get(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        print_json(_described(client.crons.get(args.cron), whole=args.full))
    return exit_codes.OK


def configure_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--assistant", metavar="ID", help="crons of this assistant")
    parser.add_argument("-t", "--thread", metavar="ID", help="crons of this thread")
    parser.add_argument(
        "-m", "--metadata", metavar="KEY=VALUE", action="append", type=pair, help="crons with this in their metadata"
    )
    parser.add_argument("--enabled", choices=("yes", "no"), help="crons that start runs, or that do not for now")
    add_page(parser, "crons")
    add_sorting(parser, _SORT_FIELDS)
    parser.add_argument("--count", action="store_true", help="print only how many there are; without --enabled")
    add_connection(parser)


def run_list(args: argparse.Namespace) -> int:
    filters: Dict[str, Any] = {
        "assistant_id": args.assistant,
        "thread_id": args.thread,
        "metadata": flat("--metadata", args.metadata),
    }
    if args.count and args.enabled is not None:
        raise CommandError("--count excludes --enabled: the server does not count by it", exit_codes.USAGE)
    with client_of(args) as client:
        if args.count:
            write_output(f"{client.crons.count(**filters)}\n")
            return exit_codes.OK
        found = client.crons.search(
            enabled=None if args.enabled is None else args.enabled == "yes", **page(args), **sorting(args), **filters
        )
    print_found(
        args,
        found,
        id_of=lambda cron: cron.cron_id,
        described=_described,
        header=["CRON", "SCHEDULE", "ENABLED", "NEXT"],
        row=lambda cron: [
            cron.cron_id,
            cron.schedule or "",
            "no" if cron.enabled is False else "yes",
            when(cron.next_run_date),
        ],
    )
    return exit_codes.OK


def configure_delete(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("crons", metavar="CRON", nargs="+", help="id of a cron")
    parser.add_argument("--missing-ok", action="store_true", help="do not fail for crons that do not exist")
    add_connection(parser)


def run_delete(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        delete_each(args.crons, client.crons.delete, missing_ok=args.missing_ok)
    return exit_codes.OK


_REQUEST_CODES = (exit_codes.UNREACHABLE, exit_codes.REFUSED)

COMMANDS = (
    Command(
        name="crons create",
        summary="have the server start runs on a schedule",
        description="Creates a cron and prints it as JSON. The server starts a run of the assistant whenever the schedule says.\n\n"
        "The request is sent once: if its response is lost and the cron is not found, the command fails.",
        configure=configure_create,
        run=run_create,
        examples=[
            (
                "langgraph-runs crons create agent '0 9 * * 1-5' topic=tides --timezone Europe/Berlin --metadata report=daily",
                "every working day at nine",
            )
        ],
        exits=_REQUEST_CODES,
    ),
    Command(
        name="crons update",
        summary="change, enable or disable a cron",
        description="Changes what is given; everything else stays. Prints the cron as JSON.",
        configure=configure_update,
        run=run_update,
        examples=[("langgraph-runs crons update $CRON --disable", "no runs for now")],
        exits=_REQUEST_CODES,
    ),
    Command(
        name="crons get",
        summary="print a cron",
        description="Prints a cron as JSON.",
        configure=configure_get,
        run=run_get,
        examples=[("langgraph-runs crons get $CRON | jq .next_run_date", "when the next run starts")],
        exits=_REQUEST_CODES,
    ),
    Command(
        name="crons list",
        summary="search crons",
        description="Lists the crons that match all given options: a table on a terminal, a line of JSON for each in a pipe.",
        configure=configure_list,
        run=run_list,
        examples=[("langgraph-runs crons list --metadata report=daily --ids", "the ids of some")],
        exits=_REQUEST_CODES,
    ),
    Command(
        name="crons delete",
        summary="delete crons",
        description="Deletes crons. Runs that they have started go on.",
        configure=configure_delete,
        run=run_delete,
        examples=[("langgraph-runs crons list --ids | xargs langgraph-runs crons delete", "the first ten")],
        exits=_REQUEST_CODES,
    ),
)

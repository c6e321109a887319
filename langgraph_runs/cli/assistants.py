"""``langgraph-runs assistants``: create, show, change and delete assistants."""

from __future__ import annotations

import argparse
import functools
from typing import Any, Dict

from .. import Assistant, exit_codes
from .command import Command, CommandError
from .connection import add_connection, client_of
from .console import as_json, print_json, write_output
from .records import add_page, add_sorting, delete_each, page, print_found, sorting
from .runs import when
from .values import count, flat, json_object, pair

__all__ = ["COMMANDS"]

_SORT_FIELDS = ("assistant_id", "graph_id", "name", "created_at", "updated_at")


def _add_assistant(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("assistant", metavar="ASSISTANT", help="id of the assistant")


def _add_fields(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", metavar="TEXT", help="name of the assistant")
    parser.add_argument("--description", metavar="TEXT", help="what it is for")
    parser.add_argument("--config", metavar="JSON", help="tags, recursion_limit and configurable for the graph; @PATH reads a file")
    parser.add_argument("--context", metavar="JSON", help="the graph's runtime context, a JSON object; @PATH reads a file")
    parser.add_argument("-m", "--metadata", metavar="KEY=VALUE", action="append", type=pair, help="metadata; may be repeated")


def _fields(args: argparse.Namespace) -> Dict[str, Any]:
    fields = {
        "name": args.name,
        "description": args.description,
        "config": None if args.config is None else json_object("--config", args.config),
        "context": None if args.context is None else json_object("--context", args.context),
        "metadata": flat("--metadata", args.metadata),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _described(assistant: Assistant, *, whole: bool = False) -> Dict[str, Any]:
    """Return an assistant as JSON; without its configuration unless *whole*, since that may hold secrets."""
    data: Dict[str, Any] = as_json(assistant)
    if not whole:
        data.pop("config", None)
        data.pop("context", None)
    return data


def _print(assistant: Assistant, args: argparse.Namespace) -> None:
    if args.ids:
        write_output(f"{assistant.assistant_id}\n")
    else:
        print_json(_described(assistant))


def configure_create(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("graph", metavar="GRAPH", help="name of the graph")
    parser.add_argument("--id", metavar="UUID", help="id of the new assistant; default: one is chosen")
    parser.add_argument("--if-exists", choices=("raise", "do_nothing"), help="what to do if an assistant --id exists (raise)")
    _add_fields(parser)
    parser.add_argument("--ids", action="store_true", help="print only the id")
    add_connection(parser)


def run_create(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        made = client.assistants.create(args.graph, assistant_id=args.id, if_exists=args.if_exists, **_fields(args))
    _print(made, args)
    return exit_codes.OK


def configure_update(parser: argparse.ArgumentParser) -> None:
    _add_assistant(parser)
    parser.add_argument("--graph", metavar="NAME", help="use another graph")
    parser.add_argument("--version", metavar="N", type=count(1), help="go back to this version; no other option is allowed then")
    _add_fields(parser)
    parser.add_argument("--ids", action="store_true", help="print only the id")
    add_connection(parser)


def run_update(args: argparse.Namespace) -> int:
    fields = _fields(args)
    if args.graph is not None:
        fields["graph_id"] = args.graph
    if (args.version is not None) == bool(fields):
        raise CommandError("give either --version, or what to change", exit_codes.USAGE)
    with client_of(args) as client:
        if args.version is not None:
            changed = client.assistants.set_latest(args.assistant, args.version)
        else:
            changed = client.assistants.update(args.assistant, **fields)
    _print(changed, args)
    return exit_codes.OK


def configure_get(parser: argparse.ArgumentParser) -> None:
    _add_assistant(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--full", action="store_true", help="include the configuration and the context")
    what.add_argument("--graph", action="store_true", help="print the nodes and edges of its graph instead")
    what.add_argument("--schemas", action="store_true", help="print the JSON schemas of its graph instead")
    what.add_argument("--subgraphs", action="store_true", help="print the JSON schemas of its subgraphs instead, by namespace")
    what.add_argument("--versions", action="store_true", help="print its versions instead, newest first, a line of JSON for each")
    add_connection(parser)


def run_get(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        assistants = client.assistants
        if args.versions:
            for version in assistants.get_versions(args.assistant, limit=100):
                print_json(as_json(version), pretty=False)
        elif args.graph:
            print_json(as_json(assistants.get_graph(args.assistant)))
        elif args.schemas:
            print_json(as_json(assistants.get_schemas(args.assistant)))
        elif args.subgraphs:
            print_json({name: as_json(schema) for name, schema in assistants.get_subgraphs(args.assistant, recurse=True).items()})
        else:
            print_json(_described(assistants.get(args.assistant), whole=args.full))
    return exit_codes.OK


def configure_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--graph", metavar="NAME", help="assistants of this graph")
    parser.add_argument("--name", metavar="TEXT", help="assistants with this in their name")
    parser.add_argument(
        "-m", "--metadata", metavar="KEY=VALUE", action="append", type=pair, help="assistants with this in their metadata"
    )
    add_page(parser, "assistants")
    add_sorting(parser, _SORT_FIELDS)
    parser.add_argument("--count", action="store_true", help="print only how many there are")
    add_connection(parser)


def run_list(args: argparse.Namespace) -> int:
    filters: Dict[str, Any] = {"metadata": flat("--metadata", args.metadata), "graph_id": args.graph, "name": args.name}
    with client_of(args) as client:
        if args.count:
            write_output(f"{client.assistants.count(**filters)}\n")
            return exit_codes.OK
        found = client.assistants.search(**page(args), **sorting(args), **filters)
    print_found(
        args,
        found,
        id_of=lambda assistant: assistant.assistant_id,
        described=_described,
        header=["ASSISTANT", "GRAPH", "NAME", "UPDATED"],
        row=lambda assistant: [
            assistant.assistant_id,
            assistant.graph_id or "",
            assistant.name or "",
            when(assistant.updated_at),
        ],
    )
    return exit_codes.OK


def configure_delete(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("assistants", metavar="ASSISTANT", nargs="+", help="id of an assistant")
    parser.add_argument("--threads", action="store_true", help="delete the threads of their runs too")
    parser.add_argument("--missing-ok", action="store_true", help="do not fail for assistants that do not exist")
    add_connection(parser)


def run_delete(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        delete = functools.partial(client.assistants.delete, delete_threads=args.threads)
        delete_each(args.assistants, delete, missing_ok=args.missing_ok)
    return exit_codes.OK


_REQUEST_CODES = (exit_codes.UNREACHABLE, exit_codes.REFUSED)

COMMANDS = (
    Command(
        name="assistants create",
        summary="create an assistant",
        description="Creates an assistant, which is a graph with a configuration of its own, and prints it as JSON.",
        configure=configure_create,
        run=run_create,
        examples=[
            (
                "langgraph-runs assistants create agent --name Tides --context '{\"seconds\": 5}' --ids",
                "print the id of the new one",
            )
        ],
        exits=[exit_codes.BUSY, *_REQUEST_CODES],
    ),
    Command(
        name="assistants update",
        summary="change an assistant, or go back to an older version",
        description="Changes what is given, which makes a new version; or makes an older version the current one.",
        configure=configure_update,
        run=run_update,
        examples=[("langgraph-runs assistants update $ASSISTANT --version 1", "as it was at first")],
        exits=_REQUEST_CODES,
    ),
    Command(
        name="assistants get",
        summary="print an assistant, its graph, schemas or versions",
        description="Prints an assistant as JSON.",
        configure=configure_get,
        run=run_get,
        examples=[("langgraph-runs assistants get $ASSISTANT --schemas | jq .input_schema", "what its input looks like")],
        exits=_REQUEST_CODES,
    ),
    Command(
        name="assistants list",
        summary="search assistants",
        description="Lists the assistants that match all given options: a table on a terminal, a line of JSON for each in a pipe.",
        configure=configure_list,
        run=run_list,
        examples=[("langgraph-runs assistants list --graph agent --count", "how many a graph has")],
        exits=_REQUEST_CODES,
    ),
    Command(
        name="assistants delete",
        summary="delete assistants",
        description="Deletes assistants with all their versions.",
        configure=configure_delete,
        run=run_delete,
        examples=[("langgraph-runs assistants delete $ASSISTANT --missing-ok", "succeeds even if it is already deleted")],
        exits=_REQUEST_CODES,
    ),
)

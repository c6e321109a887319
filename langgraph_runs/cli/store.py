"""``langgraph-runs store``: read and write the objects that all threads of a server share."""

from __future__ import annotations

import argparse
from typing import List

from .. import exit_codes
from .command import Command, CommandError
from .connection import add_connection, client_of
from .console import as_json, print_json, write_output
from .records import add_page, page, print_records
from .runs import when
from .values import count, flat, limit, pair, read_input

__all__ = ["COMMANDS"]

_NAMESPACE = "labels, separated by periods: users.ada"


def _labels(text: str) -> List[str]:
    labels = text.split(".") if text else []
    if not all(labels):
        raise argparse.ArgumentTypeError(f"{text!r}: give labels, separated by periods, such as users.ada")
    return labels


def _add_item(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("namespace", metavar="NAMESPACE", type=_labels, help=_NAMESPACE)
    parser.add_argument("key", metavar="KEY", help="key of the item")


def configure_put(parser: argparse.ArgumentParser) -> None:
    _add_item(parser)
    given = parser.add_argument_group(
        "value",
        "A JSON object. KEY=VALUE pairs are merged into --input or --input-file; a value that is not valid JSON is taken as text.",
    )
    given.add_argument("pairs", metavar="KEY=VALUE", nargs="*", default=None, type=pair, help="a key of the value")
    given.add_argument("-i", "--input", metavar="JSON", help="the value; @PATH reads it from a file")
    given.add_argument("--input-file", metavar="PATH", help="the value, from a file, or from stdin for -")
    parser.add_argument("--ttl", metavar="TIME", type=limit, help="the server deletes the item after this time")
    parser.add_argument("--no-index", action="store_true", help="a search by meaning does not find it")
    add_connection(parser)


def run_put(args: argparse.Namespace) -> int:
    value = read_input(args)
    if not isinstance(value, dict):
        raise CommandError("give the value as KEY=VALUE pairs, or as a JSON object with --input or --input-file", exit_codes.USAGE)
    with client_of(args) as client:
        client.store.put_item(
            args.namespace,
            args.key,
            value,
            index=False if args.no_index else None,
            ttl=None if args.ttl is None else args.ttl / 60,
        )
    return exit_codes.OK


def configure_get(parser: argparse.ArgumentParser) -> None:
    _add_item(parser)
    parser.add_argument("--value", action="store_true", help="print only the value")
    add_connection(parser)


def run_get(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        item = client.store.get_item(args.namespace, args.key)
    if item is None:
        raise CommandError(f"there is no item {args.key!r} in {'.'.join(args.namespace)}", exit_codes.USAGE)
    print_json(item.value if args.value else as_json(item))
    return exit_codes.OK


def configure_search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("namespace", metavar="NAMESPACE", type=_labels, nargs="?", default=[], help=f"{_NAMESPACE}; default: all")
    parser.add_argument("-f", "--filter", metavar="KEY=VALUE", action="append", type=pair, help="items whose value has this")
    parser.add_argument("-q", "--query", metavar="TEXT", help="items that mean something like this, if the store has an index")
    add_page(parser, "items")
    parser.add_argument("--json", action="store_true", help="print JSON lines on a terminal too")
    add_connection(parser)


def run_search(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        found = client.store.search_items(args.namespace, filter=flat("--filter", args.filter), query=args.query, **page(args))
    print_records(
        args,
        found.items,
        described=as_json,
        header=["NAMESPACE", "KEY", "UPDATED"],
        row=lambda item: [".".join(item.namespace), item.key, when(item.updated_at)],
    )
    return exit_codes.OK


def configure_namespaces(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prefix", metavar="NAMESPACE", type=_labels, nargs="?", help=f"{_NAMESPACE}; default: all")
    parser.add_argument("--suffix", metavar="NAMESPACE", type=_labels, help="those that end with these labels")
    parser.add_argument("--max-depth", metavar="N", type=count(1), help="at most N labels of each")
    add_page(parser, "namespaces", limit=100)
    add_connection(parser)


def run_namespaces(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        found = client.store.list_namespaces(args.prefix, args.suffix, max_depth=args.max_depth, **page(args))
    write_output("".join(f"{'.'.join(namespace)}\n" for namespace in found.namespaces))
    return exit_codes.OK


def configure_delete(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("namespace", metavar="NAMESPACE", type=_labels, help=_NAMESPACE)
    parser.add_argument("keys", metavar="KEY", nargs="+", help="key of an item")
    add_connection(parser)


def run_delete(args: argparse.Namespace) -> int:
    with client_of(args) as client:
        for key in args.keys:
            client.store.delete_item(args.namespace, key)
    return exit_codes.OK


_REQUEST_CODES = (exit_codes.UNREACHABLE, exit_codes.REFUSED)

COMMANDS = (
    Command(
        name="store put",
        summary="store an item",
        description="Stores an item, in place of the one that has the key.",
        configure=configure_put,
        run=run_put,
        examples=[("langgraph-runs store put users.ada colour name=red", "an item with a value of one field")],
        exits=_REQUEST_CODES,
    ),
    Command(
        name="store get",
        summary="print an item",
        description="Prints an item as JSON. Fails if there is none.",
        configure=configure_get,
        run=run_get,
        examples=[("langgraph-runs store get users.ada colour --value", "only the value")],
        exits=_REQUEST_CODES,
    ),
    Command(
        name="store search",
        summary="search items",
        description="Lists items of a namespace and of those below it: a table on a terminal, a line of JSON for each in a pipe.",
        configure=configure_search,
        run=run_search,
        examples=[("langgraph-runs store search users --filter name=red", "by a field of the value")],
        exits=_REQUEST_CODES,
    ),
    Command(
        name="store namespaces",
        summary="list the namespaces that have items",
        description="Prints the namespaces that have items, one on a line.",
        configure=configure_namespaces,
        run=run_namespaces,
        examples=[("langgraph-runs store namespaces users --max-depth 2", "one line for each user")],
        exits=_REQUEST_CODES,
    ),
    Command(
        name="store delete",
        summary="delete items",
        description="Deletes items. Does nothing for those that do not exist.",
        configure=configure_delete,
        run=run_delete,
        examples=[("langgraph-runs store delete users.ada colour size", "two items")],
        exits=_REQUEST_CODES,
    ),
)

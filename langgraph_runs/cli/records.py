"""The options, the output and the deletion that the commands for threads, assistants, crons and items have in common."""

from __future__ import annotations

import argparse
from typing import Any, Callable, Dict, Iterable, Sequence, TypeVar

from .. import NotFoundError
from .console import is_terminal, print_json, print_table, write_output
from .values import count

__all__ = ["add_page", "add_sorting", "delete_each", "page", "print_found", "print_records", "sorting"]

T = TypeVar("T")


def add_page(parser: argparse.ArgumentParser, plural: str, *, limit: int = 10) -> None:
    """Add the options that say which part of the records is wanted, which *plural* names."""
    parser.add_argument("-n", "--limit", metavar="N", type=count(1), default=limit, help=f"at most N {plural} ({limit})")
    parser.add_argument("--offset", metavar="N", type=count(0), default=0, help=f"skip the first N {plural} (0)")


def page(args: argparse.Namespace) -> Dict[str, Any]:
    """Return the options of `add_page` as those of a search."""
    return {"limit": args.limit, "offset": args.offset}


def add_sorting(parser: argparse.ArgumentParser, fields: Sequence[str]) -> None:
    """Add the options for the order of a search, which may be by one of *fields*, and for its output."""
    parser.add_argument("--sort-by", choices=fields, help="sort by this field")
    parser.add_argument("--sort-order", choices=("asc", "desc"), help="ascending or descending")
    parser.add_argument("--json", action="store_true", help="print JSON lines on a terminal too")
    parser.add_argument("--ids", action="store_true", help="print only the ids")


def sorting(args: argparse.Namespace) -> Dict[str, Any]:
    """Return the options of `add_sorting` as those of a search."""
    return {"sort_by": args.sort_by, "sort_order": args.sort_order}


def print_found(
    args: argparse.Namespace,
    found: Iterable[T],
    *,
    id_of: Callable[[T], str],
    described: Callable[[T], Any],
    header: Sequence[str],
    row: Callable[[T], Sequence[str]],
) -> None:
    """Print the ids of the records with ``--ids``, else as `print_records`."""
    if args.ids:
        write_output("".join(f"{id_of(one)}\n" for one in found))
    else:
        print_records(args, found, described=described, header=header, row=row)


def print_records(
    args: argparse.Namespace,
    records: Iterable[T],
    *,
    described: Callable[[T], Any],
    header: Sequence[str],
    row: Callable[[T], Sequence[str]],
) -> None:
    """Print a table on a terminal, and a line of JSON for each record in a pipe or with ``--json``."""
    if args.json or not is_terminal():
        for one in records:
            print_json(described(one), pretty=False)
    else:
        print_table(header, [row(one) for one in records])


def delete_each(ids: Iterable[str], delete: Callable[[str], Any], *, missing_ok: bool) -> None:
    """Call *delete* with each id. With *missing_ok*, those that do not exist are left out; else the first one ends the command."""
    for one in ids:
        try:
            delete(one)
        except NotFoundError:
            if not missing_ok:
                raise

"""Shows what was found: as text for a terminal, and as a reStructuredText table for several servers."""

from __future__ import annotations

import textwrap
from typing import Dict, Iterator, List, Mapping, Sequence, Tuple

from .results import Conformance, ConformanceRow, Verdict

__all__ = ["as_differences", "as_table", "as_text"]

_MARGIN = " " * 13
#: Columns of the table for documents.
_TABLE_WIDTH = 117


def as_text(found: Conformance, width: int = 100) -> str:
    """Return the rows as text, grouped by area, in lines of at most *width* characters."""
    lines: List[str] = []
    area = ""
    for row in found.rows:
        if row.area != area:
            area = row.area
            lines += ["", area] if lines else [area]
        lines += _lines_of(row, width)
    lines += ["", summary(found)]
    if found.left_threads:
        lines.append(f"not deleted: the threads {' '.join(found.left_threads)}")
    return "\n".join(lines) + "\n"


def _lines_of(row: ConformanceRow, width: int) -> Iterator[str]:
    yield from _wrapped(
        f"  {row.verdict.value.upper() if row.verdict == Verdict.BROKEN else row.verdict.value:<11}", row.promise, width
    )
    details = {Verdict.DIFFERS: "here: ", Verdict.BROKEN: f"{row.name}: ", Verdict.NOT_TRIED: ""}
    if row.found:
        yield from _wrapped(_MARGIN, details.get(row.verdict, "") + row.found, width)
    if row.handling:
        yield from _wrapped(_MARGIN, f"the library {row.handling}", width)


def _wrapped(start: str, text: str, width: int) -> List[str]:
    whole = " ".join(text.split())
    return textwrap.wrap(whole, max(40, width), initial_indent=start, subsequent_indent=_MARGIN + "  ", break_on_hyphens=False)


def summary(found: Conformance) -> str:
    """Return the numbers of rows in one line."""
    return ", ".join(f"{number} {verdict}" for verdict, number in found.counts.items())


def as_table(servers: Mapping[str, Conformance]) -> str:
    """Return a reStructuredText table of the servers, which *servers* names: the verdict on each promise, one row for each.

    `as_differences` has the details.
    """
    promises: Dict[str, str] = {}
    verdicts: Dict[str, Dict[str, str]] = {}
    for server, found in servers.items():
        for row in found.rows:
            promises[row.name] = row.promise.rstrip(".")
            verdicts.setdefault(row.name, {})[server] = row.verdict.value
    body = [[*(verdicts[name].get(server, "") for server in servers), promise] for name, promise in promises.items()]
    return "\n".join(_simple_table([*servers, "promise"], body)) + "\n"


def as_differences(servers: Mapping[str, Conformance]) -> str:
    """Return a reStructuredText list of what the servers do differently, and what the library does about it."""
    return "\n".join(_differences(servers)) + "\n"


def _simple_table(header: Sequence[str], body: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table whose last column is wrapped: the continuation of a row must have an empty first column."""
    widths = [max(10, len(name)) for name in header[:-1]]
    widths.append(_TABLE_WIDTH - sum(widths) - len(widths))
    border = " ".join("=" * width for width in widths)
    yield from (border, _line(header, widths), border)
    for row in body:
        start, *more = textwrap.wrap(row[-1], widths[-1], break_on_hyphens=False)
        yield _line([*row[:-1], start], widths)
        for text in more:
            yield _line([*[""] * len(row[:-1]), text], widths)
    yield border


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return " ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip()


def _differences(servers: Mapping[str, Conformance]) -> Iterator[str]:
    """Yield a list of what the servers do, and what the library does about it, for each promise."""
    rows: Dict[Tuple[str, str, str], List[str]] = {}
    for server, found in servers.items():
        for row in found.rows:
            if row.verdict in (Verdict.DIFFERS, Verdict.BROKEN):
                rows.setdefault((row.promise.rstrip("."), row.found, row.handling), []).append(server)
    order = list(dict.fromkeys(row.promise.rstrip(".") for found in servers.values() for row in found.rows))
    for (promise, what, handling), where in sorted(rows.items(), key=lambda item: order.index(item[0][0])):
        text = f"*{promise}*: {' and '.join(where)}: {what}." + (f" The library {handling}." if handling else "")
        yield from textwrap.wrap(text, _TABLE_WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)

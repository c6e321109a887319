"""Text and tables of what the checks found, and the table in the README."""

from __future__ import annotations

import re

import pytest

from langgraph_runs.testing.conformance import (
    CATALOG,
    Conformance,
    ConformanceRow,
    Verdict,
    as_differences,
    as_table,
    as_text,
)

from ..servers.conformance import COLUMNS, README, part

ROWS = (
    ConformanceRow("one", "First", "The first promise.", Verdict.HOLDS),
    ConformanceRow("two", "First", "The second promise.", Verdict.DIFFERS, "the status is 422", "raises the error of 422"),
    ConformanceRow("three", "Second", "The third promise.", Verdict.BROKEN, "it was lost"),
    ConformanceRow("four", "Second", "The fourth promise.", Verdict.NOT_TRIED, "no graph"),
)
FOUND = Conformance("http://x", ROWS, ("thread-1",))


def test_the_text_has_each_promise_with_its_details() -> None:
    assert (
        as_text(FOUND)
        == """First
  holds      The first promise.
  differs    The second promise.
             here: the status is 422
             the library raises the error of 422

Second
  BROKEN     The third promise.
             three: it was lost
  not tried  The fourth promise.
             no graph

1 holds, 1 differs, 1 broken, 1 not tried
not deleted: the threads thread-1
"""
    )


@pytest.mark.parametrize("width", [50, 80, 120])
def test_the_text_keeps_to_the_width(width: int) -> None:
    long = ConformanceRow("long", "Area", "word " * 40, Verdict.DIFFERS, "found " * 40, "handling " * 40)
    assert width >= max(map(len, as_text(Conformance("http://x", (long,)), width).splitlines()))


def test_the_table_has_a_column_for_each_server() -> None:
    other = Conformance("http://y", (*ROWS[:1], ConformanceRow("two", "First", "The second promise.", Verdict.HOLDS)))
    lines = as_table({"here": FOUND, "there": other}).splitlines()
    assert ["here", "there", "promise"] == lines[1].split()
    assert "differs    holds      The second promise" == lines[4]
    assert "broken                The third promise" == lines[5]


def test_a_long_promise_continues_in_the_last_column() -> None:
    long = ConformanceRow("long", "Area", "word " * 60, Verdict.HOLDS)
    lines = as_table({"here": Conformance("http://x", (long,))}).splitlines()
    assert "holds" == lines[3].split()[0]
    assert all(line.startswith(" " * 11 + "word") for line in lines[4:-1])


def test_the_differences_name_the_servers_that_do_the_same_together() -> None:
    assert (
        as_differences({"here": FOUND, "there": FOUND})
        == """- *The second promise*: here and there: the status is 422. The library raises the error of 422.
- *The third promise*: here and there: it was lost.
"""
    )


def test_the_table_in_the_readme_has_the_rows_of_the_command() -> None:
    """If it does not: python -m tests.servers.conformance --write."""
    _, header, _, *rows, _ = part(README).strip().splitlines()
    assert [*COLUMNS, "promise"] == header.split()
    place = header.index("promise")
    found = " ".join(line[place:] if line[0] == " " else f"|{line[place:]}" for line in rows)
    promises = [check.promise.rstrip(".") for checks in CATALOG.values() for check in checks]
    assert promises == [text.strip() for text in found.split("|") if text.strip()]
    verdicts = {verdict for line in rows if line[0] != " " for verdict in re.split(r"\s{2,}", line[:place].strip())}
    assert verdicts <= {"holds", "differs", "not tried"}, "a promise is broken, or the table has another word"

"""``doctor --conformance``: its options, what it prints and its exit code, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_runs.testing import conformance
from langgraph_runs.testing.conformance import Conformance, ConformanceRow, Graph, Verdict

from ..server.commands import Commands

ROW = ConformanceRow("ok", "Area", "It is so.", Verdict.HOLDS)
BROKEN = ConformanceRow("bad", "Area", "It is not.", Verdict.BROKEN, "two runs")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of check_conformance, which returns a row that holds, and a broken one if the graph is called ``bad``."""
    found: list[Any] = []

    def check(client: Any, assistant_id: Graph, **options: Any) -> Conformance:
        found.append((client.base_url, assistant_id, options))
        rows = (ROW, BROKEN) if assistant_id.assistant_id == "bad" else (ROW,)
        for number, row in enumerate(rows, 1):
            options["on_row"](row, number, len(rows))
        return Conformance(client.base_url, rows, ("thread-1",) if assistant_id.assistant_id == "bad" else ())

    monkeypatch.setattr(conformance, "check_conformance", check)
    monkeypatch.delenv("LANGGRAPH_API_URL", raising=False)
    return found


RUN = Commands("http://127.0.0.1:1")


def test_the_graphs_and_limits_are_passed_on(calls: list[Any]) -> None:
    ended = RUN(
        *("doctor", "--conformance", "--graph", 'agent={"n": 1}', "--graph-that-fails", "agent", "--graph-that-lasts", "slow=[1]"),
        *("--only", "ok,info", "--timeout-each", "30s", "--concurrency", "2"),
    )
    url, main, options = calls[0]
    assert (0, "http://127.0.0.1:1", Graph("agent", {"n": 1})) == (ended.code, url, main)
    del options["on_row"]
    assert {
        "failing": Graph("agent"),
        "lasting": Graph("slow", [1]),
        "only": ["ok", "info"],
        "timeout_each": 30.0,
        "concurrency": 2,
    } == options


def test_a_broken_promise_is_exit_code_7_and_a_thread_that_remains_is_named(calls: list[Any]) -> None:
    ended = RUN("doctor", "--conformance", "--graph", "bad")
    assert 7 == ended.code
    assert "  BROKEN     It is not.\n             bad: two runs\n" in ended.out
    assert "1 holds, 0 differs, 1 broken, 0 not tried" in ended.out
    assert "langgraph-runs: warning: the thread thread-1 could not be deleted\n" == ended.err


def test_json_is_a_line_for_each_promise(calls: list[Any]) -> None:
    ended = RUN("doctor", "--conformance", "--graph", "bad", "--json")
    assert [ROW.as_dict(), BROKEN.as_dict()] == ended.lines
    assert 7 == ended.code


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--graph", "agent"), "the options for graphs and checks are for --conformance"),
        (("--only", "ok"), "the options for graphs and checks are for --conformance"),
        (("--conformance",), "--conformance needs a graph that succeeds"),
        (("--conformance", "--graph-that-fails", "x"), "--conformance needs a graph that succeeds"),
        (("--conformance", "--graph", "x", "--devserver"), "--devserver has graphs of its own"),
        (("--conformance", "--devserver"), "--devserver excludes --url"),
        (("--conformance", "--graph", "={}"), "--graph: give ID or ID=INPUT"),
        (("--conformance", "--graph", "x={"), "--graph: not JSON"),
    ],
)
def test_a_usage_error_says_what_to_give(calls: list[Any], options: tuple[str, ...], message: str) -> None:
    ended = RUN("doctor", *options)
    assert (2, []) == (ended.code, calls)
    assert message in ended.err

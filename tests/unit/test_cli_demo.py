"""``langgraph-runs demo`` if the server cannot be started. The demo itself is run in tests/server/test_demo.py."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

from langgraph_runs import cli, devserver
from langgraph_runs.demo import tour
from langgraph_runs.devserver import DevServerError


def demo_that(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> List[Dict[str, Any]]:
    """Make the demo raise; returns how it was called."""
    calls: List[Dict[str, Any]] = []

    def run(screen: object, **options: Any) -> None:
        calls.append(options)
        raise error

    monkeypatch.setattr(devserver, "unavailable_reason", lambda: None)
    monkeypatch.setattr(tour, "run", run)
    return calls


def test_if_the_server_cannot_run_the_demo_prints_what_to_do_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(devserver, "unavailable_reason", lambda: "it cannot be: do that")

    assert 2 == cli.main(["demo"])
    assert ("", "langgraph-runs: it cannot be: do that\n") == capsys.readouterr()


def test_the_log_of_a_server_that_does_not_start_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    demo_that(monkeypatch, DevServerError("it ended", log="the log\nof the server"))

    assert 1 == cli.main(["demo"])
    assert ("", "langgraph-runs: it ended\nthe log\nof the server\n") == capsys.readouterr()

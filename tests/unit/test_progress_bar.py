"""The bar: when it is drawn, its numbers, and where it is shown."""

from __future__ import annotations

import datetime
import io
import sys
import types
from typing import Any, List

import pytest

from langgraph_runs import MapProgress
from langgraph_runs.batch.outage import ServerOutage
from langgraph_runs.batch.progress import Meter
from langgraph_runs.batch.progress_bar import ProgressBar

from .played import Time

tqdm = pytest.importorskip("tqdm")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    @property
    def drawn(self) -> List[str]:
        """What was drawn, one after the other."""
        return [text.strip() for text in self.getvalue().replace("\x1b[A", "").split("\r") if text.strip()]


def patched(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal as stderr. Not a fixture, since pytest replaces stderr between the fixtures and the test."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


def test_a_bar_moves_with_each_result_after_thousands_from_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """tqdm itself would not draw the next five thousand, and would show the rate of those of the ledger."""
    terminal = patched(monkeypatch)
    time = Time()
    meter = Meter(True, 6000, clock=time.clock)
    meter._bar._clock = time.clock  # type: ignore[union-attr]
    for _ in range(5000):
        time.now += 0.0002
        meter.count(failed=False, from_ledger=True)
        meter.show()
    for done in range(5001, 5011):
        time.now += 1
        meter.count(failed=False, from_ledger=False)
        meter.show()
        assert f"{done}/6000" in terminal.drawn[-1]
    assert "  1.10s/run, 0 failed, 0 running]" in terminal.drawn[-1]
    assert "?run/s" in terminal.drawn[-11], "results from the ledger have no rate"


def test_a_bar_is_drawn_ten_times_a_second_at_most_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = patched(monkeypatch)
    time = Time()
    bar = ProgressBar(tqdm.tqdm, 1000, clock=time.clock)
    before = len(terminal.drawn)
    for done in range(1000):
        time.now += 0.001
        bar.show(MapProgress(done=done, total=1000))
    assert 9 <= len(terminal.drawn) - before <= 11
    bar.show(MapProgress(done=998, failed=2, in_flight=0, total=1000, rate=3.0), last=True)
    assert "1000/1000" in terminal.drawn[-1] and "2 failed, 0 running" in terminal.drawn[-1]


def test_a_bar_without_a_total_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = patched(monkeypatch)
    bar = ProgressBar(tqdm.tqdm, None)
    bar.show(MapProgress(done=3, failed=1, in_flight=16, rate=2.0))
    assert terminal.drawn[-1].startswith("4run [") and "2.00run/s, 1 failed, 16 running" in terminal.drawn[-1]
    bar.show(MapProgress(done=4, failed=1), last=True)


def test_a_bar_says_that_the_map_waits_for_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = patched(monkeypatch)
    when = datetime.datetime(2026, 3, 1, 4, 5, 6)
    outage = ServerOutage(since=when, reason="502 Bad Gateway", next_try=when)
    bar = ProgressBar(tqdm.tqdm, 10)
    bar.show(MapProgress(done=1, in_flight=3, waiting_for=outage))
    assert "0 failed, 3 running, waiting for the server since 04:05:06" in terminal.drawn[-1]
    bar.show(MapProgress(done=2), last=True)
    assert "waiting" not in terminal.drawn[-1]


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = patched(monkeypatch)
    meter = Meter(True, 4)
    for number in range(4):
        meter.count(failed=number == 2, from_ledger=False)
        meter.show(last=number == 3)
    assert "4/4" in terminal.drawn[-1] and "1 failed, 0 running" in terminal.drawn[-1]
    assert "langgraph_runs:" not in terminal.getvalue()


class Shell:
    config = ("IPKernelApp",)


@pytest.mark.parametrize("widgets", [True, False], ids=["widgets", "text"])
def test_a_notebook_gets_a_bar_though_it_is_no_terminal(monkeypatch: pytest.MonkeyPatch, widgets: bool) -> None:
    """That of tqdm.auto: a widget where the notebook has widgets."""
    stderr = io.StringIO()
    made: List[Any] = []

    class Chosen(tqdm.tqdm):  # type: ignore[misc, name-defined]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            made.append(self)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=Shell))
    monkeypatch.setitem(sys.modules, "tqdm.auto", types.SimpleNamespace(tqdm=Chosen if widgets else tqdm.tqdm))
    meter = Meter(True, 4)
    meter.count(failed=False, from_ledger=False)
    meter.show(last=True)
    assert (1 if widgets else 0) == len(made)
    assert "1/4" in stderr.getvalue()

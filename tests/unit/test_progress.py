"""The progress of a map: its numbers, the bar and the lines."""

from __future__ import annotations

import io
import sys
import threading
from typing import List

import pytest

from langgraph_runs import MapProgress
from langgraph_runs.batch.progress import Meter

from .played import Time


@pytest.fixture
def time() -> Time:
    return Time()


def test_the_rate_is_that_of_the_last_half_minute(time: Time) -> None:
    meter = Meter(None, 1000, clock=time.clock)
    for _ in range(100):  # one in a second, then ten
        time.now += 1
        meter.count(failed=False, from_ledger=False)
        meter.now()
    assert 1.0 == meter.now().rate
    for _ in range(40):
        time.now += 1
        for _ in range(10):
            meter.count(failed=False, from_ledger=False)
        meter.now()
    now = meter.now()
    assert (500, 10.0, 50.0, 140.0) == (now.done, now.rate, now.seconds_left, now.elapsed)


def test_results_from_the_ledger_do_not_count_for_the_rate(time: Time) -> None:
    meter = Meter(None, 10, clock=time.clock)
    for _ in range(8):
        meter.count(failed=False, from_ledger=True)
    time.now += 4
    meter.count(failed=True, from_ledger=False)
    now = meter.now()
    assert (0.25, 4.0) == (now.rate, now.seconds_left)


@pytest.mark.parametrize(
    ("seconds", "text"), [(20, "20 s left"), (600, "10 min left"), (3 * 3600 + 1500, "3 h 25 min left")], ids=str
)
def test_times_are_rounded_to_one_or_two_units(seconds: float, text: str) -> None:
    assert str(MapProgress(total=100, rate=100 / seconds)).endswith(text)
    assert "left" not in str(MapProgress(rate=3.0))


def test_a_line_is_printed_every_five_seconds(time: Time, capsys: pytest.CaptureFixture[str]) -> None:
    meter = Meter(True, None, clock=time.clock)
    for _ in range(11):
        time.now += 1
        meter.count(failed=False, from_ledger=False)
        meter.show()
    assert [
        "langgraph_runs: 5, 0 in flight, 1.0/s",
        "langgraph_runs: 10, 0 in flight, 1.0/s",
    ] == capsys.readouterr().err.splitlines()
    meter.show(last=True)
    assert "langgraph_runs: 11," in capsys.readouterr().err


def test_a_terminal_without_tqdm_gets_lines(monkeypatch: pytest.MonkeyPatch, time: Time) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setitem(sys.modules, "tqdm", None)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    Meter(True, 4, clock=time.clock).show(last=True)
    assert "langgraph_runs: 0 of 4, 0 in flight, 0.0/s\n" == terminal.getvalue()


def test_a_signal_handler_may_read_the_progress_while_its_thread_does() -> None:
    """The clock stands for the handler, of SIGUSR1 for example."""
    read: List[MapProgress] = []

    def clock() -> float:
        if threading.current_thread() is thread and not read:
            read.append(MapProgress(done=0, failed=0, from_ledger=0, in_flight=0, total=None, rate=0.0, elapsed=0.0))
            read.append(meter.now())
        return 0.0

    thread = threading.Thread(target=lambda: meter.now(), daemon=True)
    meter = Meter(None, 3, clock=clock)
    thread.start()
    thread.join(5)
    assert [None, 3] == [progress.total for progress in read], "the handler blocks on a lock that its own thread holds"

"""The parts of a map, each alone: the brake, the threads, the inputs, the numbers of its progress, errors in writing."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from langgraph_runs import (
    APIConnectionError,
    BatchResult,
    DeadlineExceededError,
    LangGraphRunsError,
    LedgerError,
    MapProgress,
    NotFoundError,
    ResponseDecodeError,
    RunCancelledError,
    RunFailedError,
    RunsCreatePayload,
    errors,
)
from langgraph_runs.batch.concurrency import ConcurrencyLimit
from langgraph_runs.batch.inputs import InputReader
from langgraph_runs.batch.progress import Meter
from langgraph_runs.batch.results import ResultBuffer, error_from, error_text
from langgraph_runs.batch.thread_pool import DaemonThreadPool

from .played import Time

ROOT = Path(__file__).resolve().parent.parent.parent


# -- the brake


@pytest.fixture
def time() -> Time:
    return Time()


def brake_of(time: Time, concurrency: int = 16) -> ConcurrencyLimit:
    return ConcurrencyLimit(concurrency, wait_initial=0.5, wait_max=8.0, longest=60.0, clock=time.clock)


def test_a_refusal_holds_all_back_and_halves_them(time: Time) -> None:
    brake = brake_of(time)
    assert (16, 0.0) == (brake.limit, brake.seconds_left())
    assert 3.0 == brake.refused(3.0)
    time.now += 1
    assert (8, 2.0) == (brake.limit, brake.seconds_left())


def test_refusals_of_what_was_sent_before_count_as_one(time: Time) -> None:
    brake = brake_of(time)
    for _ in range(10):
        brake.refused(2.0)
    assert (8, 2.0) == (brake.limit, brake.seconds_left())


def test_without_a_time_from_the_server_the_wait_doubles(time: Time) -> None:
    brake, waits = brake_of(time), []
    for _ in range(7):
        waits.append(brake.refused())
        time.now += waits[-1]
    assert [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0] == waits
    assert 1 == brake.limit


def test_no_wait_is_longer_than_the_policy_allows(time: Time) -> None:
    assert 60.0 == brake_of(time).refused(3600.0)


def test_it_grows_by_one_for_each_round_that_went_well(time: Time) -> None:
    brake = brake_of(time, 4)
    brake.refused(1.0)
    time.now += 1
    limits = []
    for _ in range(12):
        brake.succeeded()
        limits.append(brake.limit)
    assert [2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4] == limits
    assert 0.5 == brake.refused()  # and the waits begin anew


# -- the threads


def test_hands_do_what_they_are_given_and_no_more_at_once() -> None:
    hands, gate, lock = DaemonThreadPool(3, "test-hands"), threading.Event(), threading.Lock()
    now = most = 0

    def work(n: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        gate.wait(20)
        with lock:
            now -= 1
        return n

    futures = [hands.submit(work, n) for n in range(10)]
    assert futures[9].cancel()
    gate.set()
    assert list(range(9)) == [future.result(20) for future in futures[:9]]
    assert 3 >= most
    with pytest.raises(ZeroDivisionError):
        hands.submit(divmod, 1, 0).result(20)
    hands.close()


def test_hands_that_rest_are_used_again() -> None:
    hands = DaemonThreadPool(8, "test-hands")
    for n in range(20):
        assert n == hands.submit(int, n).result(20)
    assert len(hands._threads) <= 3  # a result may be there before its thread is free again
    hands.close()


def test_hands_do_it_themselves_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the end of a program."""

    def refuse(_: Any) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    hands = DaemonThreadPool(2, "test-hands")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert 8 == hands.submit(pow, 2, 3).result(0)
    assert 9 == hands.submit(pow, 3, 2).result(20)
    hands.close()


# -- inputs


def items(inputs: Any, **options: Any) -> list[Any]:
    read = InputReader(inputs, {}, key=None, digests=True, **options)
    found = []
    while True:
        item = read.read()
        if item is None:
            return found
        found.append(item)


def test_the_same_input_has_the_same_digest_in_every_process() -> None:
    given: Any = {"b": [1, 2.5, 1e300, "é\u2028"], "a": {"y": None, "x": True}}
    (item,) = items([given])
    code = f"""
import json, sys
sys.modules["orjson"] = None
from langgraph_runs.batch.inputs import InputReader
print(InputReader([dict(reversed(list(json.loads({json.dumps(given)!r}).items())))], {{}}, key=None, digests=True).read().digest)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert item.digest == done.stdout.strip()
    assert 32 == len(item.digest)


def test_digests_tell_inputs_apart_and_nothing_else() -> None:
    one, same, other, payload, more = items(
        [{"n": 1}, ("key", {"n": 1}), {"n": 2}, RunsCreatePayload(input={"n": 1}), RunsCreatePayload(input={"n": 1}, metadata={})]
    )
    assert one.digest == same.digest == payload.digest
    assert 3 == len({one.digest, other.digest, more.digest})


def test_any_json_is_an_input() -> None:
    given = ["text", 3, [1, 2], ["a", 2], ("a", "b", "c"), None, True]
    assert given == [item.given for item in items(given)]
    assert [None] * len(given) == [item.key for item in items(given)]


# -- progress


def test_the_rate_is_that_of_late(time: Time) -> None:
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


def test_what_was_read_back_does_not_make_it_look_fast(time: Time) -> None:
    meter = Meter(None, 10, clock=time.clock)
    for _ in range(8):
        meter.count(failed=False, from_ledger=True)
    time.now += 4
    meter.count(failed=True, from_ledger=False)
    now = meter.now()
    assert (0.25, 4.0) == (now.rate, now.seconds_left)


@pytest.mark.parametrize(
    ("seconds", "told"), [(20, "20 s left"), (600, "10 min left"), (3 * 3600 + 1500, "3 h 25 min left")], ids=str
)
def test_times_are_told_as_people_do(seconds: float, told: str) -> None:
    assert str(MapProgress(total=100, rate=100 / seconds)).endswith(told)
    assert "left" not in str(MapProgress(rate=3.0))


def test_a_line_comes_every_few_seconds(time: Time, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, time: Time) -> None:
    pytest.importorskip("tqdm")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    meter = Meter(True, 4, clock=time.clock)
    for n in range(4):
        meter.count(failed=n == 2, from_ledger=False)
        meter.show(last=n == 3)
    assert "4/4" in terminal.getvalue() and "failed=1" in terminal.getvalue()
    assert "langgraph_runs:" not in terminal.getvalue()


def test_a_terminal_without_tqdm_gets_lines(monkeypatch: pytest.MonkeyPatch, time: Time) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setitem(sys.modules, "tqdm", None)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    Meter(True, 4, clock=time.clock).show(last=True)
    assert "langgraph_runs: 0 of 4, 0 in flight, 0.0/s\n" == terminal.getvalue()


# -- results


@pytest.mark.parametrize(
    "error",
    [
        RunFailedError("ValueError", "no ink", run_id="r", thread_id="t"),
        RunCancelledError("the run was cancelled", values={"n": 1}, run_id="r"),
        NotFoundError("Not Found", status_code=404, body={"detail": "x"}, headers={"a": "b"}, request_id="q"),
        DeadlineExceededError("not done within timeout=2 s", timeout=2.0, attempts=3),
        APIConnectionError("cut", sent=True),
        ResponseDecodeError("another shape", problems=["$.x: y"]),
        LedgerError("changed \ud800"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_that_is_written_down_can_be_read_again(error: LangGraphRunsError) -> None:
    again = error_from(error_text(error))
    assert (type(error), str(error), error.run_id, error.thread_id, error.attempts) == (
        type(again),
        str(again),
        again.run_id,
        again.thread_id,
        again.attempts,
    )
    assert [] == [name for name in vars(error) if not hasattr(again, name)], "an attribute is missing"
    assert repr(again)
    for name in ("error", "message", "status_code", "timeout", "sent"):
        assert getattr(error, name, None) == getattr(again, name, None)


def test_an_error_of_a_newer_version_is_read_as_the_root() -> None:
    again = error_from('{"class": "NewerError", "text": "odd"}')
    assert (LangGraphRunsError, "odd") == (type(again), str(again))
    assert LangGraphRunsError is type(error_from('{"class": "Sequence", "text": "odd"}'))
    assert hasattr(errors, "Sequence")


def test_results_in_order_wait_for_their_turn() -> None:
    outlet = ResultBuffer(ordered=True)
    for index in (2, 1):
        outlet.put(BatchResult(index=index))
    assert (0, 2) == (outlet.ready, len(outlet))
    outlet.put(BatchResult(index=0))
    assert [0, 1, 2] == [outlet.pop().index for _ in range(3)]
    assert (0, 3) == (len(outlet), outlet.turn)

"""``client.runs.map`` and ``join_all`` against a fake server with faults: requests, results, and what is left on the server."""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import pytest

from langgraph_runs import (
    AbortController,
    AbortedError,
    AuthenticationError,
    BatchResult,
    Client,
    DeadlineExceededError,
    InvalidRequestError,
    LangGraphRunsError,
    Ledger,
    LedgerError,
    MapProgress,
    RateLimitError,
    RetryPolicy,
    RunCancelledError,
    RunFailedError,
    RunMap,
    RunsCreatePayload,
    RunsWaitPayload,
    read_table,
)
from langgraph_runs.batch.ledger import sqlite_file

from .calls import body_of
from .fake_langgraph import FakeLangGraph, FakeRun, GraphFailure, Paused
from .replies import drop_before_answer, reply_json

Connect = Callable[..., Client]
#: Seconds. Longer than anything here takes, also on a busy machine.
TIMEOUT = 20.0


class Doubler:
    """A graph that doubles ``n``. It blocks runs while its gate is closed, and counts the runs at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seen: list[int] = []
        self.running = self.maximum = 0
        self.gate = threading.Event()
        self.gate.set()
        #: Inputs that are blocked although the gate is open.
        self.blocked: set[int] = set()

    def __call__(self, run: FakeRun) -> Any:
        n = run.input["n"]
        with self.lock:
            self.seen.append(n)
            self.running += 1
            self.maximum = max(self.maximum, self.running)
        try:
            end = time.monotonic() + TIMEOUT
            while (n in self.blocked or not self.gate.is_set()) and not run.cancelled.is_set() and time.monotonic() < end:
                run.cancelled.wait(0.01)
            if n < 0:
                raise GraphFailure("ValueError", f"{n} is below 0")
            return {"doubled": 2 * n}
        finally:
            with self.lock:
                self.running -= 1

    def wait_for(self, count: int) -> None:
        end = time.monotonic() + TIMEOUT
        while len(self.seen) < count:
            assert time.monotonic() < end, f"{len(self.seen)} of {count} runs were started"
            time.sleep(0.005)


@pytest.fixture
def doubler() -> Doubler:
    return Doubler()


@pytest.fixture
def server(doubler: Doubler) -> Iterator[FakeLangGraph]:
    with FakeLangGraph(doubler) as server:
        yield server
        doubler.gate.set()
        doubler.blocked.clear()


@pytest.fixture
def client(server: FakeLangGraph, connect: Connect) -> Client:
    return connect(server.url)


def numbers(*given: int) -> list[dict[str, int]]:
    return [{"n": n} for n in given]


def count_requests(server: FakeLangGraph, method: str, ending: str = "") -> int:
    return sum(request.method == method and request.path.endswith(ending) for request in server.requests)


# -- results


def test_each_input_has_one_result_and_leaves_no_thread(client: Client, server: FakeLangGraph) -> None:
    inputs = numbers(*range(30))
    results = list(client.runs.map("agent", inputs, concurrency=7))
    assert list(range(30)) == sorted(result.index for result in results)
    for result in results:
        assert {"doubled": 2 * result.index} == result.values == result.get()
        assert inputs[result.index] is result.input
        assert result.run is not None and result.run.run_id == result.run_id
        assert (None, True, 1, False, False) == (
            result.error,
            result.succeeded,
            result.attempts,
            result.paused,
            result.from_ledger,
        )
    assert {} == server.threads
    assert (30, 30) == (count_requests(server, "POST", "/wait"), count_requests(server, "DELETE"))


def test_no_more_runs_than_concurrency_are_in_flight(client: Client, doubler: Doubler) -> None:
    doubler.gate.clear()
    results = client.runs.map("agent", (numbers(n)[0] for n in itertools.count()), concurrency=5)
    opener = threading.Thread(target=lambda: (doubler.wait_for(5), doubler.gate.set()))
    opener.start()
    with results:
        assert 40 == len(list(itertools.islice(results, 40)))
    opener.join()
    assert 5 == doubler.maximum


def test_inputs_are_read_no_faster_than_runs_end(client: Client, doubler: Doubler) -> None:
    read = 0

    def source() -> Iterator[dict[str, int]]:
        nonlocal read
        for n in itertools.count():
            read += 1
            yield {"n": n}

    with client.runs.map("agent", source(), concurrency=4) as results:
        for count, _ in zip(range(1, 21), results):
            assert count <= read <= count + 2 * 4
    assert read <= 28


def test_ordered_results_come_in_the_order_of_the_inputs(client: Client, doubler: Doubler) -> None:
    doubler.blocked.add(0)
    results = client.runs.map("agent", numbers(*range(40)), concurrency=3, ordered=True)
    opener = threading.Thread(target=lambda: (doubler.wait_for(12), doubler.blocked.clear()))
    opener.start()
    assert list(range(40)) == [result.index for result in results]
    opener.join()


def test_ordered_results_wait_for_a_slow_input_with_a_window_of_four_times_the_concurrency(
    client: Client, doubler: Doubler
) -> None:
    doubler.blocked.add(0)
    read: list[int] = []
    inputs = (read.append(n) or {"n": n} for n in range(100))
    controller = AbortController()
    results = client.runs.map("agent", inputs, concurrency=3, ordered=True, signal=controller.signal)
    ender = threading.Thread(target=lambda: (doubler.wait_for(12), controller.abort("enough")))
    ender.start()
    with pytest.raises(AbortedError, match="enough"):
        next(results)
    ender.join()
    assert list(range(12)) == read


def test_a_failed_run_is_a_result_with_its_error(client: Client, server: FakeLangGraph) -> None:
    bad, good = sorted(client.runs.map("agent", numbers(-1, 2)), key=lambda result: result.index)
    assert isinstance(bad.error, RunFailedError)
    assert ("ValueError", "-1 is below 0") == (bad.error.error, bad.error.message)
    assert good.succeeded and not bad.succeeded
    with pytest.raises(RunFailedError):
        bad.get()
    assert {} == server.threads


@pytest.mark.parametrize(("keep", "left"), [(False, 0), (True, 2), ("failed", 1)])
def test_threads_are_kept_on_request(client: Client, server: FakeLangGraph, keep: Any, left: int) -> None:
    results = list(client.runs.map("agent", numbers(-1, 2), keep_threads=keep))
    assert left == len(server.threads)
    assert set(server.threads) <= {result.thread_id for result in results}


def test_a_run_that_waits_for_a_human_keeps_its_thread(connect: Connect, tmp_path: Path) -> None:
    question = {"value": "Send this?", "id": "1"}
    with FakeLangGraph(lambda run: Paused({"n": 1, "__interrupt__": [question]}, interrupts=(question,))) as server:
        (unverified,) = connect(server.url, verify_outcome=False).runs.map("agent", numbers(1))
        assert unverified.paused and unverified.thread_id in server.threads
        for ledger in (None, tmp_path / "jobs.sqlite"):
            (result,) = connect(server.url).runs.map("agent", numbers(1), ledger=ledger)
            assert result.paused and result.succeeded and result.thread_id in server.threads
        (again,) = connect(server.url).runs.map("agent", numbers(1), ledger=ledger)
        assert again.paused and again.from_ledger and again.thread_id == result.thread_id


def test_on_error_raise_raises_the_first_error_and_leaves_nothing(client: Client, server: FakeLangGraph, doubler: Doubler) -> None:
    doubler.blocked.update(range(1, 4))
    results = client.runs.map("agent", [*numbers(1, 2, 3), *({"n": -n} for n in range(1, 9))], concurrency=4, on_error="raise")
    with pytest.raises(RunFailedError, match="below 0"):
        list(results)
    assert [] == list(results)
    assert {} == server.threads


def test_on_error_stop_starts_nothing_more_and_returns_what_was_started(client: Client, doubler: Doubler) -> None:
    doubler.blocked.add(1)
    results = client.runs.map("agent", [*numbers(1, -2), *numbers(*range(3, 100))], concurrency=2, on_error="stop")
    seen = []
    for result in results:
        seen.append(result.index)
        if not result.succeeded:
            doubler.blocked.clear()
    assert {0, 1} <= set(seen) and len(seen) < 10
    assert len(doubler.seen) == len(seen)


# -- inputs


def test_fields_of_a_payload_take_precedence_over_options(client: Client, server: FakeLangGraph) -> None:
    inputs: list[Any] = [RunsCreatePayload(input={"n": 1}, metadata={"mine": 1}), RunsWaitPayload(input={"n": 2}), {"n": 3}]
    list(client.runs.map("agent", inputs, concurrency=1, metadata={"common": 1}, config={"tags": ["t"]}, headers={"x-own": "1"}))
    posts = [request for request in server.requests if request.method == "POST"]
    assert [{"mine": 1}, {"common": 1}, {"common": 1}] == [body_of(request)["metadata"] for request in posts]
    for n, request in enumerate(posts, 1):
        body = body_of(request)
        assert ("create", "reject", "agent", {"n": n}, {"tags": ["t"]}) == (
            body["if_not_exists"],
            body["multitask_strategy"],
            body["assistant_id"],
            body["input"],
            body["config"],
        )
        assert "1" == request.header("x-own")
    assert 3 == len({request.path for request in posts})


def test_a_tuple_of_a_text_and_an_input_is_a_key_and_its_input(client: Client) -> None:
    results = {result.key: result.input for result in client.runs.map("agent", {"a": {"n": 1}, "b": {"n": 2}}.items())}
    assert {"a": {"n": 1}, "b": {"n": 2}} == results
    assert [None] == [result.key for result in client.runs.map("agent", numbers(1))]
    assert ["7"] == [result.key for result in client.runs.map("agent", numbers(7), key=lambda one: one["n"])]


@pytest.mark.parametrize(
    "bad",
    [
        {"n": float("nan")},
        RunsCreatePayload(input={"n": 1}, multitask_strategy="enqueue"),
        ("", {"n": 1}),
        object(),
    ],
    ids=["nan", "strategy", "empty key", "object"],
)
def test_an_input_that_cannot_be_sent_has_a_result_with_the_error(client: Client, server: FakeLangGraph, bad: Any) -> None:
    for ledger in (None, "x.sqlite"):
        given: dict[str, Any] = {} if ledger is None else {"ledger": os.path.join(os.environ["PYTEST_TMP"], ledger)}
        results = sorted(client.runs.map("agent", [{"n": 1}, bad], **given), key=lambda result: result.index)
        assert results[0].succeeded
        assert isinstance(results[1].error, InvalidRequestError)
    assert 2 == count_requests(server, "POST", "/wait")


@pytest.fixture(autouse=True)
def _temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTEST_TMP", str(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurrency": 0}, "concurrency=0"),
        ({"on_error": "ignore"}, "on_error='ignore'"),
        ({"on_interrupt": "leave"}, "on_interrupt='leave'"),
        ({"keep_threads": "some"}, "keep_threads='some'"),
        ({"timeout": 3}, "timeout_each"),
        ({"timeout_each": -1}, "timeout_each=-1"),
        ({"executor": 3}, "executor=3"),
        ({"progress": "bar"}, "progress='bar'"),
        ({"ledger": ":memory:"}, "ledger=':memory:'"),
        ({"ledger": 3}, "ledger=3"),
        ({"key": "id"}, "key='id'"),
        ({"multitask_strategy": "enqueue"}, "multitask_strategy"),
        ({"metadata": {"x": float("nan")}}, r"\$.metadata.x"),
        ({"nonsense": 1}, "no option 'nonsense'"),
    ],
)
def test_wrong_arguments_are_refused_at_once(client: Client, server: FakeLangGraph, options: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        client.runs.map("agent", numbers(1), **options)
    assert [] == server.requests


@pytest.mark.parametrize("inputs", [{"a": {"n": 1}}, "text", 3])
def test_inputs_must_be_an_iterable_of_inputs(client: Client, inputs: Any) -> None:
    with pytest.raises(InvalidRequestError, match="inputs: give"):
        client.runs.map("agent", inputs)


def test_an_exception_of_the_iterable_reaches_the_caller_and_nothing_is_left(
    client: Client, server: FakeLangGraph, doubler: Doubler
) -> None:
    doubler.gate.clear()

    def source() -> Iterator[Any]:
        yield {"n": 1}
        doubler.wait_for(0)
        raise KeyError("a row is missing")

    with pytest.raises(KeyError, match="a row is missing"):
        list(client.runs.map("agent", source()))
    assert {} == server.threads


# -- stopping early


def leaves_nothing(server: FakeLangGraph, doubler: Doubler) -> None:
    server.wait_until(lambda: not server.threads, "all threads to be deleted")
    assert 0 == sum(run.status in ("pending", "running") for run in server.runs.values())


def test_a_break_cancels_what_is_in_flight(client: Client, server: FakeLangGraph, doubler: Doubler) -> None:
    doubler.blocked.update(range(1, 1000))
    for result in client.runs.map("agent", (numbers(n)[0] for n in itertools.count()), concurrency=6):
        assert 0 == result.index
        break
    gc.collect()
    leaves_nothing(server, doubler)
    assert len(doubler.seen) <= 7


def test_a_signal_stops_a_map_that_waits(client: Client, server: FakeLangGraph, doubler: Doubler) -> None:
    doubler.gate.clear()
    controller = AbortController()
    ender = threading.Thread(target=lambda: (doubler.wait_for(4), controller.abort("the user went away")))
    ender.start()
    with pytest.raises(AbortedError, match="the user went away"):
        list(client.runs.map("agent", numbers(*range(9)), concurrency=4, signal=controller.signal))
    ender.join()
    leaves_nothing(server, doubler)


def test_ctrl_c_cancels_and_leaves_the_ledger_correct(
    client: Client, server: FakeLangGraph, doubler: Doubler, tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path / "jobs.sqlite")
    doubler.blocked.update(range(3, 1000))
    seen = []
    with pytest.raises(KeyboardInterrupt):
        with client.runs.map("agent", numbers(*range(9)), concurrency=4, ledger=ledger) as results:
            for result in results:
                seen.append(result.index)
                if len(seen) == 3:
                    raise KeyboardInterrupt
    leaves_nothing(server, doubler)
    counts = ledger.counts()
    assert (3, 0, 0) == (counts["done"], counts["started"], counts["failed"])
    doubler.blocked.clear()
    again = list(client.runs.map("agent", numbers(*range(9)), ledger=ledger))
    assert [{"doubled": 2 * n} for n in range(9)] == [one.values for one in sorted(again, key=lambda one: one.index)]
    assert set(seen) == {one.index for one in again if one.from_ledger}
    assert {} == server.threads


def test_detached_runs_go_on_and_the_next_map_joins_them(
    client: Client, server: FakeLangGraph, doubler: Doubler, tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path / "jobs.sqlite")
    doubler.gate.clear()
    controller = AbortController()
    ender = threading.Thread(target=lambda: (doubler.wait_for(4), controller.abort()))
    ender.start()
    with pytest.raises(AbortedError):
        list(client.runs.map("agent", numbers(*range(4)), ledger=ledger, signal=controller.signal, on_interrupt="detach"))
    ender.join()
    assert {"pending": 0, "started": 4, "done": 0, "failed": 0} == ledger.counts()
    assert 4 == len(server.threads)
    doubler.gate.set()
    again = list(client.runs.map("agent", numbers(*range(4)), ledger=ledger))
    assert [{"doubled": 2 * n} for n in range(4)] == [one.values for one in sorted(again, key=lambda one: one.index)]
    assert [2] * 4 == [one.attempts for one in again]
    assert 4 == len(doubler.seen)
    assert {} == server.threads


def test_an_input_over_its_timeout_is_cancelled(client: Client, server: FakeLangGraph, doubler: Doubler, tmp_path: Path) -> None:
    doubler.blocked.add(1)
    for ledger in (None, tmp_path / "jobs.sqlite"):
        results = {one.index: one for one in client.runs.map("agent", numbers(0, 1), timeout_each=0.5, ledger=ledger)}
        assert results[0].succeeded
        assert isinstance(results[1].error, DeadlineExceededError)
        leaves_nothing(server, doubler)


# -- refusals and faults


def test_a_refused_input_is_sent_again_and_run_once(client: Client, server: FakeLangGraph, doubler: Doubler) -> None:
    for _ in range(3):
        server.instead("POST", "/threads/*/runs/wait", reply_json(429, {"detail": "slow down"}, {"Retry-After": "0"}))
    results = list(client.runs.map("agent", numbers(*range(8)), concurrency=4))
    assert all(result.succeeded for result in results)
    assert 11 == sum(result.attempts for result in results)
    assert 8 == len(doubler.seen)


def test_a_refusal_pauses_the_whole_map(server: FakeLangGraph, connect: Connect, doubler: Doubler) -> None:
    retries: list[Any] = []
    client = connect(server.url, retry=RetryPolicy(wait_initial=0.001, on_retry=retries.append))
    server.instead("POST", "/threads/*/runs/wait", reply_json(503, {"detail": "full"}, {"Retry-After": "1"}))
    with client.runs.map("agent", numbers(*range(6)), concurrency=1) as results:
        started = time.monotonic()
        assert 0 == next(results).index
        assert time.monotonic() - started >= 1.0
        assert 5 == len(list(results))
    assert [(2, 503)] == [(one.attempt, one.error.status_code) for one in retries]
    assert retries[0].wait > 0.9


@pytest.mark.parametrize("budget", [0, 100])
def test_no_number_of_refusals_uses_up_an_input(server: FakeLangGraph, connect: Connect, doubler: Doubler, budget: int) -> None:
    client = connect(server.url, retry=RetryPolicy(wait_initial=0.001, wait_max=0.001, budget=budget))
    for _ in range(20):
        server.instead("POST", "/threads/*/runs/wait", reply_json(429, {"detail": "slow down"}))
    results = list(client.runs.map("agent", numbers(1, 2), concurrency=2))
    assert all(result.succeeded for result in results)
    assert 22 == sum(result.attempts for result in results) == count_requests(server, "POST", "/wait")
    leaves_nothing(server, doubler)


@pytest.mark.parametrize(("budget", "attempts"), [(0, [1, 1]), (100, [3, 3])])
def test_attempts_and_the_budget_bound_the_creates_of_a_map(
    server: FakeLangGraph, connect: Connect, budget: int, attempts: list[int]
) -> None:
    """Each input is sent at most ``attempts`` times, and all inputs together are repeated at most ``budget`` times."""
    client = connect(server.url, retry=RetryPolicy(attempts=3, wait_initial=0.001, wait_max=0.001, budget=budget))
    for _ in range(20):
        server.instead("POST", "/threads/*/runs/wait", reply_json(500, {"detail": "a defect"}))
    results = list(client.runs.map("agent", numbers(1, 2), concurrency=2))
    assert attempts == sorted(result.attempts for result in results)
    assert sum(attempts) == count_requests(server, "POST", "/wait")


@pytest.mark.parametrize("faults", [1, 2, 5])
def test_a_lost_response_makes_no_second_run(client: Client, server: FakeLangGraph, doubler: Doubler, faults: int) -> None:
    for _ in range(faults):
        server.instead("POST", "/threads/*/runs/wait", drop_before_answer())
    results = list(client.runs.map("agent", numbers(*range(6)), concurrency=3))
    assert all(result.succeeded for result in results)
    assert 6 == len(doubler.seen) == len(set(doubler.seen))


@pytest.mark.parametrize("path", ["/threads/*/runs/*", "/threads/*/runs/*/join"])
def test_a_refusal_after_the_run_was_created_makes_no_second_run(
    client: Client, server: FakeLangGraph, doubler: Doubler, path: str
) -> None:
    """Although the run may have ended by then, so that the server would accept another one."""
    for _ in range(3):
        if path.endswith("join"):
            server.instead("POST", "/threads/*/runs/wait", drop_before_answer())
        server.instead("GET", path, reply_json(429, {"detail": "slow down"}))
    results = list(client.runs.map("agent", numbers(*range(6)), concurrency=3))
    assert all(result.succeeded for result in results)
    assert 6 == len(doubler.seen) == len(set(doubler.seen))
    assert 6 == sum(result.attempts for result in results)


class LosingExecutor(ThreadPoolExecutor):
    """Runs the third task and loses its result."""

    def __init__(self) -> None:
        super().__init__(4)
        self._submitted = 0

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Any:
        self._submitted += 1
        if self._submitted != 3:
            return super().submit(function, *arguments, **more)

        def lost() -> None:
            function(*arguments)
            raise OSError("the worker is lost")

        return super().submit(lost)


def test_an_executor_that_loses_a_worker_stops_the_map_and_nothing_is_left(
    client: Client, server: FakeLangGraph, doubler: Doubler
) -> None:
    doubler.blocked.update((0, 1, 3))
    with LosingExecutor() as pool:
        with pytest.raises(LangGraphRunsError, match="the executor failed: OSError: the worker is lost") as caught:
            list(client.runs.map("agent", numbers(*range(9)), concurrency=4, executor=pool))
        assert isinstance(caught.value.__cause__, OSError)
    leaves_nothing(server, doubler)


def test_a_wrong_api_key_fails_no_input_for_good(client: Client, server: FakeLangGraph, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "jobs.sqlite")
    server.instead("POST", "/threads/*/runs/wait", reply_json(401, {"detail": "Invalid API key"}))
    (result,) = client.runs.map("agent", numbers(1), ledger=ledger)
    assert isinstance(result.error, AuthenticationError)
    assert {"pending": 1, "started": 0, "done": 0, "failed": 0} == ledger.counts()
    assert isinstance(next(ledger.entries()).error, AuthenticationError)
    (again,) = client.runs.map("agent", numbers(1), ledger=ledger)
    assert again.succeeded and not again.from_ledger


# -- the ledger


def test_the_same_call_again_runs_nothing(client: Client, server: FakeLangGraph, doubler: Doubler, tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    inputs = [("a", {"n": 1}), ("b", {"n": -2}), ("c", {"n": 3})]
    first = sorted(client.runs.map("agent", inputs, ledger=path), key=lambda one: one.index)
    again = sorted(client.runs.map("agent", iter(inputs), ledger=str(path)), key=lambda one: one.index)
    assert 3 == len(doubler.seen)
    for one, other in zip(first, again):
        assert (one.key, one.values, one.run_id, str(one.error), one.index) == (
            other.key,
            other.values,
            other.run_id,
            str(other.error),
            other.index,
        )
        assert (False, True) == (one.from_ledger, other.from_ledger)
    assert isinstance(again[1].error, RunFailedError) and "ValueError" == again[1].error.error
    assert ["jobs.sqlite"] == os.listdir(tmp_path)


def test_equal_inputs_without_keys_are_each_run(client: Client, doubler: Doubler, tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    inputs: list[Any] = [{"n": 1, "m": 2}, {"m": 2, "n": 1}, {"n": 3}, RunsCreatePayload(input={"n": 1, "m": 2})]
    keys = [one.key for one in client.runs.map("agent", inputs, ledger=path, ordered=True)]
    assert [keys[0], f"{keys[0]}-2", f"{keys[0]}-3"] == [keys[0], keys[1], keys[3]]
    assert 4 == len(set(keys))
    assert [1, 1, 1, 3] == sorted(doubler.seen)
    again = client.runs.map("agent", reversed(inputs), ledger=path)
    assert all(one.from_ledger for one in again)
    assert 4 == len(doubler.seen)


def test_a_repeated_key_is_an_error_of_the_second_input(client: Client, doubler: Doubler, tmp_path: Path) -> None:
    results = list(client.runs.map("agent", [("a", {"n": 1}), ("a", {"n": 1})], ledger=tmp_path / "jobs.sqlite", ordered=True))
    assert results[0].succeeded
    assert isinstance(results[1].error, InvalidRequestError)
    assert "given before" in str(results[1].error)
    assert [1] == doubler.seen


def test_a_changed_input_under_the_same_key_is_refused(client: Client, doubler: Doubler, tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    list(client.runs.map("agent", [("a", {"n": 1})], ledger=path))
    (result,) = client.runs.map("agent", [("a", {"n": 2})], ledger=path)
    assert isinstance(result.error, LedgerError)
    assert "the input with the key 'a' has changed" in str(result.error)
    assert [1] == doubler.seen


def test_a_ledger_of_another_assistant_or_server_is_refused(client: Client, connect: Connect, tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    list(client.runs.map("agent", numbers(1), ledger=path))
    with pytest.raises(LedgerError, match="is for another assistant: agent, not other"):
        client.runs.map("other", numbers(1), ledger=path)
    with pytest.raises(LedgerError, match="is for another server: http://127"):
        connect("http://elsewhere:1").runs.map("agent", numbers(1), ledger=path)
    assert ["jobs.sqlite"] == os.listdir(tmp_path)


def test_failed_inputs_are_run_again_on_request(client: Client, server: FakeLangGraph, connect: Connect, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "jobs.sqlite")
    for keep in (False, True):
        inputs = [(f"bad-{keep}", {"n": -1}), (f"good-{keep}", {"n": 1})]
        list(client.runs.map("agent", inputs, ledger=ledger, keep_threads=keep))
        assert 1 == ledger.retry_failed()
        assert 0 == ledger.retry_failed()
        server.program = lambda run: {"now": run.input["n"]}
        results = {one.key: one for one in client.runs.map("agent", inputs, ledger=ledger, keep_threads=keep)}
        assert ({"now": -1}, False, 2) == (
            results[f"bad-{keep}"].values,
            results[f"bad-{keep}"].from_ledger,
            results[f"bad-{keep}"].attempts,
        )
        assert results[f"good-{keep}"].from_ledger
        server.program = Doubler()
    assert 3 == len(server.threads)  # of the second round: both runs, and the one that had failed


def test_two_maps_on_one_ledger_share_the_work(
    client: Client, server: FakeLangGraph, connect: Connect, doubler: Doubler, tmp_path: Path
) -> None:
    path, other = tmp_path / "jobs.sqlite", connect(server.url)
    found: list[list[BatchResult]] = [[], []]

    def work(place: int) -> None:
        found[place] = list((client, other)[place].runs.map("agent", numbers(*range(60)), concurrency=4, ledger=path))

    threads = [threading.Thread(target=work, args=(place,)) for place in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for results in found:
        assert [2 * n for n in range(60)] == [one.values["doubled"] for one in sorted(results, key=lambda one: one.index)]
    assert list(range(60)) == sorted(doubler.seen)
    assert list(range(60)) == sorted(one.index for results in found for one in results if not one.from_ledger)
    assert {} == server.threads
    assert ["jobs.sqlite"] == os.listdir(tmp_path)


# -- executors


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_an_executor_has_no_more_tasks_than_concurrency(client: Client, executor: ThreadPoolExecutor, doubler: Doubler) -> None:
    running = maximum = 0
    lock = threading.Lock()
    submit = executor.submit

    def counted(*arguments: Any) -> Future[Any]:
        nonlocal running, maximum
        with lock:
            running += 1
            maximum = max(maximum, running)
        future = submit(*arguments)

        def done(_: Any) -> None:
            nonlocal running
            with lock:
                running -= 1

        future.add_done_callback(done)
        return future

    executor.submit = counted  # type: ignore[method-assign,assignment]
    assert 25 == len(list(client.runs.map("agent", numbers(*range(25)), concurrency=3, executor=executor)))
    assert 3 == maximum


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_processes_make_connections_of_their_own(client: Client, server: FakeLangGraph, tmp_path: Path) -> None:
    import multiprocessing

    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        results = list(
            client.runs.map("agent", numbers(*range(20), -1), concurrency=4, executor=pool, ledger=tmp_path / "jobs.sqlite")
        )
    assert [2 * n for n in range(20)] == sorted(one.values["doubled"] for one in results if one.succeeded)
    assert [RunFailedError] == [type(one.error) for one in results if not one.succeeded]
    creators = {request.connection for request in server.requests if request.method == "POST"}
    assert 1 <= len(creators) <= 4
    assert {} == server.threads


def test_a_broken_executor_stops_the_map(client: Client, server: FakeLangGraph, tmp_path: Path) -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(LangGraphRunsError, match="the executor failed: RuntimeError"):
        list(client.runs.map("agent", numbers(1), executor=pool, ledger=tmp_path / "jobs.sqlite"))
    assert {"pending": 1, "started": 0, "done": 0, "failed": 0} == Ledger(tmp_path / "jobs.sqlite").counts()
    assert {} == server.runs
    (result,) = client.runs.map("agent", numbers(1), ledger=tmp_path / "jobs.sqlite")
    assert result.succeeded


def test_a_map_in_an_executor_can_be_stopped(
    client: Client, server: FakeLangGraph, doubler: Doubler, executor: ThreadPoolExecutor
) -> None:
    doubler.blocked.update(range(1, 100))
    with client.runs.map("agent", numbers(*range(9)), concurrency=3, executor=executor) as results:
        assert 0 == next(results).index
    leaves_nothing(server, doubler)


def test_an_executor_with_fewer_workers_than_concurrency_is_reported(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with ThreadPoolExecutor(2) as executor:
        assert 2 == len(list(client.runs.map("agent", numbers(1, 2), concurrency=2, executor=executor)))
        assert [] == [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert 2 == len(list(client.runs.map("agent", numbers(1, 2), concurrency=3, executor=executor)))
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "the executor has 2 workers, which wait for one run each, so concurrency=3 has no effect" in record.getMessage()


def test_an_executor_needs_a_client_that_pickles(server: FakeLangGraph, connect: Connect, executor: Any) -> None:
    client = connect(server.url, retry=RetryPolicy(on_retry=lambda _: None))
    with pytest.raises(InvalidRequestError, match="the client does not pickle"):
        client.runs.map("agent", numbers(1), executor=executor)


# -- tables and files


def test_a_table_is_mapped_to_a_file_that_is_complete_after_the_second_start(
    client: Client, doubler: Doubler, tmp_path: Path
) -> None:
    """The first one is ended early; the second reads what was finished from the ledger, and runs a row that was corrected."""
    (tmp_path / "in.csv").write_text("id,n\n7,1\n8,x\n9,-3\n10,4\n", encoding="utf-8")

    def results() -> RunMap:
        table = read_table(tmp_path / "in.csv", key="id", input=["n"], json_columns=["n"])
        return client.runs.map("agent", table, concurrency=1, ordered=True, ledger=tmp_path / "jobs.sqlite")

    with results() as first:
        assert ("7", {"doubled": 2}) == (next(first).key, {"doubled": 2})
    (tmp_path / "in.csv").write_text("id,n\n7,1\n8,2\n9,-3\n10,4\n", encoding="utf-8")
    progress = results().to_jsonl(tmp_path / "out.jsonl", with_input=True)
    assert (3, 1, True) == (progress.done, progress.failed, progress.from_ledger >= 1)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [
        ("7", {"n": 1}, {"doubled": 2}),
        ("8", {"n": 2}, {"doubled": 4}),
        ("9", {"n": -3}),
        ("10", {"n": 4}, {"doubled": 8}),
    ] == [(row["key"], row["input"], row["values"]) if row["error"] is None else (row["key"], row["input"]) for row in rows]
    assert 1 == doubler.seen.count(1)
    progress = results().to_csv(tmp_path / "out.csv")
    assert (4, 5) == (progress.from_ledger, (tmp_path / "out.csv").read_text(encoding="utf-8").count("\n"))
    assert not list(tmp_path.glob("*.part"))


def test_parquet_is_mapped_to_parquet_and_to_a_data_frame(client: Client, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pandas")
    parquet.write_table(pyarrow.table({"id": [1, 2, 3], "n": [5, None, 6]}), tmp_path / "in.parquet")

    def results() -> RunMap:
        return client.runs.map("agent", read_table(tmp_path / "in.parquet", key="id", input=["n"]), ordered=True)

    assert (2, 1) == (results().to_parquet(tmp_path / "out.parquet").done, results().to_parquet(tmp_path / "out.parquet").failed)
    again = list(read_table(tmp_path / "out.parquet", key="key", input="values", json_columns=["values"]))
    assert [("1", {"doubled": 10}), ("3", {"doubled": 12})] == [again[0], again[2]]
    assert "row 1: column 'values': a missing value" in str(again[1][1])
    frame = results().to_pandas()
    assert ["1", "2", "3"] == list(frame["key"]) and {"doubled": 12} == frame["values"][2]
    assert "row 1: column 'n': a missing value" in frame["error_message"][1]


def test_a_file_that_cannot_be_written_ends_the_map_before_a_run_is_started(
    client: Client, doubler: Doubler, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        client.runs.map("agent", numbers(1)).to_jsonl(tmp_path / "nowhere" / "out.jsonl")
    assert [] == doubler.seen


def test_results_replace_neither_the_inputs_nor_the_ledger(client: Client, doubler: Doubler, tmp_path: Path) -> None:
    file, ledger = tmp_path / "in.jsonl", tmp_path / "jobs"
    file.write_text('{"n": 1}\n', encoding="utf-8")
    with client.runs.map("agent", read_table(file), ledger=ledger) as results:
        with pytest.raises(InvalidRequestError, match="path: the results would replace the inputs; give a file of their own"):
            results.to_jsonl(tmp_path / ".." / file)
        with pytest.raises(InvalidRequestError, match="the results would replace the ledger"):
            results.to_csv(ledger)
    (tmp_path / "out.jsonl.part").write_text('{"n": 1}\n', encoding="utf-8")
    with pytest.raises(InvalidRequestError, match="the results would replace the inputs"):
        client.runs.map("agent", read_table(tmp_path / "out.jsonl.part", format="jsonl")).to_jsonl(tmp_path / "out.jsonl")
    assert ["{", "{", "S"] == [path.read_bytes()[:1].decode() for path in (file, tmp_path / "out.jsonl.part", ledger)]
    assert [] == doubler.seen


def test_a_file_does_not_get_its_name_if_the_map_is_closed_meanwhile(client: Client, doubler: Doubler, tmp_path: Path) -> None:
    """It would look complete."""
    (tmp_path / "out.jsonl").write_text("former", encoding="utf-8")
    doubler.blocked.add(2)
    results = client.runs.map("agent", numbers(1, 2), concurrency=2)

    def close() -> None:
        doubler.wait_for(2)
        results.close()

    closing = threading.Thread(target=close)
    closing.start()
    with pytest.raises(AbortedError, match="the map was closed before all of its results were returned"):
        results.to_jsonl(tmp_path / "out.jsonl")
    closing.join()
    assert "former" == (tmp_path / "out.jsonl").read_text(encoding="utf-8")


def test_a_map_that_has_ended_writes_no_empty_file(client: Client, tmp_path: Path) -> None:
    results = client.runs.map("agent", numbers(1))
    list(results)
    with pytest.raises(InvalidRequestError, match="the map has ended, and its results were returned; start another one"):
        results.to_csv(tmp_path / "out.csv")
    assert [] == list(tmp_path.iterdir())
    empty = client.runs.map("agent", []).to_jsonl(tmp_path / "empty.jsonl")
    assert (0, b"") == (empty.done, (tmp_path / "empty.jsonl").read_bytes())


# -- progress


def test_a_progress_function_is_called_with_the_progress(client: Client, tmp_path: Path) -> None:
    calls: list[MapProgress] = []
    list(client.runs.map("agent", numbers(1, 2, -3), concurrency=2, progress=calls.append, ledger=tmp_path / "jobs.sqlite"))
    last = calls[-1]
    assert (2, 1, 0, 0, 3) == (last.done, last.failed, last.from_ledger, last.in_flight, last.total)
    assert all(one.in_flight <= 2 for one in calls)
    list(client.runs.map("agent", iter(numbers(1, 2, -3)), progress=calls.append, ledger=tmp_path / "jobs.sqlite"))
    assert (2, 1, 3, None, 0.0) == (calls[-1].done, calls[-1].failed, calls[-1].from_ledger, calls[-1].total, calls[-1].rate)


def test_a_map_shows_no_progress_unless_it_is_requested(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    list(client.runs.map("agent", numbers(1)))
    list(client.runs.map("agent", numbers(1), progress=False))
    assert ("", "") == capsys.readouterr()
    list(client.runs.map("agent", numbers(1), progress=True))
    assert "langgraph_runs: 1 of 1, 0 in flight" in capsys.readouterr().err


# -- join_all


def test_join_all_returns_how_each_run_ended(client: Client, server: FakeLangGraph, doubler: Doubler) -> None:
    doubler.gate.clear()
    thread_ids = [client.threads.create().thread_id for _ in range(5)]
    runs = [client.runs.create(thread_id, "agent", input={"n": n}) for n, thread_id in enumerate(thread_ids, -1)]
    doubler.gate.set()
    given: list[Any] = [*runs[:3], *((run.thread_id, run.run_id) for run in runs[3:]), ("x", ""), 7]
    results = sorted(client.runs.join_all(iter(given), concurrency=2), key=lambda one: one.index)
    assert [given[one.index] for one in results] == [one.input for one in results]
    assert isinstance(results[0].error, RunFailedError)
    assert [0, 2, 4, 6] == [one.values["doubled"] for one in results[1:5]]
    assert [InvalidRequestError] * 2 == [type(one.error) for one in results[5:]]
    assert 5 == len(server.threads)


def test_join_all_cancels_nothing(client: Client, server: FakeLangGraph, doubler: Doubler) -> None:
    doubler.gate.clear()
    run = client.runs.create(client.threads.create().thread_id, "agent", input={"n": 1})
    (result,) = client.runs.join_all([run], timeout_each=0.3)
    assert isinstance(result.error, DeadlineExceededError)
    with client.runs.join_all([run]) as results:
        assert "0 in flight" in repr(results)
    assert "running" == client.runs.get(run.thread_id, run.run_id).status
    client.runs.cancel(run.thread_id, run.run_id)
    (result,) = client.runs.join_all([run])
    assert isinstance(result.error, RunCancelledError)


# -- functions of the user


class Unexpected(Exception):
    """What a function of the user raises."""


def raising(error: BaseException, calls: list[Any]) -> Callable[[Any], Any]:
    def function(argument: Any) -> Any:
        calls.append(argument)
        raise error

    return function


#: A `LangGraphRunsError` comes from a function that uses a client itself. It must not be taken for an error of the map's own requests.
USER_ERRORS = [
    Unexpected("no"),
    RateLimitError("busy", status_code=429),
    InvalidRequestError("of another call"),
    KeyboardInterrupt(),
]
user_errors = pytest.mark.parametrize("error", USER_ERRORS, ids=lambda error: type(error).__name__)


@user_errors
def test_what_progress_raises_reaches_the_caller_and_ends_the_map(
    client: Client, server: FakeLangGraph, doubler: Doubler, tmp_path: Path, error: BaseException
) -> None:
    calls: list[Any] = []
    doubler.gate.clear()
    inputs, path = numbers(*range(6)), tmp_path / "jobs.sqlite"
    with pytest.raises(type(error)) as caught:
        list(client.runs.map("agent", inputs, concurrency=3, progress=raising(error, calls), ledger=path))
    assert error is caught.value
    assert 1 == len(calls), "it is called again after it has raised"
    leaves_nothing(server, doubler)
    doubler.gate.set()
    results = list(client.runs.map("agent", inputs, ledger=path, ordered=True))
    assert [{"doubled": 2 * n} for n in range(6)] == [result.values for result in results]


@user_errors
def test_what_the_key_function_raises_reaches_the_caller_and_ends_the_map(
    client: Client, server: FakeLangGraph, doubler: Doubler, error: BaseException
) -> None:
    doubler.blocked.add(0)

    def key(item: Any) -> str:
        if item["n"] == 0:
            return "first"
        doubler.wait_for(1)
        raise error

    with pytest.raises(type(error)) as caught:
        # One is in flight when the second key is made.
        results = client.runs.map("agent", numbers(0, 1), key=key, concurrency=1, keep_threads=False)
        threading.Thread(target=lambda: (doubler.wait_for(1), doubler.blocked.clear())).start()
        list(results)
    assert error is caught.value
    leaves_nothing(server, doubler)


@user_errors
def test_what_the_inputs_raise_is_the_same_error(client: Client, error: BaseException) -> None:
    def source() -> Iterator[Any]:
        yield {"n": 1}
        raise error

    with pytest.raises(type(error)) as caught:
        list(client.runs.map("agent", source()))
    assert error is caught.value


def test_a_stop_iteration_of_a_function_does_not_end_the_loop_silently(client: Client, server: FakeLangGraph) -> None:
    options: Any
    for options in ({"key": raising(StopIteration(), [])}, {"progress": raising(StopIteration(), [])}):
        with pytest.raises(RuntimeError, match="raised StopIteration"):
            list(client.runs.map("agent", numbers(1), **options))
    assert {} == server.threads


@user_errors
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/threads/*/runs/wait", 429), ("GET", "/threads/*/runs/*", 429), ("GET", "/threads/*/runs/*", 500)],
    ids=["a refused create", "a refused read", "a failed read"],
)
def test_what_on_retry_raises_reaches_the_caller_and_repeats_nothing(
    server: FakeLangGraph, connect: Connect, doubler: Doubler, error: BaseException, method: str, path: str, status: int
) -> None:
    """A refused create is retried by the scheduler, other requests by the worker."""
    calls: list[Any] = []
    client = connect(server.url, retry=RetryPolicy(wait_initial=0.001, wait_max=0.001, on_retry=raising(error, calls)))
    server.instead(method, path, reply_json(status, {"detail": "not now"}))
    with pytest.raises(type(error)) as caught:
        list(client.runs.map("agent", numbers(*range(4)), concurrency=1))
    assert error is caught.value
    assert 1 == len(calls)
    assert ([] if method == "POST" else [0]) == doubler.seen
    leaves_nothing(server, doubler)


def test_a_signal_handler_that_raises_ends_a_map_that_waits(client: Client, server: FakeLangGraph, doubler: Doubler) -> None:
    doubler.gate.clear()
    error = Unexpected("the soft time limit of a task queue")

    def handler(*_: Any) -> None:
        raise error

    before = signal.signal(signal.SIGUSR1, handler)
    sender = threading.Thread(target=lambda: (doubler.wait_for(3), os.kill(os.getpid(), signal.SIGUSR1)))
    try:
        sender.start()
        with pytest.raises(Unexpected) as caught:
            list(client.runs.map("agent", numbers(*range(9)), concurrency=3))
        sender.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert error is caught.value
    assert 3 == len(doubler.seen)
    leaves_nothing(server, doubler)


def test_a_signal_handler_may_close_a_map_that_waits(
    client: Client, server: FakeLangGraph, doubler: Doubler, tmp_path: Path
) -> None:
    doubler.gate.clear()
    results = client.runs.map("agent", numbers(*range(9)), concurrency=3, ledger=tmp_path / "jobs.sqlite")
    before = signal.signal(signal.SIGUSR1, lambda *_: results.close())
    sender = threading.Thread(target=lambda: (doubler.wait_for(3), os.kill(os.getpid(), signal.SIGUSR1)))
    try:
        sender.start()
        assert [] == list(results)
        sender.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    leaves_nothing(server, doubler)
    assert {"pending": 3, "started": 0, "done": 0, "failed": 0} == Ledger(tmp_path / "jobs.sqlite").counts()


def test_another_thread_may_close_a_map_that_waits(client: Client, server: FakeLangGraph, doubler: Doubler) -> None:
    """The map ends as soon as its runs are cancelled, not when one of them ends."""
    doubler.gate.clear()
    results = client.runs.map("agent", numbers(*range(9)), concurrency=3)
    closer = threading.Thread(target=lambda: (doubler.wait_for(3), results.close()))
    closer.start()
    began = time.monotonic()
    assert [] == list(results)
    closer.join()
    assert time.monotonic() - began < 4.5  # it waits for results for up to 5 seconds at a time
    leaves_nothing(server, doubler)


def test_what_a_signal_handler_raises_is_not_lost_if_the_ledger_stays_locked(
    client: Client, doubler: Doubler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another process that hangs in a transaction."""
    monkeypatch.setattr(sqlite_file, "_BUSY_AT_END", 0.0)

    def limit(*_: Any) -> None:
        raise Unexpected("a job limit")

    path = tmp_path / "jobs.sqlite"
    results = client.runs.map("agent", numbers(*range(3)), concurrency=1, ledger=path)
    next(results)
    before = signal.signal(signal.SIGUSR1, limit)
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            sender = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
            sender.start()
            with pytest.raises(Unexpected, match="a job limit"):
                next(results)
            sender.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_the_end_of_the_program_does_not_look_like_the_last_result(client: Client, server: FakeLangGraph, doubler: Doubler) -> None:
    """A daemon thread that iterates would take the results so far for all results, while the functions of atexit run."""
    doubler.gate.clear()
    results = client.runs.map("agent", numbers(*range(9)), concurrency=3)
    # Python calls this at its end.
    closer = threading.Thread(target=lambda: (doubler.wait_for(3), results._finalizer()))
    closer.start()
    for _ in range(2):
        with pytest.raises(AbortedError, match="the program ended"):
            next(results)
    closer.join()
    leaves_nothing(server, doubler)


@pytest.mark.parametrize("message", ["map, input 0", "runs/wait: "])
def test_what_a_log_handler_raises_reaches_the_caller_and_ends_the_map(
    client: Client, server: FakeLangGraph, doubler: Doubler, message: str
) -> None:
    """In the scheduler, where a retry is logged, and in a worker, where a request is."""
    error = Unexpected("the disk is full")

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if message in record.getMessage():
                raise error

    logger, handler = logging.getLogger("langgraph_runs"), Handler()
    level = logger.level
    server.instead("POST", "/threads/*/runs/wait", reply_json(429, {"detail": "slow down"}))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        with pytest.raises(Unexpected) as caught:
            list(client.runs.map("agent", numbers(*range(3)), concurrency=1))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert error is caught.value
    assert [] == doubler.seen
    leaves_nothing(server, doubler)


@pytest.mark.parametrize("place", ["progress", "key", "inputs"])
def test_a_function_may_close_the_map(client: Client, server: FakeLangGraph, doubler: Doubler, tmp_path: Path, place: str) -> None:
    held: list[Any] = []

    def close(_: Any = None) -> str:
        held[0].close()
        return "a key"

    def source() -> Iterator[Any]:
        yield {"n": 1}
        close()
        yield {"n": 2}

    doubler.blocked.update((1, 2))
    options: dict[str, Any] = {} if place == "inputs" else {place: close}
    inputs: Any = source() if place == "inputs" else numbers(1, 2)
    held.append(client.runs.map("agent", inputs, ledger=tmp_path / "jobs.sqlite", **options))
    assert [] == list(held[0])
    leaves_nothing(server, doubler)
    assert 0 == Ledger(tmp_path / "jobs.sqlite").counts()["started"]


# -- log records


def test_the_log_has_one_line_at_info_for_each_input(
    server: FakeLangGraph, connect: Connect, doubler: Doubler, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Also if its requests are refused and repeated. Requests are at DEBUG, and results from the ledger are not logged."""
    caplog.set_level("INFO", logger="langgraph_runs")
    client = connect(server.url, retry=RetryPolicy(wait_initial=0.001, wait_max=0.001))
    for _ in range(2):
        server.instead("POST", "/threads/*/runs/wait", reply_json(429, {"detail": "slow down"}))
    results = list(client.runs.map("agent", numbers(1, 2, -3), ledger=tmp_path / "jobs.sqlite"))
    lines = sorted(record.getMessage() for record in caplog.records if record.levelno == logging.INFO)
    assert 3 == len(lines)
    for result, line in zip(sorted(results, key=lambda result: result.index), lines):
        how = "done" if result.error is None else "RunFailedError"
        assert line.startswith(f"map, input {result.index}: {how} in ") and line.endswith(f", run {result.run_id}")
    caplog.clear()
    list(client.runs.map("agent", numbers(1, 2, -3), ledger=tmp_path / "jobs.sqlite"))
    assert [] == caplog.records
    caplog.set_level("DEBUG", logger="langgraph_runs")
    list(client.runs.map("agent", numbers(5)))
    assert {logging.DEBUG} == {record.levelno for record in caplog.records if record.getMessage().startswith("POST ")}
    client.runs.wait(None, "agent", input={"n": 1})
    assert logging.INFO == [record.levelno for record in caplog.records if record.getMessage().startswith("POST ")][-1]


def test_log_records_hold_text_and_numbers_alone(
    server: FakeLangGraph,
    connect: Connect,
    doubler: Doubler,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever keeps a record keeps no request, response or error, which would hold bodies and headers."""
    caplog.set_level("DEBUG", logger="langgraph_runs")
    client = connect(server.url, retry=RetryPolicy(wait_initial=0.001, wait_max=0.001))
    server.instead("POST", "/threads/*/runs/wait", reply_json(429, {"detail": "slow down"}))
    monkeypatch.setattr("langgraph_runs.batch.dispatcher._CLEANUP_PAUSE", 0.0)
    for _ in range(60):
        server.instead("DELETE", "/threads/*", reply_json(500, {"detail": "cannot delete"}))
    list(client.runs.map("agent", numbers(1, 2, -3)))
    doubler.blocked.add(4)
    list(client.runs.map("agent", numbers(4), timeout_each=0.3))
    messages = [record.getMessage() for record in caplog.records]
    assert any("is left behind on the server" in message for message in messages)
    assert any(message.startswith("map, input ") for message in messages)
    for record in caplog.records:
        assert all(isinstance(argument, (str, int, float)) for argument in record.args or ()), record.getMessage()


# -- memory


@pytest.mark.slow
def test_memory_does_not_grow_with_the_inputs(connect: Connect, cheap_url: str, tmp_path: Path) -> None:
    """Forty megabytes of inputs need a few megabytes: those in flight. With a ledger too."""
    client = connect(cheap_url)
    for ledger in (None, tmp_path / "jobs.sqlite"):
        peaks = []
        for count in (50, 200, 800):  # the second map has as many inputs in flight as the third
            tracemalloc.start()
            for result in client.runs.map("agent", ({"n": n, "pad": "x" * 50_000} for n in range(count)), ledger=ledger):
                assert result.succeeded
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert peaks[2] < peaks[1] + 8_000_000


@pytest.fixture
def cheap_url() -> Iterator[str]:
    """A server in another process, so that its memory is not measured."""
    root = Path(__file__).resolve().parent.parent.parent
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.cheap_server"], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None and process.stdin is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()

"""Runs with an idempotency key, on each server."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

import pytest

from langgraph_runs import Client, IdempotencyConflictError, NotFoundError, StreamInterruptedError
from langgraph_runs.markers import LOCK
from langgraph_runs.runs import locks, thread_of_key
from langgraph_runs.runs.key_lookup import KeyLookup
from langgraph_runs.testing.cutting_proxy import CuttingProxy, cut_request, cut_response, swallow

from ..bench.idempotency import prove
from .conftest import PATIENCE, QUICK, RunningServer


@pytest.fixture
def key() -> str:
    return f"order {uuid.uuid4()}"


@pytest.mark.slow
def test_killed_processes_and_broken_connections_make_one_run_for_each_key(any_server: RunningServer) -> None:
    outcome = prove(any_server.url, keys=10, processes=4, callers=3, kills=3)
    assert outcome.holds, outcome.text
    assert 30 == outcome.calls and 3 == outcome.kills and outcome.faults > 0


def test_calls_with_one_key_get_one_run_whatever_they_call(client: Client, key: str) -> None:
    options: dict[str, Any] = {"input": {"k": 1}, "idempotency_key": key}
    run = client.runs.create(None, "work", **options)
    assert ["done", 1] == client.runs.wait(None, "work", **options)["out"]
    again = client.runs.create(None, "work", **options)
    assert (run.run_id, False, True) == (again.run_id, run.replayed, again.replayed)
    with pytest.raises(IdempotencyConflictError, match="another input"):
        client.runs.create(None, "work", input={"k": 2}, idempotency_key=key)
    assert [run.run_id] == [one.run_id for one in client.runs.iter(run.thread_id)]
    client.threads.delete(run.thread_id)
    new = client.runs.create(None, "work", input={"k": 2}, idempotency_key=key)
    assert new.run_id != run.run_id
    client.runs.join(new.thread_id, new.run_id)
    client.threads.delete(new.thread_id)


def test_a_later_stream_has_all_events_or_says_that_it_has_not(client: Client, key: str) -> None:
    options: dict[str, Any] = {"input": {"k": 1, "seconds": 1, "tick": 0.2}, "stream_mode": ["custom"], "idempotency_key": key}
    with client.runs.stream(None, "work", **options) as stream:
        events = [event.data for event in stream if event.event == "custom"]
        assert not stream.replayed
    assert events
    try:
        with client.runs.stream(None, "work", **options) as stream:
            assert stream.replayed
            assert events == [event.data for event in stream if event.event == "custom"]
    except StreamInterruptedError as error:
        assert "no longer keeps" in str(error)
    client.threads.delete(thread_of_key(key))


def test_many_clients_at_once_make_one_run(any_server: RunningServer, client: Client, key: str) -> None:
    """Also where the server does not know ``reject``: creating the thread is the lock."""
    runs: list[Any] = []
    together = threading.Barrier(6)

    def call() -> None:
        with Client(any_server.url, api_key=None, retry=QUICK, timeout=PATIENCE) as own:
            together.wait()
            runs.append(own.runs.create(None, "work", input={"k": 1}, idempotency_key=key))

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 == len({run.run_id for run in runs}) == len(list(client.runs.iter(thread_of_key(key))))
    assert 5 == sum(run.replayed for run in runs)
    client.runs.join(runs[0].thread_id, runs[0].run_id)
    client.threads.delete(runs[0].thread_id)


def test_on_a_given_thread_the_older_of_two_runs_stays(
    monkeypatch: pytest.MonkeyPatch, client: Client, thread_id: str, key: str
) -> None:
    """As if both calls had looked before either posted."""
    options: dict[str, Any] = {"input": {"k": 1}, "idempotency_key": key}
    first = client.runs.create(thread_id, "work", **options)
    client.runs.join(thread_id, first.run_id)
    look, looks = KeyLookup.look, []

    def blind_at_first(self: KeyLookup, own: Any = None) -> Any:
        looks.append(own)
        return look(self, own) if len(looks) > 1 else None

    monkeypatch.setattr(KeyLookup, "look", blind_at_first)
    second = client.runs.create(thread_id, "work", **options)
    assert (first.run_id, True) == (second.run_id, second.replayed)
    assert 2 == len(looks)
    assert [first.run_id] == [run.run_id for run in client.runs.iter(thread_id)]
    client.threads.delete(thread_id)


@pytest.mark.parametrize("fault", [swallow(), cut_response(20), cut_request(60)], ids=str)
def test_a_create_whose_response_is_lost_makes_one_run(
    monkeypatch: pytest.MonkeyPatch, proxy: CuttingProxy, proxied: Client, client: Client, key: str, fault: Any
) -> None:
    monkeypatch.setattr(locks, "HOLD", 1.0)
    monkeypatch.setattr(locks, "EXPIRY", 2.0)
    proxy.arm(fault, when=b"POST /threads/")
    run = proxied.runs.create(None, "work", input={"k": 1}, idempotency_key=key)
    assert [run.run_id] == [one.run_id for one in client.runs.iter(run.thread_id)]
    client.runs.join(run.thread_id, run.run_id)
    client.threads.delete(run.thread_id)


def test_a_call_that_died_before_its_create_is_taken_over(monkeypatch: pytest.MonkeyPatch, client: Client, key: str) -> None:
    monkeypatch.setattr(locks, "EXPIRY", 1.0)
    client.threads.create(thread_id=thread_of_key(key), metadata={LOCK: "of a call that has died"})
    run = client.runs.create(None, "work", input={"k": 1}, idempotency_key=key)
    assert not run.replayed
    with pytest.raises(NotFoundError):
        client.threads.get(locks_of(key, 1))
    client.runs.join(run.thread_id, run.run_id)
    client.threads.delete(run.thread_id)


def test_the_age_of_a_lock_is_known_by_the_clock_of_the_server(monkeypatch: pytest.MonkeyPatch, client: Client, key: str) -> None:
    """A call with little time takes over at once from a call that died a while ago."""
    client.threads.create(thread_id=thread_of_key(key), metadata={LOCK: "of a call that has died"})
    time.sleep(3)
    monkeypatch.setattr(locks, "EXPIRY", 2.5)
    began = time.monotonic()
    run = client.runs.create(None, "work", input={"k": 1}, idempotency_key=key)
    assert not run.replayed and time.monotonic() - began < 2.4
    client.runs.join(run.thread_id, run.run_id)
    client.threads.delete(run.thread_id)


def locks_of(key: str, number: int) -> str:
    return str(uuid.uuid5(uuid.UUID(thread_of_key(key)), f"takeover {number}"))

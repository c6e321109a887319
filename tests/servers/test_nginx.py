"""nginx as it is installed, in front of each server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from langgraph_runs import Client, CreateUncertainError, InternalServerError, NotFoundError, RetryPolicy

from . import nginx
from .conftest import PATIENCE, QUICK, REQUIRED_VARIABLE, RunningServer
from .plain import new_thread, runs_of
from .processes import ENVIRONMENT


@pytest.fixture(autouse=True)
def _nginx() -> None:
    reason = nginx.unavailable_reason()
    if reason and REQUIRED_VARIABLE in ENVIRONMENT:
        pytest.fail(reason, pytrace=False)
    if reason:
        pytest.skip(reason)


@contextlib.contextmanager
def behind(url: str, **options: Any) -> Iterator[Client]:
    with nginx.gateway(url, **options) as gateway, Client(gateway, api_key=None, retry=QUICK, timeout=PATIENCE) as client:
        yield client


@pytest.mark.parametrize("call", ["wait", "join"])
def test_a_run_that_lasts_longer_than_the_read_timeout(any_server: RunningServer, call: str) -> None:
    """nginx breaks off or responds with 504; the run is waited for to its end, and started once."""
    thread_id = new_thread(any_server.url)
    with behind(any_server.url, read_timeout=0.7) as client:
        try:
            if call == "wait":
                values = client.runs.wait(thread_id, "work", input={"k": 7, "seconds": 2.5})
            else:
                run = client.runs.create(thread_id, "work", input={"k": 7, "seconds": 2.5})
                values = client.runs.join(thread_id, run.run_id)
        except CreateUncertainError:
            assert "wait" == call
        else:
            assert ["done", 7] == values["out"]
    assert 1 == len(runs_of(any_server.url, thread_id))


@pytest.mark.parametrize("buffering", [True, False], ids=["buffered", "not buffered"])
def test_a_stream_that_is_silent_for_longer_than_the_read_timeout(any_server: RunningServer, buffering: bool) -> None:
    """All events arrive, or the error says that some may be missing; the run is started once."""
    thread_id = new_thread(any_server.url)
    with (
        behind(any_server.url, read_timeout=0.7, buffering=buffering) as client,
        client.runs.stream(
            thread_id, "work", input={"seconds": 3.5, "tick": 1}, stream_mode=["custom", "values"], on_gap="mark"
        ) as stream,
    ):
        events = list(stream)
    seen = [event.data["i"] for event in events if event.event == "custom"]
    # The graph may write more than four: its last sleep may end a moment early.
    assert (len(seen) >= 4 and list(range(len(seen))) == seen) or (stream.gaps and sorted(set(seen)) == seen)
    assert stream.outcome is not None and stream.outcome.succeeded
    assert 1 == len(runs_of(any_server.url, thread_id))


def test_a_rate_limit(any_server: RunningServer) -> None:
    """nginx refuses with a 503 that has no Retry-After. No run is doubled, and none is made by a create that says it failed."""
    thread_ids = [new_thread(any_server.url) for _ in range(12)]

    def create(thread_id: str) -> Any:
        try:
            return client.runs.create(thread_id, "work", input={"k": 7}).run_id
        except CreateUncertainError:
            return "uncertain"
        except InternalServerError as error:
            return f"refused with {error.status_code}"

    with behind(any_server.url, rate=20, burst=2) as client, ThreadPoolExecutor(6) as pool:
        found = dict(zip(thread_ids, pool.map(create, thread_ids)))
    for thread_id, run_id in found.items():
        runs = [run["run_id"] for run in runs_of(any_server.url, thread_id)]
        allowed = {"uncertain": [[], runs[:1]], "refused with 503": [[]]}.get(run_id, [[run_id]])
        assert runs in allowed


def test_a_map_behind_a_rate_limit_uses_up_no_input(any_server: RunningServer) -> None:
    """Creates, requests for the end of runs and deletions are refused: all inputs succeed, and none of their threads is left."""
    policy = RetryPolicy(wait_initial=0.1, wait_max=1.0)
    with (
        nginx.gateway(any_server.url, rate=20) as gateway,
        Client(gateway, api_key=None, retry=policy) as client,
        Client(any_server.url, api_key=None) as direct,
    ):
        results = list(client.runs.map("work", [{"k": number} for number in range(12)]))
        assert [None] * 12 == [result.error for result in results]
        for result in results:
            assert result.thread_id is not None
            with pytest.raises(NotFoundError):
                direct.threads.get(result.thread_id)

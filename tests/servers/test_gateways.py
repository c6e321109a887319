"""Behind a gateway nothing is doubled, lost or taken for another thing, whatever the server and the habit of the gateway."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Optional

import pytest

from langgraph_runs import Client, CreateUncertainError, LangGraphRunsError, RunError
from langgraph_runs.testing.cutting_proxy import CuttingProxy, swallow

from ..gateways import (
    BackendAway,
    ChangedRequestId,
    CleanEnd,
    Exchange,
    Gateway,
    GivesUp,
    Habit,
    HeldBack,
    LoginPage,
    OwnDate,
    RateLimit,
    creates,
)
from .conftest import PATIENCE, QUICK, RunningServer
from .plain import ask, new_thread, runs_of, wait_until

CALLS = ["create", "wait", "stream"]


@contextlib.contextmanager
def behind(url: str, *habits: Habit) -> Iterator[tuple[Client, Gateway]]:
    """A client that reaches the server through a gateway alone."""
    with Gateway(url, *habits) as gateway, Client(gateway.url, api_key=None, retry=QUICK, timeout=PATIENCE) as client:
        yield client, gateway


def start(client: Client, call: str, thread_id: str, **given: Any) -> Optional[dict[str, Any]]:
    """Start a run of `work` and return its values; those of a create are those of its join."""
    options: dict[str, Any] = {"input": {"k": 7, **given}}
    if call == "wait":
        values: dict[str, Any] = client.runs.wait(thread_id, "work", **options)
    elif call == "stream":
        # A server that keeps no events has none for a stream that was cut: the stream says so, and goes on.
        with client.runs.stream(thread_id, "work", **options, on_gap="mark") as stream:
            for _ in stream:
                pass
        assert stream.outcome is not None
        values = stream.outcome.values if stream.gaps else stream.values
    else:
        values = client.runs.join(thread_id, client.runs.create(thread_id, "work", **options).run_id)
    return values


def ended_once(url: str, thread_id: str, values: Any) -> None:
    """The call has returned the values of the only run of the thread."""
    assert (["done", 7], ["first", "work"]) == (values["out"], values["log"])
    assert ["success"] == [run["status"] for run in runs_of(url, thread_id)]


def reads(exchange: Exchange) -> bool:
    return exchange.method == "GET"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("replaced", [False, True], ids=["one digit", "replaced"])
@pytest.mark.parametrize("every", [1, 2], ids=["all", "every other"])
def test_a_request_id_that_is_changed(any_server: RunningServer, call: str, replaced: bool, every: int) -> None:
    """A create whose response is lost makes one run, on a gateway that changes x-request-id: it is found, or the error says so."""
    with (
        Gateway(any_server.url, ChangedRequestId(when=creates, replaced=replaced, every=every)) as gateway,
        CuttingProxy(gateway.url) as proxy,
        Client(proxy.url, api_key=None, retry=QUICK, timeout=PATIENCE) as client,
    ):
        for _ in range(3):
            thread_id = new_thread(any_server.url)
            proxy.arm(swallow(), when=b"POST /threads/" + thread_id.encode() + b"/runs")
            with contextlib.suppress(CreateUncertainError):
                ended_once(any_server.url, thread_id, start(client, call, thread_id))
            assert 1 == len(runs_of(any_server.url, thread_id))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("own_page", [True, False], ids=["page", "detail"])
def test_a_404_while_the_backend_is_away(any_server: RunningServer, call: str, own_page: bool) -> None:
    """The 404 of a gateway after a lost create is no evidence that there is no run."""
    with (
        Gateway(any_server.url, BackendAway(own_page=own_page, when=reads, times=2)) as gateway,
        CuttingProxy(gateway.url) as proxy,
        Client(proxy.url, api_key=None, retry=QUICK, timeout=PATIENCE) as client,
    ):
        thread_id = new_thread(any_server.url)
        proxy.arm(swallow(), when=b"POST /threads/")
        with contextlib.suppress(LangGraphRunsError):
            ended_once(any_server.url, thread_id, start(client, call, thread_id))
        assert 1 == len(runs_of(any_server.url, thread_id))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 522, 524, 530])
def test_an_error_for_a_create_that_is_executed(any_server: RunningServer, call: str, status: int) -> None:
    """A 5xx of a gateway does not say that the server did nothing: there is one run, and it is found or the error says so."""
    with behind(any_server.url, GivesUp(status, 0.0, when=creates, times=1)) as (client, gateway):
        thread_id = new_thread(any_server.url)
        with contextlib.suppress(CreateUncertainError):
            ended_once(any_server.url, thread_id, start(client, call, thread_id))
        wait_until(lambda: runs_of(any_server.url, thread_id), "the run")
        assert (
            1
            == len(gateway.passed("POST", "/runs" if call == "create" else f"/runs/{call}"))
            == len(runs_of(any_server.url, thread_id))
        )


@pytest.mark.parametrize("call", ["wait", "join"])
@pytest.mark.parametrize("status", [502, 503, 504, 524])
def test_a_gateway_that_gives_up_on_a_long_run(any_server: RunningServer, call: str, status: int) -> None:
    """A run that lasts longer than the patience of the gateway is waited for to its end, and not started again."""

    def waits(exchange: Exchange) -> bool:
        return exchange.path.endswith(("/wait", "/join"))

    with behind(any_server.url, GivesUp(status, 1.2, when=waits)) as (client, gateway):
        thread_id = new_thread(any_server.url)
        try:
            values = start(client, "wait" if call == "wait" else "create", thread_id, seconds=3)
        except CreateUncertainError:
            assert "wait" == call
            assert 1 == len(runs_of(any_server.url, thread_id))
        else:
            ended_once(any_server.url, thread_id, values)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [429, 503])
def test_a_rate_limit_without_retry_after(any_server: RunningServer, call: str, status: int) -> None:
    # Not every other one: a create and its look-up take turns.
    with behind(any_server.url, RateLimit(status, every=3)) as (client, gateway):
        for _ in range(3):
            thread_id = new_thread(any_server.url)
            try:
                values = start(client, call, thread_id)
            except CreateUncertainError:
                # A 503 without Retry-After does not say that the server did nothing.
                assert 503 == status
                assert 1 >= len(runs_of(any_server.url, thread_id))
            else:
                ended_once(any_server.url, thread_id, values)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("after", [0, 1, 40])
def test_a_body_that_ends_early_with_a_proper_end(any_server: RunningServer, call: str, after: int) -> None:
    """Less than the whole body is a broken connection, not the response of the server."""

    def waits(exchange: Exchange) -> bool:
        return exchange.path.endswith(("/wait", "/join", "/stream"))

    with behind(any_server.url, CleanEnd(after, when=waits, times=2)) as (client, gateway):
        thread_id = new_thread(any_server.url)
        with contextlib.suppress(CreateUncertainError):
            ended_once(any_server.url, thread_id, start(client, call, thread_id, seconds=0.3))
        assert 1 == len(runs_of(any_server.url, thread_id))


@pytest.mark.parametrize("shift", [None, -600.0, 600.0])
def test_a_clock_that_is_wrong(any_server: RunningServer, shift: Optional[float]) -> None:
    """The join of an older run does not return the values of a newer one, also if the header Date is wrong or missing."""
    with behind(any_server.url, OwnDate(shift)) as (client, gateway):
        thread_id = new_thread(any_server.url)
        older = client.runs.create(thread_id, "work", input={"k": "older"}).run_id
        assert "older" == client.runs.join(thread_id, older)["k"]
        assert "newer" == client.runs.wait(thread_id, "work", input={"k": "newer"})["k"]
        try:
            assert "older" == client.runs.join(thread_id, older)["k"]
        except RunError as error:
            # The server does not have them any more.
            assert error.run is not None and "success" == error.run.status


@pytest.mark.parametrize("call", ["cancel", "delete", "delete thread", "get", "wait"])
def test_a_login_page(any_server: RunningServer, call: str) -> None:
    """A page with 200 is an error: nothing was done."""
    url = any_server.url
    thread_id = new_thread(url)
    run_id = ask(url, "POST", f"/threads/{thread_id}/runs", {"assistant_id": "work", "input": {"seconds": 5, "tick": 0.1}})[
        "run_id"
    ]
    with behind(url, LoginPage()) as (client, gateway), pytest.raises(LangGraphRunsError):
        if call == "cancel":
            client.runs.cancel(thread_id, run_id)
        elif call == "delete":
            client.runs.delete(thread_id, run_id)
        elif call == "delete thread":
            client.threads.delete(thread_id)
        elif call == "get":
            client.runs.get(thread_id, run_id)
        else:
            client.runs.wait(thread_id, "work", input={"k": 1})
    assert [run_id] == [run["run_id"] for run in runs_of(url, thread_id)]
    ask(url, "POST", f"/threads/{thread_id}/runs/{run_id}/cancel")


def test_a_stream_that_is_held_back(any_server: RunningServer) -> None:
    """It arrives late, and whole."""
    with behind(any_server.url, HeldBack()) as (client, gateway):
        with client.runs.stream(new_thread(any_server.url), "burst", input={"n": 50}, stream_mode="custom") as stream:
            assert list(range(50)) == [event.data["i"] for event in stream if event.event == "custom"]
        assert stream.outcome is not None and stream.outcome.succeeded

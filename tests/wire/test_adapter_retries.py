"""An adapter's retries keep to the limits of a call: ``HTTPAdapter(max_retries=Retry(...))`` of a user's session."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any, Callable

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from langgraph_runs import AbortController, AbortedError, Client, DeadlineExceededError, RetryPolicy

from .scripted import RUN_ID, THREAD_ID, Reply, ScriptedServer, drop_before_answer, reply_json, run_json, stall

BUSY = {"detail": "busy"}
ONCE = RetryPolicy(attempts=1)
#: What urllib3 would repeat, or wait for, for longer than the call may take.
REPLIES = {
    "silent": stall(),
    "cut": drop_before_answer(),
    "503": reply_json(503, BUSY),
    "503 with a time": reply_json(503, BUSY, [("Retry-After", "9")]),
}


class OwnRetry(Retry):
    """A class of the user's."""


def client_of(server: ScriptedServer, retries: Retry, **options: Any) -> Client:
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=retries))
    return Client(server.url, api_key=None, session=session, **{"retry": ONCE, **options})


@pytest.mark.parametrize("reply", REPLIES.values(), ids=list(REPLIES))
def test_a_call_ends_on_time(reply: Reply) -> None:
    retries = OwnRetry(3, backoff_factor=1.5, status_forcelist=[503])
    with ScriptedServer(always=reply, takes_broken_requests=True) as server, client_of(server, retries) as client:
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError) as late:
            client.runs.get(THREAD_ID, RUN_ID, timeout=0.3)
        assert late.value.sent is not False
        controller = AbortController()
        timer = threading.Timer(0.2, controller.abort)
        timer.start()
        with pytest.raises(AbortedError):
            client.runs.get(THREAD_ID, RUN_ID, signal=controller.signal)
        timer.join()
    assert time.monotonic() - began < 3


def test_the_retries_are_made() -> None:
    replies = [reply_json(503, BUSY), drop_before_answer(), reply_json(200, run_json())]
    with ScriptedServer(*replies) as server, client_of(server, OwnRetry(3, status_forcelist=[503])) as client:
        assert client.runs.get(THREAD_ID, RUN_ID).run_id == RUN_ID


@pytest.mark.parametrize("first", [drop_before_answer(), reply_json(502, BUSY)], ids=["cut", "502"])
def test_a_create_is_not_sent_again(first: Reply) -> None:
    """Also if the retries are for all methods: the client looks first whether there is a run."""
    retries = Retry(3, status_forcelist=[502], allowed_methods=None)
    routes = {("GET", "/threads/*/runs"): reply_json(404, BUSY), ("GET", "/threads/*"): reply_json(500, BUSY)}
    with ScriptedServer(first, routes=routes) as server, client_of(server, retries) as client:
        with pytest.raises(DeadlineExceededError):
            client.runs.create(THREAD_ID, "agent", timeout=0.2)
        assert ["POST"] == [request.method for request in server.requests if request.method == "POST"]


def alarm(work: Callable[[], Any], handler: Callable[..., Any], seconds: float) -> None:
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer signals")
def test_what_a_signal_handler_raises_is_not_repeated() -> None:
    def handler(*_: Any) -> None:
        raise ConnectionError("a job limit")

    with ScriptedServer(always=stall()) as server, client_of(server, Retry(3)) as client:
        with pytest.raises(ConnectionError, match="a job limit"):
            alarm(lambda: client.runs.get(THREAD_ID, RUN_ID), handler, 0.05)
        assert 1 == len(server.requests)

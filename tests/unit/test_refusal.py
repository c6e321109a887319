"""What a start that was refused with 422 means: the thread itself shows it. The responses are those of the JavaScript server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest

from langgraph_runs import Client, ConflictError, NotFoundError, ResponseDecodeError, UnprocessableEntityError

from .played import RUN, THREAD, Reply, client_of, reply, run_json

RECORDED = {
    item["call"]: Reply(item["status"], item["body"].encode(), {"content-type": item["type"] or ""})
    for item in json.loads((Path(__file__).parent / "recorded_responses.json").read_text("utf-8"))
    if item["server"] == "javascript"
}
REFUSED = RECORDED["create busy reject"]
BUSY, IDLE = reply({"thread_id": THREAD, "status": "busy"}), reply({"thread_id": THREAD, "status": "idle"})
NO_RUNS = reply([])

starts = pytest.mark.parametrize(
    "start",
    [
        lambda client: client.runs.create(THREAD, "work"),
        lambda client: client.runs.wait(THREAD, "work"),
        lambda client: list(client.runs.stream(THREAD, "work")),
    ],
    ids=["create", "wait", "stream"],
)


@starts
def test_a_busy_thread_is_a_conflict_whatever_the_status(start: Callable[[Client], Any]) -> None:
    """The thread says that it is busy, or has a run that has not ended. The error is the server's, with one attempt."""
    for shows in ([BUSY], [IDLE, reply([run_json(status="pending")])], [IDLE, NO_RUNS, reply([run_json(status="running")])]):
        client, played = client_of(REFUSED, *shows)
        with pytest.raises(ConflictError, match="already running") as caught:
            start(client)
        error = caught.value
        assert (422, "POST", 1, THREAD) == (
            error.status_code,
            error.request and error.request.method,
            error.attempts,
            error.thread_id,
        )
        assert 1 + len(shows) == len(played.requests)


@starts
def test_an_unknown_thread_is_not_found(start: Callable[[Client], Any]) -> None:
    """This server refuses both with the same text. Its own statement that the thread does not exist decides."""
    client, _ = client_of(REFUSED, RECORDED["thread get unknown"])
    with pytest.raises(NotFoundError, match="not found"):
        start(client)


@pytest.mark.parametrize(
    "shows",
    [
        [IDLE, NO_RUNS, NO_RUNS],
        [IDLE, reply([run_json(status="success")]), reply([run_json(status="error")])],
        [reply({"detail": "Not Found"}, 404)],
        [reply({"detail": "no"}, 403)],
    ],
    ids=["free", "filter ignored", "404 of a gateway", "forbidden"],
)
def test_without_evidence_the_error_stays(shows: Any) -> None:
    """The thread may have become free meanwhile, or cannot be read."""
    client, played = client_of(REFUSED, *shows)
    with pytest.raises(UnprocessableEntityError, match="already running"):
        client.runs.create(THREAD, "work")
    assert 1 + len(shows) == len(played.requests)


def test_a_refused_field_needs_no_further_request() -> None:
    """Most refusals with 422 are about the request itself, and stateless runs have no thread that could be busy."""
    client, played = client_of(reply({"detail": "Invalid assistant: 'nope'"}, 422), REFUSED)
    for thread_id in (THREAD, None):
        with pytest.raises(UnprocessableEntityError):
            client.runs.create(thread_id, "nope")
    assert 2 == len(played.requests)


def test_the_callers_headers_are_sent_with_the_questions() -> None:
    """They may be what lets the caller in."""
    client, played = client_of(REFUSED, BUSY)
    with pytest.raises(ConflictError):
        client.runs.create(THREAD, "work", headers={"x-tenant": "a"})
    assert ["a", "a"] == [request.headers["x-tenant"] for request in played.requests]


# -- the cancel of a run that has ended


def test_a_cancel_that_is_refused_with_409_is_that_of_an_ended_run() -> None:
    """As the 404 of other servers, if the run is shown to have ended; a repeat whose first attempt may have done it succeeds."""
    refused = reply({"detail": "run is not active"}, 409)
    client, _ = client_of(refused, reply(run_json(status="success")))
    with pytest.raises(NotFoundError, match="the run has ended: run is not active") as caught:
        client.runs.cancel(THREAD, RUN)
    assert (409, RUN, 1) == (caught.value.status_code, caught.value.run_id, caught.value.attempts)
    client, played = client_of(ConnectionResetError(), refused, reply(run_json(status="interrupted")))
    client.runs.cancel(THREAD, RUN)
    assert 3 == len(played.requests)
    for unknown in (reply(run_json(status="running")), reply(run_json(status=None)), reply({"detail": "x"}, 404)):
        client, _ = client_of(refused, unknown)
        with pytest.raises(ConflictError, match="not active"):
            client.runs.cancel(THREAD, RUN)


def test_a_cancel_that_waits_has_values_of_any_shape() -> None:
    """They may look like the report of an error. The run, which has ended, shows that the server has acted."""
    values = reply({"error": "of the graph"})
    client, _ = client_of(values, reply(run_json(status="interrupted")))
    client.runs.cancel(THREAD, RUN, wait=True)
    for unknown in ([reply(run_json(status="running"))], [reply({"detail": "x"}, 403)]):
        client, _ = client_of(values, *unknown)
        with pytest.raises(ResponseDecodeError, match="of the graph"):
            client.runs.cancel(THREAD, RUN, wait=True)


#: What the Python server sent for ``webhook="http://127.0.0.1/x"``.
WEBHOOK_REFUSED = Reply(
    422, b'{"detail":"Webhook host blocked: loopback IP range"}', {"content-type": "application/json", "server": "uvicorn"}
)


@starts
def test_a_refused_webhook_names_the_setting_of_the_server(start: Callable[[Client], Any]) -> None:
    """The message stays the server's; no further request is sent."""
    client, played = client_of(WEBHOOK_REFUSED)
    with pytest.raises(UnprocessableEntityError, match=r"blocked: loopback IP range; which addresses .*disable_loopback") as caught:
        start(client)

    assert "Webhook host blocked: loopback IP range" == caught.value.message
    assert 1 == len(played.requests)

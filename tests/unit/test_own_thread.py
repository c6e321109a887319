"""The thread of a wait or a stream without a thread: how it is made, and when it is deleted."""

from __future__ import annotations

import json
import logging
import re
import time
from typing import Any, List

import pytest
import requests

from langgraph_runs import Client, DeadlineExceededError, InvalidRequestError, RetryPolicy, RunFailedError
from langgraph_runs.markers import THREAD_USE
from langgraph_runs.runs.own_thread import Disposal, choose_thread

from .played import RUN, URL, Answer, Played, Reply, reply, run_json, session_of, sse

POST, GET = "POST /threads/*/runs/wait", "GET /threads/*/runs/*"
STATE, DELETE, KEEP = "GET /threads/*/state", "DELETE /threads/*", "PATCH /threads/*"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}")
DONE = {"values": {"n": 2}, "next": [], "tasks": [], "metadata": {}}
ASKS = {
    "values": {"n": 1},
    "next": ["ask"],
    "tasks": [{"id": "t", "name": "ask", "interrupts": [{"value": "sure?"}]}],
    "metadata": {},
}
IDS: Any = {"content_location": f"/threads/t/runs/{RUN}"}
VALUES = reply({"n": 2}, **IDS)
STREAMED = sse(("metadata", {"run_id": RUN}), ("values", {"n": 2}), **IDS)


def client_of(*answers: Answer, **options: Any) -> tuple[Client, Played]:
    played = Played(*answers)
    return Client(URL, api_key=None, session=session_of(played), retry=RetryPolicy(attempts=1), **options), played


#: A limit of calls, in seconds: long enough for the first request to be sent on a busy machine.
LIMIT = 0.3


def late(_: requests.PreparedRequest) -> Any:
    """The server does not respond in the time of the call."""
    time.sleep(LIMIT + 0.01)
    raise requests.ReadTimeout("timed out")


def asked(played: Played) -> List[str]:
    return [f"{request.method} {UUID.sub('*', str(request.path_url))}" for request in played.requests]


def thread_of(played: Played) -> str:
    threads = {str(request.path_url).split("/")[2] for request in played.requests}
    assert 1 == len(threads), threads
    return threads.pop()


def test_the_thread_is_deleted_after_a_success() -> None:
    """It is new, it takes no second run, and the caller's fields are sent with it."""
    client, played = client_of(VALUES, reply(run_json()), reply(DONE), Reply(204))
    assert {"n": 2} == client.runs.wait(None, "agent", input={"n": 1}, metadata={"k": "v"})
    assert [POST, GET, STATE, DELETE] == asked(played)
    assert UUID.fullmatch(thread_of(played))
    body = played.body()
    assert ("create", "reject") == (body["if_not_exists"], body["multitask_strategy"])
    assert ("v", "temporary") == (body["metadata"]["k"], body["metadata"][THREAD_USE])


def test_the_thread_is_deleted_after_a_failure() -> None:
    failed = reply({"__error__": {"error": "ValueError", "message": "no ink"}}, **IDS)
    client, played = client_of(failed, reply(run_json(status="error")), reply([]), Reply(204))
    with pytest.raises(RunFailedError, match="no ink"):
        client.runs.wait(None, "agent", input={"n": 1}, headers={"x-own": "1"})
    assert [POST, GET, "POST /threads/*/history", DELETE] == asked(played)
    assert "1" == played.requests[-1].headers["x-own"]


def test_the_thread_of_a_paused_run_stays() -> None:
    """The outcome has the pause although the response does not show it; the thread is no longer marked as temporary."""
    client, played = client_of(VALUES, reply(run_json()), reply(ASKS), reply({"thread_id": "t", "metadata": {}}))
    outcome = client.runs.wait(None, "agent", input={"n": 1}, raise_error=False)
    assert (True, ["sure?"]) == (outcome.paused, [one.value for one in outcome.interrupts])
    assert [POST, GET, STATE, KEEP] == asked(played)
    assert {"metadata": {THREAD_USE: "kept"}} == json.loads(played.requests[-1].body or "")


def test_a_pause_that_has_the_status_of_a_cancel_keeps_the_thread() -> None:
    """Some servers give a run that asks a human the status of a cancelled one; the values have its question."""
    asking = reply({"n": 1, "__interrupt__": [{"value": "sure?"}]}, **IDS)
    run = reply(run_json(status="interrupted", output={"n": 1, "__interrupt__": [{"value": "sure?"}]}))
    client, played = client_of(asking, run, reply({"thread_id": "t", "metadata": {}}))
    assert client.runs.wait(None, "agent", input={}, raise_error=False).paused
    assert [POST, GET, KEEP] == asked(played)


@pytest.mark.parametrize(
    ("on_completion", "expected"), [("keep", [POST, GET]), ("delete", [POST, GET, STATE, DELETE])], ids=["keep", "delete"]
)
def test_the_caller_decides(on_completion: Any, expected: List[str]) -> None:
    """With "keep" nothing is deleted, with "delete" the thread of a paused run is, too."""
    client, played = client_of(VALUES, reply(run_json()), reply(ASKS), Reply(204))
    assert {"n": 2} == client.runs.wait(None, "agent", input={"n": 1}, on_completion=on_completion)
    assert expected == asked(played)


@pytest.mark.parametrize(
    "answers",
    [
        [reply(DONE), reply({"detail": "no"}, 403)],
        [reply(DONE), Reply(200, b"<html>log in</html>", {"content-type": "text/html"})],
        [reply({"detail": "no such route"}, 404)],
        [ConnectionError("gone"), ConnectionError("gone")],
    ],
    ids=["refused", "a page", "no state", "cut"],
)
def test_a_thread_that_cannot_be_deleted_does_not_fail_the_call(answers: List[Any], caplog: pytest.LogCaptureFixture) -> None:
    """The result is returned; a warning names the thread that is left behind."""
    client, played = client_of(VALUES, reply(run_json()), *answers)
    with caplog.at_level(logging.WARNING, "langgraph_runs"):
        assert {"n": 2} == client.runs.wait(None, "agent", input={"n": 1})
    assert f"the thread {thread_of(played)} is left behind on the server" in caplog.text


def test_an_unverified_outcome_is_verified_before_the_thread_is_deleted() -> None:
    """verify_outcome=False trusts the response, but a thread is not deleted under a run that goes on."""
    client, played = client_of(VALUES, reply(run_json(status="running")), verify_outcome=False)
    assert {"n": 2} == client.runs.wait(None, "agent", input={"n": 1})
    assert [POST, GET] == asked(played)


def test_the_thread_of_a_stream_is_deleted_at_its_end() -> None:
    client, played = client_of(STREAMED, reply(run_json()), reply(DONE), Reply(204))
    with client.runs.stream(None, "agent", input={"n": 1}) as stream:
        assert 2 == len(list(stream))
    assert not stream.paused and stream.outcome is not None
    assert [POST.replace("wait", "stream"), GET, STATE, DELETE] == asked(played)
    assert thread_of(played) == stream.thread_id


def test_the_thread_of_a_stream_that_is_closed_early_stays() -> None:
    """The run goes on, and nobody waits for its end."""
    client, played = client_of(STREAMED)
    with client.runs.stream(None, "agent", input={"n": 1}) as stream:
        next(stream)
    assert ["POST /threads/*/runs/stream"] == asked(played)


@pytest.mark.parametrize(
    "options",
    [{"command": {"resume": True}}, {"checkpoint": {"checkpoint_id": "c"}}, {"checkpoint_id": "c"}],
    ids=["resume", "checkpoint", "checkpoint_id"],
)
@pytest.mark.parametrize("call", ["wait", "stream"])
def test_what_needs_an_existing_thread_is_refused(call: str, options: Any) -> None:
    """It would silently have no effect on a new thread."""
    client, played = client_of()
    with pytest.raises(InvalidRequestError, match="give the thread_id"):
        getattr(client.runs, call)(None, "agent", **options)
    assert [] == played.requests


def test_a_run_that_is_late_is_cancelled_and_its_thread_deleted() -> None:
    """With on_timeout="cancel": when the server says that the run has ended."""
    running, ended = reply([run_json(status="running")]), reply([run_json(status="interrupted")])
    client, played = client_of(late, running, Reply(204), ended, Reply(204))
    with pytest.raises(DeadlineExceededError):
        client.runs.wait(None, "agent", input={}, on_timeout="cancel", timeout=LIMIT)
    assert [POST, "GET /threads/*/runs?limit=10", "POST /threads/*/runs/*/cancel?wait=1&action=interrupt"] == asked(played)[:3]
    assert ["GET /threads/*/runs?limit=10", DELETE] == asked(played)[3:]


def test_a_run_that_is_not_known_to_have_ended_keeps_its_thread(caplog: pytest.LogCaptureFixture) -> None:
    """A gateway may have answered the cancel: the list decides."""
    running = reply([run_json(status="running")])
    client, played = client_of(late, running, reply({}, 404), *[running] * 5)
    with caplog.at_level(logging.WARNING, "langgraph_runs"), pytest.raises(DeadlineExceededError):
        client.runs.wait(None, "agent", input={}, on_timeout="cancel", timeout=LIMIT)
    assert DELETE not in asked(played)
    assert "its run goes on" in caplog.text


def test_the_disposal_follows_on_completion() -> None:
    for given, disposal in ((None, Disposal.DELETE_IF_FINAL), ("keep", Disposal.KEEP), ("delete", Disposal.DELETE)):
        body = {} if given is None else {"on_completion": given}
        plan = choose_thread(body)
        assert disposal is plan.disposal
        assert "on_completion" not in body

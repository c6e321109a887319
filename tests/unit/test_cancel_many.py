"""Cancelling many runs on servers with and without the route for it. The responses are recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

import pytest

from langgraph_runs import APIStatusError, InternalServerError, NotFoundError

from .played import THREAD, Reply, client_of, reply

RECORDED: Dict[Any, Reply] = {
    (item["server"], item["call"]): Reply(item["status"], item["body"].encode(), {"content-type": item["type"] or ""})
    for item in json.loads((Path(__file__).parent / "recorded_responses.json").read_text("utf-8"))
}
FIRST, SECOND, THIRD = (f"01a22308-f67b-7504-a18d-01721ea55de{digit}" for digit in "123")
WITHOUT = ["javascript", "aegra"]


def test_a_server_with_the_route_gets_one_request() -> None:
    """It does not say which runs it has cancelled."""
    client, played = client_of(RECORDED["python", "cancel many"])
    assert None is client.runs.cancel_many(thread_id=THREAD, run_ids=[FIRST, SECOND])
    assert 1 == len(played.requests)


def test_the_servers_own_statement_that_no_run_matches_is_final() -> None:
    """It has the route, so that no other request is made."""
    selection: Any
    for selection in ({"thread_id": THREAD, "run_ids": [FIRST]}, {"status": "all"}):
        client, played = client_of(RECORDED["python", "cancel many unknown"])
        with pytest.raises(NotFoundError, match="No runs found"):
            client.runs.cancel_many(**selection)
        assert 1 == len(played.requests)


@pytest.mark.parametrize("server", WITHOUT)
def test_without_the_route_the_runs_are_cancelled_one_by_one(server: str) -> None:
    """Those that were found are returned; the others may have ended, or never existed."""
    no_route, unknown, done = (RECORDED[server, call] for call in ("cancel many", "cancel unknown", "cancel running"))
    client, played = client_of(no_route, done, unknown, done)
    assert [FIRST, THIRD] == client.runs.cancel_many(thread_id=THREAD, run_ids=[FIRST, SECOND, THIRD], action="interrupt")
    paths = [f"/threads/{THREAD}/runs/{run_id}/cancel?wait=0&action=interrupt" for run_id in (FIRST, SECOND, THIRD)]
    assert ["POST /runs/cancel?action=interrupt", *(f"POST {path}" for path in paths)] == played.asked


@pytest.mark.parametrize("server", WITHOUT)
def test_without_the_route_and_without_a_match_nothing_is_found(server: str) -> None:
    client, _ = client_of(RECORDED[server, "cancel many"], *[RECORDED[server, "cancel unknown"]] * 2)
    with pytest.raises(NotFoundError):
        client.runs.cancel_many(thread_id=THREAD, run_ids=[FIRST, SECOND])


def test_a_server_that_has_only_other_methods_at_the_path() -> None:
    """405 says the same as the 404."""
    client, _ = client_of(reply({"detail": "Method Not Allowed"}, 405), Reply(204))
    assert [FIRST] == client.runs.cancel_many(thread_id=THREAD, run_ids=[FIRST])


@pytest.mark.parametrize("server", WITHOUT)
def test_an_unknown_route_does_not_say_that_no_run_has_the_status(server: str) -> None:
    """The error is no NotFoundError, which means that there is nothing to cancel."""
    client, _ = client_of(RECORDED[server, "cancel many"])
    with pytest.raises(APIStatusError, match="give thread_id and run_ids") as caught:
        client.runs.cancel_many(status="pending")
    assert (404, False) == (caught.value.status_code, isinstance(caught.value, NotFoundError))


def test_an_error_says_what_was_cancelled_before() -> None:
    client, _ = client_of(RECORDED["aegra", "cancel many"], Reply(204), *[reply({"detail": "down"}, 500)] * 9)
    with pytest.raises(InternalServerError, match=f"down; cancelled before: {FIRST}"):
        client.runs.cancel_many(thread_id=THREAD, run_ids=[FIRST, SECOND])

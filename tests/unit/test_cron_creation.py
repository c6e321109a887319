"""A cron is created once: its marker, the look-up after a lost response, and what proves nothing. The responses are recorded."""

from __future__ import annotations

import json
from typing import Any, List

import pytest
import requests

from langgraph_runs import APIStatusError, CreateUncertainError, InternalServerError

from .played import Reply, client_of, reply
from .recorded import RECORDED

LOST = requests.ConnectionError("reset")
MADE = json.loads(RECORDED["python", "cron create"].body)
OTHERS = json.loads(RECORDED["python", "cron search"].body)
NEVER = "0 12 29 2 *"


def with_marker_of(request: requests.PreparedRequest, played: List[Any]) -> Reply:
    """The server's list of crons, in which the one that was created by the first request is the last."""
    body = json.loads(played[0].body)
    return reply([*OTHERS, {**MADE, "cron_id": "mine", "metadata": body["metadata"], "payload": body}])


def test_the_marker_is_not_shown() -> None:
    """Neither in the metadata nor in the payload; the id of the request is."""
    client, played = client_of(RECORDED["python", "cron create"])
    cron = client.crons.create("agent", schedule=NEVER, metadata={"a": 1})
    assert ({}, "9104c783-8716-471c-a148-5c9976301a2a") == (cron.metadata, cron.request_id)
    assert {"langgraph_runs_request_id", "a"} == set(played.body()["metadata"])
    assert "langgraph_runs" not in json.dumps(cron.payload)


def test_a_lost_response_is_looked_up() -> None:
    """The cron is recognised by its marker, also in a list that the server does not filter."""
    client, played = client_of(LOST, reply(OTHERS), lambda request: with_marker_of(request, played.requests))
    assert "mine" == client.crons.create("agent", schedule=NEVER).cron_id
    assert ["POST /runs/crons", "POST /runs/crons/search", "POST /runs/crons/search"] == played.asked


@pytest.mark.parametrize("answer", [reply([]), reply(OTHERS), Reply(404, b"<html></html>", {"content-type": "text/html"})])
def test_nothing_found_proves_nothing(answer: Reply) -> None:
    """The create is not sent again, whatever the list says."""
    client, played = client_of(LOST, *[answer] * 5)
    with pytest.raises(CreateUncertainError, match="the cron may have been created") as raised:
        client.crons.create("agent", schedule=NEVER, headers={"x-request-id": "job 7"})
    assert "job 7" == raised.value.request_id
    assert 1 == played.asked.count("POST /runs/crons")


def test_what_was_surely_not_executed_is_sent_again() -> None:
    """A refusal with Retry-After."""
    client, played = client_of(Reply(503, b"", {"retry-after": "0"}), RECORDED["python", "cron create"])
    assert MADE["cron_id"] == client.crons.create("agent", schedule=NEVER).cron_id
    assert 2 == len(played.requests)


@pytest.mark.parametrize(("server", "kind"), [("javascript", APIStatusError), ("aegra", APIStatusError)])
def test_servers_without_crons_refuse_it(server: str, kind: Any) -> None:
    """With an error of their own, and no look-up."""
    client, played = client_of(RECORDED[server, "cron create"])
    with pytest.raises(kind):
        client.crons.create("agent", schedule=NEVER)
    assert 1 == len(played.requests)


def test_the_servers_own_error_is_raised_as_it_is() -> None:
    """It is more precise than that nothing is known."""
    client, _ = client_of(reply({"detail": "no such table"}, 500))
    with pytest.raises(InternalServerError, match="no such table"):
        client.crons.create("agent", schedule=NEVER)

"""An assistant is created once, by an id that the library chooses. The responses are recorded."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
import requests

from langgraph_runs import ConflictError, CreateUncertainError, InvalidRequestError, ResponseDecodeError

from .played import Reply, client_of, reply
from .recorded import RECORDED

LOST = requests.ConnectionError("reset")
SERVERS = ["python", "javascript", "aegra"]


def created(request: requests.PreparedRequest, server: str = "python", **changes: Any) -> Reply:
    """The response of a server that uses the id of the request."""
    made = json.loads(RECORDED[server, "assistant create"].body)
    return reply({**made, **json.loads(request.body or b""), **changes})


@pytest.mark.parametrize("server", SERVERS)
def test_the_id_is_chosen_here(server: str) -> None:
    """A new one for each, unless the caller gives one."""
    client, played = client_of(*[lambda request: created(request, server)] * 3)
    first, second = client.assistants.create("agent"), client.assistants.create("agent")
    third = client.assistants.create("agent", assistant_id="01a22308-f67b-7504-a18d-01721ea55de1")
    assert 3 == len({first.assistant_id, second.assistant_id, third.assistant_id})
    assert first.assistant_id == played.body()["assistant_id"]


@pytest.mark.parametrize("server", SERVERS)
def test_a_lost_response_is_no_second_assistant(server: str) -> None:
    """The server refuses the repeat, since the first one had created it."""
    client, played = client_of(LOST, RECORDED[server, "assistant create again"], lambda request: found(request))

    def found(request: requests.PreparedRequest) -> Reply:
        return created(played.requests[0], server)

    made = client.assistants.create("agent", name="n")
    assert (played.body(0)["assistant_id"], "n") == (made.assistant_id, made.name)
    assert played.body(0) == played.body(1)


def test_a_conflict_of_a_first_attempt_is_one() -> None:
    """Nothing was repeated."""
    client, played = client_of(RECORDED["python", "assistant create again"])
    with pytest.raises(ConflictError):
        client.assistants.create("agent", assistant_id="a")
    assert 1 == len(played.requests)


def test_what_the_first_attempt_created_is_known_by_what_was_sent() -> None:
    """Metadata are compared as JSON: the server has no dates."""
    client, played = client_of(LOST, RECORDED["python", "assistant create again"], lambda request: created(played.requests[0]))
    made = client.assistants.create("agent", assistant_id="a", metadata={"since": datetime.date(2026, 11, 28), "tags": ("x", "y")})
    assert ("a", {"since": "2026-11-28", "tags": ["x", "y"]}) == (made.assistant_id, made.metadata)


@pytest.mark.parametrize("changes", [{"name": "other"}, {"graph_id": "other"}, {"metadata": {}}])
def test_another_assistant_with_the_id_is_a_conflict(changes: Any) -> None:
    """It existed before the request whose response was lost."""
    client, played = client_of(
        LOST, RECORDED["python", "assistant create again"], lambda request: created(played.requests[0], **changes)
    )
    with pytest.raises(ConflictError):
        client.assistants.create("agent", assistant_id="a", name="n", metadata={"k": 1})


def test_a_server_that_does_not_use_the_id_may_have_made_two() -> None:
    """Which the repeat shows, and the error says."""
    client, _ = client_of(LOST, RECORDED["python", "assistant create"])
    with pytest.raises(CreateUncertainError, match="may have created another one"):
        client.assistants.create("agent")
    assert client_of(RECORDED["python", "assistant create"])[0].assistants.create("agent").graph_id == "observer"


def test_counts_are_whole_numbers() -> None:
    """Anything else is not a count."""
    assert 0 == client_of(reply(0))[0].assistants.count()
    body: Any
    for body in (None, True, "3", -1, 1.5, {"count": 3}, []):
        with pytest.raises(ResponseDecodeError):
            client_of(reply(body))[0].assistants.count()


def test_subgraphs_are_an_object() -> None:
    """Each with a place in errors."""
    assert {} == client_of(reply({}))[0].assistants.get_subgraphs("a")
    with pytest.raises(ResponseDecodeError, match="expected an object"):
        client_of(reply([]))[0].assistants.get_subgraphs("a")
    with pytest.raises(ResponseDecodeError, match=r"\$.child"):
        client_of(reply({"child": 1}))[0].assistants.get_subgraphs("a")


@pytest.mark.parametrize("call", ["search", "count", "create"])
def test_metadata_that_are_no_object_are_refused_before_anything_is_sent(call: str) -> None:
    client, played = client_of()
    arguments = ["agent"] if call == "create" else []
    with pytest.raises(InvalidRequestError, match="^metadata: give an object"):
        getattr(client.assistants, call)(*arguments, metadata="team")
    assert [] == played.requests

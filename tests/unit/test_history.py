"""Where a history begins: each form of ``before`` that servers take, and servers that take none."""

from __future__ import annotations

import json
from typing import Any, List

import pytest
import requests

from langgraph_runs import Checkpoint, InternalServerError, InvalidRequestError, ThreadState, UnprocessableEntityError

from .played import THREAD, Reply, client_of, reply

#: The ids of a thread's checkpoints, newest first.
IDS = [f"1f1eb4aa-7f2e-6985-8000-{number:012}" for number in range(60, 0, -1)]
#: What the JavaScript server and Aegra say of an object, and Aegra of an id.
REFUSES_OBJECT = reply({"success": False, "error": {"issues": [{"path": ["before"], "message": "Expected string"}]}}, 400)
REFUSES_ALL = reply({"detail": [{"type": "string_type", "loc": ["body", "before"], "msg": "Input should be a valid string"}]}, 422)
CRASHES = reply({"error": "internal_error", "message": "Error retrieving thread history", "details": None}, 500)


def states(ids: List[str]) -> Reply:
    return reply([{"values": {}, "next": [], "checkpoint": {"checkpoint_id": one, "checkpoint_ns": ""}} for one in ids])


def newest(request: requests.PreparedRequest) -> Any:
    """As many as requested of the thread's states, whatever ``before`` is."""
    body = json.loads(request.body or b"")
    return states(IDS[: body["limit"]])


def found(history: List[ThreadState]) -> List[Any]:
    return [state.checkpoint.checkpoint_id for state in history if state.checkpoint is not None]


FORMS = {
    "id": "c",
    "checkpoint": Checkpoint(checkpoint_id="c", checkpoint_ns=""),
    "state": ThreadState(checkpoint=Checkpoint(checkpoint_id="c")),
    "config": {"configurable": {"checkpoint_id": "c"}},
    "JSON of a checkpoint": {"checkpoint_id": "c", "checkpoint_ns": ""},
    "JSON of a state": {"values": {}, "checkpoint": {"checkpoint_id": "c"}},
}


@pytest.mark.parametrize("before", FORMS.values(), ids=FORMS)
def test_each_form_of_a_place_is_sent_alike(before: Any) -> None:
    """A state, a checkpoint, a config and an id go out as the Python server takes them, in one request."""
    client, played = client_of(states(["b", "a"]))
    assert ["b", "a"] == found(client.threads.get_history(THREAD, before=before, metadata={"k": 1}, limit=3))
    assert [{"limit": 3, "before": {"configurable": {"checkpoint_id": "c"}}, "metadata": {"k": 1}}] == [played.body(0)]
    assert 1 == len(played.requests)


@pytest.mark.parametrize("before", [ThreadState(), Checkpoint(), {}, {"checkpoint": None}, {"values": 1}, "", 5])
def test_a_place_without_an_id_is_refused(before: Any) -> None:
    """Nothing is sent."""
    client, played = client_of()
    with pytest.raises(InvalidRequestError, match="before"):
        client.threads.get_history(THREAD, before=before)
    assert [] == played.requests


def test_a_server_that_takes_an_id_gets_one() -> None:
    """The object is refused, the id is not."""
    client, played = client_of(REFUSES_OBJECT, states(IDS[3:5]))
    assert IDS[3:5] == found(client.threads.get_history(THREAD, before=IDS[2], limit=2))
    assert IDS[2] == played.body(1)["before"]


@pytest.mark.parametrize("place", [0, 2, 30, 58, 59])
@pytest.mark.parametrize(
    "refusals", [[REFUSES_ALL, CRASHES], [REFUSES_ALL, REFUSES_OBJECT], [newest]], ids=["crashes", "400", "ignored"]
)
def test_a_server_that_takes_no_place_is_filtered_here(refusals: List[Any], place: int) -> None:
    """More states are requested until those before the place are there; an ignored place is noticed."""
    client, played = client_of(*refusals, *[newest] * 3)
    assert IDS[place + 1 :][:5] == found(client.threads.get_history(THREAD, before=IDS[place], limit=5))
    assert "before" not in played.body(len(played.requests) - 1) or refusals == [newest]


def test_a_place_that_no_longer_exists_is_found_by_its_age() -> None:
    """Ids grow with time, so that what is older is known also if the checkpoint itself is gone."""
    client, _ = client_of(REFUSES_ALL, CRASHES, states([one for one in IDS[:10] if one != IDS[4]]))
    assert IDS[5:7] == found(client.threads.get_history(THREAD, before=IDS[4], limit=2))


def test_a_place_that_is_too_far_back_is_the_servers_refusal() -> None:
    """No server returns more than a thousand states: beyond them nothing is known."""
    ids = [f"b{number:05}" for number in range(5000, 0, -1)]
    client, played = client_of(REFUSES_ALL, CRASHES, *[lambda request: states(ids[: json.loads(request.body)["limit"]])] * 6)
    with pytest.raises(UnprocessableEntityError, match="valid string"):
        client.threads.get_history(THREAD, before=ids[3000])
    assert 1000 == played.body(len(played.requests) - 1)["limit"]


def test_a_server_that_fails_is_no_server_that_takes_no_place() -> None:
    """A 500 to the first form, which the Python server takes, is an error after the usual repeats."""
    client, played = client_of(*[CRASHES] * 9)
    with pytest.raises(InternalServerError):
        client.threads.get_history(THREAD, before="c")
    assert {"configurable": {"checkpoint_id": "c"}} == played.body(len(played.requests) - 1)["before"]


def test_the_state_at_a_checkpoint() -> None:
    """``subgraphs`` is sent only if it is True; to a server that takes it as text, as text."""
    client, played = client_of(reply({"values": 1}), REFUSES_OBJECT, reply({"values": 2}))
    assert 1 == client.threads.get_state(THREAD, {"checkpoint_id": "c", "checkpoint_map": None}).values
    assert 2 == client.threads.get_state(THREAD, Checkpoint(checkpoint_id="c"), subgraphs=True).values
    place = {"checkpoint": {"checkpoint_id": "c"}}
    assert [place, {**place, "subgraphs": True}, {**place, "subgraphs": "true"}] == [played.body(index) for index in range(3)]

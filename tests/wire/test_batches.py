"""``create_batch``: cut into requests that are not too large, in order, and an error that says what exists."""

from __future__ import annotations

import pickle
from typing import Any, Callable

import pytest

from langgraph_runs import (
    Client,
    CreateUncertainError,
    InvalidRequestError,
    LangGraphRunsError,
    RateLimitError,
    RunCreate,
    UnprocessableEntityError,
)

from .fake_langgraph import FakeLangGraph
from .replies import drop_before_answer, reply_json

Connect = Callable[..., Client]


def items(count: int, **further: Any) -> list[RunCreate]:
    return [RunCreate(assistant_id="agent", input={"n": 0, "place": n, **further}, on_completion="keep") for n in range(count)]


def batches(server: FakeLangGraph) -> list[list[int]]:
    return [[one["input"]["place"] for one in request.json()] for request in server.requests if request.path == "/runs/batch"]


def place_of(server: FakeLangGraph, run_id: str) -> int:
    place: int = server.runs[run_id].input["place"]
    return place


def test_many_are_sent_in_several_requests_and_come_back_in_order(connect: Connect) -> None:
    with FakeLangGraph() as server:
        runs = connect(server.url).runs.create_batch(items(7), max_items=3)
        assert [[0, 1, 2], [3, 4, 5], [6]] == batches(server)
        assert list(range(7)) == [place_of(server, run.run_id) for run in runs]


def test_no_request_is_larger_than_was_said(connect: Connect) -> None:
    """But for an item that alone is larger."""
    sizes = [10, 10, 1500, 10, 450, 450]
    payloads = [RunCreate(assistant_id="agent", input={"place": n, "n": 0, "pad": "x" * size}) for n, size in enumerate(sizes)]
    with FakeLangGraph() as server:
        connect(server.url).runs.create_batch(payloads, max_bytes=1400)
        assert [[0, 1], [2], [3, 4], [5]] == batches(server)
        assert [True, False, True, True] == [len(request.body) <= 1400 for request in server.requests]


def test_one_request_is_enough_for_few(connect: Connect) -> None:
    with FakeLangGraph() as server:
        connect(server.url).runs.create_batch(items(500))
        assert 1 == len(server.requests)


@pytest.mark.parametrize(
    ("fault", "error", "uncertain"),
    [
        (reply_json(422, {"detail": "Invalid assistant"}), UnprocessableEntityError, (2, 3)),
        (drop_before_answer(), CreateUncertainError, (2, 3)),
        (reply_json(429, {"detail": "slow down"}, {"Retry-After": "100"}), RateLimitError, ()),
    ],
    ids=["refused", "no answer", "too much"],
)
def test_an_error_says_what_exists(connect: Connect, fault: Any, error: type[LangGraphRunsError], uncertain: Any) -> None:
    with FakeLangGraph() as server:
        client = connect(server.url)
        first = client.runs.create_batch(items(2))
        server.runs.clear()
        server.instead("POST", "/runs/batch", reply_json(200, [server_run(run) for run in first]))
        server.instead("POST", "/runs/batch", fault)
        with pytest.raises(error) as caught:
            client.runs.create_batch(items(6), max_items=2)
    told: Any = pickle.loads(pickle.dumps(caught.value))
    assert ({0: first[0].run_id, 1: first[1].run_id}, uncertain) == (
        {place: run.run_id for place, run in told.created.items()},
        told.uncertain,
    )
    assert "payloads 0-1 were created before" in str(told)
    assert ("payloads 2-3 may have been" in str(told)) is bool(uncertain)
    assert "4" not in str(told).partition("; payloads")[2].partition("[")[0]


def server_run(run: Any) -> dict[str, Any]:
    return {"run_id": run.run_id, "thread_id": run.thread_id, "status": run.status, "assistant_id": run.assistant_id}


def test_an_item_that_cannot_be_sent_is_named_before_anything_is(connect: Connect) -> None:
    with FakeLangGraph() as server:
        bad = [*items(2), RunCreate(assistant_id="agent", input={"x": float("nan")})]
        with pytest.raises(InvalidRequestError, match=r"payloads\[2\]: \$.input.x"):
            connect(server.url).runs.create_batch(bad, max_items=1)
        with pytest.raises(InvalidRequestError, match="max_items=0"):
            connect(server.url).runs.create_batch(items(1), max_items=0)
        assert [] == server.requests

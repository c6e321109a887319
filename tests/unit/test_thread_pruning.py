"""Pruning threads on servers with and without the route for it. The responses are recorded."""

from __future__ import annotations

import pytest
import requests

from langgraph_runs import APIStatusError, NotFoundError, ThreadsPruned

from .played import Reply, client_of
from .recorded import RECORDED

FIRST, SECOND = (f"01a22308-f67b-7504-a18d-01721ea55de{digit}" for digit in "12")
WITHOUT = ["javascript", "aegra"]


def test_a_server_with_the_route_gets_one_request() -> None:
    """It says how many threads there were."""
    client, played = client_of(RECORDED["python", "prune"])
    assert ThreadsPruned(pruned_count=1) == client.threads.prune([FIRST, SECOND])
    assert ["POST /threads/prune"] == played.asked and {"thread_ids": [FIRST, SECOND]} == played.body()


@pytest.mark.parametrize("server", WITHOUT)
def test_without_the_route_the_threads_are_deleted_one_by_one(server: str) -> None:
    """Those that exist are counted."""
    deleted, unknown = RECORDED[server, "thread delete"], RECORDED[server, "thread delete unknown"]
    client, played = client_of(RECORDED[server, "prune"], unknown, deleted)
    assert ThreadsPruned(pruned_count=1) == client.threads.prune([FIRST, SECOND])
    assert [f"DELETE /threads/{thread_id}" for thread_id in (FIRST, SECOND)] == played.asked[1:]


@pytest.mark.parametrize("server", WITHOUT)
def test_the_history_cannot_be_pruned_in_another_way(server: str) -> None:
    """The server's refusal is raised, and no thread is deleted."""
    client, played = client_of(RECORDED[server, "prune"])
    with pytest.raises(APIStatusError):
        client.threads.prune([FIRST], strategy="keep_latest")
    assert 1 == len(played.requests)


def test_a_404_of_a_gateway_is_no_thread_that_does_not_exist() -> None:
    """If each response is one, nothing is known, and the first is raised."""
    page = Reply(404, b"<html>not here</html>", {"content-type": "text/html"})
    client, _ = client_of(page, page, page)
    with pytest.raises(NotFoundError, match="not here"):
        client.threads.prune([FIRST, SECOND])


def test_an_error_in_between_says_what_was_deleted() -> None:
    """So that the caller can continue."""
    client, _ = client_of(RECORDED["javascript", "prune"], RECORDED["javascript", "thread delete"], Reply(403, b"{}"))
    with pytest.raises(APIStatusError, match=f"deleted before: {FIRST}"):
        client.threads.prune([FIRST, SECOND])


def test_a_number_that_is_not_known_is_none() -> None:
    """A repeat counts only what was left."""
    client, _ = client_of(requests.ConnectionError("reset"), RECORDED["python", "prune"])
    assert client.threads.prune([FIRST]).pruned_count is None

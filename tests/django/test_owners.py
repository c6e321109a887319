"""One user cannot reach another's thread, and cannot learn whether it is there."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Optional

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.test import RequestFactory
from django.utils.decorators import method_decorator
from django.views import View

from langgraph_runs import Client, InvalidRequestError
from langgraph_runs.django import ThreadOwner

from ..wire.fake_langgraph import FakeLangGraph


def request_of(user: Optional[str]) -> HttpRequest:
    request = RequestFactory().get("/")
    request.user = SimpleNamespace(pk=user, is_authenticated=user is not None)  # type: ignore[assignment]
    return request


ADA, BOB, NOBODY = request_of("1"), request_of("2"), request_of(None)


@pytest.fixture
def client() -> Iterator[Client]:
    with FakeLangGraph() as server, Client(server.url, api_key=None) as client:
        yield client


@pytest.fixture
def owner(client: Client) -> ThreadOwner:
    return ThreadOwner(client=client)


def test_a_thread_is_found_by_its_owner_only(owner: ThreadOwner) -> None:
    thread = owner.create(ADA, metadata={"topic": "tides"})

    assert {"topic": "tides", "owner": "1"} == thread.metadata
    assert thread.thread_id == owner.get(ADA, thread.thread_id).thread_id
    for other in (BOB, NOBODY, RequestFactory().get("/")):
        with pytest.raises(Http404):
            owner.get(other, thread.thread_id)


@pytest.mark.parametrize("thread_id", ["00000000-0000-4000-8000-000000000000", "x", "../../ok", "", " "])
def test_a_thread_that_does_not_exist_gives_the_same_response(owner: ThreadOwner, thread_id: str) -> None:
    theirs = owner.create(BOB).thread_id
    told = []
    for asked in (thread_id, theirs):
        with pytest.raises(Http404) as raised:
            owner.get(ADA, asked)
        told.append(str(raised.value))

    assert told[0] == told[1]


def test_a_request_without_an_owner_creates_no_thread(owner: ThreadOwner) -> None:
    with pytest.raises(PermissionDenied):
        owner.create(NOBODY)


def test_metadata_of_the_request_do_not_change_the_owner(owner: ThreadOwner) -> None:
    assert "1" == owner.create(ADA, metadata={"owner": "2"}).metadata["owner"]


def test_a_thread_without_an_owner_is_not_found(owner: ThreadOwner, client: Client) -> None:
    for metadata in ({}, {"owner": None}, {"owner": ""}, {"owner": 1}, {"owner": ["1"]}):
        thread_id = client.threads.create(metadata=metadata).thread_id
        for asking in (ADA, NOBODY):
            with pytest.raises(Http404):
                owner.get(asking, thread_id)


def test_creating_a_thread_of_another_owner_is_a_404(owner: ThreadOwner) -> None:
    taken = owner.create(BOB).thread_id

    with pytest.raises(Http404):
        owner.create(ADA, thread_id=taken, if_exists="do_nothing")


def test_a_search_finds_the_threads_of_the_owner(owner: ThreadOwner) -> None:
    mine = {owner.create(ADA).thread_id for _ in range(2)}
    owner.create(BOB)

    assert mine == {thread.thread_id for thread in owner.search(ADA)}
    assert [] == owner.search(NOBODY)


def test_a_run_is_found_on_its_own_thread_only(owner: ThreadOwner, client: Client) -> None:
    mine, theirs = owner.create(ADA).thread_id, owner.create(BOB).thread_id
    run = client.runs.create(mine, "agent", input={})
    other = client.runs.create(theirs, "agent", input={})

    assert run.run_id == owner.get_run(ADA, mine, run.run_id).run_id
    for thread_id, run_id in ((mine, other.run_id), (theirs, other.run_id), (mine, "x")):
        with pytest.raises(Http404):
            owner.get_run(ADA, thread_id, run_id)


def test_a_view_is_called_for_the_owner_only(owner: ThreadOwner) -> None:
    called = []

    @owner.required
    def view(request: HttpRequest, thread_id: str) -> HttpResponse:
        """Shows it."""
        called.append(thread_id)
        return HttpResponse()

    mine = owner.create(ADA).thread_id
    assert 200 == view(ADA, thread_id=mine).status_code
    with pytest.raises(Http404):
        view(BOB, thread_id=mine)

    assert ([mine], "Shows it.") == (called, view.__doc__)


def test_a_class_based_view_is_called_for_the_owner_only(owner: ThreadOwner) -> None:
    @method_decorator(owner.required, name="dispatch")
    class Show(View):
        def get(self, request: HttpRequest, thread_id: str) -> HttpResponse:
            return HttpResponse()

    mine = owner.create(ADA).thread_id
    assert 200 == Show.as_view()(ADA, thread_id=mine).status_code
    with pytest.raises(Http404):
        Show.as_view()(BOB, thread_id=mine)


def test_a_view_without_a_thread_in_its_url_is_refused(owner: ThreadOwner) -> None:
    def view(request: HttpRequest, thread: str) -> HttpResponse:
        return HttpResponse()

    checked: Any = owner.required(view)
    with pytest.raises(InvalidRequestError, match="thread_id"):
        checked(ADA, thread="x")


def test_the_owner_may_be_given_by_a_function(client: Client) -> None:
    owner = ThreadOwner(client=client, key="team", of=lambda request: request.headers.get("X-Team"))
    tides = RequestFactory().get("/", HTTP_X_TEAM="tides")
    thread = owner.create(tides)

    assert {"team": "tides"} == thread.metadata
    assert thread.thread_id == owner.get(tides, thread.thread_id).thread_id
    with pytest.raises(Http404):
        owner.get(RequestFactory().get("/", HTTP_X_TEAM=""), thread.thread_id)

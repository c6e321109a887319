"""Looking up the run of a create: what shows that it exists, and what shows that it does not."""

from __future__ import annotations

import datetime
import urllib.parse
from typing import Any, Callable, Dict, List, Optional

import pytest
import requests

from langgraph_runs import Client, CreateUncertainError, RetryPolicy, Run
from langgraph_runs.http import NO_OPTIONS
from langgraph_runs.runs import RequestMarker
from langgraph_runs.runs.run_lookup import RunLookup
from langgraph_runs.server_traits import ServerTraits

from .played import THREAD, URL, Played, Reply, client_of, reply, run_json, session_of

MARKER = RequestMarker.new({})
NOW = datetime.datetime.now(datetime.timezone.utc)
OWN_404 = reply({"detail": f"Thread with ID {THREAD} not found"}, 404)


def row(number: int, *, age: float, marker: Optional[str] = "another", **changes: Any) -> Dict[str, Any]:
    """A run that was created *age* seconds ago."""
    metadata = {} if marker is None else {"langgraph_runs_request_id": marker}
    created_at = (NOW - datetime.timedelta(seconds=age)).isoformat()
    return run_json(run_id=f"r{number}", created_at=created_at, metadata=metadata, **changes)


def newest_first(rows: List[Any], limit: int, offset: int) -> List[Any]:
    return rows[offset : offset + limit]


def oldest_first(rows: List[Any], limit: int, offset: int) -> List[Any]:
    """As the JavaScript server: ``limit`` is the position of the end of a page."""
    return rows[::-1][offset:limit]


def at_most_twelve(rows: List[Any], limit: int, offset: int) -> List[Any]:
    return rows[offset : offset + min(limit, 12)]


def the_first_twelve(rows: List[Any], limit: int, offset: int) -> List[Any]:
    """It ignores the offset."""
    return rows[:12]


class Server(Played):
    """Lists *rows*, newest first, in the manner of *page*; or gives the same *answer* each time. Searches give *found*."""

    def __init__(
        self,
        rows: List[Any],
        page: Callable[..., Any] = newest_first,
        answer: Optional[Reply] = None,
        found: Optional[Reply] = None,
    ) -> None:
        super().__init__()
        self.rows, self.page, self.answer = rows, page, answer
        self.found = found if found is not None else reply([])

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        self.requests.append(request)
        parts = urllib.parse.urlsplit(str(request.url))
        if parts.path == "/threads/search":
            return self.found.response(request)
        if self.answer is not None:
            return self.answer.response(request)
        query = dict(urllib.parse.parse_qsl(parts.query))
        return reply(self.page(self.rows, int(query["limit"]), int(query["offset"]))).response(request)


class Looked:
    """One thorough look-up, *elapsed* seconds after the create began."""

    def __init__(self, server: Server, traits: Optional[ServerTraits] = None, *, elapsed: float = 2.0, times: int = 1) -> None:
        client = Client(URL, api_key=None, session=session_of(server), retry=RetryPolicy(attempts=1))
        with NO_OPTIONS.scope(client._transport) as scope:
            began = scope.deadline.clock() - elapsed
            lookup = RunLookup(client._transport, traits or ServerTraits(), THREAD, MARKER, began=began)
            for left in range(times, 0, -1):
                self.run: Optional[Run] = lookup.find(scope, thorough=left == 1)
            self.problem = lookup.problem


PAGES = [newest_first, oldest_first, at_most_twelve]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 119, 600, 1300])
def test_the_run_is_found_among_any_number_of_runs(page: Any, count: int) -> None:
    rows = [row(number, age=number + 1) for number in range(count)]
    server = Server([row(9999, age=0, marker=MARKER.value), *rows], page)
    looked = Looked(server)
    assert looked.run is not None
    assert ("r9999", MARKER.request_id) == (looked.run.run_id, looked.run.request_id)
    assert len(server.requests) == 1 if page is not oldest_first else len(server.requests) <= 6


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("gap", [0.0, 0.001, 1.0])
@pytest.mark.parametrize("count", [0, 1, 5, 19, 20, 21, 119, 420])
def test_a_complete_list_without_the_run_shows_that_it_does_not_exist(page: Any, gap: float, count: int) -> None:
    server = Server([row(number, age=number * gap) for number in range(count)], page)
    looked = Looked(server)
    assert (None, None) == (looked.run, looked.problem)


def test_the_newest_runs_are_enough_if_they_reach_back_behind_the_create() -> None:
    """Compared by the server's own clock, which may be wrong: one request, however many runs the thread has."""
    for clock in (0.0, -7200.0, 7200.0):
        server = Server([row(number, age=number - clock) for number in range(600)])
        assert None is Looked(server, elapsed=2.0).problem
        assert 1 == len(server.requests)
    server = Server([row(number, age=number) for number in range(600)])
    assert None is Looked(server, elapsed=60.0).problem
    assert 1 < len(server.requests) <= 4


def test_a_run_that_is_due_in_the_future_does_not_make_others_older() -> None:
    delayed = row(9999, age=-3600, status="pending")
    server = Server([delayed, *[row(number, age=number * 0.01) for number in range(30)]])
    assert None is Looked(server).problem
    assert len(server.requests) > 1


def test_a_look_up_that_is_repeated_sends_few_requests() -> None:
    """Five looks at a thread with 600 runs; a server that lists the oldest first is read on from the last run."""
    for page, most in ((newest_first, 5), (oldest_first, 10)):
        server = Server([row(number, age=number) for number in range(600)], page)
        assert None is Looked(server, times=5).problem
        assert len(server.requests) <= most


def test_a_server_that_may_have_more_runs_than_it_shows_proves_nothing() -> None:
    server = Server([row(number, age=number * 0.01) for number in range(30)], the_first_twelve)
    assert "the server does not show all runs of the thread" == Looked(server).problem
    assert len(server.requests) < 10


@pytest.mark.parametrize(
    ("answer", "found", "problem"),
    [
        (OWN_404, reply([]), False),
        (OWN_404, reply([{"thread_id": "another"}]), False),
        (OWN_404, reply([{"thread_id": THREAD.upper()}]), True),
        (OWN_404, reply({"detail": "Not Found"}, 404), True),
        (OWN_404, Reply(200, b"<html>log in</html>", {"content-type": "text/html"}), True),
        (reply({"detail": "Not Found"}, 404), reply([]), True),
        (Reply(404, b"<html>nginx</html>", {"content-type": "text/html"}), reply([]), True),
        (Reply(404, b""), reply([]), True),
        (Reply(200, b"[]", {"content-type": "application/json", "age": "17"}), reply([]), True),
    ],
    ids=["own", "others", "has it", "no route", "page", "json of a gateway", "page of a gateway", "empty", "cached"],
)
def test_a_404_counts_only_with_a_second_statement_of_the_server(answer: Reply, found: Reply, problem: bool) -> None:
    looked = Looked(Server([], answer=answer, found=found))
    assert looked.run is None
    assert problem == (looked.problem is not None)


def test_caches_are_asked_to_pass_the_request_on() -> None:
    server = Server([])
    Looked(server)
    assert "no-cache" == server.requests[0].headers["Cache-Control"]


def test_caches_that_do_not_obey_cannot_have_the_response() -> None:
    server = Server([])
    Looked(server, times=3)
    assert 3 == len({request.url for request in server.requests})


def test_a_server_that_refuses_unknown_parameters_is_asked_without_one() -> None:
    class Strict(Server):
        def send(self, request: requests.PreparedRequest, *rest: Any, **options: Any) -> requests.Response:
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(str(request.url)).query)
            if query.keys() - {"limit", "offset"}:
                return reply({"detail": "unknown parameter"}, 422).response(request)
            return super().send(request, *rest, **options)

    looked = Looked(Strict([row(9999, age=0, marker=MARKER.value)]))
    assert looked.run is not None and "r9999" == looked.run.run_id


@pytest.mark.parametrize(
    "name, value, problem",
    [
        ("X-Cache", "HIT", True),
        ("X-Cache-Status", "STALE", True),
        ("X-Cache", "Hit from cloudfront", True),
        ("Cache-Status", "ExampleCache; hit", True),
        ("X-Cache", "MISS", False),
        ("Cf-Cache-Status", "DYNAMIC", False),
        ("Cache-Control", "stale-while-revalidate=9", False),
    ],
)
def test_a_cache_says_that_it_had_the_response(name: str, value: str, problem: bool) -> None:
    looked = Looked(Server([], answer=Reply(200, b"[]", {"content-type": "application/json", name: value})))
    assert problem == (looked.problem is not None)


@pytest.mark.parametrize("shows_marker", [None, True, False])
def test_a_marker_that_was_cut_does_not_say_which_create_made_the_run(shows_marker: Optional[bool]) -> None:
    looked = Looked(Server([row(1, age=0.0, marker=MARKER.value[:16])]), ServerTraits(shows_marker=shows_marker))
    assert looked.run is None and looked.problem is not None


@pytest.mark.parametrize("shows_marker", [None, True, False])
@pytest.mark.parametrize("age", [0.0, 30.0, 100 * 3600.0])
def test_a_run_without_a_marker_may_be_the_one(shows_marker: Optional[bool], age: float) -> None:
    """Unless the server is known to show markers, or the run is much too old."""
    server = Server([row(1, age=age, marker=None)])
    looked = Looked(server, ServerTraits(shows_marker=shows_marker))
    assert looked.run is None
    assert (shows_marker is True or age > 3600) == (looked.problem is None)


def test_a_run_without_any_metadata_may_be_the_one_even_if_others_showed_them() -> None:
    bare = {name: value for name, value in row(1, age=0).items() if name not in ("metadata", "kwargs")}
    assert Looked(Server([bare]), ServerTraits(shows_marker=True)).problem is not None


def test_a_run_that_is_older_than_another_run_by_more_than_the_create_took_is_not_the_one() -> None:
    rows = [row(2, age=0), row(1, age=20, marker=None)]
    assert None is Looked(Server(rows), elapsed=2.0).problem
    assert None is not Looked(Server(rows), elapsed=60.0).problem


def test_of_runs_that_have_inherited_the_marker_the_first_is_the_one() -> None:
    """A thread that the create has made gives its metadata to later runs that have none."""
    rows = [row(number, age=10 - number, marker=MARKER.value) for number in (3, 2, 1)]
    found = Looked(Server(rows)).run
    assert found is not None and "r1" == found.run_id


def test_what_a_found_run_shows_is_noted() -> None:
    traits = ServerTraits()
    Looked(Server([row(1, age=0, marker=MARKER.value)]), traits)
    assert (True, True, True) == (traits.shows_marker, traits.keeps_run_metadata, traits.keeps_strategy)


def test_an_error_of_an_adapter_does_not_come_out_of_the_look_up_after_it() -> None:
    """The first attempt failed in code of the caller; the page of a gateway that the look-up gets is another matter."""
    page = Reply(404, b"<html></html>", {"content-type": "text/html"})
    client, played = client_of(requests.ConnectionError("reset"), *[page] * 5)
    with pytest.raises(CreateUncertainError, match="may have been created"):
        client.runs.create(THREAD, "agent")
    assert 1 == sum(asked.startswith("POST") for asked in played.asked)

"""Listing runs: filters, and pages whose rows shift while they are read."""

from __future__ import annotations

import datetime
import random
import urllib.parse
from typing import Any, Callable, Dict, List, Tuple

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_runs import Client, InvalidRequestError, ResponseDecodeError, RetryPolicy, Run

from .played import THREAD, URL, Played, Reply, client_of, reply, run_json, session_of

UTC = datetime.timezone.utc


def at(hour: int) -> datetime.datetime:
    return datetime.datetime(2026, 11, 21, hour, tzinfo=UTC)


def row(number: int, **changes: Any) -> Dict[str, Any]:
    return run_json(run_id=f"r{number}", created_at=at(number % 24).isoformat(), **changes)


class Table(Played):
    """A thread's runs, newest first; what a test does between two pages it does in `between`."""

    def __init__(self, rows: List[Any], between: Callable[[Table], None] = lambda table: None, cap: int = 1000) -> None:
        super().__init__()
        self.rows = rows
        #: No page is longer, whatever is asked for.
        self.cap = cap
        self.between = between

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        if self.requests:
            self.between(self)
        self.requests.append(request)
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(str(request.url)).query))
        offset, limit = int(query["offset"]), int(query["limit"])
        return reply(self.rows[offset : offset + min(limit, self.cap)]).response(request)


def client_on(table: Table) -> Client:
    return Client(URL, api_key=None, session=session_of(table), retry=RetryPolicy(attempts=1))


def ids(runs: Any) -> List[str]:
    return [run.run_id for run in runs]


# -- what is asked


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({}, "limit=10&offset=0"),
        ({"limit": 3, "offset": 5}, "limit=3&offset=5"),
        ({"status": "error"}, "limit=10&offset=0&status=error"),
        ({"select": ["run_id", "status"]}, "limit=10&offset=0&select=run_id&select=status"),
        ({"params": {"sort": "x", "more": [1, True]}}, "limit=10&offset=0&sort=x&more=1&more=true"),
    ],
)
def test_one_page_is_one_request(options: Any, query: str) -> None:
    """The filters of the server are sent as query parameters; a selection is a repeated parameter, not joined by commas."""
    client, played = client_of(reply([row(1)]))
    assert ["r1"] == ids(client.runs.list(THREAD, **options))
    assert [f"GET /threads/{THREAD}/runs?{query}"] == played.asked


def test_fields_that_are_not_selected_are_empty() -> None:
    """They are not known, which is said with what cannot be mistaken for a value."""
    client, _ = client_of(reply([{"status": "success"}]))
    assert [Run(run_id="", thread_id=THREAD, status="success")] == client.runs.list(THREAD, select=["status"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"limit": 0}, "limit=0: give a whole number of at least 1"),
        ({"limit": -1}, "limit=-1: give a whole number of at least 1"),
        ({"limit": "5"}, "limit='5': give a whole number of at least 1"),
        ({"offset": -1}, "offset=-1: give a whole number of at least 0"),
        ({"offset": True}, "offset=True: give a whole number of at least 0"),
        ({"status": "done"}, "status='done': give one of 'pending', 'running', 'error', 'success', 'timeout', 'interrupted'"),
        ({"select": "run_id"}, "select='run_id': give a list of field names"),
        ({"select": ["runid"]}, "select='runid': give one of "),
        ({"metadata": "x"}, "metadata='x': give an object (dict)"),
        ({"created_after": "2026-01-01"}, "created_after='2026-01-01': give a datetime with a time zone"),
        ({"created_before": datetime.datetime(2026, 1, 1)}, "created_before=datetime.datetime(2026, 1, 1, 0, 0): give a datetime"),
    ],
)
def test_values_that_the_server_would_ignore_or_misread_are_refused(options: Any, told: str) -> None:
    """Nothing is sent: negative limits slice there, unknown statuses match nothing, a comma list is an error."""
    client, played = client_of()
    with pytest.raises(InvalidRequestError) as caught:
        client.runs.list(THREAD, **options)
    assert str(caught.value).startswith(told)
    assert [] == played.asked


def test_iterating_checks_before_the_first_run() -> None:
    """A wrong argument raises when the method is called, not when the iteration begins; nothing is sent."""
    client, played = client_of()
    with pytest.raises(InvalidRequestError):
        client.runs.iter(THREAD, page_size=0)
    with pytest.raises(InvalidRequestError):
        client.runs.iter("", page_size=5)
    client.runs.iter(THREAD)
    assert [] == played.asked


# -- our own filters


def test_metadata_and_times_are_filtered_here() -> None:
    """Every pair must be equal, both ends are exclusive, and pages are read until enough runs match."""
    rows = [row(number, metadata={"even": number % 2 == 0, "n": number}) for number in range(20, -1, -1)]
    client = client_on(Table(rows))
    assert ["r20", "r18"] == ids(client.runs.list(THREAD, metadata={"even": True}, limit=2))
    assert ["r16", "r14"] == ids(client.runs.list(THREAD, metadata={"even": True}, limit=2, offset=2))
    assert [] == ids(client.runs.list(THREAD, metadata={"missing": None}))
    assert ["r5", "r4"] == ids(client.runs.list(THREAD, created_after=at(3), created_before=at(6)))
    assert ["r4"] == ids(client.runs.iter(THREAD, created_after=at(3), created_before=at(6), metadata={"even": True}))


def test_fields_that_filters_of_the_library_need_are_selected_too() -> None:
    """A selection without metadata does not make every run fail the filter."""
    client, played = client_of(reply([{"run_id": "r1", "metadata": {"a": 1}, "created_at": at(5).isoformat()}]))
    assert ["r1"] == ids(client.runs.list(THREAD, select=["run_id"], metadata={"a": 1}, created_after=at(1)))
    assert played.asked[0].endswith("&select=run_id&select=metadata&select=created_at")


def test_iterating_over_selected_fields_still_knows_the_runs() -> None:
    """The id is requested even if it is not selected, since pages are put together by it."""
    rows = [row(number) for number in range(5, 0, -1)]
    table = Table(rows)
    assert ["r5", "r4", "r3", "r2", "r1"] == ids(client_on(table).runs.iter(THREAD, select=["status"], page_size=2))
    assert "&select=status&select=run_id" in table.asked[0]


# -- pages


@pytest.mark.parametrize("page_size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 6, 7, 8])
def test_all_pages_are_read(count: int, page_size: int) -> None:
    """Every run comes once, in the server's order, whatever the size of the pages."""
    rows = [row(number) for number in range(count, 0, -1)]
    assert [f"r{number}" for number in range(count, 0, -1)] == ids(client_on(Table(rows)).runs.iter(THREAD, page_size=page_size))


@pytest.mark.parametrize("count", [9, 10, 11, 25, 26, 49, 50, 51, 200])
def test_all_pages_are_read_from_a_server_that_returns_fewer_than_requested(count: int) -> None:
    """A page that is shorter than was requested is not taken for the last one."""
    rows = [row(number) for number in range(count, 0, -1)]
    assert [f"r{number}" for number in range(count, 0, -1)] == ids(client_on(Table(rows, cap=25)).runs.iter(THREAD))


def test_a_few_runs_take_one_request() -> None:
    """No server gives fewer than ten at a time, so nine are all."""
    table = Table([row(number) for number in range(9, 0, -1)])
    assert 9 == len(ids(client_on(table).runs.iter(THREAD)))
    assert 1 == len(table.asked)


def test_pages_are_fetched_as_they_are_needed() -> None:
    """If the caller stops early, no page more than necessary was requested."""
    table = Table([row(number) for number in range(50, 0, -1)])
    runs = client_on(table).runs.iter(THREAD, page_size=10)
    assert [] == table.asked
    for _ in range(10):
        next(runs)
    assert 1 == len(table.asked)
    next(runs)
    assert 2 == len(table.asked)


def test_no_run_appears_twice_while_runs_are_created() -> None:
    """New rows at the top push the others down: the ones that were seen are not given again."""
    fresh = iter(range(1000, 2000))

    def create(table: Table) -> None:
        for _ in range(3):
            table.rows.insert(0, row(next(fresh)))

    rows = [row(number) for number in range(30, 0, -1)]
    found = ids(client_on(Table(rows, create)).runs.iter(THREAD, page_size=10))
    assert [f"r{number}" for number in range(30, 0, -1)] == found


def test_no_run_is_left_out_while_runs_are_deleted() -> None:
    """A cleaner that deletes each run it has seen moves the others up under the offset: they are found by going back."""
    found: List[str] = []

    def delete(table: Table) -> None:
        table.rows[:] = [item for item in table.rows if item["run_id"] not in found]

    for run in client_on(Table([row(number) for number in range(60, 0, -1)], delete)).runs.iter(THREAD, page_size=10):
        found.append(run.run_id)
    assert [f"r{number}" for number in range(60, 0, -1)] == found


def test_a_thread_that_is_emptied_meanwhile() -> None:
    """The iteration ends."""
    rows = [row(number) for number in range(30, 0, -1)]
    table = Table(rows, lambda table: table.rows.clear())
    assert 10 == len(ids(client_on(table).runs.iter(THREAD, page_size=10)))
    assert len(table.asked) < 10


@settings(max_examples=150)
@given(st.integers(0, 60), st.integers(1, 20), st.integers(10, 20), st.randoms(use_true_random=False))
def test_each_run_comes_once_while_rows_shift_at_random(count: int, page_size: int, cap: int, rng: random.Random) -> None:
    """However runs come and go: none twice, and none left out that was there all the time."""
    fresh = iter(range(1000, 10_000))
    original = [row(number) for number in range(count, 0, -1)]
    lasting = {item["run_id"] for item in original}

    def shift(table: Table) -> None:
        for _ in range(rng.choice([0, 0, 1, 2])):
            table.rows.insert(0, row(next(fresh)))
        for _ in range(rng.choice([0, 0, 1, 5])):
            if table.rows:
                lasting.discard(table.rows.pop(rng.randrange(len(table.rows)))["run_id"])

    found = ids(client_on(Table(list(original), shift, cap)).runs.iter(THREAD, page_size=page_size))
    assert len(set(found)) == len(found)
    assert set() == lasting - set(found)


def test_a_server_that_does_not_page_is_an_error_and_no_endless_loop() -> None:
    """The same full page for every offset is noticed after a few."""

    class Stuck(Table):
        def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
            self.requests.append(request)
            return reply(self.rows).response(request)

    table = Stuck([row(number) for number in range(10, 0, -1)])
    found: List[str] = []
    with pytest.raises(ResponseDecodeError, match="the server does not page: \\$: the same 10 runs whatever the offset"):
        for run in client_on(table).runs.iter(THREAD, page_size=10):
            found.append(run.run_id)
    assert [f"r{number}" for number in range(10, 0, -1)] == found
    assert len(table.requests) < 20


def test_a_server_that_knows_no_offset_gives_all_at_once() -> None:
    """The same short page for every offset: these are all, and each comes once."""

    class Whole(Table):
        def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
            self.requests.append(request)
            return reply(self.rows).response(request)

    table = Whole([row(number) for number in range(50, 0, -1)])
    assert [f"r{number}" for number in range(50, 0, -1)] == ids(client_on(table).runs.iter(THREAD))
    assert len(table.requests) < 20


@pytest.mark.parametrize("answer", [reply({"runs": []}), Reply(200, b""), Reply(200, b"null"), reply([{"run_id": 5}])])
def test_a_response_that_is_not_a_page_is_an_error(answer: Reply) -> None:
    """Another shape is a decode error with its place, for one page and for all."""
    for call in (lambda client: client.runs.list(THREAD), lambda client: list(client.runs.iter(THREAD))):
        client, _ = client_of(answer)
        with pytest.raises(ResponseDecodeError) as caught:
            call(client)
        assert caught.value.problems[0].startswith("$")


def test_the_timeout_is_for_the_whole_iteration() -> None:
    """It is not begun anew with each page."""
    clock: List[float] = [0.0]

    def advance(table: Table) -> None:
        clock[0] += 3.0

    client = client_on(Table([row(number) for number in range(30, 0, -1)], advance))
    client._transport._clock = lambda: clock[0]
    client.runs._transport._clock = client._transport._clock
    seen: Tuple[str, ...] = ()
    with pytest.raises(TimeoutError):
        for run in client.runs.iter(THREAD, page_size=10, timeout=5.0):
            seen += (run.run_id,)
    assert 19 == len(seen)

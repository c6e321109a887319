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

from langgraph_runs import Client, InvalidRequestError, ResponseDecodeError, RetryPolicy, Run, api
from langgraph_runs.http import NO_OPTIONS
from langgraph_runs.runs.pagination import Filters, PageReader

from .played import THREAD, URL, Played, Reply, client_of, reply, run_json, session_of

UTC = datetime.timezone.utc


def at(hour: int) -> datetime.datetime:
    return datetime.datetime(2026, 11, 21, tzinfo=UTC) + datetime.timedelta(hours=hour)


def row(number: int, **changes: Any) -> Dict[str, Any]:
    return run_json(run_id=f"r{number}", created_at=at(number).isoformat(), **changes)


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


class Sliced(Table):
    """As the JavaScript server: oldest first, and ``limit`` is the position of the end of a page."""

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        if self.requests:
            self.between(self)
        self.requests.append(request)
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(str(request.url)).query))
        return reply(self.rows[::-1][int(query["offset"]) : int(query["limit"])]).response(request)


def client_on(table: Table) -> Client:
    return Client(URL, api_key=None, session=session_of(table), retry=RetryPolicy(attempts=1))


def ids(runs: Any) -> List[str]:
    return [run.run_id for run in runs]


# -- what is asked


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({}, "limit=10&offset=0"),
        ({"limit": 30}, "limit=30&offset=0"),
        ({"status": "error"}, "limit=10&offset=0&status=error"),
        ({"select": ["run_id", "status"]}, "limit=10&offset=0&select=run_id&select=status&select=created_at"),
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
        ({"metadata": "x"}, "metadata: give an object (a dict, dataclass, attrs or pydantic object), not a string"),
        ({"created_after": "2026-01-01"}, "created_after='2026-01-01': give a datetime with a time zone"),
        ({"created_after": "2026-01-01T00:00:00"}, "created_after='2026-01-01T00:00:00': give a datetime with a time zone"),
        ({"created_after": "2026-13-01T00:00:00Z"}, "created_after='2026-13-01T00:00:00Z': give a datetime with a time zone"),
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


@pytest.mark.parametrize("text", ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z", "2026-01-02T04:04:05+01:00"])
def test_times_may_be_text_with_an_offset(text: str) -> None:
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    assert Filters.checked(None, None, None, moment, moment) == Filters.checked(None, None, None, text, text)


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


class Limited(Table):
    """Refuses a larger limit, as frameworks do that check parameters."""

    most = 50

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(str(request.url)).query))
        if int(query["limit"]) > self.most:
            self.requests.append(request)
            problem = {"loc": ["query", "limit"], "msg": f"Input should be less than or equal to {self.most}"}
            return reply({"detail": [problem]}, 422).response(request)
        return super().send(request)


@pytest.mark.parametrize("call", ["iter", "list"])
def test_a_server_that_refuses_the_limit_gets_a_smaller_one(call: str) -> None:
    table = Limited([row(number) for number in range(120, 0, -1)])
    client = client_on(table)
    runs = client.runs.iter(THREAD, page_size=400) if call == "iter" else client.runs.list(THREAD, limit=400)
    assert [f"r{number}" for number in range(120, 0, -1)] == ids(runs)


@pytest.mark.parametrize("cap", [10, 20, 30])
def test_a_list_is_not_short_because_the_server_returns_fewer_than_requested(cap: int) -> None:
    table = Table([row(number) for number in range(40, 0, -1)], cap=cap)
    client = client_on(table)
    assert [f"r{number}" for number in range(40, 5, -1)] == ids(client.runs.list(THREAD, limit=35))
    assert [f"r{number}" for number in range(38, 3, -1)] == ids(client.runs.list(THREAD, limit=35, offset=2))


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


# -- other orders, and other paging


@pytest.mark.parametrize("page_size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 10, 11, 120])
def test_runs_come_newest_first_from_a_server_that_lists_the_oldest_first(count: int, page_size: int) -> None:
    table = Sliced([row(number) for number in range(count, 0, -1)])
    client = client_on(table)
    newest_first = [f"r{number}" for number in range(count, 0, -1)]
    assert newest_first == ids(client.runs.iter(THREAD, page_size=page_size))
    for limit, offset in ((1, 0), (3, 0), (10, 0), (3, 2), (200, 0)):
        assert newest_first[offset : offset + limit] == ids(client.runs.list(THREAD, limit=limit, offset=offset))
        assert newest_first[offset : offset + limit] == ids(client_on(table).runs.list(THREAD, limit=limit, offset=offset))


def test_many_runs_of_a_server_that_lists_the_oldest_first() -> None:
    """More than are requested at a time."""
    table = Sliced([row(number) for number in range(1700, 0, -1)])
    assert [f"r{number}" for number in range(1700, 0, -1)] == ids(client_on(table).runs.iter(THREAD))
    assert len(table.asked) <= 8


def test_the_order_that_a_server_has_shown_saves_requests() -> None:
    """Newest first: one request, for what is needed. Oldest first: two, for all."""
    rows = [row(number) for number in range(120, 0, -1)]
    table, sliced = Table(rows), Sliced(rows)
    for server, count in ((table, 1), (sliced, 2)):
        client = client_on(server)
        client.runs.list(THREAD, limit=5)
        before = len(server.asked)
        assert ["r120"] == ids(client.runs.list(THREAD, limit=1))
        assert count == len(server.asked) - before
    assert table.asked[-1].endswith("?limit=1&offset=0")


def test_runs_in_no_order_are_put_in_order() -> None:
    numbers = list(range(40, 0, -1))
    random.Random(7).shuffle(numbers)
    for number in (12, 40):
        client = client_on(Table([row(number) for number in numbers]))
        assert [f"r{n}" for n in range(40, 40 - number, -1)] == ids(client.runs.list(THREAD, limit=number))
        assert [f"r{n}" for n in range(40, 0, -1)] == ids(client.runs.iter(THREAD, page_size=10))


def test_a_time_that_was_only_requested_for_the_order_is_not_shown() -> None:
    for server in (Table, Sliced):
        table = server([row(number) for number in range(3, 0, -1)])
        for select, shown in ((["run_id"], False), (["run_id", "created_at"], True)):
            client = client_on(table)
            runs = [*client.runs.list(THREAD, select=select), *client.runs.iter(THREAD, select=select)]
            assert ["r3", "r2", "r1"] * 2 == ids(runs)
            assert [shown] * 6 == [run.created_at is not None for run in runs]


@pytest.mark.parametrize("table", [Table, Sliced])
@pytest.mark.parametrize("count", [0, 1, 5, 19, 20, 21, 600])
def test_a_thorough_reader_shows_that_it_has_all(table: Any, count: int) -> None:
    """The last page has nothing but the row that is known: no page is taken for the last one because it is short."""
    for cap in (1000,) if table is Sliced else (1000, 3, 20):
        server = table([row(number) for number in range(count, 0, -1)], cap=cap)
        reader = reader_of(server)
        while reader.complete is None:
            reader.read()
        assert (True, count) == (reader.complete, len(reader.rows))
        assert cap < 1000 or len(server.asked) <= 60


def reader_of(server: Table) -> PageReader[Run]:
    client = client_on(server)

    def fetch(limit: int, offset: int) -> List[Run]:
        with NO_OPTIONS.scope(client._transport) as scope:
            return api.list_runs(client._transport, scope, THREAD, limit=limit, offset=offset)

    return PageReader(fetch, lambda run: run.run_id, size=20, thorough=True)


def test_a_thorough_reader_says_that_it_cannot_know() -> None:
    """A server that ignores the offset may have more runs than it returns."""

    class Deaf(Table):
        def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
            self.requests.append(request)
            return reply(self.rows[:12]).response(request)

    server = Deaf([row(number) for number in range(30, 0, -1)])
    reader = reader_of(server)
    while reader.complete is None:
        reader.read()
    assert reader.complete is False
    assert len(server.asked) < 10

"""Which requests are repeated: the retry table, call by call, against servers that refuse, break and send Retry-After."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

import attrs
import pytest

from langgraph_runs import (
    APIConnectionError,
    APIStatusError,
    Client,
    ConflictError,
    CreateUncertainError,
    DeadlineExceededError,
    InternalServerError,
    LangGraphRunsError,
    NotFoundError,
    RateLimitError,
    RetryDetails,
    RetryPolicy,
)

from .calls import CALLS, QUICK, Call, after, beside, calls, hasty, named
from .scripted import Reply, ScriptedServer, closed_port, drop_before_answer, reply, reply_json

Connect = Callable[..., Client]

PASSING = (408, 425, 429, 500, 502, 503, 504, 520, 522, 524, 530)
#: Named by what may be done to them twice.
REPEATABLE = ("read", "end")
GET = named("get")


class Told:
    """A client that never waits, and the details that its hook got before each wait."""

    def __init__(self, connect: Connect, server: ScriptedServer, **policy: Any) -> None:
        self.details: list[RetryDetails] = []
        chosen = attrs.evolve(RetryPolicy(**policy), on_retry=self.details.append)
        self.client = hasty(connect(server.url, retry=chosen))

    @property
    def waits(self) -> list[float]:
        return [detail.wait for detail in self.details]


@pytest.fixture
def refused() -> Iterator[str]:
    with closed_port() as url:
        yield url


# -- what may be repeated


@pytest.mark.parametrize("status", PASSING)
@calls(*REPEATABLE)
def test_a_transient_status_is_repeated(connect: Connect, call: Call, status: int) -> None:
    """Two requests, and the second response is the result."""
    with ScriptedServer(reply(status), call.good, routes=after(call)) as server:
        call(connect(server.url, verify_outcome=False))
    first, second = (request.line for request in server.requests if request.path == call.path)
    assert first == second


@calls(*REPEATABLE)
def test_a_connection_that_breaks_before_the_response_is_replaced(connect: Connect, call: Call) -> None:
    with ScriptedServer(drop_before_answer(), drop_before_answer(), call.good, routes=after(call)) as server:
        call(connect(server.url, verify_outcome=False))
    assert 3 == sum(request.path == call.path for request in server.requests)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_if_no_server_listens_every_call_tries_four_times(connect: Connect, call: Call, refused: str) -> None:
    """Nothing was sent, so that even a create may be repeated."""
    told: list[RetryDetails] = []
    client = connect(refused, retry=attrs.evolve(QUICK, on_retry=told.append))
    with pytest.raises(APIConnectionError) as caught:
        call(client)
    assert [2, 3, 4] == [detail.attempt for detail in told]
    assert caught.value.sent is False
    assert not isinstance(caught.value, CreateUncertainError)


@calls("end")
def test_a_404_on_a_repeat_means_that_the_first_attempt_succeeded(connect: Connect, call: Call) -> None:
    with ScriptedServer(drop_before_answer(), reply_json(404, {"detail": "Run not found"})) as server:
        call(connect(server.url))


@calls("end")
@pytest.mark.parametrize(
    "gateway", [reply_json(404, {"detail": "Not Found"}), reply(404, "<html>nginx</html>")], ids=["json", "page"]
)
def test_a_404_on_a_repeat_that_names_nothing_is_an_error(connect: Connect, call: Call, gateway: Reply) -> None:
    """A gateway sends it while the server is away, so that it does not say that the first attempt succeeded."""
    with ScriptedServer(drop_before_answer(), gateway, routes=beside(call)) as server, pytest.raises(NotFoundError):
        call(connect(server.url))


@calls("end")
def test_a_404_after_a_refusal_is_an_error(connect: Connect, call: Call) -> None:
    refusal = reply(503, "busy", {"Retry-After": "0"})
    with ScriptedServer(refusal, reply_json(404, {"detail": "Run not found"})) as server, pytest.raises(NotFoundError):
        call(connect(server.url))


@calls("end")
def test_a_404_at_once_is_an_error(connect: Connect, call: Call) -> None:
    with ScriptedServer(reply_json(404, {"detail": "not found"}), routes=beside(call)) as server, pytest.raises(NotFoundError):
        call(connect(server.url))


# -- what may not


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 501])
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_final_response_is_not_requested_again(connect: Connect, call: Call, status: int) -> None:
    """One request; above all for 409: a busy thread is a final response."""
    with (
        ScriptedServer(reply_json(status, {"detail": "no"}), routes=beside(call)) as server,
        pytest.raises(APIStatusError) as caught,
    ):
        call(connect(server.url))
    assert status == caught.value.status_code
    assert isinstance(caught.value, ConflictError) is (status == 409)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
@calls("write")
def test_a_write_that_may_have_happened_is_not_sent_again(connect: Connect, call: Call, status: int) -> None:
    with ScriptedServer(reply(status)) as server, pytest.raises(APIStatusError):
        call(connect(server.url))


@calls("write")
def test_a_write_without_a_response_is_not_sent_again(connect: Connect, call: Call) -> None:
    with ScriptedServer(drop_before_answer()) as server, pytest.raises(APIConnectionError) as caught:
        call(connect(server.url))
    assert caught.value.sent is not False


@calls("create")
def test_a_create_that_failed_in_the_server_is_not_sent_again(connect: Connect, call: Call) -> None:
    """500 is a final response: the server has failed to create the run, and would fail again. There is no run of a wait."""
    routes = {("GET", "/threads/*/runs"): reply_json(200, [])} if call.name == "wait" else {}
    with ScriptedServer(reply_json(500, {"detail": "boom"}), routes=routes) as server, pytest.raises(InternalServerError):
        call(connect(server.url))


@calls("create")
@pytest.mark.parametrize("status", [500, 501, 502, 505, 520, 527, 530])
def test_a_page_in_place_of_a_response_leaves_a_create_open(connect: Connect, call: Call, status: int) -> None:
    """What stands in front of the server has sent it, whatever the status. Here the run cannot be looked up either."""
    page = reply(status, "<html>gateway</html>", {"Content-Type": "text/html"})
    with ScriptedServer(page, always=reply(403)) as server, pytest.raises(CreateUncertainError):
        call(connect(server.url))
    assert 1 == sum(request.path == call.path and request.method == "POST" for request in server.requests)


@pytest.mark.parametrize("refusal", [reply(429), reply(503, headers={"Retry-After": "0"})], ids=str)
@calls("create", "write")
def test_a_request_that_was_surely_not_executed_is_sent_again(connect: Connect, call: Call, refusal: Any) -> None:
    with ScriptedServer(refusal, refusal, call.good, routes=after(call)) as server:
        call(connect(server.url, verify_outcome=False))
    assert 3 == sum((request.method, request.path) == (call.method, call.path) for request in server.requests)


# -- how often, and after what


@pytest.mark.parametrize("call", [GET, named("delete"), named("threads.search"), named("join")], ids=str)
def test_the_last_error_is_raised_after_four_attempts(connect: Connect, call: Call) -> None:
    """The run of a join cannot be requested either."""
    with ScriptedServer(reply(500), reply(500), reply(503), reply(502), routes=after(call, run=reply(403))) as server:
        with pytest.raises(APIStatusError) as caught:
            call(connect(server.url))
    assert (502, 4) == (caught.value.status_code, caught.value.attempts)


@calls(*REPEATABLE)
def test_one_attempt_means_one_request(connect: Connect, call: Call) -> None:
    with ScriptedServer(reply(503)) as server, pytest.raises(APIStatusError):
        call(connect(server.url, retry=RetryPolicy(attempts=1)))


def test_only_the_statuses_of_the_policy_are_transient(connect: Connect) -> None:
    client_of = {"retry": RetryPolicy(statuses={418}, wait_initial=0)}
    with ScriptedServer(reply(418), GET.good, reply(503)) as server:
        client = connect(server.url, **client_of)
        GET(client)
        with pytest.raises(InternalServerError):
            GET(client)


def test_waits_double_up_to_the_longest(connect: Connect) -> None:
    with ScriptedServer(*[reply(503)] * 5, GET.good) as server:
        told = Told(connect, server, attempts=6, jitter="none", wait_initial=1, wait_max=5)
        GET(told.client)
    assert [1, 2, 4, 5, 5] == told.waits


def test_waits_are_random_parts_of_that(connect: Connect) -> None:
    with ScriptedServer(*[reply(503)] * 9, GET.good) as server:
        told = Told(connect, server, attempts=10, wait_initial=1, wait_max=1)
        GET(told.client)
    assert all(0 <= wait <= 1 for wait in told.waits)
    assert 9 == len(set(told.waits))


@pytest.mark.parametrize("call", [GET, named("create"), named("wait"), named("stream"), named("cancel")], ids=str)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for(connect: Connect, call: Call, status: int) -> None:
    with ScriptedServer(reply(status, headers={"Retry-After": "7"}), call.good, routes=after(call)) as server:
        told = Told(connect, server)
        call(told.client)
    assert [7] == told.waits


def test_retry_after_is_ignored_if_the_policy_says_so(connect: Connect) -> None:
    with ScriptedServer(reply(429, headers={"Retry-After": "7"}), GET.good) as server:
        told = Told(connect, server, respect_retry_after=False, wait_initial=0)
        GET(told.client)
    assert [0] == told.waits


@pytest.mark.parametrize("call", [GET, named("create"), named("stream"), named("join")], ids=str)
def test_a_longer_retry_after_than_is_waited_for_is_raised_at_once(connect: Connect, call: Call) -> None:
    """The error has the requested wait, so that the caller can try again then."""
    with ScriptedServer(reply(429, headers={"Retry-After": "3600"})) as server, pytest.raises(RateLimitError) as caught:
        call(connect(server.url, retry=RetryPolicy()))
    assert 3600 == caught.value.retry_after


def test_a_wait_that_would_cross_the_deadline_is_not_begun(connect: Connect) -> None:
    """The server's error is raised at once, rather than a timeout later."""
    with ScriptedServer(reply(429, headers={"Retry-After": "20"})) as server, pytest.raises(RateLimitError) as caught:
        GET(connect(server.url, retry=RetryPolicy()), timeout=10)
    assert not isinstance(caught.value, DeadlineExceededError)


def test_threads_share_one_budget(connect: Connect) -> None:
    """Two retries in a burst are two, however many calls there are; an error that is not retried is raised at once."""
    with ScriptedServer(always=reply(503)) as server:
        client = hasty(connect(server.url, retry=RetryPolicy(budget=2, jitter="none")))
        for _ in range(5):
            with pytest.raises(InternalServerError):
                GET(client)
    assert 5 + 2 <= len(server.requests) <= 5 + 3  # one may have come back by itself meanwhile


def test_an_error_in_the_hook_reaches_the_caller(connect: Connect) -> None:
    """It is not swallowed, and nothing more is sent."""

    def hook(_: RetryDetails) -> None:
        raise ZeroDivisionError("in the hook")

    with ScriptedServer(reply(503)) as server, pytest.raises(ZeroDivisionError):
        GET(connect(server.url, retry=RetryPolicy(on_retry=hook)))


def test_an_error_says_how_often_the_request_was_tried(connect: Connect) -> None:
    with ScriptedServer(*[reply(500)] * 4) as server, pytest.raises(LangGraphRunsError) as caught:
        GET(connect(server.url))
    assert 4 == caught.value.attempts

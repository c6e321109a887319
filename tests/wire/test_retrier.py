"""What the one retry engine promises to every call: the budget of the client, and hooks that are called between attempts."""

from __future__ import annotations

import contextlib
import gc
import logging
import weakref
from typing import Any, Callable, Dict, List

import attrs
import pytest
import requests

from langgraph_runs import (
    APIConnectionError,
    Client,
    ConflictError,
    DeadlineExceededError,
    LangGraphRunsError,
    NotFoundError,
    RateLimitError,
    RetryDetails,
    RetryPolicy,
    UnprocessableEntityError,
)
from langgraph_runs.testing import fake_server, rate_limited, succeeds

from .calls import CALLS, QUICK, Call, after, named
from .scripted import RUN_ID, THREAD_ID, ScriptedServer, closed_port, drop_before_answer, reply, reply_json, run_headers, run_json

Connect = Callable[..., Client]


# -- the budget bounds every repeat


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_without_budget_nothing_is_repeated_where_no_server_listens(connect: Connect, call: Call) -> None:
    with closed_port() as url, pytest.raises(APIConnectionError) as caught:
        call(connect(url, retry=attrs.evolve(QUICK, budget=0)))
    assert 1 == caught.value.attempts


@pytest.mark.parametrize("name", ["create", "wait", "stream", "get", "list", "join", "join_stream", "cancel", "threads.delete"])
def test_without_budget_a_refusal_is_final(connect: Connect, name: str) -> None:
    with ScriptedServer(always=reply(429, headers=[("Retry-After", "0")])) as server, pytest.raises(RateLimitError):
        named(name)(connect(server.url, retry=attrs.evolve(QUICK, budget=0)))
    assert 1 == len(server.requests)


def test_the_repeats_of_several_calls_share_one_budget(connect: Connect) -> None:
    """Two tokens are two repeats, whichever calls need them."""
    with ScriptedServer(always=reply(429, headers=[("Retry-After", "0")])) as server:
        client = connect(server.url, retry=attrs.evolve(QUICK, budget=2))
        for name in ("get", "create", "join"):
            with pytest.raises(RateLimitError):
                named(name)(client)
    assert 3 + 2 == len(server.requests)


def test_a_refusal_in_a_map_needs_no_budget() -> None:
    """It concerns all inputs: the map waits, for `max_outage` at most, and starts the input again."""
    with fake_server() as fake:
        fake.script(rate_limited(), succeeds({"n": 2}))
        (result,) = fake.client(retry=attrs.evolve(QUICK, budget=0)).runs.map("agent", [{"n": 1}])
        assert {"n": 2} == result.values
        fake.assert_requested("POST", "/threads/*/runs/wait", times=2)


# -- hooks are called between attempts


GOOD_RUN = reply_json(200, run_json(), run_headers(THREAD_ID, RUN_ID))


@pytest.mark.parametrize("name", ["create", "wait", "stream"])
@pytest.mark.parametrize(
    "raised",
    [RateLimitError("slow down", status_code=429, retry_after=0.0), APIConnectionError("broke", sent=False), KeyError("x")],
    ids=lambda error: type(error).__name__,
)
def test_what_on_run_created_raises_reaches_the_caller_and_repeats_nothing(connect: Connect, name: str, raised: Exception) -> None:
    """Also where it is an error of this library that would be transient for the request itself."""
    call = named(name)

    def on_run_created(_: Dict[str, Any]) -> None:
        raise raised

    with ScriptedServer(call.good, routes=after(call)) as server, pytest.raises(type(raised)) as caught:
        call(connect(server.url), on_run_created=on_run_created)
    assert raised is caught.value
    assert 1 == sum(request.method == "POST" for request in server.requests)


def test_on_run_created_may_use_the_client_and_fail(connect: Connect) -> None:
    """A request within the function is refused, and the run is created once."""
    with ScriptedServer(GOOD_RUN, always=reply(429, headers=[("Retry-After", "0")])) as server:
        client = connect(server.url)
        with pytest.raises(RateLimitError):
            client.runs.create(THREAD_ID, "agent", on_run_created=lambda ids: print(client.threads.update(THREAD_ID, metadata=ids)))
    assert 1 == sum(request.method == "POST" for request in server.requests)


@pytest.mark.parametrize("name", ["get", "create", "wait", "stream", "join", "join_stream"])
@pytest.mark.parametrize("raised", [RateLimitError("x", status_code=429, retry_after=0.0), ValueError("x")], ids=type)
def test_what_on_retry_raises_reaches_the_caller_and_repeats_nothing(connect: Connect, name: str, raised: Exception) -> None:
    def on_retry(_: RetryDetails) -> None:
        raise raised

    policy = attrs.evolve(QUICK, on_retry=on_retry)
    with ScriptedServer(always=reply(429, headers=[("Retry-After", "0")])) as server, pytest.raises(type(raised)) as caught:
        named(name)(connect(server.url, retry=policy))
    assert raised is caught.value
    assert 1 == len(server.requests)


# -- one judgement for a batch and a create


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
def test_a_batch_of_one_is_refused_as_plainly_as_a_create(connect: Connect, status: int) -> None:
    with ScriptedServer(always=reply_json(status, {"detail": "no"})) as server:
        client = connect(server.url)
        errors: List[LangGraphRunsError] = []
        for make in (
            lambda: client.runs.create(THREAD_ID, "agent"),
            lambda: client.runs.create_batch([{"assistant_id": "agent", "thread_id": THREAD_ID}]),
            lambda: client.runs.create_batch([{"assistant_id": "agent"}]),
        ):
            with pytest.raises(LangGraphRunsError) as caught:
                make()
            errors.append(caught.value)
    assert 1 == len({type(error) for error in errors})
    assert [(), (), ()] == [error.uncertain for error in errors]


def test_a_refusal_may_concern_one_of_several_items(connect: Connect) -> None:
    """Then others of the same request may have been created before."""
    with ScriptedServer(always=reply_json(422, {"detail": "no"})) as server, pytest.raises(UnprocessableEntityError) as caught:
        connect(server.url).runs.create_batch([{"assistant_id": "agent"}, {"assistant_id": "other"}])
    assert (0, 1) == caught.value.uncertain


# -- 404 after an attempt that may have been executed


@pytest.mark.parametrize("name", ["delete", "cancel", "threads.delete"])
def test_a_404_is_a_success_only_after_an_attempt_that_may_have_been_executed(connect: Connect, name: str) -> None:
    call = named(name)
    gone = reply_json(404, {"detail": "Thread or run not found"})
    with ScriptedServer(drop_before_answer(), gone) as server:
        call(connect(server.url))
        assert 2 == len(server.requests)
    for refused in (reply(429, headers=[("Retry-After", "0")]), reply(503, headers=[("Retry-After", "0")])):
        with ScriptedServer(refused, gone) as server, pytest.raises(NotFoundError):
            call(connect(server.url))
        assert 2 == len(server.requests)


def test_a_policy_of_one_attempt_never_repeats(connect: Connect) -> None:
    with ScriptedServer(always=reply(503)) as server, pytest.raises(LangGraphRunsError):
        connect(server.url, retry=RetryPolicy(attempts=1)).runs.get(THREAD_ID, RUN_ID)
    assert 1 == len(server.requests)


# -- a hook that uses a client raises errors of the same classes as the call; they are not taken for the call's own


def raising(error: LangGraphRunsError) -> Callable[[Any], None]:
    """A hook that raises *error* when it is called for the first time."""
    left = [error]

    def hook(_: Any) -> None:
        if left:
            raise left.pop()

    return hook


@pytest.mark.parametrize("name", ["cancel", "delete", "threads.delete"])
def test_a_404_in_a_hook_is_not_taken_for_success(connect: Connect, name: str) -> None:
    """Of the call itself, a 404 after an attempt that may have been executed means that the run is cancelled or deleted."""
    error = NotFoundError("of another call", status_code=404)
    with ScriptedServer(drop_before_answer()) as server, pytest.raises(NotFoundError) as caught:
        named(name)(connect(server.url, retry=attrs.evolve(QUICK, on_retry=raising(error))))
    assert error is caught.value


def test_a_404_in_a_hook_is_not_taken_for_the_absence_of_a_run(connect: Connect) -> None:
    """Of the search for the run, a 404 says that the thread has no run, and then the create is sent again."""
    error = NotFoundError("of another call", status_code=404)
    routes = {("GET", "/threads/*/runs"): reply(502)}
    with ScriptedServer(drop_before_answer(), routes=routes) as server, pytest.raises(NotFoundError) as caught:
        named("create")(connect(server.url, retry=attrs.evolve(QUICK, on_retry=raising(error))))
    assert error is caught.value
    assert 1 == sum(request.method == "POST" for request in server.requests)


@pytest.mark.parametrize("name", ["create", "wait", "stream"])
def test_a_hook_of_the_session_that_raises_repeats_no_create(connect: Connect, name: str) -> None:
    """It is called within the attempt, and its error looks as if the server had refused the create."""
    error = RateLimitError("of another call", status_code=429)

    hook = raising(error)

    def on_response(response: Any, *args: Any, **kwargs: Any) -> None:
        response.close()  # requests leaves it open if a hook raises
        hook(response)

    session = requests.Session()
    session.hooks["response"].append(on_response)
    call = named(name)
    with ScriptedServer(call.good) as server, pytest.raises(RateLimitError) as caught:
        call(connect(server.url, session=session))
    assert error is caught.value


@pytest.mark.parametrize("name", ["get", "create", "wait", "stream"])
def test_a_hook_that_raises_for_the_status_changes_nothing(connect: Connect, name: str) -> None:
    """A 409 is raised as such, without a repeat and with its body; another hook's success stays one."""
    session = requests.Session()
    session.hooks["response"].append(lambda response, *_, **__: response.raise_for_status())
    call = named(name)
    with ScriptedServer(reply_json(409, {"detail": "busy"})) as server, pytest.raises(ConflictError, match="busy"):
        call(connect(server.url, session=session))
    assert 1 == len(server.requests)


@pytest.mark.parametrize("name", ["create", "wait", "stream"])
@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_a_log_handler_that_raises_repeats_no_create(connect: Connect, name: str, level: int) -> None:
    error = RateLimitError("of another call", status_code=429)

    hook = raising(error)
    handler, logger = logging.Handler(level), logging.getLogger("langgraph_runs")
    handler.emit = hook  # type: ignore[method-assign, assignment]
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    call = named(name)
    try:
        with ScriptedServer(call.good) as server:
            client = connect(server.url)
            with pytest.raises(RateLimitError) as caught:
                call(client)
            # The connection of a response that nobody gets is closed, while the error still refers to the frames.
            server.wait_until(lambda: server.open_connections <= (name != "stream"), "the connection to be closed")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    assert error is caught.value


@pytest.mark.parametrize("name", ["wait", "stream"])
def test_a_deadline_in_a_hook_does_not_cancel_the_run(connect: Connect, name: str) -> None:
    """``on_timeout="cancel"`` is about the deadline of the call itself."""
    error = DeadlineExceededError("of another call", timeout=1.0)
    call = named(name)
    with ScriptedServer(call.good) as server, pytest.raises(DeadlineExceededError) as caught:
        call(connect(server.url), on_timeout="cancel", on_run_created=raising(error))
    assert error is caught.value
    assert error.__context__ is None or error.__suppress_context__


# -- what is left of an error


@pytest.mark.parametrize("name", ["get", "cancel", "create", "wait", "join", "threads.get"])
@pytest.mark.parametrize("status", [404, 500, 524])
def test_a_final_error_is_freed_without_the_garbage_collector(connect: Connect, name: str, status: int) -> None:
    """A cycle of references would keep its frames, with request and response, alive for an uncertain time."""
    call = named(name)
    with ScriptedServer(always=reply(status)) as server:
        client = connect(server.url)
        with contextlib.suppress(LangGraphRunsError):
            call(client)  # what is imported and made by the first call
        gc.disable()
        try:
            try:
                call(client)
            except LangGraphRunsError as error:
                kept = weakref.ref(error)
            assert kept() is None
        finally:
            gc.enable()

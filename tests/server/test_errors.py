"""Statuses of the real server, with and without users, as typed errors; and runs that the server itself ends."""

from __future__ import annotations

import pickle
import time
import uuid
from collections.abc import Iterator
from typing import Any, Callable

import pytest

from langgraph_runs import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    Client,
    ConflictError,
    CreateUncertainError,
    InternalServerError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RetryPolicy,
    RunTimedOutError,
    UnprocessableEntityError,
)
from langgraph_runs.devserver import DevServer

from ..waiting import PROMPT
from .conftest import Gate

ALICE, BOB, READER, HOG = "key-of-alice", "key-of-bob", "key-of-a-reader", "key-of-a-hog"


@pytest.fixture
def as_user(guarded_server: DevServer) -> Iterator[Callable[..., Client]]:
    """A client of the guarded server with somebody's key."""
    clients = []

    def client_of(api_key: Any, **options: Any) -> Client:
        clients.append(Client(guarded_server.url, api_key=api_key, **options))
        return clients[-1]

    yield client_of
    for client in clients:
        client.close()


def start(client: Client, call: str, thread_id: Any, assistant_id: str = "echo", **options: Any) -> Any:
    return getattr(client.runs, call)(thread_id, assistant_id, **{"input": {"value": 1}, **options})


CALLS = pytest.mark.parametrize("call", ["create", "wait", "stream"])


# -- keys


@pytest.mark.parametrize("key", [None, "wrong"])
@CALLS
def test_an_unknown_key_is_not_let_in(as_user: Callable[..., Client], call: str, key: Any) -> None:
    """401 for every call, with the server's text, and without the key in the error."""
    client = as_user(key)
    with pytest.raises(AuthenticationError) as caught:
        start(client, call, None)

    assert (401, "Invalid API key", {"detail": "Invalid API key"}, 1) == (
        caught.value.status_code,
        caught.value.message,
        caught.value.body,
        caught.value.attempts,
    )
    assert str(key) not in repr(caught.value)
    for other in (client.threads.create, lambda: client.runs.list(str(uuid.uuid4())), client.assistants.search):
        with pytest.raises(AuthenticationError):
            other()
    assert client.ok()  # needs no key


@CALLS
def test_a_key_may_not_be_enough(as_user: Callable[..., Client], call: str) -> None:
    """403 is PermissionDeniedError, and nothing is tried again."""
    with pytest.raises(PermissionDeniedError, match="read only") as caught:
        start(as_user(READER), call, None)

    assert 1 == caught.value.attempts


@CALLS
def test_too_many_requests_carry_the_time_to_wait(as_user: Callable[..., Client], call: str) -> None:
    """429 is RateLimitError with the server's Retry-After; where the deadline leaves no time for it, nothing is repeated."""
    begun = time.monotonic()
    with pytest.raises(RateLimitError) as caught:
        start(as_user(HOG), call, None, timeout=5.0)

    assert (7.0, "enough", 1) == (caught.value.retry_after, caught.value.message, caught.value.attempts)
    assert time.monotonic() - begun < 4.5  # it has 5 seconds


def test_what_belongs_to_somebody_else_is_not_found(as_user: Callable[..., Client]) -> None:
    """Bob sees neither Alice's thread nor her run, by any call; she does."""
    alice, bob = as_user(ALICE), as_user(BOB)
    thread_id = alice.threads.create().thread_id
    run = alice.runs.create(thread_id, "echo", input={}, after_seconds=3600)
    calls: list[Callable[[], Any]] = [
        lambda: bob.threads.get(thread_id),
        lambda: bob.runs.get(thread_id, run.run_id),
        lambda: bob.runs.list(thread_id),
        lambda: bob.runs.cancel(thread_id, run.run_id),
        lambda: bob.runs.delete(thread_id, run.run_id),
        lambda: bob.runs.join(thread_id, run.run_id),
        lambda: list(bob.runs.join_stream(thread_id, run.run_id)),
        lambda: bob.runs.create(thread_id, "echo", input={}),
        lambda: bob.runs.wait(thread_id, "echo", input={}),
        lambda: bob.runs.stream(thread_id, "echo", input={}),
    ]
    for call in calls:
        with pytest.raises(NotFoundError):
            call()

    assert ("pending", [run.run_id]) == (
        alice.runs.get(thread_id, run.run_id).status,
        [found.run_id for found in alice.runs.list(thread_id)],
    )
    alice.runs.cancel(thread_id, run.run_id)


def test_a_mount_prefix_is_part_of_the_url(as_user: Callable[..., Client], guarded_server: DevServer) -> None:
    """Every call works below the prefix, which the server's own Location leaves out."""
    assert guarded_server.url.endswith("/api")
    alice = as_user(ALICE)
    thread_id = alice.threads.create().thread_id
    with alice.runs.stream(thread_id, "burst", input={"n": 3}, stream_mode="custom") as stream:
        assert [0, 1, 2] == [event.data["i"] for event in stream if event.event == "custom"]

    assert (thread_id, "success") == (stream.thread_id, alice.runs.get(thread_id, str(stream.run_id)).status)
    assert 2 == alice.runs.wait(thread_id, "echo", input={"value": 2})["echo"]


@pytest.mark.parametrize("call", ["wait", "stream", "join"])
def test_a_run_that_took_too_long_for_the_server_raises(as_user: Callable[..., Client], gate: Gate, call: str) -> None:
    """The server answers 200 with the last values and ends the stream without a word: RunTimedOutError, with the values."""
    alice = as_user(ALICE)
    thread_id = alice.threads.create().thread_id
    with pytest.raises(RunTimedOutError) as caught:
        if call == "join":
            run = alice.runs.create(thread_id, "gated", input=gate.input())
            alice.runs.join(thread_id, run.run_id, timeout=30)
        else:
            result = start(alice, call, thread_id, "gated", input=gate.input(), timeout=30)
            list(result)

    assert caught.value.run is not None
    assert (thread_id, "timeout") == (caught.value.thread_id, caught.value.run.status)
    assert ["begun"] == caught.value.values["passed"]
    assert not gate.passed()


# -- what is wrong with a request


@CALLS
def test_unknown_threads_and_assistants(client: Client, thread_id: str, new_id: str, call: str) -> None:
    """404 for ids that are none, 422 for a name that no graph has; no run is made."""
    for thread, assistant, expected in [
        (new_id, "echo", NotFoundError),
        (thread_id, new_id, NotFoundError),
        (thread_id, "nobody", UnprocessableEntityError),
    ]:
        with pytest.raises(expected) as caught:
            start(client, call, thread, assistant)
        assert thread == caught.value.thread_id
        assert (None, 1) == (caught.value.run_id, caught.value.attempts)
    assert "Invalid assistant: 'nobody'" in caught.value.message
    assert [] == client.runs.list(thread_id)


@CALLS
def test_a_thread_id_that_is_no_uuid(client: Client, call: str) -> None:
    """400 or 422, as the server has it, with its text."""
    with pytest.raises((BadRequestError, UnprocessableEntityError)) as caught:
        start(client, call, "not-a-uuid")

    assert "uuid" in caught.value.message.lower() or "thread id" in caught.value.message.lower()
    with pytest.raises(UnprocessableEntityError, match="Invalid thread ID"):
        client.runs.get("not-a-uuid", str(uuid.uuid4()))


@pytest.mark.parametrize("bad", ["../../ok", "a/b", "..", ".", "%2e%2e", "a?b=c", "a#b", "a b", "a\nb", "\u00e9\u2028", "a%00b"])
def test_an_id_cannot_leave_its_place(client: Client, bad: str) -> None:
    """Whatever an id holds, the server takes it for an id that it does not know."""
    for call in (lambda: client.runs.get(bad, bad), lambda: client.threads.get(bad), lambda: client.runs.delete(bad, bad)):
        with pytest.raises((NotFoundError, UnprocessableEntityError, BadRequestError)) as caught:
            call()
        assert caught.value.status_code in (400, 404, 422)
    assert client.ok()


@CALLS
def test_a_body_that_the_server_refuses(client: Client, thread_id: str, call: str) -> None:
    """422 with the server's own text, on several lines there and on one in str()."""
    with pytest.raises(UnprocessableEntityError) as caught:
        start(client, call, thread_id, kwargs={"metadata": 3})

    assert "\n" in caught.value.message and "\n" not in str(caught.value)
    assert "metadata" in caught.value.message
    with pytest.raises(BadRequestError, match="configurable"):
        start(client, call, thread_id, config={"configurable": {"a": 1}}, context={"b": 2})
    with pytest.raises(UnprocessableEntityError, match="checkpoint"):
        start(client, call, thread_id, checkpoint_id="nope")
    assert [] == client.runs.list(thread_id)


@CALLS
def test_a_busy_thread_is_a_conflict(client: Client, thread_id: str, call: str) -> None:
    """409 is ConflictError at once: it is an answer, and is not tried again."""
    client.runs.create(thread_id, "echo", input={}, after_seconds=3600)
    begun = time.monotonic()
    with pytest.raises(ConflictError, match="already running") as caught:
        start(client, call, thread_id, multitask_strategy="reject")

    assert (409, 1) == (caught.value.status_code, caught.value.attempts)
    assert time.monotonic() - begun < PROMPT
    assert 1 == len(client.runs.list(thread_id))


# -- the server is unwell


@CALLS
def test_a_broken_server_is_an_internal_server_error(client: Client, thread_id: str, call: str) -> None:
    """500 as text and 502 as HTML: the text without its tags is the message. A gateway may have sent a 500 that is no JSON: a create
    is uncertain then, since its run cannot be looked up either, and is not repeated."""
    with pytest.raises(CreateUncertainError, match="500: Internal Server Error") as uncertain:
        start(client, call, thread_id, headers={"x-fault": "500"})
    assert isinstance(uncertain.value.__cause__, InternalServerError)
    assert 1 == uncertain.value.attempts

    with pytest.raises(InternalServerError) as caught:
        client.with_options(retry=RetryPolicy(attempts=1)).runs.get(thread_id, thread_id, headers={"x-fault": "502"})
    assert (502, "Bad Gateway") == (caught.value.status_code, caught.value.message)
    assert [] == client.runs.list(thread_id)


@CALLS
def test_a_503_with_retry_after_is_tried_again(client: Client, thread_id: str, call: str) -> None:
    """The server says when to come back, so even a create is repeated, as often as the policy says, and no run is made."""
    patient = client.with_options(retry=RetryPolicy(attempts=3))
    with pytest.raises(InternalServerError) as caught:
        start(patient, call, thread_id, headers={"x-fault": "503"})

    assert (503, 3, 0.0) == (caught.value.status_code, caught.value.attempts, caught.value.retry_after)
    assert [] == client.runs.list(thread_id)


def test_a_redirect_is_not_followed(client: Client, thread_id: str) -> None:
    """The error names the target; nothing was sent there."""
    with pytest.raises(APIStatusError, match="https://elsewhere.example/login") as caught:
        client.threads.get(thread_id, headers={"x-fault": "302"})

    assert (302, 1) == (caught.value.status_code, caught.value.attempts)


def test_errors_are_complete_and_can_be_pickled(client: Client, new_id: str) -> None:
    """Request, ids, body, headers survive; str() is one line."""
    with pytest.raises(NotFoundError) as caught:
        client.runs.get(new_id, new_id)
    error = pickle.loads(pickle.dumps(caught.value))

    assert ("GET", f"{client.base_url}/threads/{new_id}/runs/{new_id}") == error.request
    assert (new_id, new_id, 404, "application/json") == (
        error.run_id,
        error.thread_id,
        error.status_code,
        error.headers["content-type"],
    )
    assert str(caught.value) == str(error)
    assert "\n" not in str(error)


def test_what_is_known_to_be_wrong_is_not_sent(client: Client, thread_id: str) -> None:
    """Refused here, with the option's name: the server would ignore most of it without a word."""
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("multitask_strategy", {"multitask_strategy": "reeject"}),
        ("streammode", {"streammode": "values"}),
        ("interrupt_before", {"interrupt_before": "one"}),
        ("webhook", {"webhook": "/done"}),
        ("command", {"command": {"resume": 1}}),
        (r"\$\.input\.value\[1\]", {"input": {"value": [0, float("nan")]}}),
    ]
    for name, options in wrong:
        for call in ("create", "wait", "stream"):
            with pytest.raises(InvalidRequestError, match=name) as caught:
                start(client, call, thread_id, **options)
            assert 0 == caught.value.attempts
    assert [] == client.runs.list(thread_id)

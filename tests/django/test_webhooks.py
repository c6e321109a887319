"""The view that receives a run's webhook: who may call it, what it makes of it, and that it does so once."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from typing import Any, Callable, Dict, List

import pytest
from django.core.cache import cache
from django.dispatch import Signal
from django.http import HttpResponse
from django.test import Client as Caller
from django.test import RequestFactory, override_settings

from langgraph_runs import InvalidRequestError, Run, RunOutcome
from langgraph_runs.django import SettingsError, run_finished, webhook, webhook_path, webhook_url
from langgraph_runs.django.clients import replaced_options
from langgraph_runs.testing import (
    FakeRun,
    FakeRuns,
    fails,
    fake_server,
    is_cancelled,
    make_run,
    never_ends,
    no_wait,
    pauses,
    post_webhook,
    succeeds,
    webhook_request,
)
from langgraph_runs.testing.webhook_request import webhook_json

from ..wire.replies import RUN_ID, run_json

SECRET = "a secret of the tests, long enough"
HOOK: Dict[str, Any] = {
    **run_json("success"),
    "run_started_at": "2026-11-21T01:09:53.104205+00:00",
    "run_ended_at": "2026-11-21T01:09:54.104205+00:00",
    "webhook_sent_at": "2026-11-21T01:09:54.204205+00:00",
    "values": {"echo": 5},
}


class Heard:
    """A receiver of the signal."""

    def __init__(self) -> None:
        self.calls: List[Dict[str, Any]] = []
        #: Raised at the next calls, one each.
        self.raises: List[Exception] = []

    def hear(self, sender: Any, signal: Signal, **told: Any) -> None:
        self.calls.append({"sender": sender, **told})
        if self.raises:
            raise self.raises.pop(0)


@pytest.fixture
def heard() -> Iterator[Heard]:
    receiver = Heard()
    run_finished.connect(receiver.hear)
    yield receiver
    run_finished.disconnect(receiver.hear)


@pytest.fixture(autouse=True)
def server(caplog: pytest.LogCaptureFixture) -> Iterator[FakeRuns]:
    """The server whose webhooks come, and which the view asks for what their bodies do not say. It does not know the run of HOOK."""
    caplog.set_level(logging.CRITICAL + 1)
    cache.clear()
    with fake_server() as fake, replaced_options(url=fake.url, api_key=None, retry=no_wait(2)):
        with override_settings(LANGGRAPH_RUNS={"WEBHOOK_SECRET": SECRET}):
            yield fake
    cache.clear()


def call(body: Any = HOOK, *, url: str = "", **headers: str) -> HttpResponse:
    path = url or webhook_url(RequestFactory().get("/"))[len("http://testserver") :]
    data = body if isinstance(body, bytes) else json.dumps(body)
    answer = Caller(enforce_csrf_checks=True).post(path, data, content_type="application/json", headers=headers)
    assert isinstance(answer, HttpResponse)
    return answer


# -- what it makes of it


def test_the_signal_has_the_run_and_its_outcome(heard: Heard) -> None:
    assert 200 == call().status_code

    (told,) = heard.calls
    assert (Run, "default") == (told["sender"], told["name"])
    assert isinstance(told["run"], Run) and isinstance(told["outcome"], RunOutcome)
    assert (RUN_ID, "success") == (told["run"].run_id, told["run"].status)
    assert (True, {"echo": 5}, None, False) == (
        told["outcome"].succeeded,
        told["outcome"].values,
        told["outcome"].error,
        told["outcome"].paused,
    )
    assert "run_ended_at" in told["run"].extra


def test_a_failure_comes_with_its_error(heard: Heard) -> None:
    call({**HOOK, "status": "error", "values": None, "error": {"error": "ValueError", "message": "boom"}})

    outcome = heard.calls[0]["outcome"]
    assert ("error", None, "ValueError", "boom") == (outcome.status, outcome.values, outcome.error, outcome.message)


def ended(server: FakeRuns, script: Any) -> FakeRun:
    """A run of the server that has ended as *script* says."""
    server.script(script)
    client = server.client()
    thread_id = client.threads.create().thread_id
    run = client.runs.create(thread_id, "agent", input={"n": 1})
    client.runs.join(thread_id, run.run_id, raise_error=False)
    return server.started[-1]


def test_a_pause_comes_with_its_question(heard: Heard, server: FakeRuns) -> None:
    """The body has the status success, and no question: the view requests it from the server."""
    run = ended(server, pauses("Send this?", values={"draft": "Dear"}))
    body = webhook_json(run)
    assert ("success", {"draft": "Dear"}) == (body["status"], body["values"])

    assert 200 == post_webhook(Caller(), run).status_code
    outcome = heard.calls[0]["outcome"]
    assert (True, True, {"draft": "Dear"}) == (outcome.succeeded, outcome.paused, outcome.values)
    assert ["Send this?"] == [one.value for one in outcome.interrupts]


def test_a_pause_before_a_node_is_a_pause_without_a_question(heard: Heard, server: FakeRuns) -> None:
    post_webhook(Caller(), ended(server, pauses()))

    outcome = heard.calls[0]["outcome"]
    assert (True, ()) == (outcome.paused, outcome.interrupts)


def test_a_success_is_no_pause(heard: Heard, server: FakeRuns) -> None:
    post_webhook(Caller(), ended(server, succeeds({"a": 1})))

    outcome = heard.calls[0]["outcome"]
    assert (True, False, {"a": 1}) == (outcome.succeeded, outcome.paused, outcome.values)


@pytest.mark.parametrize("script, status", [(fails("ValueError", "no ink"), "error"), (is_cancelled(), "interrupted")])
def test_after_a_failure_nothing_is_requested(heard: Heard, server: FakeRuns, script: Any, status: str) -> None:
    run = ended(server, script)
    before = len(server.requests)

    assert 200 == post_webhook(Caller(), run).status_code
    assert (status, False) == (heard.calls[0]["outcome"].status, heard.calls[0]["outcome"].paused)
    assert before == len(server.requests)


def test_the_signal_waits_for_a_server_that_cannot_be_reached(heard: Heard, server: FakeRuns) -> None:
    """The server tries again, so nothing is lost; the next attempt gets through."""
    run = ended(server, pauses("Send this?"))
    with replaced_options(url="http://127.0.0.1:9", api_key=None, retry=no_wait(1)):
        refused = post_webhook(Caller(), run)
    assert (503, "2", []) == (refused.status_code, refused["Retry-After"], heard.calls)

    assert 200 == post_webhook(Caller(), run).status_code
    assert heard.calls[0]["outcome"].paused


def test_a_run_that_has_not_ended_has_no_webhook(server: FakeRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_request, "_END_SECONDS", 0.05)
    server.script(never_ends())
    client = server.client()
    client.runs.create(client.threads.create().thread_id, "agent")

    for run in (server.started[-1], make_run(status="pending")):
        with pytest.raises(InvalidRequestError, match="when a run has ended"):
            post_webhook(Caller(), run)


def test_a_record_has_a_webhook_too(heard: Heard) -> None:
    run = make_run(status="error", metadata={"order": 7})
    assert 200 == post_webhook(Caller(), run, values={"a": 1}, error="ValueError", message="no ink").status_code

    (told,) = heard.calls
    assert (run.run_id, 7, run.created_at) == (told["run"].run_id, told["run"].metadata["order"], told["run"].created_at)
    assert ({"a": 1}, "ValueError", "no ink") == tuple(getattr(told["outcome"], name) for name in ("values", "error", "message"))


#: The keys of the bodies that the Python server 0.16 has sent for a success, a pause, a failure and a cancelled run.
RECORDED_KEYS = [
    "run_id",
    "thread_id",
    "assistant_id",
    "metadata",
    "status",
    "kwargs",
    "multitask_strategy",
    "created_at",
    "updated_at",
    "langsmith_session_name",
    "run_started_at",
    "run_ended_at",
    "webhook_sent_at",
    "values",
]


@pytest.mark.parametrize(
    "script, further",
    [(succeeds({"a": 1}), []), (pauses("Yes?"), []), (fails("ValueError", "x"), ["error"]), (is_cancelled(), ["error"])],
)
def test_the_body_has_the_keys_of_the_server(server: FakeRuns, script: Any, further: List[str]) -> None:
    assert sorted([*RECORDED_KEYS, *further]) == sorted(webhook_json(ended(server, script)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"\xff",
        b"null",
        b"{}",
        b'{"run_id": 1}',
        b'{"run_id": "r", "thread_id": "t"}',
        b"[" * 5000,
        json.dumps({**HOOK, "status": "running"}).encode(),
    ],
    ids=lambda body: str(body[:20]),
)
def test_a_body_that_is_not_a_run_is_refused(heard: Heard, body: bytes) -> None:
    assert (400, []) == (call(body).status_code, heard.calls)


# -- who may call it


@pytest.mark.parametrize("token", ["", "x", SECRET, "é", "0" * 64])
def test_a_wrong_token_is_refused(heard: Heard, token: str) -> None:
    url = f"/hooks/webhook/default/{token}/" if token else "/hooks/webhook/default/"

    assert (403, []) == (call(url=url).status_code, heard.calls)


def test_the_refusal_comes_before_the_body_is_read() -> None:
    class Unread:
        def read(self, *_: Any) -> bytes:
            raise AssertionError("the body was read")

    request = RequestFactory().post("/", HOOK, content_type="application/json")
    request._stream = Unread()  # type: ignore[assignment]

    assert 403 == webhook(request, "default", "wrong").status_code


def test_the_secret_may_come_in_a_header(heard: Heard) -> None:
    url = "/hooks/webhook/default/"

    assert 403 == call(url=url, **{"X-LangGraph-Secret": "wrong"}).status_code
    assert (200, 1) == (call(url=url, **{"X-LangGraph-Secret": SECRET}).status_code, len(heard.calls))


def test_the_header_may_have_another_name(heard: Heard) -> None:
    with override_settings(LANGGRAPH_RUNS={"WEBHOOK_SECRET": SECRET, "WEBHOOK_HEADER": "X-Hook"}):
        assert 200 == call(url="/hooks/webhook/default/", **{"X-Hook": SECRET}).status_code


@pytest.mark.parametrize("secret", ["", "only for tests, and long enough for them"])
def test_without_webhook_secret_no_header_is_accepted(heard: Heard, secret: str) -> None:
    """Neither an empty one nor Django's own key, which only makes the token."""
    with override_settings(LANGGRAPH_RUNS={}):
        assert 403 == call(url="/hooks/webhook/default/", **{"X-LangGraph-Secret": secret}).status_code
        assert (200, 1) == (call().status_code, len(heard.calls))


def test_an_old_secret_is_accepted_until_it_is_removed(heard: Heard) -> None:
    old = webhook_url(RequestFactory().get("/"))[len("http://testserver") :]
    new = "the next secret of the tests"

    with override_settings(LANGGRAPH_RUNS={"WEBHOOK_SECRET": [new, SECRET]}):
        assert webhook_url(RequestFactory().get("/")) != "http://testserver" + old
        assert 200 == call(url=old).status_code
    with override_settings(LANGGRAPH_RUNS={"WEBHOOK_SECRET": new}):
        assert 403 == call(url=old).status_code


def test_a_token_is_valid_for_one_configuration_only(heard: Heard) -> None:
    both = {"default": {"WEBHOOK_SECRET": SECRET}, "other": {"WEBHOOK_SECRET": SECRET}}
    with override_settings(LANGGRAPH_RUNS=both):
        url = webhook_url(RequestFactory().get("/"), name="other")[len("http://testserver") :]

        assert 200 == call(url=url).status_code
        assert ["other"] == [told["name"] for told in heard.calls]
        assert 403 == call(url=url.replace("/other/", "/default/")).status_code
        assert 403 == call(url=url.replace("/other/", "/none/")).status_code


@pytest.mark.parametrize("method", ["get", "put", "delete", "head", "patch"])
def test_only_post_is_allowed(heard: Heard, method: str) -> None:
    url = webhook_url(RequestFactory().get("/"))

    assert (405, []) == (getattr(Caller(), method)(url).status_code, heard.calls)


def test_a_body_that_is_too_large_is_refused(heard: Heard) -> None:
    with override_settings(LANGGRAPH_RUNS={"WEBHOOK_SECRET": SECRET, "WEBHOOK_MAX_BYTES": 100}):
        assert (413, []) == (call().status_code, heard.calls)


def test_djangos_limit_for_forms_does_not_apply(heard: Heard) -> None:
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10):
        assert (200, 1) == (call().status_code, len(heard.calls))


# -- once


def test_the_signal_is_sent_once_per_run(heard: Heard) -> None:
    assert [200, 200, 200] == [call().status_code for _ in range(3)]
    assert 1 == len(heard.calls)
    assert 200 == call({**HOOK, "run_id": "01a1fba7-134f-707a-814b-b1e6473e86bf"}).status_code
    assert 2 == len(heard.calls)


def test_a_receiver_that_raises_is_called_again_at_the_next_attempt(heard: Heard) -> None:
    """The server tries three times: twice it fails, then it is done, and stays done."""
    heard.raises = [ValueError("once"), ValueError("twice")]

    assert [500, 500, 200, 200] == [call().status_code for _ in range(4)]
    assert 3 == len(heard.calls)


def test_an_attempt_during_another_one_is_a_503(heard: Heard) -> None:
    """Were it answered with 200, a failure of the first would lose the run."""
    answers = []

    def meanwhile(sender: Any, **told: Any) -> None:
        thread = threading.Thread(target=lambda: answers.append(call()))
        thread.start()
        thread.join()

    run_finished.connect(meanwhile)
    try:
        assert 200 == call().status_code
    finally:
        run_finished.disconnect(meanwhile)

    assert [(503, "2")] == [(answer.status_code, answer["Retry-After"]) for answer in answers]
    assert 1 == len(heard.calls)


# -- the URL


def test_the_url_has_no_secret_in_it() -> None:
    url = webhook_url(RequestFactory().get("/"))

    assert url.startswith("http://testserver/hooks/webhook/default/")
    assert SECRET not in url and 64 == len(url.rstrip("/").rsplit("/", 1)[1])


def test_the_path_is_that_of_the_url() -> None:
    assert webhook_url(RequestFactory().get("/")) == f"http://testserver{webhook_path()}"


def test_the_base_url_may_be_a_setting() -> None:
    with override_settings(LANGGRAPH_RUNS={"WEBHOOK_BASE_URL": "https://us.example/"}):
        assert webhook_url().startswith("https://us.example/hooks/webhook/default/")


@pytest.mark.parametrize("family", [SettingsError, InvalidRequestError])
def test_without_base_and_request_there_is_no_url(family: Callable[..., Exception]) -> None:
    with pytest.raises(family, match="WEBHOOK_BASE_URL"):  # type: ignore[call-overload]
        webhook_url()


def test_an_unknown_configuration_has_no_url() -> None:
    with pytest.raises(SettingsError, match="no configuration 'other'"):
        webhook_url(name="other")

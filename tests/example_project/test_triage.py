"""The tests of somebody's program. They need no server; the last one takes a real one where it can be had."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import triage

from langgraph_runs import Client, RateLimitError
from langgraph_runs.testing import (
    NetworkRefusedError,
    fails,
    make_run,
    message_event,
    never_ends,
    no_wait,
    pauses,
    rate_limited,
    succeeds,
    values_event,
)

WORDS = [message_event(word) for word in ("Have ", "you ", "tried?")]


def test_the_answer_is_that_of_the_agent(langgraph_runs_fake):
    langgraph_runs_fake.script(succeeds({"answer": "Yes."}))
    assert triage.answer("Does it work?") == "Yes."
    langgraph_runs_fake.assert_started(assistant_id="agent", input={"ticket": "Does it work?"}, metadata={"source": "mail"})
    langgraph_runs_fake.assert_no_more_requests()


def test_a_failure_is_told(langgraph_runs_fake):
    langgraph_runs_fake.script(fails("ValueError", "no ink"))
    with pytest.raises(triage.TicketError, match="ValueError: no ink"):
        triage.answer("Does it print?", langgraph_runs_fake.client())


def test_a_busy_server_is_asked_again(langgraph_runs_fake):
    langgraph_runs_fake.script(rate_limited(retry_after=30), succeeds({"answer": "Yes."}))
    assert triage.answer("Hello?", langgraph_runs_fake.client()) == "Yes."


def test_a_server_that_stays_busy_is_an_error(langgraph_runs_fake):
    langgraph_runs_fake.script(rate_limited(), rate_limited())
    with pytest.raises(RateLimitError):
        triage.answer("Hello?", langgraph_runs_fake.client(retry=no_wait(attempts=2)))
    langgraph_runs_fake.assert_not_started()


def test_a_human_decides(langgraph_runs_fake):
    langgraph_runs_fake.script(pauses("Refund it?"), lambda run: {"refunded": run.resume == "yes"})
    client = langgraph_runs_fake.client()
    thread_id = client.threads.create().thread_id
    asked = []
    assert triage.answer_with_review(client, thread_id, "It broke.", lambda q: asked.append(q) or "yes") == {"refunded": True}
    assert asked == ["Refund it?"]
    langgraph_runs_fake.assert_started(command={"resume": "yes"}, thread_id=thread_id)


@pytest.mark.parametrize("after", range(4))
def test_words_come_once_though_the_connection_breaks(langgraph_runs_fake, after):
    langgraph_runs_fake.script(succeeds(events=WORDS).cut_after(after))
    shown = []
    client = langgraph_runs_fake.client()
    triage.spell(client, client.threads.create().thread_id, shown.append)
    assert "".join(shown) == "Have you tried?"


def test_what_takes_too_long_is_cancelled(langgraph_runs_fake):
    langgraph_runs_fake.script(never_ends())
    client = langgraph_runs_fake.client()
    assert triage.answer_quickly(client, client.threads.create().thread_id) is None
    langgraph_runs_fake.assert_cancelled()


def test_a_line_of_the_report():
    assert triage.line_of(make_run(status="error", assistant_id="agent")) == "agent: error after 1 s"


def test_only_messages_have_words():
    assert [triage.word(event) for event in (message_event("Hi"), values_event({"a": 1}))] == ["Hi", ""]


def test_nothing_leaves_this_machine(langgraph_runs_no_network):
    with Client("https://api.example.com", api_key="key") as client, pytest.raises(NetworkRefusedError, match=r"api\.example\.com"):
        triage.answer("Hello?", client)


@pytest.mark.parametrize("ticket", ["printer", "scanner"])
def test_the_agent_itself(langgraph_dev_server: Any, ticket: str):
    with Client(langgraph_dev_server.url) as client:
        assert "turn it off" in triage.answer_with_review(client, client.threads.create().thread_id, ticket, str)["answer"]
        assert uuid.UUID(client.threads.search(limit=1)[0].thread_id)

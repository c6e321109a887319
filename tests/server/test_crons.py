"""client.crons on the real server."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Iterator
from typing import Any

import pytest

from langgraph_runs import Client, CreateUncertainError, Cron, InvalidRequestError, NotFoundError, UnprocessableEntityError
from langgraph_runs.devserver import DevServer
from langgraph_runs.testing.cutting_proxy import CuttingProxy, cut_request, swallow

#: A schedule that starts nothing while the tests run: noon of the 29th of February.
NEVER = "0 12 29 2 *"


@pytest.fixture
def mine(client: Client, new_id: str) -> Iterator[dict[str, Any]]:
    """Metadata of the crons of this test alone, which are deleted afterwards."""
    metadata = {"test": new_id}
    yield metadata
    for cron in client.crons.search(metadata=metadata, limit=100):
        client.crons.delete(cron.cron_id)


def test_create_makes_a_cron_with_all_options(client: Client, mine: dict[str, Any]) -> None:
    """What is given is in the cron: its own fields, and the payload of its runs. The library's marker is not shown."""
    cron = client.crons.create(
        "echo",
        schedule=NEVER,
        input={"value": 1},
        metadata=mine,
        config={"tags": ["t"]},
        context={"tone": "dry"},
        interrupt_before=["say"],
        interrupt_after="*",
        webhook="http://127.0.0.1:1/hook",
        on_run_completed="keep",
        multitask_strategy="reject",
        end_time=datetime.datetime(2099, 1, 1, tzinfo=datetime.timezone.utc),
        enabled=False,
        timezone=zoneinfo.ZoneInfo("Europe/Berlin"),
        stream_mode=["values"],
        stream_subgraphs=True,
        stream_resumable=True,
        durability="exit",
    )

    assert cron == client.crons.get(cron.cron_id)
    assert (client.assistants.search(graph_id="echo", metadata={"created_by": "system"})[0].assistant_id, None) == (
        cron.assistant_id,
        cron.thread_id,
    )
    assert (NEVER, "Europe/Berlin", False, "keep", mine) == (
        cron.schedule,
        cron.timezone,
        cron.enabled,
        cron.on_run_completed,
        cron.metadata,
    )
    assert datetime.datetime(2099, 1, 1, tzinfo=datetime.timezone.utc) == cron.end_time
    assert cron.next_run_date is not None and cron.next_run_date.month == 2
    sent: dict[str, Any] = {
        "input": {"value": 1},
        "metadata": mine,
        "context": {"tone": "dry"},
        "interrupt_before": ["say"],
        "interrupt_after": "*",
    }
    sent.update(webhook="http://127.0.0.1:1/hook", multitask_strategy="reject", stream_mode=["values"], stream_subgraphs=True)
    sent.update(stream_resumable=True, durability="exit")
    assert sent == {name: cron.payload[name] for name in sent}
    assert cron.payload["config"]["tags"] == ["t"]
    assert cron.request_id


def test_create_for_thread_keeps_to_the_thread(client: Client, thread_id: str, new_id: str, mine: dict[str, Any]) -> None:
    """The cron names it; an unknown thread or assistant is NotFoundError; a wrong schedule is the server's refusal."""
    cron = client.crons.create_for_thread(
        thread_id,
        "echo",
        schedule=NEVER,
        input={"value": 1},
        metadata=mine,
        config={"tags": ["t"]},
        context={"tone": "dry"},
        checkpoint_during=None,
        interrupt_before=["say"],
        interrupt_after="*",
        webhook="http://127.0.0.1:1/hook",
        multitask_strategy="enqueue",
        end_time="2099-01-01T00:00:00+00:00",
        enabled=True,
        timezone="Europe/Berlin",
        stream_mode="values",
        stream_subgraphs=False,
        stream_resumable=True,
        durability="async",
    )

    assert (thread_id, None, "Europe/Berlin") == (cron.thread_id, cron.on_run_completed, cron.timezone)
    assert ({"value": 1}, "enqueue", ["say"]) == tuple(
        cron.payload[name] for name in ("input", "multitask_strategy", "interrupt_before")
    )
    with pytest.raises(NotFoundError):
        client.crons.create_for_thread(new_id, "echo", schedule=NEVER)
    with pytest.raises(NotFoundError):
        client.crons.create(new_id, schedule=NEVER)
    with pytest.raises(UnprocessableEntityError, match="Invalid cron schedule"):
        client.crons.create("echo", schedule="now and then", metadata=mine)


def test_checkpoint_during_is_deprecated_here_too(client: Client, mine: dict[str, Any]) -> None:
    """A warning, and it is sent."""
    with pytest.warns(DeprecationWarning, match="checkpoint_during"):
        cron = client.crons.create("echo", schedule=NEVER, metadata=mine, checkpoint_during=False)
    assert cron.payload["checkpoint_during"] is False


def test_update_changes_what_is_given(client: Client, mine: dict[str, Any]) -> None:
    """Everything else stays; ``end_time=None`` removes the end; metadata are merged."""
    cron = client.crons.create("echo", schedule=NEVER, metadata=mine, end_time="2099-01-01T00:00:00Z")

    changed = client.crons.update(
        cron.cron_id,
        schedule="0 13 29 2 *",
        enabled=False,
        metadata={"more": 1},
        on_run_completed="keep",
        timezone="Europe/Paris",
        input={"value": 2},
        config={"tags": ["u"]},
        context={"tone": "kind"},
        webhook="http://127.0.0.1:1/other",
        interrupt_before="*",
        interrupt_after=["say"],
        stream_mode="updates",
        stream_subgraphs=False,
        stream_resumable=False,
        durability="sync",
    )
    assert ("0 13 29 2 *", False, {**mine, "more": 1}, "keep", "Europe/Paris") == (
        changed.schedule,
        changed.enabled,
        changed.metadata,
        changed.on_run_completed,
        changed.timezone,
    )
    sent: dict[str, Any] = {
        "input": {"value": 2},
        "context": {"tone": "kind"},
        "webhook": "http://127.0.0.1:1/other",
        "interrupt_before": "*",
    }
    sent.update(interrupt_after=["say"], stream_mode="updates", stream_subgraphs=False, stream_resumable=False, durability="sync")
    assert sent == {name: changed.payload[name] for name in sent}
    assert cron.end_time == changed.end_time is not None

    assert client.crons.update(cron.cron_id, end_time=None).end_time is None
    later = datetime.datetime(2098, 1, 1, tzinfo=datetime.timezone.utc)
    assert later == client.crons.update(cron.cron_id, end_time=later).end_time
    with pytest.raises(InvalidRequestError, match="at least one"):
        client.crons.update(cron.cron_id)


def test_search_count_and_delete(client: Client, thread_id: str, new_id: str, mine: dict[str, Any]) -> None:
    """By assistant, thread, state and metadata; sorted, a page, selected fields. A deleted cron is NotFoundError."""
    crons = [client.crons.create("echo", schedule=NEVER, metadata={**mine, "n": n}, enabled=n < 2) for n in range(3)]
    on_thread = client.crons.create_for_thread(thread_id, "steps", schedule=NEVER, metadata=mine)

    def found(**options: Any) -> list[str]:
        return [cron.cron_id for cron in client.crons.search(**{"metadata": mine, **options})]

    assert [on_thread.cron_id] == found(thread_id=thread_id)
    assert [on_thread.cron_id] == found(assistant_id=on_thread.assistant_id)
    assert [crons[2].cron_id] == found(enabled=False)
    assert [crons[1].cron_id] == found(metadata={**mine, "n": 1})
    ascending = [cron.cron_id for cron in (*crons, on_thread)]
    assert ascending == found(sort_by="created_at", sort_order="asc")
    assert ascending[1:3] == found(sort_by="created_at", sort_order="asc", limit=2, offset=1)
    (selected,) = client.crons.search(metadata={**mine, "n": 0}, select=["cron_id", "schedule"])
    assert (crons[0].cron_id, NEVER, None) == (selected.cron_id, selected.schedule, selected.assistant_id)

    assert 4 == client.crons.count(metadata=mine)
    assert 1 == client.crons.count(thread_id=thread_id) == client.crons.count(assistant_id=on_thread.assistant_id, metadata=mine)

    client.crons.delete(on_thread.cron_id)
    assert 3 == client.crons.count(metadata=mine)
    for call in (client.crons.delete, client.crons.get, lambda cron_id: client.crons.update(cron_id, enabled=True)):
        with pytest.raises(NotFoundError):
            call(on_thread.cron_id)


def test_a_cron_whose_response_is_lost_is_found(client: Client, server: DevServer, mine: dict[str, Any]) -> None:
    """It is returned, and there is one."""
    with CuttingProxy(server.url) as proxy, Client(proxy.url, api_key=None) as cut:
        proxy.arm(swallow(reset=True), when=b"POST /runs/crons HTTP")
        cron = cut.crons.create("echo", schedule=NEVER, metadata=mine)

        assert [cron.cron_id] == [found.cron_id for found in client.crons.search(metadata=mine)]


def test_a_cron_that_is_not_found_is_uncertain(client: Client, server: DevServer, mine: dict[str, Any]) -> None:
    """The create is not sent again: a cron that is created twice would start every run twice."""
    with CuttingProxy(server.url) as proxy, Client(proxy.url, api_key=None) as cut:
        proxy.arm(cut_request(150), when=b"POST /runs/crons HTTP")
        with pytest.raises(CreateUncertainError, match="the cron may have been created") as raised:
            cut.crons.create("echo", schedule=NEVER, metadata=mine)

    assert raised.value.request_id
    assert 0 == client.crons.count(metadata=mine)
    assert 1 == sum(turn.first.startswith(b"POST /runs/crons HTTP") for turn in proxy.turns)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": ""}, "schedule: give text"),
        ({"end_time": datetime.datetime(2099, 1, 1)}, "end_time: give an aware datetime"),
        ({"end_time": "soon"}, "end_time: give an aware datetime"),
        ({"timezone": 1}, "timezone: give the IANA name"),
        ({"enabled": "yes"}, "enabled: give True or False"),
        ({"on_run_completed": "complete"}, "on_run_completed='complete': give one of 'delete', 'keep'"),
        ({"interrupt_before": "say"}, "interrupt_before='say': give a list"),
        ({"shedule": "x"}, "has no option 'shedule'; did you mean 'schedule'"),
    ],
)
def test_a_wrong_option_is_refused_here(client: Client, options: dict[str, Any], message: str) -> None:
    """Before anything is sent, by create and update alike."""
    with pytest.raises(InvalidRequestError, match=message):
        client.crons.update("any", **options)
    if "shedule" not in options:
        with pytest.raises(InvalidRequestError, match=message):
            client.crons.create("echo", **{"schedule": NEVER, **options})


def test_a_cron_is_a_frozen_record() -> None:
    """As all records."""
    with pytest.raises(AttributeError):
        Cron(cron_id="c").schedule = NEVER  # type: ignore[misc]

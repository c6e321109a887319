"""What a caller does first, on each server."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_runs import Client, RunFailedError
from langgraph_runs.testing.cutting_proxy import CuttingProxy, cut_response, swallow

from .conftest import RunningServer
from .serve import start


@pytest.mark.parametrize("call", ["wait", "stream", "join"])
def test_a_run_that_succeeds(client: Client, thread_id: str, call: str) -> None:
    """The values are those of the run, and the run's status is success."""
    seen: dict[str, str] = {}
    options: dict[str, Any] = {"input": {"k": 7}, "on_run_created": seen.update}
    if call == "wait":
        values = client.runs.wait(thread_id, "work", **options)
    elif call == "stream":
        with client.runs.stream(thread_id, "work", **options) as stream:
            assert [event for event in stream if event.event == "values"]
        values = stream.values
    else:
        run = client.runs.create(thread_id, "work", **options)
        values = client.runs.join(thread_id, run.run_id)
    assert (["done", 7], ["first", "work"]) == (values["out"], values["log"])
    assert ["success"] == [run.status for run in client.runs.list(thread_id)]
    assert thread_id == seen["thread_id"]
    assert "success" == client.runs.get(thread_id, seen["run_id"]).status


def test_a_run_that_fails(client: Client, thread_id: str) -> None:
    """A stream of a failed run raises the error of its graph."""
    with pytest.raises(RunFailedError) as caught, client.runs.stream(thread_id, "work", input={"fail": "value"}) as stream:
        list(stream)
    assert "boom" == caught.value.message
    assert ["error"] == [run.status for run in client.runs.list(thread_id)]


def test_the_graphs_do_the_same_everywhere(client: Client, thread_id: str) -> None:
    """The other graphs have the same outputs on all servers, so that one test can be right for all of them."""
    assert 3 == client.runs.wait(thread_id, "steps", input={"n": 3})["count"]
    text = "wide\u2028 é"
    messages = client.runs.wait(client.threads.create().thread_id, "chat", input={"text": text})["messages"]
    assert [text] == [message["content"] for message in messages]
    with client.runs.stream(client.threads.create().thread_id, "burst", input={"n": 30}, stream_mode="custom") as stream:
        assert list(range(30)) == [event.data["i"] for event in stream if event.event == "custom"]


def test_a_create_whose_response_is_lost(proxy: CuttingProxy, proxied: Client, client: Client, thread_id: str) -> None:
    """The run that the server has made is found, and no second one is made."""
    proxy.arm(swallow(), when=b"POST /threads/")
    run = proxied.runs.create(thread_id, "work", input={"k": 1})
    assert [run.run_id] == [found.run_id for found in client.runs.list(thread_id)]


def test_a_read_over_a_broken_connection(proxy: CuttingProxy, proxied: Client, thread_id: str) -> None:
    proxy.arm(cut_response(20), when=b"GET /threads/")
    assert thread_id == proxied.threads.get(thread_id).thread_id
    assert [True, False] == [turn.fired for turn in proxy.turns]


def test_a_server_is_stopped_with_the_block(any_server: RunningServer) -> None:
    """Each block has a server of its own, and nothing of it is there afterwards."""
    with start(any_server.name) as url, Client(url, api_key=None) as client:
        assert url != any_server.url
        assert client.threads.create().thread_id
    with Client(url, api_key=None, retry=None) as client, pytest.raises(Exception, match="refused"):
        client.threads.create()

"""The block on network access."""

from __future__ import annotations

import importlib
import pickle
import threading
import time
from typing import Any

import pytest

from langgraph_runs import (
    Client,
    LangGraphRunsError,
    RetryPolicy,
)
from langgraph_runs.testing import (
    NetworkRefusedError,
    no_network,
    no_wait,
)
from langgraph_runs.testing.scripted import closed_port


def refused(url: str, **options: Any) -> str:
    with Client(url, api_key=None, **options) as client, pytest.raises(NetworkRefusedError) as caught:
        client.ok()
    return str(caught.value)


@pytest.mark.parametrize(
    "url, host, port",
    [
        ("https://api.example.com/v1", "api.example.com", 443),
        ("http://192.0.2.1:2024", "192.0.2.1", 2024),
        ("http://[2001:db8::1]:2024", "2001:db8::1", 2024),
        ("http://localhost.example.com", "localhost.example.com", 80),
    ],
)
def test_a_connection_to_another_machine_is_refused_and_named(url: str, host: str, port: int) -> None:
    """At once, without looking the name up and without a repeat."""
    began = time.monotonic()
    with no_network():
        assert f"wants to connect to {host}, port {port};" in refused(url, retry=RetryPolicy(wait_initial=5))
    assert time.monotonic() - began < 3


def test_a_connection_to_a_proxy_is_refused() -> None:
    with no_network():
        assert "192.0.2.7, port 3128" in refused("http://127.0.0.1:9", proxies={"http": "http://192.0.2.7:3128"})


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9", "http://127.1.2.3:9"])
def test_connections_to_this_machine_are_not_refused(url: str) -> None:
    """No server listens there, which is another error."""
    with no_network(), Client(url, api_key=None, retry=no_wait(1)) as client:
        with pytest.raises(LangGraphRunsError) as caught:
            client.ok()
        assert not isinstance(caught.value, NetworkRefusedError)


def test_it_applies_to_all_threads_and_to_existing_clients() -> None:
    told: list[str] = []
    with Client("http://192.0.2.1", api_key=None) as client:

        def ask() -> None:
            with pytest.raises(NetworkRefusedError) as caught:
                client.runs.create(None, "agent")
            told.append(str(caught.value))

        with no_network():
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()
    assert 1 == len(told)


def test_blocks_can_be_nested_and_end() -> None:
    """After the last one, and only then, connections are made as before."""
    connections = importlib.import_module("langgraph_runs.http.connection")
    before = connections.LimitedConnection._new_conn
    with no_network():
        with pytest.raises(LookupError), no_network():
            raise LookupError
        refused("http://192.0.2.1")
    assert before is connections.LimitedConnection._new_conn


def test_hosts_can_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard lets them pass; what connects then is as always."""
    connections = importlib.import_module("langgraph_runs.http.connection")

    def dial_here(conn: Any, exchange: Any, *, tls: bool) -> Any:
        conn._dns_host = "127.0.0.1"
        return dial(conn, exchange, tls=tls)

    dial = connections.dial
    monkeypatch.setattr(connections, "dial", dial_here)
    with no_network("langgraph.test"), closed_port() as url:
        port = url.rpartition(":")[2]
        with Client(f"http://langgraph.test:{port}", api_key=None, retry=no_wait(1)) as client:
            with pytest.raises(LangGraphRunsError, match="refused"):
                client.ok()


def test_the_error_is_an_assertion_error_and_an_error_of_the_library() -> None:
    """So that pytest shows it as a failure; it can be pickled, as all errors of the library can."""
    error = NetworkRefusedError("no")
    assert isinstance(error, AssertionError) and isinstance(error, LangGraphRunsError)
    assert "no" == str(pickle.loads(pickle.dumps(error)))

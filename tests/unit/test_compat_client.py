"""`get_sync_client`: the arguments of the official SDK's."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from langgraph_runs import Client, InvalidRequestError, RetryPolicy, compat


def made(**options: Any) -> Any:
    return compat.get_sync_client(api_key=None, **options)


def test_without_arguments_it_is_the_sdks_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGSMITH_API_KEY", "from-the-environment")
    monkeypatch.setenv("LANGGRAPH_API_URL", "http://elsewhere:1")  # which the SDK does not read
    client: Any = compat.get_sync_client()
    settings = client._transport.settings
    assert "http://localhost:8123" == client.base_url
    assert ("from-the-environment", 5.0, 300.0, None) == (
        settings.api_key,
        settings.connect_timeout,
        settings.read_timeout,
        settings.timeout,
    )


@pytest.mark.parametrize(
    ("timeout", "limits"),
    [(60, (60, 60)), (1.5, (1.5, 1.5)), ((5, 60, 60, 5), (5, 60)), ((None, None), (None, None)), (None, (5, 300))]
    + [(SimpleNamespace(connect=2, read=None), (2, None))],
)
def test_timeout_limits_connecting_and_a_silence(timeout: Any, limits: Any) -> None:
    settings = made(timeout=timeout)._transport.settings
    assert limits == (settings.connect_timeout, settings.read_timeout)


@pytest.mark.parametrize("timeout", ["60", (5,), {"read": 5}])
def test_another_timeout_is_refused(timeout: Any) -> None:
    with pytest.raises(InvalidRequestError, match="timeout: give seconds"):
        made(timeout=timeout)


def test_it_is_a_client_and_takes_its_options() -> None:
    client = made(url="http://localhost:2024", retry=RetryPolicy(attempts=1), read_timeout=7)
    assert isinstance(client, Client) and isinstance(client, compat.SyncLangGraphClient)
    assert 7 == client._transport.settings.read_timeout
    assert 1 == client._transport.settings.retry.attempts


def test_copies_are_of_the_same_kind() -> None:
    client = made(url="http://localhost:2024")
    for other in (client.with_options(timeout=5), pickle.loads(pickle.dumps(client))):
        assert type(other) is type(client) and type(other.runs) is type(client.runs)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_call"):
        _ = made().runs.no_such_call
    assert "create" in dir(made().runs)


def test_another_version_of_a_stream_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="version='v3'"):
        made().runs.stream(None, "agent", version="v3")

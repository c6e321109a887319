"""What every test on the wire begins with: an environment that says nothing, and clients that are closed afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

import pytest

from langgraph_runs import Client

from .calls import QUICK

#: Variables that change what is sent, or where to; a test sets what it wants.
TELLING = (
    "LANGGRAPH_API_URL",
    "LANGGRAPH_API_KEY",
    "LANGSMITH_API_KEY",
    "LANGCHAIN_API_KEY",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "NETRC",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)


@pytest.fixture(autouse=True)
def _silent_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TELLING:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    """Makes clients without a key that retry without waiting, and closes them."""
    made: list[Client] = []

    def make(url: str, **options: Any) -> Client:
        made.append(Client(url, **{"api_key": None, "retry": QUICK, **options}))
        return made[-1]

    yield make
    for client in made:
        client.close()

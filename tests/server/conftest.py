"""The real server, and what the tests need around it."""

from __future__ import annotations

import functools
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langgraph_runs import Client
from langgraph_runs.devserver import DevServer, unavailable_reason

from .. import waiting
from ..conftest import items_in
from ..wire.scripted import ScriptedServer, reply
from .shared import shared_server
from .ways import Way

HERE = Path(__file__).parent
GRAPHS = ("echo", "gated", "burst", "pourer", "chat", "asker", "steps", "failing", "nested", "observer")
ALL_GRAPHS = {name: f"{HERE / 'graphs.py'}:{name}" for name in GRAPHS}

#: Runs that a server executes at a time: those of all processes of the tests, and some are held until a test ends.
WORKERS = 200

#: How long anything on the server may take before the test fails instead of hanging.
PATIENCE = 30.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = unavailable_reason()
    for item in items_in(HERE, items):
        item.add_marker(pytest.mark.server)
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


wait_until = functools.partial(waiting.wait_until, seconds=PATIENCE)


@pytest.fixture(autouse=True)
def _silent_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, proxy or address of this machine's user reaches a client."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("LANGGRAPH_", "LANGSMITH_", "LANGCHAIN_")):
            monkeypatch.delenv(name)


def new_server() -> DevServer:
    """The server of most tests, not started."""
    webhooks = {"url": {"disable_loopback": False, "require_https": False}, "headers": {"X-Hook": "static"}}
    return DevServer(ALL_GRAPHS, workers=WORKERS, webhooks=webhooks, http={"app": f"{HERE / 'faults.py'}:app"})


def new_guarded_server() -> DevServer:
    """A server with users, below /api, that gives a run two seconds; not started."""
    options: dict[str, Any] = {
        "auth": {"path": f"{HERE / 'auth.py'}:auth"},
        "http": {"mount_prefix": "/api"},
        "env": {"BG_JOB_TIMEOUT_SECS": "2"},
    }
    return DevServer(ALL_GRAPHS, workers=WORKERS, **options)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    """The server that all tests share, those in other processes too: each test uses threads of its own."""
    with shared_server("server", new_server, tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="session")
def guarded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    """A server with users, below /api, that gives a run two seconds; shared like the other one."""
    with shared_server("guarded", new_guarded_server, tmp_path_factory) as server:
        yield server


@pytest.fixture
def own_server() -> Iterator[DevServer]:
    """A server for one test alone, which may stop it or touch everything that is on it."""
    with new_server() as server:
        yield server


@pytest.fixture
def client(server: DevServer) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


@pytest.fixture(params=["create", "wait", "stream"])
def start(request: pytest.FixtureRequest, client: Client) -> Iterator[Way]:
    """Each of the three ways to start a run."""
    way = Way(request.param, client)
    yield way
    way.close()


@pytest.fixture
def thread_id(client: Client) -> str:
    """A fresh thread."""
    return client.threads.create().thread_id


@pytest.fixture
def new_id() -> str:
    """An id that no server has seen."""
    return str(uuid.uuid4())


@pytest.fixture
def hook() -> Iterator[ScriptedServer]:
    """A receiver of webhooks."""
    with ScriptedServer(always=reply(200)) as receiver:
        yield receiver


class Gate:
    """Holds the runs of the graph `gated` until it is opened, and knows which of them began and which went on."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def input(self, tag: str = "run") -> dict[str, Any]:
        return {"gate": str(self._path), "tag": tag}

    def open(self) -> None:
        self._path.touch()

    def begun(self, tag: str = "run") -> bool:
        return Path(f"{self._path}.begun-{tag}").exists()

    def passed(self, tag: str = "run") -> bool:
        return Path(f"{self._path}.passed-{tag}").exists()

    def wait_begun(self, tag: str = "run") -> None:
        wait_until(lambda: self.begun(tag), f"the run {tag!r} to begin")


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()

"""Real servers of the same API, each started once for a test run, and clients of them with and without a proxy between."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NoReturn, TypeVar

import attrs
import pytest

from langgraph_runs import Client, RetryPolicy
from langgraph_runs.testing.cutting_proxy import CuttingProxy

from ..conftest import leave_out_unless_wanted
from ..server.conftest import _silent_environment  # noqa: F401
from ..server.shared import shared_url
from .processes import ENVIRONMENT, Unavailable
from .serve import SERVERS, start

T = TypeVar("T")

NAMES = ("python", "javascript", "aegra")
#: If it is set, a server that this machine cannot run fails its tests instead of skipping them.
REQUIRED_VARIABLE = "LANGGRAPH_RUNS_TEST_SERVERS_REQUIRED"
#: How long anything on a server may take before the test fails instead of hanging.
PATIENCE = 60.0
QUICK = RetryPolicy(attempts=8, wait_initial=0.02, wait_max=0.2, budget=None)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    leave_out_unless_wanted(config, items, "servers")


@attrs.frozen
class RunningServer:
    name: str
    url: str


@contextlib.contextmanager
def or_skipped(starting: contextlib.AbstractContextManager[T]) -> Iterator[T]:
    """What *starting* yields; the test is skipped where it cannot be had."""
    with contextlib.ExitStack() as running:
        try:
            found = running.enter_context(starting)
        except Unavailable as error:
            skip(str(error))
        yield found


def skip(reason: str) -> NoReturn:
    if REQUIRED_VARIABLE in ENVIRONMENT:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@contextlib.contextmanager
def shared(name: str, factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The server of that name, which all processes of this test run share; the test is skipped where it cannot be had."""
    reason = SERVERS[name].unavailable_reason()
    if not reason:
        with contextlib.ExitStack() as running:
            try:
                url = running.enter_context(shared_url(f"servers-{name}", lambda: start(name), factory))
            except Unavailable as error:
                reason = str(error)
            else:
                yield RunningServer(name, url)
                return
    skip(reason)


@pytest.fixture(scope="session")
def python_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with shared("python", tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="session")
def javascript_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with shared("javascript", tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="session")
def aegra_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with shared("aegra", tmp_path_factory) as server:
        yield server


# Not of the session: pytest would stop a server, and start it again, each time that the order of the tests changes between them.
@pytest.fixture(params=NAMES)
def any_server(request: pytest.FixtureRequest) -> RunningServer:
    """Each of the servers in turn. Other tests use it at the same time: a test uses threads of its own."""
    server: RunningServer = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture
def client(any_server: RunningServer) -> Iterator[Client]:
    with Client(any_server.url, api_key=None, retry=QUICK, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
def proxy(any_server: RunningServer) -> Iterator[CuttingProxy]:
    """A proxy in front of the server that breaks connections when the test says so."""
    with CuttingProxy(any_server.url) as proxy:
        yield proxy


@pytest.fixture
def proxied(proxy: CuttingProxy) -> Iterator[Client]:
    """A client that reaches the server through the proxy alone."""
    with Client(proxy.url, api_key=None, retry=QUICK, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
def thread_id(client: Client) -> str:
    """A fresh thread."""
    return client.threads.create().thread_id

"""Fixtures for pytest: a fake server, a real server, and no network access. pytest loads them when the library is installed.

The fixtures import the rest of `langgraph_runs.testing` when they are first used. To load the plugin from a checkout that is not
installed, use ``pytest -p langgraph_runs.testing.plugin``; to disable it, ``-p no:langgraph_runs``.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import urllib.parse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Dict

import pytest

from ..client import KEY_VARIABLES

if TYPE_CHECKING:
    from ..devserver import DevServer
    from .fake_runs import FakeRuns

__all__ = [
    "langgraph_dev_server",
    "langgraph_graphs",
    "langgraph_runs_fake",
    "langgraph_runs_no_network",
    "pytest_addoption",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini option ``langgraph_graphs``."""
    parser.addini(
        "langgraph_graphs",
        "graphs for the fixture langgraph_dev_server, one per line: name = path.py:variable (from the root directory of the tests)",
        type="linelist",
        default=[],
    )


@pytest.fixture
def langgraph_runs_no_network() -> Iterator[None]:
    """Let no `Client` connect to another machine, with `langgraph_runs.testing.no_network`."""
    with importlib.import_module("langgraph_runs.testing.network").no_network():
        yield


@pytest.fixture
def langgraph_runs_fake(langgraph_runs_no_network: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRuns]:
    """A `langgraph_runs.testing.FakeRuns`, which a plain ``Client()`` of the code under test connects to.

    In a Django project `langgraph_runs.django.get_client` connects to it too, whatever ``LANGGRAPH_RUNS`` says. A client with
    another address raises `NetworkRefusedError`: a server for development on this machine is not reached by mistake.

    The test fails at its end if a script was not used, or if a run was started for which there was no script.
    """
    network = importlib.import_module("langgraph_runs.testing.network")
    with contextlib.ExitStack() as stack:
        fake = stack.enter_context(importlib.import_module("langgraph_runs.testing.fake_runs").FakeRuns())
        monkeypatch.setenv("LANGGRAPH_API_URL", fake.url)
        for key in KEY_VARIABLES:
            monkeypatch.delenv(key, raising=False)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "127.0.0.1")
        address = urllib.parse.urlsplit(fake.url)
        stack.enter_context(network.only_address(address.hostname, address.port, "langgraph_runs_fake"))
        if _has_django_settings():
            clients = importlib.import_module("langgraph_runs.django.clients")
            stack.enter_context(clients.replaced_options(url=fake.url, api_key=None, proxies=None, cert=None))
        yield fake


def _has_django_settings() -> bool:
    """Return True if the tests are those of a Django project: then pytest-django or the test has set the settings up."""
    conf = sys.modules.get("django.conf")
    return conf is not None and bool(conf.settings.configured)


@pytest.fixture(scope="session")
def langgraph_graphs(pytestconfig: pytest.Config) -> Dict[str, Any]:
    """The graphs of `langgraph_dev_server` by name, from the ini option. Override this fixture for other graphs."""
    graphs: Dict[str, Any] = {}
    for line in pytestconfig.getini("langgraph_graphs"):
        name, equals, place = (part.strip() for part in line.partition("="))
        if not (name and equals and ":" in place):
            raise pytest.UsageError(f"langgraph_graphs: {line!r} is not of the form: name = path.py:variable")
        path, _, variable = place.rpartition(":")
        graphs[name] = f"{pytestconfig.rootpath / path}:{variable}" if path.endswith(".py") else place
    return graphs


@pytest.fixture(scope="session")
def langgraph_dev_server(langgraph_graphs: Dict[str, Any]) -> Iterator[DevServer]:
    """A real LangGraph server (`langgraph_runs.devserver.DevServer`) with your graphs, one for all tests of a process.

    The test is skipped, with the reason, if this Python cannot run the server.
    """
    devserver = importlib.import_module("langgraph_runs.devserver")
    reason = devserver.unavailable_reason()
    if reason is not None:
        pytest.skip(reason)
    if not langgraph_graphs:
        pytest.fail(
            "langgraph_dev_server has no graphs: set the ini option langgraph_graphs (agent = my_agent.py:graph), "
            "or override the fixture langgraph_graphs",
            pytrace=False,
        )
    with devserver.DevServer(graphs=langgraph_graphs) as server:
        yield server

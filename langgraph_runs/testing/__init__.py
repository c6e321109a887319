"""Tools for tests of code that uses this library: a fake server, factories of records, and a block on network access.

``with fake_server() as fake`` starts a fake LangGraph server on a free port of this machine. ``fake.script(...)`` defines what its
runs do, ``fake.client()`` returns a client for it, and ``fake.assert_started(...)`` checks the requests. Scripts are made by
``succeeds``, ``fails``, ``pauses``, ``is_cancelled``, ``times_out`` and ``never_ends``; responses that refuse a run by
``rate_limited``, ``unavailable``, ``unauthorized`` and ``refuses``. ``post_webhook`` sends the webhook of a run to a Django project
under test. README.rst in this package has examples.

`langgraph_runs.testing.conformance` checks whether the promises of the library hold on a real server.

For tests at the level of bytes, `langgraph_runs.testing.scripted` is a server that sends prepared replies in order, and
`langgraph_runs.testing.replies` has functions that make replies. The tests of this library use both.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .dialect import Dialect
    from .factories import (
        custom_event,
        error_event,
        make_event,
        make_run,
        make_state,
        make_thread,
        message_event,
        metadata_event,
        updates_event,
        values_event,
    )
    from .fake_langgraph import FakeLangGraph
    from .fake_run import FakeRun, GraphFailure, Paused, Stopped
    from .fake_runs import FakeRuns, fake_server
    from .loopback_server import Request
    from .network import NetworkRefusedError, no_network
    from .retry_policy import no_wait
    from .scripts import (
        Script,
        fails,
        is_cancelled,
        never_ends,
        pauses,
        rate_limited,
        refuses,
        succeeds,
        times_out,
        unauthorized,
        unavailable,
    )
    from .webhook_request import post_webhook

__all__ = [
    "Dialect",
    "FakeLangGraph",
    "FakeRun",
    "FakeRuns",
    "GraphFailure",
    "NetworkRefusedError",
    "Paused",
    "Request",
    "Script",
    "Stopped",
    "custom_event",
    "error_event",
    "fails",
    "fake_server",
    "is_cancelled",
    "make_event",
    "make_run",
    "make_state",
    "make_thread",
    "message_event",
    "metadata_event",
    "never_ends",
    "no_network",
    "no_wait",
    "pauses",
    "post_webhook",
    "rate_limited",
    "refuses",
    "succeeds",
    "times_out",
    "unauthorized",
    "unavailable",
    "updates_event",
    "values_event",
]

#: The module of each name. A module is imported when one of its names is first used, since pytest imports this package (for the
#: plugin) in every test run where the library is installed.
_NAMES_BY_MODULE = {
    "dialect": ("Dialect",),
    "factories": (
        "custom_event",
        "error_event",
        "make_event",
        "make_run",
        "make_state",
        "make_thread",
        "message_event",
        "metadata_event",
        "updates_event",
        "values_event",
    ),
    "fake_runs": (
        "FakeRuns",
        "fake_server",
    ),
    "fake_langgraph": ("FakeLangGraph",),
    "loopback_server": ("Request",),
    "network": (
        "NetworkRefusedError",
        "no_network",
    ),
    "retry_policy": ("no_wait",),
    "fake_run": (
        "FakeRun",
        "GraphFailure",
        "Paused",
        "Stopped",
    ),
    "scripts": (
        "Script",
        "fails",
        "is_cancelled",
        "never_ends",
        "pauses",
        "rate_limited",
        "refuses",
        "succeeds",
        "times_out",
        "unauthorized",
        "unavailable",
    ),
    "webhook_request": ("post_webhook",),
}
_MODULE_OF = {name: module for module, names in _NAMES_BY_MODULE.items() for name in names}


if not TYPE_CHECKING:  # type checkers would accept any name otherwise

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

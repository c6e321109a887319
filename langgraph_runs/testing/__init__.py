"""For tests of code that uses this library: a fake server, factories, no network. Needs nothing beside the library itself.

``with fake_server() as fake`` gives a LangGraph server on a free port of this machine; ``fake.script(...)`` says what its runs do,
``fake.client()`` is a client for it, ``fake.assert_started(...)`` looks at what was asked. Scripts are made by ``succeeds``,
``fails``, ``pauses``, ``is_cancelled``, ``times_out`` and ``never_ends``, refusals by ``rate_limited``, ``unavailable``,
``unauthorized`` and ``refuses``. README.rst in this package has examples.

One level lower, for tests that care for bytes: `langgraph_runs.testing.scripted` plays raw replies in order, and
`langgraph_runs.testing.replies` has what such a reply is made of. This library's own tests are written with both.
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
    "rate_limited",
    "refuses",
    "succeeds",
    "times_out",
    "unauthorized",
    "unavailable",
    "updates_event",
    "values_event",
]

#: Where each name is at home. A module is imported when a name of it is first used, since this package is imported by pytest in
#: every test run of whoever has installed the library.
_HOMES = {
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
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # to which any name would then be one of this package

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

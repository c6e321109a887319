"""The scripted server of `langgraph_runs.testing`, with all that a script is made of."""

from __future__ import annotations

from langgraph_runs.testing.loopback_server import LoopbackServer, Request
from langgraph_runs.testing.scripted import Route, ScriptedServer, black_hole, closed_port

from .replies import *  # noqa: F403
from .replies import __all__ as _replies

__all__ = [
    "LoopbackServer",
    "Request",
    "Route",
    "ScriptedServer",
    "black_hole",
    "closed_port",
    *_replies,
]

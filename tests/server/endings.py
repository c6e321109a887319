"""A graph that ends in any way, when it is told to. Runs inside the server's process: imports nothing of ours."""

from __future__ import annotations

import asyncio
import operator
import os
import time
from typing import Annotated, Any, TypedDict

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

#: How long a gate is waited for, in seconds: longer than any test, shorter than a forgotten server.
LIMIT = 60.0


class OwnError(Exception):
    """A class that the server does not know."""


class Ending(TypedDict, total=False):
    gate: str
    tag: str
    #: success, question, recursion, ValueError or OwnError.
    end: str
    path: Annotated[list[Any], operator.add]


async def begin(state: Ending) -> dict[str, Any]:
    get_stream_writer()("begun")
    return {"path": ["begun"]}


async def hold(state: Ending) -> dict[str, Any]:
    """Says by a file that the state of the step before is written, then waits until the file at gate exists."""
    with open(f"{state['gate']}.begun-{state['tag']}", "w"):
        pass
    end = time.monotonic() + LIMIT
    while not os.path.exists(state["gate"]):
        if time.monotonic() > end:
            raise TimeoutError("nobody opened the gate")
        await asyncio.sleep(0.02)
    return {"path": ["held"]}


async def finish(state: Ending) -> dict[str, Any]:
    end = state.get("end")
    if end == "ValueError":
        raise ValueError("boom, said \"it\" — 'twice'")
    if end == "OwnError":
        raise OwnError("a secret")
    if end == "question":
        return {"path": [interrupt("go on?")]}
    return {"path": ["again" if end == "recursion" else "done"]}


def on(state: Ending) -> str:
    return "finish" if state.get("end") == "recursion" else END


ending = (
    StateGraph(Ending)
    .add_node("begin", begin)
    .add_node("hold", hold)
    .add_node("finish", finish)
    .add_edge(START, "begin")
    .add_edge("begin", "hold")
    .add_edge("hold", "finish")
    .add_conditional_edges("finish", on, ["finish", END])
    .compile()
)

"""The graphs of `own_server`. The server imports this module, the library does not. The input decides what they do.

``work``: ``{"seconds": 2}`` takes that long, ``{"fail": "no ink"}`` raises ValueError, ``{"events": 60}`` writes custom events.
``ask`` asks a human.
"""

import asyncio
import operator
from typing import Annotated, Any, Dict, List, TypedDict

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

__all__ = ["ask", "work"]


class State(TypedDict, total=False):
    seconds: float
    fail: str
    events: int
    log: Annotated[List[str], operator.add]


def first(state: State) -> Dict[str, Any]:
    return {"log": ["first"]}


async def second(state: State) -> Dict[str, Any]:
    """Write the events over the time that the input names, then fail or return."""
    seconds, events = state.get("seconds") or 0.0, state.get("events") or 0
    writer = get_stream_writer()
    for number in range(events):
        writer({"number": number, "text": "x" * 20})
        await asyncio.sleep(seconds / events)
    if not events:
        await asyncio.sleep(seconds)
    if state.get("fail"):
        raise ValueError(state["fail"])
    return {"log": ["second"]}


def question(state: State) -> Dict[str, Any]:
    return {"log": [str(interrupt({"question": "Send this?"}))]}


work = (
    StateGraph(State)
    .add_node("first", first)
    .add_node("second", second)
    .add_edge(START, "first")
    .add_edge("first", "second")
    .add_edge("second", END)
    .compile()
)
ask = (
    StateGraph(State)
    .add_node("first", first)
    .add_node("question", question)
    .add_edge(START, "first")
    .add_edge("first", "question")
    .add_edge("question", END)
    .compile()
)

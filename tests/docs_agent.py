"""The graph of the examples in README.rst and in the chapters. The server imports it: it needs neither this library nor a model key.

It replies to the last message, token by token. The context of a run changes what it does::

    {"review": True}     pauses with a question to a human after the reply; "yes" approves it
    {"seconds": 60}      waits that long before the reply, so that the run can be cancelled
    {"fail": "no ink"}   raises ValueError("no ink")
"""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from typing_extensions import TypedDict  # of which the server can make a schema on every Python

ANSWER = "Because the Earth turns under two bulges of water."
#: Seconds of one wait; the run can be cancelled between two of them.
STEP = 0.05


class Context(TypedDict, total=False):
    review: bool
    seconds: float
    fail: str


class State(MessagesState, total=False):
    review: bool
    approved: bool


async def think(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Write a custom event, then wait or raise, as the context says."""
    context = runtime.context or {}
    get_stream_writer()({"progress": "thinking"})
    for _ in range(round(context.get("seconds", 0) / STEP)):
        await asyncio.sleep(STEP)
    if context.get("fail"):
        raise ValueError(context["fail"])
    return {"review": context.get("review", False)}


async def answer(state: State) -> dict[str, Any]:
    """Call the model."""
    model = GenericFakeChatModel(messages=iter([AIMessage(ANSWER)]))
    return {"messages": [await model.ainvoke(state["messages"])]}


def review(state: State) -> dict[str, Any]:
    """Ask a human, if the context says so."""
    return {"approved": interrupt({"question": "Send this?"}) == "yes"} if state["review"] else {}


graph = (
    StateGraph(State, context_schema=Context)
    .add_node("think", think)
    .add_node("answer", answer)
    .add_node("review", review)
    .add_edge(START, "think")
    .add_edge("think", "answer")
    .add_edge("answer", "review")
    .add_edge("review", END)
    .compile()
)

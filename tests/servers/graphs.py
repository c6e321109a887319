"""The graphs of all servers of these tests, in Python; js/graphs.mjs has the same for the JavaScript server.

Runs inside the server's process: imports nothing of ours. Aegra runs this file without an entry in `sys.modules`, where types
that are strings could not be looked up: so no `from __future__ import annotations` here.
"""

import asyncio
import operator
import time
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt


class State(TypedDict, total=False):
    k: Any
    n: int
    #: How long the graph takes, in seconds.
    seconds: float
    #: Seconds between two custom events of `work`.
    tick: float
    #: "value" or "type": the error that `work` ends with.
    fail: str
    count: int
    out: list[Any]
    log: Annotated[list[str], operator.add]


def first(state: State) -> dict[str, Any]:
    return {"log": ["first"]}


async def work_for(state: State) -> dict[str, Any]:
    """Takes the time that the input names, writes an event each tick, and fails when the input says so."""
    end, i = time.monotonic() + state.get("seconds", 0), 0
    writer = get_stream_writer()
    while time.monotonic() < end:
        if state.get("tick"):
            writer({"i": i})
            i += 1
        await asyncio.sleep(max(0.0, min(end - time.monotonic(), state.get("tick") or state["seconds"])))
    if state.get("fail") == "value":
        raise ValueError("boom")
    if state.get("fail") == "type":
        raise TypeError("boom")
    return {"out": ["done", state.get("k")], "log": ["work"]}


def question(state: State) -> dict[str, Any]:
    """Pauses the run for a human."""
    return {"out": ["answer", interrupt({"q": "who?"})], "log": ["ask"]}


async def increase(state: State) -> dict[str, Any]:
    await asyncio.sleep(state.get("seconds", 0) / max(1, state.get("n", 1)))
    return {"count": state.get("count", 0) + 1}


def last(state: State) -> dict[str, Any]:
    return {"out": ["done", state.get("k")]}


def once_more(state: State) -> str:
    return "increase" if state.get("count", 0) < state.get("n", 1) else "last"


async def write(state: State) -> dict[str, Any]:
    """Writes n numbered custom events, over the time that the input names."""
    writer, n = get_stream_writer(), state.get("n", 100)
    for i in range(n):
        writer({"i": i})
        if i % 10 == 0:
            await asyncio.sleep(state.get("seconds", 0) * 10 / n)
    return {"out": ["done", state.get("k")]}


work = (
    StateGraph(State)
    .add_node("first", first)
    .add_node("work", work_for)
    .add_edge(START, "first")
    .add_edge("first", "work")
    .add_edge("work", END)
    .compile()
)
ask = (
    StateGraph(State)
    .add_node("first", first)
    .add_node("ask", question)
    .add_edge(START, "first")
    .add_edge("first", "ask")
    .add_edge("ask", END)
    .compile()
)
burst = StateGraph(State).add_node("burst", write).add_edge(START, "burst").add_edge("burst", END).compile()
steps = (
    StateGraph(State)
    .add_node("increase", increase)
    .add_node("last", last)
    .add_edge(START, "increase")
    .add_conditional_edges("increase", once_more, ["increase", "last"])
    .add_edge("last", END)
    .compile()
)


class Chat(MessagesState, total=False):
    text: str


async def reply(state: Chat) -> dict[str, Any]:
    """Answers word by word, as a chat model does, with the text of the input."""
    text = state.get("text") or "hello wide\u2028 world \u00e9"
    model = GenericFakeChatModel(messages=iter([AIMessage(content=text)]))
    return {"messages": [await model.ainvoke(state.get("messages") or [])]}


chat = StateGraph(Chat).add_node("llm", reply).add_edge(START, "llm").add_edge("llm", END).compile()

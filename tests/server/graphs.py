"""The graphs of the test server. Each makes one thing visible from outside; none needs a key or the network.

Runs inside the server's process: imports nothing of ours.
"""

from __future__ import annotations

import asyncio
import operator
import os
import time
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.config import get_config, get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send, interrupt
from langsmith.run_helpers import get_tracing_context

#: How long a gate is waited for, in seconds: longer than any test, shorter than a forgotten server.
LIMIT = 300.0


class Echo(TypedDict, total=False):
    value: Any
    echo: Any
    turns: Annotated[int, operator.add]


def say(state: Echo) -> dict[str, Any]:
    """Copies any JSON from value to echo, and counts the runs of the thread."""
    return {"echo": state.get("value"), "turns": 1}


echo = StateGraph(Echo).add_node("say", say).add_edge(START, "say").add_edge("say", END).compile()


class Gated(TypedDict, total=False):
    gate: str
    tag: str
    passed: Annotated[list[str], operator.add]


async def begin(state: Gated) -> dict[str, Any]:
    """Leaves a file that says that the run has begun."""
    with open(f"{state['gate']}.begun-{state.get('tag', 'run')}", "w"):
        pass
    get_stream_writer()({"begun": state.get("tag", "run")})
    return {"passed": ["begun"]}


async def hold(state: Gated) -> dict[str, Any]:
    """Waits until the file at gate exists, then leaves one that says that it went on."""
    end = time.monotonic() + LIMIT
    while not os.path.exists(state["gate"]):
        if time.monotonic() > end:
            raise TimeoutError("nobody opened the gate")
        await asyncio.sleep(0.01)
    with open(f"{state['gate']}.passed-{state.get('tag', 'run')}", "w"):
        pass
    return {"passed": [state.get("tag", "run")]}


gated = (
    StateGraph(Gated)
    .add_node("begin", begin)
    .add_node("hold", hold)
    .add_edge(START, "begin")
    .add_edge("begin", "hold")
    .add_edge("hold", END)
    .compile()
)


class Burst(TypedDict, total=False):
    n: int
    #: Seconds between events; 0 writes them all in a few milliseconds.
    pause: float
    #: So many characters in each event.
    size: int
    written: int


async def write(state: Burst) -> dict[str, Any]:
    """Writes n numbered custom events."""
    writer = get_stream_writer()
    filler = {"x": "x" * state["size"]} if state.get("size") else {}
    for i in range(state["n"]):
        writer({"i": i, **filler})
        if state.get("pause"):
            await asyncio.sleep(state["pause"])
        elif i % 100 == 99:
            await asyncio.sleep(0)
    return {"written": state["n"]}


burst = StateGraph(Burst).add_node("write", write).add_edge(START, "write").add_edge("write", END).compile()


class Anything(TypedDict, total=False):
    items: list[Any]
    count: int


def pour(state: Anything) -> dict[str, Any]:
    """Writes each item of the input as one custom event."""
    writer = get_stream_writer()
    for item in state["items"]:
        writer(item)
    return {"count": len(state["items"])}


pourer = StateGraph(Anything).add_node("pour", pour).add_edge(START, "pour").add_edge("pour", END).compile()


async def answer(state: MessagesState) -> dict[str, Any]:
    """Answers word by word, as a chat model does; the answer is what the last message says, word for word."""
    said = str(state["messages"][-1].content)
    model = GenericFakeChatModel(messages=iter([AIMessage(content=f"You said: {said}")]))
    return {"messages": [await model.ainvoke(state["messages"], {"tags": ["fake-model"]})]}


chat = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").add_edge("answer", END).compile()


class Asking(TypedDict, total=False):
    questions: list[str]
    answers: Annotated[list[Any], operator.add]
    question: str


def ask_each(state: Asking) -> list[Send]:
    return [Send("ask", {"question": question}) for question in state["questions"]]


def ask(state: Asking) -> dict[str, Any]:
    """Stops the run with one question to a human; several at once when there are several."""
    return {"answers": [{state["question"]: interrupt(state["question"])}]}


asker = StateGraph(Asking).add_node("ask", ask).add_conditional_edges(START, ask_each, ["ask"]).add_edge("ask", END).compile()


class Steps(TypedDict, total=False):
    path: Annotated[list[str], operator.add]


def one(state: Steps) -> dict[str, Any]:
    return {"path": ["one"]}


def two(state: Steps) -> dict[str, Any]:
    return {"path": ["two"]}


def three(state: Steps) -> dict[str, Any]:
    return {"path": ["three"]}


steps = (
    StateGraph(Steps)
    .add_node("one", one)
    .add_node("two", two)
    .add_node("three", three)
    .add_edge(START, "one")
    .add_edge("one", "two")
    .add_edge("two", "three")
    .add_edge("three", END)
    .compile()
)


class OwnError(Exception):
    """A class that the server does not know."""


_ERRORS: dict[str, type[Exception]] = {
    "ValueError": ValueError,
    "KeyError": KeyError,
    "RuntimeError": RuntimeError,
    "OwnError": OwnError,
}


class Failing(TypedDict, total=False):
    error: str
    message: str
    before: str


def prepare(state: Failing) -> dict[str, Any]:
    get_stream_writer()({"before": "the failure"})
    return {"before": "the failure"}


def fail(state: Failing) -> dict[str, Any]:
    """Raises the class that the input names; does nothing where it names none."""
    if not state.get("error"):
        return {}
    raise _ERRORS[state["error"]](state.get("message", ""))


failing = (
    StateGraph(Failing)
    .add_node("prepare", prepare)
    .add_node("fail", fail)
    .add_edge(START, "prepare")
    .add_edge("prepare", "fail")
    .add_edge("fail", END)
    .compile()
)


class Shared(TypedDict, total=False):
    path: Annotated[list[str], operator.add]


def inner(state: Shared) -> dict[str, Any]:
    """Asks a question when it is told to."""
    get_stream_writer()({"in": "inner"})
    return {"path": ["inner", interrupt("deep?")] if "ask" in state["path"] else ["inner"]}


def outer(state: Shared) -> dict[str, Any]:
    get_stream_writer()({"in": "outer"})
    return {"path": ["outer"]}


_child = StateGraph(Shared).add_node("inner", inner).add_edge(START, "inner").add_edge("inner", END).compile()
nested = (
    StateGraph(Shared)
    .add_node("outer", outer)
    .add_node("child", _child)
    .add_edge(START, "outer")
    .add_edge("outer", "child")
    .add_edge("child", END)
    .compile()
)


class Context(TypedDict, total=False):
    user: str
    level: int


class Seen(TypedDict, total=False):
    seen: dict[str, Any]


def look(state: Seen, runtime: Runtime[Context]) -> dict[str, Any]:
    """Tells what reached the node beside the input."""
    config = get_config()

    def shown(part: Any) -> dict[str, Any]:
        return {k: v for k, v in (part or {}).items() if isinstance(v, (str, int, list, dict)) and k[:2] != "__"}

    return {
        "seen": {
            "tags": list(config.get("tags") or []),
            "metadata": shown(config.get("metadata")),
            "configurable": shown(config.get("configurable")),
            "recursion_limit": config.get("recursion_limit"),
            "context": runtime.context,
            "traces": [dict(replica) for replica in get_tracing_context().get("replicas") or []],
        }
    }


observer = StateGraph(Seen, context_schema=Context).add_node("look", look).add_edge(START, "look").add_edge("look", END).compile()

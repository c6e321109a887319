"""The agent of the recipes for engines. Of the runs with one gate, the first ones end at once; the others wait until the file exists.

So a test can kill a worker while it surely has both results and active runs, on a machine of any speed. Runs inside the server's
process, and imports nothing of ours. The context of a run::

    {"gate": path, "first": 8}   eight runs with this path end at once, the others when the file exists
    {"seconds": 60}              waits that long, so that the run can be cancelled

The first run with a message that begins with "Fail" fails.
"""

from __future__ import annotations

import asyncio
import collections
import os
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from typing_extensions import TypedDict

ANSWER = "Because the Earth turns under two bulges of water."
#: Seconds between two looks at the file.
STEP = 0.05

#: How often something has begun: the runs with a gate, and those with a text that fails once.
_begun: collections.Counter[str] = collections.Counter()


class Context(TypedDict, total=False):
    gate: str
    first: int
    seconds: float


async def answer(state: MessagesState, runtime: Runtime[Context]) -> dict[str, Any]:
    context = runtime.context or {}
    gate = context.get("gate")
    if gate:
        _begun[gate] += 1
        if _begun[gate] > context.get("first", 0):
            while not await asyncio.to_thread(os.path.exists, gate):
                await asyncio.sleep(STEP)
    await asyncio.sleep(context.get("seconds", 0))
    text = str(state["messages"][-1].content)
    _begun[text] += 1
    if text.startswith("Fail") and _begun[text] == 1:
        raise ValueError("for the first time")
    return {"messages": [AIMessage(ANSWER)]}


graph = (
    StateGraph(MessagesState, context_schema=Context)
    .add_node("answer", answer)
    .add_edge(START, "answer")
    .add_edge("answer", END)
    .compile()
)

"""The demo's graph: it drafts a text about a topic and asks a human whether to publish it.

The server imports it, the library does not. It needs no model key: the chat model is a fake that streams a fixed text. The input
decides what it does::

    {"topic": "tides"}                      drafts, then asks: resume with {"approved": true} or {"approved": false}
    {"topic": "tides", "seconds": 30}       takes that long before it drafts, so that it can be cancelled
    {"topic": "tides", "fail": True}        raises ValueError
"""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, Dict, Iterator, List, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt

#: Seconds between two tokens, about as with a real model.
TOKEN_INTERVAL = 0.02
#: Seconds for reading one source.
SOURCE_INTERVAL = 0.15
SOURCES = ("encyclopedia", "almanac", "logbook")
TEXT = (
    "Here is a short text about {topic}. The {sources} agree on the main points and differ on the rest, as sources do. "
    "No model was called and no key was used: these words were written beforehand, and only arrive one by one."
)


class State(TypedDict, total=False):
    topic: str
    seconds: float
    fail: bool
    sources: List[str]
    messages: Annotated[List[AnyMessage], add_messages]
    published: bool


class FakeModel(GenericFakeChatModel):
    """Streams its text word by word, at the speed of a real model."""

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for chunk in super()._stream(*args, **kwargs):
            time.sleep(TOKEN_INTERVAL)
            yield chunk


async def research(state: State) -> Dict[str, Any]:
    """Read the sources, with a custom event for each."""
    if state.get("fail"):
        raise ValueError(f"there is no source about {state['topic']}")
    write_event = get_stream_writer()
    for number, source in enumerate(SOURCES, 1):
        write_event({"reading": source, "number": number, "of": len(SOURCES)})
        # Asynchronous, so that a cancelled run stops at once, not after the sleep.
        await asyncio.sleep(state.get("seconds", 0) / len(SOURCES) or SOURCE_INTERVAL)
    return {"sources": list(SOURCES)}


def draft(state: State) -> Dict[str, Any]:
    """Let the model write the text."""
    text = TEXT.format(topic=state["topic"], sources=", ".join(state["sources"]))
    model = FakeModel(messages=iter([AIMessage(text)]))
    return {"messages": [model.invoke([HumanMessage(f"Write about {state['topic']}.")])]}


def review(state: State) -> Dict[str, Any]:
    """Pause until a human has answered."""
    answer = interrupt({"question": "Publish this text?", "words": len(str(state["messages"][-1].content).split())})
    return {"published": bool(answer["approved"])}


graph = (
    StateGraph(State)
    .add_node(research)
    .add_node(draft)
    .add_node(review)
    .add_edge(START, "research")
    .add_edge("research", "draft")
    .add_edge("draft", "review")
    .add_edge("review", END)
    .compile(name="demo")
)

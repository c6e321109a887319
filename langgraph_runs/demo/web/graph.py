"""The chat's graph: a word in the message decides what it does. The server imports it, the library does not.

It needs no model and no key: a fake chat model streams fixed texts at the speed of a real one.

    "Why are there two tides a day?"    an answer, word by word
    "Tell me a long story"              the same for a quarter of a minute, so that it can be stopped
    "Plan a trip to the sea"            pauses for a human: resume with {"id": ..., "text": ...}
    "How is the weather at sea?"        raises at the first attempt; the thread can be run again (``input=None``)
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Dict, Iterator, Literal

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langgraph.config import get_store, get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt

#: Seconds between two tokens. A word is one token, the space after it another.
TOKEN_INTERVAL = 0.018
STORY_INTERVAL = 0.035
#: Seconds for one step of the preparation.
STEP_INTERVAL = 0.5

TIDES = (
    "Because the Earth turns under two bulges of water.\n\n"
    "The Moon pulls at the near side of the Earth a little more than at its centre, and at the centre a little more than at "
    "the far side. So the water is drawn towards the Moon on the one side, and left behind on the other. Once a day each "
    "coast is carried through both of these bulges: high water, low water, and the same again.\n\n"
    "The Sun does it too, half as strongly. When both pull in one line, at new moon and at full moon, the tides are at their "
    "highest."
)
STORY = (
    "There was a lighthouse keeper who wrote down every ship that passed. He had done so for thirty years, in thirty books, in "
    "a hand that nobody but he could read.\n\n"
    "One evening a ship came by that was in the first of the books: the same name, the same sails, the same lantern swinging at "
    "the stern. He looked it up, to be sure, and found the page, and the page was in another hand, which anybody could have "
    "read.\n\n"
    "It said: on this evening the keeper will look for this page. He turned it over. On the other side stood, in his own hand, "
    "what he had been about to write.\n\n"
    "So he did not write it. He put the book back on its shelf, went up the hundred and eleven steps, and lit the lamp a minute "
    "late, for the first time in thirty years. Out at sea the ship changed its course by as little as one minute makes, which "
    "is not much, and is enough.\n\n"
    "In the morning there was a letter under the door. It thanked him for the minute. It was signed by a captain whose name he "
    "did not know, and dated thirty years ago.\n\n"
    "He kept the light for eleven more years and wrote no more books. When somebody asked him what had passed in the night he "
    "said: ships. And when they asked how many, he said: all of them."
)
TRIP = (
    "Here is **a day at the sea**:\n\n"
    "- `08:40` train to the coast, by the window on the left\n"
    "- `10:15` a walk along the dunes, while the water is low\n"
    "- `13:00` lunch in the harbour\n"
    "- `17:20` back, with sand in the shoes"
)
WEATHER = "The station answers again. Light wind from the west, long low waves, and 14 degrees in the water. Take a jacket."
UNKNOWN = (
    "There is no model here, so I cannot know what to say to “{text}”.\n\n"
    "The rest is real: your message started a run on a LangGraph server on this machine, and these words are its events, on "
    "their way through Django to your browser. Reload the page while I write, or cut the connection, and see that no word is "
    "missing. Then write a word such as tides, story, trip or weather."
)


class Writer(GenericFakeChatModel):
    """Streams its text word by word."""

    interval: float = TOKEN_INTERVAL

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for chunk in super()._stream(*args, **kwargs):
            time.sleep(self.interval)
            yield chunk


async def write(text: str, interval: float = TOKEN_INTERVAL) -> AIMessage:
    """Let the model write the text. Asynchronous, so that a cancelled run stops at the next word."""
    return await Writer(messages=iter([AIMessage(text)]), interval=interval).ainvoke([HumanMessage("Write.")])


def last_message(state: MessagesState) -> BaseMessage:
    """Return the human's last message."""
    return next(message for message in reversed(state["messages"]) if isinstance(message, HumanMessage))


def choose(state: MessagesState) -> Literal["reply", "prepare_trip", "look_up"]:
    """Return the first node, by a word in the message."""
    text = str(last_message(state).content).lower()
    if "trip" in text:
        return "prepare_trip"
    return "look_up" if "weather" in text else "reply"


async def reply(state: MessagesState) -> Dict[str, Any]:
    """Reply with a text."""
    text = str(last_message(state).content)
    if "tide" in text.lower():
        return {"messages": [await write(TIDES)]}
    if "story" in text.lower():
        return {"messages": [await write(STORY, STORY_INTERVAL)]}
    quoted = text if len(text) <= 200 else text[:200] + " …"
    return {"messages": [await write(UNKNOWN.format(text=quoted))]}


async def prepare_trip(state: MessagesState) -> Dict[str, Any]:
    """Propose a trip, with a custom event for each step."""
    progress = get_stream_writer()
    for step in ("Looking at the tide tables", "Looking at the trains", "Looking for lunch"):
        progress({"progress": step})
        await asyncio.sleep(STEP_INTERVAL)
    return {"messages": [await write(TRIP)]}


async def ask_human(state: MessagesState) -> Dict[str, Any]:
    """Pause until a human has answered. When the run is resumed, this function runs again from its beginning."""
    answer = interrupt({"question": "Shall I book it?", "options": ["Book it", "Not today"]})
    return {"messages": [HumanMessage(answer["text"], id=answer["id"])]}


async def book_trip(state: MessagesState) -> Dict[str, Any]:
    """Do what the human has answered."""
    answer = str(last_message(state).content)
    if answer == "Book it":
        return {"messages": [await write("Booked. The train leaves at 08:40, and the sea is there already.")]}
    if answer == "Not today":
        return {"messages": [await write("Nothing is booked. The sea can wait; it is good at that.")]}
    return {"messages": [await write(f"I have booked nothing, and noted: “{answer}”. Ask me for a trip again when you like.")]}


async def look_up(state: MessagesState) -> Dict[str, Any]:
    """Fail at the first attempt for each message, as if a service were unavailable for a moment."""
    get_stream_writer()({"progress": "Calling the weather station"})
    await asyncio.sleep(STEP_INTERVAL)
    store, key = get_store(), str(last_message(state).id)
    if await store.aget(("called",), key) is None:
        await store.aput(("called",), key, {"at": time.time()})
        raise RuntimeError("The weather station does not answer.")
    return {"messages": [await write(WEATHER)]}


graph = (
    StateGraph(MessagesState)
    .add_node(reply)
    .add_node(prepare_trip)
    .add_node(ask_human)
    .add_node(book_trip)
    .add_node(look_up)
    .add_conditional_edges(START, choose)
    .add_edge("reply", END)
    .add_edge("prepare_trip", "ask_human")
    .add_edge("ask_human", "book_trip")
    .add_edge("book_trip", END)
    .add_edge("look_up", END)
    .compile(name="chat")
)

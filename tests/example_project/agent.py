"""The agent itself, for the tests on a real server."""

from __future__ import annotations

from typing import TypedDict

from langgraph.graph import END, START, StateGraph


class State(TypedDict, total=False):
    ticket: str
    answer: str


def reply(state: State) -> State:
    return {"answer": f"About {state['ticket']!r}: have you tried to turn it off and on?"}


graph = StateGraph(State).add_node("reply", reply).add_edge(START, "reply").add_edge("reply", END).compile()

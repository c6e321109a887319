"""``langgraph-runs stream``: how events are printed."""

from __future__ import annotations

from typing import Any

from langgraph_runs.cli import stream
from langgraph_runs.streaming.events import CustomStreamEvent, MessagesStreamEvent, StreamEvent, ValuesStreamEvent

from .screen import screen_fixture  # noqa: F401


def message(text: Any, key: str = "1", kind: str = "AIMessageChunk") -> StreamEvent:
    return MessagesStreamEvent("messages", [{"type": kind, "id": key, "content": text}, {"langgraph_node": "n"}])


def test_tokens_are_printed_as_they_arrive_and_other_events_on_lines_of_their_own(on: Any) -> None:
    screen = on(terminal=True)
    printer = stream.Terminal()
    for event in (
        StreamEvent("metadata", {"run_id": "r"}),
        message("high "),
        message([{"type": "text", "text": "tide"}]),
        message("", key="2"),
        message("a tool's words", key="3", kind="tool"),
        CustomStreamEvent("custom", {"progress": "a long story that is cut where the line ends"}),
        message("low", key="4"),
        message(" tide", key="5"),
        MessagesStreamEvent("messages/metadata", {"6": {"metadata": {}}}),
        MessagesStreamEvent("messages/partial", [{"type": "AIMessageChunk", "id": "6", "content": "ne"}]),
        MessagesStreamEvent("messages/partial", [{"type": "AIMessageChunk", "id": "6", "content": "neap"}]),
        MessagesStreamEvent("messages/complete", [{"type": "ai", "id": "6", "content": "neap"}]),
    ):
        printer.show(event)
    printer.finish()
    printer.finish()

    assert [
        "high tide",
        '\x1b[2mcustom: {"progress": "a long story th...\x1b[0m',
        "low",
        " tide",
        "neap",
    ] == screen.bytes.getvalue().decode().splitlines()


def test_in_a_pipe_each_event_is_a_line_of_json(on: Any) -> None:
    screen = on()
    printer = stream.Lines()
    printer.show(ValuesStreamEvent("values|child:1", {"n": "\u2028"}, "7-0"))

    assert ['{"event":"values|child:1","data":{"n":"\u2028"},"id":"7-0"}', ""] == screen.bytes.getvalue().decode().split("\n")


def test_text_alone_is_that_of_the_model(on: Any) -> None:
    screen = on()
    printer = stream.Text()
    for event in (
        message("high "),
        CustomStreamEvent("custom", {"progress": 1}),
        message([{"type": "reasoning", "text": "Hm."}, {"type": "text", "text": "tide"}]),
        message("a tool's words", key="3", kind="tool"),
        message("low", key="4"),
    ):
        printer.show(event)
    printer.finish()

    assert ["high tide", "low"] == screen.bytes.getvalue().decode().splitlines()

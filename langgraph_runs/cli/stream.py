"""``langgraph-runs stream``: the events of a run as they come, for a person or for a program."""

from __future__ import annotations

import argparse
import json
from typing import Any, Dict, List, Optional

from .. import RunStream, StreamEvent
from . import codes
from .attended import Attended, attended, on_own_thread
from .command import Command
from .connection import add_connection, client_of
from .console import clean, complain, cut, emit, is_terminal, print_json, styled, width
from .lock import add_lock, locked
from .options import add_endings, add_run_options, run_options
from .pause import pause

__all__ = ["COMMAND", "show"]

#: What is streamed where --stream-mode says nothing: the words, and what happens beside them.
_MODES = ["messages-tuple", "custom", "updates"]
_DONE = object()


def configure_stream(parser: argparse.ArgumentParser) -> None:
    add_run_options(parser)
    add_endings(parser, default="cancel")
    parser.add_argument_group("output").add_argument("--json", action="store_true", help="JSON lines on a terminal too")
    add_lock(parser)
    add_connection(parser)


def run_stream(args: argparse.Namespace) -> int:
    options = run_options(args)
    options.setdefault("stream_mode", _MODES)
    thread_id = on_own_thread(options) if args.thread is None else args.thread
    with locked(args), client_of(args) as client, attended(client, args, thread_id, own=args.thread is None) as run:
        with args.interrupts.calling():
            stream = client.runs.stream(
                thread_id,
                args.assistant,
                on_run_created=run.created,
                timeout=args.timeout,
                signal=args.interrupts.signal,
                **options,
            )
        return show(stream, args, run, args.assistant)


def show(stream: RunStream[Any], args: argparse.Namespace, run: Attended, assistant: Optional[str]) -> int:
    """Print each event at once, until the run has ended."""
    printer: Printer = Terminal() if is_terminal() and not args.json else Lines()
    with stream:
        try:
            while True:
                with args.interrupts.calling():
                    event = next(stream, _DONE)
                if event is _DONE:
                    break
                printer.show(event)  # type: ignore[arg-type]
        finally:
            printer.finish()
        if not stream.paused:
            return codes.OK
        run.temporary = False  # to answer, its thread is needed
        complain(pause(stream.interrupts, run, assistant))
        return codes.PAUSED


class Printer:
    """Prints events in one way."""

    def show(self, event: StreamEvent) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """Called once, however the stream ended."""


class Lines(Printer):
    """A line of JSON for each event, for a program."""

    def show(self, event: StreamEvent) -> None:
        print_json({"event": event.event, "data": event.data, "id": event.id}, pretty=False)


class Terminal(Printer):
    """The words of the model as they come; every other event on one line of its own."""

    def __init__(self) -> None:
        self._message: Any = None
        self._within_line = False
        #: How much of each message was printed, in the mode that sends all of it each time.
        self._printed: Dict[Any, int] = {}

    def show(self, event: StreamEvent) -> None:
        if event.mode == "messages":
            for message in messages_in(event):
                self._say(message, whole=event.event != "messages" and not event.event.startswith("messages|"))
        elif event.mode not in ("metadata", "error", "end"):
            self._line(event)

    def finish(self) -> None:
        if self._within_line:
            self._within_line = False
            emit("\n")

    def _say(self, message: Dict[str, Any], *, whole: bool) -> None:
        text, key = text_of(message), message.get("id")
        if whole:
            known = self._printed.get(key, 0)
            self._printed[key] = max(known, len(text))
            text = text[known:]
        if not text:
            return
        if key != self._message:
            self.finish()
            self._message = key
        self._within_line = not text.endswith("\n")
        emit(clean(text))

    def _line(self, event: StreamEvent) -> None:
        self.finish()
        self._message = None
        text = cut(clean(f"{event.event}: {json.dumps(event.data, ensure_ascii=False)}"), width())
        emit(f"\033[2m{text}\033[0m\n" if styled() else f"{text}\n")


def messages_in(event: StreamEvent) -> List[Dict[str, Any]]:
    """The model's messages in an event: one piece of one, or all that there is of some."""
    found = event.data if isinstance(event.data, list) else []
    if event.event.startswith("messages/metadata"):
        return []
    if "/" not in event.event:
        found = found[:1]  # the second item tells where the piece comes from
    return [item for item in found if isinstance(item, dict) and str(item.get("type", "ai")).lower().startswith("ai")]


def text_of(message: Dict[str, Any]) -> str:
    """The words of a message, whose content is text or a list of blocks.

    >>> text_of({"content": [{"type": "text", "text": "high "}, {"type": "text", "text": "tide"}]})
    'high tide'
    """
    content = message.get("content")
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    texts = [block.get("text") if isinstance(block, dict) else block for block in blocks]
    return "".join(text for text in texts if isinstance(text, str))


COMMAND = Command(
    name="stream",
    summary="run an assistant and print its events as they come",
    description=(
        "Starts a run and prints its events as they come. On a terminal: the words of the model one by one, every other "
        "event on a line, cut where the terminal ends. In a pipe, or with --json: a line of JSON for each event, with "
        "its keys event, data and id.\n\n"
        f"What is streamed is {', '.join(_MODES)}, unless --stream-mode says otherwise. A broken connection is "
        "resumed without losing or repeating an event. Without --thread the run gets a thread of its own, as with the "
        "command run."
    ),
    configure=configure_stream,
    run=run_stream,
    examples=[
        ("langgraph-runs stream agent topic=tides", "watch it"),
        ("langgraph-runs stream agent topic=tides --stream-mode custom | jq .data", "let a program watch it"),
    ],
    exits=[
        codes.FAILED,
        codes.PAUSED,
        codes.TIMED_OUT,
        codes.UNREACHABLE,
        codes.REFUSED,
        codes.BUSY,
    ],
)

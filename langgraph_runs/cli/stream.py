"""``langgraph-runs stream``: print the events of a run as they arrive, for a person or for a program."""

from __future__ import annotations

import argparse
import json
from typing import Any, Dict, List, Optional

from .. import RunStream, StreamEvent, exit_codes
from .command import Command
from .connection import add_connection, client_of
from .console import escape_controls, is_terminal, print_json, print_message, shorten, styled, terminal_width, write_output
from .foreground_run import ForegroundRun, choose_thread, foreground_run, paused_message
from .lock import add_lock, locked
from .options import add_endings, add_run_options, run_options

__all__ = ["COMMAND", "show"]

#: The stream modes if --stream-mode is not given: model tokens, custom events and state updates.
_MODES = ["messages-tuple", "custom", "updates"]
_DONE = object()


def configure_stream(parser: argparse.ArgumentParser) -> None:
    add_run_options(parser)
    add_endings(parser, default="cancel")
    parser.add_argument_group("output").add_argument("--json", action="store_true", help="print JSON lines on a terminal too")
    add_lock(parser)
    add_connection(parser)


def run_stream(args: argparse.Namespace) -> int:
    options = run_options(args)
    options.setdefault("stream_mode", _MODES)
    thread, thread_id, temporary = choose_thread(args.thread, options)
    with locked(args), client_of(args) as client, foreground_run(client, args, thread_id, temporary=temporary) as run:
        with args.signals.during_call():
            stream = client.runs.stream(
                thread,
                args.assistant,
                on_run_created=run.created,
                timeout=args.timeout,
                signal=args.signals.signal,
                **options,
            )
        return show(stream, args, run, args.assistant)


def show(stream: RunStream[Any], args: argparse.Namespace, run: ForegroundRun, assistant: Optional[str]) -> int:
    """Print each event when it arrives, until the run has ended; return the exit code."""
    printer: Printer = Terminal() if is_terminal() and not args.json else Lines()
    with stream:
        try:
            while True:
                with args.signals.during_call():
                    event = next(stream, _DONE)
                if event is _DONE:
                    break
                printer.show(event)  # type: ignore[arg-type]
        finally:
            printer.finish()
        run.ended = None if stream.outcome is None else stream.outcome.run
        if not stream.paused:
            return exit_codes.OK
        run.temporary = False  # the thread is needed to answer
        print_message(paused_message(stream.interrupts, run, assistant))
        return exit_codes.PAUSED


class Printer:
    """One way of printing events."""

    def show(self, event: StreamEvent) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """Called once when the stream has ended, also by an error."""


class Lines(Printer):
    """Prints a line of JSON for each event, for a program."""

    def show(self, event: StreamEvent) -> None:
        print_json({"event": event.event, "data": event.data, "id": event.id}, pretty=False)


class Terminal(Printer):
    """Prints the model's text as it arrives, and every other event on one line."""

    def __init__(self) -> None:
        self._message: Any = None
        self._within_line = False
        #: How many characters of each message were printed, in the mode that sends the whole text each time.
        self._printed: Dict[Any, int] = {}

    def show(self, event: StreamEvent) -> None:
        if event.mode == "messages":
            for message in messages_in(event):
                self._print_text(message, whole=event.event != "messages" and not event.event.startswith("messages|"))
        elif event.mode not in ("metadata", "error", "end"):
            self._print_line(event)

    def finish(self) -> None:
        if self._within_line:
            self._within_line = False
            write_output("\n")

    def _print_text(self, message: Dict[str, Any], *, whole: bool) -> None:
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
        write_output(escape_controls(text))

    def _print_line(self, event: StreamEvent) -> None:
        self.finish()
        self._message = None
        text = shorten(escape_controls(f"{event.event}: {json.dumps(event.data, ensure_ascii=False)}"), terminal_width())
        write_output(f"\033[2m{text}\033[0m\n" if styled() else f"{text}\n")


def messages_in(event: StreamEvent) -> List[Dict[str, Any]]:
    """Return the model's messages in an event: a chunk of one message, or several whole messages so far."""
    found = event.data if isinstance(event.data, list) else []
    if event.event.startswith("messages/metadata"):
        return []
    if "/" not in event.event:
        found = found[:1]  # the second item is metadata about the first
    return [item for item in found if isinstance(item, dict) and str(item.get("type", "ai")).lower().startswith("ai")]


def text_of(message: Dict[str, Any]) -> str:
    """Return the text of a message, whose content is a string or a list of blocks.

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
    summary="run an assistant and print its events as they arrive",
    description=(
        "Starts a run and prints its events as they arrive. On a terminal: the model's text word by word, and every other "
        "event on one line, cut at the width of the terminal. In a pipe, or with --json: a line of JSON for each event, with "
        "the keys event, data and id.\n\n"
        f"The stream modes are {', '.join(_MODES)}, unless --stream-mode is given. After a broken connection the stream is "
        "resumed without losing or repeating an event. Without --thread the run gets a thread of its own, as with the "
        "command run."
    ),
    configure=configure_stream,
    run=run_stream,
    examples=[
        ("langgraph-runs stream agent topic=tides", "watch a run"),
        ("langgraph-runs stream agent topic=tides --stream-mode custom | jq .data", "process the events with a program"),
    ],
    exits=exit_codes.OF_A_STARTED_RUN,
)

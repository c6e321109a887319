"""``langgraph-runs stream``: print the events of a run as they arrive, for a person or for a program."""

from __future__ import annotations

import argparse
import json
from typing import Any, Dict, List, Optional, Sequence

from .. import MessagesStreamEvent, RunStream, StreamEvent, exit_codes
from .command import Command, CommandError
from .connection import add_connection, client_of
from .console import escape_controls, is_terminal, print_json, print_message, shorten, styled, terminal_width, write_output
from .foreground_run import ForegroundRun, choose_thread, foreground_run, paused_message
from .lock import add_lock, locked
from .options import add_endings, add_run_options, run_options

__all__ = ["COMMAND", "add_text", "show"]

#: The stream modes if --stream-mode is not given: model tokens, custom events and state updates.
_MODES = ["messages-tuple", "custom", "updates"]
_TEXT_MODES = ["messages-tuple"]
_DONE = object()


def configure_stream(parser: argparse.ArgumentParser) -> None:
    add_run_options(parser)
    add_endings(parser, default="cancel")
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print JSON lines on a terminal too")
    add_text(output)
    add_lock(parser)
    add_connection(parser)


def add_text(output: argparse._ArgumentGroup) -> None:
    """Add the option ``--text``."""
    output.add_argument("--text", action="store_true", help="print only the model's text, as it arrives, in a pipe too")


def run_stream(args: argparse.Namespace) -> int:
    options = run_options(args)
    options.setdefault("stream_mode", _TEXT_MODES if args.text else _MODES)
    _check_text(args, options["stream_mode"])
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


def _check_text(args: argparse.Namespace, modes: Sequence[str]) -> None:
    if args.text and args.json:
        raise CommandError("--text excludes --json", exit_codes.USAGE)
    if args.text and not any(mode.startswith("messages") for mode in modes):
        raise CommandError("--text needs --stream-mode messages-tuple", exit_codes.USAGE)


def show(stream: RunStream[Any], args: argparse.Namespace, run: ForegroundRun, assistant: Optional[str]) -> int:
    """Print each event when it arrives, until the run has ended; return the exit code."""
    printer: Printer = Text() if args.text else Terminal() if is_terminal() and not args.json else Lines()
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
        text, key = MessagesStreamEvent("messages", [message]).text, message.get("id")
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


class Text(Terminal):
    """Prints the model's text as it arrives, and nothing else. Each message ends with a line end."""

    def _print_line(self, event: StreamEvent) -> None:
        pass


def messages_in(event: StreamEvent) -> List[Dict[str, Any]]:
    """Return the model's messages in an event: a chunk of one message, or several whole messages so far."""
    found = event.messages if isinstance(event, MessagesStreamEvent) else ()
    return [item for item in found if str(item.get("type", "ai")).lower().startswith("ai")]


COMMAND = Command(
    name="stream",
    summary="run an assistant and print its events as they arrive",
    description=(
        "Starts a run and prints its events as they arrive. On a terminal: the model's text word by word, and every other "
        "event on one line, cut at the width of the terminal. In a pipe, or with --json: a line of JSON for each event, with "
        "the keys event, data and id. With --text: the model's text alone, in a pipe too.\n\n"
        f"The stream modes are {', '.join(_MODES)}, unless --stream-mode is given. After a broken connection the stream is "
        "resumed without losing or repeating an event. Without --thread the run gets a thread of its own, as with the "
        "command run."
    ),
    configure=configure_stream,
    run=run_stream,
    examples=[
        ("langgraph-runs stream agent topic=tides", "watch a run"),
        ("langgraph-runs stream agent topic=tides --stream-mode custom | jq .data", "process the events with a program"),
        ("langgraph-runs stream agent topic=tides --text > answer.txt", "only the model's text"),
    ],
    exits=exit_codes.OF_A_STARTED_RUN,
)

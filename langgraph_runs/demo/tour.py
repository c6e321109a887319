"""The demo in the terminal: each step makes calls to a real server, and shows the code that made them.

The lines shown after ``>>>`` are the statements of this file that are executed; a test compares the two.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, TextIO

from .. import Client, CustomStreamEvent, MessagesStreamEvent, RunCancelledError, RunFailedError, StreamEvent, ValuesStreamEvent
from ..devserver import DevServer

__all__ = ["Screen", "run"]

GRAPH = str(Path(__file__).with_name("graph.py")) + ":graph"


class Screen:
    """Prints the steps of the demo to a text stream; with styled text on a terminal that supports it."""

    INDENT = "    "

    def __init__(self, out: TextIO, *, styled: bool = False, width: int = 80) -> None:
        self._out = out
        self._styled = styled
        self._width = width
        self._column = 0
        self._steps = 0

    @classmethod
    def on(cls, out: TextIO) -> Screen:
        """Return a screen as wide as the terminal, at most 100 columns; styled on a terminal unless ``NO_COLOR`` is set."""
        styled = out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return cls(out, styled=styled, width=min(100, shutil.get_terminal_size().columns))

    def step(self, title: str) -> None:
        self._steps += 1
        self._line(self._style("1", f"\n{self._steps}. {title}\n"))

    def code(self, *statements: str) -> None:
        for statement in statements:
            first, *more = statement.split("\n")
            self._line(self._style("36", "\n".join([f"  >>> {first}", *(f"  ... {line}" for line in more)])))

    def say(self, text: str = "") -> None:
        self._line(self.INDENT + text if text else "")

    def aside(self, text: str) -> None:
        self._line(self._style("2", self.INDENT + text))

    def token(self, text: str) -> None:
        """Print a piece of a text and flush; start a new line if it does not fit on the current one."""
        if self._column == 0 or (self._column + len(text) > self._width and text.strip()):
            self._write("\n" * bool(self._column) + self.INDENT)
            self._column = len(self.INDENT)
        self._write(text)
        self._column += len(text)

    def values(self, values: Mapping[str, Any]) -> None:
        """Print each key on a line of its own, cut at the width of the screen."""
        for key, value in values.items():
            text = f"{key}: {json.dumps(value)}"
            columns = self._width - len(self.INDENT)
            self.say(text if len(text) <= columns else text[: columns - 4] + " ...")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        widths = [max(map(len, column)) for column in zip(header, *rows)]
        for number, row in enumerate([header, *rows]):
            text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
            self._line(self.INDENT + (self._style("2", text) if number == 0 else text))

    def _style(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._styled else text

    def _line(self, text: str) -> None:
        self._write("\n" * bool(self._column) + text + "\n")
        self._column = 0

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def run(screen: Screen, *, log: Optional[str] = None) -> None:
    """Start a server with the sample graph, show calls on it, and end the server. Takes about ten seconds."""
    start = time.monotonic()
    screen.step("Start a LangGraph server with a sample graph, in a temporary directory of this machine")
    screen.code('with DevServer(graphs={"agent": GRAPH}, log=log) as server:\n    ...')
    with DevServer(graphs={"agent": GRAPH}, log=log) as server:
        screen.say(f"It accepts requests at {server.url} after {time.monotonic() - start:.1f} s.")
        screen.step("Connect to it")
        screen.code("with Client(server.url) as client:\n    info = client.info()")
        with Client(server.url) as client:
            info = client.info()
            screen.say(f"It is langgraph-api {info.version}.")
            thread_id = stream_a_run(client, screen)
            answer_the_question(client, screen, thread_id)
            cancel_a_run(client, screen, thread_id)
            see_a_run_fail(client, screen, thread_id)
            list_the_runs(client, screen, thread_id)
    screen.step("Done")
    screen.say(f"The server is stopped and its directory removed; it took {time.monotonic() - start:.1f} s in all.")
    screen.say("Your own graphs run the same way, in your tests for example: langgraph_runs.devserver.DevServer.")


def stream_a_run(client: Client, screen: Screen) -> str:
    """Stream a run until the graph asks its question; return the thread's id."""
    screen.step("Create a thread, and stream a run on it: progress, tokens and values as they come")
    screen.code(
        "thread = client.threads.create()",
        "thread_id = thread.thread_id",
        "with client.runs.stream(\n"
        '    thread_id, "agent", input={"topic": "tides"}, stream_mode=["messages-tuple", "custom", "values"]\n'
        ") as stream:\n"
        "    for event in stream:\n"
        "        show(event)",
    )
    values: Dict[str, Any] = {}

    def show(event: StreamEvent) -> None:
        if isinstance(event, MessagesStreamEvent):
            screen.token(event.data[0]["content"])
        elif isinstance(event, CustomStreamEvent):
            screen.aside("reading {reading} ({number} of {of})".format(**event.data))
        elif isinstance(event, ValuesStreamEvent):
            values.update(event.data)

    thread = client.threads.create()
    thread_id = thread.thread_id
    with client.runs.stream(
        thread_id, "agent", input={"topic": "tides"}, stream_mode=["messages-tuple", "custom", "values"]
    ) as stream:
        for event in stream:
            show(event)
    screen.say()
    screen.say("The graph has paused. The last values contain its question:")
    screen.values(values)
    return thread_id


def answer_the_question(client: Client, screen: Screen, thread_id: str) -> None:
    """Resume the run with a command."""
    screen.step("Answer its question, and wait for the final values")
    screen.code('values = client.runs.wait(thread_id, "agent", command={"resume": {"approved": True}})')
    values = client.runs.wait(thread_id, "agent", command={"resume": {"approved": True}})
    screen.values(values)


def cancel_a_run(client: Client, screen: Screen, thread_id: str) -> None:
    """Cancel a run while its events are read: the loop ends with an error."""
    screen.step("Cancel a run that takes too long: the stream raises an error instead of ending normally")
    screen.code(
        'slow = {"topic": "moons", "seconds": 60}',
        "try:\n"
        '    with client.runs.stream(thread_id, "agent", input=slow, stream_mode="custom") as stream:\n'
        "        for event in stream:\n"
        '            if event.mode == "custom":\n'
        "                stream.cancel()\n"
        "except RunCancelledError as error:\n"
        "    print(error)",
    )
    slow = {"topic": "moons", "seconds": 60}
    try:
        with client.runs.stream(thread_id, "agent", input=slow, stream_mode="custom") as stream:
            for event in stream:
                if event.mode == "custom":
                    stream.cancel()
    except RunCancelledError as error:
        screen.say(f"{type(error).__name__}: {error}")


def see_a_run_fail(client: Client, screen: Screen, thread_id: str) -> None:
    """Run the graph so that it fails. The server responds with status 200; the library raises."""
    screen.step("Wait for a run that fails: an error, although the response has status 200")
    screen.code(
        "try:\n"
        '    client.runs.wait(thread_id, "agent", input={"topic": "unicorns", "fail": True})\n'
        "except RunFailedError as error:\n"
        "    print(error.error, error.message, error.run_id)",
    )
    try:
        client.runs.wait(thread_id, "agent", input={"topic": "unicorns", "fail": True})
    except RunFailedError as error:
        screen.say(f"{error.error}: {error.message} (run {error.run_id})")


def list_the_runs(client: Client, screen: Screen, thread_id: str) -> None:
    """List the runs with their statuses."""
    screen.step("List the runs of the thread, newest first")
    screen.code("runs = client.runs.list(thread_id)")
    runs = client.runs.list(thread_id)
    screen.table(
        ["run", "status", "created"],
        [[run.run_id, run.status, f"{run.created_at:%H:%M:%S}" if run.created_at else ""] for run in runs],
    )

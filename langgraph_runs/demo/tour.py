"""The tour of the demo: every step makes real calls on a real server, and shows the line of code that made them.

The lines shown with ``>>>`` are statements of this file, as they are run (a test compares the two).
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
    """Plain lines on a text stream; bold and dim only where somebody looks at a terminal that can show them."""

    INDENT = "    "

    def __init__(self, out: TextIO, *, styled: bool = False, width: int = 80) -> None:
        self._out = out
        self._styled = styled
        self._width = width
        self._column = 0
        self._steps = 0

    @classmethod
    def on(cls, out: TextIO) -> Screen:
        """A screen as wide as the terminal, at most 100 columns; styled on a terminal unless ``NO_COLOR`` is set."""
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
        """A piece of a text, shown at once; a new line begins where the word would not fit."""
        if self._column == 0 or (self._column + len(text) > self._width and text.strip()):
            self._write("\n" * bool(self._column) + self.INDENT)
            self._column = len(self.INDENT)
        self._write(text)
        self._column += len(text)

    def values(self, values: Mapping[str, Any]) -> None:
        """Each key on a line of its own, cut where the line ends."""
        for key, value in values.items():
            text = f"{key}: {json.dumps(value)}"
            room = self._width - len(self.INDENT)
            self.say(text if len(text) <= room else text[: room - 4] + " ...")

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
    """Start a server with the sample graph, show the calls on it, and leave nothing behind. Takes about ten seconds."""
    begun = time.monotonic()
    screen.step("Start a LangGraph server with a sample graph, in a temporary directory of this machine")
    screen.code('with DevServer(graphs={"agent": GRAPH}, log=log) as server:\n    ...')
    with DevServer(graphs={"agent": GRAPH}, log=log) as server:
        screen.say(f"It answers at {server.url} after {time.monotonic() - begun:.1f} s.")
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
    screen.say(f"The server is stopped and its directory removed; it took {time.monotonic() - begun:.1f} s in all.")
    screen.say("Your own graphs run the same way, in your tests for example: langgraph_runs.devserver.DevServer.")


def stream_a_run(client: Client, screen: Screen) -> str:
    """Until the graph asks its question."""
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
    screen.say("The graph has paused, and the last values say what for:")
    screen.values(values)
    return thread_id


def answer_the_question(client: Client, screen: Screen, thread_id: str) -> None:
    """With a resume command."""
    screen.step("Answer its question, and wait for the final values")
    screen.code('values = client.runs.wait(thread_id, "agent", command={"resume": {"approved": True}})')
    values = client.runs.wait(thread_id, "agent", command={"resume": {"approved": True}})
    screen.values(values)


def cancel_a_run(client: Client, screen: Screen, thread_id: str) -> None:
    """While its events are read; the loop then ends with an error, as it does for whoever else reads them."""
    screen.step("Cancel a run that takes too long: the stream does not end as if all were well")
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
    """The server answers 200 to it; the library raises."""
    screen.step("A run that fails is an error, whatever the status of the answer")
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
    """What became of all of them."""
    screen.step("List the runs of the thread, newest first")
    screen.code("runs = client.runs.list(thread_id)")
    runs = client.runs.list(thread_id)
    screen.table(
        ["run", "status", "created"],
        [[run.run_id, run.status, f"{run.created_at:%H:%M:%S}" if run.created_at else ""] for run in runs],
    )

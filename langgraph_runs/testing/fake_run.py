"""What a run does: programs, what they may do to their run, and the ways in which they end. Knows no HTTP.

A program is a function of a `FakeRun`. What it returns are the run's final values; it may return `Paused` or `Stopped`, or raise
`GraphFailure`, instead.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Callable, Optional, Protocol

from .._public import name_public
from .dialect import Dialect
from .loopback_server import Request

__all__ = ["FakeRun", "GraphFailure", "LoggedEvent", "Paused", "Program", "RunWasCancelled", "Stopped"]


class GraphFailure(Exception):
    """Raised by a program: the run fails with this error and message.

    >>> str(GraphFailure("ValueError", "no ink"))
    'ValueError: no ink'
    """

    def __init__(self, error: str, message: str) -> None:
        super().__init__(f"{error}: {message}")
        self.error, self.message = error, message


@dataclass(frozen=True)
class Paused:
    """Returned by a program: the run waits for a human; run status success, thread status interrupted."""

    values: Any
    #: What it asks, as `interrupt_json` makes them; none for a pause by ``interrupt_before``.
    interrupts: tuple[Any, ...] = ()
    #: The nodes that come next.
    next: tuple[str, ...] = ("review",)


@dataclass(frozen=True)
class Stopped:
    """Returned by a program: the run was ended by the server, or by somebody else."""

    #: The run's status: ``timeout`` or ``interrupted``.
    status: str


@dataclass(frozen=True)
class LoggedEvent:
    """An event that a run has emitted."""

    name: str
    data: Any
    id: Optional[str]
    #: Whether it is there for a replay.
    kept: bool


class RunWasCancelled(Exception):
    """Ends the program of a run that was cancelled."""


class _Host(Protocol):
    """What a run needs of its server."""

    dialect: Dialect

    def log_event(self, run: FakeRun, name: str, data: Any) -> None:
        """Give an event its id and hand it to all who listen."""


@dataclass(eq=False)
class FakeRun:
    """A run on a fake server, as its program and the test see it."""

    server: _Host = field(repr=False)
    run_id: str
    thread_id: str
    #: What was posted to start it.
    body: dict[str, Any]
    #: The ``x-request-id`` of the request, as far as the server keeps it.
    request_id: str = field(repr=False)
    created_at: datetime = field(repr=False)
    #: Whether its thread goes with it: a stateless run.
    temporary: bool = False
    #: The request that started it; None where the test itself did.
    request: Optional[Request] = field(default=None, repr=False)
    #: As `Run.status`.
    status: str = "pending"
    #: Everything that was emitted and that the run was asked to stream.
    log: list[LoggedEvent] = field(default_factory=list, repr=False)
    #: The state as the run last told it.
    values: Any = field(default=None, repr=False)
    #: The node that it is in, for the checkpoint of a run that does not end well.
    node: str = field(default="agent", repr=False)
    #: What ``wait`` answers, once it has ended.
    result: Any = field(default=None, repr=False)
    #: Whether its program has come to its end; a cancelled run is done before that.
    ended: bool = field(default=False, repr=False)
    #: Set when the run was cancelled, by whomever.
    cancelled: threading.Event = field(default_factory=threading.Event, repr=False)
    #: How it was cancelled: ``interrupt`` or ``rollback``; None where it was not.
    cancelled_by: Optional[str] = field(default=None, repr=False)
    #: For each connection that streams this run, after how many events it breaks, and how; see `FakeLangGraph.cuts`.
    cuts: Iterator[tuple[int, str]] = field(default_factory=lambda: iter(()), repr=False)
    #: Set when a connection is opened that none of these cuts is for.
    uncut: threading.Event = field(default_factory=threading.Event, repr=False)
    #: Whether its events are kept for replay, where it was asked to be resumable.
    keeps_events: bool = field(default=True, repr=False)
    #: Whether the request that started it is answered, rather than its connection broken.
    answered: bool = field(default=True, repr=False)
    #: When its status last changed.
    updated_at: Optional[datetime] = field(default=None, repr=False)

    @property
    def input(self) -> Any:
        """What the run was given."""
        return self.body.get("input")

    @property
    def assistant_id(self) -> str:
        """The assistant that was asked for: a graph's name, or an id."""
        return str(self.body.get("assistant_id"))

    @property
    def resume(self) -> Any:
        """The answer to a question, where the run was started with ``command={"resume": answer}``; else None."""
        return (self.body.get("command") or {}).get("resume")

    @property
    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.status not in ("pending", "running")

    @property
    def resumable(self) -> bool:
        """Whether its events have ids."""
        return bool(self.body.get("stream_resumable")) or self.server.dialect.always_resumable

    def emit(self, name: str, data: Any) -> None:
        """Send an event to all who listen, if the run was asked for its mode. Ends a cancelled run."""
        if self.cancelled.is_set():
            raise RunWasCancelled
        if name == "values":
            self.values = {k: v for k, v in data.items() if k != "__interrupt__"} if isinstance(data, dict) else data
        self.server.log_event(self, name, data)

    def wait(self, event: threading.Event) -> None:
        """Block until *event* is set. Ends a cancelled run."""
        while not event.wait(0.005):
            if self.cancelled.is_set():
                raise RunWasCancelled

    def pause(self, seconds: float) -> None:
        """Block for so long. Ends a cancelled run."""
        if self.cancelled.wait(seconds):
            raise RunWasCancelled


Program = Callable[[FakeRun], Any]


name_public("langgraph_runs.testing", [FakeRun, GraphFailure, Paused, Stopped])

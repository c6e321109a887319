"""`FakeRun`, a run on a fake server, and the ways in which its program can end. Independent of HTTP.

A program is a function of a `FakeRun`. It returns the run's final values, or `Paused` or `Stopped`, or raises `GraphFailure`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Callable, Optional, Protocol

from .._public import name_public
from .dialect import Dialect
from .loopback_server import Request

__all__ = ["FakeRun", "GraphFailure", "LoggedEvent", "Paused", "Program", "RunWasCancelled", "Stopped"]


class GraphFailure(Exception):
    """Raised by a program to let the run fail with this error class and message.

    >>> str(GraphFailure("ValueError", "no ink"))
    'ValueError: no ink'
    """

    def __init__(self, error: str, message: str) -> None:
        super().__init__(f"{error}: {message}")
        self.error, self.message = error, message


@dataclass(frozen=True)
class Paused:
    """Returned by a program if the run pauses for a human: the run's status is success, the thread's interrupted."""

    values: Any
    #: The questions, as `interrupt_json` makes them; none for a pause by ``interrupt_before``.
    interrupts: tuple[Any, ...] = ()
    #: The next nodes.
    next: tuple[str, ...] = ("review",)


@dataclass(frozen=True)
class Stopped:
    """Returned by a program if the run was ended by the server or by another client."""

    #: The run's status: ``timeout`` or ``interrupted``.
    status: str


@dataclass(frozen=True)
class LoggedEvent:
    """An event that a run has emitted."""

    name: str
    data: Any
    id: Optional[str]
    #: True if the server keeps it for replay.
    kept: bool


class RunWasCancelled(Exception):
    """Raised in the program of a run that was cancelled."""


class _Server(Protocol):
    """The part of the fake server that a run uses."""

    dialect: Dialect

    def log_event(self, run: FakeRun, name: str, data: Any) -> None:
        """Give an event its id and send it to all connections that stream the run."""


@dataclass(eq=False)
class FakeRun:
    """A run on a fake server, as its program and the test see it."""

    server: _Server = field(repr=False)
    run_id: str
    thread_id: str
    #: The body of the request that started it.
    body: dict[str, Any]
    #: The ``x-request-id`` of that request, if the server keeps it, else a random one.
    request_id: str = field(repr=False)
    created_at: datetime = field(repr=False)
    #: True for a stateless run, whose thread is deleted when it ends.
    temporary: bool = False
    #: The request that started it; None if the test started it.
    request: Optional[Request] = field(default=None, repr=False)
    #: As `Run.status`.
    status: str = "pending"
    #: All emitted events of the stream modes that were requested.
    log: list[LoggedEvent] = field(default_factory=list, repr=False)
    #: The data of its last ``values`` event.
    values: Any = field(default=None, repr=False)
    #: The current node, for the checkpoint of a run that does not succeed.
    node: str = field(default="agent", repr=False)
    #: The body of the response to ``wait``, when the run has ended.
    result: Any = field(default=None, repr=False)
    #: True if its program has ended. The status of a cancelled run changes before that.
    ended: bool = field(default=False, repr=False)
    #: Set when the run was cancelled.
    cancelled: threading.Event = field(default_factory=threading.Event, repr=False)
    #: How it was cancelled: ``interrupt`` or ``rollback``; None if it was not.
    cancelled_by: Optional[str] = field(default=None, repr=False)
    #: For each connection that streams this run, after how many events it breaks, and how; see `RunStore.cuts`.
    cuts: Iterator[tuple[int, str]] = field(default_factory=lambda: iter(()), repr=False)
    #: Set when a connection is opened after all of these cuts were used.
    uncut: threading.Event = field(default_factory=threading.Event, repr=False)
    #: True if its events are kept for replay, if it was created with ``stream_resumable``.
    keeps_events: bool = field(default=True, repr=False)
    #: True if the request that started it gets a response; if not, its connection is closed.
    answered: bool = field(default=True, repr=False)
    #: When its status last changed.
    updated_at: Optional[datetime] = field(default=None, repr=False)

    @property
    def input(self) -> Any:
        """The input of the run."""
        return self.body.get("input")

    @property
    def assistant_id(self) -> str:
        """The assistant in the request: the name of a graph, or an id."""
        return str(self.body.get("assistant_id"))

    @property
    def resume(self) -> Any:
        """The value of ``command={"resume": value}`` in the request, else None."""
        return (self.body.get("command") or {}).get("resume")

    @property
    def done(self) -> bool:
        """True if it has ended, successfully or not."""
        return self.status not in ("pending", "running")

    @property
    def resumable(self) -> bool:
        """True if its events have ids."""
        return bool(self.body.get("stream_resumable")) or self.server.dialect.always_resumable

    def emit(self, name: str, data: Any) -> None:
        """Send an event to all connections that stream the run, if its mode was requested. Raises if the run was cancelled."""
        if self.cancelled.is_set():
            raise RunWasCancelled
        if name == "values":
            self.values = {k: v for k, v in data.items() if k != "__interrupt__"} if isinstance(data, dict) else data
        self.server.log_event(self, name, data)

    def wait(self, event: threading.Event) -> None:
        """Block until *event* is set. Raises if the run was cancelled."""
        while not event.wait(0.005):
            if self.cancelled.is_set():
                raise RunWasCancelled

    def wait_for_end(self, seconds: float) -> bool:
        """Block until the run has ended, at most *seconds* seconds; return True if it has. For tests, not for programs."""
        until = time.monotonic() + seconds
        while not self.ended and time.monotonic() < until:
            time.sleep(0.005)
        return self.ended

    def pause(self, seconds: float) -> None:
        """Block for *seconds* seconds. Raises if the run was cancelled."""
        if self.cancelled.wait(seconds):
            raise RunWasCancelled


Program = Callable[[FakeRun], Any]


name_public("langgraph_runs.testing", [FakeRun, GraphFailure, Paused, Stopped])

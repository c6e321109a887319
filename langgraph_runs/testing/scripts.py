"""Scripts: what a run on a fake server does, in one line of code. Each script is an immutable value and a `Program`.

succeeds({"answer": 42})
fails("ValueError", "no ink")
pauses({"question": "Send this?"})
succeeds({"n": 3}, events=[("custom", "thinking"), 0.1, ("custom", "done")]).cut_after(1)
rate_limited(retry_after=2)
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Optional, Union

from .. import InvalidRequestError, StreamEvent
from .._public import name_public
from .fake_run import FakeRun, GraphFailure, Paused, Stopped
from .replies import Reply, reply_json
from .server_json import interrupt_json

__all__ = [
    "Script",
    "Step",
    "check_json",
    "fails",
    "is_cancelled",
    "never_ends",
    "pauses",
    "rate_limited",
    "refuses",
    "succeeds",
    "times_out",
    "unauthorized",
    "unavailable",
]

#: One step of a run: an event, as ``(name, data)`` or as one that a factory has made; seconds to wait; or a
#: `threading.Event` to wait for.
Step = Union[tuple[str, Any], StreamEvent, float, threading.Event]

_HOWS = ("fin", "rst", "end", "stall")
#: The default of values: those of the last ``values`` event.
_FROM_EVENTS: Any = ...


@dataclass(frozen=True)
class Script:
    """The behaviour of one run. Made by the functions of this module; each method returns a modified copy.

    >>> script = succeeds({"n": 2}, events=[("custom", "adding")]).cut_after(1)
    >>> print(script)
    succeeds({'n': 2}).cut_after(1)
    """

    #: The script as code, for the messages of failing tests.
    story: str
    steps: tuple[Step, ...] = ()
    values: Any = _FROM_EVENTS
    #: ``success``, ``error``, ``paused``, ``timeout``, ``interrupted``, or ``never`` for a run that does not end by itself.
    ending: str = "success"
    #: Class and message of the graph's exception.
    error: tuple[str, str] = ("", "")
    #: The questions to a human at which it pauses.
    questions: tuple[Any, ...] = ()
    #: The node before which it pauses, in which it fails, or in which it is stopped.
    node: str = "agent"
    #: For each connection that streams it or waits for it, in order: after how many events the connection breaks, and how.
    cuts: tuple[tuple[int, str], ...] = ()
    #: True if the server can replay its events.
    replayable: bool = True
    #: True if the request that starts it gets a response.
    answered: bool = True

    def __post_init__(self) -> None:
        if self.values is not _FROM_EVENTS:
            check_json("values", self.values)
        check_json("questions", self.questions)

    def __str__(self) -> str:
        return self.story

    def cut_after(self, events: int, how: str = "fin") -> Script:
        """Break the connection that streams the run after *events* events, not counting the ``metadata`` event.

        A second ``cut_after`` breaks the next connection, and so on. The connection of a ``wait`` or ``join`` breaks before the
        response's body. The run itself goes on.

        *how* is ``fin`` (the connection is closed), ``rst`` (it is reset), ``stall`` (nothing more is sent until the client closes
        it), or ``end``: the response ends normally, as if the server shut down. With ``end``, the run does not end before there is
        a connection that is not broken; it has no effect on ``wait`` and ``join``.
        """
        if how not in _HOWS:
            raise InvalidRequestError(f"how={how!r}: give one of {', '.join(_HOWS)}")
        cuts = (*self.cuts, (events + 1 if not self.cuts else events, how))
        shown = f"{events}" if how == "fin" else f"{events}, {how!r}"
        return replace(self, cuts=cuts, story=f"{self.story}.cut_after({shown})")

    def unreplayable(self) -> Script:
        """Let the server keep no events, so that a broken stream cannot be resumed."""
        return replace(self, replayable=False, story=f"{self.story}.unreplayable()")

    def unanswered(self) -> Script:
        """Start the run, but close the connection without a response to the request that started it."""
        return replace(self, answered=False, story=f"{self.story}.unanswered()")

    def lasting(self, seconds: float) -> Script:
        """Wait *seconds* seconds before the run ends."""
        return replace(self, steps=(*self.steps, float(seconds)), story=f"{self.story}.lasting({seconds})")

    def once(self, event: threading.Event) -> Script:
        """Wait until *event* is set before the run ends."""
        return replace(self, steps=(*self.steps, event), story=f"{self.story}.once(...)")

    def __call__(self, run: FakeRun) -> Any:
        """Run the script, as a program."""
        run.node = self.node
        for step in self.steps:
            if isinstance(step, StreamEvent):
                run.emit(step.event, step.data)
            elif isinstance(step, tuple):
                run.emit(*step)
            elif isinstance(step, threading.Event):
                run.wait(step)
            else:
                run.pause(step)
        if any(how == "end" for _, how in self.cuts):
            run.wait(run.uncut)
        given = self.values is not _FROM_EVENTS
        values = self.values if given else ({} if run.values is None else run.values)
        if given and run.values != values or self.ending == "success" and run.values is None:
            run.emit("values", values)
        if self.ending == "paused":
            return self._pause(run, values)
        if self.ending == "never":
            run.wait(threading.Event())
        if self.ending == "error":
            raise GraphFailure(*self.error)
        return values if self.ending == "success" else Stopped(self.ending)

    def _pause(self, run: FakeRun, values: Any) -> Paused:
        interrupts = tuple(interrupt_json(question) for question in self.questions)
        streamed = [{"value": one["value"], "id": one["id"], "response_schema": None} for one in interrupts]
        run.emit("updates", {"__interrupt__": streamed})
        if streamed:
            run.emit("values", {**(values or {}), "__interrupt__": streamed})
        return Paused(values, interrupts, (self.node,))


def succeeds(values: Any = _FROM_EVENTS, *, events: Iterable[Step] = ()) -> Script:
    """Return a run that succeeds with *values*; by default with those of its last ``values`` event."""
    return Script(f"succeeds({_shown(values)})", _steps(events), values)


def fails(
    error: str = "ValueError",
    message: str = "boom",
    *,
    values: Any = _FROM_EVENTS,
    events: Iterable[Step] = (),
    node: str = "agent",
) -> Script:
    """Return a run whose graph raises *error* in *node*, after it has reached *values*."""
    return Script(f"fails({error!r}, {message!r})", _steps(events), values, "error", error=(error, message), node=node)


def pauses(*questions: Any, values: Any = _FROM_EVENTS, events: Iterable[Step] = (), node: str = "review") -> Script:
    """Return a run that pauses for a human; without questions, one that pauses before *node*, as with ``interrupt_before``.

    The run that resumes it (``command={"resume": ...}``) is another run, which takes the next script.
    """
    story = f"pauses({', '.join(map(_shown, questions))})"
    return Script(story, _steps(events), values, "paused", questions=questions, node=node)


def is_cancelled(values: Any = _FROM_EVENTS, *, events: Iterable[Step] = (), node: str = "agent") -> Script:
    """Return a run that another client cancels."""
    return Script("is_cancelled()", _steps(events), values, "interrupted", node=node)


def times_out(values: Any = _FROM_EVENTS, *, events: Iterable[Step] = (), node: str = "agent") -> Script:
    """Return a run that the server stops because it takes too long."""
    return Script("times_out()", _steps(events), values, "timeout", node=node)


def never_ends(values: Any = _FROM_EVENTS, *, events: Iterable[Step] = (), node: str = "agent") -> Script:
    """Return a run that goes on until it is cancelled: for tests of timeouts, aborts and stop buttons."""
    return Script("never_ends()", _steps(events), values, "never", node=node)


def refuses(status: int, detail: str = "", headers: Optional[Mapping[str, str]] = None) -> Reply:
    """Return a response with this status to the request that would start a run; no run is started.

    >>> print(refuses(409, "Thread is already running a task."))
    refuses(409)
    """
    body = {"detail": detail or f"refused with {status} by a script"}
    return replace(reply_json(status, body, headers or {}), story=f"refuses({status})")


def rate_limited(retry_after: Optional[float] = None) -> Reply:
    """Return a response with status 429, with the header Retry-After if *retry_after* (seconds) is given."""
    return _with_story(refuses(429, "Too Many Requests", _after(retry_after)), f"rate_limited({_shown(retry_after)})")


def unavailable(retry_after: Optional[float] = 0) -> Reply:
    """Return a response with status 503. Retry-After means that the run was not started, so that the client tries again.

    With ``retry_after=None`` the header is left out.
    """
    return _with_story(refuses(503, "Service Unavailable", _after(retry_after)), f"unavailable({_shown(retry_after)})")


def unauthorized() -> Reply:
    """Return a response with status 401: the API key is wrong."""
    return _with_story(refuses(401, "Invalid API key"), "unauthorized()")


def _with_story(reply: Reply, story: str) -> Reply:
    return replace(reply, story=story)


def _after(seconds: Optional[float]) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": f"{seconds:g}"}


def _steps(events: Iterable[Step]) -> tuple[Step, ...]:
    steps = tuple(events)
    for step in steps:
        pair = isinstance(step, tuple) and len(step) == 2 and isinstance(step[0], str)
        number = isinstance(step, (int, float)) and not isinstance(step, bool) and step >= 0
        if not (pair or number or isinstance(step, (StreamEvent, threading.Event))):
            raise InvalidRequestError(
                f"events: {step!r} is not a step: give (name, data), an event, seconds to wait, or a threading.Event to wait for"
            )
        if isinstance(step, tuple):
            check_json("events", step[1])
    return steps


def check_json(name: str, data: Any) -> None:
    """Raise `InvalidRequestError` if *data* is not JSON; *name* is the argument's name for the message."""
    try:
        json.dumps(data, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"{name}: {_shown(data)} is not JSON ({error})") from None


def _shown(value: Any) -> str:
    if value is _FROM_EVENTS or value is None:
        return ""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


name_public("langgraph_runs.testing", [Script])

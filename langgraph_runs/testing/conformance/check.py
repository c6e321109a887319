"""`Check`: one promise and the function that tries it, and the findings that such a function returns."""

from __future__ import annotations

from typing import Callable, NamedTuple, Sequence

from .results import Verdict
from .trial import Trial

__all__ = ["HOLDS", "Check", "Finding", "NotTried", "PromiseBroken", "differs", "expect", "not_tried", "promise"]


class PromiseBroken(Exception):
    """The library did not keep the promise. The text says what was found."""


class NotTried(Exception):
    """The check cannot be made. The text is the reason."""


class Finding(NamedTuple):
    """What the function of a check found."""

    verdict: Verdict
    found: str = ""
    handling: str = ""


HOLDS = Finding(Verdict.HOLDS)


def differs(found: str, handling: str) -> Finding:
    """The server does *found*, and the library does *handling* about it."""
    return Finding(Verdict.DIFFERS, found, handling)


def not_tried(reason: str) -> Finding:
    """The check could not be made."""
    return Finding(Verdict.NOT_TRIED, reason)


def expect(condition: object, found: str) -> None:
    """Raise `PromiseBroken` if the condition is false."""
    if not condition:
        raise PromiseBroken(found)


class Check(NamedTuple):
    """One promise, and the function that tries it."""

    name: str
    promise: str
    function: Callable[[Trial], Finding]
    #: The graphs that it needs beside the main one: fields of `Graphs`.
    needs: Sequence[str] = ()
    #: True if it breaks connections, for which the server must be reached over plain HTTP.
    cuts: bool = False


def promise(
    name: str, text: str, *, needs: Sequence[str] = (), cuts: bool = False
) -> Callable[[Callable[[Trial], Finding]], Check]:
    """Make a `Check` of a function, which returns a finding or raises `PromiseBroken`, `NotTried` or an error of the library."""
    return lambda function: Check(name, text, function, needs, cuts)

"""Waiting for a condition in a test."""

from __future__ import annotations

import time
from typing import Any, Callable

__all__ = ["PROMPT", "wait_until"]

#: Seconds within which a call that does not hang returns on any machine, however busy. What hangs takes longer than this, or for
#: ever. How quick a call is on an idle machine is measured by tests.bench.
PROMPT = 10.0


def wait_until(condition: Callable[[], Any], what: str, seconds: float, *, pause: float = 0.02) -> Any:
    """Ask until the answer is true, and return it; fail the test when it does not come true within *seconds*."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = condition()
        if answer:
            return answer
        time.sleep(pause)
    raise AssertionError(f"waited {seconds:g} s for {what}")

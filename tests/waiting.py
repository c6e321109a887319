"""Waiting for a condition in a test."""

from __future__ import annotations

import time
from typing import Any, Callable

__all__ = ["wait_until"]


def wait_until(condition: Callable[[], Any], what: str, seconds: float, *, pause: float = 0.02) -> Any:
    """Ask until the answer is true, and return it; fail the test when it does not come true within *seconds*."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = condition()
        if answer:
            return answer
        time.sleep(pause)
    raise AssertionError(f"waited {seconds:g} s for {what}")

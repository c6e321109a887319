"""What is said of a run that waits for a human."""

from __future__ import annotations

import json
from typing import Optional, Sequence

from .. import Interrupt
from .attended import Attended
from .console import cut

__all__ = ["pause"]


def pause(interrupts: Sequence[Interrupt], run: Attended, assistant: Optional[str]) -> str:
    """What it asks, and how to go on, on one line."""
    asked = cut(json.dumps(interrupts[0].value, ensure_ascii=False, default=str), 200) if interrupts else "at a node, no question"
    further = f" and {len(interrupts) - 1} more questions" if len(interrupts) > 1 else ""
    answer = " --resume ANSWER" if interrupts else ""
    again = f"langgraph-runs run {assistant or 'ASSISTANT'} --thread {run.thread_id}{answer}"
    return f"paused for a human: {asked}{further}; go on with: {again}"

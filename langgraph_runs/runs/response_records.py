"""Recognises the records of the API where the values of a run are due: some servers respond to a wait with the run itself.

A run's values may be any JSON, so that they may have the fields of a record too. The evidence is the id of the run, or that of its
thread, in the place where the record has it, beside fields that only the record has.
"""

from __future__ import annotations

from typing import Any

from ..models import Run

__all__ = ["is_record_of", "values_in"]

#: Fields of a run, of a thread and of a state. A record has more than one of them.
_OF_RUN = frozenset({"assistant_id", "kwargs", "multitask_strategy", "created_at", "updated_at"})
_OF_THREAD = frozenset({"status", "config", "interrupts", "created_at", "updated_at"})
_OF_STATE = frozenset({"next", "tasks", "checkpoint", "parent_checkpoint", "created_at"})


def is_record_of(run: Run, value: Any) -> bool:
    """Return True if *value*, the response to a wait or a join, is the record of *run*, of its thread, or a state that it wrote.

    >>> run = Run(run_id="r", thread_id="t", status="success")
    >>> is_record_of(run, {"run_id": "r", "status": "success", "assistant_id": "a", "created_at": "2026-11-21"})
    True
    >>> is_record_of(run, {"run_id": "r", "status": "paid"})
    False
    """
    if not isinstance(value, dict):
        return False
    if value.get("run_id") == run.run_id and "status" in value:
        return len(_OF_RUN & value.keys()) > 1
    if "values" not in value:
        return False
    if value.get("thread_id") == run.thread_id and "metadata" in value:
        return len(_OF_THREAD & value.keys()) > 1
    metadata = value.get("metadata")
    return isinstance(metadata, dict) and metadata.get("run_id") == run.run_id and len(_OF_STATE & value.keys()) > 1


def values_in(record: Any) -> Any:
    """Return the values in a record, or None if it has none. A run has them in ``output`` or ``values``, if at all."""
    return next((record[name] for name in ("output", "values") if isinstance(record.get(name), dict)), None)

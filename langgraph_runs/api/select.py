"""The fields of a state that a caller selects: a filter that the server applies, or this module where the server does not."""

from __future__ import annotations

from typing import Any, Dict, Sequence

from ..models import ThreadState

__all__ = ["STATE_FIELDS", "selected"]

#: The fields of a state that can be selected. ``values.x`` selects one of its values.
STATE_FIELDS = ("values", "next", "tasks", "checkpoint", "metadata", "created_at", "parent_checkpoint", "interrupts")
_ONE_VALUE = "values."


def selected(state: ThreadState, select: Sequence[str]) -> ThreadState:
    """Return *state* with the selected fields alone; the others have their defaults. With an empty *select*, return it as it is.

    >>> state = selected(ThreadState(values={"n": 1, "m": 2}, next=("review",)), ["values.n"])
    >>> state.values, state.next
    ({'n': 1}, ())
    """
    if not select:
        return state
    kept: Dict[str, Any] = {name: getattr(state, name) for name in STATE_FIELDS if name in select}
    names = {name[len(_ONE_VALUE) :] for name in select if name.startswith(_ONE_VALUE)}
    if names and "values" not in kept:
        values = state.values
        kept["values"] = {name: item for name, item in values.items() if name in names} if isinstance(values, dict) else values
    return ThreadState(**kept)

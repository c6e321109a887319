"""The fields of objects whose classes declare them: attrs classes, dataclasses, pydantic models, and LangGraph's ``Command``.

Imports none of these libraries but attrs: their objects are recognised by what they have.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Dict, Optional

import attrs

from .errors import InvalidRequestError
from .models import Checkpoint, kind_of

__all__ = ["as_command", "as_object", "fields_of", "is_command", "is_send"]

_OF_A_COMMAND = ("graph", "update", "resume", "goto")


def fields_of(value: Any) -> Optional[Dict[str, Any]]:
    """Return the fields of an object whose class declares fields, else None. Values of fields are not converted.

    >>> fields_of(Checkpoint(thread_id="t", checkpoint_id="c")), fields_of({"a": 1})
    ({'thread_id': 't', 'checkpoint_id': 'c'}, None)
    """
    kind = type(value)
    if isinstance(value, Checkpoint):
        own = {f.name: getattr(value, f.name) for f in attrs.fields(kind) if f.name != "extra"}
        return {**value.extra, **{name: item for name, item in own.items() if item is not None}}
    if attrs.has(kind):
        return {f.name: getattr(value, f.name) for f in attrs.fields(kind)}
    if dataclasses.is_dataclass(kind):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(kind)}
    for method in ("model_dump", "dict"):  # pydantic 2 and 1
        dump = getattr(kind, method, None)
        if callable(dump) and (method == "model_dump" or hasattr(kind, "__fields__")):
            dumped: Dict[str, Any] = getattr(value, method)()
            return dumped
    return None


def as_object(name: str, value: Any) -> Mapping[str, Any]:
    """Return *value* as a mapping: itself, or the fields of an object. Raise `InvalidRequestError`, which does not show the value.

    >>> as_object("context", ["secret"])
    Traceback (most recent call last):
    ...
    langgraph_runs.InvalidRequestError: context: give an object (a dict, dataclass, attrs or pydantic object), not a list
    """
    if isinstance(value, Mapping):
        return value
    fields = None if isinstance(value, type) else fields_of(value)
    if fields is None:
        kind = f"the class {value.__name__}" if isinstance(value, type) else _kind_of(value)
        raise InvalidRequestError(f"{name}: give an object (a dict, dataclass, attrs or pydantic object), not {kind}")
    return fields


def _kind_of(value: Any) -> str:
    return (
        kind_of(value)
        if value is None or isinstance(value, (bool, int, float, str, list))
        else f"an object of type {type(value).__name__}"
    )


def is_command(value: Any) -> bool:
    """Return True if *value* is a ``Command`` of LangGraph: it has the fields of one, and is no mapping."""
    return not isinstance(value, (Mapping, type)) and all(hasattr(value, name) for name in ("resume", "goto", "update"))


def is_send(value: Any) -> bool:
    """Return True if *value* is a ``Send`` of LangGraph: the name of a node and what the node gets."""
    return not isinstance(value, (Mapping, type)) and hasattr(value, "node") and hasattr(value, "arg")


def as_command(name: str, value: Any) -> Mapping[str, Any]:
    """Return *value*, a mapping or a ``Command``, as the object that the server takes.

    Each ``Send`` in its ``goto`` becomes a mapping. What a ``Command`` leaves out is left out here: some servers refuse null. The
    same holds for ``dataclasses.asdict`` of a ``Command``; in any other mapping ``"resume": None`` is the reply None.

    >>> as_command("command", {"resume": "yes", "update": None, "goto": (), "graph": None})
    {'resume': 'yes'}
    >>> as_command("command", {"resume": None, "update": None})
    {'resume': None}
    """
    if isinstance(value, (list, tuple)) and not is_command(value):
        if len(value) != 1:
            raise InvalidRequestError(
                f"{name}: give one command, not a list of {len(value)}: servers take one; put all updates into its update, "
                "all nodes into its goto, and the replies to several interrupts into resume={id: value}"
            )
        value = value[0]
    if is_command(value):
        given: Mapping[str, Any] = {key: getattr(value, key) for key in _OF_A_COMMAND if hasattr(value, key)}
        whole = True
    else:
        given = as_object(name, value)
        whole = given.keys() >= set(_OF_A_COMMAND)
    if whole:
        command = {key: item for key, item in given.items() if item is not None and not (key == "goto" and item in ((), []))}
    else:
        command = {key: item for key, item in given.items() if item is not None or key == "resume"}
    if "goto" in command:
        goto = command["goto"]
        command["goto"] = [_as_target(one) for one in goto] if isinstance(goto, (list, tuple)) else _as_target(goto)
    return command


def _as_target(value: Any) -> Any:
    return {"node": value.node, "input": value.arg} if is_send(value) else value

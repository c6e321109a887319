"""Reads the error of a graph, in the shapes in which servers report it: objects, text, JSON in text, the repr of an exception.

Pure: sends nothing.
"""

from __future__ import annotations

import ast
import re
from typing import Any, Mapping, NamedTuple, Optional, Tuple

from ..models import Run, ThreadState
from ..serialization import parse

__all__ = ["GraphError", "error_in_run", "error_in_state", "reported_error"]

#: A backslash that begins no escape sequence of Python. repr() never writes one.
_NO_ESCAPE = re.compile(r"""(?<!\\)(?:\\\\)*\\[^\\'"abfnrtvxuUN0-7\n]""")
_REPR = re.compile(r"(\w+)\((.*)\)\Z", re.DOTALL)
#: An error as JSON in text, which some servers write after the name of JavaScript's base class.
_JSON_IN_TEXT = re.compile(r"\s*(?:Error:\s*)?(\{.*\})\s*\Z", re.DOTALL)
#: The name of a class that says nothing, so that the class in the text is the better one.
_ANY_ERROR = frozenset({None, "", "Error"})
#: Longer texts are not parsed.
_LONGEST = 1_000_000


class GraphError(NamedTuple):
    """The exception that ended a run, as the server reports it."""

    #: The class of the exception, or None.
    error: Optional[str]
    message: Optional[str]

    @property
    def is_not_found(self) -> bool:
        """True if it means 404, an unknown run or thread: some servers report it as a graph error in a successful response."""
        return self.error == "HTTPException" and (self.message or "").startswith("404")

    @property
    def says_why(self) -> bool:
        """True if it has a class or a message."""
        return bool(self.error or self.message)


def reported_error(value: Any) -> Optional[GraphError]:
    """Return the graph's error in *value*, in any of the shapes that servers use, or None if there is none.

    >>> reported_error({"error": "ValueError", "message": "boom"}), reported_error("boom").message
    (GraphError(error='ValueError', message='boom'), 'boom')
    >>> reported_error({"error": "Error", "message": '{"error": "GraphRecursionError", "message": "Recursion limit of 3 reached"}'})
    GraphError(error='GraphRecursionError', message='Recursion limit of 3 reached')
    """
    if isinstance(value, str):
        return _error_in_text(value) or GraphError(None, value)
    if not isinstance(value, Mapping):
        return None
    error, message = value.get("error"), value.get("message")
    if isinstance(error, Mapping):
        return reported_error(error)
    if error is None:
        error = value.get("name")
    if message is None:
        if error is None:
            return None
        return _error_in_text(str(error)) or GraphError(None, str(error))
    found = GraphError(None if error is None else str(error), str(message))
    if found.error in _ANY_ERROR:
        found = _error_in_text(str(message)) or found
    return found


def error_in_run(run: Run) -> Optional[GraphError]:
    """Return the error that the server keeps with the run itself, or None if it keeps none there."""
    for name in ("error", "error_message"):
        found = reported_error(run.extra.get(name))
        if found is not None and found.says_why:
            return found
    return None


def error_in_state(state: Optional[ThreadState]) -> Optional[GraphError]:
    """Return the error of a failed step in the state of a run, or None if no step has failed, or if there is no state."""
    for task in state.tasks if state is not None else ():
        if isinstance(task.error, str) and task.error:
            return _error_in_text(task.error) or _from_repr(task.error)
        if task.error is not None:
            return reported_error(task.error)
    return None


def _error_in_text(text: str) -> Optional[GraphError]:
    """Return the error that is written as JSON in a text, with its class and its message; None if the text is no such thing."""
    found = _JSON_IN_TEXT.match(text) if len(text) <= _LONGEST else None
    if found is None:
        return None
    try:
        value = parse(found.group(1))
    except ValueError:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("message"), str):
        return None
    error = value.get("error", value.get("name"))
    return GraphError(error, value["message"]) if isinstance(error, str) else None


def _from_repr(text: str) -> GraphError:
    """Return class and message from a Python exception's repr, as checkpoints keep it."""
    found = _REPR.match(text)
    if found is None:
        return GraphError(None, text)
    error, arguments_text = found.groups()
    if _NO_ESCAPE.search(arguments_text):
        return GraphError(error, arguments_text)  # a __repr__ of the class's own, for which literal_eval might issue a warning
    try:
        arguments: Tuple[Any, ...] = ast.literal_eval(f"({arguments_text},)") if arguments_text else ()
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # all that ast.literal_eval is documented to raise
        return GraphError(error, arguments_text)
    if len(arguments) == 1:
        return GraphError(error, str(arguments[0]))
    return GraphError(error, str(arguments) if arguments else "")

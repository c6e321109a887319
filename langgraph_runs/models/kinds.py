"""What JSON calls the types of values, for messages."""

from typing import Any, Tuple

__all__ = ["kind_of"]


def kind_of(value: Any) -> str:
    """Return the JSON name of a value's type, for messages.

    >>> kind_of({}), kind_of(None), kind_of(True)
    ('an object', 'null', 'a boolean')
    """
    for kind, name in _KIND_NAMES:
        if isinstance(value, kind):
            return name
    return "null"


_KIND_NAMES: Tuple[Tuple[type, str], ...] = (
    (bool, "a boolean"),
    (str, "a string"),
    (int, "a number"),
    (float, "a number"),
    (dict, "an object"),
    (list, "a list"),
)

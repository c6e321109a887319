"""JSON as every database of Django can store it."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Dict, Mapping

from ... import InvalidRequestError
from ...serialization import encode

__all__ = ["storable", "to_store"]

#: Characters that PostgreSQL does not store in JSON: NUL, and halves of a surrogate pair.
_REFUSED = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\ufffd"
#: SQLite and MySQL refuse JSON that is nested deeper than a thousand and a hundred levels.
_MAX_DEPTH = 90
_TOO_DEEP = "(nested too deeply to be stored)"


def storable(value: Any, *, depth: int = 0) -> Any:
    """Return JSON of a server with what some database refuses replaced: NUL and lone surrogates by U+FFFD, NaN by None, depth.

    >>> storable({"text": "a\\x00b", "score": float("nan")})
    {'text': 'a\ufffdb', 'score': None}
    """
    if isinstance(value, str):
        return _REFUSED.sub(_REPLACEMENT, value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (dict, list)) and depth >= _MAX_DEPTH:
        return _TOO_DEEP
    if isinstance(value, dict):
        return {storable(str(key)): storable(item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item, depth=depth + 1) for item in value]
    return value


def to_store(fields: Mapping[str, Any]) -> Dict[str, Any]:
    """Return *fields* as plain JSON. Raise `InvalidRequestError` with the path of what has no JSON form or cannot be stored.

    >>> to_store({"input": {"tags": {"a"}}})
    {'input': {'tags': ['a']}}
    """
    found: Dict[str, Any] = json.loads(encode(dict(fields)))
    for name, value in found.items():
        if storable(value) != value:
            raise InvalidRequestError(
                f"{name}: has text with NUL or half a surrogate pair, or is nested deeper than {_MAX_DEPTH} levels,"
                " which not every database stores; remove it"
            )
    return found

"""JSON as every database of Django can store it."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Dict, Mapping, Optional

from django.db import DEFAULT_DB_ALIAS, connections

from ... import InvalidRequestError
from ...serialization import encode

__all__ = ["levels_of", "storable", "to_store"]

#: Characters that PostgreSQL does not store in JSON: NUL, and halves of a surrogate pair.
_REFUSED = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\ufffd"
#: SQLite and MySQL refuse JSON that is nested deeper than a thousand and a hundred levels.
_LEVELS = 90
#: For MariaDB, JSON of 32 levels is none: the check of the column fails.
_LEVELS_OF_MARIADB = 31
_TOO_DEEP = "(nested too deeply to be stored)"


def levels_of(using: Optional[str]) -> int:
    """Return how deep JSON may be nested in this database."""
    connection: Any = connections[using or DEFAULT_DB_ALIAS]
    return _LEVELS_OF_MARIADB if connection.vendor == "mysql" and connection.mysql_is_mariadb else _LEVELS


def storable(value: Any, levels: int = _LEVELS) -> Any:
    """Return JSON of a server with what some database refuses replaced: NUL and lone surrogates by U+FFFD, NaN by None, depth.

    >>> storable({"text": "a\\x00b", "score": float("nan")})
    {'text': 'a\ufffdb', 'score': None}
    """
    if isinstance(value, str):
        return _REFUSED.sub(_REPLACEMENT, value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (dict, list)) and levels <= 0:
        return _TOO_DEEP
    if isinstance(value, dict):
        return {storable(str(key)): storable(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item, levels - 1) for item in value]
    return value


def to_store(fields: Mapping[str, Any], levels: int = _LEVELS) -> Dict[str, Any]:
    """Return *fields* as plain JSON. Raise `InvalidRequestError` with the path of what has no JSON form or cannot be stored.

    >>> to_store({"input": {"tags": {"a"}}})
    {'input': {'tags': ['a']}}
    """
    found: Dict[str, Any] = json.loads(encode(dict(fields)))
    for name, value in found.items():
        if storable(value, levels) != value:
            raise InvalidRequestError(
                f"{name}: has text with NUL or half a surrogate pair, or is nested deeper than {levels} levels,"
                " which the database may not store; remove it"
            )
    return found

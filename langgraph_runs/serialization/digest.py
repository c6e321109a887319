"""A digest of a JSON value: equal values have the same one in every process."""

from __future__ import annotations

import json
import re
from typing import Any, Union

from .json_decoder import parse
from .json_encoder import encode

__all__ = ["digest_of"]


#: What a number that is no integer contains; found in some texts too.
_FRACTION = re.compile(rb"[0-9][.eE]")


def digest_of(value: Any, *, numbers_by_value: bool = False) -> str:
    """Return 32 hexadecimal digits. Raise `InvalidRequestError` for a value that JSON cannot express.

    With *numbers_by_value*, 1 and 1.0 are equal, as they are for JavaScript and PostgreSQL.

    >>> digest_of({"a": 1, "b": [None]}) == digest_of({"b": (None,), "a": 1})
    True
    >>> digest_of([1], numbers_by_value=True) == digest_of([1.0], numbers_by_value=True) != digest_of([1.0])
    True
    """
    import hashlib  # brings OpenSSL with it

    encoded = encode(value)
    if numbers_by_value and _FRACTION.search(encoded):
        parsed = json.loads(encoded, parse_float=_by_value)
    else:
        parsed = parse(encoded)
    # Sorted, and written by one encoder, so that the digest is the same with and without orjson.
    text = json.dumps(parsed, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]


def _by_value(digits: str) -> Union[int, float]:
    value = float(digits)
    return int(value) if value.is_integer() else value

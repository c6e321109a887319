"""A digest of a JSON value: equal values have the same one in every process."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from .json_decoder import parse
from .json_encoder import encode

__all__ = ["digest_of"]


def digest_of(value: Any) -> str:
    """Return 32 hexadecimal digits. Raise `InvalidRequestError` for a value that JSON cannot express.

    >>> digest_of({"a": 1, "b": [None]}) == digest_of({"b": (None,), "a": 1})
    True
    """
    # Sorted, and written by one encoder, so that the digest is the same with and without orjson.
    text = json.dumps(parse(encode(value)), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]

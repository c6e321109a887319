"""Checks of arguments that several calls share. Each raises `InvalidRequestError` that names the argument and what to give."""

from __future__ import annotations

import datetime
import decimal
import math
import numbers
import re
from typing import Any, Collection, Dict, Mapping, Optional

from .errors import InvalidRequestError, shortened

__all__ = [
    "check_choice",
    "check_count",
    "check_headers",
    "check_id",
    "check_known",
    "check_seconds",
    "near",
    "shown",
]

_RESERVED = {
    "x-api-key": "reserved for the client's own key; give Client(api_key=...)",
    "content-length": "set by the client: it says where the body ends",
    "transfer-encoding": "set by the client: it says where the body ends",
}
_BAD_IN_VALUE = re.compile(r"[\r\n\0]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


#: Types of values that a message shows.
_PLAIN = (str, bool, int, float, complex, type(None), decimal.Decimal, datetime.date, datetime.timedelta)
#: Characters of a wrong value that its message shows.
_SHOWN = 200


def shown(value: Any) -> str:
    """Return *value* for a message that refuses it: text, a number, or a list of these, cut; of other values only the type.

    An object in the place of an option is mostly the input or the context, given in the wrong position: it may hold secrets.

    >>> shown("a" * 1000) == repr("a" * 1000)[:200] + "... (1002 characters)"
    True
    >>> shown({"token": "s3cret"}), shown([1, "a"]), shown([{}])
    ('<dict>', "[1, 'a']", '<list>')
    """
    plain = isinstance(value, _PLAIN) or (isinstance(value, (list, tuple)) and all(isinstance(item, _PLAIN) for item in value))
    return shortened(repr(value), _SHOWN) if plain else f"<{type(value).__name__}>"


def check_id(name: str, value: Any) -> str:
    """Return *value* as the text of an id; UUID objects are accepted."""
    if value is not None and not isinstance(value, str) and type(value).__name__ == "UUID":
        value = str(value)
    if not isinstance(value, str) or not value:
        raise InvalidRequestError(f"{name}={shown(value)}: give the id as text that is not empty")
    return value


#: The ends of messages about options that only some calls have, where others would be in vain.
_ELSEWHERE = {"idempotency_key": "; create, wait and stream have it, and map takes the keys of key=... as idempotency keys"}


def check_choice(name: str, value: Any, choices: Collection[str]) -> None:
    """Refuse a value that is not one of *choices*; the message names the nearest."""
    if not isinstance(value, str) or value not in choices:
        allowed = ", ".join(repr(choice) for choice in choices)
        raise InvalidRequestError(f"{name}={shown(value)}: give one of {allowed}{near(value, choices)}")


def check_known(call: str, options: Collection[str], known: Collection[str]) -> None:
    """Refuse an option that *call* does not have."""
    for name in options:
        if name not in known:
            newer = "; a field newer than this library goes into kwargs={...}" if "kwargs" in known else ""
            hint = _ELSEWHERE.get(name) or near(name, known) or newer
            raise InvalidRequestError(f"{call}() has no option {name!r}{hint}")


def near(value: Any, choices: Collection[str]) -> str:
    """Return the end of a message that refuses *value*: the choice that was probably meant, or nothing."""
    import difflib  # only a message needs it

    found = difflib.get_close_matches(str(value)[:_SHOWN].replace("-", "_"), list(choices), n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""


def check_count(name: str, value: Any, *, least: int) -> int:
    """Return *value*, a whole number of at least *least*."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise InvalidRequestError(f"{name}={shown(value)}: give a whole number of at least {least}")
    return int(value)


def check_seconds(name: str, value: Any) -> Optional[float]:
    """Return *value* as float seconds, or None for no limit."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value) or value <= 0:
        raise InvalidRequestError(f"{name}={shown(value)}: give a number of seconds above 0, or None for no limit")
    return float(value)


def check_headers(headers: Optional[Mapping[str, Any]], *, argument: str = "headers") -> Dict[str, str]:
    """Return a copy of *headers*. A message names the header that cannot be sent, and never shows a value, which may be secret."""
    checked: Dict[str, str] = {}
    if headers is None:
        return checked
    written: Dict[str, str] = {}
    if not isinstance(headers, Mapping):
        raise InvalidRequestError(f"{argument}: give a dict of text to text, not {type(headers).__name__}")
    for name, value in headers.items():
        if not isinstance(name, str) or not _TOKEN.match(name):
            raise InvalidRequestError(f"{argument}: {shown(name)} is not a header name")
        if name.lower() in _RESERVED:
            raise InvalidRequestError(f"{argument}: {name} is {_RESERVED[name.lower()]}")
        if not isinstance(value, str) or _BAD_IN_VALUE.search(value) or not _is_latin(value):
            raise InvalidRequestError(f"{argument}: the value of {name} is not text that fits on one header line")
        # Header names are the same in any case: of two that differ in case alone, the later one is sent.
        checked[written.setdefault(name.lower(), name)] = value.strip()
    return checked


def _is_latin(value: str) -> bool:
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True

"""Checks of arguments that several calls share. Each refuses what cannot be meant and names the argument and the remedy."""

from __future__ import annotations

import difflib
import math
import re
from typing import Any, Collection, Dict, Mapping, Optional

from .errors import InvalidRequestError

__all__ = ["check_choice", "check_count", "check_headers", "check_id", "check_known", "check_seconds", "near"]

_RESERVED = {
    "x-api-key": "reserved for the client's own key; give Client(api_key=...)",
    "content-length": "the client's own: it says where the body ends",
    "transfer-encoding": "the client's own: it says where the body ends",
}
_BAD_IN_VALUE = re.compile(r"[\r\n\0]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


def check_id(name: str, value: Any) -> str:
    """*value* as the text of an id, or an error that names it. UUID objects are taken too."""
    if value is not None and not isinstance(value, str) and type(value).__name__ == "UUID":
        value = str(value)
    if not isinstance(value, str) or not value:
        raise InvalidRequestError(f"{name}={value!r}: give the id as text that is not empty")
    return value


def check_choice(name: str, value: Any, choices: Collection[str]) -> None:
    """Refuse a value that is not one of *choices*, and say which is near."""
    if not isinstance(value, str) or value not in choices:
        allowed = ", ".join(repr(choice) for choice in choices)
        raise InvalidRequestError(f"{name}={value!r}: give one of {allowed}{near(value, choices)}")


def check_known(call: str, options: Collection[str], known: Collection[str]) -> None:
    """Refuse an option that *call* does not have."""
    for name in options:
        if name not in known:
            hint = near(name, known) or "; a field newer than this library goes into kwargs={...}"
            raise InvalidRequestError(f"{call}() has no option {name!r}{hint}")


def near(value: Any, choices: Collection[str]) -> str:
    """What ends a refusal of *value*: the choice that was probably meant, or nothing."""
    found = difflib.get_close_matches(str(value).replace("-", "_"), list(choices), n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""


def check_count(name: str, value: Any, *, least: int) -> int:
    """*value* as a whole number of at least *least*, or an error that names it."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidRequestError(f"{name}={value!r}: give a whole number of at least {least}")
    return value


def check_seconds(name: str, value: Optional[float]) -> Optional[float]:
    """*value* as float seconds, or None for no limit; anything else is an `InvalidRequestError` that names *name*."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise InvalidRequestError(f"{name}={value!r}: give a number of seconds above 0, or None for no limit")
    return float(value)


def check_headers(headers: Optional[Mapping[str, Any]], *, argument: str = "headers") -> Dict[str, str]:
    """*headers*, or an error that names the one that cannot be sent."""
    checked: Dict[str, str] = {}
    if headers is None:
        return checked
    written: Dict[str, str] = {}
    if not isinstance(headers, Mapping):
        raise InvalidRequestError(f"{argument}={headers!r}: give a dict of text to text")
    for name, value in headers.items():
        if not isinstance(name, str) or not _TOKEN.match(name):
            raise InvalidRequestError(f"{argument}: {name!r} is not a header name")
        if name.lower() in _RESERVED:
            raise InvalidRequestError(f"{argument}: {name} is {_RESERVED[name.lower()]}")
        if not isinstance(value, str) or _BAD_IN_VALUE.search(value) or not _is_latin(value):
            raise InvalidRequestError(f"{argument}: the value of {name} is not text that fits on one header line")
        # Names do not differ by case, so of two that do the later one holds.
        checked[written.setdefault(name.lower(), name)] = value.strip()
    return checked


def _is_latin(value: str) -> bool:
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True

"""The text form of keys: by it a ledger and a result identify an input, and all calls with an idempotency key their run."""

from __future__ import annotations

import datetime
import decimal
import enum
import numbers
import uuid
from typing import Any

from ..errors import InvalidRequestError

__all__ = ["check_key", "key_text"]

#: Python refuses to convert a much larger number to text.
_LARGEST_BITS = 3400
_REMEDY = "give text, a whole number, a UUID, a date or an enum"


def key_text(key: Any) -> str:
    """Return the text form of *key*. Raise `InvalidRequestError` for what cannot be a key.

    The text form is what ledgers and servers record, so it never changes: text as it is, a whole number in decimal digits, a UUID
    in lower case with hyphens, a date and a time in ISO 8601, and of an enum that of its value. Keys with the same text are the
    same key.

    >>> key_text("order-17"), key_text(17), key_text(datetime.date(2026, 3, 1))
    ('order-17', '17', '2026-03-01')
    >>> key_text(1.0)
    Traceback (most recent call last):
    ...
    langgraph_runs.InvalidRequestError: a float is no key; give text, a whole number, a UUID, a date or an enum
    """
    if isinstance(key, enum.Enum):
        key = key.value
    if isinstance(key, str):
        return _checked(str.__str__(key))
    if isinstance(key, numbers.Integral) and key is not True and key is not False:
        return _digits(int(key))
    if isinstance(key, decimal.Decimal) and key.as_tuple().exponent == 0:  # as databases export whole numbers
        return _digits(int(key))
    if isinstance(key, uuid.UUID):
        return str(key)
    if isinstance(key, (datetime.datetime, datetime.date)):
        if key != key:  # pandas.NaT
            raise InvalidRequestError(f"a missing value is no key; {_REMEDY}")
        return str(key.isoformat())
    kind = "None" if key is None else f"a {type(key).__name__}"
    raise InvalidRequestError(f"{kind} is no key; {_REMEDY}")


def check_key(name: str, key: Any) -> str:
    """Return the text form of *key*, the argument *name*. Raise `InvalidRequestError`, which does not show it."""
    try:
        return key_text(key)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{name}: {error._text}") from None


def _checked(text: str) -> str:
    if not text:
        raise InvalidRequestError(f"empty text is no key; {_REMEDY}")
    if "\0" in text:
        raise InvalidRequestError("text with a null character is no key, since databases cannot store it")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise InvalidRequestError("text with half a surrogate pair is no key, since it has no form in UTF-8")
    return text


def _digits(number: int) -> str:
    if number.bit_length() > _LARGEST_BITS:
        raise InvalidRequestError("a number of over a thousand digits is no key; give a shorter one")
    return str(number)

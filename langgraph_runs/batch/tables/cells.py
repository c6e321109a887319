"""The one rule for missing values and infinities in tables, and the JSON text in a cell."""

from __future__ import annotations

import decimal
import json
import math
from typing import Any

from ...errors import InvalidRequestError

__all__ = ["MISSING", "checked_cell", "is_missing", "parse_text", "path_to"]

#: What the caller may want for missing values.
MISSING = ("error", "null")
_PLAIN = frozenset({str, int, bool})
#: Levels of lists and dicts in a cell.
_DEEPEST = 200


def checked_cell(value: Any, *, missing: str) -> Any:
    """Return the value of a cell: unchanged, or with ``missing="null"`` with None for each missing value in it.

    Raises `InvalidRequestError` for a missing value otherwise; its text begins with the path within the cell.

    >>> checked_cell({"scores": [1.5, float("nan")]}, missing="null")
    {'scores': [1.5, None]}
    >>> checked_cell({"scores": [1.5, float("nan")]}, missing="error")
    Traceback (most recent call last):
    ...
    langgraph_runs.InvalidRequestError: .scores[1]: a missing value; it is sent as null with missing="null"
    """
    if type(value) in _PLAIN:
        return value
    return _walked(value, missing == "null", "")


def _walked(value: Any, as_null: bool, path: str, depth: int = 0) -> Any:
    if type(value) in _PLAIN:
        return value
    if depth > _DEEPEST:
        raise InvalidRequestError(f"{path[:100]}...: nested too deep")
    if hasattr(value, "tolist") and not hasattr(value, "isoformat"):  # an array or a number of numpy
        if getattr(getattr(value, "dtype", None), "kind", "") not in ("M", "m"):
            value = value.tolist()
        elif getattr(value, "shape", ()):
            value = list(value)  # tolist() would turn its times into numbers
    if isinstance(value, dict):
        return {name: _walked(item, as_null, path_to(path, name), depth + 1) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_walked(item, as_null, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    if not is_missing(value):
        return value
    if as_null:
        return None
    infinite = (isinstance(value, float) and math.isinf(value)) or (isinstance(value, decimal.Decimal) and value.is_infinite())
    kind = "an infinity" if infinite else "a missing value"
    raise InvalidRequestError(f'{path}{": " if path else ""}{kind}; it is sent as null with missing="null"')


def path_to(path: str, name: Any) -> str:
    """Return *path* with the name of a field below it."""
    return f"{path}.{name}" if isinstance(name, str) and name.isidentifier() else f"{path}[{name!r}]"


def is_missing(value: Any) -> bool:
    """Return True for None, NaN, NaT, NA and the infinities.

    >>> is_missing(None), is_missing(float("inf")), is_missing(0.0), is_missing("")
    (True, True, False, False)
    """
    if value is None:
        return True
    if type(value) in _PLAIN:
        return False
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, decimal.Decimal):
        return not value.is_finite()
    try:
        differs = value != value
    except Exception:  # an object that cannot be compared is none of the missing values
        return False
    # Only missing values differ from themselves: NaT of pandas and numpy. A comparison with pandas.NA is pandas.NA.
    return differs is value or (differs is not False and type(differs).__name__ in ("bool", "bool_") and bool(differs))


def parse_text(text: str, *, missing: str) -> Any:
    """Return the value of a JSON text. Raise `InvalidRequestError` if it is not JSON, without showing it.

    JSON has no NaN and no infinities, though some programs write them: with ``missing="null"`` they are None.
    """
    try:
        return json.loads(text, parse_constant=_null if missing == "null" else _no_constant)
    except json.JSONDecodeError as error:
        raise InvalidRequestError(f"not JSON: {error.msg} at column {error.colno}") from None
    except InvalidRequestError:
        raise  # of _no_constant; it is a ValueError too
    except RecursionError:
        raise InvalidRequestError("not JSON: nested too deep") from None
    except ValueError as error:  # a number of too many digits
        raise InvalidRequestError(f"not JSON: {error}") from None


def _null(_: str) -> None:
    return None


def _no_constant(name: str) -> Any:
    raise InvalidRequestError(f'not JSON: {name}; it is sent as null with missing="null"')

"""Parses JSON, and decodes it to the records of `models`. The results are the same with and without orjson.

No value of a record is converted, and none is lost: what a record does not know or cannot read is in its ``extra``. A field without
which the record is useless, such as the id of a run, makes a `ResponseDecodeError` that names every problem.
"""

from __future__ import annotations

import functools
import json
import math
from typing import Any, Callable, List, Type, TypeVar

from ..call import raise_foreign
from ..errors import ResponseDecodeError
from ..models import kind_of
from .json_encoder import LARGEST, SMALLEST

orjson: Any
try:
    import orjson
except ImportError:  # on PyPy, and on platforms without a wheel
    orjson = None

__all__ = ["decode", "decode_body", "decode_list", "parse"]

T = TypeVar("T")


def parse(data: Any) -> Any:
    """Return the JSON value in *data* (bytes or text). Raise `ValueError` if it is not JSON."""
    if orjson is not None:
        return orjson.loads(data)
    if isinstance(data, (bytes, bytearray, memoryview)):
        data = bytes(data).decode("utf-8")
    try:
        value = json.loads(data, parse_constant=_no_constant, parse_int=_integer, parse_float=_float)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if "\\u" in data and "\\ud" in data.lower():
        _refuse_lone_surrogates(value)
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> Any:
    value = int(digits) if len(digits) < 25 else _float(digits)
    return value if isinstance(value, float) or SMALLEST <= value <= LARGEST else float(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is too large a number")
    return value


def _refuse_lone_surrogates(value: Any) -> None:
    json.dumps(value, ensure_ascii=False).encode("utf-8")  # UnicodeEncodeError, which is a ValueError, for half a surrogate pair


def decode_body(body: bytes) -> Any:
    """Return the JSON value in the body of a response, or raise `ResponseDecodeError`.

    The text is UTF-8, whatever the headers say. A byte order mark is skipped.
    """
    if body.startswith(b"\xef\xbb\xbf"):
        body = body[3:]
    try:
        return parse(body)
    except ValueError as error:
        raise_foreign(error)
        if not body.strip():
            raise ResponseDecodeError("the response is empty, and not JSON", problems=("$: empty",)) from None
        shown = body[:80].decode("utf-8", "replace")
        raise ResponseDecodeError(
            f"the response is not JSON: it begins with {shown!r}", problems=(f"$: not JSON ({error})",)
        ) from error


def decode(value: Any, cls: Type[T], *, path: str = "$") -> T:
    """Return *value* (parsed JSON) as a *cls*, a record class, or raise a `ResponseDecodeError` that names every problem."""
    return _structurer()(value, cls, path)  # type: ignore[no-any-return]


def decode_list(value: Any, cls: Type[T], *, path: str = "$") -> List[T]:
    """Return *value*, a list in parsed JSON, as a list of *cls*; see `decode`."""
    if not isinstance(value, list):
        raise ResponseDecodeError._of_shape(f"{path}: expected a list, not {kind_of(value)}")
    return [decode(item, cls, path=f"{path}[{index}]") for index, item in enumerate(value)]


@functools.cache
def _structurer() -> Callable[[Any, Type[Any], str], Any]:
    # Imported on first use: importing cattrs takes as long as the rest of this package, and streams do not need it.
    from .records import structure

    return structure

"""JSON on the wire to and from Python objects. The only importer of orjson; cattrs is behind `structure`.

Encoding: the same value whether orjson is installed or not, and an error with a path (``$.input.messages[0].score``) for what
JSON has no word for. Decoding: strict types, unknown fields kept, one `ResponseDecodeError` with the path of every problem.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import json
import math
import uuid
from collections import deque
from typing import Any, Callable, Dict, List, Mapping, Optional, Type, TypeVar

import attrs

from ..errors import InvalidRequestError, ResponseDecodeError
from ..models import Checkpoint, kind_of

orjson: Any
try:
    import orjson
except ImportError:  # PyPy, and platforms that it has no wheel for
    orjson = None

__all__ = ["decode", "decode_body", "decode_list", "encode", "parse"]

T = TypeVar("T")

_LARGEST = 2**64 - 1
_SMALLEST = -(2**63)
_DEEPEST = 1000


# -- encoding


def encode(body: Any) -> bytes:
    """*body* as JSON in UTF-8; what cannot be said in JSON is an `InvalidRequestError` that names its path.

    Beside JSON's own types: UUID, datetime, date, time, Enum, Decimal (as a number), attrs classes, dataclasses, pydantic
    models, sets, numpy scalars and arrays.

    >>> encode({"when": datetime.date(2026, 1, 2), "tags": {"a"}})
    b'{"when":"2026-01-02","tags":["a"]}'
    >>> encode({"input": {"score": float("nan")}})
    Traceback (most recent call last):
    ...
    langgraph_runs.InvalidRequestError: $.input.score: nan has no JSON form; use None or a string
    """
    if orjson is not None:
        try:
            text: bytes = orjson.dumps(body, default=_plain_one, option=_OPTIONS)
        except TypeError:
            pass  # found again below, with its path; or only too deep, too large a key and so on, and fine
        else:
            # orjson writes NaN as null. A short text is searched for one; a long one takes longer to search than its values.
            if (len(text) < _LONG and b"null" not in text) or _is_finite(body) or b"null" not in text:
                return text
    else:
        try:
            text = _standard(body)
        except (TypeError, ValueError, RecursionError):
            pass  # as above
        else:
            if _is_finite(body, strict=True):
                return text
    try:
        return _standard(_plain(body, "$", 0))
    except RecursionError:
        raise _refuse("$", "nested too deep, or an object that contains itself") from None


_OPTIONS = (
    0 if orjson is None else orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS
)


#: Bytes of a text that is not searched first.
_LONG = 4096
_FINITE = frozenset({str, int, bool, type(None)})


def _standard(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")


def _is_finite(body: Any, *, strict: bool = False) -> bool:
    """Whether there is surely no NaN and no infinity in *body*: False also for types that are not JSON's own.

    If *strict*, all else is looked at too that orjson sees and the standard json does not: large numbers, and keys.
    """
    level: List[Any] = [(body,)]
    for _ in range(_DEEPEST):
        below: List[Any] = []
        for item in level:
            values = item
            if type(item) is dict:
                values = item.values()
                if strict and not set(map(type, item)) <= {str}:
                    return False
            if len(values) > 32:
                kinds = set(map(type, values))
                if kinds <= _FINITE and not (strict and int in kinds):
                    continue
                if kinds == {float} and all(map(math.isfinite, values)):
                    continue
            for value in values:
                kind = type(value)
                if kind is float:
                    if not math.isfinite(value):
                        return False
                elif kind is dict or kind is list or kind is tuple:
                    below.append(value)
                elif kind not in _FINITE or (strict and kind is int and not _SMALLEST <= value <= _LARGEST):
                    return False
        if not below:
            return True
        level = below
    return False


def _refuse(path: str, told: str) -> InvalidRequestError:
    return InvalidRequestError(f"{path}: {told}")


def _plain(value: Any, path: str, depth: int) -> Any:
    """*value* in JSON's own types, or an error with the path."""
    if value is None or value is True or value is False:
        return value
    if depth > _DEEPEST:
        raise _refuse(path[:200] + "...", f"nested deeper than {_DEEPEST} levels, or an object that contains itself")
    kind = type(value)
    if kind is str:
        return _text(value, path)
    if kind is int:
        if not _SMALLEST <= value <= _LARGEST:
            raise _refuse(path, f"{value} does not fit in 64 bits, and the server would turn it into a float; send it as a string")
        return value
    if kind is float:
        if not math.isfinite(value):
            raise _refuse(path, f"{value!r} has no JSON form; use None or a string")
        return value
    if kind is dict or isinstance(value, Mapping):
        return {_name(k, path): _plain(v, _below(path, k), depth + 1) for k, v in value.items()}
    if kind is list or kind is tuple:
        return [_plain(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    try:
        simpler = _plain_one(value)
    except TypeError as error:
        raise _refuse(path, str(error)) from None
    return _plain(simpler, path, depth + 1)


def _text(value: str, path: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _refuse(path, f"the text holds half a surrogate pair at position {error.start}, which is no character") from None
    return value


def _below(path: str, key: Any) -> str:
    text = key if isinstance(key, str) else str(key)
    return f"{path}.{text}" if text.isidentifier() else f"{path}[{text!r}]"


def _name(key: Any, path: str) -> str:
    if isinstance(key, enum.Enum):
        key = key.value
    if isinstance(key, str):
        return _text(str.__str__(key), path)
    if key is None or isinstance(key, bool):
        return json.dumps(key)
    if isinstance(key, int):
        return int.__repr__(key)
    if isinstance(key, float) and math.isfinite(key):
        return float.__repr__(key)
    if isinstance(key, uuid.UUID):
        return str(key)
    if isinstance(key, (datetime.datetime, datetime.date)):
        return key.isoformat()
    raise _refuse(path, f"{key!r} cannot be the name of a field; use text")


def _fields_of(value: Any) -> Optional[Dict[str, Any]]:
    """The fields of an object of a class that declares them."""
    kind = type(value)
    if isinstance(value, Checkpoint):
        own = {f.name: getattr(value, f.name) for f in attrs.fields(kind) if f.name != "extra"}
        return {**value.extra, **{name: item for name, item in own.items() if item is not None}}
    if attrs.has(kind):
        return {f.name: getattr(value, f.name) for f in attrs.fields(kind)}
    if dataclasses.is_dataclass(kind):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(kind)}
    for method in ("model_dump", "dict"):  # pydantic 2 and 1, without importing either
        dump = getattr(kind, method, None)
        if callable(dump) and (method == "model_dump" or hasattr(kind, "__fields__")):
            dumped: Dict[str, Any] = getattr(value, method)()
            return dumped
    return None


def _plain_one(value: Any) -> Any:
    """One step from *value* towards JSON's own types; TypeError where there is none."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, decimal.Decimal):
        return _number(value)
    fields = _fields_of(value)
    if fields is not None:
        return fields
    if type(value).__module__.split(".", 1)[0] == "numpy":
        kind = getattr(getattr(value, "dtype", None), "kind", "")
        if kind in ("M", "m"):
            value = value.astype(f"{kind}8[us]")  # finer times would become whole numbers
        if hasattr(value, "tolist"):
            return value.tolist()  # a scalar becomes a number, an array a list
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, (set, frozenset)):
        return _in_order(value)
    if isinstance(value, (list, tuple, deque)):
        return list(value)
    if isinstance(value, Mapping):
        return {_name(k, "$"): v for k, v in value.items()}
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError("bytes have no JSON form; decode them, or send base64 text")
    raise TypeError(f"an object of type {type(value).__name__} has no JSON form; convert it first")


def _number(value: decimal.Decimal) -> Any:
    if not value.is_finite():
        raise TypeError(f"{value!r} has no JSON form; use None or a string")
    return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else float(value)


def _in_order(values: Any) -> List[Any]:
    try:
        return sorted(values)
    except TypeError:
        return list(values)


# -- decoding


def parse(data: Any) -> Any:
    """The JSON value in *data* (bytes or text); `ValueError` where it is none. The same value with and without orjson."""
    if orjson is not None:
        return orjson.loads(data)
    if isinstance(data, (bytes, bytearray, memoryview)):
        data = bytes(data).decode("utf-8")
    try:
        value = json.loads(data, parse_constant=_no_constant, parse_int=_integer, parse_float=_float)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if "\\u" in data and "\\ud" in data.lower():
        _text_only(value)
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> Any:
    value = int(digits) if len(digits) < 25 else _float(digits)
    return value if isinstance(value, float) or _SMALLEST <= value <= _LARGEST else float(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is too large a number")
    return value


def _text_only(value: Any) -> None:
    json.dumps(value, ensure_ascii=False).encode("utf-8")


def decode_body(body: bytes) -> Any:
    """The JSON value of an answer's body, or `ResponseDecodeError`. UTF-8 whatever the headers say; a BOM is skipped."""
    if body.startswith(b"\xef\xbb\xbf"):
        body = body[3:]
    try:
        return parse(body)
    except ValueError as error:
        if not body.strip():
            raise ResponseDecodeError("the answer is empty where JSON is due", problems=("$: empty",)) from None
        shown = body[:80].decode("utf-8", "replace")
        raise ResponseDecodeError(
            f"the answer is not JSON: it begins with {shown!r}", problems=(f"$: not JSON ({error})",)
        ) from error


def decode(value: Any, cls: Type[T], *, path: str = "$") -> T:
    """*value* (parsed JSON) as a *cls* of `models`, or `ResponseDecodeError` with the place of every problem."""
    return _structurer()(value, cls, path)  # type: ignore[no-any-return]


def decode_list(value: Any, cls: Type[T], *, path: str = "$") -> List[T]:
    """A list of them."""
    if not isinstance(value, list):
        problem = f"{path}: expected a list, not {kind_of(value)}"
        raise ResponseDecodeError(f"the answer has another shape than promised: {problem}", problems=(problem,))
    return [decode(item, cls, path=f"{path}[{index}]") for index, item in enumerate(value)]


@functools.cache
def _structurer() -> Callable[[Any, Type[Any], str], Any]:
    # Made on first use: importing cattrs costs as much as the rest of this package, and streams do without.
    from .records import structure

    return structure

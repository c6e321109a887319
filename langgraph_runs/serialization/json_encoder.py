"""Encodes Python objects as JSON in UTF-8. The bytes are the same with and without orjson.

An object that has no JSON form raises an error that names its path, such as ``$.input.messages[0].score``.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import math
import operator
import pathlib
import uuid
from collections import deque
from typing import Any, Callable, Dict, FrozenSet, List, Mapping, Optional, Tuple

from ..call import raise_foreign
from ..errors import InvalidRequestError
from ..fields import fields_of

orjson: Any
try:
    import orjson
except ImportError:  # on PyPy, and on platforms without a wheel
    orjson = None

__all__ = ["LARGEST", "SMALLEST", "encode"]

#: The range of whole numbers that fit in 64 bits: orjson refuses others, and the server turns them into floats.
LARGEST = 2**64 - 1
SMALLEST = -(2**63)
_DEEPEST = 1000


def encode(body: Any) -> bytes:
    """Return *body* as JSON in UTF-8. Raise `InvalidRequestError` with the path of an object that has no JSON form.

    Besides the types of JSON: UUID, datetime, date, time, timedelta (ISO 8601), Enum, Decimal (as a number), paths, attrs classes,
    dataclasses, pydantic models and URLs, sets, numpy scalars and arrays. Missing values (NaN, NaT, NA) and infinities are refused.

    >>> encode({"when": datetime.date(2026, 1, 2), "tags": {"a"}})
    b'{"when":"2026-01-02","tags":["a"]}'
    >>> encode({"input": {"score": float("nan")}})
    Traceback (most recent call last):
    ...
    langgraph_runs.InvalidRequestError: $.input.score: nan has no JSON form; use None or a string
    """
    if orjson is None:
        return _encode_without_orjson(body)
    try:
        text: bytes = orjson.dumps(body, default=_converted, option=_OPTIONS)
    except TypeError:
        return _encode_step_by_step(body)
    # orjson writes NaN as null. A short text is searched for null; for a long text, checking the values of *body* is faster.
    if (len(text) < _LONG and b"null" not in text) or _is_finite(body, _FINITE) or b"null" not in text:
        return text
    return _encode_step_by_step(body)


def _encode_without_orjson(body: Any) -> bytes:
    try:
        text = _standard(body)
    except (TypeError, ValueError, RecursionError) as error:
        raise_foreign(error)
        return _encode_step_by_step(body)
    # The json module also writes large numbers, and keys that are not text; the slow encoder converts or refuses them.
    return text if _is_finite(body, _FINITE_BUT_INT, only_text_keys=True) else _encode_step_by_step(body)


def _encode_step_by_step(body: Any) -> bytes:
    """Encode *body* object by object, after a faster way has refused it. Raise with the path of an object without a JSON form."""
    try:
        return _standard(_plain(body, "$", 0))
    except RecursionError:
        raise _refusal("$", "nested too deep, or an object that contains itself") from None


_OPTIONS = (
    0 if orjson is None else orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def _standard(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")


# -- numbers that have no JSON form: NaN and infinity

#: A text of this many bytes or more is not searched for null first.
_LONG = 4096
#: If a list or dict has more values than this, their types are checked first.
_MANY = 32
_FINITE_BUT_INT: FrozenSet[type] = frozenset({str, bool, type(None)})
_FINITE: FrozenSet[type] = _FINITE_BUT_INT | {int}
_CONTAINERS = frozenset({dict, list, tuple})
_TEXT = frozenset({str})


def _is_finite(body: Any, finite: frozenset[type], *, only_text_keys: bool = False) -> bool:
    """Return True if all values in *body* are known to be finite. Return False also for types that are not those of JSON.

    Values of the types in *finite* are not checked. *body* was encoded before, so it does not contain itself.
    """
    containers: List[Any] = [(body,)]
    while containers:
        values = containers.pop()
        if type(values) is dict:
            if only_text_keys and not _TEXT.issuperset(map(type, values)):
                return False
            values = values.values()
        if len(values) > _MANY and _are_all_finite(values, finite):
            continue
        for value in values:
            kind = type(value)
            if kind in finite:
                continue
            if kind in _CONTAINERS:
                containers.append(value)
            elif not (math.isfinite(value) if kind is float else kind is int and SMALLEST <= value <= LARGEST):
                return False
    return True


def _are_all_finite(values: Any, finite: frozenset[type]) -> bool:
    kinds = set(map(type, values))
    return kinds <= finite or (kinds == {float} and all(map(math.isfinite, values)))


# -- one object after the other


def _refusal(path: str, problem: str) -> InvalidRequestError:
    return InvalidRequestError(f"{path}: {problem}")


def _plain(value: Any, path: str, depth: int) -> Any:
    """Return *value* with the types of JSON only, or raise an error with the path."""
    if value is None or value is True or value is False:
        return value
    if depth > _DEEPEST:
        raise _refusal(path[:200] + "...", f"nested deeper than {_DEEPEST} levels, or an object that contains itself")
    kind = type(value)
    if kind is str:
        return _text(value, path)
    if kind is int:
        if not SMALLEST <= value <= LARGEST:
            raise _refusal(
                path, "the number does not fit in 64 bits, and the server would turn it into a float; send it as a string"
            )
        return value
    if kind is float:
        if not math.isfinite(value):
            raise _refusal(path, f"{value!r} has no JSON form; use None or a string")
        return value
    if kind is dict or isinstance(value, Mapping):
        return {_name(k, path): _plain(v, _path_below(path, k), depth + 1) for k, v in value.items()}
    if kind is list or kind is tuple:
        return [_plain(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    try:
        simpler = _converted(value)
    except TypeError as error:
        raise _refusal(path, str(error)) from None
    return _plain(simpler, path, depth + 1)


def _text(value: str, path: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _refusal(path, f"the text holds half a surrogate pair at position {error.start}, which is no character") from None
    return value


def _path_below(path: str, key: Any) -> str:
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
    raise _refusal(path, f"an object of type {type(key).__name__} cannot be the name of a field; use text")


def _number(value: decimal.Decimal) -> Any:
    if not value.is_finite():
        raise TypeError(f"{value!r} has no JSON form; use None or a string")
    return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else float(value)


def _in_order(values: Any) -> List[Any]:
    """Return the items of a set in an order that is the same in every process, which the order of a set is not."""
    if not any(isinstance(item, (set, frozenset)) for item in values):  # these can be compared, and have no order
        try:
            return sorted(values)
        except TypeError:
            pass
    try:
        return sorted(values, key=lambda item: (type(item).__name__, encode(item)))
    except InvalidRequestError:
        return list(values)  # the error gets the path of the item


def _refuse_missing(value: Any) -> None:
    """Raise `TypeError` for a missing value, as the NaT of pandas is, a datetime. Only such a value differs from itself."""
    differs = value != value
    if differs.any() if hasattr(differs, "any") else differs:  # of numpy, perhaps an array
        raise TypeError("NaT, a missing value, has no JSON form; use None or a string")


def _moment(value: Any) -> str:
    _refuse_missing(value)
    text: str = value.isoformat()
    return text


def _duration(value: datetime.timedelta) -> str:
    """Return a duration as ISO 8601 text, in days and seconds, as pydantic writes it."""
    _refuse_missing(value)
    sign, rest = ("-", -value) if value < datetime.timedelta(0) else ("", value)
    days = f"{rest.days}D" if rest.days else ""
    seconds = f"{rest.seconds}.{rest.microseconds:06}".rstrip("0").rstrip(".") if rest.microseconds else str(rest.seconds)
    return f"{sign}P{days}T{seconds}S" if seconds != "0" or not days else f"{sign}P{days}"


def _from_numpy(value: Any) -> Any:
    """Return a numpy scalar as a number, an array as a list."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind in ("M", "m"):
        _refuse_missing(value)
        value = value.astype(f"{kind}8[us]")  # times with nanoseconds would become whole numbers
    return value.tolist()


def _with_text_keys(value: Any) -> Dict[str, Any]:
    return {_name(key, "$"): item for key, item in value.items()}


_Conversion = Tuple[Tuple[type, ...], Callable[[Any], Any]]
#: The conversions of types whose instances have one form, even if their class declares fields.
_VALUES: Tuple[_Conversion, ...] = (
    ((enum.Enum,), operator.attrgetter("value")),
    ((str,), str.__str__),
    ((datetime.datetime, datetime.date, datetime.time), _moment),
    ((datetime.timedelta,), _duration),
    ((uuid.UUID,), str),
    ((pathlib.PurePath,), str),
    ((decimal.Decimal,), _number),
)
#: The conversions of types whose instances have this form only if their class declares no fields.
_COLLECTIONS: Tuple[_Conversion, ...] = (
    ((int,), int),
    ((float,), float),
    ((set, frozenset), _in_order),
    ((list, tuple, deque), list),
    ((Mapping,), _with_text_keys),
)
#: The same conversions by exact type, without subclasses.
_BY_TYPE: Dict[type, Callable[[Any], Any]] = {kind: convert for kinds, convert in (*_VALUES, *_COLLECTIONS) for kind in kinds}


def _converted(value: Any) -> Any:
    """Return *value* one step nearer to the types of JSON; `TypeError` if it has no JSON form."""
    convert = _BY_TYPE.get(type(value)) or _conversion_of(value, _VALUES)
    if convert is not None:
        return convert(value)
    fields = fields_of(value)
    if fields is not None:
        return fields
    if type(value).__module__.split(".", 1)[0] == "numpy" and hasattr(value, "tolist"):
        return _from_numpy(value)
    convert = _conversion_of(value, _COLLECTIONS)
    if convert is not None:
        return convert(value)
    if hasattr(value, "unicode_string"):  # a URL of pydantic
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError("bytes have no JSON form; decode them, or send base64 text")
    raise TypeError(f"an object of type {type(value).__name__} has no JSON form; convert it first")


def _conversion_of(value: Any, conversions: Tuple[_Conversion, ...]) -> Optional[Callable[[Any], Any]]:
    for kinds, convert in conversions:
        if isinstance(value, kinds):
            return convert
    return None

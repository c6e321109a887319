"""Decodes parsed JSON to record classes, strictly. The only importer of cattrs; imported when the first record is decoded.

A record class is an attrs class with a field ``extra``. Declaring it is enough: there is no list of them.

The rules:

- a string is a string and a number a number: nothing is converted silently (cattrs alone would turn None into ``"None"``);
- a field that is null or missing has its default, if the record declares one;
- fields that the record does not have are kept in its ``extra``;
- a time is ISO 8601 text; without an offset it is UTC.

A record class may have a static method ``_prepared``, which changes the known and the unknown fields before they are checked.
"""

from __future__ import annotations

import datetime
import functools
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Type, TypeVar, cast

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from ..errors import ResponseDecodeError, shortened
from ..models import kind_of
from ..times import parse_time

__all__ = ["structure"]

T = TypeVar("T")


class _WrongType(Exception):
    """A value is not of the documented type; the text says what was expected."""


def structure(value: Any, cls: Type[T], path: str) -> T:
    """Return *value* as a *cls*. Raise `ResponseDecodeError` with every problem and its path, which begins with *path*."""
    hook = _hook_of(cls)
    try:
        return cast(T, hook(value, cls))
    except Exception as error:  # cattrs raises groups of what its hooks raised; each of these is a problem with the shape
        problems = tuple(_problems(error, path)) or (f"{path}: {error}",)
        raise ResponseDecodeError(
            f"the response has another shape than promised: {shortened('; '.join(problems))}", problems=problems
        ) from error


def _problems(error: BaseException, path: str) -> Iterator[str]:
    if isinstance(error, cattrs.ClassValidationError):
        with_notes, without = error.group_exceptions()
        for inner, note in with_notes:
            yield from _problems(inner, f"{path}.{note.name}")
        for inner in without:
            yield from _problems(inner, path)
    elif isinstance(error, cattrs.IterableValidationError):
        of_items, others = error.group_exceptions()
        for inner, item in of_items:
            index = item.index if isinstance(item.index, int) else repr(item.index)
            yield from _problems(inner, f"{path}[{index}]")
        for inner in others:
            yield from _problems(inner, path)
    elif isinstance(error, KeyError):
        yield f"{path}: missing"  # the note that was followed has the name of the field
    else:
        yield f"{path}: {error}"


def _exactly(kind: type, name: str) -> Any:
    def check(value: Any, _: Any) -> Any:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise _WrongType(f"expected {name}, not {kind_of(value)}")
        return value

    return check


def _time(value: Any, _: Any) -> datetime.datetime:
    try:
        moment = parse_time(value) if isinstance(value, str) else None
    except ValueError as error:
        raise _WrongType(f"expected a time, not {value!r}: {error}") from error
    if moment is None:
        shown = repr(value) if isinstance(value, str) else kind_of(value)
        raise _WrongType(f"expected a time such as 2026-11-21T01:09:53+00:00, not {shown}")
    return moment


_HOOKS: Dict[Any, Any] = {
    Optional[str]: _exactly(str, "a string"),
    Optional[datetime.datetime]: _time,
    Dict[str, Any]: _exactly(dict, "an object"),
}


def _is_object(kind: Any) -> bool:
    return bool(kind == Dict[str, Any])


def _make_hook(cls: Any) -> Any:
    """Return the function that makes a *cls* from parsed JSON. Raise `TypeError` if *cls* is not a record class."""
    attrs.resolve_types(cls)
    fields = attrs.fields_dict(cls)
    if "extra" not in fields:
        raise TypeError(f"{cls.__name__} has no field 'extra': fields that it does not know would be lost")
    lists = {name for name, field in fields.items() if getattr(field.type, "__origin__", None) in (list, tuple)}
    needed = {name for name, field in fields.items() if field.default is attrs.NOTHING}
    known_names = fields.keys() - {"extra"}
    # The hook below removes a null of a field that has a default, so the hooks of the fields do not have to.
    hooks: Dict[str, Any] = {
        name: override(struct_hook=_HOOKS[field.type]) for name, field in fields.items() if field.type in _HOOKS
    }
    inner = make_dict_structure_fn(cls, _converter, **hooks)
    prepared: Optional[Callable[[Dict[str, Any], Dict[str, Any]], None]] = getattr(cls, "_prepared", None)

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise _WrongType(f"expected an object, not {kind_of(value)}")
        known = dict(value)
        unknown = value.keys() - known_names
        extra = {name: known.pop(name) for name in value if name in unknown} if unknown else {}
        if None in known.values():
            known = {name: item for name, item in known.items() if item is not None or name in needed}
        if prepared is not None:
            prepared(known, extra)
        for name in lists & known.keys() if lists else ():
            if not isinstance(known[name], list):
                known[name] = _NotAList(known[name])
        known["extra"] = extra
        return inner(known, cls)

    return hook


class _NotAList:
    """Raises when cattrs iterates over it, so that cattrs adds the path to the error."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __iter__(self) -> Any:
        raise _WrongType(f"expected a list, not {kind_of(self.value)}")


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=True)
    simple: List[Tuple[type, str]] = [(str, "a string"), (int, "a whole number"), (bool, "a boolean")]
    for kind, name in simple:
        converter.register_structure_hook(kind, _exactly(kind, name))
    converter.register_structure_hook(datetime.datetime, _time)
    converter.register_structure_hook_func(_is_object, _exactly(dict, "an object"))
    converter.register_structure_hook_factory(attrs.has, _hook_of)
    return converter


#: `_make_hook`, once for each class.
_hook_of: Callable[[Any], Any] = functools.cache(_make_hook)
_converter = _make_converter()

"""Decodes parsed JSON to record classes. The only importer of cattrs; imported when the first record is decoded.

A record class is an attrs class with a field ``extra``. Declaring it is enough: there is no list of them.

The rules:

- a string is a string and a number a number: nothing is converted silently (cattrs alone would turn None into ``"None"``);
- a field that is null or missing has its default, if the record declares one;
- a field of another type than documented has its default too, and its value is kept in ``extra``: a call that took effect must not
  fail because of it. It is an error for a field without a default, and for one that is declared ``strict``, since a conclusion is
  drawn from it;
- the metadata ``unreadable`` of a field without a default is the value that it has if it is missing or of another type;
- open questions may have any of the shapes that servers use: an object or any other value, in a list or in an object by task id;
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

from ..call import raise_foreign
from ..errors import ResponseDecodeError
from ..models import Interrupt, kind_of
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
        raise_foreign(error)
        problems = tuple(_problems(error, path)) or (f"{path}: {error}",)
        raise ResponseDecodeError._of_shape(*problems) from error


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


def _number(value: Any, _: Any) -> Any:
    return _exactly(float, "a number")(float(value) if type(value) is int else value, _)


def _time(value: Any, _: Any) -> datetime.datetime:
    try:
        moment = parse_time(value) if isinstance(value, str) else None
    except ValueError as error:
        raise_foreign(error)
        raise _WrongType(f"expected a time, not {value!r}: {error}") from error
    if moment is None:
        shown = repr(value) if isinstance(value, str) else kind_of(value)
        raise _WrongType(f"expected a time such as 2026-11-21T01:09:53+00:00, not {shown}")
    return moment


def _question(value: Any) -> Interrupt:
    return cast(Interrupt, _hook_of(Interrupt)(value, Interrupt)) if isinstance(value, dict) else Interrupt(value=value)


def _questions(value: Any, _: Any) -> List[Interrupt]:
    if isinstance(value, dict):
        return [_question(value)] if "value" in value else [item for of_task in _by_task(value, _).values() for item in of_task]
    if not isinstance(value, list):
        raise _WrongType(f"expected a list, not {kind_of(value)}")
    return [_question(item) for item in value]


def _by_task(value: Any, _: Any) -> Dict[str, List[Interrupt]]:
    if isinstance(value, list):
        return {"": _questions(value, _)} if value else {}
    if not isinstance(value, dict):
        raise _WrongType(f"expected an object, not {kind_of(value)}")
    return {task: _questions(items if isinstance(items, (list, dict)) else [items], _) for task, items in value.items()}


_HOOKS: Dict[Any, Any] = {
    Optional[str]: _exactly(str, "a string"),
    Optional[datetime.datetime]: _time,
    Optional[float]: _number,
    Dict[str, Any]: _exactly(dict, "an object"),
    List[Interrupt]: _questions,
    Dict[str, List[Interrupt]]: _by_task,
}


def _is_object(kind: Any) -> bool:
    return bool(kind == Dict[str, Any])


def _make_hook(cls: Any) -> Any:
    """Return the function that makes a *cls* from parsed JSON. Raise `TypeError` if *cls* is not a record class."""
    attrs.resolve_types(cls)
    fields = attrs.fields_dict(cls)
    if "extra" not in fields:
        raise TypeError(f"{cls.__name__} has no field 'extra': fields that it does not know would be lost")
    lists = {
        name
        for name, field in fields.items()
        if field.type not in _HOOKS and getattr(field.type, "__origin__", None) in (list, tuple)
    }
    if_unreadable = {name: field.metadata["unreadable"] for name, field in fields.items() if "unreadable" in field.metadata}
    needed = {name for name, field in fields.items() if field.default is attrs.NOTHING} - if_unreadable.keys()
    strict = needed | {name for name, field in fields.items() if field.metadata.get("strict")}
    known_names = fields.keys() - {"extra"} - {name for name, field in fields.items() if field.metadata.get("ours")}
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
        if not if_unreadable.keys() <= known.keys():
            known = {**if_unreadable, **known}
        try:
            return inner(known, cls)
        except cattrs.ClassValidationError as error:
            raise_foreign(error)
            unreadable = {note.name for _, note in error.group_exceptions()[0]} - strict
            if not unreadable:
                raise
        for name in unreadable:
            found = known.pop(name)
            extra[name] = found.value if isinstance(found, _NotAList) else found
        return inner({**if_unreadable, **known}, cls)

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

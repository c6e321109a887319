"""Parse the values of arguments: JSON, ``key=value`` pairs, files, times.

A value that cannot be parsed is a usage error: `CommandError`, or ``argparse.ArgumentTypeError`` in the functions for argparse.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import re
import sys
from typing import Any, Dict, List, Optional, Sequence, Tuple

from .. import exit_codes
from .command import CommandError

__all__ = [
    "count",
    "duration",
    "file_text",
    "flat",
    "json_object",
    "json_value",
    "limit",
    "moment",
    "names",
    "nested",
    "pair",
    "parse_json",
    "read_input",
    "value_of",
]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w|)")
_SECONDS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def _usage_error(text: str) -> CommandError:
    return CommandError(text, exit_codes.USAGE)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def parse_json(text: str) -> Any:
    """Return the value of a JSON text; raise ``ValueError`` if it is not JSON, or contains NaN or an infinity."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _checked(name: str, text: str) -> str:
    # A byte that is not a character in the locale is passed by Python as a lone surrogate.
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise _usage_error(f"{name}: not text in this locale; give it in a file, in UTF-8")
    return text


def json_value(name: str, text: str) -> Any:
    """Return the JSON value of the option *name*: from *text*, or from a file if *text* is ``@PATH``."""
    where = name
    if text.startswith("@"):
        where, text = f"{name} {text}", file_text(name, text[1:])
    try:
        return parse_json(_checked(name, text))
    except ValueError as error:
        raise _usage_error(f"{where}: not JSON: {error}") from None


def json_object(name: str, text: str) -> Dict[str, Any]:
    """Return the same value, which must be a JSON object."""
    value = json_value(name, text)
    if not isinstance(value, dict):
        raise _usage_error(f'{name}: give a JSON object, such as {{"key": 1}}')
    return value


def file_text(name: str, path: str) -> str:
    """Return the text of a file, or of stdin for ``-``; in UTF-8, whatever the locale."""
    try:
        if path == "-":
            if sys.stdin is None:
                raise _usage_error(f"{name} -: there is no stdin")
            data = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:
                data = file.read()
    except OSError as error:
        raise _usage_error(f"{name} {path}: {error.strerror or error}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _usage_error(f"{name} {path}: not UTF-8: {error.reason} at byte {error.start}") from None


def value_of(text: str) -> Any:
    """Return the value of *text* if it is JSON, else *text* itself.

    >>> value_of("3"), value_of("true"), value_of('"3"'), value_of("tides"), value_of("NaN"), value_of("007")
    (3, True, '3', 'tides', 'NaN', '007')
    """
    try:
        return parse_json(text)
    except ValueError:
        return text


def pair(text: str) -> Tuple[str, str]:
    """Split ``key=value``; for argparse."""
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise argparse.ArgumentTypeError(f"{text!r}: give key=value")
    return key, value


def nested(name: str, pairs: Sequence[Tuple[str, str]], *, base: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
    """Merge ``key=value`` pairs into a copy of *base*; ``a.b`` names the key ``b`` of the object ``a``.

    >>> nested("input", [("topic", "tides"), ("options.words", "30")])
    {'topic': 'tides', 'options': {'words': 30}}
    """
    whole = dict(base or {})
    for key, text in pairs:
        place = whole
        *path, last = _checked(name, key).split(".")
        if not all([*path, last]):
            raise _usage_error(f"{name}: {key!r}: an empty name between dots")
        for part in path:
            inner = place.get(part)
            if inner is not None and not isinstance(inner, dict):
                raise _usage_error(f"{name}: {key!r}: {part!r} has a value already")
            inner = place[part] = dict(inner or {})
            place = inner
        place[last] = value_of(_checked(name, text))
    return whole


def flat(name: str, pairs: Optional[Sequence[Tuple[str, str]]]) -> Optional[Dict[str, Any]]:
    """Return the object that ``key=value`` pairs make, without treating dots in keys specially; None for no pairs."""
    return {_checked(name, key): value_of(_checked(name, text)) for key, text in pairs} if pairs else None


def read_input(args: argparse.Namespace) -> Any:
    """Return the input of a run: ``--input`` or ``--input-file``, with the ``key=value`` pairs merged into it."""
    if args.input is not None and args.input_file is not None:
        raise _usage_error("--input excludes --input-file")
    base: Any = None
    if args.input is not None:
        base = json_value("--input", args.input)
    elif args.input_file is not None:
        text = file_text("--input-file", args.input_file)
        try:
            base = parse_json(text)
        except ValueError as error:
            raise _usage_error(f"--input-file {args.input_file}: not JSON: {error}") from None
    if not args.pairs:
        return base
    if base is not None and not isinstance(base, dict):
        raise _usage_error("key=value pairs need an input that is a JSON object")
    return nested("input", args.pairs, base=base)


def names(texts: Optional[List[str]]) -> Any:
    """Return the names in comma-separated lists, ``"*"`` if the only name is ``*`` (all), or None for no names."""
    found = [name.strip() for text in texts or () for name in text.split(",") if name.strip()]
    return "*" if found == ["*"] else found or None


def duration(text: str) -> float:
    """Return the seconds of ``90``, ``1.5s``, ``10m``, ``2h``, ``7d`` or ``1h30m``; for argparse.

    >>> duration("90"), duration("1h30m"), duration("250ms")
    (90.0, 5400.0, 0.25)
    """
    parts = _DURATION.findall(text)
    whole = "".join(number + unit for number, unit in parts) == text
    if not parts or not whole or (len(parts) > 1 and not all(unit for _, unit in parts)):
        raise argparse.ArgumentTypeError(f"{text!r}: give a time such as 90, 90s, 10m, 2h, 7d or 1h30m")
    seconds = math.fsum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r}: that is more than thirty years")
    return seconds


def limit(text: str) -> float:
    """Return a duration greater than 0, in seconds; for argparse."""
    seconds = duration(text)
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text!r}: give a time longer than 0")
    return seconds


def limit_or_none(text: str) -> Optional[float]:
    """Return a duration greater than 0, in seconds, or None for the word ``none``; for argparse."""
    return None if text.strip().lower() == "none" else limit(text)


def moment(text: str) -> datetime.datetime:
    """Return a point in time: ISO 8601 (local time if it has no offset), or a duration before now such as ``7d``; for argparse."""
    try:
        ago = duration(text)
    except argparse.ArgumentTypeError:
        pass
    else:
        return datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=ago)
    try:
        found = datetime.datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give a time as 2026-01-31T12:00:00Z, or how long ago, as 7d") from None
    return found if found.tzinfo is not None else found.astimezone()


def count(least: int) -> Any:
    """Return a function that parses a whole number of at least *least*; for argparse."""

    def whole(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: give a whole number of at least {least}")
        return int(text)

    return whole

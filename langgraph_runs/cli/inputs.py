"""What is typed becomes values: JSON, ``key=value`` pairs, files, times. What cannot be meant is a wrong call, of one line."""

from __future__ import annotations

import argparse
import datetime
import json
import math
import re
import sys
from typing import Any, Dict, List, Optional, Sequence, Tuple

from . import codes
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
    "parsed",
    "read_input",
    "value_of",
]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w|)")
_SECONDS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def _usage(text: str) -> CommandError:
    return CommandError(text, codes.USAGE)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def parsed(text: str) -> Any:
    """The value of a JSON text; `ValueError` where it is none, which NaN is not either."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _checked(name: str, text: str) -> str:
    # A byte of the command line that the locale has no character for comes as half of a pair.
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise _usage(f"{name}: not text in this locale; give it in a file, in UTF-8")
    return text


def json_value(name: str, text: str) -> Any:
    """The JSON that an option was given, or that stands in the file which it names as ``@PATH``."""
    where = name
    if text.startswith("@"):
        where, text = f"{name} {text}", file_text(name, text[1:])
    try:
        return parsed(_checked(name, text))
    except ValueError as error:
        raise _usage(f"{where}: not JSON: {error}") from None


def json_object(name: str, text: str) -> Dict[str, Any]:
    """The same, where only an object can be meant."""
    value = json_value(name, text)
    if not isinstance(value, dict):
        raise _usage(f'{name}: give a JSON object, such as {{"key": 1}}')
    return value


def file_text(name: str, path: str) -> str:
    """What stands in a file, ``-`` for stdin, in UTF-8 whatever the locale."""
    try:
        if path == "-":
            if sys.stdin is None:
                raise _usage(f"{name} -: there is no stdin")
            data = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:
                data = file.read()
    except OSError as error:
        raise _usage(f"{name} {path}: {error.strerror or error}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _usage(f"{name} {path}: not UTF-8: {error.reason} at byte {error.start}") from None


def value_of(text: str) -> Any:
    """JSON where it is some, else the text itself.

    >>> value_of("3"), value_of("true"), value_of('"3"'), value_of("tides"), value_of("NaN"), value_of("007")
    (3, True, '3', 'tides', 'NaN', '007')
    """
    try:
        return parsed(text)
    except ValueError:
        return text


def pair(text: str) -> Tuple[str, str]:
    """Key and text of ``key=value``, for argparse."""
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise argparse.ArgumentTypeError(f"{text!r}: give key=value")
    return key, value


def nested(name: str, pairs: Sequence[Tuple[str, str]], *, base: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
    """The object that pairs make, laid over *base*; a dot in a key goes one level down.

    >>> nested("input", [("topic", "tides"), ("options.words", "30")])
    {'topic': 'tides', 'options': {'words': 30}}
    """
    whole = dict(base or {})
    for key, text in pairs:
        place = whole
        *path, last = _checked(name, key).split(".")
        if not all([*path, last]):
            raise _usage(f"{name}: {key!r}: an empty name between dots")
        for part in path:
            inner = place.get(part)
            if inner is not None and not isinstance(inner, dict):
                raise _usage(f"{name}: {key!r}: {part!r} has a value already")
            inner = place[part] = dict(inner or {})
            place = inner
        place[last] = value_of(_checked(name, text))
    return whole


def flat(name: str, pairs: Optional[Sequence[Tuple[str, str]]]) -> Optional[Dict[str, Any]]:
    """The object that pairs make, dots being part of their keys; None for none."""
    return {_checked(name, key): value_of(_checked(name, text)) for key, text in pairs} if pairs else None


def read_input(args: argparse.Namespace) -> Any:
    """The input of a run: --input or --input-file, with the ``key=value`` pairs laid over it."""
    if args.input is not None and args.input_file is not None:
        raise _usage("--input excludes --input-file")
    base: Any = None
    if args.input is not None:
        base = json_value("--input", args.input)
    elif args.input_file is not None:
        text = file_text("--input-file", args.input_file)
        try:
            base = parsed(text)
        except ValueError as error:
            raise _usage(f"--input-file {args.input_file}: not JSON: {error}") from None
    if not args.pairs:
        return base
    if base is not None and not isinstance(base, dict):
        raise _usage("key=value pairs need an input that is a JSON object")
    return nested("input", args.pairs, base=base)


def names(texts: Optional[List[str]]) -> Any:
    """Names given with commas between, or by several options; ``*`` alone stands for all."""
    found = [name.strip() for text in texts or () for name in text.split(",") if name.strip()]
    return "*" if found == ["*"] else found or None


def duration(text: str) -> float:
    """Seconds of ``90``, ``1.5s``, ``10m``, ``2h``, ``7d``, ``1h30m``, for argparse.

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
    """A duration that is longer than nothing, for argparse."""
    seconds = duration(text)
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text!r}: give a time longer than 0")
    return seconds


def moment(text: str) -> datetime.datetime:
    """A point in time: ISO 8601, in this machine's time zone unless it says another, or how long ago, such as ``7d``."""
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
    """A whole number of at least *least*, for argparse."""

    def whole(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: give a whole number of at least {least}")
        return int(text)

    return whole

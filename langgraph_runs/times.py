"""Times as the server sends them: ISO 8601 text to aware datetimes. The one parser of them; needs nothing of the package."""

from __future__ import annotations

import datetime
import re
from typing import Optional

__all__ = ["parse_time"]

_TIME = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|z|[+-]\d\d:?\d\d)?\Z", re.ASCII)


def parse_time(text: str) -> Optional[datetime.datetime]:
    """Return *text* as an aware datetime, or None if it is not a date and a time. Raise `ValueError` if there is no such date.

    A time without an offset is UTC. Digits after the microseconds are cut off.

    >>> parse_time("2026-11-21T01:09:53.1042059Z"), parse_time("yesterday")
    (datetime.datetime(2026, 11, 21, 1, 9, 53, 104205, tzinfo=datetime.timezone.utc), None)
    """
    # datetime.fromisoformat takes other forms in each version of Python; before 3.11 neither Z nor nanoseconds.
    found = _TIME.match(text)
    if found is None:
        return None
    whole, fraction, offset = found.groups()
    offset = "+00:00" if offset in (None, "Z", "z") else offset if ":" in offset else f"{offset[:3]}:{offset[3:]}"
    return datetime.datetime.fromisoformat(f"{whole}.{(fraction or '0')[:6].ljust(6, '0')}{offset}")

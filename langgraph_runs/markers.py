"""The marker that tells the runs of one create from all other runs: where it is written, and how it is read again.

Each create writes a value of its own into its body, since gateways change headers, but not bodies: into ``metadata`` and, for
servers that do not keep the metadata of runs, into ``config.metadata``. When the server's objects are decoded, the marker is taken
out again: it is not the caller's.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from typing import Any, Dict, List, Optional, Tuple

__all__ = [
    "BATCH_ITEM",
    "KEPT",
    "KEYED",
    "LOCK",
    "MARKER",
    "RELEASED",
    "SEEN",
    "TEMPORARY",
    "THREAD_USE",
    "fingerprint_in",
    "has_metadata",
    "is_cut",
    "is_in_metadata",
    "key_in",
    "keyed_marker",
    "marker_in",
    "shown_request_id",
    "take_marker",
    "without_marker",
]

#: The field of the metadata that has the marker.
MARKER = "langgraph_runs_request_id"
#: The field of the metadata that has the position of a run in the request of `create_batch`, whose runs share a marker.
BATCH_ITEM = "langgraph_runs_batch_item"
#: The field of the metadata of a thread that the library made for one run, and its values: the library deletes the thread when the
#: run has ended, or it stays for the caller, or it has the run of an idempotency key.
THREAD_USE, TEMPORARY, KEPT, KEYED = "langgraph_runs_thread", "temporary", "kept", "keyed"
#: Fields of the metadata of a thread that is a lock (see `runs.locks`): which call created it, whether that call has given it back,
#: and which call has seen it since.
LOCK, RELEASED, SEEN = "langgraph_runs_lock", "langgraph_runs_released", "langgraph_runs_seen"
_FIELDS = (MARKER, BATCH_ITEM, THREAD_USE, LOCK, RELEASED, SEEN)

#: What is left of a UUID that was cut, or masked by a filter for personal data.
_CUT_UUID = re.compile(r"[0-9a-f-]{1,35}|[^0-9a-zA-Z]+|\W*(redacted|masked|removed|hidden)\W*", re.IGNORECASE)

#: Where servers show the metadata of a run or a thread.
_PLACES: Tuple[Tuple[str, ...], ...] = (("metadata",), ("config", "metadata"), ("kwargs", "config", "metadata"))


def marker_in(value: Any) -> Optional[str]:
    """Return the marker of a run or a thread, given as parsed JSON; None if it has none.

    >>> marker_in({"metadata": {MARKER: "0d9f"}}), marker_in({"config": {"metadata": {MARKER: "0d9f"}}})
    ('0d9f', '0d9f')
    """
    return next((found for place in _PLACES for found in [_at(value, (*place, MARKER))] if isinstance(found, str)), None)


def is_in_metadata(value: Any) -> bool:
    """Return True if a run or a thread, given as parsed JSON, has a marker in the metadata of its own."""
    return isinstance(_at(value, ("metadata", MARKER)), str)


def has_metadata(value: Any) -> bool:
    """Return True if a run or a thread, given as parsed JSON, has one of the objects that a marker would be in."""
    return any(isinstance(_at(value, place), dict) for place in (("metadata",), ("config",), ("kwargs", "config")))


def shown_request_id(marker: str) -> str:
    """Return the request id in a marker: the ``x-request-id`` that the caller gave, else the one that the library made.

    >>> shown_request_id("job 7 9f0c2a34"), shown_request_id("9f0c2a34")
    ('job 7', '9f0c2a34')
    """
    return marker.rpartition(" ")[0] or _made_here(marker)[0]


def keyed_marker(marker: str, key: str, fingerprint: Mapping[str, str]) -> str:
    """Return *marker* with the id of an idempotency key, and with the fingerprint of the run: a digest for each field.

    All are in one value, since servers merge the metadata of a thread into that of its runs: so a run that was created without the
    key never has the key of another one beside a marker of its own.

    >>> keyed_marker("0d9f", "k1", {"input": "ab"})
    '0d9f;k1;input=ab'
    """
    fields = [f"{urllib.parse.quote(name, safe='')}={digest}" for name, digest in sorted(fingerprint.items())]
    return ";".join([marker, key, *fields])


def key_in(marker: Optional[str]) -> Optional[str]:
    """Return the id of the idempotency key in a marker, or None.

    >>> key_in("job 7 0d9f;k1;input=ab"), key_in("0d9f")
    ('k1', None)
    """
    _, *rest = _made_here(marker)
    return rest[0] if rest else None


def fingerprint_in(marker: Optional[str]) -> Dict[str, str]:
    """Return the fingerprint in a marker.

    >>> fingerprint_in("0d9f;k1;input=ab;config=cd")
    {'input': 'ab', 'config': 'cd'}
    """
    pairs = (field.partition("=") for field in _made_here(marker)[2:])
    return {urllib.parse.unquote(name): digest for name, _, digest in pairs}


def is_cut(marker: str) -> bool:
    """Return True if *marker* is only the beginning of one, as servers and gateways leave it that limit the length of metadata, or
    if it is masked.

    Such a marker does not say which create made the run.

    >>> is_cut("9f0c2a34-0000-4"), is_cut("9f0c2a34-0000-4000-a000-000000000000;861c"), is_cut("made by another program")
    (True, True, False)
    >>> is_cut("***")
    True
    """
    made_here = _made_here(marker)
    return any(_CUT_UUID.fullmatch(part) for part in made_here[:2])


def _made_here(marker: Optional[str]) -> List[str]:
    """Return the parts of a marker without the id that the caller gave: see `keyed_marker`."""
    return (marker or "").rpartition(" ")[2].split(";")


def take_marker(*records: Dict[str, Any]) -> Optional[str]:
    """Remove the marker from the fields of *records*, which share one object of the server. Return it, or None if there is none.

    >>> fields = {"metadata": {"customer": "ada", MARKER: "0d9f"}}
    >>> take_marker(fields), fields
    ('0d9f', {'metadata': {'customer': 'ada'}})
    """
    found: Optional[str] = None
    for fields in records:
        for place in _PLACES:
            metadata = _at(fields, place) if place[0] in fields else None
            if isinstance(metadata, dict) and not metadata.keys().isdisjoint(_FIELDS):
                marker = metadata.get(MARKER)
                found = found or (marker if isinstance(marker, str) else None)
                _clean(fields, list(place), metadata)
    return found


def without_marker(body: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the body of a create without its marker, and without an object that has nothing else.

    >>> without_marker({"input": 1, "metadata": {MARKER: "0d9f"}, "config": {"tags": ["t"], "metadata": {MARKER: "0d9f"}}})
    {'input': 1, 'config': {'tags': ['t']}}
    """
    left = dict(body)
    if take_marker(left) is not None:
        for name in ("metadata", "config"):
            if left.get(name) == {}:
                del left[name]
    return left


def _clean(fields: Dict[str, Any], place: List[str], metadata: Dict[str, Any]) -> None:
    """Replace the *metadata* at *place* by a copy without the fields of this module. What *fields* refers to is not changed.

    The metadata of a config that have nothing else are left out: the caller gave none.
    """
    cleaned: Dict[str, Any] = {name: value for name, value in metadata.items() if name not in _FIELDS}
    while len(place) > 1:
        name = place.pop()
        above = dict(_at(fields, tuple(place)))
        if cleaned or name != "metadata":
            above[name] = cleaned
        else:
            del above[name]
        cleaned = above
    fields[place[0]] = cleaned


def _at(value: Any, path: Tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(value, (dict, Mapping)):  # dict first: the check for Mapping is slower
            return None
        value = value.get(name)
    return value

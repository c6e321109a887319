"""The items of ``create_batch``: checked, cut into requests that are not too large, and told apart when one of those fails."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence, Tuple

import attrs

from ..errors import InvalidRequestError, LangGraphRunsError
from ..models import Run
from ..payloads import RunCreate, to_body
from ..serialization import encode
from ..validation import check_known

__all__ = ["batch_item", "note_batch", "split_batch"]


def batch_item(index: int, item: Any) -> RunCreate:
    """One item of a batch, checked; errors name its place."""
    if isinstance(item, RunCreate):
        return item
    if not isinstance(item, Mapping):
        raise InvalidRequestError(f"payloads[{index}]: give a RunCreate or a dict, not {type(item).__name__}")
    try:
        check_known("RunCreate", item, {field.name for field in attrs.fields(RunCreate)})
        return RunCreate(**{"assistant_id": None, **item})
    except InvalidRequestError as error:
        raise InvalidRequestError(f"payloads[{index}]: {error}") from None


def split_batch(items: Sequence[RunCreate], *, max_items: int, max_bytes: int) -> List[Tuple[List[int], Optional[bytes]]]:
    """The requests for *items*: the places of those in it, and its body; None for a single item that has a thread of its own.

    An item that is larger than *max_bytes* gets a request of its own.

    >>> items = [RunCreate(assistant_id="a", input=n) for n in range(3)]
    >>> [(places, len(body or b"")) for places, body in split_batch(items, max_items=2, max_bytes=1000)]
    [([0, 1], 63), ([2], 32)]
    """
    batches: List[Tuple[List[int], Optional[bytes]]] = []
    alone: List[Tuple[List[int], Optional[bytes]]] = []
    places: List[int] = []
    parts: List[bytes] = []
    size = 1

    def finish() -> None:
        if places:
            batches.append((list(places), b"[" + b",".join(parts) + b"]"))
            places.clear()
            parts.clear()

    for index, item in enumerate(items):
        try:
            part = encode(to_body(item))
        except InvalidRequestError as error:
            raise InvalidRequestError(f"payloads[{index}]: {error._text}") from None
        if item.thread_id is not None:
            alone.append(([index], None))
            continue
        if len(places) == max_items or size + len(part) + 1 > max_bytes:
            finish()
            size = 1
        places.append(index)
        parts.append(part)
        size += len(part) + 1
    finish()
    return batches + alone


def note_batch(error: LangGraphRunsError, created: Mapping[int, Run], uncertain: Sequence[int]) -> None:
    """Let *error* say what of a batch exists and what may."""
    error.created = dict(created)
    error.uncertain = tuple(uncertain)
    if created:
        error._text += f"; payloads {_spans(created)} were created before"
    if uncertain:
        error._text += f"; payloads {_spans(uncertain)} may have been"


def _spans(places: Any) -> str:
    """Places, those that follow one another as one.

    >>> _spans([5, 0, 1, 2])
    '0-2, 5'
    """
    spans: List[List[int]] = []
    for place in sorted(places):
        if spans and place == spans[-1][1] + 1:
            spans[-1][1] = place
        else:
            spans.append([place, place])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)

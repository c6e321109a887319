"""The history of a thread: its states, newest first. Servers take the place before which it begins in different forms."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from ..call import Scope
from ..errors import APIStatusError, BadRequestError, InternalServerError, UnprocessableEntityError
from ..http import NO_OPTIONS, CommonOptions, Transport
from ..models import ThreadState
from ..serialization import decode_list
from .own_response import own_record
from .paths import thread_path
from .request import build, fetch_json, given, place_of
from .select import selected

__all__ = ["get_history", "get_history_once"]

#: The maximum number of states that servers return at once.
_MOST = 1000
#: The statuses with which servers refuse a form of ``before`` that they do not know.
_REFUSED = (BadRequestError, UnprocessableEntityError, InternalServerError)


def get_history(
    transport: Transport,
    scope: Scope,
    thread_id: str,
    options: CommonOptions = NO_OPTIONS,
    *,
    limit: int,
    before: Optional[str] = None,
    metadata: Optional[Mapping[str, Any]] = None,
    checkpoint: Any = None,
    select: Sequence[str] = (),
) -> List[ThreadState]:
    """Return at most *limit* states, newest first: those older than the checkpoint with the id *before*, if it is given.

    If the server takes *before* in none of the known forms, or ignores it, more states are requested and filtered here. Fields that
    *select* does not name are left out, if it is given.
    """
    body: Dict[str, Any] = given(metadata=metadata, checkpoint=place_of(checkpoint))
    if select:
        # The ids of checkpoints show whether the server ignores *before*.
        body["select"] = [*select, *(["checkpoint"] if before is not None and "checkpoint" not in select else [])]
    states = _get(transport, scope, thread_path(thread_id, "history"), options, limit, before, body)
    return [selected(state, select) for state in states]


def _get(
    transport: Transport,
    scope: Scope,
    path: str,
    options: CommonOptions,
    limit: int,
    before: Optional[str],
    body: Mapping[str, Any],
) -> List[ThreadState]:
    def newest(number: int) -> List[ThreadState]:
        request = build("POST", path, options, body={"limit": number, **body})
        return decode_list(fetch_json(transport, scope, request), ThreadState)

    if before is None:
        return newest(limit)
    config = {"configurable": {"checkpoint_id": before}}
    try:
        request = build("POST", path, options, body={"limit": limit, **body, "before": config})
        states = decode_list(fetch_json(transport, scope, request), ThreadState)
    except (BadRequestError, UnprocessableEntityError) as error:
        request = build("POST", path, options, body={"limit": limit, **body, "before": before})
        try:
            # Sent once: a server that cannot interpret it may respond with 500.
            states = decode_list(own_record(transport.send(request, scope)), ThreadState)
        except _REFUSED:
            return _older(newest, before, limit, error)
    return _older(newest, before, limit, None) if _ignores(states, before) else states


def get_history_once(
    transport: Transport, scope: Scope, thread_id: str, *, limit: int, metadata: Mapping[str, Any]
) -> List[ThreadState]:
    """Return at most *limit* states with this *metadata*, newest first. The request is not repeated when it fails.

    Not every server knows the filter: one ignores it, another responds with status 500.
    """
    request = build("POST", thread_path(thread_id, "history"), body={"limit": limit, "metadata": metadata})
    return decode_list(own_record(transport.send(request, scope)), ThreadState)


def _ignores(states: List[ThreadState], before: str) -> bool:
    """Return True if the *states* may include newer ones than *before*: ids of checkpoints grow with time on all known servers."""
    return any((_id_of(state) or "") >= before for state in states)


def _older(
    newest: Callable[[int], List[ThreadState]], before: str, limit: int, refusal: Optional[APIStatusError]
) -> List[ThreadState]:
    """Return the states that follow *before* among the newest ones. Raise *refusal* if *before* is not among them."""
    number = min(limit + 20, _MOST)
    while True:
        states = newest(number)
        place = next((index for index, state in enumerate(states) if _id_of(state) == before), None)
        found = [] if place is None else states[place + 1 :]
        if len(found) >= limit or len(states) < number:
            break
        if number == _MOST:
            if place is None and refusal is not None:
                raise refusal
            break
        number = min(number * 4, _MOST)
    if place is None:
        found = [state for state in states if (_id_of(state) or "") < before]
    return found[:limit]


def _id_of(state: ThreadState) -> Optional[str]:
    return None if state.checkpoint is None else state.checkpoint.checkpoint_id

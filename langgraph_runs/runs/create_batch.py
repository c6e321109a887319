"""``create_batch``: checks the items, splits them into requests, sends these, and reports after a failure which runs exist."""

from __future__ import annotations

import functools
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import attrs

from .. import api
from ..call import Execution, Scope, at_moments, execution_of, has_api_shape, is_surely_not_executed
from ..errors import APIStatusError, InvalidRequestError, LangGraphRunsError, ResponseDecodeError
from ..http import NO_OPTIONS, CommonOptions, Response
from ..models import Run
from ..payloads import RunCreate, RunsCreatePayload, to_body
from ..serialization import encode
from ..validation import check_known
from .create_once import SETTLING, uncertain_error
from .request_marker import RequestMarker
from .run_lookup import StatelessLookup
from .start import prepare_start
from .starter import RunStarter

__all__ = ["batch_item", "create_runs", "note_batch", "split_batch"]

#: Statuses that cannot be about a single item of a batch.
_REFUSES_THE_WHOLE = frozenset({301, 302, 307, 308, 401, 402, 403, 405, 407, 411, 413, 414, 415, 421, 426, 429, 431, 501, 503, 505})


def create_runs(
    starter: RunStarter,
    payloads: Sequence[Union[RunCreate, Mapping[str, Any]]],
    options: CommonOptions,
    *,
    max_items: int,
    max_bytes: int,
) -> List[Run]:
    """Create runs and return them in the order of *payloads*. An error says which runs exist and which may (see `note_batch`)."""
    items = [batch_item(index, item) for index, item in enumerate(payloads)]
    if not items:
        raise InvalidRequestError("payloads=[]: give at least one run to create")
    marker = RequestMarker.new(options.headers)
    write = functools.partial(marker.write_to, in_config=starter.creator.marks_config)
    batches = split_batch(items, max_items=max_items, max_bytes=max_bytes, write=write)
    created: Dict[int, Run] = {}
    with options.scope(starter.transport) as scope:
        for places, body in batches:
            try:
                if body is None:
                    created[places[0]] = _create_alone(starter, items[places[0]], options, scope)
                else:
                    created.update(_Request(starter, places, body, marker, options, scope).send(created))
            except LangGraphRunsError as error:
                uncertain = [] if _created_nothing(error, places) else [place for place in places if place not in created]
                note_batch(error, created, uncertain)
                raise
    return [created[index] for index in sorted(created)]


def _created_nothing(error: LangGraphRunsError, places: Sequence[int]) -> bool:
    """Return True if the request for these *places* surely created no run."""
    if len(places) > 1 and isinstance(error, APIStatusError) and error.status_code not in _REFUSES_THE_WHOLE:
        return False  # perhaps one item was refused, after runs of others were created
    return is_surely_not_executed(error)


@attrs.frozen
class _Request:
    """One request that creates several runs, each on a thread of its own."""

    starter: RunStarter
    #: The positions of its items among all items.
    places: Sequence[int]
    body: bytes
    marker: RequestMarker
    options: CommonOptions
    scope: Scope

    def send(self, created: Dict[int, Run]) -> Dict[int, Run]:
        """Create the runs and return them by position.

        After a failure that leaves open whether they exist, they are looked up. Those that are found are added to *created*, also
        if the error is raised because others are not found.
        """
        request = api.create_batch_request(self.body, self.options, headers=self.marker.headers)
        try:
            response = self.starter.creator.send_once(request, self.scope, thread_id=None, marker=self.marker, recover=False)
        except LangGraphRunsError as error:
            self.scope.check(error)
            if execution_of(error) is not Execution.UNKNOWN or (isinstance(error, APIStatusError) and has_api_shape(error)):
                raise
            return self._found_after(error, created)
        assert isinstance(response, Response)
        runs = api.create_batch_response(response)
        if len(runs) != len(self.places):
            problem = f"$: expected {len(self.places)} runs, not {len(runs)}"
            message = f"the response does not name all runs: {problem}"
            raise self.scope.identify(ResponseDecodeError(message, problems=(problem,)))
        return dict(zip(self.places, runs))

    def _found_after(self, error: LangGraphRunsError, created: Dict[int, Run]) -> Dict[int, Run]:
        found: Dict[int, Run] = {}
        try:
            lookup = StatelessLookup(
                self.starter.transport, self.starter.traits, self.marker, attrs.evolve(NO_OPTIONS, headers=self.options.headers)
            )
            try:
                for _ in at_moments(self.scope, SETTLING):
                    items = lookup.find_items(self.scope, limit=len(self.places) - len(found), known=found)
                    found.update({place: run for place, run in items.items() if place in self.places})
                    if len(found) == len(self.places):
                        return found
            except LangGraphRunsError as second:
                self.scope.check(second)
                raise uncertain_error(f"looking it up failed ({second})", error, self.marker, self.scope) from second
            finally:
                created.update(found)
            raise uncertain_error(lookup.problem, error, self.marker, self.scope)
        finally:
            del error  # this frame is in the traceback of the error


def _create_alone(starter: RunStarter, item: RunCreate, options: CommonOptions, scope: Scope) -> Run:
    """Create one run on the thread that its item names, within the time that is left for all requests."""
    scope.check()
    left = scope.deadline.remaining()
    own_options = {
        "timeout": left if left is None else max(left, 0.001),
        "signal": options.signal,
        "headers": options.headers,
        "params": options.params,
    }
    start = prepare_start(
        "create", RunsCreatePayload, starter.creator, item.thread_id, item.assistant_id, item.payload, own_options
    )
    with start.options.scope(starter.transport) as own_scope:
        return starter.create(start, own_scope)


def batch_item(index: int, item: Any) -> RunCreate:
    """Return one item of a batch, checked. Errors name its place."""
    if isinstance(item, RunCreate):
        return item
    if not isinstance(item, Mapping):
        raise InvalidRequestError(f"payloads[{index}]: give a RunCreate or a dict, not {type(item).__name__}")
    try:
        check_known("RunCreate", item, {field.name for field in attrs.fields(RunCreate)})
        return RunCreate(**{"assistant_id": None, **item})
    except InvalidRequestError as error:
        raise InvalidRequestError(f"payloads[{index}]: {error}") from None


def split_batch(
    items: Sequence[RunCreate], *, max_items: int, max_bytes: int, write: Optional[Callable[..., None]] = None
) -> List[Tuple[List[int], Optional[bytes]]]:
    """Return the requests for *items*: for each, the places of its items, and its body.

    An item that names a thread gets a request of its own, for which the body is None. An item that is larger than *max_bytes* gets
    a request of its own as well. *write* is called with each body and ``item=``, the item's place, to write the marker.

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
            item_body = to_body(item)
            if write is not None:
                write(item_body, item=index)
            part = encode(item_body)
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
    """Note on *error* which runs of a batch exist, and which may exist."""
    error.created = dict(created)
    error.uncertain = tuple(uncertain)
    if created:
        error._text += f"; payloads {_spans(created)} were created before"
    if uncertain:
        error._text += f"; payloads {_spans(uncertain)} may have been"


def _spans(places: Any) -> str:
    """Return places as text; consecutive places become one range.

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

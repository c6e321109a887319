"""Reads the inputs of a map one at a time, with their keys, payloads and digests. Sends nothing.

An input that cannot be used becomes an `Item` with an error, which is the result of that input; the others are run.
"""

from __future__ import annotations

import operator
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional, Tuple

import attrs

from ..errors import InvalidRequestError, LangGraphRunsError
from ..models import Run
from ..payloads import RunsInvokePayload, RunsWaitPayload, merge_payload, to_body
from ..runs import key_text
from ..serialization import digest_of, encode
from ..validation import check_id, check_known
from .tables import is_table

__all__ = ["InputReader", "Item", "RunsToJoin", "error_at"]

#: Fields that the payload of an input must not set, each with the reason or the remedy.
_SET_BY_MAP = {
    "if_not_exists": "each input gets a thread of its own",
    "multitask_strategy": "each input gets a thread of its own",
    "on_completion": "use keep_threads",
    "on_disconnect": "use on_interrupt",
    "checkpoint": "each input gets a new thread, which has no history",
    "checkpoint_id": "each input gets a new thread, which has no history",
}


@attrs.frozen(kw_only=True)
class Item:
    """One input."""

    index: int
    #: The input as it was given, without the key.
    given: Any
    key: Optional[str] = None
    payload: Optional[RunsWaitPayload] = None
    #: A hash of the content of the input, without the options of the map. Empty without a ledger.
    digest: str = ""
    #: An existing run that is joined; then there is no payload.
    run: Optional[Run] = None
    #: Why the input cannot be run; then there is no payload.
    error: Optional[LangGraphRunsError] = None
    #: Where the input is, for messages: the line or the row of `read_table`, or its index.
    place: str = attrs.field(default=attrs.Factory(lambda item: f"inputs[{item.index}]", takes_self=True))


class InputReader:
    """Reads the inputs of ``map``. Raises `InvalidRequestError` at once for options that no run can have."""

    def __init__(
        self,
        inputs: Iterable[Any],
        options: Mapping[str, Any],
        *,
        key: Optional[Callable[[Any], Any]],
        digests: bool,
    ) -> None:
        _check_iterable("inputs", inputs)
        check_known("map", options, {field.name for field in attrs.fields(RunsWaitPayload)} - {*_SET_BY_MAP, "input", "command"})
        self._common = merge_payload(RunsWaitPayload, None, options, call="map")
        encode(to_body(self._common))  # raises for values that JSON cannot express, before the first input is read
        self._inputs = iter(inputs)
        self._key = key
        self._digests = digests
        self._next = 0
        #: The number of inputs, or None if it is not known.
        self.total = _length(inputs)

    def read(self) -> Optional[Item]:
        """Return the next input, or None at the end.

        Blocks as long as the iterable of the user does. Exceptions of the iterable and of the ``key`` function are raised here. An
        error of the library in place of an input, as `read_table` yields for a row that cannot be read, is the error of the item.
        """
        try:
            given = next(self._inputs)
        except StopIteration:
            return None
        index = self._next
        self._next += 1
        place = getattr(self._inputs, "place", None) or f"inputs[{index}]"
        key: Optional[str] = None
        of_function = None if self._key is None or isinstance(given, LangGraphRunsError) else self._key(given)
        try:
            if self._key is None:
                key, given = _split_pair(given)
            elif not isinstance(given, LangGraphRunsError):
                key = key_text(of_function)
            if isinstance(given, LangGraphRunsError):
                return Item(index=index, place=place, given=None, key=key, error=given)
            payload, digest = self._payload(given), self._digest(given)
            return Item(index=index, place=place, given=given, key=key, payload=payload, digest=digest)
        except InvalidRequestError as error:
            return Item(index=index, place=place, given=given, key=key, error=error_at(place, error))

    def _payload(self, given: Any) -> RunsWaitPayload:
        if not isinstance(given, RunsInvokePayload):
            return attrs.evolve(self._common, input=given)
        for name, remedy in _SET_BY_MAP.items():
            if getattr(given, name, None) is not None:
                raise InvalidRequestError(f"{name} cannot be set for an input: {remedy}")
        for name in ("assistant_id", "thread_id"):
            if getattr(given, name, None) is not None:
                raise InvalidRequestError(f"{name} cannot be set for an input: give a RunsCreatePayload")
        own = {f.name: getattr(given, f.name) for f in attrs.fields(type(given)) if getattr(given, f.name) is not None}
        return attrs.evolve(self._common, **own)

    def _digest(self, given: Any) -> str:
        if not self._digests:
            return ""
        body = to_body(given) if isinstance(given, RunsInvokePayload) else {"input": given}
        return digest_of(body)


class RunsToJoin:
    """Reads the runs of ``join_all``."""

    def __init__(self, runs: Iterable[Any]) -> None:
        _check_iterable("runs", runs)
        self._runs = iter(runs)
        self._next = 0
        #: The number of runs, or None if it is not known.
        self.total = _length(runs)

    def read(self) -> Optional[Item]:
        """Return the next run, or None at the end. Exceptions of the iterable are raised here."""
        try:
            given = next(self._runs)
        except StopIteration:
            return None
        index = self._next
        self._next += 1
        place = f"runs[{index}]"
        run = given
        try:
            if isinstance(given, tuple) and len(given) == 2:
                thread_id, run_id = check_id("thread_id", given[0]), check_id("run_id", given[1])
                run = Run(run_id=run_id, thread_id=thread_id, status="pending")
            if not isinstance(run, Run):
                raise InvalidRequestError(f"give a Run, or a pair of thread id and run id, not {type(given).__name__}")
        except InvalidRequestError as error:
            return Item(index=index, place=place, given=given, error=error_at(place, error))
        return Item(index=index, place=place, given=given, run=run)


def error_at(place: str, error: InvalidRequestError) -> InvalidRequestError:
    """Return an error with the same text that names the input."""
    return InvalidRequestError(f"{place}: {error._text}")


def _check_iterable(name: str, given: Any) -> None:
    if isinstance(given, Mapping):
        raise InvalidRequestError(f"{name}: give its items(), pairs of a key and an input, not the dict itself")
    if is_table(given):
        # The iterator of a table yields the names of its columns, or the columns, and not its rows.
        remedy = f"read_table(...) of the {type(given).__name__}, which yields its rows" if name == "inputs" else "a list of pairs"
        raise InvalidRequestError(f"{name}: give {remedy}")
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise InvalidRequestError(f"{name}: give a list, a generator or another iterable, not {type(given).__name__}")


def _length(given: Any) -> Optional[int]:
    """Return the number of items of *given*, or None if it is not known."""
    length = -1 if isinstance(given, Iterator) else operator.length_hint(given, -1)
    return None if length < 0 else length


def _split_pair(given: Any) -> Tuple[Optional[str], Any]:
    """Return the key and the input of a tuple of two, or None and *given* itself. Raise for a tuple of two without a key."""
    if not isinstance(given, tuple) or len(given) != 2:
        return None, given
    try:
        return key_text(given[0]), given[1]
    except InvalidRequestError as error:
        raise InvalidRequestError(
            f"a tuple of two is a key and an input, and {error._text}; if both are the input, give a list"
        ) from None

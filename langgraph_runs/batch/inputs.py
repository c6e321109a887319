"""The inputs of a map, read one at a time: key, payload, and what tells one input from another. Nothing is sent here."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any, Callable, Iterable, Mapping, Optional, Sized

import attrs

from ..errors import InvalidRequestError, LangGraphRunsError
from ..models import Run
from ..payloads import RunsInvokePayload, RunsWaitPayload, merge_payload, to_body
from ..serialization import encode, parse
from ..validation import check_id, check_known

__all__ = ["InputReader", "Item", "RunsToJoin"]

#: Fields of a payload that are the map's own business, and what to say instead.
_OURS = {
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
    #: What was given, the key aside.
    given: Any
    key: Optional[str] = None
    payload: Optional[RunsWaitPayload] = None
    #: What is told apart by: of the input alone, not of the options of the map. Empty where nobody asked.
    digest: str = ""
    #: A run that is only to be joined.
    run: Optional[Run] = None
    #: Why it cannot be run, in place of a payload.
    error: Optional[LangGraphRunsError] = None


class InputReader:
    """Reads items from what the user gave, in the thread that asks."""

    def __init__(
        self,
        inputs: Iterable[Any],
        options: Mapping[str, Any],
        *,
        key: Optional[Callable[[Any], Any]],
        digests: bool,
    ) -> None:
        _check_iterable("inputs", inputs)
        if key is not None and not callable(key):
            raise InvalidRequestError(f"key={key!r}: give a function that takes an input and returns its key")
        check_known("map", options, {field.name for field in attrs.fields(RunsWaitPayload)} - {*_OURS, "input", "command"})
        self._common = merge_payload(RunsWaitPayload, None, options, call="map")
        encode(to_body(self._common))  # what cannot be sent is found before the first input
        self._inputs = iter(inputs)
        self._key = key
        self._digests = digests
        self._next = 0
        #: How many there are, where they tell it.
        self.total: Optional[int] = len(inputs) if isinstance(inputs, Sized) else None

    def read(self) -> Optional[Item]:
        """The next one; None at the end. Blocks as long as the user's iterable does, and raises what it raises."""
        try:
            given = next(self._inputs)
        except StopIteration:
            return None
        index = self._next
        self._next += 1
        key = None
        try:
            if self._key is not None:
                key = _checked_key(self._key(given))
            elif isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], str):
                key, given = _checked_key(given[0]), given[1]
            return Item(index=index, given=given, key=key, payload=self._payload(given), digest=self._digest(given))
        except InvalidRequestError as error:
            told = InvalidRequestError(f"inputs[{index}]: {error._text}")
            return Item(index=index, given=given, key=key, error=told)

    def _payload(self, given: Any) -> RunsWaitPayload:
        if not isinstance(given, RunsInvokePayload):
            return attrs.evolve(self._common, input=given)
        for name, remedy in _OURS.items():
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
        # Sorted and spelled by one encoder, whichever wrote the value first: the same input has the same digest in every process.
        text = json.dumps(parse(encode(body)), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]


class RunsToJoin:
    """Reads runs that exist, in the place of inputs."""

    def __init__(self, runs: Iterable[Any]) -> None:
        _check_iterable("runs", runs)
        self._runs = iter(runs)
        self._next = 0
        self.total: Optional[int] = len(runs) if isinstance(runs, Sized) else None

    def read(self) -> Optional[Item]:
        """The next one; None at the end."""
        try:
            given = next(self._runs)
        except StopIteration:
            return None
        index = self._next
        self._next += 1
        run = given
        try:
            if isinstance(given, tuple) and len(given) == 2:
                thread_id, run_id = check_id("thread_id", given[0]), check_id("run_id", given[1])
                run = Run(run_id=run_id, thread_id=thread_id, status="pending")
            if not isinstance(run, Run):
                raise InvalidRequestError(f"give a Run, or its thread's id and its own as a pair, not {type(given).__name__}")
        except InvalidRequestError as error:
            return Item(index=index, given=given, error=InvalidRequestError(f"runs[{index}]: {error._text}"))
        return Item(index=index, given=given, run=run)


def _check_iterable(name: str, given: Any) -> None:
    if isinstance(given, Mapping):
        raise InvalidRequestError(f"{name}: give its items(), which are pairs of key and input, not the dict itself")
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise InvalidRequestError(f"{name}: give a list, a generator or another iterable, not {type(given).__name__}")


def _checked_key(key: Any) -> str:
    if isinstance(key, (int, uuid.UUID)) and not isinstance(key, bool):
        key = str(key)
    if not isinstance(key, str) or not key or "\0" in key or not key.isprintable():
        raise InvalidRequestError(f"the key {key!r}: give text that is not empty and can be printed")
    return key

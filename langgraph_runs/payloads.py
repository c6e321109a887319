"""The options of a run as objects, checked before anything is sent, and the request body that they make."""

import functools
import math
import numbers
import operator
import os
import sys
import typing
import urllib.parse
import warnings
from typing import Any, Callable, Collection, Dict, Iterator, List, Literal, Mapping, Optional, Sequence, Type, TypeVar, Union

import attrs

from ._public import name_public
from .errors import InvalidRequestError
from .fields import as_command, as_object, is_command, is_send
from .options import Command, Durability, IfNotExists, MultitaskStrategy, OnCompletionWord, OnDisconnect, StreamMode
from .validation import check_choice, check_id, check_known, shown

__all__ = [
    "RunCreate",
    "RunsCreatePayload",
    "RunsInvokePayload",
    "RunsStreamPayload",
    "RunsWaitPayload",
    "merge_payload",
    "modes_of",
    "names_of",
    "to_body",
]

P = TypeVar("P", bound="RunsInvokePayload")
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


# -- the checks of options; each is called with the name and a value that is not None, and may return the value to use instead

_CHECK = "check"


def _option(check: Callable[[str, Any], object]) -> Any:
    """Return an option that is None by default and checked by *check*."""
    return attrs.field(default=None, metadata={_CHECK: check})


def _choice(literal: Any) -> Any:
    """Return an option with a closed set of values."""
    choices = typing.get_args(literal)
    return _option(lambda name, value: check_choice(name, value, choices))


def _check_flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise InvalidRequestError(f"{name}={shown(value)}: give True or False")


def _check_command(name: str, value: Any) -> Mapping[str, Any]:
    command = as_command(name, value)
    for key in command:
        check_choice("command key", key, _COMMAND_KEYS)
    return command


def _check_modes(name: str, value: Any) -> None:
    for mode in _listed(name, value):
        check_choice(name, mode, typing.get_args(StreamMode))


def _listed(name: str, value: Any) -> List[Any]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, (Sequence, set, frozenset)) and not isinstance(value, (bytes, bytearray)):
        return list(value)
    raise InvalidRequestError(f"{name}={shown(value)}: give one name or a list of names")


def _check_nodes(name: str, value: Any) -> None:
    if not isinstance(value, str) or value != "*":
        _check_names(name, value, "give a list of node names, or '*' for all")


def _check_keys(name: str, value: Any) -> None:
    _check_names(name, value, "give a list of keys")


def _check_names(name: str, value: Any, remedy: str) -> None:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, (Sequence, set, frozenset)):
        raise InvalidRequestError(f"{name}={shown(value)}: {remedy}")
    for item in value:
        if not isinstance(item, str):
            raise InvalidRequestError(f"{name}={shown(value)}: {remedy}; {shown(item)} is not text")


def _check_webhook(name: str, value: Any) -> None:
    try:
        parts = urllib.parse.urlsplit(value) if isinstance(value, str) else None
        host = parts.hostname if parts is not None else None
    except ValueError:
        parts, host = None, None
    if parts is None or parts.scheme.lower() not in ("http", "https") or not host:
        raise InvalidRequestError(f"{name}: give an absolute http:// or https:// URL that the server can reach")


def _check_delay(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value) or value < 0:
        raise InvalidRequestError(f"{name}={shown(value)}: give a number of seconds, 0 or more")


def _check_checkpoint_during(name: str, value: Any) -> None:
    _check_flag(name, value)
    _warn_caller("checkpoint_during is deprecated: use durability='exit' for False, 'async' for True")


def _check_completion(name: str, value: Any) -> str:
    check_choice(name, value, typing.get_args(OnCompletionWord))
    known = _COMPLETION.get(value)
    if known is not None:
        _warn_caller(f"{name}={value!r}: servers know 'delete' and 'keep', so {known!r} is sent", UserWarning)
    return known or str(value)


#: What is sent for the words of the JavaScript client.
_COMPLETION = {"complete": "delete", "continue": "keep"}
_COMMAND_KEYS = (*Command.__annotations__, "graph")


# -- the payloads: each option with its check


@attrs.frozen(kw_only=True, slots=False)  # a frozen object with so many slots takes twice as long to make
class RunsInvokePayload:
    """The options that create, wait and stream share. An option that is None is not sent.

    >>> RunsInvokePayload(input={"n": 1}, interrupt_before="review")
    Traceback (most recent call last):
    ...
    langgraph_runs.InvalidRequestError: interrupt_before='review': give a list of node names, or '*' for all
    """

    input: Any = None
    command: Optional[Mapping[str, Any]] = _option(_check_command)
    stream_mode: Union[StreamMode, Sequence[StreamMode], None] = _option(_check_modes)
    stream_subgraphs: Optional[bool] = _option(_check_flag)
    stream_resumable: Optional[bool] = _option(_check_flag)
    metadata: Optional[Mapping[str, Any]] = _option(as_object)
    config: Optional[Mapping[str, Any]] = _option(as_object)
    context: Optional[Mapping[str, Any]] = _option(as_object)
    checkpoint: Any = None
    checkpoint_id: Optional[str] = _option(check_id)
    checkpoint_during: Optional[bool] = _option(_check_checkpoint_during)
    interrupt_before: Union[Literal["*"], Sequence[str], None] = _option(_check_nodes)
    interrupt_after: Union[Literal["*"], Sequence[str], None] = _option(_check_nodes)
    feedback_keys: Optional[Sequence[str]] = _option(_check_keys)
    on_completion: Optional[OnCompletionWord] = _option(_check_completion)
    webhook: Optional[str] = _option(_check_webhook)
    multitask_strategy: Optional[MultitaskStrategy] = _choice(MultitaskStrategy)
    if_not_exists: Optional[IfNotExists] = _choice(IfNotExists)
    after_seconds: Optional[float] = _option(_check_delay)
    langsmith_tracing: Optional[Mapping[str, Any]] = _option(as_object)
    durability: Optional[Durability] = _choice(Durability)
    strict_resume: Optional[bool] = _option(_check_flag)
    kwargs: Optional[Mapping[str, Any]] = _option(as_object)

    def __getitem__(self, name: str) -> Any:
        """Return an option that was given, as for a dict: ``payload["input"]``. Raise `KeyError` for another name."""
        return _given(self)[name]

    def keys(self) -> Collection[str]:
        """Return the names of the options that were given, so that ``dict(payload)`` and ``**payload`` work."""
        return _given(self).keys()

    def __contains__(self, name: object) -> bool:
        return name in _given(self)

    def __iter__(self) -> Iterator[str]:
        return iter(_given(self))

    def get(self, name: str, default: Any = None) -> Any:
        """Return an option that was given, else *default*."""
        return _given(self).get(name, default)

    def __attrs_post_init__(self) -> None:
        if self.input is not None and self.command is not None:
            raise InvalidRequestError("input and command exclude each other: answer an interrupt with command alone")
        if is_command(self.input) or is_send(self.input):
            raise InvalidRequestError(f"input: a {type(self.input).__name__} is no input; give it as command=...")
        checks = _checks(type(self))  # type: ignore[arg-type]  # a class can be hashed, whatever its instances can
        for name, value in _given(self).items():
            if name in checks:
                used = checks[name](name, value)
                if used is not None and used is not value:
                    object.__setattr__(self, name, used)  # the class is frozen, but this is still part of the construction


class RunsCreatePayload(RunsInvokePayload):
    """The options of `create` in one object.

    >>> RunsCreatePayload(input={"n": 1}, multitask_strategy="reject").multitask_strategy
    'reject'
    """


@attrs.frozen(kw_only=True, slots=False)
class _AttendedPayload(RunsInvokePayload):
    on_disconnect: Optional[OnDisconnect] = _choice(OnDisconnect)


class RunsStreamPayload(_AttendedPayload):
    """The options of `stream` in one object.

    >>> RunsStreamPayload(input={"n": 1}, stream_mode=["values", "custom"]).on_disconnect is None
    True
    """


class RunsWaitPayload(_AttendedPayload):
    """The options of `wait` in one object.

    >>> RunsWaitPayload(input={"n": 1}, on_disconnect="cancel").input
    {'n': 1}
    """


@attrs.frozen(kw_only=True, slots=False)
class RunCreate(RunsCreatePayload):
    """One run of `create_batch`: its options, its assistant, and its thread. Without a thread the run is stateless.

    >>> RunCreate(assistant_id="agent", input={"n": 1}).thread_id is None
    True
    """

    assistant_id: str
    thread_id: Optional[str] = _option(check_id)

    def __attrs_post_init__(self) -> None:
        check_id("assistant_id", self.assistant_id)
        RunsInvokePayload.__attrs_post_init__(self)

    @property
    def payload(self) -> RunsCreatePayload:
        """Return the options without the assistant and the thread."""
        names = [field.name for field in attrs.fields(RunsCreatePayload)]
        return RunsCreatePayload(**{name: getattr(self, name) for name in names})


@functools.cache
def _checks(cls: Any) -> Dict[str, Callable[[str, Any], object]]:
    """Return the checks of the fields of a payload class, by name."""
    return {field.name: field.metadata[_CHECK] for field in attrs.fields(cls) if _CHECK in field.metadata}


def _given(payload: RunsInvokePayload) -> Dict[str, Any]:
    """Return the options that are not None, in order."""
    cls: Any = type(payload)
    return {name: value for name, value in zip(names_of(cls), _values(cls)(payload)) if value is not None}


#: Options that have another name in the request body.
_ON_THE_WIRE = {"langsmith_tracing": "langsmith_tracer"}


def modes_of(stream_mode: Any) -> List[str]:
    """Return the stream modes as a checked list, empty for None."""
    if stream_mode is None:
        return []
    _check_modes("stream_mode", stream_mode)
    return _listed("stream_mode", stream_mode)


def _warn_caller(message: str, category: Type[Warning] = DeprecationWarning) -> None:
    # The warning names the caller's line: the first frame outside of this package and of the code that attrs generates for it.
    depth = 1
    while True:
        try:
            name = sys._getframe(depth).f_code.co_filename
        except ValueError:
            break
        if not name.startswith((_PACKAGE, "<attrs generated")):
            break
        depth += 1
    warnings.warn(message, category, stacklevel=depth + 1)


_EMPTY: Mapping[str, Any] = {}


def names_of(cls: Type[Any]) -> Collection[str]:
    """Return the names of the options of a payload class, in order."""
    return _names(cls)  # type: ignore[arg-type]  # a class can be hashed, whatever its instances can


@functools.cache
def _names(cls: Any) -> Collection[str]:
    return {field.name: None for field in attrs.fields(cls)}.keys()


@functools.cache
def _values(cls: Any) -> Callable[[RunsInvokePayload], Sequence[Any]]:
    """Return the function that returns the values of all options of a payload, in order."""
    return operator.attrgetter(*_names(cls))


def merge_payload(cls: Type[P], payload: Optional[RunsInvokePayload], options: Mapping[str, Any], *, call: str) -> P:
    """Return a *cls* with the options of *payload*, if any, and of *options*, which take precedence. None: not given."""
    known = names_of(cls)
    check_known(call, options, known)
    given = {name: value for name, value in options.items() if value is not None}
    if payload is None:
        return cls(**given)
    if not isinstance(payload, RunsInvokePayload):
        raise InvalidRequestError(
            f"{call}(): the third argument is a payload such as {cls.__name__}(input=...), "
            f"not {type(payload).__name__}; pass the graph's input as input=..."
        )
    base = _given(payload)
    check_known(call, base, known)
    if not given and type(payload) is cls:
        return payload
    return cls(**{**base, **given})


def to_body(payload: RunsInvokePayload, **fixed: Any) -> Dict[str, Any]:
    """Return the fields of the request body, before encoding. None is left out; other false values are kept."""
    body = {name: value for name, value in fixed.items() if value is not None}
    for name, value in _given(payload).items():
        if name == "kwargs":
            continue
        if name == "stream_mode":
            value = _sent_modes(value)
            if value is None:
                continue
        body[_ON_THE_WIRE.get(name, name)] = value
    for name, value in (payload.kwargs or _EMPTY).items():
        if name == "idempotency_key":
            raise InvalidRequestError(f"kwargs[{name!r}]: servers have no such field; give it as an option of the call")
        if name in body:
            raise InvalidRequestError(f"kwargs[{name!r}]: {name} is given as an option too; give it once")
        body[name] = value
    return body


def _sent_modes(value: Any) -> Any:
    modes = [mode for mode in _listed("stream_mode", value) if mode != "metadata"]
    if isinstance(value, str):
        return modes[0] if modes else None
    return modes if modes or not value else None


name_public("langgraph_runs", [RunCreate, RunsCreatePayload, RunsInvokePayload, RunsStreamPayload, RunsWaitPayload])

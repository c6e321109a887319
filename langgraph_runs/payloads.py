"""What we send to start a run, checked before anything is sent. Knows the fields and their rules, not JSON and not HTTP."""

import functools
import math
import os
import sys
import typing
import urllib.parse
import warnings
from typing import Any, Collection, Dict, List, Literal, Mapping, Optional, Sequence, Type, TypeVar, Union

import attrs

from .errors import InvalidRequestError
from .options import Command, Durability, IfNotExists, MultitaskStrategy, OnCompletion, OnDisconnect, StreamMode
from .validation import check_choice, check_id, check_known

__all__ = [
    "RunCreate",
    "RunsCreatePayload",
    "RunsInvokePayload",
    "RunsStreamPayload",
    "RunsWaitPayload",
    "merge_payload",
    "names_of",
    "to_body",
]

P = TypeVar("P", bound="RunsInvokePayload")
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


@attrs.frozen(kw_only=True)
class RunsInvokePayload:
    """What all ways to start a run share. Each field is an option of the call of the same name; None is not sent.

    >>> RunsInvokePayload(input={"n": 1}, interrupt_before="review")
    Traceback (most recent call last):
    ...
    langgraph_runs.InvalidRequestError: interrupt_before='review': give a list of node names, or '*' for all
    """

    input: Any = None
    command: Optional[Mapping[str, Any]] = None
    stream_mode: Union[StreamMode, Sequence[StreamMode], None] = None
    stream_subgraphs: Optional[bool] = None
    stream_resumable: Optional[bool] = None
    metadata: Optional[Mapping[str, Any]] = None
    config: Optional[Mapping[str, Any]] = None
    context: Optional[Mapping[str, Any]] = None
    checkpoint: Any = None
    checkpoint_id: Optional[str] = None
    checkpoint_during: Optional[bool] = None
    interrupt_before: Union[Literal["*"], Sequence[str], None] = None
    interrupt_after: Union[Literal["*"], Sequence[str], None] = None
    feedback_keys: Optional[Sequence[str]] = None
    on_completion: Optional[OnCompletion] = None
    webhook: Optional[str] = None
    multitask_strategy: Optional[MultitaskStrategy] = None
    if_not_exists: Optional[IfNotExists] = None
    after_seconds: Optional[float] = None
    langsmith_tracing: Optional[Mapping[str, Any]] = None
    durability: Optional[Durability] = None
    strict_resume: Optional[bool] = None
    kwargs: Optional[Mapping[str, Any]] = None

    def __attrs_post_init__(self) -> None:
        _check(self)


class RunsCreatePayload(RunsInvokePayload):
    """What `create` takes, as one object.

    >>> RunsCreatePayload(input={"n": 1}, multitask_strategy="reject").multitask_strategy
    'reject'
    """

    __slots__ = ()


@attrs.frozen(kw_only=True)
class _AttendedPayload(RunsInvokePayload):
    on_disconnect: Optional[OnDisconnect] = None


class RunsStreamPayload(_AttendedPayload):
    """What `stream` takes, as one object.

    >>> RunsStreamPayload(input={"n": 1}, stream_mode=["values", "custom"]).on_disconnect is None
    True
    """

    __slots__ = ()


class RunsWaitPayload(_AttendedPayload):
    """What `wait` takes, as one object.

    >>> RunsWaitPayload(input={"n": 1}, on_disconnect="cancel").input
    {'n': 1}
    """

    __slots__ = ()


@attrs.frozen(kw_only=True)
class RunCreate(RunsCreatePayload):
    """One item of `create_batch`: a payload with its assistant, and the thread where it is to run on one of yours.

    >>> RunCreate(assistant_id="agent", input={"n": 1}).thread_id is None
    True
    """

    assistant_id: str
    thread_id: Optional[str] = None

    def __attrs_post_init__(self) -> None:
        check_id("assistant_id", self.assistant_id)
        if self.thread_id is not None:
            check_id("thread_id", self.thread_id)
        _check(self)

    @property
    def payload(self) -> RunsCreatePayload:
        """The item without its assistant and thread."""
        names = [field.name for field in attrs.fields(RunsCreatePayload)]
        return RunsCreatePayload(**{name: getattr(self, name) for name in names})


#: Fields with a closed set of values.
_CHOICES: Dict[str, Collection[str]] = {
    "multitask_strategy": typing.get_args(MultitaskStrategy),
    "if_not_exists": typing.get_args(IfNotExists),
    "on_disconnect": typing.get_args(OnDisconnect),
    "on_completion": typing.get_args(OnCompletion),
    "durability": typing.get_args(Durability),
}
_OBJECTS = ("metadata", "config", "context", "command", "langsmith_tracing", "kwargs")
_FLAGS = ("stream_subgraphs", "stream_resumable", "checkpoint_during", "strict_resume")
_COMMAND_KEYS = (*Command.__annotations__, "graph")
#: Names that differ on the wire.
_ON_THE_WIRE = {"langsmith_tracing": "langsmith_tracer"}


def _check(payload: RunsInvokePayload) -> None:
    if payload.input is not None and payload.command is not None:
        raise InvalidRequestError("input and command exclude each other: answer an interrupt with command alone")
    for name in _OBJECTS:
        value = getattr(payload, name)
        if value is not None and not isinstance(value, Mapping):
            raise InvalidRequestError(f"{name}={value!r}: give an object (dict)")
    for name in _FLAGS:
        value = getattr(payload, name)
        if value is not None and not isinstance(value, bool):
            raise InvalidRequestError(f"{name}={value!r}: give True or False")
    for name, choices in _CHOICES.items():
        value = getattr(payload, name, None)
        if value is not None:
            check_choice(name, value, choices)
    if payload.command is not None:
        for key in payload.command:
            check_choice("command key", key, _COMMAND_KEYS)
    if payload.stream_mode is not None:
        for mode in _listed("stream_mode", payload.stream_mode):
            check_choice("stream_mode", mode, typing.get_args(StreamMode))
    for name in ("interrupt_before", "interrupt_after"):
        _check_nodes(name, getattr(payload, name))
    if payload.feedback_keys is not None:
        _check_names("feedback_keys", payload.feedback_keys, "give a list of keys")
    if payload.checkpoint_id is not None:
        check_id("checkpoint_id", payload.checkpoint_id)
    _check_webhook(payload.webhook)
    _check_delay(payload.after_seconds)
    if payload.checkpoint_during is not None:
        _warn_caller("checkpoint_during is deprecated: use durability='exit' for False, 'async' for True")


def _listed(name: str, value: Any) -> List[Any]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, (Sequence, set, frozenset)) and not isinstance(value, (bytes, bytearray)):
        return list(value)
    raise InvalidRequestError(f"{name}={value!r}: give one name or a list of names")


def _check_nodes(name: str, value: Any) -> None:
    if value is None or value == "*":
        return
    _check_names(name, value, "give a list of node names, or '*' for all")


def _check_names(name: str, value: Any, remedy: str) -> None:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, (Sequence, set, frozenset)):
        raise InvalidRequestError(f"{name}={value!r}: {remedy}")
    for item in value:
        if not isinstance(item, str):
            raise InvalidRequestError(f"{name}={value!r}: {remedy}; {item!r} is not text")


def _check_webhook(value: Any) -> None:
    if value is None:
        return
    try:
        parts = urllib.parse.urlsplit(value) if isinstance(value, str) else None
        host = parts.hostname if parts is not None else None
    except ValueError:
        parts, host = None, None
    if parts is None or parts.scheme.lower() not in ("http", "https") or not host:
        raise InvalidRequestError(f"webhook={value!r}: give an absolute http:// or https:// URL that the server can reach")


def _check_delay(value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise InvalidRequestError(f"after_seconds={value!r}: give a number of seconds, 0 or more")


def _warn_caller(message: str) -> None:
    # The line to blame is the user's: the first frame outside of this package and of what attrs generated for it.
    depth = 1
    while True:
        try:
            name = sys._getframe(depth).f_code.co_filename
        except ValueError:
            break
        if not name.startswith((_PACKAGE, "<attrs generated")):
            break
        depth += 1
    warnings.warn(message, DeprecationWarning, stacklevel=depth + 1)


_EMPTY: Mapping[str, Any] = {}


def names_of(cls: Type[Any]) -> Collection[str]:
    """The fields of a payload class, in order."""
    return _names(cls)  # type: ignore[arg-type]  # a class can be hashed, whatever its instances can


@functools.cache
def _names(cls: Any) -> Collection[str]:
    return {field.name: None for field in attrs.fields(cls)}.keys()


def merge_payload(cls: Type[P], payload: Optional[RunsInvokePayload], options: Mapping[str, Any], *, call: str) -> P:
    """A *cls* from a ready payload, if any, with keyword options laid over it; a keyword of None leaves the payload's value."""
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
    base = {name: getattr(payload, name) for name in names_of(type(payload))}
    base = {name: value for name, value in base.items() if value is not None}
    check_known(call, base, known)
    if not given and type(payload) is cls:
        return payload
    return cls(**{**base, **given})


def to_body(payload: RunsInvokePayload, **fixed: Any) -> Dict[str, Any]:
    """The fields of the request body, before encoding: what is None is left out, what is false is kept."""
    body = {name: value for name, value in fixed.items() if value is not None}
    for name in names_of(type(payload)):
        value = getattr(payload, name)
        if value is None or name == "kwargs":
            continue
        if name == "stream_mode":
            value = _sent_modes(value)
            if value is None:
                continue
        body[_ON_THE_WIRE.get(name, name)] = value
    for name, value in (payload.kwargs or _EMPTY).items():
        if name in body:
            raise InvalidRequestError(f"kwargs[{name!r}]: {name} is given as an option too; give it once")
        body[name] = value
    return body


def _sent_modes(value: Any) -> Any:
    modes = [mode for mode in _listed("stream_mode", value) if mode != "metadata"]
    if isinstance(value, str):
        return modes[0] if modes else None
    return modes if modes or not value else None

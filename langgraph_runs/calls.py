"""What every call takes beside its own arguments: time, signal, headers and query. Checked here, once."""

from __future__ import annotations

import enum
from typing import Any, Collection, Dict, FrozenSet, List, Mapping, Optional, Tuple

import attrs

from .abort import AbortSignal
from .deadline import check_seconds
from .errors import InvalidRequestError
from .headers import check_headers
from .options import CallOptions, option_docs
from .payloads import check_known
from .scope import Scope
from .transport import Transport

__all__ = ["CALL_OPTIONS", "Given", "check_count", "common", "take"]

#: Names of the options that every call has.
CALL_OPTIONS: FrozenSet[str] = frozenset(option_docs(CallOptions))


@attrs.frozen
class Given:
    """The common options of one call."""

    #: Seconds; ``...`` where nothing was given, None for no limit.
    timeout: Any
    signal: Optional[AbortSignal]
    headers: Dict[str, str]
    params: List[Tuple[str, str]]

    def scope(self, transport: Transport) -> Scope:
        """The limits of the call, from now on."""
        return transport.scope(self.timeout, self.signal)


def take(call: str, options: Mapping[str, Any], further: Collection[str] = ()) -> Given:
    """The common options among *options*; one that is neither common nor in *further* is refused."""
    check_known(call, options, CALL_OPTIONS.union(further) if further else CALL_OPTIONS)
    return common(options)


def common(options: Mapping[str, Any]) -> Given:
    """The common options among *options*, whatever else is there."""
    timeout = options.get("timeout", ...)
    if timeout is not ...:
        timeout = check_seconds("timeout", timeout)
    signal = options.get("signal")
    if signal is not None and not isinstance(signal, AbortSignal):
        raise InvalidRequestError(f"signal={signal!r}: give AbortController().signal")
    return Given(timeout, signal, check_headers(options.get("headers")), _pairs(options.get("params")))


def check_count(name: str, value: Any, *, least: int) -> int:
    """*value* as a whole number of at least *least*, or an error that names it."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidRequestError(f"{name}={value!r}: give a whole number of at least {least}")
    return value


def _pairs(params: Any) -> List[Tuple[str, str]]:
    if params is None:
        return []
    if isinstance(params, Mapping):
        items = list(params.items())
    elif isinstance(params, (list, tuple)) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in params):
        items = list(params)
    else:
        raise InvalidRequestError(f"params={params!r}: give a dict, or a list of pairs")
    pairs: List[Tuple[str, str]] = []
    for name, value in items:
        if not isinstance(name, str) or not name:
            raise InvalidRequestError(f"params: {name!r} is not a name")
        for one in value if isinstance(value, (list, tuple, set, frozenset)) else [value]:
            if one is not None:
                pairs.append((name, _query_text(one)))
    return pairs


def _query_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, enum.Enum):
        return _query_text(value.value)
    return str(value)

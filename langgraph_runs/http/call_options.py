"""The options that every call takes: timeout, signal, headers and query parameters. Checked here, once."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Collection, Dict, FrozenSet, List, Mapping, Optional, Tuple

import attrs

from ..errors import InvalidRequestError

if TYPE_CHECKING:
    from .transport import Transport
from ..call import AbortSignal, Scope
from ..options import CallOptions, option_docs
from ..validation import check_headers, check_known, check_seconds, shown

__all__ = ["CALL_OPTIONS", "NO_OPTIONS", "CommonOptions", "common_options", "parse_call_options"]

#: Names of the options that every call has.
CALL_OPTIONS: FrozenSet[str] = frozenset(option_docs(CallOptions))


@attrs.frozen
class CommonOptions:
    """The common options of one call."""

    #: Seconds; ``...`` if it was not given, None for no limit.
    timeout: Any
    signal: Optional[AbortSignal]
    headers: Dict[str, str]
    params: List[Tuple[str, str]]

    @property
    def headers_only(self) -> CommonOptions:
        """Return the options for a further request of the same call, to another endpoint: the headers only."""
        if self.timeout is ... and self.signal is None and not self.params:
            return self
        return CommonOptions(..., None, self.headers, [])

    def with_header(self, name: str, value: str) -> CommonOptions:
        """Return the options with one more header."""
        return attrs.evolve(self, headers={**self.headers, name: value})

    def scope(self, transport: Transport) -> Scope:
        """Return the scope of the call, which begins now."""
        return transport.scope(self.timeout, self.signal)

    def stream_scope(self, transport: Transport) -> Scope:
        """Return the scope of a stream, which begins now. It may have a longer default timeout than other calls."""
        timeout = transport.settings.stream_timeout if self.timeout is ... else self.timeout
        return transport.scope(timeout, self.signal)


#: The options of requests that the library makes by itself: no headers and no query of the caller.
NO_OPTIONS = CommonOptions(..., None, {}, [])


def parse_call_options(call: str, options: Mapping[str, Any], further: Collection[str] = ()) -> CommonOptions:
    """Return the common options in *options*. Raise `InvalidRequestError` for an option that is neither common nor in *further*."""
    check_known(call, options, CALL_OPTIONS.union(further) if further else CALL_OPTIONS)
    return common_options(options)


def common_options(options: Mapping[str, Any]) -> CommonOptions:
    """Return the common options in *options*; others are ignored."""
    timeout = options.get("timeout", ...)
    if timeout is not ...:
        timeout = check_seconds("timeout", timeout)
    signal = options.get("signal")
    if signal is not None and not isinstance(signal, AbortSignal):
        raise InvalidRequestError(f"signal={shown(signal)}: give AbortController().signal")
    return CommonOptions(timeout, signal, check_headers(options.get("headers")), _pairs(options.get("params")))


def _pairs(params: Any) -> List[Tuple[str, str]]:
    if params is None:
        return []
    if isinstance(params, Mapping):
        items = list(params.items())
    elif isinstance(params, (list, tuple)) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in params):
        items = list(params)
    else:
        raise InvalidRequestError(f"params: give a dict, or a list of pairs, not {type(params).__name__}")
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

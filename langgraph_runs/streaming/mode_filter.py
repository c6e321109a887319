"""The events that a join requests: stream modes, which the server filters, or this module where it does not; and subgraphs."""

from __future__ import annotations

import json
from typing import Any, Iterable, List, Optional, Sequence, Tuple

from .events import mode_of

__all__ = ["ModeFilter"]

_QUERY_NAME = "stream_mode"
#: Kinds of events that belong to every stream, whatever its modes. A server that filters omits them unless they are named.
_ALWAYS = ("error", "metadata")
#: Kinds that a server sends whatever the request says.
_UNFILTERED = frozenset((*_ALWAYS, "end", "feedback"))


class ModeFilter:
    """The stream modes that the caller of a join wants; none for all.

    >>> wanted = ModeFilter(["custom"])
    >>> wanted.query()
    [('stream_mode', '["custom", "error", "metadata"]')]
    >>> wanted.filter_here()
    >>> wanted.query(), wanted.omits("values"), wanted.omits("custom|child:1"), wanted.omits("error")
    ([], True, False, False)
    """

    def __init__(self, modes: Optional[Sequence[str]] = None, *, subgraphs: bool = True) -> None:
        self._modes = list(modes or ())
        self._subgraphs = subgraphs
        self._kinds = _UNFILTERED.union("messages" if mode == "messages-tuple" else mode for mode in self._modes)
        #: True if the server sends all events and those of other modes are left out here.
        self.is_here = False

    @property
    def omits_some(self) -> bool:
        """True if events are left out here, so that `omits` must be asked."""
        return self.is_here or not self._subgraphs

    @property
    def is_sent(self) -> bool:
        """True if the request contains the filter."""
        return bool(self._modes) and not self.is_here

    def filter_here(self) -> None:
        """Do not send the filter any more."""
        self.is_here = bool(self._modes)

    def excludes(self, kind: str) -> bool:
        """Return True if the caller named modes, and this is none of them."""
        return bool(self._modes) and kind not in self._kinds

    def omits(self, event: str) -> bool:
        """Return True if the caller does not want events of this name, and the server sends them."""
        return (bool(self._modes) and mode_of(event) not in self._kinds) or (not self._subgraphs and "|" in event)

    def query(self) -> List[Tuple[str, Any]]:
        """Return the query parameters for the server's filter; none if the events are filtered here."""
        if not self.is_sent:
            return []
        # A JSON array, since the server uses only the last of repeated parameters.
        return [(_QUERY_NAME, json.dumps([*self._modes, *(kind for kind in _ALWAYS if kind not in self._modes)]))]

    def without(self, query: Iterable[Tuple[str, Any]]) -> List[Tuple[str, Any]]:
        """Return a query of a server's ``Location`` without a filter of the server's own."""
        return [pair for pair in query if pair[0] != _QUERY_NAME] if self._modes else [*query]

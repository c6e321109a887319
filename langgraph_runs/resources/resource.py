"""What the clients of all resources share: a transport, and the limits of one call."""

from __future__ import annotations

import contextlib
from typing import Any, Collection, Iterator, Mapping, Optional, Tuple

from ..call import Scope
from ..http import CommonOptions, Transport, parse_call_options

__all__ = ["Resource"]


class Resource:
    """The calls about one kind of object of the server."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @contextlib.contextmanager
    def _call(
        self,
        name: str,
        options: Mapping[str, Any],
        *,
        thread_id: Optional[str] = None,
        run_id: Optional[str] = None,
        further: Collection[str] = (),
    ) -> Iterator[Tuple[Scope, CommonOptions]]:
        """The limits and the common options of the call *name*; the ids are put on its errors. *further* options are its own."""
        common = parse_call_options(name, options, further)
        with common.scope(self._transport) as scope:
            scope.note_run(run_id, thread_id)
            yield scope, common

"""What the caller of a thread's stream wants, and the connections that are opened for it."""

from __future__ import annotations

from typing import Any, Collection, List, Optional, Tuple

import attrs

from .. import api
from ..call import Scope
from ..http import CommonOptions, Transport
from .connection import StreamConnection
from .cursor import Cursor
from .events import StreamEvent
from .mode_filter import ModeFilter

__all__ = ["THREAD_STREAM_MODES", "ThreadConnection", "ThreadStreamConfig"]

THREAD_STREAM_MODES = ("run_modes", "lifecycle", "state_update")


@attrs.frozen(kw_only=True)
class ThreadStreamConfig:
    """What the caller of `join_stream` wants."""

    thread_id: str
    options: CommonOptions
    modes: Collection[str]
    #: The event id after which the stream begins; None: from now on.
    start: Optional[str]
    on_gap: str

    @property
    def reads_runs(self) -> bool:
        """True if events of runs are wanted."""
        return "run_modes" in self.modes or "lifecycle" in self.modes

    def wants(self, event: StreamEvent) -> bool:
        """Return True if the event is of the wanted modes."""
        if event.event == "state_update":
            return "state_update" in self.modes
        return "run_modes" in self.modes or ("lifecycle" in self.modes and event.event == "metadata")


class ThreadConnection(StreamConnection):
    """The connections of the stream of a thread. Each begins with the events from then on."""

    def __init__(self, config: ThreadStreamConfig, transport: Transport, scope: Scope, cursor: Cursor) -> None:
        # Servers read one name of the parameter or the other.
        modes = ",".join(config.modes)
        query = [] if modes == "run_modes" else [("stream_mode", modes), ("stream_modes", modes)]
        super().__init__(transport, scope, cursor, mode_filter=ModeFilter(), query=query, options=config.options)
        #: Path below the base URL, and query.
        self.target: Tuple[str, List[Tuple[str, Any]]] = (api.thread_stream_path(config.thread_id), query)

    def _targets(self) -> List[Tuple[str, List[Tuple[str, Any]]]]:
        return [self.target]

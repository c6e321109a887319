"""How servers of this API differ, as one value. Knows no server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .._public import name_public

__all__ = ["Dialect"]


@dataclass(frozen=True)
class Dialect:
    """How a server of this API may differ; the defaults are langgraph-api's.

    >>> Dialect(newline="\\n", ids="uuid", end_event=True).ids
    'uuid'
    """

    newline: str = "\r\n"
    #: ``ms``: ``<ms>-0``, shared by events of one millisecond, and resumed by ``>`` on strings. Unique and resumed by
    #: position: ``ms-seq`` (``<ms>-<n>``), ``int`` and ``uuid``.
    ids: str = "ms"
    #: With ``ms`` ids: how many events may share one, at most.
    siblings: int = 4
    #: Give ids to, and keep the events of, every run, not only of those made with ``stream_resumable``.
    always_resumable: bool = False
    #: Say ``event: end`` when a run is over.
    end_event: bool = False
    #: Send Location and Content-Location.
    locations: bool = True
    #: Where the API begins; not part of what Location says.
    prefix: str = ""
    #: Have the endpoints below ``/runs``.
    stateless: bool = True
    #: ``detail`` (``{"detail": text}``), ``error`` (``{"error": name, "message": text}``) or ``bare`` (a string).
    errors: str = "detail"
    #: Seconds between heartbeats on streams and newlines on waits; None for silence.
    heartbeat: Optional[float] = 5.0
    #: Keep the ``x-request-id`` of a create with the run.
    keeps_request_id: bool = True
    #: How many of the last replayed events a replay in mid-run repeats.
    overlap: int = 0
    #: Answer ``wait`` and ``join`` with ``{}`` however the run ended.
    empty_wait: bool = False
    #: Answer 404 when an unknown run is joined, where langgraph-api answers 200 and says so inside.
    honest_join: bool = False
    #: Keep the states of a thread, by which a run that was joined late is told its own.
    history: bool = True


name_public("langgraph_runs.testing", [Dialect])

"""`Dialect`: the differences between servers of this API that the fake server can imitate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .._public import name_public

__all__ = ["Dialect"]


@dataclass(frozen=True)
class Dialect:
    """The behaviour of a fake server where servers of this API differ. The defaults are those of langgraph-api.

    >>> Dialect(newline="\\n", ids="uuid", end_event=True).ids
    'uuid'
    """

    #: The line end in event streams.
    newline: str = "\r\n"
    #: The form of event ids. ``ms``: ``<ms>-0``, shared by events of one millisecond; a stream is resumed with the events whose ids
    #: are greater as strings. ``ms-seq`` (``<ms>-<n>``), ``int`` and ``uuid`` are unique; a stream is resumed after the event.
    ids: str = "ms"
    #: With ``ms`` ids, at most this many events share an id.
    siblings: int = 4
    #: Give ids to the events of every run and keep them, not only for runs created with ``stream_resumable``.
    always_resumable: bool = False
    #: Send an event ``end`` when a run has ended.
    end_event: bool = False
    #: Send the headers Location and Content-Location.
    locations: bool = True
    #: The path of the API; not part of the paths in Location.
    prefix: str = ""
    #: Have the endpoints below ``/runs``, for stateless runs.
    stateless: bool = True
    #: The body of errors: ``detail`` (``{"detail": text}``), ``error`` (``{"error": name, "message": text}``) or ``bare`` (text).
    errors: str = "detail"
    #: Seconds between heartbeats in streams and newlines in the responses of ``wait``; None for none.
    heartbeat: Optional[float] = 5.0
    #: Store the header ``x-request-id`` of the request with the run that it creates.
    keeps_request_id: bool = True
    #: How many of the replayed events are sent again when the stream of an unfinished run is resumed.
    overlap: int = 0
    #: The response of ``wait`` and ``join`` is ``{}``, however the run ended.
    empty_wait: bool = False
    #: If an unknown run is joined, the response has status 404. (That of langgraph-api has status 200 and an error in the body.)
    honest_join: bool = False
    #: Have the endpoints for the states of a thread and their history.
    history: bool = True


name_public("langgraph_runs.testing", [Dialect])

"""Opens the stream of a new or of an existing run: makes a `RunStream` from checked arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Tuple

from .. import api
from ..call import may_lack_route
from ..errors import APIStatusError, InvalidRequestError, NotFoundError
from ..http import CommonOptions
from ..payloads import modes_of
from ..runs import Disposal, PreparedStart, RecoveredRun, RunStarter, hint_at_keep, is_replayed
from ..validation import check_choice
from .clock_ids import clock_key
from .connection import REFUSES_FILTER
from .counted_ids import count_of
from .cursor import FROM_START, Cursor, is_from_start
from .mode_filter import ModeFilter
from .run_stream import RunStream
from .stream_config import StreamConfig
from .thread_stream import ThreadStream
from .thread_stream_config import THREAD_STREAM_MODES, ThreadStreamConfig

if TYPE_CHECKING:
    from ..http import ByteStream

__all__ = ["stream_existing_run", "stream_new_run", "stream_thread"]


def stream_new_run(starter: RunStarter, start: PreparedStart, options: Mapping[str, Any]) -> RunStream[Any]:
    """Start a run and return its stream. *options* are those of the call, checked."""
    cursor = Cursor(from_start=start.resumable, modes=modes_of(start.payload.stream_mode))
    scope = start.options.stream_scope(starter.transport)
    replayed = False

    def open_first() -> Optional[ByteStream]:
        nonlocal replayed
        first = starter.open(start, scope)
        if isinstance(first, RecoveredRun):
            scope.note_run(run_id=first.run_id, thread_id=first.thread_id)
            replayed = first.replayed
            return None
        replayed = start.key is not None and is_replayed(first.headers)
        return first

    config = StreamConfig(
        open_first=open_first,
        thread_id=start.thread_id,
        run_id=None,
        cursor=cursor,
        options=start.options.headers_only,
        on_gap=options.get("on_gap") or "error",
        on_timeout=options.get("on_timeout"),
        raise_error=options.get("raise_error", True) is not False,
        report=start.report,
        is_replayed=lambda: replayed,
        find=lambda: starter.creator.find(start.thread_id, start.marker, scope),
        dies_with_connection=not start.survives_disconnect,
        finish=None if start.disposal is Disposal.KEEP else lambda outcome: starter.finish(start, outcome, scope),
        cancel_late=(lambda: starter.own_threads.cancel_late(start.plan)) if start.own_thread else None,
    )
    return RunStream(starter.transport, starter.outcomes, scope, config)


def stream_existing_run(
    starter: RunStarter,
    thread_id: Optional[str],
    run_id: str,
    common: CommonOptions,
    options: Mapping[str, Any],
    *,
    stream_mode: Any,
) -> RunStream[Any]:
    """Return the stream of an existing run. *options* are those of the call. A bad *last_event_id* raises `InvalidRequestError`."""
    start = _checked_start(options.get("last_event_id"))
    modes = modes_of(stream_mode)
    mode_filter = ModeFilter(modes, subgraphs=options.get("stream_subgraphs") is not False)
    if starter.traits.filters_streams is False or (start not in (None, FROM_START) and count_of(str(start)) is not None):
        # Ids that count the events show missing ones only if the server leaves none out.
        mode_filter.filter_here()
    query: List[Tuple[str, Any]] = []
    cancels = options.get("cancel_on_disconnect") or False
    if cancels:
        query.append(("cancel_on_disconnect", "true"))
    scope = common.stream_scope(starter.transport)
    path = api.stream_path(thread_id, run_id)
    cursor = Cursor(from_start=False, start=start, modes=modes, joined=True, filtered=mode_filter.is_sent)

    def open_first() -> ByteStream:
        request = api.stream_request(path, common, query=[*mode_filter.query(), *query], last_event_id=cursor.origin)
        try:
            return starter.transport.open_with_retries(request, scope)
        except APIStatusError as error:
            if may_lack_route(error) and thread_id is None:
                error._text += "; this server may have no route for a run without its thread: give thread_id"
            elif isinstance(error, NotFoundError):
                hint_at_keep(error)
            if error.status_code not in REFUSES_FILTER or not mode_filter.is_sent:
                raise
        mode_filter.filter_here()
        request = api.stream_request(path, common, query=query, last_event_id=cursor.origin)
        body = starter.transport.open_with_retries(request, scope)
        starter.traits.filters_streams = False
        return body

    config = StreamConfig(
        open_first=open_first,
        thread_id=thread_id,
        run_id=run_id,
        cursor=cursor,
        query=query,
        mode_filter=mode_filter,
        options=common,
        on_gap=options.get("on_gap") or "error",
        on_timeout=options.get("on_timeout"),
        raise_error=options.get("raise_error", True) is not False,
        dies_with_connection=bool(cancels),
    )
    return RunStream(starter.transport, starter.outcomes, scope, config)


def stream_thread(
    starter: RunStarter, thread_id: str, common: CommonOptions, *, stream_mode: Any, last_event_id: Any, on_gap: Any
) -> ThreadStream:
    """Return the stream of all runs of a thread. Raise `InvalidRequestError` for wrong arguments."""
    start = _checked_start(last_event_id)
    modes = [stream_mode] if isinstance(stream_mode, str) else stream_mode
    if not isinstance(modes, (list, tuple, set, frozenset)) or not modes:
        raise InvalidRequestError("stream_mode: give one mode or a list of modes")
    for mode in modes:
        check_choice("stream_mode", mode, THREAD_STREAM_MODES)
    check_choice("on_gap", on_gap, ("error", "mark"))
    if start not in (None, FROM_START) and clock_key(str(start)) is None:
        raise InvalidRequestError("last_event_id: give '0', or an id that is a time of the server, such as '1795224633885-0'")
    config = ThreadStreamConfig(thread_id=thread_id, options=common, modes=tuple(modes), start=start, on_gap=on_gap)
    scope = common.stream_scope(starter.transport)
    scope.note_run(thread_id=thread_id)
    return ThreadStream(starter, scope, config)


def _checked_start(last_event_id: Any) -> Optional[str]:
    start = last_event_id or None
    if start is not None and (not isinstance(start, str) or not _is_line(start)):
        raise InvalidRequestError(f"last_event_id={start!r}: give the id of an event as text on one line")
    return FROM_START if is_from_start(start) else start


def _is_line(text: str) -> bool:
    return not any(char in "\r\n\0" or "\ud800" <= char <= "\udfff" for char in text)

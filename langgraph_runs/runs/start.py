"""From the arguments of create, wait and stream to the request that starts a run. Nothing is sent here."""

from __future__ import annotations

import functools
from typing import Any, Callable, List, Mapping, Optional, Type, get_args

import attrs

from ..api import ids_from, runs_path
from ..call import Scope
from ..errors import InvalidRequestError
from ..http import CALL_OPTIONS, CommonOptions, Request, common_options
from ..options import OnGap, OnTimeout
from ..payloads import RunsInvokePayload, merge_payload, names_of, to_body
from ..serialization import encode
from ..validation import check_choice, check_id, check_known
from .create_once import CreateMarker, RunCreator

__all__ = ["ALWAYS", "JOINING", "Start", "check_client_options", "modes_of", "prepare_start"]

#: Kinds of events that belong to every stream, whatever its modes.
ALWAYS = ("error", "metadata")
#: Options of calls that wait for a run.
JOINING = frozenset({"raise_error", "on_timeout"})
#: Options that no body carries, by call.
_OURS: Mapping[str, frozenset[str]] = {
    "create": CALL_OPTIONS | {"on_run_created"},
    "wait": CALL_OPTIONS | JOINING | {"on_run_created"},
    "stream": CALL_OPTIONS | JOINING | {"on_run_created", "on_gap"},
}


@attrs.frozen
class Start:
    """All that is needed to start one run, once."""

    given: CommonOptions
    request: Request
    ticket: CreateMarker
    thread_id: Optional[str]
    #: What was asked, checked; a class with ``on_disconnect`` for wait and stream.
    payload: Any
    #: Whether the server is asked to keep the run's events.
    resumable: bool
    on_run_created: Optional[Callable[[Any], None]]
    _told: List[str] = attrs.field(factory=list)

    def learn(self, scope: Scope) -> Callable[[Mapping[str, str]], None]:
        """Takes an answer's headers: puts the ids on *scope*, and tells the caller's callback where the body is still to come."""

        def on_headers(headers: Mapping[str, str]) -> None:
            ids = ids_from(headers)
            scope.run_id = scope.run_id or ids.run_id
            scope.thread_id = scope.thread_id or ids.thread_id
            if scope.run_id is not None and (scope.thread_id is not None or self.request.path != "/runs"):
                self.tell(scope.run_id, scope.thread_id)

        return on_headers

    def tell(self, run_id: str, thread_id: Optional[str]) -> None:
        """Call ``on_run_created``, unless it was called."""
        if self.on_run_created is not None and not self._told:
            self._told.append(run_id)
            self.on_run_created({"run_id": run_id, "thread_id": thread_id})


def prepare_start(
    call: str,
    cls: Type[Any],
    creator: RunCreator,
    thread_id: Optional[str],
    assistant_id: str,
    payload: Optional[RunsInvokePayload],
    options: Mapping[str, Any],
) -> Start:
    """The request of ``create``, ``wait`` or ``stream``, from its arguments, or `InvalidRequestError`."""
    assistant = check_id("assistant_id", assistant_id)
    thread = None if thread_id is None else check_id("thread_id", thread_id)
    check_known(call, options, _known(call, cls))  # type: ignore[arg-type]  # a class can be hashed
    given = common_options(options)
    check_client_options(options)
    ours = _OURS[call]
    laid = merge_payload(cls, payload, {name: value for name, value in options.items() if name not in ours}, call=call)
    resumable, fixed = _resumable(call, laid)
    body = to_body(laid, assistant_id=assistant, **fixed)
    ticket = creator.prepare(body, given.headers)
    rest = () if call == "create" else (call,)
    request = Request(
        method="POST",
        path=runs_path(thread, *rest),
        query=given.params,
        body=encode(body),
        headers={**given.headers, **ticket.headers},
        creates=True,
        accept="text/event-stream" if call == "stream" else "application/json",
    )
    return Start(given, request, ticket, thread, laid, resumable, options.get("on_run_created"))


@functools.cache
def _known(call: str, cls: Type[Any]) -> frozenset[str]:
    return _OURS[call].union(names_of(cls))


def _resumable(call: str, payload: Any) -> Any:
    """Whether the run's events can be had again, and the fields that say so to the server."""
    asked = (payload.kwargs or {}).get("stream_resumable", payload.stream_resumable)
    if call != "stream":
        return bool(asked), {}
    if payload.on_disconnect == "cancel":
        if asked:
            raise InvalidRequestError(
                "on_disconnect='cancel' with stream_resumable=True: the server would cancel the run at the very fault that "
                "resuming is for; choose one"
            )
        return False, {}
    if asked is None:
        return True, {"stream_resumable": True}
    return bool(asked), {}


def check_client_options(options: Mapping[str, Any]) -> None:
    """Refuse values of our own options that mean nothing."""
    if options.get("on_gap") is not None:
        check_choice("on_gap", options["on_gap"], get_args(OnGap))
    if options.get("on_timeout") is not None:
        check_choice("on_timeout", options["on_timeout"], get_args(OnTimeout))
    if not isinstance(options.get("raise_error", True), bool):
        raise InvalidRequestError(f"raise_error={options['raise_error']!r}: give True or False")
    callback = options.get("on_run_created")
    if callback is not None and not callable(callback):
        raise InvalidRequestError(f"on_run_created={callback!r}: give a function of one argument")


def modes_of(stream_mode: Any) -> List[str]:
    """The stream modes as a list, checked."""
    if stream_mode is None:
        return []
    modes: List[Any] = [stream_mode] if isinstance(stream_mode, str) else list(stream_mode)
    RunsInvokePayload(stream_mode=modes)  # refuses what is no mode
    return modes

"""Makes the request that starts a run from the arguments of create, wait and stream. Sends nothing."""

from __future__ import annotations

import functools
from typing import Any, Callable, Dict, List, Mapping, Optional, Type, get_args

import attrs

from .. import api
from ..call import Scope, user_code
from ..errors import InvalidRequestError
from ..http import CALL_OPTIONS, CommonOptions, Request, common_options
from ..options import OnGap, OnTimeout
from ..payloads import RunsInvokePayload, merge_payload, names_of, to_body
from ..validation import check_choice, check_id, check_known, shown
from .create_once import RunCreator
from .idempotency_key import IdempotencyKey
from .own_thread import Disposal, ThreadPlan, check_new_thread, choose_thread
from .request_marker import RequestMarker

__all__ = ["JOINING", "PreparedStart", "check_client_options", "prepare_start"]

#: Options of calls that wait for a run.
JOINING = frozenset({"raise_error", "on_timeout"})
#: Options that are not part of the request body, by call.
_CLIENT_OPTIONS: Mapping[str, frozenset[str]] = {
    "create": CALL_OPTIONS | {"on_run_created", "idempotency_key"},
    "wait": CALL_OPTIONS | JOINING | {"on_run_created", "idempotency_key"},
    "stream": CALL_OPTIONS | JOINING | {"on_run_created", "on_gap", "idempotency_key"},
}


@attrs.frozen
class PreparedStart:
    """The checked arguments and the request of one start."""

    options: CommonOptions
    request: Request
    marker: RequestMarker
    thread_id: Optional[str]
    #: The checked payload; a class with ``on_disconnect`` for wait and stream.
    payload: Any
    #: True if the server keeps the run's events for a resumed stream.
    resumable: bool
    on_run_created: Optional[Callable[[Any], None]]
    #: True if no other call creates runs on the thread, and the request has ``multitask_strategy="reject"``.
    own_thread: bool = False
    #: What happens to the thread when the run has ended.
    disposal: Disposal = Disposal.KEEP
    #: The idempotency key; then *request* only creates the run, except for a stream.
    key: Optional[IdempotencyKey] = None
    #: The request without ``multitask_strategy="reject"``, for a busy thread of the caller's; None if *request* has nothing else.
    request_as_given: Optional[Request] = None
    _reported: List[str] = attrs.field(factory=list)

    @property
    def plan(self) -> ThreadPlan:
        """The thread of the call, and what happens to it afterwards."""
        return ThreadPlan(self.thread_id, self.disposal)

    @property
    def survives_disconnect(self) -> bool:
        """True if the run goes on when its connection breaks, so that it can be found again."""
        return getattr(self.payload, "on_disconnect", None) != "cancel"

    def note_headers(self, scope: Scope) -> Callable[[Mapping[str, str]], None]:
        """Return a function that notes the ids in response headers on *scope*, and calls ``on_run_created`` when both are known."""

        def on_headers(headers: Mapping[str, str]) -> None:
            ids = api.ids_from(headers)
            scope.note_run(ids.run_id, ids.thread_id)
            # The response to a stateless create has the id of the thread only in its body.
            if scope.run_id is not None and (scope.thread_id is not None or self.request.path != "/runs"):
                self.report(scope.run_id, scope.thread_id)

        return on_headers

    def report(self, run_id: str, thread_id: Optional[str]) -> None:
        """Call ``on_run_created``, unless it was called before."""
        if self.on_run_created is not None and not self._reported:
            self._reported.append(run_id)
            with user_code():
                self.on_run_created({"run_id": run_id, "thread_id": thread_id})


def prepare_start(
    call: str,
    cls: Type[Any],
    creator: RunCreator,
    thread_id: Optional[str],
    assistant_id: str,
    payload: Optional[RunsInvokePayload],
    options: Mapping[str, Any],
    *,
    own_thread: bool = False,
) -> PreparedStart:
    """Return the start that the arguments of ``create``, ``wait`` or ``stream`` describe. Raise `InvalidRequestError`.

    With *thread_id* None, ``wait`` and ``stream`` get a new thread, which no other call knows: see `own_thread`. For ``create`` the
    server chooses a thread, and deletes it when the run has ended: no call of the library waits for that.

    With ``idempotency_key``, the thread is derived from the key if *thread_id* is None, and a wait only creates the run.

    *own_thread* says that no other call creates runs on the thread. The create then tells the server to refuse a second run while
    the first is unfinished, so that it may be sent again when nothing else shows whether an earlier attempt will be executed.
    """
    assistant = check_id("assistant_id", assistant_id)
    thread = None if thread_id is None else check_id("thread_id", thread_id)
    check_known(call, options, _known(call, cls))  # type: ignore[arg-type]  # a class can be hashed
    common = common_options(options)
    check_client_options(options)
    client_options = _CLIENT_OPTIONS[call]
    merged = merge_payload(cls, payload, {name: value for name, value in options.items() if name not in client_options}, call=call)
    resumable, fixed = _resumable(call, merged)
    body = to_body(merged, assistant_id=assistant, **fixed)
    callback = options.get("on_run_created")
    plan, key, as_given = ThreadPlan(thread, Disposal.KEEP), None, None
    given_key = options.get("idempotency_key")
    if given_key is not None:
        key = _key_of(given_key, body, derived=thread is None)
        if thread is None:
            plan, own_thread = ThreadPlan(key.thread_id, Disposal.KEEP), True
        if call == "wait":
            call = "create"  # the run is joined when it is known that it is the only one
            body.pop("on_disconnect", None)
    elif thread is None and call != "create":
        plan, own_thread = choose_thread(body), True
    if own_thread:
        body["multitask_strategy"] = "reject"
    marker = creator.mark(body, common.headers, key)
    headers = marker.headers if key is None else {**marker.headers, **key.headers(common.headers)}
    if key is not None and body.get("multitask_strategy") != "reject":
        as_given = api.start_request(call, plan.thread_id, body, common, headers=headers)
        body["multitask_strategy"] = "reject"
    request = api.start_request(call, plan.thread_id, body, common, headers=headers)
    return PreparedStart(
        common, request, marker, plan.thread_id, merged, resumable, callback, own_thread, plan.disposal, key, as_given
    )


def _key_of(value: Any, body: Dict[str, Any], *, derived: bool) -> IdempotencyKey:
    """Return the idempotency key that the caller gave as *value*. Raise `InvalidRequestError` if *body* does not allow one.

    With *derived*, change *body* for the thread that is derived from the key.
    """
    if body.get("on_disconnect") == "cancel":
        raise InvalidRequestError(
            "on_disconnect='cancel' with idempotency_key: other calls may wait for the same run; leave it out"
        )
    if body.get("on_completion") == "delete":
        raise InvalidRequestError(
            "on_completion='delete' with idempotency_key: a later call finds the run by its thread; leave it out and "
            "delete the thread when the key is not needed any more"
        )
    if derived:
        check_new_thread(body)
        for name in ("on_completion", "if_not_exists", "multitask_strategy"):
            body.pop(name, None)
    return IdempotencyKey.of(value, body, derived=derived)


@functools.cache
def _known(call: str, cls: Type[Any]) -> frozenset[str]:
    return _CLIENT_OPTIONS[call].union(names_of(cls))


def _resumable(call: str, payload: Any) -> Any:
    """Return two things: True if the run's events can be requested again, and the body fields that make the server keep them."""
    requested = (payload.kwargs or {}).get("stream_resumable", payload.stream_resumable)
    fixed: Dict[str, Any] = {}
    if call != "create" and payload.on_disconnect is None and "on_disconnect" not in (payload.kwargs or {}):
        fixed["on_disconnect"] = "continue"  # some servers cancel the run by default
    if call != "stream":
        return bool(requested), fixed
    if payload.on_disconnect == "cancel":
        if requested:
            raise InvalidRequestError(
                "on_disconnect='cancel' with stream_resumable=True: the server would cancel the run when the connection breaks, so "
                "that the stream could not be resumed; choose one"
            )
        return False, {}
    if requested is None:
        return True, {"stream_resumable": True, **fixed}
    return bool(requested), fixed


def check_client_options(options: Mapping[str, Any]) -> None:
    """Check the options that this library uses itself and does not send."""
    if options.get("on_gap") is not None:
        check_choice("on_gap", options["on_gap"], get_args(OnGap))
    if options.get("on_timeout") is not None:
        check_choice("on_timeout", options["on_timeout"], get_args(OnTimeout))
    if not isinstance(options.get("raise_error", True), bool):
        raise InvalidRequestError(f"raise_error={options['raise_error']!r}: give True or False")
    callback = options.get("on_run_created")
    if callback is not None and not callable(callback):
        raise InvalidRequestError(f"on_run_created={shown(callback)}: give a function of one argument")

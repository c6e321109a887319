"""The checks of streams: the events of a run come complete and once, through broken connections too."""

from __future__ import annotations

import re
from typing import Any, Callable, List, Optional, Sequence, Tuple

from ... import Client, CreateUncertainError, StreamInterruptedError
from ...api import ids_from
from ..cutting_proxy import Fault, cut_response, stall_response
from .check import HOLDS, Finding, NotTried, PromiseBroken, differs, expect, not_tried, promise
from .trial import PlainResponse, Trial
from .ways import wait_ended

__all__ = ["CHECKS"]

#: Bytes of a response after which it is cut: behind the head, within the first events.
_CUT = 1100
#: Custom events that the checks need.
_LEAST = 20
#: Seconds of silence after which the client reconnects in the check of a silent connection.
_SILENCE = 2.0
_ID = re.compile(r"^id:[ ]?(.*?)\r?$", re.MULTILINE)
_CUSTOM = re.compile(r"^event:[ ]?custom\r?$", re.MULTILINE)


def _custom_of(stream: Any, most: Optional[int] = None) -> List[Any]:
    """Return the data of the custom events of a stream, of *most* of them if it is given."""
    found = []
    for event in stream:
        if event.event == "custom":
            found.append(event.data)
            if len(found) == most:
                break
    return found


def _expected(trial: Trial) -> List[Any]:
    """Return the custom events of a run of the graph that streams, read without a fault."""
    graph = trial.graph("streaming")
    with trial.client.runs.stream(trial.thread(), graph.assistant_id, input=graph.input, stream_mode="custom") as stream:
        found = _custom_of(stream)
    if len(found) < _LEAST:
        raise NotTried(f"the graph that streams has {len(found)} custom events, and the check needs at least {_LEAST}")
    return found


def _compare(expected: Sequence[Any], found: Sequence[Any]) -> None:
    if list(found) == list(expected):
        return
    raise PromiseBroken(f"{len(found)} events came of {len(expected)}, without an error")


@promise("event-ids", "Each event of a resumable stream has an id.")
def event_ids(trial: Trial) -> Finding:
    response = trial.plain_start("stream", trial.thread(), trial.main, stream_mode=["values"], stream_resumable=True)
    expect(response.status < 300, f"a stream is refused with {response.status}")
    ids = [found for found in _ID.findall(response.text) if found]
    if not ids:
        return differs("events have no ids", "raises StreamInterruptedError if a stream is cut")
    if len(set(ids)) < len(ids):
        return differs("several events have the same id", "delivers each event once")
    return HOLDS


@promise("stream-names-run", "A stream reports the id of its run before its first event.")
def stream_names_run(trial: Trial) -> Finding:
    with trial.client.runs.stream(trial.thread(), trial.main.assistant_id, input=trial.main.input) as stream:
        known = stream.run_id
        list(stream)
        later = stream.run_id
    response = trial.plain_start("stream", trial.thread(), trial.main)
    if known:
        expect(known == later, "the id of the run changed during the stream")
        named = ids_from(response.headers).run_id
        return HOLDS if named else differs("the headers of a stream do not name the run", "takes the id from the first event")
    expect(later, "the stream ended without the id of its run")
    return differs("the headers of a stream do not name the run", "takes the id from the first event")


def _through(
    trial: Trial, faults: Sequence[Tuple[Fault, bytes]], read: Callable[[Client, str], List[Any]], **options: Any
) -> Finding:
    """Read the events through *faults*, and compare them with those of an undisturbed run."""
    expected = _expected(trial)
    thread_id = trial.thread()
    with trial.cutting(**options) as (proxy, client):
        for fault, when in faults:
            proxy.arm(fault, when=when)
        try:
            found = read(client, thread_id)
        except StreamInterruptedError as error:
            return differs("the server does not have the events after a cut", f"raises {type(error).__name__}")
        except CreateUncertainError:
            if any(turn.fired for turn in proxy.turns):
                raise
            raise NotTried("the server was silent before the first event for as long as the check allows") from None
        if not any(turn.fired for turn in proxy.turns):
            return not_tried("the stream of the graph is too short to be cut")
    _compare(expected, found)
    return HOLDS


def _stream(trial: Trial) -> Callable[[Client, str], List[Any]]:
    graph = trial.graph("streaming")

    def read(client: Client, thread_id: str) -> List[Any]:
        with client.runs.stream(thread_id, graph.assistant_id, input=graph.input, stream_mode="custom") as stream:
            return _custom_of(stream)

    return read


@promise("stream-cut", "A stream that is cut twice delivers each event once, or reports the gap.", needs=("streaming",), cuts=True)
def stream_cut(trial: Trial) -> Finding:
    return _through(trial, [(cut_response(_CUT), b"POST"), (cut_response(_CUT, reset=True), b"GET")], _stream(trial))


@promise("stream-silent", "A stream on a connection that falls silent reconnects.", needs=("streaming",), cuts=True)
def stream_silent(trial: Trial) -> Finding:
    try:
        return _through(trial, [(stall_response(_CUT), b"POST")], _stream(trial), read_timeout=_SILENCE)
    except NotTried:
        # A busy server may be silent before the first event for longer.
        return _through(trial, [(stall_response(_CUT), b"POST")], _stream(trial), read_timeout=5 * _SILENCE)


@promise(
    "join-stream-cut",
    "join_stream that is cut twice delivers each event once, or reports the gap.",
    needs=("streaming",),
    cuts=True,
)
def join_stream_cut(trial: Trial) -> Finding:
    graph = trial.graph("streaming")

    def read(client: Client, thread_id: str) -> List[Any]:
        run = trial.create(thread_id, graph, stream_mode=["custom"], stream_resumable=True)
        with client.runs.join_stream(thread_id, run.run_id, stream_mode="custom", last_event_id="-1") as stream:
            return _custom_of(stream)

    return _through(trial, [(cut_response(_CUT), b"GET"), (cut_response(_CUT, reset=True), b"GET")], read)


@promise("continue", "join_stream continues after the last event of another stream.", needs=("streaming",))
def continued(trial: Trial) -> Finding:
    expected = _expected(trial)
    graph = trial.graph("streaming")
    thread_id = trial.thread()
    with trial.client.runs.stream(thread_id, graph.assistant_id, input=graph.input, stream_mode="custom") as stream:
        found = _custom_of(stream, most=7)
        run_id, position = stream.run_id, stream.last_event_id
    if run_id is None or position is None:
        return differs("the server sends no id to continue with", "has None as last_event_id")
    try:
        with trial.client.runs.join_stream(thread_id, run_id, stream_mode="custom", last_event_id=position) as rest:
            found += _custom_of(rest)
    except StreamInterruptedError:
        return differs("the server does not have the events after that position", "raises StreamInterruptedError")
    _compare(expected, found)
    return HOLDS


def _replay(trial: Trial, position: str) -> Finding:
    """Read an ended run from the start."""
    expected = _expected(trial)
    thread_id = trial.thread()
    run = trial.create(thread_id, trial.graph("streaming"), stream_mode=["custom"], stream_resumable=True)
    wait_ended(trial, thread_id, run.run_id)
    plain = _replayed(trial, thread_id, run.run_id, position)
    # Another run: some servers send the events of a run once.
    thread_id = trial.thread()
    run = trial.create(thread_id, trial.graph("streaming"), stream_mode=["custom"], stream_resumable=True)
    wait_ended(trial, thread_id, run.run_id)
    sent = len(_CUSTOM.findall(plain.text))
    habit = f"with Last-Event-ID {position} the server sends {sent} of {len(expected)} events of an ended run"
    try:
        with trial.client.runs.join_stream(thread_id, run.run_id, stream_mode="custom", last_event_id=position) as stream:
            found = _custom_of(stream)
    except StreamInterruptedError:
        return differs(habit, "raises StreamInterruptedError")
    _compare(expected, found)
    return HOLDS if sent == len(expected) else differs(habit, "delivers all of them")


def _replayed(trial: Trial, thread_id: str, run_id: str, position: str) -> PlainResponse:
    return trial.plain("GET", f"/threads/{thread_id}/runs/{run_id}/stream", headers={"Last-Event-ID": position})


@promise("replay", "join_stream from '-1' or '0' gives all events of an ended run, or reports the gap.", needs=("streaming",))
def replay(trial: Trial) -> Finding:
    findings = [_replay(trial, position) for position in ("-1", "0")]
    return next((finding for finding in findings if finding != HOLDS), HOLDS)


CHECKS = (
    event_ids,
    stream_names_run,
    stream_cut,
    stream_silent,
    join_stream_cut,
    continued,
    replay,
)

"""What `stream` and `join_stream` yield, by mode. Checked by mypy, never run (tests/test_typing.py)."""

from typing import Any, Iterator, List, Optional, Sequence, Tuple, Union

from typing_extensions import assert_type

from langgraph_runs import (
    CheckpointsStreamEvent,
    Client,
    CustomStreamEvent,
    DebugStreamEvent,
    EventsStreamEvent,
    Gap,
    Interrupt,
    MessagesStreamEvent,
    RunOutcome,
    RunsStreamPayload,
    RunStream,
    StreamEvent,
    TasksStreamEvent,
    UpdatesStreamEvent,
    ValuesStreamEvent,
)

runs = Client().runs
payload = RunsStreamPayload(input={"n": 1})


def the_class_of_the_events_follows_the_mode() -> None:
    assert_type(runs.stream("t", "agent", stream_mode="values"), RunStream[ValuesStreamEvent])
    assert_type(runs.stream("t", "agent", stream_mode="updates"), RunStream[UpdatesStreamEvent])
    assert_type(runs.stream("t", "agent", stream_mode="messages"), RunStream[MessagesStreamEvent])
    assert_type(runs.stream("t", "agent", stream_mode="messages-tuple"), RunStream[MessagesStreamEvent])
    assert_type(runs.stream("t", "agent", stream_mode="custom"), RunStream[CustomStreamEvent])
    assert_type(runs.stream("t", "agent", stream_mode="events"), RunStream[EventsStreamEvent])
    assert_type(runs.stream("t", "agent", stream_mode="debug"), RunStream[DebugStreamEvent])
    assert_type(runs.stream("t", "agent", stream_mode="tasks"), RunStream[TasksStreamEvent])
    assert_type(runs.stream("t", "agent", stream_mode="checkpoints"), RunStream[CheckpointsStreamEvent])


def without_a_mode_it_is_values() -> None:
    assert_type(runs.stream("t", "agent"), RunStream[ValuesStreamEvent])
    assert_type(runs.stream(None, "agent", None, input={"n": 1}), RunStream[ValuesStreamEvent])


def several_modes_or_a_mode_that_is_not_known_here_give_any_event() -> None:
    assert_type(runs.stream("t", "agent", stream_mode=["values"]), RunStream[StreamEvent])
    assert_type(runs.stream("t", "agent", stream_mode=("values", "messages-tuple")), RunStream[StreamEvent])
    assert_type(runs.stream("t", "agent", stream_mode="metadata"), RunStream[StreamEvent])
    assert_type(runs.stream("t", "agent", payload), RunStream[StreamEvent])


def a_mode_beside_a_payload_decides() -> None:
    assert_type(runs.stream("t", "agent", payload, stream_mode="updates"), RunStream[UpdatesStreamEvent])


def a_stream_is_an_iterator_a_context_manager_and_covariant() -> None:
    stream = runs.stream("t", "agent", stream_mode="values")
    iterator: Iterator[ValuesStreamEvent] = stream
    read_any(stream)
    with stream as entered:
        assert_type(entered, RunStream[ValuesStreamEvent])
        for event in entered:
            assert_type(event, ValuesStreamEvent)
    assert_type(next(iterator), ValuesStreamEvent)


def read_any(stream: RunStream[StreamEvent]) -> None:
    assert_type(next(stream), StreamEvent)


def what_a_stream_knows() -> None:
    stream = runs.stream("t", "agent")
    assert_type(stream.run_id, Optional[str])
    assert_type(stream.thread_id, Optional[str])
    assert_type(stream.last_event_id, Optional[str])
    assert_type(stream.interrupts, Tuple[Interrupt, ...])
    assert_type(stream.paused, bool)
    assert_type(stream.events_seen, int)
    assert_type(stream.gaps, List[Gap])
    assert_type(stream.outcome, Optional[RunOutcome])


def what_an_event_has(event: StreamEvent) -> None:
    assert_type(event.event, str)
    assert_type(event.mode, str)
    assert_type(event.namespace, Tuple[str, ...])
    assert_type(event.data, Any)
    assert_type(event.id, Optional[str])
    assert_type(event.tags, Tuple[str, ...])
    assert_type(event.raw, str)
    event.event = "values"  # type: ignore[misc]


def the_class_of_the_events_of_a_joined_stream_follows_the_mode() -> None:
    assert_type(runs.join_stream("t", "r", stream_mode="values"), RunStream[ValuesStreamEvent])
    assert_type(runs.join_stream("t", "r", stream_mode="updates"), RunStream[UpdatesStreamEvent])
    assert_type(runs.join_stream("t", "r", stream_mode="messages"), RunStream[MessagesStreamEvent])
    assert_type(runs.join_stream("t", "r", stream_mode="custom", last_event_id="0"), RunStream[CustomStreamEvent])
    assert_type(runs.join_stream("t", "r", stream_mode="events"), RunStream[EventsStreamEvent])
    assert_type(runs.join_stream("t", "r", stream_mode="debug"), RunStream[DebugStreamEvent])
    assert_type(runs.join_stream("t", "r", stream_mode="tasks"), RunStream[TasksStreamEvent])
    assert_type(runs.join_stream("t", "r", stream_mode="checkpoints"), RunStream[CheckpointsStreamEvent])


def without_one_mode_it_may_hold_any_event() -> None:
    assert_type(runs.join_stream("t", "r"), RunStream[StreamEvent])
    assert_type(runs.join_stream("t", "r", stream_mode=["custom"], stream_subgraphs=False), RunStream[StreamEvent])
    assert_type(runs.join_stream("t", "r", {"stream_mode": "custom", "on_gap": "mark"}), RunStream[StreamEvent])
    assert_type(runs.join_stream(None, "r"), RunStream[StreamEvent])


def several_kinds_at_once(kinds: Union[ValuesStreamEvent, CustomStreamEvent]) -> None:
    if isinstance(kinds, CustomStreamEvent):
        assert_type(kinds, CustomStreamEvent)
    else:
        assert_type(kinds, ValuesStreamEvent)


def what_is_no_mode_is_refused(modes: Sequence[str]) -> None:
    runs.stream("t", "agent", stream_mode="value")  # type: ignore[arg-type]
    runs.stream("t", "agent", stream_mode=["value"])  # type: ignore[list-item]
    runs.stream("t", "agent", stream_mode=modes)  # type: ignore[arg-type]
    runs.join_stream("t", "r", stream_mode="value")  # type: ignore[arg-type]
    runs.join_stream("t", "r", {"stream_modes": "values"})  # type: ignore[call-overload]
    runs.join_stream("t", "r", last_event=1)  # type: ignore[call-overload]

"""Ids of milliseconds and a counter, on a resumed connection of a run that has ended and of one that goes on."""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_runs.streaming.clock_ids import FinishedClockIds, LiveClockIds, clock_key, resume_from
from langgraph_runs.streaming.delivered import Delivered

Sent = Tuple[str, str]
#: Events as (data, id): the steps between them in milliseconds, and few different data.
LOGS = st.lists(st.tuples(st.sampled_from([0, 0, 1]), st.sampled_from("ab")), max_size=14)


def log_of(steps: List[Tuple[int, str]]) -> List[Sent]:
    """The log of a server whose counter is constant."""
    events, now = [], 1795224633885
    for step, data in steps:
        now += step
        events.append((data, f"{now}-0"))
    return events


def deliver(delivered: Delivered, events: List[Sent], replay: Any = None) -> List[str]:
    """Deliver the events that are new by *replay*, all without one; the data of those."""
    new = []
    for data, event_id in events:
        if replay is None or replay.is_new("custom", data, event_id):
            delivered.add("custom", data, event_id)
            new.append(data)
    return new


def after(log: List[Sent], event_id: Optional[str]) -> List[Sent]:
    """The events that the server sends to a client that resumes from an id: all events with a greater one."""
    return [event for event in log if event_id is None or event[1] > event_id]


@settings(max_examples=300)
@given(LOGS, st.lists(st.integers(0, 30), max_size=4))
def test_a_run_that_has_ended_is_exact(steps: List[Tuple[int, str]], cuts: List[int]) -> None:
    """Cut anywhere and as often as you like: each event once, in order, whichever are equal."""
    log, delivered = log_of(steps), Delivered()
    cuts = [*cuts, len(log)]
    got = deliver(delivered, log[: cuts[0]])
    for cut in [*cuts[1:], len(log)]:
        sent = after(log, resume_from(delivered))
        got += deliver(delivered, sent[:cut], FinishedClockIds(delivered))
    assert [data for data, _ in log] == got


@settings(max_examples=300)
@given(LOGS, st.integers(0, 14), st.integers(0, 14), st.integers(0, 5))
def test_a_run_that_goes_on_is_exact(steps: List[Tuple[int, str]], cut: int, block_from: int, block: int) -> None:
    """A block of what was published during the replay comes twice. If equal events are in doubt, the next connection decides."""
    log, delivered = log_of(steps), Delivered()
    cut = min(cut, len(log))
    start = max(cut, min(block_from, len(log)))
    end = min(len(log), start + block)
    got = deliver(delivered, log[:cut])
    replay = LiveClockIds(delivered)
    got += deliver(delivered, after(log[:end], resume_from(delivered)) + log[start:], replay)
    if replay.doubt:
        got += deliver(delivered, after(log, resume_from(delivered)), LiveClockIds(delivered, safe=replay.shown))
    assert [data for data, _ in log] == got


def test_a_connection_in_doubt_admits_no_events_and_notes_their_ids() -> None:
    delivered = Delivered()
    delivered.add("custom", "a", "5-0")
    replay = LiveClockIds(delivered)
    assert [False, False, False, False] == [
        replay.is_new("custom", data, event_id) for data, event_id in (("a", "5-0"), ("a", "5-0"), ("x", "7-0"), ("y", "6-0"))
    ]
    assert (True, (7, 0)) == (replay.doubt, replay.shown)


def test_a_stream_that_cannot_be_resumed_is_never_in_doubt() -> None:
    delivered = Delivered()
    delivered.add("custom", "a", "5-0")
    delivered.add_unrepeatable()
    replay = LiveClockIds(delivered)
    assert [False, False, True] == [
        replay.is_new("custom", data, event_id) for data, event_id in (("a", "5-0"), ("a", "5-0"), ("b", "6-0"))
    ]
    assert False is replay.doubt


def test_unique_ids_leave_no_doubt() -> None:
    """An id of its own comes again only with its event."""
    delivered = Delivered()
    for number in range(3):
        delivered.add("custom", "a", f"5-{number}")
    replay = LiveClockIds(delivered)
    again = [("a", "5-2"), ("a", "5-3"), ("a", "5-2"), ("a", "5-3"), ("a", "5-4")]
    assert [False, True, False, False, True] == [replay.is_new("custom", data, event_id) for data, event_id in again]
    assert False is replay.doubt


@pytest.mark.parametrize("overlapping", [True, False])
def test_events_published_long_after_the_connection_was_opened_come_once(overlapping: bool) -> None:
    delivered = Delivered()
    delivered.add("custom", "a", "5-0")
    replay = LiveClockIds(delivered)
    replay.overlapping = overlapping
    assert [False, not overlapping] == [replay.is_new("custom", "a", "5-0") for _ in range(2)]


def test_a_repeated_block_is_recognised_after_the_run_has_ended() -> None:
    """A server may send a block again, contrary to expectation. The older events show it."""
    delivered = Delivered()
    for data, event_id in (("a", "5-0"), ("b", "6-0")):
        delivered.add("custom", data, event_id)
    replay = FinishedClockIds(delivered)
    again = [("b", "6-0"), ("a", "5-0"), ("b", "6-0"), ("c", "6-0"), ("d", "7-0")]
    assert ["c", "d"] == deliver(delivered, again, replay)


@pytest.mark.parametrize("text", ["", "5", "5-", "-5", "5-x", "5-0 ", "\u0663-0"])
def test_other_ids_are_none_of_a_clock(text: str) -> None:
    assert clock_key(text) is None
    assert True is FinishedClockIds(Delivered()).is_new("custom", "x", text)
    assert True is LiveClockIds(Delivered()).is_new("custom", "x", text)


@pytest.mark.parametrize("kind", [FinishedClockIds, LiveClockIds])
def test_an_error_that_a_server_sends_again_is_a_repeat(kind: Any) -> None:
    """The Python server stores no error events, other servers do. It comes again on every connection."""
    delivered = Delivered()
    for name, data, event_id in (("custom", "a", "5-0"), ("error", "boom", "6-0")):
        delivered.add(name, data, event_id)
    for _ in range(3):
        replay = kind(delivered, **({"safe": (6, 0)} if kind is LiveClockIds else {}))
        assert (False, False) == (replay.is_new("error", "boom", "6-0"), replay.doubt)
        assert replay.is_new("error", "another", "6-0")

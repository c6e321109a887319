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


#: For each connection: how many more events were published when it was opened, during the replay, and later; and after how many
#: events it was cut.
CONNECTIONS = st.lists(st.tuples(*[st.integers(0, 3)] * 3, st.integers(0, 20)), max_size=6)


@settings(max_examples=500)
@given(LOGS, CONNECTIONS, st.integers(-1, 4))
def test_a_run_that_goes_on_is_exact(steps: List[Tuple[int, str]], connections: List[Tuple[int, int, int, int]], tail: int) -> None:
    """What was published during the replay comes twice; with a *tail*, so many events before that too, on each connection.

    If equal events are in doubt, one of the next connections decides, at the latest when the run has ended.
    """
    log, delivered = log_of(steps), Delivered()
    published, safe, got = 0, None, []
    for number, (before, meanwhile, later, cut) in enumerate(connections):
        opened = min(len(log), published + before)
        replayed = min(len(log), opened + meanwhile)
        published = min(len(log), replayed + later)
        block = opened if tail < 0 else min(opened, replayed - min(tail, replayed))
        if number == 0:
            got += deliver(delivered, log[:published][:cut])
            continue
        replay = LiveClockIds(delivered, safe=safe)
        got += deliver(delivered, (after(log[:replayed], resume_from(delivered)) + log[block:published])[:cut], replay)
        safe = replay.shown if replay.doubt else None
    got += deliver(delivered, after(log, resume_from(delivered)), FinishedClockIds(delivered))
    assert [data for data, _ in log] == got


@pytest.mark.parametrize("block", [["b"], ["a", "b"]])
def test_a_block_that_comes_on_each_connection_waits_for_a_newer_event(block: List[str]) -> None:
    """Some servers send the last events again on each connection. Two connections show the same then as with new events."""
    delivered = Delivered()
    for data in ("a", "b"):
        delivered.add("custom", data, "5-0")
    sent = [("a", "5-0"), ("b", "5-0"), *((data, "5-0") for data in block)]

    first = LiveClockIds(delivered)
    assert [] == deliver(delivered, sent, first)
    assert (True, False) == (first.doubt, first.awaits_newer)
    second = LiveClockIds(delivered, safe=first.shown)
    assert [] == deliver(delivered, sent, second)
    assert (True, True) == (second.doubt, second.awaits_newer)
    assert [] == deliver(delivered, [("c", "6-0")], second)
    assert (True, False) == (second.doubt, second.awaits_newer)
    repeats, new = LiveClockIds(delivered, safe=second.shown), LiveClockIds(delivered, safe=second.shown)
    assert [*block, "c"] == [data for data, event_id in [*sent, ("c", "6-0")] if new.is_new("custom", data, event_id)]
    assert ["c"] == deliver(delivered, [*sent[:2], ("c", "6-0")], repeats)


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

"""The stream modes of a join: which the server is asked for, and which are left out here."""

from __future__ import annotations

import pytest

from langgraph_runs.streaming.mode_filter import ModeFilter


def test_without_modes_nothing_is_filtered() -> None:
    every = ModeFilter()
    every.filter_here()
    assert ([], False, False) == (every.query(), every.is_sent, every.is_here)


def test_the_server_is_asked_until_it_is_known_to_refuse() -> None:
    wanted = ModeFilter(["values", "error"])
    assert [("stream_mode", '["values", "error", "metadata"]')] == wanted.query()
    wanted.filter_here()
    assert ([], False, True) == (wanted.query(), wanted.is_sent, wanted.is_here)


@pytest.mark.parametrize(
    ("name", "omitted"),
    [
        ("values", False),
        ("values|child:1", False),
        ("messages", False),
        ("messages/partial", False),
        ("metadata", False),
        ("error", False),
        ("end", False),
        ("feedback", False),
        ("custom", True),
        ("updates|child:1", True),
        ("of a newer server", True),
    ],
)
def test_events_of_other_modes_are_left_out(name: str, omitted: bool) -> None:
    assert omitted is ModeFilter(["values", "messages-tuple"]).omits(name)


def test_events_of_subgraphs_are_left_out_whatever_the_server_filters() -> None:
    wanted = ModeFilter(subgraphs=False)
    assert wanted.omits_some and not wanted.is_here and [] == wanted.query()
    assert [True, False, False] == [wanted.omits(name) for name in ("values|child:1", "values", "of a newer server")]
    assert not ModeFilter(["values"]).omits_some


def test_the_filter_of_a_location_is_replaced() -> None:
    query = [("stream_mode", "x"), ("a", "b")]
    assert [("a", "b")] == ModeFilter(["values"]).without(query)
    assert query == ModeFilter().without(query)

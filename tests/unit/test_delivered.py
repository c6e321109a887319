"""The delivered events that are remembered, and how events under the last id are recognised when they come again."""

from __future__ import annotations

from typing import List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_runs.streaming.delivered import Delivered, DeliveredSiblings, is_stored

WORDS = st.lists(st.sampled_from("ab"), max_size=12)


def delivered(*events: Tuple[str, str]) -> Delivered:
    """The events (data and id) of a stream, delivered."""
    found = Delivered()
    for data, event_id in events:
        found.add("custom", data, event_id)
    return found


def test_the_first_the_last_and_the_id_before_it() -> None:
    found = delivered(("1", "a"), ("2", "b"), ("3", "b"), ("4", "c"))
    assert ("a", "b", "c", [("custom", "4")]) == (found.first, found.before, found.last, found.siblings)
    assert True is found.repeats
    assert False is delivered(("1", "a"), ("2", "b")).repeats


def test_an_id_without_an_event_moves_the_position() -> None:
    found = delivered(("1", "a"))
    found.move_to("b")
    assert ("a", "b", "b", []) == (found.before, found.last, found.last_id, found.siblings)


def test_an_empty_id_is_the_last_id_until_the_next() -> None:
    found = Delivered(start="5")
    assert ("5", None) == (found.last_id, found.last)
    found.add("custom", "1", "6")
    found.reset_id()
    assert ("", "6") == (found.last_id, found.last)
    found.add("custom", "2", "6")
    assert "6" == found.last_id


@pytest.mark.parametrize(
    ("name", "stored"), [("messages", True), ("values", True), ("messages/partial", False), ("error", False), ("feedback", False)]
)
def test_kinds_that_servers_store(name: str, stored: bool) -> None:
    assert stored is is_stored((name, "{}"))


def test_ids_are_remembered_only_if_they_are_unordered() -> None:
    found = delivered(("1", "a"), ("2", "b"), ("3", "c"))
    assert "a" not in found
    found.treat_as_unordered()
    found.add("custom", "4", "d")
    assert all(event_id in found for event_id in "abcd")
    assert "e" not in found


def test_at_least_four_thousand_ids_are_remembered_and_not_all() -> None:
    found = Delivered()
    found.treat_as_unordered()
    for number in range(20_000):
        found.add("custom", "x", str(number))
    assert all(str(number) in found for number in range(20_000 - 4096, 20_000))
    assert "0" not in found


@given(WORDS, WORDS)
def test_siblings_are_matched_in_order(known: List[str], further: List[str]) -> None:
    """All that was delivered comes again, and then what is new, whatever is equal to what."""
    siblings = DeliveredSiblings(delivered(*((word, "7-0") for word in known)))
    assert [True] * len(known) + [False] * len(further) == [siblings.is_repeat(("custom", word)) for word in known + further]


def test_siblings_in_another_order_are_matched_by_content_each_once() -> None:
    siblings = DeliveredSiblings(delivered(("a", "7-0"), ("b", "7-0"), ("a", "7-0")))
    assert [True, True, False, True, False] == [siblings.is_repeat(("custom", word)) for word in "bacab"]


def test_siblings_that_are_not_stored_are_not_expected() -> None:
    found = delivered(("a", "7-0"))
    found.add("messages/partial", "[]", "7-0")
    found.add("custom", "b", "7-0")
    siblings = DeliveredSiblings(found)
    assert [True, True, False] == [siblings.is_repeat(("custom", word)) for word in "abb"]


def test_forgotten_siblings_are_counted() -> None:
    found = delivered(*((str(number), "7-0") for number in range(10_000)))
    assert len(found.siblings) <= 4096
    siblings = DeliveredSiblings(found)
    assert all(siblings.is_repeat(("custom", str(number))) for number in range(10_000))
    assert False is siblings.is_repeat(("custom", "9999"))


def test_siblings_can_be_expected_again_or_no_more() -> None:
    siblings = DeliveredSiblings(delivered(("a", "7-0")))
    assert [True, False] == [siblings.is_repeat(("custom", "a")) for _ in range(2)]
    siblings.restart()
    assert True is siblings.is_repeat(("custom", "a"))
    siblings.restart()
    siblings.clear()
    assert False is siblings.is_repeat(("custom", "a"))

"""A digest is the same for equal JSON values, in every process."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_runs.serialization import digest_of


def test_the_digest_of_a_value_never_changes() -> None:
    """Ledgers and markers on servers keep it."""
    assert "fb960116ad27185549bcf7a9005a51cb" == digest_of({"t": "\u00e9", "n": 1})


@pytest.mark.parametrize("other", [{"n": 2}, {"n": 1.5}, {"n": "1"}, {}, [1], None])
def test_other_values_have_other_digests(other: Any) -> None:
    assert digest_of({"n": 1}) != digest_of(other)

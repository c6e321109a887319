"""Nothing of the official SDKs is missing, but what is left out for a reason, and each parameter is used on the real server."""

from __future__ import annotations

from typing import List, Tuple

import pytest

from . import parity

pytest.importorskip("langgraph_sdk")


def test_nothing_is_missing() -> None:
    """Each parameter of each call is here, or left out for a reason, which is asyncio, websockets, or another way."""
    assert [] == parity.missing()


def test_each_parameter_is_passed_to_the_real_server_by_a_test() -> None:
    """Those that are here."""
    assert [] == [(row.call, row.parameter) for row in parity.rows() if row.here and row.test is None]


def test_what_is_left_out_is_really_not_here() -> None:
    """No reason is left over when something has been added."""
    used = {name for row in parity.rows() if not row.here for name in (row.call, f"{row.call} {row.parameter}", row.parameter)}
    assert set() == set(parity.LEFT_OUT) - used


def test_the_page_is_up_to_date() -> None:
    """Except for the files of tests, which may move, and with another version of the SDK than it was written for."""
    written = parity.PAGE.read_text("utf-8")
    if parity.versions() not in written:
        pytest.skip("tests/parity.rst was written from other versions of the SDKs")

    def cells(text: str) -> List[Tuple[str, ...]]:
        return [tuple(line.split()[:-1] if line.rstrip().endswith(".py") else line.split()) for line in text.splitlines()]

    assert cells(written) == cells(parity.page()), "python -m tests.parity --write"
    assert [] == [line for line in written.splitlines() if len(line) > 132]

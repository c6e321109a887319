"""Reading the inputs of a map: keys, payloads and digests."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from langgraph_runs import InvalidRequestError, RunsCreatePayload
from langgraph_runs.batch.inputs import InputReader, RunsToJoin

ROOT = Path(__file__).resolve().parent.parent.parent


def items(inputs: Any, **options: Any) -> list[Any]:
    reader = InputReader(inputs, {}, key=None, digests=True, **options)
    found: list[Any] = []
    while True:
        item = reader.read()
        if item is None:
            return found
        found.append(item)


def test_the_same_input_has_the_same_digest_in_every_process() -> None:
    given: Any = {"b": [1, 2.5, 1e300, "é\u2028"], "a": {"y": None, "x": True}}
    (item,) = items([given])
    code = f"""
import json, sys
sys.modules["orjson"] = None
from langgraph_runs.batch.inputs import InputReader
print(InputReader([dict(reversed(list(json.loads({json.dumps(given)!r}).items())))], {{}}, key=None, digests=True).read().digest)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert item.digest == done.stdout.strip()
    assert 32 == len(item.digest)


def test_a_digest_depends_on_the_content_of_the_input_alone() -> None:
    one, same, other, payload, more = items(
        [{"n": 1}, ("key", {"n": 1}), {"n": 2}, RunsCreatePayload(input={"n": 1}), RunsCreatePayload(input={"n": 1}, metadata={})]
    )
    assert one.digest == same.digest == payload.digest
    assert 3 == len({one.digest, other.digest, more.digest})


def test_any_json_value_is_an_input() -> None:
    given = ["text", 3, [1, 2], ["a", 2], ("a", "b", "c"), None, True]
    assert given == [item.given for item in items(given)]
    assert [None] * len(given) == [item.key for item in items(given)]


def test_a_tuple_of_two_is_a_key_and_an_input() -> None:
    day = datetime.date(2026, 3, 1)
    found = items([(7, {"n": 1}), (uuid.UUID(int=1), "text"), (day, None), ("x\u200cy", [1])])
    assert ["7", str(uuid.UUID(int=1)), "2026-03-01", "x\u200cy"] == [item.key for item in found]
    assert [{"n": 1}, "text", None, [1]] == [item.given for item in found]


@pytest.mark.parametrize("first", [1.5, None, True, ("a", 1), {"n": 1}, b"key", ""])
def test_a_tuple_of_two_without_a_key_is_refused(first: Any) -> None:
    """It could be an input that is a list, or a row with a wrong key, so it is never sent."""
    item, after = items([(first, {"n": 1}), {"n": 2}])
    assert item.payload is None and "inputs[0]: a tuple of two is a key and an input, and " in str(item.error)
    assert "if both are the input, give a list" in str(item.error)
    assert after.error is None


def test_an_error_in_place_of_an_input_is_the_error_of_that_input() -> None:
    error = InvalidRequestError("line 3: not JSON")
    one, two, three = items([error, ("key", error), {"n": 1}])
    assert (None, error, None) == (one.key, one.error, one.payload)
    assert ("key", error) == (two.key, two.error)
    assert three.error is None


class Columns:
    """As the tables of most libraries: its iterator yields the names of the columns."""

    columns = ("a", "b")

    def __iter__(self) -> Any:
        return iter(self.columns)

    def itertuples(self) -> Any:
        return iter([(1, 2)])


def test_a_table_is_refused_with_the_remedy() -> None:
    with pytest.raises(InvalidRequestError, match=r"^inputs: give read_table\(\.\.\.\) of the Columns, which yields its rows$"):
        items(Columns())
    with pytest.raises(InvalidRequestError, match=r"^runs: give a list of pairs$"):
        RunsToJoin(Columns())


def test_the_number_of_inputs_is_known_where_the_iterable_knows_it() -> None:
    for inputs, total in (([1, 2], 2), (iter([1, 2]), None), ((n for n in [1, 2]), None), (range(3), 3)):
        assert total == InputReader(inputs, {}, key=None, digests=False).total

"""Reading the inputs of a map: keys, payloads and digests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from langgraph_runs import RunsCreatePayload
from langgraph_runs.batch.inputs import InputReader

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

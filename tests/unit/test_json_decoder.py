"""JSON to Python objects: which texts are JSON, and what a body that is none raises."""

from __future__ import annotations

from typing import List

import pytest

from langgraph_runs.errors import ResponseDecodeError
from langgraph_runs.serialization.json_decoder import decode_body, parse

#: Texts that are JSON on one machine must be JSON on every other.
TEXTS: List[str] = [
    "1",
    " [1 , 2]\n",
    "-0",
    "-0.0",
    "1E5",
    "0.1e1",
    "1e-400",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "123456789012345678901234567890",
    '"\\ud83d\\ude00"',
    '"\\u0000"',
    '"\u2028"',
    '{"a":1,"a":2}',
    "[" * 500 + "]" * 500,
]
NOT_JSON: List[str] = [
    "",
    " ",
    "nul",
    "NaN",
    "[Infinity]",
    "-Infinity",
    "1e400",
    "-1e400",
    "9" * 400,
    "9" * 5000,
    "01",
    "1.",
    ".5",
    "+1",
    "[1,]",
    "{'a':1}",
    '"\x01"',
    '"\\ud800"',
    '{"\\udc00": 1}',
    "\ufeff1",
    "1\x00",
    "[1] x",
    '"open',
    "[" * 100_000,
    "\xa01",
    "\u20281",
]


@pytest.mark.parametrize("text", NOT_JSON, ids=lambda text: repr(text)[:30])
def test_text_that_is_not_json_is_an_error(text: str) -> None:
    """Python's own liberties (NaN, huge numbers, half surrogates) are not JSON here."""
    with pytest.raises(ValueError):
        parse(text)


def test_large_numbers() -> None:
    """Whole numbers of 64 bits are exact, larger ones are floats, as this server reads them too."""
    assert 18446744073709551615 == parse("18446744073709551615")
    assert int is type(parse("9007199254740993"))
    assert float is type(parse("18446744073709551616"))


def test_a_body_is_read_as_utf8() -> None:
    """A byte order mark and leading blank lines (keep-alives) are skipped."""
    assert {"a": "é\u2028"} == decode_body(b'\xef\xbb\xbf{"a":"\xc3\xa9\xe2\x80\xa8"}')
    assert {"a": 1} == decode_body(b'\n\n\r\n{"a":1}\n')
    assert None is decode_body(b"null")


@pytest.mark.parametrize("body", [b"", b"\n\n", b"\xef\xbb\xbf", b"  "])
def test_an_empty_body_is_an_error(body: bytes) -> None:
    """An empty body is an error if the call expects JSON."""
    with pytest.raises(ResponseDecodeError) as caught:
        decode_body(body)
    assert ("the response is empty, and not JSON", ("$: empty",)) == (str(caught.value), caught.value.problems)


@pytest.mark.parametrize("body", [b"<html>oh no", b"\xff\xfe", b'{"a":', b"\x1f\x8b\x08", b"NaN", b"[" * 100_000])
def test_a_body_that_is_not_json_is_an_error(body: bytes) -> None:
    """The error shows how it begins, on one line, and not all of it."""
    with pytest.raises(ResponseDecodeError) as caught:
        decode_body(body)
    text = str(caught.value)
    assert text.startswith("the response is not JSON: it begins with '")
    assert len(text) < 450
    assert 1 == len(caught.value.problems)

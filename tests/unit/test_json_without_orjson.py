"""The same results without orjson: second copies of the encoder and the decoder are imported without it, and compared."""

from __future__ import annotations

import importlib.util
import json
import sys
from typing import Any, Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langgraph_runs.errors import InvalidRequestError, ResponseDecodeError
from langgraph_runs.serialization import json_decoder as decoder
from langgraph_runs.serialization import json_encoder as encoder

from .test_json_decoder import NOT_JSON, TEXTS
from .test_json_encoder import HAVE_A_FORM, HAVE_NONE, JSON, nested, refusal


def import_without_orjson(original: Any) -> Any:
    """A copy of the module, imported as on a machine that has no orjson."""
    spec = importlib.util.spec_from_file_location(f"{original.__name__}_without_orjson", original.__file__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "orjson", None)  # None there makes the import fail
        spec.loader.exec_module(module)
    return module


plain_encoder = import_without_orjson(encoder)
plain_decoder = import_without_orjson(decoder)


def outcome(action: Callable[[Any], Any], value: Any) -> Any:
    """The result, or the class of the error and its text."""
    try:
        return action(value)
    except (InvalidRequestError, ResponseDecodeError) as error:
        return type(error), str(error)
    except ValueError:
        return ValueError


def test_the_copies_have_no_orjson() -> None:
    """They use the standard library; the originals use orjson if it is installed."""
    assert None is plain_encoder.orjson is plain_decoder.orjson
    assert (encoder.__file__, decoder.__file__) == (plain_encoder.__file__, plain_decoder.__file__)


@pytest.mark.parametrize(("value", "form"), HAVE_A_FORM, ids=lambda item: type(item).__name__)
def test_a_value_with_a_json_form(value: Any, form: Any) -> None:
    """It is the same JSON, byte for byte."""
    assert form == json.loads(plain_encoder.encode(value))
    assert encoder.encode(value) == plain_encoder.encode(value)


@pytest.mark.parametrize(("value", "path", "problem"), HAVE_NONE, ids=lambda item: type(item).__name__)
def test_a_value_without_a_json_form(value: Any, path: str, problem: str) -> None:
    """It is the same error, word for word."""
    assert refusal(value).startswith(f"{path}: {problem}")
    assert refusal(value, encoder.encode) == refusal(value, plain_encoder.encode)


@pytest.mark.parametrize("depth", [250, 255, 300, 100_000])
def test_deep_values_are_sent_or_refused_alike(depth: int) -> None:
    """Deep values are sent, or refused, alike."""
    assert outcome(encoder.encode, nested(depth)) == outcome(plain_encoder.encode, nested(depth))


@pytest.mark.parametrize("text", [*TEXTS, *NOT_JSON], ids=lambda text: repr(text)[:30])
def test_both_parsers_accept_the_same_texts(text: str) -> None:
    """Both take the same texts for JSON, and read the same values in them."""
    assert repr(outcome(decoder.parse, text)) == repr(outcome(plain_decoder.parse, text))
    data = text.encode("utf-8")
    assert repr(outcome(decoder.parse, data)) == repr(outcome(plain_decoder.parse, data))


@pytest.mark.parametrize(
    "data", [b'"\xff"', b'"\xed\xa0\x80"', b'"\xc3', b"\xff\xfe1\x00", b'"\xf4\x90\x80\x80"', b'{"a":"\xc0\x80"}']
)
def test_bytes_that_are_not_utf8(data: bytes) -> None:
    """Neither guesses another encoding."""
    assert ValueError is outcome(decoder.parse, data) is outcome(plain_decoder.parse, data)


@given(JSON)
def test_values_are_sent_alike(value: Any) -> None:
    """The JSON means the same, and is the same but for how the exponent of a float is written."""
    with_orjson, without_orjson = encoder.encode(value), plain_encoder.encode(value)
    assert repr(decoder.parse(with_orjson)) == repr(plain_decoder.parse(without_orjson))
    assert repr(plain_decoder.parse(with_orjson)) == repr(decoder.parse(without_orjson))
    if b"e" not in without_orjson:
        assert with_orjson == without_orjson


@given(st.text(alphabet='[]{}:," \\ud8DcEe+-.0123456789truefalsn\n\t\x00é'))
@example('{"a":-0}')
@example("[1e5,1E+05]")
def test_random_texts_are_read_alike(text: str) -> None:
    """Whatever is JSON to one is JSON to the other, and the same."""
    assert repr(outcome(decoder.parse, text)) == repr(outcome(plain_decoder.parse, text))


@given(st.binary())
def test_random_bytes_are_read_alike(data: bytes) -> None:
    """A body gives the same value, or the same kind of error."""
    with_orjson, without_orjson = outcome(decoder.decode_body, data), outcome(plain_decoder.decode_body, data)
    if isinstance(with_orjson, tuple) and isinstance(without_orjson, tuple):
        assert with_orjson[0] is without_orjson[0]
    else:
        assert repr(with_orjson) == repr(without_orjson)

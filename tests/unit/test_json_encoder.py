"""Python objects to JSON: what has a form, and the path of what has none."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import sys
import types
import uuid
from typing import Any, List, NamedTuple, Tuple, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_runs import Checkpoint
from langgraph_runs.errors import InvalidRequestError
from langgraph_runs.serialization import parse
from langgraph_runs.serialization.json_encoder import encode

UTC = datetime.timezone.utc


class Color(enum.Enum):
    RED = "red"
    WHEN = datetime.date(2026, 1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Word(str, enum.Enum):
    YES = "yes"


class Text(str):
    pass


class Point(NamedTuple):
    x: int
    y: int


@attrs.frozen
class Attrs:
    a: int
    when: datetime.date
    _private: str = "p"


@dataclasses.dataclass
class Data:
    a: int
    inner: Any = None


class OldPydantic:
    """As pydantic 1 does it."""

    __fields__ = {"a": None}

    def dict(self) -> Any:
        return {"a": uuid.UUID(int=1)}


class NewPydantic:
    """As pydantic 2 does it."""

    def model_dump(self) -> Any:
        return {"a": {1}}


#: Objects, and the JSON that they are.
HAVE_A_FORM: List[Tuple[Any, Any]] = [
    (None, None),
    ({"a": None}, {"a": None}),
    ([True, False, 0, -1, 1.5, "x", [], {}], [True, False, 0, -1, 1.5, "x", [], {}]),
    ('é\u2028\x00\x7f\\"/\n😀', 'é\u2028\x00\x7f\\"/\n😀'),
    (2**64 - 1, 2**64 - 1),
    (-(2**63), -(2**63)),
    (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    (datetime.datetime(2026, 1, 2, 3, 4, 5, 6, UTC), "2026-01-02T03:04:05.000006+00:00"),
    (datetime.datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),
    (datetime.date(2026, 1, 2), "2026-01-02"),
    (datetime.time(3, 4, 5), "03:04:05"),
    (Color.RED, "red"),
    (Color.WHEN, "2026-01-02"),
    (Level.LOW, 1),
    (Word.YES, "yes"),
    (Text("t"), "t"),
    (decimal.Decimal("1.50"), 1.5),
    (decimal.Decimal("7"), 7),
    (decimal.Decimal(2**64 - 1), 2**64 - 1),
    (Point(1, 2), [1, 2]),
    ((1, 2), [1, 2]),
    ({3, 1, 2}, [1, 2, 3]),
    (frozenset("ba"), ["a", "b"]),
    # The order of these differs from process to process.
    ({"d", "c", "b", "a", 2, 1, None}, [None, 1, 2, "a", "b", "c", "d"]),
    ({frozenset(name) for name in "dcbae"}, [["a"], ["b"], ["c"], ["d"], ["e"]]),
    (collections.deque([1]), [1]),
    (collections.OrderedDict(a=1), {"a": 1}),
    (collections.defaultdict(int, a=1), {"a": 1}),
    (collections.ChainMap({"a": 1}), {"a": 1}),
    (types.MappingProxyType({"a": {1}}), {"a": [1]}),
    (Attrs(1, datetime.date(2026, 1, 2)), {"a": 1, "when": "2026-01-02", "_private": "p"}),
    (Data(1, Data(2)), {"a": 1, "inner": {"a": 2, "inner": None}}),
    (OldPydantic(), {"a": "00000000-0000-0000-0000-000000000001"}),
    (NewPydantic(), {"a": [1]}),
    (Checkpoint(checkpoint_id="c", thread_id="t", extra={"more": None}), {"thread_id": "t", "checkpoint_id": "c", "more": None}),
    ({1: "a", 1.5: "b", False: "c", None: "d"}, {"1": "a", "1.5": "b", "false": "c", "null": "d"}),
    ({Word.YES: 1, Color.RED: 2, Text("t"): 3}, {"yes": 1, "red": 2, "t": 3}),
    ({uuid.UUID(int=5): 1}, {"00000000-0000-0000-0000-000000000005": 1}),
    ({datetime.date(2026, 1, 2): 1}, {"2026-01-02": 1}),
    ({"null": "null", "x": None}, {"null": "null", "x": None}),
]

NAN = float("nan")
#: Objects that have no JSON form, their path, and what the error says.
HAVE_NONE: List[Tuple[Any, str, str]] = [
    ({"input": {"messages": [{"score": NAN}]}}, "$.input.messages[0].score", "nan has no JSON form; use None or a string"),
    ({"a": float("inf")}, "$.a", "inf has no JSON form; use None or a string"),
    ([None, -float("inf")], "$[1]", "-inf has no JSON form; use None or a string"),
    (NAN, "$", "nan has no JSON form; use None or a string"),
    ({"a": decimal.Decimal("NaN")}, "$.a", "Decimal('NaN') has no JSON form; use None or a string"),
    ({"a": decimal.Decimal("1E400")}, "$.a", "inf has no JSON form; use None or a string"),
    ({"a b": {"c-d": NAN}}, "$['a b']['c-d']", "nan has no JSON form; use None or a string"),
    (Data(1, [Data(cast(Any, NAN))]), "$.inner[0].a", "nan has no JSON form; use None or a string"),
    ({"a": 2**64}, "$.a", "the number does not fit in 64 bits, and the server would turn it into a float; send it as a string"),
    ([-(2**63) - 1], "$[0]", "the number does not fit in 64 bits"),
    ({"a": b"x"}, "$.a", "bytes have no JSON form; decode them, or send base64 text"),
    ({"a": bytearray(b"x")}, "$.a", "bytes have no JSON form"),
    ({"a": object()}, "$.a", "an object of type object has no JSON form; convert it first"),
    ({"a": (x for x in "")}, "$.a", "an object of type generator has no JSON form; convert it first"),
    ({"a": 1j}, "$.a", "an object of type complex has no JSON form; convert it first"),
    ({"a": object}, "$.a", "an object of type type has no JSON form; convert it first"),
    ({"a": Data}, "$.a", "an object of type type has no JSON form; convert it first"),
    ({"a": print}, "$.a", "an object of type builtin_function_or_method has no JSON form"),
    ({"a": "\ud800"}, "$.a", "the text holds half a surrogate pair at position 0, which is no character"),
    ({"x": {"\udfff": 1}}, "$.x", "the text holds half a surrogate pair at position 0"),
    ({"a": {(1, 2): 3}}, "$.a", "an object of type tuple cannot be the name of a field; use text"),
    ({"a": {NAN: 3}}, "$.a", "an object of type float cannot be the name of a field; use text"),
    ({"a": {b"k": 3}}, "$.a", "an object of type bytes cannot be the name of a field; use text"),
    ({"a": types.MappingProxyType({(1,): 1})}, "$.a", "an object of type tuple cannot be the name of a field; use text"),
]


def refusal(value: Any, encoding: Any = encode) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        encoding(value)
    return str(caught.value)


@pytest.mark.parametrize(("value", "form"), HAVE_A_FORM, ids=lambda item: type(item).__name__)
def test_a_value_with_a_json_form(value: Any, form: Any) -> None:
    """It is sent as compact UTF-8, alone and deep inside, and nothing is lost on the way."""
    assert form == json.loads(encode(value))
    sent = encode({"input": [value]})
    assert {"input": [form]} == json.loads(sent)
    assert sent.startswith(b'{"input":[')


@pytest.mark.parametrize(("value", "path", "problem"), HAVE_NONE, ids=lambda item: type(item).__name__)
def test_a_value_without_a_json_form(value: Any, path: str, problem: str) -> None:
    """The error names the place and the remedy, also if there are nulls beside it."""
    assert refusal(value).startswith(f"{path}: {problem}")
    assert refusal({"x": None, "value": value}).startswith(f"$.value{path[1:]}: {problem}")


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [10, 250, 255, 300])
def test_deep_values_are_sent(depth: int) -> None:
    """orjson refuses a depth of 255; this library encodes it."""
    assert b"[" * (depth + 1) + b"]" * (depth + 1) == encode(nested(depth))


def test_an_object_that_contains_itself_is_refused() -> None:
    """A list, an object and a dataclass that contain themselves, and a very deep list, raise InvalidRequestError."""
    ring: List[Any] = []
    ring.append(ring)
    table: Any = {}
    table["a"] = table
    data = Data(1)
    data.inner = data
    for value in (ring, table, data, nested(100_000)):
        assert "$: nested too deep, or an object that contains itself" == refusal(value)


def test_refusing_deep_values_leaves_the_interpreter_whole() -> None:
    """After it, ordinary values are encoded as before, and the recursion limit is what it was."""
    before = sys.getrecursionlimit()
    refusal(nested(100_000))
    assert b'{"a":[1]}' == encode({"a": [1]})
    assert before == sys.getrecursionlimit()


def test_the_word_null_in_a_text_changes_nothing() -> None:
    """A fast path that looks for it must come to the same result."""
    value = {"text": "null and void", "null": [None, "x"]}
    assert b'{"text":"null and void","null":[null,"x"]}' == encode(value)


def test_an_error_of_a_model_is_raised_unchanged() -> None:
    """It is a bug of the model, and its own error says more."""

    class Broken:
        def model_dump(self) -> Any:
            raise RuntimeError("a bug in the model")

    with pytest.raises(RuntimeError, match="a bug in the model"):
        encode({"a": Broken()})


def test_pydantic_models_are_sent() -> None:
    """A real one, with a nested one and a time in it; the library itself does not import pydantic."""
    pydantic = pytest.importorskip("pydantic")

    class Inner(pydantic.BaseModel):  # type: ignore[name-defined,misc]
        when: datetime.datetime

    class Outer(pydantic.BaseModel):  # type: ignore[name-defined,misc]
        inner: Inner
        tags: set[str]

    moment = datetime.datetime(2026, 1, 2, tzinfo=UTC)
    assert {"inner": {"when": "2026-01-02T00:00:00+00:00"}, "tags": ["a"]} == json.loads(
        encode(Outer(inner=Inner(when=moment), tags={"a"}))
    )


def test_numpy_scalars_and_arrays_are_sent() -> None:
    """Numbers are numbers, arrays lists, times ISO text at any resolution; NaN is found inside of an array."""
    np = pytest.importorskip("numpy")
    value = {
        "int": np.int64(3),
        "float": np.float64(1.5),
        "float32": np.float32(0.5),
        "bool": np.bool_(True),
        "str": np.str_("x"),
        "array": np.array([[1, 2], [3, 4]]),
        "empty": np.array([]),
        "day": np.datetime64("2026-01-02"),
        "times": np.array(["2026-01-02T03:04:05.123456789"], dtype="datetime64[ns]"),
        "objects": np.array([{"a": 1}, None], dtype=object),
    }
    assert {
        "int": 3,
        "float": 1.5,
        "float32": 0.5,
        "bool": True,
        "str": "x",
        "array": [[1, 2], [3, 4]],
        "empty": [],
        "day": "2026-01-02T00:00:00",
        "times": ["2026-01-02T03:04:05.123456"],
        "objects": [{"a": 1}, None],
    } == json.loads(encode(value))
    assert "$.a[1]: nan has no JSON form; use None or a string" == refusal({"a": np.array([1.0, NAN])})
    assert b'{"a":["PT0.000003S"]}' == encode({"a": [np.timedelta64(3, "us")]})


class NotATime(datetime.datetime):
    """As the NaT of pandas: a datetime that differs from itself."""

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    __hash__ = datetime.datetime.__hash__

    def isoformat(self, *_: Any, **__: Any) -> str:
        return "NaT"

    def __repr__(self) -> str:
        return "NaT"


def test_a_missing_value_is_refused_with_its_path() -> None:
    """Whatever library it is of: it is not sent as null, nor as text."""
    assert "$.row.when: NaT, a missing value, has no JSON form; use None or a string" == refusal(
        {"row": {"when": NotATime(1, 1, 1)}}
    )
    np = pytest.importorskip("numpy")
    for missing in (np.datetime64("NaT", "s"), np.timedelta64("NaT", "s"), np.array(["2026-01-01", "NaT"], dtype="datetime64[s]")):
        assert "$.when: NaT, a missing value, has no JSON form; use None or a string" == refusal({"when": missing})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime.timedelta(hours=1), "PT3600S"),
        (datetime.timedelta(days=2), "P2D"),
        (datetime.timedelta(days=1, seconds=1, microseconds=500_000), "P1DT1.5S"),
        (datetime.timedelta(0), "PT0S"),
        (-datetime.timedelta(minutes=1), "-PT60S"),
        (pathlib.PurePosixPath("/data/x.csv"), "/data/x.csv"),
    ],
    ids=str,
)
def test_durations_and_paths_are_sent_as_text(value: Any, text: str) -> None:
    assert text == json.loads(encode([value]))[0]


def test_the_fields_of_a_pydantic_model_may_be_of_its_types() -> None:
    pydantic = pytest.importorskip("pydantic")
    Page = pydantic.create_model("Page", url=(pydantic.HttpUrl, ...), path=(pathlib.Path, ...), age=(datetime.timedelta, ...))
    page = Page(url="https://host.example/a", path="x/y", age=datetime.timedelta(seconds=90))

    assert {"url": "https://host.example/a", "path": "x/y", "age": "PT90S"} == json.loads(encode(page))


def test_a_secret_of_pydantic_is_refused() -> None:
    """Its text would be stars."""
    pydantic = pytest.importorskip("pydantic")
    assert refusal({"key": pydantic.SecretStr("s3cret")}) == "$.key: an object of type SecretStr has no JSON form; convert it first"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=30,
)


@given(JSON)
def test_encoded_values_parse_to_the_same_values(value: Any) -> None:
    """Encoding and parsing give the same value, to the last bit of a float."""
    back = parse(encode(value))
    assert value == back
    assert repr(value) == repr(back)


DEEP: List[Any] = [
    ("$.input", lambda item: {"input": item}),
    ("$.input.a[1][0]", lambda item: {"input": {"a": [1, (item, 2)]}}),
    ("$.input.messages[49].score", lambda item: {"input": {"messages": [{"score": 0.5}] * 49 + [{"score": item}]}}),
    ("$.input.row[99]", lambda item: {"input": {"row": [0.5] * 99 + [item]}}),
    ("$.input.row[99]", lambda item: {"input": {"row": ["x"] * 99 + [item]}}),
    ("$.input.row[0]", lambda item: {"input": {"row": [item] + [None] * 99}}),
    ("$.input.when", lambda item: {"input": {"at": datetime.date(2026, 1, 1), "when": item}}),
]


@pytest.mark.parametrize("length", [0, 10_000])
@pytest.mark.parametrize(("path", "around"), DEEP, ids=[str(index) for index in range(len(DEEP))])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_values_without_a_json_form_are_found_in_short_and_long_bodies(length: int, path: str, around: Any, number: float) -> None:
    """Wherever it stands, beside nulls and without; and None in its place is sent as it is."""
    for pad in ({"pad": "x" * length}, {"pad": "x" * length, "none": None, "text": "null"}):
        with pytest.raises(InvalidRequestError) as raised:
            encode({**around(number), **pad})
        assert str(raised.value).startswith(f"{path}: ")
        sent = json.loads(encode({**around(None), **pad}))
        assert json.loads(json.dumps({**around(None), **pad}, default=str)) == sent

"""Where an exception was raised: in code that carries out calls, or elsewhere."""

from __future__ import annotations

import functools
import json
import signal
import urllib.parse
from collections.abc import Iterator
from typing import Any, Callable, List, Type

import pytest

from langgraph_runs import InvalidRequestError
from langgraph_runs.call import is_foreign, is_from_signal_handler, raise_foreign, with_causes
from langgraph_runs.validation import check_id


def caught(work: Callable[[], Any]) -> BaseException:
    try:
        work()
    except BaseException as error:
        error.__traceback__ = None if error.__traceback__ is None else error.__traceback__.tb_next  # without this frame
        return error
    raise AssertionError("nothing was raised")


def raise_here() -> None:
    raise TimeoutError("of a handler")


@pytest.mark.parametrize(
    "work",
    [
        lambda: json.loads("{"),
        lambda: urllib.parse.urlsplit("http://[::1"),
        lambda: check_id("thread_id", None),
    ],
    ids=["json", "urllib", "langgraph_runs"],
)
def test_what_libraries_raise_is_not_foreign(work: Callable[[], Any]) -> None:
    assert not is_foreign(caught(work))


def test_what_other_code_raises_is_foreign() -> None:
    assert is_foreign(caught(raise_here))


def test_what_was_not_raised_is_not_foreign() -> None:
    assert not is_foreign(TimeoutError())


def test_a_cause_is_found_in_what_was_made_of_it() -> None:
    """As a context, a cause, an argument, and in a group."""
    inner = caught(raise_here)

    class Wrapped(Exception):
        pass

    def chained() -> None:
        try:
            raise inner
        except OSError as error:
            raise Wrapped("around") from error

    grouped = Wrapped("group")
    grouped.exceptions = [Wrapped(inner)]  # type: ignore[attr-defined]
    for outer in (caught(chained), Wrapped("x", inner), grouped):
        assert inner in list(with_causes(outer))
        with pytest.raises(TimeoutError) as raised:
            raise_foreign(outer, but=(Wrapped,))
        assert raised.value is inner
    raise_foreign(inner, but=(OSError,))
    raise_foreign(Wrapped("no traceback", TimeoutError()))


def test_causes_may_be_a_circle() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one

    assert [one, other] == list(with_causes(one))


class Handler:
    def method(self, *_: Any) -> None:
        raise TimeoutError("a method")

    def __call__(self, *_: Any) -> None:
        raise TimeoutError("an object")


def function(*_: Any, cls: Type[BaseException] = TimeoutError) -> None:
    raise cls("a function")


HANDLERS: List[Any] = [function, Handler().method, Handler(), functools.partial(function, cls=ValueError), lambda *_: raise_here()]


@pytest.fixture
def restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("handler", HANDLERS, ids=["function", "method", "object", "partial", "lambda"])
def test_a_handler_is_found_by_its_code(restored: None, handler: Any) -> None:
    def work() -> None:
        signal.raise_signal(signal.SIGTERM)

    assert not is_from_signal_handler(caught(lambda: handler(15, None)))
    signal.signal(signal.SIGTERM, handler)
    assert is_from_signal_handler(caught(work))


def test_an_error_of_a_call_is_not_of_a_handler(restored: None) -> None:
    signal.signal(signal.SIGTERM, function)
    with pytest.raises(InvalidRequestError) as raised:
        check_id("thread_id", None)
    assert not is_from_signal_handler(raised.value)

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


def test_a_call_within_an_except_block_is_not_the_cause_of_its_exception() -> None:
    """Python makes that exception the context of all that is raised meanwhile: by the call, and by what it calls."""

    def call() -> None:
        try:
            json.loads("{")
        except ValueError as error:
            raise_foreign(error)
            raise LookupError("wrapped") from error

    try:
        raise_here()
    except TimeoutError:
        found = list(with_causes(caught(call)))
    assert [LookupError, json.JSONDecodeError] == [type(one) for one in found]


def test_an_exception_that_is_being_handled_is_left_out() -> None:
    """In an ``except`` block, a ``finally`` block, and the end of a ``with`` block; also if it came through a call before."""
    left: List[List[BaseException]] = []

    def look() -> None:
        left.append(list(with_causes(caught(lambda: check_id("thread_id", None)))))

    class Block:
        def __enter__(self) -> None:
            pass

        def __exit__(self, *_: Any) -> None:
            look()

    def at_the_end() -> None:
        try:
            raise_here()
        finally:
            look()

    with pytest.raises(TimeoutError):
        at_the_end()
    with pytest.raises(TimeoutError):
        with Block():
            raise_here()
    try:
        raise_foreign(caught(raise_here))
    except TimeoutError:
        look()
    assert [1, 1, 1] == [len(found) for found in left]


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


def test_a_handler_that_is_no_longer_installed_is_found_by_its_arguments(restored: None) -> None:
    """It has put the one before in its place, and raises then."""

    def once(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise_here()

    def any_arguments(*given: Any) -> None:
        once(*given)

    for handler in (once, any_arguments):
        signal.signal(signal.SIGTERM, handler)
        assert is_from_signal_handler(caught(lambda: signal.raise_signal(signal.SIGTERM)))
    assert not is_from_signal_handler(caught(lambda: raise_here()))


def test_an_error_of_a_call_is_not_of_a_handler(restored: None) -> None:
    signal.signal(signal.SIGTERM, function)
    with pytest.raises(InvalidRequestError) as raised:
        check_id("thread_id", None)
    assert not is_from_signal_handler(raised.value)

"""Signals fire once, call every subscriber, and may be fired from a signal handler at any point."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
from types import FrameType
from typing import Any, Callable, List

import pytest

from langgraph_runs import AbortController
from langgraph_runs.call.abort import AbortSignal


def test_a_signal_fires_once_and_keeps_the_first_reason() -> None:
    """A second abort changes nothing and calls no subscriber."""
    controller = AbortController()
    reasons: List[Any] = []
    controller.signal.subscribe(reasons.append)
    assert (False, None) == (controller.signal.aborted, controller.signal.reason)
    controller.abort("first")
    controller.abort("second")
    assert (True, "first") == (controller.signal.aborted, controller.signal.reason)
    assert ["first"] == reasons


def test_a_late_subscriber_is_called_at_once() -> None:
    """Subscribing to a signal that has fired calls back before it returns, once."""
    controller = AbortController()
    controller.abort("first")
    reasons: List[Any] = []
    unsubscribe = controller.signal.subscribe(reasons.append)
    assert ["first"] == reasons
    unsubscribe()
    assert ["first"] == reasons


def test_one_signal_calls_many_subscribers() -> None:
    """Every subscriber is called, in the order of the subscriptions."""
    controller = AbortController()
    reasons: List[int] = []
    for number in range(100):

        def subscriber(_: object, number: int = number) -> None:
            reasons.append(number)

        controller.signal.subscribe(subscriber)
    controller.abort()
    assert list(range(100)) == reasons


def test_an_unsubscribed_callback_is_not_called() -> None:
    """Unsubscribing twice does no harm, and nothing of the subscription is kept."""
    controller = AbortController()
    reasons: List[Any] = []
    unsubscribe = controller.signal.subscribe(reasons.append)
    unsubscribe()
    unsubscribe()
    controller.abort()
    assert [] == reasons
    assert {} == controller.signal._callbacks


def test_waiting_for_a_signal() -> None:
    """wait() returns False after its time, and True as soon as the signal fires in another thread."""
    controller = AbortController()
    assert False is controller.signal.wait(0.001)
    thread = threading.Thread(target=controller.abort)
    thread.start()
    assert True is controller.signal.wait(5)
    thread.join()


def test_a_signal_shows_whether_it_fired() -> None:
    """The repr says it without the reason, which may be anything."""
    controller = AbortController()
    assert "<AbortSignal waiting>" == repr(controller.signal)
    controller.abort("secret")
    assert "<AbortSignal aborted>" == repr(controller.signal)


def test_many_threads_abort_and_subscribe_at_once() -> None:
    """Every subscriber is called exactly once, before or after the signal fired, with the reason of the first abort."""
    controller = AbortController()
    reasons: List[Any] = []
    gate = threading.Barrier(8)

    def work(number: int) -> None:
        gate.wait()
        for index in range(50):
            controller.signal.subscribe(reasons.append)
            if index == 25:
                controller.abort(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [controller.signal.reason] * 400 == reasons


def at_each_line(code: Any, action: Callable[[], None], call: Callable[[], None], line: int) -> bool:
    """Do *call*, and *action* when the n-th line of *code* begins. Return True if the call reaches that many lines."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        if frame.f_code is not code:
            return None
        if event == "line":
            count += 1
            if count == line:
                action()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count >= line


@pytest.mark.parametrize("line", range(1, 9))
def test_a_signal_handler_may_abort_at_any_line_of_a_subscription(line: int) -> None:
    """A handler that interrupts subscribe() itself neither blocks nor is missed: the subscriber is called once."""
    controller = AbortController()
    reasons: List[Any] = []
    done: List[bool] = []

    def work() -> None:
        done.append(
            at_each_line(
                AbortSignal.subscribe.__code__,
                lambda: controller.abort("handler"),
                lambda: (controller.signal.subscribe(reasons.append), None)[1],
                line,
            )
        )

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(5)
    assert False is thread.is_alive(), "the handler blocks on a lock that its own thread holds"
    assert (["handler"] if done[0] else []) == reasons


@pytest.mark.parametrize("line", range(1, 10))
def test_a_signal_handler_may_abort_at_any_line_of_a_wait(line: int) -> None:
    """A handler that interrupts wait() itself neither blocks nor is missed."""
    controller = AbortController()
    found: List[bool] = []

    def work() -> None:
        reached = at_each_line(
            AbortSignal.wait.__code__,
            lambda: controller.abort("handler"),
            lambda: found.append(controller.signal.wait(0.2)),
            line,
        )
        found.append(reached)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(5)
    assert False is thread.is_alive(), "the handler blocks on a lock that its own thread holds"
    assert found[0] is found[1], "the wait ended with True if and only if the signal fired during it"


@pytest.mark.parametrize("line", range(1, 6))
def test_an_abort_that_is_interrupted_can_be_repeated(line: int) -> None:
    """As by a Ctrl-C: the second one calls the subscribers that the first one has not called."""
    controller = AbortController()
    reasons: List[Any] = []
    controller.signal.subscribe(reasons.append)

    def interrupt() -> None:
        raise KeyboardInterrupt

    try:
        at_each_line(AbortSignal._fire.__code__, interrupt, lambda: controller.abort("first"), line)
    except KeyboardInterrupt:
        pass
    controller.abort("second")
    assert controller.signal.aborted
    assert [controller.signal.reason] == reasons


def test_a_copy_of_a_signal_fires_too() -> None:
    """As ``copy.deepcopy`` and ``dataclasses.asdict`` make of options. A process that unpickled one would wait in vain."""
    controller = AbortController()
    copies = [
        copy.deepcopy({"signal": controller.signal})["signal"],
        copy.copy(controller.signal),
        copy.deepcopy(controller).signal,
    ]
    controller.abort("enough")
    assert ["enough"] * 3 == [one.reason for one in copies]
    for item in (controller, controller.signal):
        with pytest.raises(TypeError, match="its own process only"):
            pickle.dumps(item)

"""The limits of a call: its remaining time, and interrupts from other threads at any moment."""

from __future__ import annotations

import gc
import os
import socket
import ssl
import sys
import threading
import time
import weakref
from types import FrameType, SimpleNamespace
from typing import Any, Callable, List, Optional

import pytest

from langgraph_runs import AbortController
from langgraph_runs.call.deadline import Deadline
from langgraph_runs.call.scope import SIGNAL_INTERVAL, Scope
from langgraph_runs.errors import AbortedError, APIConnectionError, DeadlineExceededError, InvalidRequestError, NotFoundError

from .played import Time


class Socket(socket.socket):
    """A socket that only notes its shutdown; it is never connected."""

    def __init__(self) -> None:
        super().__init__()
        self.close()


@pytest.fixture
def shut(monkeypatch: pytest.MonkeyPatch) -> List[Any]:
    """The sockets that were shut down."""
    found: List[Any] = []
    from langgraph_runs.call import scope

    monkeypatch.setattr(scope, "_shut_down", found.append)
    return found


def scope_of(timeout: Optional[float] = None, **options: Any) -> Scope:
    return Scope(Deadline(timeout), **options)


def test_io_may_take_its_own_limit_or_what_is_left() -> None:
    """The smaller of both counts; without a deadline the limit, without both none."""
    clock = Time()
    scope = Scope(Deadline(5.0, clock=clock.clock))
    assert [5.0, 5.0, 3.0] == [scope.io_timeout(limit) for limit in (None, 30.0, 3.0)]
    clock.now += 4.0
    assert [1.0, 1.0, 0.5] == [scope.io_timeout(limit) for limit in (None, 30.0, 0.5)]
    assert [None, 30.0] == [scope_of().io_timeout(limit) for limit in (None, 30.0)]


def test_io_is_not_begun_when_the_time_is_over() -> None:
    """A timeout of 0 would mean something else to a socket: it is an error instead."""
    clock = Time()
    scope = Scope(Deadline(5.0, clock=clock.clock))
    clock.now += 5.0
    with pytest.raises(TimeoutError):
        scope.io_timeout(30.0)


@pytest.mark.parametrize("seconds", [1e7, 1e10, 1e18])
def test_io_may_be_given_any_time(seconds: float) -> None:
    """A limit that sockets and locks refuse as too long is cut to weeks, and is no error."""
    sock = socket.socket()
    try:
        for scope, limit in ((scope_of(), seconds), (scope_of(seconds), None)):
            sock.settimeout(scope.io_timeout(limit))
            assert 1e6 < (sock.gettimeout() or 0) < 1e7
    finally:
        sock.close()


def test_sleeping_may_be_given_any_time() -> None:
    """A sleep longer than locks can wait is ended by an interrupt like any other."""
    scope = scope_of(1e18)
    timer = threading.Timer(0.01, scope.interrupt)
    timer.start()
    with pytest.raises(AbortedError):
        scope.sleep(1e17)
    timer.join()


def test_io_is_not_begun_when_the_call_was_ended() -> None:
    """An interrupted call does not block again."""
    scope = scope_of()
    scope.interrupt()
    with pytest.raises(ConnectionAbortedError):
        scope.io_timeout(30.0)


def test_a_call_within_its_limits_continues() -> None:
    """Nothing is raised, and there is no error to raise."""
    scope = scope_of(5.0)
    scope.check()
    assert None is scope.ending_error()
    assert False is scope.interrupted


def test_a_call_ends_at_its_deadline() -> None:
    """The error says what was given, and knows the run and the attempts."""
    clock = Time()
    scope = Scope(Deadline(2.5, clock=clock.clock))
    scope.run_id, scope.thread_id, scope.attempts = "r", "t", 3
    clock.now += 3
    with pytest.raises(DeadlineExceededError) as caught:
        scope.check()
    error = caught.value
    assert "not done within timeout=2.5 s (run r)" == str(error)
    assert (2.5, "r", "t", 3) == (error.timeout, error.run_id, error.thread_id, error.attempts)


def test_a_call_ends_after_an_interrupt() -> None:
    """The error carries the reason, in its text and as it was given."""
    scope = scope_of()
    reason = ValueError("enough")
    scope.interrupt(reason)
    with pytest.raises(AbortedError) as caught:
        scope.check()
    assert "aborted: enough" == str(caught.value)
    assert reason is caught.value.reason


def test_an_abort_without_a_reason_says_aborted() -> None:
    """The text does not end in None."""
    scope = scope_of()
    scope.interrupt()
    assert "aborted" == str(scope.ending_error())


def test_an_abort_takes_precedence_over_a_deadline() -> None:
    """A call that was interrupted says so, also if its deadline has passed since."""
    clock = Time()
    scope = Scope(Deadline(1.0, clock=clock.clock))
    scope.interrupt()
    clock.now += 2
    assert AbortedError is type(scope.ending_error())


def test_identify_fills_in_what_is_missing_and_nothing_else() -> None:
    """What an error knows already stays."""
    scope = scope_of()
    scope.run_id, scope.thread_id, scope.attempts = "r", "t", 2
    error = scope.identify(NotFoundError("x", status_code=404, run_id="other"))
    assert ("other", "t", 2) == (error.run_id, error.thread_id, error.attempts)


def test_an_interrupt_shuts_the_socket_down(shut: List[Any]) -> None:
    """The socket that the call may be blocked on is shut down, once."""
    scope, sock = scope_of(), object()
    scope.attach(sock)  # type: ignore[arg-type]
    scope.interrupt()
    scope.interrupt()
    assert [sock] == shut


def test_a_socket_that_comes_after_the_interrupt_is_shut_down(shut: List[Any]) -> None:
    """A connection that is ready just too late does not let the call block."""
    scope, sock = scope_of(), object()
    scope.interrupt()
    assert [] == shut
    scope.attach(sock)  # type: ignore[arg-type]
    assert [sock] == shut


def test_a_detached_socket_is_left_alone(shut: List[Any]) -> None:
    """After detach, and after close, the connection may serve another call."""
    scope = scope_of()
    scope.attach(object())  # type: ignore[arg-type]
    scope.detach()
    scope.attach(object())  # type: ignore[arg-type]
    scope.close()
    scope.interrupt()
    assert [] == shut


def test_shutting_down_wakes_a_blocked_reader() -> None:
    """A thread that is blocked in recv ends, and the descriptor stays open for its owner to close."""
    scope = scope_of()
    own_end, other_end = socket.socketpair()
    ended = threading.Event()

    def read() -> None:
        scope.attach(own_end)
        assert b"" == own_end.recv(1)
        ended.set()

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(0.01)
    assert False is ended.is_set()
    scope.interrupt()
    assert True is ended.wait(5)
    assert -1 != own_end.fileno()
    thread.join()
    own_end.close()
    other_end.close()


def test_a_tls_socket_keeps_its_state() -> None:
    """Only the connection is shut down: SSLSocket.shutdown would take its TLS away from under the reading thread."""
    own_end, other_end = socket.socketpair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls = context.wrap_socket(own_end, do_handshake_on_connect=False, server_hostname="h")
    scope = scope_of()
    scope.attach(tls)
    before = tls._sslobj  # type: ignore[attr-defined]
    scope.interrupt()
    assert before is tls._sslobj  # type: ignore[attr-defined]
    assert b"" == other_end.recv(1)
    tls.close()
    other_end.close()


def test_a_socket_that_is_not_connected_or_closed_is_no_error() -> None:
    """There is nothing to wake then."""
    for sock in (socket.socket(), Socket()):
        scope = scope_of()
        scope.attach(sock)
        scope.interrupt()
        assert True is scope.interrupted
        sock.close()


def test_signals_interrupt_with_their_reason() -> None:
    """Any of a call's signals ends it; signals that are None are skipped."""
    first, second = AbortController(), AbortController()
    scope = scope_of(signals=(None, first.signal, second.signal))
    second.abort("two")
    first.abort("one")
    with pytest.raises(AbortedError) as caught:
        scope.check()
    assert "two" == caught.value.reason


def test_a_signal_that_fired_before_ends_the_call_at_its_start() -> None:
    """A call that is given a used signal does not begin."""
    controller = AbortController()
    controller.abort()
    assert True is scope_of(signals=(controller.signal,)).interrupted


def test_a_closed_scope_unsubscribes_from_its_signals() -> None:
    """A signal that lives as long as the program does not keep the calls that had it alive."""
    controller = AbortController()
    scope = scope_of(signals=(controller.signal,))
    with scope:
        assert 1 == len(controller.signal._callbacks)
    assert {} == controller.signal._callbacks
    reference = weakref.ref(scope)
    del scope
    gc.collect()
    assert None is reference()


def test_sleep_is_cut_at_the_deadline() -> None:
    """No sleep goes beyond what is left, and the call is over after it."""
    clock = Time()
    scope = Scope(Deadline(2.0, clock=clock.clock), sleep=clock.sleep)
    with pytest.raises(DeadlineExceededError):
        scope.sleep(5.0)
    assert [2.0] == clock.slept


def test_a_sleep_of_no_time_checks_the_limits_only() -> None:
    """0 seconds are no sleep, but the limits are checked."""
    clock = Time()
    scope = Scope(Deadline(None), sleep=clock.sleep)
    scope.sleep(0)
    assert [] == clock.slept
    scope.interrupt()
    with pytest.raises(AbortedError):
        scope.sleep(0)


def test_a_long_sleep_is_made_of_short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that arrives just before the kernel waits is handled when that wait is over: so none is long."""
    waits = []

    class Signalled:
        def acquire(self, *, timeout: float = 0.0) -> bool:
            waits.append(timeout)
            if len(waits) == 4:
                raise KeyboardInterrupt
            return False

    scope = Scope(Deadline(None))
    monkeypatch.setattr("langgraph_runs.call.scope.threading", SimpleNamespace(Lock=Signalled))
    with pytest.raises(KeyboardInterrupt):
        scope.sleep(30.0)
    assert [0.0, *[SIGNAL_INTERVAL] * 3] == waits


def test_an_interrupt_ends_a_sleep_at_once() -> None:
    """The sleeping thread wakes within milliseconds, not at the end of its sleep."""
    scope = scope_of()
    timer = threading.Timer(0.01, scope.interrupt)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(AbortedError):
        scope.sleep(30.0)
    assert time.monotonic() - begun < 5.0
    timer.join()


def test_a_sleep_after_the_interrupt_does_not_begin() -> None:
    """An interrupted call does not sleep."""
    scope = scope_of()
    scope.interrupt()
    begun = time.monotonic()
    with pytest.raises(AbortedError):
        scope.sleep(30.0)
    assert time.monotonic() - begun < 5.0


def test_a_forked_child_does_not_touch_its_parents_connection(shut: List[Any]) -> None:
    """In another process than its own an interrupt only marks the call."""
    scope = scope_of()
    scope.attach(object())  # type: ignore[arg-type]
    scope.pid = os.getpid() + 1
    scope.interrupt()
    assert (True, []) == (scope.interrupted, shut)


def attaching(scope: Scope) -> Callable[[], None]:
    return lambda: scope.attach(object())  # type: ignore[arg-type]


@pytest.mark.parametrize("line", range(1, 12))
@pytest.mark.parametrize("method", ["attach", "interrupt", "sleep", "detach"])
def test_a_signal_handler_may_interrupt_at_any_line(method: str, line: int, shut: List[Any]) -> None:
    """A handler that fires within a method of the very same call neither blocks nor goes unnoticed."""
    scope = scope_of()
    code = getattr(Scope, method).__code__
    count = 0
    failed: List[BaseException] = []

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        if frame.f_code is not code:
            return None
        if event == "line":
            count += 1
            if count == line:
                scope.interrupt("handler")
        return trace

    def work() -> None:
        sys.settrace(trace)
        try:
            {
                "attach": attaching(scope),
                "interrupt": scope.interrupt,
                "sleep": lambda: scope.sleep(0.001),
                "detach": scope.detach,
            }[method]()
        except AbortedError:
            pass
        except BaseException as error:  # noqa: B036
            failed.append(error)
        finally:
            sys.settrace(None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(5)
    assert False is thread.is_alive(), "the handler blocks on a lock that its own thread holds"
    assert [] == failed
    assert (method == "interrupt" or count >= line) is scope.interrupted
    if method == "attach" and scope.interrupted:
        assert shut  # the socket does not stay up


def test_a_question_without_a_good_response_has_the_default() -> None:
    """But a call that must end ends, and other exceptions pass."""
    scope = Scope(Deadline(None))

    def failing(error: BaseException) -> Callable[[], int]:
        def work() -> int:
            raise error

        return work

    assert 7 == scope.unless_failed(lambda: 7, None)
    for error in (APIConnectionError("cut", sent=True), NotFoundError("no", status_code=404)):
        assert None is scope.unless_failed(failing(error), None)
    for other in (KeyError("a bug"), InvalidRequestError("wrong")):
        with pytest.raises(type(other)):
            scope.unless_failed(failing(other), None)
    scope.interrupt("enough")
    with pytest.raises(AbortedError):
        scope.unless_failed(failing(NotFoundError("no", status_code=404)), None)


def test_a_call_that_sees_the_interrupt_sees_its_reason() -> None:
    """Also if its thread looks between any two steps of the interrupt."""
    seen: List[Any] = []

    class Watched(Scope):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name == "_interrupted" and value:
                error = self.ending_error()
                assert isinstance(error, AbortedError)
                seen.append(error.reason)

    Watched(Deadline(None)).interrupt("enough")
    assert ["enough"] == seen

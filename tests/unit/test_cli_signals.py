"""Signals: during calls and outside of calls, and the handlers before and afterwards."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from langgraph_runs.cli.signals import Signals


def test_a_signal_raises_outside_of_calls_and_aborts_a_call() -> None:
    signals = Signals()
    fired = threading.Event()
    signals.signal.subscribe(lambda _: fired.set())
    with signals, signals.aborting_calls():
        signals.run_is_known()
        with signals.during_call():
            os.kill(os.getpid(), signal.SIGTERM)
            assert fired.wait(10)

    again = Signals()
    with pytest.raises(KeyboardInterrupt), again:
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(10)


def test_the_previous_handlers_are_restored() -> None:
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    with Signals():
        assert before != [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]

    assert before == [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]


def test_an_ignored_signal_stays_ignored() -> None:
    """As it is in a job that a shell has put into the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Signals():
            assert signal.SIG_IGN is signal.getsignal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)

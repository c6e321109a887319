"""Signals: during calls and outside of calls, and the handlers before and afterwards."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from langgraph_runs.cli.signals import Signals

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
    before = [signal.getsignal(signum) for signum in HANDLED]
    with Signals():
        assert not set(before) & {signal.getsignal(signum) for signum in HANDLED}

    assert before == [signal.getsignal(signum) for signum in HANDLED]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGHUP])
def test_an_ignored_signal_stays_ignored(signum: int) -> None:
    """As it is in a job that a shell has put into the background, and under nohup."""
    before = signal.signal(signum, signal.SIG_IGN)
    try:
        with Signals():
            assert signal.SIG_IGN is signal.getsignal(signum)
    finally:
        signal.signal(signum, before)


def test_sighup_while_the_run_is_being_cancelled_changes_nothing() -> None:
    """A terminal that was closed ends the output first, and sends the signal then."""
    with Signals() as signals:
        signals.ending = True
        os.kill(os.getpid(), signal.SIGHUP)
        signals.ending = False
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGHUP)
            threading.Event().wait(10)

"""Signals that end calls from another thread. A signal only calls its subscribers; each subscriber ends its own call."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any, Callable, Dict, List, NoReturn, Optional

__all__ = ["SIGNAL_INTERVAL", "AbortController", "AbortSignal", "acquire"]

#: Seconds of a single wait in the kernel. A signal that arrives after Python has looked for signals, and before the kernel waits,
#: does not end the wait: its handler, as that of Ctrl-C, is called afterwards.
SIGNAL_INTERVAL = 0.5


class AbortSignal:
    """The ``signal=`` of calls. It fires once, when `AbortController.abort` is called, and cannot be reset.

    Many calls in many threads may have the same signal.

    >>> controller = AbortController()
    >>> controller.signal.aborted, controller.signal.wait(timeout=0.01)
    (False, False)
    """

    # A signal handler may fire it at any point of a method, in the thread that runs the method. So there is no lock: each step that
    # must be undivided is one operation on a list or a dict, which Python carries out as a whole.
    __slots__ = ("__weakref__", "_callbacks", "_keys", "_reasons")

    def __init__(self) -> None:
        self._callbacks: Dict[int, Callable[[Any], None]] = {}
        self._keys = itertools.count()
        #: The reason of each abort; the signal has fired if there is one, and the first one counts.
        self._reasons: List[Any] = []

    @property
    def aborted(self) -> bool:
        """True if the signal has fired."""
        return bool(self._reasons)

    @property
    def reason(self) -> Any:
        """The argument of `AbortController.abort`; None before the signal fires."""
        return self._reasons[0] if self._reasons else None

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Block until the signal fires, for at most *timeout* seconds. Return True if it has fired."""
        wake = threading.Lock()
        wake.acquire()
        unsubscribe = self.subscribe(lambda _: wake.release())
        try:
            acquire(wake, timeout)
        finally:
            unsubscribe()
        return self.aborted

    def subscribe(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Call *callback* with the reason when the signal fires, or now if it has fired. Return a function that unsubscribes it."""
        key = next(self._keys)
        self._callbacks[key] = callback
        if self._reasons:
            self._call(key)
        return lambda: self._forget(key)

    def _forget(self, key: int) -> None:
        self._callbacks.pop(key, None)

    def _call(self, key: int) -> None:
        # The thread that fires the signal and the one that subscribes may both be here: one of them gets the callback.
        callback = self._callbacks.pop(key, None)
        if callback is not None:
            callback(self._reasons[0])

    def _fire(self, reason: Any) -> None:
        if not self._reasons:
            self._reasons.append(reason)
        for key in list(self._callbacks):
            self._call(key)

    def __copy__(self) -> AbortSignal:
        return self  # a copy would not fire

    def __deepcopy__(self, _: Any) -> AbortSignal:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("an AbortSignal works in its own process only: cancel the run, or give the call a timeout")

    def __repr__(self) -> str:
        return f"<AbortSignal {'aborted' if self.aborted else 'waiting'}>"


class AbortController:
    """Ends every call that has its signal, from any thread, within milliseconds.

    The call raises `AbortedError`. Its run goes on; cancel it with ``client.runs.cancel``.

    >>> controller = AbortController()
    >>> controller.abort("the user went away")
    >>> controller.signal.aborted, controller.signal.reason
    (True, 'the user went away')
    """

    __slots__ = ("signal",)

    def __init__(self) -> None:
        #: For calls: ``client.runs.wait(..., signal=controller.signal)``.
        self.signal = AbortSignal()

    def abort(self, reason: Any = None) -> None:
        """Fire the signal; if it has fired, do nothing. Does not wait for the calls that it ends."""
        self.signal._fire(reason)


def acquire(lock: threading.Lock, seconds: Optional[float]) -> bool:
    """Wait for *lock*, for at most *seconds*; None: no limit. Return True if it was acquired."""
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        left = SIGNAL_INTERVAL if end is None else max(0.0, end - time.monotonic())
        if lock.acquire(timeout=min(left, SIGNAL_INTERVAL)):
            return True
        if end is not None and left <= SIGNAL_INTERVAL:
            return False

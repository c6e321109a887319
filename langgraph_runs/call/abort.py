"""Signals that end calls from another thread. A signal only calls its subscribers; each subscriber ends its own call."""

from __future__ import annotations

import threading
from typing import Any, Callable, Dict, Optional

__all__ = ["AbortController", "AbortSignal"]


class AbortSignal:
    """The ``signal=`` of calls. It fires once, when `AbortController.abort` is called, and cannot be reset.

    Many calls in many threads may have the same signal.

    >>> controller = AbortController()
    >>> controller.signal.aborted, controller.signal.wait(timeout=0.01)
    (False, False)
    """

    __slots__ = ("__weakref__", "_callbacks", "_event", "_lock", "_next_key", "_reason")

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may fire it in the thread that holds the lock
        self._event = threading.Event()
        self._callbacks: Dict[int, Callable[[Any], None]] = {}
        self._next_key = 0
        self._reason: Any = None

    @property
    def aborted(self) -> bool:
        """True if the signal has fired."""
        return self._event.is_set()

    @property
    def reason(self) -> Any:
        """The argument of `AbortController.abort`; None before the signal fires."""
        return self._reason

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Block until the signal fires, for at most *timeout* seconds. Return True if it has fired."""
        return self._event.wait(timeout)

    def subscribe(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Call *callback* with the reason when the signal fires, or now if it has fired. Return a function that unsubscribes it."""
        with self._lock:
            key = self._next_key
            self._next_key += 1
            self._callbacks[key] = callback
            fired = self._event.is_set() and self._callbacks.pop(key, None) is not None
        if fired:
            callback(self._reason)
        return lambda: self._forget(key)

    def _forget(self, key: int) -> None:
        with self._lock:
            self._callbacks.pop(key, None)

    def _fire(self, reason: Any) -> None:
        with self._lock:
            if self._event.is_set():
                return
            self._reason = reason
            self._event.set()
            callbacks = list(self._callbacks.values())
            self._callbacks.clear()
        for callback in callbacks:
            callback(reason)

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

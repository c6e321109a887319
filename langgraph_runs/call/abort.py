"""Ending a blocked call from another thread. Knows who wants to be told, not what they do about it."""

from __future__ import annotations

import threading
from typing import Any, Callable, Dict, Optional

__all__ = ["AbortController", "AbortSignal"]


class AbortSignal:
    """Handed to calls as ``signal=``; fires once, when its `AbortController` says so.

    One signal may serve many calls at once, from many threads. It cannot be un-fired.

    >>> controller = AbortController()
    >>> controller.signal.aborted, controller.signal.wait(timeout=0.01)
    (False, False)
    """

    __slots__ = ("__weakref__", "_callbacks", "_event", "_lock", "_next_key", "_reason")

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may fire it within
        self._event = threading.Event()
        self._callbacks: Dict[int, Callable[[Any], None]] = {}
        self._next_key = 0
        self._reason: Any = None

    @property
    def aborted(self) -> bool:
        """Whether it has fired."""
        return self._event.is_set()

    @property
    def reason(self) -> Any:
        """What was given to `AbortController.abort`; None before."""
        return self._reason

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Block until it fires, at most *timeout* seconds; returns whether it has fired."""
        return self._event.wait(timeout)

    def subscribe(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Call *callback* with the reason when it fires (at once where it has); returns what ends the subscription."""
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
    """Ends every call that was given its signal, from any thread, within milliseconds.

    The blocked call raises `AbortedError`. Runs on the server go on; cancel them with ``client.runs.cancel``.

    >>> controller = AbortController()
    >>> controller.abort("the user went away")
    >>> controller.signal.aborted, controller.signal.reason
    (True, 'the user went away')
    """

    __slots__ = ("signal",)

    def __init__(self) -> None:
        #: What calls are given: ``client.runs.wait(..., signal=controller.signal)``.
        self.signal = AbortSignal()

    def abort(self, reason: Any = None) -> None:
        """Fire the signal. Only the first call counts; does not block on the calls that it ends."""
        self.signal._fire(reason)

"""How fast the requests of a map follow each other while the server, or a gateway before it, refuses some of them.

All threads of a map share one pacer. Every request passes it, those that ask for the end of a run and those that clean up included.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Callable, Optional, TypeVar

from ..call import RetryPolicy, Scope, is_refusal, polling_wait
from ..errors import APIConnectionError, APIStatusError, DeadlineExceededError

__all__ = ["RequestPacer"]

T = TypeVar("T")

#: Seconds over which the rate of accepted requests is measured, at most and at least.
_LONGEST_WINDOW, _SHORTEST_WINDOW = 60.0, 0.001
#: Requests per second: above the highest rate nothing is spaced; the lowest one bounds what refusals can do; one refusal alone does
#: not show that the server accepts less than the first rate.
_HIGHEST_RATE, _LOWEST_RATE, _FIRST_RATE = 500.0, 0.05, 2.0
#: What a refusal does to the rate.
_REDUCTION = 0.85
#: What an accepted request does to the rate: before the limit of the server is known; towards the rate that was refused last, as a
#: part of the distance; and beyond that.
_SEARCH, _APPROACH, _PROBE = 1.5, 0.1, 0.005
#: The delay after a single refusal at a known rate, at most, in intervals between two requests.
_SHORT_DELAY = 4.0
#: How often one request is sent again in its place. After that, its error is the result.
_REPEATS = 8


class RequestPacer:
    """Delays requests after refusals, and repeats those that may be repeated. Used by all threads of a map.

    A refusal is a 429 or a 503. It delays all requests: for the time that the server requested, or for a time that doubles with
    each refusal. After that, the requests are spaced. Their rate is first the one that the server has accepted; it grows with each
    request that is accepted, and falls with each refusal. Until the first refusal a request is not delayed.

    >>> pacer = RequestPacer(RetryPolicy(wait_initial=0.5), clock=lambda: 100.0)
    >>> pacer.refused(3.0)
    >>> pacer.seconds_left()
    3.0
    """

    def __init__(self, policy: RetryPolicy, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._clock = clock
        self._lock = threading.Lock()
        #: Requests per second, or None if they are not spaced.
        self._rate: Optional[float] = None
        #: The rate at which the last refusal came; None before the second one.
        self._refused_rate: Optional[float] = None
        self._consecutive_refusals = 0
        #: When the next request may be sent.
        self._next = clock()
        #: Requests that are sent before this moment and are refused belong to the refusal that is known already.
        self._adapted_at = self._next
        #: True if the last request had to wait, so that the rate is what holds the requests back.
        self._is_limiting = False
        self._counted_since = self._next
        self._accepted = 0
        #: When a request failed without a response, last; None if none did.
        self._contact_lost_at: Optional[float] = None
        self._may_create: Optional[Callable[[], bool]] = None

    def create_only_if(self, may_create: Callable[[], bool]) -> None:
        """Delay requests that create until *may_create*, which any thread may call, returns True."""
        self._may_create = may_create

    # -- used by the transport

    def send(self, attempt: Callable[[], T], scope: Scope, call: object, *, repeat: bool) -> T:
        """Return the result of *attempt*, which sends the request *call*. With *repeat*, call it again after refusals; without, it
        creates.

        The time of the delays is not counted against the deadline of *scope*.
        """
        repeats = 0
        while True:
            sent = self._admit(scope)
            if not repeat and self._may_create is not None:
                sent = self._wait_until(self._may_create, scope)
            try:
                result = attempt()
            except APIStatusError as error:
                if not is_refusal(error):
                    self.accepted()
                    raise
                self.refused(error.retry_after, sent=sent)
                repeats += 1
                if not repeat or repeats > _REPEATS:
                    raise
                self._policy.announce(str(call), repeats + 1, self.seconds_left(), error, log_level=logging.DEBUG)
            except APIConnectionError as error:
                if not isinstance(error, DeadlineExceededError):
                    self._contact_lost_at = self._clock()
                raise
            else:
                self.accepted()
                return result

    def _admit(self, scope: Scope) -> float:
        """Wait until a request may be sent. Return the moment."""
        while True:
            if self._rate is None and self._consecutive_refusals == 0:
                return self._clock()  # the common case, without the lock
            with self._lock:
                now = self._clock()
                wait = self._next - now
                if wait <= 0:
                    self._next = now
                at = self._next
                resumes_at = self._adapted_at
                self._next += 0.0 if self._rate is None else 1.0 / self._rate
                self._is_limiting = wait > 0
            if at <= now:
                return now
            scope.deadline.extend(at - now)
            scope.sleep(at - now)
            if self._adapted_at == resumes_at:
                return self._clock()
            # Refused meanwhile: this request waits for its turn after the new delay.

    def _wait_until(self, condition: Callable[[], bool], scope: Scope) -> float:
        """Wait until *condition* returns True. Return the moment."""
        attempt = 0
        while not condition():
            pause = polling_wait(attempt)
            scope.deadline.extend(pause)
            scope.sleep(pause)
            attempt += 1
        return self._clock()

    def accepted(self) -> None:
        """Note a response that is no refusal."""
        self._accepted += 1
        if self._rate is None and self._consecutive_refusals == 0:
            now = self._clock()
            if now - self._counted_since > _LONGEST_WINDOW:
                self._counted_since, self._accepted = now, 1
            return
        with self._lock:
            self._consecutive_refusals = 0
            rate = self._rate
            if rate is None or not self._is_limiting:
                return
            if self._refused_rate is None:
                rate *= _SEARCH
            else:
                rate += max(_APPROACH * (self._refused_rate - rate), _PROBE * rate)
            self._rate = rate if rate < _HIGHEST_RATE else None

    def refused(self, retry_after: Optional[float] = None, *, sent: Optional[float] = None) -> None:
        """Note a refusal: *retry_after* is the wait that the server requested, *sent* when the request was sent."""
        policy = self._policy
        with self._lock:
            now = self._clock()
            if sent is None or sent >= self._adapted_at:
                self._consecutive_refusals += 1
                self._adapt(now, retry_after)
            elif retry_after is not None and policy.respect_retry_after:
                self._delay_until(now + min(retry_after, policy.retry_after_max))

    def _adapt(self, now: float, retry_after: Optional[float]) -> None:
        policy = self._policy
        if retry_after is None or not policy.respect_retry_after:
            retry_after = policy.wait_initial * 2.0 ** min(self._consecutive_refusals - 1, 60)
            delay = min(policy.wait_max, retry_after)
            if self._rate is not None and self._consecutive_refusals == 1:
                delay = min(delay, _SHORT_DELAY / self._rate)  # only a little too fast
        else:
            delay = min(policy.retry_after_max, retry_after)
        measured = self._accepted / max(now - self._counted_since, delay, _SHORTEST_WINDOW)
        if self._rate is None:
            # After the delay, a request is accepted, as far as a refusal says anything.
            self._rate = min(max(measured, 1.0 / max(delay, _SHORTEST_WINDOW), _FIRST_RATE), _HIGHEST_RATE)
        elif self._consecutive_refusals > 1:
            # Whatever the rate: the server refuses everything. What it refused before says nothing about what it will accept.
            self._refused_rate = None
        else:
            self._refused_rate = self._rate
            reduced = self._rate * _REDUCTION
            # If the rate has held back no request, the number of requests that were accepted says little about what is accepted.
            self._rate = max(_LOWEST_RATE, min(measured, reduced) if self._is_limiting else reduced)
        self._accepted = 0
        self._counted_since = now
        self._adapted_at = self._next = now
        self._delay_until(now + delay)

    def _delay_until(self, moment: float) -> None:
        self._next = max(self._next, moment)
        self._adapted_at = max(self._adapted_at, self._next)

    # -- used by the scheduler and the task runners

    def seconds_left(self) -> float:
        """Return the seconds until a further request could be sent; 0 if it could be sent now."""
        if self._rate is None and self._consecutive_refusals == 0:
            return 0.0
        return max(0.0, self._next - self._clock())

    @property
    def interval(self) -> float:
        """Seconds between two requests; 0 if they are not spaced."""
        rate = self._rate
        return 0.0 if rate is None else 1.0 / rate

    def lost_contact_since(self, moment: float) -> bool:
        """Return True if a request has failed without a response after *moment*, a time of this pacer's clock."""
        return self._contact_lost_at is not None and self._contact_lost_at >= moment

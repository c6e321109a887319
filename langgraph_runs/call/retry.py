"""Decides whether a request is repeated, and after which wait: the policy, the budget, and the one engine. Knows nothing of HTTP.

The only importer of tenacity, which is imported when a request is repeated for the first time.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, FrozenSet, Iterable, Iterator, Optional, Sequence, TypeVar

import attrs

from ..errors import InvalidRequestError, LangGraphRunsError
from ..validation import check_seconds
from .execution import is_surely_not_executed
from .scope import Scope
from .user_errors import UserCodeError

if TYPE_CHECKING:
    import tenacity

__all__ = ["Retrier", "RetryBudget", "RetryDetails", "RetryPolicy", "at_moments", "polling_wait"]

T = TypeVar("T")
_log = logging.getLogger(__name__)


@attrs.frozen
class RetryDetails:
    """The argument of an ``on_retry`` hook, which is called before the wait.

    >>> seen = []
    >>> policy = RetryPolicy(on_retry=seen.append)
    >>> policy.on_retry(RetryDetails(call="GET /ok", attempt=2, wait=0.5, error=LangGraphRunsError("it broke")))
    >>> f"{seen[0].call}: attempt {seen[0].attempt} in {seen[0].wait} s"
    'GET /ok: attempt 2 in 0.5 s'
    """

    #: The call, such as ``"GET /threads/x/runs"``.
    call: str
    #: The number of the next attempt; the first retry is 2.
    attempt: int
    #: Seconds until the next attempt.
    wait: float
    #: The error of the last attempt.
    error: LangGraphRunsError


def _attempts(_: Any, __: Any, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRequestError(f"attempts={value!r}: give a whole number of at least 1; 1 means no retry")


def _seconds(_: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if value is None:
        raise InvalidRequestError(f"{attribute.name}=None: give a number of seconds, 0 or more")
    if value != 0:
        check_seconds(attribute.name, value)


def _jitter(_: Any, __: Any, value: str) -> None:
    if value not in ("full", "none"):
        raise InvalidRequestError(f"jitter={value!r}: give 'full' or 'none'")


def _statuses(value: Any) -> FrozenSet[int]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable) or not all(isinstance(item, int) for item in value):
        raise InvalidRequestError(f"statuses={value!r}: give a collection of HTTP statuses")
    return frozenset(int(item) for item in value)


def _budget(_: Any, __: Any, value: Optional[float]) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0):
        raise InvalidRequestError(f"budget={value!r}: give a number of retries, 0 or more, or None for no limit")


def _hook(_: Any, __: Any, value: Any) -> None:
    if value is not None and not callable(value):
        raise InvalidRequestError(f"on_retry={value!r}: give a function of one argument")


#: 520 to 530 are those of gateways that could not reach the server, or did not understand it.
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 531)})


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often a request is repeated and after which waits; for a client (``Client(retry=...)``) or a call (``with_options``).

    The wait before retry *n* (1 is the first) is ``min(wait_max, wait_initial * 2 ** (n - 1))`` seconds; with full
    jitter it is a random number between 0 and that. A ``Retry-After`` of the server replaces the wait. If the wait would end after
    the deadline of the call, the last error is raised at once.

    >>> RetryPolicy(attempts=1).attempts  # never repeats anything
    1
    """

    #: The number of attempts, the first included.
    attempts: int = attrs.field(default=4, validator=_attempts)
    #: Seconds before the first retry.
    wait_initial: float = attrs.field(default=0.5, validator=_seconds)
    #: The longest wait before a retry, in seconds.
    wait_max: float = attrs.field(default=8.0, validator=_seconds)
    #: ``"full"`` or ``"none"``.
    jitter: str = attrs.field(default="full", validator=_jitter)
    #: HTTP statuses after which a request is repeated, unless it might be executed twice.
    statuses: FrozenSet[int] = attrs.field(default=_TRANSIENT, converter=_statuses)
    #: True if the server's ``Retry-After`` replaces the computed wait.
    respect_retry_after: bool = True
    #: The longest ``Retry-After`` to wait for, in seconds. After a longer one the error is raised at once, with its value.
    retry_after_max: float = attrs.field(default=60.0, validator=_seconds)
    #: The number of repeats that all calls of one client may make in a burst (see `RetryBudget`); None for no limit.
    budget: Optional[float] = attrs.field(default=100.0, validator=_budget)
    #: Called before each wait, in the calling thread, with a `RetryDetails`.
    on_retry: Optional[Callable[[RetryDetails], None]] = attrs.field(default=None, eq=False, validator=_hook)

    def wait(self, retry: int, retry_after: Optional[float] = None) -> float:
        """Return the seconds to wait before the *retry*-th retry; 1 is the first."""
        if retry_after is not None and self.respect_retry_after:
            return retry_after
        longest = min(self.wait_max, self.wait_initial * 2.0 ** min(retry - 1, 60))
        return random.uniform(0.0, longest) if self.jitter == "full" else longest

    def forbids(self, error: LangGraphRunsError) -> bool:
        """Return True if the server demands a longer wait than `retry_after_max`."""
        retry_after: Optional[float] = getattr(error, "retry_after", None)
        return retry_after is not None and self.respect_retry_after and retry_after > self.retry_after_max

    def announce(
        self, call: str, attempt: int, seconds: float, error: LangGraphRunsError, *, log_level: int = logging.INFO
    ) -> None:
        """Log that *attempt* comes after *seconds*, and call the hook."""
        _log.log(log_level, "%s: attempt %d in %.2f s after %s", call, attempt, seconds, type(error).__name__)
        if self.on_retry is not None:
            self.on_retry(RetryDetails(call=call, attempt=attempt, wait=seconds, error=error))


class RetryBudget:
    """A token bucket that all calls of one client share, so that 100 threads do not flood a server that is down.

    A retry takes one token. Each success, and each second, adds one token, up to *capacity*. If there is no token, nothing is
    retried: the error is raised at once.
    """

    def __init__(self, capacity: Optional[float], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._tokens = capacity or 0.0
        self._clock = clock
        self._at = clock()
        self._lock = threading.RLock()  # a signal handler may make a call in the thread that holds the lock

    def take(self) -> bool:
        """Take a token. Return False if there is none, so that no retry is allowed now."""
        if self._capacity is None:
            return True
        with self._lock:
            now = self._clock()
            self._tokens = min(self._capacity, self._tokens + (now - self._at))
            self._at = now
            if self._tokens < 1.0:
                return False
            self._tokens -= 1.0
            return True

    def succeeded(self) -> None:
        """Note a request that succeeded."""
        # Read without the lock: a full bucket gets no token, and a token that is lost in a race costs at most one retry.
        if self._capacity is not None and self._tokens < self._capacity:
            with self._lock:
                self._tokens = min(self._capacity, self._tokens + 1.0)


def polling_wait(number: int) -> float:
    """Return the seconds to wait before the *number*-th request for the state of a run that goes on; 0 is the first.

    >>> [polling_wait(number) for number in (0, 1, 2, 9)]
    [0.0, 0.1, 0.2, 1.0]
    """
    return min(1.0, 0.05 * 2.0 ** min(number, 10)) if number else 0.0


def at_moments(scope: Scope, moments: Sequence[float]) -> Iterator[None]:
    """Yield at each of these *moments* (seconds after the first one). Raises, as `Scope.check` does, when the call must end."""
    waited = 0.0
    for moment in moments:
        scope.sleep(moment - waited)
        waited = moment
        yield


class Retrier:
    """Decides whether and when one call makes its next attempt. Every repeated request of this package goes through it.

    It counts attempts, chooses waits, obeys ``Retry-After``, the deadline and the signals of the scope, takes a token of the
    budget for each repeat, writes the log line and calls ``on_retry``. Hooks are called between two attempts, never within
    one, so what they raise reaches the caller as it is. Built on `tenacity.Retrying`, one per call, since a shared one is not
    safe to use from several threads.
    """

    #: Failed attempts since the last progress.
    failures = 0
    #: True if the last error was final because the wait would have ended after the deadline of the call.
    out_of_time = False
    _attempts: Any = None
    _attempt: Any = None
    _error: Optional[LangGraphRunsError] = None
    _repeatable = False
    _seconds = 0.0

    def __init__(
        self,
        call: object,
        *,
        policy: RetryPolicy,
        budget: RetryBudget,
        scope: Optional[Scope],
        transient: Callable[[LangGraphRunsError], bool],
        log_level: int = logging.INFO,
    ) -> None:
        #: Its text is the name of the call in the log line and in `RetryDetails`, such as ``"GET /threads/x/runs"``.
        self.call = call
        self.policy = policy
        self.budget = budget
        #: The limits of the call; None if the caller does not block between attempts.
        self.scope = scope
        #: A function that returns True if another attempt may be made after an error.
        self.transient = transient
        #: The level of the line that is logged before each repeat.
        self.log_level = log_level

    def run(self, attempt: Callable[[], T]) -> T:
        """Return the result of *attempt*, called again after transient errors. Raises the last error itself."""
        while True:
            try:
                result = attempt()
            except LangGraphRunsError as error:
                seconds = self.next_wait(error)
                if seconds is None:
                    raise
            else:
                self.succeeded()
                return result
            self.sleep(seconds)

    def next_wait(
        self,
        error: LangGraphRunsError,
        *,
        seconds: Optional[float] = None,
        least: float = 0.0,
        repeatable: Optional[bool] = None,
    ) -> Optional[float]:
        """Count a failed attempt. Return the seconds to wait before the next one, or None if *error* is final. Does not wait.

        *seconds* replaces the wait that the policy would choose. The wait is at least *least*. *repeatable*, if it is not None,
        says whether another attempt may be made, in place of the function that the engine was given.
        """
        import tenacity

        if self._attempts is None:
            retrying = tenacity.Retrying(
                stop=self._stop,
                wait=lambda _: self._seconds,
                retry=tenacity.retry_if_exception(lambda _: self._repeatable),
                sleep=lambda _: None,  # the caller waits, within the limits of its scope
                before_sleep=self._announce,
                reraise=True,
            )
            self._attempts = iter(retrying)
            self._attempt = next(self._attempts)
        self.failures += 1
        self._error = error
        self._repeatable = self.transient(error) if repeatable is None else repeatable
        if self.scope is not None and not is_surely_not_executed(error):
            self.scope.may_have_been_executed = True
        chosen = self.policy.wait(self.failures, getattr(error, "retry_after", None)) if seconds is None else seconds
        self._seconds = max(chosen, least)
        trace = error.__traceback__
        self._attempt.__exit__(type(error), error, trace)
        try:
            self._attempt = next(self._attempts)
        except BaseException as final:
            self._attempts = self._attempt = None
            if final is error:
                error.__traceback__ = trace  # without this frame, which refers to the error
                return None
            if self.scope is not None and isinstance(final, LangGraphRunsError):
                raise UserCodeError(final) from None
            raise  # what the hook, or a signal handler, raised
        finally:
            self._error = None
        return self._seconds

    def _stop(self, state: tenacity.RetryCallState) -> bool:
        error = self._error
        if error is None or state.attempt_number >= self.policy.attempts or self.policy.forbids(error):
            return True
        scope = self.scope
        if scope is not None:
            self.out_of_time = not scope.deadline.allows(self._seconds)
            if self.out_of_time or scope.interrupted:
                return True
        return not self.budget.take()  # the last condition, so that a token is spent only on an attempt that is made

    def _announce(self, _: Any) -> None:
        assert self._error is not None
        self.policy.announce(str(self.call), self.failures + 1, self._seconds, self._error, log_level=self.log_level)

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than the deadline and the signals of the call allow."""
        if self.scope is not None:
            self.scope.sleep(seconds)

    def succeeded(self) -> None:
        """Note an attempt that succeeded: add a token to the budget, and count failures from 0 again."""
        self.budget.succeeded()
        if self.failures:
            self.reset()

    def reset(self) -> None:
        """Count failures from 0 again."""
        self.failures = 0
        self._attempts = self._attempt = self._error = None

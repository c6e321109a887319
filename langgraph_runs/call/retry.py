"""When to try again and how long to wait: the policy, the budget, and the loop. Knows nothing of HTTP.

The only importer of tenacity, which is imported when something is tried again for the first time. `Retrying` is built per call,
since a shared one is not safe to use from several threads.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import Any, Callable, FrozenSet, Iterable, Optional, TypeVar

import attrs

from ..errors import InvalidRequestError, LangGraphRunsError
from ..validation import check_seconds
from .scope import Scope

__all__ = ["RetryBudget", "RetryDetails", "RetryPolicy", "repeat"]

T = TypeVar("T")
_log = logging.getLogger(__name__)


@attrs.frozen
class RetryDetails:
    """What an ``on_retry`` hook is told before the wait.

    >>> told = []
    >>> policy = RetryPolicy(on_retry=told.append)
    >>> policy.on_retry(RetryDetails(call="GET /ok", attempt=2, wait=0.5, error=LangGraphRunsError("it broke")))
    >>> f"{told[0].call}: attempt {told[0].attempt} in {told[0].wait} s"
    'GET /ok: attempt 2 in 0.5 s'
    """

    #: The call, such as ``"GET /threads/x/runs"``.
    call: str
    #: The attempt that comes next; the first retry is 2.
    attempt: int
    #: Seconds until then.
    wait: float
    #: Why.
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


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often and after what waits a call is repeated; per client (``Client(retry=...)``) and per call (``with_options``).

    The wait before retry *n* (1 is the first) is ``min(wait_max, wait_initial * 2 ** (n - 1))`` seconds, with full jitter a
    random number between 0 and that; a ``Retry-After`` of the server is obeyed instead. A wait that would cross the call's
    deadline is not begun: the last error is raised at once.

    >>> RetryPolicy(attempts=1).attempts  # never repeats anything
    1
    """

    #: Tries in all, the first included.
    attempts: int = attrs.field(default=4, validator=_attempts)
    #: Seconds before the first retry.
    wait_initial: float = attrs.field(default=0.5, validator=_seconds)
    #: No wait of ours is longer, in seconds.
    wait_max: float = attrs.field(default=8.0, validator=_seconds)
    #: ``"full"`` or ``"none"``.
    jitter: str = attrs.field(default="full", validator=_jitter)
    #: HTTP statuses that are worth another try where the call may be repeated.
    statuses: FrozenSet[int] = attrs.field(default=frozenset({408, 429, 500, 502, 503, 504}), converter=_statuses)
    #: Whether the server's ``Retry-After`` replaces our own wait.
    respect_retry_after: bool = True
    #: A longer ``Retry-After``, in seconds, is not waited for: the error is raised at once and carries it.
    retry_after_max: float = attrs.field(default=60.0, validator=_seconds)
    #: Retries that one client may have in a burst (see `RetryBudget`); None for no limit.
    budget: Optional[float] = attrs.field(default=100.0, validator=_budget)
    #: Called before each wait, in the calling thread, with a `RetryDetails`.
    on_retry: Optional[Callable[[RetryDetails], None]] = attrs.field(default=None, eq=False, validator=_hook)

    def wait(self, retry: int, retry_after: Optional[float] = None) -> float:
        """Seconds before the retry with this number; 1 is the first."""
        if retry_after is not None and self.respect_retry_after:
            return retry_after
        longest = min(self.wait_max, self.wait_initial * 2.0 ** min(retry - 1, 60))
        return random.uniform(0.0, longest) if self.jitter == "full" else longest

    def forbids(self, error: LangGraphRunsError) -> bool:
        """Whether the server asks for a longer wait than is waited for."""
        asked: Optional[float] = getattr(error, "retry_after", None)
        return asked is not None and self.respect_retry_after and asked > self.retry_after_max

    def announce(self, call: str, attempt: int, seconds: float, error: LangGraphRunsError) -> None:
        """Log that *attempt* comes after *seconds*, and tell the hook."""
        _log.info("%s: attempt %d in %.2f s after %s", call, attempt, seconds, type(error).__name__)
        if self.on_retry is not None:
            self.on_retry(RetryDetails(call=call, attempt=attempt, wait=seconds, error=error))


class RetryBudget:
    """A token bucket that all calls of one client share, so that 100 threads do not hammer a dead server.

    A retry takes one token, a success gives one back, and one comes back by itself each second. Without tokens nothing is
    retried: the first error is raised.
    """

    def __init__(self, capacity: Optional[float], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._tokens = capacity or 0.0
        self._clock = clock
        self._at = clock()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether another retry is allowed now; if so it is counted."""
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
        """A request was answered well."""
        # Looked at without the lock: a bucket that is full stays full, and a lost token costs one retry at the most.
        if self._capacity is not None and self._tokens < self._capacity:
            with self._lock:
                self._tokens = min(self._capacity, self._tokens + 1.0)


class _Verdict:
    """Whether one more try is made after an error, and after how many seconds."""

    def __init__(self, policy: RetryPolicy, budget: RetryBudget, scope: Scope, again: Callable[[LangGraphRunsError], bool]) -> None:
        self.policy, self.budget, self.scope, self.again = policy, budget, scope, again
        self.seconds = 0.0

    def __call__(self, error: BaseException, retry: int) -> bool:
        if not isinstance(error, LangGraphRunsError) or retry >= self.policy.attempts or not self.again(error):
            return False
        if self.policy.forbids(error):
            return False
        self.seconds = self.policy.wait(retry, getattr(error, "retry_after", None))
        return self.scope.deadline.allows(self.seconds) and not self.scope.interrupted and self.budget.take()


def repeat(
    attempt: Callable[[], T],
    *,
    call: str,
    policy: RetryPolicy,
    budget: RetryBudget,
    scope: Scope,
    again: Callable[[LangGraphRunsError], bool],
) -> T:
    """The result of *attempt*, tried again while *again* says so of its error and policy, budget and scope allow it.

    Raises the last error itself, never a wrapper. Ends a wait at once when the scope is interrupted.
    """
    verdict = _Verdict(policy, budget, scope, again)
    try:
        result = attempt()
    except LangGraphRunsError as error:
        # Most calls end here or above: what only a retry needs is built only now.
        if not verdict(error, 1):
            raise
        first = error
    else:
        budget.succeeded()
        return result
    result = _again(attempt, first, call, verdict)
    budget.succeeded()
    return result


def _again(attempt: Callable[[], T], first: LangGraphRunsError, call: str, verdict: _Verdict) -> T:
    import tenacity

    replayed = False

    def replay_then_attempt() -> T:
        if not replayed:
            raise first
        return attempt()

    def decide(retry_state: tenacity.RetryCallState) -> bool:
        nonlocal replayed
        outcome = retry_state.outcome
        if outcome is None or not outcome.failed:
            return False
        if not replayed:
            replayed = True  # the verdict on the first error was asked for already
            return True
        error = outcome.exception()
        return error is not None and verdict(error, retry_state.attempt_number)

    def tell(retry_state: tenacity.RetryCallState) -> None:
        error = retry_state.outcome.exception() if retry_state.outcome is not None else None
        if not isinstance(error, LangGraphRunsError):
            return
        verdict.policy.announce(call, retry_state.attempt_number + 1, verdict.seconds, error)

    retrying = tenacity.Retrying(
        stop=tenacity.stop_never,  # the verdict counts, so that it can also say why not
        wait=lambda _: verdict.seconds,
        retry=decide,
        sleep=verdict.scope.sleep,
        before_sleep=tell,
        reraise=True,
    )
    return retrying(replay_then_attempt)

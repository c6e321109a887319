"""When something is tried again, after what wait, and what ends it: policy, budget and loop, on a clock of their own."""

from __future__ import annotations

import logging
import pickle
import threading
from http import HTTPStatus
from typing import Any, Callable, List, Optional, Sequence, Tuple

import attrs
import pytest

from langgraph_runs import RetryDetails, RetryPolicy
from langgraph_runs.call.deadline import Deadline
from langgraph_runs.call.retry import Retrier, RetryBudget
from langgraph_runs.call.scope import Scope
from langgraph_runs.errors import (
    AbortedError,
    APIConnectionError,
    DeadlineExceededError,
    InternalServerError,
    InvalidRequestError,
    LangGraphRunsError,
    RateLimitError,
)

from .played import Time

STEADY = RetryPolicy(jitter="none")


def attempts_of(*outcomes: Any) -> Tuple[Callable[[], Any], List[Any]]:
    """A function that has these outcomes in turn, and the list of those that it had."""
    left, had = list(outcomes), []

    def attempt() -> Any:
        had.append(left.pop(0))
        if isinstance(had[-1], BaseException):
            raise had[-1]
        return had[-1]

    return attempt, had


def repeated(
    outcomes: Sequence[Any],
    *,
    policy: RetryPolicy = STEADY,
    timeout: Optional[float] = None,
    budget: Optional[float] = None,
    again: Callable[[LangGraphRunsError], bool] = lambda error: True,
    time: Optional[Time] = None,
) -> Tuple[Any, List[Any], List[float]]:
    """What a `Retrier` makes of these outcomes: its result or error, the attempts, the sleeps."""
    time = time or Time()
    attempt, had = attempts_of(*outcomes)
    scope = Scope(Deadline(timeout, clock=time.clock), sleep=time.sleep)
    try:
        own_budget = RetryBudget(budget, clock=time.clock)
        result = Retrier("GET /x", policy=policy, budget=own_budget, scope=scope, transient=again).run(attempt)
    except BaseException as error:  # noqa: B036
        result = error
    return result, had, time.slept


def broken() -> APIConnectionError:
    return APIConnectionError("the connection broke")


def limited(seconds: Optional[float]) -> RateLimitError:
    return RateLimitError("slow down", status_code=429, retry_after=seconds)


# -- the loop


def test_a_success_is_not_repeated() -> None:
    """A success is returned, without a sleep."""
    assert ("fine", ["fine"], []) == repeated(["fine"])


def test_a_transient_failure_is_repeated_after_growing_waits() -> None:
    """Without jitter the waits are 0.5, 1 and 2 seconds."""
    errors = [broken(), broken(), broken()]
    assert ("fine", [*errors, "fine"], [0.5, 1.0, 2.0]) == repeated([*errors, "fine"])


def test_the_last_error_itself_is_raised() -> None:
    """After the last attempt comes no sleep and no wrapper."""
    errors = [broken(), broken(), broken(), broken()]
    result, had, slept = repeated(errors)
    assert errors[-1] is result
    assert (errors, [0.5, 1.0, 2.0]) == (had, slept)


@pytest.mark.parametrize("attempts", [1, 2, 3, 7])
def test_attempts_counts_the_first_try(attempts: int) -> None:
    """The number includes the first attempt; there is one sleep fewer."""
    result, had, slept = repeated([broken() for _ in range(9)], policy=RetryPolicy(attempts=attempts, jitter="none"))
    assert (attempts, attempts - 1) == (len(had), len(slept))


def test_an_error_that_forbids_a_repeat_is_raised_at_once() -> None:
    """If *again* returns False there is one attempt and no sleep, also if it returns False only later."""
    first, second = broken(), InternalServerError("x", status_code=500)
    assert (first, [first], []) == repeated([first, "fine"], again=lambda error: False)
    assert (second, [first, second], [0.5]) == repeated([first, second, "fine"], again=lambda error: error is first)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), GeneratorExit(), RuntimeError("a bug"), ValueError("x")])
@pytest.mark.parametrize("before", [0, 1])
def test_foreign_exceptions_are_never_repeated(error: BaseException, before: int) -> None:
    """Ctrl-C and bugs are raised, in the first attempt and in later ones, even if *again* returns True for all."""
    outcomes = [*[broken() for _ in range(before)], error, "fine"]
    result, had, slept = repeated(outcomes)
    assert error is result
    assert (before + 1, before) == (len(had), len(slept))


def test_ctrl_c_in_the_sleep_ends_it() -> None:
    """KeyboardInterrupt out of the wait is raised, and no attempt follows."""
    time, interrupt = Time(), KeyboardInterrupt()

    def sleep(seconds: float) -> None:
        raise interrupt

    time.sleep = sleep  # type: ignore[method-assign]
    result, had, _ = repeated([broken(), "fine"], time=time)
    assert interrupt is result
    assert 1 == len(had)


# -- Retry-After


def test_retry_after_replaces_the_computed_wait() -> None:
    """The server's number is slept, no more and no less."""
    assert ("fine", [7.0]) == repeated([limited(7.0), "fine"])[::2]


def test_retry_after_of_zero_is_no_wait() -> None:
    """Zero is a number that the server gave: it is tried again at once."""
    assert ("fine", []) == repeated([limited(0.0), "fine"])[::2]


@pytest.mark.parametrize("seconds", [60.1, 1e9, float("inf")])
def test_a_retry_after_that_is_too_long_is_an_error_at_once(seconds: float) -> None:
    """It is not waited for and not shortened; the error carries it."""
    error = limited(seconds)
    assert (error, [error], []) == repeated([error, "fine"])


def test_retry_after_may_be_ignored() -> None:
    """Then the computed wait is used, however long the requested one is."""
    policy = RetryPolicy(jitter="none", respect_retry_after=False)
    assert ("fine", [0.5]) == repeated([limited(3600.0), "fine"], policy=policy)[::2]


# -- the deadline and the signals


def test_a_wait_that_would_cross_the_deadline_is_not_begun() -> None:
    """The last error comes at once, and is the real one, not the deadline's."""
    errors = [broken(), broken()]
    assert (errors[1], errors, [0.5]) == repeated([*errors, "fine"], timeout=1.2)
    error = limited(5.0)
    assert (error, [error], []) == repeated([error, "fine"], timeout=5.0)


def test_an_interrupted_call_is_not_repeated() -> None:
    """No wait and no attempt follow an interrupt; the attempt's own error is raised."""
    time, error = Time(), broken()
    scope = Scope(Deadline(None, clock=time.clock), sleep=time.sleep)

    def attempt() -> Any:
        scope.interrupt()
        raise error

    with pytest.raises(APIConnectionError) as caught:
        Retrier("x", policy=STEADY, budget=RetryBudget(None), scope=scope, transient=lambda _: True).run(attempt)
    assert error is caught.value
    assert [] == time.slept


def test_an_interrupt_in_the_wait_raises_aborted() -> None:
    """The wait ends with AbortedError, and no attempt follows."""
    attempt, had = attempts_of(broken(), "fine")
    scope = Scope(Deadline(None))
    timer = threading.Timer(0.01, scope.interrupt, ("enough",))
    timer.start()
    with pytest.raises(AbortedError, match="enough"):
        Retrier(
            "x",
            policy=RetryPolicy(jitter="none", wait_initial=30, wait_max=30),
            budget=RetryBudget(None),
            scope=scope,
            transient=lambda _: True,
        ).run(attempt)
    timer.join()
    assert 1 == len(had)


def test_a_deadline_error_of_an_attempt_is_not_waited_for() -> None:
    """There is no time left to wait in."""
    time, error = Time(), DeadlineExceededError("late")

    def attempt() -> Any:
        time.now += 5
        raise error

    scope = Scope(Deadline(5.0, clock=time.clock), sleep=time.sleep)
    with pytest.raises(DeadlineExceededError):
        Retrier("x", policy=STEADY, budget=RetryBudget(None), scope=scope, transient=lambda _: True).run(attempt)
    assert [] == time.slept


# -- the policy's waits


def test_waits_double_up_to_the_longest() -> None:
    """0.5, 1, 2, 4, then 8 for ever, however many retries there are."""
    assert [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0] == [STEADY.wait(retry) for retry in (1, 2, 3, 4, 5, 6, 10**6)]


def test_full_jitter_is_between_nothing_and_the_wait() -> None:
    """A thousand draws lie in the range, and spread over all of it."""
    draws = [RetryPolicy().wait(3) for _ in range(1000)]
    assert 0.0 <= min(draws) < 0.2
    assert 1.8 < max(draws) <= 2.0


def test_no_wait_is_possible() -> None:
    """wait_initial=0 retries at once."""
    assert ("fine", []) == repeated([broken(), broken(), "fine"], policy=RetryPolicy(wait_initial=0))[::2]


# -- the hook and the log


def test_the_hook_is_called_before_each_wait() -> None:
    """It gets the call, the number of the attempt that comes, the wait and the error."""
    errors, told, time = [broken(), limited(3.0)], [], Time()

    def hook(details: RetryDetails) -> None:
        told.append((details, list(time.slept)))

    repeated([*errors, "fine"], policy=RetryPolicy(jitter="none", on_retry=hook), time=time)
    assert [
        (RetryDetails(call="GET /x", attempt=2, wait=0.5, error=errors[0]), []),
        (RetryDetails(call="GET /x", attempt=3, wait=3.0, error=errors[1]), [0.5]),
    ] == told


def test_the_hook_is_not_called_if_nothing_is_repeated() -> None:
    """Neither a success nor the last error is a retry."""
    told: List[RetryDetails] = []
    policy = RetryPolicy(attempts=2, jitter="none", on_retry=told.append)
    repeated(["fine"], policy=policy)
    assert [] == told
    repeated([broken(), broken()], policy=policy)
    assert [2] == [details.attempt for details in told]


def test_an_error_in_the_hook_ends_the_call() -> None:
    """It is raised as it is, without a wait."""

    def hook(_: RetryDetails) -> None:
        raise RuntimeError("a bug in the hook")

    result, had, slept = repeated([broken(), "fine"], policy=RetryPolicy(on_retry=hook))
    assert RuntimeError is type(result)
    assert (1, []) == (len(had), slept)


def test_each_retry_is_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    """One line at INFO, with the call, the attempt, the wait and the kind of error; a success logs nothing here."""
    with caplog.at_level(logging.DEBUG, logger="langgraph_runs"):
        repeated([broken(), "fine"])
    assert [
        ("langgraph_runs.call.retry", logging.INFO, "GET /x: attempt 2 in 0.50 s after APIConnectionError")
    ] == caplog.record_tuples


# -- the budget


def test_an_empty_budget_stops_all_retries() -> None:
    """The first error is raised at once."""
    assert [] == repeated([broken(), "fine"], budget=0)[2]


def test_the_budget_is_used_up_by_retries() -> None:
    """The budget is the number of retries in a burst, over all calls of a client."""
    budget = RetryBudget(3, clock=Time().clock)
    assert [True, True, True, False, False] == [budget.take() for _ in range(5)]


def test_the_budget_refills_with_time_and_with_success() -> None:
    """One token a second and one for each success, never more than there were."""
    time = Time()
    budget = RetryBudget(2, clock=time.clock)
    assert [True, True, False] == [budget.take() for _ in range(3)]
    time.now += 1.0
    assert [True, False] == [budget.take() for _ in range(2)]
    budget.succeeded()
    assert [True, False] == [budget.take() for _ in range(2)]
    time.now += 1000.0
    for _ in range(10):
        budget.succeeded()
    assert [True, True, False] == [budget.take() for _ in range(3)]


def test_no_budget_is_no_limit() -> None:
    """None lets everything through."""
    budget = RetryBudget(None)
    budget.succeeded()
    assert all(budget.take() for _ in range(10_000))


def test_a_hundred_threads_do_not_hammer_a_dead_server() -> None:
    """With a budget of 10 they make 110 attempts together, not 400."""
    time = Time()
    budget, count, lock = RetryBudget(10, clock=time.clock), [0], threading.Lock()

    def attempt() -> Any:
        with lock:
            count[0] += 1
        raise broken()

    def work() -> None:
        scope = Scope(Deadline(None, clock=time.clock), sleep=lambda _: None)
        with pytest.raises(APIConnectionError):
            Retrier("x", policy=STEADY, budget=budget, scope=scope, transient=lambda _: True).run(attempt)

    threads = [threading.Thread(target=work) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 110 == count[0]


def test_threads_that_retry_at_once_get_their_own_errors() -> None:
    """No call sees another's state: a shared tenacity function raises KeyError here now and then."""
    wrong: List[Any] = []

    def work(number: int) -> None:
        for _ in range(100):
            error = broken()
            result, had, _ = repeated([broken(), error], policy=RetryPolicy(attempts=2, wait_initial=0))
            if result is not error or len(had) != 2:
                wrong.append((number, result))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == wrong


# -- what a policy may be


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"attempts": 0}, "attempts=0: give a whole number of at least 1; 1 means no retry"),
        ({"attempts": 2.5}, "attempts=2.5: "),
        ({"attempts": True}, "attempts=True: "),
        ({"wait_initial": -1}, "wait_initial=-1: "),
        ({"wait_max": None}, "wait_max=None: "),
        ({"wait_max": float("nan")}, "wait_max=nan: "),
        ({"retry_after_max": float("inf")}, "retry_after_max=inf: "),
        ({"retry_after_max": "60"}, "retry_after_max='60': "),
        ({"jitter": "some"}, "jitter='some': give 'full' or 'none'"),
        ({"statuses": 503}, "statuses=503: "),
        ({"statuses": "503"}, "statuses='503': "),
        ({"statuses": ["503"]}, "statuses=['503']: "),
        ({"budget": -1}, "budget=-1: "),
        ({"budget": float("nan")}, "budget=nan: "),
        ({"budget": "all"}, "budget='all': "),
        ({"on_retry": "print"}, "on_retry='print': "),
    ],
)
def test_invalid_values_are_refused(options: Any, told: str) -> None:
    """The error names the option and its value, when the policy is made and not when something fails."""
    with pytest.raises(InvalidRequestError) as caught:
        RetryPolicy(**options)
    assert str(caught.value).startswith(told)


def test_statuses_may_be_any_collection() -> None:
    """A list, a set or members of HTTPStatus become one frozen set of numbers."""
    for given in ([503, 429], {503, 429}, (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS)):
        assert frozenset({503, 429}) == RetryPolicy(statuses=given).statuses


def test_a_policy_is_a_value() -> None:
    """It cannot be changed, compares by what it says, and pickles."""
    policy = RetryPolicy(attempts=7)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        policy.attempts = 8  # type: ignore[misc]
    assert RetryPolicy(attempts=7) == policy == pickle.loads(pickle.dumps(policy))
    assert RetryPolicy() != policy


def test_a_signal_handler_may_use_the_budget_while_its_thread_does() -> None:
    """The clock stands for a signal handler that makes a call which is repeated too."""
    inner: List[bool] = []

    def clock() -> float:
        if threading.current_thread() is thread and not inner:
            inner.append(True)
            inner.append(budget.take())
        return 0.0

    thread = threading.Thread(target=lambda: budget.take(), daemon=True)
    budget = RetryBudget(5, clock=clock)
    thread.start()
    thread.join(5)
    assert [True, True] == inner, "the handler blocks on a lock that its own thread holds"

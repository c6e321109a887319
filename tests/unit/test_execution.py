"""What a failed attempt says about the server: the table of evidence, and which errors are transient."""

from __future__ import annotations

from typing import List, Tuple

import pytest

from langgraph_runs import (
    AbortedError,
    APIConnectionError,
    APITimeoutError,
    CreateUncertainError,
    DeadlineExceededError,
    InvalidRequestError,
    LangGraphRunsError,
    ResponseDecodeError,
    RetryPolicy,
    RunFailedError,
    StreamInterruptedError,
)
from langgraph_runs.call.execution import Execution, execution_of, is_surely_not_executed, is_transient
from langgraph_runs.errors import status_error

STATUSES = RetryPolicy().statuses


def status(code: int, retry_after: float | None = None) -> LangGraphRunsError:
    return status_error(code)("refused", status_code=code, retry_after=retry_after)


NOT_EXECUTED: List[LangGraphRunsError] = [
    InvalidRequestError("limit=0"),
    APIConnectionError("could not connect", sent=False),
    APITimeoutError("could not connect", sent=False),
    *(
        status(code)
        for code in (300, 301, 302, 303, 304, 307, 308, 399, 400, 401, 403, 404, 405, 409, 413, 415, 422, 425, 429, 431, 501)
    ),
    status(429, 1.0),
    status(503, 0.0),
    status(503, 100.0),
]
EXECUTED: List[LangGraphRunsError] = [
    status(500),
    ResponseDecodeError("not JSON", problems=("$: not JSON",), sent=True),
    RunFailedError("ValueError", "no ink"),
]
UNKNOWN: List[LangGraphRunsError] = [
    APIConnectionError("broke", sent=None),
    APIConnectionError("broke", sent=True),
    APITimeoutError("silent", sent=None),
    DeadlineExceededError("late", timeout=1.0),
    AbortedError("aborted"),
    CreateUncertainError("?", sent=None),
    StreamInterruptedError("cut"),
    *(status(code) for code in (408, 419, 499, 502, 503, 504, 507, 520, 521, 522, 523, 524, 525, 526, 527, 530, 599, 600, 999)),
]
CASES: List[Tuple[LangGraphRunsError, Execution]] = [
    *((error, Execution.NOT_EXECUTED) for error in NOT_EXECUTED),
    *((error, Execution.EXECUTED) for error in EXECUTED),
    *((error, Execution.UNKNOWN) for error in UNKNOWN),
]


def shown(value: object) -> str:
    return f"{type(value).__name__}-{getattr(value, 'status_code', getattr(value, 'sent', ''))}"


@pytest.mark.parametrize(("error", "expected"), CASES, ids=shown)
def test_execution_follows_the_table_of_evidence(error: LangGraphRunsError, expected: Execution) -> None:
    """A status that is in no list, and a lost response, leave the question open."""
    assert expected is execution_of(error)
    assert (expected is Execution.NOT_EXECUTED) is is_surely_not_executed(error)


def test_a_retry_after_makes_only_a_503_certain() -> None:
    """Other statuses of gateways carry Retry-After as well, for requests that are being executed."""
    for code in (502, 504, 520, 524):
        assert Execution.UNKNOWN is execution_of(status(code, 1.0))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        *((status(code), True) for code in sorted(STATUSES)),
        *((status(code), False) for code in (400, 401, 403, 404, 409, 422, 501)),
        (APIConnectionError("broke", sent=None), True),
        (APITimeoutError("silent", sent=None), True),
        (DeadlineExceededError("late", timeout=1.0), False),
        (ResponseDecodeError("not JSON", problems=()), False),
        (StreamInterruptedError("cut"), False),
        (AbortedError("aborted"), False),
        (InvalidRequestError("limit=0"), False),
        (RunFailedError("ValueError", "no ink"), False),
    ],
    ids=shown,
)
def test_transient_errors_are_recognised(error: LangGraphRunsError, expected: bool) -> None:
    assert expected is is_transient(error, STATUSES)


def test_a_conflict_is_never_transient() -> None:
    assert not is_transient(status(409), {409})


def test_the_statuses_that_are_transient_are_those_of_the_policy() -> None:
    assert is_transient(status(418), {418})
    assert not is_transient(status(503), {418})

"""What a failed attempt says about the server: the table of evidence, and which errors are transient."""

from __future__ import annotations

from typing import Any, List, Tuple

import pytest

from langgraph_runs import (
    AbortedError,
    APIConnectionError,
    APIStatusError,
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
from langgraph_runs.call.execution import (
    Execution,
    execution_of,
    is_surely_not_executed,
    is_timeout,
    is_transient,
    may_lack_route,
    states_absence,
    states_no_route,
)
from langgraph_runs.errors import status_error
from langgraph_runs.http.headers import error_text

STATUSES = RetryPolicy().statuses


def status(code: int, retry_after: float | None = None, body: Any = None) -> LangGraphRunsError:
    return status_error(code)("refused", status_code=code, retry_after=retry_after, body=body)


NOT_EXECUTED: List[LangGraphRunsError] = [
    InvalidRequestError("limit=0"),
    APIConnectionError("could not connect", sent=False),
    APITimeoutError("could not connect", sent=False),
    *(
        status(code)
        for code in (300, 301, 302, 303, 304, 307, 308, 399, 400, 401, 403, 404, 405, 409, 413, 415, 422, 425, 429, 431)
    ),
    status(501, body={"detail": "no"}),
    status(505, body={"error": "no"}),
    status(429, 1.0),
    status(503, 0.0),
    status(503, 100.0),
]
EXECUTED: List[LangGraphRunsError] = [
    status(500, body={"detail": "boom"}),
    status(500, body={"error": {"message": "boom"}}),
    ResponseDecodeError("not JSON", problems=("$: not JSON",), sent=True),
    RunFailedError("ValueError", "no ink"),
]
FOREIGN_BODIES: List[Any] = ["<html>", "Internal Server Error", {"message": "no"}, []]
UNKNOWN: List[LangGraphRunsError] = [
    *(status(code) for code in (500, 501, 505)),
    *(status(code, body=body) for code in (500, 501, 502) for body in FOREIGN_BODIES),
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


@pytest.mark.parametrize(
    ("status", "location", "expected"),
    [
        (303, "/threads/t/runs/r", Execution.UNKNOWN),
        (303, "https://h/api/runs/r/join", Execution.UNKNOWN),
        (303, "/login?next=/threads", Execution.NOT_EXECUTED),
        (303, "https://h/threads/t/runs/wait", Execution.NOT_EXECUTED),
        (303, "https://h/threads/t/runs/", Execution.NOT_EXECUTED),
        (307, "/threads/t/runs/r", Execution.NOT_EXECUTED),
    ],
)
def test_a_redirect_to_a_run_may_follow_its_creation(status: int, location: str, expected: Execution) -> None:
    assert expected is execution_of(APIStatusError("redirects", status_code=status, headers={"location": location}))


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


#: Recorded from the Python server, the JavaScript server and Aegra.
STATEMENTS: List[Any] = [
    {"detail": "Thread or assistant not found."},
    {"detail": "Thread with ID 01a2230c-46f2-7e6e-8a5e-3f5a1d2c7b10 not found"},
    {"detail": "Run not found"},
    {"detail": "No runs found to cancel."},
    {
        "detail": "No matching runs to cancel. Please verify the thread ID and run IDs are correct, and the runs haven't been deleted "
        "or completed."
    },
    "Thread with ID aaaaaaaa-1111-4111-8111-111111111111 not found",
    "Run not found",
    "Assistant not found",
    {"error": "not_found", "message": "Run 'aaaaaaaa-1111-4111-8111-111111111111' not found", "details": None},
]
#: For an unknown route, or from what stands in front of a server.
NO_STATEMENTS: List[Any] = [
    None,
    "",
    {"detail": "Not Found"},
    {"error": "Not Found"},
    {"message": "no Route matched with those values"},
    "404 Not Found",
    "404 page not found\n",
    "default backend - 404",
    "<html><head><title>404 Not Found</title></head><body>nginx</body></html>",
    "<p>this site has a thread on it</p>",
    "Cannot GET /threads/aaaaaaaa-1111-4111-8111-111111111111/runs",
    {"timestamp": "2026-11-28T16:00:00Z", "status": 404, "error": "Not Found", "path": "/threads/aaaaaaaa/runs"},
    {"message": "The route threads/aaaaaaaa/runs could not be found."},
]


def not_found(body: Any, code: int = 404, kind: str = "application/json") -> APIStatusError:
    return status_error(code)(error_text(body), status_code=code, body=body, headers={"content-type": kind})


@pytest.mark.parametrize("body", STATEMENTS, ids=str)
def test_a_404_that_names_what_is_absent_is_a_statement(body: Any) -> None:
    assert states_absence(not_found(body))
    assert not states_absence(not_found(body, 410))
    assert not states_absence(not_found(body, kind="text/html; charset=utf-8"))


@pytest.mark.parametrize("body", NO_STATEMENTS, ids=str)
def test_a_404_about_a_page_or_a_route_is_none(body: Any) -> None:
    assert not states_absence(not_found(body))


def test_errors_without_a_status_state_nothing() -> None:
    assert not states_absence(APIConnectionError("the run was not found"))


TIMEOUTS: List[LangGraphRunsError] = [
    APITimeoutError("silent"),
    APITimeoutError("silent", sent=True),
    DeadlineExceededError("late"),
    *(status(code) for code in (408, 499, 504, 522, 524)),
]
NO_TIMEOUTS: List[LangGraphRunsError] = [
    APITimeoutError("could not connect", sent=False),
    APIConnectionError("broke"),
    *(status(code) for code in (429, 500, 502, 503, 520, 521, 523, 525, 530)),
]


@pytest.mark.parametrize("error", TIMEOUTS, ids=repr)
def test_after_a_timeout_the_request_may_still_be_executed(error: LangGraphRunsError) -> None:
    assert is_timeout(error)
    assert execution_of(error) is Execution.UNKNOWN


@pytest.mark.parametrize("error", NO_TIMEOUTS, ids=repr)
def test_other_failures_are_no_timeouts(error: LangGraphRunsError) -> None:
    assert not is_timeout(error)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (status(404), True),
        (status(405), True),
        (status(403), False),
        (status(501), False),
        (APIConnectionError("could not connect", sent=False), False),
    ],
)
def test_a_server_may_lack_the_route_of_a_request(error: LangGraphRunsError, expected: bool) -> None:
    """It says so with 404 or 405; without a response nothing is known."""
    assert expected is may_lack_route(error)


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (404, "Not Found", True),
        (404, "404 page not found", True),
        (404, "Cannot POST /threads/t/runs/wait", True),
        (405, "Method Not Allowed", True),
        (501, "Not Implemented", True),
        (404, "Thread with ID t not found", False),
        (404, "default backend - 404", False),
        (500, "Not Found", False),
        (422, "Not Found", False),
    ],
)
def test_what_a_server_says_of_a_route_that_it_does_not_have(status: int, text: str, expected: bool) -> None:
    assert expected is states_no_route(APIStatusError(text, status_code=status))

"""Which error has which exit code."""

from __future__ import annotations

import pytest

from langgraph_runs import errors, exit_codes


def status(code: int) -> errors.APIStatusError:
    return errors.status_error(code)("told", status_code=code)


CODES = [
    (errors.InvalidRequestError("x"), exit_codes.USAGE),
    (errors.LedgerError("x"), exit_codes.USAGE),
    (errors.LedgerUnavailableError("x"), exit_codes.UNREACHABLE),
    (errors.AbortedError("x"), exit_codes.INTERRUPTED),
    (errors.APIConnectionError("x"), exit_codes.UNREACHABLE),
    (errors.APITimeoutError("x"), exit_codes.UNREACHABLE),
    (errors.DeadlineExceededError("x"), exit_codes.TIMED_OUT),
    (errors.StreamInterruptedError("x"), exit_codes.UNREACHABLE),
    (errors.CreateUncertainError("x"), exit_codes.UNREACHABLE),
    (errors.OutageError("x"), exit_codes.UNREACHABLE),
    (errors.IdempotencyConflictError("x"), exit_codes.USAGE),
    (errors.ResponseDecodeError("x"), exit_codes.UNREACHABLE),
    (status(302), exit_codes.USAGE),
    (status(400), exit_codes.USAGE),
    (status(401), exit_codes.REFUSED),
    (status(403), exit_codes.REFUSED),
    (status(404), exit_codes.USAGE),
    (status(407), exit_codes.REFUSED),
    (status(409), exit_codes.BUSY),
    (status(418), exit_codes.USAGE),
    (status(422), exit_codes.USAGE),
    (status(429), exit_codes.BUSY),
    (status(500), exit_codes.UNREACHABLE),
    (status(503), exit_codes.UNREACHABLE),
    (errors.RunError("x"), exit_codes.FAILED),
    (errors.RunFailedError("ValueError", "x"), exit_codes.FAILED),
    (errors.RunCancelledError("x"), exit_codes.FAILED),
    (errors.RunTimedOutError("x"), exit_codes.TIMED_OUT),
]


@pytest.mark.parametrize(("error", "code"), CODES, ids=lambda value: repr(value)[:40])
def test_each_error_has_its_exit_code(error: errors.LangGraphRunsError, code: int) -> None:
    assert code == exit_codes.code_of(error)


def test_the_table_has_every_error_class() -> None:
    """Each class of the tree, its root aside, is in the table above."""
    tree = {getattr(errors, name) for name in errors.__all__ if name.endswith("Error")} - {errors.LangGraphRunsError}
    roots = {errors.APIStatusError}

    assert set() == tree - roots - {type(error) for error, _ in CODES}

"""The retry policy for tests."""

from __future__ import annotations

from langgraph_runs import (
    RateLimitError,
    RetryPolicy,
)
from langgraph_runs.testing import (
    no_wait,
)


def test_no_wait_repeats_as_often_as_the_default_and_never_sleeps() -> None:
    """Also where the server asks for an hour."""
    policy = no_wait(attempts=3)
    assert (3, RetryPolicy().statuses) == (policy.attempts, policy.statuses)
    assert {0.0} == {policy.wait(n, after) for n in range(1, 9) for after in (None, 3600.0)}
    assert not policy.forbids(RateLimitError("", status_code=429, retry_after=3600.0))

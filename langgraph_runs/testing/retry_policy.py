"""A `RetryPolicy` for tests: what is repeated is repeated at once."""

from __future__ import annotations

from .. import RetryPolicy

__all__ = ["no_wait"]


def no_wait(attempts: int = 4) -> RetryPolicy:
    """A policy that repeats as the usual one does, and never sleeps: not for a ``Retry-After`` either, however long.

    >>> policy = no_wait()
    >>> policy.wait(3), policy.wait(1, retry_after=120.0)
    (0.0, 0.0)
    """
    return RetryPolicy(attempts=attempts, wait_initial=0.0, wait_max=0.0, jitter="none", respect_retry_after=False, budget=None)

"""A `RetryPolicy` for tests, which repeats requests without waiting."""

from __future__ import annotations

from .. import RetryPolicy

__all__ = ["no_wait"]


def no_wait(attempts: int = 4) -> RetryPolicy:
    """Return a policy that repeats the same requests as the default one, but never sleeps, not even for ``Retry-After``.

    >>> policy = no_wait()
    >>> policy.wait(3), policy.wait(1, retry_after=120.0)
    (0.0, 0.0)
    """
    return RetryPolicy(attempts=attempts, wait_initial=0.0, wait_max=0.0, jitter="none", respect_retry_after=False, budget=None)

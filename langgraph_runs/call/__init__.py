"""What bounds one call of the library: its deadline, the signals that end it, and when a request may be repeated.

Knows nothing of HTTP, JSON or runs.
"""

from .abort import AbortController, AbortSignal
from .deadline import Deadline
from .retry import RetryBudget, RetryDetails, RetryPolicy, repeat
from .scope import Scope

__all__ = [
    "AbortController",
    "AbortSignal",
    "Deadline",
    "RetryBudget",
    "RetryDetails",
    "RetryPolicy",
    "Scope",
    "repeat",
]

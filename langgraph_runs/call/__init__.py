"""The limits of one call of the library: its deadline, the signals that end it, and when a request may be repeated.

Knows nothing of HTTP, JSON or runs.
"""

from .abort import AbortController, AbortSignal
from .deadline import Deadline
from .execution import (
    Execution,
    execution_of,
    has_api_shape,
    is_refusal,
    is_surely_not_executed,
    is_timeout,
    is_transient,
    may_lack_route,
    states_absence,
    states_no_route,
)
from .foreign import is_foreign, is_from_signal_handler, raise_foreign, start_thread, with_causes
from .retry import Retrier, RetryBudget, RetryDetails, RetryPolicy, at_moments, polling_wait
from .scope import SIGNAL_INTERVAL, Scope
from .user_errors import UserCodeError, user_code

__all__ = [
    "SIGNAL_INTERVAL",
    "AbortController",
    "AbortSignal",
    "Deadline",
    "Execution",
    "Retrier",
    "RetryBudget",
    "RetryDetails",
    "RetryPolicy",
    "Scope",
    "UserCodeError",
    "at_moments",
    "execution_of",
    "is_foreign",
    "is_from_signal_handler",
    "has_api_shape",
    "is_refusal",
    "is_surely_not_executed",
    "is_timeout",
    "is_transient",
    "may_lack_route",
    "polling_wait",
    "raise_foreign",
    "start_thread",
    "states_absence",
    "states_no_route",
    "user_code",
    "with_causes",
]

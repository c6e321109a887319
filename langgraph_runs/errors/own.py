"""Errors that the library finds without the server: a wrong argument, a ledger that cannot be used, an abort."""

from typing import Any, Sequence, Tuple

from .root import LangGraphRunsError

__all__ = ["AbortedError", "IdempotencyConflictError", "InvalidRequestError", "LedgerError", "LedgerUnavailableError"]


class InvalidRequestError(LangGraphRunsError, ValueError):
    """An argument is wrong. Nothing was sent; the message names the argument and what to give instead.

    >>> isinstance(InvalidRequestError("limit=0: give a whole number of at least 1"), ValueError)
    True
    """


class IdempotencyConflictError(InvalidRequestError):
    """The idempotency key was used before, with another assistant, another input or other options. No run was created.

    ``run_id`` and ``thread_id`` are those of the run of the key.

    >>> IdempotencyConflictError("the key has another run", differs=("input",)).differs
    ('input',)
    """

    #: The names of the arguments that are not the same as in the first call.
    differs: Tuple[str, ...] = ()

    def __init__(self, message: str, *, differs: Sequence[str] = (), **context: Any) -> None:
        super().__init__(message, **context)
        self.differs = tuple(differs)


class LedgerError(LangGraphRunsError):
    """The ledger of a map is for another server, assistant or options, cannot be used or reached, or an input has changed.

    >>> str(LedgerError("there is no ledger at 'jobs.sqlite'"))
    "there is no ledger at 'jobs.sqlite'"
    """


class LedgerUnavailableError(LedgerError):
    """The database of a ledger cannot be reached, or has not come back within ``max_outage``.

    Nothing that was recorded is lost: the same call with the same ledger continues the map.

    >>> isinstance(LedgerUnavailableError("connection refused"), LedgerError)
    True
    """


class AbortedError(LangGraphRunsError):
    """The call was ended by its `AbortSignal`, or because the client was closed.

    A run that was started goes on. Cancel it with ``client.runs.cancel``.

    >>> AbortedError("aborted: enough", reason="enough", run_id="1f0c").reason
    'enough'
    """

    #: The argument of `AbortController.abort`.
    reason: Any = None

    def __init__(self, message: str, *, reason: Any = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.reason = reason

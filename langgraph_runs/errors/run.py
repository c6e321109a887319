"""Errors of runs: the requests succeeded, and the run did not."""

from typing import Any, Optional

from ..models import Run
from .root import LangGraphRunsError, shortened

__all__ = ["RunCancelledError", "RunError", "RunFailedError", "RunTimedOutError"]


class RunError(LangGraphRunsError):
    """The request succeeded, but the run did not, or it cannot be known how the run ended.

    >>> RunError("the run ended with status 'lost'", values={"n": 1}, run_id="1f0c").values
    {'n': 1}
    """

    #: The run as the server last described it; None if it could not be read.
    run: Optional[Run] = None
    #: The values that the run had produced when it ended; None if they are not known.
    values: Any = None

    def __init__(self, message: str, *, run: Optional[Run] = None, values: Any = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.run = run
        self.values = values


class RunFailedError(RunError):
    """The graph raised an error.

    >>> error = RunFailedError("ValueError", "no ink", run_id="1f0c")
    >>> str(error)
    'the run failed: ValueError: no ink (run 1f0c)'
    """

    #: The class of the graph's exception, as text; None if the server no longer has the reason.
    error: Optional[str] = None
    #: The message of the exception. For classes whose messages the server does not report, a general sentence.
    message: Optional[str] = None

    def __init__(self, error: Optional[str] = None, message: Optional[str] = None, **context: Any) -> None:
        reason = shortened(": ".join(part for part in (error, message) if part))
        super().__init__(f"the run failed: {reason}" if reason else "the run failed; the server did not say why", **context)
        self.error = error
        self.message = message


class RunCancelledError(RunError):
    """The run was cancelled before it ended; ``values`` is what it had produced.

    >>> str(RunCancelledError("the run was cancelled", run_id="1f0c"))
    'the run was cancelled (run 1f0c)'
    """


class RunTimedOutError(RunError):
    """The server stopped the run because it took longer than the server allows. This is not the ``timeout`` of the call.

    >>> isinstance(RunTimedOutError("the server stopped the run"), TimeoutError)
    False
    """

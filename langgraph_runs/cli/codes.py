"""Exit codes: what a shell or cron learns from a command without reading what it printed."""

from __future__ import annotations

from typing import Dict

from .. import (
    AbortedError,
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    ConflictError,
    DeadlineExceededError,
    InternalServerError,
    InvalidRequestError,
    LangGraphRunsError,
    LedgerError,
    PermissionDeniedError,
    RateLimitError,
    RunTimedOutError,
)

__all__ = [
    "BROKEN_PIPE",
    "BUSY",
    "FAILED",
    "INTERRUPTED",
    "OK",
    "PAUSED",
    "REFUSED",
    "TIMED_OUT",
    "UNREACHABLE",
    "USAGE",
    "MEANINGS",
    "code_of",
]

OK = 0
FAILED = 1
USAGE = 2
PAUSED = 3
TIMED_OUT = 4
UNREACHABLE = 5
REFUSED = 6
#: EX_TEMPFAIL of sysexits.h.
BUSY = 75
#: 128 + SIGINT, as shells have it.
INTERRUPTED = 130
#: 128 + SIGPIPE.
BROKEN_PIPE = 141

#: What each means, for the pages of help.
MEANINGS: Dict[int, str] = {
    OK: "success",
    FAILED: "the run failed or was cancelled",
    USAGE: "wrongly called: by this command line, or the server says so (400, 404, 422)",
    PAUSED: "the run waits for a human",
    TIMED_OUT: "--timeout is over, or the server's own limit for the run",
    UNREACHABLE: "the server could not be reached, or gave no usable answer",
    REFUSED: "the server refused the key (401, 403)",
    BUSY: "busy, nothing was started: --lock is held, the thread has a run (409), or too many requests (429)",
    INTERRUPTED: "interrupted by Ctrl-C or SIGTERM",
    BROKEN_PIPE: "nobody reads the output (`| head`)",
}

#: Statuses that refuse the caller rather than the request; 407 is a proxy's.
_REFUSALS = frozenset({401, 403, 407})


def code_of(error: LangGraphRunsError) -> int:
    """The exit code for an error of the library.

    >>> code_of(RunTimedOutError("the server stopped the run")), code_of(APIConnectionError("refused", sent=False))
    (4, 5)
    """
    if isinstance(error, (InvalidRequestError, LedgerError)):
        return USAGE
    if isinstance(error, AbortedError):
        return INTERRUPTED
    if isinstance(error, (DeadlineExceededError, RunTimedOutError)):
        return TIMED_OUT
    if isinstance(error, APIConnectionError):
        return UNREACHABLE
    if isinstance(error, APIStatusError):
        return _code_of_status(error)
    return FAILED


def _code_of_status(error: APIStatusError) -> int:
    if isinstance(error, (AuthenticationError, PermissionDeniedError)) or error.status_code in _REFUSALS:
        return REFUSED
    if isinstance(error, (ConflictError, RateLimitError)):
        return BUSY
    if isinstance(error, InternalServerError):
        return UNREACHABLE
    return USAGE

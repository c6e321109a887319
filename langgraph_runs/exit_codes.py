"""The exit codes of the command line, and the exit code for each error of the library."""

from __future__ import annotations

from typing import Dict, Tuple

from .errors import (
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
    LedgerUnavailableError,
    PermissionDeniedError,
    RateLimitError,
    RunTimedOutError,
)

__all__ = [
    "BROKEN_PIPE",
    "BUSY",
    "FAILED",
    "INTERRUPTED",
    "NOT_CONFORMING",
    "OF_A_STARTED_RUN",
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
NOT_CONFORMING = 7
#: EX_TEMPFAIL of sysexits.h.
BUSY = 75
#: 128 + SIGINT, as shells have it.
INTERRUPTED = 130
#: 128 + SIGPIPE.
BROKEN_PIPE = 141

#: The exit codes of the commands that start runs and wait for them, except for those that every command can have.
OF_A_STARTED_RUN: Tuple[int, ...] = (FAILED, PAUSED, TIMED_OUT, UNREACHABLE, REFUSED, BUSY)

#: The meaning of each exit code, for the help pages.
MEANINGS: Dict[int, str] = {
    OK: "success",
    FAILED: "the run failed or was cancelled, or the output cannot be written",
    USAGE: "usage error: wrong arguments, or the server rejected the request (400, 404, 422)",
    PAUSED: "the run waits for a human",
    TIMED_OUT: "not done within --timeout, or within the server's own limit for a run",
    UNREACHABLE: "the server could not be reached, or gave no usable response",
    REFUSED: "the server refused the API key (401, 403), or the proxy requires a login (407)",
    NOT_CONFORMING: "a promise of this library does not hold on the server (doctor --conformance)",
    BUSY: "busy, nothing was started: --lock is held, the thread has a run (409), or too many requests (429)",
    INTERRUPTED: "interrupted by Ctrl-C, SIGTERM or SIGHUP",
    BROKEN_PIPE: "the reader of the output has closed it (`| head`)",
}

#: HTTP statuses that refuse the caller rather than the request; 407 comes from a proxy.
_REFUSALS = frozenset({401, 403, 407})


def code_of(error: LangGraphRunsError) -> int:
    """Return the exit code for an error of the library.

    >>> code_of(RunTimedOutError("the server stopped the run")), code_of(APIConnectionError("refused", sent=False))
    (4, 5)
    """
    if isinstance(error, LedgerUnavailableError):
        return UNREACHABLE
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

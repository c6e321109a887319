"""The exceptions of this package. Imports nothing of the package but the records that an error may carry.

::

    LangGraphRunsError                      .request  .run_id  .thread_id  .attempts  .created  .uncertain
    ├── InvalidRequestError (ValueError)    a wrong argument; nothing was sent
    │   └── IdempotencyConflictError        the key belongs to another run; .differs
    ├── LedgerError                         the ledger of a map cannot be used, or not for this map
    │   └── LedgerUnavailableError          its database cannot be reached now
    ├── AbortedError                        the caller's signal fired, or the client was closed
    ├── APIConnectionError                  no usable response; .sent: False, True or None (unknown)
    │   ├── APITimeoutError (TimeoutError)  connecting, or silence for longer than ``read_timeout``
    │   │   └── DeadlineExceededError       ``timeout`` has passed; .timeout
    │   ├── StreamInterruptedError          .last_event_id  .events_seen
    │   ├── CreateUncertainError            the run may exist; .request_id
    │   └── ResponseDecodeError             .problems  .status_code  .body
    ├── APIStatusError                      .status_code  .message  .body  .headers  .request_id  .retry_after
    │   ├── BadRequestError  AuthenticationError  PermissionDeniedError  NotFoundError (.values)
    │   ├── ConflictError  UnprocessableEntityError  RateLimitError
    │   └── InternalServerError
    └── RunError                            the request succeeded, the run did not; .run  .values
        ├── RunFailedError                  .error  .message
        ├── RunCancelledError
        └── RunTimedOutError

The three branches say how far a call came: no usable response (``APIConnectionError``), a response with an error status
(``APIStatusError``), or a run that did not end well (``RunError``). All errors pickle. Every attribute has a default on its class.

``str()`` is one line, with at most 500 characters of text from the server. ``repr()`` shows the attributes as well, in about 2,000
characters at most; the attributes themselves (``body``, ``message``, ``problems``) are never cut.
"""

from .connection import (
    APIConnectionError,
    APITimeoutError,
    CreateUncertainError,
    DeadlineExceededError,
    OutageError,
    ResponseDecodeError,
    StreamInterruptedError,
)
from .own import AbortedError, IdempotencyConflictError, InvalidRequestError, LedgerError, LedgerUnavailableError
from .root import LangGraphRunsError, RequestInfo, shortened
from .run import RunCancelledError, RunError, RunFailedError, RunTimedOutError
from .status import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
    status_error,
)

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AbortedError",
    "AuthenticationError",
    "BadRequestError",
    "ConflictError",
    "CreateUncertainError",
    "DeadlineExceededError",
    "IdempotencyConflictError",
    "InternalServerError",
    "InvalidRequestError",
    "LangGraphRunsError",
    "LedgerError",
    "LedgerUnavailableError",
    "NotFoundError",
    "OutageError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestInfo",
    "ResponseDecodeError",
    "RunCancelledError",
    "RunError",
    "RunFailedError",
    "RunTimedOutError",
    "StreamInterruptedError",
    "UnprocessableEntityError",
    "shortened",
    "status_error",
]

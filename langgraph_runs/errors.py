"""Every error of this package, and nothing else: this floor imports nothing of ours.

::

    LangGraphRunsError                      .request  .run_id  .thread_id  .attempts
    ├── InvalidRequestError (ValueError)    we were called wrongly; nothing was sent
    ├── LedgerError                         the ledger of a map cannot be used, or not for this
    ├── AbortedError                        the caller's signal fired, or the client was closed
    ├── APIConnectionError                  no usable answer; .sent: False, True or None (unknown)
    │   ├── APITimeoutError (TimeoutError)  connect, or silence longer than ``read_timeout``
    │   │   └── DeadlineExceededError       ``timeout`` is over
    │   ├── StreamInterruptedError          .last_event_id  .events_seen
    │   ├── CreateUncertainError            the run may exist; .request_id
    │   └── ResponseDecodeError             .problems
    ├── APIStatusError                      .status_code  .message  .body  .headers  .request_id
    │   ├── BadRequestError  AuthenticationError  PermissionDeniedError  NotFoundError
    │   ├── ConflictError  UnprocessableEntityError  RateLimitError (.retry_after)
    │   └── InternalServerError
    └── RunError                            the request worked, the run did not; .run  .values
        ├── RunFailedError                  .error  .message
        ├── RunCancelledError
        └── RunTimedOutError

The three branches below the root answer three questions: did we get an answer (``APIConnectionError``), did we like it
(``APIStatusError``), and how did the run end (``RunError``). All errors pickle; ``str()`` is one line, ``repr()`` is complete.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple, Type

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
    "InternalServerError",
    "InvalidRequestError",
    "LangGraphRunsError",
    "LedgerError",
    "NotFoundError",
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
    "status_error",
]


class RequestInfo(NamedTuple):
    """What was asked: the HTTP method and the URL, without credentials and without the query."""

    method: str
    url: str


def _one_line(text: str) -> str:
    return " ".join(text.split())


class LangGraphRunsError(Exception):
    """The root of all errors of this package; may be used as a catch-all.

    >>> error = LangGraphRunsError("it did not work", run_id="1f0c")
    >>> error.run_id
    '1f0c'
    """

    #: The request that failed, or None where none was made.
    request: Optional[RequestInfo]
    #: The run that the call was about, as far as it was known when the error was raised.
    run_id: Optional[str]
    #: The thread of that run.
    thread_id: Optional[str]
    #: How many times the request was tried; 0 where nothing was sent.
    attempts: int

    def __init__(
        self,
        message: str,
        *,
        request: Optional[RequestInfo] = None,
        run_id: Optional[str] = None,
        thread_id: Optional[str] = None,
        attempts: int = 0,
    ) -> None:
        super().__init__(message)
        self._text = message
        self.request = request
        self.run_id = run_id
        self.thread_id = thread_id
        self.attempts = attempts

    def __str__(self) -> str:
        text = _one_line(self._text)
        if self.request is not None:
            text += f" [{self.request.method} {self.request.url}]"
        if self.run_id is not None and self.run_id not in text:
            text += f" (run {_one_line(self.run_id)})"
        return text

    def __repr__(self) -> str:
        fields = "".join(
            f", {name}={value!r}" for name, value in sorted(self.__dict__.items()) if not name.startswith("_") and value is not None
        )
        return f"{type(self).__name__}({self._text!r}{fields})"

    def __reduce__(self) -> Tuple[Any, ...]:
        return _rebuild, (type(self), self._text, self.__dict__.copy())


def _rebuild(cls: Type[LangGraphRunsError], message: str, state: Dict[str, Any]) -> LangGraphRunsError:
    error = cls.__new__(cls, message)
    error.args = (message,)
    error.__dict__.update(state)
    return error


class InvalidRequestError(LangGraphRunsError, ValueError):
    """We were called wrongly. Nothing was sent; the message names the argument and the remedy.

    >>> isinstance(InvalidRequestError("limit=0: give a whole number of at least 1"), ValueError)
    True
    """


class LedgerError(LangGraphRunsError):
    """The ledger of a map cannot be used: made for another server or assistant, no ledger, not readable; or an input has changed.

    >>> str(LedgerError("there is no ledger at 'jobs.sqlite'"))
    "there is no ledger at 'jobs.sqlite'"
    """


class AbortedError(LangGraphRunsError):
    """The call was ended from outside: by its `AbortSignal`, or because the client was closed.

    The server was not told: a run that was started goes on. Cancel it with ``client.runs.cancel``.

    >>> AbortedError("aborted: enough", reason="enough", run_id="1f0c").reason
    'enough'
    """

    #: What was given to `AbortController.abort`.
    reason: Any

    def __init__(self, message: str, *, reason: Any = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.reason = reason


class APIConnectionError(LangGraphRunsError):
    """No usable answer came.

    *sent* says whether the server can have acted: False, surely not (no byte of the request left); True, it answered at
    least in part; None, unknown.

    >>> APIConnectionError("could not connect: Connection refused", sent=False).sent
    False
    """

    #: False, True or None (unknown); see above.
    sent: Optional[bool]

    def __init__(self, message: str, *, sent: Optional[bool] = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.sent = sent


class APITimeoutError(APIConnectionError, TimeoutError):
    """Connecting took longer than ``connect_timeout``, or the server was silent for longer than ``read_timeout``.

    >>> isinstance(APITimeoutError("the server was silent for longer than read_timeout=30.0 s"), TimeoutError)
    True
    """


class DeadlineExceededError(APITimeoutError):
    """The whole call took longer than its ``timeout``. A run that was started goes on, unless ``on_timeout="cancel"``.

    >>> error = DeadlineExceededError("not done within timeout=2.0 s", timeout=2.0, run_id="1f0c")
    >>> error.timeout, error.run_id  # to join it later
    (2.0, '1f0c')
    """

    #: Seconds that the call was given.
    timeout: Optional[float]

    def __init__(self, message: str, *, timeout: Optional[float] = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.timeout = timeout


class StreamInterruptedError(APIConnectionError):
    """The stream broke and could not be resumed without losing events. All events before it were delivered.

    The run goes on; `langgraph_runs.Client.runs` can join it.

    >>> StreamInterruptedError("the stream was cut", last_event_id="1795224633885-0", events_seen=7).events_seen
    7
    """

    #: Resume by hand from here: ``client.runs.join_stream(thread_id, run_id, last_event_id=...)``.
    last_event_id: Optional[str]
    #: How many events were delivered.
    events_seen: int

    def __init__(self, message: str, *, last_event_id: Optional[str] = None, events_seen: int = 0, **context: Any) -> None:
        super().__init__(message, **context)
        self.last_event_id = last_event_id
        self.events_seen = events_seen


class CreateUncertainError(APIConnectionError):
    """The run may exist or not: the connection broke after the request had left, and looking it up did not settle it.

    It was not sent again. To look by hand: list the runs of the thread and compare
    ``run.kwargs["config"]["configurable"]["langgraph_request_id"]`` with *request_id*, which this server stores with the run;
    ``run.request_id`` is the short way to it.

    >>> CreateUncertainError("the run may have been created", request_id="0d9f").request_id
    '0d9f'
    """

    #: The ``x-request-id`` that was sent with the create.
    request_id: Optional[str]

    def __init__(self, message: str, *, request_id: Optional[str] = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.request_id = request_id


class ResponseDecodeError(APIConnectionError):
    """An answer came, but not in the shape that the API promises, or larger than the client allows. Not repeated.

    >>> ResponseDecodeError("another shape", problems=["$.status: expected a string, not a number"]).problems
    ('$.status: expected a string, not a number',)
    """

    #: What is wrong, each with its place: ``"$.status: expected a string, not 3"``.
    problems: Tuple[str, ...]

    def __init__(self, message: str, *, problems: Sequence[str] = (), **context: Any) -> None:
        context.setdefault("sent", True)
        super().__init__(message, **context)
        self.problems = tuple(problems)


class APIStatusError(LangGraphRunsError):
    """The server answered with a status that is not a success. Redirects (3xx) are not followed and end here too.

    >>> error = APIStatusError("teapot", status_code=418, body={"detail": "teapot"})
    >>> str(error), error.message
    ('418: teapot', 'teapot')
    """

    #: The HTTP status.
    status_code: int
    #: The server's own text: the ``detail`` of a JSON body, else the body as text.
    message: str
    #: The parsed JSON body, else the text, else None for an empty body.
    body: Any
    #: The headers of the answer, names in lower case.
    headers: Mapping[str, str]
    #: The ``x-request-id`` of the answer, else that of the request.
    request_id: Optional[str]
    #: Seconds that the server asked to wait (``Retry-After``), or None.
    retry_after: Optional[float]

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        body: Any = None,
        headers: Optional[Mapping[str, str]] = None,
        request_id: Optional[str] = None,
        retry_after: Optional[float] = None,
        **context: Any,
    ) -> None:
        super().__init__(f"{status_code}: {message}" if message else str(status_code), **context)
        self.message = message
        self.status_code = status_code
        self.body = body
        self.headers = dict(headers or {})
        self.request_id = request_id
        self.retry_after = retry_after


class BadRequestError(APIStatusError):
    """400: the server could not make sense of the request.

    >>> str(BadRequestError("bad config", status_code=400))
    '400: bad config'
    """


class AuthenticationError(APIStatusError):
    """401: no api key, or a wrong one.

    >>> str(AuthenticationError("Invalid API key", status_code=401))
    '401: Invalid API key'
    """


class PermissionDeniedError(APIStatusError):
    """403: the key is known, and may not do this.

    >>> str(PermissionDeniedError("read only", status_code=403))
    '403: read only'
    """


class NotFoundError(APIStatusError):
    """404: no such run, thread or assistant, or it belongs to somebody else.

    >>> str(NotFoundError("Not Found", status_code=404))
    '404: Not Found'
    """


class ConflictError(APIStatusError):
    """409: the thread is busy (``multitask_strategy="reject"``), or the id is taken. Never retried: it is an answer.

    >>> str(ConflictError("Thread is already running a task.", status_code=409))
    '409: Thread is already running a task.'
    """


class UnprocessableEntityError(APIStatusError):
    """422: a field is missing or of the wrong type.

    >>> str(UnprocessableEntityError("Invalid run ID: must be a UUID", status_code=422))
    '422: Invalid run ID: must be a UUID'
    """


class RateLimitError(APIStatusError):
    """429: too many requests; ``retry_after`` says in how many seconds to come back, where the server said so.

    >>> RateLimitError("slow down", status_code=429, retry_after=7.0).retry_after
    7.0
    """


class InternalServerError(APIStatusError):
    """5xx: the server, or something before it, failed.

    >>> str(InternalServerError("Bad Gateway", status_code=502))
    '502: Bad Gateway'
    """


_BY_STATUS: Dict[int, Type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def status_error(status_code: int) -> Type[APIStatusError]:
    """The class of the error for an HTTP status.

    >>> status_error(404).__name__, status_error(502).__name__, status_error(418).__name__
    ('NotFoundError', 'InternalServerError', 'APIStatusError')
    """
    if status_code >= 500:
        return InternalServerError
    return _BY_STATUS.get(status_code, APIStatusError)


class RunError(LangGraphRunsError):
    """The request worked, the run did not end well (or it cannot be known how it ended).

    >>> RunError("the run ended with status 'lost'", values={"n": 1}, run_id="1f0c").values
    {'n': 1}
    """

    #: The run as the server last described it, a `langgraph_runs.Run`, or None where it could not be asked.
    run: Any
    #: What the run had produced when it ended; None where nothing is known.
    values: Any

    def __init__(self, message: str, *, run: Any = None, values: Any = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.run = run
        self.values = values

    def __repr__(self) -> str:
        shown = {name: value for name, value in self.__dict__.items() if name not in ("run", "values")}
        fields = "".join(f", {k}={v!r}" for k, v in sorted(shown.items()) if not k.startswith("_") and v is not None)
        return f"{type(self).__name__}({self._text!r}{fields})"


class RunFailedError(RunError):
    """The graph raised an error.

    >>> error = RunFailedError("ValueError", "no ink", run_id="1f0c")
    >>> str(error)
    'the run failed: ValueError: no ink (run 1f0c)'
    """

    #: The class of the graph's exception, as text; None where the server no longer holds the reason.
    error: Optional[str]
    #: Its message; for classes that the server does not pass through, a general sentence.
    message: Optional[str]

    def __init__(self, error: Optional[str] = None, message: Optional[str] = None, **context: Any) -> None:
        told = ": ".join(part for part in (error, message) if part)
        super().__init__(f"the run failed: {told}" if told else "the run failed; the server did not say why", **context)
        self.error = error
        self.message = message


class RunCancelledError(RunError):
    """The run was cancelled before it ended; ``values`` is what there was so far.

    >>> str(RunCancelledError("the run was cancelled", run_id="1f0c"))
    'the run was cancelled (run 1f0c)'
    """


class RunTimedOutError(RunError):
    """The server stopped the run because it took longer than the server allows. Not ``timeout``, which is the caller's.

    >>> isinstance(RunTimedOutError("the server stopped the run"), TimeoutError)
    False
    """
